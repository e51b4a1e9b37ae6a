from __future__ import annotations

import asyncio
import json

import pytest

from graphkit.client import GraphClient
from graphkit.clock import VirtualClock
from graphkit.errors import ConnectionFailed, IncompleteList, OutcomeUnknown, Parked, ServiceError, UsageError
from graphkit.protocol.clouds import CLOUDS
from graphkit.protocol.message import Effect, Idempotency, Request, Response

ROOT = "https://graph.microsoft.com/v1.0"


class Chain:
    """Answers by path; keeps what was asked. A value is a status with a document, or an exception."""

    def __init__(self, answers):
        self.answers = answers
        self.requests = []

    async def send(self, request):
        self.requests.append(request)
        answer = self.answers(request) if callable(self.answers) else self.answers[request.path]
        if isinstance(answer, Exception):
            raise answer
        status, document = answer
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return Response(status, {"content-type": "application/json"}, body if document is not None else b"")


def client(answers):
    chain = Chain(answers)
    return chain, GraphClient(chain, cloud=CLOUDS["global"], clock=VirtualClock())


async def collect(pages):
    return [item async for item in pages]


def page(*ids, link=None, **more):
    document = {"value": [{"id": each} for each in ids], **more}
    return 200, {**document, "@odata.nextLink": link} if link else document


def test_get_decodes_and_passes_what_it_was_given():
    chain, graph = client(lambda request: (200, {"id": "u1"}))
    found = asyncio.run(graph.get("/users/u1", params={"$select": "id"}, headers={"Prefer": "x"}, version="beta"))
    (request,) = chain.requests
    assert found == {"id": "u1"}
    assert (request.method, request.path, request.version) == ("GET", "/users/u1?$select=id", "beta")
    assert request.headers == {"Prefer": "x"}
    assert request.idempotency is Idempotency.READ


def test_parameters_join_a_query_that_is_there():
    chain, graph = client(lambda request: (200, {}))
    asyncio.run(graph.get("/users?$count=true", params={"$select": "id"}))
    assert chain.requests[0].path == "/users?$count=true&$select=id"


@pytest.mark.parametrize("body", [b"8000", b"\xef\xbb\xbf8000"])
def test_a_count_is_a_number(body):
    _, graph = client(lambda request: (200, body))
    assert asyncio.run(graph.get("/users/$count")) == 8000


@pytest.mark.parametrize(
    ("call", "method", "path", "idempotency"),
    [
        (lambda graph: graph.create("/groups", {"a": 1}), "POST", "/groups", "once"),
        (lambda graph: graph.update("/groups/g1", {"a": 1}), "PATCH", "/groups/g1", "once"),
        (lambda graph: graph.delete("/groups/g1"), "DELETE", "/groups/g1", "convergent"),
        (lambda graph: graph.action("/users/u1/assignLicense", {"a": 1}), "POST", "/users/u1/assignLicense", "once"),
        (
            lambda graph: graph.create("/groups", {"a": 1}, idempotency=Idempotency.KEYED),
            "POST",
            "/groups",
            "keyed",
        ),
    ],
)
def test_each_verb_says_how_often_it_may_be_sent(call, method, path, idempotency):
    chain, graph = client(lambda request: (201, {"id": "1"}))
    asyncio.run(call(graph))
    (request,) = chain.requests
    assert (request.method, request.path, request.idempotency) == (method, path, idempotency)
    assert request.body == (None if method == "DELETE" else b'{"a":1}')


def test_a_write_carries_what_its_caller_declares():
    chain, graph = client(lambda request: (204, None))
    effect = Effect(members=20)
    done = asyncio.run(
        graph.update("/groups/g1", b"{}", effect=effect, target="pool", commutative=True, headers={"Prefer": "x"})
    )
    (request,) = chain.requests
    assert done is None
    assert (request.effect, request.target, request.commutative) == (effect, "pool", True)
    assert request.headers == {"Prefer": "x"}


