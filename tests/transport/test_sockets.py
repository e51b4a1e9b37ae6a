"""Peers that hang up, talk out of turn or say nothing, at every moment of a connection; over whatever loop there is."""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
import ssl
from contextlib import suppress

import httpcore
import pytest
import trustme
from httpcore._synchronization import AsyncLock
from test_network import KINDS, a_proxy, answer, answering, asked, contexts, talking_to

from graphkit.errors import ConnectionFailed, OutcomeUnknown
from graphkit.protocol.message import Request
from graphkit.transport import sockets
from graphkit.transport.sockets import AsyncioBackend
from graphkit.transport.wire import Timeouts

LINK = "/v1.0/users?$skiptoken=abc"


def uvloop():
    import uvloop

    return uvloop.new_event_loop()


@pytest.fixture(
    params=[
        asyncio.new_event_loop,
        pytest.param(
            uvloop, marks=pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="no uvloop here")
        ),
    ],
    ids=["asyncio", "uvloop"],
)
def run(request):
    def run(main):
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(main)

    return run


def get(path="/users"):
    return Request(method="GET", path=path)


def create(body=b"{}"):
    return Request(method="POST", path="/groups", body=body)


class Peer:
    """A server that gives each connection to ``handler``, and streams to it."""

    def __init__(self, handler, tls=None):
        self.handler, self.tls = handler, tls

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self.tls)
        self.ended, self.streams = [], []
        return self

    async def _connected(self, reader, writer):
        end = asyncio.get_running_loop().create_future()
        self.ended.append(end)
        try:
            await self.handler(reader, writer)
        finally:
            writer.close()
            await asyncio.wait([asyncio.ensure_future(writer.wait_closed())])
            end.set_result(None)

    async def stream(self):
        port = self.server.sockets[0].getsockname()[1]
        self.streams.append(await AsyncioBackend().connect_tcp("127.0.0.1", port, timeout=5))
        return self.streams[-1]

    async def __aexit__(self, *_):
        for stream in self.streams:
            await stream.aclose()
        self.server.close()
        await asyncio.gather(*self.ended)
        await self.server.wait_closed()


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - of the other side, which tells nobody
            await asyncio.sleep(0.001)


# Proxies


@pytest.mark.parametrize("kind", KINDS)
def test_a_proxy_is_asked_for_the_host_and_never_told_the_link(run, kind):
    """A link to a report is a key to it, and httpcore would hand it on to the CONNECT."""
    lines = []

    async def main():
        async with a_proxy() as (proxy, heads):
            async with talking_to(answering(lines), kind, tls=trustme.CA(), proxy=proxy) as (far, root):
                await far.send(get(f"{root}{LINK}"))
            return heads, root

    heads, root = run(main())
    assert [head[0] for head in heads] == [f"CONNECT {root.removeprefix('https://')} HTTP/1.1"]
    assert lines == [(0, f"GET {LINK} HTTP/1.1")]


def test_a_proxy_that_is_spoken_to_under_encryption_is_known_by_the_same_authority(run):
    lines, authority = [], trustme.CA()

    async def main():
        async with a_proxy(tls=contexts(authority)[1]) as (proxy, heads):
            async with talking_to(answering(lines), "httpcore", tls=authority, proxy=proxy) as (far, _):
                for number in range(2):
                    await far.send(get(f"/users/{number}"))
            return len(heads)

    assert run(main()) == 1
    assert lines == [(0, "GET /v1.0/users/0 HTTP/1.1"), (0, "GET /v1.0/users/1 HTTP/1.1")]


def test_what_failed_once_in_a_proxy_is_tried_afresh(run):
    async def main():
        async with a_proxy() as (proxy, heads):
            wait = Timeouts(pool=0.5)
            async with talking_to(answering([]), "httpcore", tls=trustme.CA(), proxy=proxy, timeouts=wait) as (far, _):
                known, far._transport._verify = far._transport._verify, contexts(trustme.CA())[0]
                with pytest.raises(ConnectionFailed, match="certificate"):
                    await far.send(get())
                far._transport._verify = known
                assert (await far.send(get())).status == 200
            return len(heads)

    assert run(main()) == 2


