"""What the runs on this machine take from which quotas, told to whoever asks: a small file for each process.

A :class:`Ledger` is all that others need to know; one that several processes draw on together can stand behind it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import msgspec

from graphkit.clock import Clock, RealClock
from graphkit.private import make_folder, open_private

FRESH_S = 10.0
"""Older than this, a file is what a process left behind that was killed."""


class Use(msgspec.Struct, frozen=True):
    """One bucket in use, of one app in one tenant.

    ``used`` is the part of the published quota taken in its last window, ``waiting`` the number of requests that wait
    for it, ``stopped_until`` seconds since the epoch, 0 if the service did not stop it.
    """

    bucket: str
    used: float
    waiting: int = 0
    stopped_until: float = 0.0
    tenant: str = ""
    app: str = ""


class Ledger(Protocol):
    """Where the current use of quotas can be read."""

    def read(self) -> Sequence[Use]:
        """The buckets in use, those of several processes together, the fullest first. Never raises."""
        ...


class _Page(msgspec.Struct):
    at: float
    uses: list[Use]


class Board:
    """A :class:`Ledger` of files in a folder; this process writes its own and reads everybody's.

    Nothing but ids and numbers is in them, for their owner's eyes alone.
    """

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self._folder = folder
        self._wall = clock or RealClock()
        self._path = folder / f"use-{os.getpid()}.json"
        self._published = False

    def publish(self, uses: Sequence[Use]) -> None:
        """Replace what this process told last. A disk that takes nothing more is no reason to stop a run."""
        if not uses and not self._published:
            return
        beside = self._path.with_suffix(".new")
        with suppress(OSError):
            make_folder(self._folder)
            with os.fdopen(open_private(beside), "wb") as stream:
                stream.write(msgspec.json.encode(_Page(self._wall.now(), list(uses))))
            beside.replace(self._path)
            self._published = True

    def clear(self) -> None:
        """Take down what this process told."""
        if self._published:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            self._published = False

    def read(self) -> Sequence[Use]:
        together: dict[tuple[str, str, str], Use] = {}
        for use in self._pages():
            key = (use.tenant, use.app, use.bucket)
            known = together.get(key)
            together[key] = use if known is None else _sum(known, use)
        return sorted(together.values(), key=lambda use: (-use.used, use.tenant, use.app, use.bucket))

    def _pages(self) -> list[Use]:
        uses: list[Use] = []
        for path in sorted(self._folder.glob("use-*.json")):
            # A process may end, and its file with it, or be half gone.
            with suppress(OSError, msgspec.MsgspecError):
                page = msgspec.json.decode(path.read_bytes(), type=_Page)
                if abs(self._wall.now() - page.at) <= FRESH_S:
                    uses += page.uses
        return uses


def _sum(one: Use, other: Use) -> Use:
    return Use(
        one.bucket,
        one.used + other.used,
        one.waiting + other.waiting,
        max(one.stopped_until, other.stopped_until),
        one.tenant,
        one.app,
    )
