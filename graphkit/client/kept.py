"""Snapshots that outlive their process: a file for each tenant and app, in a folder that may be emptied at any time.

Such a file is never believed more than it deserves:

- One that is damaged, or of another version, is dropped, and the next round reads everything anew.
- What it holds was there when its last round began (``read_at``); what it lacks is *absent* only if that is no longer
  ago than ``PROOF_S`` (:meth:`~graphkit.client.snapshot.DeltaSnapshot.proves`). Otherwise it is unknown: ask.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from graphkit.client.snapshot import APPLICATION_ID, FORMAT, DeltaSnapshot


def snapshot_path(folder: Path, tenant: str, app: str) -> Path:
    """Two apps may see different things of one tenant, and their delta links are their own."""
    name = hashlib.sha256(f"{tenant}\n{app}".encode()).hexdigest()[:24]
    return folder / "snapshots" / f"{name}.snapshot"


def open_kept(path: Path) -> DeltaSnapshot:
    """What is kept there, or an empty snapshot in its place if that is no good.

    Raises ``UsageError`` if another process has it, or if no file can be there.
    """
    if path.is_file() and not path.is_symlink() and not _sound(path):
        for each in (path, *(path.with_name(f"{path.name}{end}") for end in ("-journal", "-wal", "-shm"))):
            each.unlink(missing_ok=True)
    return DeltaSnapshot(path)


def _sound(path: Path) -> bool:
    """Whether it is a snapshot of ours without damage. One that is in use is left alone."""
    try:
        with closing(sqlite3.connect(path, timeout=0)) as db:
            (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
            (owner,) = db.execute("PRAGMA application_id").fetchone()
            (number,) = db.execute("PRAGMA user_version").fetchone()
            (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    except sqlite3.DatabaseError:
        return False
    return found == "ok" and (not tables or (owner, number) == (APPLICATION_ID, FORMAT))
