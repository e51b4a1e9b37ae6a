"""Faults of the wire through every door: what httpx meets in the process, over HTTP/1.1 and over HTTP/2."""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import socket
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import pytest

from graphkit.clock import RealClock, VirtualClock, run
from graphkit.sandbox import SandboxTransport, Seed, SimulatedTenant, make_authority, serve
from graphkit.sandbox.doors.wire import accepts_gzip, bomb
from graphkit.sandbox.faults import check_rule

SMALL = Seed(organisations=1, users=120, licensed=0)
BEARER = {"Authorization": "Bearer sandbox"}
GRAPH = "https://graph.microsoft.com"
PERSON = "/v1.0/users/rx1-0001@contoso.example"
PAGE = "/v1.0/users?$top=100"
MIB = 1024 * 1024
DOORS = ["process", "http1", "http2"]


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    import ssl

    tls, files, _ = make_authority(tmp_path_factory.mktemp("ca"), "127.0.0.1")
    return tls, ssl.create_default_context(cafile=files.ca)


@dataclass
class Way:
    """A tenant and a client that has come to it through one of the doors."""

    tenant: SimulatedTenant
    client: httpx.AsyncClient

    async def get(self, path=PAGE, **more):
        return await self.client.get(path, **more)

    async def patch(self, title="x", **more):
        return await self.client.patch(PERSON, json={"jobTitle": title}, **more)


@asynccontextmanager
async def served_here(tenant, tls=None):
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server = asyncio.create_task(serve(tenant, tls=tls, on_ready=ready.set_result))
    try:
        yield await ready
    finally:
        server.cancel()
        await asyncio.wait([server])


@pytest.fixture(params=DOORS)
def door(request, authority):
    """``door(work, *rules)`` runs ``await work(way)`` behind a door, with these faults in force."""

    @asynccontextmanager
    async def opened(tenant):
        tls, trust = authority
        if request.param == "process":
            transport = SandboxTransport(tenant, gzip=True)
            async with httpx.AsyncClient(transport=transport, base_url=GRAPH, headers=BEARER) as client:
                yield client
            return
        async with (
            served_here(tenant, tls if request.param == "http2" else None) as address,
            httpx.AsyncClient(
                base_url=address, headers=BEARER, verify=trust, http2=request.param == "http2", trust_env=False
            ) as client,
        ):
            yield client

    def enter(work, *rules):
        async def main():
            tenant = SimulatedTenant(RealClock(), seed=SMALL, throttling=False, replication_s=0)
            tenant.faults.extend(rules)
            async with opened(tenant) as client:
                return await work(Way(tenant, client))

        return run(main())

    enter.name = request.param
    return enter


def once(action, **more):
    return {"action": action, "times": 1, **more}


ALL = {"process", "http1", "http2"}
LOST = [
    # rule, what is raised, in words of the exception by door, and whether the write was executed
    (once("reset"), httpx.ReadError, {}, False),
    (once("reset", when="after"), httpx.ReadError, {}, False),
    (once("reset", when="before"), httpx.ReadError, {}, False),
    (once("commit-then", failure="reset"), httpx.ReadError, {}, True),
    (once("commit-then", failure="timeout"), httpx.ReadTimeout, {}, True),
    (
        once("goaway"),
        httpx.RemoteProtocolError,
        {"process": "last_stream_id:0,", "http1": "Server disconnected", "http2": "last_stream_id:0,"},
        False,
    ),
    (
        once("goaway", processed=True),
        httpx.RemoteProtocolError,
        {"process": "last_stream_id:1,", "http1": "Server disconnected", "http2": "last_stream_id:1,"},
        True,
    ),
    (
        once("commit-then", failure="goaway"),
        httpx.RemoteProtocolError,
        {"process": "last_stream_id:1,", "http1": "Server disconnected", "http2": "last_stream_id:1,"},
        True,
    ),
]


