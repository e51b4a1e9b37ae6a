"""How full the buckets are, for progress, ledgers and counters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from graphkit.protocol.bucket import Bucket
from graphkit.transport.meter import Meter


@dataclass(frozen=True, slots=True)
class Utilisation:
    """How full a bucket is; where each team or channel has a counter of its own, the fullest of them, and all who wait.

    ``used`` is the part of the published quota taken in the last window, ``pace`` the part of our full pace that it
    runs at, ``stopped_for`` seconds, 0 if running. ``taken`` (in the bucket's unit), ``refusals``, ``waits`` (requests
    that had to) and ``waited_s`` are totals that only grow.
    """

    bucket: str
    title: str
    used: float
    waiting: int
    stopped_for: float
    pace: float = 1.0
    taken: float = 0.0
    refusals: int = 0
    waits: int = 0
    waited_s: float = 0.0

    def plus(self, other: Utilisation) -> Utilisation:
        """This and another counter of the same bucket."""
        return replace(
            self,
            used=max(self.used, other.used),
            waiting=self.waiting + other.waiting,
            stopped_for=max(self.stopped_for, other.stopped_for),
            pace=min(self.pace, other.pace),
            taken=self.taken + other.taken,
            refusals=self.refusals + other.refusals,
            waits=self.waits + other.waits,
            waited_s=self.waited_s + other.waited_s,
        )

    def told(self) -> str:
        """``directory writes (68% of the quota)``."""
        if self.stopped_for >= 1:
            return f"{self.title} (stopped by the service for {self.stopped_for:,.0f} s)"
        slowed = f", slowed to {self.pace:.0%}" if self.pace < 1 else ""
        return f"{self.title} ({self.used:.0%} of the quota{slowed})"


def utilisation_of(meter: Meter, now: float) -> Utilisation:
    return Utilisation(
        meter.bucket.id,
        meter.bucket.title,
        round(meter.used(now), 4),
        meter.waiting,
        max(0.0, meter.stopped_until - now),
        meter.pace,
        meter.taken,
        meter.refusals,
        meter.waits,
        meter.waited_s,
    )


class Totals:
    """What forgotten counters of one bucket counted in all."""

    __slots__ = ("_bucket", "_refusals", "_taken", "_waited_s", "_waits")

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._taken, self._refusals, self._waits, self._waited_s = 0.0, 0, 0, 0.0

    def add(self, meter: Meter) -> None:
        self._taken += meter.taken
        self._refusals += meter.refusals
        self._waits += meter.waits
        self._waited_s += meter.waited_s

    def row(self) -> Utilisation:
        return Utilisation(
            self._bucket.id,
            self._bucket.title,
            used=0.0,
            waiting=0,
            stopped_for=0.0,
            taken=self._taken,
            refusals=self._refusals,
            waits=self._waits,
            waited_s=self._waited_s,
        )


def rows(meters: Iterable[Meter], forgotten: Iterable[Mapping[str, Totals]], now: float) -> list[Utilisation]:
    """A row per bucket, the fullest first."""
    found: dict[str, Utilisation] = {}
    past = [totals.row() for known in forgotten for totals in list(known.values())]
    for row in (*past, *(utilisation_of(meter, now) for meter in meters)):
        known = found.get(row.bucket)
        found[row.bucket] = row if known is None else known.plus(row)
    return sorted(found.values(), key=lambda row: (-row.used, row.bucket))
