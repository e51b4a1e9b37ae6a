"""Delta: concepts/delta-query-overview.md, api/user-delta.md and group-delta.md of microsoft-graph-docs-contrib."""

from __future__ import annotations

import json

import pytest

from graphkit.sandbox import Seed, SimulatedTenant

DAY = 86_400


def walk(graph, link, **headers):
    """All that the pages from ``link`` on tell, and the last page."""
    told, page = [], graph("GET", link, **headers)
    while True:
        assert page.status == 200, page.json
        told += page.json["value"]
        if "@odata.deltaLink" in page.json:
            return told, page.json
        page = graph("GET", page.json["@odata.nextLink"], **headers)


def begin(graph, path="/users/delta"):
    return walk(graph, path)[1]["@odata.deltaLink"]


# -- the first round --


def test_the_first_round_tells_everything_in_pages(graph):
    first = graph("GET", "/users/delta?$select=displayName,department").json
    assert first["@odata.context"].endswith("/$metadata#users(displayName,department)")
    assert len(first["value"]) == 100
    assert "@odata.deltaLink" not in first
    assert {"displayName": "RX1 Staff 0001", "department": "Medical", "id": graph.user(1)} in first["value"]
    second = graph("GET", first["@odata.nextLink"]).json
    assert second["@odata.context"].endswith("/$metadata#users")
    assert len(second["value"]) == 22
    assert list(second)[:2] == ["@odata.context", "@odata.deltaLink"]


def test_what_was_never_set_is_left_out(graph):
    told, _ = walk(graph, "/users/delta")
    assert {name for user in told for name in user} >= {"id", "displayName", "userPrincipalName"}
    assert not any(value is None for user in told for value in user.values())


def test_groups_come_with_their_members_and_owners(graph):
    group = graph.group("Pool", **{"members@odata.bind": [graph.link(graph.user(1))],
                                   "owners@odata.bind": [graph.link(graph.user(2))]})  # fmt: skip
    told = {each["id"]: each for each in walk(graph, "/groups/delta")[0]}
    person = {"@odata.type": "#microsoft.graph.user"}
    assert told[group]["members@delta"] == [{**person, "id": graph.user(1)}]
    assert told[group]["owners@delta"] == [{**person, "id": graph.user(2)}]
    narrow = {each["id"]: each for each in walk(graph, "/groups/delta?$select=displayName")[0]}
    assert narrow[group] == {"displayName": "Pool", "id": group}


def test_many_members_are_spread_over_pages(graph):
    group, empty = graph.group("Many"), graph.group("Empty")
    for number in range(2500):
        graph.tenant.state.link("members", group, f"00000000-0000-0000-0000-{number:012}")
    graph.tenant.state.forget_changes()
    pages, link = [], f"/groups/delta?$select=displayName,members&$filter=id in ('{group}', '{empty}')"
    while link:
        page = graph("GET", link).json
        pages.append([(each["id"], len(each.get("members@delta", ()))) for each in page["value"]])
        link = page.get("@odata.nextLink")
    assert pages == [[(group, 1000)], [(group, 1000)], [(group, 500), (empty, 0)]]


def test_a_member_that_leaves_between_two_pages_hides_nobody(graph):
    group = graph.group("Many")
    members = [f"00000000-0000-0000-0000-{number:012}" for number in range(1200)]
    for member in members:
        graph.tenant.state.link("members", group, member)
    graph.tenant.state.forget_changes()
    first = graph("GET", f"/groups/delta?$select=members&$filter=id eq '{group}'").json
    graph.tenant.state.unlink("members", group, members[3])
    second = graph("GET", first["@odata.nextLink"]).json
    told = [each["id"] for page in (first, second) for each in page["value"][0]["members@delta"]]
    assert sorted(told) == members


def test_latest_tells_nothing_and_begins_now(graph):
    page = graph("GET", "/users/delta?$select=department&$deltatoken=latest").json
    assert page["value"] == []
    graph("PATCH", f"/users/{graph.user(1)}", {"department": "Theatre"})
    assert walk(graph, page["@odata.deltaLink"])[0] == [{"department": "Theatre", "id": graph.user(1)}]


# -- later rounds --


def test_a_later_round_tells_what_was_made_changed_and_deleted(graph):
    link = begin(graph)
    assert walk(graph, link)[0] == []
    graph("PATCH", f"/users/{graph.user(1)}", {"department": "Theatre", "jobTitle": None})
    graph("DELETE", f"/users/{graph.user(2)}")
    graph("DELETE", f"/users/{graph.user(3)}")
    graph("DELETE", f"/directory/deletedItems/{graph.user(3)}")
    made = graph("POST", "/invitations", {"invitedUserEmailAddress": "ann@fabrikam.example",
                                          "inviteRedirectUrl": "https://contoso.example"})  # fmt: skip
    told = {each["id"]: each for each in walk(graph, link)[0]}
    assert told[graph.user(1)]["department"] == "Theatre"
    assert told[graph.user(1)]["displayName"] == "RX1 Staff 0001"
    assert told[graph.user(2)] == {"id": graph.user(2), "@removed": {"reason": "changed"}}
    assert told[graph.user(3)] == {"id": graph.user(3), "@removed": {"reason": "deleted"}}
    assert told[made.json["invitedUser"]["id"]]["mail"] == "ann@fabrikam.example"
    assert len(told) == 4


