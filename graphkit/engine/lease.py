"""Who may send for a run that several hosts can reach: whoever holds its latest epoch.

On one machine the operating system's lock on the run file tells the living from the dead. Hosts that share a folder
have no such lock that could be relied on, and age proves nothing: a worker that stood still for an hour may wake up. So
each worker that goes on with a run raises the *epoch* in the run file, and every transaction, that of the intents above
all, first looks whether its own epoch is still the latest. A worker that was overtaken can send at most what it had put
on disk as an intent before; its successor looks for these, and repeats none that the service would execute twice.

What the store has to offer is what SQLite needs of it: locks on parts of a file (a network file system mounted without
them, ``nobrl``, will not do; https://www.sqlite.org/lockingv3.html).
"""

from __future__ import annotations

from typing import Any

from graphkit.engine.runfile import RunFile
from graphkit.errors import LeaseLost

_NAME = "lease"


class Lease:
    """The right to send for one run, from :meth:`take` until somebody else takes it.

    ``left_open``: the holder before did not give it back. It was killed, or it is still there and does not know yet.
    """

    def __init__(self, run: RunFile, epoch: int, *, left_open: bool) -> None:
        self.epoch = epoch
        self.left_open = left_open
        self._run = run

    @classmethod
    def take(cls, run: RunFile, holder: str, now: float) -> Lease:
        """Raise the epoch. From here on every transaction of ``run`` is refused once somebody else does the same.

        ``holder`` says who it is, for whoever is overtaken. Raises ``RunFileError`` if the file cannot be written.
        """
        with run.transaction():
            before = _read(run)
            epoch = int(before["epoch"]) + 1
            run.put_header(**{_NAME: {"epoch": epoch, "holder": holder, "held": True, "since": now}})
        lease = cls(run, epoch, left_open=bool(before["held"]))
        run.on_begin = lease.check
        return lease

    def check(self) -> None:
        """Raises ``LeaseLost`` if somebody has taken it since. Called inside every transaction."""
        latest = _read(self._run)
        if latest["epoch"] != self.epoch:
            raise LeaseLost(
                f"{self._run.path} was taken over by {latest['holder']}; nothing more is sent or recorded from here",
                hint="the other worker goes on with the run; graphkit show tells how far it is",
            )

    def release(self) -> None:
        """Nothing of what was intended under it is on its way any more. Raises ``LeaseLost`` if it is another's."""
        with self._run.transaction():
            self._run.put_header(**{_NAME: {**_read(self._run), "held": False}})


def _read(run: RunFile) -> dict[str, Any]:
    found = run.header_value(_NAME)
    return found if isinstance(found, dict) else {"epoch": 0, "holder": "", "held": False}
