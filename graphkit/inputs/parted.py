"""The rows of one table, each where it belongs by the text of some of its cells: read once, however many ask."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from graphkit.inputs.table import Row

_TOGETHER = 1000


class Parted:
    """``columns`` are those that decide, by their headings; ``rows`` is consumed at once.

    Kept in a temporary database that spills to a nameless file: a staff list may have a million rows.
    """

    def __init__(self, rows: Iterable[Row], header: tuple[str, ...], columns: Iterable[str]) -> None:
        self._columns = tuple(sorted(columns))
        self._asked: set[str] = set()
        places = [header.index(column) for column in self._columns]
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._db.close)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA cache_size = -8000")
        self._db.execute("CREATE TABLE row (part TEXT, number INTEGER, body BLOB)")
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT INTO row VALUES (?, ?, ?)",
            ((_part(row.cells[place] for place in places), row.number, msgspec.json.encode(row)) for row in rows),
        )
        self._db.execute("CREATE INDEX row_part ON row (part, number)")
        self._db.execute("COMMIT")

    def of(self, match: Mapping[str, str]) -> Iterator[Row]:
        """The rows whose cells are these, in the order of the file; ``match`` has all columns that decide."""
        part = _part(match[column] for column in self._columns)
        self._asked.add(part)
        yield from self._rows(part)

    def left(self) -> Iterator[Row]:
        """The rows that nobody has asked for."""
        parts = [part for (part,) in self._db.execute("SELECT DISTINCT part FROM row")]
        for part in parts:
            if part not in self._asked:
                yield from self._rows(part)

    def _rows(self, part: str) -> Iterator[Row]:
        last = -1
        while True:
            # In pieces: an open cursor would hold up whoever asks meanwhile.
            found = self._db.execute(
                "SELECT number, body FROM row WHERE part = ? AND number > ? ORDER BY number LIMIT ?",
                (part, last, _TOGETHER),
            ).fetchall()
            if not found:
                return
            yield from (Row(*msgspec.json.decode(body)) for _, body in found)
            last = found[-1][0]


def _part(texts: Iterable[str]) -> str:
    return "\x1f".join(text.strip() for text in texts)
