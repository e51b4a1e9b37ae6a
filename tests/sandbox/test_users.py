"""Users: resources/user.md and api/user-*.md of microsoft-graph-docs-contrib, and what people were told."""

from __future__ import annotations

import pytest

from graphkit.sandbox import Seed, SimulatedTenant
from graphkit.sandbox.seeding.activity import set_last_seen
from graphkit.sandbox.seeding.seed import GLOBAL_ADMINISTRATOR

NEW = {
    "accountEnabled": True,
    "displayName": "Ward clerk",
    "mailNickname": "clerk",
    "userPrincipalName": "clerk@contoso.example",
    "passwordProfile": {"password": "Irrelevant-here-1"},
}
DAY = 86_400


def without(name):
    return {key: value for key, value in NEW.items() if key != name}


# -- made and changed --


def test_a_user_is_made_with_what_the_service_fills_in(graph):
    made = graph("POST", "/users", {**NEW, "usageLocation": "GB", "employeeId": "77"})
    assert made.status == 201
    assert "passwordProfile" not in made.json
    names = "userType,createdDateTime,employeeId,passwordProfile,identities"
    told = graph("GET", f"/users/{made.json['id']}?$select={names}").json
    assert (told["userType"], told["createdDateTime"], told["employeeId"]) == ("Member", "2026-01-05T09:00:00Z", "77")
    assert told["passwordProfile"] is None
    assert told["identities"] == [
        {"signInType": "userPrincipalName", "issuer": "contoso.example", "issuerAssignedId": "clerk@contoso.example"}
    ]
    assert graph("GET", "/users?$filter=employeeId eq '77'").json["value"][0]["id"] == made.json["id"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (without("displayName"), "A value is required for property 'displayName' of resource 'User'."),
        (without("mailNickname"), "A value is required for property 'mailNickname' of resource 'User'."),
        (without("accountEnabled"), "A value is required for property 'accountEnabled' of resource 'User'."),
        (without("userPrincipalName"), "A value is required for property 'userPrincipalName' of resource 'User'."),
        (without("passwordProfile"), "A value is required for property 'passwordProfile' of resource 'User'."),
        ({**NEW, "passwordProfile": {}}, "password must be specified"),
        ({**NEW, "passwordProfile": {"password": "letters"}}, "password complexity requirements"),
        ({**NEW, "passwordProfile": {"password": "Ab1-"}}, "password complexity requirements"),
        ({**NEW, "userPrincipalName": "clerk@elsewhere.example"}, "verified domain names"),
        ({**NEW, "userPrincipalName": "clerk"}, "verified domain names"),
        ({**NEW, "userPrincipalName": "cl erk@contoso.example"}, "userPrincipalName is invalid"),
        ({**NEW, "userPrincipalName": "clerk.@contoso.example"}, "userPrincipalName is invalid"),
        ({**NEW, "userPrincipalName": f"{65 * 'x'}@contoso.example"}, "userPrincipalName is invalid"),
        ({**NEW, "userPrincipalName": "RX1-0001@contoso.example"}, "property userPrincipalName already exists"),
        ({**NEW, "mail": "rx1-0001@contoso.example"}, "property proxyAddresses already exists"),
        ({**NEW, "mailNickname": "ward clerk"}, "property 'mailNickname'"),
        ({**NEW, "mailNickname": "clerk@ward"}, "property 'mailNickname'"),
        ({**NEW, "usageLocation": "gb"}, "property 'usageLocation'"),
        ({**NEW, "usageLocation": "GBR"}, "property 'usageLocation'"),
        ({**NEW, "displayName": 257 * "x"}, "property 'displayName'"),
        ({**NEW, "department": 65 * "x"}, "property 'department'"),
        ({**NEW, "department": ""}, "property 'department'"),
        ({**NEW, "businessPhones": ["1", "2"]}, "property 'businessPhones'"),
        ({**NEW, "userType": "Visitor"}, "property 'userType'"),
        ({**NEW, "passwordPolicies": "None, Nonsense"}, "property 'passwordPolicies'"),
        ({**NEW, "createdDateTime": "2026-01-01T00:00:00Z"}, "'createdDateTime' is read-only"),
        ({**NEW, "nonsense": 1}, "'nonsense' does not exist"),
        ({**NEW, "accountEnabled": "true"}, "Cannot convert the literal 'true'"),
    ],
)  # fmt: skip
def test_what_no_user_can_be_is_refused(graph, body, message):
    told = graph("POST", "/users", body)
    assert told.status == 400
    assert message in told.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"id": "x"}, "'id' is read-only"),
        ({"displayName": ""}, "property 'displayName'"),
        ({"displayName": None}, "property 'displayName'"),
        ({"userPrincipalName": "rx1-0002@contoso.example"}, "property userPrincipalName already exists"),
        ({"mail": "nowhere"}, "property 'mail'"),
        ({"jobTitle": ""}, "property 'jobTitle'"),
        ({"usageLocation": "uk "}, "property 'usageLocation'"),
        ({"assignedLicenses": []}, "'assignedLicenses' is read-only"),
    ],
)
def test_what_no_user_can_become_is_refused(graph, body, message):
    told = graph("PATCH", f"/users/{graph.user(1)}", body)
    assert told.status == 400
    assert message in told.message


