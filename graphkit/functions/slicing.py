"""One slice: a job in a session, ended in time, stopped if somebody cancels."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace

from graphkit import clock, jobs
from graphkit.clock import RealClock
from graphkit.engine.apply import Progress
from graphkit.engine.runfile import RunFile
from graphkit.functions.store import Run
from graphkit.jobs import Summary
from graphkit.session import Session, open_session
from graphkit.settings import Settings

MARGIN_S = 60.0
"""Between the end of a slice and the host's time-out."""
LOOKS_EVERY_S = 5.0
"""How often a slice looks whether it was cancelled, and tells how far it is."""

Job = Callable[[Session, float], Awaitable[Summary]]
"""A job, given the session and the time of its clock at which it has to end."""


class _Latest:
    """How far a run is, as it was last told."""

    progress: Progress | None = None

    def note(self, progress: Progress) -> None:
        self.progress = progress


def plan(settings: Settings, run: Run) -> Summary:
    """Plan the run, and publish the plan unless another worker did so meanwhile. Sends no write."""
    asked = run.request().asked(run.inputs, settings.break_glass)
    with run.planning() as path:

        async def job(session: Session, deadline: float) -> Summary:
            return await jobs.plan(session, replace(asked, out=path), runs_dir=path.parent, deadline=deadline)

        _in_session(settings, run, job)
    return look(run)


def apply(settings: Settings, run: Run, *, begun: bool, retry: bool) -> Summary:
    """Carry out the plan, or go on with it, as far as the time allows."""
    worker = f"{socket.gethostname()} process {os.getpid()} {secrets.token_hex(4)}"
    done = _Latest()

    async def job(session: Session, deadline: float) -> Summary:
        async with _watched(session, run, done):
            return await jobs.apply(
                session,
                run.run_file,
                resume=begun,
                retry=retry,
                deadline=deadline,
                observer=done.note,
                worker=worker,
            )

    return _in_session(settings, run, job)


def look(run: Run) -> Summary:
    """What the run file says now."""
    with RunFile.open(run.run_file) as file:
        return jobs.summarise(file)


def _in_session(settings: Settings, run: Run, job: Job) -> Summary:
    began = RealClock()

    async def main() -> Summary:
        async with open_session(settings) as session:
            left = settings.functions_timeout - MARGIN_S - began.monotonic()
            return await job(session, session.clock.now() + left)

    return clock.run(main(), virtual=settings.target.virtual_time)


@asynccontextmanager
async def _watched(session: Session, run: Run, done: _Latest) -> AsyncIterator[None]:
    """While the context lasts, look for a cancellation and tell how far it is."""

    async def keep_looking() -> None:
        while True:
            await session.clock.sleep(LOOKS_EVERY_S)
            if run.cancelled:
                session.stop_sending()
            if done.progress:
                run.set_progress(**asdict(done.progress))

    looking = asyncio.create_task(keep_looking())
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
