"""Every place at which a run can die, and every fault on every kind of request: the long proofs and their short form.

A killed leg is a process of its own that ends by SIGKILL: at the tenant (before a call, after its commit, after its
answer) or around a write of the journal. What the tenant then holds and has logged is compared with an undisturbed run.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from pathlib import Path

from chaos import Undisturbed, World, settle

from graphkit.engine.journal import Journal
from graphkit.errors import GraphkitError

WRITES = ["PATCH", "POST", "PUT", "DELETE"]
AT_THE_TENANT = ("before", "after", "answered")
AT_THE_JOURNAL = ("journal-before", "journal-after")
POINTS = (*AT_THE_TENANT, *AT_THE_JOURNAL)
ALL_UP_TO = 60
"""Up to so many steps each is tried; above that the first and the last twenty, and twenty by the dice."""
SOME = 20

Kill = tuple[str, int]
"""Where, and at which call or transaction."""


@dataclass
class Tally:
    """What was done to runs, and what came of it."""

    cases: int = 0
    faults: int = 0
    kills: int = 0
    lost: int = 0
    duplicates: int = 0
    beyond: int = 0
    foreign: int = 0
    different: int = 0
    told: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        return not (self.lost or self.duplicates or self.beyond or self.foreign or self.different)

    def add(self, other: Tally) -> None:
        for name in ("cases", "faults", "kills", "lost", "duplicates", "beyond", "foreign", "different"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.told += other.told


@dataclass(frozen=True)
class Steps:
    """How many writes and transactions an undisturbed run of a recipe has."""

    writes: int
    flushes: int

    def kills(self, dice: random.Random) -> Iterator[Kill]:
        for point in POINTS:
            count = self.flushes if point in AT_THE_JOURNAL else self.writes
            yield from ((point, index) for index in chosen(count, dice))


def chosen(count: int, dice: random.Random) -> Sequence[int]:
    """Which of ``count`` steps to try."""
    every = range(1, count + 1)
    if count <= ALL_UP_TO:
        return every
    middle = every[SOME:-SOME]
    return sorted({*every[:SOME], *every[-SOME:], *dice.sample(middle, min(SOME, len(middle)))})


def steps_of(usual: Undisturbed, recipe: str, folder: Path) -> Steps:
    """Counted in a run of its own."""
    shutil.copytree(usual.folder, folder)
    world = World(folder, recipe)
    world.plan("a.run")
    before = len(world.picture()[1])
    flush, flushes = Journal._flush, 0

    def counted(self, waiters):
        nonlocal flushes
        flushes += 1
        flush(self, waiters)

    Journal._flush = counted
    try:
        world.apply("a.run")
    finally:
        Journal._flush = flush
    found = Steps(len(world.picture()[1]) - before, flushes)
    shutil.rmtree(folder)
    return found


# -- killed legs -----------------------------------------------------------------------------------------------------


def kill_case(usual: Undisturbed, recipe: str, folder: Path, kills: Sequence[Kill]) -> Tally:
    """Plan, die at each of ``kills`` in turn (the later ones while resuming), resume to the end, compare."""
    shutil.copytree(usual.folder, folder)
    world = World(folder, recipe)
    tally = Tally(cases=1)
    try:
        world.plan("a.run")
        for kill in kills:
            tally.kills += die_at(world, kill)
        world.faults([])
        judge(world, usual, tally, f"{recipe} killed {kills}")
    finally:
        shutil.rmtree(folder)
    return tally


def die_at(world: World, kill: Kill, name: str = "a.run") -> bool:
    """Apply or resume in a child until it dies there; False if it ended before."""
    point, index = kill
    rules = [{"action": "kill", "when": point, "method": WRITES, "nth": index}] if point in AT_THE_TENANT else []
    world.faults(rules)
    child = _server().Process(target=leg, args=(str(world.folder), world.recipe, kill, name))
    child.start()
    child.join(300)
    assert child.exitcode in (0, -signal.SIGKILL), f"a leg ended with {child.exitcode}"
    return child.exitcode == -signal.SIGKILL


@cache
def _server() -> ForkServerContext:
    """Not forked from here, where there may be threads, but from a server that has loaded the same modules."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["matrix", "graphkit.jobs.applying", "graphkit.resources.members"])
    before = os.environ.get("PYTHONPATH")
    # Python before 3.13 does not hand our path to the server, which then loads nothing and does not say so.
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    try:
        ensure_running()
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    return context


def leg(folder: str, recipe: str, kill: Kill, name: str) -> None:
    """The child's part."""
    point, index = kill
    if point in AT_THE_JOURNAL:
        _die_around_flush(point, index)
    with suppress(GraphkitError):  # a leg may end early; what counts is what the resume makes of it
        World(Path(folder), recipe).apply(name)
    os._exit(0)


def _die_around_flush(point: str, index: int) -> None:
    flush, seen = Journal._flush, 0

    def deadly(self, waiters):
        nonlocal seen
        seen += 1
        if seen == index and point == "journal-before":
            os.kill(os.getpid(), signal.SIGKILL)
        flush(self, waiters)
        if seen == index:
            os.kill(os.getpid(), signal.SIGKILL)

    Journal._flush = deadly