def test_null_clears_what_an_empty_text_does_not(graph):
    path = f"/users/{graph.user(1)}"
    assert graph("PATCH", path, {"department": None}).status == 204
    assert graph("GET", f"{path}?$select=department").json["department"] is None


def test_a_conflict_names_the_property(graph):
    told = graph("POST", "/users", {**NEW, "userPrincipalName": "rx1-0001@contoso.example"})
    assert told.json["error"]["details"] == [{"target": "userPrincipalName", "code": "ObjectConflict"}]


def test_weak_passwords_may_be_allowed(graph):
    weak = {**NEW, "passwordPolicies": "DisableStrongPassword", "passwordProfile": {"password": "onlyletters"}}
    assert graph("POST", "/users", weak).status == 201


def test_a_name_in_other_letters_is_not_taken_by_its_owner(graph):
    assert graph("PATCH", f"/users/{graph.user(1)}", {"userPrincipalName": "RX1-0001@contoso.example"}).status == 204


def test_a_new_mail_address_becomes_the_primary_one(graph):
    path = f"/users/{graph.user(1)}"
    assert graph("PATCH", path, {"mail": "new@contoso.example"}).status == 204
    told = graph("GET", f"{path}?$select=mail,proxyAddresses").json
    assert told["proxyAddresses"] == ["SMTP:new@contoso.example", "smtp:rx1-0001@contoso.example"]
    graph("PATCH", path, {"mail": "rx1-0001@contoso.example"})
    told = graph("GET", f"{path}?$select=proxyAddresses").json
    assert told["proxyAddresses"] == ["SMTP:rx1-0001@contoso.example", "smtp:new@contoso.example"]


def test_a_password_is_never_shown_and_its_change_is_dated(graph, clock):
    clock.at += DAY
    graph("PATCH", f"/users/{graph.user(1)}", {"passwordProfile": {"password": "Another-one-2"}})
    told = graph("GET", f"/users/{graph.user(1)}?$select=passwordProfile,lastPasswordChangeDateTime").json
    assert (told["passwordProfile"], told["lastPasswordChangeDateTime"]) == (None, "2026-01-06T09:00:00Z")


# -- people of an on-premises directory --


@pytest.fixture
def synced(graph, clock):
    """One of the last two of an organisation, whom another directory masters."""
    seed = Seed(organisations=2, users=120, synced=2)
    graph.tenant = SimulatedTenant(clock, seed=seed, throttling=False, replication_s=0)
    return graph.user(59)


@pytest.mark.parametrize("body", [{"department": "Theatre"}, {"accountEnabled": False}, {"displayName": "Else"}])
def test_what_is_mastered_on_premises_is_not_changed_here(graph, synced, body):
    told = graph("PATCH", f"/users/{synced}", body)
    assert (told.status, told.code) == (400, "Request_BadRequest")
    assert told.message.startswith("Unable to update the specified properties for on-premises mastered Directory Sync")


