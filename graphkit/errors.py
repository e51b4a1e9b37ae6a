"""Every error that graphkit raises.

* GraphkitError ................ exit 1
  * UsageError ................. exit 5
  * InputErrors ................ exit 5, a list of InputProblem
  * RunFileError ............... exit 5
    * InUse .................... another process is at it
    * LeaseLost ................ another host has taken the run over
  * AuthError .................. exit 4
    * WrongTenant
    * MissingPermission
  * Blocked .................... exit 6, a safety rail stopped the plan
  * Stopped .................... exit 7, resumable
    * DeadlineReached
    * Parked ................... the service asked for a wait that is too long to sit out
    * TooManyFailures .......... exit 3, too many of the last outcomes failed
    * Interrupted .............. exit 130, somebody pressed Ctrl-C
    * CanaryFailed ............. exit 3, one of the first changes did not end well
  * ConnectionFailed ........... exit 1, no answer was had and nothing was executed
  * OutcomeUnknown ............. exit 1, no answer was had and the service may have executed the request
  * ServiceError ............... exit 1, the service said no
  * IncompleteList ............. exit 1, a listing broke off, so what it lacks proves nothing
  * ResyncRequired ............. exit 1, a delta link is too old; everything has to be read once more
  * UntrustedDestination ....... exit 1, an address outside the chosen cloud; nothing was sent

Every error has a stable kebab-case ``code`` (listed in ``docs/errors.md``), a ``message`` that says what
happened to which object, and a ``hint`` that says what to do next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar


class GraphkitError(Exception):
    """Base of every foreseeable failure. ``exit_code`` is what the command line returns for it."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def to_json(self) -> dict[str, Any]:
        return {"code": self.code, "message": self.message, "hint": self.hint}


class UsageError(GraphkitError):
    """The command, an option or a setting makes no sense."""

    code = "usage"
    exit_code = 5


_UNREAD_BELOW = frozenset({"malformed-csv", "malformed-xlsx", "encoding", "too-long"})
"""Codes of a row that was the last one to be read."""

_UNREAD_WHOLE = frozenset(
    {
        *("file-not-found", "file-unreadable", "unknown-format", "spreadsheet", "not-a-table", "not-a-document"),
        *("file-outside", "too-large", "too-wide", "one-too-many", "unknown-org"),
        *("malformed-csv", "malformed-xlsx", "malformed-json", "malformed-yaml"),
        *("encoding", "empty-file", "empty-folder"),
        *(
            "missing-column",
            "ambiguous-header",
            "unknown-column",
            "unknown-value",
            "bad-template",
            "bad-binding",
            "bad-map",
        ),
        *("no-rows", "nothing-wanted", "no-policy", "more-problems"),
        # A document that does not fit its model is dropped as a whole; a pool without its SKU takes its members along.
        *("invalid-value", "missing-value", "unknown-key", "unknown-sku"),
    }
)
"""Codes of a file, or of an entry that others hang on."""


@dataclass(frozen=True, slots=True)
class InputProblem:
    """One thing wrong with an input.

    ``where`` is a row number as a person counts (the header is row 1) or a path inside the document
    (``pools[2].cap``); empty when the file as a whole is meant.
    """

    file: str
    where: int | str
    code: str
    message: str

    @property
    def hides_others(self) -> bool:
        """Is there more that was not read because of it? Then ``--skip-invalid`` cannot leave it out."""
        return self.code in (_UNREAD_BELOW if isinstance(self.where, int) else _UNREAD_WHOLE)

    def __str__(self) -> str:
        if isinstance(self.where, int):
            return f"{self.file}: row {self.where}, {self.message}"
        return ": ".join(part for part in (self.file, self.where, self.message) if part)

    def to_json(self) -> dict[str, Any]:
        key = "row" if isinstance(self.where, int) else "path"
        return {"file": self.file, key: self.where, "code": self.code, "message": self.message}


class InputErrors(GraphkitError):
    """Everything wrong with the inputs, at once, in the order of the input."""

    code = "invalid-input"
    exit_code = 5

    def __init__(self, problems: Iterable[InputProblem], *, hint: str = "", total: int = 0) -> None:
        """``total`` counts those, too, that are not listed, if there are any."""
        self.problems: Sequence[InputProblem] = tuple(problems)
        count = total or len(self.problems)
        super().__init__(
            f"{count} problem{'' if count == 1 else 's'} in the input; nothing was written", hint=hint or self._advice()
        )

    def _advice(self) -> str:
        if any(problem.hides_others for problem in self.problems):
            return "correct what is named; --skip-invalid leaves out single rows, not what could not be read"
        return "correct the rows named, or leave them out with --skip-invalid"

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "errors": [problem.to_json() for problem in self.problems]}


