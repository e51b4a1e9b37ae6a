"""Admits requests at the pace of the binding quota, and stops only the bucket that the service says is empty.

What a request is charged is :mod:`graphkit.transport.counters`' to say, who goes when that of
:mod:`graphkit.transport.admission`; here the two meet, and every answer teaches.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence

from graphkit.clock import Clock
from graphkit.errors import DeadlineReached, Stopped
from graphkit.log import event
from graphkit.protocol import throttle
from graphkit.protocol.budget import is_read
from graphkit.protocol.message import Answer, BatchStage, Request, Response
from graphkit.transport.admission import Admission, Cost
from graphkit.transport.batcher import Recalled
from graphkit.transport.counters import Costs, Counters, MakeMeter, at_a_time, sum_of, utilisation
from graphkit.transport.meter import Meter
from graphkit.transport.together import ended, singly
from graphkit.transport.use import Use
from graphkit.transport.utilisation import Utilisation, utilisation_of

logger = logging.getLogger("graphkit.transport")

PARK_AFTER = 600.0
"""A stated wait above this many seconds is not sat out; the run ends resumable."""

_LONGEST_BACKOFF = 60.0
_WAITS = frozenset({429, 503, 509})
_REFUSALS_BEGIN = 0.99
"""Of ``x-ms-throttle-limit-percentage``, where 1.0 is the limit."""
_SCOPES = {"Tenant_Application": "app+tenant", "Tenant": "tenant", "Application": "app"}


class Governor:
    """``share`` is the part of each published quota to use; ``limits`` overrides quotas by bucket id.

    ``delegated``: for a signed-in person, who has limits besides those of the app. ``make_meter`` supplies the
    counters, some of which several governors may hold: those are its ``companions``. ``recall`` takes back, from the
    stage below, what was let through and has not left yet.

    Raises ``Parked`` for a request whose bucket the service closed for longer than ``park_after`` seconds, and
    ``DeadlineReached`` for one that could not be let through before the deadline.
    """

    def __init__(
        self,
        following: BatchStage,
        clock: Clock,
        *,
        share: float = 0.7,
        size: str = "S",
        limits: Mapping[str, float] | None = None,
        chance: random.Random | None = None,
        park_after: float = PARK_AFTER,
        delegated: bool = False,
        make_meter: MakeMeter = Meter,
        recall: Callable[[Callable[[Request], bool]], None] = lambda _: None,
    ) -> None:
        self._following = following
        self._clock = clock
        self._share = share
        self.counters = Counters(
            clock, share=share, size=size, limits=limits, make_meter=make_meter, delegated=delegated
        )
        self._chance = chance or random.Random()  # noqa: S311 - spreads retries, protects nothing
        self._recall = recall
        self.companions: Sequence[Governor] = ()
        self._admission = Admission(clock, park_after=park_after)
        self._troubled: set[Meter] = set()
        self.throttled = 0

    @property
    def delegated(self) -> bool:
        """Whether a person is signed in; known once there is a token."""
        return self.counters.delegated

    @delegated.setter
    def delegated(self, signed_in: bool) -> None:
        self.counters.delegated = signed_in

    @property
    def deadline(self) -> float:
        """A reading of the clock's ``monotonic`` after which nothing is let through; infinite if there is none."""
        return self._admission.deadline

    @deadline.setter
    def deadline(self, at: float) -> None:
        self._admission.deadline = at

    async def send(self, request: Request) -> Response:
        costs = self.counters.costs(request)
        while True:
            now = self._clock.monotonic()
            blocker = self._charge(costs.pairs, now)
            if blocker is not None:
                await self._admission.wait(blocker, costs.pairs, now, ahead=is_read(request))
                now = self._clock.monotonic()
            try:
                response = await self._following.send(request)
            except Recalled:
                continue
            self._learn(costs, response, now)
            return response

    async def send_batch(self, requests: Sequence[Request]) -> list[Answer]:
        """Let through all at once, or in as large parts as the buckets take at a time.

        Only who is charged alike waits together: a full bucket holds up nobody who does not need it.
        """
        each_costs = [self.counters.costs(request) for request in requests]
        pairs = sum_of(each_costs)
        most = at_a_time(pairs, len(requests))
        if most < 2:
            return await singly(self, requests)
        if most < len(requests):
            return await self._in_parts(requests, [place // most for place in range(len(requests))])
        now = self._clock.monotonic()
        try:
            blocker = self._charge(pairs, now)
            if blocker is not None:
                if any(costs is not each_costs[0] for costs in each_costs):
                    return await self._in_parts(requests, list(map(id, each_costs)))
                await self._admission.wait(blocker, pairs, now, ahead=is_read(requests[0]))
                now = self._clock.monotonic()
        except Stopped:
            # There is no room for all of them in time. For some of them there may be.
            return await singly(self, requests)
        answers = await self._following.send_batch(requests)
        recalled = []
        for place, (costs, answer) in enumerate(zip(each_costs, answers, strict=True)):
            if isinstance(answer, Response):
                self._learn(costs, answer, now)
            elif isinstance(answer, Recalled):
                recalled.append(place)
        if recalled:
            again = await self.send_batch([requests[place] for place in recalled])
            for place, answer in zip(recalled, again, strict=True):
                answers[place] = answer
        return answers

    async def _in_parts(self, requests: Sequence[Request], marks: Sequence[int]) -> list[Answer]:
        """Those of one mark are one part."""
        parts: dict[int, list[int]] = {}
        for place, mark in enumerate(marks):
            parts.setdefault(mark, []).append(place)
        given = await ended(self.send_batch([requests[place] for place in places]) for places in parts.values())
        answers = {
            place: answer
            for places, told in zip(parts.values(), given, strict=True)
            for place, answer in zip(places, told, strict=True)
        }
        return [answers[place] for place in range(len(requests))]

    def _charge(self, pairs: Sequence[Cost], now: float) -> Meter | None:
        """At once, if there is room, as there nearly always is: no coroutine is made for that. Otherwise nothing is
        charged, and the meter told for which to wait."""
        blocker = self._admission.blocker(pairs, now)
        if blocker is not None:
            return blocker
        if now > self._admission.deadline:
            raise DeadlineReached("the deadline has come")
        for meter, amount in pairs:
            meter.take(amount, now)
        return None

    def utilisation(self, *, of_all: bool = False) -> list[Utilisation]:
        """The buckets in use, the fullest first; ``of_all`` companions together, or by itself. May be asked from
        another thread if the clock may."""
        everyone = (self, *self.companions) if of_all else (self,)
        return utilisation([each.counters for each in everyone], self._clock.monotonic())

    def binding(self) -> Utilisation | None:
        """The bucket that most requests wait for at this moment."""
        longest = max(self.counters.meters.values(), key=lambda meter: meter.waiting, default=None)
        if longest is None or not longest.waiting:
            return None
        return utilisation_of(longest, self._clock.monotonic())

    def uses(self, tenant: str, app: str) -> list[Use]:
        """The buckets in use now, for a ledger that others read."""
        now = self._clock.now()
        return [
            Use(row.bucket, row.used, row.waiting, now + row.stopped_for if row.stopped_for else 0.0, tenant, app)
            for row in self.utilisation()
            if row.used or row.waiting or row.stopped_for
        ]

    def outlook(self, request: Request, ahead: int) -> float:
        """When it may be expected to go if ``ahead`` others go first, by the counters that all apps do not share."""
        now = self._clock.monotonic()
        own = (meter for meter, _ in self.counters.costs(request).pairs if not meter.bucket.scope.startswith("tenant"))
        return max(max(meter.next_free, meter.stopped_until, now) + ahead * meter.interval for meter in own)

    async def aclose(self) -> None:
        await self._admission.aclose()

    # What an answer teaches

    def _learn(self, costs: Costs, response: Response, admitted: float) -> None:
        headers = response.headers
        if response.status in _WAITS:
            self._refused(costs.pairs, response, admitted)
        elif "x-ms-throttle-limit-percentage" in headers and self._is_crowded(headers):
            self._ease(costs.pairs, headers)
        elif self._troubled and response.status < 400:
            self._recover(costs.pairs)
        if headers.get("x-ms-resource-unit", costs.units) != costs.units:
            self._correct(costs, headers)

    def _correct(self, costs: Costs, headers: Mapping[str, str]) -> None:
        """The service knows better what it cost; the next of its kind is charged so from the first."""
        units = throttle.resource_units(headers)
        if units is None or costs.units is None:
            return
        pairs: list[Cost] = []
        for meter, amount in costs.pairs:
            told = units if meter.bucket.unit == "resource_units" else amount
            if told != amount:
                meter.correct(told - amount)
            pairs.append((meter, told))
        self.counters.charge_so(costs, pairs)

    def _is_crowded(self, headers: Mapping[str, str]) -> bool:
        """A bucket fuller than our own share explains is drawn on by somebody else; at its limit it is in any case."""
        percentage = throttle.limit_percentage(headers)
        return percentage is not None and percentage > min(max(0.8, self._share) + 0.02, _REFUSALS_BEGIN)

    def _ease(self, costs: Sequence[Cost], headers: Mapping[str, str]) -> None:
        """Slow down before the service stops us, at most once a second for all the answers of a batch."""
        now = self._clock.monotonic()
        meter = self._fullest(costs, now)
        if now - meter.changed_at >= 1.0:
            percentage = throttle.limit_percentage(headers) or 0.0
            meter.slow(0.9 if percentage < 1 else 0.7, now)
            self._troubled.add(meter)
            event(logger, "bucket-slowed", bucket=meter.bucket.id, pace=round(meter.pace, 3), full=percentage)

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
        meter = self.counters.current(self._named(costs, response) or self._fullest(costs, now))
        # Whatever was under way when the bucket was stopped learns nothing new from being refused.
        fresh = admitted >= meter.stopped_at
        if throttled:
            self.throttled += 1
            meter.refusals += 1
        if throttled and fresh:
            meter.failures += 1
            meter.refused(now)
            self._troubled.add(meter)
        if stated or fresh:
            self._stop(meter, stated or self._backoff(meter), response.status, now)

    def _stop(self, meter: Meter, seconds: float, status: int, now: float) -> None:
        if now + seconds <= meter.stopped_until:
            return
        used = round(meter.used(now), 3)
        event(logger, "bucket-stopped", bucket=meter.bucket.id, status=status, ms=round(1000 * seconds), used=used)
        self._admission.stop(meter, now + seconds, now)
        for governor in (self, *self.companions):
            governor.call_back(meter)

    def call_back(self, meter: Meter) -> None:
        """Take back what is charged to a counter and has not left yet."""
        self._recall(lambda request: any(held is meter for held, _ in self.counters.costs(request).pairs))

    def _backoff(self, meter: Meter) -> float:
        # A power of a thousand refusals is no number any more.
        longest = min(_LONGEST_BACKOFF, 2.0 ** min(meter.failures, 10))
        return max(meter.interval, self._chance.uniform(0.0, longest))

    def _named(self, costs: Sequence[Cost], response: Response) -> Meter | None:
        """The bucket that ``x-ms-throttle-scope`` means, if the request was charged to it."""
        named = throttle.throttle_scope(response.headers)
        scope, writes = _SCOPES.get(named.scope), named.limit == "Write"
        fitting = [meter for meter, _ in costs[1:] if meter.bucket.scope == scope]
        meant = [meter for meter in fitting if (meter.bucket.methods != "*") is writes]
        return next(reversed(meant or fitting), None)

    def _fullest(self, costs: Sequence[Cost], now: float) -> Meter:
        """By our own count; the most specific where they are equally full. All requests together are never to blame."""
        own = costs[1:] or costs
        return max(reversed(own), key=lambda cost: cost[0].used(now))[0]
