"""Intents and outcomes: what was about to be sent, and how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from graphkit.engine.change import Change, Effect, Result, Status
from graphkit.engine.run.lines import CARRIED_OUT, Lines

# A parameter that is needed twice is given twice: Python 3.12.0 to 3.12.3 warn of numbered ones (CPython issue 117995).
_RECORD = (
    "INSERT INTO outcome(seq, status, object_id, code, error, request_id, at, effective, mark)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, mark('outcome', ?, ?, ?, ?, ?, ?, ?, ?))"
    " ON CONFLICT(seq) DO UPDATE SET status = excluded.status, object_id = excluded.object_id, code = excluded.code,"
    " error = excluded.error, request_id = excluded.request_id, at = excluded.at, effective = excluded.effective,"
    " mark = excluded.mark"
)


class Records(Lines):
    """What was done, for each line."""

    def pending(self) -> Iterator[Change]:
        """Changes that write and have no outcome yet, in plan order."""
        yield from self._chunks(
            "action NOT IN ('noop', 'blocked') AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.seq = change.seq)",
            (),
        )

    def unsettled(self) -> dict[int, float]:
        """Changes that an earlier process may have sent (an intent, and no outcome), with the last time it did."""
        rows = self._db.execute(
            "SELECT seq, max(at) FROM intent WHERE released = 0"
            " AND NOT EXISTS (SELECT 1 FROM outcome WHERE outcome.seq = intent.seq) GROUP BY seq"
        )
        return dict(rows.fetchall())

    def last_step(self) -> int:
        return int(self._db.execute("SELECT coalesce(max(step), 0) FROM intent").fetchone()[0])

    def intend(self, intents: Iterable[tuple[int, int, float]]) -> None:
        """(step, change, time) of writes about to leave."""
        with self._within_transaction():
            self._db.executemany(
                "INSERT OR IGNORE INTO intent(step, seq, at, mark) VALUES (?, ?, ?, mark('intent', ?, ?, ?, 0))",
                ((*intent, *intent) for intent in intents),
            )

    def release(self, step: int) -> None:
        """The writes of this step provably did not happen."""
        with self._within_transaction():
            self._db.execute(
                "UPDATE intent SET released = 1, mark = mark('intent', step, seq, at, 1) WHERE step = ?", (step,)
            )

    def record(self, outcomes: Iterable[tuple[int, Result, float]]) -> None:
        """(change, result, time)."""
        with self._within_transaction():
            rows = (_row(seq, result, at) for seq, result, at in outcomes)
            self._db.executemany(_RECORD, ((*row, *row) for row in rows))

    def written_ids(self, kind: str) -> set[str]:
        """Objects of a kind that this run has made or changed so far."""
        rows = self._db.execute(
            "SELECT object_id FROM change JOIN outcome USING(seq)"
            f" WHERE kind = ? AND action IN ('create', 'update') AND {CARRIED_OUT} AND object_id != ''",
            (kind,),
        )
        return {object_id for (object_id,) in rows}

    def settle_unwritten(self, at: float) -> None:
        """Noops end as already so, blocked ones as skipped with their reason."""
        with self.transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO outcome(seq, status, object_id, code, error, request_id, at, mark)"
                " SELECT seq, status, '', code, error, '', at,"
                " mark('outcome', seq, status, '', code, error, '', at, '') FROM"
                " (SELECT seq, ? AS at, iif(action = 'noop', 'already', 'skipped') AS status,"
                " iif(action = 'noop', '', 'blocked') AS code,"
                " iif(action = 'noop', '', json_extract(line, '$.note')) AS error"
                " FROM change WHERE action IN ('noop', 'blocked'))",
                (at,),
            )

    def retry_failed(self) -> int:
        """Take back the outcomes that another try may better; returns how many."""
        with self.transaction():
            gone = self._db.execute(
                # What was accepted and is not effective would not be bettered by being sent again.
                "DELETE FROM outcome WHERE (status IN ('failed', 'unknown') AND effective != 'no')"
                " OR (status = 'skipped' AND code = 'needs-failed')"
            )
        return gone.rowcount

    def outcome(self, seq: int) -> Result | None:
        row = self._db.execute(
            "SELECT status, object_id, code, error, request_id, effective FROM outcome WHERE seq = ?", (seq,)
        ).fetchone()
        return _result(row) if row else None

    def outcome_counts(self) -> dict[str, int]:
        """Outcomes per status, every status named."""
        found = dict(self._db.execute("SELECT status, count(*) FROM outcome GROUP BY status"))
        return {status.value: int(found.get(status.value, 0)) for status in Status}

    def written(self) -> Iterator[tuple[str, str, str, float]]:
        """(kind, key, action, time) of everything that was carried out, in plan order."""
        yield from self._db.execute(
            "SELECT kind, key, action, at FROM change JOIN outcome USING(seq)"
            f" WHERE {CARRIED_OUT} AND action NOT IN ('noop', 'blocked') ORDER BY seq"
        )

    def written_counts(self) -> dict[str, int]:
        """How many changes per action were carried out so far: what is used up of the plan's budget."""
        rows = self._db.execute(
            "SELECT action, count(*) FROM change JOIN outcome USING(seq)"
            f" WHERE {CARRIED_OUT} AND action NOT IN ('noop', 'blocked') GROUP BY action"
        )
        return {action: int(count) for action, count in rows}

    def awaiting_effect(self, kind: str) -> Iterator[Change]:
        """What was accepted and is not known to be effective; what was found not to be may have become so since."""
        which = "SELECT seq FROM outcome WHERE effective = 'no' OR (status = 'done' AND effective != 'yes')"
        yield from self._chunks(f"kind = ? AND action NOT IN ('noop', 'blocked') AND seq IN ({which})", (kind,))

    def effect_counts(self) -> dict[str, int]:
        """How much of what takes effect later has; each answer named, or none if nothing does."""
        rows = self._db.execute("SELECT effective, count(*) FROM outcome WHERE effective != '' GROUP BY effective")
        found = dict(rows.fetchall())
        return {effect.value: int(found.get(effect.value, 0)) for effect in Effect} if found else {}

    def finished(self) -> bool:
        """Has every change an outcome?"""
        row = self._db.execute(
            "SELECT NOT EXISTS (SELECT 1 FROM change WHERE NOT EXISTS"
            " (SELECT 1 FROM outcome WHERE outcome.seq = change.seq))"
        ).fetchone()
        return bool(row[0])


def _row(seq: int, result: Result, at: float) -> tuple[object, ...]:
    said = (result.object_id, result.code, result.error, result.request_id)
    return (seq, result.status.value, *said, at, result.effective)


def _result(row: Sequence[Any]) -> Result:
    return Result(
        status=Status(row[0]),
        object_id=row[1] or "",
        code=row[2] or "",
        error=row[3] or "",
        request_id=row[4] or "",
        effective=row[5] or "",
    )
