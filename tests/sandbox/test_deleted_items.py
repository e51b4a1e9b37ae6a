"""What was deleted: api/directory-deleteditems-*.md of microsoft-graph-docs-contrib, entra-docs on recovery."""

from __future__ import annotations

import pytest

from graphkit.sandbox import SimulatedTenant
from graphkit.sandbox.seeding.seed import GLOBAL_ADMINISTRATOR

DAY = 86_400
BIN = "/directory/deletedItems"
ADVANCED = {"ConsistencyLevel": "eventual"}


def restore(graph, key, body=None, **headers):
    return graph("POST", f"{BIN}/{key}/restore", body, **headers)


def upn(graph, key):
    return graph("GET", f"/users/{key}?$select=userPrincipalName").json["userPrincipalName"]


# -- lists --


def test_deleted_users_are_listed_under_a_name_of_their_own(graph, clock):
    key = graph.user(1)
    graph("DELETE", f"/users/{key}")
    told = graph("GET", f"{BIN}/microsoft.graph.user").json
    assert told["@odata.context"].endswith("$metadata#users")
    (user,) = told["value"]
    assert user["userPrincipalName"] == key.replace("-", "") + "rx1-0001@contoso.example"
    assert "deletedDateTime" not in user
    selected = graph("GET", f"{BIN}/microsoft.graph.user?$select=id,deletedDateTime").json["value"]
    assert selected == [{"id": key, "deletedDateTime": "2026-01-05T09:00:00Z"}]
    one = graph("GET", f"{BIN}/{key}?$select=displayName").json
    assert one["@odata.context"].endswith("$metadata#directoryObjects(displayName)/$entity")
    assert (one["@odata.type"], one["displayName"]) == ("#microsoft.graph.user", "RX1 Staff 0001")
    assert graph("GET", f"/users/{key}").code == "Request_ResourceNotFound"


def test_lists_take_the_queries_of_their_type(graph, clock):
    for number in (2, 1, 3):
        graph("DELETE", f"/users/{graph.user(number)}")
        clock.at += 60
    path = f"{BIN}/microsoft.graph.user?$select=displayName"
    ordered = graph("GET", f"{path}&$orderby=deletedDateTime desc&$count=true", **ADVANCED).json
    assert [user["displayName"][-1] for user in ordered["value"]] == ["3", "1", "2"]
    assert ordered["@odata.count"] == 3
    assert graph("GET", f"{path}&$orderby=deletedDateTime").code == "Request_UnsupportedQuery"
    by_name = graph("GET", f"{path}&$filter=startswith(displayName,'RX1 Staff 0002')").json["value"]
    assert by_name == [{"displayName": "RX1 Staff 0002"}]
    first = graph("GET", f"{path}&$top=2").json
    assert len(graph("GET", first["@odata.nextLink"]).json["value"]) == 1
    assert graph("GET", f"{BIN}/microsoft.graph.user/$count", **ADVANCED).json == "3"
    assert graph("GET", f"{BIN}/microsoft.graph.group/$count", **ADVANCED).json == "0"


def test_a_list_names_its_type(graph):
    assert graph("GET", BIN).status == 400
    assert graph("GET", f"{BIN}/microsoft.graph.servicePrincipal").json["value"] == []
    assert graph("GET", f"{BIN}/microsoft.graph.device").code == "NotModelled"
    assert graph("GET", f"{BIN}/00000000-0000-0000-0000-000000000000").code == "Request_ResourceNotFound"


def test_deleted_groups_of_an_owner(graph):
    owned = {"owners@odata.bind": [graph.link(graph.user(1))]}
    group = graph.unified("Ward", **owned)
    graph.unified("Kept", **owned)
    graph("DELETE", f"/groups/{group}")
    ask = {"userId": graph.user(1), "type": "Group"}
    told = graph("POST", f"{BIN}/getUserOwnedObjects", ask).json["value"]
    assert [(each["@odata.type"], each["id"]) for each in told] == [("#microsoft.graph.group", group)]
    assert graph("POST", f"{BIN}/getUserOwnedObjects", {"userId": graph.user(1)}).code == "BadRequest"
    assert graph("POST", f"{BIN}/getUserOwnedObjects", {**ask, "type": "User"}).status == 400


# -- users come back --


