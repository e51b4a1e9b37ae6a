from __future__ import annotations

import asyncio
import random

import pytest

from graphkit.clock import VirtualClock
from graphkit.errors import ConnectionFailed, DeadlineReached, OutcomeUnknown, Parked
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.outcomes import Action
from graphkit.transport.retry import MOST_ATTEMPTS, MOST_REFUSALS, Retry, believed

READ, CONVERGENT, KEYED, ONCE = Idempotency
OK = Response(200, {})
NOT_SENT, LOST = ConnectionFailed("no route to host"), OutcomeUnknown("read timeout", client_request_id="c-1")
CONCURRENCY = b'{"error": {"code": "Directory_ConcurrencyViolation"}}'


def throttled(after="3"):
    return Response(429, {"retry-after": after} if after else {})


def patch(idempotency=CONVERGENT, path="/users/u1", **how):
    return Request(method="PATCH", path=path, body=b"{}", idempotency=idempotency, **how)


def retrying(stage, **how):
    return Retry(stage, VirtualClock(), chance=random.Random(1), **how)


@pytest.mark.parametrize("answer", [OK, Response(404, {}), Response(403, {}), Response(202, {"retry-after": "5"})])
def test_a_final_answer_is_handed_up_at_once(script, virtual, answer):
    stage = script(answer)
    assert virtual(retrying(stage).send(patch())).status == answer.status
    assert len(stage.requests) == 1


@pytest.mark.parametrize(
    ("answer", "idempotency", "sends"),
    [
        (NOT_SENT, READ, 2),
        (NOT_SENT, ONCE, 2),
        (LOST, READ, 2),
        (LOST, CONVERGENT, 2),
        (Response(500, {}), READ, 2),
        (Response(504, {}), CONVERGENT, 2),
        (Response(424, {}), ONCE, 2),
        (throttled(), ONCE, 2),
        (Response(423, {}), KEYED, 2),
    ],
)
def test_what_may_be_repeated_is_repeated(script, virtual, answer, idempotency, sends):
    stage = script(answer, OK)
    request = Request(method="GET", path="/users") if idempotency is READ else patch(idempotency)
    response = virtual(retrying(stage).send(request))
    assert (response.status, response.attempts, len(stage.requests)) == (200, 2, sends)


@pytest.mark.parametrize("answer", [Response(500, {}), Response(504, {}), Response(503, {"retry-after": "1"}), LOST])
@pytest.mark.parametrize("idempotency", [KEYED, ONCE])
def test_a_create_whose_outcome_is_open_is_never_sent_twice(script, virtual, answer, idempotency):
    """A POST repeated after 504 made four mails of one: learn.microsoft.com/answers/questions/2286986."""
    stage = script(answer, OK)
    with pytest.raises(OutcomeUnknown) as caught:
        virtual(retrying(stage).send(Request(method="POST", path="/groups", body=b"{}", idempotency=idempotency)))
    assert len(stage.requests) == 1
    assert "look" in caught.value.hint


def test_an_open_outcome_tells_what_the_service_said(script, virtual):
    body = b'{"error": {"code": "UnknownError", "innerError": {"request-id": "r-1"}}}'
    with pytest.raises(OutcomeUnknown) as caught:
        virtual(retrying(script(Response(504, {}, body))).send(patch(ONCE)))
    error = caught.value
    assert (error.status, error.service_code, error.request_id) == (504, "UnknownError", "r-1")
    assert "PATCH /users/u1" in error.message


def test_a_throttled_create_of_teams_is_left_to_be_looked_up(script, virtual):
    stage = script(throttled(), OK)
    with pytest.raises(OutcomeUnknown):
        virtual(retrying(stage).send(Request(method="POST", path="/teams", body=b"{}", idempotency=KEYED)))
    assert len(stage.requests) == 1


