"""Members of teams: v1.0/api/team-*-members.md, conversationmembers-add.md, conversationmember-remove.md."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from teaming import made_team, member, people, roles

NOBODY = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def team(graph):
    return made_team(graph)


def add(graph, team, user, *given):
    return graph("POST", f"/teams/{team}/members", member(user, *given))


def in_group(graph, team, relation="members"):
    return {each["id"] for each in graph("GET", f"/groups/{team}/{relation}?$select=id").json["value"]}


def membership(graph, team, user):
    return people(graph, f"/teams/{team}")[user]["id"]


# -- one by one --------------------------------------------------------------------------------------------------


def test_members_have_membership_ids_of_their_own(graph, team):
    added = add(graph, team, graph.user(2))
    assert added.status == 201
    assert roles(graph, team) == {graph.user(1): ["owner"], graph.user(2): []}
    assert graph("DELETE", f"/teams/{team}/members/{graph.user(2)}").status == 404
    assert graph("GET", f"/teams/{team}/members/{added.json['id']}").json["userId"] == graph.user(2)
    assert graph("DELETE", f"/teams/{team}/members/{added.json['id']}").status == 204
    assert graph("GET", f"/teams/{team}/members/{added.json['id']}").status == 404


def test_a_member_can_be_named_by_user_principal_name(graph, team):
    added = add(graph, team, "rx1-0002@contoso.example")
    assert added.json["userId"] == graph.user(2)


def test_adding_twice_is_no_error_and_promotes(graph, team):
    """microsoftgraph/microsoft-graph-docs#9303"""
    first, again = add(graph, team, graph.user(2)), add(graph, team, graph.user(2), "owner")
    assert (again.status, again.json["id"]) == (201, first.json["id"])
    assert roles(graph, team)[graph.user(2)] == ["owner"]
    add(graph, team, graph.user(2))
    assert roles(graph, team)[graph.user(2)] == ["owner"]


def test_a_role_is_changed_and_changed_back(graph, team):
    key = add(graph, team, graph.user(2)).json["id"]
    body = {"@odata.type": "#microsoft.graph.aadUserConversationMember", "roles": ["owner"]}
    told = graph("PATCH", f"/teams/{team}/members/{key}", body)
    assert (told.status, told.json["roles"]) == (200, ["owner"])
    assert graph.user(2) in in_group(graph, team, "owners")
    assert graph("PATCH", f"/teams/{team}/members/{key}", {**body, "roles": []}).json["roles"] == []
    assert graph.user(2) not in in_group(graph, team, "owners")
    assert graph.user(2) in in_group(graph, team)


def test_the_last_owner_stays(graph, team):
    key = membership(graph, team, graph.user(1))
    assert "last owner" in graph("DELETE", f"/teams/{team}/members/{key}").message
    assert "last owner" in graph("PATCH", f"/teams/{team}/members/{key}", {"roles": []}).message
    add(graph, team, graph.user(2), "owner")
    assert graph("DELETE", f"/teams/{team}/members/{key}").status == 204


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({}, 400, "odata.type"),
        (member(NOBODY), 404, NOBODY),
        (member("rx1-0002@contoso.example", "king"), 400, "role"),
        ({**member("rx1-0002@contoso.example"), "unknown": 1}, 400, "unknown"),
    ],
)
def test_a_member_that_is_none_is_refused(graph, team, body, status, text):
    told = graph("POST", f"/teams/{team}/members", body)
    assert (told.status, text in told.message) == (status, True)


def test_a_guest_says_so_and_owns_nothing(graph, team):
    graph("PATCH", f"/users/{graph.user(2)}", {"userType": "Guest"})
    assert add(graph, team, graph.user(2), "owner").status == 400
    assert add(graph, team, graph.user(2)).json["roles"] == ["guest"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(microsoft.graph.aadUserConversationMember/userId eq '{2}')", [2]),
        ("microsoft.graph.aadUserConversationMember/email eq 'rx1-0003@contoso.example'", [3]),
        (
            "(microsoft.graph.aadUserConversationMember/displayName eq 'RX1 Staff 0002' or "
            "microsoft.graph.aadUserConversationMember/email eq 'RX1-0003@contoso.example')",
            [2, 3],
        ),
        ("roles/any(r:r eq 'owner')", [1]),
    ],
)
def test_members_are_found_by_what_they_are(graph, team, text, found):
    for number in (2, 3):
        add(graph, team, graph.user(number))
    told = graph("GET", f"/teams/{team}/members?$filter={quote(text.replace('{2}', graph.user(2)))}").json
    assert [each["userId"] for each in told["value"]] == [graph.user(number) for number in found]
    assert told["@odata.count"] == len(found)
    assert told["@odata.context"].endswith(f"#teams('{team}')/members")


def test_a_rule_leaves_no_room_for_members_of_ones_own(graph, team):
    """microsoftgraph/microsoft-graph-docs#12712"""
    group = graph.tenant.state.get("groups", team)
    graph.tenant.state.put("groups", {**group, "groupTypes": ["Unified", "DynamicMembership"]})
    assert add(graph, team, graph.user(2)).status == 403


# -- in bulk -----------------------------------------------------------------------------------------------------