def test_a_batch_gives_answers_and_exceptions_in_order():
    _, graph = client({"/a": (200, {}), "/b": ConnectionFailed("no"), "/c": (404, {})})
    answers = asyncio.run(graph.batch([Request(method="GET", path=path) for path in ("/a", "/b", "/c")]))
    assert [type(each).__name__ for each in answers] == ["Response", "ConnectionFailed", "Response"]
    assert answers[2].status == 404


def test_a_refusal_tells_what_whom_and_what_next():
    problem = {
        "code": "Authorization_RequestDenied",
        "message": "Insufficient privileges to complete the operation.",
        "innerError": {"request-id": "r-1", "date": "2026-01-05T09:00:00"},
    }
    _, graph = client(lambda request: (403, {"error": problem}))
    with pytest.raises(ServiceError) as caught:
        asyncio.run(graph.get("/users/u1", params={"$filter": "secret"}))
    error = caught.value
    assert error.message == (
        "GET /users/u1: 403 Authorization_RequestDenied: "
        "Insufficient privileges to complete the operation. (request-id r-1)"
    )
    assert (error.status, error.service_code, error.request_id) == (403, "Authorization_RequestDenied", "r-1")
    assert (error.date, error.attempts) == ("2026-01-05T09:00:00", 1)
    assert "permissions" in error.hint


def test_an_answer_that_points_elsewhere_says_that_it_is_not_followed():
    _, graph = client(lambda request: (302, None))
    with pytest.raises(ServiceError, match="GET /subscribedSkus: 302") as caught:
        asyncio.run(graph.get("/subscribedSkus"))
    assert "not followed" in caught.value.hint


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"", b"[]", b'{"error": "text"}'])
def test_a_refusal_without_account_is_an_error_all_the_same(body):
    _, graph = client(lambda request: (502, body))
    with pytest.raises(ServiceError, match="GET /users: 502"):
        asyncio.run(graph.get("/users"))


def test_a_list_follows_its_links_with_the_same_headers():
    link = f"{ROOT}/users?$skiptoken=a+b%7B"
    chain, graph = client(lambda request: page("2") if "skiptoken" in request.path else page("1", link=link))
    found = asyncio.run(collect(graph.list("/users", headers={"ConsistencyLevel": "eventual"})))
    assert [item["id"] for item in found] == ["1", "2"]
    assert [request.path for request in chain.requests] == ["/users?$top=999", link]
    assert chain.requests[1].headers == {"ConsistencyLevel": "eventual"}


@pytest.mark.parametrize(
    ("path", "how", "expected"),
    [
        ("/users", {}, "/users?$top=999"),
        ("/groups/g1/members", {}, "/groups/g1/members?$top=999"),
        ("/users", {"page_size": 5}, "/users?$top=5"),
        ("/users", {"params": {"$top": 7}}, "/users?$top=7"),
        ("/users?$top=8", {}, "/users?$top=8"),
        ("/users", {"params": {"$select": "id,signInActivity"}}, "/users?$select=id,signInActivity&$top=500"),
        ("/subscribedSkus", {}, "/subscribedSkus"),
        ("/identity/conditionalAccess/policies", {}, "/identity/conditionalAccess/policies"),
    ],
)
def test_pages_are_as_large_as_the_collection_is_known_to_give(path, how, expected):
    chain, graph = client(lambda request: page())
    asyncio.run(collect(graph.pages(path, **how)))
    assert chain.requests[0].path == expected


def test_a_list_is_read_as_it_is_asked_for():
    chain, graph = client(lambda request: page("1", link=f"{ROOT}/users?$skiptoken={len(chain.requests)}"))

    async def main():
        await anext(aiter(graph.list("/users")))

    asyncio.run(main())
    assert len(chain.requests) == 1


@pytest.mark.parametrize("empty", [0, 1, 2])
def test_an_empty_page_is_no_end(empty):
    """Documented behaviour (microsoft-graph-docs issue 21635) at which the SDKs' iterators lose data."""

    def answer(request):
        number = int(request.path.rpartition("=")[2]) if "skiptoken" in request.path else 0
        ids = [] if number == empty else [f"u{number}"]
        return page(*ids, link=f"{ROOT}/users?$skiptoken={number + 1}" if number < 2 else None)

    _, graph = client(answer)
    assert len(asyncio.run(collect(graph.list("/users")))) == 2