@pytest.mark.parametrize(("rule", "raised", "words", "executed"), LOST)
def test_nothing_is_told(door, rule, raised, words, executed):
    async def work(way):
        with pytest.raises(raised) as caught:
            await way.patch(timeout=httpx.Timeout(30, read=0.2 if raised is httpx.ReadTimeout else 30))
        assert type(caught.value) is raised
        assert words.get(door.name, "") in str(caught.value)
        assert [(entry.status, entry.faulted) for entry in way.tenant.log] == ([(0, True)] if executed else [])
        assert (await way.patch("y")).status_code == 204
        assert way.tenant.faults.rules[0].matched == 2

    door(work, rule)


def test_both_doors_word_goaway_alike(door):
    async def work(way):
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            await way.patch()
        return str(caught.value)

    told = door(work, once("goaway", processed=True))
    if door.name != "http1":
        assert told == "<ConnectionTerminated error_code:0, last_stream_id:1, additional_data:None>"


@pytest.mark.parametrize(
    ("rule", "raised"),
    [
        (once("refuse"), {"process": httpx.ConnectError, "http1": httpx.ReadError, "http2": httpx.ConnectError}),
        (
            once("refuse", path="/users/*"),
            {
                "process": httpx.ConnectError,
                "http1": httpx.RemoteProtocolError,
                "http2": httpx.RemoteProtocolError,
            },
        ),
    ],
)
def test_no_connection_comes_about(door, rule, raised):
    async def work(way):
        with pytest.raises(raised[door.name]):
            await way.patch()
        assert len(way.tenant.log) == 0
        assert (await way.patch()).status_code == 204

    door(work, rule)


def test_a_rule_without_method_and_path_counts_connections_where_there_are_any(door):
    async def work(way):
        for _ in range(3):
            assert (await way.get("/v1.0/organization")).status_code == 200
        return way.tenant.faults.rules[0].matched

    assert door(work, once("refuse", nth=9)) == (3 if door.name == "process" else 1)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("compressed", [True, False])
def test_a_body_that_is_cut_is_no_answer(door, share, compressed):
    async def work(way):
        accepted = {"Accept-Encoding": "gzip" if compressed else "identity"}
        with pytest.raises(httpx.RemoteProtocolError):
            await way.get(headers=accepted)
        assert (await way.get(headers=accepted)).status_code == 200

    door(work, once("truncate", share=share))


def test_a_body_that_is_cut_says_how_long_it_would_have_been(door):
    async def work(way):
        async with way.client.stream("GET", PAGE, headers={"Accept-Encoding": "identity"}) as response:
            assert response.status_code == 200
            received = bytearray()

            async def read():
                async for chunk in response.aiter_raw():
                    received.extend(chunk)

            with pytest.raises(httpx.RemoteProtocolError):
                await read()
            assert len(received) == int(response.headers["content-length"]) // 4

    door(work, once("truncate", share=0.25))


def test_a_write_whose_answer_is_cut_was_executed(door):
    async def work(way):
        body = {"displayName": "A", "mailEnabled": False, "mailNickname": "a", "securityEnabled": True}
        with pytest.raises(httpx.RemoteProtocolError):
            await way.client.post("/v1.0/groups", json=body)
        assert [(entry.status, entry.faulted) for entry in way.tenant.log] == [(201, True)]

    door(work, once("truncate", path="/groups"))


def test_an_answer_is_compressed_for_who_accepts_that(door):
    async def work(way):
        packed = await way.get()
        plain = await way.get(headers={"Accept-Encoding": "identity"})
        short = await way.get("/v1.0/users/$count", headers={"ConsistencyLevel": "eventual"})
        assert packed.headers["content-encoding"] == "gzip"
        assert packed.headers["vary"] == "Accept-Encoding"
        assert int(packed.headers["content-length"]) < int(plain.headers["content-length"])
        assert packed.json()["value"] == plain.json()["value"]
        assert "content-encoding" not in plain.headers
        assert "content-encoding" not in short.headers

    door(work)


