"""What a run did is taken back: for every recipe, through the command line, judged by what the tenant holds."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from uuid import uuid4

import pytest
from chaos import HANDED, LATER, MADE_ID, World, _timeless, settle
from msgspec import structs

from graphkit.clock import VirtualClock
from graphkit.clock import run as run_job
from graphkit.engine.change import Status, Undo
from graphkit.engine.runfile import RunFile
from graphkit.errors import DeadlineReached
from graphkit.protocol.message import Effect, Request
from graphkit.resources.groups import Groups
from graphkit.sandbox import Seed, SimulatedTenant
from graphkit.sandbox.memory import recycling
from graphkit.session import open_session

BINS = {*recycling.BINS.values(), "deletedPolicies", "deletedLocations", "deletedChannels"}
LIMITS = ("--max-deletes", "100", "--max-removals", "100")
TEAMS, POOLS, ACCESS = "teams.provision", "licenses.pools", "identity.conditional-access"


@pytest.fixture(autouse=True)
def _declared(monkeypatch):
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "break-glass-1@contoso.example,Break glass")


@pytest.fixture
def world(tmp_path):
    def make(recipe):
        made = World(tmp_path / "world", recipe)
        made.folder.mkdir()
        made.prepare()
        rest(made)
        return made

    return make


@pytest.fixture
def command(graphkit):
    """``command(world, "undo", ...)`` on the world's tenant."""

    def call(world, *arguments):
        flags = ("-t", "simulated", "--state", world.state, "--virtual-time")
        return graphkit(*arguments, *flags)

    return call


def held(world):
    """What the tenant holds, a line for each object and link. What is deleted, or belongs to that, does not count."""
    tenant = world.tenant()
    try:
        tables = {kind: dict(table.objects) for kind, table in tenant.state.tables.items() if kind not in BINS}
        links = {name: {key: list(to) for key, to in each.items()} for name, each in tenant.state.links.items()}
    finally:
        tenant.close()
    groups = tables.get("groups", {})
    for kind in ("teams", "channels"):
        tables[kind] = {
            key: item for key, item in tables.get(kind, {}).items() if (item.get("_team") or item["id"]) in groups
        }
    live = {key: f"<{kind} {_name(item)}>" for kind, items in tables.items() for key, item in items.items()}

    def named(text):
        return MADE_ID.sub(lambda found: live.get(found[0], "<id>"), text)

    lines = Counter(f"{kind} {named(_plain(item))}" for kind, items in tables.items() for item in items.values())
    lines.update(
        f"{name} {live[key]} {live[to]}"
        for name, each in links.items()
        for key, targets in each.items()
        for to in targets
        if key in live and to in live
    )
    return lines


def _name(item):
    return item.get("uniqueName") or item.get("displayName") or item.get("userPrincipalName") or item.get("description")


def _plain(item):
    return json.dumps(_filled(_timeless(item)), sort_keys=True)


def _filled(value):
    """Null, absent and empty are one."""
    if isinstance(value, dict):
        return {name: _filled(inner) for name, inner in value.items() if inner or inner == 0}
    return [_filled(inner) for inner in value] if isinstance(value, list) else value


def assert_same(one, other):
    assert (sorted((one - other).elements()), sorted((other - one).elements())) == ([], [])


def rest(world):
    """Time passes, until all that was accepted has become effective; the next call shows it."""
    settle(world)

    change(world, "GET", "/organization")


def change(world, method, path, body=None, **effect):
    """A call of somebody else."""

    async def call():
        async with open_session(world.settings) as session:
            session.budget.allow(Effect(**(effect or {"updates": 1})))
            data = None if body is None else json.dumps(body).encode()
            answer = await session.client.send(Request(method=method, path=path, body=data))
            assert answer.ok, answer.body

    run_job(call(), virtual=True)


def applied(world, name="a.run"):
    world.plan(name)
    assert world.apply(name).apply_exit_code == 0
    rest(world)
    return world.folder / name


def undone(command, world, run, *more, code=0):
    result = command(world, "undo", run, "--yes", "-o", "json", *LIMITS, *more)
    shown = command(world, "show", json.loads(result.stdout)["run"]) if "run" in result.stdout else result
    assert result.code == code, f"{result.stderr}\n{shown.stdout}"
    rest(world)
    return result


