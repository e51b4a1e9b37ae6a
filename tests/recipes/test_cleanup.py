"""teams.cleanup through the command line, on a simulated tenant kept in a file."""

from __future__ import annotations

import json

import pytest
from office import STARTERS, Office, example, upn

from graphkit.sandbox.seeding.activity import set_last_seen

PROVISION = "team_key,org,display_name,visibility,owners"
OWNERS = f"{upn(1)};{upn(2)}"
LONG_AGO = "2024-01-01T00:00:00Z"


@pytest.fixture
def office(simulated, tenant, tmp_path):
    tenant.seed(organisations=1, users=20, licensed=10)
    return Office(tmp_path, simulated, tenant)


def furnish(office, *, used=3, idle=3, ownerless=2):
    """Teams rx1-used-1 ..., rx1-idle-1 ..., rx1-ownerless-1 ..., all made long ago; the last are in use."""
    keys = [
        f"{kind}-{number}"
        for kind, count in (("used", used), ("idle", idle), ("ownerless", ownerless))
        for number in range(1, count + 1)
    ]
    rows = [f"{key},RX1,{key},Private,{OWNERS}" for key in keys]
    _, code, _ = office.make("teams.provision", office.write("teams.csv", "\n".join([PROVISION, *rows, ""])))
    assert code == 0
    with office.changed() as tenant:
        state = tenant.state
        for key in keys:
            (group,) = state.table("groups").find("uniqueName", f"rx1-{key}")
            state.put("groups", {**group, "createdDateTime": LONG_AGO})
            state.put("teams", {**state.get("teams", group["id"]), "createdDateTime": LONG_AGO})
            set_last_seen(tenant, group["id"], 120 if key.startswith("idle") else 3)
            if key.startswith("ownerless"):
                for relation in ("owners", "teamOwners"):
                    for owner in list(state.linked(relation, group["id"])):
                        state.unlink(relation, group["id"], owner)


def cleanup(office, *, days=90, action="archive", exclude="[]", fallback="rx1-0003@contoso.example"):
    text = f"inactive_days: {days}\naction: {action}\nexclude: {exclude}\nowner_fallback: {fallback}\n"
    return office.write("cleanup.yaml", text)


def archived(office):
    def ask(tenant):
        groups = tenant.state.table("groups").objects
        teams = tenant.state.table("teams").objects.values()
        return sorted(groups[team["id"]]["uniqueName"] for team in teams if team["isArchived"])

    return office.look(ask)


def notes(plan):
    return {each["note"] for each in plan["items"] if each["note"]}


def test_of_three_idle_and_two_ownerless_teams_three_are_archived_and_two_given_an_owner(office):
    furnish(office)
    plan, code, _ = office.make("teams.cleanup", cleanup(office))
    assert (code, plan["kinds"]["team.archived"], plan["kinds"]["team.member"]) == (0, {"update": 3}, {"add": 2})
    assert "8 teams, 3 idle, 2 without an owner" in notes(plan)
    assert archived(office) == ["rx1-idle-1", "rx1-idle-2", "rx1-idle-3"]
    for number in (1, 2):
        people = office.graph("get", f"/teams/{office.team(f'rx1-ownerless-{number}')}/members")["value"]
        assert [each["roles"] for each in people if each["email"] == upn(3)] == [["owner"]]
    code, plan = office.plan("teams.cleanup", cleanup(office))
    assert (code, plan["status"]) == (0, "empty")


def test_unless_asked_to_act_it_only_tells(office):
    furnish(office)
    before = office.writes()
    code, plan = office.plan("teams.cleanup", cleanup(office, action="report"))
    assert (code, plan["status"], plan["kinds"]) == (0, "empty", {"team.review": {"noop": 6}})
    told = notes(plan)
    assert "ownerless-1: has no owner" in told
    assert sum("idle-" in note and "not used since" in note for note in told) == 3
    assert office.writes() == before


def test_an_idle_team_without_an_owner_gets_one_before_it_is_archived(office):
    furnish(office, used=1, idle=1, ownerless=1)
    with office.changed() as tenant:
        set_last_seen(tenant, tenant.state.table("groups").find("uniqueName", "rx1-ownerless-1")[0]["id"], None)
    plan, code, _ = office.make("teams.cleanup", cleanup(office))
    assert (code, plan["changes"]["update"], plan["changes"]["add"]) == (0, 2, 1)
    assert archived(office) == ["rx1-idle-1", "rx1-ownerless-1"]


