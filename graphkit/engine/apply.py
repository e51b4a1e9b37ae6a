"""From a sealed plan to outcomes: first run and resume are the same code.

The life of one pack of changes:

1. what it needs is settled; if that failed the pack is skipped
2. sent by an earlier process without a recorded outcome? look, adopt what is there
3. read again: changed since the plan was made is refused, already as wished is done
4. the intent is on disk, then the request leaves
5. accepted: done. Refused: read back; what is as wished is done, the rest is halved until the bad one stands alone
6. no answer: look, more than once, for longer than replicas lag; found is adopted, absent is sent again
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat

from graphkit.engine.change import Action, Change, Reading, Result, Status
from graphkit.engine.journal import Journal
from graphkit.engine.packing import Pack, packs
from graphkit.engine.resource import Context, Resource, as_desired
from graphkit.engine.runfile import RunFile
from graphkit.errors import DeadlineReached, GraphkitError, OutcomeUnknown, Parked, ServiceError, Stopped
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.message import Idempotency, Response

IN_FLIGHT = 320
"""Packs being written at a time: eight batches of twenty on the wire and as many waiting behind them."""
WINDOW = 2000
"""Packs held in memory, those that wait for what they need included."""
WINDOW_CHANGES = 8000
"""And the changes in them: a pack of twenty takes twenty times the memory. Enough for all places on the wire."""
LOOKS_AFTER_S = (2.0, 5.0, 15.0, 30.0)
"""Seconds before each look after an answer that got lost: replicas lag, and their reads can go backwards."""
LOOKS_AFTER_THROTTLE_S = (2.0, 5.0)
"""Seconds before each look after a 429 of a service that has been seen to execute what it so refused, if seldom."""
LOOKS_AFTER_REFUSAL_S = (0.0, 2.0, 5.0)
"""Seconds before each look after a refusal that may mean "it is there already"."""
TOO_MANY = 429
REFUSED_WHOLE = frozenset({401, 423, TOO_MANY})
"""Refusals that say nothing about what was sent: smaller packs would fare no better."""
NOT_FOUND = "it was not found afterwards, and nothing tells whether it is still to come"
NOT_ALONE = "what it goes with cannot be written as planned, and it is not written alone; plan again"
NOT_SHOWN = "the service accepted it, but does not show it yet; graphkit resume looks again"
NOT_YET_WAITS_S = (1.0, 2.0, 5.0, 10.0)
"""Between two tries on an object that replicas do not show yet; the last again and again. Most are there within
seconds, some take minutes (documented: 10 s apart, api-reference/v1.0/api/team-put-teams.md)."""


@dataclass(frozen=True, slots=True)
class Tries:
    """How often one write may still be sent: where its answer was lost, and where it was refused as one too many."""

    lost: int = 5
    throttled: int = 50

    def after(self, error: OutcomeUnknown) -> Tries:
        if error.status == TOO_MANY:
            return replace(self, throttled=self.throttled - 1)
        return replace(self, lost=self.lost - 1)

    @property
    def over(self) -> bool:
        return self.lost <= 0 or self.throttled <= 0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. ``total`` counts changes that write."""

    done: int
    total: int
    failed: int


