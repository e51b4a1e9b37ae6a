"""The way in for httpx: a transport that answers every host from one simulated tenant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx

from graphkit.sandbox.call import Answer, Mishap
from graphkit.sandbox.doors.wire import dress, is_cut, pieces
from graphkit.sandbox.faults import die
from graphkit.sandbox.tenant import SimulatedTenant

ONLY_STREAM = 1
"""The HTTP/2 stream that every request is, for a GOAWAY that tells whether it was processed."""


class SandboxTransport(httpx.AsyncBaseTransport):
    """Give it to ``httpx.AsyncClient(transport=...)``, or call it as a bare transport.

    Waits on the tenant's clock only, no longer than the client's read timeout allows. When a fault says so it raises
    what httpx raises when it happens on a network. With ``gzip`` it compresses as the service does, which takes time.
    """

    def __init__(self, tenant: SimulatedTenant, *, gzip: bool = False) -> None:
        self.tenant = tenant
        self._gzip = gzip

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        tenant = self.tenant
        body = await request.aread()
        if tenant.latency_s:
            await tenant.clock.sleep(tenant.latency_s / 2)
        answer = tenant.handle(request.method, str(request.url), dict(request.headers), body)
        answer = dress(answer, request.headers.get("accept-encoding", ""), compress=self._gzip)
        wait = answer.delay_s + tenant.latency_s / 2
        if wait:
            await wait_to_read(tenant, request, wait)
        if answer.last:  # when the client waits for something next, it has the answer
            asyncio.get_running_loop().call_soon(die)
        if answer.failure is None:
            return httpx.Response(answer.status, headers=answer.headers, content=answer.body, request=request)
        if answer.failure.silent:
            raise await self._lost(answer.failure, request)
        headers = {**answer.headers, "Content-Length": str(len(answer.body))}
        stream = _Body(tenant, request, answer)
        return httpx.Response(answer.status, headers=headers, stream=stream, request=request)

    async def _lost(self, mishap: Mishap, request: httpx.Request) -> httpx.TransportError:
        if mishap.kind == "refuse":
            return httpx.ConnectError("[Errno 11001] getaddrinfo failed", request=request)
        if mishap.kind == "goaway":
            # httpcore repeats a request by itself if GOAWAY names a last stream above 0 and below the request's own. So
            # 0 is the only one that shows it unprocessed (httpcore/_async/http2.py, _receive_events).
            last = ONLY_STREAM if mishap.processed else 0
            told = f"<ConnectionTerminated error_code:0, last_stream_id:{last}, additional_data:None>"
            return httpx.RemoteProtocolError(told, request=request)
        if mishap.kind == "timeout":
            await self.tenant.clock.sleep(read_timeout(request) or 0.0)
            return httpx.ReadTimeout("the simulated tenant does not answer", request=request)
        return httpx.ReadError("the simulated tenant reset the connection", request=request)


class _Body(httpx.AsyncByteStream):
    """A body to which something happens while it is read."""

    def __init__(self, tenant: SimulatedTenant, request: httpx.Request, answer: Answer) -> None:
        self._tenant = tenant
        self._request = request
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        sent = 0
        for piece in pieces(self._answer):
            if sent and self._answer.failure:
                await wait_to_read(self._tenant, self._request, self._answer.failure.seconds)
            sent += len(piece)
            yield piece
        if is_cut(self._answer):
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body "
                f"(received {sent} bytes, expected {len(self._answer.body)})",
                request=self._request,
            )


def read_timeout(request: httpx.Request) -> float | None:
    found: float | None = request.extensions.get("timeout", {}).get("read")
    return found


async def wait_to_read(tenant: SimulatedTenant, request: httpx.Request, seconds: float) -> None:
    """Wait so long, or until the client gives up: it counts the time between two pieces of an answer."""
    limit = read_timeout(request)
    await tenant.clock.sleep(seconds if limit is None else min(seconds, limit))
    if limit is not None and seconds > limit:
        raise httpx.ReadTimeout("the simulated tenant does not answer in time", request=request)
