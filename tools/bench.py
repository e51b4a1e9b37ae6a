"""Measure graphkit beside what people would use instead, in one run: ``make bench``.

Every figure is CPU time of the measured process, wall time, or peak memory of a process, the median of several rounds
taken in turn; machines differ and are noisy, so read the ratios. The far end is a server of our own on loopback, in a
process of its own, that answers each part of a batch with 204. It has no quota, and ours are lifted.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from msgraph import GraphServiceClient
    from msgraph.generated.models.user import User

    from graphkit.client import GraphClient
    from graphkit.transport.network import WireKind

WRITES = 4000
SDK_WRITES = 200
USERS = 999 * 100
ROUNDS = 5
LATENCY_S = 0.08
IN_FLIGHT = 320  # single writes given to graphkit at a time: as many as its engine gives
STARTS = 9
BODY = {"department": "Nursing", "officeLocation": "RX1", "jobTitle": "Nurse"}
TOKEN = "x" * 1600

STUB = r"""
import asyncio, json, sys
LATENCY, PAGES = float(sys.argv[1]), 100
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nrequest-id: 1\r\nContent-Length: %d\r\n\r\n"
USER = {"displayName": "A user", "accountEnabled": True, "department": "Nursing", "jobTitle": "Nurse",
        "officeLocation": "RX1", "usageLocation": "GB", "assignedLicenses": [{"skuId": "0" * 36, "disabledPlans": []}]}
def page(number):
    rows = [USER | {"id": f"{row:036d}", "userPrincipalName": f"rx1-{row:07d}@contoso.example"}
            for row in range(number * 999, number * 999 + 999)]
    more = number + 1 < PAGES
    return rows, more
LISTS = [page(number) for number in range(PAGES)]
async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)
            body = await reader.readexactly(length)
            if LATENCY:
                await asyncio.sleep(LATENCY)
            if "/$batch " in head:
                asked = json.loads(body)["requests"]
                answer = json.dumps({"responses": [{"id": each["id"], "status": 204, "headers": {}} for each in asked]})
                writer.write((HEAD % len(answer) + answer).encode())
            elif head.startswith("get "):
                number = int(head.partition("skiptoken=")[2].partition(" ")[0] or 0)
                rows, more = LISTS[number]
                host = next(line[6:] for line in head.split("\r\n") if line.startswith("host: "))
                link = {"@odata.nextLink": f"http://{host}/v1.0/users?$top=999&$skiptoken={number + 1}"} if more else {}
                answer = json.dumps({"value": rows} | link)
                writer.write((HEAD % len(answer) + answer).encode())
            else:
                writer.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionResetError):
        writer.close()
async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 22)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    print(f"python {platform.python_version()}, {platform.system()} {platform.machine()}")
    print(f"\nStart-up, wall time of the whole process, median of {STARTS} taken in turn")
    start_up()
    with far_end(0.0) as root:
        print(f"\n{WRITES} writes (PATCH of three fields), CPU of the client, median of {ROUNDS} rounds taken in turn")
        compare(WRITERS, root, time.process_time, ROUNDS, "us/write")
        print(f"\nListing {USERS} users in pages of 999, CPU of the client, median of {ROUNDS} rounds taken in turn")
        compare(READERS, root, time.process_time, ROUNDS, "us/user")
    with far_end(LATENCY_S) as root:
        print(f"\nThe same writes at {1000 * LATENCY_S:.0f} ms a call, wall time, median of 3 rounds taken in turn")
        # One call after another is left out: at this latency its ratio is that of the calls, known beforehand.
        slow = (one_by_one, with_requests, through_sdk_one_by_one, through_wire_alone, through_fast_wire_alone)
        batching = [writer for writer in WRITERS if writer.work not in slow]
        compare(batching, root, time.perf_counter, 3, "us/write")
    # Linux counts in KiB, macOS in bytes.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 if sys.platform == "darwin" else 1 / 1024)
    print(f"\nPeak memory of this process, all contenders together: {peak / 2**20:.0f} MB")


