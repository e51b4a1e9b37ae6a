"""The network: connections to the service, behind the one method that every transport of httpx has."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import nullcontext
from typing import Any, Literal

import httpcore
import httpx

from graphkit.errors import UsageError
from graphkit.transport.sockets import AsyncioBackend

KEPT_OPEN_S = 5.0
"""Seconds for which a connection without work is kept, as httpx keeps it."""

# Each error of httpcore has its namesake in httpx, which is what every transport raises.
_KINDS: dict[type[BaseException], type[httpx.TransportError]] = {
    getattr(httpcore, name): getattr(httpx, name)
    for name in (
        "ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout", "ConnectError", "ReadError", "WriteError",
        "ProxyError", "UnsupportedProtocol", "LocalProtocolError", "RemoteProtocolError",
    )
} | {httpcore.ConnectionNotAvailable: httpx.ConnectError}  # fmt: skip

_ERRORS = tuple(_KINDS)

_OPEN: Any = nullcontext()
"""In the place of httpcore's locks: whoever has a connection has it alone, and each lock costs a turn of the loop."""

WireKind = Literal["httpcore", "aiohttp"]


class HttpcoreTransport(httpx.AsyncBaseTransport):
    """Connections of httpcore, as many as there is work for, each given back when its answer has been read.

    They are not held in its pool, which looks through all of them at every turn and collapses with many: a request
    costs 4.6 times as much at 32 as at 8 (measured with httpcore 1.0.9).
    """

    def __init__(self, *, verify: ssl.SSLContext | bool = True, proxy: str | None = None) -> None:
        self._verify = verify if isinstance(verify, ssl.SSLContext) else httpx.create_ssl_context(verify=verify)
        self._proxy = _proxy(proxy, self._verify) if proxy else None
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        asked = _outgoing(request)
        connection = await self._connection(asked.url.origin)
        self._busy.add(connection)
        try:
            answer = await connection.handle_async_request(asked)
        except BaseException as error:
            await self._give_back(connection)
            if kind := _KINDS.get(type(error)):
                raise kind(str(error), request=request) from error
            raise
        if inner := getattr(connection, "_connection", None):
            inner._state_lock = _OPEN
        body = _Body(answer.stream, request, lambda: self._give_back(connection))
        return httpx.Response(answer.status, headers=answer.headers, stream=body, extensions=answer.extensions)

    async def aclose(self) -> None:
        for connection in (*self._idle, *self._busy):
            await connection.aclose()
        self._idle.clear()
        self._busy.clear()

    async def _connection(self, origin: httpcore.Origin) -> _Connection:
        """The one used last, if it is alive still; a new one takes its place if not."""
        for connection in reversed(self._idle):
            if connection.can_handle_request(origin):
                self._idle.remove(connection)
                if not connection.has_expired():
                    return connection
                await connection.aclose()
                break
        return self._connect(origin)

    def _connect(self, origin: httpcore.Origin) -> _Connection:
        """Nothing is sent before the first request."""
        backend = AsyncioBackend()
        if self._proxy is not None:
            return _Proxied(
                ssl_context=self._verify,
                proxy=self._proxy,
                max_connections=1,
                keepalive_expiry=KEPT_OPEN_S,
                network_backend=backend,
            )
        connection = httpcore.AsyncHTTPConnection(
            origin, ssl_context=self._verify, keepalive_expiry=KEPT_OPEN_S, network_backend=backend
        )
        connection._request_lock = _OPEN
        return connection

    async def _give_back(self, connection: _Connection) -> None:
        self._busy.discard(connection)
        if connection.is_available():
            self._idle.append(connection)
        else:
            # httpcore has closed it, but not where the caller gave up before it began, or encryption failed in a proxy.
            await connection.aclose()


class _Proxied(httpcore.AsyncConnectionPool):
    """One connection through a proxy, which only a pool can make in a way that respx sees; as good as what it holds."""

    def can_handle_request(self, origin: httpcore.Origin) -> bool:
        return any(connection.can_handle_request(origin) for connection in self.connections)

    def is_available(self) -> bool:
        return any(connection.is_available() for connection in self.connections)

    def has_expired(self) -> bool:
        return any(connection.has_expired() for connection in self.connections)


_Connection = httpcore.AsyncHTTPConnection | _Proxied


class _Body(httpx.AsyncByteStream):
    """A body whose connection is free again once it is closed."""

    def __init__(self, stream: Any, request: httpx.Request, closed: Callable[[], Awaitable[None]]) -> None:
        self._stream = stream  # httpcore calls it an iterable, and closes it without saying so
        self._request = request
        self._closed: Callable[[], Awaitable[None]] | None = closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._stream:
                yield part
        except _ERRORS as error:
            raise _KINDS[type(error)](str(error), request=self._request) from error

    async def aclose(self) -> None:
        closed, self._closed = self._closed, None
        try:
            await self._stream.aclose()
        finally:
            if closed is not None:
                await closed()


def _outgoing(request: httpx.Request) -> httpcore.Request:
    url = request.url
    # As part of the address, not as an extension: httpcore hands those on to the CONNECT that it sends a proxy, which
    # would be asked for the link instead of the host.
    target = request.extensions.get("target", url.raw_path)
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=target),
        headers=request.headers.raw,
        content=request.stream,
        extensions={name: value for name, value in request.extensions.items() if name != "target"},
    )


def _proxy(address: str, verify: ssl.SSLContext) -> httpcore.Proxy:
    proxy = httpx.Proxy(address)
    url = proxy.url
    return httpcore.Proxy(
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        auth=proxy.raw_auth,
        headers=proxy.headers.raw,
        # Without one, httpcore would look for its authority among those of Mozilla only.
        ssl_context=verify if url.scheme == "https" else None,
    )


def make_wire(
    kind: WireKind = "httpcore",
    *,
    verify: ssl.SSLContext | bool = True,
    proxy: str | None = None,
) -> httpx.AsyncBaseTransport:
    """HTTP/1.1 over httpcore, which respx and recorders can see, or over aiohttp, which takes less CPU (HTTP/2 in pure
    Python doubles that of batches).

    ``verify`` is an SSL context that trusts the CA bundle of the settings; ``proxy`` an address, or ``None``. Raises
    ``UsageError`` if the extra ``fast`` is not installed.
    """
    context = httpx.create_ssl_context() if verify is True else verify
    if kind == "aiohttp":
        return _aiohttp(context, proxy)
    return HttpcoreTransport(verify=context, proxy=proxy)


def _aiohttp(verify: ssl.SSLContext | bool, proxy: str | None) -> httpx.AsyncBaseTransport:
    try:
        from graphkit.transport.fast import AiohttpTransport
    except ImportError as error:
        raise UsageError("the wire aiohttp is not installed", hint="pip install 'graphkit-m365[fast]'") from error
    return AiohttpTransport(verify=verify, proxy=proxy)
