"""What travels down the chain and back: one plain value each way.

A :class:`Request` is a single operation, as recipes and resources write it; folding many into one ``$batch`` is the
transport's business. A :class:`Response` keeps its body raw until someone asks.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, BinaryIO, Protocol, runtime_checkable

import msgspec

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""/$count puts one before its number."""

READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Idempotency(StrEnum):
    """What may be done when nobody knows whether a request was executed."""

    READ = "read"
    """Changes nothing: repeat."""
    CONVERGENT = "convergent"
    """Repeating it is harmless: the end state is the same."""
    KEYED = "keyed"
    """A create that can be looked up by a natural or planted key: look, then decide."""
    ONCE = "once"
    """Neither: a person must decide."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a write does to the tenant, as its caller declares it; counted once by the guard."""

    creates: int = 0
    updates: int = 0
    removals: int = 0
    deletions: int = 0
    members: int = 0


NOTHING = Effect()


class Request(msgspec.Struct, kw_only=True, gc=False):
    """One operation of Microsoft Graph.

    ``path`` begins with a slash, is relative to the API version and already percent-encoded, query included
    (``/users?$top=999``). A nextLink travels as the absolute address that the service gave, byte for byte.
    ``effect`` is ``None`` for an undeclared request: the guard then derives it from method and path.
    ``target`` names what a write changes: one write per target is in flight at a time, in the order given, unless
    both are ``commutative``. Empty means the path's first object.
    """

    method: str
    path: str
    body: bytes | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    version: str = "v1.0"
    idempotency: Idempotency = Idempotency.READ
    effect: Effect | None = None
    target: str = ""
    commutative: bool = False


class Response(msgspec.Struct, gc=False):
    """What the service answered to one request. Header names are lower case.

    ``token_serial`` counts the renewals of the token it was asked with, so that an old one refused renews nothing;
    ``identity`` is the number of the app registration that it was asked by. ``document`` is the body decoded, once
    anybody has asked for it.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    attempts: int = 1
    client_request_id: str = ""
    token_serial: int = 0
    identity: int = 0
    document: Any = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body decoded, the same object each time; ``None`` if it is empty. Raises ``ValueError`` if it is not
        JSON."""
        if self.document is None and self.body:
            try:
                self.document = _decoded(self.body.removeprefix(_BYTE_ORDER_MARK))
            except (ValueError, RecursionError) as error:
                raise ValueError(f"not JSON: {error}") from error
        return self.document

    def saying(self, status: int, body: bytes) -> Response:
        """The same answer with another status and body, as to one part of what was asked."""
        return msgspec.structs.replace(self, status=status, body=body, document=None)

    @property
    def error(self) -> GraphProblem:
        """The service's own account of a failure; empty fields where it gave none."""
        return GraphProblem.read(self)


def _decoded(body: bytes) -> Any:
    """The garbage collector waits until all is there, as it does by itself since Python 3.12: it would look through the
    objects of a page time and again while they are made, and find nothing."""
    if sys.version_info >= (3, 12) or not gc.isenabled():
        return msgspec.json.decode(body)
    gc.disable()
    try:
        return msgspec.json.decode(body)
    finally:
        gc.enable()


@dataclass(frozen=True, slots=True)
class GraphProblem:
    """``error`` of a Graph answer: the most specific code known, its message, and what support asks for.

    ``innerError`` can nest further codes and its key's casing varies
    (microsoftgraph/microsoft-graph-docs-contrib concepts/errors.md). Some services say there alone what is wrong, and
    outside no more than that something is (AlexFilipin/ConditionalAccess issues 3 and 4): ``message`` holds both.
    """

    code: str = ""
    message: str = ""
    request_id: str = ""
    date: str = ""
    inner_codes: tuple[str, ...] = ()

    @classmethod
    def read(cls, response: Response) -> GraphProblem:
        request_id = response.headers.get("request-id", "")
        date = response.headers.get("date", "")
        try:
            document = response.json()
        except ValueError:
            return cls(message=response.body[:200].decode("utf-8", "replace"), request_id=request_id, date=date)
        error = document.get("error") if isinstance(document, dict) else None
        if not isinstance(error, dict):
            return cls(request_id=request_id, date=date)
        levels = list(_levels(error))
        messages = dict.fromkeys(str(level["message"]) for level in levels if level.get("message"))
        return cls(
            code=str(error.get("code") or ""),
            message=" ".join(messages),
            request_id=request_id or _first(levels, "request-id"),
            date=date or _first(levels, "date"),
            inner_codes=tuple(str(level["code"]) for level in levels[1:] if level.get("code")),
        )


def _levels(error: Any) -> Iterator[dict[str, Any]]:
    """An error and those inside it, as far as anybody needs to look."""
    for _ in range(11):
        if not isinstance(error, dict):
            break
        yield error
        error = next((error[key] for key in ("innerError", "innererror", "inner_error") if key in error), None)


def _first(levels: Sequence[dict[str, Any]], name: str) -> str:
    return next((str(level[name]) for level in levels if level.get(name)), "")


class Stage(Protocol):
    """One stage of the transport. Stages wrap each other; the innermost stands at the wire.

    Returns the final answer, whatever its status. Raises ``ConnectionFailed`` (nothing executed),
    ``OutcomeUnknown`` (perhaps executed), ``Stopped``, ``AuthError``, ``Blocked`` or ``UntrustedDestination``.
    """

    async def send(self, request: Request) -> Response: ...


Answer = Response | Exception
"""What became of one of several requests: an answer, or what a stage would have raised for it alone."""


class BatchStage(Stage, Protocol):
    """A stage that also takes together what will travel together: one pass, one wait and one turn of the loop for up
    to 20 requests of one API version and workload."""

    async def send_batch(self, requests: Sequence[Request]) -> list[Answer]:
        """The answers in the order of ``requests``, and what ``send`` would raise in the place of one."""
        ...


@runtime_checkable
class Batching(Stage, Protocol):
    """A stage that takes any number of requests and finds out what may travel together."""

    async def batch(self, requests: Sequence[Request]) -> list[Answer]:
        """As :meth:`BatchStage.send_batch`."""
        ...


@runtime_checkable
class Downloading(Protocol):
    """A whole chain: it can fetch the file behind a pre-authenticated link, too."""

    async def download(self, link: str, into: BinaryIO) -> None: ...
