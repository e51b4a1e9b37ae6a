"""Who goes first where many wait: reads before bulk writes, and never so that these starve."""

from __future__ import annotations

import asyncio
import random

import pytest

from graphkit.clock import VirtualClock
from graphkit.protocol.message import Request, Response
from graphkit.transport.governor import Governor

OK = Response(200, {})
UNITS = "identity.app_tenant.ru"
POLICIES = "/identity/conditionalAccess/policies"


def governed(stage, **how):
    return Governor(stage, VirtualClock(), share=1.0, chance=random.Random(3), **how)


def patches(count, path="/users/u{}"):
    return [Request(method="PATCH", path=path.format(number)) for number in range(count)]


def reads(count, path="/users/u{}"):
    return [Request(method="GET", path=path.format(number)) for number in range(count)]


async def started(governor, requests):
    tasks = [asyncio.create_task(governor.send(request)) for request in requests]
    await governor._clock.sleep(5)
    return tasks


async def abandon(tasks):
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_read_is_not_behind_sixty_thousand_writes(script, virtual, method):
    """One write in 0.15 s is let go here, so that the last of them goes two and a half hours later."""
    path = "/users/me" if method == "GET" else "/directoryObjects/getByIds?$select=id"
    stage = script(OK)
    governor = governed(stage, limits={UNITS: 70})

    async def main():
        tasks = await started(governor, patches(60_000))
        asked, sent = governor._clock.monotonic(), len(stage.requests)
        await governor.send(Request(method=method, path=path))
        before = len(stage.requests) - sent - 1
        waited = governor._clock.monotonic() - asked
        await abandon(tasks)
        return before, waited

    before, waited = virtual(main())
    assert before <= 1
    assert waited <= 0.5


def test_reads_that_never_end_leave_the_writes_a_share(script, virtual):
    """Conditional access counts both in one bucket, at one in 1.1 s."""
    stage = script(OK)
    governor = governed(stage)

    async def main():
        writes = await started(governor, patches(100, POLICIES + "/p{}"))
        asked = await started(governor, reads(200, POLICIES + "/p{}"))
        stage.requests.clear()
        await governor._clock.sleep(110)
        methods = [request.method for request in stage.requests]
        await abandon([*writes, *asked])
        return methods

    methods = virtual(main())
    assert 95 <= len(methods) <= 105
    assert methods.count("PATCH") == pytest.approx(20, abs=1)


@pytest.mark.parametrize(("pause", "most_go_at_once"), [(0.0, False), (0.15, False), (0.16, True)])
def test_a_stream_of_single_reads_does_not_starve_the_writes_either(script, virtual, pause, most_go_at_once):
    """Each comes alone, and some find room at once and never stand in the queue: as often as there is room for one, but
    not yet for the group of writes that waits.
    """
    stage = script(OK)
    governor = governed(stage, limits={UNITS: 70})

    async def main():
        tasks = await started(governor, patches(200))
        stage.requests.clear()
        at_once = 0
        for _ in range(200):
            asked = governor._clock.monotonic()
            await governor.send(Request(method="GET", path="/users/me"))
            at_once += governor._clock.monotonic() == asked
            await governor._clock.sleep(pause)
        written = sum(request.method == "PATCH" for request in stage.requests)
        await abandon(tasks)
        return written, at_once

    written, at_once = virtual(main())
    assert written >= 45
    assert (at_once > 100) is most_go_at_once


def test_in_its_lane_the_oldest_goes_first(script, virtual):
    stage = script(OK)
    governor = governed(stage)

    writes, asked = patches(20, POLICIES + "/p{}"), reads(20, POLICIES + "/p{}")

    async def main():
        mixed = [request for pair in zip(writes, asked, strict=True) for request in pair]
        await asyncio.gather(*(governor.send(request) for request in mixed))

    virtual(main())
    for method in ("GET", "PATCH"):
        paths = [request.path for request in stage.requests if request.method == method]
        assert paths == [f"{POLICIES}/p{number}" for number in range(20)]


def test_a_read_does_not_overtake_those_who_wait_for_company(script, virtual):
    stage = script(OK)
    governor = governed(stage, limits={UNITS: 70})

    async def main():
        first = asyncio.gather(*(governor.send(request) for request in reads(60)))
        await governor._clock.sleep(0.7)
        await governor.send(Request(method="GET", path="/users/late"))
        await first

    virtual(main())
    assert stage.requests[-1].path == "/users/late"


def test_many_reads_are_let_go_in_groups_that_fill_batches(script, virtual):
    stage = script(OK)
    governor = governed(stage, limits={UNITS: 700})

    async def main():
        await asyncio.gather(*(governor.send(request) for request in reads(600)))

    virtual(main())
    assert len(set(stage.times)) <= 600 / 20 + 1


def test_a_read_goes_first_when_a_stop_ends(script, virtual):
    stage = script(Response(429, {"retry-after": "30", "x-ms-throttle-scope": "Tenant_Application/ReadWrite/a/t"}), OK)
    governor = governed(stage)

    async def main():
        await governor.send(patches(1)[0])
        tasks = await started(governor, patches(500))
        await governor.send(Request(method="GET", path="/users/me"))
        await abandon(tasks)

    virtual(main())
    assert [request.method for request in stage.requests[:2]] == ["PATCH", "GET"]
    assert stage.times[1] >= 30