@pytest.mark.parametrize("length", [1, 3])
def test_a_circle_of_links_ends_in_an_error(length):
    """msgraph-sdk's iterator goes round for ever."""

    def answer(request):
        number = int(request.path.rpartition("=")[2]) if "skiptoken" in request.path else 0
        return page(f"u{number}", link=f"{ROOT}/users?$skiptoken={number % length + 1}")

    chain, graph = client(answer)
    with pytest.raises(IncompleteList, match="circle"):
        asyncio.run(collect(graph.list("/users")))
    assert len(chain.requests) == 1 + length + 1  # the way in, the circle, and one page that brings nothing new


def test_an_item_on_two_pages_is_one():
    _, graph = client(
        lambda request: page("2", "3") if "skiptoken" in request.path else page("1", "2", link=f"{ROOT}/u?$skiptoken=1")
    )
    assert [item["id"] for item in asyncio.run(collect(graph.list("/users")))] == ["1", "2", "3"]


def test_items_without_an_id_are_all_kept():
    _, graph = client(lambda request: (200, {"value": [{"a": 1}, {"a": 1}]}))
    assert len(asyncio.run(collect(graph.list("/x")))) == 2


@pytest.mark.parametrize(
    "second",
    [
        (500, {}),
        (404, {}),
        (200, {}),
        (200, b"[]"),
        (200, {"value": None}),
        ConnectionFailed("no route"),
        OutcomeUnknown("cut"),
    ],
)
def test_a_list_that_breaks_off_says_so(second):
    _, graph = client(
        lambda request: second if "skiptoken" in request.path else page("1", link=f"{ROOT}/u?$skiptoken=1")
    )
    seen = []

    async def main():
        async for page in graph.pages("/users"):
            seen.extend(item["id"] for item in page)

    with pytest.raises(IncompleteList, match="incomplete"):
        asyncio.run(main())
    assert seen == ["1"]


def test_a_list_refused_at_once_is_a_refusal():
    _, graph = client(lambda request: (404, {"error": {"code": "Request_ResourceNotFound"}}))
    with pytest.raises(ServiceError) as caught:
        asyncio.run(collect(graph.list("/groups/g1/members")))
    assert caught.value.status == 404


def test_what_stops_a_run_stops_a_list():
    stop = Parked("wait", seconds=1e6)
    _, graph = client(lambda request: stop if "skiptoken" in request.path else page("1", link=f"{ROOT}/u?$skiptoken=1"))
    with pytest.raises(Parked):
        asyncio.run(collect(graph.list("/users")))


@pytest.mark.parametrize("said", [{"id": "u1"}, {"value": 7}, {"value": [{"id": "u1"}, None]}, {"value": [["u1"]]}, []])
def test_a_first_page_that_is_no_collection_is_incomplete(said):
    _, graph = client(lambda request: (200, said))
    with pytest.raises(IncompleteList, match="not a list") as caught:
        asyncio.run(collect(graph.list("/users/u1")))
    assert "collection" in caught.value.hint


def test_without_the_extra_the_sdk_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "msgraph", None)
    monkeypatch.setitem(__import__("sys").modules, "kiota_abstractions.authentication", None)
    _, graph = client({})
    with pytest.raises(UsageError) as caught:
        graph.sdk  # noqa: B018 - a property that imports
    assert "graphkit-m365[sdk]" in caught.value.hint


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"OK", b'{"id": "u1"'])
def test_a_success_that_is_not_json_is_an_error_of_ours_and_leaves_a_write_open(scripted, body):
    _, graph = scripted(lambda request: (200, body))
    with pytest.raises(ServiceError, match=r"GET /users/u1: answered 200 with application/json, which is not JSON"):
        asyncio.run(graph.get("/users/u1?$select=secret"))
    with pytest.raises(OutcomeUnknown, match="POST /groups"):
        asyncio.run(graph.create("/groups", {"displayName": "x"}))
