"""What a caller gives at once travels together where it can, and each of it ends as if it had been given alone."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import httpx
import pytest

from graphkit import clock
from graphkit.errors import Blocked, DeadlineReached, OutcomeUnknown, Parked, UntrustedDestination
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.message import Effect, Idempotency, Request, Response
from graphkit.transport.retry import Retry


def patch(number, path="/users/u{}", **how):
    how = {"body": b'{"n": %d}' % number, "idempotency": Idempotency.CONVERGENT, **how}
    return Request(method="PATCH", path=path.format(number), **how)


def test_a_thousand_writes_are_fifty_calls(virtual, connected, far_end):
    end = far_end()
    _, client = connected(end, quota_share=1.0)
    answers = virtual(client.batch([patch(number) for number in range(1000)]))
    assert [answer.json()["id"] for answer in answers] == [f"/users/u{number}" for number in range(1000)]
    assert len(end.calls) == 50


def test_nothing_given_is_nothing_sent(virtual, connected, far_end):
    end = far_end()
    _, client = connected(end)
    assert virtual(client.batch([])) == []
    assert end.calls == []


@pytest.mark.parametrize(
    "paths",
    [
        ["/users/a"] * 3,
        ["/users/a", "/users/a/presence/setPresence", "/users/a"],
        ["/users/b", "/users/a/presence/setPresence", "/users/a"],
        ["/users/a/presence/setPresence", "/users/b", "/users/a", "/users/b"],
        [f"/users/{number}" for number in range(25)] + ["/users/3", "/users/24", "/users/3"],
    ],
    ids=["one service", "two services", "the second first", "in turns", "in later batches"],
)
def test_writes_to_one_object_go_in_the_order_given_one_at_a_time(virtual, connected, far_end, paths):
    end = far_end(lambda arrival: (204, {}, None), latency=0.2)
    _, client = connected(end)
    requests = [patch(number, path, body=b'{"order": %d}' % number) for number, path in enumerate(paths)]
    assert {each.status for each in virtual(client.batch(requests))} == {204}
    for user in {path.split("/")[2] for path in paths}:
        own = [arrival for arrival in end.arrivals if arrival.path.split("/")[2] == user]
        assert [arrival.body["order"] for arrival in own] == sorted(arrival.body["order"] for arrival in own)
        assert all(later.time >= earlier.time + 0.2 for earlier, later in pairwise(own))


def test_what_may_not_leave_is_told_in_its_place_and_the_others_go(virtual, connected, far_end):
    end = far_end()
    chain, client = connected(end, budget=WriteBudget(updates=3))
    elsewhere = Request(method="GET", path="https://elsewhere.example/v1.0/users")
    answers = virtual(client.batch([patch(0), elsewhere, patch(1), patch(2), patch(3), patch(4)]))
    assert [type(answer) for answer in answers] == [
        Response,
        UntrustedDestination,
        Response,
        Response,
        Blocked,
        Blocked,
    ]
    assert sorted(arrival.path for arrival in end.arrivals) == ["/users/u0", "/users/u1", "/users/u2"]
    assert chain.budget.updates == 0


def test_what_was_refused_is_given_back_to_the_budget_and_what_is_unknown_is_not(virtual, connected, far_end):
    replies = {"/users/u0": 204, "/users/u1": 403, "/users/u2": 500}
    end = far_end(lambda arrival: (replies[arrival.path], {}, None))
    chain, client = connected(end, budget=WriteBudget(updates=3))
    once = [patch(number, idempotency=Idempotency.ONCE, effect=Effect(updates=1)) for number in range(3)]
    answers = virtual(client.batch(once))
    assert [getattr(answer, "status", None) for answer in answers[:2]] == [204, 403]
    assert isinstance(answers[2], OutcomeUnknown)
    assert chain.budget.updates == 1


def test_one_that_has_to_be_repeated_holds_up_no_other_object(virtual, connected, far_end):
    """Its brothers are answered, and their objects free for the next write, while it waits."""
    refusals = iter([True])

    def answer(arrival):
        if arrival.path == "/users/u0" and next(refusals, False):
            return 503, {"Retry-After": "100"}, None
        return 204, {}, None

    end = far_end(answer)
    _, client = connected(end)

    async def main():
        first = asyncio.create_task(client.batch([patch(number, version="beta") for number in range(20)]))
        await clock.VirtualClock().sleep(1)
        begun = clock.VirtualClock().monotonic()
        # Another service of the same objects: the first bucket is closed by now.
        await client.send(patch(1, "/users/u{}/presence/setPresence"))
        taken = clock.VirtualClock().monotonic() - begun
        return taken, await first

    taken, answers = virtual(main())
    assert taken < 10
    assert {each.status for each in answers} == {204}
    assert end.count("/users/u0") == 2


def test_a_caller_who_gives_up_leaves_every_object_free_and_nothing_queued_is_sent(virtual, connected, far_end):
    end = far_end()
    _, client = connected(end, slots=1)

    async def main():
        given = asyncio.create_task(client.batch([patch(number) for number in range(100)]))
        await clock.VirtualClock().sleep(0.1)
        given.cancel()
        await asyncio.wait([given])
        sent = len(end.arrivals)
        await clock.VirtualClock().sleep(60)
        assert len(end.arrivals) == sent < 100
        return await client.batch([patch(number) for number in range(100)])

    assert [answer.status for answer in virtual(main())] == [200] * 100


def test_a_sentry_is_asked_about_every_write(virtual, connected, far_end):
    class Sentry:
        async def send(self, request, send):
            asked.append(request.path)
            if request.path == "/users/u1":
                raise Blocked(["not this one"])
            return await send(request)

    asked, end = [], far_end()
    chain, client = connected(end)
    chain.sentry = Sentry()
    answers = virtual(client.batch([patch(number) for number in range(3)]))
    assert sorted(asked) == ["/users/u0", "/users/u1", "/users/u2"]
    assert [type(answer) for answer in answers] == [Response, Blocked, Response]
    assert [arrival.path for arrival in end.arrivals] == ["/users/u0", "/users/u2"]


@pytest.mark.parametrize("cut", [1, 2, 3], ids=["in three calls", "in two", "in one"])
def test_a_write_that_may_share_its_object_overtakes_none_that_may_not(virtual, connected, far_end, cut):
    """Added, replaced, added: the second add is for what the object will be then."""
    end = far_end(lambda arrival: (204, {}, None))
    _, client = connected(end)
    adds = [patch(number, "/groups/g", body=b'{"order": %d}' % number, commutative=True) for number in range(3)]
    adds[1].commutative = False
    calls = [adds[begin : begin + cut] for begin in range(0, 3, cut)]

    async def main():
        return await asyncio.gather(*map(client.batch, calls))

    virtual(main())
    assert [arrival.body["order"] for arrival in end.arrivals] == [0, 1, 2]
    assert all(later.time >= earlier.time + 0.2 for earlier, later in pairwise(end.arrivals))


@pytest.mark.parametrize("units", ["0", "inf", "3"])
def test_the_service_may_say_what_it_likes_of_what_a_call_cost(virtual, connected, far_end, units):
    end = far_end(lambda arrival: (200, {"x-ms-resource-unit": units}, {}))
    _, client = connected(end)

    async def main():
        return [await client.batch([get(number) for number in range(25)]) for _ in range(3)]

    assert {answer.status for answers in virtual(main()) for answer in answers} == {200}


def get(number, path="/users/u{}"):
    return Request(method="GET", path=path.format(number))


def closing_writes(seconds):
    """A service that refuses the first write, and with it all others for so long."""

    def answer(arrival):
        if arrival.method == "GET" or arrival.time > 100:
            return 200, {}, {"id": arrival.path}
        named = {"x-ms-throttle-scope": "Tenant_Application/Write/app/tenant"}
        return 429, {"Retry-After": str(seconds), **named}, None

    return answer


def test_a_bucket_that_is_closed_for_long_parks_none_that_is_not_charged_to_it(virtual, connected, far_end):
    _, client = connected(far_end(closing_writes(7200)))

    async def main():
        first = await client.batch([patch(0)])
        return first + await client.batch([get(1), patch(2), get(3)])

    assert [type(answer) for answer in virtual(main())] == [Parked, Response, Parked, Response]


def test_a_bucket_that_is_stopped_holds_up_none_that_is_not_charged_to_it(virtual, connected, far_end):
    end = far_end(closing_writes(300))
    _, client = connected(end)

    async def main():
        first = asyncio.create_task(client.batch([patch(0)]))
        await clock.VirtualClock().sleep(1)
        return [*await client.batch([get(1), patch(2), get(3)]), *await first]

    assert {answer.status for answer in virtual(main())} == {200}
    assert all(arrival.time < 5 for arrival in end.arrivals if arrival.method == "GET")


def test_before_a_deadline_as_many_go_as_there_is_room_for(virtual, connected, far_end):
    """Not only as many as are whole batches."""
    end = far_end()
    chain, client = connected(end, quota_share=1.0)  # sixty at once, then twenty a second
    chain.deadline = 0.5
    answers = virtual(client.batch([patch(number) for number in range(100)]))
    kinds = [type(answer) for answer in answers]
    assert set(kinds) == {Response, DeadlineReached}
    assert 68 <= kinds.count(Response) == len(end.arrivals) <= 72
    assert max(arrival.time for arrival in end.arrivals) <= 0.5


def test_closing_ends_every_wait_and_nothing_that_had_to_wait_is_sent(virtual, connected, far_end):
    """In the queue of a quota, of an object, of a place on the wire, and at the moment of leaving."""
    end = far_end()
    chain, client = connected(end, slots=1, quota_share=0.1)
    requests = [patch(number % 90, version=("v1.0", "beta")[number % 2]) for number in range(100)]

    async def main(steps):
        given = asyncio.create_task(client.batch(requests))
        for _ in range(steps):
            await asyncio.sleep(0)
        sent = len(end.arrivals)
        await chain.aclose()
        await asyncio.wait([given], timeout=600)
        assert given.done()
        assert len(end.arrivals) == sent
        return given

    for steps in range(12):
        chain, client = connected(end, slots=1, quota_share=0.1)
        assert virtual(main(steps)).cancelled()


def test_a_fault_of_ours_is_told_to_everybody_and_leaves_every_object_free(virtual, script):
    class Faulty(script):
        async def send_batch(self, requests):
            if requests[0].version == "beta":
                raise ZeroDivisionError
            return await super().send_batch(requests)

    async def main():
        retry = Retry(Faulty(Response(204, {}), latency=1), clock.VirtualClock())
        first = await retry.batch([patch(1, version="beta"), patch(2), patch(3, version="beta"), patch(2)])
        return first, await retry.batch([patch(number) for number in range(1, 4)])

    first, second = virtual(main())
    assert [type(answer) for answer in first] == [ZeroDivisionError, Response, ZeroDivisionError, Response]
    assert [answer.status for answer in second] == [204] * 3


@pytest.mark.parametrize("status", [400, 405])
def test_a_caller_who_gives_up_where_no_batch_is_taken_sends_nothing_more(virtual, connected, far_end, status):
    """They go one after the other then, and those that have not left yet need not."""
    end = far_end(outer=lambda call, items: httpx.Response(status, json={}))
    _, client = connected(end, slots=1)

    async def main():
        given = asyncio.create_task(client.batch([patch(number) for number in range(20)]))
        await clock.VirtualClock().sleep(1.1)
        given.cancel()
        await asyncio.wait([given])
        sent = len(end.arrivals)
        await clock.VirtualClock().sleep(60)
        return sent, len(end.arrivals)

    sent, in_the_end = virtual(main())
    assert 0 < sent == in_the_end < 20
