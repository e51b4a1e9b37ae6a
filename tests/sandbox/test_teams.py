"""Teams: api-reference/v1.0/api/team-post.md, team-put-teams.md, team-get.md, team-update.md, teams-list.md."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from teaming import STANDARD, channel_names, made_team, member, owned_group, roles

from graphkit.sandbox import Seed, SimulatedTenant


@pytest.fixture
def team(graph):
    return made_team(graph)


def outright(graph, name="Outright", **more):
    body = {"template@odata.bind": STANDARD, "displayName": name, "members": [member(graph.user(1), "owner")], **more}
    return graph("POST", "/teams", body)


# -- from a group ------------------------------------------------------------------------------------------------


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


def test_an_owner_must_be_allowed_to_use_teams(graph, clock):
    """microsoftgraph/msgraph-sdk-powershell#2811, #3035"""
    unlicensed = graph.user(60)
    group = graph.unified("Ward", **{"owners@odata.bind": [graph.link(unlicensed)]})
    graph.clock.at += 60
    told = graph("PUT", f"/groups/{group}/team", {})
    assert (told.status, told.code) == (403, "Forbidden")
    assert told.json["error"]["innerError"]["code"] == "GetApplicableSkuCategoriesForUserFailed"
    body = {"template@odata.bind": STANDARD, "displayName": "Ward", "members": [member(unlicensed, "owner")]}
    assert graph("POST", "/teams", body).status == 403
    graph.tenant = SimulatedTenant(clock, seed=Seed(organisations=1, users=60, licensed=0, teams_for_all=True))
    body["members"] = [member(graph.user(1), "owner")]
    assert graph("POST", "/teams", body).status == 202


def test_errors_are_shaped_as_teams_shapes_them(graph):
    told = graph("GET", "/teams/11111111-1111-1111-1111-111111111111").json["error"]
    assert told["code"] == "NotFound"
    assert told["innerError"]["message"] == told["message"]
    assert told["innerError"]["request-id"]
    assert "valid GUID" in graph("GET", "/teams/ward").message


# -- outright ----------------------------------------------------------------------------------------------------


def test_a_team_made_outright_comes_later_but_its_id_is_known_at_once(graph):
    accepted = outright(graph)
    assert (accepted.status, accepted.json) == (202, "")
    where, operation = accepted.headers["Content-Location"], accepted.headers["Location"]
    assert operation.startswith(where + "/operations('")
    assert graph("GET", operation).json["status"] == "notStarted"
    graph.clock.at += 3
    assert graph("GET", operation).json["status"] == "inProgress"
    assert graph("GET", where).status == 404
    graph.clock.at += 17
    done = graph("GET", operation).json
    assert (done["status"], done["operationType"]) == ("succeeded", "createTeam")
    assert where == done["targetResourceLocation"] == f"/teams('{done['targetResourceId']}')"
    assert graph("GET", where).json["displayName"] == "Outright"
    assert roles(graph, done["targetResourceId"]) == {graph.user(1): ["owner"]}


def test_a_repeated_request_makes_another_team(graph):
    first, second = outright(graph), outright(graph)
    assert first.headers["Content-Location"] != second.headers["Content-Location"]


def test_a_team_is_born_with_channels_people_and_settings(graph):
    made = outright(
        graph,
        visibility="Private",
        firstChannelName="Nurses",
        channels=[{"displayName": "Handover", "isFavoriteByDefault": True}, {"displayName": "Rota"}],
        members=[member(graph.user(1), "owner"), member(graph.user(30))],
        funSettings={"giphyContentRating": "Strict"},
    )
    assert made.status == 202, made.json
    graph.clock.at += 20
    where = made.headers["Content-Location"]
    found = graph("GET", where).json
    assert (found["visibility"], found["funSettings"]["giphyContentRating"]) == ("private", "strict")
    assert found["funSettings"]["allowGiphy"] is True
    assert channel_names(graph, found["id"]) == ["Nurses", "Handover", "Rota"]
    assert roles(graph, found["id"]) == {graph.user(1): ["owner"], graph.user(30): []}


def test_a_template_brings_its_channels(graph):
    template = "https://graph.microsoft.com/v1.0/teamsTemplates('com.microsoft.teams.template.OnboardEmployees')"
    made = outright(graph, **{"template@odata.bind": template})
    graph.clock.at += 20
    team = graph("GET", made.headers["Content-Location"]).json["id"]
    assert channel_names(graph, team) == ["General", "Announcements", "Employee chat", "Training"]
    listed = graph("GET", "/teamwork/teamTemplates?$expand=definitions", version="beta").json["value"]
    assert "com.microsoft.teams.template.OnboardEmployees" in {each["id"] for each in listed}
    assert graph("GET", "/teamwork/teamTemplates").status == 400


