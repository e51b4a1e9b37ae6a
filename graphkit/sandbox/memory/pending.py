"""Work that the service accepted and has yet to do: group licensing, team provisioning."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from graphkit.sandbox.memory.state import State

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
    """A queue by due time. Work is done when the first request after that time looks, in due order. ``cause`` is the
    sequence number of the write that put it off; what work puts off in its turn has the same cause.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self._queue: list[tuple[float, int, str, Any, int]] = []
        self._waiting: Counter[tuple[str, str]] = Counter()
        self._added: list[tuple[int, float, str, bytes, int]] = []
        self._done: list[tuple[int]] = []
        self._causes: Counter[int] = Counter()
        self._current = 0
        self._next = 1

    def load(self) -> None:
        if self._state.file is None:
            return
        for seq, due, name, arguments, cause in self._state.file.execute("SELECT * FROM pending"):
            self._push(due, seq, name, msgspec.json.decode(arguments), cause)
            self._next = max(self._next, seq + 1)

    def add(self, due: float, name: str, arguments: Any, cause: int) -> None:
        cause = self._current or cause
        self._push(due, self._next, name, arguments, cause)
        self._added.append((self._next, due, name, msgspec.json.encode(arguments), cause))
        self._next += 1

    def _push(self, due: float, seq: int, name: str, arguments: Any, cause: int) -> None:
        heapq.heappush(self._queue, (due, seq, name, arguments, cause))
        self._waiting[name, _first(arguments)] += 1
        self._causes[cause] += 1

    def settle(self, tenant: SimulatedTenant, now: float) -> Iterator[tuple[float, list[int]]]:
        """Do all that is due, moment by moment: each time the moment, and the writes of which nothing is left to do."""
        while self._queue and self._queue[0][0] <= now:
            due = self._queue[0][0]
            settled = []
            while self._queue and self._queue[0][0] == due:
                cause = self._do_next(tenant)
                if not self._causes[cause]:
                    del self._causes[cause]
                    settled.append(cause)
            yield due, settled

    def _do_next(self, tenant: SimulatedTenant) -> int:
        due, seq, name, arguments, cause = heapq.heappop(self._queue)
        self._waiting[name, _first(arguments)] -= 1
        self._done.append((seq,))
        self._current = cause
        try:
            WORK[name](tenant, due, arguments)
        finally:
            self._current = 0
        self._causes[cause] -= 1
        return cause

    def waiting(self, name: str, first: Any) -> bool:
        """Whether work of this name, whose first argument is ``first``, is still to be done."""
        return self._waiting[name, str(first)] > 0

    @property
    def changed(self) -> bool:
        """Whether anything was put off, or done, since the last commit."""
        return bool(self._added or self._done)

    def put_off(self, cause: int) -> bool:
        """Whether a write has left anything to do."""
        return self._causes[cause] > 0

    def write_changes(self) -> None:
        if self._state.file is not None:
            self._state.file.executemany("INSERT INTO pending VALUES (?, ?, ?, ?, ?)", self._added)
            self._state.file.executemany("DELETE FROM pending WHERE seq = ?", self._done)
        self._added.clear()
        self._done.clear()


def _first(arguments: Any) -> str:
    return str(arguments[0]) if arguments else ""
