"""What the tenant holds: objects by kind, links between them, and the file in which both outlive the process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from graphkit.sandbox.call import Json
from graphkit.sandbox.population import Population

INDEXES: dict[str, tuple[str, ...]] = {
    "users": ("userPrincipalName", "employeeId", "mail"),
    "groups": ("uniqueName", "mailNickname", "displayName"),
    "servicePrincipals": ("appId",),
}
"""Properties by which objects are found without looking at all of them. Values compare without regard to case."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value);
CREATE TABLE IF NOT EXISTS objects (kind TEXT, id TEXT, body BLOB, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS links (name TEXT, source TEXT, target TEXT, present INT, PRIMARY KEY (name, source, target));
CREATE TABLE IF NOT EXISTS pending (seq INTEGER PRIMARY KEY, due REAL, work TEXT, arguments BLOB, cause INT);
CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, at REAL, method TEXT, path TEXT, kind TEXT, object_id TEXT,
    client_request_id TEXT, status INT, faulted INT, visible REAL, effective REAL);
CREATE TABLE IF NOT EXISTS faults (position INTEGER PRIMARY KEY, rule BLOB, matched INT, fired INT);
"""


class Table:
    """All objects of one kind, in the order of their making; the places of what was deleted are kept, so that page
    tokens stay true. With a ``population`` those come first; only what was changed of them is held.
    """

    __slots__ = ("_order", "indexes", "objects", "population")

    def __init__(self, indexed: tuple[str, ...], population: Population | None = None) -> None:
        self.population = population
        self.objects: MutableMapping[str, Json] = {} if population is None else _Layered(population)
        self.indexes: dict[str, dict[str, dict[str, None]]] = {name: {} for name in indexed}
        self._order: list[str] = []

    def put(self, item: Json) -> None:
        key = item["id"]
        old = self.objects.get(key)
        if old is None:
            self.hold_place(key)
        self.objects[key] = item
        for name, index in self.indexes.items():
            before, after = old.get(name) if old else None, item.get(name)
            if before != after or self.population is not None:
                self._unindex(index, before, key)
                if after:
                    index.setdefault(after.lower(), {})[key] = None

    def drop(self, key: str) -> None:
        old = self.objects.pop(key, None)
        for name, index in self.indexes.items():
            self._unindex(index, old.get(name) if old else None, key)

    def hold_place(self, key: str) -> None:
        """Give an object a place, whether it is there or was deleted."""
        if self.population is None or self.population.position(key) is None:
            self._order.append(key)

    @staticmethod
    def _unindex(index: dict[str, dict[str, None]], value: str | None, key: str) -> None:
        if value and value.lower() in index:
            index[value.lower()].pop(key, None)

    def find(self, name: str, value: str) -> list[Json]:
        wanted = value.lower()
        found = [self.objects[key] for key in self.indexes[name].get(wanted, ())]
        if isinstance(self.objects, _Layered):
            found += self.objects.unchanged(name, wanted)
        return found

    def held(self) -> Iterator[str]:
        """The ids of what is held: everything, but for the members of a population that nobody has changed."""
        objects = self.objects
        return iter([*objects.deleted(), *objects.own] if isinstance(objects, _Layered) else objects)

    def in_order(self) -> Sequence[Json | None]:
        return InOrder(self)


class _Layered(MutableMapping[str, Json]):
    """A population, and over it its changed members and what was added. ``away`` are the positions of the former,
    deleted ones included."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self._away: set[int] = set()
        self.own: dict[str, Json] = {}

    def __getitem__(self, key: str) -> Json:
        found = self.own.get(key)
        if found is not None:
            return found
        position = self._population.position(key)
        if position is None or position in self._away:
            raise KeyError(key)
        return self._population.at(position)

    def at(self, position: int) -> Json | None:
        if position in self._away:
            return self.own.get(self._population.key(position))
        return self._population.at(position)

    def __setitem__(self, key: str, item: Json) -> None:
        position = self._population.position(key)
        if position is not None:
            self._away.add(position)
        self.own[key] = item

    def __delitem__(self, key: str) -> None:
        position = self._population.position(key)
        if self.own.pop(key, None) is None and (position is None or position in self._away):
            raise KeyError(key)
        if position is not None:
            self._away.add(position)

    def __len__(self) -> int:
        return len(self._population) - len(self._away) + len(self.own)

    def __iter__(self) -> Iterator[str]:
        yield from (self._population.key(at) for at in range(len(self._population)) if at not in self._away)
        yield from self.own

    def deleted(self) -> list[str]:
        keys = (self._population.key(position) for position in self._away)
        return [key for key in keys if key not in self.own]

    def unchanged(self, name: str, value: str) -> list[Json]:
        position = self._population.find(name, value)
        return [] if position is None or position in self._away else [self._population.at(position)]


class InOrder(Sequence[Json | None]):
    """All places of a table, in the order of creation; ``None`` where something was deleted. Copies nothing."""

    def __init__(self, table: Table) -> None:
        self._objects = table.objects
        self._order = table._order
        self._seeded = len(table.population) if table.population is not None else 0

    def __len__(self) -> int:
        return self._seeded + len(self._order)

    def __getitem__(self, position: Any) -> Any:
        if position < self._seeded:
            return self._objects.at(position)  # type: ignore[attr-defined]  # a population makes them layered
        return self._objects.get(self._order[position - self._seeded])

    @property
    def present(self) -> int:
        """How many places are taken by something that is still there."""
        return len(self._objects)


