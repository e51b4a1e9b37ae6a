"""A tally in a small locked file, for the processes of one machine.

One line of JSON: for each counter when it was last asked, from when its next place is free, and until when the service
closed it. Rewritten in place under the operating system's lock, which nobody holds longer than that takes.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from graphkit.log import event
from graphkit.transport.locking import lock_now, unlock
from graphkit.transport.tally import Grant

logger = logging.getLogger("graphkit.transport")

_FORMAT = 1
_ASK_AGAIN_S = 0.02
_PATIENCE_S = 5.0
"""Whoever holds the lock longer than this is stuck; we go on without it rather than with it."""
_FORGOTTEN_S = 3600.0
_LARGEST = 1_000_000

Row = tuple[float, float, float]


class _File(msgspec.Struct):
    format: int
    rows: dict[str, Row]


_decoder = msgspec.json.Decoder(_File)


class FileTally:
    """``clock`` reads the time that all processes have in common, in the same seconds as ``monotonic`` counts.

    Until :meth:`open` says for which tenant, everything is granted at once: the tenant must be asked who it is.
    """

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock
        self._path: Path | None = None
        self._busy_since: float | None = None
        self._told = False
        self.touched = 0

    def open(self, tenant: str) -> None:
        """Share with all who name the tenant alike."""
        name = hashlib.sha256(tenant.encode()).hexdigest()[:16]
        self._path = self._folder / f"pace-{name}.json"

    def reserve(self, name: str, amount: float, interval: float, now: float) -> Grant:
        common = self._clock()
        shift = common - now
        try:
            with self._rows(common) as rows:
                _, free, stopped = rows.get(name, (common, common, 0.0))
                start = max(free, common)
                rows[name] = (common, start + amount * interval, stopped)
                return Grant(amount, start - shift, stopped - shift)
        except BlockingIOError:
            return Grant(0.0, now + _ASK_AGAIN_S)
        except OSError as error:
            self._tell(error)
            return Grant(amount, now)

    def stop(self, name: str, until: float, free: float, now: float) -> None:
        common = self._clock()
        shift = common - now
        # Our own counter is stopped in any case; the others find out from the service if not from us.
        with contextlib.suppress(OSError), self._rows(common) as rows:
            _, known, stopped = rows.get(name, (common, common, 0.0))
            rows[name] = (common, max(known, free + shift), max(stopped, until + shift))

    @contextmanager
    def _rows(self, common: float) -> Iterator[dict[str, Row]]:
        """The rows, written back at the end. Raises ``BlockingIOError`` while another process is at it."""
        if self._path is None:
            yield {}
            return
        handle = self._locked(self._path, common)
        try:
            rows = _read(handle, self._path, common)
            yield rows
            _write(handle, rows)
            self.touched += 1
        finally:
            unlock(handle)
            os.close(handle)

    def _locked(self, path: Path, common: float) -> int:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_CREAT | os.O_RDWR | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            lock_now(handle)
        except OSError as error:
            os.close(handle)
            self._busy_since = self._busy_since if self._busy_since is not None else common
            if common - self._busy_since > _PATIENCE_S:
                raise TimeoutError("the lock of the shared quota is held by a process that is stuck") from error
            raise BlockingIOError from error
        self._busy_since = None
        return handle

    def _tell(self, error: OSError) -> None:
        """Once: to run without the others in mind is better than not to run."""
        if not self._told:
            self._told = True
            event(logger, "quota-unshared", level=logging.WARNING, reason=error.strerror or str(error))


def _read(handle: int, path: Path, common: float) -> dict[str, Row]:
    """What counts of the file: nothing that is long past, or from the future (the wall's clock was set back)."""
    os.lseek(handle, 0, os.SEEK_SET)
    line = os.read(handle, _LARGEST).partition(b"\n")[0]
    if not line:
        return {}
    try:
        found = _decoder.decode(line)
        if found.format != _FORMAT:
            raise ValueError(f"format {found.format}")
    except ValueError:
        with contextlib.suppress(OSError):
            path.with_suffix(".damaged").write_bytes(line)
        event(logger, "quota-file-damaged", level=logging.WARNING)
        return {}
    since = common - _FORGOTTEN_S
    return {
        name: row for name, row in found.rows.items() if row[0] <= common + 1 and (row[0] > since or row[2] > common)
    }


def _write(handle: int, rows: dict[str, Row]) -> None:
    data = msgspec.json.encode(_File(_FORMAT, rows)) + b"\n"
    os.lseek(handle, 0, os.SEEK_SET)
    # Longer leftovers stand behind the end of the line, where nobody reads.
    os.write(handle, data)
    os.ftruncate(handle, len(data))
