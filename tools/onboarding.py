"""Simulate an onboarding: everybody of a tenant into licence pools, from the recipe to the simulated tenant.

``python tools/onboarding.py`` (``make simulate``) runs the usual cases on virtual time, each in a process of its own,
then two with the tenant in a process apart to see what the client alone takes, and prints tables. With a number of
members it runs one case and prints what it found: ``python tools/onboarding.py 60000 --pools 300 --apps 3``.

What the quota alone would take is the floor: the writes of the plan at 3,000 in 150 s for each app, and 18,000 in 300 s
for all apps of the tenant (https://learn.microsoft.com/graph/throttling-limits).
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import itertools
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import httpx

from graphkit.client import GraphClient
from graphkit.clock import RealClock, VirtualClock, run
from graphkit.engine.resource import PlanOptions
from graphkit.engine.runfile import RunFile
from graphkit.jobs.applying import apply
from graphkit.jobs.asked import Asked
from graphkit.jobs.planning import plan
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.clouds import CLOUDS
from graphkit.protocol.identity import Token
from graphkit.sandbox import SandboxTransport, Seed, SimulatedTenant, serve
from graphkit.session import Session, Tenant, open_session
from graphkit.settings import load
from graphkit.transport.chain import build_chain

LATENCY_S = 0.2
SKU = "SPE_E3"
ORGANISATIONS = 300
APP_PACE, TENANT_PACE = 3000 / 150, 18_000 / 300
SCALE = 40
ROOT = "https://graph.microsoft.com/v1.0"
JSON = {"content-type": "application/json"}
CASES = (  # members, pools, apps, part of the tenant's quota that another app uses
    (60_000, 300, 1, 0.0),
    (60_000, 300, 3, 0.0),
    (1_200_000, 300, 1, 0.0),
    (1_200_000, 300, 3, 0.0),
    (1_200_000, 300, 3, 0.3),
    (1_200_000, 1, 1, 0.0),
)


@dataclass(frozen=True)
class Outcome:
    """One case. Simulated seconds are those of the tenant's clock, the others real ones."""

    members: int
    pools: int
    apps: int
    other: float
    writes: int
    floor_s: float
    applied_s: float
    refused: int
    planned_s: float
    cpu_plan_s: float
    cpu_apply_s: float
    wall_s: float
    rows: int
    outcomes: dict[str, int]


@dataclass(frozen=True)
class Alone:
    """What the client takes by itself: memory in MB, CPU in seconds. ``idle_mb`` is before anything was read."""

    members: int
    pools: int
    idle_mb: float
    planned_mb: float
    applied_mb: float
    cpu_plan_s: float
    cpu_apply_s: float
    refused: int
    outcomes: dict[str, int]


