"""What was read of the tenant, staged on disk so that 1.2 million objects fit beside a small process."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from graphkit.engine.bulk import insert

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
SOME = 500
"""Objects that are written, or looked for, together."""


class Snapshot:
    """Objects by (kind, key), in a temporary SQLite file that goes with the process.

    ``scopes`` records which lists were read to their last page: only those prove absence.
    """

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        weakref.finalize(self, self._db.close)
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA cache_size=-8000")
        self._db.execute("CREATE TABLE seen(kind TEXT, key TEXT, value BLOB, PRIMARY KEY(kind, key)) WITHOUT ROWID")
        self._complete: set[tuple[str, str]] = set()

    def put(self, kind: str, items: Iterable[tuple[str, Any]]) -> None:
        rows = ((kind, key, _encode(value)) for key, value in items)
        self._db.execute("BEGIN")
        while some := list(islice(rows, SOME)):
            insert(self._db, "OR REPLACE INTO seen(kind, key, value)", some)
        self._db.execute("COMMIT")

    def get(self, kind: str, keys: Sequence[str]) -> Mapping[str, Any]:
        """Those of ``keys`` that were seen, with their values."""
        found: dict[str, Any] = {}
        for start in range(0, len(keys), SOME):
            some = keys[start : start + SOME]
            marks = ",".join("?" * len(some))
            rows = self._db.execute(f"SELECT key, value FROM seen WHERE kind = ? AND key IN ({marks})", (kind, *some))
            found.update([(key, _decode(value)) for key, value in rows])
        return found

    def each(self, kind: str, prefix: str = "") -> Iterable[tuple[str, Any]]:
        """Everything seen of a kind whose key begins with ``prefix``, by key."""
        rows = self._db.execute(
            "SELECT key, value FROM seen WHERE kind = ? AND key >= ? AND key < ? ORDER BY key",
            (kind, prefix, prefix + "\U0010ffff"),
        )
        for key, value in rows:
            yield key, _decode(value)

    def count(self, kind: str, prefix: str = "") -> int:
        row = self._db.execute(
            "SELECT count(*) FROM seen WHERE kind = ? AND key >= ? AND key < ?", (kind, prefix, prefix + "\U0010ffff")
        ).fetchone()
        return int(row[0])

    def mark_complete(self, kind: str, scope: str = "") -> None:
        self._complete.add((kind, scope))

    def is_complete(self, kind: str, scope: str = "") -> bool:
        return (kind, scope) in self._complete

    def forget(self, kind: str, scope: str = "") -> None:
        """Drop what was seen of a scope, so that it is read again. Keys of a scope begin with ``scope/``."""
        self._complete.discard((kind, scope))
        prefix = f"{scope}/" if scope else ""
        self._db.execute(
            "DELETE FROM seen WHERE kind = ? AND key >= ? AND key < ?", (kind, prefix, prefix + "\U0010ffff")
        )

    def close(self) -> None:
        self._db.close()
