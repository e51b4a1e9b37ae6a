"""Intents before, outcomes after, in as few commits as the moment allows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from graphkit.clock import Clock
from graphkit.engine.change import Result
from graphkit.engine.packing import Pack
from graphkit.engine.runfile import RunFile


class Journal:
    """Whatever tasks ask for in one turn of the event loop becomes one transaction.

    Each method returns once its record is on disk. If it cannot be written every waiter gets the error, and no request
    leaves without its intent.
    """

    def __init__(self, run: RunFile, clock: Clock) -> None:
        self._run = run
        self._clock = clock
        self._step = run.last_step()
        self._intents: list[tuple[int, int, float]] = []
        self._releases: list[int] = []
        self._outcomes: list[tuple[int, Result, float]] = []
        self._flushed: asyncio.Future[None] | None = None

    async def intend(self, pack: Pack) -> int:
        """The number of the step under which these changes may now be sent."""
        self._step += 1
        step, now = self._step, self._clock.now()
        self._intents += [(step, change.seq, now) for change in pack]
        await self._commit()
        return step

    async def release(self, step: int) -> None:
        """The step provably did not happen."""
        self._releases.append(step)
        await self._commit()

    async def record(self, results: Sequence[tuple[int, Result]]) -> None:
        now = self._clock.now()
        self._outcomes += [(seq, result, now) for seq, result in results]
        await self._commit()

    def _commit(self) -> asyncio.Future[None]:
        if self._flushed is None:
            loop = asyncio.get_running_loop()
            self._flushed = loop.create_future()
            loop.call_soon(self._flush, self._flushed)
        return self._flushed

    def _flush(self, waiters: asyncio.Future[None]) -> None:
        intents, releases, outcomes = self._intents, self._releases, self._outcomes
        self._intents, self._releases, self._outcomes, self._flushed = [], [], [], None
        try:
            with self._run.transaction():
                self._run.intend(intents)
                for step in releases:
                    self._run.release(step)
                self._run.record(outcomes)
        except Exception as error:  # whatever it was, the waiters must know that nothing is on disk
            if not waiters.done():
                waiters.set_exception(error)
        else:
            if not waiters.done():
                waiters.set_result(None)
