"""From a run that was carried out to a plan that takes it back.

The life of one change that is to be undone:

1. was it carried out, or may it have been? What the service refused or what was skipped needs no undoing
2. does it go with a container that the undo deletes? Then nothing is written for it
3. read: as it was before the run is a noop; as the run left it gets the inverse; anything else somebody changed since,
   and is left alone, named
4. the inverse waits for what must be gone, or be there again, before it: the needs of the run, turned round

What comes back is planned before what goes: containers before their contents when they come, after them when they go.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from msgspec.structs import replace

from graphkit.engine.change import Action, Change, Desired, Effect, Reading, Result, Status, Undo
from graphkit.engine.forecast import Forecast
from graphkit.engine.plan import PlannedNeeds, chunked, judged, objections
from graphkit.engine.rails import Rail
from graphkit.engine.resource import Context, Resource, as_desired
from graphkit.engine.runfile import RunFile

Name = tuple[str, str]
"""Kind and key."""
Done = tuple[Change, str]
"""A change that was carried out, and the id of the object that it made or touched."""

CHANGED_SINCE = "it was changed after that run: left alone"
IRREVERSIBLE = "what was done to it cannot be taken back"
_STAGED = "undo"
_COMING = (Action.CREATE, Action.ADD, Action.UPDATE)


class UndoPlanner:
    """Fills ``run`` with the inverse of ``source``. ``context.object_ids`` are those that ``source`` knew or made."""

    def __init__(
        self,
        source: RunFile,
        run: RunFile,
        resources: Mapping[str, Resource],
        context: Context,
        rails: Sequence[Rail] = (),
    ) -> None:
        self._source = source
        self._run = run
        self._resources = resources
        self._context = context
        self._rails = rails
        self._needs = PlannedNeeds(run)
        self._forecast = Forecast(resources)
        self._dependants: defaultdict[Name, list[Name]] = defaultdict(list)
        self._deleted: dict[Name, Name] = {}
        """The containers that the undo deletes, that go along, or are gone already, to the one that they go with."""
        self._containers: frozenset[str] = frozenset()

    async def plan(self, wanted: Callable[[Change], bool], *, quota_share: float, apps: int = 1) -> int:
        """Derive, read, compare, guard, seal; returns how many changes of the run were ``wanted`` and carried out."""
        found = self._survey(wanted)
        kinds = sorted(self._source.counts_by_kind(), key=lambda kind: (self._resources[kind].rank, kind))
        self._containers = frozenset[str]().union(*(self._resources[kind].goes_with for kind in kinds))
        for kind in kinds:
            await self._resources[kind].gather(self._run)
        for kind in kinds:
            for chunk in chunked(self._carried_out(kind, wanted)):
                await self._derive(self._resources[kind], chunk)
        self._run.stage_inputs(self._source.inputs())
        await self._write_lines()
        against = await objections(self._run, self._resources, self._context, self._rails)
        reasons = [*against, *self._irreversible()]
        self._run.note_objects(self._context.object_ids)
        writes = any(count for action, count in self._run.counts().items() if Action(action).writes)
        cost = self._forecast.rows(quota_share, apps)
        remarks = list(dict.fromkeys(self._context.remarks))
        self._run.seal(
            remarks=remarks, status="blocked" if reasons else "ready" if writes else "empty", blocked=reasons, cost=cost
        )
        return found

    # -- what was carried out --------------------------------------------------------------------------------------

    def _survey(self, wanted: Callable[[Change], bool]) -> int:
        """Note who needed whom, and forget the ids of what the run deleted: it may come back under another."""
        found = 0
        for kind in self._source.counts_by_kind():
            goes_with = self._resources[kind].goes_with
            for change, _ in self._carried_out(kind, wanted):
                found += 1
                if change.action is Action.DELETE:
                    self._context.object_ids.pop((kind, change.key), None)
                for need in change.needs:
                    if need[0] not in goes_with:
                        self._dependants[need].append((kind, change.key))
        return found

    def _carried_out(self, kind: str, wanted: Callable[[Change], bool]) -> Iterator[Done]:
        unsettled = self._source.unsettled()
        for change, result in self._source.results(kind):
            if wanted(change) and self._may_be_done(change, result, unsettled):
                yield change, result.object_id if result else ""

    def _may_be_done(self, change: Change, result: Result | None, unsettled: Mapping[int, float]) -> bool:
        if _went_along(change):
            parent = self._source.find_change(*change.needs[0])
            result = self._source.outcome(parent.seq) if parent else None
            return result is not None and result.status is Status.DONE
        if not change.action.writes:
            return False
        if result is None:
            return change.seq in unsettled
        # What is not effective was accepted all the same.
        return result.status in (Status.DONE, Status.UNKNOWN) or result.effective == Effect.NO

    # -- the inverse -----------------------------------------------------------------------------------------------

    async def _derive(self, resource: Resource, chunk: Sequence[Done]) -> None:
        """Put the lines for these aside, under the place that they will have in the plan."""
        lines = {change.seq: line for change, _ in chunk if (line := self._going_along(resource, change))}
        ask = [done for done in chunk if done[0].seq not in lines]
        readings = await resource.read([as_desired(change) for change, _ in ask]) if ask else []
        for (change, object_id), reading in zip(ask, readings, strict=True):
            line = lines[change.seq] = self._line(resource, change, object_id, reading)
            gone = line.action is Action.DELETE or (change.action is Action.CREATE and _is_absent(reading))
            if gone and line.kind in self._containers:
                self._deleted[line.kind, line.key] = (line.kind, line.key)
        self._context.snapshot.put(_STAGED, ((_place(line, resource, seq), line.line()) for seq, line in lines.items()))

    def _going_along(self, resource: Resource, change: Change) -> Change | None:
        """The noop of what vanishes with its container; ``before`` without ``after`` says that it came with the run."""
        within = (self._deleted.get(need) for need in change.needs if need[0] in resource.goes_with)
        gone = next((name for name in within if name), None)
        if gone is None or change.action not in (Action.CREATE, Action.ADD):
            return None
        if change.kind in self._containers:
            self._deleted[change.kind, change.key] = gone
        note = f"goes with {gone[0]} {gone[1]}"
        return replace(change, action=Action.NOOP, before=change.after, after=None, needs=(gone,), note=note)

    def _line(self, resource: Resource, change: Change, object_id: str, reading: Reading) -> Change:
        if not reading.known:
            return _blocked(change, f"it could not be read: {reading.why}")
        if Undo.IRREVERSIBLE in (change.undo, resource.undo):
            return _blocked(change, IRREVERSIBLE)
        if _went_along(change):
            (line, *_) = resource.diff(_as_it_was(change), reading)
            return line
        back = resource.inverse(change, object_id or str((reading.value or {}).get("id") or ""))
        made = change.action in (Action.CREATE, Action.ADD)
        if resource.settled(back, reading) or (made and _is_absent(reading)):
            note = "as it was before that run already"
            return replace(back, action=Action.NOOP, before=resource.before_image(reading), note=note)
        if not resource.left_as_written(change, reading):
            return _blocked(change, CHANGED_SINCE)
        if back.action is Action.UPDATE:
            return replace(back, before=resource.before_image(reading))
        return replace(back, needs=tuple(self._dependants.get((change.kind, change.key), ())))

    async def _write_lines(self) -> None:
        """The lines in the order of the plan; wishes are staged as well, for the guards to see."""
        staged = (Change.parse(line, 0) for _, line in self._context.snapshot.each(_STAGED))
        for chunk in chunked(staged):
            self._run.stage([as_desired(line) for line in chunk if line.action in (Action.CREATE, Action.UPDATE)])
            for (kind, *_), some in groupby(chunk, key=self._at_once):
                fit = [self._needs.settle(line) for line in some]
                lines = await judged(self._rails, self._resources[kind], fit)
                self._run.add_changes(lines)
                self._forecast.add(lines)

    def _at_once(self, line: Change) -> tuple[str, str]:
        """Neighbours with the same are judged together; what one needs of another has to be in the run before."""
        resource = self._resources[line.kind]
        return line.kind, resource.pack_key(line) if resource.swaps and line.action.writes else line.action

    def _irreversible(self) -> Iterator[str]:
        count = sum(change.action.writes and change.undo is Undo.IRREVERSIBLE for change in self._run.changes())
        if count and not self._context.options.allow_irreversible:
            yield f"{count:,} of these changes could not be taken back themselves; --allow-irreversible allows them"


def _went_along(change: Change) -> bool:
    """Is it the line of an undo for something that vanished with its container?"""
    return change.action is Action.NOOP and change.before is not None and change.after is None and bool(change.needs)


def _is_absent(reading: Reading) -> bool:
    return reading.known and reading.value is None


def _as_it_was(change: Change) -> Desired:
    return Desired(kind=change.kind, key=change.key, origin=change.origin, properties=dict(change.before or {}))


def _blocked(change: Change, why: str) -> Change:
    return Change(kind=change.kind, key=change.key, action=Action.BLOCKED, note=why, origin=change.origin)


def _place(line: Change, resource: Resource, seq: int) -> str:
    """A text by which the lines of the plan sort. Whatever is left alone stands first, for others may need it gone."""
    rank = resource.rank
    if line.action is Action.BLOCKED:
        return f"_ {line.kind} {seq:012}"
    if resource.swaps and line.action.writes:
        return f"b{9999 - rank:04} {line.kind} {10**12 - seq:012}"
    if line.action in _COMING:
        # What comes back out of a recycle bin went last: the rest may need it.
        return f"a{line.action is not Action.CREATE:d}{rank:04} {line.kind} {seq:012}"
    if line.action.writes:
        return f"b{9999 - rank:04} {line.kind} {seq:012}"
    return f"c{rank:04} {line.kind} {seq:012}"
