"""The course of one run: what all its packs share while it is being applied.

The way into the journal, the places on the wire, whether the run has to stop, and how far it is.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from graphkit.engine.brake import Brake
from graphkit.engine.change import Action, Change, Effect, Pace, Result, Status
from graphkit.engine.journal import Journal
from graphkit.engine.needs import Needs
from graphkit.engine.packing import Ended
from graphkit.engine.resource import Context, Resource
from graphkit.engine.runfile import RunFile
from graphkit.errors import DeadlineReached, GraphkitError, Interrupted, Parked, Stopped, TooManyFailures

IN_FLIGHT = 320
"""Packs being written at a time: eight batches of twenty on the wire and as many waiting behind them."""
LAST_OUTCOMES = 200
"""Of so many outcomes the share that failed is watched."""
FAILED_SHARE = 0.05

BAD = (Status.FAILED, Status.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. ``total`` counts changes that write."""

    done: int
    total: int
    failed: int


class Breaker:
    """Opens when more than a share of the last outcomes was bad. While there are few, those to come count as good."""

    def __init__(self, share: float = FAILED_SHARE) -> None:
        self._share = share
        self._last: deque[bool] = deque(maxlen=LAST_OUTCOMES)

    def count(self, results: Iterable[Result]) -> None:
        """What was skipped for the sake of others says nothing of its own."""
        self._last.extend(result.status in BAD for result in results if result.status is not Status.SKIPPED)

    @property
    def failed(self) -> int:
        return sum(self._last)

    @property
    def is_open(self) -> bool:
        return self.failed > self._share * LAST_OUTCOMES

    def error(self) -> TooManyFailures:
        return TooManyFailures(
            f"{self.failed} of the last {LAST_OUTCOMES} outcomes failed, and {self._share:.0%} may",
            hint="see to what failed, then graphkit resume; --max-failures PERCENT lets more of them fail",
        )


class Course:
    """``deadline`` is the time of the clock after which nothing new is sent.

    ``sent`` are changes that an earlier process may have sent, with the time; ``theirs`` those of a worker that may
    still be sending.
    """

    def __init__(
        self,
        run: RunFile,
        resources: Mapping[str, Resource],
        context: Context,
        *,
        deadline: float = math.inf,
        observer: Callable[[Progress], None] = lambda _: None,
        breaker: Breaker | None = None,
        brake: Brake | None = None,
        others_may_send: bool = False,
    ) -> None:
        self._resources = resources
        self._context = context
        self._clock = context.clock
        self._deadline = deadline
        self._observer = observer
        self._breaker = breaker or Breaker(1.0)
        self.brake = brake or Brake()
        self.journal = Journal(run, context.clock)
        self.needs = Needs(run)
        self.sent: dict[int, float] = run.unsettled()
        self.theirs = frozenset(self.sent if others_may_send else ())
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._slots_of: dict[str, asyncio.Semaphore] = {}
        self._stop: GraphkitError | None = None
        self._parked: Parked | None = None
        self._progress = Progress(0, self.needs.watch(), 0)
        observer(self._progress)

    # -- stopping --------------------------------------------------------------------------------------------------

    def must_stop(self) -> bool:
        if self._stop is None and self._clock.now() >= self._deadline:
            self.halt(DeadlineReached("the deadline came before the run's end"))
        return self._stop is not None

    def halt(self, error: GraphkitError) -> None:
        """Whatever stops one stops all, in an orderly way: nothing new is sent, what is in flight ends."""
        self._stop = self._stop or error
        self.needs.give_up()
        self.brake.pull()

    def interrupt(self) -> None:
        """Somebody outside pulled the brake."""
        self.halt(Interrupted("interrupted"))

    def park(self, error: Parked) -> None:
        """One bucket is closed for long: what takes from others goes on. Of several the first to open counts."""
        if self._parked is None or error.until < self._parked.until:
            self._parked = error

    def raise_if_stopped(self) -> None:
        if stopped := self._stop or self._parked:
            if isinstance(stopped, Stopped):
                left = self._progress.total - self._progress.done
                stopped.add(f"; {left:,} of {self._progress.total:,} changes are left")
            raise stopped

    # -- places on the wire ----------------------------------------------------------------------------------------

    def slots_for(self, resource: Resource) -> asyncio.Semaphore:
        """The places that a kind shares with all others, or its own few."""
        if not resource.in_flight:
            return self._slots
        return self._slots_of.setdefault(resource.kind, asyncio.Semaphore(resource.in_flight))

    async def pause(self, seconds: float) -> None:
        """Wait, but not past the deadline or a stop."""
        await self.brake.pause(self._clock, min(seconds, self._deadline - self._clock.now()))

    async def stand_aside(self, resource: Resource, seconds: float) -> None:
        """The same without holding a place that others could use."""
        slots = self.slots_for(resource)
        slots.release()
        try:
            await self.pause(seconds)
        finally:
            await slots.acquire()

    # -- outcomes --------------------------------------------------------------------------------------------------

    async def record(self, ended: Sequence[Ended]) -> None:
        """Put outcomes on disk, tell whoever waits for them, and stop if too many are bad."""
        if not ended:
            return
        await self.journal.record([(change.seq, self._in_time(change, result)) for change, result in ended])
        for change, result in ended:
            good = result.status in (Status.DONE, Status.ALREADY)
            name = (change.kind, change.key)
            if good and change.action is Action.CREATE:
                self._context.object_ids[name] = result.object_id
                self._context.created[name] = self._clock.now()
            self.needs.tell(name, there=good)
        bad = sum(result.status in BAD for _, result in ended)
        self._progress = replace(
            self._progress, done=self._progress.done + len(ended), failed=self._progress.failed + bad
        )
        self._observer(self._progress)
        self._breaker.count(result for _, result in ended)
        if self._breaker.is_open:
            self.halt(self._breaker.error())

    def _in_time(self, change: Change, result: Result) -> Result:
        """What the service has only accepted is pending until it is seen to be effective."""
        if result.status is Status.DONE and self._resources[change.kind].pace is Pace.LATER:
            return replace(result, effective=Effect.PENDING)
        return result
