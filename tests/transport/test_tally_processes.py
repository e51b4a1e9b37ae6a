"""Two real processes, one tenant: the file between them keeps the pace."""

from __future__ import annotations

import subprocess
import sys
import time
from bisect import bisect_left

import pytest

from graphkit.clock import RealClock
from graphkit.sandbox import Seed, SimulatedTenant
from graphkit.transport.tally_file import FileTally
from tests.served import served

SCALE = 60
LIMIT = 300  # writes in 150 s of the tenant's time

CHILD = """
import asyncio, sys
from graphkit import connect
from graphkit.protocol.message import Idempotency, Request

async def main(address, user, count):
    async with connect(target=address, quota_share=0.95) as graph:
        request = lambda n: Request(
            method="PATCH", path=f"/users/{user}", body=b'{"jobTitle":"%d"}' % n,
            idempotency=Idempotency.CONVERGENT, target=str(n), commutative=True,
        )
        answers = await asyncio.gather(*(graph.send(request(n)) for n in range(count)))
        assert all(answer.ok for answer in answers), [answer.status for answer in answers]

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def writes(tenant):
    return [entry.at for entry in list(tenant.log) if entry.method == "PATCH"]


def most_in_any_window(times, window):
    times = sorted(times)
    return max(bisect_left(times, start + window) - index for index, start in enumerate(times))


@pytest.fixture
def children(tmp_path, monkeypatch):
    (tmp_path / "graphkit.toml").write_text(
        f'runs_dir = "runs"\n[limits]\ntime_scale = {SCALE}\n"identity.app_tenant.writes" = {LIMIT}\n'
    )
    monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", "one-and-the-same")
    started = []

    def start(address, user, count):
        command = [sys.executable, "-c", CHILD, address, user, str(count)]
        child = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


HOLDER = """
import os, sys, time
from graphkit.transport.locking import lock_now
handle = os.open(sys.argv[1], os.O_RDWR)
lock_now(handle)
os.write(handle, sys.argv[2].encode())
print("held", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(("written", "start"), [("", 1020.0), ('{"rows": {"torn', 1000.0)])
def test_a_process_that_is_killed_while_it_holds_the_lock_takes_it_to_its_grave(tmp_path, written, start):
    """In the middle of writing, too: then what was reserved is forgotten."""
    now = 1000.0
    tally = FileTally(tmp_path, lambda: now)
    tally.open("contoso")
    tally.reserve("app/writes", 20.0, 1.0, now)
    (file,) = tmp_path.glob("pace-*.json")
    command = [sys.executable, "-c", HOLDER, str(file), written]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert tally.reserve("app/writes", 20.0, 1.0, now).amount == 0
        holder.kill()
    grant = tally.reserve("app/writes", 20.0, 1.0, now)
    assert (grant.amount, grant.start) == (20.0, start)


def test_two_processes_never_double_the_rate_and_one_goes_on_when_the_other_is_killed(children, tmp_path):
    tenant = SimulatedTenant(RealClock(SCALE), seed=Seed(users=10, licensed=0))
    user = tenant.seed.staff.key(0)
    with served(tenant) as address:
        killed, other = children(address, user, 5000), children(address, user, 400)
        while len(writes(tenant)) < 200:
            assert killed.poll() is None, killed.stderr.read()
            time.sleep(0.05)
        killed.kill()
        _, said = other.communicate(timeout=120)
        assert other.returncode == 0, said
        times = writes(tenant)
        assert 400 < len(times) < 700
        assert tenant.throttle.refused == 0
        assert most_in_any_window(times, 150) <= LIMIT
    assert len(list((tmp_path / "runs").glob("pace-*.json"))) == 1
