"""Asking a run to stop in an orderly way, from wherever: a signal, another task, the run itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from graphkit.clock import Clock


class Brake:
    """Pulled once, it stays so. Nothing new is sent then; what is under way may end."""

    def __init__(self) -> None:
        self._pulled = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def pulled(self) -> bool:
        return self._pulled.is_set()

    @property
    def heard(self) -> bool:
        """Is anybody there who would stop?"""
        return bool(self._listeners)

    @contextmanager
    def heard_by(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call ``listener`` when it is pulled, at once if it was."""
        self._loop = asyncio.get_running_loop()
        self._listeners.append(listener)
        try:
            if self.pulled:
                listener()
            yield
        finally:
            self._listeners.remove(listener)

    def pull(self) -> None:
        if not self.pulled:
            self._pulled.set()
            for listener in list(self._listeners):
                listener()

    def pull_from_outside(self) -> None:
        """The same from a signal handler or another thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.pull)

    async def pause(self, clock: Clock, seconds: float) -> None:
        """Wait, but no longer than until it is pulled."""
        if self.pulled:
            return
        waits = [asyncio.ensure_future(clock.sleep(seconds)), asyncio.ensure_future(self._pulled.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
