"""The door for code that speaks httpx: an ``httpx.AsyncBaseTransport`` whose far end is our chain.

What enters here, msgraph-sdk included, is guarded, governed, batched and retried without knowing it.
"""

from __future__ import annotations

import httpx

from graphkit.errors import UntrustedDestination, UsageError
from graphkit.protocol.message import READ_METHODS, Idempotency, Request, Response, Stage

MAX_BODY = 4 * 1024 * 1024
"""Bytes of a request. Graph takes larger bodies through upload sessions only."""

# Belong to one connection, or to whoever stands at the wire.
_NOT_OURS = frozenset(
    {
        "accept-encoding",
        "authorization",
        "client-request-id",
        "connection",
        "content-length",
        "cookie",
        "host",
        "transfer-encoding",
        "user-agent",
    }
)
_DECODED = frozenset({"connection", "content-encoding", "content-length", "transfer-encoding"})


class ChainTransport(httpx.AsyncBaseTransport):
    """Timeouts in ``request.extensions`` are ignored, since a governed wait may last minutes.

    GET counts as a read, PUT and DELETE as convergent, PATCH and POST as sent once: an answer that leaves the outcome
    open raises ``OutcomeUnknown``. Raises ``UsageError`` for a body above 4 MB, ``UntrustedDestination`` elsewhere.
    """

    def __init__(self, chain: Stage, *, graph_root: str) -> None:
        self._chain = chain
        self._root = graph_root

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        if len(body) > MAX_BODY:
            raise UsageError(
                f"{request.method} {request.url.path}: a body of {len(body)} bytes is more than Graph accepts",
                hint="use an upload session",
            )
        response = await self._chain.send(self._request(request, body))
        return _answer(response, request)

    def _request(self, request: httpx.Request, body: bytes) -> Request:
        version, path = self._address(request.url)
        headers = {
            name.decode("ascii").lower(): value.decode("latin-1")
            for name, value in request.headers.raw
            if name.decode("ascii").lower() not in _NOT_OURS
        }
        return Request(
            method=request.method,
            path=path,
            body=body or None,
            headers=headers,
            version=version,
            idempotency=_idempotency(request.method),
        )

    def _address(self, url: httpx.URL) -> tuple[str, str]:
        target = url.raw_path.decode("ascii")
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        if origin != self._root or url.userinfo:
            raise UntrustedDestination(f"{origin} is not {self._root}; nothing was sent")
        _, version, path = target.split("/", 2) if target.count("/") > 1 else ("", "", "")
        if version not in {"v1.0", "beta"}:
            raise UsageError(f"{target.partition('?')[0]!r} names no API version", hint="begin with /v1.0 or /beta")
        return version, "/" + path


def _idempotency(method: str) -> Idempotency:
    if method in READ_METHODS:
        return Idempotency.READ
    return Idempotency.CONVERGENT if method in {"PUT", "DELETE"} else Idempotency.ONCE


def _answer(response: Response, request: httpx.Request) -> httpx.Response:
    headers = {name: value for name, value in response.headers.items() if name not in _DECODED}
    if response.body:
        # kiota silently returns None for a body whose type it is not told.
        headers.setdefault("content-type", "application/json")
    if response.status == 401:
        # kiota would answer the challenge by sending everything once more; our chain has tried already.
        headers.pop("www-authenticate", None)
    return httpx.Response(response.status, headers=headers, content=response.body, request=request)