def test_the_synced_are_found(graph, synced):
    told = graph("GET", "/users?$filter=onPremisesSyncEnabled eq true&$select=id,onPremisesSamAccountName").json[
        "value"
    ]
    assert len(told) == 4
    assert {"id": synced, "onPremisesSamAccountName": "rx1-0059"} in told


def test_some_of_them_is_the_clouds_own(graph, synced):
    assert graph("PATCH", f"/users/{synced}", {"usageLocation": "FR"}).status == 204
    boss = {"@odata.id": graph.link(graph.user(1))}
    assert graph("PUT", f"/users/{synced}/manager/$ref", boss).status == 400
    assert graph("PUT", f"/users/{graph.user(1)}/manager/$ref", {"@odata.id": graph.link(synced)}).status == 204


# -- administrators --


def test_sensitive_changes_of_administrators_need_a_role(graph, tenant):
    plain = graph.bearer("User.ReadWrite.All")
    administrator = graph.user(1)
    tenant.state.link("roleMembers", GLOBAL_ADMINISTRATOR, administrator)
    assert graph("PATCH", f"/users/{administrator}", {"department": "Theatre"}, **plain).status == 204
    for body in ({"accountEnabled": False}, {"mobilePhone": "1"}, {"passwordProfile": {"password": "Another-one-2"}}):
        assert graph("PATCH", f"/users/{administrator}", body, **plain).code == "Authorization_RequestDenied"
        assert graph("PATCH", f"/users/{graph.user(2)}", body, **plain).status == 204
    assert graph("DELETE", f"/users/{administrator}", **plain).code == "Authorization_RequestDenied"
    tenant.state.link("roleMembers", GLOBAL_ADMINISTRATOR, tenant.seed.id_of("servicePrincipal", "a"))
    assert graph("PATCH", f"/users/{administrator}", {"mobilePhone": "1"}, **plain).status == 204


def test_turning_accounts_off_has_a_permission_of_its_own(graph):
    only = graph.bearer("User.EnableDisableAccount.All", "User.Read.All")
    path = f"/users/{graph.user(1)}"
    assert graph("PATCH", path, {"accountEnabled": False}, **only).status == 204
    assert graph("PATCH", path, {"accountEnabled": True, "department": "Theatre"}, **only).status == 403
    assert graph("PATCH", path, {"accountEnabled": True}, **graph.bearer("User.EnableDisableAccount.All")).status == 403
    assert graph("GET", f"{path}?$select=accountEnabled").json["accountEnabled"] is False


# -- managers --


def test_a_manager_is_set_read_and_taken_away(graph):
    path = f"/users/{graph.user(1)}/manager"
    assert graph("GET", path).code == "Request_ResourceNotFound"
    for boss in (2, 3):
        assert graph("PUT", f"{path}/$ref", {"@odata.id": graph.link(graph.user(boss))}).status == 204
    told = graph("GET", f"{path}?$select=id,displayName").json
    assert told["@odata.context"].endswith("#directoryObjects(id,displayName)/$entity")
    assert (told["@odata.type"], told["id"]) == ("#microsoft.graph.user", graph.user(3))
    assert graph("GET", f"/users/{graph.user(2)}/directReports").json["value"] == []
    assert graph("DELETE", f"{path}/$ref").status == 204
    assert graph("DELETE", f"{path}/$ref").status == 404


def test_a_manager_is_a_user_that_there_is(graph):
    path = f"/users/{graph.user(1)}/manager/$ref"
    assert graph("PUT", path, {"@odata.id": graph.link(graph.group("Pool"))}).status == 400
    assert graph("PUT", path, {"@odata.id": graph.link("00000000-0000-0000-0000-000000000000")}).status == 404
    assert graph("PUT", path, {"@odata.id": "nonsense"}).status == 400
    assert graph("PUT", path, {}).status == 400


