"""Wishes and the input rows behind them, as they are staged until the plan is sealed."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from graphkit.engine.change import Desired, Origin
from graphkit.engine.run.store import CHUNK, Store
from graphkit.errors import InputProblem

_STAGED = """
PRAGMA temp.journal_mode=MEMORY;
CREATE TEMP TABLE wanted(kind TEXT, key TEXT, body BLOB, file TEXT, place, number INTEGER,
    PRIMARY KEY(kind, key)) WITHOUT ROWID;
"""
"""Wishes are needed until the plan is sealed and no longer: in a nameless file that goes with the connection."""


class Wishes(Store):
    """What is asked for."""

    def __init__(self, path: Path, db: sqlite3.Connection, *, write: bool) -> None:
        super().__init__(path, db, write=write)
        self._staged = 0
        db.executescript(_STAGED)

    def stage(self, items: Sequence[Desired]) -> list[InputProblem]:
        """Keep a chunk of wishes and the input rows behind them. A key wanted twice is reported, not kept."""
        # In order of key, of which the tree has to be searched less.
        numbered = sorted(enumerate(items, self._staged), key=lambda pair: pair[1].key)
        self._staged += len(items)
        with self.transaction():
            self._keep_inputs(item.origin for item in items)
            added = self._db.executemany(
                "INSERT OR IGNORE INTO wanted VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (item.kind, item.key, _pack(item), item.origin.file, item.origin.place, number)
                    for number, item in numbered
                ),
            )
            if added.rowcount == len(items):
                return []
            found = (self._twice(item, number) for number, item in numbered)
            return [problem for problem in found if problem]

    def _keep_inputs(self, origins: Iterable[Origin]) -> None:
        # In the order of the columns, so that the results can be laid beside the input.
        self._db.executemany(
            "INSERT OR IGNORE INTO input(file, place, data) VALUES (?, ?, ?)",
            ((origin.file, origin.place, msgspec.json.encode(dict(origin.values)).decode()) for origin in origins),
        )

    def _twice(self, item: Desired, number: int) -> InputProblem | None:
        """Set unless the wish that is kept under this key is the one of that number."""
        file, row, kept = self._db.execute(
            "SELECT file, place, number FROM wanted WHERE kind = ? AND key = ?", (item.kind, item.key)
        ).fetchone()
        if kept == number:
            return None
        place = f"row {row}" if isinstance(row, int) else row
        where = place if file == item.origin.file else f"{file} {place}"
        message = f"{item.key} is there twice, first in {where}"
        return InputProblem(item.origin.file, item.origin.place, "duplicate-key", message)

    def stage_inputs(self, origins: Iterable[Origin]) -> None:
        """Keep input rows that ask for nothing themselves, so that the results have a line for each."""
        with self.transaction():
            self._keep_inputs(origins)

    def inputs(self) -> Iterator[Origin]:
        """Every input row, with its cells."""
        for file, place, data in self._db.execute("SELECT file, place, data FROM input ORDER BY id"):
            yield Origin(file, place, msgspec.json.decode(data) if data else {})

    def mark_problem(self, problem: InputProblem) -> None:
        """Note why an input row was left out; it ends as skipped."""
        self._keep_inputs([Origin(problem.file, problem.where)])
        self._db.execute(
            "UPDATE input SET problem = coalesce(problem || '; ', '') || ? WHERE file = ? AND place = ?",
            (problem.message, problem.file, problem.where),
        )

    def left_out(self) -> int:
        """How many input rows were refused and go on without."""
        return int(self._db.execute("SELECT count(*) FROM input WHERE problem IS NOT NULL").fetchone()[0])

    def drop_wanted(self, problem: InputProblem) -> None:
        self._db.execute("DELETE FROM wanted WHERE file = ? AND place = ?", (problem.file, problem.where))

    def restage(self, items: Sequence[Desired]) -> None:
        """Keep what ``resolve`` has put into the wishes."""
        with self.transaction():
            self._db.executemany(
                "UPDATE wanted SET body = ? WHERE kind = ? AND key = ?",
                [(_pack(item), item.kind, item.key) for item in items],
            )

    def wanted_kinds(self) -> list[str]:
        # From one to the next, for DISTINCT would read every wish.
        kinds: list[str] = []
        query = "SELECT min(kind) FROM wanted WHERE kind > ?"
        while (kind := self._db.execute(query, (kinds[-1] if kinds else "",)).fetchone()[0]) is not None:
            kinds.append(kind)
        return kinds

    def wanted(self, kind: str) -> Iterator[Desired]:
        """Every wish of a kind, by key."""
        for chunk in self.wanted_chunks(kind):
            yield from chunk

    def wanted_count(self, kind: str) -> int:
        return int(self._db.execute("SELECT count(*) FROM wanted WHERE kind = ?", (kind,)).fetchone()[0])

    def is_wanted(self, kind: str, key: str) -> bool:
        return self._db.execute("SELECT 1 FROM wanted WHERE kind = ? AND key = ?", (kind, key)).fetchone() is not None

    def wanted_chunks(self, kind: str) -> Iterator[list[Desired]]:
        last = ""
        while True:
            rows = self._db.execute(
                "SELECT key, body, file, place FROM wanted WHERE kind = ? AND key > ? ORDER BY key LIMIT ?",
                (kind, last, CHUNK),
            ).fetchall()
            if not rows:
                return
            yield [_unpack(kind, key, body, Origin(file, place)) for key, body, file, place in rows]
            last = rows[-1][0]


class _Body(msgspec.Struct, array_like=True):
    """What a staged wish holds beside its key and origin."""

    properties: dict[str, Any]
    needs: tuple[tuple[str, str], ...]
    rails: dict[str, Any]
    blocked: str
    absent: bool


_BODY = msgspec.json.Decoder(_Body)


def _pack(item: Desired) -> bytes:
    return msgspec.json.encode(_Body(item.properties, item.needs, item.rails, item.blocked, item.absent))


def _unpack(kind: str, key: str, body: bytes, origin: Origin) -> Desired:
    wish = _BODY.decode(body)
    return Desired(
        kind=kind,
        key=key,
        origin=origin,
        properties=wish.properties,
        needs=wish.needs,
        rails=wish.rails,
        blocked=wish.blocked,
        absent=wish.absent,
    )