def test_an_operation_fails_when_its_group_has_gone(graph):
    group = owned_group(graph)
    graph.clock.at += 60
    body = {"template@odata.bind": STANDARD, "group@odata.bind": f"https://graph.microsoft.com/v1.0/groups('{group}')"}
    accepted = graph("POST", "/teams", body)
    assert accepted.status == 202
    graph("DELETE", f"/groups/{group}")
    graph.clock.at += 20
    done = graph("GET", accepted.headers["Location"]).json
    assert (done["status"], done["error"]["code"]) == ("failed", "NotFound")


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"template@odata.bind": None}, 400),
        ({"template@odata.bind": "https://x/v1.0/teamsTemplates('imaginary')"}, 400),
        ({"displayName": ""}, 400),
        ({"members": []}, 400),
        ({"members": [{"roles": ["owner"]}]}, 400),
        ({"members": [member("11111111-1111-1111-1111-111111111111", "owner")]}, 404),
        ({"channels": [{"displayName": "a/b"}]}, 400),
        ({"channels": [{}]}, 400),
        ({"visibility": "sideways"}, 400),
        ({"isArchived": True}, 400),
        ({"unknown": 1}, 400),
        ({"group@odata.bind": "https://x/v1.0/groups('1')"}, 400),
    ],
)
def test_a_team_that_breaks_a_rule_is_refused(graph, more, status):
    assert outright(graph, **more).status == status


# -- reading and changing ----------------------------------------------------------------------------------------


def test_teams_are_found_in_three_ways(graph, team):
    other = made_team(graph, "Clinic")
    listed = graph("GET", "/teams?$count=true").json
    assert [each["id"] for each in listed["value"]] == [team, other]
    assert listed["@odata.count"] == 2
    named = graph("GET", f"/teams?$filter={quote('''displayName eq 'Clinic' ''')}&$select=id").json["value"]
    assert named == [{"id": other}]
    only = {"id", "displayName", "description", "@odata.context"}
    assert listed["value"][0].keys() <= only, "the list keeps the rest to itself"
    provisioned = quote("resourceProvisioningOptions/Any(x:x eq 'Team')")
    assert [g["id"] for g in graph("GET", f"/groups?$filter={provisioned}&$select=id").json["value"]] == [team, other]


def test_a_user_has_joined_what_they_are_in(graph, team):
    assert [t["id"] for t in graph("GET", f"/users/{graph.user(1)}/joinedTeams").json["value"]] == [team]
    assert graph("GET", f"/users/{graph.user(2)}/joinedTeams").json["value"] == []


def test_a_team_is_read_with_its_channels_and_members(graph, team):
    found = graph("GET", f"/teams/{team}?$expand=channels,members").json
    assert [channel["displayName"] for channel in found["channels"]] == ["General"]
    assert [person["userId"] for person in found["members"]] == [graph.user(1)]
    assert not any(name.startswith("_") for channel in found["channels"] for name in channel)
    summary = graph("GET", f"/teams/{team}?$select=summary").json["summary"]
    assert summary == {"ownersCount": 1, "membersCount": 0, "guestsCount": 0}


def test_a_group_names_its_team_and_what_is_below_it(graph, team):
    assert graph("GET", f"/groups/{team}/team").json["id"] == team
    below = graph("GET", f"/groups/{team}/team/channels").json["value"]
    assert below == graph("GET", f"/teams/{team}/channels").json["value"]


def test_settings_are_merged_and_names_live_on_the_group(graph, team):
    body = {"displayName": "Renamed", "visibility": "private", "memberSettings": {"allowDeleteChannels": False}}
    assert graph("PATCH", f"/teams/{team}", body).status == 204
    found = graph("GET", f"/teams/{team}").json
    assert (found["displayName"], found["visibility"]) == ("Renamed", "private")
    assert found["memberSettings"]["allowDeleteChannels"] is False
    assert found["memberSettings"]["allowAddRemoveApps"] is True
    assert graph("GET", f"/groups/{team}").json["visibility"] == "Private"
    assert graph("PATCH", f"/groups/{team}", {"displayName": "Again"}).status == 204
    assert graph("GET", f"/teams/{team}").json["displayName"] == "Again"


@pytest.mark.parametrize(
    "body",
    [
        {"visibility": "sideways"},
        {"isArchived": True},
        {"funSettings": {"giphyContentRating": "wild"}},
        {"memberSettings": {"allowAll": True}},
        {"discoverySettings": {"showInTeamsSearchAndSuggestions": False}},
    ],
)
def test_a_setting_that_is_none_is_refused(graph, team, body):
    assert graph("PATCH", f"/teams/{team}", body).status == 400


def test_some_settings_are_betas_own(graph, team):
    body = {"discoverySettings": {"showInTeamsSearchAndSuggestions": False}}
    assert graph("PATCH", f"/teams/{team}", body, version="beta").status == 204
    assert graph("GET", f"/teams/{team}", version="beta").json["discoverySettings"] == body["discoverySettings"]
    assert "discoverySettings" not in graph("GET", f"/teams/{team}").json


def test_a_team_goes_with_its_group(graph, team):
    graph("DELETE", f"/groups/{team}")
    assert graph("GET", f"/teams/{team}").status == 404
    assert graph("GET", "/teams").json["value"] == []
    assert graph("GET", f"/users/{graph.user(1)}/joinedTeams").json["value"] == []
    assert [each["id"] for each in graph("GET", "/teamwork/deletedTeams").json["value"]] == [team]


def test_a_team_comes_back_with_its_group(graph, team):
    graph("POST", f"/teams/{team}/channels", {"displayName": "Handover"})
    group = graph.tenant.state.get("groups", team)
    graph("DELETE", f"/groups/{team}")
    graph.clock.at += 120
    graph("GET", "/teams")
    state = graph.tenant.state  # as restoring a deleted group leaves it
    state.put("groups", group)
    for relation in ("members", "owners"):
        state.link(relation, team, graph.user(1))
    graph.clock.at += 120
    assert channel_names(graph, team) == ["General", "Handover"]
    assert roles(graph, team) == {graph.user(1): ["owner"]}
