"""A run is one file: what was asked, the plan, the journal of intents and outcomes, the result.

The life of a run file:

1. ``create``    the inputs and wishes are staged as they are read
2. ``seal``      the plan is complete; its digest covers every line and the header fields that bind it
3. ``intend``    before a write leaves, the intent is on disk
4. ``record``    after the answer, so is the outcome
5. ``finish``    every change has an outcome

SQLite with ``journal_mode=DELETE`` and ``synchronous=FULL``: what is committed survives the process, and after a clean
close there is one file. The format is named by ``application_id`` and ``user_version``.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from graphkit.engine.change import Action, Change, Desired, Effect, Origin, Result, Status, canonical
from graphkit.engine.journal_seal import NAME as JOURNAL
from graphkit.engine.journal_seal import JournalSeal
from graphkit.engine.lock import FileLock
from graphkit.errors import InputProblem, RunFileError
from graphkit.private import distrusted, make_folder

APPLICATION_ID = 0x676B7231  # "gkr1"
FORMAT = 2
CHUNK = 1000
BINDING = ("format", "recipe", "tenant", "target", "apps", "inputs", "options", "limits", "blocked")
"""The header fields that the plan's digest covers; times, run id and machine stay outside (P12)."""

_TABLES = """
CREATE TABLE header(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE input(id INTEGER PRIMARY KEY, file TEXT, place, data TEXT, problem TEXT, UNIQUE(file, place));
CREATE TABLE wanted(kind TEXT, key TEXT, body BLOB, input INTEGER, PRIMARY KEY(kind, key)) WITHOUT ROWID;
CREATE TABLE change(seq INTEGER PRIMARY KEY, kind TEXT, key TEXT, action TEXT, line TEXT, input INTEGER);
CREATE INDEX change_key ON change(kind, key);
CREATE INDEX change_input ON change(input);
CREATE TABLE object(kind TEXT, key TEXT, id TEXT, PRIMARY KEY(kind, key)) WITHOUT ROWID;
CREATE TABLE intent(step INTEGER, seq INTEGER, at REAL, released INTEGER DEFAULT 0, mark BLOB,
    PRIMARY KEY(step, seq)) WITHOUT ROWID;
CREATE INDEX intent_seq ON intent(seq);
CREATE TABLE outcome(
    seq INTEGER PRIMARY KEY, status TEXT, object_id TEXT, code TEXT, error TEXT, request_id TEXT, at REAL,
    effective TEXT DEFAULT '', mark BLOB
);
"""


