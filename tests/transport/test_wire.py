from __future__ import annotations

import asyncio
import gzip
import json
import uuid

import httpx
import pytest

from graphkit.errors import ConnectionFailed, OutcomeUnknown
from graphkit.protocol.message import Request
from graphkit.transport.wire import ShardedTransport, Timeouts, Wire, make_wire

ROOT = "https://graph.microsoft.com"


def wire(handler, **how):
    return Wire(httpx.MockTransport(handler), graph_root=ROOT, user_agent="graphkit/0 (run r-1)", **how)


def send(handler, request=None, **how):
    return asyncio.run(wire(handler, **how).send(request or Request(method="GET", path="/users?$top=5")))


def raising(error):
    def handler(request):
        raise error("x", request=request) if issubclass(error, httpx.RequestError) else error("x")

    return handler


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
    [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol],
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


def test_compressed_answers_are_decoded():
    def handler(request):
        headers = {"content-encoding": "gzip", "content-type": "application/json"}
        return httpx.Response(200, headers=headers, content=gzip.compress(b'{"a":1}'))

    assert send(handler).json() == {"a": 1}


class Streamed(httpx.AsyncByteStream):
    def __init__(self, *chunks):
        self.chunks, self.closed = chunks, False

    async def __aiter__(self):
        for chunk in self.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    async def aclose(self):
        self.closed = True


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


def test_timeouts_are_settings():
    def handler(request):
        assert request.extensions["timeout"]["read"] == 5.0
        return httpx.Response(204)

    send(handler, timeouts=Timeouts(read=5.0))


class Pool(httpx.AsyncBaseTransport):
    def __init__(self):
        self.busy = self.most = 0
        self.closed = False
        self.gate = asyncio.Event()

    async def handle_async_request(self, request):
        self.busy += 1
        self.most = max(self.most, self.busy)
        await self.gate.wait()
        self.busy -= 1
        return httpx.Response(200, stream=Streamed(b"{}"))

    async def aclose(self):
        self.closed = True


def test_no_pool_carries_more_than_its_share():
    pools = []

    def pool():
        pools.append(Pool())
        return pools[-1]

    async def main():
        sharded = ShardedTransport(pool, per_pool=8)
        far = Wire(sharded, graph_root=ROOT, user_agent="x")
        tasks = [asyncio.create_task(far.send(Request(method="GET", path="/users"))) for _ in range(20)]
        for _ in range(5):
            await asyncio.sleep(0)
        for each in pools:
            each.gate.set()
        await asyncio.gather(*tasks)
        assert sharded._busy == [0, 0, 0]
        await far.send(Request(method="GET", path="/users"))
        await far.aclose()

    asyncio.run(main())
    assert [each.most for each in pools] == [8, 8, 4]
    assert all(each.closed for each in pools)


def test_a_failed_call_frees_its_place():
    sharded = ShardedTransport(lambda: httpx.MockTransport(raising(httpx.ConnectError)), per_pool=1)
    far = Wire(sharded, graph_root=ROOT, user_agent="x")

    async def main():
        for _ in range(3):
            with pytest.raises(ConnectionFailed):
                await far.send(Request(method="GET", path="/users"))
        return sharded._busy

    assert asyncio.run(main()) == [0]


async def serve(handler):
    return await asyncio.start_server(handler, "127.0.0.1", 0)


def test_the_real_wire_talks_to_a_loopback_server():
    seen = []

    async def handler(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line.split(":")[1]) for line in head.splitlines() if "content-length" in line.lower()), 0)
        seen.append((head.splitlines()[0], await reader.readexactly(length)))
        body = json.dumps({"ok": True}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    async def main():
        server = await serve(handler)
        port = server.sockets[0].getsockname()[1]
        far = Wire(make_wire(verify=False), graph_root=f"http://127.0.0.1:{port}", user_agent="x")
        first = await far.send(Request(method="PATCH", path="/users/u1", body=b"{}"))
        link = f"http://127.0.0.1:{port}/v1.0/users?$skiptoken=%7b|{{"
        second = await far.send(Request(method="GET", path=link))
        await far.aclose()
        server.close()
        await server.wait_closed()
        return first, second

    first, second = asyncio.run(main())
    assert first.json() == second.json() == {"ok": True}
    assert seen == [("PATCH /v1.0/users/u1 HTTP/1.1", b"{}"), ("GET /v1.0/users?$skiptoken=%7b|{ HTTP/1.1", b"")]


def test_a_server_that_hangs_up_in_the_middle_leaves_the_outcome_open():
    async def handler(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()

    async def main():
        server = await serve(handler)
        root = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        far = Wire(make_wire(verify=False), graph_root=root, user_agent="x")
        try:
            with pytest.raises(OutcomeUnknown) as caught:
                await far.send(Request(method="POST", path="/groups", body=b"{}"))
            return caught.value.status
        finally:
            await far.aclose()
            server.close()
            await server.wait_closed()

    assert asyncio.run(main()) == 200


def test_nobody_listening_is_not_sent():
    async def main():
        server = await serve(lambda reader, writer: None)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        far = Wire(make_wire(verify=False), graph_root=f"http://127.0.0.1:{port}", user_agent="x")
        try:
            with pytest.raises(ConnectionFailed):
                await far.send(Request(method="POST", path="/groups", body=b"{}"))
        finally:
            await far.aclose()

    asyncio.run(main())