@pytest.mark.parametrize("after", ["3", "0.249", "Mon, 05 Jan 2026 09:00:30 GMT"])
def test_nothing_is_sent_before_a_stated_wait_ends(script, virtual, after):
    stage = script(throttled(after), OK)
    virtual(retrying(stage).send(patch()))
    waited = stage.times[1] - stage.times[0]
    assert waited == pytest.approx({"3": 3, "0.249": 0.249}.get(after, 30))


@pytest.mark.parametrize("after", ["0", "-1", "", "soon", "nan", None])
def test_without_a_usable_wait_the_pause_is_random_and_grows(script, virtual, after):
    stage = script(*[throttled(after)] * 6, OK)
    assert virtual(retrying(stage).send(patch())).attempts == 7
    pauses = [later - earlier for earlier, later in zip(stage.times, stage.times[1:], strict=False)]
    assert all(pause > 0 for pause in pauses)
    assert len(set(pauses)) == 6


@pytest.mark.parametrize("answer", [throttled(None), Response(500, {}), Response(423, {}), NOT_SENT])
def test_the_pause_is_anything_up_to_a_bound_that_doubles_and_ends_at_half_a_minute(script, virtual, answer):
    async def pauses(seed):
        stage = script(*[answer] * 7, OK)
        await Retry(stage, VirtualClock(), chance=random.Random(seed)).send(patch())
        return [later - earlier for earlier, later in zip(stage.times, stage.times[1:], strict=False)]

    seen = [virtual(pauses(seed)) for seed in range(40)]
    for step, bound in enumerate([1, 2, 4, 8, 16, 30, 30]):
        at = [each[step] for each in seen]
        assert min(at) >= 0.25
        assert bound * 0.75 < max(at) <= bound
        assert min(at) < 0.25 + bound * 0.25


def test_an_endless_503_ends(script, virtual):
    """CLI for Microsoft 365 repeats a 503 without end."""
    stage = script(Response(503, {"retry-after": "1"}))
    response = virtual(retrying(stage).send(Request(method="GET", path="/users")))
    assert (response.status, response.attempts, len(stage.requests)) == (503, MOST_ATTEMPTS, MOST_ATTEMPTS)


def test_endless_throttling_ends_too_but_later(script, virtual):
    stage = script(throttled("1"))
    assert virtual(retrying(stage).send(patch())).status == 429
    assert len(stage.requests) == MOST_REFUSALS


@pytest.mark.parametrize(
    ("request_", "answer", "error"),
    [
        (Request(method="GET", path="/users"), NOT_SENT, ConnectionFailed),
        (Request(method="GET", path="/users"), LOST, ConnectionFailed),
        (patch(CONVERGENT), LOST, OutcomeUnknown),
        (patch(ONCE), NOT_SENT, ConnectionFailed),
    ],
)
def test_when_all_attempts_failed_the_error_says_whether_anything_may_have_changed(
    script, virtual, request_, answer, error
):
    stage = script(answer)
    with pytest.raises(error):
        virtual(retrying(stage).send(request_))
    assert len(stage.requests) == MOST_ATTEMPTS


def test_the_retry_budget_bounds_a_storm(script, virtual):
    """200 reads against a dead service cost msgraph-sdk 800 requests."""
    stage = script(Response(500, {}))
    retry = retrying(stage)

    async def main():
        return await asyncio.gather(*(retry.send(Request(method="GET", path=f"/users/{n}")) for n in range(600)))

    assert {response.status for response in virtual(main())} == {500}
    assert len(stage.requests) == 600 + 10_000 / 5


def test_an_empty_retry_budget_of_one_service_leaves_the_others_theirs(script, virtual):
    def answer(request):
        return Response(500 if request.path.startswith("/users") else 200, {})

    flaky = script(Response(500, {}), OK)
    stage = script(answer)
    retry = retrying(stage)

    async def main():
        await asyncio.gather(*(retry.send(Request(method="GET", path=f"/users/{n}")) for n in range(600)))
        retry._following = flaky
        return await retry.send(Request(method="GET", path="/deviceManagement/managedDevices"))

    assert virtual(main()).status == 200


