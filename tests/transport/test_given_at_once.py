"""What a caller gives at once travels together where it can, and each of it ends as if it had been given alone."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from graphkit import clock
from graphkit.errors import Blocked, OutcomeUnknown, UntrustedDestination
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.message import Effect, Idempotency, Request, Response


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
