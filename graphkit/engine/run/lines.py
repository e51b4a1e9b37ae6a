"""The lines of a plan, and the ids that names in it stand for."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from graphkit.engine.bulk import insert
from graphkit.engine.change import Action, Change
from graphkit.engine.run.inputs import InputRows
from graphkit.engine.run.store import CHUNK

_ACTIONS = {action.value: action for action in Action}

CARRIED_OUT = "(status = 'done' OR effective = 'no')"
"""Of an outcome: what the service accepted was written, even where it did not become effective."""


class Lines(InputRows):
    """What is planned."""

    def __init__(self, path: Path, db: sqlite3.Connection, *, write: bool) -> None:
        super().__init__(path, db, write=write)
        self._counted: dict[str, dict[str, int]] | None = None
        """Counts by kind and action, once somebody has asked."""
        self._within: dict[tuple[str, str], Counter[Action]] = {}
        """The same within a container, by kind and container, until a line is added."""

    def add_changes(self, changes: Sequence[Change]) -> None:
        """Append plan lines; the caller brings them in plan order."""
        counted, self._counted, self._within = self.counts_by_kind(), None, {}
        with self.transaction():
            rows = [
                (change.kind, change.key, change.action.value, line, self._input_id(change.origin))
                for change, line in zip(changes, Change.lines(changes), strict=True)
            ]
            insert(self._db, "INTO change(kind, key, action, line, input)", rows)
        for (kind, action), count in Counter(map(itemgetter(0, 2), rows)).items():
            actions = counted.setdefault(kind, {})
            actions[action] = actions.get(action, 0) + count
        self._counted = counted

    def note_objects(self, ids: Mapping[tuple[str, str], str]) -> None:
        """What names stand for: the id of each (kind, key)."""
        with self.transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO object VALUES (?, ?, ?)",
                [(kind, key, object_id) for (kind, key), object_id in sorted(ids.items())],
            )

    def object_ids(self) -> dict[tuple[str, str], str]:
        """Objects that the plan found or that were created since."""
        rows = self._db.execute(
            "SELECT kind, key, id FROM object UNION ALL"
            " SELECT kind, key, object_id FROM change JOIN outcome USING(seq)"
            " WHERE action = 'create' AND object_id != ''"
        )
        return {(kind, key): object_id for kind, key, object_id in rows}

    def created(self) -> dict[tuple[str, str], float]:
        """Objects that this run has made so far, and when."""
        rows = self._db.execute(
            f"SELECT kind, key, at FROM change JOIN outcome USING(seq) WHERE action = 'create' AND {CARRIED_OUT}"
        )
        return {(kind, key): at for kind, key, at in rows}

    def changes(self, kind: str = "") -> Iterator[Change]:
        """Plan lines in order, of one kind or of all."""
        yield from self._chunks("(? = '' OR kind = ?)", (kind, kind))

    def actions(self, kind: str) -> Iterator[tuple[str, Action]]:
        """(key, action) of the plan lines of one kind, by key: what is enough to count by is had for less."""
        for key, action in self._db.execute("SELECT key, action FROM change WHERE kind = ? ORDER BY key", (kind,)):
            yield key, _ACTIONS[action]

    def counts_within(self, kind: str, container: str) -> Counter[Action]:
        """How many lines of a kind there are of each action whose key is ``<container>/<name>``."""
        if (kind, container) not in self._within:
            rows = self._db.execute(
                "SELECT action, count(*) FROM change WHERE kind = ? AND key >= ? AND key < ?"
                " AND instr(substr(key, ?), '/') = 0 GROUP BY action",
                (kind, f"{container}/", f"{container}0", len(container) + 2),
            )
            self._within[kind, container] = Counter({_ACTIONS[action]: count for action, count in rows})
        return self._within[kind, container]

    def find_change(self, kind: str, key: str) -> Change | None:
        """The line for one object that writes something, if the plan has one."""
        return next(self._chunks("kind = ? AND key = ? AND action NOT IN ('noop', 'blocked')", (kind, key)), None)

    def why_blocked(self, kind: str, key: str) -> str:
        """Why the plan leaves an object alone; empty if it does not."""
        change = next(self._chunks("kind = ? AND key = ? AND action = 'blocked'", (kind, key)), None)
        return change.note if change else ""

    def counts(self) -> dict[str, int]:
        """Changes per action, every action named."""
        found: Counter[str] = Counter()
        for actions in self.counts_by_kind().values():
            found.update(actions)
        return {action.value: found[action] for action in Action}

    def counts_by_kind(self) -> dict[str, dict[str, int]]:
        """Changes per action of each kind, in plan order."""
        if self._counted is None:
            self._counted = {}
            for kind, action, count in self._db.execute(
                "SELECT kind, action, count(*) FROM change GROUP BY kind, action ORDER BY min(seq)"
            ):
                self._counted.setdefault(kind, {})[action] = count
        return self._counted

    def _chunks(self, where: str, values: tuple[Any, ...]) -> Iterator[Change]:
        last = 0
        while True:
            rows = self._db.execute(
                f"SELECT seq, line FROM change WHERE {where} AND seq > ? ORDER BY seq LIMIT ?", (*values, last, CHUNK)
            ).fetchall()
            if not rows:
                return
            for seq, line in rows:
                yield Change.parse(line, seq)
            last = rows[-1][0]
