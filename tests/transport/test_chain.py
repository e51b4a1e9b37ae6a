"""The whole chain against a service that counts: the faults of the peers must not be ours."""

from __future__ import annotations

import asyncio
import random

import httpx
import pytest
import respx

from graphkit import clock
from graphkit.client import GraphClient
from graphkit.errors import Blocked, DeadlineReached, OutcomeUnknown, Parked
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.clouds import CLOUDS
from graphkit.protocol.message import Idempotency, Request
from graphkit.transport.chain import build_chain
from graphkit.transport.network import make_wire

CONVERGENT, KEYED = Idempotency.CONVERGENT, Idempotency.KEYED


def patches(count, idempotency=CONVERGENT):
    return [
        Request(method="PATCH", path=f"/users/u{number}", body=b"{}", idempotency=idempotency)
        for number in range(count)
    ]


def creates(count):
    return [
        Request(method="POST", path="/groups", body=b'{"mailNickname": "g%d"}' % number, idempotency=KEYED)
        for number in range(count)
    ]


def test_a_throttled_item_alone_is_sent_again(virtual, connected, far_end):
    """msgraph-sdk posts the whole batch again after an inner 429, and with it what had succeeded."""
    refused = set()

    def answer(arrival):
        if arrival.path in {"/users/u3", "/users/u7"} and arrival.path not in refused:
            refused.add(arrival.path)
            return 429, {"Retry-After": "2"}, {"error": {"code": "TooManyRequests"}}
        return 204, {}, None

    end = far_end(answer)
    _, client = connected(end)
    answers = virtual(client.batch(patches(20)))
    assert {each.status for each in answers} == {204}
    assert [end.count(f"/users/u{number}") for number in range(20)] == [2 if n in (3, 7) else 1 for n in range(20)]
    assert min(arrival.time for arrival in end.arrivals[20:]) >= 2


@pytest.mark.parametrize("committed", [0, 1, 19, 20])
@pytest.mark.parametrize("failure", [504, 500, httpx.ReadTimeout("too slow"), httpx.RemoteProtocolError("cut")])
def test_a_batch_lost_half_way_repeats_no_create(virtual, connected, far_end, committed, failure):
    log = []

    def outer(call, items):
        log.extend(item["body"]["mailNickname"] for item in items[:committed])
        return failure if isinstance(failure, Exception) else httpx.Response(failure)

    end = far_end(outer=outer)
    _, client = connected(end)
    answers = virtual(client.batch(creates(20)))
    assert {type(each) for each in answers} == {OutcomeUnknown}
    assert len(log) == len(set(log)) == committed


MISHAPS = {
    "GOAWAY": httpx.RemoteProtocolError("<ConnectionTerminated error_code:0, last_stream_id:1>"),
    "reset": httpx.ReadError("reset"),
    "timeout": httpx.ReadTimeout("too slow"),
    "truncated": httpx.Response(200, headers={"content-type": "application/json"}, content=b'{"responses": [{"id"'),
    "not JSON": httpx.Response(200, headers={"content-type": "application/json"}, content=b"<Error/>"),
    "web page": httpx.Response(200, headers={"content-type": "text/html"}, content=b"<html>Sign in</html>"),
    "bad gateway": httpx.Response(502, headers={"content-type": "text/html"}, content=b"<html>502</html>"),
}


@pytest.mark.parametrize("mishap", MISHAPS.values(), ids=list(MISHAPS))
def test_whatever_becomes_of_an_answer_reads_are_repeated_and_creates_are_not(virtual, connected, far_end, mishap):
    """An answer of the far end is read once; the next call is answered as it should be."""
    end = far_end(outer=lambda call, items: mishap if call == 1 else None)
    _, client = connected(end)
    reads = [Request(method="GET", path=f"/users/u{number}") for number in range(5)]
    answers = virtual(client.batch([*creates(5), *reads]))
    assert {type(each) for each in answers[:5]} == {OutcomeUnknown}
    assert [each.status for each in answers[5:]] == [200] * 5
    assert not [arrival for arrival in end.arrivals if arrival.method == "POST"]


