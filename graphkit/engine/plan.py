"""From wishes and what is there to a sealed plan.

A pure function of its inputs and the tenant's state, in its plan lines: neither time nor place nor hash seed shows.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

from msgspec.structs import replace

from graphkit.engine.change import Action, Change, Desired, Reading
from graphkit.engine.forecast import Forecast, weighed
from graphkit.engine.rails import Rail, broken_rails, outside, unconfirmed
from graphkit.engine.resource import Context, Resource
from graphkit.engine.run.store import CHUNK
from graphkit.engine.runfile import RunFile
from graphkit.errors import InputErrors, InputProblem

T = TypeVar("T")
Need = tuple[str, str]
"""Kind and key."""
SOME_CHUNKS = 50_000
"""New objects after which garbage is looked for; a chunk of wishes has some 5,000."""


def chunked(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


class Planner:
    """Fills one run file. ``resources`` maps a kind to its noun; ``rails`` judge every change besides."""

    def __init__(
        self, run: RunFile, resources: Mapping[str, Resource], context: Context, rails: Sequence[Rail] = ()
    ) -> None:
        self._run = run
        self._rails = rails
        self._resources = resources
        self._context = context
        self._needs = PlannedNeeds(run, context.object_ids)
        self._forecast = Forecast(resources)
        self._orgs_of: dict[str, str] = {}

    async def plan(
        self, wishes: Iterable[Desired], problems: list[InputProblem], *, quota_share: float, apps: int = 1
    ) -> None:
        """Stage, resolve, read, compare, guard, seal.

        ``apps`` is how many identities share the work. ``problems`` may grow while ``wishes`` is consumed. Raises
        ``InputErrors`` with all of them, unless the options say to skip invalid rows and each is a single row or entry.
        """
        with _undisturbed():
            await self._plan(wishes, problems, quota_share, apps)

    async def _plan(
        self, wishes: Iterable[Desired], problems: list[InputProblem], quota_share: float, apps: int
    ) -> None:
        for chunk in chunked(wishes):
            self._run.stage(self._fenced(chunk))
        for kind in self._kinds():
            async for further in self._resources[kind].expand(self._run):
                self._run.stage(self._fenced(further))
        kinds = self._kinds()
        for kind in kinds:
            await self._resources[kind].gather(self._run)
        for kind in kinds:
            problems += await self._resolve(kind)
        problems += self._run.twice()
        self._drop_invalid(problems)
        for kind in kinds:
            await self._compare(kind)
        against = await objections(self._run, self._resources, self._context, self._rails)
        reasons = [*against, *self._removals_on_bad_ground(problems)]
        found = (self._resources[kind].alternative(self._run) for kind in kinds)
        self._context.remarks += [weighed(each, quota_share, apps) for each in found if each]
        self._run.note_objects(self._context.object_ids)
        self._run.seal(
            remarks=list(dict.fromkeys(self._context.remarks)),
            status=self._status(reasons),
            blocked=reasons,
            cost=self._forecast.rows(quota_share, apps),
        )

    def _kinds(self) -> list[str]:
        """Every kind that is wanted, in plan order."""
        return sorted(self._run.wanted_kinds(), key=lambda kind: (self._resources[kind].rank, kind))

    def _fenced(self, items: Sequence[Desired]) -> Sequence[Desired]:
        """What belongs to another organisation than ``--org`` is blocked."""
        if org := self._context.options.org:
            for item in items:
                if item.rails.get("org"):
                    self._orgs_of.setdefault(item.key, str(item.rails["org"]))
                item.blocked = item.blocked or outside(item, org, self._orgs_of)
        return items

    def _status(self, reasons: Sequence[str]) -> str:
        if reasons:
            return "blocked"
        writes = any(count for action, count in self._run.counts().items() if Action(action).writes)
        return "ready" if writes else "empty"

    async def _resolve(self, kind: str) -> list[InputProblem]:
        problems = []
        for chunk in self._run.resolving(kind):
            problems += await self._resources[kind].resolve(chunk)
        return problems

    def _drop_invalid(self, problems: Sequence[InputProblem]) -> None:
        if not problems:
            return
        if not self._context.options.skip_invalid or any(problem.hides_others for problem in problems):
            raise InputErrors(sorted(dict.fromkeys(problems), key=in_input_order))
        with self._run.transaction():
            for problem in problems:
                self._run.mark_problem(problem)
                if problem.code != "duplicate-key":
                    self._run.drop_wanted(problem)

    def _removals_on_bad_ground(self, problems: Sequence[InputProblem]) -> Iterator[str]:
        """Whoever is removed for not being listed may be the one whom a row that was left out means."""
        counts = self._run.counts()
        removals = counts[Action.REMOVE] + counts[Action.DELETE]
        left_out = len({(each.file, each.where) for each in problems if each.code != "duplicate-key"})
        if removals and left_out:
            yield (
                f"{removals:,} would be removed for not being listed, while {left_out:,} invalid rows are left out and "
                "may mean the same people: correct the rows, or plan with --mode additive"
            )

    async def _compare(self, kind: str) -> None:
        resource = self._resources[kind]
        for turn in range(resource.turns()):
            for chunk in self._run.wanted_chunks(kind):
                if turn == 0:
                    resource.tally(chunk)
                items = resource.in_turn(chunk, turn)
                found = zip(items, await resource.read(items), strict=True)
                await self._add(resource, [line for pair in found for line in self._differences(resource, *pair)])
        for some in chunked(sorted(await resource.extras(self._run), key=lambda change: change.key)):
            await self._add(resource, some)

    async def _add(self, resource: Resource, changes: Iterable[Change]) -> None:
        lines = await judged(self._rails, resource, list(map(self._needs.settle, changes)))
        self._run.add_changes(lines)
        self._forecast.add(lines)

    @staticmethod
    def _differences(resource: Resource, wanted: Desired, reading: Reading) -> Iterable[Change]:
        """Unknown plans nothing, and neither does what the recipe itself has blocked."""
        why = wanted.blocked or (f"it could not be read: {reading.why}" if not reading.known else "")
        if not why:
            return resource.removal(wanted, reading) if wanted.absent else resource.diff(wanted, reading)
        return [Change(kind=wanted.kind, key=wanted.key, action=Action.BLOCKED, note=why, origin=wanted.origin)]


async def judged(rails: Sequence[Rail], resource: Resource, changes: list[Change]) -> list[Change]:
    """What the rails leave alone is blocked, and says why."""
    if not rails:
        return changes
    places = [place for place, change in enumerate(changes) if change.action.writes]
    pairs = [(changes[place], resource.touches(changes[place])) for place in places]
    for rail in rails if pairs else ():
        for index, why in (await rail.judge(pairs)).items():
            change = changes[places[index]]
            note = f"{change.note}; {why}" if change.action is Action.BLOCKED else why
            changes[places[index]] = Change(
                kind=change.kind, key=change.key, action=Action.BLOCKED, note=note, origin=change.origin
            )
    return changes


async def objections(
    run: RunFile, resources: Mapping[str, Resource], context: Context, rails: Sequence[Rail]
) -> list[str]:
    """Why the plan in ``run`` as a whole must not be applied, each reason once."""
    options = context.options
    reasons = [*broken_rails(run, options), *unconfirmed(run, resources, options, context.domain)]
    if not options.accept_impact:
        reasons += context.sizes.shrunk()
    kinds = sorted({*run.counts_by_kind(), *run.wanted_kinds()}, key=lambda kind: (resources[kind].rank, kind))
    for kind in kinds:
        reasons += await resources[kind].guard(run)
    for rail in rails:
        reasons += await rail.reasons(run)
    return list(dict.fromkeys(reasons))


class PlannedNeeds:
    """What the lines of one plan need of each other. A line is asked about once all that it may need is in the run."""

    def __init__(self, run: RunFile, known: Mapping[Need, str] | None = None) -> None:
        """``known`` are objects with their ids: what is needed must be one of them, or be wished for."""
        self._run = run
        self._known = known
        self._written: set[Need] = set()
        self._left: dict[Need, str] = {}
        """Needs that the plan does not write, and why; empty where there is nothing to do."""

    def settle(self, change: Change) -> Change:
        """Keep only needs that this plan itself is going to write; what needs a blocked object is blocked with it."""
        if self._written.issuperset(change.needs):
            return change
        left = {need: why for need in change.needs if (why := self._why_left(need)) is not None}
        why = next(filter(None, left.values()), "") or next(filter(None, map(self._why_stray, left)), "")
        if why and change.action is not Action.BLOCKED:
            return Change(kind=change.kind, key=change.key, action=Action.BLOCKED, note=why, origin=change.origin)
        if not left:
            return change
        return replace(change, needs=tuple(need for need in change.needs if need not in left))

    def _why_left(self, need: Need) -> str | None:
        """None if the plan writes it."""
        if need not in self._written and need not in self._left:
            blocked = self._run.why_blocked(*need)
            if self._run.find_change(*need) and not blocked:
                self._written.add(need)
            else:
                self._left[need] = blocked
        return self._left.get(need)

    def _why_stray(self, need: Need) -> str:
        """A recipe that fills what it neither wishes for nor looks up would fail only when that is sent."""
        if self._known is None or need in self._known or self._run.is_wanted(*need):
            return ""
        return f"it needs the {need[0]} {need[1]}, which is neither wished for nor known here"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """What is loaded by now stays, and a chunk goes as a whole: the garbage collector need not walk through either."""
    usual = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(SOME_CHUNKS, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)
        gc.unfreeze()


def in_input_order(problem: InputProblem) -> tuple[str, int, str, str]:
    """By place; several at one place by code, so that the list is the same in every process."""
    number, path = (problem.where, "") if isinstance(problem.where, int) else (0, problem.where)
    return problem.file, number, path, problem.code