class RunFile:
    """One run. Open with :meth:`create` or :meth:`open`; close it, or use it as a context manager."""

    def __init__(self, path: Path, db: sqlite3.Connection, lock: FileLock | None, *, write: bool) -> None:
        self.path = path
        self.on_begin: Callable[[], None] = lambda: None
        """Called inside every transaction, which fails with what it raises."""
        self._db = db
        self._lock = lock
        self._seal = JournalSeal(db, self._belongs_to, write=write)

    # -- opening and closing ---------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, header: Mapping[str, Any]) -> RunFile:
        """A new file, readable by its owner only. Refuses to overwrite."""
        create_private(path)
        db = _connect(path)
        db.execute(f"PRAGMA application_id={APPLICATION_ID}")
        db.execute(f"PRAGMA user_version={FORMAT}")
        db.executescript(_TABLES)
        run = cls(path, db, FileLock.beside(path), write=True)
        run.set_header(format=FORMAT, id=str(uuid4()), status="planning", **header)
        return run

    @classmethod
    def open(cls, path: Path, *, write: bool = False, shared: bool = False) -> RunFile:
        """An existing file. Raises ``RunFileError`` if it is not one, damaged, newer, or held by another process.

        ``shared``: other hosts can reach it, so that a :class:`~graphkit.engine.lease.Lease` decides who may send, and
        no lock of this machine.
        """
        if not path.is_file():
            raise RunFileError(f"{path} is not there", hint="graphkit runs list shows those of the runs folder")
        if why := distrusted(path):
            raise RunFileError(
                f"{path} {why}: it may not be what was planned", hint="plan again, into a private folder"
            )
        if not write:
            _recover(path)
        lock = FileLock.beside(path) if write and not shared else None
        try:
            db = _connect(path, read_only=not write)
        except sqlite3.DatabaseError as error:
            if lock:
                lock.release()
            raise RunFileError(f"{path} is not a run file, or it is damaged: {error}") from error
        try:
            _check_format(path, db)
            return cls(path, db, lock, write=write)
        except BaseException:
            db.close()
            if lock:
                lock.release()
            raise

    def close(self) -> None:
        self._db.close()
        if self._lock:
            self._lock.release()

    def copy(self, path: Path) -> None:
        """A whole copy, also of a run that is being applied. Raises ``RunFileError`` if ``path`` is there already."""
        create_private(path)
        try:
            # SQLite fills an empty file, and leaves its mode alone.
            self._db.execute("VACUUM INTO ?", (str(path),))
        except sqlite3.DatabaseError as error:
            path.unlink(missing_ok=True)
            raise _unwritable(path, error) from error

    def __enter__(self) -> RunFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One commit for all that happens inside; nothing of it if that fails."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self.on_begin()
            self._seal.load(self.header_value(JOURNAL))
            yield
            if journal := self._seal.changed():
                self.put_header(**{JOURNAL: journal})
            self._db.execute("COMMIT")
        except BaseException as error:
            # A full disk may have ended the transaction already (sqlite.org/lang_transaction.html).
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError):
                raise _unwritable(self.path, error) from error
            raise

    # -- header ----------------------------------------------------------------------------------------------------

    def set_header(self, **values: Any) -> None:
        with self.transaction():
            self.put_header(**values)

    def put_header(self, **values: Any) -> None:
        """The same within a transaction of the caller's."""
        self._db.executemany(
            "INSERT OR REPLACE INTO header VALUES (?, ?)",
            [(name, canonical(value)) for name, value in values.items()],
        )

    def header_value(self, name: str) -> Any:
        """One field; None if it is not there."""
        row = self._db.execute("SELECT value FROM header WHERE name = ?", (name,)).fetchone()
        return msgspec.json.decode(row[0]) if row else None

    def header(self) -> dict[str, Any]:
        return {name: msgspec.json.decode(value) for name, value in self._db.execute("SELECT name, value FROM header")}

    # -- staging ---------------------------------------------------------------------------------------------------

    def stage(self, items: Sequence[Desired]) -> list[InputProblem]:
        """Keep a chunk of wishes and the input rows behind them. A key wanted twice is reported, not kept."""
        problems = []
        with self.transaction():
            for item in items:
                row = self._input(item.origin)
                added = self._db.execute(
                    "INSERT OR IGNORE INTO wanted VALUES (?, ?, ?, ?)", (item.kind, item.key, _pack(item), row)
                )
                if not added.rowcount:
                    problems.append(self._twice(item))
        return problems

    def _input(self, origin: Origin) -> int:
        self._db.execute(
            "INSERT OR IGNORE INTO input(file, place, data) VALUES (?, ?, ?)",
            # In the order of the columns, so that the results can be laid beside the input.
            (origin.file, origin.place, msgspec.json.encode(dict(origin.values)).decode()),
        )
        found = self._db.execute("SELECT id FROM input WHERE file = ? AND place = ?", (origin.file, origin.place))
        return int(found.fetchone()[0])

    def _twice(self, item: Desired) -> InputProblem:
        first = self._db.execute(
            "SELECT input.file, input.place FROM wanted JOIN input ON input.id = wanted.input"
            " WHERE kind = ? AND key = ?",
            (item.kind, item.key),
        ).fetchone()
        place = f"row {first[1]}" if isinstance(first[1], int) else first[1]
        where = place if first[0] == item.origin.file else f"{first[0]} {place}"
        message = f"{item.key} is there twice, first in {where}"
        return InputProblem(item.origin.file, item.origin.place, "duplicate-key", message)

    def stage_inputs(self, origins: Iterable[Origin]) -> None:
        """Keep input rows that ask for nothing themselves, so that the results have a line for each."""
        with self.transaction():
            for origin in origins:
                self._input(origin)

    def inputs(self) -> Iterator[Origin]:
        """Every input row, with its cells."""
        for file, place, data in self._db.execute("SELECT file, place, data FROM input ORDER BY id"):
            yield Origin(file, place, msgspec.json.decode(data) if data else {})

    def mark_problem(self, problem: InputProblem) -> None:
        """Note why an input row was left out; it ends as skipped."""
        self._input(Origin(problem.file, problem.where))
        self._db.execute(
            "UPDATE input SET problem = coalesce(problem || '; ', '') || ? WHERE file = ? AND place = ?",
            (problem.message, problem.file, problem.where),
        )

    def left_out(self) -> int:
        """How many input rows were refused and go on without."""
        return int(self._db.execute("SELECT count(*) FROM input WHERE problem IS NOT NULL").fetchone()[0])

    def drop_wanted(self, problem: InputProblem) -> None:
        self._db.execute(
            "DELETE FROM wanted WHERE input IN (SELECT id FROM input WHERE file = ? AND place = ?)",
            (problem.file, problem.where),
        )

    def restage(self, items: Sequence[Desired]) -> None:
        """Keep what ``resolve`` has put into the wishes."""
        with self.transaction():
            self._db.executemany(
                "UPDATE wanted SET body = ? WHERE kind = ? AND key = ?",
                [(_pack(item), item.kind, item.key) for item in items],
            )

    def wanted_kinds(self) -> list[str]:
        return [kind for (kind,) in self._db.execute("SELECT DISTINCT kind FROM wanted ORDER BY kind")]

    def wanted(self, kind: str) -> Iterator[Desired]:
        """Every wish of a kind, by key."""
        for chunk in self.wanted_chunks(kind):
            yield from chunk

    def wanted_count(self, kind: str) -> int:
        return int(self._db.execute("SELECT count(*) FROM wanted WHERE kind = ?", (kind,)).fetchone()[0])

    def is_wanted(self, kind: str, key: str) -> bool:
        return self._db.execute("SELECT 1 FROM wanted WHERE kind = ? AND key = ?", (kind, key)).fetchone() is not None

    def wanted_chunks(self, kind: str) -> Iterator[list[Desired]]:
        last = ""
        while True:
            rows = self._db.execute(
                "SELECT wanted.key, body, file, place FROM wanted JOIN input ON input.id = wanted.input"
                " WHERE kind = ? AND key > ? ORDER BY key LIMIT ?",
                (kind, last, CHUNK),
            ).fetchall()
            if not rows:
                return
            yield [_unpack(kind, key, body, Origin(file, place)) for key, body, file, place in rows]
            last = rows[-1][0]

    # -- the plan --------------------------------------------------------------------------------------------------

    def add_changes(self, changes: Iterable[Change]) -> None:
        """Append plan lines; the caller brings them in plan order."""
        with self.transaction():
            self._db.executemany(
                "INSERT INTO change(kind, key, action, line, input) VALUES (?, ?, ?, ?,"
                " (SELECT id FROM input WHERE file = ? AND place = ?))",
                (
                    (
                        change.kind,
                        change.key,
                        change.action.value,
                        change.line(),
                        change.origin.file,
                        change.origin.place,
                    )
                    for change in changes
                ),
            )

    def note_object(self, kind: str, key: str, object_id: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO object VALUES (?, ?, ?)", (kind, key, object_id))

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
            "SELECT kind, key, at FROM change JOIN outcome USING(seq) WHERE action = 'create' AND status = 'done'"
        )
        return {(kind, key): at for kind, key, at in rows}

    def seal(self, **header: Any) -> None:
        """The plan is complete: bind it. Staged wishes go, the input rows stay."""
        self.set_header(**header)
        self.set_header(digest=self.digest())
        self._seal.forget_binding()
        self._db.execute("DELETE FROM wanted")
        self._db.execute("VACUUM")

    def digest(self) -> str:
        """SHA-256 chained over the binding header fields, the ids that names stand for, and every plan line with what
        indexes it, in order."""
        header = self.header()
        link = hashlib.sha256(canonical({name: header.get(name) for name in BINDING}).encode()).digest()
        for rows in (
            self._db.execute("SELECT kind, key, id FROM object ORDER BY kind, key"),
            self._db.execute("SELECT seq, kind, key, action, line FROM change ORDER BY seq"),
        ):
            for row in rows:
                link = hashlib.sha256(link + "\0".join(map(str, row)).encode()).digest()
        return link.hex()

    def verify(self) -> None:
        """Raises ``RunFileError`` unless the plan is the one that was sealed, and the journal what was written."""
        try:
            if self.header().get("status") == "planning":
                raise RunFileError(f"{self.path} is an unfinished plan", hint="plan again")
            sound = self._db.execute("PRAGMA integrity_check").fetchone()[0]
            intact = sound == "ok" and self.digest() == self.header().get("digest")
        except (sqlite3.DatabaseError, msgspec.DecodeError) as error:
            raise RunFileError(f"{self.path} is damaged: {error}", hint="plan again") from error
        if not intact:
            raise RunFileError(
                f"{self.path} was changed after it was planned",
                hint="plan again; a saved plan is applied as it is or not",
            )
        self._verify_journal()

    def _verify_journal(self) -> None:
        # One reading of the whole, for a run that is being applied writes on.
        self._db.execute("BEGIN")
        try:
            what, seq = self._seal.fault(self.header_value(JOURNAL))
            row = self._db.execute("SELECT kind, key FROM change WHERE seq = ?", (seq,)).fetchone()
        except (sqlite3.DatabaseError, ValueError, LookupError) as error:
            raise RunFileError(f"{self.path} is damaged: {error}", hint=_JOURNAL_HINT) from error
        finally:
            self._db.execute("ROLLBACK")  # of a reading: there is nothing to keep
        if what:
            name = f" {row[0]} {row[1]}" if row else f" change {seq}" if seq else ""
            raise RunFileError(f"{self.path}: {what}{name}", hint=_JOURNAL_HINT)

    def _belongs_to(self) -> str:
        """What the records of the journal are bound to."""
        return canonical([self.header_value(name) for name in ("id", "tenant", "digest")])

    def changes(self, kind: str = "") -> Iterator[Change]:
        """Plan lines in order, of one kind or of all."""
        yield from self._chunks("(? = '' OR kind = ?)", (kind, kind))

    def find_change(self, kind: str, key: str) -> Change | None:
        """The line for one object that writes something, if the plan has one."""
        return next(self._chunks("kind = ? AND key = ? AND action NOT IN ('noop', 'blocked')", (kind, key)), None)

    def why_blocked(self, kind: str, key: str) -> str:
        """Why the plan leaves an object alone; empty if it does not."""
        change = next(self._chunks("kind = ? AND key = ? AND action = 'blocked'", (kind, key)), None)
        return change.note if change else ""

    def counts(self) -> dict[str, int]:
        """Changes per action, every action named."""
        found = dict(self._db.execute("SELECT action, count(*) FROM change GROUP BY action"))
        return {action.value: int(found.get(action.value, 0)) for action in Action}

    def counts_by_kind(self) -> dict[str, dict[str, int]]:
        table: dict[str, dict[str, int]] = {}
        for kind, action, count in self._db.execute(
            "SELECT kind, action, count(*) FROM change GROUP BY kind, action ORDER BY min(seq)"
        ):
            table.setdefault(kind, {})[action] = count
        return table

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

    # -- the journal -----------------------------------------------------------------------------------------------

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
                "INSERT OR IGNORE INTO intent(step, seq, at, mark) VALUES (?1, ?2, ?3, mark('intent', ?1, ?2, ?3, 0))",
                intents,
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
            self._db.executemany(
                _RECORD,
                (
                    (
                        seq,
                        result.status.value,
                        result.object_id,
                        result.code,
                        result.error,
                        result.request_id,
                        at,
                        result.effective,
                    )
                    for seq, result, at in outcomes
                ),
            )

    @contextmanager
    def _within_transaction(self) -> Iterator[None]:
        """The caller's, or one of its own."""
        if self._db.in_transaction:
            yield
        else:
            with self.transaction():
                yield

    def written_ids(self, kind: str) -> set[str]:
        """Objects of a kind that this run has made or changed so far."""
        rows = self._db.execute(
            "SELECT object_id FROM change JOIN outcome USING(seq)"
            " WHERE kind = ? AND action IN ('create', 'update') AND status = 'done' AND object_id != ''",
            (kind,),
        )
        return {object_id for (object_id,) in rows}

    def settle_unwritten(self, at: float) -> None:
        """Noops end as already so, blocked ones as skipped with their reason."""
        with self.transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO outcome(seq, status, object_id, code, error, request_id, at, mark)"
                " SELECT seq, status, '', code, error, '', ?1,"
                " mark('outcome', seq, status, '', code, error, '', ?1, '') FROM"
                " (SELECT seq, iif(action = 'noop', 'already', 'skipped') AS status,"
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
            " WHERE status = 'done' AND action NOT IN ('noop', 'blocked') ORDER BY seq"
        )

    def written_counts(self) -> dict[str, int]:
        """How many changes per action were carried out so far: what is used up of the plan's budget."""
        rows = self._db.execute(
            "SELECT action, count(*) FROM change JOIN outcome USING(seq)"
            " WHERE status = 'done' AND action NOT IN ('noop', 'blocked') GROUP BY action"
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

    # -- the result ------------------------------------------------------------------------------------------------

    def results(self, kind: str = "") -> Iterator[tuple[Change, Result | None]]:
        """Every plan line, of one kind or of all, with its outcome, in plan order."""
        for change in self.changes(kind):
            yield change, self.outcome(change.seq)

    def input_columns(self) -> list[str]:
        """The columns of all tables that were given, in their order; empty if only documents were."""
        columns: dict[str, None] = {}
        for (file,) in self._db.execute(
            "SELECT file FROM input WHERE typeof(place) = 'integer' AND data != '{}' GROUP BY file ORDER BY min(id)"
        ).fetchall():
            row = self._db.execute("SELECT data FROM input WHERE file = ? AND data != '{}' LIMIT 1", (file,)).fetchone()
            columns.update(dict.fromkeys(msgspec.json.decode(row[0])))
        return list(columns)

    def input_results(self, *, tables: bool) -> Iterator[InputResult]:
        """Every row of the tables (or every entry of the documents) in its order, with the sum of what became of it."""
        # Rows that were refused are kept after the others, so their number says where they belong.
        which, order = ("=", "place") if tables else ("!=", "id")
        files = self._db.execute("SELECT file FROM input GROUP BY file ORDER BY min(id)").fetchall()
        for (file,) in files:
            rows = self._db.execute(
                "SELECT id, place, data, problem FROM input"
                f" WHERE file = ? AND typeof(place) {which} 'integer' ORDER BY {order}",
                (file,),
            )
            for row, place, data, problem in rows:
                outcomes = self._outcomes_of(row)
                yield InputResult.of(Origin(file, place, msgspec.json.decode(data)), problem, outcomes)

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
            return cls(origin, Action.NOOP, Result(status=Status.ALREADY))
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


_RECORD = (
    "INSERT INTO outcome(seq, status, object_id, code, error, request_id, at, effective, mark)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, mark('outcome', ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8))"
    " ON CONFLICT(seq) DO UPDATE SET status = excluded.status, object_id = excluded.object_id, code = excluded.code,"
    " error = excluded.error, request_id = excluded.request_id, at = excluded.at, effective = excluded.effective,"
    " mark = excluded.mark"
)
_JOURNAL_HINT = "what was done is in the tenant: plan again, which finds what is left to do"
_WEIGHT = ("unknown", "failed", "", "skipped", "done", "already")


def _check_format(path: Path, db: sqlite3.Connection) -> None:
    """Raises ``RunFileError`` unless it is a run file of this format."""
    application, version = (db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
    if application != APPLICATION_ID:
        raise RunFileError(f"{path} is not a run file")
    if version != FORMAT:
        which, hint = ("a newer", "use that version") if version > FORMAT else ("an older", "plan again")
        raise RunFileError(f"{path} was made by {which} graphkit (format {version})", hint=hint)


def create_private(path: Path) -> None:
    """An empty file that its owner alone may read. Raises ``RunFileError`` rather than overwrite or follow a link."""
    make_folder(path.parent)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600))
    except FileExistsError:
        raise RunFileError(f"{path} exists already", hint="name another file with --out") from None
    except OSError as error:
        raise RunFileError(f"{path} cannot be created: {error.strerror}") from error


