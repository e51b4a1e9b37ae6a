"""A tally in a small locked file, for the processes of one machine.

One line of JSON: for each counter when it was last asked, from when its next place is free, and until when the service
closed it; and what each process takes, for ``graphkit quota``. Nothing but ids and numbers, for their owner's eyes.
Rewritten in place under the operating system's lock, which nobody holds longer than that takes.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from graphkit.clock import Clock, RealClock
from graphkit.log import event
from graphkit.private import make_folder
from graphkit.transport.locking import lock_now, unlock
from graphkit.transport.tally import Grant
from graphkit.transport.use import Use, together

logger = logging.getLogger("graphkit.transport")

_FORMAT = 1
_ASK_AGAIN_S = 0.02
_PATIENCE_S = 5.0
"""Whoever holds the lock longer than this is stuck; we go on without it rather than with it."""
_FORGOTTEN_S = 3600.0
_LARGEST = 1_000_000
FRESH_S = 10.0
"""Older than this, what a process told is what one left behind that was killed."""

Row = tuple[float, float, float]


class _File(msgspec.Struct):
    """``uses`` are by process, and stay raw until somebody asks for them."""

    format: int
    rows: dict[str, Row]
    uses: dict[str, msgspec.Raw] = {}


class _Told(msgspec.Struct):
    """``at`` is in seconds since the epoch, as everybody's wall shows them."""

    at: float
    uses: list[Use]


_decoder = msgspec.json.Decoder(_File)
_told = msgspec.json.Decoder(_Told)


class FileTally:
    """``clock`` reads the time that all processes have in common, in the same seconds as ``monotonic`` counts.

    Until :meth:`open` says for which tenant, everything is granted at once: the tenant must be asked who it is.
    """

    def __init__(self, folder: Path, clock: Callable[[], float], *, wall: Clock | None = None) -> None:
        self._folder = folder
        self._clock = clock
        self._wall = wall or RealClock()
        self._process = str(os.getpid())
        self._has_told = False
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
            with self._opened(common) as found:
                _, free, stopped = found.rows.get(name, (common, common, 0.0))
                start = max(free, common)
                found.rows[name] = (common, start + amount * interval, stopped)
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
        with contextlib.suppress(OSError), self._opened(common) as found:
            _, known, stopped = found.rows.get(name, (common, common, 0.0))
            found.rows[name] = (common, max(known, free + shift), max(stopped, until + shift))

    def tell(self, uses: Sequence[Use]) -> None:
        if not uses and not self._has_told:
            return
        now = self._wall.now()
        # A lock that is held, or a disk that takes nothing more, is no reason to stop a run: it is told again soon.
        with contextlib.suppress(OSError), self._opened(self._clock()) as found:
            others = {process: told for process, told in found.uses.items() if process != self._process}
            found.uses = {process: told for process, told in others.items() if _uses_told(told, now)}
            if uses:
                found.uses[self._process] = msgspec.Raw(msgspec.json.encode(_Told(now, list(uses))))
            self._has_told = bool(uses)

    @contextmanager
    def _opened(self, common: float) -> Iterator[_File]:
        """What it holds, written back at the end. Raises ``BlockingIOError`` while another process is at it."""
        if self._path is None:
            yield _File(_FORMAT, {})
            return
        handle = self._locked(self._path, common)
        try:
            found = _read(handle, self._path, common)
            yield found
            _write(handle, found)
            self.touched += 1
        finally:
            unlock(handle)
            os.close(handle)

    def _locked(self, path: Path, common: float) -> int:
        make_folder(path.parent)
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


def uses_in(folder: Path, now: float) -> Sequence[Use]:
    """What the runs of this machine take now, of all tenants, the fullest first; ``now`` in seconds since the epoch."""
    uses: list[Use] = []
    for path in sorted(folder.glob("pace-*.json")):
        # One that is half written, or locked where a lock keeps readers out, is whole again at the next look.
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            found = _decoder.decode(path.read_bytes().partition(b"\n")[0])
            uses += (use for told in found.uses.values() for use in _uses_told(told, now))
    return together(uses)


def _uses_told(told: msgspec.Raw, now: float) -> Sequence[Use]:
    try:
        found = _told.decode(told)
    except msgspec.DecodeError:
        return ()
    return found.uses if abs(now - found.at) <= FRESH_S else ()


def _read(handle: int, path: Path, common: float) -> _File:
    """What counts of the file: nothing that is long past, or from the future (the wall's clock was set back)."""
    os.lseek(handle, 0, os.SEEK_SET)
    line = os.read(handle, _LARGEST).partition(b"\n")[0]
    if not line:
        return _File(_FORMAT, {})
    try:
        found = _decoder.decode(line)
        if found.format != _FORMAT:
            raise ValueError(f"format {found.format}")
    except ValueError:
        with contextlib.suppress(OSError):
            path.with_suffix(".damaged").write_bytes(line)
        event(logger, "quota-file-damaged", level=logging.WARNING)
        return _File(_FORMAT, {})
    since = common - _FORGOTTEN_S
    found.rows = {
        name: row for name, row in found.rows.items() if row[0] <= common + 1 and (row[0] > since or row[2] > common)
    }
    return found


def _write(handle: int, found: _File) -> None:
    data = msgspec.json.encode(found) + b"\n"
    os.lseek(handle, 0, os.SEEK_SET)
    # Longer leftovers stand behind the end of the line, where nobody reads.
    os.write(handle, data)
    os.ftruncate(handle, len(data))
