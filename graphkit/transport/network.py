"""The network: connections to the service, behind the one method that every transport of httpx has."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from typing import Literal

import httpx

from graphkit.errors import UsageError

CONNECTIONS_PER_POOL = 2
"""httpcore's pool looks through all its connections at every turn, and collapses with many: of the CPU of a batch at 8
connections a pool, 0.68 at 2 and 0.66 at 1; 4.6 times as much per request at 32 (measured with httpcore 1.0.9)."""

WireKind = Literal["httpcore", "aiohttp"]


class ShardedTransport(httpx.AsyncBaseTransport):
    """As many connection pools as there is work for, each kept small enough to stay fast."""

    def __init__(self, pool: Callable[[], httpx.AsyncBaseTransport], *, per_pool: int = CONNECTIONS_PER_POOL) -> None:
        self._pool = pool
        self._per_pool = per_pool
        self._pools: list[httpx.AsyncBaseTransport] = []
        self._busy: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        shard = self._shard()
        self._busy[shard] += 1
        try:
            response = await self._pools[shard].handle_async_request(request)
        except BaseException:
            self._busy[shard] -= 1
            raise
        response.stream = _Counted(response.stream, lambda: self._release(shard))
        return response

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.aclose()

    def _release(self, shard: int) -> None:
        self._busy[shard] -= 1

    def _shard(self) -> int:
        for shard, busy in enumerate(self._busy):
            if busy < self._per_pool:
                return shard
        self._pools.append(self._pool())
        self._busy.append(0)
        return len(self._pools) - 1


class _Counted(httpx.AsyncByteStream):
    """A body whose connection counts as busy until it is closed."""

    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream, closed: Callable[[], None]) -> None:
        if not isinstance(stream, httpx.AsyncByteStream):
            raise TypeError("an asynchronous transport answers with an asynchronous stream")
        self._stream = stream
        self._closed: Callable[[], None] | None = closed

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        closed, self._closed = self._closed, None
        try:
            await self._stream.aclose()
        finally:
            if closed is not None:
                closed()


def make_wire(
    kind: WireKind = "httpcore",
    *,
    verify: ssl.SSLContext | bool = True,
    proxy: str | None = None,
    per_pool: int = CONNECTIONS_PER_POOL,
) -> httpx.AsyncBaseTransport:
    """HTTP/1.1 over httpcore, which respx and recorders can see, or over aiohttp, which takes half the CPU (HTTP/2 in
    pure Python doubles the CPU of batches).

    ``verify`` is an SSL context that trusts the CA bundle of the settings; ``proxy`` an address, or ``None``. Raises
    ``UsageError`` if the extra ``fast`` is not installed.
    """
    context = httpx.create_ssl_context() if verify is True else verify
    if kind == "aiohttp":
        return _aiohttp(context, proxy)
    limits = httpx.Limits(max_connections=per_pool, max_keepalive_connections=per_pool)

    def pool() -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(
            http1=True, http2=False, limits=limits, verify=context, proxy=proxy, trust_env=False
        )

    return ShardedTransport(pool, per_pool=per_pool)


def _aiohttp(verify: ssl.SSLContext | bool, proxy: str | None) -> httpx.AsyncBaseTransport:
    try:
        from graphkit.transport.fast import AiohttpTransport
    except ImportError as error:
        raise UsageError("the wire aiohttp is not installed", hint="pip install 'graphkit-m365[fast]'") from error
    return AiohttpTransport(verify=verify, proxy=proxy)
