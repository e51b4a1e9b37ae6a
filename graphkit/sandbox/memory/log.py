"""The append-only log of committed writes: the judge of duplicates, order and blast radius."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from graphkit.sandbox.memory.state import State


class Entry(NamedTuple):
    """One committed write. ``at`` is tenant time (epoch seconds); ``status`` is what the caller was told, 0 for
    nothing; ``faulted`` says that a fault put that answer in the place of the true one. By ``visible`` every replica
    shows it; ``effective`` is when all that it put off was done: ``at`` if there was nothing, 0 while there is. A write
    that a fault put off and that was refused in the end changed nothing: its ``kind`` is ``refused``, its ``object_id``
    the code of the error.
    """

    seq: int
    at: float
    method: str
    path: str
    kind: str
    object_id: str
    client_request_id: str
    status: int
    faulted: bool
    visible: float
    effective: float


class WriteLog(Sequence[Entry]):
    """Reads like a list. With a state file the entries live there and survive reopening."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._entries: list[Entry] = []
        self._unwritten: list[Entry] = []
        self._effective: list[tuple[float, int]] = []
        self._length = 0

    def load(self) -> None:
        if self._state.file is not None:
            self._length = self._state.file.execute("SELECT coalesce(max(seq), 0) FROM log").fetchone()[0]

    @property
    def next(self) -> int:
        """The sequence number of the write under way."""
        return self._length + 1

    def append(self, entry: Entry) -> None:
        self._length += 1
        entry = entry._replace(seq=self._length)
        (self._unwritten if self._state.file is not None else self._entries).append(entry)

    def took_effect(self, seq: int, at: float) -> None:
        """Everything that the write ``seq`` had put off is done."""
        if self._state.file is not None:
            self._effective.append((at, seq))
        elif 0 < seq <= self._length:
            self._entries[seq - 1] = self._entries[seq - 1]._replace(effective=at)

    def write_changes(self) -> None:
        if self._state.file is None:
            return
        self._state.file.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self._unwritten)
        self._state.file.executemany("UPDATE log SET effective = ? WHERE seq = ?", self._effective)
        self._unwritten.clear()
        self._effective.clear()

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Entry]:
        yield from self._entries
        if self._state.file is not None:
            for row in self._state.file.execute("SELECT * FROM log ORDER BY seq"):
                entry = Entry._make(row)
                yield entry._replace(faulted=bool(entry.faulted))

    def __getitem__(self, index: Any) -> Any:
        return list(self)[index]
