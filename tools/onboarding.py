"""Simulate an onboarding: everybody of a tenant into licence pools, on virtual time, from the recipe to the tenant.

``python tools/onboarding.py`` runs the usual cases, each in a process of its own, and prints a table; with arguments it
runs one: ``python tools/onboarding.py 60000 --pools 300 --apps 3``. What the quota alone would take is the floor: the
writes of the plan at 3,000 in 150 s for one app, at 18,000 in 300 s for all apps of the tenant.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from graphkit.clock import RealClock, VirtualClock, run
from graphkit.client import GraphClient
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
ROOT = "https://graph.microsoft.com/v1.0"
JSON = {"content-type": "application/json"}
ORGANISATIONS = 300
CASES = (
    (60_000, 300, 1, 0.0),
    (60_000, 300, 3, 0.0),
    (60_000, 300, 1, 0.3),
    (60_000, 300, 3, 0.3),
    (1_200_000, 300, 1, 0.0),
    (1_200_000, 300, 3, 0.0),
    (1_200_000, 1, 1, 0.0),
)


@dataclass(frozen=True)
class Outcome:
    """One case. ``floor_s`` and ``applied_s`` are simulated seconds, ``cpu_s`` and ``wall_s`` real ones."""

    members: int
    pools: int
    apps: int
    other: float
    writes: int
    floor_s: float
    planned_s: float
    applied_s: float
    refused: int
    requests: int
    cpu_plan_s: float
    cpu_apply_s: float
    wall_s: float
    peak_mb: float
    before_mb: float
    rows: int
    outcomes: dict[str, int]


class App:
    """An app registration of the simulated tenant, which tells apps apart by their tokens."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def token(self, *, claims: str = "", renew: bool = False) -> Token:
        return Token(self.name, 1e12)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("members", type=int, nargs="?")
    parser.add_argument("--pools", type=int, default=300)
    parser.add_argument("--apps", type=int, default=1)
    parser.add_argument("--other", type=float, default=0.0, help="part of the tenant's write quota that another app uses")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--apart", type=float, help="the tenant in a process of its own, its time so much faster")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        run(serve_tenant(given.members, given.serve))
        return
    if given.apart:
        print(json.dumps(run(simulate_apart(given.members, given.pools, given.apart))))
        return
    if given.members:
        once = lambda: run(simulate(given.members, given.pools, given.apps, given.other), virtual=True)  # noqa: E731
        print(json.dumps(asdict(_profiled(once) if given.profile else once())))
        return
    print(f"python {platform.python_version()}, {platform.system()} {platform.machine()}, {LATENCY_S * 1000:.0f} ms a call")
    for members, pools, apps, other in CASES:
        command = [sys.executable, __file__, str(members), "--pools", str(pools), "--apps", str(apps)]
        told = subprocess.run([*command, "--other", str(other)], check=True, stdout=subprocess.PIPE, text=True).stdout
        print(told, end="", flush=True)


def _profiled(work):
    import cProfile
    import pstats

    profile = cProfile.Profile()
    try:
        return profile.runcall(work)
    finally:
        pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(45)


def sizes(members: int, pools: int) -> list[int]:
    """Uneven: the largest of 300 pools has some thirty times the members of the smallest; every user is in one."""
    weights = [1 / (number + 10) for number in range(pools)]
    found = [max(1, int(members * weight / sum(weights))) for weight in weights]
    found[0] += members - sum(found)
    return found


