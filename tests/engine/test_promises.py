"""What must hold whatever happens: random faults and kills, stops, a full disk, reads that fail."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from itertools import cycle

import pytest
from chaos import HANDED, INPUTS, LATER, Usual, World, case, scenario_case, settle

from graphkit.engine import apply as engine
from graphkit.engine import course, runfile
from graphkit.engine.runfile import RunFile
from graphkit.errors import Blocked, DeadlineReached, GraphkitError, Parked, RunFileError
from graphkit.jobs import Manner
from graphkit.sandbox import scenario_names

POOLS, ASSIGN, TEAMS = "licenses.pools", "licenses.assign", "teams.provision"
ACCESS, DEVICES = "identity.conditional-access", "devices.compliance"
POLICIES = "/identity/conditionalAccess/policies"


@pytest.fixture(scope="module")
def normal(tmp_path_factory):
    """How each recipe ends if nothing goes wrong."""
    folder = tmp_path_factory.mktemp("normal")
    return Usual(folder, HANDED)


@pytest.fixture
def world(tmp_path):
    def prepared(recipe):
        made = World(tmp_path, recipe)
        made.prepare()
        return made

    return prepared


def planned(world):
    assert world.plan("a.run").status == "ready"
    return world


def outcomes(world):
    with RunFile.open(world.folder / "a.run") as file:
        return [(change, result) for change, result in file.results() if result]


@pytest.mark.parametrize("recipe", HANDED)
@pytest.mark.parametrize("seed", [1])
def test_random_faults_change_nothing_about_the_end(normal, tmp_path, recipe, seed):
    assert case(seed, normal, tmp_path / "case", recipe=recipe).fired


@pytest.mark.parametrize(("scenario", "recipe"), list(zip(scenario_names(), cycle(HANDED), strict=False)))
def test_a_scenario_of_the_package_changes_nothing_about_the_end(normal, tmp_path, scenario, recipe):
    scenario_case(scenario, recipe, normal, tmp_path / "case")


@pytest.mark.skipif(sys.platform == "win32", reason="a kill is a signal")
@pytest.mark.parametrize(("recipe", "seed"), [(TEAMS, 3), (ACCESS + LATER, 3)])
def test_kills_among_faults_change_nothing_about_the_end(normal, tmp_path, recipe, seed):
    assert case(seed, normal, tmp_path / "case", recipe=recipe, kill=True).killed


# -- stops -----------------------------------------------------------------------------------------------------------


def test_a_deadline_ends_the_run_while_others_wait_for_what_was_not_sent(world):
    pools = planned(world(POOLS))
    pools.faults([{"path": "/$batch", "action": "delay", "seconds": 20}])
    with pytest.raises(DeadlineReached):
        pools.apply("a.run", deadline_s=10)
    pools.faults([])
    assert pools.apply("a.run").outcomes["done"] == 84


def test_after_a_stop_nothing_that_waits_for_replicas_is_sent(world):
    teams = planned(world(TEAMS))
    teams.faults([{"method": "PUT", "path": "/groups/*/team", "action": "answer", "status": 404}])
    with pytest.raises(DeadlineReached):
        teams.apply("a.run", deadline_s=60)
    with RunFile.open(teams.folder / "a.run") as file:
        assert file.unsettled() == {}
    teams.faults([])
    assert teams.apply("a.run").apply_exit_code == 0


def test_a_closed_bucket_leaves_the_others_to_finish(world):
    pools = planned(world(POOLS))
    rule = {"method": "POST", "path": "/groups/*/assignLicense", "action": "throttle", "retry_after": "86400"}
    pools.faults([{**rule, "nth": 1}])
    with pytest.raises(Parked):
        pools.apply("a.run")
    pools.faults([])
    assert pools.apply("a.run").outcomes["done"] == 84


def test_what_needs_a_parked_object_is_left_to_the_resume_and_not_called_failed(world):
    teams = planned(world(TEAMS))
    teams.faults([{"method": "PUT", "path": "/groups/*/team", "action": "throttle", "retry_after": "86400"}])
    with pytest.raises(Parked):
        teams.apply("a.run")
    ended = {change.kind: result.status for change, result in outcomes(teams)}
    assert "channel" not in ended
    assert ended["group"] == "done"


def test_an_interrupt_leaves_a_run_that_goes_on(world, monkeypatch):
    pools = planned(world(POOLS))
    record = runfile.RunFile.record

    def interrupted(self, given):
        if given:
            raise KeyboardInterrupt
        record(self, given)

    monkeypatch.setattr(runfile.RunFile, "record", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pools.apply("a.run")
    monkeypatch.undo()
    assert pools.apply("a.run").outcomes["done"] == 84


def test_a_small_window_and_one_place_suffice_for_objects_that_need_others(world, monkeypatch):
    monkeypatch.setattr(engine, "WINDOW", 1)
    monkeypatch.setattr(course, "IN_FLIGHT", 1)
    for recipe in (POOLS, TEAMS):
        folder = world(recipe)
        assert planned(folder).apply("a.run").apply_exit_code == 0
        for path in folder.folder.iterdir():
            if path.is_file():
                path.unlink()


# -- after a crash ---------------------------------------------------------------------------------------------------


def send_and_forget(world, rule):
    """Apply as a process that dies once it has sent what the rule catches."""
    world.faults([{**rule, "action": "kill"}])
    command = [sys.executable, str(sys.modules["chaos"].__file__), "leg", str(world.folder), world.recipe, ""]
    died = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert died.returncode == -9, died.stderr
    world.faults([])


@pytest.mark.skipif(sys.platform == "win32", reason="a kill is a signal")
@pytest.mark.parametrize(
    ("recipe", "path"), [(ACCESS, POLICIES), (DEVICES, "/deviceManagement/deviceCompliancePolicies")]
)
def test_a_create_that_replicas_do_not_show_for_long_is_not_sent_again_after_a_crash(world, recipe, path):
    access = planned(world(recipe))
    send_and_forget(access, {"method": "POST", "path": path, "when": "after"})
    lagging = {"method": "GET", "path": path, "action": "answer", "status": 200, "body": {"value": []}, "times": 2}
    access.faults([lagging])
    assert access.apply("a.run").apply_exit_code == 0
    made = [line for line in access.picture()[1] if line == f"POST {path}"]
    assert len(made) == 4


@pytest.mark.skipif(sys.platform == "win32", reason="a kill is a signal")
def test_a_foreign_change_between_crash_and_resume_is_not_overwritten(world):
    pools = planned(world(POOLS))
    pools.apply("a.run")
    text = (pools.folder / "input.yaml").read_text(encoding="utf-8").replace("cap: 50", "cap: 50, group: New name")
    (pools.folder / "input.yaml").write_text(text, encoding="utf-8")
    (pools.folder / "a.run").unlink()
    settle(pools)
    assert planned(pools)
    send_and_forget(pools, {"method": "PATCH", "path": "/groups/*", "when": "before"})
    tenant = pools.tenant()
    for group in list(tenant.state.table("groups").objects.values()):
        if str(group.get("uniqueName")).startswith("RX1"):
            tenant.state.put("groups", {**group, "displayName": "Changed by hand"})
    tenant.state.file.execute("BEGIN")
    tenant.state.write_changes()
    tenant.state.file.execute("COMMIT")
    tenant.close()
    pools.apply("a.run")
    codes = {result.code for change, result in outcomes(pools) if change.action == "update"}
    assert codes == {"changed-since-plan"}
    assert '"Changed by hand"' in json.dumps(pools.picture()[0]).replace("\\", "")


# -- budget ----------------------------------------------------------------------------------------------------------


def test_a_service_that_is_down_fails_its_packs_without_using_up_the_budget(world):
    pools = planned(world(POOLS))
    pools.faults([{"method": "PATCH", "path": "/groups/*", "action": "answer", "status": 500}])
    summary = pools.apply("a.run", manner=Manner(failed_share=1.0))
    assert (summary.outcomes["failed"], summary.outcomes["done"]) == (80, 4)
    pools.faults([])
    assert pools.apply("a.run").outcomes["done"] == 84


def test_nothing_may_be_written_in_a_session_after_its_run(world):
    from graphkit.clock import run
    from graphkit.jobs import apply
    from graphkit.session import open_session

    pools = planned(world(POOLS))
    pools.faults([{"method": "POST", "path": "/groups/*/assignLicense", "action": "answer", "status": 403}])

    async def job():
        async with open_session(pools.settings) as session:
            assert (await apply(session, pools.folder / "a.run")).outcomes["failed"] == 2
            await session.client.create("/groups", {"displayName": "Another"})

    with pytest.raises(Blocked, match="read-only"):
        run(job(), virtual=True)


# -- the disk --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pages", [0, 1])
def test_a_full_disk_stops_the_run_with_one_error_and_a_resume_goes_on(world, monkeypatch, pages):
    monkeypatch.setattr(runfile, "PAGE", 1024)  # so that a small run soon needs more than there is
    pools = planned(world(POOLS))
    connect = runfile._connect

    def full(path, *, read_only=False):
        db = connect(path, read_only=read_only)
        used = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count={used + pages}")
        return db

    monkeypatch.setattr(runfile, "_connect", full)
    with pytest.raises(RunFileError, match="full"):
        pools.apply("a.run")
    sent = len(pools.picture()[1])
    monkeypatch.setattr(runfile, "_connect", connect)
    with RunFile.open(pools.folder / "a.run") as file:
        known = len(file.unsettled()) + sum(file.outcome_counts().values())
    assert known >= sent or sent == 0, "a request left without its intent"
    assert pools.apply("a.run").outcomes["done"] == 84


def test_a_commit_that_fails_reaches_everyone_who_waits_for_it(tmp_path, monkeypatch):
    with RunFile.create(tmp_path / "x.run", {}) as file:

        def fails(intents):
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(file, "intend", fails)
        with pytest.raises(RunFileError, match="disk I/O error"), file.transaction():
            file.intend([])
        file.set_header(sound=True)
        assert file.header()["sound"] is True


# -- the plan --------------------------------------------------------------------------------------------------------


def test_ids_that_names_stand_for_cannot_be_changed_unseen(world):
    pools = planned(world(POOLS))
    pools.apply("a.run")
    settle(pools)
    pools.plan("b.run")
    with RunFile.open(pools.folder / "b.run", write=True) as file:
        file._db.execute("UPDATE object SET id = 'another'")
        with pytest.raises(RunFileError, match="changed after it was planned"):
            file.verify()


def test_a_plan_is_bound_to_the_files_that_its_input_names(world):
    pools = planned(world(POOLS))
    with RunFile.open(pools.folder / "a.run") as file:
        first = file.header()["inputs"]
    assert sorted(name.rpartition("/")[2] for name in first) == ["input.yaml", "m.csv"]
    with (pools.folder / "m.csv").open("a", encoding="utf-8") as stream:
        stream.write("\n")
    pools.plan("b.run")
    with RunFile.open(pools.folder / "b.run") as file:
        second = file.header()["inputs"]
    assert [name.rpartition("/")[2] for name in first if first[name] != second[name]] == ["m.csv"]


PLACES = [
    {"PYTHONHASHSEED": "0", "TZ": "UTC", "LC_ALL": "C"},
    {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C.UTF-8"},
    {"PYTHONHASHSEED": "4242", "TZ": "America/St_Johns", "LC_ALL": "tr_TR.UTF-8"},
]


def test_plans_are_the_same_whatever_the_place_time_zone_locale_and_hash_seed(tmp_path):
    printed = set()
    for number, place in enumerate(PLACES):
        command = [sys.executable, str(sys.modules["chaos"].__file__), "plan", str(tmp_path / f"machine-{number}")]
        environment = {**os.environ, **place}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        printed.add(done.stdout)
    assert len(printed) == 1
    assert "machine-" not in printed.pop()


# -- reads that fail -------------------------------------------------------------------------------------------------

READS = {
    POOLS: ["/groups(*", "/groups/*/members", "/groups/*", "/users/*", "/subscribedSkus"],
    ASSIGN: ["/users/*", "/subscribedSkus"],
    TEAMS: ["/groups(*", "/groups/*/owners", "/teams/*", "/teams/*/channels", "/users/*"],
    ACCESS: [POLICIES, "/identity/conditionalAccess/namedLocations", "/groups", "/users/*"],
    DEVICES: ["/deviceManagement/deviceCompliancePolicies", "/deviceManagement/deviceCompliancePolicies/*/assignments"],
}
FAILURES = [
    {"action": "answer", "status": 403},
    {"action": "answer", "status": 500},
    {"action": "throttle", "retry_after": "1"},
    {
        "action": "answer",
        "status": 200,
        "body": {"value": [], "@odata.nextLink": "https://graph.microsoft.com/v1.0/loop"},
    },
]


def cases_of_reading():
    for recipe, paths in READS.items():
        for path in paths:
            single = "(" in path or path.endswith(("/groups/*", "/users/*", "/teams/*"))
            yield from ((recipe, path, failure) for failure in FAILURES if not (single and "body" in failure))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A tenant for each recipe in which its plan has been carried out."""
    worlds = {}
    for recipe in INPUTS:
        worlds[recipe] = World(tmp_path_factory.mktemp("kept"), recipe)
        worlds[recipe].prepare()
        worlds[recipe].plan("a.run")
        worlds[recipe].apply("a.run")
        settle(worlds[recipe])
    return worlds


@pytest.mark.parametrize(("recipe", "path", "failure"), [*cases_of_reading()])
def test_what_cannot_be_read_is_not_planned(kept, recipe, path, failure):
    world = kept[recipe]
    world.faults([{**failure, "method": "GET", "path": path}, {"path": "/loop", "action": "answer", "status": 500}])
    name = f"{abs(hash((path, str(failure))))}.run"
    try:
        summary = world.plan(name)
    except GraphkitError:
        return  # without a list that all depend on there is no plan at all
    finally:
        world.faults([])
    assert summary.writes == 0
    for line in world.lines(name):
        change = json.loads(line)
        assert change["action"] in ("noop", "blocked")
        assert change["note"] or change["action"] == "noop"


def test_a_group_whose_owners_cannot_be_looked_up_is_not_created_without_them(world):
    teams = world(TEAMS)
    # The first look-up is refused, for the group itself; the next one, for its owners, is not.
    teams.faults([{"method": "GET", "path": "/users/*", "action": "answer", "status": 403, "times": 2}])
    summary = teams.plan("a.run")
    assert summary.writes == 0
    (note, *_) = [json.loads(line)["note"] for line in teams.lines("a.run") if '"group"' in line]
    assert "its owners could not be looked up" in note
