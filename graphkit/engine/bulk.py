"""Rows into SQLite, many with one statement."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

AT_ONCE = 50
"""Rows of one statement. One by one (``executemany``) takes half as long again; more of them gain nothing."""


def insert(db: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]]) -> int:
    """``INSERT`` these rows ``into`` ("INTO table(columns)", or "OR IGNORE INTO ..."); returns how many went in."""
    done = 0
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        done += db.execute(_statement(into, len(some[0]), len(some)), list(chain.from_iterable(some))).rowcount
    return done


@lru_cache(256)
def _statement(into: str, width: int, count: int) -> str:
    row = f"({', '.join('?' * width)})"
    return f"INSERT {into} VALUES {', '.join([row] * count)}"
