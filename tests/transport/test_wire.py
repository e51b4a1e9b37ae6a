from __future__ import annotations

import asyncio
import gzip
import json
import uuid
import zlib

import httpx
import pytest
from scripted import Streamed, raising

from graphkit.errors import ConnectionFailed, OutcomeUnknown
from graphkit.protocol.message import Request
from graphkit.transport.wire import Timeouts, Wire

ROOT = "https://graph.microsoft.com"


def wire(handler, **how):
    return Wire(httpx.MockTransport(handler), graph_root=ROOT, user_agent="graphkit/0 (run r-1)", **how)


def send(handler, request=None, **how):
    return asyncio.run(wire(handler, **how).send(request or Request(method="GET", path="/users?$top=5")))


def test_it_sets_what_a_client_would():
    seen = []

    def handler(request):
        seen.append(request)
        return httpx.Response(200, json={})

    answer = send(handler)
    (request,) = seen
    assert str(request.url) == f"{ROOT}/v1.0/users?$top=5"
    assert request.headers["host"] == "graph.microsoft.com"
    assert request.headers["user-agent"] == "graphkit/0 (run r-1)"
    assert request.headers["accept-encoding"] == "gzip"
    assert request.extensions["timeout"] == {"connect": 10.0, "pool": 60.0, "write": 30.0, "read": 100.0}
    assert uuid.UUID(request.headers["client-request-id"])
    assert answer.client_request_id == request.headers["client-request-id"]


def test_each_attempt_has_its_own_id():
    far = wire(lambda request: httpx.Response(200))

    async def main():
        return {(await far.send(Request(method="GET", path="/users"))).client_request_id for _ in range(3)}

    assert len(asyncio.run(main())) == 3


def test_a_body_is_json_unless_its_request_says_otherwise():
    types = []

    def handler(request):
        types.append((request.headers.get("content-type"), request.headers.get("content-length")))
        return httpx.Response(204)

    send(handler, Request(method="PATCH", path="/x", body=b"{}"))
    send(handler, Request(method="PUT", path="/x", body=b"\xff", headers={"Content-Type": "image/jpeg"}))
    send(handler, Request(method="GET", path="/x"))
    assert types == [("application/json", "2"), ("image/jpeg", "1"), (None, None)]


@pytest.mark.parametrize("link", ["/beta/users?$skiptoken=a+b%7B%2f'x'", "/v1.0/groups/g/members?x={a}|b"])
def test_a_link_is_sent_byte_for_byte(link):
    targets = []

    def handler(request):
        targets.append(request.extensions["target"])
        return httpx.Response(200, json={})

    send(handler, Request(method="GET", path=ROOT + link))
    assert targets == [link.encode()]


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.ProxyError,
        httpx.UnsupportedProtocol,
        httpx.LocalProtocolError,
    ],
)
def test_what_was_not_sent_is_told_from(error):
    with pytest.raises(ConnectionFailed, match=r"graph\.microsoft\.com"):
        send(raising(error))


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadTimeout,
        httpx.WriteTimeout,
        httpx.ReadError,
        httpx.WriteError,
        httpx.CloseError,
        httpx.RemoteProtocolError,
        httpx.DecodingError,
        ConnectionResetError,
    ],
)
def test_what_may_have_been_executed(error):
    with pytest.raises(OutcomeUnknown) as caught:
        send(raising(error), Request(method="POST", path="/groups?secret=1", body=b"{}"))
    assert uuid.UUID(caught.value.client_request_id)
    assert "POST /groups:" in caught.value.message
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_returned_and_not_followed(status):
    calls = []

    def handler(request):
        calls.append(request.url)
        return httpx.Response(status, headers={"Location": "https://evil.example/"})

    assert send(handler).status == status
    assert len(calls) == 1


def test_header_names_are_lower_case():
    assert "retry-after" in send(lambda request: httpx.Response(429, headers={"Retry-After": "3"})).headers


@pytest.mark.parametrize(
    ("status", "content_type", "body", "readable"),
    [
        (200, "application/json", b'{"value": []}', True),
        (200, "application/json;odata.metadata=minimal", b'{"value": [', False),
        (200, "application/json", b'{"value": ["\xff"]}', False),
        (200, "application/json", b"[" * 100_000, False),
        (200, "text/html", b"<html>sign in</html>", False),
        (200, "text/plain", b"8000", True),
        (200, "image/jpeg", b"\xff\xd8", True),
        (204, "", b"", True),
        (502, "text/html", b"<html>bad gateway</html>", True),
        (400, "application/json", b'{"error"', True),
    ],
)
def test_a_success_that_cannot_be_read_is_no_success(status, content_type, body, readable):
    def handler(request):
        return httpx.Response(status, headers={"content-type": content_type, "request-id": "r-9"}, content=body)

    if readable:
        assert send(handler).body == body
        return
    with pytest.raises(OutcomeUnknown) as caught:
        send(handler)
    assert (caught.value.status, caught.value.request_id) == (status, "r-9")


@pytest.mark.parametrize("name", ["Ward 3", "Ward {3", 'Ward "}}}'], ids=["plain", "opened", "closed"])
@pytest.mark.parametrize("cut", [1, 2, 3, 20, 50_000])
def test_a_large_page_that_is_cut_off_is_no_success_whatever_its_names_look_like(name, cut):
    page = json.dumps({"value": [{"id": str(number), "displayName": name} for number in range(4000)]}).encode()
    json_ = {"content-type": "application/json"}
    assert send(lambda request: httpx.Response(200, headers=json_, content=page)).body == page
    with pytest.raises(OutcomeUnknown):
        send(lambda request: httpx.Response(200, headers=json_, content=page[:-cut]))


def test_compressed_answers_are_decoded():
    def handler(request):
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        return httpx.Response(200, headers=headers, content=gzip.compress(b'{"a":1}'))

    assert send(handler).json() == {"a": 1}


@pytest.mark.parametrize(
    "chunks",
    [
        (gzip.compress(b"0" * 5_000_000),),
        (gzip.compress(b"0" * 50)[:20],),
        (b"not gzip at all",),
        (httpx.ReadError("reset"),),
    ],
    ids=["bomb", "truncated", "garbage", "reset"],
)
def test_a_body_that_cannot_be_had_whole_is_a_lost_answer(chunks):
    stream = Streamed(*chunks)

    def handler(request):
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        return httpx.Response(200, headers=headers, stream=stream)

    with pytest.raises(OutcomeUnknown):
        send(handler, max_body=1_000_000)
    assert stream.closed


@pytest.mark.parametrize(("megabytes", "taken"), [(10, True), (65, False)])
def test_sixty_four_megabytes_of_an_answer_are_read_and_no_more(megabytes, taken):
    """Compressed they are a hundredth of that."""
    press = zlib.compressobj(1, zlib.DEFLATED, 31)
    chunks = [press.compress(b" " * 1_000_000) for _ in range(megabytes * 1024 * 1024 // 1_000_000)]
    stream = Streamed(*chunks, press.flush())

    def handler(request):
        return httpx.Response(200, headers={"content-encoding": "gzip", "content-type": "text/plain"}, stream=stream)

    if taken:
        assert len(send(handler).body) == 1_000_000 * len(chunks)
        return
    with pytest.raises(OutcomeUnknown, match="more than"):
        send(handler)
    assert stream.closed


def test_timeouts_are_settings():
    def handler(request):
        assert request.extensions["timeout"]["read"] == 5.0
        return httpx.Response(204)

    send(handler, timeouts=Timeouts(read=5.0))
