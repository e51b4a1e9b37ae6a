"""teams.membership through the command line, on a simulated tenant kept in a file."""

from __future__ import annotations

import csv
import json

import pytest
from office import ROSTERS, STARTERS, Office, example, upn

PROVISION = "team_key,org,display_name,visibility,owners"
HEADER = "team_key,org,upn,role,action"
OWNERS = f"{upn(1)};{upn(2)}"


@pytest.fixture
def office(simulated, tenant, tmp_path):
    """A tenant with the team rx1-ward-1 and its two owners."""
    tenant.seed(organisations=1, users=60, licensed=10)
    return furnished(Office(tmp_path, simulated, tenant))


def furnished(office, *keys, owners=OWNERS):
    rows = [f"{key},RX1,{key},Private,{owners}" for key in keys or ("ward-1",)]
    _, code, _ = office.make("teams.provision", office.write("teams.csv", "\n".join([PROVISION, *rows, ""])))
    assert code == 0
    return office


def row(number, *, team="ward-1", org="RX1", role="Member", action=""):
    return f"{team},{org},{upn(number)},{role},{action}"


def asked(office, *rows, header=HEADER):
    return office.write("in.csv", "\n".join([header, *rows, ""]))


def members(office, team="rx1-ward-1"):
    """Who is in the team: number -> role."""
    found = office.graph("get", f"/teams/{office.team(team)}/members?$top=999")["value"]
    return {each["email"].partition("@")[0].removeprefix("rx1-0"): "".join(each["roles"]) for each in found}


def calls(office, part):
    return [line for line in office.writes() if part in line]


def again(office):
    code, plan = office.plan("teams.membership", office.folder / "in.csv", run="again.run")
    assert code == 0
    return plan


def test_of_450_adds_449_are_made_in_three_calls_and_the_one_deleted_since_is_named(simulated, tenant, tmp_path):
    tenant.seed(organisations=1, users=500, licensed=10)
    office = furnished(Office(tmp_path, simulated, tenant))
    code, plan = office.plan("teams.membership", asked(office, *(row(number) for number in range(11, 461))))
    assert (code, plan["changes"]["add"], plan["remarks"]) == (0, 450, [])
    assert {row["bucket"]: row["requests"] for row in plan["cost"]}["teams.bulk_add_members.app_tenant"] == 3
    office.graph("delete", f"/users/{upn(300)}")

    code, ended = office.apply()
    assert (code, ended["outcomes"]["done"], ended["outcomes"]["failed"]) == (3, 449, 1)
    assert len(calls(office, "/members/add")) == 3
    failed = [each for each in office.results() if each["gk_status"] != "done"]
    assert [(each["upn"], each["gk_error_code"]) for each in failed] == [(upn(300), "NotFound")]
    assert len(members(office)) == 2 + 449


def test_owners_and_members_are_added_promoted_demoted_and_removed_and_then_nothing_is_left_to_do(office):
    office.make("teams.membership", asked(office, row(11), row(12), row(13)))
    rows = [
        row(11, role="Owner"), row(14, role="owner"), row(2, role="Member"),
        row(12, role="", action="remove"), row(15), row(13), row(16, action="Remove"),
    ]  # fmt: skip
    plan, code, _ = office.make("teams.membership", asked(office, *rows))
    assert code == 0
    assert plan["kinds"] == {"team.member": {"add": 2, "update": 2, "remove": 1, "noop": 2}}
    assert len(calls(office, "/members/add")) == 2, "owners and members come by one call"
    assert members(office) == {"001": "owner", "002": "", "011": "owner", "013": "", "014": "owner", "015": ""}
    assert again(office)["status"] == "empty"


def test_the_last_owner_is_neither_removed_nor_demoted(office):
    rows = [row(1, action="Remove"), row(2, role="Member")]
    code, plan = office.plan("teams.membership", asked(office, *rows))
    assert (code, plan["changes"]["blocked"]) == (0, 1)
    code, _ = office.apply()
    assert (code, members(office)) == (3, {"002": "owner"})
    assert "last owner" in next(each for each in office.results() if each["gk_status"] == "skipped")["gk_error"]


def test_owners_leave_after_those_who_take_their_place_have_come(office):
    rows = [row(1, action="Remove"), row(2, action="Remove"), row(20, role="Owner")]
    plan, code, _ = office.make("teams.membership", asked(office, *rows))
    assert (code, plan["changes"]["blocked"]) == (0, 0)
    assert members(office) == {"020": "owner"}


def test_owners_stay_if_those_who_were_to_take_their_place_did_not_come(office):
    rows = [row(1, action="Remove"), row(2, action="Remove"), row(20, role="Owner")]
    assert office.plan("teams.membership", asked(office, *rows))[0] == 0
    office.graph("delete", f"/users/{upn(20)}")
    code, ended = office.apply()
    assert (code, ended["outcomes"]["failed"], ended["outcomes"]["skipped"]) == (3, 1, 2)
    assert members(office) == {"001": "owner", "002": "owner"}


