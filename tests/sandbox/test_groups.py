"""Groups, whom they may hold, and who may write to them."""

from __future__ import annotations

import pytest

from graphkit.sandbox import Seed, SimulatedTenant
from graphkit.sandbox.ids import security_identifier

GUEST = {
    "accountEnabled": True,
    "displayName": "Visitor",
    "mailNickname": "visitor",
    "passwordProfile": {"password": "Irrelevant-here-1"},
    "userPrincipalName": "visitor@contoso.example",
    "userType": "Guest",
}


@pytest.fixture
def bearer(graph):
    """``bearer("User.Read.All")`` is the header of an app with these permissions."""

    def issue(*roles):
        signer = graph.tenant.login.signer
        app = graph.tenant.seed.app_id
        claims = {"iss": signer.issuer, "exp": graph.clock.at + 9_999, "idtyp": "app", "appid": app, "roles": roles}
        return {"Authorization": f"Bearer {signer.sign(claims)}"}

    return issue


def reference(graph, key):
    return {"@odata.id": graph.link(key)}


def add(graph, group, key, relation="members", **headers):
    return graph("POST", f"/groups/{group}/{relation}/$ref", reference(graph, key), **headers)


def shown(graph, path, **headers):
    return [item["id"] for item in graph("GET", path, **headers).json["value"]]


def body(**more):
    return {"displayName": "A", "mailEnabled": False, "mailNickname": "a", "securityEnabled": True, **more}


# -- what is made ------------------------------------------------------------------------------------------------


def test_the_service_fills_in_what_a_group_has_besides(graph):
    """The example on group-post-groups.md: this id has this security identifier."""
    identifier = "S-1-12-1-567301463-1099937718-295959174-3827004813"
    assert security_identifier("21d05557-b7b6-418f-86fa-a3118d751be4") == identifier
    made = graph("POST", "/groups", body(groupTypes=["Unified"], mailEnabled=True)).json
    assert made["visibility"] == "Public"
    assert made["proxyAddresses"] == ["SMTP:a@contoso.example"]
    assert made["securityIdentifier"].startswith("S-1-12-1-")
    assert (made["resourceBehaviorOptions"], made["onPremisesProvisioningErrors"]) == ([], [])


def test_a_unique_name_is_given_once(graph):
    made = graph("POST", "/groups", body(groupTypes=["Unified"], mailEnabled=True)).json["id"]
    assert graph("PATCH", f"/groups/{made}", {"uniqueName": "mine"}).status == 204
    assert graph("PATCH", f"/groups/{made}", {"uniqueName": "other"}).status == 400
    assert graph("GET", "/groups(uniqueName='mine')").json["id"] == made


@pytest.mark.parametrize(
    "change",
    [
        {"isAssignableToRole": True},
        {"resourceBehaviorOptions": ["WelcomeEmailDisabled"]},
        {"visibility": "HiddenMembership"},
        {"groupTypes": []},
        {"displayName": ""},
        {"description": ""},
        {"expirationDateTime": "2030-01-01T00:00:00Z"},
        {"securityIdentifier": "S-1-1"},
        {"hideFromAddressLists": True, "description": "x"},
    ],
)
def test_what_a_change_may_not_touch(graph, change):
    """resources/group.md, group-update.md"""
    told = graph("PATCH", f"/groups/{graph.unified()}", change)
    assert (told.status, told.code) == (400, "Request_BadRequest")


def test_what_is_fixed_may_come_back_as_it_is(graph):
    """The third example of group-upsert.md"""
    path = "/groups(uniqueName='roles')"
    made = body(isAssignableToRole=True)
    assert graph("PATCH", path, made, Prefer="create-if-missing").status == 201
    assert graph("PATCH", path, {**made, "description": "x"}).status == 204


def test_an_upsert_is_a_create_for_who_may_only_create(graph, bearer):
    path, headers = "/groups(uniqueName='x')", bearer("Group.Create")
    assert graph("PATCH", path, body(), Prefer="create-if-missing", **headers).status == 201
    assert graph("PATCH", path, body(), Prefer="create-if-missing", **headers).status == 403


