"""A long run in which one answer in twenty goes wrong, and the memory that it takes: part of ``make prove``.

``python tools/soak.py 100000 SEED`` gives so many people a licence, a write each, on virtual time, and prints what came
of it as JSON. The simulated tenant is in a process apart, so that the memory of this one is graphkit's alone.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx

from graphkit import settings
from graphkit.clock import VIRTUAL_EPOCH, Clock, VirtualClock, run
from graphkit.engine.resource import PlanOptions
from graphkit.errors import GraphkitError
from graphkit.jobs import Asked, Summary, apply, plan
from graphkit.sandbox import SandboxTransport, Seed, SimulatedTenant
from graphkit.sandbox.seeding.skus import PRODUCTS
from graphkit.session import Session, open_session

SKU = "EMS"
MIXED = 0.05
FAULTS = (
    {"action": "commit-then", "status": 504},
    {"action": "commit-then", "failure": "reset"},
    {"action": "answer", "status": 500},
    {"action": "throttle", "retry_after": "1"},
    {"action": "reset"},
)
LEGS = 20
QUARTERS = 4


@dataclass(frozen=True)
class Soaked:
    """``outcomes`` as the run counts them, ``seats`` as the tenant does; ``resident`` is MB after each quarter."""

    writes: int
    faults: int
    legs: int
    outcomes: dict[str, int]
    seats: int
    resident: list[float]


def main() -> None:
    writes, seed = int(sys.argv[1]), int(sys.argv[2])
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=be_tenant, args=(there, writes, seed), daemon=True)
    process.start()
    there.close()  # so that its end is noticed
    try:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(asdict(run(soaked(Path(folder), writes, Far(here)), virtual=True))))
    finally:
        process.kill()


async def soaked(folder: Path, writes: int, tenant: Far) -> Soaked:
    given = {"target": "simulated", "virtual_time": True, "runs_dir": str(folder), "access_token": "soak"}
    asked = Asked(
        recipe="licenses.assign",
        inputs=(str(_rows(folder, writes)),),
        options=PlanOptions(max_changes=writes, break_glass=("break-glass-1@contoso.example",)),
        out=folder / "a.run",
    )
    resident: list[float] = []

    async with open_session(settings.load(given, env={}, cwd=folder), around=tenant.stand_in) as session:
        await plan(session, asked, runs_dir=folder)
        share = {"method": "POST", "path": "/users/*", "probability": MIXED / len(FAULTS)}
        tenant.ask("faults", [{**rule, **share} for rule in FAULTS])
        summary, legs = await _to_the_end(session, folder / "a.run", _watching(writes, resident))
    outcomes = dict(summary.outcomes)
    resident.append(round(resident_mb(), 1))
    return Soaked(writes, tenant.ask("fired"), legs, outcomes, tenant.ask("seats"), resident)


async def _to_the_end(session: Session, path: Path, observer: Callable[[object], None]) -> tuple[Summary, int]:
    for leg in range(1, LEGS + 1):
        with suppress(GraphkitError):  # stopped early by a brake or a bucket: the next leg goes on
            summary = await apply(session, path, resume=leg > 1, observer=observer)
            if summary.apply_exit_code == 0:
                return summary, leg
    raise SystemExit(f"not at its end after {LEGS} legs")


def _rows(folder: Path, writes: int) -> Path:
    width = max(4, len(str(writes)))
    path = folder / "input.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("upn,sku,disabled_plans,org\n")
        file.writelines(f"rx1-{number:0{width}}@contoso.example,{SKU},,RX1\n" for number in range(1, writes + 1))
    return path


def _watching(writes: int, resident: list[float]) -> Callable[[object], None]:
    seen = 0

    def observe(_: object) -> None:
        nonlocal seen
        seen += 1
        if seen % (writes // QUARTERS) == 0 and len(resident) < QUARTERS:
            resident.append(round(resident_mb(), 1))

    return observe


def resident_mb() -> float:
    """What this process holds now; where the system does not tell, the most that it ever held."""
    with suppress(FileNotFoundError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    # macOS counts in bytes, others in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


# -- the tenant, in a process apart whose time is this one's ---------------------------------------------------------


class Far:
    """What :class:`SandboxTransport` wants of a tenant; the tenant itself answers through a pipe."""

    latency_s = 0.2

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.clock: Clock = VirtualClock()

    def stand_in(self, wire: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        assert isinstance(wire, SandboxTransport)
        self.clock = wire.tenant.clock
        return SandboxTransport(self)

    def handle(self, *what: Any) -> Any:
        return self.ask("handle", self.clock.now(), *what)

    def ask(self, *what: Any) -> Any:
        self._pipe.send(what)
        return self._pipe.recv()


class Told:
    """A clock that shows what it was told."""

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("who waits is the caller")


def be_tenant(pipe: Connection, writes: int, seed: int) -> None:
    clock = Told(VIRTUAL_EPOCH)
    seats = Seed(organisations=1, users=writes, licensed=0, seats={SKU: writes * 2}, dice=seed)
    tenant = SimulatedTenant(clock, seed=seats)

    while True:
        match pipe.recv():
            case "handle", at, *call:
                clock.at = at
                pipe.send(tenant.handle(*call))
            case "faults", rules:
                tenant.faults.extend(rules)
                pipe.send(None)
            case ("fired",):
                pipe.send(sum(rule.fired for rule in tenant.faults.rules))
            case ("seats",):
                pipe.send(tenant.consumed[PRODUCTS[SKU].id])


if __name__ == "__main__":
    main()
