"""Plans, applies, kills, resumes, undos, foreign hands and time, in any order, against a dictionary.

A state machine of Hypothesis: it tells the tenant through graphkit what the pools should be, lets somebody else change
them behind its back, kills runs at any point, and after each step compares who is a member of what with a plain
dictionary. ``make test`` walks it a little (``test_machine.py``), ``make prove`` for long.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

import pytest
from chaos import World, settle
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from matrix import POINTS, Tally, die_at

from graphkit import jobs
from graphkit.clock import run
from graphkit.engine.resource import PlanOptions
from graphkit.engine.runfile import RunFile
from graphkit.errors import RunFileError
from graphkit.jobs import Asked
from graphkit.sandbox import stored_time
from graphkit.session import open_session

PEOPLE = [f"rx1-{number:04}@contoso.example" for number in range(1, 31)]
POOLS = ("RX1.SPE_E3.pool", "RX1.EMS.pool")
LIMITS = PlanOptions(
    break_glass=("break-glass-1@contoso.example", "Break glass"), max_changes=1000, max_removals=1000, max_deletes=1000
)
DAY_S = 86_400.0
Members = dict[str, frozenset[str]]

people = st.frozensets(st.sampled_from(PEOPLE), min_size=1)
pools = st.sampled_from(POOLS)


@dataclass(repr=False)
class Run:
    """What a plan is going to do to each pool, and what it did: only what was not so already."""

    name: str
    made: float
    adds: Members
    removes: Members
    added: Members = field(default_factory=dict)
    removed: Members = field(default_factory=dict)
    undoes: Run | None = None
    interrupted: bool = False
    """Killed at least once: what it may have sent and finds done, somebody else may have done since the plan. Nothing
    tells, so it counts as the run's own, and its undo, which is shown first, may take that back too."""

    def __repr__(self) -> str:
        return self.name


