"""The network by way of aiohttp, which needs less CPU than httpcore: the extra ``fast``.

Written against aiohttp rather than taken from httpx-aiohttp, which tells a connection lost after the request was sent
as one that was never made (so that a create would be repeated), and tidies up the escapes of links.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from functools import lru_cache

import aiohttp
import httpx
from yarl import URL

# Raised before any byte of the request left; whatever else aiohttp raises may have been executed.
_NOT_SENT: tuple[type[Exception], ...] = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.InvalidURL,
    aiohttp.ClientHttpProxyError,
)
_CONNECTIONS = 64


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Raises ``httpx.ConnectError`` if nothing was sent, ``httpx.ReadTimeout`` or ``httpx.ReadError`` otherwise."""

    def __init__(self, *, verify: ssl.SSLContext | bool = True, proxy: str | None = None) -> None:
        self._verify = verify
        self._proxy = proxy
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        wait = request.extensions.get("timeout") or {}
        try:
            answer = await self._open().request(
                request.method,
                URL(_address(request), encoded=True),
                headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw],
                data=await request.aread() or None,
                timeout=_timeout(wait.get("pool"), wait.get("connect"), wait.get("read")),
                allow_redirects=False,
                proxy=self._proxy,
            )
        except _NOT_SENT as error:
            raise httpx.ConnectError(str(error), request=request) from error
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error), request=request) from error
        except aiohttp.ClientError as error:
            raise httpx.ReadError(_said(error), request=request) from error
        headers = list(answer.raw_headers)
        return httpx.Response(answer.status, headers=headers, stream=_Body(answer, request), request=request)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        """Made at the first request, because it belongs to the loop that is running then."""
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=self._verify, limit=_CONNECTIONS)
            self._session = aiohttp.ClientSession(
                connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
            # aiohttp itself repeats a PUT or DELETE whose connection was closed. There is one retry layer, above.
            self._session._retry_connection = False
        return self._session


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._answer = answer
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.content.iter_any():
                yield chunk
        except TimeoutError as error:
            raise httpx.ReadTimeout(str(error), request=self._request) from error
        except aiohttp.ClientError as error:
            raise httpx.ReadError(_said(error), request=self._request) from error

    async def aclose(self) -> None:
        self._answer.release()


@lru_cache(maxsize=16)
def _timeout(pool: float | None, connect: float | None, read: float | None) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=pool, sock_connect=connect, sock_read=read)


def _address(request: httpx.Request) -> str:
    """The address as it is to be sent: a nextLink stays byte for byte what the service gave."""
    target = request.extensions.get("target")
    if target is None:
        return str(request.url)
    return f"{request.url.scheme}://{request.url.netloc.decode('ascii')}{target.decode('ascii')}"


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
