"""One writer at a time, by a lock of the operating system that dies with its process."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from graphkit.errors import RunFileError
from graphkit.transport.locking import lock_now


class FileLock:
    """Held from :meth:`acquire` to :meth:`release`, or until the process is gone."""

    def __init__(self, path: Path, handle: int) -> None:
        self._path = path
        self._handle = handle

    @classmethod
    def acquire(cls, path: Path) -> FileLock:
        """Lock ``path`` through a small file beside it. SQLite's own locks on the file itself stay out of the way.

        Raises ``RunFileError`` if another process holds it.
        """
        beside = path.with_name(path.name + ".lock")
        while True:
            handle = os.open(beside, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600)
            try:
                lock_now(handle)
            except OSError as error:
                holder = os.pread(handle, 100, 1).decode("ascii", "replace").strip() if hasattr(os, "pread") else ""
                os.close(handle)
                raise RunFileError(
                    f"{path} is in use by another graphkit (process {holder or 'unknown'})", hint="wait until it ends"
                ) from error
            if _is_still(handle, beside):
                break
            # Its last holder removed it between our opening and our locking.
            os.close(handle)
        # The first byte is what Windows locks; the rest may be read by whoever comes too late.
        os.truncate(handle, 0)
        os.write(handle, f" {os.getpid()}".encode())
        return cls(beside, handle)

    def release(self) -> None:
        if sys.platform == "win32":
            os.close(self._handle)
            with suppress(PermissionError):  # somebody is just trying it, who will remove it in their turn
                self._path.unlink(missing_ok=True)
        else:
            # Unlinked while held: nobody can lock a file that is about to vanish.
            self._path.unlink(missing_ok=True)
            os.close(self._handle)


def _is_still(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
