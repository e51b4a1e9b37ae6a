"""What every room's tests share: a clean environment, the command line in process, and a small tenant to run it on."""

from __future__ import annotations

import gc
import io
import json
import logging
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from graphkit.__main__ import main
from graphkit.clock import StillClock
from graphkit.sandbox import Seed, SimulatedTenant, stored_time

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy")
OTHERS = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NO_COLOR")


@pytest.fixture(autouse=True)
def clean_environment(tmp_path, monkeypatch):
    """Nothing of the person or machine that runs the tests reaches them: no credentials, no proxy, no home."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "AzureWebJobs", "AzureFunctions", "GRAPHKIT_", "WEBSITE_")) or name in (
            *PROXIES,
            *OTHERS,
        ):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(home))
    for name in ("STATE", "CACHE", "CONFIG", "DATA"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(home / name.lower()))


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heard():
    """By children, too, where the tests are started with ``&`` by a shell that makes them ignore it."""
    usual = signal.getsignal(signal.SIGINT)
    if usual is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, usual)


class _Watched(sqlite3.Connection):
    still_open: dict[_Watched, object]

    def close(self) -> None:
        self.still_open.pop(self, None)
        super().close()


@pytest.fixture(autouse=True)
def databases_are_closed(monkeypatch):
    """By the end of a test, whatever it opened. Python warns of one that is not from 3.13 on, and of a run file never:
    SQLite holds the functions that it registered, and they hold the connection.
    """
    connect, still_open = sqlite3.connect, {}

    def watched(path, **options):
        if "factory" in options:
            return connect(path, **options)
        db = connect(path, factory=_Watched, **options)
        db.still_open = still_open
        still_open[db] = path
        return db

    monkeypatch.setattr(sqlite3, "connect", watched)
    yield
    if still_open:
        gc.collect()  # what goes with its owner
    assert list(still_open.values()) == []


@dataclass(frozen=True)
class Result:
    """How a command ended: its exit code, and what it wrote where."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self):
        return json.loads(self.stdout)

    @property
    def lines(self):
        return [json.loads(line) for line in self.stdout.splitlines()]


class Stream(io.TextIOWrapper):
    """A standard stream whose text can be read back; a terminal if asked."""

    def __init__(self, content: bytes = b"", *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8", newline="", write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def text(self) -> str:
        return self.buffer.getvalue().decode()


@dataclass
class CommandLine:
    """``graphkit("plan", "licenses.pools", "-i", path)`` runs that command in this process.

    ``stdin`` is what it finds on standard input; with ``terminal`` all three streams are one.
    """

    flags: tuple[str, ...] = ()

    def __call__(self, *arguments, stdin: str = "", terminal: bool = False) -> Result:
        out, err = Stream(terminal=terminal), Stream(terminal=terminal)
        given, sys.stdin = sys.stdin, Stream(stdin.encode(), terminal=terminal)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                code = main([str(argument) for argument in (*arguments, *self.flags)])
        finally:
            sys.stdin = given
        return Result(code, out.text(), err.text())


@pytest.fixture
def graphkit():
    """The command line without any flags of its own."""
    yield CommandLine()
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if handler.name == "graphkit"]:
        root.removeHandler(handler)
        handler.close()


@dataclass
class StoredTenant:
    """A simulated tenant in a file."""

    path: Path
    flags: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.flags = ("-t", "simulated", "--state", str(self.path), "--virtual-time")

    def seed(self, **seed) -> StoredTenant:
        """``users=60, seats={"SPE_E3": 100}`` ...: the fields of ``Seed``. Replaces what the file held."""
        for path in self.path.parent.glob(f"{self.path.name}*"):
            path.unlink()
        SimulatedTenant.open(self.path, StillClock(0.0), seed=Seed(**seed)).close()
        return self

    def look(self) -> SimulatedTenant:
        """The tenant as its file has it now; close it."""
        return SimulatedTenant.open(self.path, StillClock(stored_time(self.path) or 0.0))

    @contextmanager
    def changed(self) -> Iterator[SimulatedTenant]:
        """The same, to put something into its state by hand, which is in the file afterwards."""
        with closing(self.look()) as tenant:
            yield tenant
            tenant.keep()

    def log(self) -> list:
        """Every write that the tenant committed, in order."""
        tenant = self.look()
        try:
            return list(tenant.log)
        finally:
            tenant.close()


@pytest.fixture
def tenant(tmp_path) -> StoredTenant:
    """A tenant of 3 organisations and 60 users (rx1-0001@contoso.example ...), kept in a file."""
    return StoredTenant(tmp_path / "tenant.db").seed(users=60)


@pytest.fixture
def simulated(graphkit, tenant) -> CommandLine:
    """The command line on that tenant, on virtual time."""
    return CommandLine(tenant.flags)
