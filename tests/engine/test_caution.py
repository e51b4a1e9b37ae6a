"""Care while a plan is carried out: a few first, an end when too much fails, and effective instead of accepted."""

from __future__ import annotations

import asyncio
import csv
import json

import pytest
from chaos import World as AnyWorld

from graphkit.clock import VirtualClock
from graphkit.engine.brake import Brake
from graphkit.engine.change import Result, Status
from graphkit.engine.course import Breaker
from graphkit.engine.runfile import RunFile
from graphkit.errors import CanaryFailed, DeadlineReached, Interrupted, TooManyFailures
from graphkit.jobs import Manner
from graphkit.sandbox import Seed, SimulatedTenant

ADDS = {"method": "PATCH", "path": "/groups/*"}


def results(world, name="a"):
    with (world.folder / f"{name}.results.csv").open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


# -- canary ----------------------------------------------------------------------------------------------------------


def test_a_canary_goes_alone_is_read_back_and_the_rest_follows(world):
    world.plan()
    seen = []
    summary = world.apply(manner=Manner(canary=12), observer=lambda progress: seen.append(progress.done))
    assert summary.outcomes["done"] == 47
    assert 12 in seen
    # The group, its licence and ten people; then the other 35.
    assert [method for method, _ in world.writes()].count("PATCH") == 1 + 1 + 2


def test_nothing_follows_a_canary_that_failed(world):
    world.plan()
    world.ask("DELETE", "/users/rx1-0003@contoso.example")
    with pytest.raises(CanaryFailed) as caught:
        world.apply(manner=Manner(canary=12))
    assert (
        "of the first 12 changes 1 did not end well: RX1.SPE_E3.pool/rx1-0003@contoso.example" in caught.value.message
    )
    assert "35 of 47 changes are left" not in caught.value.message
    assert caught.value.exit_code == 3
    assert "graphkit resume" in caught.value.hint
    with RunFile.open(world.folder / "a.run") as run:
        assert sum(run.outcome_counts().values()) == 12
    # Whoever goes on without seeing to it gets no further, asked for or not.
    with pytest.raises(CanaryFailed):
        world.apply(resume=True)


def test_a_canary_that_was_seen_to_lets_the_rest_follow(world):
    world.plan()
    world.fault(**ADDS, action="answer", status=403, times=20)
    with pytest.raises(CanaryFailed):
        world.apply(manner=Manner(canary=5))
    world.change(lambda tenant: tenant.faults.clear())
    assert world.apply(resume=True).outcomes["done"] == 47


@pytest.fixture
def hidden(tmp_path):
    """What is written is accepted, and never shown."""
    access = AnyWorld(tmp_path / "access", "identity.conditional-access")
    access.folder.mkdir()
    access.prepare()
    access.plan("a.run")
    path = "/identity/conditionalAccess/namedLocations"
    access.faults([{"method": "GET", "path": path, "action": "answer", "status": 200, "body": {"value": []}}])
    return access


def test_a_canary_that_was_accepted_and_is_not_there_stops_the_run(hidden):
    with pytest.raises(CanaryFailed, match="is not read back as it was written"):
        hidden.apply("a.run", manner=Manner(canary=1))
    assert len(hidden.picture()[1]) == 1


def test_whoever_stops_the_run_need_not_wait_until_the_canary_is_read_back(hidden):
    brake = Brake()

    def soon(progress):
        if progress.done:
            asyncio.get_running_loop().call_later(4.0, brake.pull)

    with pytest.raises(Interrupted, match="5 of 6 changes are left") as caught:
        hidden.apply("a.run", manner=Manner(canary=1), brake=brake, observer=soon)
    assert "graphkit resume" in caught.value.hint
    with RunFile.open(hidden.folder / "a.run") as run:
        assert run.header_value("canary") == 1  # whoever goes on does so with care again


def test_a_deadline_comes_while_the_canary_is_read_back(hidden):
    with pytest.raises(DeadlineReached, match="5 of 6 changes are left"):
        hidden.apply("a.run", manner=Manner(canary=1), deadline_s=40)


def test_a_canary_waits_for_replicas_that_lag(tmp_path):
    teams = AnyWorld(tmp_path, "teams.provision")
    teams.prepare()
    teams.plan("a.run")
    assert teams.apply("a.run", manner=Manner(canary=9)).apply_exit_code == 0