class Pools(World):
    """Two pools, each with a list of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "licenses.pools")

    def want(self, wanted: Members, *, authoritative: bool) -> None:
        for pool, name in zip(POOLS, ("m.csv", "n.csv"), strict=True):
            (self.folder / name).write_text("\n".join(["upn", *sorted(wanted[pool])]) + "\n", encoding="utf-8")
        (self.folder / "input.yaml").write_text(
            f"mode: {'authoritative' if authoritative else 'additive'}\npools:\n"
            "  - {org: RX1, sku: SPE_E3, cap: 50, members_from: m.csv}\n"
            "  - {org: RX1, sku: EMS, cap: 50, members_from: n.csv}\n",
            encoding="utf-8",
        )

    def asked(self, out: Path) -> Asked:
        return Asked(
            recipe="licenses.pools", inputs=(str(self.folder / "input.yaml"),), options=LIMITS, out=self.folder / out
        )

    def undo(self, name: str, out: str):
        async def job():
            async with open_session(self.settings, around=self.watched) as session:
                path, target = self.folder / name, self.folder / out
                return await jobs.undo(session, path, runs_dir=self.folder, options=LIMITS, out=target)

        return run(job(), virtual=True)

    def now(self) -> float:
        return stored_time(self.state) or 0.0

    def members(self) -> Members:
        tenant = self.tenant()
        try:
            groups, users = tenant.state.table("groups").objects, tenant.state.table("users").objects
            found = {groups[key].get("uniqueName"): targets for key, targets in tenant.state.links["members"].items()}
            return {pool: frozenset(users[each]["userPrincipalName"] for each in found.get(pool, ())) for pool in POOLS}
        finally:
            tenant.close()

    def by_hand(self, pool: str, upn: str, *, there: bool) -> None:
        """Somebody else adds or removes somebody."""

        async def job() -> None:
            self._by_hand(pool, upn, there=there)

        run(job(), virtual=True)

    def _by_hand(self, pool: str, upn: str, *, there: bool) -> None:
        tenant = self.tenant()
        try:
            tenant.throttling = False
            (group,) = [g for g, it in tenant.state.table("groups").objects.items() if it.get("uniqueName") == pool]
            (user,) = [u for u, it in tenant.state.table("users").objects.items() if it["userPrincipalName"] == upn]
            root = "https://graph.microsoft.com/v1.0"
            given = {"authorization": "Bearer other", "content-type": "application/json"}
            method, path = ("POST", "members/$ref") if there else ("DELETE", f"members/{user}/$ref")
            body = json.dumps({"@odata.id": f"{root}/directoryObjects/{user}"}).encode() if there else b""
            answer = tenant.handle(method, f"{root}/groups/{group}/{path}", given, body)
            assert answer.status == 204, answer.body
        finally:
            tenant.close()


def scratch() -> Path:
    """In memory where there is such a place: runs and tenants sync at every step."""
    made = tempfile.mkdtemp(prefix="graphkit-machine-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


@cache
def begun() -> Path:
    """A folder in which both pools were made once, with the first ten people."""
    folder = scratch() / "begun"
    folder.mkdir()
    world = Pools(folder)
    world.prepare()
    world.want(dict.fromkeys(POOLS, frozenset(PEOPLE[:10])), authoritative=False)
    world.plan("begin.run")
    assert world.apply("begin.run").apply_exit_code == 0
    settle(world)
    return folder


class Machine(RuleBasedStateMachine):
    done: ClassVar[Counter[str]] = Counter()
    """How often each rule was carried out, over all walks."""

    def __init__(self) -> None:
        super().__init__()
        self.root = scratch()
        shutil.copytree(begun(), self.root / "world")
        self.world = Pools(self.root / "world")
        self.members: Members = dict.fromkeys(POOLS, frozenset(PEOPLE[:10]))
        self.wanted: Members = dict(self.members)
        self.authoritative = False
        self.planned: list[Run] = []
        self.finished: list[Run] = []
        self.broken: Run | None = None
        self.names = 0
        self.world.want(self.wanted, authoritative=False)
        self.done["walks"] += 1

    def teardown(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    # -- what an operator does ---------------------------------------------------------------------------------

    @rule(pool=pools, who=people, authoritative=st.booleans())
    def another_list(self, pool: str, who: frozenset[str], authoritative: bool) -> None:
        self.wanted[pool] = who
        self.authoritative = authoritative
        self.world.want(self.wanted, authoritative=authoritative)
        if self.broken is None:
            self.plan()

    @precondition(lambda self: self.broken is None)
    @rule()
    def plan_again(self) -> None:
        """Others may have changed something since the list was handed in."""
        self.plan()

    def plan(self) -> None:
        log = self.written()
        name = self.new_name("plan")
        summary = self.world.plan(name)
        planned = self.as_planned(name)
        assert planned.adds == {pool: self.wanted[pool] - self.members[pool] for pool in POOLS}
        gone = {pool: self.members[pool] - self.wanted[pool] for pool in POOLS}
        assert planned.removes == (gone if self.authoritative else dict.fromkeys(POOLS, frozenset()))
        assert self.written() == log, "a plan wrote"
        if summary.writes:
            self.planned.append(planned)

    @precondition(lambda self: self.planned and self.broken is None)
    @rule(data=st.data())
    def apply(self, data: st.DataObject) -> None:
        chosen = self.begin(data)
        if self.too_old(chosen):
            return
        self.to_the_end(chosen)

    @precondition(lambda self: self.planned and self.broken is None)
    @rule(data=st.data(), point=st.sampled_from(POINTS), index=st.integers(1, 3))
    def apply_and_be_killed(self, data: st.DataObject, point: str, index: int) -> None:
        chosen = self.begin(data)
        if not self.too_old(chosen):
            self.killed(chosen, point, index)

    @precondition(lambda self: self.broken)
    @rule(point=st.sampled_from(POINTS), index=st.integers(1, 3))
    def resume_and_be_killed(self, point: str, index: int) -> None:
        self.killed(self.broken, point, index)

    @precondition(lambda self: self.broken)
    @rule()
    def resume(self) -> None:
        self.to_the_end(self.broken)

    @precondition(lambda self: self.finished)
    @rule(data=st.data())
    def go_on_with_what_is_finished(self, data: st.DataObject) -> None:
        log = self.written()
        self.world.apply(data.draw(st.sampled_from(self.finished), label="run").name)
        assert self.written() == log, "a finished run wrote"
        self.done["finished runs asked again"] += 1

    @precondition(lambda self: self.finished and self.broken is None)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        chosen = data.draw(st.sampled_from(self.finished), label="run")
        log, name = self.written(), self.new_name("undo")
        summary = self.world.undo(chosen.name, name)
        planned = self.as_planned(name)
        planned.undoes = chosen
        for pool in POOLS:
            there, most = self.members[pool], chosen if chosen.interrupted else None
            least_gone, least_back = chosen.added[pool] & there, chosen.removed[pool] - there
            assert least_gone <= planned.removes[pool] <= (most.adds[pool] & there if most else least_gone)
            assert least_back <= planned.adds[pool] <= (most.removes[pool] - there if most else least_back)
        assert self.written() == log, "planning an undo wrote"
        self.done["undos planned"] += 1
        if summary.writes:
            self.planned.append(planned)

    # -- what others do ----------------------------------------------------------------------------------------

    @rule(pool=pools, upn=st.sampled_from(PEOPLE))
    def somebody_else(self, pool: str, upn: str) -> None:
        """Whom an interrupted run is about to move is left alone: what came first would be anybody's guess."""
        if self.broken and upn in self.broken.adds[pool] | self.broken.removes[pool]:
            return
        there = upn not in self.members[pool]
        self.world.by_hand(pool, upn, there=there)
        settle(self.world)
        one = frozenset({upn})
        self.members[pool] = self.members[pool] | one if there else self.members[pool] - one
        self.done["foreign changes"] += 1

    @rule(seconds=st.sampled_from([60.0, 3600.0, 3600.0, 5 * 3600.0, DAY_S + 60]))
    def time_passes(self, seconds: float) -> None:
        tenant = self.world.tenant()
        tenant.state.set_meta("now", self.world.now() + seconds)
        tenant.close()

    # -- what holds --------------------------------------------------------------------------------------------

    @invariant()
    def the_dictionary_is_right(self) -> None:
        found = self.world.members()
        for pool in POOLS:
            mine = self.members[pool]
            if self.broken is None:
                assert found[pool] == mine, pool
                continue
            adds, removes = self.broken.adds[pool], self.broken.removes[pool]
            assert mine - removes <= found[pool] <= mine | adds, pool
        assert not self.world.foreign, "something left for another place"

    # -- helpers -----------------------------------------------------------------------------------------------

    def new_name(self, sort: str) -> str:
        self.names += 1
        return f"{sort}-{self.names}.run"

    def written(self) -> int:
        tenant = self.world.tenant()
        try:
            return len(tenant.log)
        finally:
            tenant.close()

    def as_planned(self, name: str) -> Run:
        moves: dict[str, dict[str, set[str]]] = {sort: {pool: set() for pool in POOLS} for sort in ("add", "remove")}
        tenant = self.world.tenant()
        users = tenant.state.table("users").objects
        with RunFile.open(self.world.folder / name) as file:
            for change in file.changes():
                if change.action.writes:
                    pool, _, user = change.key.partition("/")  # by name if it came from a list, else by id
                    moves[str(change.action)][pool].add(users[user]["userPrincipalName"] if user in users else user)
        tenant.close()
        adds, removes = ({pool: frozenset(each) for pool, each in moves[sort].items()} for sort in ("add", "remove"))
        return Run(name, self.world.now(), adds, removes)

    def begin(self, data: st.DataObject) -> Run:
        chosen = data.draw(st.sampled_from(self.planned), label="run")
        self.planned.remove(chosen)
        chosen.added = {pool: chosen.adds[pool] - self.members[pool] for pool in POOLS}
        chosen.removed = {pool: chosen.removes[pool] & self.members[pool] for pool in POOLS}
        return chosen

    def too_old(self, chosen: Run) -> bool:
        """A plan of yesterday is refused, and nothing is written."""
        if self.world.now() - chosen.made <= DAY_S:
            return False
        log = self.written()
        with pytest.raises(RunFileError, match="older than 24 hours"):
            self.world.apply(chosen.name)
        assert self.written() == log, "a plan that had expired was carried out"
        self.done["expired plans refused"] += 1
        return True

    def killed(self, chosen: Run, point: str, index: int) -> None:
        died = die_at(self.world, (point, index), chosen.name)
        self.world.faults([])
        if died:
            self.broken = chosen
            chosen.interrupted = True
            self.done["kills"] += 1
        else:
            self.ended(chosen)
        settle(self.world)

    def to_the_end(self, chosen: Run) -> None:
        summary = self.world.apply(chosen.name)
        assert summary.apply_exit_code == 0, summary.outcomes
        assert sum(summary.outcomes.values()) == sum(summary.changes.values())
        settle(self.world)
        self.ended(chosen)
        self.done["runs applied"] += 1

    def ended(self, chosen: Run) -> None:
        for pool in POOLS:
            self.members[pool] = (self.members[pool] | chosen.adds[pool]) - chosen.removes[pool]
        self.broken = None
        if chosen.undoes is None:
            self.finished.append(chosen)
        else:
            self.done["runs undone"] += 1


def walk(times: int, steps: int, number: int, *, shrink: bool = True) -> None:
    """Raises what a walk found, after Hypothesis has printed the shortest way to it."""
    phases = [Phase.generate, *([Phase.shrink] if shrink else [])]
    how = settings(
        max_examples=times,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    run_state_machine_as_test(seed(number)(Machine), settings=how)


def explore(times: int, number: int) -> Tally:
    """For ``make prove``: so many walks of up to fifty steps."""
    Machine.done.clear()
    tally = Tally()
    try:
        walk(times, 50, number)
    except Exception as error:
        tally.different = 1
        tally.told.append("".join(traceback.format_exception(error)))
    tally.cases, tally.kills = Machine.done["walks"], Machine.done["kills"]
    tally.told.append(str(dict(Machine.done)))
    return tally
