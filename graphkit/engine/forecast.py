"""What a plan will cost, before anything is written: requests per quota bucket and the earliest finish."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from graphkit.engine.packing import packs
from graphkit.engine.resource import Resource
from graphkit.engine.runfile import RunFile
from graphkit.protocol import quota


def forecast(run: RunFile, resources: Mapping[str, Resource], share: float, apps: int = 1) -> list[dict[str, Any]]:
    """A row per bucket that the writes of the plan draw on: ``bucket``, ``requests``, ``seconds``; the slowest first.

    ``share`` is the part of each published quota that this run takes.
    """
    totals: defaultdict[str, float] = defaultdict(float)
    for pack in packs((change for change in run.changes() if change.action.writes), resources):
        for method, path in resources[pack[0].kind].routes(pack[0]):
            for charge in quota.charges(method, path):
                totals[charge.bucket] += charge.amount
    return quota.forecast(totals, share, apps=apps)