def test_who_may_only_create_binds_what_it_may_read(graph, bearer):
    """group-post-groups.md"""
    own = graph.tenant.seed.id_of("servicePrincipal", graph.tenant.seed.app_id)
    by_app = body(**{"owners@odata.bind": [graph.link(own)]})
    by_user = body(**{"owners@odata.bind": [graph.link(graph.user(1))]})
    assert graph("POST", "/groups", by_app, **bearer("Group.Create")).status == 201
    assert graph("POST", "/groups", by_user, **bearer("Group.Create")).status == 403
    assert graph("POST", "/groups", by_user, **bearer("Group.Create", "User.Read.All")).status == 201


# -- whom it may hold --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("holder", "member", "status"),
    [
        ("security", "user", 204),
        ("security", "security", 204),
        ("security", "unified", 400),
        ("security", "app", 204),
        ("unified", "user", 204),
        ("unified", "security", 400),
        ("unified", "unified", 400),
        ("unified", "app", 400),
        ("role", "user", 204),
        ("role", "security", 400),
    ],
)
def test_whom_a_group_may_hold(graph, holder, member, status):
    """concepts/includes/groups-allowed-member-types.md"""
    made = {
        "user": lambda: graph.user(1),
        "app": lambda: graph.tenant.seed.id_of("servicePrincipal", graph.tenant.seed.app_id),
        "security": lambda: graph.group("S"),
        "unified": graph.unified,
        "role": lambda: graph.group("R", isAssignableToRole=True),
    }
    group = graph.unified("Holder") if holder == "unified" else made[holder]()
    assert add(graph, group, made[member]()).status == status


def test_the_refusal_of_nested_microsoft_365_groups_is_worded_as_the_service_does(graph):
    """microsoftgraph/microsoft-graph-docs#11629"""
    told = add(graph, graph.unified("A"), graph.unified("B"))
    assert told.message.startswith("Unified Groups cannot be added to Unified Groups.")
    assert told.json["error"]["details"] == [{"target": "members", "code": "InvalidValue"}]


def test_groups_may_hold_each_other_and_reading_ends_all_the_same(graph):
    """MicrosoftDocs/azure-docs#43313"""
    a, b, user = graph.group("A"), graph.group("B"), graph.user(1)
    assert {add(graph, a, b).status, add(graph, b, a).status, add(graph, b, user).status} == {204}
    assert set(shown(graph, f"/groups/{a}/transitiveMembers?$select=id")) == {a, b, user}
    assert set(shown(graph, f"/groups/{a}/transitiveMemberOf?$select=id")) == {a, b}


def test_guests_join_only_where_the_settings_let_them(graph):
    guest = graph("POST", "/users", GUEST).json["id"]
    group, other = graph.unified("A"), graph.unified("B")
    no = {"templateId": "08d542b9-071f-4e16-94b0-74abb372e3d9", "values": [{"name": "AllowToAddGuests",
                                                                            "value": "false"}]}  # fmt: skip
    assert graph("POST", f"/groups/{group}/settings", no).status == 201
    assert "Guests users are not allowed" in add(graph, group, guest).message
    assert add(graph, other, guest).status == 204


def test_only_users_and_apps_own_groups(graph):
    assert add(graph, graph.group("A"), graph.group("B"), "owners").status == 400


def test_the_last_person_among_the_owners_stays(graph):
    """group-delete-owners.md: "the last owner (a user object)" """
    group, app = graph.group(), graph.tenant.seed.id_of("servicePrincipal", graph.tenant.seed.app_id)
    for owner in (graph.user(1), graph.user(2), app):
        assert add(graph, group, owner, "owners").status == 204
    assert graph("DELETE", f"/groups/{group}/owners/{graph.user(1)}/$ref").status == 204
    told = graph("DELETE", f"/groups/{group}/owners/{graph.user(2)}/$ref")
    assert told.message == "The group must have at least one owner, hence this owner cannot be removed."
    assert graph("DELETE", f"/groups/{group}/owners/{app}/$ref").status == 204