def test_a_batch_lost_half_way_repeats_what_is_convergent(virtual, connected, far_end):
    end = far_end(lambda arrival: (204, {}, None), outer=lambda call, items: httpx.Response(504) if call == 1 else None)
    _, client = connected(end)
    answers = virtual(client.batch(patches(20)))
    assert {each.status for each in answers} == {204}
    assert {end.count(f"/users/u{number}") for number in range(20)} == {1}


def test_a_missing_answer_is_asked_for_again_or_unknown(virtual, connected, far_end):
    def outer(call, items):
        if call > 1:
            return None
        return httpx.Response(200, json={"responses": [{"id": item["id"], "status": 204} for item in items[1:]]})

    _, client = connected(far_end(lambda arrival: (204, {}, None), outer=outer))
    mixed = [*patches(1), *creates(1), *patches(3)]
    answers = virtual(client.batch(mixed))
    assert [each.status for each in answers] == [204] * 5
    _, client = connected(far_end(lambda arrival: (204, {}, None), outer=outer))
    answers = virtual(client.batch([*creates(1), *patches(3)]))
    assert isinstance(answers[0], OutcomeUnknown)


def test_an_endless_503_ends_for_everyone(virtual, connected, far_end):
    end = far_end(lambda arrival: (503, {}, {"error": {"code": "ServiceUnavailable"}}))
    _, client = connected(end)
    answers = virtual(client.batch([Request(method="GET", path=f"/users/u{number}") for number in range(40)]))
    assert {each.status for each in answers} == {503}
    assert len(end.arrivals) == 40 * 8


@pytest.mark.parametrize("after", ["0.249", "1.5", "0", "-3", "", "never", "Mon, 05 Jan 2026 09:00:01 GMT"])
def test_no_form_of_retry_after_crashes_or_spins(virtual, connected, far_end, after):
    """msgraph-sdk dies of a decimal Retry-After: microsoftgraph/microsoft-graph-docs issue 3877."""
    refusals = []

    def answer(arrival):
        if len(refusals) < 4:
            refusals.append(arrival.path)
            return 429, {"Retry-After": after}, None
        return 204, {}, None

    end = far_end(answer)
    chain, client = connected(end)
    answers = virtual(client.batch(patches(3)))
    assert {each.status for each in answers} == {204}
    assert len(end.arrivals) <= 3 + 4
    assert chain.throttled == 4


def test_a_storm_of_throttling_loses_nothing_and_wastes_little(virtual, connected, far_end):
    """Kiota's retries make 800 requests of 200 reads, and none succeeds."""
    arrived = []

    def answer(arrival):
        arrived.append(arrival.time)
        inside = sum(time > arrival.time - 10 for time in arrived)
        return (429, {"Retry-After": "10"}, None) if inside > 40 else (200, {}, {})

    end = far_end(answer)
    _, client = connected(end)
    answers = virtual(client.batch([Request(method="GET", path=f"/users/u{number}") for number in range(200)]))
    assert {each.status for each in answers} == {200}
    assert len(end.arrivals) < 200 * 8


def test_a_day_long_wait_parks_one_service_and_lets_the_other_finish(virtual, connected, far_end):
    def answer(arrival):
        return (429, {"Retry-After": "86400"}, None) if "device" in arrival.path else (204, {}, None)

    _, client = connected(far_end(answer))
    intune = [Request(method="GET", path=f"/deviceManagement/managedDevices/{number}") for number in range(5)]
    answers = virtual(client.batch([*intune, *patches(100)]))
    assert {type(each) for each in answers[:5]} == {Parked}
    assert {each.status for each in answers[5:]} == {204}


def test_no_request_leaves_before_a_stated_wait_ends_not_even_one_let_through_before(virtual, connected, far_end):
    """One call at a time, two seconds each: hundreds stand between the governor and the wire when the refusal comes."""

    def answer(arrival):
        refused = arrival.path == "/users/u0" and arrival.time < 1
        headers = {"Retry-After": "60", "x-ms-throttle-scope": "Tenant_Application/ReadWrite/app/tenant"}
        return (429, headers, None) if refused else (200, {}, {})

    end = far_end(answer, latency=2.0)
    chain, client = connected(end, slots=1)
    answers = virtual(client.batch([Request(method="GET", path=f"/users/u{number}") for number in range(400)]))
    assert {each.status for each in answers} == {200}
    assert chain.throttled == 1
    assert len(end.arrivals) == 401
    assert [arrival.time for arrival in end.arrivals if 0 < arrival.time < 62] == []


