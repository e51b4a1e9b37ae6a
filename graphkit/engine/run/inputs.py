"""The input rows behind a plan, kept so that the results can be laid beside them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from graphkit.engine.bulk import insert
from graphkit.engine.change import Origin
from graphkit.engine.run.store import CHUNK, Store
from graphkit.errors import InputProblem

_PER_FILE = 1 << 32
_PATHS = 1 << 31
"""From here on the numbers of a file are those of paths within a document; below are rows."""
_VALUES = msgspec.json.Encoder()


class InputRows(Store):
    """Rows of tables, and places in documents. Each has a number that says which it is, so that none is looked for.

    They are kept by the process that made the run file.
    """

    def __init__(self, path: Path, db: sqlite3.Connection, *, write: bool) -> None:
        super().__init__(path, db, write=write)
        self.given: Iterable[str] = ()
        """Files in the order in which they were given, which is that of the results; may grow as more are opened."""
        self._files: dict[str, int] = {}
        self._with_columns: set[str] = set()
        self._paths: dict[tuple[int, str], int] = {}

    def stage_inputs(self, origins: Iterable[Origin]) -> None:
        """Keep input rows that ask for nothing themselves, so that the results have a line for each."""
        iterator = iter(origins)
        with self.transaction():
            while chunk := list(islice(iterator, CHUNK)):
                self._keep_inputs(chunk)

    def inputs(self) -> Iterator[Origin]:
        """Every input row, with its cells."""
        return (origin for _, origin, _ in self._kept_inputs())

    def _kept_inputs(self, which: str = "true") -> Iterator[tuple[int, Origin, str | None]]:
        """(number, input row, why it was left out) of those of which SQL says that they are wanted, in order."""
        files = {
            number: (name, tuple(msgspec.json.decode(columns)))
            for number, name, columns in self._db.execute("SELECT number, name, columns FROM file")
        }
        rows = self._db.execute(f"SELECT id, place, cells, problem FROM input WHERE {which} ORDER BY id")
        for row, place, cells, problem in rows:
            name, columns = files[row // _PER_FILE]
            yield row, Origin(name, place, columns, msgspec.json.decode(cells)), problem

    def mark_problem(self, problem: InputProblem) -> None:
        """Note why an input row was left out; it ends as skipped."""
        origin = Origin(problem.file, problem.where)
        self._keep_inputs([origin])
        self._db.execute(
            "UPDATE input SET problem = coalesce(problem || '; ', '') || ? WHERE id = ?",
            (problem.message, self._input_id(origin)),
        )

    def left_out(self) -> int:
        """How many input rows were refused and go on without."""
        return int(self._db.execute("SELECT count(*) FROM input WHERE problem IS NOT NULL").fetchone()[0])

    def _keep_inputs(self, origins: Sequence[Origin]) -> None:
        # In the order of the columns, so that the results can be laid beside the input.
        texts = _VALUES.encode_lines([origin.cells for origin in origins]).decode().split("\n")[:-1]
        rows = [(self._input_id(origin), origin.place, text) for origin, text in zip(origins, texts, strict=True)]
        insert(self._db, "OR IGNORE INTO input(id, place, cells)", rows)
        for file, columns in {origin.file: origin.columns for origin in origins if origin.columns}.items():
            if file not in self._with_columns:
                self._with_columns.add(file)
                query = "UPDATE file SET columns = ? WHERE number = ?"
                self._db.execute(query, (_VALUES.encode(columns).decode(), self._files[file]))

    def _input_id(self, origin: Origin) -> int:
        file, place = self._files.get(origin.file), origin.place
        if file is None:
            file = self._number(origin.file)
        if isinstance(place, str):
            place = _PATHS + self._paths.setdefault((file, place), len(self._paths))
        return file * _PER_FILE + place

    def _number(self, file: str) -> int:
        """Of a file that is new here; those given before it come first, for their rows may be kept later."""
        for name in (*self.given, file):
            if name not in self._files:
                self._files[name] = len(self._files)
                self._db.execute("INSERT INTO file(number, name) VALUES (?, ?)", (self._files[name], name))
        return self._files[file]
