"""One holder at a time, by a lock of the operating system that dies with its process."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from graphkit.errors import InUse, RunFileError
from graphkit.transport.locking import lock_now

_LONGEST = 65_536
_HELD = frozenset({errno.EAGAIN, errno.EACCES, errno.EDEADLK})
"""What systems say of a lock that somebody else has."""


class FileLock:
    """Held from :meth:`acquire` to :meth:`release`, or until the process is gone."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path = path
        self._handle = handle

    @classmethod
    def beside(cls, path: Path) -> FileLock:
        """Lock ``path`` through a small file beside it. SQLite's own locks on the file itself stay out of the way.

        Raises ``InUse`` if another process holds it, saying which one, since when, and what :meth:`acquire` raises.
        """
        lock = path.with_name(path.name + ".lock")
        try:
            return cls.acquire(lock, f"process {os.getpid()}")
        except BlockingIOError:
            who = f"{holder(lock) or 'process unknown'} since {since(lock)}"
            raise InUse(f"{path} is in use by another graphkit ({who})", hint="wait until it ends") from None

    @classmethod
    def acquire(cls, path: Path, told: str) -> FileLock:
        """Lock the file ``path``, made for that purpose, and leave ``told`` there for whoever comes too late.

        Raises ``BlockingIOError`` if another process holds it, ``RunFileError`` where files cannot be locked.
        """
        while True:
            handle = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600)
            try:
                lock_now(handle)
            except OSError as error:
                os.close(handle)
                if error.errno not in _HELD:
                    hint = "keep runs on a file system that has locks"
                    raise RunFileError(f"{path} cannot be locked: {error.strerror}", hint=hint) from error
                raise BlockingIOError(error.errno, error.strerror, str(path)) from error
            if _is_still(handle, path):
                break
            # Its last holder removed it between our opening and our locking.
            os.close(handle)
        held = cls(path, handle)
        try:
            # The first byte is what Windows locks; the rest may be read by all.
            os.truncate(handle, 0)
            os.write(handle, b" " + told.encode())
        except OSError:
            held.release()
            raise
        return held

    def release(self) -> None:
        if sys.platform == "win32":
            os.close(self._handle)
            with suppress(PermissionError):  # somebody is just trying it, who will remove it in their turn
                self._path.unlink(missing_ok=True)
        else:
            # Unlinked while held: nobody can lock a file that is about to vanish.
            self._path.unlink(missing_ok=True)
            os.close(self._handle)


def holder(path: Path) -> str:
    """What the holder of a lock file left there; empty if it is gone."""
    try:
        with path.open("rb", buffering=0) as stream:
            stream.seek(1)
            return stream.read(_LONGEST).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def since(path: Path) -> str:
    """When the lock file was taken, to the second, in UTC."""
    try:
        taken = path.stat().st_mtime
    except OSError:
        return "just now"
    return datetime.fromtimestamp(taken, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _is_still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