# -- circuit breaker -------------------------------------------------------------------------------------------------

GOOD, BAD, UNSURE, SKIPPED = (
    Result(status=status) for status in (Status.DONE, Status.FAILED, Status.UNKNOWN, Status.SKIPPED)
)


@pytest.mark.parametrize(
    ("results", "is_open"),
    [
        ([BAD] * 10, False),
        ([BAD] * 11, True),
        ([UNSURE] * 11, True),
        ([SKIPPED] * 200, False),
        ([GOOD] * 1000 + [BAD] * 10, False),
        ([GOOD] * 1000 + [BAD] * 11, True),
        ([BAD] * 11 + [GOOD] * 189, True),
        ([BAD] * 11 + [GOOD] * 190, False),
        (([BAD] + [GOOD] * 19) * 50, False),
        (([BAD] + [GOOD] * 17) * 50, True),
    ],
)
def test_more_than_five_per_cent_of_the_last_two_hundred_are_too_many(results, is_open):
    breaker = Breaker()
    breaker.count(results)
    assert breaker.is_open is is_open


def test_a_run_stops_when_too_much_fails_and_goes_on_where_it_stopped(world):
    world.plan()
    world.fault(**ADDS, action="answer", status=403)
    with pytest.raises(TooManyFailures) as caught:
        world.apply()
    assert caught.value.exit_code == 3
    assert "of the last 200 outcomes failed, and 5% may" in caught.value.message
    assert "--max-failures" in caught.value.hint
    world.change(lambda tenant: tenant.faults.clear())
    assert world.apply(resume=True).outcomes["done"] == 47


def test_how_much_may_fail_is_the_operator_s_to_say(world):
    world.plan()
    world.fault(**ADDS, action="answer", status=403)
    assert world.apply(manner=Manner(failed_share=1.0)).outcomes["failed"] == 45


# -- effective -------------------------------------------------------------------------------------------------------


def test_what_was_accepted_is_pending_until_somebody_has_looked(world):
    world.plan()
    summary = world.apply()
    assert summary.effects == {"yes": 0, "no": 0, "pending": 1}
    assert summary.apply_exit_code == 0
    assert {row["gk_effective"] for row in results(world)} == {""}


def test_waiting_ends_when_all_is_effective(world):
    world.plan()
    summary = world.apply(manner=Manner(wait_s=1800.0))
    assert summary.effects == {"yes": 46, "no": 0, "pending": 0}
    assert (summary.apply_exit_code, summary.outcomes["done"]) == (0, 47)
    assert {row["gk_effective"] for row in results(world)} == {"yes"}
    assert world.took < 600


def test_waiting_ends_in_time_and_a_resume_waits_on(world):
    world.plan()
    summary = world.apply(manner=Manner(wait_s=1.0))
    assert summary.effects["pending"] > 0
    assert summary.apply_exit_code == 7
    writes = len(world.writes())
    again = world.apply(resume=True, manner=Manner(wait_s=1800.0))
    assert (again.effects["pending"], again.apply_exit_code) == (0, 0)
    assert len(world.writes()) == writes


@pytest.fixture
def abroad(world):
    """Three of the people are where the product may not be used."""
    world.state.unlink()
    seed = Seed(organisations=1, users=90, licensed=0, prohibited={"SPE_E3": ("IN",)})
    SimulatedTenant.open(world.state, VirtualClock(), seed=seed).close()
    for number in (4, 5, 6):
        move(world, number, "IN")
    return world


def move(world, number, country):
    body = json.dumps({"usageLocation": country}).encode()
    status, _ = world.ask("PATCH", f"/users/rx1-{number:04}@contoso.example", body)
    assert status == 204


