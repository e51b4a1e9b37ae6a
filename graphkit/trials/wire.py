"""The wire of a trial: it writes down what is asked, holds the caller to the permissions declared, and can break."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

import httpx

from graphkit.sandbox import SandboxTransport, SimulatedTenant

READS = ("GET", "HEAD")
FAR_AWAY = 4_102_444_800
"""2100-01-01: no trial lasts so long."""


class Wire(httpx.AsyncBaseTransport):
    """``calls`` are (method, version, path) of all that was asked, parts of batches one by one; ``writes`` counts those
    that are no reads.

    With ``crash_at`` N it breaks at the N-th write: ``committed`` says whether that one still reached the tenant. What
    stands behind it in a batch never does. ``on_crash`` is called at that moment, before anybody notices; from then on
    nothing is sent and nothing is answered, and whoever works in this session is cancelled.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        if not isinstance(inner, SandboxTransport):
            raise TypeError("a trial runs on the simulated tenant")
        self._inner = inner
        self.calls: list[tuple[str, str, str]] = []
        self.writes = 0
        self.token = ""
        self.crash_at = 0
        self.committed = False
        self.on_crash: Callable[[], None] = lambda: None
        self.gone = False
        self._worker = asyncio.current_task()

    @property
    def tenant(self) -> SimulatedTenant:
        return self._inner.tenant

    def permit(self, permissions: Iterable[str]) -> None:
        """From now on the caller holds these application permissions, and no others."""
        signer = self.tenant.login.signer
        claims = {"iss": signer.issuer, "appid": "trial", "idtyp": "app", "roles": sorted(permissions)}
        self.token = signer.sign({**claims, "exp": FAR_AWAY})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.gone:
            return await self._silence()
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        parts = _parts(request, await request.aread())
        before = self.writes
        self._note(parts)
        if not before < self.crash_at <= self.writes:
            return await self._inner.handle_async_request(request)
        await self._last(request, parts, self.crash_at - before)
        self.gone = True
        self.on_crash()
        if self._worker is not None:
            self._worker.cancel()
        return await self._silence()

    async def _silence(self) -> httpx.Response:
        nothing: asyncio.Future[httpx.Response] = asyncio.get_running_loop().create_future()
        return await nothing

    def _note(self, parts: list[_Part]) -> None:
        for part in parts:
            self.calls.append((part.method, part.version, part.path))
            self.writes += part.method not in READS

    async def _last(self, request: httpx.Request, parts: list[_Part], number: int) -> None:
        """Let through the writes before the ``number``-th of this request, and that one if it is to be committed."""
        kept, seen = [], 0
        for part in parts:
            seen += part.method not in READS
            if seen < number or (self.committed and seen == number):
                kept.append(part.item)
        if not kept:
            return
        if len(kept) < len(parts):
            headers = {name: value for name, value in request.headers.items() if name.lower() != "content-length"}
            body = json.dumps({"requests": kept}).encode()
            request = httpx.Request("POST", request.url, headers=headers, content=body, extensions=request.extensions)
        await self._inner.handle_async_request(request)


class _Part:
    """One request of a batch, or one that came alone."""

    def __init__(self, method: str, version: str, path: str, item: object) -> None:
        self.method = method
        self.version = version
        self.path = path
        self.item = item


def _parts(request: httpx.Request, body: bytes) -> list[_Part]:
    # Not the URL's own path, which is decoded: a key may hold a slash.
    version, _, path = urlsplit(str(request.url)).path.lstrip("/").partition("/")
    if path != "$batch":
        return [_Part(request.method, version, f"/{path}", None)]
    items = json.loads(body)["requests"]
    return [_Part(item["method"], version, urlsplit(item["url"]).path, item) for item in items]
