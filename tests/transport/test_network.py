"""The network, over both of its carriers: httpcore, and aiohttp where the extra ``fast`` is installed."""

from __future__ import annotations

import asyncio
import gzip
import importlib.util
import itertools
import json
import ssl
from contextlib import asynccontextmanager

import pytest
import respx
import trustme

from graphkit.errors import ConnectionFailed, OutcomeUnknown
from graphkit.protocol.message import Request
from graphkit.transport.network import make_wire
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


def contexts(authority):
    """For a client that trusts nobody else, and for a server that has its certificate."""
    client, server = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(client)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    return client, server


async def asked(reader):
    """The head of the next request, in lines, and its body; ``None`` once nobody asks any more."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
    except (asyncio.IncompleteReadError, ConnectionResetError):
        return None
    length = next((int(line.split(":")[1]) for line in head if line.lower().startswith("content-length")), 0)
    return head, await reader.readexactly(length)


def answer(body=b"{}", *headers):
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def talking_to(handler, kind, *, tls=None, proxy=None, **options):
    """A wire to a loopback server that gives each connection to ``handler``; ends once all of them have ended.

    With ``tls``, a certificate authority, the server has a certificate of its and the wire trusts no other.
    """
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

    ours, theirs = contexts(tls) if tls else (False, None)
    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=theirs)
    root = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    far = Wire(make_wire(kind, verify=ours, proxy=proxy), graph_root=root, user_agent="x", **options)
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


def answering(lines, body=b"{}", *headers):
    """A handler that notes the first line of each request, with the number of its connection, and answers it."""
    connections = itertools.count()

    async def handler(reader, writer):
        number = next(connections)
        while request := await asked(reader):
            lines.append((number, request[0][0]))
            writer.write(answer(body, *headers))
            await writer.drain()
            if "Connection: close" in headers:
                break

    return handler


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_is_used_again(kind):
    lines = []

    async def main():
        async with talking_to(answering(lines), kind) as (far, _):
            for number in range(3):
                await far.send(Request(method="GET", path=f"/users/{number}"))

    asyncio.run(main())
    assert lines == [(0, f"GET /v1.0/users/{number} HTTP/1.1") for number in range(3)]


@pytest.mark.parametrize("kind", KINDS)
def test_requests_at_one_time_have_a_connection_each_and_hold_nobody_up(kind):
    waiting, gate = [], asyncio.Event()

    async def handler(reader, writer):
        await asked(reader)
        waiting.append(writer)
        if len(waiting) == 40:
            gate.set()
        await gate.wait()
        writer.write(answer())
        await writer.drain()

    async def main():
        async with talking_to(handler, kind) as (far, _):
            requests = [Request(method="GET", path=f"/users/{number}") for number in range(40)]
            return await asyncio.gather(*map(far.send, requests))

    assert [response.status for response in asyncio.run(main())] == [200] * 40


@pytest.mark.parametrize("kind", KINDS)
def test_a_connection_that_the_server_has_closed_is_not_asked_again(kind):
    """What is sent into a dead connection may or may not have been executed: a create would end unknown."""
    lines = []

    async def main():
        async with talking_to(answering(lines, b"{}", "Connection: close"), kind) as (far, _):
            for _ in range(3):
                await far.send(Request(method="POST", path="/groups", body=b"{}"))

    asyncio.run(main())
    assert [number for number, _ in lines] == [0, 1, 2]


def test_a_connection_that_was_closed_while_it_was_idle_is_not_asked_again():
    lines, closed = [], asyncio.Event()

    async def handler(reader, writer):
        head, _ = await asked(reader)
        lines.append(head[0])
        writer.write(answer())
        await writer.drain()
        writer.close()  # without having said so
        closed.set()

    async def main():
        async with talking_to(handler, "httpcore") as (far, _):
            for _ in range(3):
                closed.clear()
                await far.send(Request(method="POST", path="/groups", body=b"{}"))
                await closed.wait()

    asyncio.run(main())
    assert lines == ["POST /v1.0/groups HTTP/1.1"] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_large_bodies_go_whole_both_ways(kind):
    """Larger than any buffer on the way, so that both sides have to wait for each other."""
    large = json.dumps(["x" * 1000] * 900).encode()
    got = []

    async def handler(reader, writer):
        while request := await asked(reader):
            got.append(request[1])
            writer.write(answer(large))
            await writer.drain()

    async def main():
        async with talking_to(handler, kind) as (far, _):
            return [(await far.send(Request(method="POST", path="/groups", body=large))).body for _ in range(2)]

    assert asyncio.run(main()) == [large, large] == got


@pytest.mark.parametrize("kind", KINDS)
def test_the_server_is_known_by_its_certificate(kind):
    authority, stranger = trustme.CA(), trustme.CA()
    lines = []

    async def main():
        async with talking_to(answering(lines), kind, tls=authority) as (far, root):
            assert (await far.send(Request(method="GET", path="/users"))).json() == {}
            elsewhere = Wire(make_wire(kind, verify=contexts(stranger)[0]), graph_root=root, user_agent="x")
            with pytest.raises(ConnectionFailed, match="certificate"):
                await elsewhere.send(Request(method="POST", path="/groups", body=b"{}"))
            await elsewhere.aclose()

    asyncio.run(main())
    assert [line for _, line in lines] == ["GET /v1.0/users HTTP/1.1"]


@asynccontextmanager
async def a_proxy(refusing=False):
    """It joins its caller with whomever is asked for; or refuses, as one that wants a password does."""
    heads, joined = [], []

    async def pump(reader, writer):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def connected(reader, writer):
        request = await asked(reader)
        if request is None:
            return
        heads.append(request[0])
        if refusing:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        host, _, port = request[0][0].split()[1].rpartition(":")
        there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        joined.extend(asyncio.create_task(pump(*ways)) for ways in ((reader, there[1]), (there[0], writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://someone:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}", heads
    finally:
        server.close()
        await asyncio.gather(*joined, return_exceptions=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_carries_what_it_cannot_read(kind):
    lines = []

    async def main():
        async with a_proxy() as (proxy, heads):
            async with talking_to(answering(lines), kind, tls=trustme.CA(), proxy=proxy) as (far, root):
                for number in range(2):
                    await far.send(Request(method="GET", path=f"/users/{number}"))
            return heads, root

    heads, root = asyncio.run(main())
    assert [head[0] for head in heads] == [f"CONNECT {root.removeprefix('https://')} HTTP/1.1"]
    assert any(line.lower().startswith("proxy-authorization: basic ") for line in heads[0])
    assert lines == [(0, "GET /v1.0/users/0 HTTP/1.1"), (0, "GET /v1.0/users/1 HTTP/1.1")]


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_proxy_refuses_was_not_sent(kind):
    async def main():
        async with a_proxy(refusing=True) as (proxy, heads):
            async with talking_to(answering([]), kind, tls=trustme.CA(), proxy=proxy) as (far, _):
                with pytest.raises(ConnectionFailed):
                    await far.send(Request(method="POST", path="/groups", body=b"{}"))
            return len(heads)

    assert asyncio.run(main()) == 1


@pytest.mark.parametrize("proxy", ["", "http://127.0.0.1:9"])
def test_respx_answers_in_place_of_the_network_with_a_proxy_or_without(proxy):
    async def main():
        far = Wire(make_wire(verify=False, proxy=proxy or None), graph_root=ROOT, user_agent="x")
        with respx.mock:
            respx.post(f"{ROOT}/v1.0/groups").respond(201, json={"id": "g1"})
            answer = await far.send(Request(method="POST", path="/groups", body=b'{"displayName": "A"}'))
            sent = respx.calls.last.request
        await far.aclose()
        return answer, sent

    response, sent = asyncio.run(main())
    assert (response.status, response.json()) == (201, {"id": "g1"})
    assert sent.content == b'{"displayName": "A"}'
    assert sent.headers["content-length"] == "20"


def test_a_caller_who_gives_up_leaves_no_connection_behind_in_the_middle_of_an_answer():
    asked_for = asyncio.Event()
    lines = []
    answered = answering(lines)

    async def handler(reader, writer):
        if lines:
            await answered(reader, writer)
            return
        lines.append((await asked(reader))[0][0])
        asked_for.set()
        assert await asked(reader) is None  # closed by us

    async def main():
        async with talking_to(handler, "httpcore") as (far, _):
            first = asyncio.create_task(far.send(Request(method="GET", path="/users")))
            await asked_for.wait()
            first.cancel()
            await asyncio.wait([first])
            return await far.send(Request(method="GET", path="/groups"))

    assert asyncio.run(main()).status == 200
    assert lines == ["GET /v1.0/users HTTP/1.1", (0, "GET /v1.0/groups HTTP/1.1")]
