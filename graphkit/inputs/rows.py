"""Rows of a table as instances of a recipe's input model, every error at once."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeVar

from graphkit.inputs.problems import Problems
from graphkit.inputs.table import Faults, Row, Table

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")

SHOWN_VALUE = 60


def read_rows(
    table: Table,
    model: type[M],
    problems: Problems,
    *,
    key: Callable[[M], object] | None = None,
    context: Mapping[str, object] | None = None,
) -> Iterator[tuple[Row, M]]:
    """Each valid row with its model; what is wrong with the others goes to ``problems``.

    Empty cells count as not given, so that defaults apply. With ``key``, a row whose key an earlier row had is
    reported with both numbers and left out; keys compare without regard to case and otherwise exactly. Memory is
    bounded: seen keys live as digests in a temporary database. ``context`` is what the fields' validators may ask.
    """
    from pydantic import ValidationError

    seen = SeenKeys() if key else None
    # What model_validate calls: its own work takes a fifth of the whole, and a list may have a million rows.
    validate = model.__pydantic_validator__.validate_python
    for row, faults in table.scan():
        try:
            item = validate(row.given, context=context)
        except ValidationError as error:
            for column, code, message in _errors(error, faults):
                problems.add(row.file, row.number, code, f"{column}: {message}" if column else message)
            continue
        if faults:
            for column, reason in faults.items():
                problems.add(row.file, row.number, "bad-cell", f"{column}: {reason}")
            continue
        if key and seen and (first := seen.first_row(key(item), row.number)) is not None:
            shown = ", ".join(str(part) for part in _parts(key(item)))
            problems.add(row.file, row.number, "duplicate-key", f"{shown}: already in row {first}")
            continue
        yield row, item


class SeenKeys:
    """Remembers in which row a key first occurred, in a temporary database that spills to disk."""

    def __init__(self) -> None:
        # Digests, so that no personal data reaches the disk; threads may take turns reading a table.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA cache_size = -16000")
        self._db.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID")
        self._db.execute("BEGIN")
        weakref.finalize(self, self._db.close)

    def first_row(self, key: object, number: int) -> int | None:
        """The row that had ``key`` before, or None, in which case ``number`` is remembered."""
        text = "\x1f".join(str(part).lower() for part in _parts(key))
        digest = blake2b(text.encode(), digest_size=16).digest()
        if self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (digest, number)).rowcount:
            return None
        found: tuple[int] = self._db.execute("SELECT number FROM seen WHERE digest = ?", (digest,)).fetchone()
        return found[0]


def _parts(key: object) -> tuple[object, ...]:
    return key if isinstance(key, tuple) else (key,)


def _errors(error: Any, faults: Faults) -> Iterator[tuple[str, str, str]]:
    """(column, code, message) of everything wrong with a row; a cell's fault stands before what it led to."""
    for column, reason in faults.items():
        yield column, "bad-cell", reason
    for entry in error.errors(include_url=False):
        column = str(entry["loc"][0]) if entry["loc"] else ""
        if column not in faults:
            yield column, *explain(entry)


def explain(entry: Any) -> tuple[str, str]:
    """(code, message) of one pydantic error, in the words of this project where they are clearer."""
    kind, value = entry["type"], entry.get("input")
    if kind == "missing":
        return "missing-value", "is empty or missing"
    if kind == "extra_forbidden":
        return "unknown-key", "is not a known key here"
    message = entry["msg"].removeprefix("Value error, ")
    if isinstance(value, str | int | float) and len(str(value)) <= SHOWN_VALUE:
        message = f"{value!r}: {message[:1].lower()}{message[1:]}"
    return "invalid-value", message
