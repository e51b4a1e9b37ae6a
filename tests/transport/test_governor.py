from __future__ import annotations

import asyncio
import math
import random
from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphkit import clock
from graphkit.clock import VirtualClock
from graphkit.errors import Parked
from graphkit.protocol.message import Request, Response
from graphkit.protocol.quota_table import Bucket, buckets
from graphkit.transport.admission import Admission
from graphkit.transport.governor import Governor
from graphkit.transport.meter import Meter

OK = Response(200, {})
WRITES = "identity.app_tenant.writes"


def governed(stage, **how):
    how.setdefault("share", 1.0)
    return Governor(stage, VirtualClock(), chance=random.Random(3), **how)


def most_in_any_window(times, window):
    """The independent judge: the largest number of moments that fit into a window, wherever it is laid."""
    return max(bisect_left(times, start + window - 1e-9) - index for index, start in enumerate(times))


async def flood(governor, requests):
    return await asyncio.gather(*(governor.send(request) for request in requests), return_exceptions=True)


async def flood_in_batches(governor, requests):
    parts = [requests[begin : begin + 20] for begin in range(0, len(requests), 20)]
    return [answer for part in await asyncio.gather(*map(governor.send_batch, parts)) for answer in part]


def patches(count, path="/users/u{}"):
    return [Request(method="PATCH", path=path.format(number)) for number in range(count)]


@pytest.mark.parametrize(
    ("requests", "quota", "window"),
    [
        (patches(7000), 3000, 150),
        ([Request(method="GET", path=f"/users/u{n}") for n in range(9000)], 3500, 10),
        ([Request(method="POST", path="/teams", body=b"{}") for _ in range(60)], 10, 1),
        ([Request(method="POST", path="/teams/t1/members/add") for _ in range(15)], 4, 60),
        ([Request(method="POST", path=f"/teams/t{n % 9}/channels") for n in range(90)], 10, 1),
        ([Request(method="POST", path="/deviceManagement/deviceConfigurations") for _ in range(500)], 100, 20),
        ([Request(method="GET", path="/identity/conditionalAccess/policies") for _ in range(20)], 1, 1),
    ],
    ids=["directory writes", "directory reads", "teams", "members of a team", "channels", "intune", "ca"],
)
@pytest.mark.parametrize("share", [1.0, 0.7])
@pytest.mark.parametrize("given", [flood, flood_in_batches])
def test_no_window_ever_holds_more_than_the_quota(script, virtual, requests, quota, window, share, given):
    stage = script(OK)
    virtual(given(governed(stage, share=share), requests))
    assert len(stage.times) == len(requests)
    assert most_in_any_window(stage.times, window) <= math.ceil(quota * share)


def test_a_long_run_of_writes_stays_within_a_twentieth_of_the_floor(script, virtual):
    stage = script(OK)
    virtual(flood(governed(stage), patches(12_000)))
    floor = 12_000 / 3000 * 150
    assert floor * 0.95 < stage.times[-1] <= floor * 1.05


def test_writes_are_let_go_in_groups_that_fill_batches(script, virtual):
    stage = script(OK)
    virtual(flood(governed(stage), patches(600)))
    moments = sorted(set(stage.times))
    assert len(moments) <= 600 / 20 + 1


def test_conditional_access_is_spaced_by_more_than_a_second(script, virtual):
    stage = script(OK)
    requests = [Request(method="GET", path="/identity/conditionalAccess/policies") for _ in range(5)]
    virtual(flood(governed(stage), requests))
    gaps = [later - earlier for earlier, later in zip(stage.times, stage.times[1:], strict=False)]
    assert min(gaps) >= 1.1 - 1e-9


def test_within_a_bucket_the_oldest_goes_first(script, virtual):
    stage = script(OK)
    virtual(flood(governed(stage), patches(500)))
    assert [request.path for request in stage.requests] == [f"/users/u{number}" for number in range(500)]


def test_who_comes_later_does_not_overtake_those_who_wait_for_company(script, virtual):
    """Twenty are let go at a time; there is room for one already when the last one comes."""
    stage = script(OK)
    governor = governed(stage)

    async def main():
        first = asyncio.create_task(flood(governor, patches(200)))
        await governor._clock.sleep(0.5)
        await governor.send(Request(method="PATCH", path="/users/late"))
        return (await first)[-1]

    virtual(main())
    assert [request.path for request in stage.requests][-1] == "/users/late"


