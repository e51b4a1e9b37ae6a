"""A run is one file: what was asked, the plan, the journal of intents and outcomes, the result.

The life of a run file:

1. ``create``    the inputs and wishes are staged as they are read
2. ``seal``      the plan is complete; its digest covers every line and the header fields that bind it
3. ``intend``    before a write leaves, the intent is on disk
4. ``record``    after the answer, so is the outcome
5. ``finish``    every change has an outcome

SQLite with ``journal_mode=DELETE``: what is committed survives the process, and after a clean close there is one file.
From ``seal`` on with ``synchronous=FULL``, so that it survives a power cut as well; a plan that one cut short is made
anew. The format is named by ``application_id`` and ``user_version``.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from graphkit.engine.change import canonical
from graphkit.engine.journal_seal import NAME as JOURNAL
from graphkit.engine.lock import FileLock
from graphkit.engine.run.results import Results
from graphkit.engine.run.store import CHUNK, unwritable
from graphkit.engine.run.wishes import Wishes
from graphkit.errors import RunFileError
from graphkit.private import distrusted, make_folder, open_new

APPLICATION_ID = 0x676B7231  # "gkr1"
FORMAT = 3
PAGE = 8192
"""Bytes of a page. Larger ones write a plan in fewer pieces; much larger ones would make each commit of a run long."""
BINDING = ("format", "recipe", "tenant", "target", "apps", "inputs", "options", "limits", "blocked")
"""The header fields that the plan's digest covers; times, run id and machine stay outside."""

_TABLES = """
CREATE TABLE header(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE file(number INTEGER PRIMARY KEY, name TEXT, columns TEXT DEFAULT '[]');
CREATE TABLE input(id INTEGER PRIMARY KEY, place, cells TEXT, problem TEXT);
CREATE TABLE change(seq INTEGER PRIMARY KEY, kind TEXT, key TEXT, action TEXT, line TEXT, input INTEGER);
CREATE INDEX change_key ON change(kind, key, action);
CREATE TABLE object(kind TEXT, key TEXT, id TEXT, PRIMARY KEY(kind, key)) WITHOUT ROWID;
CREATE TABLE intent(step INTEGER, seq INTEGER, at REAL, released INTEGER DEFAULT 0, mark BLOB,
    PRIMARY KEY(step, seq)) WITHOUT ROWID;
CREATE INDEX intent_seq ON intent(seq);
CREATE TABLE outcome(
    seq INTEGER PRIMARY KEY, status TEXT, object_id TEXT, code TEXT, error TEXT, request_id TEXT, at REAL,
    effective TEXT DEFAULT '', mark BLOB
);
"""
_SEALED = (
    "SELECT kind, key, id FROM object ORDER BY kind, key",
    "SELECT seq, kind, key, action, line FROM change ORDER BY seq",
)


class RunFile(Wishes, Results):
    """One run. Open with :meth:`create` or :meth:`open`; close it, or use it as a context manager."""

    def __init__(self, path: Path, db: sqlite3.Connection, lock: FileLock | None, *, write: bool) -> None:
        super().__init__(path, db, write=write)
        self._lock = lock

    # -- opening and closing ---------------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path, header: Mapping[str, Any]) -> RunFile:
        """A new file, readable by its owner only. Refuses to overwrite; leaves nothing behind if it cannot be begun."""
        create_private(path)
        with ExitStack() as undoing:
            undoing.callback(path.unlink, missing_ok=True)
            db = _connect(path)
            undoing.callback(db.close)
            db.execute(f"PRAGMA page_size={PAGE}")
            db.execute(f"PRAGMA application_id={APPLICATION_ID}")
            db.execute(f"PRAGMA user_version={FORMAT}")
            db.execute("PRAGMA synchronous=OFF")  # until it is sealed
            db.executescript(_TABLES)
            lock = FileLock.beside(path)
            undoing.callback(lock.release)
            run = cls(path, db, lock, write=True)
            run.set_header(format=FORMAT, id=str(uuid4()), status="planning", **header)
            undoing.pop_all()
        return run

    @classmethod
    def open(cls, path: Path, *, write: bool = False, shared: bool = False) -> RunFile:
        """An existing file. Raises ``RunFileError`` if it is not one, damaged, newer, or held by another process.

        ``shared``: other hosts can reach it, so that a :class:`~graphkit.engine.lease.Lease` decides who may send, and
        no lock of this machine.
        """
        if not path.is_file():
            what = "is a folder, and no run file" if path.is_dir() else "is not there"
            raise RunFileError(f"{path} {what}", hint="graphkit runs list shows those of the runs folder")
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
            raise unwritable(path, error) from error

    def __enter__(self) -> RunFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the seal --------------------------------------------------------------------------------------------------

    def seal(self, **header: Any) -> None:
        """The plan is complete: bind it. Staged wishes go, the input rows stay.

        From the last commit of this on, what is committed survives a power cut as well.
        """
        with self.transaction():
            self.put_header(**header)
        self.drop_all()
        self._db.execute("PRAGMA synchronous=FULL")
        self.set_header(digest=self.digest())
        self._seal.forget_binding()

    def digest(self) -> str:
        """SHA-256 chained over the binding header fields, the ids that names stand for, and every plan line with what
        indexes it, in order; a thousand at a time, in MessagePack, which tells where each field ends."""
        header = self.header()
        link = hashlib.sha256(canonical({name: header.get(name) for name in BINDING}).encode()).digest()
        for query in _SEALED:
            rows = self._db.execute(query)
            while chunk := rows.fetchmany(CHUNK):
                link = hashlib.sha256(link + msgspec.msgpack.encode(chunk)).digest()
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


_ELSEWHERE = "another folder for runs can be chosen with GRAPHKIT_RUNS_DIR"
_JOURNAL_HINT = "what was done is in the tenant: plan again, which finds what is left to do"


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
    make_runs_folder(path.parent)
    try:
        os.close(open_new(path))
    except FileExistsError:
        raise RunFileError(f"{path} exists already", hint="name another file") from None
    except OSError as error:
        raise RunFileError(f"{path} cannot be created: {error.strerror}", hint=_ELSEWHERE) from error


def make_runs_folder(folder: Path) -> None:
    """A folder for run files, or for what lies beside them. Raises ``RunFileError`` if it cannot be made."""
    try:
        make_folder(folder)
    except OSError as error:
        raise RunFileError(f"{folder} cannot be made: {error.strerror}", hint=_ELSEWHERE) from error


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