@contextmanager
def far_end(latency: float) -> Iterator[str]:
    """A server on loopback that waits ``latency`` seconds before each answer; its address."""
    server = subprocess.Popen([sys.executable, "-c", STUB, str(latency)], stdout=subprocess.PIPE, text=True)
    assert server.stdout
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def start_up() -> None:
    installed = "import sys; from graphkit.__main__ import main; sys.exit(main())"  # as a console script does
    commands = {
        "python -c pass": ["-c", "pass"],
        "graphkit --version": ["-c", installed, "--version"],
        "graphkit --help": ["-c", installed, "--help"],
        "python -m graphkit --version": ["-m", "graphkit", "--version"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as bytecode:
        # Compiled once, as whatever is installed is.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(STARTS + 1):
            for name, arguments in commands.items():
                begin = time.perf_counter()
                subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, env=environment)
                taken[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(times[1:]) * 1000 for name, times in taken.items()}
    show(medians, "ms", "python -c pass")


def compare(contenders: Sequence[Contender], root: str, meter: Callable[[], float], rounds: int, unit: str) -> None:
    """The median of what each contender takes per operation. One round before them warms up."""
    able = []
    for contender in contenders:
        missing = [name for name in contender.needs if importlib.util.find_spec(name) is None]
        if missing:
            print(f"  {contender.name:48} skipped: {', '.join(missing)} not installed")
        else:
            able.append(contender)
    taken: dict[str, list[float]] = {contender.name: [] for contender in able}
    for _ in range(rounds + 1):
        for contender in able:
            gc.collect()
            gc.freeze()  # or everybody would pay for the modules that another has imported
            begin = meter()
            asyncio.run(contender.work(root))
            taken[contender.name].append((meter() - begin) / contender.operations)
    show({name: statistics.median(times[1:]) * 1e6 for name, times in taken.items()}, unit, able[0].name)


def parts_from(first: int) -> list[dict[str, object]]:
    return [
        {
            "id": str(number),
            "method": "PATCH",
            "url": f"/users/{number}",
            "headers": {"Content-Type": "application/json"},
            "body": BODY,
        }
        for number in range(first, first + 20)
    ]


async def raw_batches(root: str) -> None:
    import aiohttp
    import orjson

    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers) as session:
        turn = asyncio.Semaphore(8)

        async def send(first: int) -> None:
            body = orjson.dumps({"requests": parts_from(first)})
            async with turn, session.post(f"{root}/v1.0/$batch", data=body) as answer:
                document = orjson.loads(await answer.read())
            assert len({each["id"] for each in document["responses"] if each["status"] == 204}) == 20

        await asyncio.gather(*(send(first) for first in range(0, WRITES, 20)))


async def raw_listing(root: str) -> None:
    import aiohttp
    import orjson

    seen, link = 0, f"{root}/v1.0/users?$top=999"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
        while link:
            async with session.get(link) as answer:
                page = orjson.loads(await answer.read())
            seen += len(page["value"])
            link = page.get("@odata.nextLink", "")
    assert seen == USERS


async def by_hand(root: str) -> None:
    import httpx

    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        turn = asyncio.Semaphore(8)

        async def send(first: int) -> None:
            async with turn:
                answer = await client.post(f"{root}/v1.0/$batch", json={"requests": parts_from(first)})
            done = {each["id"] for each in answer.json()["responses"] if each["status"] == 204}
            assert len(done) == 20

        await asyncio.gather(*(send(first) for first in range(0, WRITES, 20)))


async def one_by_one(root: str) -> None:
    import httpx

    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        turn = asyncio.Semaphore(8)

        async def send(number: int) -> None:
            async with turn:
                answer = await client.patch(f"{root}/v1.0/users/{number}", json=BODY)
            assert answer.status_code == 204

        await asyncio.gather(*(send(number) for number in range(WRITES)))


@asynccontextmanager
async def graphkit_client(root: str, wire: WireKind = "httpcore") -> AsyncIterator[GraphClient]:
    """The whole chain, its quotas lifted: guard, retry, governor, batcher, auth, wire."""
    from graphkit.auth.source import FixedSource
    from graphkit.client import GraphClient
    from graphkit.clock import RealClock
    from graphkit.protocol.budget import WriteBudget
    from graphkit.protocol.clouds import Cloud
    from graphkit.protocol.identity import Token
    from graphkit.protocol.quota import table
    from graphkit.transport.chain import build_chain
    from graphkit.transport.network import make_wire

    cloud = Cloud("bench", root, root)
    clock = RealClock()
    chain = build_chain(
        # No TLS here, as for the others: to load the system's certificates takes as long as a thousand writes.
        make_wire(wire, verify=False),
        cloud=cloud,
        source=FixedSource("bench", Token(TOKEN, float("inf"))),
        clock=clock,
        budget=WriteBudget.unlimited(),
        quota_share=1.0,
        limits=dict.fromkeys(table(), 1e9),
    )
    try:
        yield GraphClient(chain, cloud=cloud, clock=clock)
    finally:
        await chain.aclose()


