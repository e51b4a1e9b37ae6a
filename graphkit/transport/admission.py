"""Who may go now, and who waits where.

Every request is charged to several meters at once. One that must wait stands in the queue of a single meter, the one
that blocks it longest; so a full bucket holds up nobody who does not need it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from graphkit.clock import Clock
from graphkit.errors import DeadlineReached, GraphkitError, Parked
from graphkit.transport.meter import Meter

ROUNDING = 1e-6

Cost = tuple[Meter, float]


class Waiter:
    """A request in a queue, in the order of arrival. ``since`` is the time when it came."""

    __slots__ = ("ahead", "arrival", "costs", "since", "turn")

    def __init__(
        self, arrival: int, costs: Sequence[Cost], turn: asyncio.Future[None], since: float, *, ahead: bool
    ) -> None:
        self.arrival = arrival
        self.costs = costs
        self.turn = turn
        self.since = since
        self.ahead = ahead

    def __lt__(self, other: Waiter) -> bool:
        return self.arrival < other.arrival

    def amount(self, meter: Meter) -> float:
        return next(amount for held, amount in self.costs if held is meter)


class Admission:
    """The queues of all meters, and the agenda that says which to look at next.

    ``deadline`` is a reading of the clock's ``monotonic``; nobody is let go after it, and who could not go before it
    is told so at once.
    """

    def __init__(self, clock: Clock, *, park_after: float) -> None:
        self._clock = clock
        self._park_after = park_after
        self._arrivals = itertools.count()
        self._agenda: list[tuple[float, int, Meter]] = []
        self._timer: asyncio.Task[None] | None = None
        self._timer_at = math.inf
        self._deadline = math.inf
        self._closed = False

    async def aclose(self) -> None:
        """Whoever waits is cancelled, and whoever still comes to wait."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for meter in {id(meter): meter for _, _, meter in self._agenda}.values():
            for waiter in meter.release():
                waiter.turn.cancel()

    def blocker(self, costs: Sequence[Cost], now: float) -> Meter | None:
        """The meter that keeps a newcomer waiting longest; ``None`` if it may go at once."""
        blocker, latest = None, now + ROUNDING
        for meter, amount in costs:
            ready = meter.ready_at(amount)
            if ready > latest or (meter.waiting and blocker is None):
                blocker, latest = meter, max(ready, latest)
        return blocker

    async def wait(self, blocker: Meter, costs: Sequence[Cost], now: float, *, ahead: bool) -> None:
        """Until it may go; it is charged then. Raises ``Parked`` or ``DeadlineReached`` if that will not be."""
        if ahead and self._passes(costs, now):
            return
        if refusal := self._refusal(blocker, costs, now, ahead=ahead):
            raise refusal
        if self._closed:
            raise asyncio.CancelledError("nobody is let through any more")
        turn = asyncio.get_running_loop().create_future()
        blocker.waits += 1
        blocker.queue(Waiter(next(self._arrivals), costs, turn, now, ahead=ahead))
        self._arm(blocker, now)
        await turn

    @property
    def deadline(self) -> float:
        return self._deadline

    @deadline.setter
    def deadline(self, at: float) -> None:
        """Who waits already and could not go in time is told so at once."""
        self._deadline = at
        for meter in {id(meter): meter for _, _, meter in self._agenda if meter.waiting}.values():
            self._arm(meter, self._clock.monotonic())

    def stop(self, meter: Meter, until: float, now: float) -> None:
        """Nothing is charged to the meter before ``until``; whoever cannot wait so long is told so."""
        meter.stop(until, now)
        if not meter.waiting:
            return
        if meter.stopped_until - now > self._park_after:
            self._release(meter, lambda: self._parked(meter, now))
        elif meter.stopped_until > self.deadline:
            self._release(meter, lambda: _late(meter))

    def _passes(self, costs: Sequence[Cost], now: float) -> bool:
        """Nothing but the queue is in the way of one who stands ahead."""
        crowded = [meter for meter, _ in costs if meter.waiting]
        if any(meter.ready_at(amount) > now + ROUNDING for meter, amount in costs):
            return False
        if not all(meter.lets_pass() for meter in crowded):
            return False
        for meter, amount in costs:
            meter.take(amount, now)
        for meter in crowded:
            meter.passed()
        return True

    def _refusal(self, blocker: Meter, costs: Sequence[Cost], now: float, *, ahead: bool) -> GraphkitError | None:
        for meter, _ in costs:
            if meter.stopped_until - now > self._park_after:
                return self._parked(meter, now)
        amount = next(amount for meter, amount in costs if meter is blocker)
        return _late(blocker) if blocker.due_at(amount, ahead=ahead) > self.deadline else None

    def _parked(self, meter: Meter, now: float) -> Parked:
        seconds = meter.stopped_until - now
        return parked(f"the service closed {meter.bucket.title}", seconds, self._clock.now())

    def _release(self, meter: Meter, why: Callable[[], GraphkitError]) -> None:
        for waiter in meter.release():
            if not waiter.turn.done():
                waiter.turn.set_exception(why())

    # The agenda: which queue to look at next

    def _arm(self, meter: Meter, now: float) -> None:
        at = self._due(meter)
        if at > self.deadline:
            self._release(meter, lambda: _late(meter))
            return
        if at >= meter.armed_at:
            return
        meter.armed_at = at
        heapq.heappush(self._agenda, (at, next(self._arrivals), meter))
        if at < self._timer_at:
            self._set_timer(at)

    def _due(self, meter: Meter) -> float:
        at = meter.wake_at()
        # Before the deadline there may be no time left to wait for company.
        return at if at <= self.deadline else meter.next_at()

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().create_task(self._wake(at))

    async def _wake(self, at: float) -> None:
        await self._clock.sleep(at - self._clock.monotonic())
        self._timer, self._timer_at = None, math.inf
        now = self._clock.monotonic()
        while self._agenda and self._agenda[0][0] <= now + ROUNDING:
            at, _, meter = heapq.heappop(self._agenda)
            if at == meter.armed_at:
                meter.armed_at = math.inf
                self._drain(meter, now)
        if self._agenda:
            self._set_timer(self._agenda[0][0])

    def _drain(self, meter: Meter, now: float) -> None:
        """Let go whoever may go; who waits for another bucket by now goes and stands there."""
        if meter.waiting and self._due(meter) > now + ROUNDING:
            self._arm(meter, now)
            return
        while meter.waiting:
            waiter = meter.head()
            blocker = None if waiter.turn.done() else self._blocker_of(waiter, meter, now)
            if blocker is meter:
                self._arm(meter, now)
                return
            meter.unqueue()
            if waiter.turn.done():
                continue
            if blocker is None:
                self._let_go(waiter, meter, now)
            else:
                self._move(waiter, blocker, now)

    def _let_go(self, waiter: Waiter, meter: Meter, now: float) -> None:
        for charged, amount in waiter.costs:
            charged.take(amount, now)
        meter.let_go(waiter)
        meter.waited_s += now - waiter.since
        waiter.turn.set_result(None)

    def _move(self, waiter: Waiter, blocker: Meter, now: float) -> None:
        if refusal := self._refusal(blocker, waiter.costs, now, ahead=waiter.ahead):
            waiter.turn.set_exception(refusal)
            return
        blocker.queue(waiter)
        self._arm(blocker, now)

    def _blocker_of(self, waiter: Waiter, standing_at: Meter, now: float) -> Meter | None:
        blocker, latest = None, now + ROUNDING
        for meter, amount in waiter.costs:
            ready = meter.ready_at(amount)
            if ready > latest:
                blocker, latest = meter, ready
            elif blocker is None and meter is not standing_at and meter.waiting and meter.is_preceded(waiter):
                blocker = meter
        return blocker


def _late(meter: Meter) -> DeadlineReached:
    return DeadlineReached(f"the deadline comes before there is room for more ({meter.bucket.title})")


def parked(what: str, seconds: float, now: float) -> Parked:
    """The service wants a wait longer than anybody sits out; ``now`` is seconds since the epoch."""
    until = now + seconds
    when = datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return Parked(
        f"{what} for {seconds:,.0f} s, until {when}",
        seconds=seconds,
        until=until,
        hint="the rest was done; resume the run after that time",
    )