def test_a_full_bucket_holds_up_nobody_else(script, virtual):
    stage = script(OK)
    slow = [Request(method="POST", path="/teams/t1/members") for _ in range(50)]
    fast = [Request(method="GET", path="/users/u1"), Request(method="POST", path="/teams/t2/members")]
    virtual(flood(governed(stage), slow + fast))
    when = {request.path: time for request, time in zip(stage.requests, stage.times, strict=True)}
    assert when["/users/u1"] == 0.0
    assert when["/teams/t2/members"] < 2.0
    assert stage.times[-1] > 600


@pytest.mark.parametrize("after", ["7", "7.5", "Mon, 05 Jan 2026 09:00:07 GMT"])
def test_a_429_stops_its_bucket_for_the_time_stated_and_no_other(script, virtual, after):
    def answer(request):
        refuse = len(stage.requests) == 1
        return Response(429, {"retry-after": after}) if refuse else OK

    stage = script(answer)
    governor = governed(stage)

    async def main():
        await governor.send(Request(method="PATCH", path="/users/u1"))
        await flood(governor, [*patches(30), Request(method="GET", path="/deviceManagement/managedDevices")])

    virtual(main())
    stated = 7.5 if after == "7.5" else 7.0
    others = [time for request, time in zip(stage.requests, stage.times, strict=True) if "device" in request.path]
    writes = [time for request, time in zip(stage.requests, stage.times, strict=True) if "/users" in request.path]
    assert others == [0.0]
    assert stated <= writes[1] < stated + 0.2


@pytest.mark.parametrize(
    ("scope", "bucket"),
    [
        ("Tenant_Application/Write/a/t", "identity.app_tenant.writes"),
        ("Tenant/Write/a/t", "identity.tenant.writes"),
        ("Application/Write/a/t", "identity.app.writes"),
        ("Tenant_Application/ReadWrite/a/t", "identity.app_tenant.ru"),
        ("Tenant_Application/Read/a/t", "identity.app_tenant.ru"),
        ("nonsense", "identity.app_tenant.writes"),
    ],
)
def test_the_scope_header_names_the_bucket_to_stop(script, virtual, scope, bucket):
    governor = governed(script(Response(429, {"retry-after": "60", "x-ms-throttle-scope": scope})))

    async def main():
        await governor.send(Request(method="PATCH", path="/users/u1"))
        return {row.bucket for row in governor.utilisation() if row.stopped_for}

    assert virtual(main()) == {bucket}


def test_after_a_stop_the_waiters_do_not_wake_in_one_burst(script, virtual):
    stage = script(Response(429, {"retry-after": "10", "x-ms-throttle-scope": "Tenant_Application/Write/a/t"}), OK)
    governor = governed(stage)

    async def main():
        await governor.send(Request(method="PATCH", path="/users/u1"))
        await flood(governor, patches(200))

    virtual(main())
    resumed = [time for time in stage.times if time >= 10]
    assert min(stage.times[1:]) >= 10
    assert sum(time < 11 for time in resumed) < 40


MAIL = "/users/u{}/messages"


@pytest.mark.parametrize("after", ["10", None])
def test_those_who_wait_for_a_service_without_published_limits_do_not_wake_in_one_burst_either(script, virtual, after):
    headers = {"retry-after": after} if after else {}
    stage = script(Response(429, headers), OK)
    governor = governed(stage)

    async def main():
        await governor.send(Request(method="GET", path=MAIL.format(0)))
        await flood(governor, [Request(method="GET", path=MAIL.format(number)) for number in range(200)])

    virtual(main())
    first = stage.times[1]
    assert sent_in(stage, first, first + 1)[0] <= 21
    assert first + 5 < stage.times[-1] < first + 60


def test_the_pace_of_such_a_service_is_found_by_its_refusals(script, virtual):
    """It takes ten in a second: two thousand at once cost few refusals, and little more time than they must."""
    taken = []

    def answer(request):
        now = stage.clock.monotonic()
        inside = sum(at > now - 1 for at in taken[-20:])
        if inside >= 10:
            return Response(429, {"retry-after": "2"})
        taken.append(now)
        return OK

    stage = script(answer)
    governor = governed(stage)

    async def main():
        async def persist(number):
            while (await governor.send(Request(method="GET", path=MAIL.format(number)))).status == 429:
                pass

        await asyncio.gather(*(persist(number) for number in range(2000)))

    virtual(main())
    assert len(taken) == 2000
    assert governor.throttled <= 20
    assert taken[-1] <= 200 * 1.25