def test_what_is_said_before_encryption_is_never_taken_for_an_answer(run):
    """By a proxy, or by whoever sits between it and us; the server behind it is genuine."""
    authority = trustme.CA()
    ours, theirs = contexts(authority)

    async def forging(reader, writer):
        writer.write(answer(b'{"forged": true}'))
        with suppress(OSError):
            await writer.start_tls(theirs)

    async def main():
        async with Peer(forging) as peer:
            stream = await peer.stream()
            await until(lambda: stream._unread)
            with pytest.raises(httpcore.ConnectError, match="before the connection was encrypted"):
                await stream.start_tls(ours, "127.0.0.1", timeout=5)

    run(main())


# What comes when nobody has asked


@pytest.mark.parametrize("farewell", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
@pytest.mark.parametrize("hangs_up", [True, False])
def test_what_the_other_side_did_before_it_was_asked_is_no_answer(run, farewell, hangs_up):
    """It came after the connection was chosen for the request, and before that had left: nothing was sent."""
    if not farewell and not hangs_up:
        pytest.skip("then nothing has happened")
    got = []

    async def handler(reader, writer):
        writer.write(farewell)
        if hangs_up:
            writer.close()
        got.append(await reader.read())

    async def main():
        async with Peer(handler) as peer:
            stream = await peer.stream()
            await until(lambda: stream.get_extra_info("is_readable"))
            await until(lambda: stream._unread or stream._ended)
            await stream.write(b"POST /groups HTTP/1.1\r\n\r\n", timeout=1)
            with pytest.raises(httpcore.ConnectError):
                await stream.read(1000, timeout=1)

    run(main())
    assert got == [b""]


def test_a_server_that_closes_an_idle_connection_with_a_farewell_is_asked_afresh(run):
    lines = []

    async def handler(reader, writer):
        head, _ = await asked(reader)
        lines.append(head[0])
        writer.write(answer() + b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")

    async def main():
        async with talking_to(handler, "httpcore") as (far, _):
            for _ in range(3):
                assert (await far.send(create())).status == 200
                await asyncio.sleep(0.01)

    run(main())
    assert lines == ["POST /v1.0/groups HTTP/1.1"] * 3


# Giving up


@pytest.mark.parametrize("tls", [False, True])
def test_a_caller_may_give_up_at_any_moment_and_leaves_no_connection_behind(run, tls, monkeypatch):
    # asyncio's own race between addresses loses a socket when it is cancelled (seen in Python 3.11.7).
    monkeypatch.setattr(sockets, "_NEXT_FAMILY_S", None)
    lines, opened, closed = [], itertools.count(), itertools.count()
    plain = answering(lines)

    async def handler(reader, writer):
        next(opened)
        try:
            await plain(reader, writer)
        finally:
            next(closed)

    async def main():
        async with talking_to(handler, "httpcore", tls=trustme.CA() if tls else None) as (far, _):
            network = far._transport
            for steps in range(60):
                if steps % 2:
                    for connection in network._idle:
                        await connection.aclose()
                    network._idle.clear()
                task = asyncio.create_task(far.send(get()))
                for _ in range(steps // 2):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                assert not network._busy
                assert len(network._idle) <= 1
            assert (await far.send(get())).status == 200
            left = len(network._idle)
            await until(lambda: peek(opened) - peek(closed) <= left)

    run(main())


def peek(counter):
    return int(repr(counter).partition("(")[2][:-1])


def test_closing_while_an_answer_is_awaited_leaves_its_outcome_open(run):
    async def handler(reader, writer):
        await asked(reader)
        await reader.read()

    async def main():
        async with talking_to(handler, "httpcore") as (far, _):
            task = asyncio.create_task(far.send(create()))
            await until(lambda: far._transport._busy and not task.done())
            await asyncio.sleep(0.05)
            await far.aclose()
            with pytest.raises(OutcomeUnknown):
                await task

    run(main())


def test_a_wait_that_is_over_leaves_no_timer_behind():
    async def handler(reader, writer):
        await asked(reader)
        await reader.read()

    async def main():
        wait = Timeouts(read=0.02, connect=300, write=300)
        async with talking_to(handler, "httpcore", timeouts=wait) as (far, _):
            for _ in range(5):
                with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
                    await far.send(create())
            timers = asyncio.get_running_loop()._scheduled
            return [timer for timer in timers if not timer.cancelled()]

    assert asyncio.run(main()) == []


def test_a_connection_that_is_kept_waits_for_no_lock(monkeypatch):
    """Each of httpcore's locks is a turn of the loop, for a connection that nobody else has."""
    locks = []
    enter = AsyncLock.__aenter__

    async def counted(lock):
        locks.append(lock)
        return await enter(lock)

    async def main():
        async with talking_to(answering([]), "httpcore") as (far, _):
            await far.send(get())
            locks.clear()
            await far.send(get())

    monkeypatch.setattr(AsyncLock, "__aenter__", counted)
    asyncio.run(main())
    assert locks == []


# Bodies, both ways


def test_an_answer_that_comes_before_all_was_said_is_heard(run):
    """The last bytes of a large body have not left when the server has refused it and hung up."""

    async def handler(reader, writer):
        await reader.readexactly(70_000)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async def main():
        async with Peer(handler) as peer:
            stream = await peer.stream()
            await stream.write(b"x" * 70_000, timeout=1)
            await until(lambda: stream._ended)
            await stream.write(b"the rest", timeout=1)
            return await stream.read(1000, timeout=1)

    assert run(main()).startswith(b"HTTP/1.1 413")


def test_who_reads_slowly_holds_the_other_side_up_rather_than_all_it_says_in_memory(run):
    size = 20_000_000

    async def handler(reader, writer):
        await reader.readexactly(1)
        writer.write(b"x" * size)
        await writer.drain()
        await reader.read()

    async def main():
        async with Peer(handler) as peer:
            stream = await peer.stream()
            await stream.write(b"?", timeout=5)
            read, most = 0, 0
            while read < size:
                await asyncio.sleep(0)
                most = max(most, stream._unread_size)
                read += len(await stream.read(65_536, timeout=5))
            return read, most

    read, most = run(main())
    assert read == size
    assert most < 2_000_000


ANSWERS = {
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "not yet, then done": (b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "in chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", 200, b"{}"),
    "to the end": (b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{}", 200, b"{}"),
    "an old server": (b"HTTP/1.0 200 OK\r\n\r\n{}", 200, b"{}"),
    "a long header": (b"HTTP/1.1 204 No Content\r\nX: " + b"x" * 60_000 + b"\r\n\r\n", 204, b""),
}
CUT_OFF = {
    "nothing": b"",
    "half a head": b"HTTP/1.1 200 OK\r\nConte",
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "half a body": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",
    "half a document": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{",
    "a header without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000,
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
}


def saying(words):
    """A handler that answers each request with the same words, and hangs up."""

    async def handler(reader, writer):
        if await asked(reader):
            writer.write(words)

    return handler


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_may_have_any_form(run, name, tls):
    words, status, body = ANSWERS[name]

    async def main():
        async with talking_to(saying(words), "httpcore", tls=trustme.CA() if tls else None) as (far, _):
            return [await far.send(create()) for _ in range(2)]

    assert [(response.status, response.body) for response in run(main())] == [(status, body)] * 2


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", CUT_OFF)
def test_an_answer_that_is_none_leaves_the_outcome_open(run, name, tls):
    async def main():
        async with talking_to(saying(CUT_OFF[name]), "httpcore", tls=trustme.CA() if tls else None) as (far, _):
            for _ in range(2):
                with pytest.raises(OutcomeUnknown):
                    await far.send(create())
            assert not far._transport._busy
            # One that was read to its end looks idle to httpcore, and is known to be dead when its turn comes.
            assert all(connection.has_expired() for connection in far._transport._idle)

    run(main())


@pytest.mark.parametrize("greeting", [b"", b"not a handshake"])
def test_a_server_that_does_not_encrypt_was_not_asked(run, greeting):
    async def handler(reader, writer):
        writer.write(greeting)
        await reader.read(1)

    async def main():
        async with Peer(handler) as peer:
            stream = await peer.stream()
            with pytest.raises(httpcore.ConnectError):
                await stream.start_tls(ssl.create_default_context(), "127.0.0.1", timeout=5)

    run(main())


def test_a_server_that_never_answers_the_handshake_was_not_asked(run):
    async def handler(reader, writer):
        await reader.read()

    async def main():
        async with Peer(handler) as peer:
            stream = await peer.stream()
            with pytest.raises(httpcore.ConnectError):
                await stream.start_tls(ssl.create_default_context(), "127.0.0.1", timeout=0.05)

    run(main())
