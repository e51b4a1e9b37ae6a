"""Work that the service accepted and has yet to do: group licensing, team provisioning."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from graphkit.sandbox.state import State

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

Work = Callable[["SimulatedTenant", float, Any], None]

WORK: dict[str, Work] = {}
"""What can be put off, by name: the name is what the state file keeps."""


def work(name: str) -> Callable[[Work], Work]:
    def register(function: Work) -> Work:
        WORK[name] = function
        return function

    return register


class Pending:
    """A queue by due time. Work is done when the first request after that time looks, in due order."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._queue: list[tuple[float, int, str, Any]] = []
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._added: list[tuple[int, float, str, bytes]] = []
        self._done: list[tuple[int]] = []
        self._next = 1

    def load(self) -> None:
        if self._state.file is None:
            return
        for seq, due, name, arguments in self._state.file.execute("SELECT seq, due, work, arguments FROM pending"):
            self._push(due, seq, name, msgspec.json.decode(arguments))
            self._next = max(self._next, seq + 1)

    def add(self, due: float, name: str, arguments: Any) -> None:
        self._push(due, self._next, name, arguments)
        self._added.append((self._next, due, name, msgspec.json.encode(arguments)))
        self._next += 1

    def _push(self, due: float, seq: int, name: str, arguments: Any) -> None:
        heapq.heappush(self._queue, (due, seq, name, arguments))
        self._waiting[name, _first(arguments)] += 1

    def settle(self, tenant: SimulatedTenant, now: float) -> bool:
        """Do all that is due. True if there was anything."""
        if not self._queue or self._queue[0][0] > now:
            return False
        while self._queue and self._queue[0][0] <= now:
            due, seq, name, arguments = heapq.heappop(self._queue)
            self._waiting[name, _first(arguments)] -= 1
            WORK[name](tenant, due, arguments)
            self._done.append((seq,))
        return True

    def waiting(self, name: str, first: Any) -> bool:
        """Whether work of this name, whose first argument is ``first``, is still to be done."""
        return self._waiting[name, str(first)] > 0

    def write_changes(self) -> None:
        if self._state.file is not None:
            self._state.file.executemany("INSERT INTO pending VALUES (?, ?, ?, ?)", self._added)
            self._state.file.executemany("DELETE FROM pending WHERE seq = ?", self._done)
        self._added.clear()
        self._done.clear()


def _first(arguments: Any) -> str:
    return str(arguments[0]) if arguments else ""