def test_a_licence_that_did_not_arrive_makes_the_person_s_row_fail_and_the_group_s_too(abroad):
    abroad.plan()
    summary = abroad.apply(manner=Manner(wait_s=1800.0))
    assert summary.effects == {"yes": 42, "no": 4, "pending": 0}
    assert (summary.outcomes["failed"], summary.apply_exit_code) == (4, 3)
    with RunFile.open(abroad.folder / "a.run") as run:
        ended = {change.key: result for change, result in run.results() if result.status is Status.FAILED}
    assert {result.code for result in ended.values()} == {"ProhibitedInUsageLocationViolation"}
    group = ended["RX1.SPE_E3.pool/SPE_E3"]
    assert group.error == "members who did not get the licence: ProhibitedInUsageLocationViolation 3"
    rows = {row["upn"]: row for row in results(abroad)}
    assert rows["rx1-0004@contoso.example"]["gk_status"] == "failed"
    assert rows["rx1-0004@contoso.example"]["gk_effective"] == "no"
    assert rows["rx1-0007@contoso.example"]["gk_effective"] == "yes"


def test_what_is_not_effective_is_not_sent_again_and_looked_at_again_by_a_resume_that_waits(abroad):
    abroad.plan()
    abroad.apply(manner=Manner(wait_s=1800.0))
    writes = len(abroad.writes())
    assert abroad.apply(resume=True).apply_exit_code == 3
    assert len(abroad.writes()) == writes
    for number in (4, 5, 6):
        move(abroad, number, "GB")
    for number in (4, 5, 6):
        abroad.ask("POST", f"/users/rx1-{number:04}@contoso.example/reprocessLicenseAssignment")
    summary = abroad.apply(resume=True, manner=Manner(wait_s=1800.0))
    assert summary.effects == {"yes": 46, "no": 0, "pending": 0}
    assert (summary.outcomes["done"], summary.apply_exit_code) == (47, 0)


def test_what_was_accepted_and_did_not_become_effective_is_undone_like_the_rest(abroad):
    abroad.write_pool(3)
    abroad.plan("first.run")
    abroad.apply("first.run", manner=Manner(wait_s=1800.0))
    members = held(abroad)
    abroad.write_pool(45)
    abroad.plan()
    assert abroad.apply(manner=Manner(wait_s=1800.0)).effects["no"] == 3
    assert len(held(abroad)) == len(members) + 42
    undone = abroad.undo()
    assert (undone.changes["remove"], undone.status) == (42, "ready")
    abroad.apply("undo.run")
    assert held(abroad) == members


def held(world):
    """Who is in the groups."""
    found = []
    world.change(lambda tenant: found.extend(to for each in tenant.state.links["members"].values() for to in each))
    return sorted(found)


def test_a_team_is_effective_once_it_is_shown(tmp_path):
    teams = AnyWorld(tmp_path, "teams.provision")
    teams.prepare()
    teams.plan("a.run")
    assert teams.apply("a.run", manner=Manner(wait_s=1800.0)).effects == {"yes": 4, "no": 0, "pending": 0}


# -- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture
def command(graphkit, tmp_path):
    state = tmp_path / "tenant.db"

    def call(*arguments):
        return graphkit(*arguments, "-t", "simulated", "--state", state, "--virtual-time", "-o", "json")

    AnyWorld(tmp_path, "licenses.pools")._write({
        "input.yaml": "pools:\n  - {org: RX1, sku: SPE_E3, cap: 50, members_from: m.csv}\n",
        "m.csv": "upn\n" + "".join(f"rx1-{number:04}@contoso.example\n" for number in range(1, 21)),
    })  # fmt: skip
    return call


def test_the_command_line_takes_care_too(command, tmp_path):
    run = tmp_path / "a.run"
    assert command("plan", "licenses.pools", "-i", tmp_path / "input.yaml", "--out", run).code == 0
    done = command("apply", run, "--yes", "--canary", 3, "--max-failures", 0, "--wait", "effective=1h")
    assert done.code == 0
    assert done.json["effective"] == {"yes": 21, "no": 0, "pending": 0}
    shown = command("show", run)
    assert shown.json["effective"]["yes"] == 21
    assert {item["outcome"]["effective"] for item in shown.json["items"] if item["kind"] == "group.member"} == {"yes"}


@pytest.mark.parametrize("given", ["done", "effective=soon", ""])
def test_only_what_can_be_waited_for_can_be_named(command, tmp_path, given):
    result = command("apply", tmp_path / "a.run", "--yes", "--wait", given)
    assert result.code == 5
    assert json.loads(result.stdout)["error"]["code"] == "usage"
