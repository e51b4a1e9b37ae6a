"""The outer edge: one call becomes one ``httpx.Request``, and its answer one :class:`Response`.

Calling the transport rather than ``httpx.AsyncClient`` halves the CPU of a call and leaves redirects, cookies and
proxies to us: none are followed, kept or read from the environment.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterable
from dataclasses import dataclass
from functools import lru_cache

import httpx
import msgspec

from graphkit.errors import ConnectionFailed, OutcomeUnknown
from graphkit.protocol.message import READ_METHODS, Request, Response

MAX_BODY = 64 * 1024 * 1024
"""Decoded bytes of one answer: a page of 999 users is under 5 MB, and a bomb is no answer."""

# Raised before any byte of the request left.
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)


_LENGTH_EXPECTED = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds. ``read`` is as long as Graph itself takes before it gives up with 504."""

    connect: float = 10.0
    pool: float = 60.0
    write: float = 30.0
    read: float = 100.0


class Wire:
    """The innermost stage.

    Raises ``ConnectionFailed`` if nothing was sent, ``OutcomeUnknown`` if an answer was lost or cannot be read.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        graph_root: str,
        user_agent: str,
        timeouts: Timeouts | None = None,
        max_body: int = MAX_BODY,
    ) -> None:
        self._transport = transport
        self._root = graph_root
        self._headers = {"accept-encoding": "gzip"}
        self.user_agent = user_agent
        wait = timeouts or Timeouts()
        self._timeout = {"connect": wait.connect, "pool": wait.pool, "write": wait.write, "read": wait.read}
        self._max_body = max_body

    async def send(self, request: Request) -> Response:
        request_id = str(uuid.uuid4())
        outgoing = self._outgoing(request, request_id)
        response: httpx.Response | None = None
        try:
            response = await self._transport.handle_async_request(outgoing)
            body = await self._body(response)
        except _NOT_SENT as error:
            raise ConnectionFailed(
                f"no connection to {outgoing.url.host}: {_reason(error)}",
                hint="check the network, the proxy and the CA settings with graphkit doctor",
            ) from error
        except (httpx.HTTPError, httpx.StreamError, OSError, _TooLarge) as error:
            raise _lost(request, request_id, response, _reason(error)) from error
        answer = Response(response.status_code, _headers(response), body, client_request_id=request_id)
        if not readable(answer, request.method):
            raise _lost(request, request_id, response, "the body is not what its headers say")
        return answer

    @property
    def user_agent(self) -> str:
        return self._headers["user-agent"]

    @user_agent.setter
    def user_agent(self, name: str) -> None:
        self._headers["user-agent"] = name

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _outgoing(self, request: Request, request_id: str) -> httpx.Request:
        extensions: dict[str, object] = {"timeout": self._timeout}
        if request.path.startswith("/"):
            address = f"{self._root}/{request.version}{request.path}"
        else:
            address = request.path
            # httpx would tidy up the escapes of a nextLink; httpcore sends this target instead, byte for byte.
            extensions["target"] = address[address.index("/", 8) :].partition("#")[0].encode("ascii")
        url = _url(address)
        headers = {"host": url.netloc.decode("ascii"), **self._headers, "client-request-id": request_id}
        headers.update((name.lower(), value) for name, value in request.headers.items())
        body = request.body
        if body is not None:
            headers.setdefault("content-type", "application/json")
        if body or request.method in _LENGTH_EXPECTED:
            headers["content-length"] = str(len(body or b""))
        # Given as a stream, so that httpx does not look through the headers for what is missing.
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        outgoing = httpx.Request(
            request.method, url, headers=raw, stream=httpx.ByteStream(body or b""), extensions=extensions
        )
        outgoing.read()
        return outgoing

    async def _body(self, response: httpx.Response) -> bytes:
        try:
            chunks: list[bytes] = []
            size = 0
            async for chunk in _decoded(response):
                size += len(chunk)
                if size > self._max_body:
                    raise _TooLarge(f"more than {self._max_body} bytes")
                chunks.append(chunk)
            return b"".join(chunks)
        finally:
            await response.aclose()


def _decoded(response: httpx.Response) -> AsyncIterable[bytes]:
    """Where nothing is to be decoded, the way through httpx's decoders costs a tenth of the call for nothing."""
    if "content-encoding" not in response.headers and isinstance(response.stream, httpx.AsyncByteStream):
        return response.stream
    return response.aiter_bytes()


@lru_cache(maxsize=64)
def _url(address: str) -> httpx.URL:
    """To take one apart costs as much as half a request, and those of envelopes are all alike."""
    return httpx.URL(address)


class _TooLarge(Exception):
    pass


def readable(answer: Response, method: str) -> bool:
    """A 2xx whose body is cut off, or a web page put there by a proxy, proves nothing.

    Whoever reads will want the document: it is decoded here, once, and kept. Of writes mostly the status is wanted.
    """
    if not answer.ok or not answer.body:
        return True
    content_type = answer.headers.get("content-type", "")
    if content_type.startswith("text/html"):
        return False
    if "json" not in content_type:
        return True
    try:
        if method in READ_METHODS:
            answer.json()
        else:
            msgspec.json.decode(answer.body, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return False
    return True


def _lost(request: Request, request_id: str, response: httpx.Response | None, reason: str) -> OutcomeUnknown:
    path = request.path.partition("?")[0]
    return OutcomeUnknown(
        f"{request.method} {path}: the answer was lost ({reason})",
        status=response.status_code if response is not None else None,
        request_id=response.headers.get("request-id", "") if response is not None else "",
        client_request_id=request_id,
    )


def _headers(response: httpx.Response) -> dict[str, str]:
    return {name.decode("ascii", "replace").lower(): value.decode("latin-1") for name, value in response.headers.raw}


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
