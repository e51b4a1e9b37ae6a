"""Fixtures for pytest: a simulated tenant, faults in it, and recorded conversations.

Installed with graphkit, pytest finds them by itself; nothing else of graphkit is imported before a test asks for one.
See ``docs/testing-recipes.md``.
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

if TYPE_CHECKING:
    import httpx

    from graphkit.client import GraphClient
    from graphkit.recording import Player, Recorder
    from graphkit.sandbox import Entry, SimulatedTenant

T = TypeVar("T")
Work = Callable[["GraphClient"], Awaitable[T]]

MODES = ("none", "once", "new", "all")
"""none: replay only. once: record what there is no cassette of. new: replay what is known, record the rest. all: record
everything anew."""
_MARK = "graph_cassette(path): the cassette of a test, relative to its file; default: cassettes/<test>.jsonl"
_UNSAFE = re.compile(r"[^\w.-]+")
_STATE = "tenant.sqlite"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("graphkit").addoption(
        "--graph-cassette", choices=MODES, default="none", help=f"what graph_cassette does: {', '.join(MODES)}"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARK)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """A test that passed fails yet if it asked for what was not recorded, or left a recorded write out."""
    yield
    found = getattr(item, "funcargs", {}).get("graph_cassette")
    if isinstance(found, GraphCassette):
        found.check()


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended: its exit code, and what it wrote where."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """What ``-o json`` printed."""
        return json.loads(self.stdout)


# -- the simulated tenant ----------------------------------------------------------------------------------------------


class GraphTenant:
    """A simulated tenant in a file of its own, on virtual time: an hour of waiting passes in no time.

    ``seed(users=60, licensed=0)`` takes the fields of ``graphkit.sandbox.Seed`` and begins anew.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / _STATE
        self.seed(users=60)

    def seed(self, **fields: Any) -> GraphTenant:
        from graphkit.clock import StillClock
        from graphkit.sandbox import Seed, SimulatedTenant

        for path in self.path.parent.glob(f"{self.path.name}*"):
            path.unlink()
        SimulatedTenant.open(self.path, StillClock(0.0), seed=Seed(**fields)).close()
        return self

    def run(self, *arguments: object) -> Result:
        """``run("plan", "licenses.pools", "-i", path)``: the command line, in this process, on this tenant."""
        return _command([*map(str, arguments), "-t", "simulated", "--state", str(self.path), "--virtual-time"])

    def use(self, work: Work[T]) -> T:
        """``use(lambda graph: graph.get("/organization"))``: with a ``GraphClient``, writes allowed."""
        return _with_client(work, target="simulated", state=str(self.path), virtual_time=True)

    @contextmanager
    def opened(self) -> Iterator[SimulatedTenant]:
        """The tenant itself, time standing still: for looking, and for changing what a command cannot."""
        from graphkit.clock import StillClock
        from graphkit.sandbox import SimulatedTenant, stored_time

        tenant = SimulatedTenant.open(self.path, StillClock(stored_time(self.path) or 0.0))
        try:
            yield tenant
        finally:
            tenant.close()

    @property
    def writes(self) -> Sequence[Entry]:
        """Every write that it committed, in order."""
        with self.opened() as tenant:
            return list(tenant.log)


class GraphFaults:
    """What goes wrong in the tenant: ``graph_faults(method="PATCH", path="/groups/*", action="throttle")``."""

    def __init__(self, tenant: GraphTenant) -> None:
        self._tenant = tenant

    def __call__(self, **rule: Any) -> None:
        """Add one rule; ``docs/simulated-tenant.md`` lists its fields."""
        with self._tenant.opened() as tenant:
            tenant.faults.add(rule)

    def load(self, scenario: str) -> None:
        """Add those of a scenario: a file, or the name of one that comes with graphkit."""
        from graphkit.sandbox import load_scenario

        with self._tenant.opened() as tenant:
            tenant.faults.extend(load_scenario(scenario))

    @property
    def fired(self) -> list[int]:
        """How often each rule struck, in the order in which they were added."""
        with self._tenant.opened() as tenant:
            return [rule.fired for rule in tenant.faults.rules]