def test_no_answer_costs_twice_as_much_of_the_retry_budget_as_a_bad_one(script, virtual):
    stage = script(LOST)
    retry = retrying(stage)

    async def main():
        reads = [Request(method="GET", path=f"/users/{n}") for n in range(600)]
        return await asyncio.gather(*(retry.send(request) for request in reads), return_exceptions=True)

    assert {type(each) for each in virtual(main())} == {ConnectionFailed}
    assert len(stage.requests) == 600 + 10_000 / 10


def test_each_success_earns_back_a_fifth_of_a_repeat_and_never_more_than_there_was(script, virtual):
    failures = [Response(500, {})] * 7
    stage = script(lambda request: failures.pop() if failures else OK)
    retry = retrying(stage)

    async def left(reads):
        for _ in range(reads):
            await retry.send(Request(method="GET", path="/users"))
        return dict(retry._budget.left)

    assert virtual(left(1)) == {"identity": 10_000 - 7 * 5}
    assert virtual(left(34)) == {"identity": 10_000 - 1}
    assert virtual(left(1)) == {}


def test_a_401_is_renewed_once_and_the_second_is_final(script, virtual):
    stage, renewals = script(Response(401, {"www-authenticate": "Bearer"})), []

    async def renew(response):
        renewals.append(response.status)

    response = virtual(retrying(stage, renew=renew).send(patch(ONCE)))
    assert (response.status, renewals, len(stage.requests)) == (401, [401], 2)


def test_a_401_is_final_where_there_is_nobody_to_renew(script, virtual):
    stage = script(Response(401, {}))
    assert virtual(retrying(stage).send(patch(ONCE))).status == 401
    assert len(stage.requests) == 1


def test_a_401_that_a_new_token_cures_costs_no_wait(script, virtual):
    stage = script(Response(401, {}), OK)

    async def renew(response):
        pass

    assert virtual(retrying(stage, renew=renew).send(patch(ONCE))).status == 200
    assert stage.times == [0.0, 0.0]


@pytest.mark.parametrize("status", [423, 500, 503, 504])
def test_a_wait_of_a_day_parks_the_request(script, virtual, status):
    stage = script(Response(status, {"retry-after": "86400"}))
    with pytest.raises(Parked) as caught:
        virtual(retrying(stage).send(patch()))
    assert (caught.value.seconds, len(stage.requests)) == (86400, 1)


def test_a_wait_of_ten_minutes_is_sat_out_and_no_longer_one(script, virtual):
    stage = script(Response(503, {"retry-after": "600"}), OK)
    assert virtual(retrying(stage).send(patch())).status == 200
    assert stage.times == [0.0, 600.0]
    with pytest.raises(Parked):
        virtual(retrying(script(Response(503, {"retry-after": "600.5"}), OK)).send(patch()))


def test_a_quota_used_up_for_a_day_is_for_the_governor_to_tell_who_may_have_another_app(script, virtual):
    stage = script(throttled("86400"), OK)
    assert virtual(retrying(stage).send(patch())).status == 200
    assert stage.times == [0.0, 0.0]


@pytest.mark.parametrize("answer", [throttled("90"), Response(503, {"retry-after": "90"}), Response(423, {}), NOT_SENT])
def test_what_could_not_be_sent_again_before_the_deadline_does_not_wait_for_it(script, virtual, answer):
    stage = script(answer)
    retry = retrying(stage)
    retry.deadline = 60.0

    async def main():
        with pytest.raises(DeadlineReached):
            await retry.send(patch())
        return retry._clock.monotonic()

    assert virtual(main()) <= 60
    assert max(stage.times) <= 60


