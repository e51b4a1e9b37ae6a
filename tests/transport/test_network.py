"""The network, over both of its carriers: httpcore in shards, and aiohttp where the extra ``fast`` is installed."""

from __future__ import annotations

import asyncio
import gzip
import importlib.util
import json
from contextlib import asynccontextmanager

import httpx
import pytest
from scripted import Streamed, raising

from graphkit.errors import ConnectionFailed, OutcomeUnknown
from graphkit.protocol.message import Request
from graphkit.transport.network import ShardedTransport, make_wire
from graphkit.transport.wire import Timeouts, Wire

ROOT = "https://graph.microsoft.com"
KINDS = [
    "httpcore",
    pytest.param(
        "aiohttp",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("aiohttp") is None,
            reason="the extra fast is not installed: pip install 'graphkit-m365[fast]'",
        ),
    ),
]


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


@asynccontextmanager
async def talking_to(handler, kind, **options):
    """A wire to a loopback server that gives each connection to ``handler``; ends once all of them have ended."""
    ends = []

    async def connected(reader, writer):
        end = asyncio.get_running_loop().create_future()
        ends.append(end)
        try:
            await handler(reader, writer)
        finally:
            writer.close()
            await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])
            end.set_result(None)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    root = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    far = Wire(make_wire(kind, verify=False), graph_root=root, user_agent="x", **options)
    try:
        yield far, root
    finally:
        await far.aclose()
        server.close()
        await asyncio.gather(*ends)
        await server.wait_closed()


@pytest.mark.parametrize("kind", KINDS)
def test_the_real_wire_talks_to_a_loopback_server(kind):
    seen = []

    async def handler(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line.split(":")[1]) for line in head.splitlines() if "content-length" in line.lower()), 0)
        seen.append((head.splitlines()[0], await reader.readexactly(length)))
        body = json.dumps({"ok": True}).encode()
        kind = "Content-Type: application/json\r\nConnection: close"
        writer.write(f"HTTP/1.1 200 OK\r\n{kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    async def main():
        async with talking_to(handler, kind) as (far, root):
            first = await far.send(Request(method="PATCH", path="/users/u1", body=b"{}"))
            return first, await far.send(Request(method="GET", path=f"{root}/v1.0/users?$skiptoken=%7b|{{"))

    first, second = asyncio.run(main())
    assert first.json() == second.json() == {"ok": True}
    assert seen == [("PATCH /v1.0/users/u1 HTTP/1.1", b"{}"), ("GET /v1.0/users?$skiptoken=%7b|{ HTTP/1.1", b"")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_hangs_up_in_the_middle_leaves_the_outcome_open(kind):
    async def handler(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()

    async def main():
        async with talking_to(handler, kind) as (far, _):
            with pytest.raises(OutcomeUnknown) as caught:
                await far.send(Request(method="POST", path="/groups", body=b"{}"))
            return caught.value.status

    assert asyncio.run(main()) == 200


@pytest.mark.parametrize("kind", KINDS)
def test_nobody_listening_is_not_sent(kind):
    async def main():
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        far = Wire(make_wire(kind, verify=False), graph_root=f"http://127.0.0.1:{port}", user_agent="x")
        try:
            with pytest.raises(ConnectionFailed):
                await far.send(Request(method="POST", path="/groups", body=b"{}"))
        finally:
            await far.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_that_ends_without_an_answer_is_not_tried_again_down_here(kind, method):
    """The first call leaves a connection open; the second goes over it, and the server hangs up on having read it."""
    seen = []

    async def handler(reader, writer):
        for _ in range(2):
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except asyncio.IncompleteReadError:
                break
            seen.append(head.split()[0])
            if seen[-1] != "GET":
                break
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")

    async def main():
        async with talking_to(handler, kind) as (far, _):
            await far.send(Request(method="GET", path="/users"))
            with pytest.raises(OutcomeUnknown):
                await far.send(Request(method=method, path="/groups/g1"))

    asyncio.run(main())
    assert seen == ["GET", method]


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_that_never_comes_leaves_the_outcome_open(kind):
    async def handler(reader, writer):
        await reader.read()

    async def main():
        async with talking_to(handler, kind, timeouts=Timeouts(read=0.05)) as (far, _):
            with pytest.raises(OutcomeUnknown):
                await far.send(Request(method="POST", path="/groups", body=b"{}"))

    asyncio.run(main())


@pytest.mark.parametrize("kind", KINDS)
def test_a_compressed_answer_is_decoded_once(kind):
    async def handler(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        body = gzip.compress(b'{"ok": true}')
        head = f"Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}"
        writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body)
        await writer.drain()

    async def main():
        async with talking_to(handler, kind) as (far, _):
            return (await far.send(Request(method="GET", path="/users"))).json()

    assert asyncio.run(main()) == {"ok": True}
