"""What became of each line, and of each input row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from graphkit.engine.change import Action, Change, Effect, Origin, Result, Status
from graphkit.engine.run.records import Records

NOT_ASKED = "nothing is asked for this row now: it is not due, of another organisation, or matched by nothing"
_WEIGHT = ("unknown", "failed", "", "skipped", "done", "already")


class Results(Records):
    """How it all ended."""

    def results(self, kind: str = "") -> Iterator[tuple[Change, Result | None]]:
        """Every plan line, of one kind or of all, with its outcome, in plan order."""
        for change in self.changes(kind):
            yield change, self.outcome(change.seq)

    def input_columns(self) -> list[str]:
        """The columns of all tables that were given, in their order; empty if only documents were."""
        columns: dict[str, None] = {}
        query = "SELECT data FROM input WHERE file = ? AND typeof(place) = 'integer' AND data != '{}' LIMIT 1"
        for file in self._files():
            row = self._db.execute(query, (file,)).fetchone() or ("{}",)
            columns.update(dict.fromkeys(msgspec.json.decode(row[0])))
        return list(columns)

    def input_results(self, *, tables: bool) -> Iterator[InputResult]:
        """Every row of the tables (or every entry of the documents) in its order, with the sum of what became of it."""
        # Rows that were refused are kept after the others, so their number says where they belong.
        which, order = ("=", "place") if tables else ("!=", "id")
        for file in self._files():
            rows = self._db.execute(
                "SELECT id, place, data, problem FROM input"
                f" WHERE file = ? AND typeof(place) {which} 'integer' ORDER BY {order}",
                (file,),
            )
            for row, place, data, problem in rows:
                outcomes = self._outcomes_of(row)
                yield InputResult.of(Origin(file, place, msgspec.json.decode(data)), problem, outcomes)

    def _files(self) -> list[str]:
        """In the order in which they were given: rows that ask for nothing, or were refused, are kept out of turn."""
        files = [file for (file,) in self._db.execute("SELECT file FROM input GROUP BY file ORDER BY min(id)")]
        given = {file: place for place, file in enumerate(self.header_value("files") or ())}
        return sorted(files, key=lambda file: given.get(file, len(given)))

    def _outcomes_of(self, row: int) -> list[tuple[str, ...]]:
        return self._db.execute(
            "SELECT change.action, coalesce(outcome.status, ''), object_id, code, error, request_id, effective"
            " FROM change LEFT JOIN outcome USING(seq) WHERE change.input = ? ORDER BY change.seq",
            (row,),
        ).fetchall()


class InputResult(msgspec.Struct, frozen=True):
    """What became of one input row: the weightiest of its changes speaks for it."""

    origin: Origin
    action: str
    result: Result

    @classmethod
    def of(cls, origin: Origin, problem: str | None, rows: Sequence[tuple[str, ...]]) -> InputResult:
        if problem:
            return cls(origin, Action.BLOCKED, Result(status=Status.SKIPPED, code="invalid-input", error=problem))
        if not rows:
            return cls(origin, Action.NOOP, Result(status=Status.SKIPPED, code="not-asked", error=NOT_ASKED))
        worst = min(rows, key=lambda row: _WEIGHT.index(row[1]))
        main = next((row for row in rows if row[0] not in ("noop",)), rows[0])
        own = worst if worst[1] not in ("done", "already") else main
        object_id = next((row[2] for row in rows if row[2]), "")
        status = Status(worst[1]) if worst[1] else Status.UNKNOWN
        code = own[3] or ("" if worst[1] else "not-applied")
        effects = [row[6] for row in rows if row[6]]
        result = Result(
            status=status,
            object_id=object_id,
            code=code or "",
            error=own[4] or "",
            request_id=own[5] or "",
            effective=next((effect for effect in (Effect.NO, Effect.PENDING, Effect.YES) if effect in effects), ""),
        )
        return cls(origin, main[0], result)