def test_a_service_that_refused_once_is_soon_without_a_limit_again():
    meter = Meter("a", buckets()["other"], 1.0)
    meter.take(1000, 0.0)
    assert meter.ready_at(1000) <= 0
    meter.refused(0.0)
    assert meter.interval == 0.05
    at_pace(meter, 25, 0.0)
    assert meter.interval == pytest.approx(0.026, abs=0.001)
    at_pace(meter, 600, 25.0)
    assert (meter.interval, meter.pace, meter.ready_at(1000)) == (0.0, 1.0, meter.next_free)


def test_without_a_stated_wait_the_pauses_grow_and_the_pace_recovers_slowly(script, virtual):
    refusals = 5
    stage = script(*[Response(429, {})] * refusals, OK)
    governor = governed(stage)
    policies = Request(method="GET", path="/identity/conditionalAccess/policies")

    async def main():
        paces = []
        for _ in range(refusals + 40):
            await governor.send(policies)
            paces.append(governor.counters.meters["identity_protection_ca.tenant"].pace)
        return paces

    paces = virtual(main())
    assert paces[refusals - 1] == pytest.approx(0.05)
    assert paces[refusals] < paces[refusals + 5] < paces[-1] <= 1.0
    assert governor.throttled == refusals
    gaps = [later - earlier for earlier, later in zip(stage.times, stage.times[1:], strict=False)]
    assert max(gaps[:refusals]) > 5
    assert min(gaps) >= 1.1 - 1e-9


def sent_in(stage, *edges):
    return [sum(start <= at < end for at in stage.times) for start, end in pairwise(edges)]


def test_after_a_refusal_the_writes_go_at_half_the_pace_and_then_faster_by_and_by(script, virtual):
    """Twenty a second are the whole."""
    stage = script(Response(429, {"retry-after": "10", "x-ms-throttle-scope": "Tenant_Application/Write/a/t"}), OK)
    governor = governed(stage)

    async def main():
        await governor.send(Request(method="PATCH", path="/users/u1"))
        await flood(governor, patches(2000))

    virtual(main())
    first, second, third = sent_in(stage, 10, 20, 30, 40)
    assert 60 <= first <= 110
    assert 120 <= second <= 160
    assert 160 <= third <= 200


def test_the_fuller_the_bucket_is_said_to_be_the_fewer_go(script, virtual):
    stage = script(Response(204, {"x-ms-throttle-limit-percentage": "1.1"}))
    governor = governed(stage)
    virtual(flood(governor, patches(600)))
    assert sent_in(stage, 20, 30)[0] <= 40


def test_refusals_of_what_was_already_under_way_count_once(script, virtual):
    stage = script(Response(429, {"retry-after": "5"}), latency=1.0)
    governor = governed(stage)
    virtual(flood(governor, patches(20)))
    assert governor.throttled == 20
    assert [meter.pace for meter in governor.counters.meters.values() if meter.pace < 1] == [0.5]


def test_refused_calls_count_as_consumed(script, virtual):
    stage = script(Response(429, {"retry-after": "1", "x-ms-throttle-scope": "Tenant/Write/a/t"}))
    governor = governed(stage)

    async def main():
        await flood(governor, patches(20))
        return {row.bucket: row.used for row in governor.utilisation()}[WRITES]

    assert virtual(main()) == pytest.approx(20 / 3000, abs=1e-4)


def test_a_stated_wait_of_a_day_parks_its_bucket_and_lets_the_rest_finish(script, virtual):
    def answer(request):
        return Response(429, {"retry-after": "86400"}) if request.path == "/teams/t1/members" else OK

    stage = script(answer, latency=0.1)
    governor = governed(stage)

    async def main():
        first = [Request(method="POST", path="/teams/t1/members") for _ in range(3)]
        results = await flood(governor, [*first, Request(method="GET", path="/users")])
        late = await flood(governor, [Request(method="POST", path="/teams/t1/members")])
        return results, late, governor._clock.monotonic()

    results, late, now = virtual(main())
    assert [type(result).__name__ for result in results] == ["Response", "Parked", "Parked", "Response"]
    assert isinstance(late[0], Parked)
    assert late[0].seconds > 80_000
    assert now < 60