# The others run from their starter files, and their trials take them back once (tests/test_trials.py).
@pytest.mark.parametrize("recipe", [*HANDED, "identity.cross-tenant starter"])
def test_an_undo_leads_back_to_what_was_there_before(world, command, recipe):
    tenant = world(recipe)
    before = held(tenant)
    run = applied(tenant)
    after = held(tenant)
    assert after != before
    out = tenant.folder / "undo.run"
    undone(command, tenant, run, "--out", out)
    assert_same(held(tenant), before)
    # Twice is once.
    writes = len(tenant.picture()[1])
    undone(command, tenant, run)
    assert len(tenant.picture()[1]) == writes
    # And an undo can be undone; only the name of a deleted channel stays taken for 30 days.
    taken = recipe == TEAMS + LATER
    again = undone(command, tenant, out, code=3 if taken else 0)
    if taken:
        assert (again.json["outcomes"]["done"], again.json["outcomes"]["failed"]) == (4, 4)
    else:
        assert_same(held(tenant), after)
        assert tenant.plan("again.run").writes == 0


def test_what_was_changed_since_is_left_alone_and_named_and_the_rest_is_undone(world, command):
    teams = world(TEAMS)
    run = applied(teams)
    change(teams, "PATCH", "/groups(uniqueName='rx1-ward-2')", {"displayName": "Renamed by hand"})
    shown = command(teams, "undo", run, *LIMITS)
    assert "! rx1-ward-2" in shown.stdout
    assert "it was changed after that run: left alone" in shown.stdout
    result = undone(command, teams, run, code=3)
    assert result.json["outcomes"]["skipped"] == 1
    left = [line for line in held(teams) if line.startswith("groups ")]
    assert any("Renamed by hand" in line for line in left)
    assert not any("Ward 1" in line for line in left)


def test_a_policy_that_somebody_adopted_since_keeps_what_they_made_of_it(world, command):
    access = world(ACCESS)
    run = applied(access)
    tenant = access.tenant()
    policies = tenant.state.table("policies").objects
    (key,) = [key for key, policy in policies.items() if policy["displayName"] == "p1"]
    tenant.close()
    change(access, "PATCH", f"/identity/conditionalAccess/policies/{key}", {"state": "disabled"})
    result = undone(command, access, run, code=3)
    # The location that it refers to is named with it: it cannot go before the policy does.
    assert result.json["outcomes"]["done"] == 3 + 1
    assert result.json["outcomes"]["skipped"] == 2


def test_an_undo_keeps_to_the_limits_and_says_what_would_allow_it(world, command):
    run = applied(teams := world(TEAMS))
    writes = len(teams.picture()[1])
    result = command(teams, "undo", run, "--yes", "-o", "json")
    assert result.code == 6
    assert result.json["error"]["reasons"] == ["4 deletions planned, 0 allowed; --max-deletes 4 allows them"]
    assert len(teams.picture()[1]) == writes


def test_without_a_terminal_and_without_yes_the_plan_is_shown_and_kept(world, command):
    run = applied(teams := world(TEAMS))
    writes = len(teams.picture()[1])
    out = teams.folder / "back.run"
    result = command(teams, "undo", run, "--out", out, *LIMITS)
    assert result.code == 0
    assert "undo of teams.provision for" in result.stdout
    assert "x rx1-ward-1" in result.stdout
    assert f"graphkit apply {out}" in result.stdout
    assert len(teams.picture()[1]) == writes
    assert command(teams, "apply", out, "--yes").code == 0


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1)])
def test_at_a_terminal_the_undo_is_shown_and_a_person_decides(world, graphkit, answer, code):
    run = applied(teams := world(TEAMS))
    before = len(teams.picture()[1])
    flags = ("-t", "simulated", "--state", teams.state, "--virtual-time")
    result = graphkit("undo", run, *LIMITS, *flags, stdin=answer, terminal=True)
    assert result.code == code
    assert "Apply 4 changes to" in result.stderr
    assert (len(teams.picture()[1]) > before) is (code == 0)