def test_the_process_compresses_only_if_told_to():
    async def main():
        tenant = SimulatedTenant(VirtualClock(), seed=SMALL)
        async with httpx.AsyncClient(transport=SandboxTransport(tenant), headers=BEARER) as client:
            return (await client.get(f"{GRAPH}{PAGE}")).headers

    assert "content-encoding" not in run(main(), virtual=True)


def test_a_short_answer_can_be_compressed_too(door):
    async def work(way):
        asked = {"ConsistencyLevel": "eventual"}
        packed = await way.get("/v1.0/users/$count", headers=asked)
        assert (packed.headers["content-encoding"], packed.text) == ("gzip", "122")
        plain = await way.get("/v1.0/users/$count", headers={**asked, "Accept-Encoding": "identity"})
        assert "content-encoding" not in plain.headers

    door(work, {"action": "gzip", "times": 2})


def test_a_bomb_unpacks_to_what_it_says(door):
    async def work(way):
        async with way.client.stream("GET", PAGE) as response:
            assert int(response.headers["content-length"]) < MIB
            size = 0
            async for chunk in response.aiter_bytes():
                size += len(chunk)
            return size

    assert door(work, once("bomb", size=64 * MIB + 7)) == 64 * MIB + 7


def test_a_bomb_is_json_all_the_same():
    assert json.loads(gzip.decompress(bomb(3 * MIB + 11))) == {"value": []}


@pytest.mark.parametrize(("status", "words"), [(502, "Bad Gateway"), (503, "Service Unavailable")])
def test_a_proxy_in_front_answers_in_html(door, status, words):
    async def work(way):
        told = await way.patch()
        assert (told.status_code, told.headers["content-type"]) == (status, "text/html")
        assert words in told.text
        assert "request-id" not in told.headers
        assert len(way.tenant.log) == 0

    door(work, once("html", status=status))


def test_a_body_comes_in_pieces(door):
    async def work(way):
        began = way.tenant.clock.now()
        async with way.client.stream("GET", PAGE, headers={"Accept-Encoding": "identity"}) as response:
            found = [chunk async for chunk in response.aiter_raw()]
        assert way.tenant.clock.now() - began >= 0.06
        assert len(json.loads(b"".join(found))["value"]) == 100
        return len(found)

    assert door(work, once("drip", pieces=4, seconds=0.02)) >= 4


def test_a_client_that_waits_less_than_a_piece_takes_gives_up(door):
    async def work(way):
        with pytest.raises(httpx.ReadTimeout):
            await way.get(timeout=httpx.Timeout(5, read=0.05))

    door(work, once("drip", pieces=4, seconds=0.5))


def test_a_client_that_waits_less_than_an_answer_takes_gives_up_and_it_was_executed(door):
    async def work(way):
        with pytest.raises(httpx.ReadTimeout):
            await way.patch(timeout=httpx.Timeout(5, read=0.05))
        assert len(way.tenant.log) == 1

    door(work, once("delay", seconds=0.5))


def test_a_mishap_inside_a_batch_is_the_batchs(door):
    async def work(way):
        items = [{"id": str(n), "method": "GET", "url": f"/users/rx1-000{n}@contoso.example"} for n in (1, 2)]
        with pytest.raises(httpx.RemoteProtocolError):
            await way.client.post("/v1.0/$batch", json={"requests": items})
        answer = await way.client.post("/v1.0/$batch", json={"requests": items})
        return {item["id"]: (item["status"], isinstance(item["body"], str)) for item in answer.json()["responses"]}

    rules = once("truncate", path="/users/rx1-0002*"), once("html", path="/users/rx1-0001*", nth=2)
    assert door(work, *rules) == {"1": (502, True), "2": (200, False)}


# -- what only HTTP/2 has --