def test_twenty_are_removed_by_one_call(office):
    office.make("teams.membership", asked(office, *(row(number) for number in range(11, 46))))
    leaving = [row(number, role="", action="Remove") for number in range(11, 46)]
    _, code, _ = office.make("teams.membership", asked(office, *leaving), flags=("--max-removals", "35"))
    assert (code, len(calls(office, "/members/remove"))) == (0, 2)
    assert set(members(office)) == {"001", "002"}


@pytest.mark.parametrize(
    "fault",
    [{"status": 504}, {"status": 503}, {"failure": "reset"}],
    ids=["504", "503", "reset"],
)
def test_an_add_whose_answer_is_lost_adds_each_once(office, fault):
    with office.tenant() as tenant:
        rule = {"method": "POST", "path": "/teams/*/members/add", "times": 1, "action": "commit-then", **fault}
        tenant.faults.add(rule)
    _, code, _ = office.make("teams.membership", asked(office, row(11), row(12)))
    assert (code, len(members(office))) == (0, 4)


def test_a_run_killed_between_two_calls_ends_as_if_it_had_not_been(simulated, tenant, tmp_path):
    tenant.seed(organisations=1, users=300, licensed=10)
    office = furnished(Office(tmp_path, simulated, tenant))
    asked(office, *(row(number) for number in range(11, 261)))
    assert office.plan("teams.membership", office.folder / "in.csv")[0] == 0
    office.kill(method="POST", path="/teams/*/members/add", when="after")
    code, ended = office.apply(verb="resume")
    assert (code, ended["outcomes"]["failed"], len(members(office))) == (0, 0, 252)
    assert again(office)["status"] == "empty"


# -- by the group ------------------------------------------------------------------------------------------------


def test_a_thousand_people_come_through_the_group_and_the_plan_says_what_that_saves(simulated, tenant, tmp_path):
    tenant.seed(organisations=1, users=1100, licensed=10)
    office = furnished(Office(tmp_path, simulated, tenant), "ward-1", "ward-2")
    rows = [row(number) for number in range(11, 1011)]
    plan, code, _ = office.make("teams.membership", asked(office, *rows, row(11, team="ward-2")))
    (remark,) = plan["remarks"]
    assert remark.startswith("rx1-ward-1: 1,000 people are added through its group, which takes")
    assert (code, len(calls(office, "/members/add"))) == (0, 1)
    assert len([line for line in office.writes() if line == f"PATCH /groups/{office.team('rx1-ward-1')}"]) == 50

    plan = again(office)  # Teams may not show them yet: they are not asked for twice
    assert plan["status"] == "empty"


def test_who_came_through_the_group_is_effective_once_teams_shows_them(simulated, tenant, tmp_path):
    tenant.seed(organisations=1, users=1100, licensed=10)
    office = furnished(Office(tmp_path, simulated, tenant))
    office.plan("teams.membership", asked(office, *(row(number) for number in range(11, 1011))))
    result = simulated("apply", tmp_path / "a.run", "--yes", "-o", "json", "--wait", "effective=30h")
    assert (result.code, result.json["effective"]["pending"]) == (0, 0)
    team = office.team("rx1-ward-1")
    assert office.look(lambda kept: len(kept.state.linked("teamMembers", team))) == 1000


def test_who_is_in_the_group_alone_is_removed_from_the_group(office):
    team = office.team("rx1-ward-1")
    person = office.graph("get", f"/users/{upn(30)}")["id"]
    member = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{person}"}
    office.graph("post", f"/groups/{team}/members/$ref", member)
    _, code, _ = office.make("teams.membership", asked(office, row(30, role="", action="Remove")))
    assert (code, len(calls(office, "DELETE /groups/"))) == (0, 1)
    assert again(office)["status"] == "empty"


# -- how teams and people are named ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["ward-1", "Ward 1", "rx1-ward-1"], ids=["the key", "the key as written", "the uniqueName"]
)
def test_a_team_is_found_without_its_organisation_if_only_one_is_called_so(office, name):
    _, code, _ = office.make("teams.membership", asked(office, row(11, team=name, org="")))
    assert (code, "011" in members(office)) == (0, True)


def test_a_team_is_found_by_its_id_and_a_person_by_theirs_and_headings_of_the_admin_centre_are_understood(office):
    person = office.graph("get", f"/users/{upn(11)}")["id"]
    header = "User Full Name,User UPN or ID,Existing Team ID,ActionType,Owner or Member"
    text = asked(office, f"Somebody,{person},{office.team('rx1-ward-1')},Add,Member", header=header)
    _, code, _ = office.make("teams.membership", text)
    assert (code, "011" in members(office)) == (0, True)