async def through_graphkit(root: str, wire: WireKind = "httpcore") -> None:
    from graphkit.protocol.message import Idempotency, Request
    from graphkit.protocol.routes import parse

    parse.cache_clear()  # in a real run hardly any address comes twice
    body = json.dumps(BODY).encode()
    async with graphkit_client(root, wire) as client:
        numbers = iter(range(WRITES))

        async def work() -> None:
            for number in numbers:
                request = Request(
                    method="PATCH", path=f"/users/{number}", body=body, idempotency=Idempotency.CONVERGENT
                )
                assert (await client.send(request)).status == 204

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))


async def through_graphkit_batch(root: str, wire: WireKind = "httpcore") -> None:
    """The same, but given to the client all at once."""
    from graphkit.protocol.message import Idempotency, Request, Response
    from graphkit.protocol.routes import parse

    parse.cache_clear()
    body = json.dumps(BODY).encode()
    async with graphkit_client(root, wire) as client:
        answers = await client.batch(
            [
                Request(method="PATCH", path=f"/users/{number}", body=body, idempotency=Idempotency.CONVERGENT)
                for number in range(WRITES)
            ]
        )
    assert len(answers) == WRITES
    assert all(isinstance(answer, Response) and answer.status == 204 for answer in answers)


async def through_graphkit_batch_fast(root: str) -> None:
    await through_graphkit_batch(root, "aiohttp")


async def through_wire_alone(root: str, wire: WireKind = "httpcore") -> None:
    """What our chain cannot go below: batches ready to be sent, through our codec and the network, 8 in flight."""
    import httpx

    from graphkit.protocol import batch
    from graphkit.protocol.message import Request
    from graphkit.transport.network import make_wire

    body = json.dumps(BODY).encode()
    headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
    wait = dict.fromkeys(("connect", "pool", "write", "read"), 60.0)
    network, turn = make_wire(wire, verify=False), asyncio.Semaphore(8)

    async def send(first: int) -> None:
        writes = [Request(method="PATCH", path=f"/users/{number}", body=body) for number in range(first, first + 20)]
        request = httpx.Request(
            "POST", f"{root}/v1.0/$batch", headers=headers, content=batch.encode(writes), extensions={"timeout": wait}
        )
        async with turn:
            response = await network.handle_async_request(request)
            answers = batch.decode(await response.aread(), 20)
            await response.aclose()
        assert all(answer and answer.status == 204 for answer in answers)

    await asyncio.gather(*(send(first) for first in range(0, WRITES, 20)))
    await network.aclose()


async def through_fast_wire_alone(root: str) -> None:
    await through_wire_alone(root, "aiohttp")


async def through_graphkit_fast(root: str) -> None:
    await through_graphkit(root, "aiohttp")


async def listing_through_graphkit(root: str, wire: WireKind = "httpcore") -> None:
    async with graphkit_client(root, wire) as client:
        assert sum([len(page) async for page in client.pages("/users")]) == USERS


async def fast_listing_through_graphkit(root: str) -> None:
    await listing_through_graphkit(root, "aiohttp")


async def with_requests(root: str) -> None:
    import requests

    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {TOKEN}"
        for number in range(SDK_WRITES):
            assert session.patch(f"{root}/v1.0/users/{number}", json=BODY, timeout=60).status_code == 204


async def through_sdk(root: str, at_a_time: int = 32) -> None:
    """msgraph-sdk as it comes; fewer writes, because each costs so much."""
    from kiota_abstractions.authentication import AnonymousAuthenticationProvider
    from msgraph import GraphRequestAdapter, GraphServiceClient

    adapter = GraphRequestAdapter(AnonymousAuthenticationProvider())
    adapter.base_url = f"{root}/v1.0"
    await _sdk_writes(GraphServiceClient(request_adapter=adapter), at_a_time)


