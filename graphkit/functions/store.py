"""Runs as folders on the share: one each, named by the run's id.

    <id>/request.json      what was asked for            made whole, with the folder
    <id>/inputs/           the documents                 the same
    <id>/state.json        how far it is                 replaced by the queue's worker alone
    <id>/worker.json       who is applying, how far      made by the one, who replaces and removes it
    <id>/approved-N.json   somebody approved slice N     made once
    <id>/sent-N            its message went out          made once
    <id>/cancelled.json    somebody cancelled            made once
    <id>/plan/<id>.run     the run file                  made whole, with the folder; opened by the worker alone

What must happen once is the making of a file or the renaming of a folder, which only one process can do. SQLite files
are not opened by those who only look: a reader on another machine could take a transaction under way for one that a
dead process left behind.
"""

from __future__ import annotations

import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from graphkit.functions.request import RunRequest, is_id
from graphkit.private import open_new

FOLDER = "functions"
"""Within the runs folder."""
STALE_S = 30.0
"""Whoever has told nothing for so long counts as dead. If they are not, the epoch of the run file stops them."""
LEFT_AFTER_S = 24 * 3600.0
"""After so long nobody works on a draft any more, whatever the host's time-out."""
FINAL = ("finished", "partly-failed", "blocked", "failed", "cancelled")


