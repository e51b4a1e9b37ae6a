"""What the tenant holds: objects by kind, links between them, and the file in which both outlive the process."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from graphkit.sandbox.call import Json
from graphkit.sandbox.memory.journal import RELATIONS, REMOVED, TRACKED, Journal, differing
from graphkit.sandbox.memory.table import InOrder, Places, Table
from graphkit.sandbox.seeding.population import Population

__all__ = ["INDEXES", "InOrder", "Links", "Places", "State", "Table", "stored_time"]

INDEXES: dict[str, tuple[str, ...]] = {
    "users": ("userPrincipalName", "employeeId", "mail", "mailNickname", "displayName"),
    "groups": ("uniqueName", "mailNickname", "displayName", "membershipRuleProcessingState"),
    "groupSettings": ("templateId",),
    "servicePrincipals": ("appId",),
    "managedDevices": ("deviceName", "serialNumber", "azureADDeviceId"),
    "devices": ("deviceId", "displayName"),
    "autopilotWaiting": ("serialNumber",),
    "windowsAutopilotDeviceIdentities": ("serialNumber",),
}
"""Properties by which objects are found without looking at all of them. Values compare without regard to case."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value);
CREATE TABLE IF NOT EXISTS objects (kind TEXT, id TEXT, body BLOB, PRIMARY KEY (kind, id));
CREATE TABLE IF NOT EXISTS links (name TEXT, source TEXT, target TEXT, present INT, PRIMARY KEY (name, source, target));
CREATE TABLE IF NOT EXISTS pending (seq INTEGER PRIMARY KEY, due REAL, work TEXT, arguments BLOB, cause INT);
CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, at REAL, method TEXT, path TEXT, kind TEXT, object_id TEXT,
    client_request_id TEXT, status INT, faulted INT, visible REAL, effective REAL);
CREATE TABLE IF NOT EXISTS changes (seq INTEGER PRIMARY KEY, kind TEXT, id TEXT, at REAL, names BLOB, links BLOB);
CREATE TABLE IF NOT EXISTS faults (position INTEGER PRIMARY KEY, rule BLOB, matched INT, fired INT);
"""


Links = dict[str, dict[str, None]]


class State:
    """The tenant's memory. Every change is noted and leaves with the next :meth:`commit`."""

    def __init__(self, path: Path | None = None) -> None:
        self.tables: dict[str, Table] = {}
        self.links: dict[str, Links] = {}
        self.backlinks: dict[str, Links] = {}
        self.touched: dict[tuple[str, str], Json | None] = {}
        self.touched_links: dict[tuple[str, str, str], bool] = {}
        self.journals: dict[str, Journal] = {kind: Journal() for kind in TRACKED.values()}
        self._noted: list[tuple[str, str, float, bytes, bytes]] = []
        self.watch: Callable[[str, str, str, bool], None] | None = None
        """Told of each link that is made or cut: its name, both ends, and whether it is there now."""
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

    def note_changes(self, at: float) -> None:
        """Write what is about to be committed in the journals."""
        names: dict[tuple[str, str], set[str]] = {}
        links: dict[tuple[str, str], dict[str, list[str]]] = {}
        for (kind, key), old in self.touched.items():
            if kind in TRACKED:
                changed = differing(old, self.get(kind, key)) if kind == TRACKED[kind] else self._buried(kind, key)
                names.setdefault((TRACKED[kind], key), set()).update(changed)
        for relation, source, target in self.touched_links:
            if relation in RELATIONS:
                targets = links.setdefault((RELATIONS[relation], source), {})
                targets.setdefault(relation, []).append(target)
        for kind, key in dict.fromkeys([*names, *links]):
            self._note(kind, key, at, sorted(names.get((kind, key), ())), links.get((kind, key), {}))

    def _buried(self, kind: str, key: str) -> set[str]:
        """A deleted object's changes are nobody's business, but for its end."""
        return set() if self.get(kind, key) else {REMOVED}

    def _note(self, kind: str, key: str, at: float, names: list[str], links: dict[str, list[str]]) -> None:
        if names or links:
            self.journals[kind].note(key, at, names, links)
            if self.file is not None:
                self._noted.append((kind, key, at, msgspec.json.encode(names), msgspec.json.encode(links)))

    def linked(self, name: str, source: str) -> dict[str, None]:
        return self.links.get(name, {}).get(source, {})

    def linked_back(self, name: str, target: str) -> dict[str, None]:
        return self.backlinks.get(name, {}).get(target, {})

    def link(self, name: str, source: str, target: str) -> None:
        self._connect(name, source, target)
        self.touched_links[name, source, target] = True
        if self.watch is not None:
            self.watch(name, source, target, True)

    def unlink(self, name: str, source: str, target: str) -> None:
        self._disconnect(name, source, target)
        self.touched_links[name, source, target] = False
        if self.watch is not None:
            self.watch(name, source, target, False)

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
        for kind, key, at, names, links in self.file.execute("SELECT kind, id, at, names, links FROM changes"):
            self.journals[kind].note(key, at, msgspec.json.decode(names), msgspec.json.decode(links))

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
            self.file.executemany(
                "INSERT INTO changes (kind, id, at, names, links) VALUES (?, ?, ?, ?, ?)", self._noted
            )
            self._noted.clear()
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
    if path.is_dir():
        raise sqlite3.DatabaseError("it is a folder")
    if not path.parent.is_dir():
        raise sqlite3.DatabaseError(f"there is no folder {path.parent}")
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