def _recover(path: Path) -> None:
    """A process that died left a transaction half done; SQLite takes it back, but only for someone who may write."""
    if path.with_name(f"{path.name}-journal").exists():
        with suppress(RunFileError):  # in use: then it is not half done but under way
            RunFile.open(path, write=True).close()


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    mode = "?mode=ro" if read_only else ""
    address = f"{path.resolve().as_uri()}{mode}"
    # Whoever reads the file while it is written must not stop the run.
    db = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False, timeout=30.0)
    try:
        db.execute("PRAGMA schema_version")  # the first reading tells what is no database
        if not read_only:
            db.execute("PRAGMA journal_mode=DELETE")
            db.execute("PRAGMA synchronous=FULL")
    except sqlite3.DatabaseError:
        db.close()  # Windows removes no file that is open
        raise
    return db


def _unwritable(path: Path, error: sqlite3.DatabaseError) -> RunFileError:
    return RunFileError(
        f"{path} cannot be written: {error}",
        hint="see to the disk (space, permissions, another program that holds the file), then graphkit resume goes on",
    )


def _pack(item: Desired) -> bytes:
    return msgspec.json.encode([item.properties, item.needs, item.rails, item.blocked, item.absent])


def _unpack(kind: str, key: str, body: bytes, origin: Origin) -> Desired:
    properties, needs, rails, blocked, absent = msgspec.json.decode(body)
    return Desired(
        kind=kind,
        key=key,
        origin=origin,
        properties=properties,
        needs=tuple((kind, key) for kind, key in needs),
        rails=rails,
        blocked=blocked,
        absent=absent,
    )


def _result(row: Sequence[Any]) -> Result:
    return Result(
        status=Status(row[0]),
        object_id=row[1] or "",
        code=row[2] or "",
        error=row[3] or "",
        request_id=row[4] or "",
        effective=row[5] or "",
    )