def test_one_object_and_what_is_below_it_is_undone_alone(world, command):
    run = applied(teams := world(TEAMS))
    assert undone(command, teams, run, "--only", "rx1-ward-3").json["outcomes"]["done"] == 1
    left = [line for line in held(teams).elements() if line.startswith("groups ") and "Ward" in line]
    assert len(left) == 3
    result = command(teams, "undo", run, "--yes", "--only", "rx1-ward-9", "-o", "json")
    assert result.code == 5
    assert "did nothing to rx1-ward-9" in result.json["error"]["message"]


def test_a_run_is_undone_where_it_was_applied_and_nowhere_else(world, command, graphkit):
    run = applied(teams := world(TEAMS))
    assert graphkit("undo", run, "--yes", "-t", "http://127.0.0.1:1").code == 4
    other = World(teams.folder.with_name("other"), TEAMS)
    other.folder.mkdir()
    SimulatedTenant.open(
        other.state, VirtualClock(), seed=Seed(organisations=1, users=40, tenant_id=str(uuid4()))
    ).close()
    result = command(other, "undo", run, "--yes", "-o", "json")
    assert result.code == 4
    assert result.json["error"]["code"] == "wrong-tenant"


def test_a_plan_that_was_never_applied_needs_no_undoing(world, command):
    teams = world(TEAMS)
    teams.plan("a.run")
    result = command(teams, "undo", teams.folder / "a.run", "--yes", "-o", "json")
    assert result.code == 5
    assert "has not been applied" in result.json["error"]["message"]


def test_a_run_that_was_stopped_midway_is_undone_as_far_as_it_came(world, command):
    pools = world(POOLS)
    before = held(pools)
    pools.plan("a.run")
    with pytest.raises(DeadlineReached):
        pools.apply("a.run", deadline_s=0.3)
    rest(pools)
    assert held(pools) != before
    undone(command, pools, pools.folder / "a.run")
    assert_same(held(pools), before)


def test_a_write_whose_outcome_nobody_recorded_is_looked_for_and_undone(world, command):
    pools = world(POOLS)
    before = held(pools)
    run = applied(pools)
    with RunFile.open(run, write=True) as file:
        (group, *_) = file.changes("group")
        with file.transaction():
            file._db.execute("DELETE FROM outcome WHERE seq = ?", (group.seq,))
    undone(command, pools, run)
    assert_same(held(pools), before)


def test_what_cannot_be_taken_back_is_said_to_be_so(world, command, monkeypatch):
    run = applied(teams := world(TEAMS))
    monkeypatch.setattr(Groups, "undo", Undo.IRREVERSIBLE)
    result = command(teams, "undo", run, "--only", "rx1-ward-1", *LIMITS)
    assert "what was done to it cannot be taken back" in result.stdout


def test_an_undo_that_could_not_be_undone_itself_needs_a_flag(world, command, monkeypatch):
    run = applied(teams := world(TEAMS))
    usual = Groups.inverse

    def for_good(resource, change, object_id):
        return structs.replace(usual(resource, change, object_id), undo=Undo.IRREVERSIBLE)

    monkeypatch.setattr(Groups, "inverse", for_good)
    refused = command(teams, "undo", run, "--yes", "-o", "json", *LIMITS)
    assert refused.code == 6
    assert "--allow-irreversible allows them" in refused.json["error"]["message"]
    undone(command, teams, run, "--allow-irreversible")


def rewritten(world, name, old, new):
    path = world.folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


SMALL_CHANGES = {
    "an owner of a group that was there": (
        TEAMS, "input.csv", "rx1-0002@contoso.example", "rx1-0002@contoso.example;rx1-0003@contoso.example",
    ),
    "an assignment of a policy that was there": ("devices.compliance", "input.yaml", "[All devices]", "[All users]"),
    "plans of a licence that was there": ("licenses.assign", "input.csv", ",EMS,,", ",EMS,INTUNE_A,"),
}  # fmt: skip