@pytest.mark.parametrize("batches", [True, False])
def test_nothing_leaves_after_the_deadline_not_even_what_was_let_through_before(virtual, connected, far_end, batches):
    end = far_end(outer=None if batches else lambda call, items: httpx.Response(404), latency=2.0)
    chain, client = connected(end, slots=1)
    chain.deadline = 9.0
    answers = virtual(client.batch([Request(method="GET", path=f"/users/u{number}") for number in range(400)]))
    assert max(arrival.time for arrival in end.arrivals) < 9
    late = [each for each in answers if isinstance(each, DeadlineReached)]
    assert len(late) == 400 - len(end.arrivals) > 0
    assert {each.status for each in answers if each not in late} == {200}


def test_whoever_would_be_sent_again_after_the_deadline_is_told_so_at_once(virtual, connected, far_end):
    chain, client = connected(far_end(lambda arrival: (423, {"Retry-After": "300"}, None)))
    chain.deadline = 60.0

    async def main():
        return await client.batch(patches(3)), client.clock.monotonic()

    answers, now = virtual(main())
    assert {type(each) for each in answers} == {DeadlineReached}
    assert now < 1


def test_a_run_may_call_itself_by_name_in_the_middle(virtual, connected, far_end):
    chain, client = connected(end := far_end())

    async def main():
        await client.get("/users/u1")
        chain.user_agent = "graphkit/1 (run r-1)"
        await client.get("/users/u1")

    virtual(main())
    assert [call.headers["user-agent"] for call in end.calls] == ["graphkit", chain.user_agent]
    assert chain.user_agent == "graphkit/1 (run r-1)"


def test_an_expired_token_is_renewed_once_for_everyone(virtual, connected, far_end, tokens):
    def outer(call, items):
        return httpx.Response(401, headers={"WWW-Authenticate": "Bearer"}) if call <= 3 else None

    end = far_end(lambda arrival: (204, {}, None), outer=outer)
    _, client = connected(end)
    answers = virtual(client.batch(patches(42)))
    assert {each.status for each in answers} == {204}
    assert [renew for _, renew in tokens.asked] == [False, True]


def test_an_inner_401_is_renewed_too(virtual, connected, far_end, tokens):
    refused = []

    def answer(arrival):
        if arrival.path == "/users/u1" and not refused:
            refused.append(1)
            return 401, {"WWW-Authenticate": 'Bearer error="insufficient_claims", claims="eyJhIjoxfQ=="'}, None
        return 204, {}, None

    _, client = connected(far_end(answer))
    answers = virtual(client.batch(patches(3)))
    assert {each.status for each in answers} == {204}
    assert tokens.asked == [("", False), ('{"a":1}', True)]


def test_a_token_that_is_revoked_again_is_renewed_again(virtual, connected, far_end, tokens):
    """Each time for an item of a batch, whose answer must tell which token it was asked with."""
    revoked = {"Bearer token-1", "Bearer token-2"}

    class Revoking(far_end):
        async def _answer(self, request):
            self.token = request.headers["authorization"]
            return await super()._answer(request)

    end = Revoking(lambda arrival: (401, {}, None) if end.token in revoked else (204, {}, None))
    _, client = connected(end)

    async def main():
        revoked.discard("Bearer token-2")
        first = await client.batch(patches(3))
        revoked.add("Bearer token-2")
        return [*first, *await client.batch(patches(3))]

    assert {each.status for each in virtual(main())} == {204}
    assert [renew for _, renew in tokens.asked] == [False, True, True]


def test_a_token_that_stays_refused_ends_in_401(virtual, connected, far_end, tokens):
    end = far_end(lambda arrival: (401, {}, {"error": {"code": "InvalidAuthenticationToken"}}))
    _, client = connected(end)
    answers = virtual(client.batch(patches(5)))
    assert {each.status for each in answers} == {401}
    assert len(end.arrivals) == 10


