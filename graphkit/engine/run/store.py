"""The connection that all topics of a run file share: transactions and the header."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from graphkit.engine.change import canonical
from graphkit.engine.journal_seal import NAME as JOURNAL
from graphkit.engine.journal_seal import JournalSeal
from graphkit.errors import RunFileError

CHUNK = 1000


class Store:
    """The database of one run."""

    def __init__(self, path: Path, db: sqlite3.Connection, *, write: bool) -> None:
        self.path = path
        self.on_begin: Callable[[], None] = lambda: None
        """Called inside every transaction, which fails with what it raises."""
        self._db = db
        self._seal = JournalSeal(db, self._belongs_to, write=write)

    def _belongs_to(self) -> str:
        """What the records of the journal are bound to."""
        return canonical([self.header_value(name) for name in ("id", "tenant", "digest")])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One commit for all that happens inside; nothing of it if that fails."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self.on_begin()
            self._seal.load(self.header_value(JOURNAL))
            yield
            if journal := self._seal.changed():
                self.put_header(**{JOURNAL: journal})
            self._db.execute("COMMIT")
        except BaseException as error:
            # A full disk may have ended the transaction already (sqlite.org/lang_transaction.html).
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError):
                raise unwritable(self.path, error) from error
            raise

    @contextmanager
    def _within_transaction(self) -> Iterator[None]:
        """The caller's, or one of its own."""
        if self._db.in_transaction:
            yield
        else:
            with self.transaction():
                yield

    def set_header(self, **values: Any) -> None:
        with self.transaction():
            self.put_header(**values)

    def put_header(self, **values: Any) -> None:
        """The same within a transaction of the caller's."""
        self._db.executemany(
            "INSERT OR REPLACE INTO header VALUES (?, ?)",
            [(name, canonical(value)) for name, value in values.items()],
        )

    def header_value(self, name: str) -> Any:
        """One field; None if it is not there."""
        row = self._db.execute("SELECT value FROM header WHERE name = ?", (name,)).fetchone()
        return msgspec.json.decode(row[0]) if row else None

    def header(self) -> dict[str, Any]:
        return {name: msgspec.json.decode(value) for name, value in self._db.execute("SELECT name, value FROM header")}


def unwritable(path: Path, error: sqlite3.DatabaseError) -> RunFileError:
    return RunFileError(
        f"{path} cannot be written: {error}",
        hint="see to the disk (space, permissions, another program that holds the file), then graphkit resume goes on",
    )
