"""Files for their owner's eyes alone, and no link followed to somewhere else."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_POSIX = os.name == "posix"


def make_folder(path: Path) -> None:
    """The folder and those above it that are missing; what is made is its owner's alone."""
    if path.is_dir():
        return
    if path != path.parent:
        make_folder(path.parent)  # mkdir(parents=True) would leave these open to others
    path.mkdir(exist_ok=True, mode=0o700)


def open_private(path: Path, *, append: bool = False) -> int:
    """A handle to write to: empty or, with ``append``, at its end; mode 0600 whatever the umask or an older file says.

    Raises ``OSError``, also for a symbolic link.
    """
    how = os.O_APPEND if append else os.O_TRUNC
    try:
        handle = os.open(path, os.O_CREAT | os.O_WRONLY | how | _NO_LINK, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, "is a symbolic link, which is not followed", str(path)) from error
        raise
    if _POSIX:
        os.fchmod(handle, 0o600)
    return handle


@contextmanager
def replacing(
    path: Path, mode: str = "wb", *, encoding: str | None = None, newline: str | None = None
) -> Iterator[IO[Any]]:
    """A file for its owner alone that takes the place of ``path`` once it is whole. If it fails, nothing of it is left.

    ``mode`` and what follows as for :func:`open`. Raises ``OSError``.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    handle = open_private(part)
    try:
        with open(handle, mode, encoding=encoding, newline=newline) as stream:
            yield stream
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def open_new(path: Path) -> int:
    """A handle to a file that was not there, mode 0600. Raises ``FileExistsError``, for a link too, and ``OSError``."""
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)


def distrusted(path: Path) -> str:
    """Why a file of ours must not be believed: a link, another's, or one that others may write. Empty if all is well.

    On Windows only links are told: what else counts there is the folder's access list.
    """
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode):
        return "is a symbolic link, which is not followed"
    if _POSIX and found.st_uid not in (os.geteuid(), 0):
        return "belongs to somebody else on this machine"
    if _POSIX and found.st_mode & 0o022:
        return f"may be written by others on this machine (mode {found.st_mode & 0o777:04o})"
    return ""


def is_open_to_all(folder: Path) -> bool:
    """May anybody on this machine replace files in it? A sticky folder, such as /tmp, lets only their owners."""
    mode = folder.stat().st_mode
    return _POSIX and bool(mode & 0o002) and not mode & stat.S_ISVTX
