"""``graphkit quota``: the published limits, our share of each, and what the runs on this machine take of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Command
from graphkit.cli.output import Text
from graphkit.clock import Clock, RealClock
from graphkit.protocol import quota
from graphkit.protocol.bucket import Bucket
from graphkit.reports import text
from graphkit.session import TENANT_SIZE, uses_now
from graphkit.settings import Settings
from graphkit.transport.use import Use

DRAW_EVERY_S = 1.0
Row = dict[str, Any]


@click.command("quota", cls=Command)
@click.argument("words", nargs=-1, metavar="[WORD...]")
@click.option("--used", is_flag=True, help="Only buckets in use by runs on this machine.")
@click.option("--watch", is_flag=True, help="The same again and again, until Ctrl-C.")
@click.pass_obj
def command(invocation: Invocation, /, words: Sequence[str], used: bool, watch: bool) -> None:
    """Microsoft's limits, the part of each that may be taken, and what runs on this machine take now.

    WORD limits the list to buckets in whose name it occurs, such as teams, writes or intune.devices.
    """
    rows = [row for row in published(invocation.settings) if all(_names(row, word) for word in words)]
    if watch:
        _watch(invocation, rows, RealClock())
        return
    invocation.output.emit(*_answer(invocation.settings, rows, used=used))


def published(settings: Settings) -> list[Row]:
    """A row per bucket, as it is published or set, without its use."""
    limits = {name: limit for name, limit in settings.limits.items() if name != "time_scale"}
    known = quota.table(TENANT_SIZE, limits)
    return [_row(bucket, settings.quota_share, own=bucket.id in limits) for bucket in known.values() if bucket.quota]


def _row(bucket: Bucket, share: float, *, own: bool) -> Row:
    return {
        "bucket": bucket.id,
        "title": bucket.title,
        "quota": bucket.quota,
        "window": bucket.window_s,
        "unit": bucket.unit,
        "scope": bucket.scope,
        "each": bucket.split,
        "share": round(bucket.quota * share * bucket.sustained, 3),
        "origin": "settings" if own else "published",
        "source": bucket.source,
    }


def _names(row: Row, word: str) -> bool:
    return word.lower() in f"{row['bucket']} {row['title']}".lower()


def _answer(settings: Settings, rows: Sequence[Row], *, used: bool) -> tuple[Row, Text]:
    named = {row["bucket"]: row for row in rows}
    uses = [use for use in uses_now(settings) if use.bucket in named]
    taken = {use.bucket for use in uses}
    shown = [row for row in rows if row["bucket"] in taken] if used else rows
    binding = max(uses, key=lambda use: use.waiting, default=None)
    answer = {
        "share": settings.quota_share,
        "binding": binding.bucket if binding and binding.waiting else "",
        "uses": [_use(use) for use in uses],
        "buckets": shown,
    }
    return answer, lambda: _lines(uses, named, shown, used=used)


def _use(use: Use) -> Row:
    return {
        "bucket": use.bucket,
        "used": use.used,
        "waiting": use.waiting,
        "stopped_until": _time(use.stopped_until),
        "tenant": use.tenant,
        "app": use.app,
    }


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else ""


def _lines(uses: Sequence[Use], named: dict[str, Row], shown: Sequence[Row], *, used: bool) -> Iterator[str]:
    yield from _in_use(uses, named)
    if not used and shown:
        yield ""
        yield from text.table(
            ["bucket", "quota", "seconds", "unit", "counted for", "share"],
            [
                [row["bucket"], _plain(row["quota"]), _plain(row["window"]), row["unit"], _counted_for(row),
                 _plain(row["share"])]
                for row in shown
            ],
        )  # fmt: skip


def _in_use(uses: Sequence[Use], named: dict[str, Row]) -> Iterator[str]:
    if not uses:
        yield "nothing is in use by a run on this machine"
        return
    yield from text.table(
        ["in use", "used", "waiting", "stopped until", "tenant", "app"],
        [
            [named[use.bucket]["title"], f"{use.used:.0%}", use.waiting, _time(use.stopped_until), use.tenant, use.app]
            for use in uses
        ],
    )


def _counted_for(row: Row) -> str:
    each = ", each" if row["each"] and "resource" not in row["scope"] else ""
    own = " (set here)" if row["origin"] == "settings" else ""
    return f"{row['scope']}{each}{own}"


def _plain(number: float) -> int | float:
    return int(number) if float(number).is_integer() else number


def _watch(invocation: Invocation, rows: Sequence[Row], wall: Clock) -> None:
    import asyncio

    async def draw() -> None:
        while True:
            answer, lines = _answer(invocation.settings, rows, used=True)
            if invocation.output.is_table and sys.stdout.isatty():
                click.clear()
            invocation.output.emit(answer, lines)
            sys.stdout.flush()
            await wall.sleep(DRAW_EVERY_S)

    try:
        asyncio.run(draw())
    except KeyboardInterrupt:
        return