def test_a_property_that_was_emptied_is_told_as_null(graph):
    link = begin(graph, "/users/delta?$select=jobTitle")
    graph("PATCH", f"/users/{graph.user(1)}", {"jobTitle": "Porter"})
    graph("PATCH", f"/users/{graph.user(1)}", {"jobTitle": None})
    assert walk(graph, link)[0] == [{"jobTitle": None, "id": graph.user(1)}]


def test_who_comes_back_is_told_anew(graph):
    group = graph.group("Pool", **{"members@odata.bind": [graph.link(graph.user(1))]})
    users, groups = begin(graph, "/users/delta?$select=displayName"), begin(graph, "/groups/delta?$select=members")
    graph("DELETE", f"/users/{graph.user(1)}")
    assert walk(graph, groups)[0] == [
        {"id": group, "members@delta": [{"@odata.type": "#microsoft.graph.user", "id": graph.user(1),
                                         "@removed": {"reason": "deleted"}}]}
    ]  # fmt: skip
    graph("POST", f"/directory/deletedItems/{graph.user(1)}/restore")
    assert walk(graph, users)[0] == [{"displayName": "RX1 Staff 0001", "id": graph.user(1)}]
    assert walk(graph, groups)[0] == [
        {"id": group, "members@delta": [{"@odata.type": "#microsoft.graph.user", "id": graph.user(1)}]}
    ]


def test_after_thirty_days_the_deleted_are_gone_for_good(graph, clock):
    graph("DELETE", f"/users/{graph.user(2)}")
    clock.at += 29.5 * DAY
    link = begin(graph)
    clock.at += DAY
    assert walk(graph, link)[0] == [{"id": graph.user(2), "@removed": {"reason": "deleted"}}]


def test_with_select_other_changes_are_not_told(graph):
    link = begin(graph, "/users/delta?$select=displayName,assignedLicenses,manager")
    graph("PATCH", f"/users/{graph.user(1)}", {"department": "Theatre"})
    assert walk(graph, link)[0] == []
    graph("PUT", f"/users/{graph.user(1)}/manager/$ref", {"@odata.id": graph.link(graph.user(2))})
    (told,) = walk(graph, link)[0]
    assert told["manager@delta"] == [{"@odata.type": "#microsoft.graph.user", "id": graph.user(2)}]
    graph("PUT", f"/users/{graph.user(1)}/manager/$ref", {"@odata.id": graph.link(graph.user(3))})
    (told,) = walk(graph, link)[0]
    assert {link["id"]: link.get("@removed") for link in told["manager@delta"]} == {
        graph.user(2): {"reason": "deleted"},
        graph.user(3): None,
    }
    wider = f"{link}&$select=department"
    assert walk(graph, wider)[0] == [{"department": "Theatre", "id": graph.user(1)}]


def test_licences_are_told_by_the_name_they_are_read_by(graph):
    link = begin(graph, "/users/delta?$select=assignedLicenses")
    sku = graph("GET", "/subscribedSkus").json["value"][0]["skuId"]
    licensed = [user for user in walk(graph, "/users/delta?$select=assignedLicenses")[0] if len(user) > 1]
    graph("POST", f"/users/{graph.user(60)}/assignLicense", {"addLicenses": [{"skuId": sku}], "removeLicenses": []})
    told, _ = walk(graph, link)
    assert [(user["id"], user["assignedLicenses"][0]["skuId"]) for user in told] == [(graph.user(60), sku)]
    assert len(licensed) == 40


def test_the_least_answer_holds_only_what_changed(graph):
    link = begin(graph)
    graph("PATCH", f"/users/{graph.user(1)}", {"department": "Theatre"})
    assert walk(graph, link, Prefer="return=minimal")[0] == [{"department": "Theatre", "id": graph.user(1)}]


def test_named_objects_only(graph):
    wanted = [graph.user(5), graph.user(7)]
    path = "/users/delta?$select=displayName&$filter=" + " or ".join(f"id eq '{key}'" for key in wanted)
    told, last = walk(graph, path)
    assert [user["id"] for user in told] == wanted
    for number in (5, 6):
        graph("PATCH", f"/users/{graph.user(number)}", {"displayName": "Changed"})
    assert walk(graph, last["@odata.deltaLink"])[0] == [{"displayName": "Changed", "id": graph.user(5)}]


