"""What planning costs beside reading the same file into SQLite, in one process: part of ``make bench``.

    python tools/bench_plan.py [PEOPLE] [ROUNDS]

The tenant has been read already: its users stand in the snapshot, and the few questions that are left are answered from
memory. Figures are CPU time of this process, the median of several rounds taken in turn; read the ratios. 1.2 million
people take some minutes: ``python tools/bench_plan.py 1200000 1``.
"""

from __future__ import annotations

import asyncio
import csv
import json
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from graphkit.client import GraphClient
from graphkit.clock import RealClock
from graphkit.engine.plan import Planner
from graphkit.engine.resource import Context, PlanOptions
from graphkit.engine.runfile import RunFile
from graphkit.engine.snapshot import Snapshot
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import open_source
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.clouds import CLOUDS
from graphkit.protocol.identity import Token
from graphkit.recipe import Inputs, find_recipe
from graphkit.resources import ResourceTable
from graphkit.transport.chain import build_chain

PEOPLE = 60_000
ROUNDS = 3
POOLS = 300
GOAL = 6.0
SKU = {
    "skuId": "05e9a617-0261-4cee-bb44-138d3ef5d965",
    "skuPartNumber": "SPE_E3",
    "prepaidUnits": {"enabled": 2_000_000, "warning": 0},
    "consumedUnits": 0,
    "servicePlans": [],
}
COLUMNS = ("employee_id", "upn", "org", "sku", "job_title", "department")


class OneToken:
    name = "bench"

    async def token(self, *, claims: str = "", renew: bool = False) -> Token:
        return Token("bench", 1e12)


class Memory(httpx.AsyncBaseTransport):
    """The one product that the tenant has, and nothing else."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("$batch"):
            items = json.loads(await request.aread())["requests"]
            return httpx.Response(200, json={"responses": [self._answer(each["id"], each["url"]) for each in items]})
        answer = self._answer("", request.url.path)
        return httpx.Response(answer["status"], json=answer["body"])

    def _answer(self, number: str, url: str) -> dict[str, object]:
        if "subscribedSkus" in url:
            return {"id": number, "status": 200, "body": {"value": [SKU]}}
        error = {"error": {"code": "Request_ResourceNotFound", "message": "not there"}}
        return {"id": number, "status": 404, "headers": {"Content-Type": "application/json"}, "body": error}


def people(count: int) -> Iterator[tuple[str, str, str]]:
    """(upn, org, id) of everybody."""
    for number in range(count):
        org = f"RX{number % POOLS + 1}"
        yield f"{org.lower()}-{number:07}@contoso.example", org, f"00000000-0000-4000-8000-{number:012}"


def write_inputs(folder: Path, count: int) -> None:
    with (folder / "staff.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for upn, org, _ in people(count):
            writer.writerow((upn[4:12], upn, org, "SPE_E3", "Nurse", "Nursing"))
    pools = "".join(
        f"  - {{org: RX{n}, sku: SPE_E3, cap: 100000, members_from: {{csv: staff.csv, match: {{org: RX{n}}}}}}}\n"
        for n in range(1, POOLS + 1)
    )
    (folder / "pools.yaml").write_text("pools:\n" + pools, encoding="utf-8")


def into_sqlite(folder: Path) -> None:
    """What planning is measured by: the rows in a table with an index, and no more."""
    path = folder / "rows.db"
    path.unlink(missing_ok=True)
    db = sqlite3.connect(path, isolation_level=None)
    marks = ", ".join("?" * len(COLUMNS))
    db.execute(f"CREATE TABLE staff({', '.join(COLUMNS)})")
    db.execute("CREATE INDEX staff_upn ON staff(upn)")
    with (folder / "staff.csv").open(encoding="utf-8", newline="") as stream:
        rows = csv.reader(stream)
        next(rows)
        db.execute("BEGIN")
        db.executemany(f"INSERT INTO staff VALUES ({marks})", rows)
        db.execute("COMMIT")
    db.close()


def snapshot_of(count: int) -> Snapshot:
    """All users, as they stand once they have been read; for both recipes."""
    snapshot = Snapshot()
    for kind in ("user", "user+licenseAssignmentStates"):
        snapshot.put(
            kind,
            (
                (
                    upn,
                    {
                        "id": key,
                        "userPrincipalName": upn,
                        "accountEnabled": True,
                        "usageLocation": "GB",
                        "assignedLicenses": [],
                        **({"licenseAssignmentStates": []} if "+" in kind else {}),
                    },
                )
                for upn, _, key in people(count)
            ),
        )
        snapshot.mark_complete(kind)
    return snapshot


def plan(folder: Path, recipe: str, source: str, snapshot: Snapshot, count: int) -> None:
    asyncio.run(_plan(folder, recipe, source, snapshot, count))


async def _plan(folder: Path, recipe: str, source: str, snapshot: Snapshot, count: int) -> None:
    path = folder / "bench.run"
    path.unlink(missing_ok=True)
    clock = RealClock()
    budget = WriteBudget.read_only()
    chain = build_chain(Memory(), cloud=CLOUDS["global"], source=OneToken(), clock=clock, budget=budget)
    options = PlanOptions(max_changes=10_000_000)
    problems = Problems()
    given = open_source(str(folder / source), problems)
    assert given is not None
    try:
        with RunFile.create(path, {"recipe": recipe}) as run:
            context = Context(GraphClient(chain, cloud=CLOUDS["global"], clock=clock), clock, snapshot, options)
            wishes = find_recipe(recipe).desired(Inputs([given], problems), options)
            await Planner(run, ResourceTable(context), context).plan(wishes, problems.found, quota_share=0.7)
            assert run.header()["status"] == "ready", run.header()["blocked"]
            assert sum(run.counts().values()) >= count
    finally:
        await chain.aclose()


def cpu(work: Callable[[], None]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def main(count: int, rounds: int) -> None:
    jobs: dict[str, list[float]] = {"reading into SQLite": [], "licenses.pools": [], "licenses.assign": []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, count)
        snapshot = snapshot_of(count)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(rounds):
            for kind in ("group.member", "user.license.set"):
                snapshot.forget(kind)
            jobs["reading into SQLite"].append(cpu(lambda: into_sqlite(folder)))
            jobs["licenses.pools"].append(cpu(lambda: plan(folder, "licenses.pools", "pools.yaml", snapshot, count)))
            jobs["licenses.assign"].append(cpu(lambda: plan(folder, "licenses.assign", "staff.csv", snapshot, count)))
        snapshot.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    floor = statistics.median(jobs["reading into SQLite"])
    print(f"\n| planning for {count:,} people, tenant read already, CPU | us per row | ratio to the first row |")
    print("|---|---:|---:|")
    for name, seconds in jobs.items():
        median = statistics.median(seconds)
        print(f"| {name} | {median / count * 1e6:.1f} | {median / floor:.1f} |")
    print(f"\nGoal: {GOAL:g}. Peak memory {peak / 1024:.0f} MB, before the first plan {before / 1024:.0f} MB.")


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[1:]]
    main(*(arguments + [PEOPLE, ROUNDS][len(arguments) :]))