@pytest.mark.parametrize("status", [503, 509])
def test_a_503_with_a_stated_wait_stops_the_bucket_but_is_no_throttling(script, virtual, status):
    stage = script(Response(status, {"retry-after": "20"}), OK)
    governor = governed(stage)

    async def main():
        await governor.send(Request(method="GET", path="/users"))
        await governor.send(Request(method="GET", path="/users"))

    virtual(main())
    assert 20 <= stage.times[1] < 20.1
    assert governor.throttled == 0
    assert {meter.pace for meter in governor.counters.meters.values()} == {1.0}


def test_the_service_corrects_our_idea_of_a_cost(script, virtual):
    async def used(units):
        governor = governed(script(Response(200, {"x-ms-resource-unit": units} if units else {})))
        await flood(governor, [Request(method="GET", path="/groups/g1/members")] * 10)
        return {row.bucket: row.used for row in governor.utilisation()}["identity.app_tenant.ru"]

    assert virtual(used(None)) == pytest.approx(30 / 3500, abs=1e-4)
    assert virtual(used("9")) == pytest.approx(90 / 3500, abs=1e-4)
    assert virtual(used("oops")) == pytest.approx(30 / 3500, abs=1e-4)


def test_it_slows_down_when_a_bucket_is_fuller_than_its_own_share_explains(script, virtual):
    async def pace(percentage, share):
        stage = script(Response(204, {"x-ms-throttle-limit-percentage": percentage}), latency=1.5)
        governor = governed(stage, share=share)
        for request in patches(4):
            await governor.send(request)
        return min(meter.pace for meter in governor.counters.meters.values())

    assert virtual(pace("0.81", 0.7)) == 1.0
    assert virtual(pace("0.95", 0.7)) == pytest.approx(0.9**4)
    assert virtual(pace("0.98", 1.0)) == 1.0
    assert virtual(pace("1.0", 1.0)) == pytest.approx(0.7**4)
    assert virtual(pace("1.4", 1.0)) == pytest.approx(0.7**4)


def test_it_says_what_limits(script, virtual):
    governor = governed(script(OK))

    async def main():
        before = governor.binding()
        work = asyncio.create_task(flood(governor, patches(500)))
        await governor._clock.sleep(0.5)
        during, rows = governor.binding(), governor.utilisation()
        await work
        return before, during, rows, governor.binding()

    before, during, rows, after = virtual(main())
    assert (before, during.title, after) == (None, "directory writes", None)
    assert during.told() == "directory writes (2% of the quota)"
    assert rows[0].bucket == WRITES
    assert rows[0].waiting > 400


def test_limits_can_be_set(script, virtual):
    stage = script(OK)
    virtual(flood(governed(stage, limits={WRITES: 150}), patches(300)))
    assert stage.times[-1] == pytest.approx(300, rel=0.06)


def test_who_gives_up_waiting_leaves_the_queue(script, virtual):
    stage = script(OK)
    governor = governed(stage)

    async def main():
        tasks = [asyncio.create_task(governor.send(request)) for request in patches(300)]
        await governor._clock.sleep(0.1)
        for task in tasks[100:200]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    virtual(main())
    assert len(stage.requests) == 200


def test_the_queue_sleeps_between_admissions(script, virtual, monkeypatch):
    wakes = []
    original = Admission._wake

    async def counted(self, at):
        wakes.append(at)
        await original(self, at)

    monkeypatch.setattr(Admission, "_wake", counted)
    virtual(flood(governed(script(OK)), patches(2000)))
    assert len(wakes) < 2000 / 20 * 2


@settings(max_examples=60, deadline=None)
@given(
    quota=st.integers(1, 400),
    window=st.sampled_from([1, 10, 60, 150]),
    share=st.floats(0.3, 1.0),
    gaps=st.lists(st.floats(0, 5), min_size=1, max_size=200),
)
def test_a_meter_keeps_every_window_whatever_the_arrivals(quota, window, share, gaps):
    meter = Meter("x", Bucket("x", "x", quota, window), share)
    now, times = 0.0, []
    for gap in gaps:
        now = max(now + gap, meter.ready_at(1.0))
        meter.take(1.0, now)
        times.append(now)
    assert most_in_any_window(times, window) <= max(1, math.ceil(quota * share))