def test_a_group_has_a_hundred_owners_at_most(graph):
    group = graph.group()
    for start in range(1, 101, 20):
        links = [graph.link(graph.user(1 + n % 60, 1 + n // 60)) for n in range(start, start + 20)]
        assert graph("PATCH", f"/groups/{group}", {"owners@odata.bind": links}).status == 204
    told = add(graph, group, graph.user(60, 2), "owners")
    assert (told.status, told.code) == (403, "Directory_QuotaExceeded")


# -- role-assignable ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"groupTypes": ["DynamicMembership"], "membershipRule": "user.mail -ne null"},
        {"visibility": "Public"},
        {"groupTypes": ["Unified"], "mailEnabled": True, "securityEnabled": False},
    ],
)
def test_a_role_assignable_group_is_private_secure_and_assigned(graph, change):
    assert graph("POST", "/groups", body(isAssignableToRole=True, **change)).status == 400


def test_a_role_assignable_group_is_for_who_manages_roles(graph, bearer):
    """groups-concept.md of entra-docs: Group.ReadWrite.All will not do."""
    few, both = bearer("Group.ReadWrite.All"), bearer("Group.ReadWrite.All", "RoleManagement.ReadWrite.Directory")
    assert graph("POST", "/groups", body(isAssignableToRole=True), **few).status == 403
    made = graph("POST", "/groups", body(isAssignableToRole=True), **both).json
    graph.clock.at += 5
    assert made["visibility"] == "Private"
    path = f"/groups/{made['id']}"
    bind = {"members@odata.bind": [graph.link(graph.user(1))]}
    assert graph("PATCH", path, bind, **few).status == 403
    assert graph("PATCH", path, bind, **both).status == 204
    assert graph("PATCH", path, {"description": "x"}, **few).status == 204
    assert graph("DELETE", path, **few).status == 403
    assert graph("DELETE", path, **both).status == 204


def test_five_hundred_groups_can_hold_roles(graph):
    table = graph.tenant.state.table("groups")
    for number in range(499):  # the break-glass group is the first
        table.put({"id": f"{number:08}-0000-0000-0000-000000000000", "isAssignableToRole": True, "displayName": "R"})
    told = graph("POST", "/groups", body(isAssignableToRole=True))
    assert (told.status, told.code) == (403, "Directory_QuotaExceeded")


# -- groups of another master ------------------------------------------------------------------------------------


@pytest.fixture
def synced(clock, speak):
    seed = Seed(organisations=1, users=3, synced_groups=("Ward rota",))
    graph = speak(SimulatedTenant(clock, seed=seed, throttling=False))
    return graph, graph("GET", "/groups?$filter=displayName eq 'Ward rota'").json["value"][0]


def test_a_group_mastered_on_premises_refuses_every_write(synced):
    """microsoftgraph/microsoft-graph-docs#7301"""
    graph, group = synced
    path = f"/groups/{group['id']}"
    assert group["onPremisesSyncEnabled"] is True
    for method, where, sent in (
        ("PATCH", path, {"description": "x"}),
        ("POST", f"{path}/members/$ref", reference(graph, graph.user(1))),
        ("DELETE", path, None),
    ):
        told = graph(method, where, sent)
        assert (told.status, "on-premises mastered" in told.message) == (400, True)


# -- hidden membership -------------------------------------------------------------------------------------------


def test_hidden_members_are_no_members_for_who_may_not_see_them(graph, bearer):
    """microsoftgraph/microsoft-graph-docs#12285, #12552"""
    user = graph.user(1)
    group = graph.unified("Hidden", visibility="hiddenMembership", **{"members@odata.bind": [graph.link(user)]})
    few = bearer("Directory.ReadWrite.All")
    all_of_it = bearer("Directory.ReadWrite.All", "Member.Read.Hidden")
    assert shown(graph, f"/groups/{group}/members?$select=id", **few) == []
    assert shown(graph, f"/groups/{group}/members?$select=id", **all_of_it) == [user]
    assert graph("GET", f"/groups/{group}/members/$count", ConsistencyLevel="eventual", **few).json == "0"
    assert shown(graph, f"/users/{user}/memberOf?$select=id", **few) == []
    assert shown(graph, f"/users/{user}/memberOf?$select=id", **all_of_it) == [group]
    assert graph("GET", f"/groups/{group}?$expand=members", **few).json["members"] == []


# -- reading -----------------------------------------------------------------------------------------------------


@pytest.fixture
def mixed(graph):
    """A group with a user, a group with another user, and an app."""
    inner = graph.group("Inner", **{"members@odata.bind": [graph.link(graph.user(2))]})
    app = graph.tenant.seed.id_of("servicePrincipal", graph.tenant.seed.app_id)
    outer = graph.group("Outer", **{"members@odata.bind": [graph.link(key) for key in (graph.user(1), inner, app)]})
    return outer, inner, app


@pytest.mark.parametrize(
    ("relation", "found"),
    [
        ("members", ["user 1", "inner", "app"]),
        ("members/microsoft.graph.user", ["user 1"]),
        ("members/graph.user", ["user 1"]),
        ("members/microsoft.graph.group", ["inner"]),
        ("members/microsoft.graph.servicePrincipal", ["app"]),
        ("members/microsoft.graph.device", []),
        ("transitiveMembers", ["user 1", "inner", "app", "user 2"]),
        ("transitiveMembers/microsoft.graph.user", ["user 1", "user 2"]),
    ],
)
def test_members_are_listed_and_counted_by_type(graph, mixed, relation, found):
    outer, inner, app = mixed
    names = {graph.user(1): "user 1", graph.user(2): "user 2", inner: "inner", app: "app"}
    path = f"/groups/{outer}/{relation}"
    assert [names[key] for key in shown(graph, f"{path}?$select=id")] == found
    if relation.partition("/")[2] not in ("microsoft.graph.servicePrincipal", "microsoft.graph.device"):
        assert graph("GET", f"{path}/$count", ConsistencyLevel="eventual").json == str(len(found))


@pytest.mark.parametrize(
    "path",
    ["/groups/{}/transitiveMembers/microsoft.graph.group", "/groups/{}/transitiveMemberOf/microsoft.graph.group"],
)
def test_a_cast_of_what_is_transitive_is_an_advanced_query(graph, mixed, path):
    """aad-advanced-queries.md; users among members may be had without (microsoft-graph-docs-contrib#1517)"""
    path = path.format(mixed[0])
    refused = graph("GET", f"{path}?$count=true")
    assert (refused.status, refused.code) == (400, "Request_UnsupportedQuery")
    assert graph("GET", path, ConsistencyLevel="eventual").status == 400
    assert graph("GET", f"{path}?$count=true", ConsistencyLevel="eventual").status == 200


def test_each_member_is_shown_as_what_it_is(graph, mixed):
    user, group, app = graph("GET", f"/groups/{mixed[0]}/members").json["value"]
    assert (user["@odata.type"], user["jobTitle"]) == ("#microsoft.graph.user", None)
    assert (group["@odata.type"], group["groupTypes"]) == ("#microsoft.graph.group", [])
    assert (app["@odata.type"], app["appId"]) == ("#microsoft.graph.servicePrincipal", graph.tenant.seed.app_id)
    assert not {"userPrincipalName", "department"} & group.keys()
    assert "licenseAssignmentStates" not in user


def test_a_select_names_what_any_of_them_has(graph, mixed):
    path = f"/groups/{mixed[0]}/members?$select=displayName,userPrincipalName,groupTypes"
    user, group, app = graph("GET", path).json["value"]
    assert user.keys() == {"@odata.type", "displayName", "userPrincipalName"}
    assert group.keys() == {"@odata.type", "displayName", "groupTypes"}
    assert app.keys() == {"@odata.type", "displayName"}
    assert graph("GET", f"/groups/{mixed[0]}/members?$select=nonsense").status == 400


def test_members_are_paged_and_filtered(graph, mixed):
    outer = mixed[0]
    first = graph("GET", f"/groups/{outer}/members?$top=2&$select=id").json
    assert len(first["value"]) == 2
    assert [item["id"] for item in graph("GET", first["@odata.nextLink"]).json["value"]] == [mixed[2]]
    filtered = f"/groups/{outer}/members?$filter=displayName eq 'Inner'&$count=true"
    assert shown(graph, filtered, ConsistencyLevel="eventual") == [mixed[1]]


def test_references_are_listed_too(graph, mixed):
    rows = graph("GET", f"/groups/{mixed[0]}/members/$ref").json["value"]
    assert [row["@odata.id"].rsplit("/", 2)[1:] for row in rows] == [
        [graph.user(1), "Microsoft.DirectoryServices.User"],
        [mixed[1], "Microsoft.DirectoryServices.Group"],
        [mixed[2], "Microsoft.DirectoryServices.ServicePrincipal"],
    ]
    assert all("/directoryObjects/" in row["@odata.id"] for row in rows)


def test_a_user_may_be_referred_to_by_name(graph):
    group = graph.group()
    link = {"@odata.id": "https://graph.microsoft.com/v1.0/users/rx1-0001@contoso.example"}
    assert graph("POST", f"/groups/{group}/members/$ref", link).status == 204
    assert shown(graph, f"/groups/{group}/members?$select=id") == [graph.user(1)]


@pytest.mark.parametrize(
    ("action", "sent", "found"),
    [
        ("getMemberGroups", {"securityEnabledOnly": False}, ["middle", "outer"]),
        ("getMemberGroups", {"securityEnabledOnly": True}, ["middle", "outer"]),
        ("checkMemberGroups", {"groupIds": ["outer", "inner"]}, ["outer"]),
        ("checkMemberObjects", {"ids": ["outer", "inner"]}, ["outer"]),
        ("getMemberObjects", {"securityEnabledOnly": False}, ["middle", "outer", "unit"]),
    ],
)
def test_what_a_group_is_in_directly_or_not(graph, action, sent, found):
    names = {name: graph.group(name) for name in ("inner", "middle", "outer")}
    names["unit"] = graph("POST", "/directory/administrativeUnits", {"displayName": "U"}).json["id"]
    graph.clock.at += 5
    add(graph, names["middle"], names["inner"])
    add(graph, names["outer"], names["middle"])
    path = f"/directory/administrativeUnits/{names['unit']}/members/$ref"
    assert graph("POST", path, reference(graph, names["inner"])).status == 204
    asked = {key: [names[each] for each in value] if isinstance(value, list) else value for key, value in sent.items()}
    told = graph("POST", f"/groups/{names['inner']}/{action}", asked)
    assert told.json["value"] == [names[each] for each in found]
    assert told.json["@odata.context"].endswith("$metadata#Collection(Edm.String)")
    assert graph("POST", f"/groups/{names['inner']}/{action}", {}).status == 400


def test_twenty_ids_are_checked_at_once(graph):
    told = graph("POST", f"/groups/{graph.group()}/checkMemberGroups", {"groupIds": ["x"] * 21})
    assert told.status == 400


# -- deleting ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", ["group", "unified"])
def test_a_deleted_group_waits_among_the_deleted_with_what_it_held(graph, make):
    """group-delete.md: security groups, too"""
    group, user = getattr(graph, make)("Gone"), graph.user(1)
    add(graph, group, user)
    assert graph("DELETE", f"/groups/{group}").status == 204
    assert graph("GET", f"/groups/{group}").status == 404
    kept = graph.tenant.state.get("deletedGroups", group)
    assert kept["deletedDateTime"]
    assert kept["_links"]["members"] == [user]
    assert shown(graph, f"/users/{user}/memberOf?$select=id") == []


def test_a_group_with_licences_is_not_deleted(graph):
    group = graph.group()
    sku = "05e9a617-0261-4cee-bb44-138d3ef5d965"
    assign = {"addLicenses": [{"skuId": sku, "disabledPlans": []}], "removeLicenses": []}
    assert graph("POST", f"/groups/{group}/assignLicense", assign).status == 202
    assert "active licenses" in graph("DELETE", f"/groups/{group}").message
