"""The trials, one after another; those behind a failure that leaves them nothing to stand on are left out."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from graphkit import jobs
from graphkit.errors import GraphkitError
from graphkit.jobs import Asked, Summary
from graphkit.recipe import Recipe, Report, find_recipe
from graphkit.sandbox import load_scenario
from graphkit.trials.permissions import Undeclared, judge_permissions, permitted
from graphkit.trials.wire import Wire
from graphkit.trials.world import Subject, World, started

STEPS = 12
"""Writes at which a run is broken off; of longer ones so many, spread evenly, the first and the last among them."""
SCENARIOS = ("throttled-day", "ambiguous-creates", "half-done", "replica-lag")
"""Faults that come with the simulated tenant."""


@dataclass(frozen=True, slots=True)
class Trial:
    """``passed`` is None for a trial that has no meaning here; ``told`` says why, or what was seen."""

    name: str
    passed: bool | None
    told: str = ""


class Failed(Exception):
    """A trial went wrong; the text says what was seen."""


def run_trials(
    recipe: Recipe | Report,
    folder: Path,
    *,
    asked: Asked | None = None,
    steps: int = STEPS,
) -> Iterator[Trial]:
    """Each trial as it ends. ``folder`` must be new or empty and keeps everything: runs, inputs, tenants.

    Without ``asked`` the starter file is tried, with ``recipe.trial`` for its options. ``steps`` is at how many of its
    writes a run is broken off at most.
    """
    if isinstance(recipe, Report):
        plain = started(recipe, folder / "input") if recipe.template else Subject.of(recipe)
        subject = Subject(recipe, asked) if asked else plain
        yield from _tried(
            [("reads only, with the permissions declared", lambda: _report(World.new(folder / "a", subject)))]
        )
        return
    if recipe.trial is None and not asked:
        yield Trial("does what its starter file asks for", None, "it acts on what it finds; give it an input with -i")
        return
    first = started(find_recipe(recipe.builds_on), folder / "first") if recipe.builds_on and not asked else None
    subject = Subject(recipe, asked) if asked else started(recipe, folder / "input")
    yield from Rounds(folder, subject, steps, first).run()


def _tried(trials: list[tuple[str, Callable[[], str | None]]]) -> Iterator[Trial]:
    """Run them in their order; after the first failure the rest stays untried, for it stands on what failed."""
    for name, trial in trials:
        try:
            told = trial()
        except (Failed, Undeclared) as failure:
            yield Trial(name, False, str(failure))
            return
        except GraphkitError as error:
            yield Trial(name, False, "; ".join([error.message, *map(str, getattr(error, "problems", [])[:5])]))
            return
        yield Trial(name, None if told is None else True, told or "")


class Rounds:
    """The trials of one recipe. Each takes a copy of the world as it was before (``_before``) or after (``_usual``)."""

    def __init__(self, folder: Path, subject: Subject, steps: int, first: Subject | None = None) -> None:
        self._folder = folder
        self._subject = subject
        self._steps = steps
        self._before = World.new(folder / "before", subject, first)
        self._usual = self._before.copy(folder / "usual")
        self._writes = 0

    def run(self) -> Iterator[Trial]:
        yield from _tried(
            [
                ("plans something, and sends no write for it", self._plan),
                ("plans the same again", self._plan_again),
                ("applies", self._apply),
                ("plans nothing afterwards", self._converge),
                ("needs the permissions that it declares", self._permissions),
                ("resumes wherever it was broken off", self._resume),
                *((f"ends the same with {name}", self._under(name)) for name in SCENARIOS),
                ("is undone", self._undo),
            ]
        )

    def _plan(self) -> str:
        summary = self._usual.plan("a")
        _expect_ready(self._usual, summary)
        if self._usual.written() != self._before.written():
            raise Failed("planning wrote to the tenant")
        blocked = f", {summary.changes['blocked']} blocked" if summary.changes["blocked"] else ""
        return f"{summary.writes} changes{blocked}"

    def _plan_again(self) -> str:
        self._usual.plan("b")
        if self._usual.lines("a") != self._usual.lines("b"):
            raise Failed("two plans of one input against one tenant differ: something besides these went in")
        return f"{len(self._usual.lines('a'))} lines, byte for byte"

    def _apply(self) -> str:
        before = self._usual.copy(self._folder / "planned")
        self._planned = before
        summary = self._usual.apply("a")
        _expect_well(self._usual, summary)
        self._writes = self._usual.wires[-1].writes
        return ", ".join(f"{count} {status}" for status, count in summary.outcomes.items() if count)

    def _converge(self) -> str:
        _expect_converged(self._usual)
        return "no change left"

    def _permissions(self) -> str:
        world = self._planned.copy(self._folder / "permissions")
        recipe = self._subject.recipe
        summary = world.apply("a", lambda wire: wire.permit(permitted(recipe)))
        planned = world.copy(self._folder / "permissions again")
        planned.in_session(
            lambda session: jobs.plan(session, self._subject.asked(planned.run("c")), runs_dir=planned.folder),
            lambda wire: wire.permit(permitted(recipe)),
        )
        calls = [call for each in (*self._usual.wires, *world.wires, *planned.wires) for call in each.calls]
        told = judge_permissions(recipe, calls)
        _expect_well(world, summary)
        return told

    def _resume(self) -> str:
        steps = _spread(self._writes, self._steps)
        for step in steps:
            for committed in (False, True):
                self._broken_off(step, committed=committed)
        return f"at {len(steps)} of {self._writes} writes, each before and after it was committed"

    def _broken_off(self, step: int, *, committed: bool) -> None:
        when = "after" if committed else "before"
        world = self._planned.copy(self._folder / f"{step} {when}")
        path, kept = world.run("a"), world.folder / "kept"

        def keep() -> None:
            """What a process that dies now leaves behind: the run file as it is on the disk, its journal with it."""
            kept.mkdir()
            for each in path.parent.glob(f"{path.name}*"):
                if not each.name.endswith(".lock"):
                    shutil.copyfile(each, kept / each.name)

        def prepare(wire: Wire) -> None:
            wire.crash_at, wire.committed, wire.on_crash = step, committed, keep

        try:
            world.apply("a", prepare)
        except asyncio.CancelledError:
            pass
        else:
            raise Failed(f"the run ended although it was broken off at write {step}")
        for each in path.parent.glob(f"{path.name}*"):
            each.unlink()
        for each in kept.iterdir():
            each.rename(path.parent / each.name)
        try:
            self._expect_same(world, world.apply("a"))
        except Failed as failure:
            raise Failed(f"broken off {when} write {step}: {failure} (see {world.folder})") from failure

    def _under(self, scenario: str) -> Callable[[], str]:
        def trial() -> str:
            world = self._planned.copy(self._folder / scenario)
            world.trouble(load_scenario(scenario))
            ended = ""
            try:
                ended = str(world.apply("a").status)
            except GraphkitError as error:
                ended = error.code
            world.trouble([])
            world.settle()
            self._expect_same(world, world.apply("a"))
            return f"first {ended}, then all well"

        return trial

    def _undo(self) -> str | None:
        undo: Any = getattr(jobs, "undo", None)
        if undo is None:
            return None
        world = self._usual.copy(self._folder / "undone")
        limits = replace(
            self._subject.given.options, max_removals=1_000_000, max_deletes=1_000_000, allow_irreversible=True
        )
        path, out = world.run("a"), world.run("undo")
        summary: Summary = world.in_session(
            lambda session: undo(session, path, runs_dir=world.folder, options=limits, out=out)
        )
        if summary.status == "blocked":
            raise Failed("; ".join(summary.blocked))
        if summary.writes:
            _expect_well(world, world.apply("undo"))
            world.settle()
        again = world.plan("z")
        first, then = _writes_by_kind(self._planned, "a"), _writes_by_kind(world, "z")
        left = summary.changes["blocked"]
        if first != then and not left:
            raise Failed(f"planned before: {first}; after the undo: {then}")
        return f"{summary.writes} changes taken back, {left} cannot be; {again.writes} to do again"

    def _expect_same(self, world: World, summary: Summary) -> None:
        _expect_well(world, summary)
        _expect_converged(world)
        different = world.differences(self._usual)
        if different:
            raise Failed(f"the tenant is not as after an undisturbed run: {'; '.join(different[:5])}")


def _expect_ready(world: World, summary: Summary) -> None:
    if summary.status == "blocked":
        raise Failed(f"the plan is blocked: {'; '.join(summary.blocked)}")
    if not summary.writes and (why := world.left_alone(summary.run.stem)):
        raise Failed(f"every change is blocked: {'; '.join(why[:5])}")
    if not summary.writes:
        raise Failed("nothing is left to plan: the input asks for what the tenant of the trial holds already")


def _expect_well(world: World, summary: Summary) -> None:
    bad = world.not_well(summary.run.stem)
    if summary.status != "finished":
        raise Failed(f"the run is {summary.status}")
    if bad:
        raise Failed(f"{len(bad)} did not end well: {'; '.join(bad[:5])}")


def _expect_converged(world: World) -> None:
    """A plan after it is empty, and going on with it writes nothing. Replication and licensing have their time."""
    world.settle()
    summary = world.plan("again")
    if summary.writes:
        wishes = [line for line in world.lines("again") if '"action":"noop"' not in line]
        raise Failed(f"{summary.writes} changes are planned anew: {'; '.join(wishes[:3])}")
    world.run("again").unlink()
    before = world.written()
    world.apply("a")
    if world.written() != before:
        raise Failed("going on with a finished run wrote something")


def _report(world: World) -> str:
    recipe = world.subject.recipe

    async def build(session: Any) -> int:
        async with jobs.report(session, world.subject.asked(None)) as found:
            return sum(1 for section in found.findings.sections for _ in section.rows())

    rows = world.in_session(build, lambda wire: wire.permit(permitted(recipe)))
    judge_permissions(recipe, [call for wire in world.wires for call in wire.calls])
    return f"{rows} rows"


def _writes_by_kind(world: World, name: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in world.lines(name):
        change = msgspec.json.decode(line)
        if change["action"] not in ("noop", "blocked"):
            kind = f"{change['action']} {change['kind']}"
            found[kind] = found.get(kind, 0) + 1
    return found


def _spread(count: int, most: int) -> list[int]:
    """1 to ``count``, or ``most`` of them."""
    if count <= most:
        return list(range(1, count + 1))
    return sorted({1 + round(at * (count - 1) / max(1, most - 1)) for at in range(most)})
