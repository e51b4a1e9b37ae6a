"""From a sealed plan to outcomes: first run and resume are the same code.

The life of one pack of changes:

1. what it needs is settled; if that failed the pack is skipped
2. sent by an earlier process without a recorded outcome? look, adopt what is there
3. read again: changed since the plan was made is refused, already as wished is done
4. the intent is on disk, then the request leaves
5. accepted: done. Refused: read back; what is as wished is done, the rest is halved until the bad one stands alone
6. no answer: look, more than once, for longer than replicas lag; found is adopted, absent is sent again

Steps 2 to 6 are ``sending.py``; what the packs share is ``course.py``.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from graphkit.engine.brake import Brake
from graphkit.engine.canary import verify
from graphkit.engine.change import Change
from graphkit.engine.course import Breaker, Course
from graphkit.engine.course import Progress as Progress
from graphkit.engine.packing import Pack, not_alone, opening, packs
from graphkit.engine.resource import Context, Resource
from graphkit.engine.runfile import RunFile
from graphkit.engine.sending import Sender
from graphkit.errors import GraphkitError, Parked
from graphkit.protocol.budget import WriteBudget

WINDOW = 2000
"""Packs held in memory, those that wait for what they need included."""
WINDOW_CHANGES = 8000
"""And the changes in them: a pack of twenty takes twenty times the memory. Enough for all places on the wire."""


class Applier:
    """Applies one run; after ``deadline``, a time of the clock, nothing new is sent.

    ``canary`` is how many changes go first, and are read back, before the others follow; ``breaker`` stops the run when
    too many fail, ``brake`` when somebody outside says so. ``others_may_send``: whoever sent for this run before may
    not know yet that it was taken over, so that nothing they may still send is sent again where the service would
    execute it twice. Raises what stopped it early; outcomes are in the run file either way.
    """

    def __init__(
        self,
        run: RunFile,
        resources: Mapping[str, Resource],
        context: Context,
        budget: WriteBudget,
        *,
        deadline: float = math.inf,
        observer: Callable[[Progress], None] = lambda _: None,
        breaker: Breaker | None = None,
        canary: int = 0,
        brake: Brake | None = None,
        others_may_send: bool = False,
    ) -> None:
        self._run = run
        self._resources = resources
        self._context = context
        self._budget = budget
        self._begin = partial(
            Course,
            run,
            resources,
            context,
            deadline=deadline,
            observer=observer,
            breaker=breaker,
            brake=brake,
            others_may_send=others_may_send,
        )
        self._canary = canary
        self._window = _Window()

    async def apply(self) -> None:
        self._run.settle_unwritten(self._context.clock.now())
        course = self._course = self._begin()
        self._sender = Sender(course, self._context, self._budget)
        with course.brake.heard_by(course.interrupt):
            await self._in_order(course)

    async def _in_order(self, course: Course) -> None:
        if self._canary:
            first = opening(self._run.pending(), self._resources, self._canary)
            await self._carry_out(first)
            course.raise_if_stopped()
            await verify(self._run, first, self._resources, course)
            course.raise_if_stopped()
            self._run.set_header(canary=0)  # a resume need not begin with care again
        await self._carry_out(self._run.pending())
        course.raise_if_stopped()

    async def _carry_out(self, changes: Iterable[Change]) -> None:
        async with asyncio.TaskGroup() as tasks:
            for pack in packs(changes, self._resources):
                await self._window.enter(len(pack))
                if self._course.must_stop():
                    break
                tasks.create_task(self._settle(pack))

    async def _settle(self, pack: Pack) -> None:
        course = self._course
        try:
            ready, skipped = await course.needs.met(pack)
            if len(ready) < len(pack) and not self._resources[pack[0].kind].divisible(pack):
                ready, skipped = [], [*skipped, *(not_alone(change) for change in ready if skipped)]
            await course.record(skipped)
            if ready:
                resource = self._resources[ready[0].kind]
                async with course.slots_for(resource):
                    if not course.must_stop():
                        await self._sender.settle(resource, ready)
        except Parked as error:
            course.park(error)
        except GraphkitError as error:
            course.halt(error)
        finally:
            course.needs.abandon(pack)
            self._window.leave(len(pack))


class _Window:
    """How much is held in memory at a time. One asks for room; what is settled makes some."""

    def __init__(self) -> None:
        self._packs = self._changes = 0
        self._left = asyncio.Event()

    async def enter(self, changes: int) -> None:
        while self._packs and (self._packs >= WINDOW or self._changes + changes > WINDOW_CHANGES):
            self._left.clear()
            await self._left.wait()
        self._packs += 1
        self._changes += changes

    def leave(self, changes: int) -> None:
        self._packs -= 1
        self._changes -= changes
        self._left.set()
