"""``POST /$batch`` by code that packs its own: each part is counted, paced, repeated and answered by itself."""

from __future__ import annotations

import asyncio
import base64
import json

import httpx
import pytest

from graphkit.errors import (
    AuthError,
    Blocked,
    ConnectionFailed,
    DeadlineReached,
    OutcomeUnknown,
    Parked,
    UntrustedDestination,
    UsageError,
)
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.message import Response
from graphkit.transport.adapter import ChainTransport

ROOT = "https://graph.microsoft.com"


def get(number, **more):
    return {"id": str(number), "method": "GET", "url": f"/users/{number}", **more}


def create(number, **more):
    body = {"mailNickname": f"g{number}"}
    return {
        "id": str(number),
        "method": "POST",
        "url": "/groups",
        "headers": {"Content-Type": "application/json"},
        "body": body,
        **more,
    }


async def post(stage, *parts, url=f"{ROOT}/v1.0/$batch"):
    async with httpx.AsyncClient(transport=ChainTransport(stage, graph_root=ROOT)) as client:
        answer = await client.post(url, json={"requests": parts})
    return answer.status_code, answer.json()


async def by_id(stage, *parts):
    _, document = await post(stage, *parts)
    return {answer["id"]: answer for answer in document["responses"]}


def test_each_part_gets_its_own_answer_under_its_own_id(virtual, connected, far_end):
    end = far_end()
    chain, _ = connected(end)
    status, document = virtual(post(chain, *(get(number) for number in "cab")))
    assert status == 200
    assert [(each["id"], each["status"], each["body"]) for each in document["responses"]] == [
        (each, 200, {"id": f"/users/{each}"}) for each in "cab"
    ]
    assert document["responses"][0]["headers"]["Content-Type"] == "application/json"
    assert len(end.calls) == 1


def test_its_parts_are_repeated_one_by_one(virtual, connected, far_end):
    """SDKs post the whole batch again (msgraph-sdk-dotnet issue 1759)."""
    refused = []

    def answer(arrival):
        if arrival.path == "/users/3" and len(refused) < 2:
            refused.append(arrival.time)
            return 429, {"Retry-After": "10"}, {"error": {"code": "TooManyRequests"}}
        return 200, {}, {"id": arrival.path}

    end = far_end(answer)
    chain, _ = connected(end)
    answers = virtual(by_id(chain, *(get(number) for number in range(20))))
    assert {answer["status"] for answer in answers.values()} == {200}
    assert end.count("/users/3") == 3
    assert sum(end.count(f"/users/{number}") for number in range(20)) == 22
    assert chain.throttled == 2


def test_its_parts_are_counted_like_any_other_write(virtual, connected, far_end):
    end = far_end(lambda arrival: (201, {}, {"id": "1"}))
    chain, _ = connected(end, budget=WriteBudget(creates=2))
    answers = virtual(by_id(chain, *(create(number) for number in range(3)), get("x")))
    assert sorted(answer["status"] for answer in answers.values()) == [201, 201, 201, 403]
    (blocked,) = [answer for answer in answers.values() if answer["status"] == 403]
    assert blocked["body"]["error"]["code"] == "blocked"
    assert len([arrival for arrival in end.arrivals if arrival.method == "POST"]) == 2


def test_a_create_whose_answer_is_lost_is_not_repeated(virtual, connected, far_end):
    end = far_end(lambda arrival: (504, {}, None) if arrival.method == "POST" else (200, {}, {}))
    chain, _ = connected(end)
    answers = virtual(by_id(chain, create(1), get(2)))
    assert answers["1"]["status"] == 504
    assert answers["1"]["body"]["error"]["code"] == "outcome-unknown"
    assert answers["2"]["status"] == 200
    assert end.count("/groups") == 1


def test_parts_that_depend_on_others_come_after_them(virtual, connected, far_end):
    end = far_end()
    chain, _ = connected(end)
    parts = [get("c", dependsOn=["b"]), get("b", dependsOn=["A"]), get("a"), get("free")]
    assert len(virtual(by_id(chain, *parts))) == 4
    order = [arrival.path.rpartition("/")[2] for arrival in end.arrivals]
    assert order.index("a") < order.index("b") < order.index("c")
    assert order.index("free") < order.index("b")


def test_parts_whose_parent_failed_are_not_sent(virtual, connected, far_end):
    end = far_end(lambda arrival: (404 if arrival.path == "/users/a" else 200, {}, {}))
    chain, _ = connected(end)
    answers = virtual(by_id(chain, get("a"), get("b", dependsOn=["a"]), get("c", dependsOn=["b"]), get("d")))
    assert {key: answer["status"] for key, answer in answers.items()} == {"a": 404, "b": 424, "c": 424, "d": 200}
    assert answers["c"]["body"]["error"]["code"] == "FailedDependency"
    assert {arrival.path for arrival in end.arrivals} == {"/users/a", "/users/d"}


