"""Teams: api-reference/v1.0/api/team-post.md, team-put-teams.md, channel-post.md."""

from __future__ import annotations

import pytest


def owned_group(graph, name="Ward"):
    return graph.unified(name, **{"owners@odata.bind": [graph.link(graph.user(1))]})


@pytest.fixture
def team(graph):
    group = owned_group(graph)
    graph.clock.at += 60
    assert graph("PUT", f"/groups/{group}/team", {}).status == 201
    graph.clock.at += 5
    return group


def test_a_young_group_is_not_found_when_a_team_is_asked_for(graph):
    group = owned_group(graph)
    assert graph("PUT", f"/groups/{group}/team", {}).status == 404
    graph.clock.at += 20
    assert graph("PUT", f"/groups/{group}/team", {}).status == 201
    assert graph("PUT", f"/groups/{group}/team", {}).status == 409
    graph.clock.at += 5
    assert graph("GET", f"/groups/{group}").json["resourceProvisioningOptions"] == ["Team"]


def test_a_team_needs_an_owner_and_a_microsoft_365_group(graph):
    lonely, security = graph.unified("Lonely"), graph.group("Secure")
    graph.clock.at += 60
    assert "owner" in graph("PUT", f"/groups/{lonely}/team", {}).message
    assert graph("PUT", f"/groups/{security}/team", {}).status == 400


def test_a_new_team_has_a_general_channel(graph, team):
    channels = graph("GET", f"/teams/{team}/channels").json["value"]
    assert [channel["displayName"] for channel in channels] == ["General"]
    assert graph("GET", f"/teams/{team}/primaryChannel").json["id"] == channels[0]["id"]


@pytest.mark.parametrize(
    "name", ["general", "", "a/b", "a#b", "_a", ".a", "a.", "a..b", "x" * 51, "what?", "it's", 'say "x"', "a,b"]
)
def test_a_channel_name_that_breaks_a_rule_is_refused(graph, team, name):
    """MicrosoftDocs/OfficeDocs-SkypeForBusiness Teams/limits-specifications-teams.md"""
    assert graph("POST", f"/teams/{team}/channels", {"displayName": name}).status == 400


def test_a_channel_is_made_once(graph, team):
    assert graph("POST", f"/teams/{team}/channels", {"displayName": "Handover"}).status == 201
    again = graph("POST", f"/teams/{team}/channels", {"displayName": "handover"})
    assert (again.status, "already existed" in again.message) == (400, True)


def test_settings_are_merged_and_names_live_on_the_group(graph, team):
    body = {"displayName": "Renamed", "visibility": "private", "memberSettings": {"allowDeleteChannels": False}}
    assert graph("PATCH", f"/teams/{team}", body).status == 204
    found = graph("GET", f"/teams/{team}").json
    assert (found["displayName"], found["visibility"]) == ("Renamed", "private")
    assert found["memberSettings"]["allowDeleteChannels"] is False
    assert found["memberSettings"]["allowAddRemoveApps"] is True
    assert graph("GET", f"/groups/{team}").json["visibility"] == "Private"
    assert graph("PATCH", f"/teams/{team}", {"visibility": "sideways"}).status == 400


def test_a_team_made_outright_comes_later_but_its_id_is_known_at_once(graph):
    member = {"@odata.type": "#microsoft.graph.aadUserConversationMember", "roles": ["owner"],
              "user@odata.bind": f"https://graph.microsoft.com/v1.0/users('{graph.user(1)}')"}  # fmt: skip
    body = {"template@odata.bind": "https://graph.microsoft.com/v1.0/teamsTemplates('standard')",
            "displayName": "Outright", "members": [member]}  # fmt: skip
    accepted = graph("POST", "/teams", body)
    assert (accepted.status, accepted.json) == (202, "")
    where, operation = accepted.headers["Content-Location"], accepted.headers["Location"]
    assert operation.startswith(where + "/operations('")
    assert graph("GET", operation).json["status"] == "inProgress"
    assert graph("GET", where).status == 404
    graph.clock.at += 20
    assert graph("GET", operation).json["status"] == "succeeded"
    assert graph("GET", where).json["displayName"] == "Outright"


@pytest.mark.parametrize(
    "body",
    [
        {"displayName": "No template"},
        {"displayName": "No owner", "template@odata.bind": "https://x/v1.0/teamsTemplates('standard')"},
        {"displayName": "Odd", "template@odata.bind": "https://x/v1.0/teamsTemplates('imaginary')"},
    ],
)
def test_a_team_that_breaks_a_rule_is_refused(graph, body):
    assert graph("POST", "/teams", body).status == 400


def test_members_have_membership_ids_of_their_own(graph, team):
    added = graph("POST", f"/teams/{team}/members", {
        "@odata.type": "#microsoft.graph.aadUserConversationMember", "roles": [],
        "user@odata.bind": f"https://graph.microsoft.com/v1.0/users('{graph.user(2)}')"})  # fmt: skip
    assert added.status == 201
    found = graph("GET", f"/teams/{team}/members").json["value"]
    assert {(m["userId"], tuple(m["roles"])) for m in found} == {(graph.user(1), ("owner",)), (graph.user(2), ())}
    assert graph("DELETE", f"/teams/{team}/members/{graph.user(2)}").status == 404
    assert graph("DELETE", f"/teams/{team}/members/{added.json['id']}").status == 204
    owner = next(m["id"] for m in found if m["roles"])
    assert "last owner" in graph("DELETE", f"/teams/{team}/members/{owner}").message
