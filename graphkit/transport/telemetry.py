"""Counters for OpenTelemetry, where its API is installed (the extra ``otel``); else nothing.

All are read when they are collected, by whatever thread does that, so that no request pays for them. Their names are
listed in ``docs/settings.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from graphkit.transport.fleet import Fleet
    from graphkit.transport.governor import Governor
    from graphkit.transport.utilisation import Utilisation

Read = Callable[["Utilisation"], float]

COUNTERS: tuple[tuple[str, str, str, Read], ...] = (
    ("graphkit.quota.taken", "{unit}", "Taken from a bucket, in its own unit", lambda row: row.taken),
    ("graphkit.refusals", "{response}", "Answers 429, by the bucket that they stopped", lambda row: row.refusals),
    ("graphkit.waits", "{request}", "Requests that had to wait for a bucket", lambda row: row.waits),
    ("graphkit.wait.time", "s", "How long they waited, in all", lambda row: row.waited_s),
)
GAUGES: tuple[tuple[str, str, str, Read], ...] = (
    ("graphkit.quota.utilization", "1", "Part of the published quota taken in its window", lambda row: row.used),
    ("graphkit.quota.waiting", "{request}", "Requests that wait now", lambda row: row.waiting),
    ("graphkit.quota.stopped", "s", "How long the service still keeps a bucket closed", lambda row: row.stopped_for),
)
REQUESTS = "graphkit.requests"
BUCKET = "graphkit.bucket"
_EVERY_REQUEST = "global.app"

_watched: WeakSet[Governor | Fleet] = WeakSet()
_ended: dict[str, Utilisation] = {}
_registered = False


def watch(governor: Governor | Fleet) -> None:
    """From now on its counters are told. Instruments are made once in a process, since they cannot be taken back."""
    global _registered
    if not _registered and not _register():
        return
    _registered = True
    _watched.add(governor)


def unwatch(governor: Governor | Fleet) -> None:
    """It has come to its end. Its totals stay: a counter must never fall."""
    if governor in _watched:
        _watched.discard(governor)
        _add(_ended, governor.utilisation())


def _register() -> bool:
    try:
        from opentelemetry import metrics
    except ImportError:
        return False
    meter = metrics.get_meter("graphkit")
    for name, unit, description, read in COUNTERS:
        observe = _observer(metrics.Observation, read, ended=True)
        meter.create_observable_counter(name, callbacks=[observe], unit=unit, description=description)
    for name, unit, description, read in GAUGES:
        observe = _observer(metrics.Observation, read, ended=False)
        meter.create_observable_gauge(name, callbacks=[observe], unit=unit, description=description)
    meter.create_observable_counter(
        REQUESTS,
        callbacks=[lambda _: [metrics.Observation(sum(row.taken for row in _rows() if row.bucket == _EVERY_REQUEST))]],
        unit="{request}",
        description="Requests let through, each part of a batch and each repetition by itself",
    )
    return True


def _observer(observation: Any, read: Read, *, ended: bool) -> Callable[[Any], Iterable[Any]]:
    return lambda _: [observation(read(row), {BUCKET: row.bucket}) for row in _rows(ended=ended)]


def _rows(*, ended: bool = True) -> Sequence[Utilisation]:
    rows = dict(_ended) if ended else {}
    for governor in list(_watched):
        _add(rows, governor.utilisation())
    return list(rows.values())


def _add(rows: dict[str, Utilisation], more: Iterable[Utilisation]) -> None:
    for row in more:
        known = rows.get(row.bucket)
        rows[row.bucket] = row if known is None else known.plus(row)