def h2_only(authority, work, *rules, **options):
    async def main():
        tenant = SimulatedTenant(RealClock(), throttling=False, replication_s=0, **{"seed": SMALL, **options})
        tenant.faults.extend(rules)
        tls, trust = authority
        async with (
            served_here(tenant, tls) as address,
            httpx.AsyncClient(base_url=address, headers=BEARER, verify=trust, http2=True, trust_env=False) as client,
        ):
            return await work(Way(tenant, client))

    return run(main())


def test_http2_is_spoken_with_who_offers_it(authority):
    async def work(way):
        assert (await way.get()).http_version == "HTTP/2"
        async with httpx.AsyncClient(base_url=way.client.base_url, headers=BEARER, verify=authority[1]) as other:
            assert (await other.get(PAGE)).http_version == "HTTP/1.1"

    h2_only(authority, work)


def test_many_requests_share_one_connection(authority):
    async def work(way):
        began = way.tenant.clock.now()
        answers = await asyncio.gather(*(way.patch(f"title {n}") for n in range(20)))
        assert way.tenant.clock.now() - began < 4  # as long as one after the other would take
        assert way.tenant.faults.rules[0].matched == 1
        return {answer.status_code for answer in answers}

    assert h2_only(authority, work, once("refuse", nth=99), latency_s=0.2) == {204}


def test_a_request_that_goaway_shows_unprocessed_is_sent_again_by_httpcore_itself(authority):
    async def work(way):
        assert (await way.get("/v1.0/organization")).status_code == 200
        assert (await way.patch()).status_code == 204  # a second connection, of which nobody is told
        assert way.tenant.faults.rules[0].fired == 1
        return [entry.status for entry in way.tenant.log]

    assert h2_only(authority, work, once("goaway", method="PATCH")) == [204]


def test_a_stream_that_is_refused_leaves_the_connection_alone(authority):
    async def work(way):
        slow, refused = await asyncio.gather(way.get(), way.patch(), return_exceptions=True)
        assert slow.status_code == 200
        assert "error_code:7" in str(refused)  # REFUSED_STREAM

    h2_only(authority, work, once("refuse", path="/users/*"), latency_s=0.1)


def test_a_large_answer_waits_until_the_client_has_room(authority):
    async def work(way):
        return len((await way.get("/v1.0/users?$top=999", headers={"Accept-Encoding": "identity"})).content)

    assert h2_only(authority, work, seed=Seed(organisations=1, users=1200, licensed=0)) > 200_000


# -- raw sockets: what httpx does not show --


def raw(rule, sent, then=b""):
    """What a socket gets that sends ``sent``, and whether it ends with a reset."""

    async def main():
        tenant = SimulatedTenant(RealClock(), seed=SMALL, throttling=False)
        tenant.faults.add(rule)
        async with served_here(tenant) as address:
            host, port = address.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(sent)
            try:
                return await reader.read(), False
            except ConnectionResetError:
                return b"", True
            finally:
                writer.close()

    return run(main())


HEAD = f"PATCH {PERSON} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 9000\r\n\r\n".encode()


def test_a_reset_before_the_body_does_not_wait_for_it():
    assert raw(once("reset", when="before"), HEAD) == (b"", True)


def test_nobody_is_asked_for_a_body_that_would_not_be_read():
    expecting = HEAD.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
    assert raw(once("reset", when="before"), expecting) == (b"", True)


def test_a_refused_connection_is_reset_before_a_word_is_said():
    assert raw(once("refuse"), b"") == (b"", True)