def test_what_changes_during_a_round_is_not_lost(graph):
    first = graph("GET", "/users/delta?$select=department").json
    graph("PATCH", f"/users/{graph.user(1)}", {"department": "Theatre"})  # told already on the first page
    _, last = walk(graph, first["@odata.nextLink"])
    assert walk(graph, last["@odata.deltaLink"])[0] == [{"department": "Theatre", "id": graph.user(1)}]


def test_while_replicas_lag_changes_are_replayed_until_all_know(graph, tenant, clock):
    tenant.replication.window_s = 10
    link = begin(graph, "/users/delta?$select=department")
    graph("PATCH", f"/users/{graph.user(1)}", {"department": "Theatre"})
    seen = []
    for _ in range(8):
        clock.at += 2
        told, last = walk(graph, link)
        link = last["@odata.deltaLink"]
        seen.append([user["department"] for user in told])
    assert seen[0] != []
    assert len(seen[3]) == 1  # told again and again within the ten seconds
    assert seen[-1] == []
    assert "Theatre" in [value for told in seen for value in told]


# -- tokens --


def test_a_token_lives_seven_days(graph, clock):
    link = begin(graph)
    clock.at += 7 * DAY - 1
    assert graph("GET", link).status == 200
    clock.at += 2
    gone = graph("GET", link)
    assert (gone.status, gone.code) == (410, "syncStateNotFound")
    assert gone.headers["Location"].endswith("/v1.0/users/delta?$deltatoken=")
    assert len(walk(graph, gone.headers["Location"])[0]) == 122


def test_a_token_of_another_life_begins_anew(graph, clock):
    graph("PATCH", f"/users/{graph.user(1)}", {"department": "Theatre"})
    link = begin(graph)
    graph.tenant = SimulatedTenant(clock, seed=graph.tenant.seed, throttling=False, replication_s=0)
    gone = graph("GET", link)
    assert (gone.status, gone.code) == (410, "resyncRequired")


def test_the_state_file_remembers_what_changed(graph, clock, tmp_path):
    def reopen():
        return SimulatedTenant.open(tmp_path / "tenant", clock, seed=Seed(users=20), throttling=False, replication_s=0)

    graph.tenant = reopen()
    group = graph.group("Pool")
    users, groups = begin(graph, "/users/delta?$select=displayName"), begin(graph, "/groups/delta?$select=members")
    graph("DELETE", f"/users/{graph.user(2)}")
    graph("POST", f"/groups/{group}/members/$ref", {"@odata.id": graph.link(graph.user(1))})
    before = walk(graph, users)[0], walk(graph, groups)[0]
    assert len(before[0]) == len(before[1]) == 1
    graph.tenant.close()
    graph.tenant = reopen()
    assert (walk(graph, users)[0], walk(graph, groups)[0]) == before
    graph.tenant.close()


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/users/delta?$deltatoken=nonsense", 400, "Request_BadRequest"),
        ("/users/delta?$skiptoken=bm9uc2Vuc2U", 400, "Request_BadRequest"),
        ("/users/delta?$filter=department eq 'Theatre'", 400, "Request_UnsupportedQuery"),
        ("/users/delta?$filter=startswith(id,'0')", 400, "Request_UnsupportedQuery"),
        ("/users/delta?$select=nonsense", 400, "BadRequest"),
        ("/users/delta?$select=signInActivity", 501, "NotModelled"),
        ("/users/delta?$select=memberOf", 501, "NotModelled"),
    ],
)
def test_what_cannot_be_followed_is_refused(graph, path, status, code):
    told = graph("GET", path)
    assert (told.status, told.code) == (status, code)


def test_a_link_is_for_its_own_kind_and_its_own_options(graph):
    link = begin(graph)
    assert graph("GET", link.replace("/users/", "/groups/")).status == 400
    page = graph("GET", "/users/delta").json["@odata.nextLink"]
    assert graph("GET", f"{page}&$select=id").status == 400


def test_options_that_are_not_supported_are_ignored(graph):
    told = graph("GET", "/users/delta?$top=1&$expand=manager&$orderby=displayName")
    assert (told.status, len(told.json["value"])) == (200, 100)


@pytest.mark.parametrize("spelling", ["delta()", "microsoft.graph.delta", "microsoft.graph.delta()"])
def test_the_function_has_several_spellings(graph, spelling):
    assert "/users/delta?$skiptoken=" in graph("GET", f"/users/{spelling}").json["@odata.nextLink"]


def test_a_million_are_walked_page_by_page(clock, looks):
    tenant = SimulatedTenant(clock, seed=Seed(organisations=300, users=1_200_000), throttling=False)
    link, told = "https://graph.microsoft.com/v1.0/users/delta?$select=displayName", 0
    for _ in range(50):
        answer = tenant.handle("GET", link, {"Authorization": "Bearer x"})
        assert answer.status == 200
        told += len(json.loads(answer.body)["value"])
        link = answer.body.decode().split('"@odata.nextLink":"')[1].split('"')[0]
    assert told > 1000
    assert len(looks) <= 3 * told
