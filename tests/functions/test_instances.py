"""Workers that die, come late or work side by side never repeat a write: judged by the tenant's own log.

Each worker is a process of its own. The test plays the queue: a message whose worker died is delivered once more.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from served import served
from triggered import pool_request

from graphkit.clock import RealClock
from graphkit.functions.queue import Message
from graphkit.functions.request import RunRequest, digests_of
from graphkit.functions.store import Approval, Runs
from graphkit.sandbox import Seed, SimulatedTenant

INSTANCE = Path(__file__).with_name("instance.py")
KILLED = -9
SHOWN_AGAIN_S = 60
"""What passes until the host shows a message again (visibilityTimeout in host.json)."""
FASTER = 20
"""How many times faster than ours time passes for a tenant behind HTTP and whoever talks to it."""

POLICIES = (
    "named_locations:\n  - {key: office, name: Head office, ip_ranges: [203.0.113.0/24], trusted: true}\npolicies:\n"
)
POLICIES += "".join(
    f"  - {{key: p{number}, state: report, include: {{users: [All]}}, exclude: {{groups: [Break glass]}},"
    " apps: {include: [All]}, grant: {operator: OR, builtInControls: [mfa]}}\n"
    for number in range(4)
)
INPUTS = {
    "licenses.pools": pool_request()["inputs"],
    "identity.conditional-access": {"policies.yaml": POLICIES},
}


class Share:
    """A runs folder, and processes that work on its runs."""

    def __init__(self, folder, flags):
        self.folder = folder
        self.flags = json.dumps(flags)
        folder.mkdir()

    def begin(self, recipe, label=""):
        documents = {name: text.encode() for name, text in INPUTS[recipe].items()}
        request = RunRequest(recipe, digests_of(documents), label=label)
        runs = Runs(self.folder)
        with runs.drafted(request, documents) as draft:
            return runs.keep(draft, request)

    def spawn(self, run, number, later=0):
        command = [sys.executable, INSTANCE, self.folder, self.flags, Message(run.id, number).text(), later]
        return subprocess.Popen([str(part) for part in command], stderr=subprocess.PIPE, text=True)

    def deliver(self, run, number):
        """Once more for as long as the worker dies; returns how often it did."""
        deaths = 0
        while True:
            worker = self.spawn(run, number, deaths * SHOWN_AGAIN_S)
            _, errors = worker.communicate(timeout=120)
            if worker.returncode == 0:
                return deaths
            assert worker.returncode == KILLED, errors
            deaths += 1
            assert deaths < 10

    def approve(self, run):
        run.approve(run.state().slice, Approval(run.state().plan_digest, "key", 0.0))


def shapes(log):
    """The committed writes, ids that the server made apart."""
    return Counter(
        re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", f"{entry.method} {entry.path}")
        for entry in log
        if entry.kind != "refused"
    )


@pytest.fixture
def share(tmp_path, tenant):
    return Share(tmp_path / "share", {"target": "simulated", "state": str(tenant.path), "virtual_time": True})


def fault(tenant, **rule):
    held = tenant.look()
    held.faults.add(rule)
    held.close()


def undisturbed(share, tenant, recipe):
    run = share.begin(recipe)
    share.deliver(run, 0)
    share.approve(run)
    share.deliver(run, 1)
    assert run.state().status == "finished"
    usual = shapes(tenant.log())
    tenant.seed(users=180)
    return usual


@pytest.mark.skipif(sys.platform == "win32", reason="a kill is a signal")
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("nth", [1, 2])  # the group, its members
def test_a_worker_killed_in_the_middle_of_a_slice_is_followed_by_one_that_repeats_nothing(share, tenant, when, nth):
    usual = undisturbed(share, tenant, "licenses.pools")
    run = share.begin("licenses.pools", label=f"{when} {nth}")
    share.deliver(run, 0)
    share.approve(run)
    # What is refused is matched and not committed: members may come before replicas show the group.
    strikes = [nth] if when == "before" else list(range(nth, 20))
    fault(tenant, action="kill", when=when, method="PATCH", nth=strikes)
    assert share.deliver(run, 1) >= 1
    assert shapes(tenant.log()) == usual
    assert (run.state().status, run.state().outcomes["done"]) == ("finished", 47)


@pytest.mark.skipif(sys.platform == "win32", reason="a kill is a signal")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_create_that_nobody_can_tell_of_is_not_sent_again_by_itself(share, tenant, when):
    recipe = "identity.conditional-access"
    usual = undisturbed(share, tenant, recipe)
    run = share.begin(recipe, label=when)
    share.deliver(run, 0)
    share.approve(run)
    fault(tenant, action="kill", when=when, method="POST", path="/identity/conditionalAccess/policies", nth=[2])
    assert share.deliver(run, 1) == 1
    log = shapes(tenant.log())
    missing = usual - log
    assert not log - usual
    assert missing
    assert (run.state().status, run.state().outcomes["unknown"]) == ("partly-failed", sum(missing.values()))
    # Whoever approves what is left says that the worker before is dead.
    share.approve(run)
    share.deliver(run, 2)
    assert shapes(tenant.log()) == usual
    assert run.state().status == "finished"


@pytest.mark.skipif(sys.platform == "win32", reason="a kill is a signal")
def test_a_worker_killed_while_it_plans_leaves_nothing_that_the_next_one_stumbles_over(share, tenant):
    run = share.begin("licenses.pools")
    fault(tenant, action="kill", when="answered", method="GET", path="/users*", nth=[1])
    assert share.deliver(run, 0) == 1
    assert run.state().status == "planned"
    assert not tenant.log()
    # What the dead one had begun may hold names of people: a day later it is removed.
    (left,) = run.path.glob(".plan-*")
    share.begin("licenses.pools", label="now")
    assert left.is_dir()
    os.utime(left, (1.0, 1.0))
    share.begin("licenses.pools", label="a day later")
    assert not left.exists()


def test_a_message_delivered_again_and_again_writes_once(share, tenant):
    run = share.begin("licenses.pools")
    share.deliver(run, 0)
    share.approve(run)
    for number in (1, 1, 0, 1):
        share.deliver(run, number)
    assert shapes(tenant.log())["PATCH /groups/ID"] == 3
    assert run.state().status == "finished"


@pytest.fixture
def slow_tenant():
    """A tenant behind HTTP whose answers take long enough for two workers to meet."""
    tenant = SimulatedTenant(RealClock(FASTER), seed=Seed(organisations=3, users=180), latency_s=0.5)
    with served(tenant) as address:
        yield tenant, address


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("recipe", sorted(INPUTS))
def test_two_instances_with_the_same_message_write_once(tmp_path, slow_tenant, recipe, begun):
    tenant, address = slow_tenant
    share = Share(tmp_path / "share", {"target": address})
    (share.folder / "graphkit.toml").write_text(f"[limits]\ntime_scale = {FASTER}\n")
    run = share.begin(recipe)
    workers = [share.spawn(run, 0), share.spawn(run, 0)]
    assert [(worker.communicate(timeout=120)[1], worker.returncode)[1] for worker in workers] == [0, 0]
    assert run.state().status == "planned"
    share.approve(run)
    first = share.spawn(run, 1)
    while begun and run.worker() is None and first.poll() is None:
        time.sleep(0.01)
    second = share.spawn(run, 1)
    for worker in (first, second):
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
    state = run.state()
    assert state.final, state
    log = shapes(tenant.log)
    if recipe == "licenses.pools":
        assert state.outcomes["done"] + state.outcomes["already"] == 47
        assert log["PATCH /groups/ID"] == 3
        assert log["POST /groups/ID/assignLicense"] == 1
    else:
        assert log["POST /identity/conditionalAccess/namedLocations"] == 1
        assert log["POST /identity/conditionalAccess/policies"] + state.outcomes["unknown"] == 4
