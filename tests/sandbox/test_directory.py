"""Users, groups and the rest of the directory, as reference pages and public threads describe them."""

from __future__ import annotations

import pytest

from graphkit.sandbox.areas import LEAST
from graphkit.sandbox.login.service import TAKE_OVER

E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"


def test_a_call_without_a_token_is_refused(tenant):
    answer = tenant.handle("GET", "https://graph.microsoft.com/v1.0/organization", {})
    assert answer.status == 401
    assert b"InvalidAuthenticationToken" in answer.body


def test_every_answer_names_itself_and_echoes_the_callers_id(graph):
    told = graph("GET", "/organization", client_request_id="abc")
    assert told.headers["client-request-id"] == "abc"
    assert {"request-id", "Date", "Content-Type"} <= told.headers.keys()
    refused = graph("GET", "/users/nobody@contoso.example", client_request_id="def")
    assert refused.json["error"]["innerError"]["client-request-id"] == "def"
    assert refused.json["error"]["innerError"]["request-id"] == refused.headers["request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nowhere", 400, "BadRequest"),
        ("GET", "/users/rx1-0001@contoso.example/nowhere", 400, "BadRequest"),
        ("GET", "/sites/root/lists", 501, "NotModelled"),
        ("GET", "/users/rx1-0001@contoso.example/messages", 501, "NotModelled"),
        ("DELETE", "/organization", 501, "NotModelled"),
        ("GET", "/users/rx1-0001@contoso.example/calendar", 501, "NotModelled"),
        ("GET", "/users?$expand=ownedDevices", 501, "NotModelled"),
        ("GET", "/users?$expand=nonsense", 400, "BadRequest"),
        ("GET", "/users/absent@contoso.example", 404, "Request_ResourceNotFound"),
        ("GET", "/groups/00000000-0000-0000-0000-00000000dead", 404, "Request_ResourceNotFound"),
        ("GET", "/users?$select=nonsense", 400, "BadRequest"),
        ("GET", "/users?$filter=nonsense eq 'x'", 400, "BadRequest"),
        ("GET", "/users?$filter=displayName eq", 400, "BadRequest"),
        ("GET", "/users?$top=1000", 400, "Request_UnsupportedQuery"),
        ("GET", "/users?$wrong=1", 400, "BadRequest"),
        ("GET", "/users?$select=aboutMe", 501, "NotImplemented"),
        ("GET", "https://graph.microsoft.com/v9/users", 400, "BadRequest"),
    ],
)
def test_what_is_wrong_is_refused_as_the_service_would(graph, method, path, status, code):
    told = graph(method, path)
    assert (told.status, told.code) == (status, code)


def test_a_page_holds_100_unless_asked_and_links_lead_to_the_end(graph):
    """concepts/paging.md; 100 by default, 999 at most."""
    first = graph("GET", "/users?$select=id")
    assert len(first.json["value"]) == 100
    second = graph("GET", first.json["@odata.nextLink"])
    assert "@odata.nextLink" not in second.json
    ids = [user["id"] for user in first.json["value"] + second.json["value"]]
    assert len(set(ids)) == len(ids) == 122


def test_links_keep_the_scheme_and_host_that_the_caller_used(graph):
    told = graph("GET", "http://127.0.0.1:8080/v1.0/users?$top=1")
    assert told.json["@odata.nextLink"].startswith("http://127.0.0.1:8080/v1.0/users?$top=1&$skiptoken=")


def test_deleting_what_was_listed_shifts_no_page(graph):
    first = graph("GET", "/users?$top=50&$select=id,userPrincipalName")
    graph("DELETE", f"/users/{first.json['value'][0]['id']}")
    second = graph("GET", first.json["@odata.nextLink"])
    assert second.json["value"][0]["userPrincipalName"] == "rx1-0051@contoso.example"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("userPrincipalName eq 'RX1-0001@contoso.example'", 1),
        ("userPrincipalName in ('rx1-0001@contoso.example','rx2-0001@contoso.example','none@x')", 2),
        ("startswith(userPrincipalName,'rx2-')", 60),
        ("accountEnabled eq false", 0),
        (f"assignedLicenses/Any(x:x/skuid eq {E3})", 40),
        ("mailNickname eq 'it''s'", 0),
        ("(department eq 'Nursing') and (employeeId eq 'RX100007')", 1),
    ],
)
def test_users_are_filtered(graph, query, found):
    assert len(graph("GET", f"/users?$top=999&$filter={query}").json["value"]) == found


@pytest.mark.parametrize(
    "query",
    ["$filter=companyName ne 'RX1'", "$filter=not(companyName eq 'RX1')", "$filter=endswith(mail,'example')",
     '$search="displayName:Staff"', "$filter=department eq 'Nursing'&$orderby=displayName"],
)  # fmt: skip
def test_advanced_queries_need_consistency_level_eventual(graph, query):
    """concepts/aad-advanced-queries.md"""
    refused = graph("GET", f"/users?{query}")
    assert (refused.status, refused.code) == (400, "Request_UnsupportedQuery")
    extra = "" if "$search" in query else "&$count=true"
    told = graph("GET", f"/users?{query}{extra}", ConsistencyLevel="eventual")
    assert told.status == 200
    assert told.json["value"]