class App:
    """An app registration of the simulated tenant, which tells apps apart by their tokens."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def token(self, *, claims: str = "", renew: bool = False) -> Token:
        return Token(self.name, 1e12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("members", type=int, nargs="?")
    parser.add_argument("--pools", type=int, default=300)
    parser.add_argument("--apps", type=int, default=1)
    parser.add_argument("--other", type=float, default=0.0, help="part of the tenant's quota that another app uses")
    parser.add_argument("--alone", action="store_true", help="the tenant in a process apart: what the client takes")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        run(serve_tenant(given.members))
    elif given.members and given.alone:
        print(json.dumps(asdict(alone(given.members, given.pools))))
    elif given.members:
        found = run(simulate(given.members, given.pools, given.apps, given.other), virtual=True)
        print(json.dumps(asdict(found)))
    else:
        all_cases()


def all_cases() -> None:
    machine = f"{platform.system()} {platform.machine()}"
    print(f"python {platform.python_version()}, {machine}, {LATENCY_S * 1000:.0f} ms a call")
    heading(Outcome)
    for members, pools, apps, other in CASES:
        row(ask(str(members), "--pools", str(pools), "--apps", str(apps), "--other", str(other)))
    print(f"\nThe client alone, the tenant in a process apart whose time passes {SCALE} times as fast:")
    heading(Alone)
    for members in (60_000, 1_200_000):
        row(ask(str(members), "--alone"))


def ask(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, __file__, *arguments]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def heading(kind: type[Any]) -> None:
    names = [item.name for item in fields(kind)]
    print(f"| {' | '.join(names)} |\n|{'---|' * len(names)}")


def row(found: dict[str, Any]) -> None:
    shown = (f"{value:,.1f}" if isinstance(value, float) else str(value) for value in found.values())
    print(f"| {' | '.join(shown)} |", flush=True)


# --- what is asked for ---


def seed_for(members: int) -> Seed:
    return Seed(organisations=ORGANISATIONS, users=members, licensed=0, seats={SKU: members + 100})


def sizes(members: int, pools: int) -> list[int]:
    """Uneven: of 300 pools the largest has some thirty times the members of the smallest; everybody is in one."""
    weights = [1 / (number + 10) for number in range(pools)]
    found = [max(1, int(members * weight / sum(weights))) for weight in weights]
    found[0] += members - sum(found)
    return found


def asked(folder: Path, members: int, pools: int) -> Asked:
    """One staff list with a column that says whose pool, and the pools that are filled from it."""
    staff, counts = seed_for(members).staff, sizes(members, pools)
    upns = (staff.at(position)["userPrincipalName"] for position in range(members))
    with (folder / "staff.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("upn", "pool"))
        for number, count in enumerate(counts):
            rows.writerows((next(upns), f"P{number}") for _ in range(count))
    entries = []
    for number, count in enumerate(counts):
        source = f"{{csv: staff.csv, match: {{pool: P{number}}}}}"
        entries.append(f"  - {{org: P{number}, sku: {SKU}, cap: {count}, members_from: {source}}}\n")
    document = folder / "pools.yaml"
    document.write_text("mode: additive\npools:\n" + "".join(entries), encoding="utf-8")
    return Asked(recipe="licenses.pools", inputs=(str(document),), options=PlanOptions(max_changes=10 * members))


# --- on virtual time, all in one process ---


async def simulate(members: int, pools: int, apps: int, other: float) -> Outcome:
    clock, began = VirtualClock(), time.perf_counter()
    tenant = SimulatedTenant(clock, seed=seed_for(members), latency_s=LATENCY_S)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted, session = asked(folder, members, pools), session_of(tenant, clock, apps, folder)
        cpu, at = time.process_time(), clock.monotonic()
        planned = await plan(session, wanted, runs_dir=folder)
        planned_s, cpu_plan = clock.monotonic() - at, time.process_time() - cpu
        await clock.sleep(600)
        if other:
            await used_up(tenant)
        competitor = asyncio.create_task(another_app(tenant, clock, other)) if other else None
        cpu, at = time.process_time(), clock.monotonic()
        applied = await apply(session, planned.run)
        applied_s, cpu_apply = clock.monotonic() - at, time.process_time() - cpu
        if competitor:
            competitor.cancel()
        await session.chain.aclose()
        with RunFile.open(planned.run) as opened:
            rows = sum(1 for each in opened.input_results(tables=True) if each.result.status)
    writes = next(each["requests"] for each in planned.cost if each["bucket"] == "identity.tenant.writes")
    floor = writes / min(APP_PACE * apps, TENANT_PACE * (1 - other))
    outcomes = {status: count for status, count in applied.outcomes.items() if count}
    return Outcome(
        members, pools, apps, other, writes, floor, applied_s, session.throttled, planned_s, cpu_plan, cpu_apply,
        time.perf_counter() - began, rows, outcomes,
    )  # fmt: skip


def session_of(tenant: SimulatedTenant, clock: VirtualClock, apps: int, folder: Path) -> Session:
    settings = load({"target": "simulated", "quota_share": "1.0", "runs_dir": str(folder)}, env={}, cwd=folder)
    sources = [App(f"app-{number}") for number in range(apps)]
    budget, cloud = WriteBudget.read_only(), CLOUDS["global"]
    chain = build_chain(
        SandboxTransport(tenant), cloud=cloud, source=sources, clock=clock, budget=budget, quota_share=1.0,
        tenant_size="L", seed=1,
    )  # fmt: skip
    return Session(
        settings, settings.target, cloud, clock, GraphClient(chain, cloud=cloud, clock=clock), chain, budget,
        Tenant(tenant.tenant_id), {source.name: None for source in sources},
    )  # fmt: skip


async def used_up(tenant: SimulatedTenant) -> None:
    """Other apps have just used up what the tenant may write at once: from now on there is what comes back, no more."""
    await asyncio.gather(*(write_twenty(tenant, f"other-{number % 6}") for number in range(900)))


async def another_app(tenant: SimulatedTenant, clock: VirtualClock, share: float) -> None:
    """Somebody else's app that goes on to use ``share`` of the tenant's write quota, evenly, and minds nothing."""
    for turn in itertools.count():
        await write_twenty(tenant, f"another-{turn % 2}")  # one app alone may write a third of it
        await clock.sleep(20 / (TENANT_PACE * share) - LATENCY_S)


async def write_twenty(tenant: SimulatedTenant, app: str) -> None:
    keys = (tenant.seed.staff.key(position) for position in range(20))
    items = [
        {"id": str(number), "method": "PATCH", "url": f"/users/{key}", "body": {"jobTitle": app}, "headers": JSON}
        for number, key in enumerate(keys)
    ]
    headers = {"authorization": f"Bearer {app}", **JSON}
    call = httpx.Request("POST", f"{ROOT}/$batch", headers=headers, content=json.dumps({"requests": items}))
    await SandboxTransport(tenant).handle_async_request(call)


# --- in real time, the tenant in a process apart ---


def alone(members: int, pools: int) -> Alone:
    command = [sys.executable, __file__, str(members), "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        try:
            return run(measured(address, members, pools))
        finally:
            server.kill()


async def measured(address: str, members: int, pools: int) -> Alone:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wanted = asked(folder, members, pools)
        (folder / "graphkit.toml").write_text(f"[limits]\ntime_scale = {SCALE}\n")
        given = {"target": address, "quota_share": "1.0", "runs_dir": str(folder), "access_token": "app-0"}
        idle, began = peak_mb(), time.process_time()
        async with open_session(load(given, env={}, cwd=folder)) as session:
            planned = await plan(session, wanted, runs_dir=folder)
            planned_mb, cpu_plan = peak_mb(), time.process_time() - began
            applied = await apply(session, planned.run)
        cpu_apply = time.process_time() - began - cpu_plan
    outcomes = {status: count for status, count in applied.outcomes.items() if count}
    return Alone(members, pools, idle, planned_mb, peak_mb(), cpu_plan, cpu_apply, applied.throttled, outcomes)


async def serve_tenant(members: int) -> None:
    tenant = SimulatedTenant(RealClock(SCALE), seed=seed_for(members), latency_s=LATENCY_S)
    await serve(tenant, on_ready=lambda address: print(address, flush=True))


def peak_mb() -> float:
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
