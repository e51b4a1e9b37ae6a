"""One applying run at a time per tenant and object set, on one machine.

The object set of a run is the kinds that it writes, within its organisation if it is fenced to one (``--org``). Two
runs collide if they write a kind in common and are not fenced to different organisations: a run without a fence
collides with all. The claim is a locked file in the state folder that dies with its process; no age makes it void.

Machines that share no folder cannot be kept apart like this: there, what protects is that each object is read again
just before it is written, and is refused if it changed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from graphkit.engine.lock import FileLock, holder, since
from graphkit.engine.runfile import make_runs_folder
from graphkit.errors import InUse


class Claim(msgspec.Struct, frozen=True):
    """Who writes what: kinds of object, and the organisation if it is fenced to one."""

    process: int
    run: str
    kinds: list[str]
    org: str = ""

    def collides_with(self, other: Claim) -> bool:
        apart = self.org and other.org and self.org != other.org
        return not apart and not set(self.kinds).isdisjoint(other.kinds)


@contextmanager
def claimed(folder: Path, tenant: str, kinds: Collection[str], *, org: str, run: Path) -> Iterator[None]:
    """Hold the object set while the context lasts. ``tenant`` names the tenant and the way to it.

    Raises ``InUse`` if a run of this machine holds a part of it, ``RunFileError`` if none can be made there. Of two
    that begin in the same moment both may be refused; never do both go on.
    """
    if not kinds:
        yield
        return
    make_runs_folder(folder)
    own = Claim(os.getpid(), str(run), sorted(kinds), org)
    name = f"{hashlib.sha256(tenant.encode()).hexdigest()[:16]}-"
    mine = folder / f"{name}{own.process}-{hashlib.sha256(str(run.resolve()).encode()).hexdigest()[:8]}.claim"
    # One's own file stands before the others are looked at, so that of two at least one sees the other.
    try:
        lock = FileLock.acquire(mine, msgspec.json.encode(own).decode())
    except BlockingIOError:
        raise _just_now() from None  # the other is trying it at this very moment
    try:
        for path in sorted(folder.glob(f"{name}*.claim")):
            if path != mine:
                _check(own, path)
        yield
    finally:
        lock.release()


def _check(own: Claim, path: Path) -> None:
    try:
        # Whose lock can be had is dead; the file goes with it.
        FileLock.acquire(path, "").release()
        return
    except BlockingIOError:
        pass
    try:
        other = msgspec.json.decode(holder(path), type=Claim)
    except msgspec.MsgspecError:
        # Held, and not yet written or just gone: nobody knows what for.
        raise _just_now() from None
    if own.collides_with(other):
        both = ", ".join(sorted({*own.kinds} & {*other.kinds}))
        raise InUse(
            f"{other.run} is being applied to this tenant by process {other.process} since {since(path)}, "
            f"and writes {both} too",
            hint="wait until it ends, or fence both runs to different organisations with --org",
        )


def _just_now() -> InUse:
    return InUse("another run is just beginning or ending in this tenant", hint="try again")
