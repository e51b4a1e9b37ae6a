"""Rows of a table as instances of a recipe's input model, every error at once."""

from __future__ import annotations

import sqlite3
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from graphkit.engine.bulk import insert
from graphkit.inputs.problems import Problems
from graphkit.inputs.table import Faults, Row, Table

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")

SHOWN_VALUE = 60


class Judged(NamedTuple, Generic[M]):
    """A chunk of rows: the valid ones, each with its model, and the others."""

    valid: list[tuple[Row, M]]
    rejected: list[Row]


def read_rows(
    table: Table,
    model: type[M],
    problems: Problems,
    *,
    key: Callable[[M], object] | None = None,
    context: Mapping[str, object] | None = None,
) -> Iterator[tuple[Row, M]]:
    """Each valid row with its model, as :func:`judge_rows` finds them."""
    for chunk in judge_rows(table, model, problems, key=key, context=context):
        yield from chunk.valid


def judge_rows(
    table: Table,
    model: type[M],
    problems: Problems,
    *,
    key: Callable[[M], object] | None = None,
    context: Mapping[str, object] | None = None,
) -> Iterator[Judged[M]]:
    """The rows in chunks, held against the model; what is wrong with those rejected goes to ``problems``.

    Empty cells count as not given, so that defaults apply. With ``key``, a row whose key an earlier row had is
    reported with both numbers and left out; keys compare without regard to case and otherwise exactly. Memory is
    bounded: seen keys live as digests in a temporary database. ``context`` is what the fields' validators may ask.
    """
    seen = SeenKeys() if key else None
    for chunk in table.scan():
        found = list(zip(chunk, _validated([row.given for row, _ in chunk], model, context), strict=True))
        sound = [(row, item) for (row, faults), item in found if not faults and isinstance(item, model)]
        again = seen.again([(key(item), row.number) for row, item in sound]) if key and seen else {}
        if len(sound) == len(chunk) and not again:
            yield Judged(sound, [])
            continue
        for (row, faults), item in found:
            for code, message in _wrong(item, faults):
                problems.add(row.file, row.number, code, message)
            if key and row.number in again:
                shown = ", ".join(str(part) for part in _parts(key(item)))
                problems.add(row.file, row.number, "duplicate-key", f"{shown}: already in row {again[row.number]}")
        valid = [(row, item) for row, item in sound if row.number not in again]
        kept = {row.number for row, _ in valid}
        yield Judged(valid, [row for row, _ in chunk if row.number not in kept])


def _validated(given: Sequence[Any], model: type[M], context: Mapping[str, object] | None) -> list[Any]:
    """For each of these the model, or the list of pydantic's errors. All at once: one call takes as long as a row."""
    from pydantic import ValidationError

    validate = _validator(model)
    try:
        return validate(given, context)
    except ValidationError as error:
        errors: defaultdict[int, list[Any]] = defaultdict(list)
        for entry in error.errors(include_url=False):
            place, *loc = entry["loc"]
            errors[int(place)].append({**entry, "loc": loc})
    sound = iter(validate([each for place, each in enumerate(given) if place not in errors], context))
    return [errors[place] if place in errors else next(sound) for place in range(len(given))]


@cache
def _validator(model: type[BaseModel]) -> Callable[[Sequence[Any], Mapping[str, object] | None], list[Any]]:
    from pydantic import TypeAdapter

    adapter = TypeAdapter(list[model])  # type: ignore[valid-type]  # a model that only the caller knows
    return lambda given, context: adapter.validate_python(given, context=context)


class SeenKeys:
    """Remembers in which row a key first occurred, in a temporary database that spills to disk.

    64 bits are kept of each key: two of a million are taken for one another once in 37 million such lists (Python's
    string hash is SipHash, keyed anew in each process). So no personal data reaches the disk.
    """

    def __init__(self) -> None:
        # Threads may take turns reading a table.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("PRAGMA cache_size = -16000")
        self._db.execute("CREATE TABLE seen (mark INTEGER PRIMARY KEY, number INTEGER)")
        self._db.execute("BEGIN")
        weakref.finalize(self, self._db.close)

    def again(self, keyed: Sequence[tuple[object, int]]) -> dict[int, int]:
        """Of (key, row) those rows whose key was there before, each with the first that had it; remembers the others.

        A row is never given twice.
        """
        rows = [(_mark(key), number) for key, number in keyed]
        if insert(self._db, "OR IGNORE INTO seen(mark, number)", rows) == len(rows):
            return {}
        query = "SELECT number FROM seen WHERE mark = ?"
        firsts = ((number, self._db.execute(query, (mark,)).fetchone()[0]) for mark, number in rows)
        return {number: first for number, first in firsts if number != first}


def _mark(key: object) -> int:
    return hash("\x1f".join(map(str, _parts(key))).lower())


def _parts(key: object) -> tuple[object, ...]:
    return key if isinstance(key, tuple) else (key,)


def _wrong(item: Any, faults: Faults) -> Iterator[tuple[str, str]]:
    """(code, message) of everything wrong with a row; a cell's fault stands before what it led to."""
    for column, reason in faults.items():
        yield "bad-cell", f"{column}: {reason}"
    for entry in item if isinstance(item, list) else ():
        column = str(entry["loc"][0]) if entry["loc"] else ""
        if column not in faults:
            code, message = explain(entry)
            yield code, f"{column}: {message}" if column else message


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