def test_whatever_is_wrong_is_told_at_once(office):
    furnished(office, "ward-9")
    office.graph("patch", f"/groups/{office.team('rx1-ward-9')}", {"displayName": "ward-1"})
    rows = [
        row(11, team="ward-3"), row(99), row(12, org="", team="ward-1"), row(13, role=""),
        f",,{upn(14)},Member,", row(15, role="Guest"), f"ward-1,RX1,{upn(16)},Member,Adopt",
    ]  # fmt: skip
    code, told = office.plan("teams.membership", asked(office, *rows))
    errors = {each["row"]: each["message"] for each in told["error"]["errors"]}
    assert (code, sorted(errors)) == (5, [2, 3, 4, 5, 6, 7, 8])
    assert "there is no team rx1-ward-3" in errors[2]
    assert "2 teams are called so" in errors[4]
    assert calls(office, "members") == []


def test_one_person_named_twice_for_a_team_is_an_error(office):
    person = office.graph("get", f"/users/{upn(11)}")["id"]
    code, told = office.plan("teams.membership", asked(office, row(11), f"ward-1,RX1,{person},Owner,"))
    assert (code, [each["code"] for each in told["error"]["errors"]]) == (5, ["duplicate-key"])


def test_only_the_organisation_asked_for_is_planned(office):
    path = asked(office, row(11), f"ward-1,RX2,{upn(12)},Member,", row(13, org=""))
    code, plan = office.plan("teams.membership", path, flags=("--org", "RX1"))
    assert (code, plan["changes"]["add"]) == (0, 2)


def test_a_team_whose_members_follow_a_rule_is_blocked(office):
    rule = {"groupTypes": ["Unified", "DynamicMembership"], "membershipRule": 'user.department eq "None"',
            "membershipRuleProcessingState": "On"}  # fmt: skip
    office.graph("patch", f"/groups/{office.team('rx1-ward-1')}", rule)
    code, plan = office.plan("teams.membership", asked(office, row(11)))
    assert (code, plan["changes"]["blocked"]) == (0, 1)
    assert "follow a rule" in plan["items"][0]["note"]


# -- authoritative -----------------------------------------------------------------------------------------------


def test_whoever_is_not_listed_stays_unless_the_list_is_authoritative(office):
    office.make("teams.membership", asked(office, row(11), row(12)))
    path = asked(office, row(1, role="Owner"), row(11))
    code, plan = office.plan("teams.membership", path)
    assert (code, plan["status"]) == (0, "empty")
    plan, code, _ = office.make("teams.membership", path, flags=("--mode", "authoritative"))
    assert (code, plan["changes"]["remove"]) == (0, 2)
    assert members(office) == {"001": "owner", "011": ""}


# -- rosters, starter, page --------------------------------------------------------------------------------------


@pytest.mark.skipif(not ROSTERS.is_dir(), reason="the published rosters are not here")
def test_a_roster_is_provisioned_members_included(simulated, tenant, tmp_path):
    def column(name, heading):
        with (ROSTERS / name).open(encoding="utf-8-sig", newline="") as file:
            return [each[heading] for each in csv.DictReader(file)]

    people = [*column("Teacher.csv", "Username"), *column("Student.csv", "Username")]
    tenant.seed(organisations=1, users=10, accounts=tuple(f"{name}@contoso.example" for name in people))

    def mapped(recipe, *more):
        given = ("-i", ROSTERS, "--map", STARTERS / f"{recipe}.rosters-map.yaml", "--set", "domain=contoso.example")
        result = simulated(
            "apply", f"teams.{recipe}", *given, "--yes", "-o", "json", "--out", tmp_path / "a.run", *more
        )
        (tmp_path / "a.run").unlink()
        return result.code, result.json

    assert mapped("provision")[0] == 3  # sections without a teacher make no team
    taught = set(column("TeacherRoster.csv", "Section ID"))
    enrolled = column("StudentEnrollment.csv", "Section ID")
    wanted = sum(section in taught for section in enrolled)
    assert wanted

    code, ended = mapped("membership", "--skip-invalid")
    assert code == 3, "enrolments in sections that are no teams are named, and left out"
    assert (ended["outcomes"]["done"], ended["outcomes"]["failed"]) == (wanted, 0)
    assert ended["leftOut"] == len(enrolled) - wanted
    teams = tenant.look()
    made = list(teams.state.table("teams").objects)
    there = [sum(len(teams.state.linked(kind, team)) for team in made) for kind in ("teamMembers", "teamOwners")]
    teams.close()
    assert there == [wanted, len(column("TeacherRoster.csv", "Section ID"))]


def test_the_starter_file_is_valid(simulated):
    result = simulated("validate", "teams.membership", "-i", STARTERS / "membership.csv", "-o", "json")
    assert (result.code, result.json["errors"]) == (0, [])


def test_the_worked_example_of_the_page_is_true(simulated, tenant, tmp_path):
    tenant.seed(organisations=1, users=40, licensed=10)
    office = furnished(Office(tmp_path, simulated, tenant), "ward-7")
    path = office.write("people.csv", example("teams.membership", "csv"))
    plan, code, ended = office.make("teams.membership", path)
    told = json.loads(example("teams.membership", "json"))
    assert (code, plan["kinds"], ended["outcomes"]) == (0, told["kinds"], told["outcomes"])
