"""Which ids were told already, in few bytes: a million of them must fit beside a small process."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

_SMALLEST = 1024
_FULL = 0.7


class Seen:
    """A set of texts that keeps 64 bits of each, 12 to 23 bytes an entry; a set of the texts would take 150.

    Two of a million texts are taken for one another once in 37 million such sets (Python's string hash is SipHash,
    keyed anew in each process).
    """

    __slots__ = ("_count", "_limit", "_table")

    def __init__(self) -> None:
        self._table = array("q", bytes(8 * _SMALLEST))
        self._count = 0
        self._limit = int(_FULL * _SMALLEST)

    def __len__(self) -> int:
        return self._count

    def add(self, text: str) -> bool:
        """Whether it is new."""
        return self.add_all((text,))[0]

    def add_all(self, texts: Sequence[str]) -> list[bool]:
        """Which of them are new, each in its turn."""
        while self._count + len(texts) > self._limit:
            self._grow()
        table, new = self._table, []
        mask = len(table) - 1
        for text in texts:
            mark = hash(text) or 1
            place = mark & mask
            while (found := table[place]) and found != mark:
                place = (place + 1) & mask
            table[place] = mark
            new.append(not found)
        self._count += sum(new)
        return new

    def _grow(self) -> None:
        old = self._table
        size = 2 * len(old)
        self._table = table = array("q", bytes(8 * size))
        self._limit = int(_FULL * size)
        mask = size - 1
        for mark in old:
            if mark:
                place = mark & mask
                while table[place]:
                    place = (place + 1) & mask
                table[place] = mark
