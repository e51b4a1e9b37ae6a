"""What a handler is given and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from graphkit.sandbox.query.listing import Query
    from graphkit.sandbox.tenant import SimulatedTenant

Json = dict[str, Any]


class Refusal(Exception):
    """The service says no: an HTTP status with ``error.code`` and ``error.message``, and ``error.details`` if any;
    ``inner`` goes into innerError.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: dict[str, str] | None = None,
        inner: Json | None = None,
        details: list[Json] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.inner = inner or {}
        self.details = details or []


def bad_request(message: str, code: str = "Request_BadRequest") -> Refusal:
    return Refusal(400, code, message)


def not_found(object_id: str) -> Refusal:
    """The directory's words for an object that is not there, or not there yet."""
    return Refusal(
        404,
        "Request_ResourceNotFound",
        f"Resource '{object_id}' does not exist or one of its queried reference-property objects are not present.",
    )


def conflict(prop: str) -> Refusal:
    """A unique property is taken: 400, not 409 (concepts/errors.md and many clients; microsoft-graph-docs#1508)."""
    return Refusal(
        400,
        "Request_BadRequest",
        f"Another object with the same value for property {prop} already exists.",
        details=[{"target": prop, "code": "ObjectConflict"}],
    )


SILENT = frozenset({"timeout", "reset", "refuse", "goaway"})


@dataclass(frozen=True, slots=True)
class Mishap:
    """What befalls an answer, or the connection, on its way to the client. The ways in make it happen; the kinds and
    what their figures mean are in ``doors/mishaps.py``.
    """

    kind: str
    early: bool = False
    processed: bool = False
    share: float = 0.5
    pieces: int = 1
    seconds: float = 0.0
    size: int = 0
    gzip: bool = False

    @property
    def silent(self) -> bool:
        """Whether the client is told nothing at all."""
        return self.kind in SILENT


TIMEOUT, RESET = Mishap("timeout"), Mishap("reset")


@dataclass(slots=True)
class Reply:
    """A handler's answer; ``body`` is JSON-able, ``None`` for none.

    ``delay_s`` is waited by the transport before it hands the answer over. ``failure`` is what happens to it then.
    ``bare``: it does not come from the service, nor with its headers. ``last``: the process dies once the caller has
    it.
    """

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    failure: Mishap | None = None
    bare: bool = False
    last: bool = False


class Answer(NamedTuple):
    """What leaves the tenant: status, headers, body in bytes; ``delay_s`` and the rest as in :class:`Reply`."""

    status: int
    headers: dict[str, str]
    body: bytes
    delay_s: float = 0.0
    failure: Mishap | None = None
    last: bool = False


@dataclass(slots=True)
class Call:
    """One operation on its way to a handler. ``path`` is relative to the version, without the query; ``permissions``
    are those of the caller's token, ``None`` for all.
    """

    tenant: SimulatedTenant
    method: str
    version: str
    path: str
    query: Query
    headers: dict[str, str]
    body: Any
    base: str
    app: str
    now: float
    replica: int
    permissions: frozenset[str] | None = None
    params: dict[str, str] = field(default_factory=dict)
    faulted: bool = False

    @property
    def json(self) -> Json:
        """The body as an object. Raises :class:`Refusal` for anything else."""
        if not isinstance(self.body, dict):
            raise bad_request(
                "Unable to read JSON request payload. Please ensure Content-Type header is set.", "BadRequest"
            )
        return self.body

    @property
    def root(self) -> str:
        return f"{self.base}/{self.version}"

    def context(self, name: str) -> str:
        return f"{self.root}/$metadata#{name}"