def test_reports_are_listed_and_counted(graph):
    boss = graph.user(1)
    for number in (2, 3):
        graph("PUT", f"/users/{graph.user(number)}/manager/$ref", {"@odata.id": graph.link(boss)})
    told = graph("GET", f"/users/{boss}/directReports?$select=displayName").json["value"]
    assert [each["displayName"] for each in told] == ["RX1 Staff 0002", "RX1 Staff 0003"]
    cast = graph("GET", f"/users/{boss}/directReports/microsoft.graph.user?$select=id").json["value"]
    assert cast == [{"id": graph.user(2)}, {"id": graph.user(3)}]
    assert graph("GET", f"/users/{boss}/directReports/$count", ConsistencyLevel="eventual").json == "2"
    expanded = graph("GET", f"/users/{boss}?$expand=directReports($select=id)").json["directReports"]
    assert [each["id"] for each in expanded] == [graph.user(2), graph.user(3)]


def test_a_manager_is_expanded_on_lists_and_chains_on_one(graph):
    for number in (1, 2, 3):
        graph("PUT", f"/users/{graph.user(number)}/manager/$ref", {"@odata.id": graph.link(graph.user(number + 1))})
    listed = graph("GET", "/users?$expand=manager($select=id)&$select=id&$top=999").json["value"]
    bosses = {user["id"]: user["manager"]["id"] for user in listed if user.get("manager")}
    assert bosses == {graph.user(number): graph.user(number + 1) for number in (1, 2, 3)}
    told = graph("GET", f"/users/{graph.user(1)}?$expand=manager($levels=2;$select=id)").json
    assert told["manager"]["id"] == graph.user(2)
    assert told["manager"]["manager"]["id"] == graph.user(3)
    assert "manager" not in told["manager"]["manager"]
    longest = graph("GET", f"/users/{graph.user(1)}?$expand=manager($levels=max)").json["manager"]
    assert longest["manager"]["manager"]["id"] == graph.user(4)
    assert graph("GET", "/users?$expand=manager($levels=max)").code == "Request_UnsupportedQuery"
    assert graph("GET", f"/users/{graph.user(1)}?$expand=manager($levels=1001)").status == 400


def test_a_circle_of_managers_ends(graph):
    for number, boss in ((1, 2), (2, 1)):
        graph("PUT", f"/users/{graph.user(number)}/manager/$ref", {"@odata.id": graph.link(graph.user(boss))})
    chain = graph("GET", f"/users/{graph.user(1)}?$expand=manager($levels=max)").json["manager"]
    assert "manager" not in chain


def test_a_user_is_made_with_a_manager(graph):
    made = graph("POST", "/users", {**NEW, "manager@odata.bind": graph.link(graph.user(1))})
    assert graph("GET", f"/users/{made.json['id']}/manager").json["id"] == graph.user(1)
    graph("PATCH", f"/users/{made.json['id']}", {"manager@odata.bind": graph.link(graph.user(2))})
    assert graph("GET", f"/users/{made.json['id']}/manager").json["id"] == graph.user(2)


# -- sign-in activity --


def activity(graph, key, **headers):
    return graph("GET", f"/users/{key}?$select=signInActivity", **headers).json["signInActivity"]


def test_most_people_were_here_lately_some_long_ago_some_never(graph):
    told = graph("GET", "/users?$select=signInActivity&$top=500").json["value"]
    assert set(told[0]) == {"signInActivity", "id"}
    found = [user["signInActivity"]["lastNonInteractiveSignInDateTime"] for user in told if user["signInActivity"]]
    assert len(told) > len(found) > 110
    assert sum(when > "2025-12-20" for when in found) > 0.8 * len(found)
    assert any(when < "2025-10-07" for when in found)
    assert activity(graph, graph.user(1)) == activity(graph, graph.user(1))


def test_the_idle_are_found_by_the_filter(graph):
    set_last_seen(graph.tenant, graph.user(1), 200)
    path = "/users?$select=id,signInActivity&$filter=signInActivity/lastNonInteractiveSignInDateTime le 2025-10-07"
    idle = [user["id"] for user in graph("GET", path).json["value"]]
    everybody = graph("GET", "/users?$select=signInActivity&$top=500").json["value"]
    expected = [user["id"] for user in everybody if user["signInActivity"]
                and user["signInActivity"]["lastNonInteractiveSignInDateTime"] <= "2025-10-07"]  # fmt: skip
    assert graph.user(1) in idle
    assert idle == expected


