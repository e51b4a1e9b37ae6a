"""What rules do: the frame of an action, and the outcomes of a call."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, TypeVar

from graphkit.sandbox.bearer import unauthorised
from graphkit.sandbox.call import Call, Json, Mishap, Refusal, Reply
from graphkit.sandbox.faults import checks
from graphkit.sandbox.faults.checks import Kind
from graphkit.sandbox.faults.rules import Asked, Rule, dice
from graphkit.sandbox.mishaps import FAILURES
from graphkit.sandbox.refusal import LoginRefusal
from graphkit.sandbox.throttle import too_many

if TYPE_CHECKING:
    from graphkit.sandbox.faults import Faults

Told = tuple[int, bool]
"""What the log says of a call: the status that the caller was told (0: nothing), and whether a fault put it there."""


class Struck:
    """A rule that spoils a call."""

    __slots__ = ("_faults", "_seed", "asked", "rule")

    def __init__(self, faults: Faults, rule: Rule, asked: Asked, seed: str) -> None:
        self._faults = faults
        self._seed = seed
        self.rule = rule
        self.asked = asked

    @property
    def spec(self) -> Json:
        return self.rule.spec

    @property
    def action(self) -> Action:
        return ACTIONS[self.rule.spec["action"]]

    def dice(self) -> random.Random:
        """Dice that fall the same way whenever this rule strikes this call."""
        return dice(self._seed)

    def hit(self) -> None:
        """Count a change to a call that was executed."""
        self.rule.fired += 1
        self._faults.save([self.rule])

    def refuse(self, refusal: Refusal) -> Reply:
        """An error in the words of the service that was asked."""
        asked = self.asked
        if not asked.login:
            return asked.tenant.refused(refusal, asked.incoming)
        known = LOGIN_REFUSALS.get(self.spec.get("aadsts", 0)) or _login_refusal(refusal.status)
        error, code, status, message = known
        told = LoginRefusal(error, code, self.spec.get("message", message), self.spec.get("status", status))
        reply = asked.tenant.login.refused(told, asked.incoming.headers)
        reply.headers |= refusal.headers
        return reply


class Action:
    """``keys`` are its own, ``required`` those that it cannot do without.

    Of the actions that are an outcome the first that is due strikes. The others add up: each changes something of a
    call that is executed (with ``always``: of its answer, whatever that is), and is counted when it has.
    """

    keys: dict[str, Kind] = {}  # noqa: RUF012 - replaced, never changed
    required: tuple[str, ...] = ()
    outcome = True
    always = False

    def check(self, spec: Json) -> None:
        """Raises ``ValueError`` for keys that do not go together."""

    def is_outcome(self, spec: Json) -> bool:
        return self.outcome

    def fits(self, spec: Json, asked: Asked) -> bool:
        return True

    def applies(self, rule: Rule, asked: Asked, due: bool) -> bool:
        """Whether it strikes this call, which is ``due`` or not by ``nth``, ``probability`` and ``times``."""
        return due

    def before(self, struck: Struck) -> Reply | None:
        """What is told instead of executing the call."""
        return None

    def at_the_door(self, struck: Struck, call: Call) -> Reply | None:
        """The same, once the call was found, permitted and charged. May raise :class:`Refusal`."""
        return None

    def executed(self, struck: Struck, call: Call, reply: Reply) -> None:
        """The write is made and not yet committed."""

    def told(self, struck: Struck, status: int) -> Told | None:
        """What the log says, if that is not ``status``."""
        return None

    def after(self, struck: Struck, reply: Reply, refused: bool) -> Reply:
        """What is told once the call was executed and committed, or was ``refused`` by the service itself."""
        return reply


ACTIONS: dict[str, Action] = {}


A = TypeVar("A", bound=type[Action])


def action(name: str, keys: dict[str, Kind] | None = None, required: tuple[str, ...] = ()) -> Callable[[A], A]:
    """Register an action with its keys."""

    def register(kind: A) -> A:
        kind.keys = keys or {}
        kind.required = required
        ACTIONS[name] = kind()
        return kind

    return register


# -- what is told ----------------------------------------------------------------------------------------------------

TELLING: dict[str, Kind] = {
    "status": checks.STATUS,
    "headers": checks.HEADERS,
    "retry_after": checks.RETRY_AFTER,
    "body": checks.ANYTHING,
    "code": ("text", lambda value: isinstance(value, str)),
    "message": ("text", lambda value: isinstance(value, str)),
    "failure": checks.one_of("timeout", "reset"),
}
"""Of ``commit-then`` the failure may be a GOAWAY as well: of a call that was executed HTTP/2 tells one."""


def telling(*names: str) -> dict[str, Kind]:
    """Some of the keys that say what is told."""
    return {name: TELLING[name] for name in names}


# Codes as seen in public threads: 504 and others without words in microsoft-graph-docs#133 and #2505, 502 and 503 for a
# team that exists in #6551, 412 of Intune in #17791. No thread shows a 423 of these services.
_CODES: dict[int, tuple[str, str]] = {
    400: ("Request_BadRequest", "Invalid request."),
    401: ("InvalidAuthenticationToken", "Access token has expired or is not yet valid."),
    403: ("Authorization_RequestDenied", "Insufficient privileges to complete the operation."),
    404: ("Request_ResourceNotFound", "Resource does not exist or one of its queried reference-property objects are "
                                      "not present."),
    409: ("Conflict", "Conflict"),
    410: ("resyncRequired", "Resync is required."),
    412: ("ConditionNotMet", "A precondition of the request does not match the resource's current state."),
    423: ("Locked", "The resource that is being accessed is locked."),
    424: ("FailedDependency", "A request that this one depends on failed."),
    500: ("InternalServerError", "An internal server error occurred."),
    502: ("BadGateway", ""),
    503: ("ServiceUnavailable", "The service is temporarily unavailable."),
}  # fmt: skip

# entra-docs docs/identity-platform/reference-error-codes.md; the shape of 90033 in azure-sdk-for-python#14241.
LOGIN_REFUSALS: dict[int, tuple[str, int, int, str]] = {
    7000215: ("invalid_client", 7000215, 401, "Invalid client secret provided."),
    7000222: ("invalid_client", 7000222, 401, "The provided client secret keys for the app are expired."),
    700016: ("unauthorized_client", 700016, 400, "The application was not found in the directory."),
    700024: ("invalid_client", 700024, 401, "Client assertion is not within its valid time range."),
    700027: ("invalid_client", 700027, 401, "Client assertion failed signature validation."),
    7000112: ("unauthorized_client", 7000112, 400, "The application is disabled."),
    50196: ("invalid_grant", 50196, 400, "The server terminated an operation because it encountered a client request "
                                         "loop."),
    50076: ("interaction_required", 50076, 400, "You must use multi-factor authentication to access the resource."),
    53003: ("access_denied", 53003, 400, "Access has been blocked by Conditional Access policies."),
    65001: ("invalid_grant", 65001, 400, "The user or administrator has not consented to use the application."),
    90033: ("temporarily_unavailable", 90033, 503, "A transient error has occurred. Please try again."),
    90055: ("temporarily_unavailable", 90055, 429, "There are too many incoming requests."),
}  # fmt: skip


def _login_refusal(status: int) -> tuple[str, int, int, str]:
    if status == 429:
        return LOGIN_REFUSALS[90055]
    if status >= 500:
        error, code, _, message = LOGIN_REFUSALS[90033]
        return error, code, status, message
    return "invalid_request", 900144, status, "The request is malformed."


def stated(spec: Json, now: float) -> dict[str, str]:
    """The headers that a rule names, ``Retry-After`` in whatever form."""
    headers = {name: str(value) for name, value in spec.get("headers", {}).items() if value is not None}
    wait = spec.get("retry_after")
    if isinstance(wait, dict):
        headers["Retry-After"] = formatdate(now + wait["date"], usegmt=True)
    elif wait is not None:
        headers["Retry-After"] = str(wait)
    return headers


def error(struck: Struck, status: int) -> Refusal:
    spec, asked = struck.spec, struck.asked
    headers = stated(spec, asked.now)
    if status == 429:
        known = too_many(headers)
        code, message, inner = known.code, known.message, known.inner
    else:
        code, message = _CODES.get(status, ("UnknownError", ""))
        inner = {}
    if status == 404 and asked.workload != "identity":
        code, message = "NotFound", "The resource could not be found."
    if status == 401:
        headers = {**unauthorised("").headers, **headers}
    return Refusal(status, spec.get("code", code), spec.get("message", message), headers, inner)


def tell(struck: Struck, default: int) -> Reply:
    """What a rule says instead of the true answer."""
    spec = struck.spec
    if spec.get("failure"):
        return Reply(0, failure=Mishap(spec["failure"], processed=True))
    status = int(spec.get("status", default))
    if "body" in spec or (status < 400 and "aadsts" not in spec):
        return Reply(status, spec.get("body"), stated(spec, struck.asked.now))
    return struck.refuse(error(struck, status))


# -- outcomes --------------------------------------------------------------------------------------------------------


@action("answer", TELLING | {"aadsts": checks.COUNT})
class AnswerAction(Action):
    """Nothing is executed."""

    def check(self, spec: Json) -> None:
        if "aadsts" in spec and spec["aadsts"] not in LOGIN_REFUSALS:
            raise ValueError(f"aadsts {spec['aadsts']} is not known; known are {', '.join(map(str, LOGIN_REFUSALS))}")

    def before(self, struck: Struck) -> Reply | None:
        return tell(struck, 500)


@action("throttle", telling("status", "headers", "retry_after", "code", "message"))
class ThrottleAction(AnswerAction):
    """As ``answer``, with 429."""

    def before(self, struck: Struck) -> Reply | None:
        return tell(struck, 429)


@action(
    "commit-then",
    {
        **TELLING,
        "failure": checks.one_of(*FAILURES),
        "items": ("a whole number, 0 or more", lambda value: isinstance(value, int) and value >= 0),
    },
)
class CommitThenAction(Action):
    """The call is executed, and something else is told of it. What the service itself refuses it refuses."""

    def told(self, struck: Struck, status: int) -> Told | None:
        return 0 if struck.spec.get("failure") else int(struck.spec.get("status", 503)), True

    def after(self, struck: Struck, reply: Reply, refused: bool) -> Reply:
        return reply if refused else tell(struck, 503)


@action("kill", {"when": checks.one_of("before", "after", "answered")})
class KillAction(Action):
    def before(self, struck: Struck) -> Reply | None:
        if struck.spec.get("when") == "before":
            die()
        return None

    def told(self, struck: Struck, status: int) -> Told | None:
        return None if struck.spec.get("when") == "answered" else (0, True)

    def after(self, struck: Struck, reply: Reply, refused: bool) -> Reply:
        if struck.spec.get("when") == "answered":
            reply.last = True
        elif not refused:  # there was a commit
            die()
        return reply


@action("delay", {"seconds": checks.SECONDS})
class DelayAction(Action):
    outcome = False
    always = True

    def after(self, struck: Struck, reply: Reply, refused: bool) -> Reply:
        struck.hit()
        reply.delay_s += float(struck.spec.get("seconds", 1))
        return reply


CHANGES = telling("status", "headers", "retry_after", "body", "code", "message") | {"merge": checks.OBJECT}


@action("alter", CHANGES | {"if_status": checks.STATUSES})
class AlterAction(Action):
    """The true answer with something of it changed; with ``if_status`` only if that is its status."""

    outcome = False

    def check(self, spec: Json) -> None:
        if not set(spec) & set(CHANGES):
            raise ValueError(f"alter changes nothing: it needs one of {', '.join(sorted(CHANGES))}")
        if "body" in spec and "merge" in spec:
            raise ValueError("body and merge exclude each other")

    def told(self, struck: Struck, status: int) -> Told | None:
        wanted = struck.spec.get("status")
        return (int(wanted), True) if wanted and self._means(struck, status) else None

    @staticmethod
    def _means(struck: Struck, status: int) -> bool:
        only = struck.spec.get("if_status")
        return only is None or status in (only if isinstance(only, list) else [only])

    def after(self, struck: Struck, reply: Reply, refused: bool) -> Reply:
        spec = struck.spec
        if reply.failure or not self._means(struck, reply.status):
            return reply
        struck.hit()
        if {"code", "message"} & set(spec):
            reply.body = struck.refuse(error(struck, int(spec.get("status", reply.status)))).body
        reply.status = int(spec.get("status", reply.status))
        if "body" in spec:
            reply.body = spec["body"]
        elif "merge" in spec:
            reply.body = merged(reply.body, spec["merge"])
        dropped = {name.lower() for name, value in spec.get("headers", {}).items() if value is None}
        new = stated(spec, struck.asked.now)
        dropped |= {name.lower() for name in new}
        reply.headers = {name: value for name, value in reply.headers.items() if name.lower() not in dropped} | new
        return reply


def merged(document: Any, patch: Any) -> Any:
    """JSON merge patch, RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    found = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


def die() -> None:
    """As ``kill -9``: nothing is flushed, nobody is told."""
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)
