"""The disk fails at every place where it can, one after the other, until a run gets through.

After each failure: no request left without an intent that is on disk, the file is sound, and a resume ends the run as
if nothing had happened.
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
from contextlib import contextmanager

import pytest
from chaos import World, settle

from graphkit.engine import runfile
from graphkit.engine.runfile import RunFile
from graphkit.errors import DeadlineReached, GraphkitError, RunFileError

RECIPES = ["licenses.pools", "teams.provision", "devices.compliance"]
MESSAGES = {"EIO": "disk I/O error", "ENOSPC": "database or disk is full"}


class Disk:
    """Fails the nth thing that is asked of the run file: a statement that writes, or a commit, before or after it."""

    def __init__(self, connect, message):
        self._connect = connect
        self._message = message
        self.at = 0
        self.what = ""
        self.count = 0
        self.failed = False

    def connect(self, path, *, read_only=False):
        return self._connect(path, read_only=read_only) if read_only else _Failing.of(path, self)

    def touch(self, what):
        if what != self.what:
            return
        self.count += 1
        if self.count == self.at or self.failed:  # a disk that is full stays so
            self.failed = True
            raise sqlite3.OperationalError(self._message)


class _Failing(sqlite3.Connection):
    disk: Disk

    @classmethod
    def of(cls, path, disk):
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=cls)
        db.disk = disk
        db.execute("PRAGMA journal_mode=DELETE")
        db.execute("PRAGMA synchronous=FULL")
        return db

    def execute(self, sql, *values):
        if not hasattr(self, "disk"):
            return super().execute(sql, *values)
        if sql == "COMMIT" and self.in_transaction:
            self.disk.touch("commit")
            done = super().execute(sql, *values)
            self.disk.touch("committed")
            return done
        if sql.startswith(("INSERT", "UPDATE", "DELETE")):
            self.disk.touch("write")
        return super().execute(sql, *values)

    def executemany(self, sql, rows):
        self.disk.touch("write")
        return super().executemany(sql, rows)


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """A folder for each recipe with a plan that is ready, and what it leads to."""
    made = {}
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(runfile, "PAGE", 1024)  # so that small runs soon need more than there is
    for recipe in RECIPES:
        folder = tmp_path_factory.mktemp(recipe)
        ready, done = World(folder / "ready", recipe), World(folder / "done", recipe)
        ready.folder.mkdir()
        ready.prepare()
        assert ready.plan("a.run").status == "ready"
        shutil.copytree(ready.folder, done.folder)
        assert done.apply("a.run").apply_exit_code == 0
        made[recipe] = (ready.folder, settled(done))
    monkeypatch.undo()
    return made


CASES = [
    ("licenses.pools", "commit", "EIO"),
    ("licenses.pools", "committed", "EIO"),
    ("licenses.pools", "write", "ENOSPC"),
    ("teams.provision", "commit", "ENOSPC"),
    ("devices.compliance", "committed", "EIO"),
    ("devices.compliance", "write", "EIO"),
]
SOME = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377)
"""Which of the things that can fail does; ``range(1, 1000)`` tries them all, in minutes."""


@pytest.mark.parametrize(("recipe", "what", "code"), CASES)
def test_whatever_the_disk_refuses_nothing_is_lost_or_done_twice(planned, tmp_path, monkeypatch, recipe, what, code):
    ready, usual = planned[recipe]
    disk = Disk(runfile._connect, MESSAGES[code])
    for at in SOME:
        world = World(tmp_path / f"{at}", recipe)
        shutil.copytree(ready, world.folder)
        disk.at, disk.what, disk.count, disk.failed = at, what, 0, False
        with monkeypatch.context() as broken:
            broken.setattr(runfile, "_connect", disk.connect)
            error = attempt(world)
        assert error is None or MESSAGES[code] in error.message, error
        judge(world, usual)
        shutil.rmtree(world.folder)
        if not disk.failed:
            assert error is None
            return
    raise AssertionError("it never got through")


def test_a_run_file_that_cannot_be_begun_is_neither_left_behind_nor_held(tmp_path, monkeypatch):
    path, disk, opened = tmp_path / "a.run", Disk(runfile._connect, MESSAGES["ENOSPC"]), []
    disk.at, disk.what = 1, "write"
    with monkeypatch.context() as broken:
        broken.setattr(runfile, "_connect", lambda path: opened.append(disk.connect(path)) or opened[-1])
        with pytest.raises(RunFileError, match="is full"):
            RunFile.create(path, {})
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")
    assert not list(tmp_path.glob("a.run*"))
    RunFile.create(path, {}).close()


def settled(world):
    """What there is, and was written, once all that was accepted is effective; a plan finds nothing left to do."""
    settle(world)
    assert world.plan("again.run").writes == 0
    return world.picture()


def attempt(world):
    try:
        world.apply("a.run")
    except GraphkitError as error:
        return error
    return None


def judge(world, usual):
    with RunFile.open(world.folder / "a.run") as run:
        run.verify()
        intended = run.last_step()
    log = world.picture()[1]
    assert len(log) <= intended, "a request left without its intent"
    for _ in range(3):
        if world.apply("a.run").apply_exit_code == 0:
            break
    state, log = settled(world)
    assert state == usual[0]
    assert sorted(log) == sorted(usual[1])


def test_what_stopped_a_run_is_told_even_if_the_disk_cannot_be_read_any_more(planned, tmp_path, monkeypatch):
    world = World(tmp_path / "world", "licenses.pools")
    shutil.copytree(planned["licenses.pools"][0], world.folder)

    def unreadable(run):
        raise sqlite3.OperationalError(MESSAGES["EIO"])

    monkeypatch.setattr(RunFile, "finished", unreadable)
    with pytest.raises(DeadlineReached):
        world.apply("a.run", deadline_s=0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows limits no file sizes")
def test_a_file_system_that_takes_no_more_bytes_stops_the_run_before_its_requests(planned, tmp_path, monkeypatch):
    """The limit of the operating system itself, some pages later each time."""
    import resource
    import signal

    ready, usual = planned["licenses.pools"]
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    transaction = RunFile.transaction
    limit = hard

    @contextmanager
    def limited(run):
        # Only while the run file is written: the simulated tenant keeps its state in a file too.
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with transaction(run):
                yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))

    usual_signal = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        stopped = 0
        for pages in (0, 1, 2, 4, 8, 16, 32, 64):
            world = World(tmp_path / f"{pages}", "licenses.pools")
            shutil.copytree(ready, world.folder)
            limit = (world.folder / "a.run").stat().st_size + 2048 * pages
            with monkeypatch.context() as broken:
                broken.setattr(RunFile, "transaction", limited)
                error = attempt(world)
            judge(world, usual)
            stopped += error is not None
        assert stopped > 1
        assert error is None, "it never got through"
    finally:
        signal.signal(signal.SIGXFSZ, usual_signal)