def test_a_failed_attempt_moves_the_last_attempt_only(graph):
    for number in range(1, 61):
        for org in (1, 2):
            set_last_seen(graph.tenant, graph.user(number, org), 200)
    told = graph("GET", "/users?$select=signInActivity&$top=500").json["value"]
    failed = [user["signInActivity"] for user in told if user["signInActivity"]
              and user["signInActivity"]["lastSignInDateTime"] > "2025-12-20"
              and user["signInActivity"]["lastNonInteractiveSignInDateTime"] < "2025-07-01"]  # fmt: skip
    assert failed
    assert all(one["lastSuccessfulSignInDateTime"] < "2025-07-01" for one in failed)


def test_successes_are_recorded_since_december_2023(graph):
    set_last_seen(graph.tenant, graph.user(1), 1000)
    told = activity(graph, graph.user(1))
    assert told["lastNonInteractiveSignInDateTime"].startswith("2023-0")
    assert (told["lastSuccessfulSignInDateTime"], told["lastSuccessfulSignInRequestId"]) == (None, None)
    set_last_seen(graph.tenant, graph.user(1), None)
    assert activity(graph, graph.user(1)) is None


def test_sign_in_activity_has_a_permission_of_its_own(graph):
    path = f"/users/{graph.user(1)}?$select=signInActivity"
    for query in (path, "/users?$select=id,signinactivity",
                  "/users?$filter=signInActivity/lastSignInDateTime le 2025-10-07"):  # fmt: skip
        refused = graph("GET", query, **graph.bearer("User.Read.All"))
        assert (refused.status, refused.code) == (403, "Authentication_MSGraphPermissionMissing")
        assert graph("GET", query, **graph.bearer("User.Read.All", "AuditLog.Read.All")).status == 200
    assert graph("GET", path, **graph.bearer("AuditLog.Read.All")).code == "Authorization_RequestDenied"


def test_sign_in_activity_needs_a_premium_licence(clock, graph):
    plain = Seed(organisations=1, users=10, skus=("ENTERPRISEPACK",))
    graph.tenant = SimulatedTenant(clock, seed=plain, throttling=False, replication_s=0)
    refused = graph("GET", f"/users/{graph.user(1)}?$select=signInActivity")
    assert (refused.status, refused.code) == (403, "Authentication_RequestFromNonPremiumTenantOrB2CTenant")


def test_sign_in_activity_of_one_is_read_by_id(graph):
    refused = graph("GET", "/users/rx1-0001@contoso.example?$select=signInActivity")
    assert (refused.status, refused.message) == (
        400,
        "Get By Key only supports UserId and the key has to be a valid Guid",
    )


def test_pages_with_sign_in_activity_hold_500(clock, graph):
    graph.tenant = SimulatedTenant(clock, seed=Seed(users=1500), throttling=False)
    assert len(graph("GET", "/users?$select=id,signInActivity&$top=999").json["value"]) == 500
    assert len(graph("GET", "/users?$select=id,signInActivity").json["value"]) == 100
    assert len(graph("GET", "/users?$select=id&$top=999").json["value"]) == 999


def test_sign_in_activity_keeps_to_itself_in_a_filter(graph):
    path = "/users?$filter=signInActivity/lastSignInDateTime le 2025-10-07 and accountEnabled eq true"
    assert graph("GET", path).code == "Request_UnsupportedQuery"


# -- memberships --


@pytest.fixture
def member(graph):
    """The first user, in a group inside another, in a distribution-like group and in a role."""
    inner = graph.group("Inner", **{"members@odata.bind": [graph.link(graph.user(1))]})
    outer = graph.group("Outer", **{"members@odata.bind": [graph.link(inner)]})
    unified = graph.unified("Team", **{"members@odata.bind": [graph.link(graph.user(1))],
                                       "owners@odata.bind": [graph.link(graph.user(1))]})  # fmt: skip
    role = graph.tenant.state.table("roles").objects
    template = next(iter(role.values()))
    graph.tenant.state.link("roleMembers", template["roleTemplateId"], graph.user(1))
    return {"Inner": inner, "Outer": outer, "Team": unified, "role": template["id"]}


def ids(told):
    assert told.status == 200, told.json
    return {item["id"] if isinstance(item, dict) else item for item in told.json["value"]}


