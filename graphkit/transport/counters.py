"""What requests are charged: the counters of one app, made when they are first needed and forgotten when idle.

What a request costs is the table's to say (:mod:`graphkit.protocol.quota`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from graphkit.clock import Clock
from graphkit.protocol.message import Request
from graphkit.protocol.quota import Bucket, Charge, charges, table
from graphkit.transport.admission import Cost
from graphkit.transport.meter import Meter
from graphkit.transport.utilisation import Totals, Utilisation, rows

_MANY = 20_000
MakeMeter = Callable[[str, Bucket, float], Meter]
"""Key, bucket, share: a new counter, or one that others hold too."""


class Costs:
    """What requests of one kind are charged. ``units`` is the part that the service tells, as it tells it."""

    __slots__ = ("due", "pairs", "units")

    def __init__(self, due: tuple[Charge, ...], pairs: Sequence[Cost]) -> None:
        self.due = due
        self.pairs = pairs
        self.units: str | None = None
        for meter, amount in pairs:
            if meter.bucket.unit == "resource_units":
                self.units = f"{amount:g}"


class Counters:
    """``share`` is the part of each quota to use, ``limits`` overrides quotas by bucket id; ``make_meter`` supplies the
    counters, by their ``key`` in ``meters``. ``delegated``: a signed-in person has limits besides those of the app."""

    def __init__(
        self,
        clock: Clock,
        *,
        share: float,
        size: str,
        limits: Mapping[str, float] | None,
        make_meter: MakeMeter,
        delegated: bool,
    ) -> None:
        self._clock = clock
        self.meters: dict[str, Meter] = {}
        self._share = share
        self._buckets = table(size, limits)
        self._make_meter = make_meter
        self._delegated = delegated
        # By the identity of what the table says, which each entry keeps alive: to hash a dozen fields costs more.
        self._costs_of: dict[int, Costs] = {}
        self._forgotten: dict[str, Totals] = {}
        self._forget_above = _MANY

    @property
    def delegated(self) -> bool:
        return self._delegated

    @delegated.setter
    def delegated(self, signed_in: bool) -> None:
        self._delegated = signed_in
        self._costs_of.clear()

    def costs(self, request: Request) -> Costs:
        """One list for all requests that are charged alike, since hundreds of them wait at a time."""
        due = charges(request.method, request.path, request.version, delegated=self._delegated)
        costs = self._costs_of.get(id(due))
        if costs is None:
            self._forget_idle()
            pairs = [(self._meter(charge.key, self._buckets[charge.bucket]), charge.amount) for charge in due]
            costs = self._costs_of[id(due)] = Costs(due, pairs)
        return costs

    def charge_so(self, costs: Costs, pairs: Sequence[Cost]) -> None:
        """The next of this kind costs ``pairs``: the service knows better."""
        if id(costs.due) in self._costs_of:
            self._costs_of[id(costs.due)] = Costs(costs.due, pairs)

    def current(self, meter: Meter) -> Meter:
        """It may have been forgotten while its request was under way."""
        return self._meter(meter.key, meter.bucket)

    def _meter(self, key: str, bucket: Bucket) -> Meter:
        meter = self.meters.get(key)
        if meter is None:
            meter = self.meters[key] = self._make_meter(key, bucket, self._share)
        return meter

    def _forget_idle(self) -> None:
        """Counters of single teams and chats come and go; what they counted in all is kept."""
        if len(self._costs_of) <= self._forget_above:
            return
        now = self._clock.monotonic()
        idle = [meter for meter in self.meters.values() if meter.bucket.split and meter.idle(now)]
        for meter in idle:
            del self.meters[meter.key]
            self._forgotten.setdefault(meter.bucket.id, Totals(meter.bucket)).add(meter)
        self._costs_of.clear()
        # Where most are busy still, to look again at once would be in vain.
        self._forget_above = max(_MANY, 2 * len(self.meters))


def utilisation(counters: Sequence[Counters], now: float) -> list[Utilisation]:
    """Of all of them together, the fullest bucket first."""
    # What all apps share is one counter, which each of them holds.
    meters = {id(meter): meter for each in counters for meter in list(each.meters.values())}
    return rows(meters.values(), [each._forgotten for each in counters], now)


def sum_of(costs: Sequence[Costs]) -> Sequence[Cost]:
    """What several requests are charged in all."""
    first = costs[0]
    if all(each is first for each in costs):
        return [(meter, amount * len(costs)) for meter, amount in first.pairs]
    sums: dict[Meter, float] = {}
    for each in costs:
        for meter, amount in each.pairs:
            sums[meter] = sums.get(meter, 0.0) + amount
    return list(sums.items())


def at_a_time(pairs: Iterable[Cost], count: int) -> int:
    """How many of ``count`` requests that cost ``pairs`` in all the buckets let through in one go."""
    return min(
        (int(count * meter.burst / amount) for meter, amount in pairs if meter.interval and amount), default=count
    )
