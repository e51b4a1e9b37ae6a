"""The door for code that speaks httpx: an ``httpx.AsyncBaseTransport`` whose far end is our chain.

What enters here, msgraph-sdk included, is guarded, governed, batched and retried without knowing it. A ``$batch`` that
enters ready-made is taken apart, so that its parts are too.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence

import httpx
import msgspec

from graphkit.errors import (
    AuthError,
    Blocked,
    ConnectionFailed,
    GraphkitError,
    OutcomeUnknown,
    Parked,
    UntrustedDestination,
    UsageError,
)
from graphkit.protocol import envelope
from graphkit.protocol.clouds import VERSIONS
from graphkit.protocol.envelope import Part
from graphkit.protocol.message import READ_METHODS, Idempotency, Request, Response, Stage

MAX_BODY = 250 * 1024 * 1024
"""Bytes of a request: the largest that any part of Graph takes in one piece
(microsoft-graph-docs-contrib api-reference/v1.0/api/driveitem-put-content.md). Above 3.5 MB nothing is batched."""

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
    open raises ``OutcomeUnknown``, inside a ``$batch`` it is that part's 504. Raises ``UsageError`` for a body above
    250 MB, ``UntrustedDestination`` elsewhere.
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
        version, path = self._address(request.url)
        if request.method == "POST" and path.partition("?")[0].lower() == "/$batch":
            response = await self._batch(body, version)
        else:
            headers = {
                name.decode("ascii").lower(): value.decode("latin-1")
                for name, value in request.headers.raw
                if name.decode("ascii").lower() not in _NOT_OURS
            }
            response = await self._chain.send(_request(request.method, path, body or None, headers, version))
        return httpx.Response(response.status, headers=_headers(response), content=response.body, request=request)

    async def _batch(self, body: bytes, version: str) -> Response:
        try:
            parts = envelope.read(body, version=version, graph_root=self._root)
        except ValueError as refusal:
            return _refused(400, "BadRequest", str(refusal))
        answers = await self._answers(parts)
        for answer in answers:
            answer.headers = _headers(answer)
        ids = [part.id for part in parts]
        return Response(200, {"content-type": "application/json"}, envelope.write(zip(ids, answers, strict=True)))

    async def _answers(self, parts: Sequence[Part]) -> list[Response]:
        """All at once, but for those that depend on others."""
        tasks: dict[str, asyncio.Task[Response]] = {}

        async def run(part: Part) -> Response:
            before = [await tasks[parent] for parent in part.after]
            if any(answer.status >= 400 for answer in before):
                return _refused(424, "FailedDependency", "A request that this one depends on failed.")
            return await self._one(part.request)

        tasks.update((part.id.lower(), asyncio.create_task(run(part))) for part in parts)
        try:
            return list(await asyncio.gather(*tasks.values()))
        finally:
            for task in tasks.values():
                task.cancel()

    async def _one(self, part: Request) -> Response:
        headers = {name: value for name, value in part.headers.items() if name not in _NOT_OURS}
        try:
            return await self._chain.send(_request(part.method, part.path, part.body, headers, part.version))
        except GraphkitError as error:
            return _said(error)

    def _address(self, url: httpx.URL) -> tuple[str, str]:
        target = url.raw_path.decode("ascii")
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        if origin != self._root or url.userinfo:
            raise UntrustedDestination(f"{origin} is not {self._root}; nothing was sent")
        _, version, path = target.split("/", 2) if target.count("/") > 1 else ("", "", "")
        if version not in VERSIONS:
            raise UsageError(f"{target.partition('?')[0]!r} names no API version", hint="begin with /v1.0 or /beta")
        return version, "/" + path


def _request(method: str, path: str, body: bytes | None, headers: dict[str, str], version: str) -> Request:
    return Request(
        method=method, path=path, body=body, headers=headers, version=version, idempotency=_idempotency(method)
    )


def _idempotency(method: str) -> Idempotency:
    if method in READ_METHODS:
        return Idempotency.READ
    return Idempotency.CONVERGENT if method in {"PUT", "DELETE"} else Idempotency.ONCE


def _headers(response: Response) -> Mapping[str, str]:
    headers = {name: value for name, value in response.headers.items() if name not in _DECODED}
    if response.body:
        # kiota silently returns None for a body whose type it is not told.
        headers.setdefault("content-type", "application/json")
    if response.status == 401:
        # kiota would answer the challenge by sending everything once more; our chain has tried already.
        headers.pop("www-authenticate", None)
    return headers


_STATUS: Mapping[type[GraphkitError], int] = {
    AuthError: 401,
    Blocked: 403,
    ConnectionFailed: 503,
    OutcomeUnknown: 504,
    Parked: 429,
    UsageError: 400,
}
"""What an error of ours looks like inside an envelope, whose other parts must still get their answers."""


def _said(error: GraphkitError) -> Response:
    status = next((found for kind, found in _STATUS.items() if isinstance(error, kind)), 503)
    if isinstance(error, OutcomeUnknown) and error.status:
        status = error.status
    answer = _refused(status, error.code, error.message)
    if isinstance(error, Parked):
        answer.headers = {**answer.headers, "retry-after": str(math.ceil(error.seconds))}
    return answer


def _refused(status: int, code: str, message: str) -> Response:
    body = msgspec.json.encode({"error": {"code": code, "message": message}})
    return Response(status, {"content-type": "application/json"}, body)
