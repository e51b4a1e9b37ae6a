"""One folder for a trial: a simulated tenant in a file, the inputs of one recipe, and its runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import httpx

from graphkit import jobs
from graphkit.clock import VIRTUAL_EPOCH, StillClock, run
from graphkit.engine.change import Action
from graphkit.engine.resource import PlanOptions
from graphkit.engine.runfile import RunFile
from graphkit.jobs import Asked, Summary
from graphkit.recipe import Recipe, Report, template_of
from graphkit.sandbox import Seed, SimulatedTenant, differences, furnish, stored_time
from graphkit.session import Session, open_session
from graphkit.settings import Settings, load
from graphkit.trials.wire import Wire

T = TypeVar("T")

DOMAIN = "contoso.example"
SEED = Seed(organisations=3, users=120, devices=30, domain=DOMAIN)
"""RX1 to RX3, with 40 people (rx1-0001@contoso.example ...) and 10 devices each."""
GROUPS = 2
BREAK_GLASS = ("break-glass-1@contoso.example", "break-glass-2@contoso.example", "Break glass")
SETTLING_S = 3600.0
"""What replicas, licences and teams are given before somebody looks."""
FRESH = ("ready", "empty")


@dataclass(frozen=True, slots=True)
class Subject:
    """What is tried: a recipe or report with what is asked of it."""

    recipe: Recipe | Report
    given: Asked

    @classmethod
    def of(cls, recipe: Recipe | Report, inputs: Iterable[str] = (), options: PlanOptions | None = None) -> Subject:
        report = isinstance(recipe, Report)
        options = options or PlanOptions()
        return cls(recipe, Asked(recipe=recipe.name, inputs=tuple(inputs), options=options, for_report=report))

    def asked(self, out: Path | None) -> Asked:
        """The break-glass accounts are those of the tenant on trial, whichever the settings name for the real one."""
        options = replace(self.given.options, break_glass=BREAK_GLASS, confirm=self.given.options.confirm or DOMAIN)
        return replace(self.given, options=options, out=out)


def started(recipe: Recipe | Report, folder: Path) -> Subject:
    """A recipe or report with its starter files, which are written into ``folder``."""
    folder.mkdir(parents=True)
    for name, text in template_of(recipe):
        (folder / name).write_text(text, encoding="utf-8")
    beside, trial = (recipe.given_with, recipe.trial) if isinstance(recipe, Recipe) else ((), None)
    return Subject.of(recipe, (str(folder / name) for name in (recipe.template, *beside)), trial)


def scratch() -> TemporaryDirectory[str]:
    """A folder that goes when its context ends; in memory where there is such a place, for runs sync at every step."""
    memory = "/dev/shm"  # noqa: S108 - the name is not ours to choose, and the folder in it is made by mkdtemp
    return TemporaryDirectory(prefix="graphkit-trials-", dir=memory if os.access(memory, os.W_OK) else None)


class World:
    """``folder`` is empty at first, or a copy of another's (:meth:`copy`)."""

    def __init__(self, folder: Path, subject: Subject) -> None:
        self.folder = folder
        self.subject = subject
        self.wires: list[Wire] = []

    @classmethod
    def new(cls, folder: Path, subject: Subject, first: Subject | None = None) -> World:
        """``first`` is carried out beforehand."""
        folder.mkdir(parents=True)
        world = cls(folder, subject)
        with closing(SimulatedTenant.open(world.state, StillClock(VIRTUAL_EPOCH), seed=SEED)) as tenant:
            furnish(tenant, groups=GROUPS)
        if first is not None:
            before = cls(folder, first)
            before.plan("first")
            before.apply("first")
            before.settle()
            before.run("first").unlink()
        return world

    def copy(self, folder: Path) -> World:
        shutil.copytree(self.folder, folder)
        return World(folder, self.subject)

    @property
    def state(self) -> Path:
        return self.folder / "tenant.db"

    def run(self, name: str) -> Path:
        return self.folder / f"{name}.run"

    # -- what is done in it --------------------------------------------------------------------------------------

    def plan(self, name: str) -> Summary:
        asked = self.subject.asked(self.run(name))
        return self.in_session(lambda session: jobs.plan(session, asked, runs_dir=self.folder))

    def apply(self, name: str, prepare: Callable[[Wire], None] = lambda _: None) -> Summary:
        """Carry out a plan, or go on with it."""
        with RunFile.open(self.run(name)) as file:
            resume = file.header()["status"] not in FRESH
            told = self.folder / f"{name}.passes.csv" if jobs.handed_out(file.counts_by_kind()) else None
        path = self.run(name)
        return self.in_session(lambda session: jobs.apply(session, path, resume=resume, tap_out=told), prepare)

    def in_session(
        self, work: Callable[[Session], Awaitable[T]], prepare: Callable[[Wire], None] = lambda _: None
    ) -> T:
        def around(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
            wire = Wire(inner)
            self.wires.append(wire)
            prepare(wire)
            return wire

        async def main() -> T:
            async with open_session(self._settings(), around=around) as session:
                return await work(session)

        return run(main(), virtual=True)

    def _settings(self) -> Settings:
        flags: dict[str, Any] = {"target": "simulated", "state": str(self.state), "virtual_time": True}
        return load({**flags, "runs_dir": str(self.folder / "runs")}, env={}, cwd=self.folder)

    def trouble(self, rules: Iterable[dict[str, Any]]) -> None:
        """From now on these faults, in the place of those before."""
        with closing(self._look()) as tenant:
            tenant.faults.clear()
            tenant.faults.extend(list(rules))

    def settle(self) -> None:
        """Time passes, and whatever the service does of its own accord is done."""
        with closing(self._look()) as tenant:
            tenant.state.set_meta("now", (stored_time(self.state) or 0.0) + SETTLING_S)

    # -- what is seen in it --------------------------------------------------------------------------------------

    def lines(self, name: str) -> list[str]:
        with RunFile.open(self.run(name)) as file:
            return [change.line() for change in file.changes()]

    def left_alone(self, name: str) -> list[str]:
        """Why changes are blocked, each reason once."""
        with RunFile.open(self.run(name)) as file:
            blocked = (change for change in file.changes() if change.action is Action.BLOCKED)
            return list(dict.fromkeys(f"{change.kind} {change.key}: {change.note}" for change in blocked))

    def not_well(self, name: str) -> list[str]:
        """Changes that did not end as wished, with the words that say why."""
        with RunFile.open(self.run(name)) as file:
            return [
                f"{change.action} {change.kind} {change.key}: {result.code} {result.error}".strip()
                for change, result in file.results()
                if result is not None and change.action.writes and result.status not in ("done", "already")
            ]

    def written(self) -> int:
        """How many writes the tenant has committed."""
        with closing(self._look()) as tenant:
            return len(list(tenant.log))

    def differences(self, other: World) -> list[str]:
        """What this tenant holds and the other does not, or the other way round; ids and times apart."""
        with closing(self._look()) as ours, closing(other._look()) as theirs:
            return [
                f"{each.kind} {each.name}: "
                + (f"{', '.join(each.properties)} differ" if not each.only else _only(each.only))
                for each in differences(ours.state, theirs.state)
            ]

    def _look(self) -> SimulatedTenant:
        return SimulatedTenant.open(self.state, StillClock(stored_time(self.state) or VIRTUAL_EPOCH))


def _only(side: str) -> str:
    return "is here only" if side == "a" else "is missing"
