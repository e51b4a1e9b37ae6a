"""How far a run is: a live line on a terminal, now and then a plain line elsewhere. On standard error only."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from graphkit.cli.invocation import Invocation, tell
from graphkit.clock import RealClock
from graphkit.engine.apply import Progress
from graphkit.reports.text import duration

if TYPE_CHECKING:
    from graphkit.session import Session

DRAW_EVERY_S = 0.5
PLAIN_EVERY_S = 10.0

Draw = Callable[[str], None]


class Meter:
    """What the run tells, as one line. Rates are per second of the run's own clock."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._begun = session.clock.monotonic()
        self.latest = Progress(0, 0, 0)

    def update(self, progress: Progress) -> None:
        self.latest = progress

    def line(self) -> str:
        """``20 of 60 done (33%), 3/s, limited by: directory writes (68% of the quota), about 2 min 10 s left``"""
        done, total, failed = self.latest.done, self.latest.total, self.latest.failed
        passed = self._session.clock.monotonic() - self._begun
        rate = done / passed if passed > 0 else 0.0
        limit = self._session.chain.governor.binding()
        parts = [f"{done:,} of {total:,} done ({done / total:.0%})" if total else "about to begin"]
        parts += [f"{failed:,} failed"] if failed else []
        parts += [f"{rate:,.0f}/s"] if rate else []
        parts += [f"limited by: {limit.told()}"] if limit else []
        parts += [f"about {duration((total - done) / rate)} left"] if rate and done < total else []
        return ", ".join(parts)


@asynccontextmanager
async def shown(invocation: Invocation, session: Session) -> AsyncIterator[Meter]:
    """A meter whose line is kept up to date on standard error until the context ends."""
    meter = Meter(session)
    if invocation.quiet:
        yield meter
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
            async with _drawing(meter, session, lambda line: live.update(Text(line), refresh=True)):
                yield meter
    else:
        async with _drawing(meter, session, _Plain(meter).draw):
            yield meter


@asynccontextmanager
async def _drawing(meter: Meter, session: Session, draw: Draw) -> AsyncIterator[None]:
    async def keep_drawing() -> None:
        wall, drawn = RealClock(), -DRAW_EVERY_S
        while True:
            # Virtual time runs ahead of the eye: draw by the wall, whatever the run's clock says.
            if wall.monotonic() - drawn >= DRAW_EVERY_S:
                drawn = wall.monotonic()
                draw(meter.line())
            await session.clock.sleep(DRAW_EVERY_S)

    task = asyncio.create_task(keep_drawing())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class _Plain:
    """Passes a line on when a tenth more is done, or ten seconds have gone by."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._wall = RealClock()
        self._told_at = 0.0
        self._told_tenth = 0

    def draw(self, line: str) -> None:
        latest = self._meter.latest
        tenth = 10 * latest.done // latest.total if latest.total else 0
        now = self._wall.monotonic()
        if tenth > self._told_tenth or now - self._told_at >= PLAIN_EVERY_S:
            self._told_tenth, self._told_at = tenth, now
            tell(line)