def test_every_published_bucket_makes_a_meter():
    for bucket in buckets().values():
        meter = Meter(bucket.id, bucket, 0.7)
        assert meter.ready_at(1.0) < 0
        assert meter.interval >= 0


def test_scaled_time_paces_scaled():
    """A test server whose quota clock runs a hundred times as fast is paced a hundred times as fast."""

    class Stage:
        async def send(self, request):
            return OK

    async def main():
        ticking = clock.RealClock(scale=200)
        governor = Governor(Stage(), ticking, share=1.0)
        start = asyncio.get_running_loop().time()
        await flood(governor, [Request(method="GET", path="/identity/conditionalAccess/policies")] * 11)
        return ticking.monotonic(), asyncio.get_running_loop().time() - start

    scaled, real = asyncio.run(main())
    assert scaled >= 11
    assert real < 2


def at_pace(meter, seconds, clock_at):
    """Run a meter well for so many seconds; its paces, one for each."""
    paces = []
    for second in range(seconds):
        meter.recover(clock_at + second + 1)
        paces.append(meter.pace)
    return paces


def test_after_a_refusal_the_pace_comes_back_quickly_to_below_what_was_refused_and_then_feels_its_way():
    meter = Meter("a", buckets()[WRITES], 1.0)
    meter.refused(0.0)
    paces = at_pace(meter, 400, 0.0)
    assert paces[0] == pytest.approx(0.52)
    assert paces[23] == pytest.approx(0.95)
    assert paces[60] < 0.96
    assert paces[-1] == 1.0


def test_a_pace_that_others_leave_no_room_for_is_soon_refused_only_now_and_then():
    meter, now, refusals = Meter("a", buckets()[WRITES], 1.0), 0.0, []
    while now < 3600:
        now += 1
        if meter.pace > 0.7:  # what the others leave
            refusals.append(now)
            meter.refused(now)
            meter.stop(now + 1, now)
        else:
            meter.recover(now)
    late = [moment for moment in refusals if moment > 600]
    assert len(late) <= 3000 / 60
    assert meter.pace > 0.3


def test_recovery_counts_from_the_end_of_a_stop_and_ends_at_the_full_pace():
    meter = Meter("a", buckets()[WRITES], 1.0)
    meter.refused(0.0)
    meter.stop(60.0, 0.0)
    meter.recover(61.0)
    assert meter.pace == pytest.approx(0.52)
    paces = []
    for step in range(600):
        meter.recover(62.0 + 0.7 * step)
        paces.append(meter.pace)
    assert paces == sorted(paces)
    assert max(paces) == 1.0


def test_an_hour_without_requests_proves_no_more_than_five_seconds_of_them():
    meter = Meter("a", buckets()[WRITES], 1.0)
    meter.refused(0.0)
    meter.recover(3600.0)
    assert meter.pace == pytest.approx(0.6)


@pytest.mark.parametrize(("now", "used"), [(0, 0.6), (9, 0.6), (15, 0.3), (19.9, 0.006), (25, 0.0), (1000, 0.0)])
def test_what_was_used_fades_in_the_window_after(now, used):
    meter = Meter("x", Bucket("x", "x", 100, 10), 1.0)
    meter.take(60.0, 0.0)
    assert meter.used(now) == pytest.approx(used)


@pytest.mark.parametrize(("now", "used"), [(10, 1.0), (15, 0.7), (20, 0.4), (25, 0.2), (30, 0.0)])
def test_what_was_used_is_estimated_from_this_window_and_the_one_before(now, used):
    meter = Meter("x", Bucket("x", "x", 100, 10), 1.0)
    meter.take(60.0, 0.0)
    meter.take(40.0, 10.0)
    assert meter.used(now) == pytest.approx(used)


def test_a_refusal_right_after_a_stop_says_nothing_about_the_pace():
    meter = Meter("a", buckets()[WRITES], 1.0)
    meter.refused(0.0)
    meter.stop(10.0, 0.0)
    meter.refused(12.0)
    assert (meter.knee, meter.pace) == (0.95, 0.25)