# -- recorded conversations --------------------------------------------------------------------------------------------


class GraphCassette:
    """One recorded conversation, and the ways to hold it again: as a command line, as a client, as a transport, and for
    code that brings its own httpx as a respx router.
    """

    def __init__(self, path: Path, mode: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.mode = mode
        self._folder = folder
        self._patch = patch
        there = path.exists()
        self.records = mode == "all" or (mode == "once" and not there) or mode == "new"
        self._goes_on = mode == "new" and there
        if not self.records and not there:
            pytest.fail(f"there is no cassette {path}: record it with --graph-cassette=once, or with graphkit record")

    @cached_property
    def player(self) -> Player:
        from graphkit.recording import Player, read

        return Player(read(self.path))

    @cached_property
    def recorder(self) -> Recorder:
        from graphkit.recording import Recorder, read

        known = read(self.path) if self._goes_on else None
        return Recorder(self.path, replace=self.mode == "all", known_already=known)

    def input(self, name: str | os.PathLike[str]) -> Path:
        """An input file: the one named (relative to the test) while recording, its twin in pseudonyms in a replay."""
        from graphkit.recording import Given, inputs_of

        if self.records and not self._goes_on:
            path = self._folder / name
            self.recorder.add_inputs([Given(path, _format(path))])
            return path
        beside = inputs_of(self.path)
        wanted = Path(name)
        alike = [each for each in sorted(beside.glob("*")) if each.suffix == wanted.suffix]
        exact = [each for each in alike if each.name == wanted.name]
        if not exact and len(alike) != 1:
            pytest.fail(f"{beside} has no {wanted.name}: it has {', '.join(each.name for each in alike) or 'nothing'}")
        return (exact or alike)[0]

    def run(self, *arguments: object) -> Result:
        """A command line of graphkit. In a replay it meets the cassette, while recording what the settings say."""
        from graphkit.recording import inputs_of, shared

        words = [str(word) for word in arguments]
        if self.records:
            with shared(self.path, recorder=self.recorder):
                return _command(words, record=str(self.path))
        settings = inputs_of(self.path) / "graphkit.toml"
        config = ["--config", str(settings)] if settings.exists() else []
        with shared(self.path, player=self.player):
            return _command([*words, "-t", f"replay:{self.path}", *config])

    def use(self, work: Work[T]) -> T:
        """``use(lambda graph: graph.get("/organization"))``: with a ``GraphClient``, writes allowed."""
        from graphkit.recording import shared

        if self.records:
            with shared(self.path, recorder=self.recorder):
                return _with_client(work, record=str(self.path))
        with shared(self.path, player=self.player):
            return _with_client(work, target=f"replay:{self.path}")

    @property
    def transport(self) -> httpx.AsyncBaseTransport:
        """For ``httpx.AsyncClient(transport=...)``; in a replay for ``httpx.Client`` too."""
        from graphkit.recording import RecordingTransport, ReplayTransport

        if not self.records:
            return ReplayTransport(self.player)
        import httpx

        from graphkit.clock import RealClock

        return RecordingTransport(httpx.AsyncHTTPTransport(), self.recorder, RealClock().now)

    def mount(self, router: Any) -> None:
        """Let a respx router answer for Graph, so that unmodified code replays. While recording, what asynchronous
        clients say goes to the network and is heard on its way.
        """
        from graphkit.recording import graph_pattern, mount

        if not self.records:
            mount(self.player, router)
            return
        router.route(url__regex=graph_pattern()).pass_through()
        self._listen()

    def _listen(self) -> None:
        import httpx

        from graphkit.transport.network import HttpcoreTransport

        # Those of clients of httpx's own, and of graphkit's.
        self._hear(httpx.AsyncHTTPTransport)
        self._hear(HttpcoreTransport)

    def _hear(self, kind: type[httpx.AsyncBaseTransport]) -> None:
        import httpx

        from graphkit.clock import RealClock
        from graphkit.recording import RecordingTransport

        recorder, now = self.recorder, RealClock().now
        send = kind.handle_async_request

        class Onward(httpx.AsyncBaseTransport):
            def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
                self._inner = inner

            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                return await send(self._inner, request)

        async def heard(inner: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
            return await RecordingTransport(Onward(inner), recorder, now).handle_async_request(request)

        self._patch.setattr(kind, "handle_async_request", heard)

    def check(self) -> None:
        """Fails unless everything asked for was recorded, and every recorded write was asked for. A recording is
        written.
        """
        if self.records:
            if "recorder" in vars(self):
                self.recorder.save()
            return
        if self.player.unmatched:
            pytest.fail(_listed(f"{self.path.name} has no answer for", self.player.unmatched), pytrace=False)
        if self.player.unused:
            pytest.fail(_listed(f"writes in {self.path.name} that nobody asked for", self.player.unused), pytrace=False)


def _listed(what: str, lines: Sequence[str]) -> str:
    more = [f"... and {len(lines) - 10} more"] if len(lines) > 10 else []
    return "\n  ".join([f"{what}:", *lines[:10], *more])


def _format(path: Path) -> str:
    return {".yml": "yaml", ".yaml": "yaml", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(
        path.suffix.lower(), "csv"
    )


# -- the fixtures ------------------------------------------------------------------------------------------------------


@pytest.fixture
def graph_tenant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GraphTenant]:
    """A simulated tenant of 3 organisations and 60 users (rx1-0001@contoso.example ...), on virtual time."""
    with _alone(tmp_path, monkeypatch, wiped=True):
        yield GraphTenant(tmp_path)


@pytest.fixture
def graph_faults(graph_tenant: GraphTenant) -> GraphFaults:
    """What goes wrong in ``graph_tenant``."""
    return GraphFaults(graph_tenant)


@pytest.fixture
def graph_cassette(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[GraphCassette]:
    """The conversation recorded in ``cassettes/<test>.jsonl`` beside the test, or where the mark says."""
    mark = request.node.get_closest_marker("graph_cassette")
    name = mark.args[0] if mark else f"cassettes/{_UNSAFE.sub('_', request.node.name)}.jsonl"
    mode = request.config.getoption("--graph-cassette")
    cassette = GraphCassette(request.path.parent / name, mode, request.path.parent, monkeypatch)
    with _alone(tmp_path, monkeypatch, wiped=not cassette.records):
        yield cassette


@contextmanager
def _alone(folder: Path, patch: pytest.MonkeyPatch, *, wiped: bool) -> Iterator[None]:
    """Runs and caches in the test's own folder; no credentials and no target of the person who runs the tests."""
    for name in list(os.environ) if wiped else ():
        if name.startswith(("AZURE_", "GRAPHKIT_")):
            patch.delenv(name)
    patch.setenv("GRAPHKIT_RUNS_DIR", str(folder / "runs"))
    patch.setenv("GRAPHKIT_CACHE_DIR", str(folder / "cache"))
    yield
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if handler.name == "graphkit"]:
        root.removeHandler(handler)
        handler.close()


def _command(arguments: Sequence[str], **given: Any) -> Result:
    from graphkit.cli.app import run
    from graphkit.cli.invocation import Invocation

    out, err = _Stream(), _Stream()
    before, sys.stdin = sys.stdin, _Stream()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = run(arguments, Invocation(given=dict(given)))
    finally:
        sys.stdin = before
    return Result(code, out.text(), err.text())


class _Stream(io.TextIOWrapper):
    """A standard stream whose text can be read back."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO(), encoding="utf-8", newline="", write_through=True)

    def text(self) -> str:
        held = self.buffer
        assert isinstance(held, io.BytesIO)  # noqa: S101 - made above
        return held.getvalue().decode()


def _with_client(work: Work[T], **flags: Any) -> T:
    from graphkit import clock
    from graphkit.protocol.budget import WriteBudget
    from graphkit.session import open_session
    from graphkit.settings import load

    settings = load(flags)

    async def main() -> T:
        async with open_session(settings) as session:
            session.chain.budget = WriteBudget.unlimited()
            return await work(session.client)

    return clock.run(main(), virtual=settings.target.virtual_time)