class Applier:
    """Applies one run; after ``deadline``, a time of the clock, nothing new is sent.

    ``others_may_send``: whoever sent for this run before may not know yet that it was taken over, so that nothing they
    may still send is sent again where the service would execute it twice. Raises what stopped it early; outcomes are in
    the run file either way.
    """

    def __init__(
        self,
        run: RunFile,
        resources: Mapping[str, Resource],
        context: Context,
        budget: WriteBudget,
        *,
        deadline: float = math.inf,
        observer: Callable[[Progress], None] = lambda _: None,
        others_may_send: bool = False,
    ) -> None:
        self._run = run
        self._resources = resources
        self._context = context
        self._clock = context.clock
        self._budget = budget
        self._deadline = deadline
        self._observer = observer
        self._others_may_send = others_may_send
        self._theirs: frozenset[int] = frozenset()
        self._journal = Journal(run, context.clock)
        self._window = _Window()
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._slots_of: dict[str, asyncio.Semaphore] = {}
        self._needed: dict[tuple[str, str], asyncio.Future[bool]] = {}
        self._sent: dict[int, float] = {}
        self._stop: GraphkitError | None = None
        self._parked: Parked | None = None
        self._progress = Progress(0, 0, 0)

    async def apply(self) -> None:
        self._run.settle_unwritten(self._clock.now())
        self._sent = self._run.unsettled()
        self._theirs = frozenset(self._sent if self._others_may_send else ())
        self._progress = Progress(0, self._await_needs(), 0)
        self._observer(self._progress)
        async with asyncio.TaskGroup() as tasks:
            for pack in packs(self._run.pending(), self._resources):
                await self._window.enter(len(pack))
                if self._must_stop():
                    break
                tasks.create_task(self._settle(pack))
        if stopped := self._stop or self._parked:
            if isinstance(stopped, Stopped):
                left = self._progress.total - self._progress.done
                stopped.add(f"; {left:,} of {self._progress.total:,} changes are left")
            raise stopped

    def _await_needs(self) -> int:
        """A promise for each object that something pending needs; returns how much is pending."""
        total = 0
        loop = asyncio.get_running_loop()
        for change in self._run.pending():
            total += 1
            for need in change.needs:
                if need not in self._needed:
                    self._needed[need] = loop.create_future()
        for need, promise in self._needed.items():
            needed = self._run.find_change(*need)
            result = self._run.outcome(needed.seq) if needed else None
            if needed is None or result:
                promise.set_result(result is None or result.status in (Status.DONE, Status.ALREADY))
        return total

    def _must_stop(self) -> bool:
        if self._stop is None and self._clock.now() >= self._deadline:
            self._halt(DeadlineReached("the deadline came before the run's end"))
        return self._stop is not None

    def _halt(self, error: GraphkitError) -> None:
        """Whatever stops one stops all, in an orderly way: nothing new is sent, what is in flight ends."""
        self._stop = self._stop or error
        for promise in self._needed.values():
            promise.cancel()

    async def _settle(self, pack: Pack) -> None:
        try:
            ready = await self._met(pack)
            if ready:
                async with self._slots_for(self._resources[ready[0].kind]):
                    if not self._must_stop():
                        await self._write(ready)
        except Parked as error:
            # One bucket is closed for long: what takes from others goes on. Of several the first to open counts.
            if self._parked is None or error.until < self._parked.until:
                self._parked = error
        except GraphkitError as error:
            self._halt(error)
        finally:
            self._abandon(pack)
            self._window.leave(len(pack))

    def _slots_for(self, resource: Resource) -> asyncio.Semaphore:
        """The places that a kind shares with all others, or its own few."""
        if not resource.in_flight:
            return self._slots
        return self._slots_of.setdefault(resource.kind, asyncio.Semaphore(resource.in_flight))

    def _abandon(self, pack: Pack) -> None:
        """Nobody is to wait for those that end here without an outcome; they are for a resume."""
        for change in pack:
            if promise := self._needed.get((change.kind, change.key)):
                promise.cancel()

    async def _met(self, pack: Pack) -> Pack:
        """Those whose needs are there; the others are skipped, or left to a resume like what they need."""
        ready, skipped = [], []
        for change in pack:
            made = {key: await self._made(kind, key) for kind, key in change.needs}
            missing = next((key for key, there in made.items() if there is False), "")
            if missing:
                skipped.append(_result(change, Status.SKIPPED, "needs-failed", f"{missing} was not made"))
            elif None not in made.values():
                ready.append(change)
        if len(ready) < len(pack) and not self._may_part(pack):
            why = skipped[0][1].error if skipped else ""
            skipped += [_result(change, Status.SKIPPED, "needs-failed", why) for change in ready if why]
            ready = []
        await self._record(skipped)
        return ready

    def _may_part(self, pack: Pack) -> bool:
        return len(pack) == 1 or self._resources[pack[0].kind].divisible(pack)

    async def _made(self, kind: str, key: str) -> bool | None:
        """Waits for a needed object: is it there? None if this process will not know."""
        promise = self._needed[kind, key]
        if not promise.done():
            await asyncio.wait([promise])
        return None if promise.cancelled() else promise.result()

    async def _write(self, pack: Pack) -> None:
        resource = self._resources[pack[0].kind]
        if any(change.seq in self._sent for change in pack):
            pack = await self._adopt(resource, pack, LOOKS_AFTER_S[:2])
        elif resource.rechecked or pack[0].action is Action.DELETE:
            pack = await self._fresh(resource, pack, Status.ALREADY)
        if pack:
            await self._send(resource, pack, Tries())

    async def _fresh(self, resource: Resource, pack: Pack, status: Status) -> Pack:
        """Read again; only what is still as the plan saw it goes on. What is as wished by now ends as ``status``."""
        readings = await resource.read([as_desired(change) for change in pack])
        go, ended = [], []
        for change, reading in zip(pack, readings, strict=True):
            if not reading.known:
                ended.append(_result(change, Status.FAILED, "unreadable", f"not sent: {reading.why}"))
            elif resource.settled(change, reading):
                ended.append(_found(change, status, reading))
            elif not resource.unchanged(change, reading):
                ended.append(
                    _result(
                        change, Status.FAILED, "changed-since-plan", "it changed after the plan was made; plan again"
                    )
                )
            else:
                go.append(change)
        if any(result.status is Status.FAILED for _, result in ended) and not self._may_part(pack):
            ended += [_result(change, Status.FAILED, "changed-since-plan", NOT_ALONE) for change in go]
            go = []
        await self._record(ended)
        return go

    async def _send(self, resource: Resource, pack: Pack, tries: Tries) -> None:
        request = resource.request(pack)
        request.effect = resource.effect(pack)
        for wait in chain(NOT_YET_WAITS_S, repeat(NOT_YET_WAITS_S[-1])):
            if self._must_stop():
                return
            step = await self._journal.intend(pack)
            try:
                await resource.clear_the_way(pack)
                response = await self._context.client.send(request)
            except OutcomeUnknown as lost:
                await self._after_silence(resource, pack, lost, tries.after(lost))
                return
            except GraphkitError:
                # What may be repeated may have been sent before, and that answer lost; a resume looks first.
                if request.idempotency is not Idempotency.CONVERGENT:
                    await self._journal.release(step)
                raise
            if response.ok:
                await self._record([(change, await _accepted(resource, change, response)) for change in pack])
                return
            if response.attempts > 1:
                # An earlier try, whose answer was lost, may have been executed.
                self._sent.update(dict.fromkeys((change.seq for change in pack), self._clock.now()))
            if response.status >= 500:
                await self._after_outage(resource, pack, response)
                return
            readings: Sequence[Reading] = ()
            waits = self._not_yet(resource, pack, response)
            if waits and response.status == 400:
                # It may also say that the object is there already; to wait for an end of that would be in vain.
                readings = await resource.look(pack)
                waits = not all(resource.settled(*each) for each in zip(pack, readings, strict=True))
            if not waits:
                await self._after_refusal(resource, pack, response, readings)
                return
            if response.attempts == 1:
                await self._journal.release(step)
            await self._stand_aside(resource, wait)

    async def _stand_aside(self, resource: Resource, seconds: float) -> None:
        """Wait without holding a place that others could use, and not past the deadline."""
        slots = self._slots_for(resource)
        slots.release()
        try:
            await self._clock.sleep(min(seconds, self._deadline - self._clock.now()))
        finally:
            await slots.acquire()

    def _not_yet(self, resource: Resource, pack: Pack, response: Response) -> bool:
        """404 (or, for a single change, 400) while something it needs is new: replicas do not show that yet.

        The age of what is needed counts: later it is something else that is not there.
        """
        created = self._context.created
        names = ((*change.needs, (change.kind, change.key)) for change in pack)
        newest = max(created.get(name, -math.inf) for each in names for name in each)
        new = self._clock.now() < newest + resource.visibility_s
        return new and (response.status == 404 or (response.status == 400 and len(pack) == 1))

    async def _after_refusal(
        self, resource: Resource, pack: Pack, response: Response, readings: Sequence[Reading] = ()
    ) -> None:
        """Codes for "it is there already" are unstable: what counts is what is read back.

        One reading that does not show it proves little: replicas lag, and reads can go backwards.
        """
        # What this run may have sent before, alone or among others, is its own work.
        status = Status.DONE if any(change.seq in self._sent for change in pack) else Status.ALREADY
        conflict = response.status in (400, 409) and len(pack) == 1
        rest = pack
        for wait in LOOKS_AFTER_REFUSAL_S if conflict else (0.0,):
            if wait:
                await self._stand_aside(resource, wait)
                if self._must_stop():
                    return
            ended, rest = _split(resource, rest, readings or await resource.look(rest), status)
            readings = ()
            await self._record(ended)
            if not rest:
                return
        if not resource.divisible(pack) or response.status in REFUSED_WHOLE:
            await self._record([(change, _refused(response)) for change in rest])
        elif len(rest) < len(pack):
            await self._send(resource, rest, Tries())
        else:
            middle = len(rest) // 2
            await self._send(resource, rest[:middle], Tries())
            await self._send(resource, rest[middle:], Tries())

    async def _after_outage(self, resource: Resource, pack: Pack, response: Response) -> None:
        """It failed until it was given up; one of those tries may have been executed all the same."""
        rest = await self._adopt(resource, pack, LOOKS_AFTER_S)
        await self._record([(change, _refused(response)) for change in rest])

    async def _after_silence(self, resource: Resource, pack: Pack, lost: OutcomeUnknown, tries: Tries) -> None:
        """Never send again before looking; never guess."""
        self._sent.update(dict.fromkeys((change.seq for change in pack), self._clock.now()))
        waits = LOOKS_AFTER_THROTTLE_S if lost.status == TOO_MANY else LOOKS_AFTER_S
        rest = await self._adopt(resource, pack, waits)
        if not rest:
            return
        if tries.over:
            error = f"{lost.message}; {NOT_FOUND}"
            await self._record([_lost(change, error, lost.code, lost.request_id) for change in rest])
            return
        self._budget.refund(resource.effect(rest))
        await self._send(resource, rest, tries)

    async def _adopt(self, resource: Resource, pack: Pack, waits: Sequence[float]) -> Pack:
        """Look for what may have been written already; returns what is absent and may be sent again."""
        rest, unread = pack, {}
        for wait in (*waits, self._until_shown(resource, pack) - sum(waits)):
            if wait <= 0:
                continue
            await self._stand_aside(resource, wait)
            if self._must_stop():
                return []
            readings = await resource.look(rest)
            unread = {
                change.seq: reading.why for change, reading in zip(rest, readings, strict=True) if not reading.known
            }
            ended, rest = _split(resource, rest, readings, Status.DONE)
            await self._record(ended)
            if not rest:
                return []
        await self._record(
            [_lost(change, f"looked, but {unread[change.seq]}") for change in rest if change.seq in unread]
        )
        rest = [change for change in rest if change.seq not in unread]
        if rest and self._must_not_be_repeated(resource, rest):
            await self._record([_lost(change, NOT_FOUND) for change in rest])
            return []
        # Somebody else may have changed it meanwhile: then it is no longer the plan's.
        return await self._fresh(resource, rest, Status.DONE) if rest and resource.rechecked else rest

    def _must_not_be_repeated(self, resource: Resource, pack: Pack) -> bool:
        """Would the service do it twice, and it may still be to come? Absent though it is, a person must decide."""
        idempotency = resource.request(pack).idempotency
        if idempotency is Idempotency.KEYED and not self._theirs.isdisjoint(change.seq for change in pack):
            return not resource.refuses_twins
        return idempotency is Idempotency.ONCE

    def _until_shown(self, resource: Resource, pack: Pack) -> float:
        """Seconds until a look proves that a create was not executed, where the service would take it twice."""
        if resource.refuses_twins or pack[0].action is not Action.CREATE:
            return 0.0
        sent = max(self._sent.get(change.seq, 0.0) for change in pack)
        return min(sent - self._clock.now(), 0.0) + resource.visibility_s

    async def _record(self, ended: Sequence[tuple[Change, Result]]) -> None:
        if not ended:
            return
        await self._journal.record([(change.seq, result) for change, result in ended])
        for change, result in ended:
            good = result.status in (Status.DONE, Status.ALREADY)
            name = (change.kind, change.key)
            if good and change.action is Action.CREATE:
                self._context.object_ids[name] = result.object_id
                self._context.created[name] = self._clock.now()
            promise = self._needed.get(name)
            if promise and not promise.done():
                promise.set_result(good)
        bad = sum(result.status in (Status.FAILED, Status.UNKNOWN) for _, result in ended)
        self._progress = replace(
            self._progress, done=self._progress.done + len(ended), failed=self._progress.failed + bad
        )
        self._observer(self._progress)


