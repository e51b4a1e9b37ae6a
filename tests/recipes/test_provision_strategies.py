"""teams.provision, all of it: templates, channels of the three kinds, archived teams, groups taken over."""

from __future__ import annotations

import asyncio

import pytest
from bench import bench
from office import Office, example, upn

from graphkit.clock import run

HEADER = "team_key,org,display_name,visibility,owners,channels,template,archive"
TWO = f"{upn(1)};{upn(2)}"


@pytest.fixture
def office(simulated, tenant, tmp_path):
    tenant.seed(organisations=1, users=40, licensed=10)
    return Office(tmp_path, simulated, tenant)


def row(key="ward-1", *, name="", owners=TWO, channels="", template="", archive=""):
    return f"{key},RX1,{name or key},Private,{owners},{channels},{template},{archive}"


def provision(office, *rows, flags=()):
    return office.make("teams.provision", office.write("in.csv", "\n".join([HEADER, *rows, ""])), flags=flags)


def planned_again(office, flags=()):
    code, plan = office.plan("teams.provision", office.folder / "in.csv", run="again.run", flags=flags)
    assert code == 0
    return plan


def channels(office, nickname):
    found = office.graph("get", f"/teams/{office.team(nickname)}/channels")
    return {each["displayName"]: each["membershipType"] for each in found["value"]}


# -- templates ---------------------------------------------------------------------------------------------------


def test_a_template_is_applied_to_a_group_of_our_name_and_its_operation_awaited(office):
    plan, code, ended = provision(office, row(template="healthcareWard", channels="Rotas"))
    assert (code, ended["outcomes"]["failed"]) == (0, 0)
    assert plan["kinds"]["team"] == {"create": 1}
    assert office.writes() == ["PATCH /groups(uniqueName='rx1-ward-1')", "POST /teams", *office.writes()[2:]]
    assert {"Huddles", "Rounds", "Rotas"} <= set(channels(office, "rx1-ward-1"))
    assert planned_again(office)["status"] == "empty"


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "commit-then", "status": 504},
        {"action": "commit-then", "status": 503},
        {"action": "commit-then", "failure": "reset"},
        {"action": "commit-then", "status": 500},
    ],
    ids=["504", "503", "reset", "500"],
)
def test_a_team_is_never_asked_for_twice_after_a_lost_answer(office, fault):
    with office.tenant() as tenant:
        tenant.faults.add({"method": "POST", "path": "/teams", "times": 1, **fault})
    _, code, _ = provision(office, row(template="standard"))
    assert (code, office.writes().count("POST /teams")) == (0, 1)
    assert office.look(lambda tenant: len(tenant.state.table("teams").objects)) == 1


def test_killed_while_the_team_is_being_made_a_resume_waits_for_that_team(office):
    office.write("in.csv", f"{HEADER}\n{row(template='standard', channels='Rotas')}\n")
    assert office.plan("teams.provision", office.folder / "in.csv")[0] == 0
    office.kill(method="POST", path="/teams", when="after")
    code, ended = office.apply(verb="resume")
    assert (code, ended["outcomes"]["unknown"]) == (0, 0)
    assert office.writes().count("POST /teams") == 1
    assert planned_again(office)["status"] == "empty"


def test_an_operation_that_fails_fails_the_row_in_the_words_of_the_service(tmp_path):
    async def vanish(here):
        """Somebody deletes the group while its team is being made."""
        while "POST /teams" not in here.writes():
            await here.client.clock.sleep(1)
        made = here.tenant.state.table("groups").find("uniqueName", "rx1-ward-1")[0]["id"]
        await here.client.delete(f"/groups/{made}")

    async def check():
        async with bench(tmp_path, licensed=10) as here:
            text = f"{HEADER}\n{row(template='standard', channels='Rotas')}\n"
            with await here.plan("teams.provision", text) as planned:
                _, outcomes = await asyncio.gather(vanish(here), here.apply(planned))
                assert (outcomes["failed"], outcomes["skipped"]) == (1, 1)
                assert "not found" in next(planned.input_results(tables=True)).result.error

    run(check(), virtual=True)


# -- channels ----------------------------------------------------------------------------------------------------


def test_channels_are_standard_private_or_shared_and_the_last_two_begin_with_the_first_owner(office):
    _, code, _ = provision(office, row(channels="Rotas;Leads:private;Partners:Shared"))
    assert code == 0
    kinds = channels(office, "rx1-ward-1")
    assert kinds == {"General": "standard", "Rotas": "standard", "Leads": "private", "Partners": "unknownFutureValue"}
    team = office.team("rx1-ward-1")
    own = [each for each in office.graph("get", f"/teams/{team}/channels")["value"] if each["displayName"] == "Leads"]
    people = office.graph("get", f"/teams/{team}/channels/{own[0]['id']}/members")["value"]
    assert [(each["email"], each["roles"]) for each in people] == [(upn(1), ["owner"])]
    assert planned_again(office)["status"] == "empty"


