"""What Teams does after it has answered: archiving, cloning. api-reference/v1.0/api/team-archive.md, team-clone.md."""

from __future__ import annotations

import pytest
from teaming import channel_names, done, made_team, member, roles

ALL_MEMBERS = {"Prefer": "include-unknown-enum-members"}


@pytest.fixture
def team(graph):
    return made_team(graph)


def archived(graph, team):
    assert done(graph, graph("POST", f"/teams/{team}/archive", {}))["status"] == "succeeded"
    return team


def channel(graph, team, name="Handover"):
    return f"/teams/{team}/channels/{graph('POST', f'/teams/{team}/channels', {'displayName': name}).json['id']}"


def test_archiving_is_accepted_now_and_done_later(graph, team):
    accepted = graph("POST", f"/teams/{team}/archive", {"shouldSetSpoSiteReadOnlyForMembers": True})
    assert accepted.status == 202
    assert graph("GET", f"/teams/{team}").json["isArchived"] is False
    operation = done(graph, accepted)
    assert (operation["operationType"], operation["targetResourceId"]) == ("archiveTeam", team)
    assert graph("GET", f"/teams/{team}").json["isArchived"] is True
    assert graph("GET", f"/teams/{team}/primaryChannel").json["isArchived"] is True
    assert done(graph, graph("POST", f"/teams/{team}/unarchive"))["operationType"] == "unarchiveTeam"
    assert graph("GET", f"/teams/{team}").json["isArchived"] is False


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "", {"displayName": "New"}),
        ("PATCH", "", {"memberSettings": {"allowDeleteChannels": False}}),
        ("POST", "/channels", {"displayName": "New"}),
        ("PATCH", "/channels/{channel}", {"description": "New"}),
        ("DELETE", "/channels/{channel}", None),
        ("POST", "/channels/{channel}/archive", {}),
        ("POST", "/channels/{channel}/unarchive", {}),
    ],
)
def test_an_archived_team_is_not_changed(graph, team, method, path, body):
    key = channel(graph, team).rpartition("/")[2]
    archived(graph, team)
    told = graph(method, f"/teams/{team}{path}".replace("{channel}", key), body)
    assert (told.status, told.code) == (400, "BadRequest")
    assert "Team has to be active" in told.message


def test_members_of_an_archived_team_come_and_go(graph, team):
    """api-reference/v1.0/api/team-archive.md: "Membership changes to the team continue to be allowed." """
    archived(graph, team)
    added = graph("POST", f"/teams/{team}/members", member(graph.user(2)))
    assert added.status == 201
    assert graph("DELETE", f"/teams/{team}/members/{added.json['id']}").status == 204


@pytest.mark.parametrize("body", [{"unknown": 1}, {"shouldSetSpoSiteReadOnlyForMembers": "yes"}, [1]])
def test_archiving_takes_one_option(graph, team, body):
    assert graph("POST", f"/teams/{team}/archive", body).status == 400


def test_a_team_without_an_owner_is_not_archived(graph, team):
    graph("DELETE", f"/users/{graph.user(1)}")
    assert "owner" in graph("POST", f"/teams/{team}/archive").message


def test_a_channel_is_archived_by_itself(graph, team):
    where = channel(graph, team)
    assert done(graph, graph("POST", f"{where}/archive"))["operationType"] == "unknownFutureValue"
    assert graph("GET", where).json["isArchived"] is True
    assert graph("PATCH", where, {"description": "New"}).status == 400
    accepted = graph("POST", f"{where}/unarchive")
    graph.clock.at += 20
    operation = graph("GET", accepted.headers["Location"], **ALL_MEMBERS).json
    assert operation["operationType"] == "unarchiveChannel"
    assert graph("PATCH", where, {"description": "New"}).status == 204
    general = graph("GET", f"/teams/{team}/primaryChannel").json["id"]
    assert graph("POST", f"/teams/{team}/channels/{general}/archive").status == 400


def clone(graph, team, parts, **more):
    body = {"displayName": "Copy", "mailNickname": "copy", "partsToClone": parts, **more}
    return graph("POST", f"/teams/{team}/clone", body)


def test_a_clone_has_the_parts_that_were_asked_for(graph, team):
    channel(graph, team)
    graph("POST", f"/teams/{team}/members", member(graph.user(2)))
    graph("PATCH", f"/teams/{team}", {"memberSettings": {"allowDeleteChannels": False}, "visibility": "private"})
    accepted = clone(graph, team, "apps,tabs,settings,channels,members")
    assert graph("GET", accepted.headers["Location"]).json["targetResourceId"] is None
    copy = done(graph, accepted)["targetResourceId"]
    assert copy not in (None, team)
    found = graph("GET", f"/teams/{copy}").json
    assert (found["displayName"], found["description"], found["visibility"]) == ("Copy", "Copy", "private")
    assert found["memberSettings"]["allowDeleteChannels"] is False
    assert channel_names(graph, copy) == ["General", "Handover"]
    assert roles(graph, copy) == roles(graph, team)
    assert graph("GET", f"/groups/{copy}").json["mailNickname"] != "copy", "mailNickname is ignored"


def test_a_clone_of_settings_alone_is_empty(graph, team):
    channel(graph, team)
    copy = done(graph, clone(graph, team, "settings", visibility="Public"))["targetResourceId"]
    assert channel_names(graph, copy) == ["General"]
    assert roles(graph, copy) == {}
    assert graph("GET", f"/teams/{copy}").json["visibility"] == "public"


@pytest.mark.parametrize(
    ("parts", "more"),
    [("", {}), ("everything", {}), ("apps", {"displayName": ""}), ("apps", {"visibility": "odd"}), ("apps", {"x": 1})],
)
def test_a_clone_that_makes_no_sense_is_refused(graph, team, parts, more):
    assert clone(graph, team, parts, **more).status == 400


def test_operations_outlive_the_process(graph, clock, tmp_path):
    from graphkit.sandbox import Seed, SimulatedTenant

    file = tmp_path / "kept.sqlite"
    graph.tenant = SimulatedTenant.open(file, clock, seed=Seed(organisations=1, users=60), throttling=False)
    team = made_team(graph)
    accepted = graph("POST", f"/teams/{team}/archive")
    graph("POST", f"/groups/{team}/members/$ref", {"@odata.id": graph.link(graph.user(2))})
    graph.tenant.close()
    graph.tenant = SimulatedTenant.open(file, clock, throttling=False)
    assert done(graph, accepted)["status"] == "succeeded"
    graph.clock.at += 60
    assert roles(graph, team) == {graph.user(1): ["owner"], graph.user(2): []}
    graph.tenant.close()


def test_an_operation_belongs_to_its_team(graph, team):
    accepted = graph("POST", f"/teams/{team}/archive")
    other = made_team(graph, "Clinic")
    assert graph("GET", accepted.headers["Location"].replace(team, other)).status == 404