def test_the_count_comes_on_the_first_page_only(graph):
    first = graph("GET", "/users?$count=true&$top=100", ConsistencyLevel="eventual")
    assert first.json["@odata.count"] == 122
    second = graph("GET", first.json["@odata.nextLink"], ConsistencyLevel="eventual")
    assert "@odata.count" not in second.json
    assert graph("GET", "/users/$count", ConsistencyLevel="eventual").json == "122"
    assert graph("GET", "/users/$count").status == 400


def test_without_select_a_user_has_the_default_properties(graph):
    """resources/user.md: "returned by default" """
    user = graph("GET", "/users/rx1-0001@contoso.example").json
    assert user["displayName"] == "RX1 Staff 0001"
    assert "department" not in user
    assert set(user) == {
        "@odata.context", "businessPhones", "displayName", "givenName", "id", "jobTitle", "mail", "mobilePhone",
        "officeLocation", "preferredLanguage", "surname", "userPrincipalName",
    }  # fmt: skip


NEW_USER = {
    "accountEnabled": True,
    "displayName": "RX1 Staff 9001",
    "mailNickname": "rx1-9001",
    "userPrincipalName": "rx1-9001@contoso.example",
    "passwordProfile": {"password": "Irrelevant-here-1"},
}


def test_a_user_is_made_changed_and_deleted(graph):
    made = graph("POST", "/users", NEW_USER)
    assert made.status == 201
    graph.clock.at += 5
    assert graph("PATCH", f"/users/{made.json['id']}", {"department": "Estates"}).status == 204
    assert graph("GET", "/users/rx1-9001@contoso.example?$select=department").json["department"] == "Estates"
    assert graph("DELETE", f"/users/{made.json['id']}").status == 204
    assert graph("GET", "/users/rx1-9001@contoso.example").status == 404
    assert b"irrelevant" not in repr(graph.tenant.state.table("deletedUsers").objects).encode()


@pytest.mark.parametrize(
    "change",
    [
        {"displayName": None},
        {"passwordProfile": None},
        {"userPrincipalName": "rx1-0001@contoso.example"},
        {"userPrincipalName": "rx1-9001@elsewhere.example"},
        {"favouriteColour": "blue"},
        {"accountEnabled": "yes"},
        {"assignedLicenses": []},
        {"id": "00000000-0000-0000-0000-000000000001"},
    ],
)
def test_a_user_that_breaks_a_rule_is_refused(graph, change):
    told = graph("POST", "/users", {**NEW_USER, **change})
    assert (told.status, told.code) == (400, "Request_BadRequest")
    assert len(graph.tenant.log) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"displayName": None},
        {"mailNickname": None},
        {"mailNickname": "has space"},
        {"mailNickname": "x" * 65},
        {"mailEnabled": True},
        {"securityEnabled": False},
        {"groupTypes": ["Unified"]},
        {"nonsense": 1},
        {"createdDateTime": "2026-01-01T00:00:00Z"},
        {"visibility": "Secret"},
    ],
)
def test_a_group_that_breaks_a_rule_is_refused(graph, change):
    """api-reference/v1.0/api/group-post-groups.md"""
    body = {"displayName": "A", "mailEnabled": False, "mailNickname": "a", "securityEnabled": True, **change}
    assert graph("POST", "/groups", body).status == 400


def test_display_names_repeat_but_microsoft_365_nicknames_do_not(graph):
    assert graph.group("Same") != graph.group("Same")
    graph.unified("Ward")
    body = {"displayName": "B", "mailEnabled": True, "mailNickname": "Ward", "securityEnabled": False,
            "groupTypes": ["Unified"]}  # fmt: skip
    assert "mailNickname" in graph("POST", "/groups", body).message


UPSERT = {"displayName": "P", "mailEnabled": False, "mailNickname": "p", "securityEnabled": True}


def test_an_upsert_creates_once_and_updates_after(graph):
    """api-reference/v1.0/api/group-upsert.md; a repeat inside the replication window finds the group, too."""
    path = "/groups(uniqueName='rx1.pool')"
    assert graph("PATCH", path, UPSERT).status == 404
    made = graph("PATCH", path, UPSERT, Prefer="create-if-missing")
    assert (made.status, made.json["uniqueName"]) == (201, "rx1.pool")
    again = graph("PATCH", path, {**UPSERT, "displayName": "Q"}, Prefer="create-if-missing")
    assert (again.status, again.json) == (204, "")
    graph.clock.at += 5
    found = graph("GET", path).json
    assert (found["id"], found["displayName"]) == (made.json["id"], "Q")
    assert graph("PATCH", f"/groups/{found['id']}", {"uniqueName": "other"}).status == 400
    assert len(graph("GET", "/groups?$filter=uniqueName eq 'rx1.pool'").json["value"]) == 1