def test_a_channel_does_not_change_its_kind(office):
    provision(office, row(channels="Leads"))
    office.write("in.csv", f"{HEADER}\n{row(channels='Leads:private;Rotas')}\n")
    plan = planned_again(office)
    assert plan["kinds"]["channel"] == {"blocked": 1, "create": 1}
    assert any("no channel changes its kind" in each["note"] for each in plan["items"])


@pytest.mark.parametrize("kind", ["private", "shared"])
def test_a_channel_is_made_once_though_its_answer_is_lost(office, kind):
    with office.tenant() as tenant:
        rule = {"method": "POST", "path": "/teams/*/channels", "times": 1, "action": "commit-then", "status": 504}
        tenant.faults.add(rule)
    _, code, _ = provision(office, row(channels=f"Leads:{kind}"))
    assert code == 0
    assert len(channels(office, "rx1-ward-1")) == 2


# -- archived teams ----------------------------------------------------------------------------------------------


def archived(office, nickname="rx1-ward-1"):
    return office.graph("get", f"/teams/{office.team(nickname)}")["isArchived"]


def test_a_team_is_archived_after_its_channels_and_reopened_before_them(office):
    plan, code, _ = provision(office, row(channels="Rotas", archive="true"))
    assert (code, archived(office)) == (0, True)
    assert plan["kinds"]["team.archived"] == {"update": 1}
    assert planned_again(office)["status"] == "empty"

    plan, code, _ = provision(office, row(channels="Rotas;Handover", archive="no"))
    assert (code, archived(office)) == (0, False)
    assert plan["kinds"]["team.active"] == {"update": 1}
    assert set(channels(office, "rx1-ward-1")) == {"General", "Rotas", "Handover"}


def test_an_archived_team_takes_no_channel_unless_the_row_reopens_it(office):
    provision(office, row(archive="true"))
    office.write("in.csv", f"{HEADER}\n{row(channels='Rotas')}\n")
    plan = planned_again(office)
    assert plan["kinds"]["channel"] == {"blocked": 1}
    assert any("archived" in each["note"] for each in plan["items"])


# -- groups that others made -------------------------------------------------------------------------------------


def group_of_others(office, **more):
    people = [f"https://graph.microsoft.com/v1.0/users/{upn(number)}" for number in (1, 2)]
    body = {
        "displayName": "Ward one", "mailNickname": "rx1-ward-1", "mailEnabled": True, "securityEnabled": False,
        "groupTypes": ["Unified"], "visibility": "Private", "owners@odata.bind": people, **more,
    }  # fmt: skip
    return office.graph("post", "/groups", body)["id"]


def test_a_group_that_graphkit_did_not_make_is_taken_over_only_when_asked(office):
    made = group_of_others(office)
    office.write("in.csv", f"{HEADER}\n{row(name='Ward 1', channels='Rotas')}\n")
    code, plan = office.plan("teams.provision", office.folder / "in.csv")
    assert (code, plan["kinds"]["group"], plan["kinds"]["team"]) == (0, {"blocked": 1}, {"blocked": 1})
    assert all(made in each["note"] and "--adopt" in each["note"] for each in plan["items"])

    for number in range(3):  # each command takes its time, and a group must not be too young to become a team
        office.graph("patch", f"/groups/{made}", {"description": f"Take {number}"})
    plan, code, _ = provision(office, row(name="Ward 1", channels="Rotas"), flags=("--adopt",))
    assert (code, plan["kinds"]["group"], plan["kinds"]["team"]) == (0, {"update": 1}, {"create": 1})
    group = office.graph("get", f"/groups/{made}?$select=uniqueName,displayName")
    assert (group["uniqueName"], group["displayName"]) == ("rx1-ward-1", "Ward 1")
    assert planned_again(office)["status"] == "empty"


def test_a_group_that_bears_another_name_of_that_sort_is_never_taken_over(office):
    group_of_others(office, uniqueName="something-else")
    office.write("in.csv", f"{HEADER}\n{row()}\n")
    code, plan = office.plan("teams.provision", office.folder / "in.csv", flags=("--adopt",))
    assert (code, plan["kinds"]["group"]) == (0, {"blocked": 1})


# -- the page ----------------------------------------------------------------------------------------------------


def test_the_worked_example_of_the_page_is_true(office):
    path = office.write("wards.csv", example("teams.provision", "csv"))
    plan, code, _ = office.make("teams.provision", path)
    told = example("teams.provision", "text").split()
    assert code == 0
    for kind, actions in plan["kinds"].items():
        assert f"{kind}:" in told, kind
        assert told[told.index(f"{kind}:") + 1] == str(sum(actions.values())), kind