class State(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """How far a run is. ``slice`` is the number of the message that is expected next; times since the epoch.

    ``status``: queued, planned, applying, or one of ``FINAL``. ``plan`` and ``outcomes`` are as the command line prints
    them; ``plan_digest`` names the plan that an approval means. ``idle`` counts slices on end that got nowhere.
    ``trouble`` is the last fault that passed, ``error`` the one that did not.
    """

    status: str = "queued"
    slice: int = 0
    exit_code: int | None = None
    plan: dict[str, Any] | None = None
    plan_digest: str = ""
    outcomes: dict[str, int] | None = None
    settled: int = 0
    idle: int = 0
    trouble: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    updated: float = 0.0

    @property
    def final(self) -> bool:
        return self.status in FINAL

    @property
    def can_go_on(self) -> bool:
        """May somebody approve what is left of it?"""
        return self.status == "planned" or (self.status in ("partly-failed", "failed") and bool(self.plan_digest))


class Worker(msgspec.Struct, frozen=True):
    """Who applies a run, when that was last told (seconds since the epoch), and how far it was then."""

    name: str
    seen: float
    done: int = 0
    total: int = 0
    failed: int = 0


class Approval(msgspec.Struct, frozen=True, rename="camel"):
    """Who approved which plan. ``by`` is the object id of a signed-in caller, ``key`` for the function's key."""

    plan_digest: str
    by: str
    at: float


class Run:
    """One run's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def inputs(self) -> Path:
        return self.path / "inputs"

    @property
    def run_file(self) -> Path:
        return self.path / "plan" / f"{self.id}.run"

    def request(self) -> RunRequest:
        return msgspec.json.decode((self.path / "request.json").read_bytes(), type=RunRequest)

    def state(self) -> State:
        return msgspec.json.decode((self.path / "state.json").read_bytes(), type=State)

    def set_state(self, state: State) -> None:
        _replace(self.path / "state.json", msgspec.json.encode(state))

    def worker(self) -> Worker | None:
        """Who is applying it, or was when they died."""
        try:
            return msgspec.json.decode((self.path / "worker.json").read_bytes(), type=Worker)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError:
            return Worker("somebody who is just beginning", math.inf)

    def claim(self, worker: Worker) -> bool:
        """Be the one who applies it, unless somebody is and told so less than ``STALE_S`` ago."""
        path = self.path / "worker.json"
        try:
            with os.fdopen(open_new(path), "wb") as stream:
                stream.write(msgspec.json.encode(worker))
        except FileExistsError:
            other = self.worker()
            if other and worker.seen - other.seen < STALE_S:
                return False
            _replace(path, msgspec.json.encode(worker))
        return True

    def tell(self, worker: Worker) -> None:
        """Still there, and so far. Nothing is told of a run that somebody else has taken over."""
        other = self.worker()
        if other and other.name == worker.name:
            _replace(self.path / "worker.json", msgspec.json.encode(worker))

    def leave(self, name: str) -> None:
        """Nobody is applying it any more."""
        other = self.worker()
        if other and other.name == name:
            (self.path / "worker.json").unlink(missing_ok=True)

    def approval(self, number: int) -> Approval | None:
        try:
            return msgspec.json.decode((self.path / f"approved-{number}.json").read_bytes(), type=Approval)
        except FileNotFoundError:
            return None

    def approve(self, number: int, approval: Approval) -> None:
        """Only the first one counts."""
        _make_once(self.path / f"approved-{number}.json", msgspec.json.encode(approval))

    @property
    def cancelled(self) -> bool:
        return (self.path / "cancelled.json").exists()

    def cancel(self, by: str, at: float) -> None:
        _make_once(self.path / "cancelled.json", msgspec.json.encode({"by": by, "at": at}))

    def was_sent(self, number: int) -> bool:
        return (self.path / f"sent-{number}").exists()

    def note_sent(self, number: int) -> None:
        _make_once(self.path / f"sent-{number}", b"")

    @contextmanager
    def planning(self) -> Iterator[Path]:
        """The path of a run file in the making. It becomes the run's plan if none was published meanwhile."""
        draft = self.path / f".plan-{secrets.token_hex(8)}"
        draft.mkdir(mode=0o700)
        try:
            yield draft / self.run_file.name
            _publish(draft, self.run_file.parent)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


class Runs:
    """All runs of a share."""

    def __init__(self, runs_dir: Path) -> None:
        self._folder = runs_dir / FOLDER

    def find(self, run_id: str) -> Run | None:
        run = Run(self._folder / run_id)
        return run if is_id(run_id) and run.path.is_dir() else None

    @contextmanager
    def drafted(self, request: RunRequest, documents: Mapping[str, bytes]) -> Iterator[Run]:
        """A new run beside the others, gone with the context unless :meth:`keep` is called."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = Run(self._folder / f".new-{secrets.token_hex(8)}")
        draft.inputs.mkdir(mode=0o700, parents=True)
        self._sweep(draft.path.stat().st_mtime)
        try:
            for name, content in documents.items():
                _make_once(draft.inputs / name, content)
            _make_once(draft.path / "request.json", msgspec.json.encode(request))
            draft.set_state(State())
            yield draft
        finally:
            shutil.rmtree(draft.path, ignore_errors=True)

    def _sweep(self, now: float) -> None:
        """Remove what workers that died have left unfinished. ``now`` is the share's own time."""
        for pattern in (".new-*", "*/.plan-*"):
            for left in self._folder.glob(pattern):
                with suppress(OSError):
                    if now - left.stat().st_mtime > LEFT_AFTER_S:
                        shutil.rmtree(left, ignore_errors=True)

    def keep(self, draft: Run, request: RunRequest) -> Run:
        """The draft under its id, or the run that is there already: the same request is the same run."""
        run = Run(self._folder / request.id)
        _publish(draft.path, run.path)
        return run


def _publish(draft: Path, final: Path) -> None:
    """Rename a folder, unless another one has that name: then it is that one that counts."""
    try:
        draft.rename(final)
    except OSError:
        if not final.is_dir():
            raise


def _make_once(path: Path, content: bytes) -> None:
    """A file that exists is left as it is. It appears whole: whoever sees it can read it."""
    if path.exists():
        return
    draft = _draft(path, content)
    try:
        # A hard link, unlike a renaming, never takes another's place; a share that has none gets the renaming, where
        # of two the later one counts.
        os.link(draft, path)
    except FileExistsError:
        pass
    except OSError:
        draft.rename(path)
    draft.unlink(missing_ok=True)


def _replace(path: Path, content: bytes) -> None:
    _draft(path, content).replace(path)


def _draft(path: Path, content: bytes) -> Path:
    draft = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    with os.fdopen(open_new(draft), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return draft