def test_a_restored_user_has_everything_again(graph):
    key, boss = graph.user(1), graph.user(2)
    group = graph.group("Pool", **{"members@odata.bind": [graph.link(key)], "owners@odata.bind": [graph.link(key)]})
    graph("PUT", f"/users/{key}/manager/$ref", {"@odata.id": graph.link(boss)})
    graph("PUT", f"/users/{graph.user(3)}/manager/$ref", {"@odata.id": graph.link(key)})
    graph.tenant.state.link("roleMembers", GLOBAL_ADMINISTRATOR, key)
    before = graph("GET", f"/users/{key}?$select=assignedLicenses,mail,proxyAddresses,department").json
    assert before["assignedLicenses"]
    seats = graph("GET", "/subscribedSkus").json["value"][0]["consumedUnits"]

    graph("DELETE", f"/users/{key}")
    assert graph("GET", "/subscribedSkus").json["value"][0]["consumedUnits"] == seats - 1
    assert graph("GET", f"/groups/{group}/members").json["value"] == []
    assert graph("GET", f"/users/{graph.user(3)}/manager").status == 404

    told = restore(graph, key)
    assert (told.status, told.json["@odata.type"]) == (200, "#microsoft.graph.user")
    assert told.json["@odata.context"].endswith("$metadata#directoryObjects/$entity")
    assert told.json["userPrincipalName"] == upn(graph, key) == "rx1-0001@contoso.example"
    assert graph("GET", f"/users/{key}?$select=assignedLicenses,mail,proxyAddresses,department").json == before
    assert graph("GET", "/subscribedSkus").json["value"][0]["consumedUnits"] == seats
    assert graph("GET", f"/groups/{group}/members").json["value"][0]["id"] == key
    assert graph("GET", f"/groups/{group}/owners").json["value"][0]["id"] == key
    assert graph("GET", f"/users/{key}/manager").json["id"] == boss
    assert graph("GET", f"/users/{graph.user(3)}/manager").json["id"] == key
    assert key in graph.tenant.state.linked("roleMembers", GLOBAL_ADMINISTRATOR)
    assert restore(graph, key).code == "Request_ResourceNotFound"
    assert graph("GET", "/users?$filter=displayName eq 'RX1 Staff 0001'&$select=id").json["value"] == [{"id": key}]


@pytest.mark.parametrize("first", [1, 2])
def test_two_deleted_find_each_other_again(graph, first):
    """In whatever order they come back."""
    one, boss = graph.user(1), graph.user(2)
    graph("PUT", f"/users/{one}/manager/$ref", {"@odata.id": graph.link(boss)})
    for key in (one, boss):
        graph("DELETE", f"/users/{key}")
    restore(graph, graph.user(first))
    assert graph("GET", f"/users/{graph.user(first)}/manager").status == 404
    restore(graph, graph.user(3 - first))
    assert graph("GET", f"/users/{one}/manager").json["id"] == boss


def test_what_is_gone_meanwhile_stays_gone(graph):
    group = graph.group("Pool", **{"members@odata.bind": [graph.link(graph.user(1))]})
    graph("DELETE", f"/users/{graph.user(1)}")
    graph("DELETE", f"/groups/{group}")
    graph("DELETE", f"{BIN}/{group}")
    assert restore(graph, graph.user(1)).status == 200
    assert graph("GET", f"/users/{graph.user(1)}/memberOf").json["value"] == []


def test_seats_that_others_took_are_missing(graph, tenant):
    key, sku = graph.user(1), graph("GET", "/subscribedSkus").json["value"][0]["skuId"]
    graph("DELETE", f"/users/{key}")
    ask = {"addLicenses": [{"skuId": sku}], "removeLicenses": []}
    for number in range(21, 50):
        graph("POST", f"/users/{graph.user(number)}/assignLicense", ask)
    assert graph("GET", "/subscribedSkus").json["value"][0]["consumedUnits"] == 60
    restore(graph, key)
    assert graph("GET", f"/users/{key}?$select=assignedLicenses").json["assignedLicenses"] == []
    assert graph("GET", "/subscribedSkus").json["value"][0]["consumedUnits"] == 60


