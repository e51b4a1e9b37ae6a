"""Collections kept current by what the service says has changed.

A round goes like this:

1. It begins at the stored delta link. Without one everything is read anew: a *full* round.
2. Each page is compared with what is kept, and the differences are handed out. Replays differ in nothing.
3. When the next page is asked for, the page is written. Whoever dies in between is told the same again.
4. A full round ends with what it did not bring: that is gone.
5. Last of all the new delta link is kept.

If the service no longer knows the link (410 and its kin), a full round follows on the spot; since it is compared with
what is kept, nothing is missed and nothing is told twice.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from graphkit.errors import ResyncRequired, UsageError
from graphkit.private import make_folder
from graphkit.protocol.odata import query

if TYPE_CHECKING:
    from graphkit.client.graph import GraphClient, Params

APPLICATION_ID = 0x676B7331  # "gks1"
FORMAT = 1
MOST_RESYNCS = 2
"""Full rounds that may be cut short by the service, each by the next, before it is given up."""
PROOF_S = 600.0
"""Seconds for which a round proves what is not there. Somebody may have made it since."""
CHUNK = 500

_TABLES = """
CREATE TABLE IF NOT EXISTS source(name TEXT PRIMARY KEY, query TEXT, link TEXT, round INTEGER, read_at REAL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS object(source TEXT, id TEXT, value BLOB, round INTEGER, PRIMARY KEY(source, id))
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS related(source TEXT, id TEXT, name TEXT, other TEXT, round INTEGER,
    PRIMARY KEY(source, id, name, other)) WITHOUT ROWID;
"""

Object = dict[str, Any]


@dataclass(slots=True)
class Change:
    """What became of one object. ``before`` is ``None`` for a new one, ``after`` for one that is gone.

    ``added`` and ``removed`` hold ids by the name of the relation (``members``).
    """

    id: str
    before: Object | None
    after: Object | None
    added: dict[str, list[str]] = field(default_factory=dict)
    removed: dict[str, list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.before != self.after or bool(self.added or self.removed)


class DeltaSnapshot:
    """Objects of one or more collections, in an SQLite file that only its owner may read, or in memory.

    The file is a cache that may be deleted at any time. One process uses it at a time. Raises ``UsageError`` if the
    file is in use or is something else.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._db = _open(path)

    async def follow(
        self,
        graph: GraphClient,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        version: str = "v1.0",
    ) -> AsyncIterator[list[Change]]:
        """Bring ``path`` (``/users/delta``) up to date, and say page by page what changed since the last time.

        Nothing of a page is kept before the next one is asked for. With other ``params`` or another version than last
        time, what is kept is dropped and everything is new. Raises what :meth:`GraphClient.delta` raises.
        """
        for attempt in range(MOST_RESYNCS + 1):
            begun = graph.clock.now()
            link, number = self._begin(path, f"{version}{query(params)}")
            changes = graph.delta(path, link=link, params=params, headers=headers, version=version)
            try:
                async with aclosing(changes.pages()) as pages:
                    async for page in pages:
                        news = _Comparison(self._db, path, number, full=not link, items=page)
                        if found := news.changes():
                            yield found
                        news.write()
            except ResyncRequired:
                self._drop_link(path)
                if attempt == MOST_RESYNCS:
                    raise
                continue
            while not link and (gone := self._gone(path, number)):
                yield gone
                self._remove(path, gone)
            self._keep_link(path, changes.link, begun)
            return

    # -- what is kept ------------------------------------------------------------------------------------------------

    def get(self, path: str, ids: Sequence[str]) -> dict[str, Object]:
        """Those of ``ids`` that the collection holds."""
        return {key: msgspec.json.decode(value) for key, (value, _) in _stored(self._db, path, ids).items()}

    def each(self, path: str) -> Iterator[Object]:
        """All objects of the collection, by id."""
        for (value,) in self._db.execute("SELECT value FROM object WHERE source = ? ORDER BY id", (path,)):
            yield msgspec.json.decode(value)

    def count(self, path: str) -> int:
        (found,) = self._db.execute("SELECT count(*) FROM object WHERE source = ?", (path,)).fetchone()
        return int(found)

    def related(self, path: str, object_id: str, name: str) -> list[str]:
        """Ids that an object is related to, such as the ``members`` of a group."""
        rows = self._db.execute(
            "SELECT other FROM related WHERE source = ? AND id = ? AND name = ? ORDER BY other", (path, object_id, name)
        )
        return [other for (other,) in rows]

    def read_at(self, path: str) -> float | None:
        """When the last round that reached its end began, in seconds since the epoch; ``None`` if none did."""
        row = self._db.execute("SELECT read_at FROM source WHERE name = ?", (path,)).fetchone()
        return row[0] if row else None

    def proves(self, path: str, now: float) -> bool:
        """May something be concluded, a removal above all, from what the collection does not hold? ``now`` is in
        seconds since the epoch. Otherwise what is missing is unknown, not absent."""
        at = self.read_at(path)
        return at is not None and 0 <= now - at <= PROOF_S

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> DeltaSnapshot:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- rounds ------------------------------------------------------------------------------------------------------

    def _begin(self, path: str, asked: str) -> tuple[str, int]:
        """The link to begin at, empty for a full round, and the number of the last full round."""
        row = self._db.execute("SELECT query, link, round FROM source WHERE name = ?", (path,)).fetchone()
        before, link, number = row or (asked, "", 0)
        if link and before == asked:
            return link, number
        with _transaction(self._db):
            if before != asked:
                self._drop(path)
            self._db.execute(
                "INSERT INTO source VALUES (?, ?, '', ?, NULL) "
                "ON CONFLICT(name) DO UPDATE SET query = excluded.query, link = '', round = excluded.round",
                (path, asked, number + 1),
            )
        return "", number + 1

    def _drop(self, path: str) -> None:
        self._db.execute("DELETE FROM source WHERE name = ?", (path,))
        for table in ("object", "related"):
            self._db.execute(f"DELETE FROM {table} WHERE source = ?", (path,))

    def _drop_link(self, path: str) -> None:
        self._db.execute("UPDATE source SET link = '' WHERE name = ?", (path,))

    def _keep_link(self, path: str, link: str, at: float) -> None:
        self._db.execute("UPDATE source SET link = ?, read_at = ? WHERE name = ?", (link, at, path))

    def _gone(self, path: str, number: int) -> list[Change]:
        """Some of what a full round did not bring: objects first, then what they were related to."""
        rows = self._db.execute(
            "SELECT id, value FROM object WHERE source = ? AND round < ? LIMIT ?", (path, number, CHUNK)
        )
        gone = [Change(key, msgspec.json.decode(value), None) for key, value in rows]
        if gone:
            return gone
        found: dict[str, Change] = {}
        for key, name, other, value in self._db.execute(
            "SELECT id, name, other, value FROM related JOIN object USING (source, id) "
            "WHERE source = ? AND related.round < ? LIMIT ?",
            (path, number, CHUNK),
        ):
            kept = msgspec.json.decode(value)
            found.setdefault(key, Change(key, kept, kept)).removed.setdefault(name, []).append(other)
        return list(found.values())

    def _remove(self, path: str, gone: Iterable[Change]) -> None:
        with _transaction(self._db):
            for change in gone:
                if change.after is None:
                    _forget(self._db, path, change.id)
                for name, others in change.removed.items():
                    self._db.executemany(_UNRELATE, [(path, change.id, name, other) for other in others])


_UNRELATE = "DELETE FROM related WHERE source = ? AND id = ? AND name = ? AND other = ?"


class _Comparison:
    """One page against what is kept. An object that stands on it more than once is one change."""

    def __init__(self, db: sqlite3.Connection, path: str, number: int, *, full: bool, items: Iterable[Object]) -> None:
        self._db, self._path, self._number, self._full = db, path, number, full
        named = [item for item in items if isinstance(item.get("id"), str)]
        self._stored = _stored(db, path, list({item["id"] for item in named}))
        self._found: dict[str, Change] = {}
        self._related: dict[str, dict[tuple[str, str], bool]] = {}
        for item in named:
            self._take(item)
        for key, relations in self._related.items():
            self._compare_relations(self._found[key], relations)

    def changes(self) -> list[Change]:
        return [change for change in self._found.values() if change]

    def write(self) -> None:
        with _transaction(self._db):
            for change in self._found.values():
                self._write(change)

    def _take(self, item: Object) -> None:
        key = item["id"]
        change = self._found.get(key) or self._begun(key)
        if "@removed" in item:
            change.after = None
            self._related.pop(key, None)
            return
        told = {name: value for name, value in item.items() if "@" not in name or name == "@odata.type"}
        change.after = {**(change.after or {}), **told}
        for name, entries in item.items():
            if name.endswith("@delta") and isinstance(entries, list):
                there = {(name[:-6], entry["id"]): "@removed" not in entry for entry in entries if "id" in entry}
                self._related.setdefault(key, {}).update(there)

    def _begun(self, key: str) -> Change:
        value, number = self._stored.get(key, (None, 0))
        before = None if value is None else msgspec.json.decode(value)
        # A full round tells all there is: what it does not mention is no longer set.
        stale = self._full and number < self._number
        change = self._found[key] = Change(key, before, None if stale else before)
        return change

    def _compare_relations(self, change: Change, relations: Mapping[tuple[str, str], bool]) -> None:
        kept = self._kept_relations(change.id, list(relations))
        for (name, other), there in relations.items():
            if there and (name, other) not in kept:
                change.added.setdefault(name, []).append(other)
            if not there and (name, other) in kept:
                change.removed.setdefault(name, []).append(other)

    def _kept_relations(self, key: str, relations: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
        found: set[tuple[str, str]] = set()
        for start in range(0, len(relations), CHUNK):
            some = [other for _, other in relations[start : start + CHUNK]]
            found.update(
                self._db.execute(
                    "SELECT name, other FROM related WHERE source = ? AND id = ? "
                    f"AND other IN ({','.join('?' * len(some))})",
                    (self._path, key, *some),
                )
            )
        return found

    def _write(self, change: Change) -> None:
        if change.after is None:
            _forget(self._db, self._path, change.id)
            return
        self._db.execute(
            "INSERT OR REPLACE INTO object VALUES (?, ?, ?, ?)",
            (self._path, change.id, msgspec.json.encode(change.after), self._number),
        )
        relations = self._related.get(change.id, {})
        own = (self._path, change.id)
        self._db.executemany(
            "INSERT OR REPLACE INTO related VALUES (?, ?, ?, ?, ?)",
            [(*own, *relation, self._number) for relation, there in relations.items() if there],
        )
        self._db.executemany(_UNRELATE, [(*own, *relation) for relation, there in relations.items() if not there])


def _stored(db: sqlite3.Connection, path: str, ids: Sequence[str]) -> dict[str, tuple[bytes, int]]:
    """Value and last round of those that are kept."""
    found: dict[str, tuple[bytes, int]] = {}
    for start in range(0, len(ids), CHUNK):
        some = ids[start : start + CHUNK]
        rows = db.execute(
            f"SELECT id, value, round FROM object WHERE source = ? AND id IN ({','.join('?' * len(some))})",
            (path, *some),
        )
        found.update((key, (value, number)) for key, value, number in rows)
    return found


def _forget(db: sqlite3.Connection, path: str, key: str) -> None:
    db.execute("DELETE FROM object WHERE source = ? AND id = ?", (path, key))
    db.execute("DELETE FROM related WHERE source = ? AND id = ?", (path, key))


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _open(path: Path | None) -> sqlite3.Connection:
    if path is None:
        return _with_tables(sqlite3.connect("", isolation_level=None, check_same_thread=False))
    try:
        make_folder(path.parent)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600))
        return _locked(sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0))
    except sqlite3.OperationalError as error:
        raise UsageError(f"{path} cannot be used: {error}", hint="one process uses it at a time") from error
    except (sqlite3.DatabaseError, OSError) as error:
        raise UsageError(f"{path} cannot be used: {error}", hint="delete it if it is a snapshot") from error


def _locked(db: sqlite3.Connection) -> sqlite3.Connection:
    try:
        db.execute("PRAGMA locking_mode=EXCLUSIVE")
        db.execute("BEGIN EXCLUSIVE")
        db.execute("COMMIT")
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        (owner,) = db.execute("PRAGMA application_id").fetchone()
        (found,) = db.execute("PRAGMA user_version").fetchone()
        if tables and (owner, found) != (APPLICATION_ID, FORMAT):
            raise sqlite3.DatabaseError("it is no snapshot, or one of another version")
        return _with_tables(db)
    except BaseException:
        db.close()
        raise


def _with_tables(db: sqlite3.Connection) -> sqlite3.Connection:
    # A cache may lose its last moments in a power cut.
    db.execute("PRAGMA synchronous=NORMAL")
    db.executescript(_TABLES)
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")
    db.execute(f"PRAGMA user_version={FORMAT}")
    return db