def test_a_cut_body_ends_in_good_order():
    asked = f"GET {PAGE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n".encode()
    told, reset = raw(once("truncate"), asked)
    head, _, body = told.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    assert (len(body), reset) == (length // 2, False)


# -- the server --


@pytest.mark.parametrize(("secure", "version"), [(False, "HTTP/1.1"), (True, "HTTP/1.1"), (True, "HTTP/2")])
def test_a_server_that_stops_finishes_what_was_asked(authority, secure, version):
    async def main():
        tenant = SimulatedTenant(RealClock(), seed=SMALL, throttling=False, latency_s=0.2)
        asked, handle = asyncio.Event(), tenant.handle

        def noted(method, url, *rest, **more):
            if "users" in url:
                asked.set()
            return handle(method, url, *rest, **more)

        tenant.handle = noted
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        tls, trust = authority
        server = asyncio.create_task(serve(tenant, tls=tls if secure else None, on_ready=ready.set_result))
        address = await ready
        options = {"headers": BEARER, "verify": trust, "trust_env": False, "http2": version == "HTTP/2"}
        async with (
            httpx.AsyncClient(base_url=address, **options) as client,
            httpx.AsyncClient(base_url=address, **options) as idle,
        ):
            assert (await idle.get("/v1.0/organization")).status_code == 200
            answer = asyncio.create_task(client.get(PAGE))
            await asked.wait()
            server.cancel()
            told = await answer
            assert (told.status_code, told.http_version) == (200, version)
            assert told.headers.get("connection", "close") == "close"
            await asyncio.wait([server], timeout=2)
            assert server.cancelled()
            with pytest.raises(httpx.ConnectError):
                await client.get(PAGE)

    run(main())


def test_a_guest_that_says_nothing_and_one_that_speaks_no_tls_are_let_go(authority):
    async def main():
        tenant = SimulatedTenant(RealClock(), seed=SMALL)
        async with served_here(tenant, authority[0]) as address:
            host, port = address.removeprefix("https://").split(":")
            silent = socket.create_connection((host, int(port)))
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert b"HTTP/1.1 200" not in await reader.read()
            writer.close()
        silent.close()

    run(main())


def test_a_guest_that_never_says_goodbye_holds_nobody_up(authority, caplog):
    """Its TLS is left open: the server waits a second for its end, and takes it without a complaint."""

    async def main():
        tenant = SimulatedTenant(RealClock(), seed=SMALL)
        async with served_here(tenant, authority[0]) as address:
            host, port = address.removeprefix("https://").split(":")
            held = await asyncio.to_thread(socket.create_connection, (host, int(port)))
            authority[1].set_alpn_protocols(["http/1.1"])
            guest = await asyncio.to_thread(authority[1].wrap_socket, held, server_hostname=host)
            await asyncio.to_thread(guest.sendall, b"GET /v1.0/users HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"401" in await asyncio.to_thread(guest.recv, 4096)
        return guest

    run(main()).close()
    gc.collect()
    assert not caplog.records


# -- rules --


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"action": "reset", "when": "later"}, "before or after"),
        ({"action": "reset", "share": 0.5}, "unknown key 'share' for the action 'reset'"),
        ({"action": "refuse", "seconds": 1}, "unknown key 'seconds'"),
        ({"action": "truncate", "share": 1}, "'share' is a share"),
        ({"action": "truncate", "share": True}, "'share' is a share"),
        ({"action": "drip", "pieces": 1}, "'pieces' is"),
        ({"action": "drip", "seconds": -1}, "'seconds' is"),
        ({"action": "bomb", "size": "1 GB"}, "'size' is"),
        ({"action": "html", "status": 200}, "'status' is"),
        ({"action": "goaway", "processed": 1}, "true or false"),
        ({"action": "commit-then", "failure": "bomb"}, "'failure' is one of"),
    ],
)
def test_a_rule_of_the_wire_has_its_own_keys_and_no_others(rule, words):
    with pytest.raises(ValueError, match=words):
        check_rule(rule)


@pytest.mark.parametrize(
    ("header", "accepted"),
    [("gzip", True), ("deflate, gzip;q=0.5", True), ("*", True), ("gzip;q=0", False), ("br", False), ("", False)],
)
def test_who_accepts_gzip_says_so(header, accepted):
    assert accepts_gzip(header) is accepted
