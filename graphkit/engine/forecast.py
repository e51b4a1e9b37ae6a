"""What a plan will cost, before anything is written: requests per quota bucket and the earliest finish."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphkit.engine.change import Change
from graphkit.engine.packing import Packing
from graphkit.engine.resource import Resource
from graphkit.protocol import quota


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """Two ways to the same end: the one that a plan takes, and the one that it does not.

    Each is named for the reader and costs ``writes`` of a ``route`` (method, path).
    """

    chosen: str
    route: tuple[str, str]
    writes: int
    other: str
    other_route: tuple[str, str]
    other_writes: int


def weighed(alternative: Alternative, share: float, apps: int = 1) -> str:
    """What the two would take, in a sentence for whoever reads the plan."""
    chosen = _earliest(alternative.route, alternative.writes, share, apps)
    other = _earliest(alternative.other_route, alternative.other_writes, share, apps)
    return (
        f"{alternative.chosen}: {alternative.writes:,} writes, {_long(chosen)} at least; "
        f"{alternative.other}: {alternative.other_writes:,} writes, {_long(other)}"
    )


def _earliest(route: tuple[str, str], writes: int, share: float, apps: int) -> float:
    totals = {charge.bucket: charge.amount * writes for charge in quota.charges(*route)}
    return max((float(row["seconds"]) for row in quota.forecast(totals, share, apps=apps)), default=0.0)


def _long(seconds: float) -> str:
    """``16.6 h``, ``48 min``, ``30 s``: long enough to compare by."""
    if seconds >= 2 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{math.ceil(seconds)} s"


class Forecast:
    """Adds up what the lines of a plan cost while they are brought in plan order."""

    def __init__(self, resources: Mapping[str, Resource]) -> None:
        self._resources = resources
        self._packing = Packing(resources)
        self._writes: Counter[tuple[str, str]] = Counter()

    def add(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if change.action.writes and self._packing.begins(change):
                self._writes.update(self._resources[change.kind].routes(change))

    def rows(self, share: float, apps: int = 1) -> list[dict[str, Any]]:
        """A row per bucket that the writes draw on: ``bucket``, ``requests``, ``seconds``; the slowest first.

        ``share`` is the part of each published quota that this run takes.
        """
        totals: defaultdict[str, float] = defaultdict(float)
        for route, count in self._writes.items():
            for charge in quota.charges(*route):
                totals[charge.bucket] += charge.amount * count
        return quota.forecast(totals, share, apps=apps)