def test_a_request_is_counted_once_however_often_it_is_sent(virtual, connected, far_end):
    failures = [429, 500, 503]

    def answer(arrival):
        return (failures.pop(), {}, None) if failures else (204, {}, None)

    chain, client = connected(far_end(answer), budget=WriteBudget(updates=1))
    (first,) = virtual(client.batch(patches(1)))
    assert (first.status, first.attempts, chain.budget.updates) == (204, 4, 0)
    (second,) = virtual(client.batch(patches(1)))
    assert isinstance(second, Blocked)


def test_planning_cannot_write(virtual, connected, far_end):
    end = far_end()
    chain, client = connected(end, budget=WriteBudget.read_only())
    answers = virtual(client.batch([*patches(3), Request(method="GET", path="/users/u1")]))
    assert [type(each).__name__ for each in answers] == ["Blocked"] * 3 + ["Response"]
    assert [arrival.method for arrival in end.arrivals] == ["GET"]
    chain.budget = WriteBudget(updates=3)
    assert {each.status for each in virtual(client.batch(patches(3)))} == {200}


def test_a_saturated_quota_leaves_the_batches_full_and_the_wire_idle(virtual, connected, far_end):
    end = far_end(lambda arrival: (204, {}, None))
    _, client = connected(end, quota_share=1.0)
    virtual(client.batch(patches(4000)))
    assert len(end.calls) <= 4000 / 20 * 1.1
    assert end.arrivals[-1].time <= 4000 / 3000 * 150 * 1.05
    assert end.most_in_flight <= 8


def test_eight_calls_of_one_service_are_in_flight_and_no_more(virtual, connected, far_end):
    end = far_end(latency=5.0)
    _, client = connected(end)
    virtual(client.batch([Request(method="GET", path=f"/users/u{number}") for number in range(400)]))
    assert end.most_in_flight == 8
    assert len(end.calls) <= 22


@pytest.mark.parametrize("seed", range(8))
def test_random_faults_lose_nothing_and_repeat_no_create(virtual, connected, far_end, seed):
    """Every request ends exactly once, in an answer or as unknown; no create is committed twice."""
    chance, committed = random.Random(seed), []

    def answer(arrival):
        if chance.random() < 0.15:
            return chance.choice([(429, {"Retry-After": "1"}, None), (424, {}, None), (423, {}, None)])
        if arrival.method == "POST":
            committed.append(arrival.body["mailNickname"])
        return (chance.choice([500, 504]), {}, None) if chance.random() < 0.1 else (201, {}, {})

    def outer(call, items):
        return (
            chance.choice([httpx.Response(429, headers={"Retry-After": "2"}), httpx.ConnectError("refused")])
            if (chance.random() < 0.1)
            else None
        )

    _, client = connected(far_end(answer, outer))
    answers = virtual(client.batch([*creates(150), *patches(150)]))
    assert len(answers) == 300
    assert len(committed) == len(set(committed))
    for number, each in enumerate(answers):
        if number < 150:
            assert isinstance(each, OutcomeUnknown) or (each.status == 201 and f"g{number}" in committed)
        else:
            assert each.status == 201


def test_nothing_is_left_running_after_close(virtual, connected, far_end):
    chain, client = connected(far_end())

    async def main():
        work = asyncio.gather(*(client.send(request) for request in patches(500)), return_exceptions=True)
        await clock.VirtualClock().sleep(0.3)
        await chain.aclose()
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await asyncio.sleep(0)
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    assert len(virtual(main())) <= 1


@respx.mock
def test_respx_sees_the_default_wire(tokens):
    route = respx.get("https://graph.microsoft.com/v1.0/users/u1").respond(json={"id": "u1"})

    async def main():
        chain = build_chain(
            make_wire(verify=False),
            cloud=CLOUDS["global"],
            source=Fixed(),
            clock=clock.RealClock(),
            budget=WriteBudget.read_only(),
        )
        found = await GraphClient(chain, cloud=CLOUDS["global"], clock=clock.RealClock()).get("/users/u1")
        await chain.aclose()
        return found

    assert asyncio.run(main()) == {"id": "u1"}
    assert route.calls.last.request.headers["authorization"] == "Bearer fixed"


class Fixed:
    name = "app"

    async def token(self, *, claims="", renew=False):
        from graphkit.protocol.identity import Token

        return Token("fixed", 4e9)
