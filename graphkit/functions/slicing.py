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
from graphkit.engine.brake import Brake
from graphkit.engine.runfile import RunFile
from graphkit.functions.deployment import Deployment
from graphkit.functions.store import Run, Worker
from graphkit.jobs import Summary
from graphkit.session import Session, open_session
from graphkit.settings import Settings

MARGIN_S = 60.0
"""Between the end of a slice and the host's time-out."""
LOOKS_EVERY_S = 5.0
"""How often a slice looks whether it was cancelled, and tells how far it is."""

Job = Callable[[Session, float], Awaitable[Summary]]
"""A job, given the session and the time of its clock at which it has to end."""


class Busy(Exception):
    """Another worker is applying the run."""


def plan(settings: Settings, run: Run) -> Summary:
    """Plan the run, and publish the plan unless another worker did so meanwhile. Sends no write."""
    asked = run.request().asked(run.inputs, settings.orgs_file)
    with run.planning() as path:

        async def job(session: Session, deadline: float) -> Summary:
            return await jobs.plan(session, replace(asked, out=path), runs_dir=path.parent, deadline=deadline)

        _in_session(settings, run, job)
    return look(run)


def apply(deployment: Deployment, run: Run, *, begun: bool, retry: bool) -> Summary:
    """Carry out the plan, or go on with it, as far as the time allows. Raises ``Busy`` if somebody else is at it."""
    name = f"{socket.gethostname()} process {os.getpid()} {secrets.token_hex(4)}"
    if not run.claim(Worker(name, deployment.now())):
        raise Busy
    presence = _Presence(deployment, run, name)

    async def job(session: Session, deadline: float) -> Summary:
        async with presence.shown(session):
            return await jobs.apply(
                session,
                run.run_file,
                resume=begun,
                retry=retry,
                deadline=deadline,
                observer=presence.note,
                worker=name,
                brake=presence.brake,
            )

    try:
        return _in_session(deployment.settings, run, job)
    finally:
        run.leave(name)


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


class _Presence:
    """While a slice is at work: tells that it is and how far, and looks whether somebody cancels."""

    def __init__(self, deployment: Deployment, run: Run, name: str) -> None:
        self._deployment = deployment
        self._run = run
        self._name = name
        self._latest = Progress(0, 0, 0)
        self.brake = Brake()

    def note(self, progress: Progress) -> None:
        """How far it is."""
        self._latest = progress

    @asynccontextmanager
    async def shown(self, session: Session) -> AsyncIterator[None]:
        telling = asyncio.create_task(self._keep_telling(session))
        try:
            yield
        finally:
            telling.cancel()
            with suppress(asyncio.CancelledError):
                await telling

    async def _keep_telling(self, session: Session) -> None:
        while True:
            await session.clock.sleep(LOOKS_EVERY_S)
            with suppress(OSError):  # the share may be away for a moment
                if self._run.cancelled:
                    self.brake.pull()
                self._run.tell(Worker(self._name, self._deployment.now(), **asdict(self._latest)))
