"""Whether the journal in a run file is the one that this run has written, record by record.

Each record carries a mark over its own cells and what it belongs to: the run's id, its tenant and its plan. A record
that was edited, swapped with another or taken from another run no longer fits its mark. How many records there are, and
the sum of their marks, stands in the header and is written with each transaction, so that one taken out or put in shows
too.

It finds damage, mistakes and careless hands. Whoever can write the file and knows this module can forge it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

NAME = "journal"
"""Of the header field."""
MODULUS = 1 << 128
TRIGGERS = "".join(
    f"CREATE TEMP TRIGGER {table}_{when} AFTER {when} ON main.{table} BEGIN SELECT {counted}; END;"
    for table in ("intent", "outcome")
    for when, counted in (
        ("INSERT", f"counted('{table}', NEW.mark, 1)"),
        ("DELETE", f"counted('{table}', OLD.mark, -1)"),
        ("UPDATE", f"counted('{table}', OLD.mark, -1), counted('{table}', NEW.mark, 1)"),
    )
)
"""They live with the connection: whoever writes without us leaves the sum as it was."""

_INTENTS = "SELECT seq, mark, mark('intent', step, seq, at, released) FROM intent"
_OUTCOMES = (
    "SELECT seq, mark, mark('outcome', seq, status, object_id, code, error, request_id, at, effective) FROM outcome"
)


class JournalSeal:
    """One connection's view of it. ``belongs_to`` tells what the records are bound to, once the plan is sealed."""

    def __init__(self, db: sqlite3.Connection, belongs_to: Callable[[], str], *, write: bool) -> None:
        self._db = db
        self._belongs_to = belongs_to
        self._key = b""
        self._state = _State()
        self._loaded = self._state.to_json()
        db.create_function("mark", -1, self._mark)
        db.create_function("counted", 3, self._count)
        if write:
            db.executescript(TRIGGERS)

    def forget_binding(self) -> None:
        """The plan was sealed: from now on the records belong to it."""
        self._key = b""

    def load(self, stored: Any) -> None:
        """What the header says, at the beginning of a transaction."""
        self._state = _State.of(stored)
        self._loaded = self._state.to_json()

    def changed(self) -> dict[str, Any] | None:
        """What the header is to say at the end of the transaction, if that is something new."""
        now = self._state.to_json()
        return now if now != self._loaded else None

    def fault(self, stored: Any) -> tuple[str, int]:
        """(what is wrong, the change that it concerns or 0); empty if all is as it was written."""
        found = _State()
        for table, query in (("intent", _INTENTS), ("outcome", _OUTCOMES)):
            for seq, mark, expected in self._db.execute(query):
                if mark != expected:
                    return f"its journal was altered, or is another run's: the {table} of", seq
                found.count(table, mark, 1)
        written = _State.of(stored)
        if found.to_json() == written.to_json():
            return "", 0
        return _missing(found, written), self._suspect(found, written)

    def _suspect(self, found: _State, written: _State) -> int:
        """The change that a record which is gone was most likely of: one that was sent, else any without an outcome."""
        if found.to_json()["outcomes"] >= written.to_json()["outcomes"]:
            return 0
        without = "NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.seq = {0}.seq)"
        for query in (
            f"SELECT min(seq) FROM intent WHERE released = 0 AND {without.format('intent')}",
            f"SELECT min(seq) FROM change WHERE {without.format('change')}",
        ):
            (seq,) = self._db.execute(query).fetchone()
            if seq:
                return int(seq)
        return 0

    def _mark(self, table: str, *cells: Any) -> bytes:
        if not self._key:
            self._key = hashlib.sha256(self._belongs_to().encode()).digest()
        text = "\0".join((table, *map(_text, cells)))
        return hashlib.blake2b(text.encode(), key=self._key, digest_size=16).digest()

    def _count(self, table: str, mark: bytes | None, sign: int) -> None:
        self._state.count(table, mark or b"", sign)


class _State:
    """How many records of either kind there are, and the sum of their marks."""

    def __init__(self, intents: int = 0, outcomes: int = 0, total: int = 0) -> None:
        self._counts = {"intent": intents, "outcome": outcomes}
        self._total = total

    @classmethod
    def of(cls, stored: Any) -> _State:
        if not isinstance(stored, Mapping):
            return cls()
        return cls(int(stored["intents"]), int(stored["outcomes"]), int(stored["sum"], 16))

    def count(self, table: str, mark: bytes, sign: int) -> None:
        self._counts[table] += sign
        self._total = (self._total + sign * int.from_bytes(mark, "big")) % MODULUS

    def to_json(self) -> dict[str, Any]:
        return {"intents": self._counts["intent"], "outcomes": self._counts["outcome"], "sum": f"{self._total:x}"}


def _missing(found: _State, written: _State) -> str:
    told = []
    for name, there in found.to_json().items():
        were = written.to_json()[name]
        if there != were and name != "sum":
            told.append(f"{there:,} {name} are there, {were:,} were written")
    what = "; ".join(told) or "records were replaced"
    gone = ", missing is perhaps that of" if found.to_json()["outcomes"] < written.to_json()["outcomes"] else ""
    return f"its journal was altered: {what}{gone}"


def _text(cell: Any) -> str:
    """A cell as it is read back: SQLite makes a whole number a float where the column wants one."""
    if cell is None:
        return ""
    return repr(float(cell)) if isinstance(cell, (int, float)) else str(cell)
