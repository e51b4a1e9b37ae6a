"""Admits requests at the pace of the binding quota, and stops only the bucket that the service says is empty.

Every request is charged to several buckets at once. One that must wait stands in the queue of a single bucket, the one
that blocks it longest; so a full bucket holds up nobody who does not need it, and within a bucket the oldest goes
first.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from graphkit.clock import Clock
from graphkit.errors import Parked
from graphkit.protocol import throttle
from graphkit.protocol.message import Request, Response, Stage
from graphkit.protocol.quota import Bucket, Charge, charges, table
from graphkit.transport.meter import Meter

PARK_AFTER = 600.0
"""A stated wait above this many seconds is not sat out; the run ends resumable."""

_LONGEST_BACKOFF = 60.0
_ROUNDING = 1e-6
_MANY_METERS = 20_000
_WAITS = frozenset({429, 503, 509})

Cost = tuple[Meter, float]
MakeMeter = Callable[[str, Bucket, float], Meter]
"""Key, bucket, share: a new counter, or one that others hold too."""


@dataclass(frozen=True, slots=True)
class Utilisation:
    """How full a bucket is. ``used`` is the part of the published quota; ``stopped_for`` is seconds, 0 if running."""

    bucket: str
    title: str
    used: float
    waiting: int
    stopped_for: float


class Waiter:
    """A request in a queue, in the order of arrival."""

    __slots__ = ("arrival", "costs", "turn")

    def __init__(self, arrival: int, costs: Sequence[Cost], turn: asyncio.Future[None]) -> None:
        self.arrival = arrival
        self.costs = costs
        self.turn = turn

    def __lt__(self, other: Waiter) -> bool:
        return self.arrival < other.arrival

    def amount(self, meter: Meter) -> float:
        return next(amount for held, amount in self.costs if held is meter)


class Governor:
    """``share`` is the part of each published quota to use; ``limits`` overrides quotas by bucket id.

    ``make_meter`` supplies the counters.

    Raises ``Parked`` for a request whose bucket the service closed for longer than ``park_after`` seconds.
    """

    def __init__(
        self,
        following: Stage,
        clock: Clock,
        *,
        share: float = 0.7,
        size: str = "S",
        limits: Mapping[str, float] | None = None,
        chance: random.Random | None = None,
        park_after: float = PARK_AFTER,
        make_meter: MakeMeter = Meter,
    ) -> None:
        self._following = following
        self._make_meter = make_meter
        self._clock = clock
        self._share = share
        self._buckets = table(size, limits)
        self._chance = chance or random.Random()  # noqa: S311 - spreads retries, protects nothing
        self._park_after = park_after
        self._meters: dict[str, Meter] = {}
        self._costs_of: dict[tuple[Charge, ...], Sequence[Cost]] = {}
        self._troubled: set[Meter] = set()
        self._arrivals = itertools.count()
        self._agenda: list[tuple[float, int, Meter]] = []
        self._timer: asyncio.Task[None] | None = None
        self._timer_at = math.inf
        self.throttled = 0

    async def send(self, request: Request) -> Response:
        costs = self._costs(request)
        now = self._clock.monotonic()
        blocker = self._blocker(costs, now)
        if blocker is None:
            self._take(costs, now)
        else:
            await self._wait(blocker, costs, now)
            now = self._clock.monotonic()
        response = await self._following.send(request)
        self._learn(costs, response, now)
        return response

    def utilisation(self) -> list[Utilisation]:
        """The buckets in use, the fullest first; of counters for each team or channel, the fullest stands for all."""
        now = self._clock.monotonic()
        rows: dict[str, Utilisation] = {}
        for meter in self._meters.values():
            row = Utilisation(
                meter.bucket.id,
                meter.bucket.title,
                round(meter.used(now), 4),
                len(meter.waiting),
                max(0.0, meter.stopped_until - now),
            )
            known = rows.get(row.bucket)
            if known is None or (row.waiting, row.used) > (known.waiting, known.used):
                rows[row.bucket] = row
        return sorted(rows.values(), key=lambda row: (-row.used, row.bucket))

    def binding(self) -> str:
        """The title of the bucket that most requests wait for at this moment, or an empty string."""
        longest = max(self._meters.values(), key=lambda meter: len(meter.waiting), default=None)
        return longest.bucket.title if longest is not None and longest.waiting else ""

    def outlook(self, request: Request, ahead: int) -> float:
        """When it may be expected to go if ``ahead`` others go first, by the counters that all apps do not share."""
        now = self._clock.monotonic()
        own = (meter for meter, _ in self._costs(request) if not meter.bucket.scope.startswith("tenant"))
        return max(max(meter.next_free, meter.stopped_until, now) + ahead * meter.interval for meter in own)

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    # Admission

    def _costs(self, request: Request) -> Sequence[Cost]:
        """One list for all requests that are charged alike, since hundreds of them wait at a time."""
        due = charges(request.method, request.path, request.version)
        costs = self._costs_of.get(due)
        if costs is None:
            self._forget_idle()
            costs = self._costs_of[due] = [(self._meter(charge), charge.amount) for charge in due]
        return costs

    def _meter(self, charge: Charge) -> Meter:
        key = charge.key
        meter = self._meters.get(key)
        if meter is None:
            meter = self._meters[key] = self._make_meter(key, self._buckets[charge.bucket], self._share)
        return meter

    def _forget_idle(self) -> None:
        if len(self._meters) > _MANY_METERS:
            now = self._clock.monotonic()
            self._meters = {name: meter for name, meter in self._meters.items() if not meter.idle(now)}
            self._costs_of.clear()

    def _blocker(self, costs: Sequence[Cost], now: float) -> Meter | None:
        """The meter that keeps a newcomer waiting longest; ``None`` if it may go at once."""
        blocker, latest = None, now + _ROUNDING
        for meter, amount in costs:
            ready = meter.ready_at(amount)
            if ready > latest or (meter.waiting and blocker is None):
                blocker, latest = meter, max(ready, latest)
        return blocker

    def _take(self, costs: Sequence[Cost], now: float) -> None:
        for meter, amount in costs:
            meter.take(amount, now)

    async def _wait(self, blocker: Meter, costs: Sequence[Cost], now: float) -> None:
        self._refuse_parked(costs, now)
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(blocker.waiting, Waiter(next(self._arrivals), costs, turn))
        self._arm(blocker)
        await turn

    def _refuse_parked(self, costs: Sequence[Cost], now: float) -> None:
        for meter, _ in costs:
            if meter.stopped_until - now > self._park_after:
                raise self._parked(meter, now)

    def _parked(self, meter: Meter, now: float) -> Parked:
        seconds = meter.stopped_until - now
        return Parked(
            f"the service closed {meter.bucket.title} for {seconds:.0f} s",
            seconds=seconds,
            hint="the rest was done; resume the run after that time",
        )

    # The agenda: which queue to look at next

    def _arm(self, meter: Meter) -> None:
        at = meter.wake_at()
        if at >= meter.armed_at:
            return
        meter.armed_at = at
        heapq.heappush(self._agenda, (at, next(self._arrivals), meter))
        if at < self._timer_at:
            self._set_timer(at)

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().create_task(self._wake(at))

    async def _wake(self, at: float) -> None:
        await self._clock.sleep(at - self._clock.monotonic())
        self._timer, self._timer_at = None, math.inf
        now = self._clock.monotonic()
        while self._agenda and self._agenda[0][0] <= now + _ROUNDING:
            at, _, meter = heapq.heappop(self._agenda)
            if at == meter.armed_at:
                meter.armed_at = math.inf
                self._drain(meter, now)
        if self._agenda:
            self._set_timer(self._agenda[0][0])

    def _drain(self, meter: Meter, now: float) -> None:
        """Let go whoever may go, oldest first; who waits for another bucket by now goes and stands there."""
        if meter.waiting and meter.wake_at() > now + _ROUNDING:
            self._arm(meter)
            return
        while meter.waiting:
            waiter = meter.waiting[0]
            blocker = None if waiter.turn.done() else self._blocker_of(waiter, meter, now)
            if blocker is meter:
                self._arm(meter)
                return
            heapq.heappop(meter.waiting)
            if blocker is not None:
                heapq.heappush(blocker.waiting, waiter)
                self._arm(blocker)
            elif not waiter.turn.done():
                self._take(waiter.costs, now)
                waiter.turn.set_result(None)

    def _blocker_of(self, waiter: Waiter, standing_at: Meter, now: float) -> Meter | None:
        blocker, latest = None, now + _ROUNDING
        for meter, amount in waiter.costs:
            ready = meter.ready_at(amount)
            if ready > latest:
                blocker, latest = meter, ready
            elif blocker is None and meter is not standing_at and meter.waiting and meter.waiting[0] < waiter:
                blocker = meter
        return blocker

    # What an answer teaches

    def _learn(self, costs: Sequence[Cost], response: Response, admitted: float) -> None:
        headers = response.headers
        if response.status in _WAITS:
            self._refused(costs, response, admitted)
        elif "x-ms-throttle-limit-percentage" in headers and self._is_crowded(headers):
            self._ease(costs, headers)
        elif self._troubled and response.status < 400:
            self._recover(costs)
        if "x-ms-resource-unit" in headers:
            self._correct(costs, headers)

    def _correct(self, costs: Sequence[Cost], headers: Mapping[str, str]) -> None:
        units = throttle.resource_units(headers)
        for meter, amount in costs:
            if units is not None and units != amount and meter.bucket.unit == "resource_units":
                meter.correct(units - amount)

    def _is_crowded(self, headers: Mapping[str, str]) -> bool:
        """A bucket fuller than our own share explains is drawn on by somebody else."""
        percentage = throttle.limit_percentage(headers)
        return percentage is not None and percentage > max(0.8, self._share) + 0.02

    def _ease(self, costs: Sequence[Cost], headers: Mapping[str, str]) -> None:
        """Slow down before the service stops us, at most once a second for all the answers of a batch."""
        now = self._clock.monotonic()
        meter = self._fullest(costs, now)
        if now - meter.changed_at >= 1.0:
            meter.slow(0.9 if (throttle.limit_percentage(headers) or 0.0) < 1 else 0.7, now)
            self._troubled.add(meter)

    def _recover(self, costs: Sequence[Cost]) -> None:
        now = self._clock.monotonic()
        for meter, _ in costs:
            if meter not in self._troubled:
                continue
            meter.failures = 0
            if now - meter.changed_at >= 1.0:
                meter.recover(now)
            if meter.pace >= 1.0:
                self._troubled.discard(meter)

    def _refused(self, costs: Sequence[Cost], response: Response, admitted: float) -> None:
        stated = throttle.retry_after(response.headers, self._clock.now())
        throttled = response.status == 429
        if not throttled and not stated:
            return
        now = self._clock.monotonic()
        meter = self._named(costs, response) or self._fullest(costs, now)
        self.throttled += throttled
        # Whatever was under way when the bucket was stopped learns nothing new from being refused.
        fresh = admitted >= meter.stopped_at
        if throttled and fresh:
            meter.failures += 1
            meter.refused(now)
            self._troubled.add(meter)
        if stated or fresh:
            meter.stop(now + (stated or self._backoff(meter)), now)
        if meter.stopped_until - now > self._park_after:
            self._release_parked(meter, now)

    def _backoff(self, meter: Meter) -> float:
        longest = min(_LONGEST_BACKOFF, 2.0**meter.failures)
        return max(meter.interval, self._chance.uniform(0.0, longest))

    def _release_parked(self, meter: Meter, now: float) -> None:
        waiting, meter.waiting = meter.waiting, []
        for waiter in waiting:
            if not waiter.turn.done():
                waiter.turn.set_exception(self._parked(meter, now))

    def _named(self, costs: Sequence[Cost], response: Response) -> Meter | None:
        """The bucket that ``x-ms-throttle-scope`` means, if the request was charged to it."""
        named = throttle.throttle_scope(response.headers)
        scope = {"Tenant_Application": "app+tenant", "Tenant": "tenant", "Application": "app"}.get(named.scope)
        unit = "writes" if named.limit == "Write" else "resource_units"
        fitting = [meter for meter, _ in costs if meter.bucket.scope == scope and meter.bucket.id != "global.app"]
        return next((meter for meter in fitting if meter.bucket.unit == unit), fitting[-1] if fitting else None)

    def _fullest(self, costs: Sequence[Cost], now: float) -> Meter:
        """By our own count; the most specific where they are equally full. All requests together are never to blame."""
        own = costs[1:] or costs
        return max(reversed(own), key=lambda cost: cost[0].used(now))[0]
