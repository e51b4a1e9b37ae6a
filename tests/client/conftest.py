"""A collection behind a whole chain on virtual time, and one behind a stage with a script."""

from __future__ import annotations

import asyncio
import bisect
import json
import re
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import pytest

from graphkit import clock
from graphkit.client import GraphClient
from graphkit.clock import VirtualClock
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.clouds import CLOUDS
from graphkit.protocol.identity import Token
from graphkit.protocol.message import Response
from graphkit.transport.chain import build_chain

ROOT = "https://graph.microsoft.com"
CLAUSE = re.compile(r"startswith\(\w+,'((?:[^']|'')*)'\)|\w+ eq '((?:[^']|'')*)'")


class Script:
    """A stage that answers by ``answer(request)``: a status with a document, or an exception."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []

    async def send(self, request):
        self.requests.append(request)
        answer = self.answer(request)
        if isinstance(answer, Exception):
            raise answer
        status, document = answer
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        return Response(status, {"content-type": "application/json"}, b"" if document is None else body)


@pytest.fixture
def scripted():
    def make(answer):
        chain = Script(answer)
        return chain, GraphClient(chain, cloud=CLOUDS["global"], clock=VirtualClock())

    return make


class Collection(httpx.AsyncBaseTransport):
    """``/users`` by userPrincipalName, sorted, with filters of alternatives, counts and pages; bare or in a batch.

    ``refuse(path)`` may give a status for a listing; ``counts`` may change what is told of a number; ``seen(path)`` is
    called at each listing.
    """

    def __init__(self, names, latency=0.2):
        self.names = sorted(names)
        self.latency = latency
        self.refuse = lambda path: None
        self.counts = lambda number, rule: number
        self.seen = lambda path: None
        self.calls, self.operations = [], []
        self.clock = VirtualClock()

    async def handle_async_request(self, request):
        self.calls.append(request)
        target = request.url.raw_path.decode()
        if target.endswith("/$batch"):
            parts = [
                {"id": item["id"], **self._answer(item["url"])} for item in json.loads(request.content)["requests"]
            ]
            await self.clock.sleep(self.latency)
            return httpx.Response(200, json={"responses": parts})
        answer = self._answer(target.removeprefix("/v1.0"))
        await self.clock.sleep(self.latency)
        return httpx.Response(answer["status"], json=answer["body"])

    def _answer(self, target):
        self.operations.append(target)
        options = dict(parse_qsl(urlsplit(target).query))
        rule, size = options.get("$filter", ""), int(options.get("$top", 100))
        counting = "$count" in options and size == 1
        if not counting:
            self.seen(target)
        if status := self.refuse(target):
            return {"status": status, "body": {"error": {"code": "Request_UnsupportedQuery", "message": "no"}}}
        found = self._matching(rule)
        start = int(options.get("$skiptoken", 0))
        body = {"value": [{"id": f"id of {name}", "userPrincipalName": name} for name in found[start : start + size]]}
        if "$count" in options:
            body["@odata.count"] = self.counts(len(found), rule)
        if start + size < len(found):
            kept = "&".join(f"{name}={quote(value)}" for name, value in options.items() if name != "$skiptoken")
            body["@odata.nextLink"] = f"{ROOT}/v1.0/users?{kept}&$skiptoken={start + size}"
        return {"status": 200, "body": body}

    def _matching(self, rule):
        clauses = CLAUSE.findall(rule)
        if not clauses:
            return self.names
        found = []
        for beginning, exactly in clauses:
            beginning, exactly = beginning.replace("''", "'"), exactly.replace("''", "'")
            if beginning:
                start = bisect.bisect_left(self.names, beginning)
                found += self.names[start : bisect.bisect_left(self.names, beginning + "\U0010ffff")]
            else:
                found += [name for name in self.names if name == exactly]
        return found


class Fixed:
    name = "app"

    async def token(self, *, claims="", renew=False):
        return Token("fixed", 4e9)


@pytest.fixture
def reading():
    """``reading(collection, use)`` runs ``use(graph)`` on virtual time and gives (what it returned, the seconds)."""

    def run(end, use, **settings):
        ticking = VirtualClock()
        cloud = CLOUDS["global"]

        async def main():
            chain = build_chain(
                end,
                cloud=cloud,
                source=Fixed(),
                clock=ticking,
                budget=WriteBudget.unlimited(),
                **{"quota_share": 1.0, "tenant_size": "L", "seed": 7, **settings},
            )
            begun = ticking.monotonic()
            try:
                result = await use(GraphClient(chain, cloud=cloud, clock=ticking))
            finally:
                seconds = ticking.monotonic() - begun
                await ticking.sleep(0.001)  # what was not read to its end is closed by the loop
                await chain.aclose()
            assert len(asyncio.all_tasks()) == 1, "something is left running"
            return result, seconds

        return clock.run(main(), virtual=True)

    return run


@pytest.fixture
def collection():
    return Collection
