from __future__ import annotations

from contextlib import suppress

import pytest

from graphkit.errors import Blocked, ConnectionFailed, OutcomeUnknown, Parked, UntrustedDestination, UsageError
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.message import Effect, Request, Response
from graphkit.transport.guard import Guard

ROOT = "https://graph.microsoft.com"

ELSEWHERE = [
    "https://evil.example/v1.0/users",
    "https://graph.microsoft.com@evil.example/v1.0/users",
    "https://graph.microsoft.com.evil.example/v1.0/users",
    "http://graph.microsoft.com/v1.0/users",
    "https://graph.microsoft.com:8443/v1.0/users",
    "https://graph.microsoft.us/v1.0/users",
    "https://graph.microsoft.com./v1.0/users",
    "https://graph.xn--microsft-03a.com/v1.0/users",
    "https:graph.microsoft.com/v1.0/users",
    "//evil.example/v1.0/users",
    "file:///etc/passwd",
    "users",
    "",
]

NOT_WHAT_IT_SEEMS = [
    "/users/../groups",
    "/users/%2e%2e/groups",
    "/users/.%2E/groups",
    "/users/a b",
    "/users/a\r\nb",
    "/users/ü",
    "/users/\0",
    "/$batch",
    "https://graph.microsoft.com/v1.0/../beta/users",
]


def guarded(stage, budget=None, root=ROOT):
    return Guard(stage, graph_root=root, budget=budget or WriteBudget.unlimited())


@pytest.mark.parametrize("path", ELSEWHERE)
def test_nothing_leaves_for_another_place(script, virtual, path):
    stage = script(Response(200, {}))
    with pytest.raises(UntrustedDestination):
        virtual(guarded(stage).send(Request(method="GET", path=path)))
    assert stage.requests == []


@pytest.mark.parametrize("path", NOT_WHAT_IT_SEEMS)
def test_an_address_that_is_not_what_it_seems_is_refused(script, virtual, path):
    stage = script(Response(200, {}))
    with pytest.raises(UsageError):
        virtual(guarded(stage).send(Request(method="GET", path=path)))
    assert stage.requests == []


@pytest.mark.parametrize("path", [*ELSEWHERE, *NOT_WHAT_IT_SEEMS, "/users/a /b", "/users/a /b c"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_among_others_only_it_is_refused(connected, far_end, virtual, path, place):
    end = far_end()
    paths = ["/users/a", "/groups/b"]
    paths.insert(place, path)
    _, client = connected(end)
    answers = virtual(client.batch([Request(method="GET", path=each) for each in paths]))
    refused = [isinstance(answer, UntrustedDestination | UsageError) for answer in answers]
    assert refused == [each == path for each in paths]


@pytest.mark.parametrize(
    ("root", "path"),
    [
        (ROOT, "https://graph.microsoft.com/v1.0/users?$skiptoken=a..b"),
        (ROOT, "/users?$filter=name%20eq%20'..%2F'"),
        (ROOT, "/users/a..b"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1.0/users?$skiptoken=x"),
    ],
)
def test_what_belongs_to_the_cloud_passes(script, virtual, root, path):
    stage = script(Response(200, {}))
    assert virtual(guarded(stage, root=root).send(Request(method="GET", path=path))).status == 200


def test_a_loopback_target_is_exactly_one_port(script, virtual):
    stage = script(Response(200, {}))
    with pytest.raises(UntrustedDestination):
        virtual(guarded(stage, root="http://127.0.0.1:8080").send(Request(method="GET", path="http://127.0.0.1:80/x")))


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("effect", [None, Effect()])
def test_read_only_lets_no_write_out(script, virtual, method, effect):
    stage = script(Response(204, {}))
    with pytest.raises(Blocked):
        virtual(guarded(stage, WriteBudget.read_only()).send(Request(method=method, path="/users/u1", effect=effect)))
    assert stage.requests == []


@pytest.mark.parametrize(("method", "path"), [("GET", "/users"), ("POST", "/directoryObjects/getByIds")])
def test_read_only_lets_reads_out(script, virtual, method, path):
    stage = script(Response(200, {}))
    virtual(guarded(stage, WriteBudget.read_only()).send(Request(method=method, path=path)))
    assert len(stage.requests) == 1


def test_the_budget_counts_a_request_once_and_then_stops(script, virtual):
    budget = WriteBudget(updates=2)
    stage = script(Response(204, {}))
    guard = guarded(stage, budget)

    async def main():
        for _ in range(2):
            await guard.send(Request(method="PATCH", path="/users/u1"))
        with pytest.raises(Blocked):
            await guard.send(Request(method="PATCH", path="/users/u1"))

    virtual(main())
    assert (len(stage.requests), budget.updates) == (2, 0)


@pytest.mark.parametrize(
    ("answer", "left"),
    [
        (Response(204, {}), 0),
        (Response(400, {}), 1),
        (Response(404, {}), 1),
        (Response(429, {}), 1),
        (Response(500, {}), 0),
        (ConnectionFailed("no route"), 1),
        (Parked("wait", seconds=9e9), 1),
        (OutcomeUnknown("lost"), 0),
    ],
)
def test_only_what_was_surely_not_executed_is_refunded(script, virtual, answer, left):
    budget = WriteBudget(updates=1)

    async def main():
        with suppress(ConnectionFailed, Parked, OutcomeUnknown):
            await guarded(script(answer), budget).send(Request(method="PATCH", path="/users/u1"))

    virtual(main())
    assert budget.updates == left