@pytest.mark.parametrize("what", SMALL_CHANGES)
def test_an_addition_to_what_was_there_is_undone_alone(world, command, what):
    recipe, *change = SMALL_CHANGES[what]
    tenant = world(recipe)
    applied(tenant, "first.run")
    before = held(tenant)
    rewritten(tenant, *change)
    run = applied(tenant)
    after = held(tenant)
    assert after != before
    out = tenant.folder / "back.run"
    undone(command, tenant, run, "--out", out)
    assert_same(held(tenant), before)
    undone(command, tenant, out)
    assert_same(held(tenant), after)


def group_id(world):
    tenant = world.tenant()
    try:
        return next(key for key, group in tenant.state.table("groups").objects.items() if group["securityEnabled"])
    finally:
        tenant.close()


def test_a_target_that_somebody_added_since_keeps_the_assignment_from_being_undone(world, command):
    devices = world("devices.compliance")
    applied(devices, "first.run")
    rewritten(devices, "input.yaml", "[All devices]", "[All devices, All users]")
    run = applied(devices)
    with RunFile.open(run) as file:
        first, second, *_ = (key for kind, key in sorted(file.object_ids()) if kind == "deviceCompliancePolicy")
        ids = [file.object_ids()["deviceCompliancePolicy", key] for key in (first, second)]
        wanted = next(file.changes("deviceCompliancePolicy.assignment")).after["targets"]
    as_before = [{"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"}]
    more = {"@odata.type": "#microsoft.graph.exclusionGroupAssignmentTarget", "groupId": group_id(devices)}
    for policy, targets in zip(ids, (as_before, [*wanted, more]), strict=True):
        body = {"assignments": [{"target": target} for target in targets]}
        change(devices, "POST", f"/deviceManagement/deviceCompliancePolicies/{policy}/assign", body)
    rest(devices)
    # What somebody took back is back already; what somebody added to is left alone.
    result = undone(command, devices, run, code=3)
    assert result.json["outcomes"] == {"done": 2, "already": 1, "failed": 0, "skipped": 1, "unknown": 0}


def test_a_team_made_of_a_group_that_was_there_is_archived_and_an_undo_of_that_wakes_it(world, command):
    teams = world(TEAMS)
    run = applied(teams)
    # Its group counts as made by somebody else.
    with RunFile.open(run, write=True) as file:
        groups = [change.seq for change in file.changes("group")]
        file.record([(seq, replace(file.outcome(seq), status=Status.ALREADY), 0.0) for seq in groups])
    before = held(teams)
    out = teams.folder / "back.run"
    undone(command, teams, run, "--out", out, "--only", "rx1-ward-1", "--only", "rx1-ward-2")
    archived = [line for line in held(teams).elements() if line.startswith("teams ") and '"isArchived": true' in line]
    assert len(archived) == 2
    with RunFile.open(out) as file:
        notes = {change.note for change in file.changes("team")}
    assert notes == {"a team cannot be taken from its group: archived instead"}
    undone(command, teams, out, code=3)  # the names of the channels stay taken
    woken = [line for line in held(teams).elements() if line.startswith("teams ")]
    assert sorted(woken) == sorted(line for line in before.elements() if line.startswith("teams "))


POLICY = {
    "displayName": "p0",
    "state": "enabled",
    "conditions": {
        "clientAppTypes": ["all"],
        "users": {"includeUsers": ["All"]},
        "applications": {"includeApplications": ["All"]},
    },
    "grantControls": {"operator": "OR", "builtInControls": ["block"]},
}


def test_an_undo_that_would_lock_somebody_out_is_refused_like_any_plan(world, command):
    """A policy that caught the break-glass accounts was mended by a run; to take that back would lock them out."""
    access = world(ACCESS)
    change(access, "POST", "/identity/conditionalAccess/policies", POLICY, creates=1)
    rest(access)
    run = access.folder / "a.run"
    given = access.folder / "input.yaml"
    done = command(access, "apply", ACCESS, "-i", given, "--out", run, "--adopt", "--yes", "-o", "json")
    assert done.code == 0, done.stderr
    rest(access)
    before = held(access)
    result = command(access, "undo", run, "--yes", "-o", "json", *LIMITS)
    assert result.code == 6, result.stdout
    assert "p0" in result.json["error"]["message"]
    assert "break-glass-1" in result.json["error"]["message"]
    assert_same(held(access), before)
