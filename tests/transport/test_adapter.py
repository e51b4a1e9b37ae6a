from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from graphkit.errors import OutcomeUnknown, UntrustedDestination, UsageError
from graphkit.protocol.message import Idempotency, Response
from graphkit.transport import adapter
from graphkit.transport.adapter import ChainTransport

ROOT = "https://graph.microsoft.com"


async def ask(stage, method="GET", url=f"{ROOT}/v1.0/users?$top=5", **how):
    async with httpx.AsyncClient(transport=ChainTransport(stage, graph_root=ROOT)) as client:
        return await client.request(method, url, **how)


def test_a_request_enters_as_our_own_value(script, virtual):
    stage = script(Response(200, {"content-type": "application/json"}, b'{"a":1}'))
    headers = {
        "ConsistencyLevel": "eventual", "Authorization": "Bearer stolen", "Cookie": "x=1", "client-request-id": "c-1"
    }  # fmt: skip
    answer = virtual(ask(stage, "PATCH", f"{ROOT}/beta/users/u%231?$select=id", json={"b": 2}, headers=headers))
    (request,) = stage.requests
    assert (request.method, request.version, request.path) == ("PATCH", "beta", "/users/u%231?$select=id")
    assert json.loads(request.body) == {"b": 2}
    assert request.headers == {"accept": "*/*", "consistencylevel": "eventual", "content-type": "application/json"}
    assert answer.json() == {"a": 1}


@pytest.mark.parametrize(
    ("method", "expected"),
    [("GET", "read"), ("PUT", "convergent"), ("DELETE", "convergent"), ("PATCH", "once"), ("POST", "once")],
)
def test_the_method_says_what_may_be_repeated(script, virtual, method, expected):
    stage = script(Response(204, {}))
    virtual(ask(stage, method))
    assert stage.requests[0].idempotency is Idempotency(expected)
    assert stage.requests[0].effect is None


def test_a_streamed_body_is_read_before_it_enters(script, virtual):
    async def chunks():
        yield b'{"a":'
        yield b"1}"

    stage = script(Response(204, {}))
    virtual(ask(stage, "POST", content=chunks()))
    assert stage.requests[0].body == b'{"a":1}'
    assert "transfer-encoding" not in stage.requests[0].headers


def test_a_body_that_graph_would_refuse_is_refused_here(script, virtual, monkeypatch):
    monkeypatch.setattr(adapter, "MAX_BODY", 100)
    stage = script(Response(204, {}))
    with pytest.raises(UsageError) as caught:
        virtual(ask(stage, "PUT", content=b"x" * 101))
    assert "upload session" in caught.value.hint
    assert stage.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v1.0/users",
        "http://graph.microsoft.com/v1.0/users",
        "https://graph.microsoft.com:444/v1.0/users",
        "https://u:p@graph.microsoft.com/v1.0/users",
    ],
)
def test_another_host_is_refused(script, virtual, url):
    stage = script(Response(204, {}))
    with pytest.raises(UntrustedDestination):
        virtual(ask(stage, url=url))
    assert stage.requests == []


@pytest.mark.parametrize("url", [f"{ROOT}/users", f"{ROOT}/", f"{ROOT}/v2.0/users"])
def test_an_address_without_version_is_refused(script, virtual, url):
    with pytest.raises(UsageError, match="version"):
        virtual(ask(script(Response(204, {})), url=url))


def test_the_timeout_of_the_caller_is_ignored(script, virtual):
    stage = script(Response(200, {}), latency=900.0)
    assert virtual(ask(stage, timeout=0.001)).status_code == 200


@pytest.mark.parametrize(
    ("headers", "body", "content_type"),
    [
        ({}, b'{"a":1}', "application/json"),
        ({"content-type": "text/csv"}, b"a,b", "text/csv"),
        ({}, b"", None),
    ],
)
def test_every_body_has_a_type(script, virtual, headers, body, content_type):
    answer = virtual(ask(script(Response(200, headers, body))))
    assert answer.headers.get("content-type") == content_type


def test_a_challenge_that_we_could_not_meet_is_not_passed_on(script, virtual):
    """kiota would answer it by sending everything once more."""
    answer = virtual(ask(script(Response(401, {"www-authenticate": "Bearer", "request-id": "r-1"}))))
    assert dict(answer.headers) == {"request-id": "r-1"}


def test_headers_that_speak_of_the_undecoded_body_are_dropped(script, virtual):
    headers = {"content-encoding": "gzip", "content-length": "9999", "transfer-encoding": "chunked"}
    answer = virtual(ask(script(Response(200, headers, b"{}"))))
    assert "content-encoding" not in answer.headers
    assert answer.headers["content-length"] == "2"


def test_an_open_outcome_is_raised_through_httpx(script, virtual):
    with pytest.raises(OutcomeUnknown):
        virtual(ask(script(OutcomeUnknown("lost")), "POST", json={}))


def test_httpx_code_is_batched_without_knowing_it(virtual, connected, far_end):
    end = far_end()
    chain, _ = connected(end)

    async def main():
        async with httpx.AsyncClient(transport=ChainTransport(chain, graph_root=ROOT)) as client:
            answers = await asyncio.gather(*(client.get(f"{ROOT}/v1.0/users/{number}") for number in range(100)))
        return [answer.json()["id"] for answer in answers]

    assert virtual(main()) == [f"/users/{number}" for number in range(100)]
    assert len(end.calls) <= 10


def test_a_large_upload_goes_by_itself(virtual, connected, far_end):
    """Above 3.5 MB nothing fits into an envelope, and files may be larger than what Graph takes elsewhere."""
    end = far_end()
    chain, _ = connected(end)
    large = b'"' + b"x" * (5 * 1024 * 1024) + b'"'

    async def main():
        async with httpx.AsyncClient(transport=ChainTransport(chain, graph_root=ROOT)) as client:
            small = [client.get(f"{ROOT}/v1.0/users/{number}") for number in range(5)]
            upload = client.put(f"{ROOT}/v1.0/users/u/photo/$value", content=large)
            return await asyncio.gather(*small, upload)

    assert {answer.status_code for answer in virtual(main())} == {200}
    (call,) = [call for call in end.calls if call.method == "PUT"]
    assert call.content == large


@pytest.mark.parametrize(
    ("status", "location"),
    [
        (302, "https://evil.example/v1.0/users"),
        (307, "https://evil.example/v1.0/users"),
        (302, "http://graph.microsoft.com/v1.0/users"),
    ],
)
def test_a_client_that_follows_redirects_gets_no_further_than_the_cloud(script, virtual, status, location):
    stage = script(Response(status, {"location": location}))
    with pytest.raises(UntrustedDestination):
        virtual(ask(stage, follow_redirects=True))
    assert len(stage.requests) == 1


def test_the_client_tells_its_transport(virtual, connected, far_end):
    end = far_end()
    _, graph = connected(end)

    async def main():
        async with httpx.AsyncClient(transport=graph.transport, base_url=f"{ROOT}/v1.0") as client:
            first = (await client.get("/users/1")).json()
        return first, await graph.get("/users/2")

    assert virtual(main()) == ({"id": "/users/1"}, {"id": "/users/2"})