class RunFileError(GraphkitError):
    """A run file is damaged, altered, foreign, expired, already consumed, or of a newer format."""

    code = "run-file"
    exit_code = 5


class InUse(RunFileError):
    """Another process of this machine holds what this one needs to itself; its lock dies with it."""

    code = "in-use"


class LeaseLost(RunFileError):
    """Another worker has taken the run over, so that this one may send and record nothing more."""

    code = "lease-lost"


class AuthError(GraphkitError):
    """No usable token: nothing configured, refused, expired, or consent is missing."""

    code = "authentication"
    exit_code = 4


class WrongTenant(AuthError):
    """The token is for another tenant than the one that the run belongs to."""

    code = "wrong-tenant"


class MissingPermission(AuthError):
    """The token lacks a permission that this recipe cannot do without."""

    code = "missing-permission"


class Blocked(GraphkitError):
    """A safety rail stopped the whole plan; nothing was written. ``reasons`` holds one line each."""

    code = "blocked"
    exit_code = 6

    def __init__(self, reasons: Iterable[str], *, hint: str = "") -> None:
        self.reasons: Sequence[str] = tuple(reasons)
        super().__init__("blocked: " + "; ".join(self.reasons), hint=hint)

    def to_json(self) -> dict[str, Any]:
        return {**super().to_json(), "reasons": list(self.reasons)}


class Stopped(GraphkitError):
    """The run stopped cleanly before its end and can be resumed."""

    code = "stopped"
    exit_code = 7

    def add(self, text: str) -> None:
        """What else there is to say, known only further up: what is left."""
        self.message += text
        self.args = (self.message,)


class DeadlineReached(Stopped):
    """``--deadline`` came before the work was done."""

    code = "deadline"


class Parked(Stopped):
    """The service asked for a wait of ``seconds``, longer than a run sits out: until ``until``, since the epoch."""

    code = "parked"

    def __init__(self, message: str, *, seconds: float, until: float = 0.0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.seconds = seconds
        self.until = until

    def to_json(self) -> dict[str, Any]:
        from datetime import UTC, datetime  # nobody else here needs it, and every command imports this module

        until = datetime.fromtimestamp(self.until, UTC).isoformat(timespec="seconds") if self.until else ""
        return {**super().to_json(), "seconds": round(self.seconds), "until": until.replace("+00:00", "Z")}


class Interrupted(Stopped):
    """Somebody pressed Ctrl-C."""

    code = "interrupted"
    exit_code = 130


class TooManyFailures(Stopped):
    """Too many of the last outcomes failed: something is wrong that more writes would not better."""

    code = "too-many-failures"
    exit_code = 3


class CanaryFailed(Stopped):
    """One of the changes that went first failed, or is not read back as it was written."""

    code = "canary-failed"
    exit_code = 3


class IncompleteList(GraphkitError):
    """A listing broke off before its last page. What was read is valid; what was not read is unknown, not absent."""

    code = "incomplete-list"


class ResyncRequired(GraphkitError):
    """A delta link is too old, or the service has lost its place. Begin again without it, and compare."""

    code = "resync-required"


class UntrustedDestination(GraphkitError):
    """A link or setting leads outside the chosen cloud. Nothing was sent there."""

    code = "untrusted-destination"


class ConnectionFailed(GraphkitError):
    """The request never reached the service, so nothing was executed; repeating it is safe."""

    code = "connection-failed"


class OutcomeUnknown(GraphkitError):
    """The service may or may not have executed the request. Look before sending it again."""

    code = "outcome-unknown"

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        service_code: str = "",
        request_id: str = "",
        client_request_id: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint or "look whether the object is there before sending it again")
        self.status = status
        self.service_code = service_code
        self.request_id = request_id
        self.client_request_id = client_request_id


class ServiceError(GraphkitError):
    """Microsoft Graph refused a request.

    ``service_code`` and ``service_message`` are the service's own words, ``request_id`` what its support
    asks for, ``attempts`` how often the request was sent.
    """

    code = "service-error"

    def __init__(
        self,
        message: str,
        *,
        status: int,
        service_code: str = "",
        service_message: str = "",
        request_id: str = "",
        client_request_id: str = "",
        date: str = "",
        attempts: int = 1,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.service_code = service_code
        self.service_message = service_message
        self.request_id = request_id
        self.client_request_id = client_request_id
        self.date = date
        self.attempts = attempts

    def to_json(self) -> dict[str, Any]:
        return {
            **super().to_json(),
            "status": self.status,
            "serviceCode": self.service_code,
            "serviceMessage": self.service_message,
            "requestId": self.request_id,
            "clientRequestId": self.client_request_id,
            "date": self.date,
            "attempts": self.attempts,
        }
