"""One write per target at a time, in the order given, however long each takes and however often it is repeated."""

from __future__ import annotations

import asyncio
from collections import deque

from graphkit.protocol.message import READ_METHODS, Request
from graphkit.protocol.routes import parse

TOGETHER = 64
"""Commutative writes to one target that may be in flight together, until the service objects."""


class _Target:
    __slots__ = ("busy", "limit", "sharing", "waiting")

    def __init__(self) -> None:
        self.busy = 0
        self.limit = TOGETHER
        self.sharing = False
        # Most targets are written once and nobody waits: the queue is made for the first who does.
        self.waiting: deque[tuple[asyncio.Future[None], bool]] | None = None

    def admits(self, commutative: bool) -> bool:
        return self.busy == 0 or (commutative and self.sharing and self.busy < self.limit)

    def take(self, commutative: bool) -> None:
        self.busy += 1
        self.sharing = commutative


class Turns:
    """Reads and writes to a whole collection wait for nobody."""

    def __init__(self) -> None:
        # None for a target that one writes to and nobody waits for, as are nearly all.
        self._targets: dict[str, _Target | None] = {}

    def target(self, request: Request) -> str:
        """The key under which a request takes its turn; empty if it needs none."""
        if request.method in READ_METHODS:
            return ""
        return request.target or parse(request.path).target

    def taken(self, key: str, commutative: bool) -> bool:
        """Take the turn if nobody is in the way. Nearly always nobody is, and no coroutine is made for that."""
        targets = self._targets
        if key not in targets and not commutative:
            targets[key] = None
            return True
        if key not in targets:
            targets[key] = _Target()
        target = targets[key]
        if target is None or target.waiting or not target.admits(commutative):
            return False
        target.take(commutative)
        return True

    async def take(self, key: str, commutative: bool) -> None:
        if self.taken(key, commutative):
            return
        turn = self.line_up(key, commutative)
        try:
            await turn
        except asyncio.CancelledError:
            self.leave(key, turn)
            raise

    def line_up(self, key: str, commutative: bool) -> asyncio.Future[None]:
        """A place behind all who wait already; it is done when the turn has come."""
        target = self._counted(key)
        turn = asyncio.get_running_loop().create_future()
        if target.waiting is None:
            target.waiting = deque()
        target.waiting.append((turn, commutative))
        return turn

    def leave(self, key: str, turn: asyncio.Future[None]) -> None:
        """Give up a place in the line, or the turn if it has come in the meantime."""
        if turn.done() and not turn.cancelled():
            self.give_back(key)
            return
        turn.cancel()
        # When many give up at once, the first of them has cleared away for all.
        if target := self._targets.get(key):
            self._next(key, target)

    def give_back(self, key: str) -> None:
        target = self._targets[key]
        if target is None:
            del self._targets[key]
            return
        target.busy -= 1
        self._next(key, target)

    def narrow(self, key: str) -> None:
        """The service saw two writes collide: let half as many travel together, down to one."""
        target = self._counted(key)
        target.limit = max(1, min(target.limit, target.busy) // 2)

    def _counted(self, key: str) -> _Target:
        """Of a target whose turn is taken: somebody waits for it, or the service saw a collision."""
        target = self._targets[key]
        if target is None:
            target = self._targets[key] = _Target()
            target.take(commutative=False)
        return target

    def _next(self, key: str, target: _Target) -> None:
        while target.waiting:
            turn, commutative = target.waiting[0]
            if turn.cancelled():
                target.waiting.popleft()
            elif target.admits(commutative):
                target.waiting.popleft()
                target.take(commutative)
                turn.set_result(None)
            else:
                return
        if target.busy == 0 and target.limit == TOGETHER:
            del self._targets[key]