def members(graph, group):
    return [item["id"] for item in graph("GET", f"/groups/{group}/members?$select=id&$top=999").json["value"]]


def test_twenty_members_in_one_patch_all_or_none(graph):
    """api-reference/v1.0/api/group-post-members.md"""
    group = graph.group()
    some = [graph.user(number) for number in range(1, 22)]
    bind = {"members@odata.bind": [graph.link(key) for key in some]}
    assert graph("PATCH", f"/groups/{group}", bind).status == 400
    assert graph("PATCH", f"/groups/{group}", {"members@odata.bind": bind["members@odata.bind"][:20]}).status == 204
    assert members(graph, group) == some[:20]
    overlap = graph("PATCH", f"/groups/{group}", {"members@odata.bind": [graph.link(some[20]), graph.link(some[0])]})
    assert (overlap.status, "already exist" in overlap.message) == (400, True)
    absent = graph("PATCH", f"/groups/{group}", {"members@odata.bind": [graph.link(some[20]), graph.link("0" * 8)]})
    assert absent.status == 404
    assert members(graph, group) == some[:20]


def test_one_member_is_added_and_removed_by_reference(graph):
    group, user = graph.group(), graph.user(1)
    reference = {"@odata.id": graph.link(user)}
    assert graph("POST", f"/groups/{group}/members/$ref", reference).status == 204
    assert "already exist" in graph("POST", f"/groups/{group}/members/$ref", reference).message
    assert graph("GET", f"/users/{user}/memberOf?$select=id").json["value"][0]["id"] == group
    assert graph("DELETE", f"/groups/{group}/members/{user}/$ref").status == 204
    assert graph("DELETE", f"/groups/{group}/members/{user}/$ref").status == 404


def test_a_dynamic_group_refuses_writes_to_its_membership(graph):
    """KelvinTegelaar/CIPP#468"""
    group = graph.group("Dyn", groupTypes=["DynamicMembership"], membershipRule='user.department -eq "Nursing"')
    told = graph("PATCH", f"/groups/{group}", {"members@odata.bind": [graph.link(graph.user(1))]})
    assert (told.status, told.code) == (403, "Authorization_RequestDenied")


def test_nested_membership_is_seen_transitively(graph):
    inner, outer, user = graph.group("Inner"), graph.group("Outer"), graph.user(1)
    graph("PATCH", f"/groups/{inner}", {"members@odata.bind": [graph.link(user)]})
    graph("PATCH", f"/groups/{outer}", {"members@odata.bind": [graph.link(inner)]})
    assert members(graph, outer) == [inner]
    found = graph("GET", f"/groups/{outer}/transitiveMembers?$select=id").json["value"]
    assert [item["id"] for item in found] == [inner, user]
    up = graph("GET", f"/users/{user}/transitiveMemberOf?$select=id").json["value"]
    assert [item["id"] for item in up] == [inner, outer]


def test_ids_are_resolved_many_at_a_time(graph):
    body = {"ids": [graph.user(1), graph.user(2), "00000000-0000-0000-0000-00000000dead"], "types": ["user"]}
    found = graph("POST", "/directoryObjects/getByIds?$select=id", body).json["value"]
    assert [item["id"] for item in found] == body["ids"][:2]
    assert len(graph.tenant.log) == 0


def test_break_glass_accounts_hold_the_global_administrator_role(graph):
    assigned = graph("GET", "/roleManagement/directory/roleAssignments").json["value"]
    holders = {item["principalId"] for item in assigned}
    group = graph("GET", "/groups?$filter=displayName eq 'Break glass'").json["value"][0]
    assert holders == set(members(graph, group["id"]))
    assert {item["roleDefinitionId"] for item in assigned} == {"62e90394-69f5-4237-9190-012177145e10"}


def test_the_calling_app_holds_its_permissions(graph):
    path = f"/servicePrincipals(appId='{graph.tenant.seed.app_id}')/appRoleAssignments"
    granted = {item["appRoleId"] for item in graph("GET", path).json["value"]}
    resource = graph("GET", "/servicePrincipals(appId='00000003-0000-0000-c000-000000000000')").json
    assert {role["id"] for role in resource["appRoles"] if role["value"] in LEAST - TAKE_OVER} == granted
    assert not granted & {role["id"] for role in resource["appRoles"] if role["value"] in TAKE_OVER}


def test_equal_seeds_make_equal_tenants(graph, clock):
    from graphkit.sandbox import Seed, SimulatedTenant

    twin = SimulatedTenant(clock, seed=Seed(organisations=2, users=120))
    assert list(twin.state.table("users").objects.items()) == list(graph.tenant.state.table("users").objects.items())