def staff_list(folder: Path, seed: Seed, members: list[int]) -> tuple[Path, Path]:
    """One staff list with a column that says whose pool, and the pools that are filled from it."""
    upns = (seed.staff.at(position)["userPrincipalName"] for position in range(sum(members)))
    with (folder / "staff.csv").open("w", encoding="utf-8", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(("upn", "pool"))
        for number, count in enumerate(members):
            rows.writerows((next(upns), f"P{number}") for _ in range(count))
    document = folder / "pools.yaml"
    entries = (
        f"  - {{org: P{number}, sku: {SKU}, cap: {count}, members_from: {{csv: staff.csv, match: {{pool: P{number}}}}}}}\n"
        for number, count in enumerate(members)
    )
    document.write_text("mode: additive\npools:\n" + "".join(entries), encoding="utf-8")
    return document, folder / "staff.csv"


async def simulate(members: int, pools: int, apps: int, other: float) -> Outcome:
    clock = VirtualClock()
    began = time.perf_counter()
    seed = _seed(members)
    tenant = SimulatedTenant(clock, seed=seed, latency_s=LATENCY_S)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        document, _ = staff_list(folder, seed, sizes(members, pools))
        before = _rss_mb()
        session = _session(tenant, clock, apps, folder)
        asked = Asked(recipe="licenses.pools", inputs=(str(document),), options=PlanOptions(max_changes=10 * members))
        cpu, at = time.process_time(), clock.monotonic()
        planned = await plan(session, asked, runs_dir=folder)
        cpu_plan, planned_s = time.process_time() - cpu, clock.monotonic() - at
        await clock.sleep(60)
        cpu, at = time.process_time(), clock.monotonic()
        competitor = asyncio.create_task(_other_app(tenant, clock, other)) if other else None
        applied = await apply(session, planned.run)
        cpu_apply, applied_s = time.process_time() - cpu, clock.monotonic() - at
        if competitor:
            competitor.cancel()
        with RunFile.open(planned.run) as opened:
            rows = sum(1 for _ in opened.input_results(tables=True))
        await session.chain.aclose()
        writes = next(row["requests"] for row in planned.cost if row["bucket"] == "identity.tenant.writes")
        pace = min(20.0 * apps, 60.0 * (1 - other))
        return Outcome(
            members, pools, apps, other, writes, writes / pace, planned_s, applied_s, session.throttled,
            len(tenant.log), cpu_plan, cpu_apply, time.perf_counter() - began, _peak_mb(), before, rows,
            {name: count for name, count in applied.outcomes.items() if count},
        )  # fmt: skip


def _session(tenant: SimulatedTenant, clock: VirtualClock, apps: int, folder: Path) -> Session:
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


async def simulate_apart(members: int, pools: int, scale: float) -> dict[str, object]:
    """The client alone in this process, over loopback, with every wait divided by ``scale``: what it takes itself."""
    command = [sys.executable, __file__, str(members), "--serve", str(scale)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, tempfile.TemporaryDirectory() as name:
        assert server.stdout is not None
        folder, address = Path(name), server.stdout.readline().strip()
        seed = _seed(members)
        document, _ = staff_list(folder, seed, sizes(members, pools))
        (folder / "graphkit.toml").write_text(f"[limits]\ntime_scale = {scale}\n")
        given = {"target": address, "quota_share": "1.0", "runs_dir": str(folder), "access_token": "app-0"}
        asked = Asked(recipe="licenses.pools", inputs=(str(document),), options=PlanOptions(max_changes=10 * members))
        before = _peak_mb()
        try:
            async with open_session(load(given, env={}, cwd=folder)) as session:
                planned = await plan(session, asked, runs_dir=folder)
                cpu_plan, after_plan = time.process_time(), _peak_mb()
                applied = await apply(session, planned.run)
            cpu_apply = time.process_time() - cpu_plan
            size = planned.run.stat().st_size / 2**20
        finally:
            server.kill()
    outcomes = {name: count for name, count in applied.outcomes.items() if count}
    return {
        "members": members, "pools": pools, "scale": scale, "peak_plan_mb": after_plan, "peak_mb": _peak_mb(),
        "before_mb": before, "cpu_plan_s": cpu_plan, "cpu_apply_s": cpu_apply, "run_file_mb": size,
        "refused": applied.throttled, "outcomes": outcomes,
    }  # fmt: skip


async def serve_tenant(members: int, scale: float) -> None:
    clock = RealClock(scale)
    tenant = SimulatedTenant(clock, seed=_seed(members), latency_s=LATENCY_S)
    await serve(tenant, on_ready=lambda address: print(address, flush=True))


def _seed(members: int) -> Seed:
    return Seed(organisations=ORGANISATIONS, users=members, licensed=0, seats={SKU: members + 100})


async def _other_app(tenant: SimulatedTenant, clock: VirtualClock, share: float) -> None:
    """Somebody else's app that uses ``share`` of the tenant's write quota, evenly, and minds nothing."""
    wire, seconds = SandboxTransport(tenant), 20 / (60 * share)
    ids = [tenant.seed.staff.key(position) for position in range(20)]
    requests = [
        {"id": str(n), "method": "PATCH", "url": f"/users/{key}", "body": {"jobTitle": "Nurse"}, "headers": JSON}
        for n, key in enumerate(ids)
    ]
    while True:
        headers = {"authorization": "Bearer another-app", **JSON}
        call = httpx.Request("POST", f"{ROOT}/$batch", headers=headers, content=json.dumps({"requests": requests}))
        asyncio.get_running_loop().create_task(wire.handle_async_request(call))
        await clock.sleep(seconds)


def _rss_mb() -> float:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0


def _peak_mb() -> float:
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