class _Window:
    """How much is held in memory at a time. One asks for room; what is settled makes some."""

    def __init__(self) -> None:
        self._packs = self._changes = 0
        self._left = asyncio.Event()

    async def enter(self, changes: int) -> None:
        while self._packs and (self._packs >= WINDOW or self._changes + changes > WINDOW_CHANGES):
            self._left.clear()
            await self._left.wait()
        self._packs += 1
        self._changes += changes

    def leave(self, changes: int) -> None:
        self._packs -= 1
        self._changes -= changes
        self._left.set()


Ended = tuple[Change, Result]


def _split(resource: Resource, pack: Pack, readings: Sequence[Reading], status: Status) -> tuple[list[Ended], Pack]:
    """What is as wished, and the rest."""
    ended, rest = [], []
    for change, reading in zip(pack, readings, strict=True):
        if resource.settled(change, reading):
            ended.append(_found(change, status, reading))
        else:
            rest.append(change)
    return ended, rest


async def _accepted(resource: Resource, change: Change, response: Response) -> Result:
    request_id = response.headers.get("request-id", "")
    try:
        object_id = await resource.identify(change, response)
    except ServiceError as error:
        # Accepted at first, and refused in the service's own time.
        code = error.service_code or error.code
        return Result(status=Status.FAILED, code=code, error=error.message, request_id=request_id)
    if change.action is Action.CREATE and not object_id:
        # What needs it could not even name it; a resume looks for it again.
        return Result(status=Status.UNKNOWN, code="not-shown", error=NOT_SHOWN, request_id=request_id)
    return Result(status=Status.DONE, object_id=object_id, request_id=request_id)


def _refused(response: Response) -> Result:
    problem = response.error
    error = problem.message or f"the service answered {response.status}"
    return Result(
        status=Status.FAILED, code=problem.code or str(response.status), error=error, request_id=problem.request_id
    )


def _lost(change: Change, error: str, code: str = "outcome-unknown", request_id: str = "") -> Ended:
    return _result(change, Status.UNKNOWN, code, error, request_id=request_id)


def _found(change: Change, status: Status, reading: Reading) -> Ended:
    object_id = str((reading.value or {}).get("id") or "")
    return change, Result(status=status, object_id=object_id)


def _result(change: Change, status: Status, code: str, error: str, *, request_id: str = "") -> Ended:
    return change, Result(status=status, code=code, error=error, request_id=request_id)
