"""Time is a parameter.

Everything that waits or asks for the time holds a :class:`Clock`. Three of them exist: real, virtual (an event
loop that jumps to the next timer as soon as every task is idle, so that an hour of throttling passes in
milliseconds) and scaled (every wait divided by N, for a test server whose quota clock runs as fast).
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

VIRTUAL_EPOCH = datetime(2026, 1, 5, 9, 0, tzinfo=UTC).timestamp()
"""Where virtual time begins unless told otherwise: a Monday morning, the same on every machine."""


class Clock(Protocol):
    """What the rest of the house may know about time. All figures are seconds."""

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """A reading that never goes backwards; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait. Zero or less gives other tasks a turn."""
        ...


class RealClock:
    """The time on the wall. With ``scale=N`` every wait takes an Nth, and time passes N times as fast."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale
        self._wall = time.time()
        self._start = time.monotonic()

    def now(self) -> float:
        return time.time() if self._scale == 1.0 else self._wall + self.monotonic()

    def monotonic(self) -> float:
        return (time.monotonic() - self._start) * self._scale

    def common(self) -> float:
        """A reading that all processes of this machine with the same scale have in common."""
        return time.time() * self._scale

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self._scale)


class StillClock:
    """A clock that stands: looking at a kept tenant takes none of its time."""

    def __init__(self, at: float) -> None:
        self._at = at

    def now(self) -> float:
        return self._at

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


class VirtualClock:
    """Time as the running :class:`VirtualTimeLoop` counts it."""

    def __init__(self, epoch: float = VIRTUAL_EPOCH) -> None:
        self._epoch = epoch

    def now(self) -> float:
        return self._epoch + asyncio.get_running_loop().time()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class _JumpingSelector(selectors.DefaultSelector):
    """Reports ready files as usual, but where it would wait for a timer it moves the loop's time instead."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or self.loop.threads_busy:
            # Only a thread or a file can wake us: hold the clock still and wait in earnest.
            return super().select(timeout)
        self.loop.jump(timeout)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose timers fire as soon as nothing else is left to do.

    Work handed to a thread (``asyncio.to_thread``) holds the clock still until it returns.
    """

    def __init__(self) -> None:
        selector = _JumpingSelector()
        selector.loop = self
        self._virtual_now = 0.0
        self.threads_busy = 0
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual_now

    def jump(self, seconds: float) -> None:
        self._virtual_now += max(0.0, seconds)

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        future = super().run_in_executor(executor, func, *args)
        self.threads_busy += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _: asyncio.Future[Any]) -> None:
        self.threads_busy -= 1

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the base's own
        """Threads end in real time, and virtual time would jump over the limit that Python 3.12 sets for them."""
        await super().shutdown_default_executor()


def run(main: Coroutine[Any, Any, T], *, virtual: bool = False) -> T:
    """Run ``main`` to its end in a new event loop, on virtual time if asked."""
    factory: Callable[[], asyncio.AbstractEventLoop] | None = VirtualTimeLoop if virtual else None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