def test_licences_of_a_group_come_back_with_it(graph, clock):
    key, sku = graph.user(30), graph("GET", "/subscribedSkus").json["value"][0]["skuId"]
    group = graph.group("Pool", **{"members@odata.bind": [graph.link(key)]})
    graph("POST", f"/groups/{group}/assignLicense", {"addLicenses": [{"skuId": sku}], "removeLicenses": []})
    clock.at += 3600
    for action in ("DELETE /users/{}", "POST /directory/deletedItems/{}/restore"):
        method, path = action.format(key).split()
        graph(method, path)
    clock.at += 3600
    states = graph("GET", f"/users/{key}?$select=licenseAssignmentStates").json["licenseAssignmentStates"]
    assert [(state["assignedByGroup"], state["state"]) for state in states] == [(group, "Active")]


def test_a_deleted_users_name_is_free_and_may_be_taken(graph):
    key = graph.user(1)
    graph("DELETE", f"/users/{key}")
    other = graph.user(2)
    assert graph("PATCH", f"/users/{other}", {"userPrincipalName": "rx1-0001@contoso.example"}).status == 204
    refused = restore(graph, key)
    assert (refused.status, refused.json["error"]["details"][0]["target"]) == (400, "userPrincipalName")
    bad = restore(graph, key, {"newUserPrincipalName": "new@elsewhere.example"})
    assert bad.status == 400
    told = restore(graph, key, {"newUserPrincipalName": "new@contoso.example"})
    assert (told.status, upn(graph, key)) == (200, "new@contoso.example")


def test_addresses_that_others_have_are_given_up_if_asked(graph):
    key = graph.user(1)
    graph("DELETE", f"/users/{key}")
    graph("PATCH", f"/users/{graph.user(2)}", {"mail": "rx1-0001@contoso.example"})
    refused = restore(graph, key)
    assert (refused.status, refused.json["error"]["details"][0]["target"]) == (400, "proxyAddresses")
    assert restore(graph, key, {"autoReconcileProxyConflict": True}).status == 200
    told = graph("GET", f"/users/{key}?$select=mail,proxyAddresses").json
    assert (told["mail"], told["proxyAddresses"]) == (None, [])


@pytest.mark.parametrize("body", [{"nonsense": 1}, {"newUserPrincipalName": 1}, {"autoReconcileProxyConflict": "yes"}])
def test_a_restore_takes_two_parameters(graph, body):
    graph("DELETE", f"/users/{graph.user(1)}")
    assert restore(graph, graph.user(1), body).code == "BadRequest"


# -- groups --


def test_a_group_comes_back_with_its_people_and_its_team(graph, clock):
    links = {"members@odata.bind": [graph.link(graph.user(1))], "owners@odata.bind": [graph.link(graph.user(2))]}
    group = graph.unified("Ward", **links)
    clock.at += 3600
    assert graph("PUT", f"/groups/{group}/team", {}).status == 201
    assert graph("GET", f"/teams/{group}").status == 200
    graph("DELETE", f"/groups/{group}")
    assert graph("GET", f"/teams/{group}").status == 404
    assert restore(graph, group).json["@odata.type"] == "#microsoft.graph.group"
    assert graph("GET", f"/groups/{group}/members").json["value"][0]["id"] == graph.user(1)
    assert graph("GET", f"/groups/{group}/owners").json["value"][0]["id"] == graph.user(2)
    assert graph("GET", f"/teams/{group}").status == 200


def test_a_security_group_comes_back_into_the_groups_that_held_it(graph):
    group = graph.group("Inner")
    parent = graph.group("Parent", **{"members@odata.bind": [graph.link(group)]})
    graph("DELETE", f"/groups/{group}")
    assert graph("GET", f"/groups/{parent}/members").json["value"] == []
    assert restore(graph, group).status == 200
    assert graph("GET", f"/groups/{parent}/members").json["value"][0]["id"] == group


def test_an_administrative_unit_comes_back_with_its_members(graph):
    unit = graph("POST", "/directory/administrativeUnits", {"displayName": "North"}).json["id"]
    graph("POST", f"/directory/administrativeUnits/{unit}/members/$ref", {"@odata.id": graph.link(graph.user(1))})
    graph("DELETE", f"/directory/administrativeUnits/{unit}")
    assert graph("GET", f"{BIN}/microsoft.graph.administrativeUnit?$select=id").json["value"] == [{"id": unit}]
    assert restore(graph, unit).json["@odata.type"] == "#microsoft.graph.administrativeUnit"
    members = graph("GET", f"/directory/administrativeUnits/{unit}/members").json["value"]
    assert [each["id"] for each in members] == [graph.user(1)]