Links = dict[str, dict[str, None]]


class State:
    """The tenant's memory. Every change is noted and leaves with the next :meth:`commit`."""

    def __init__(self, path: Path | None = None) -> None:
        self.tables: dict[str, Table] = {}
        self.links: dict[str, Links] = {}
        self.backlinks: dict[str, Links] = {}
        self.touched: dict[tuple[str, str], Json | None] = {}
        self.touched_links: dict[tuple[str, str, str], bool] = {}
        self.file = _open(path) if path else None
        self._version = self._file_version()

    def _file_version(self) -> Any:
        """Changes when somebody else writes to the file (sqlite.org/pragma.html#pragma_data_version)."""
        return self.file.execute("PRAGMA data_version").fetchone()[0] if self.file is not None else None

    def table(self, kind: str) -> Table:
        found = self.tables.get(kind)
        if found is None:
            found = self.tables[kind] = Table(INDEXES.get(kind, ()))
        return found

    def populate(self, kind: str, population: Population) -> None:
        """Begin a table with objects that are worked out when asked for."""
        self.tables[kind] = Table(INDEXES.get(kind, ()), population)

    def get(self, kind: str, key: str) -> Json | None:
        return self.table(kind).objects.get(key)

    def put(self, kind: str, item: Json) -> None:
        self.touched.setdefault((kind, item["id"]), self.get(kind, item["id"]))
        self.table(kind).put(item)

    def delete(self, kind: str, key: str) -> None:
        self.touched.setdefault((kind, key), self.get(kind, key))
        self.table(kind).drop(key)

    def replaced(self) -> Iterator[tuple[Json, Json]]:
        """Each object that was changed since the last commit, and what it was then."""
        for (kind, key), old in self.touched.items():
            item = self.get(kind, key)
            if old is not None and item is not None and item is not old:
                yield item, old

    def linked(self, name: str, source: str) -> dict[str, None]:
        return self.links.get(name, {}).get(source, {})

    def linked_back(self, name: str, target: str) -> dict[str, None]:
        return self.backlinks.get(name, {}).get(target, {})

    def link(self, name: str, source: str, target: str) -> None:
        self._connect(name, source, target)
        self.touched_links[name, source, target] = True

    def unlink(self, name: str, source: str, target: str) -> None:
        self._disconnect(name, source, target)
        self.touched_links[name, source, target] = False

    def _connect(self, name: str, source: str, target: str) -> None:
        self.links.setdefault(name, {}).setdefault(source, {})[target] = None
        self.backlinks.setdefault(name, {}).setdefault(target, {})[source] = None

    def _disconnect(self, name: str, source: str, target: str) -> None:
        self.links.get(name, {}).get(source, {}).pop(target, None)
        self.backlinks.get(name, {}).get(target, {}).pop(source, None)

    def forget_changes(self) -> None:
        """What was put in so far is the seed: it is made anew at every opening, not stored."""
        self.touched.clear()
        self.touched_links.clear()

    def load(self) -> None:
        """Lay what the file holds over the seed."""
        if self.file is None:
            return
        self._version = self._file_version()
        for kind, key, body in self.file.execute("SELECT kind, id, body FROM objects ORDER BY rowid"):
            table = self.table(kind)
            if body is not None:
                table.put(msgspec.json.decode(body))
            elif key in table.objects:
                table.drop(key)
            else:
                table.hold_place(key)
        for name, source, target, present in self.file.execute("SELECT * FROM links ORDER BY rowid"):
            (self._connect if present else self._disconnect)(name, source, target)

    def write_changes(self) -> None:
        """Hand the noted changes to the open transaction. Raises ``RuntimeError`` if the file is no longer ours."""
        if self.file is not None:
            if self._file_version() != self._version:
                raise RuntimeError("the state file was changed by another process; a tenant has one process at a time")
            self.file.executemany(
                "INSERT INTO objects VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET body = excluded.body",
                [(kind, key, self._encoded(kind, key)) for kind, key in self.touched],
            )
            self.file.executemany(
                "INSERT INTO links VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET present = excluded.present",
                [(*link, present) for link, present in self.touched_links.items()],
            )
        self.forget_changes()

    def _encoded(self, kind: str, key: str) -> bytes | None:
        item = self.get(kind, key)
        if item is not None and "_previous" in item:
            item = {name: value for name, value in item.items() if name != "_previous"}
        return None if item is None else msgspec.json.encode(item)

    def meta(self, key: str) -> Any:
        if self.file is None:
            return None
        row = self.file.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else None

    def set_meta(self, key: str, value: Any) -> None:
        if self.file is not None:
            self.file.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None


def _open(path: Path) -> sqlite3.Connection:
    """A client may be killed, the machine may not: so nothing waits for the disk."""
    file = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        file.execute("PRAGMA journal_mode = WAL")
        file.execute("PRAGMA synchronous = OFF")
        file.executescript(_SCHEMA)
    except sqlite3.DatabaseError:
        file.close()
        raise
    return file


def stored_time(path: Path | str) -> float | None:
    """The tenant's own time (epoch seconds) when it last accepted a write; ``None`` for a new or absent file. Raises
    ``ValueError`` for a file that holds no tenant.
    """
    if not Path(path).exists():
        return None
    try:
        file = _open(Path(path))
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path} is not a simulated tenant: {error}") from error
    try:
        row = file.execute("SELECT value FROM meta WHERE key = 'now'").fetchone()
    finally:
        file.close()
    return float(row[0]) if row else None
