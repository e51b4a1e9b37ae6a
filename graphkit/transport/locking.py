"""The operating system's lock on an open file; it dies with its process."""

from __future__ import annotations

import os
import sys

if sys.platform == "win32":
    import msvcrt

    def lock_now(handle: int) -> None:
        """Take the lock, which is one on the first byte. Raises ``OSError`` if another process holds it."""
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

    def unlock(handle: int) -> None:
        """Give it back; to close the file does the same, in its own time."""
        os.lseek(handle, 0, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def lock_now(handle: int) -> None:
        """Take the lock. Raises ``OSError`` if another process holds it."""
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def unlock(handle: int) -> None:
        """Give it back; to close the file does the same."""
        fcntl.flock(handle, fcntl.LOCK_UN)