async def through_sdk_batches(root: str) -> None:
    """msgraph-core's own batches, which it posts one after another. Their addresses, absolute as it writes them, are
    refused by the service itself (msgraph-sdk-python issue 1015); this far end takes them."""
    from kiota_abstractions.authentication import AnonymousAuthenticationProvider
    from msgraph import GraphRequestAdapter, GraphServiceClient
    from msgraph_core.requests.batch_request_builder import BatchRequestBuilder
    from msgraph_core.requests.batch_request_content_collection import BatchRequestContentCollection
    from msgraph_core.requests.batch_request_item import BatchRequestItem

    adapter = GraphRequestAdapter(AnonymousAuthenticationProvider())
    adapter.base_url = f"{root}/v1.0"
    users = GraphServiceClient(request_adapter=adapter).users
    collection = BatchRequestContentCollection()
    for number in range(SDK_WRITES):
        request = users.by_user_id(str(number)).to_patch_request_information(_person())
        request.path_parameters["baseurl"] = adapter.base_url
        collection.add_batch_request_item(BatchRequestItem(request))
    answers = await BatchRequestBuilder(adapter).post(collection)
    assert sum(len(answer.responses) for answer in answers.get_responses()) == SDK_WRITES


async def through_sdk_one_by_one(root: str) -> None:
    await through_sdk(root, 1)


async def through_sdk_all_at_once(root: str) -> None:
    await through_sdk(root, SDK_WRITES)


async def through_sdk_on_our_transport(root: str, at_a_time: int = 32) -> None:
    """The same code, given graphkit's client."""
    async with graphkit_client(root) as client:
        await _sdk_writes(client.sdk, at_a_time)


async def through_sdk_on_our_transport_all_at_once(root: str) -> None:
    await through_sdk_on_our_transport(root, SDK_WRITES)


def _person() -> User:
    from msgraph.generated.models.user import User

    return User(department=BODY["department"], office_location=BODY["officeLocation"], job_title=BODY["jobTitle"])


async def _sdk_writes(client: GraphServiceClient, at_a_time: int) -> None:
    person = _person()
    for first in range(0, SDK_WRITES, at_a_time):
        numbers = range(first, min(first + at_a_time, SDK_WRITES))
        await asyncio.gather(*(client.users.by_user_id(str(number)).patch(person) for number in numbers))


@dataclass(frozen=True)
class Contender:
    name: str
    work: Callable[[str], Coroutine[Any, Any, None]]
    operations: int
    needs: tuple[str, ...] = ()


WRITERS = (
    Contender("httpx, batches built by hand, 8 in flight", by_hand, WRITES),
    Contender("aiohttp + orjson, the same", raw_batches, WRITES, ("aiohttp", "orjson")),
    Contender("graphkit, all given to the client at once", through_graphkit_batch, WRITES),
    Contender("graphkit with the extra fast, the same", through_graphkit_batch_fast, WRITES, ("aiohttp",)),
    Contender("graphkit, single writes, 320 in flight", through_graphkit, WRITES),
    Contender("graphkit with fast, single writes, the same", through_graphkit_fast, WRITES, ("aiohttp",)),
    Contender("our codec and httpcore, without the chain", through_wire_alone, WRITES),
    Contender("our codec and aiohttp, without the chain", through_fast_wire_alone, WRITES, ("aiohttp",)),
    Contender("httpx, one call per write, 8 in flight", one_by_one, WRITES),
    Contender("requests, one after another", with_requests, SDK_WRITES, ("requests",)),
    Contender("msgraph-sdk, one after another", through_sdk_one_by_one, SDK_WRITES, ("msgraph",)),
    Contender("msgraph-sdk, gather(32)", through_sdk, SDK_WRITES, ("msgraph",)),
    Contender("msgraph-core, its batch collection", through_sdk_batches, SDK_WRITES, ("msgraph", "deprecated")),
    Contender("msgraph-sdk, gather(200)", through_sdk_all_at_once, SDK_WRITES, ("msgraph",)),
    Contender("its code, gather(32), on our transport", through_sdk_on_our_transport, SDK_WRITES, ("msgraph",)),
    Contender(
        "its code, gather(200), on our transport", through_sdk_on_our_transport_all_at_once, SDK_WRITES, ("msgraph",)
    ),
)
READERS = (
    Contender("graphkit, pages()", listing_through_graphkit, USERS),
    Contender("graphkit with the extra fast, the same", fast_listing_through_graphkit, USERS, ("aiohttp",)),
    Contender("aiohttp + orjson, links followed by hand", raw_listing, USERS, ("aiohttp", "orjson")),
)


def show(medians: dict[str, float], unit: str, base: str) -> None:
    for name, figure in medians.items():
        print(f"  {name:48} {figure:9.1f} {unit:9} {figure / medians[base]:6.2f} x")


if __name__ == "__main__":
    main()
