"""Measure graphkit beside what people would use instead, in one run: ``make bench``.

Every figure is CPU time of the measured process or wall time of a whole process, the median of several rounds taken in
turn; machines differ and are noisy, so read the ratios. The far end is a server of our own on loopback, in a process of
its own, that answers each part of a batch with 204.
"""

from __future__ import annotations

import asyncio
import gc
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

WRITES = 4000
ROUNDS = 5
STARTS = 9
BODY = {"department": "Nursing", "officeLocation": "RX1", "jobTitle": "Nurse"}
TOKEN = "x" * 1600

STUB = r"""
import asyncio, json, sys
HEAD = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nrequest-id: 1\r\nContent-Length: %d\r\n\r\n"
async def serve(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)
            body = await reader.readexactly(length)
            if "/$batch " in head:
                asked = json.loads(body)["requests"]
                answer = json.dumps({"responses": [{"id": each["id"], "status": 204, "headers": {}} for each in asked]})
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
    print(f"python {platform.python_version()}, {platform.system()} {platform.machine()}")
    print(f"\nStart-up, wall time of the whole process, median of {STARTS} taken in turn")
    start_up()
    server = subprocess.Popen([sys.executable, "-c", STUB], stdout=subprocess.PIPE, text=True)
    assert server.stdout
    try:
        root = f"http://127.0.0.1:{server.stdout.readline().strip()}"
        print(f"\n{WRITES} writes (PATCH of three fields), CPU of the client, median of {ROUNDS} rounds taken in turn")
        writes(root)
    finally:
        server.kill()
        server.wait()


def start_up() -> None:
    commands = {
        "python -c pass": ["-c", "pass"],
        "graphkit --version": ["-m", "graphkit", "--version"],
        "graphkit --help": ["-m", "graphkit", "--help"],
    }
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(STARTS + 1):
        for name, arguments in commands.items():
            begin = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            taken[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(times[1:]) * 1000 for name, times in taken.items()}
    show(medians, "ms", "python -c pass")


def writes(root: str) -> None:
    contenders: dict[str, Callable[[str], Awaitable[None]]] = {
        "httpx, batches built by hand, 8 in flight": by_hand,
        "graphkit, single writes given to the client": through_graphkit,
        "httpx, one call per write, 8 in flight": one_by_one,
    }
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS + 1):
        for name, contender in contenders.items():
            gc.collect()
            begin = time.process_time()
            asyncio.run(contender(root))
            taken[name].append(time.process_time() - begin)
    medians = {name: statistics.median(times[1:]) / WRITES * 1e6 for name, times in taken.items()}
    show(medians, "us/write", "httpx, batches built by hand, 8 in flight")


async def by_hand(root: str) -> None:
    import httpx

    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        turn = asyncio.Semaphore(8)

        async def send(first: int) -> None:
            parts = [
                {
                    "id": str(number),
                    "method": "PATCH",
                    "url": f"/users/{number}",
                    "headers": {"Content-Type": "application/json"},
                    "body": BODY,
                }
                for number in range(first, first + 20)
            ]
            async with turn:
                answer = await client.post(f"{root}/v1.0/$batch", json={"requests": parts})
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


async def through_graphkit(root: str) -> None:
    """The whole chain, its quotas lifted: guard, retry, governor, batcher, auth, wire."""
    from graphkit.auth.source import FixedSource
    from graphkit.client import GraphClient
    from graphkit.clock import RealClock
    from graphkit.protocol.budget import WriteBudget
    from graphkit.protocol.clouds import Cloud
    from graphkit.protocol.identity import Token
    from graphkit.protocol.message import Idempotency, Request
    from graphkit.protocol.quota import table
    from graphkit.transport.chain import build_chain
    from graphkit.transport.wire import make_wire

    cloud = Cloud("bench", root, root)
    clock = RealClock()
    chain = build_chain(
        make_wire(),
        cloud=cloud,
        source=FixedSource("bench", Token(TOKEN, float("inf"))),
        clock=clock,
        budget=WriteBudget.unlimited(),
        quota_share=1.0,
        limits=dict.fromkeys(table(), 1e9),
    )
    client = GraphClient(chain, cloud=cloud, clock=clock)
    body = json.dumps(BODY).encode()
    requests = [
        Request(method="PATCH", path=f"/users/{number}", body=body, idempotency=Idempotency.CONVERGENT)
        for number in range(WRITES)
    ]
    answers = await client.batch(requests)
    assert all(getattr(answer, "status", 0) == 204 for answer in answers), answers[0]
    await chain.aclose()


def show(medians: dict[str, float], unit: str, base: str) -> None:
    for name, figure in medians.items():
        print(f"  {name:48} {figure:9.1f} {unit:9} {figure / medians[base]:6.2f} x")


if __name__ == "__main__":
    main()