# -- faults ----------------------------------------------------------------------------------------------------------

FAULTS: dict[str, dict] = {
    "committed, then 504": {"action": "commit-then", "status": 504},
    "committed, then 503 with Retry-After": {"action": "commit-then", "status": 503, "headers": {"Retry-After": "2"}},
    "committed, then reset": {"action": "commit-then", "failure": "reset"},
    "committed, then silence": {"action": "commit-then", "failure": "timeout"},
    "502, committed later": {"action": "answer-then-commit", "status": 502, "after": 4},
    "500, nothing done": {"action": "answer", "status": 500},
    "429 with Retry-After": {"action": "throttle", "retry_after": "7"},
    "429 without": {"action": "throttle"},
    "429 with a decimal": {"action": "throttle", "retry_after": "0.249"},
    "429 with a negative wait": {"action": "throttle", "retry_after": "-1"},
    "reset before the answer": {"action": "reset"},
    "three minutes of silence": {"action": "delay", "seconds": 180},
    "concurrency violation": {"action": "concurrency", "ms": 2000},
    "a page of HTML": {"action": "html", "status": 502},
    "half an answer": {"action": "truncate"},
    "an expired token": {"action": "challenge"},
}
ONLY_WRITES = ("committed", "502, committed", "concurrency")
_IDS = re.compile(
    r"<[^>]*>|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\('[^']*'\)|(?<=/)[^/ ]*@[^/ ]*|(?<=/)19:[^/ ]*"
)


def requests_of(usual: Undisturbed) -> list[tuple[str, str]]:
    """(method, path as a pattern) of every kind of write in an undisturbed run, and the reads as one."""
    kinds = {(line.split(" ", 1)[0], _IDS.sub("*", line.split(" ", 1)[1])) for line in usual.picture[1]}
    return [*sorted(kinds), ("GET", "*")]


def fault_cases(usual: Undisturbed) -> Iterator[tuple[str, dict]]:
    """Each fault on each kind of request, for the first two calls of it."""
    for method, path in requests_of(usual):
        for name, rule in FAULTS.items():
            if method != "GET" or not name.startswith(ONLY_WRITES):
                yield f"{name} on {method} {path}", {**rule, "method": method, "path": path, "times": 2}


def fault_case(usual: Undisturbed, recipe: str, folder: Path, name: str, rules: Sequence[dict]) -> Tally:
    """Plan, apply under the faults, resume when they are over, compare."""
    shutil.copytree(usual.folder, folder)
    world = World(folder, recipe)
    tally = Tally(cases=1)
    try:
        world.plan("a.run")
        world.faults(list(rules))
        with suppress(GraphkitError):  # stopped early: the resume goes on
            world.apply("a.run")
        world.faults([])
        tally.faults += world.fired
        judge(world, usual, tally, f"{recipe}: {name}")
    finally:
        shutil.rmtree(folder)
    return tally


LINKS = ("host", "lookalike", "cloud", "scheme", "port", "userinfo", "dot")
"""Where a link to the next page may lead instead: the words of the simulated tenant's rule."""


def link_case(usual: Undisturbed, recipe: str, folder: Path, link: str) -> Tally:
    """Plan and apply while every list leads elsewhere, then undisturbed; a plan that ended early must leave no run."""
    shutil.copytree(usual.folder, folder)
    world = World(folder, recipe)
    tally = Tally(cases=1)
    everywhere = [{"method": "GET", "action": "page", "mode": "foreign", "link": link}]
    try:
        world.faults(everywhere)
        with suppress(GraphkitError):
            world.plan("hostile.run")
        tally.beyond += len(world.picture()[1]) - usual.before
        world.faults([])
        world.plan("a.run")
        world.faults(everywhere)
        with suppress(GraphkitError):
            world.apply("a.run")
        world.faults([])
        tally.faults += world.fired
        judge(world, usual, tally, f"{recipe}: links to another {link}")
    finally:
        shutil.rmtree(folder)
    return tally


# -- the verdict -----------------------------------------------------------------------------------------------------


def judge(world: World, usual: Undisturbed, tally: Tally, name: str) -> None:
    """Resume until all has ended well, then compare with the undisturbed run; what is wrong goes to ``tally``."""
    summary = None
    for _ in range(4):
        try:
            summary = world.apply("a.run")
        except GraphkitError as error:
            tally.told.append(f"{name}: {error!r}")
            continue
        if summary.apply_exit_code == 0:
            break
    found = Tally()
    settle(world)
    found.beyond = world.plan("again.run").writes
    held, log = world.picture()
    usual_held, usual_log = usual.picture
    if summary is None:
        found.lost = len(usual.lines)
    else:
        found.lost = sum(summary.changes.values()) - summary.outcomes["done"] - summary.outcomes["already"]
    found.beyond += sum(line not in usual_log for line in log)
    found.duplicates = sum((world.creations() - usual.creations).values())
    found.foreign = world.foreign
    found.different = held != usual_held
    if found.sound:
        tally.told.clear()
    else:
        tally.told.append(
            f"{name}: {found.lost} lost, {found.duplicates} twice, {found.beyond} beyond the plan, "
            f"{found.foreign} bytes elsewhere, {'another' if found.different else 'the same'} end"
        )
    tally.add(found)
