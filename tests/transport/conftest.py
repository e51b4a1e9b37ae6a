"""Stages with a script, and a far end that counts what reaches it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from graphkit import clock
from graphkit.client import GraphClient
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.clouds import CLOUDS
from graphkit.protocol.identity import Token
from graphkit.protocol.message import Request, Response
from graphkit.transport.chain import build_chain
from graphkit.transport.together import singly


class Script:
    """A stage that answers as it is told, then for ever with its last answer. Exceptions are raised."""

    def __init__(self, *answers: Any, latency: float = 0.0) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []
        self.times: list[float] = []
        self.latency = latency
        self.clock = clock.VirtualClock()

    async def send(self, request: Request) -> Response:
        self.requests.append(request)
        self.times.append(self.clock.monotonic())
        if self.latency:
            await self.clock.sleep(self.latency)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        return Response(answer.status, dict(answer.headers), answer.body)

    async def send_batch(self, requests):
        return await singly(self, requests)

    batch = send_batch


@dataclass
class Tokens:
    """A token source that counts what it is asked."""

    name: str = "app"
    lifetime: float = 3600.0
    asked: list[tuple[str, bool]] = field(default_factory=list)
    delay: float = 0.0

    async def token(self, *, claims: str = "", renew: bool = False) -> Token:
        self.asked.append((claims, renew))
        if self.delay:
            await clock.VirtualClock().sleep(self.delay)
        return Token(f"token-{len(self.asked)}", clock.VirtualClock().now() + self.lifetime)


@dataclass
class Arrival:
    """One operation as the service sees it, whether it came bare or in a batch."""

    time: float
    method: str
    path: str
    body: Any
    headers: dict[str, str]
    call: int


class FarEnd(httpx.AsyncBaseTransport):
    """Takes bare calls and batches apart. ``answer(arrival)`` gives ``(status, headers, body)`` for each operation.

    ``outer(call, items)`` may answer a whole batch instead, or return ``None``.
    """

    def __init__(self, answer=None, outer=None, latency: float = 0.2) -> None:
        self.answer = answer or (lambda arrival: (200, {}, {"id": arrival.path}))
        self.outer = outer
        self.latency = latency
        self.arrivals: list[Arrival] = []
        self.calls: list[httpx.Request] = []
        self.clock = clock.VirtualClock()
        self.in_flight = self.most_in_flight = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        try:
            return await self._answer(request)
        finally:
            self.in_flight -= 1

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        call = len(self.calls)
        path = request.url.raw_path.decode()
        if not path.endswith("/$batch"):
            body = json.loads(request.content) if request.content else None
            status, headers, answer = self._one(request.method, path.split("/", 2)[2], body, request.headers, call)
            await self.clock.sleep(self.latency)
            return (
                httpx.Response(status, headers=headers, json=answer) if answer is not None else _empty(status, headers)
            )
        items = json.loads(request.content)["requests"]
        if self.outer and (whole := self.outer(call, items)) is not None:
            await self.clock.sleep(self.latency)
            if isinstance(whole, Exception):
                raise whole
            return whole
        responses = []
        for item in items:
            status, headers, answer = self._one(
                item["method"], item["url"].lstrip("/"), item.get("body"), item.get("headers", {}), call
            )
            responses.append({"id": item["id"], "status": status, "headers": headers, "body": answer})
        await self.clock.sleep(self.latency)
        return httpx.Response(200, json={"responses": responses[::-1]})

    def _one(self, method, path, body, headers, call):
        arrival = Arrival(self.clock.monotonic(), method, "/" + path, body, dict(headers), call)
        self.arrivals.append(arrival)
        return self.answer(arrival)

    def count(self, path: str) -> int:
        return sum(arrival.path == path for arrival in self.arrivals)


def _empty(status, headers):
    return httpx.Response(status, headers=headers)


@pytest.fixture
def script():
    return Script


@pytest.fixture
def tokens():
    return Tokens()


@pytest.fixture
def far_end():
    return FarEnd


@pytest.fixture
def virtual():
    """Run a coroutine on virtual time, and let nothing be left over."""

    async def _watched(main):
        result = await main
        await asyncio.sleep(0)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        return result

    return lambda main: clock.run(_watched(main), virtual=True)


class OneByOne:
    """A chain that is given every request by itself, even by a client that has many."""

    def __init__(self, chain):
        self.send = chain.send


@pytest.fixture(params=["together", "one by one"])
def connected(tokens, request):
    """A chain, and a client on it, that ends at the given far end; what the client is given at once is handed on so or
    one by one, which must make no difference to anybody."""

    def connect(end, **settings):
        settings.setdefault("budget", WriteBudget.unlimited())
        settings.setdefault("seed", 7)
        ticking = clock.VirtualClock()
        chain = build_chain(end, cloud=CLOUDS["global"], source=tokens, clock=ticking, **settings)
        given = chain if request.param == "together" else OneByOne(chain)
        return chain, GraphClient(given, cloud=CLOUDS["global"], clock=ticking)

    return connect
