"""Channels and their people: api-reference/v1.0/api/channel-*.md; Teams/limits-specifications-teams.md."""

from __future__ import annotations

import pytest
from teaming import channel_names, done, made_team, member, people

ALL_MEMBERS = {"Prefer": "include-unknown-enum-members"}


@pytest.fixture
def team(graph):
    made = made_team(graph)
    for number in (2, 3):
        graph("POST", f"/teams/{made}/members", member(graph.user(number)))
    return made


def create(graph, team, name="Handover", kind="standard", *members, **more):
    body = {"displayName": name, "membershipType": kind, **more}
    return graph("POST", f"/teams/{team}/channels", {**body, "members": list(members)} if members else body)


def private(graph, team, name="Board"):
    made = create(graph, team, name, "private", member(graph.user(1), "owner"))
    assert made.status == 201, made.json
    return f"/teams/{team}/channels/{made.json['id']}"


def test_a_new_team_has_a_general_channel(graph, team):
    channels = graph("GET", f"/teams/{team}/channels").json["value"]
    assert [channel["displayName"] for channel in channels] == ["General"]
    assert graph("GET", f"/teams/{team}/primaryChannel").json["id"] == channels[0]["id"]
    where = f"/teams/{team}/channels/{channels[0]['id']}"
    assert graph("PATCH", where, {"displayName": "Specific"}).status == 400
    assert graph("DELETE", where).status == 400


@pytest.mark.parametrize(
    "name",
    ["general", "", "a/b", "a#b", "_a", ".a", "a.", "a..b", "x" * 51, "what?", "it's", 'say "x"', "a,b", "a\tb", "CON",
     "com7", "forms", "desktop.ini", "a_vti_b"],
)  # fmt: skip
def test_a_channel_name_that_breaks_a_rule_is_refused(graph, team, name):
    assert create(graph, team, name).status == 400


@pytest.mark.parametrize("name", ["Formsheet", "Console", "a.b", "Bau & Co".replace("&", "und"), "x" * 50, "Ärzte 🏥"])
def test_a_name_that_merely_looks_like_one_is_fine(graph, team, name):
    assert create(graph, team, name).status == 201


def test_a_channel_is_made_once_and_its_name_is_kept_for_30_days(graph, team):
    made = create(graph, team)
    assert made.status == 201
    again = create(graph, team, "handover")
    assert (again.status, "already existed" in again.message) == (400, True)
    assert graph("DELETE", f"/teams/{team}/channels/{made.json['id']}").status == 204
    assert channel_names(graph, team) == ["General"]
    assert create(graph, team).status == 400
    graph.clock.at += 30 * 86_400
    assert create(graph, team).status == 201


def test_a_channel_is_renamed_to_what_is_free(graph, team):
    create(graph, team, "Rota")
    where = f"/teams/{team}/channels/{create(graph, team).json['id']}"
    assert graph("PATCH", where, {"displayName": "rota"}).status == 400
    assert graph("PATCH", where, {"membershipType": "private"}).status == 400
    assert graph("PATCH", where, {"email": "x@contoso.example"}).status == 400
    assert graph("PATCH", where, {"displayName": "HANDOVER", "description": "At eight"}).status == 204
    assert graph("GET", where).json["description"] == "At eight"


def test_deleted_channels_count_until_they_cannot_be_restored(graph, team):
    keys = [private(graph, team, f"Board {number}") for number in range(30)]
    told = create(graph, team, "One more", "private", member(graph.user(1), "owner"))
    assert (told.status, told.message) == (403, "This team has exceeded the Max allowed channels")
    graph("DELETE", keys[0])
    assert create(graph, team, "One more", "private", member(graph.user(1), "owner")).status == 403
    assert create(graph, team, "One more").status == 201
    graph.clock.at += 30 * 86_400
    assert create(graph, team, "Another", "private", member(graph.user(1), "owner")).status == 201


@pytest.mark.parametrize(
    ("kind", "members", "status"),
    [
        ("private", [], 400),
        ("private", [member("{2}")], 400),
        ("private", [member("{1}", "owner"), member("{1}")], 400),
        ("private", [member("{9}", "owner")], 404),
        ("private", [{"roles": ["owner"]}], 400),
        ("shared", [member("{1}", "owner"), member("{2}", "owner")], 400),
        ("secret", [member("{1}", "owner")], 400),
        ("private", [member("{1}", "owner"), member("{2}")], 201),
        ("shared", [member("{1}", "owner"), member("{9}")], 202),
    ],
)
def test_a_channel_of_its_own_people_needs_an_owner_among_them(graph, team, kind, members, status):
    filled = [{name: _filled(graph, value) for name, value in each.items()} for each in members]
    assert create(graph, team, "Board", kind, *filled).status == status