def test_without_a_fallback_such_a_team_is_blocked_and_the_others_go_on(office):
    furnish(office, used=1, idle=1, ownerless=1)
    with office.changed() as tenant:
        set_last_seen(tenant, tenant.state.table("groups").find("uniqueName", "rx1-ownerless-1")[0]["id"], 200)
    code, plan = office.plan("teams.cleanup", cleanup(office, fallback="null"))
    assert (code, plan["kinds"]["team.archived"]) == (0, {"update": 1, "blocked": 1})


def test_a_young_team_is_not_idle_and_neither_is_one_that_is_archived_already(office):
    furnish(office, used=1, idle=2, ownerless=0)
    with office.changed() as tenant:
        (group,) = tenant.state.table("groups").find("uniqueName", "rx1-idle-1")
        tenant.state.put("groups", {**group, "createdDateTime": "2026-01-01T00:00:00Z"})
    office.make("teams.cleanup", cleanup(office))
    code, plan = office.plan("teams.cleanup", cleanup(office))
    assert (code, plan["status"]) == (0, "empty")
    assert any("1 archived already" in note for note in notes(plan))


def test_a_team_of_which_the_report_says_nothing_is_not_idle(office):
    furnish(office, used=1, idle=1, ownerless=0)
    code, plan = office.plan("teams.cleanup", cleanup(office, days=500))
    assert (code, plan["status"]) == (0, "empty")


def test_teams_to_be_left_alone_are_named_and_a_name_that_matches_none_is_an_error(office):
    furnish(office, used=1, idle=3, ownerless=0)
    code, plan = office.plan("teams.cleanup", cleanup(office, exclude="[Idle-1, rx1-idle-2]"))
    assert (code, plan["kinds"]["team.archived"]) == (0, {"update": 1})
    assert any("2 excluded" in note for note in notes(plan))
    code, told = office.plan("teams.cleanup", cleanup(office, exclude="[Idle-9]"))
    assert (code, [each["message"] for each in told["error"]["errors"]]) == (5, ["no team is called Idle-9"])


def test_a_report_with_concealed_names_proves_nothing(office):
    furnish(office, used=1, idle=1, ownerless=0)
    office.graph("patch", "/admin/reportSettings", {"displayConcealedNames": True})
    code, plan = office.plan("teams.cleanup", cleanup(office))
    assert (code, plan["status"], plan["changes"]["update"]) == (6, "blocked", 0)
    assert any("displayConcealedNames" in reason for reason in plan["blocked"])


def test_only_the_organisation_asked_for_is_looked_at(office):
    furnish(office, used=1, idle=1, ownerless=0)
    code, plan = office.plan("teams.cleanup", cleanup(office), flags=("--org", "RX2"))
    assert (code, plan["status"]) == (0, "empty")


@pytest.mark.parametrize("rule", [{"status": 403}, {"status": 500}], ids=["the link", "the file"])
def test_a_report_that_cannot_be_had_plans_nothing(office, rule):
    furnish(office, used=1, idle=1, ownerless=0)
    with office.tenant() as tenant:
        tenant.faults.add({"method": "GET", "path": "/downloads/*", "action": "answer", **rule})
    code, told = office.plan("teams.cleanup", cleanup(office))
    assert code == 1
    assert "sig=" not in json.dumps(told)


@pytest.mark.parametrize(
    ("fallback", "told"),
    [("nobody@contoso.example", "is not a user of this tenant"), (upn(4), "is disabled")],
)
def test_the_fallback_owner_must_be_there_and_active(office, fallback, told):
    furnish(office, used=1, idle=0, ownerless=0)
    office.graph("patch", f"/users/{upn(4)}", {"accountEnabled": False})
    code, answer = office.plan("teams.cleanup", cleanup(office, fallback=fallback))
    assert code == 5
    assert told in answer["error"]["errors"][0]["message"]


def test_a_run_killed_after_an_owner_came_ends_as_if_it_had_not_been(office):
    furnish(office)
    assert office.plan("teams.cleanup", cleanup(office))[0] == 0
    office.kill(method="POST", path="/teams/*/members/add", when="after")
    code, ended = office.apply(verb="resume")
    assert (code, ended["outcomes"]["failed"]) == (0, 0)
    assert len([line for line in office.writes() if line.endswith("/archive")]) == 3
    assert len(archived(office)) == 3


def test_the_starter_file_is_valid(simulated):
    result = simulated("validate", "teams.cleanup", "-i", STARTERS / "cleanup.yaml", "-o", "json")
    assert (result.code, result.json["errors"]) == (0, [])


def test_the_worked_example_of_the_page_is_true(office):
    furnish(office)
    path = office.write("cleanup.yaml", example("teams.cleanup", "yaml"))
    code, plan = office.plan("teams.cleanup", path)
    told = json.loads(example("teams.cleanup", "json"))
    assert (code, plan["kinds"]) == (0, told["kinds"])
