"""Which ids were told already, in few bytes: a million of them must fit beside a small process."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

FEW = 1 << 17
"""Up to so many are kept in a set of Python's, which is four times as fast and takes 70 to 110 bytes each."""
_FULL = 0.7


class Seen:
    """A set of texts that keeps 64 bits of each; beyond ``FEW`` in 12 to 23 bytes each, where the texts would take 150.

    Two of a million texts are taken for one another once in 37 million such sets (Python's string hash is SipHash,
    keyed anew in each process).
    """

    __slots__ = ("_few", "_many")

    def __init__(self) -> None:
        self._few: set[int] = set()
        self._many: _Table | None = None

    def __len__(self) -> int:
        return len(self._few) if self._many is None else len(self._many)

    def add(self, text: str) -> bool:
        """Whether it is new."""
        return self.add_all((text,))[0]

    def add_all(self, texts: Sequence[str]) -> list[bool]:
        """Which of them are new, each in its turn."""
        marks = list(map(hash, texts))
        if self._many is None and len(self._few) + len(marks) > FEW:
            self._many = _Table(self._few)
            self._few.clear()
        if self._many is not None:
            return self._many.add_all(marks)
        return self._add_few(marks)

    def _add_few(self, marks: list[int]) -> list[bool]:
        few = self._few
        if few.isdisjoint(marks):
            count = len(few) + len(marks)
            few.update(marks)
            if len(few) == count:
                return [True] * len(marks)
            few.difference_update(marks)  # one of them came twice: which, the long way tells
        new = []
        for mark in marks:
            new.append(mark not in few)
            few.add(mark)
        return new


class _Table:
    """Open addressing in an array of 64-bit integers."""

    def __init__(self, marks: Iterable[int]) -> None:
        self._table = array("q", bytes(32 * FEW))
        self._count = 0
        self._limit = int(_FULL * len(self._table))
        self.add_all(list(marks))

    def __len__(self) -> int:
        return self._count

    def add_all(self, marks: Sequence[int]) -> list[bool]:
        while self._count + len(marks) > self._limit:
            self._grow()
        table, new = self._table, []
        mask = len(table) - 1
        for mark in marks:
            mark = mark or 1
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