def _filled(graph, value):
    for number in (1, 2, 9):
        value = value.replace(f"{{{number}}}", graph.user(number)) if isinstance(value, str) else value
    return value


def test_a_shared_channel_comes_later(graph, team):
    accepted = create(graph, team, "Region", "shared", member(graph.user(1), "owner"))
    assert channel_names(graph, team) == ["General"]
    operation = done(graph, accepted)
    assert (operation["status"], operation["operationType"]) == ("succeeded", "unknownFutureValue")
    where = operation["targetResourceLocation"]
    assert graph("GET", where).json["membershipType"] == "unknownFutureValue"
    assert graph("GET", where, **ALL_MEMBERS).json["membershipType"] == "shared"
    every = graph("GET", f"/teams/{team}/allChannels", **ALL_MEMBERS).json["value"]
    assert [each["membershipType"] for each in every] == ["standard", "shared"]
    assert every[1]["@odata.id"].endswith(f"/teams/{team}/channels/{operation['targetResourceId']}")
    assert graph("GET", f"/teams/{team}/incomingChannels").json["value"] == []


def test_channels_are_found_by_their_kind(graph, team):
    private(graph, team)
    told = graph("GET", f"/teams/{team}/channels?$filter=membershipType%20eq%20'private'&$select=displayName")
    assert told.json["value"] == [{"displayName": "Board"}]


# -- people ------------------------------------------------------------------------------------------------------


def test_a_standard_channel_has_the_people_of_its_team(graph, team):
    where = f"/teams/{team}/channels/{create(graph, team).json['id']}"
    assert people(graph, where).keys() == people(graph, f"/teams/{team}").keys()
    assert graph("POST", f"{where}/members", member(graph.user(9))).status == 400


def test_a_private_channel_has_people_of_its_own(graph, team):
    where = private(graph, team)
    assert people(graph, where).keys() == {graph.user(1)}
    added = graph("POST", f"{where}/members", member(graph.user(2)))
    assert (added.status, added.json["roles"]) == (201, [])
    key = f"{where}/members/{added.json['id']}"
    body = {"@odata.type": "#microsoft.graph.aadUserConversationMember", "roles": ["owner"]}
    assert graph("PATCH", key, body).json["roles"] == ["owner"]
    assert graph("PATCH", key, {**body, "roles": []}).json["roles"] == []
    assert graph("GET", key).json["userId"] == graph.user(2)
    assert graph("GET", f"{where}/allMembers").json["value"] == list(people(graph, where).values())
    assert graph("DELETE", key).status == 204
    assert graph("GET", key).status == 404


def test_a_private_channel_is_for_people_of_its_team(graph, team):
    """microsoftgraph/microsoft-graph-docs#18669"""
    where = private(graph, team)
    told = graph("POST", f"{where}/members", member(graph.user(9)))
    assert told.message == "User is not found in the team."
    graph("POST", f"{where}/members", member(graph.user(2)))
    in_team = people(graph, f"/teams/{team}")[graph.user(2)]["id"]
    graph("DELETE", f"/teams/{team}/members/{in_team}")
    assert people(graph, where).keys() == {graph.user(1)}


def test_a_channel_keeps_its_last_owner(graph, team):
    where = private(graph, team)
    key = f"{where}/members/{people(graph, where)[graph.user(1)]['id']}"
    assert "last owner" in graph("DELETE", key).message
    assert "last owner" in graph("PATCH", key, {"roles": []}).message


def test_membership_ids_of_one_channel_are_nobody_in_another(graph, team):
    one, two = private(graph, team), private(graph, team, "Other")
    key = people(graph, one)[graph.user(1)]["id"]
    assert graph("GET", f"{two}/members/{key}").status == 404
    assert graph("GET", f"{two}/members/nonsense").status == 404


def test_files_are_not_modelled(graph, team):
    general = graph("GET", f"/teams/{team}/primaryChannel").json["id"]
    assert graph("GET", f"/teams/{team}/channels/{general}/filesFolder").status == 501
