"""Measure the simulated tenant, which must never be the bottleneck of a benchmark: part of ``make bench``.

CPU time of this process for calls of the in-process door, quotas on, the tenant's time moving on by a second a batch so
that nothing is refused; medians of several rounds. The goals beside the figures are those of docs/performance.md.
"""

from __future__ import annotations

import json
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable

from graphkit.sandbox import Answer, Seed, SimulatedTenant

SEED = Seed(organisations=300, users=1_200_000)
BATCHES = 200
ROUNDS = 5
PAGES = 20
ROOT = "https://graph.microsoft.com/v1.0"
HEADERS = {"Authorization": "Bearer bench", "Content-Type": "application/json", "ConsistencyLevel": "eventual"}
CHANGE = {"department": "Nursing", "officeLocation": "RX1", "jobTitle": "Nurse"}


class Clock:
    """Time that moves when told to."""

    at = 1.8e9

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


def main() -> None:
    print(f"python {platform.python_version()}, {platform.system()} {platform.machine()}")
    clock = Clock()
    began = time.perf_counter()
    tenant = SimulatedTenant(clock, seed=SEED)
    print(f"\nA tenant of {SEED.users:,} users is there after {time.perf_counter() - began:.2f} s (goal: 60)")
    writes = [_batch(tenant, "PATCH", number, CHANGE) for number in range(BATCHES)]
    reads = [_batch(tenant, "GET", number) for number in range(BATCHES)]
    for name, batches in (("PATCH of three fields", writes), ("GET", reads)):
        taken = [_cpu(lambda: _send(tenant, clock, batches)) for _ in range(ROUNDS)]  # noqa: B023 - run at once
        print(f"{name}, 20 a batch: {20 * BATCHES / statistics.median(taken):,.0f} a second (goal: 5,000)")
    for path in ("/users?$top=999", "/users?$top=999&$select=id,userPrincipalName,accountEnabled"):
        taken = [_cpu(lambda: _ask(tenant, "GET", path)) for _ in range(PAGES)]  # noqa: B023 - run at once
        print(f"GET {path}: {1000 * statistics.median(taken):.1f} ms (goal: 10)")
    # Linux counts in KiB, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1 / 1024)
    print(f"Peak memory of this process: {peak / 2**20:.0f} MB (goal: 1,536)")


def _batch(tenant: SimulatedTenant, method: str, number: int, body: object = None) -> bytes:
    extra = {"headers": {"Content-Type": "application/json"}, "body": body} if body else {}
    items = [
        {"id": str(each), "method": method, "url": f"/users/{tenant.seed.staff.key(20 * number + each)}", **extra}
        for each in range(20)
    ]
    return json.dumps({"requests": items}).encode()


def _send(tenant: SimulatedTenant, clock: Clock, batches: Iterable[bytes]) -> None:
    for body in batches:
        clock.at += 1
        answer = _ask(tenant, "POST", "/$batch", body)
        if b'"status":4' in answer.body:
            raise SystemExit("the tenant refused what it should have accepted")


def _ask(tenant: SimulatedTenant, method: str, path: str, body: bytes = b"") -> Answer:
    answer = tenant.handle(method, ROOT + path, HEADERS, body)
    if answer.status != 200:
        raise SystemExit(f"{method} {path}: {answer.status}")
    return answer


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


if __name__ == "__main__":
    main()