def values(*entries):
    return {"values": list(entries)}


def outcome(told):
    return {part["userId"]: (part["error"] or {}).get("code") for part in told.json["value"]}


def test_many_are_added_in_one_call(graph, team):
    told = graph("POST", f"/teams/{team}/members/add", values(*(member(graph.user(n)) for n in range(2, 60))))
    assert told.status == 200
    assert set(outcome(told).values()) == {None}
    assert told.json["value"][0]["@odata.type"] == "#microsoft.graph.aadUserConversationMemberResult"
    assert len(roles(graph, team)) == 59
    assert len(in_group(graph, team)) == 58


def test_some_who_are_not_there_do_not_spoil_the_rest(graph, team):
    told = graph("POST", f"/teams/{team}/members/add", values(member(graph.user(2)), member(NOBODY)))
    assert told.status == 207
    assert outcome(told) == {graph.user(2): None, NOBODY: "NotFound"}
    assert graph.user(2) in roles(graph, team)
    told = graph("POST", f"/teams/{team}/members/remove", values(member(graph.user(2)), member(graph.user(9))))
    assert told.status == 207
    assert told.json["value"][1]["error"] == {"code": "NotFound", "message": "Could not find resource"}
    assert graph.user(2) not in roles(graph, team)


def test_many_are_removed_without_a_word_and_the_last_owner_is_not(graph, team):
    for number in (2, 3):
        add(graph, team, graph.user(number))
    told = graph("POST", f"/teams/{team}/members/remove", values(*(member(graph.user(n)) for n in (2, 3))))
    assert (told.status, told.json) == (204, "")
    told = graph("POST", f"/teams/{team}/members/remove", values(member(graph.user(1))))
    assert (told.status, outcome(told)) == (207, {graph.user(1): "BadRequest"})


@pytest.mark.parametrize(
    ("action", "entries", "status"),
    [("add", 201, 400), ("add", 0, 400), ("remove", 21, 400), ("remove", 0, 400), ("add", 200, 207)],
)
def test_a_call_has_room_for_so_many(graph, team, action, entries, status):
    body = values(*[member(NOBODY)] * entries)
    assert graph("POST", f"/teams/{team}/members/{action}", body).status == status


def test_owners_take_a_permission_of_their_own(graph, team):
    """TeamMember.ReadWriteNonOwnerRole.All: "Add and remove members with non-owner role"."""
    signer = graph.tenant.login.signer
    claims = {"iss": signer.issuer, "exp": graph.clock.at + 9999, "idtyp": "app", "appid": "a",
              "roles": ["TeamMember.ReadWriteNonOwnerRole.All", "Team.ReadBasic.All"]}  # fmt: skip
    bearer = {"Authorization": f"Bearer {signer.sign(claims)}"}

    def post(path, body):
        return graph("POST", f"/teams/{team}{path}", body, **bearer)

    assert post("/members", member(graph.user(2))).status == 201
    assert post("/members", member(graph.user(3), "owner")).status == 403
    told = post("/members/add", values(member(graph.user(4)), member(graph.user(5), "owner")))
    assert outcome(told) == {graph.user(4): None, graph.user(5): "Forbidden"}
    assert post("/members/remove", values(member(graph.user(2)))).status == 403


# -- the group and the team --------------------------------------------------------------------------------------


def test_what_changes_in_the_team_is_in_the_group_at_once(graph, team):
    key = add(graph, team, graph.user(2), "owner").json["id"]
    assert graph.user(2) in in_group(graph, team) & in_group(graph, team, "owners")
    graph("DELETE", f"/teams/{team}/members/{key}")
    assert graph.user(2) not in in_group(graph, team) | in_group(graph, team, "owners")


def test_what_changes_in_the_group_reaches_the_team_later(graph, team):
    graph("POST", f"/groups/{team}/members/$ref", {"@odata.id": graph.link(graph.user(2))})
    graph("POST", f"/groups/{team}/owners/$ref", {"@odata.id": graph.link(graph.user(3))})
    graph.clock.at += 59
    assert roles(graph, team) == {graph.user(1): ["owner"]}
    graph.clock.at += 1
    assert roles(graph, team) == {graph.user(1): ["owner"], graph.user(2): [], graph.user(3): ["owner"]}
    graph("DELETE", f"/groups/{team}/members/{graph.user(2)}/$ref")
    graph("DELETE", f"/groups/{team}/owners/{graph.user(3)}/$ref")
    assert len(roles(graph, team)) == 3
    graph.clock.at += 60
    assert roles(graph, team) == {graph.user(1): ["owner"]}


def test_a_team_of_a_group_begins_with_its_people(graph):
    from teaming import owned_group

    group = owned_group(graph)
    graph("POST", f"/groups/{group}/members/$ref", {"@odata.id": graph.link(graph.user(7))})
    graph.clock.at += 60
    graph("PUT", f"/groups/{group}/team", {})
    graph.clock.at += 5
    assert roles(graph, group) == {graph.user(1): ["owner"], graph.user(7): []}


def test_whoever_is_deleted_is_no_member(graph, team):
    add(graph, team, graph.user(2))
    graph("DELETE", f"/users/{graph.user(2)}")
    assert graph.user(2) not in roles(graph, team)
