"""The file for what the service tells once: temporary access passes. Written by apply, kept by nobody else.

A CSV table, mode 0600, never over anything that is there. Each row is on the disk before the run says that the pass was
issued, and bears the run's id: by that a resume knows a file that it may go on with. A last line that a crash cut
short is taken out; the pass that it would have told counts as lost.
"""

from __future__ import annotations

import csv
import io
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from graphkit.engine.change import Action, Status
from graphkit.engine.runfile import RunFile
from graphkit.errors import Stopped, UsageError
from graphkit.inputs.cells import guarded
from graphkit.private import distrusted, open_new, open_private
from graphkit.resources import resource_class

RUN = "run"
"""The last column: the id of the run."""
VERBATIM = "pass"
"""The column that is written as it was told, whatever a spreadsheet makes of it: with an apostrophe before it, it would
be another passcode. All others are disarmed."""
GOOD = (Status.DONE, Status.ALREADY)


class HandoutFile:
    """One open file, at its end. ``told`` are the ids of the objects whose rows it holds."""

    def __init__(self, path: Path, handle: int, columns: Sequence[str], run_id: str, told: set[str]) -> None:
        self._path = path
        self._handle = handle
        self._columns = columns
        self._run_id = run_id
        self._told = told
        self._size = os.fstat(handle).st_size
        self._broken = ""

    def holds(self, object_id: str) -> bool:
        return object_id in self._told

    def add(self, cells: Mapping[str, str]) -> None:
        """One row. Raises ``Stopped`` if it is not on the disk: then the file is as it was, and takes nothing more."""
        try:
            if self._broken:
                raise OSError(0, self._broken)
            told = [cells[name] if name == VERBATIM else guarded(cells[name]) for name in self._columns]
            self.write([*told, self._run_id])
        except OSError as error:
            self._broken = error.strerror or str(error)
            raise Stopped(
                f"{self._path} takes nothing more ({self._broken}): a pass that was just issued is lost",
                hint="make room, then resume with the same --tap-out: what was lost is issued anew",
            ) from None  # no traceback is to show what was to be written
        self._told.add(cells["id"])

    def write(self, row: Sequence[str]) -> None:
        """On the disk when this returns, and nothing of it if it raises ``OSError``."""
        line = io.StringIO()
        csv.writer(line, lineterminator="\r\n").writerow(row)
        try:
            _write_all(self._handle, line.getvalue().encode())
            os.fsync(self._handle)
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._handle, self._size)
            raise
        self._size = os.fstat(self._handle).st_size

    def close(self) -> None:
        os.close(self._handle)


def handed_out(kinds: Mapping[str, Mapping[str, int]]) -> int:
    """How many objects a plan makes of which the service tells something once; ``kinds`` as in ``Summary``."""
    return sum(kinds[kind][Action.CREATE] for kind in _telling(kinds))


def check_handout(run: RunFile, path: Path | None, *, resume: bool = False, taken: Sequence[Path] = ()) -> int:
    """How many rows are still to come. Raises ``UsageError`` unless ``path`` names a file exactly where one is needed,
    and none of those ``taken`` for something else.

    A resume may name the file although nothing is left to be told.
    """
    kinds = _telling(run.counts_by_kind())
    left = sum(
        change.action is Action.CREATE and not (result and result.status in GOOD)
        for kind in kinds
        for change, result in run.results(kind)
    )
    if left and path is None:
        verb = "resume" if resume else "apply"
        raise UsageError(
            f"nothing was sent: {run.path} issues {left:,} temporary access pass{'' if left == 1 else 'es'}, which "
            "the service tells once, and no file was named for them",
            hint=f"graphkit {verb} {run.path} --tap-out FILE",
        )
    if path is not None and os.path.realpath(path) in map(os.path.realpath, taken):
        raise UsageError(f"--tap-out: {path} is for something else already", hint="name a file of its own")
    if path is not None and not kinds:
        raise UsageError(
            f"--tap-out: {run.path} issues no temporary access passes", hint="access_passes in the page asks for them"
        )
    return left


@contextmanager
def handing_out(run: RunFile, path: Path | None, *, resume: bool) -> Iterator[HandoutFile | None]:
    """The file for what a run is told while it is applied, if it is told anything. Raises ``UsageError``."""
    if not check_handout(run, path, resume=resume) or path is None:
        yield None
        return
    columns = resource_class(_telling(run.counts_by_kind())[0]).tells_once
    handout = open_handout(path, columns, str(run.header()["id"]), resume=resume)
    try:
        yield handout
    finally:
        handout.close()


def open_handout(path: Path, columns: Sequence[str], run_id: str, *, resume: bool) -> HandoutFile:
    """A new file or, with ``resume``, one that the same run began. Raises ``UsageError`` for any other."""
    try:
        return _opened(path, columns, run_id, resume=resume)
    except FileExistsError:
        raise UsageError(
            f"nothing was sent: {path} is there already, and passes are written over nothing", hint="name another file"
        ) from None
    except OSError as error:
        raise UsageError(
            f"nothing was sent: {path} cannot be written: {error.strerror}", hint="name another file"
        ) from error


def _opened(path: Path, columns: Sequence[str], run_id: str, *, resume: bool) -> HandoutFile:
    header = [*columns, RUN]
    begun = resume and os.path.lexists(path)
    told = _told_in(path, header, run_id) if begun else set()
    handle = open_private(path, append=True) if begun else open_new(path)
    try:
        if begun:
            os.ftruncate(handle, _whole_lines(path))
        handout = HandoutFile(path, handle, columns, run_id, told)
        if not os.fstat(handle).st_size:
            handout.write(header)
            _keep_name(path)
    except BaseException:
        os.close(handle)
        raise
    return handout


def _told_in(path: Path, header: list[str], run_id: str) -> set[str]:
    """The ids in a file that this run began. Raises ``UsageError`` for any other."""
    why = distrusted(path) or ("" if stat.S_ISREG(path.lstat().st_mode) else "is no ordinary file")
    text = "" if why else path.read_bytes()[: _whole_lines(path)].decode("utf-8", errors="replace")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if not why and rows[:1] != [header] and not (not rows and _is_begun(path, header)):
        why = "is not a file of passes"
    if not why and any(len(row) != len(header) or row[-1] != run_id for row in rows[1:]):
        why = "holds the passes of another run"
    if why:
        raise UsageError(f"nothing was sent: {path} {why}", hint="name another file, or the one that this run began")
    return {row[header.index("id")] for row in rows[1:]}


def _whole_lines(path: Path) -> int:
    """Bytes of a file without a last line that a crash cut short."""
    return path.read_bytes().rfind(b"\n") + 1


def _is_begun(path: Path, header: Sequence[str]) -> bool:
    """Is it what a crash may have left of the first line?"""
    return ",".join(header).encode().startswith(path.read_bytes().rstrip(b"\r"))


def _write_all(handle: int, content: bytes) -> None:
    while content:
        content = content[os.write(handle, content) :]


def _keep_name(path: Path) -> None:
    """A power cut must not take the name of a file whose content is on the disk. Not every system can say so."""
    if os.name != "posix":
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _telling(kinds: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Those of the kinds of which objects are made and something is told once."""
    return [kind for kind, actions in kinds.items() if actions.get(Action.CREATE) and resource_class(kind).tells_once]
