"""Wishes, as they are staged until the plan is sealed."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from graphkit.engine.bulk import insert
from graphkit.engine.change import Desired, Origin
from graphkit.engine.run.inputs import InputRows
from graphkit.engine.run.store import CHUNK
from graphkit.errors import InputProblem

_TABLES = """
CREATE TEMP TABLE staged_{0}(number INTEGER PRIMARY KEY, key TEXT, wish BLOB);
CREATE TEMP TABLE resolved_{0}(number INTEGER PRIMARY KEY, wishes BLOB);
"""
"""Of each kind, first the wishes as they come, then chunks of them by key. They are needed until the plan is sealed and
no longer: in a nameless file that goes with the connection."""

_ENCODER = msgspec.json.Encoder()
_WISH = msgspec.json.Decoder(Desired)
_WISHES = msgspec.json.Decoder(list[Desired])


class Wishes(InputRows):
    """What is asked for."""

    def __init__(self, path: Path, db: sqlite3.Connection, *, write: bool) -> None:
        super().__init__(path, db, write=write)
        self._kinds: dict[str, int] = {}
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._resolved: set[str] = set()
        self._twice: dict[InputProblem, None] = {}
        self._dropped: set[Origin] = set()
        db.execute("PRAGMA temp.journal_mode=MEMORY")

    def stage(self, items: Sequence[Desired]) -> None:
        """Keep a chunk of wishes and the input rows behind them."""
        by_kind: defaultdict[str, list[Desired]] = defaultdict(list)
        with self.transaction():
            self._keep_inputs([item.origin for item in items])
            for item in items:
                item.origin = Origin(item.origin.file, item.origin.place)  # its values are kept with the input
                by_kind[item.kind].append(item)
            for kind, some in by_kind.items():
                # Line by line: a line feed within a text is escaped.
                wishes = _ENCODER.encode_lines(some).split(b"\n")[:-1]
                staged = [(item.key, wish) for item, wish in zip(some, wishes, strict=True)]
                insert(self._db, f"INTO staged_{self._table(kind)}(key, wish)", staged)
                self._counts[kind] += len(some)

    def _table(self, kind: str) -> int:
        if kind not in self._kinds:
            self._kinds[kind] = len(self._kinds)
            for statement in _TABLES.format(self._kinds[kind]).strip().splitlines():
                self._db.execute(statement)
        return self._kinds[kind]

    def resolving(self, kind: str) -> Iterator[list[Desired]]:
        """Every wish of a kind in chunks, by key, once; what is put into them before the next chunk is kept."""
        for chunk in self._staged_chunks(kind):
            yield chunk
            with self.transaction():
                query = f"INSERT INTO resolved_{self._table(kind)}(wishes) VALUES (?)"
                self._db.execute(query, (_ENCODER.encode(chunk),))
        self._resolved.add(kind)

    def twice(self) -> list[InputProblem]:
        """Keys that were found to be wanted twice while wishes were brought into order; the first one is kept."""
        return list(self._twice)

    def drop_wanted(self, problem: InputProblem) -> None:
        """What this input row asks for is left out from now on."""
        self._dropped.add(Origin(problem.file, problem.where))

    def drop_all(self) -> None:
        """No wish is needed any more."""
        self._db.execute("PRAGMA temp.journal_mode=OFF")  # else all that goes would be kept in memory first
        for number in self._kinds.values():
            self._db.execute(f"DROP TABLE staged_{number}")
            self._db.execute(f"DROP TABLE resolved_{number}")
        self._kinds.clear()

    def wanted_kinds(self) -> list[str]:
        return [kind for kind in sorted(self._kinds) if self.wanted_count(kind)]

    def wanted(self, kind: str) -> Iterator[Desired]:
        """Every wish of a kind, by key."""
        for chunk in self.wanted_chunks(kind):
            yield from chunk

    def wanted_count(self, kind: str) -> int:
        """How many wishes there are of a kind; what is wanted twice may count twice."""
        return sum(1 for _ in self.wanted(kind)) if self._dropped else self._counts[kind]

    def is_wanted(self, kind: str, key: str) -> bool:
        """Few ask, so that the wishes have no index by key until somebody does."""
        if kind not in self._kinds:
            return False
        table = f"staged_{self._kinds[kind]}"
        self._db.execute(f"CREATE INDEX IF NOT EXISTS temp.{table}_key ON {table}(key)")
        found = self._db.execute(f"SELECT wish FROM {table} WHERE key = ?", (key,)).fetchall()
        return any(_WISH.decode(wish).origin not in self._dropped for (wish,) in found)

    def wanted_chunks(self, kind: str) -> Iterator[list[Desired]]:
        chunks = self._resolved_chunks(kind) if kind in self._resolved else self._staged_chunks(kind)
        for chunk in chunks:
            kept = [item for item in chunk if item.origin not in self._dropped] if self._dropped else chunk
            if kept:
                yield kept

    def _resolved_chunks(self, kind: str) -> Iterator[list[Desired]]:
        query = f"SELECT number, wishes FROM resolved_{self._kinds[kind]} WHERE number > ? LIMIT 1"
        last = 0
        while row := self._db.execute(query, (last,)).fetchone():
            last, wishes = row
            yield _WISHES.decode(wishes)

    def _staged_chunks(self, kind: str) -> Iterator[list[Desired]]:
        if kind not in self._kinds:
            return
        # What is sorted is a copy, so that others may write meanwhile.
        rows = self._db.execute(f"SELECT key, wish FROM staged_{self._kinds[kind]} ORDER BY key, number")
        last = None
        while found := rows.fetchmany(CHUNK):
            chunk = [_WISH.decode(wish) for _, wish in found]
            if len({key for key, _ in found}) < len(found) or (last and last.key == chunk[0].key):
                chunk = list(self._first_of_each(chunk, last))
            if chunk:
                last = chunk[-1]
                yield chunk

    def _first_of_each(self, chunk: Iterable[Desired], last: Desired | None) -> Iterator[Desired]:
        """The others are noted as wanted twice."""
        for item in chunk:
            if last is None or item.key != last.key:
                last = item
                yield item
                continue
            place = f"row {last.origin.place}" if isinstance(last.origin.place, int) else last.origin.place
            where = place if last.origin.file == item.origin.file else f"{last.origin.file} {place}"
            message = f"{item.key} is there twice, first in {where}"
            self._twice[InputProblem(item.origin.file, item.origin.place, "duplicate-key", message)] = None