def test_hooks_hear_of_each_repeat(script, virtual):
    told = []
    stage = script(throttled("3"), LOST, OK)
    virtual(retrying(stage, hooks=[told.append]).send(patch(path="/users/u1?$select=secret")))
    assert [(each.attempt, each.action, each.status, each.reason) for each in told] == [
        (1, Action.WAIT, 429, ""),
        (2, Action.REPEAT, 0, "OutcomeUnknown"),
    ]
    assert told[0].wait == 3.0
    assert told[1].wait == pytest.approx(stage.times[2] - stage.times[1])
    assert {each.path for each in told} == {"/users/u1"}


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/users", READ),
        ("POST", "/directoryObjects/getByIds", READ),
        ("POST", "/groups", ONCE),
        ("PATCH", "/users/u1", ONCE),
        ("PUT", "/groups/g1/team", CONVERGENT),
        ("DELETE", "/users/u1", CONVERGENT),
    ],
)
def test_a_write_that_forgot_to_say_so_is_not_taken_for_a_read(method, path, expected):
    assert believed(Request(method=method, path=path)) is expected


def test_a_write_keeps_its_turn_while_it_is_repeated(script, virtual):
    def answer(request):
        first = request.body == b"1" and len(stage.requests) == 1
        return throttled("10") if first else OK

    stage = script(answer)
    retry = retrying(stage)

    async def main():
        bodies = [b"1", b"2", b"3"]
        requests = [Request(method="PATCH", path="/users/u1", body=body, idempotency=CONVERGENT) for body in bodies]
        await asyncio.gather(*(retry.send(request) for request in requests))

    virtual(main())
    assert [request.body for request in stage.requests] == [b"1", b"1", b"2", b"3"]


def test_reads_wait_for_no_write(script, virtual):
    stage = script(lambda request: throttled("10") if request.method == "PATCH" and len(stage.requests) == 1 else OK)
    retry = retrying(stage)

    async def main():
        write = asyncio.create_task(retry.send(patch()))
        await asyncio.sleep(0)
        await retry.send(Request(method="GET", path="/users/u1"))
        await write

    virtual(main())
    assert [request.method for request in stage.requests] == ["PATCH", "GET", "PATCH"]
    assert stage.times == [0.0, 0.0, 10.0]


def test_commutative_writes_that_collide_travel_fewer_at_a_time(script, virtual):
    """Directory_ConcurrencyViolation asks to wait briefly and retry: nais/azurerator issue 448."""
    flying = most_later = 0

    class Directory:
        async def send(self, request):
            nonlocal flying, most_later
            flying += 1
            collided = flying > 2
            if stage.clock.monotonic() > 30:
                most_later = max(most_later, flying)
            await stage.clock.sleep(1)
            flying -= 1
            return Response(409, {}, CONCURRENCY) if collided else OK

    stage = script(OK)
    retry = Retry(Directory(), VirtualClock(), chance=random.Random(1))

    async def main():
        requests = [patch(path="/groups/g1", commutative=True) for _ in range(16)]
        return await asyncio.gather(*(retry.send(request) for request in requests))

    assert {response.status for response in virtual(main())} == {200}
    assert most_later <= 2


def test_every_collision_halves_how_many_go_together_and_no_other_target_is_slowed(virtual):
    """Sixteen at once collide, then eight, then four; two get on with each other. To be throttled is no collision."""
    clock, together, flying = VirtualClock(), [], dict.fromkeys("gh", 0)

    class Directory:
        async def send(self, request):
            group = request.path[-1]
            flying[group] += 1
            crowd = flying[group]
            together.append((group, crowd))
            await clock.sleep(1)
            flying[group] -= 1
            if crowd <= 2:
                return OK
            return Response(409, {}, CONCURRENCY) if group == "g" else throttled("1")

    retry = Retry(Directory(), clock, chance=random.Random(1))

    async def send(group, count):
        requests = [patch(path=f"/groups/{group}", commutative=True) for _ in range(count)]
        together.clear()
        answers = await asyncio.gather(*(retry.send(request) for request in requests))
        assert {response.status for response in answers} == {200}
        return max(crowd for _, crowd in together)

    async def main():
        return [await send(group, count) for group, count in [("g", 16), ("g", 30), ("h", 30), ("h", 30)]]

    first, later, *elsewhere = virtual(main())
    assert (first, elsewhere) == (16, [30, 30])
    assert later <= 2