def test_a_group_whose_name_was_taken_does_not_come_back(graph):
    group = graph.unified("Ward")
    graph("DELETE", f"/groups/{group}")
    graph.unified("Ward")
    refused = restore(graph, group)
    assert (refused.status, "mailNickname" in refused.message) == (400, True)


# -- the end --


def test_thirty_days_and_no_longer(graph, clock):
    key, group = graph.user(1), graph.unified("Ward")
    graph("DELETE", f"/users/{key}")
    graph("DELETE", f"/groups/{group}")
    clock.at += 30 * DAY - 60
    assert graph("GET", f"{BIN}/{key}").status == graph("GET", f"{BIN}/{group}").status == 200
    clock.at += 60
    assert graph("GET", f"{BIN}/{key}").status == graph("GET", f"{BIN}/{group}").status == 404
    assert graph("GET", f"{BIN}/microsoft.graph.user").json["value"] == []
    assert restore(graph, key).status == 404


def test_who_is_deleted_twice_waits_thirty_days_again(graph, clock):
    key = graph.user(1)
    graph("DELETE", f"/users/{key}")
    clock.at += 20 * DAY
    restore(graph, key)
    graph("DELETE", f"/users/{key}")
    clock.at += 20 * DAY
    assert restore(graph, key).status == 200


def test_deleted_for_good(graph):
    key = graph.user(1)
    graph("DELETE", f"/users/{key}")
    assert graph("DELETE", f"{BIN}/{key}").status == 204
    assert graph("DELETE", f"{BIN}/{key}").status == 404
    assert restore(graph, key).status == 404


def test_the_days_are_counted_across_a_reopening(graph, clock, tmp_path):
    graph.tenant = SimulatedTenant.open(tmp_path / "tenant", clock, throttling=False, replication_s=0)
    key = graph.user(1)
    graph("DELETE", f"/users/{key}")
    graph.tenant.close()
    clock.at += 30 * DAY
    graph.tenant = SimulatedTenant.open(tmp_path / "tenant", clock, throttling=False, replication_s=0)
    assert graph("GET", f"{BIN}/{key}").status == 404
    assert graph("GET", f"/users/{key}").status == 404
    graph.tenant.close()


# -- who may --


@pytest.mark.parametrize(
    ("method", "path", "kind", "permission"),
    [
        ("GET", "", "user", "User.Read.All"),
        ("GET", "", "group", "Group.Read.All"),
        ("POST", "/restore", "user", "User.DeleteRestore.All"),
        ("POST", "/restore", "group", "Group.ReadWrite.All"),
        ("DELETE", "", "user", "User.DeleteRestore.All"),
        ("DELETE", "", "group", "Group.ReadWrite.All"),
    ],
)
def test_each_kind_has_its_permissions(graph, method, path, kind, permission):
    keys = {"user": graph.user(1), "group": graph.unified("Ward")}
    for name, key in keys.items():
        graph("DELETE", f"/{name}s/{key}")
    other = {"user": "group", "group": "user"}[kind]
    told = graph(method, f"{BIN}/{keys[other]}{path}", **graph.bearer(permission))
    assert told.code == "Authorization_RequestDenied"
    assert graph(method, f"{BIN}/{keys[kind]}{path}", **graph.bearer(permission)).status in (200, 204)


def test_an_administrator_comes_back_by_the_hand_of_one(graph, tenant):
    key = graph.user(1)
    tenant.state.link("roleMembers", GLOBAL_ADMINISTRATOR, key)
    graph("DELETE", f"/users/{key}")
    plain = graph.bearer("User.ReadWrite.All")
    assert restore(graph, key, **plain).code == "Authorization_RequestDenied"
    assert graph("DELETE", f"{BIN}/{key}", **plain).code == "Authorization_RequestDenied"
    tenant.state.link("roleMembers", GLOBAL_ADMINISTRATOR, tenant.seed.id_of("servicePrincipal", "a"))
    assert restore(graph, key, **plain).status == 200
