"""What a refusal stops: exactly which bucket, exactly how long, and what happens to those who cannot wait so long."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

from graphkit.clock import VirtualClock
from graphkit.errors import DeadlineReached, Parked
from graphkit.protocol.message import Request, Response
from graphkit.transport.batcher import Batcher, Recalled
from graphkit.transport.governor import Governor

OK = Response(200, {})
WRITES = "identity.app_tenant.writes"
UNITS = "identity.app_tenant.ru"
WRITE = Request(method="PATCH", path="/users/u1")
READ = Request(method="GET", path="/users/u1")
POLICY = Request(method="GET", path="/identity/conditionalAccess/policies")


def governed(stage, **how):
    how.setdefault("share", 1.0)
    return Governor(stage, VirtualClock(), chance=random.Random(3), **how)


def patches(count):
    return [Request(method="PATCH", path=f"/users/u{number}") for number in range(count)]


async def flood(governor, requests):
    return await asyncio.gather(*(governor.send(request) for request in requests), return_exceptions=True)


def refused(after=None, scope="Tenant_Application/Write/a/t", status=429):
    headers = {"x-ms-throttle-scope": scope} if scope else {}
    return Response(status, headers if after is None else {**headers, "retry-after": after})


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0.249", 0.249),
        ("90", 90.0),
        ("Mon, 05 Jan 2026 09:00:40 GMT", 40.0),
        ("Mon, 05 Jan 2026 09:10:00 GMT", 600.0),
    ],
)
def test_a_stated_wait_is_kept_to_the_second_and_not_a_second_more(script, virtual, after, seconds):
    stage = script(refused(after), OK)
    governor = governed(stage)

    async def main():
        await governor.send(WRITE)
        await governor.send(WRITE)

    virtual(main())
    assert stage.times == [0.0, pytest.approx(seconds, abs=1e-6)]


@pytest.mark.parametrize("after", ["0", "-3", "", "soon", "nan", "Mon, 05 Jan 2026 08:00:00 GMT", None])
def test_without_a_usable_wait_the_pause_is_anything_up_to_a_bound_that_doubles(script, virtual, after):
    async def pauses(seed):
        stage = script(*[refused(after, scope="")] * 7, OK)
        governor = Governor(stage, VirtualClock(), share=1.0, chance=random.Random(seed))
        for _ in range(8):
            await governor.send(WRITE)
        return [later - earlier for earlier, later in zip(stage.times, stage.times[1:], strict=False)]

    seen = [virtual(pauses(seed)) for seed in range(40)]
    for step, bound in enumerate([2, 4, 8, 16, 32, 60, 60]):
        at = [each[step] for each in seen]
        assert min(at) > 0
        assert bound * 0.7 < max(at) <= bound + 1
        assert min(at) < bound * 0.3


@pytest.mark.parametrize("hour", [8, 10])
def test_a_date_to_come_back_at_is_kept_whatever_our_own_clock_says(script, virtual, hour):
    """Ours says nine. Fast, it would take the date for past; slow, for a wait that nobody sits out."""
    headers = {"date": f"Mon, 05 Jan 2026 {hour:02}:00:00 GMT", "retry-after": f"Mon, 05 Jan 2026 {hour:02}:00:40 GMT"}
    stage = script(Response(429, headers), OK)
    governor = governed(stage)

    async def main():
        await governor.send(WRITE)
        await governor.send(WRITE)

    virtual(main())
    assert stage.times == [0.0, pytest.approx(40.0)]


def test_a_bucket_that_is_refused_all_night_still_has_a_pause(script, virtual):
    stage = script(*[refused("1")] * 1100, refused(), OK)
    governor = governed(stage)

    async def main():
        for _ in range(1102):
            await governor.send(WRITE)

    virtual(main())
    assert 0 < stage.times[-1] - stage.times[-2] <= 60


@pytest.mark.parametrize(
    "after", ["601", "86400", "1e300", "inf", "99999999999999999999", "Wed, 07 Jan 2026 09:00:00 GMT"]
)
def test_an_absurd_wait_parks_and_names_the_time_to_come_back(script, virtual, after):
    stage = script(refused(after), OK)
    governor = governed(stage)

    async def main():
        await governor.send(WRITE)
        (parked,) = await flood(governor, [WRITE])
        (read,) = await flood(governor, [READ])
        return parked, read

    parked, read = virtual(main())
    assert isinstance(parked, Parked)
    assert read.status == 200
    assert parked.exit_code == 7
    assert parked.message.startswith("the service closed directory writes for ")
    assert parked.until == pytest.approx(VirtualClock()._epoch + parked.seconds)
    assert parked.to_json()["until"][:10] in parked.message


@pytest.mark.parametrize("second", ["30", "2"])
def test_of_two_waits_stated_at_once_the_longer_one_counts(script, virtual, second):
    """The other was under way when the bucket was stopped: it says nothing new of the pace, but may of the time."""
    stage = script(refused("9"), refused(second), OK, latency=1.0)
    governor = governed(stage)

    async def main():
        await flood(governor, patches(2))
        await governor.send(WRITE)
        return [meter.pace for meter in governor.counters.meters.values() if meter.pace < 1]

    assert virtual(main()) == [pytest.approx(0.52, abs=0.1)]
    assert stage.times[2] == pytest.approx(1 + max(9, float(second)))


def test_once_it_is_let_through_again_it_is_as_if_nothing_had_been(script, virtual):
    """The next refusal is a first one: short pauses again, and full groups before it."""
    stage = script(*[refused()] * 6, OK)
    governor = governed(stage)

    async def main():
        for _ in range(7):
            await governor.send(WRITE)
        begun = len(stage.times)
        await flood(governor, patches(600))
        moments = len(set(stage.times[begun + 100 :]))
        stage.answers[:] = [refused(), OK]
        await governor.send(WRITE)
        await governor.send(WRITE)
        return moments, stage.times[-1] - stage.times[-2]

    moments, pause = virtual(main())
    assert moments <= 500 / 20 + 5
    assert pause <= 2.5


def test_the_day_of_a_wait_is_not_dropped(script, virtual):
    """A peer takes the seconds of a day-long wait and forgets the day."""
    governor = governed(script(refused("Tue, 06 Jan 2026 09:00:05 GMT")))

    async def main():
        await governor.send(WRITE)
        return await flood(governor, [WRITE])

    assert virtual(main())[0].seconds == pytest.approx(86_405)


@pytest.mark.parametrize(
    ("request_", "scope", "stopped"),
    [
        (WRITE, "Tenant_Application/Write/a/t", WRITES),
        (WRITE, "Tenant/Write/a/t", "identity.tenant.writes"),
        (WRITE, "Tenant/ReadWrite/a/t", "identity.tenant.writes"),
        (WRITE, "Application/Read/a/t", "identity.app.ru"),
        (POLICY, "Application/ReadWrite/a/t", "identity_protection_ca.tenant"),
        (READ, "Tenant_Application/Read/a/t", UNITS),
        (READ, "", UNITS),
        (POLICY, "", "identity_protection_ca.tenant"),
        (
            Request(method="POST", path="/deviceManagement/deviceCompliancePolicies"),
            "Tenant_Application/ReadWrite/a/t",
            "intune.device_configuration.app_tenant.any",
        ),
        (
            Request(method="POST", path="/deviceManagement/deviceCompliancePolicies"),
            "Tenant/Write/a/t",
            "intune.device_configuration.tenant.writes",
        ),
        (Request(method="POST", path="/teams/t1/members/add"), "", "teams.bulk_add_members.resource"),
        (Request(method="GET", path="/users/u1/planner/tasks"), "", "other"),
    ],
)
def test_a_refusal_stops_one_bucket_the_one_named_or_the_requests_own(script, virtual, request_, scope, stopped):
    governor = governed(script(refused("60", scope)))

    async def main():
        await governor.send(request_)
        return [row.bucket for row in governor.utilisation() if row.stopped_for]

    assert virtual(main()) == [stopped]


def test_a_service_without_published_limits_stops_for_itself_alone(script, virtual):
    stage = script(lambda request: refused("60", "") if "planner" in request.path and len(stage.times) == 1 else OK)
    governor = governed(stage)
    paths = ["/users/u1/planner/tasks", "/users/u1/planner/tasks", "/users/u1/messages", "/sites/s1"]

    async def main():
        for path in paths[:1]:
            await governor.send(Request(method="GET", path=path))
        await flood(governor, [Request(method="GET", path=path) for path in paths[1:]])

    virtual(main())
    assert [request.path for request in stage.requests[1:3]] == ["/users/u1/messages", "/sites/s1"]
    assert stage.times == [0.0, 0.0, 0.0, 60.0]


def test_what_was_let_through_and_has_not_left_yet_is_called_back(script, virtual):
    """At 2 s a call and one call at a time, a hundred reads stand between the governor and the wire."""
    bodies = []

    class Wire:
        clock = VirtualClock()

        async def send(self, request):
            first = not bodies
            bodies.append((self.clock.monotonic(), request))
            await self.clock.sleep(2)
            return refused("60", "Tenant_Application/ReadWrite/a/t") if first else OK

    batcher = Batcher(Wire(), slots=1)
    batcher._envelopes = False
    governor = governed(batcher, recall=batcher.recall)
    others = Request(method="GET", path="/deviceManagement/managedDevices")

    async def main():
        reads = [Request(method="GET", path=f"/users/u{number}") for number in range(100)]
        return await flood(governor, [*reads, others])

    answers = virtual(main())
    assert [answer.status for answer in answers] == [429, *[200] * 100]
    directory = [at for at, request in bodies if request.path.startswith("/users")]
    assert directory[0] == 0
    assert min(directory[1:]) >= 62
    assert [at for at, request in bodies if request is others] == [0.0]
    assert len(bodies) == 101


def test_who_gave_up_waiting_is_not_called_back(virtual, script):
    batcher = Batcher(script(OK), slots=0)

    async def main():
        tasks = [asyncio.create_task(batcher.send(request)) for request in patches(3)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        await asyncio.sleep(0)
        batcher.recall(lambda request: request.path != "/users/u2")
        await asyncio.sleep(0)
        ended = [task.done() for task in tasks]
        tasks[2].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return ended, [type(result) for result in results]

    ended, results = virtual(main())
    assert ended == [True, True, False]
    assert results == [asyncio.CancelledError, Recalled, asyncio.CancelledError]


def test_whoever_turns_out_to_need_a_closed_bucket_is_told_so_instead_of_waiting_a_day(script, virtual):
    """It stood in the queue of another bucket while that one was closed."""
    answers = {READ.path: refused("86400", "Tenant_Application/ReadWrite/a/t")}
    stage = script(lambda request: answers.get(request.path, OK))
    governor = governed(stage, limits={WRITES: 15})

    async def main():
        writes = [asyncio.create_task(governor.send(Request(method="PATCH", path=f"/users/w{n}"))) for n in range(5)]
        await governor._clock.sleep(1)
        await governor.send(READ)
        results = await asyncio.gather(*writes, return_exceptions=True)
        return results, governor._clock.monotonic()

    results, now = virtual(main())
    assert [type(result).__name__ for result in results] == ["Response", *["Parked"] * 4]
    assert now < 100


def test_whoever_turns_out_to_need_a_stopped_bucket_goes_on_when_that_opens(script, virtual):
    """It stands in the queue of writes, one in ten seconds, and nobody else waits for the units."""
    closed = refused("60", "Tenant_Application/ReadWrite/a/t")
    stage = script(lambda request: closed if request.method == "GET" else OK)
    governor = governed(stage, limits={WRITES: 15})

    async def main():
        await governor.send(WRITE)
        second = asyncio.create_task(governor.send(Request(method="PATCH", path="/users/u2")))
        await governor._clock.sleep(1)
        await governor.send(READ)
        return await second

    assert virtual(main()).status == 200
    assert stage.times == [0.0, 1.0, pytest.approx(61, abs=0.1)]


def test_only_the_length_of_a_stop_parks_and_not_how_late_it_is(script, virtual):
    stage = script(refused("500"), OK)
    governor = governed(stage)

    async def main():
        await governor._clock.sleep(5000)
        await governor.send(WRITE)
        return await flood(governor, [WRITE])

    assert virtual(main())[0].status == 200
    assert stage.times == [5000.0, pytest.approx(5500)]


@pytest.mark.parametrize("again", [False, True])
def test_a_counter_that_was_forgotten_meanwhile_is_stopped_all_the_same(script, virtual, monkeypatch, again):
    """Counters of twenty thousand idle teams make room for others; an answer may still be on its way to one."""
    monkeypatch.setattr("graphkit.transport.counters._MANY", 3)
    slow, times = Request(method="POST", path="/teams/t1/channels"), []

    class Service:
        clock = VirtualClock()

        async def send(self, request):
            if request is slow:
                times.append(self.clock.monotonic())
                await self.clock.sleep(5)
                return refused("60", "") if len(times) == 1 else OK
            return OK

    governor = governed(Service(), limits={"teams.create_channel.app_tenant": 1000, "teams.create_channel.app": 1000})

    async def main():
        first = asyncio.create_task(governor.send(slow))
        await governor._clock.sleep(3)
        await flood(governor, [Request(method="POST", path=f"/teams/o{number}/channels") for number in range(9)])
        assert "teams.create_channel.resource|t1" not in governor.counters.meters
        if again:
            await governor.send(Request(method="POST", path="/teams/t1/channels"))
        await first
        await governor.send(slow)

    virtual(main())
    assert times == [0.0, 65.0]


def test_a_counter_in_use_is_not_forgotten_however_many_others_there_are(script, virtual, monkeypatch):
    """A team takes four new members a minute; meanwhile two hundred other teams are asked for."""
    monkeypatch.setattr("graphkit.transport.counters._MANY", 3)
    stage = script(OK)
    governor = governed(stage)

    async def adds():
        for _ in range(12):
            await governor.send(Request(method="POST", path="/teams/t1/members/add"))
            await governor._clock.sleep(3)

    async def others():
        for number in range(200):
            await governor.send(Request(method="GET", path=f"/teams/o{number}"))
            await governor._clock.sleep(0.5)

    async def main():
        await asyncio.gather(adds(), others())
        return len(governor.counters.meters)

    assert virtual(main()) < 100
    times = [at for at, request in zip(stage.times, stage.requests, strict=True) if request.method == "POST"]
    assert all(later - earlier >= 60 for earlier, later in zip(times, times[4:], strict=False))


def test_the_next_of_its_kind_is_charged_what_the_service_said_the_first_did_cost(script, virtual):
    stage = script(Response(200, {"x-ms-resource-unit": "7"}))
    governor = governed(stage)

    async def main():
        members = Request(method="GET", path="/groups/g1/members")
        await governor.send(members)
        await flood(governor, [members] * 5)
        others = Request(method="GET", path="/users/u1/memberOf")
        return [governor.counters.costs(request).units for request in (members, others)]

    assert virtual(main()) == ["7", "2"]


@pytest.mark.parametrize("headers", [{"x-ms-throttle-limit-percentage": "many"}, {"x-ms-resource-unit": "oops"}])
def test_a_header_that_nobody_can_read_disturbs_nothing(script, virtual, headers):
    governor = governed(script(Response(200, headers)))
    assert [answer.status for answer in virtual(flood(governor, [READ] * 3))] == [200] * 3


def test_it_slows_before_the_service_refuses(script, virtual):
    """Another app takes what is left: the header says so in time."""

    def answer(request):
        pressed = max(0.0, 1.3 - 0.02 * len(stage.requests))
        return Response(204, {"x-ms-throttle-limit-percentage": f"{pressed:.2f}"} if pressed >= 0.8 else {})

    stage = script(answer, latency=1.0)
    governor = governed(stage)

    async def main():
        paces = []
        for request in patches(80):
            await governor.send(request)
            paces.append(min(meter.pace for meter in governor.counters.meters.values()))
        return paces

    paces = virtual(main())
    assert min(paces) < 0.1
    assert paces[-1] > 0.5
    assert governor.throttled == 0


def test_a_signed_in_person_is_paced_by_limits_of_their_own(script, virtual):
    stage = script(OK)
    requests = [Request(method="GET", path=f"/teams/t{number}") for number in range(6)]
    virtual(flood(governed(stage), requests))
    assert stage.times[-1] < 1
    stage = script(OK)
    virtual(flood(governed(stage, delegated=True), requests))
    assert stage.times[-1] == pytest.approx(5 / 0.83, rel=0.01)


# --- the deadline ---


def test_who_could_not_go_before_the_deadline_is_told_so_at_once(script, virtual):
    stage = script(OK)
    governor = governed(stage)
    governor.deadline = 10.0

    async def main():
        tasks = [asyncio.create_task(governor.send(POLICY)) for _ in range(30)]
        await governor._clock.sleep(0.01)
        told = [task for task in tasks if task.done() and task.exception()]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return len(told), results, governor._clock.monotonic()

    told, results, now = virtual(main())
    assert told == 30 - 10
    assert [type(each) for each in results] == [Response] * 10 + [DeadlineReached] * 20
    assert max(stage.times) <= 10.0
    assert now < 10.0
    assert "conditional access" in results[-1].message


def test_a_deadline_that_is_set_while_they_wait_is_told_to_them_at_once(script, virtual):
    """So a run ends that was interrupted: what waits for its quota is to wait no more."""
    stage = script(OK)
    governor = governed(stage)

    async def main():
        tasks = [asyncio.create_task(governor.send(POLICY)) for _ in range(30)]
        await governor._clock.sleep(3)
        governor.deadline = governor._clock.monotonic() - 0.5
        results = await asyncio.gather(*tasks, return_exceptions=True)
        return results, governor._clock.monotonic()

    results, now = virtual(main())
    assert [type(each) for each in results] == [Response] * 3 + [DeadlineReached] * 27
    assert now < 4


def test_writes_are_let_go_until_the_deadline_and_none_later(script, virtual):
    stage = script(OK)
    governor = governed(stage)
    governor.deadline = 60.0
    results = virtual(flood(governor, patches(3000)))
    went = sum(isinstance(each, Response) for each in results)
    assert went == len(stage.times)
    assert went == pytest.approx(60 + 60 * 2940 / 150, abs=21)
    assert max(stage.times) <= 60.0


def test_a_stop_beyond_the_deadline_sends_home_whoever_waits(script, virtual):
    stage = script(refused("300"), OK, latency=1.0)
    governor = governed(stage)
    governor.deadline = 120.0

    async def main():
        results = await flood(governor, [*patches(200), POLICY])
        return results, governor._clock.monotonic()

    results, now = virtual(main())
    late = [each for each in results if isinstance(each, DeadlineReached)]
    assert len(late) == 200 + 1 - len(stage.times)
    assert late
    assert results[-1].status == 200
    assert now < 10


def test_after_the_deadline_nothing_is_let_through(script, virtual):
    stage = script(OK)
    governor = governed(stage)
    governor.deadline = 5.0

    async def main():
        await governor._clock.sleep(6)
        return await flood(governor, [WRITE])

    assert isinstance(virtual(main())[0], DeadlineReached)
    assert stage.requests == []


def test_a_parked_bucket_tells_its_time_even_if_the_deadline_comes_first(script, virtual):
    governor = governed(script(refused("86400")))
    governor.deadline = 60.0

    async def main():
        await governor.send(WRITE)
        return await flood(governor, [WRITE])

    assert isinstance(virtual(main())[0], Parked)


# --- what it says ---


def test_stops_and_slower_paces_are_logged_by_bucket(script, virtual, caplog):
    caplog.set_level(logging.INFO, logger="graphkit.transport")
    stage = script(refused("5"), Response(204, {"x-ms-throttle-limit-percentage": "1.2"}), OK)
    governor = governed(stage)

    async def main():
        for _ in range(3):
            await governor.send(Request(method="PATCH", path="/users/rx1-0001@contoso.example"))

    virtual(main())
    events = [(record.event, record.fields["bucket"]) for record in caplog.records]
    assert events == [("bucket-stopped", WRITES), ("bucket-slowed", WRITES)]
    assert caplog.records[0].fields == {"bucket": WRITES, "status": 429, "ms": 5000, "used": pytest.approx(0.0)}
    assert not any("@" in str(record.fields) for record in caplog.records)


def test_one_stop_is_logged_once_however_many_were_under_way(script, virtual, caplog):
    caplog.set_level(logging.INFO, logger="graphkit.transport")
    governor = governed(script(refused("5"), latency=0.5))
    virtual(flood(governor, patches(20)))
    assert [record.event for record in caplog.records] == ["bucket-stopped"]


def test_others_are_told_what_is_taken_what_waits_and_until_when_the_service_closed_it(script, virtual):
    stage = script(refused("600"), OK)
    governor = governed(stage)

    async def main():
        await governor.send(WRITE)
        waiting = asyncio.create_task(governor.send(WRITE))
        await governor._clock.sleep(300)
        during = {use.bucket: use for use in governor.uses("t-1", "app-1")}
        await waiting
        await governor._clock.sleep(3600)
        return during, governor.uses("t-1", "app-1")

    during, after = virtual(main())
    stopped = during.pop(WRITES)
    assert (stopped.tenant, stopped.app, stopped.waiting) == ("t-1", "app-1", 1)
    assert stopped.stopped_until == pytest.approx(VirtualClock()._epoch + 600)
    assert {use.stopped_until for use in during.values()} <= {0.0}
    assert after == []


def test_totals_only_ever_grow(script, virtual):
    stage = script(*[OK] * 30, refused("2"), OK)
    governor = governed(stage)

    async def main():
        await flood(governor, patches(200))
        return {row.bucket: row for row in governor.utilisation()}

    rows = virtual(main())
    assert rows["global.app"].taken == 200
    assert rows[WRITES].refusals == 1
    assert rows[WRITES].waits == 200 - 31
    assert rows[WRITES].waited_s > 2 * 169