def test_memberships_are_told_with_their_types(graph, member):
    path = f"/users/{graph.user(1)}/memberOf"
    told = graph("GET", path).json["value"]
    assert {each["id"]: each["@odata.type"].rpartition(".")[2] for each in told} == {
        member["Inner"]: "group",
        member["Team"]: "group",
        member["role"]: "directoryRole",
    }
    assert ids(graph("GET", f"{path}/microsoft.graph.group")) == {member["Inner"], member["Team"]}
    assert ids(graph("GET", f"{path}/microsoft.graph.directoryRole")) == {member["role"]}
    assert graph("GET", f"{path}/$count", ConsistencyLevel="eventual").json == "3"
    assert graph("GET", f"{path}/microsoft.graph.group/$count", ConsistencyLevel="eventual").json == "2"
    assert graph("GET", f"{path}/$count").status == 400


def test_memberships_reach_through_groups(graph, member):
    path = f"/users/{graph.user(1)}/transitiveMemberOf"
    everything = {member[name] for name in ("Inner", "Outer", "Team", "role")}
    assert ids(graph("GET", path)) == everything
    groups = f"{path}/microsoft.graph.group?$count=true"
    assert ids(graph("GET", groups, ConsistencyLevel="eventual")) == everything - {member["role"]}
    assert graph("GET", f"{path}/microsoft.graph.group/$count", ConsistencyLevel="eventual").json == "3"
    filtered = f"{path}/microsoft.graph.group?$filter=startswith(displayName,'Out')&$count=true"
    assert ids(graph("GET", filtered, ConsistencyLevel="eventual")) == {member["Outer"]}
    assert graph("GET", filtered).code == "Request_UnsupportedQuery"


def test_memberships_by_id(graph, member):
    path = f"/users/{graph.user(1)}"
    ask = {"securityEnabledOnly": False}
    assert ids(graph("POST", f"{path}/getMemberGroups", ask)) == {member[n] for n in ("Inner", "Outer", "Team")}
    assert ids(graph("POST", f"{path}/getMemberObjects", ask)) == set(member.values())
    ask = {"securityEnabledOnly": True}
    assert ids(graph("POST", f"{path}/getMemberGroups", ask)) == {member["Inner"], member["Outer"]}
    other = graph.group("Other")
    checked = {"groupIds": [member["Outer"], other]}
    assert ids(graph("POST", f"{path}/checkMemberGroups", checked)) == {member["Outer"]}
    checked = {"ids": [member["role"], other]}
    assert ids(graph("POST", f"{path}/checkMemberObjects", checked)) == {member["role"]}
    assert graph("POST", f"{path}/checkMemberGroups", {"groupIds": [other] * 21}).status == 400
    assert graph("POST", f"{path}/getMemberGroups", {}).code == "BadRequest"


def test_what_a_user_owns(graph, member):
    path = f"/users/{graph.user(1)}/ownedObjects"
    told = graph("GET", f"{path}?$select=displayName").json["value"]
    assert told == [{"@odata.type": "#microsoft.graph.group", "displayName": "Team"}]
    assert ids(graph("GET", f"{path}/microsoft.graph.group")) == {member["Team"]}


# -- reading --


def test_some_properties_live_elsewhere(graph):
    told = graph("GET", "/users?$select=mailboxSettings")
    assert (told.status, told.code) == (501, "NotImplemented")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("userType eq 'Guest'", 1),
        ("externalUserState eq 'PendingAcceptance'", 1),
        ("creationType eq 'Invitation'", 1),
        ("accountEnabled eq false", 1),
        ("employeeId eq 'RX100003'", 1),
        ("mail eq 'ann@fabrikam.example'", 1),
    ],
)
def test_guests_and_disabled_accounts_are_found(graph, query, found):
    asked = {"invitedUserEmailAddress": "ann@fabrikam.example", "inviteRedirectUrl": "https://contoso.example"}
    graph("POST", "/invitations", asked)
    graph("PATCH", f"/users/{graph.user(1)}", {"accountEnabled": False})
    assert len(graph("GET", f"/users?$filter={query}&$top=999").json["value"]) == found