def test_a_link_to_a_further_page_is_asked_for_byte_for_byte(virtual, script):
    link = f"{ROOT}/v1.0/users?$skiptoken=a+b%7B"
    stage = script(Response(200, {}, b'{"value": []}'))
    virtual(post(stage, get(1, url=link), get(2, url="/users?$skiptoken=x")))
    assert [request.path for request in stage.requests] == [link, "/users?$skiptoken=x"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ConnectionFailed("no route"), 503, "connection-failed"),
        (OutcomeUnknown("lost"), 504, "outcome-unknown"),
        (OutcomeUnknown("lost", status=500), 500, "outcome-unknown"),
        (Blocked(["read only"]), 403, "blocked"),
        (AuthError("no token"), 401, "authentication"),
        (UsageError("odd"), 400, "usage"),
        (DeadlineReached("late"), 503, "deadline"),
    ],
)
def test_what_goes_wrong_with_one_part_is_its_own_answer(virtual, script, error, status, code):
    stage = script(lambda request: error if request.path == "/users/1" else Response(200, {}, b"{}"))
    answers = virtual(by_id(stage, get(1), get(2)))
    assert (answers["1"]["status"], answers["1"]["body"]["error"]["code"]) == (status, code)
    assert answers["2"]["status"] == 200


def test_a_part_that_has_to_wait_long_says_how_long(virtual, script):
    stage = script(Parked("busy", seconds=86400.5))
    answers = virtual(by_id(stage, get(1)))
    assert (answers["1"]["status"], answers["1"]["headers"]["Retry-After"]) == (429, "86401")


def test_a_challenge_inside_is_not_passed_on(virtual, script):
    stage = script(Response(401, {"www-authenticate": "Bearer"}, b"{}"))
    assert "www-authenticate" not in virtual(by_id(stage, get(1)))["1"]["headers"]


def test_credentials_of_the_packer_are_not_passed_on(virtual, script):
    stage = script(Response(200, {}, b"{}"))
    headers = {"Authorization": "Bearer stolen", "ConsistencyLevel": "eventual", "Host": "evil.example"}
    virtual(post(stage, get(1, headers=headers)))
    assert stage.requests[0].headers == {"consistencylevel": "eventual"}


def test_binary_bodies_travel_as_base64(virtual, script):
    stage = script(Response(200, {"content-type": "image/jpeg"}, b"\xff\xd8"))
    photo = {
        "id": "1",
        "method": "PUT",
        "url": "/me/photo/$value",
        "headers": {"Content-Type": "image/jpeg"},
        "body": base64.b64encode(b"\xff\xd8\xff").decode(),
    }
    answers = virtual(by_id(stage, photo))
    assert stage.requests[0].body == b"\xff\xd8\xff"
    assert base64.b64decode(answers["1"]["body"]) == b"\xff\xd8"


@pytest.mark.parametrize("parts", [[], [get(number) for number in range(21)], [get(1), get(1)], [{"id": "1"}]])
def test_what_the_service_would_refuse_is_refused_as_it_would(virtual, script, parts):
    stage = script(Response(200, {}))
    status, document = virtual(post(stage, *parts))
    assert (status, document["error"]["code"]) == (400, "BadRequest")
    assert stage.requests == []


def test_a_batch_in_a_batch_is_refused(virtual, connected, far_end):
    end = far_end()
    chain, _ = connected(end)
    answers = virtual(by_id(chain, get(1), {"id": "2", "method": "POST", "url": "/$batch", "body": {"requests": []}}))
    assert {key: answer["status"] for key, answer in answers.items()} == {"1": 200, "2": 400}


@pytest.mark.parametrize("url", ["https://evil.example/v1.0/users", "//evil.example/users"])
def test_a_part_that_leads_elsewhere_stops_all(virtual, connected, far_end, url):
    end = far_end()
    chain, _ = connected(end)
    with pytest.raises(UntrustedDestination):
        virtual(post(chain, get(1), get(2, url=url)))
    assert end.calls == []


def test_a_packer_who_gives_up_leaves_nothing_running(virtual, connected, far_end):
    chain, _ = connected(far_end(latency=60))

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(post(chain, *(get(number) for number in range(20))), 1)
        await chain.aclose()
        return len(asyncio.all_tasks())

    assert virtual(main()) <= 2


def test_many_batches_at_once_are_full_ones_on_the_wire(virtual, connected, far_end):
    end = far_end()
    chain, _ = connected(end)

    async def main():
        return await asyncio.gather(*(post(chain, get(f"{number}-a"), get(f"{number}-b")) for number in range(50)))

    assert len(virtual(main())) == 50
    assert len(end.calls) <= 6
    assert max(len(json.loads(call.content)["requests"]) for call in end.calls) == 20
