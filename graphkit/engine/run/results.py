"""What became of each line, and of each input row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from math import inf
from operator import itemgetter

import msgspec

from graphkit.engine.change import Action, Change, Effect, Origin, Result, Status
from graphkit.engine.run.records import Records

NOT_ASKED = "nothing is asked for this row now: it is not due, of another organisation, or matched by nothing"
_NO_MORE: tuple[float, list[tuple[str, ...]]] = (inf, [])
_WEIGHT = ("unknown", "failed", "", "skipped", "done", "already")


class Results(Records):
    """How it all ended."""

    def results(self, kind: str = "") -> Iterator[tuple[Change, Result | None]]:
        """Every plan line, of one kind or of all, with its outcome, in plan order."""
        for change in self.changes(kind):
            yield change, self.outcome(change.seq)

    def input_columns(self) -> list[str]:
        """The columns of all tables that were given, in their order; empty if only documents were."""
        headings = self._db.execute("SELECT columns FROM file ORDER BY number")
        return list(dict.fromkeys(column for (columns,) in headings for column in msgspec.json.decode(columns)))

    def input_results(self, *, tables: bool) -> Iterator[InputResult]:
        """Every row of the tables (or every entry of the documents) in its order, with the sum of what became of it."""
        which = "=" if tables else "!="
        ended = self._ended_by_input()
        last, outcomes = next(ended, _NO_MORE)
        for row, origin, problem in self._kept_inputs(f"typeof(place) {which} 'integer'"):
            while last < row:
                last, outcomes = next(ended, _NO_MORE)
            yield InputResult.of(origin, problem, outcomes if last == row else [])

    def _ended_by_input(self) -> Iterator[tuple[float, list[tuple[str, ...]]]]:
        """The number of each input row for which there are plan lines, in order, and what became of these."""
        # Sorted once: an index, by which each row looked for its own, took longer and cost every plan its making.
        rows = self._db.execute(
            "SELECT change.input, change.action, coalesce(outcome.status, ''), object_id, code, error, request_id,"
            " effective FROM change LEFT JOIN outcome USING(seq) ORDER BY change.input, change.seq"
        )
        for number, found in groupby(rows, key=itemgetter(0)):
            yield number, [row[1:] for row in found]


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
