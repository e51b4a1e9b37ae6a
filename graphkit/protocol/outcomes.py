"""The one table that says what to do with what came back.

Waiting for an object to become visible (404 on what this run created) and reading back what "already exists" are the
engine's affair, since only it knows what the run created: here every 4xx but the ones named is final.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from graphkit.protocol.message import Idempotency, Response

CONCURRENCY = "Directory_ConcurrencyViolation"
"""The 409 that asks to be repeated (nais/azurerator issue 448)."""

_REPEATABLE = frozenset({Idempotency.READ, Idempotency.CONVERGENT})
_STATED_WAITS = frozenset({503, 509})
_FINAL_5XX = frozenset({501, 505, 507})
_NOT_ATTEMPTED = 424


class Action(StrEnum):
    """What happens next to a request."""

    FINAL = "final"
    """Hand the answer up."""
    REPEAT = "repeat"
    """Send it again, after a short pause that spreads the crowd."""
    WAIT = "wait"
    """Send it again, but not before the time the service stated, or a growing pause if it stated none."""
    RENEW = "renew"
    """Get a fresh token, then send it again."""
    UNKNOWN = "unknown"
    """Perhaps executed, and repeating may do it twice: the engine or a person must look."""


@dataclass(frozen=True, slots=True)
class Decision:
    """``narrow``: from now on fewer writes at a time to the same target."""

    action: Action
    narrow: bool = False


FINAL = Decision(Action.FINAL)
REPEAT = Decision(Action.REPEAT)
WAIT = Decision(Action.WAIT)
WAIT_ALONE = Decision(Action.WAIT, narrow=True)
RENEW = Decision(Action.RENEW)
UNKNOWN = Decision(Action.UNKNOWN)


def not_sent() -> Decision:
    """Connection, DNS, TLS or pool failure: no byte left, whatever the request."""
    return REPEAT


def no_answer(idempotency: Idempotency) -> Decision:
    """Time-out or reset after the first byte, a batch answer that is missing, a 2xx that cannot be read."""
    return REPEAT if idempotency in _REPEATABLE else UNKNOWN


def decide(
    idempotency: Idempotency,
    response: Response,
    *,
    workload: str = "",
    renewed: bool = False,
) -> Decision:
    """What to do with an answer. ``renewed``: this request has had its fresh token already."""
    status = response.status
    if status < 400:
        return FINAL
    if status == 401:
        return FINAL if renewed else RENEW
    if status == 429:
        return _throttled(idempotency, workload)
    if status == 423 or (status == 409 and _concurrency(response)):
        return WAIT_ALONE
    if status == _NOT_ATTEMPTED:
        return REPEAT
    if status < 500 or status in _FINAL_5XX:
        return FINAL
    return _server_failed(idempotency, status, "retry-after" in response.headers)


def _throttled(idempotency: Idempotency, workload: str) -> Decision:
    # A Teams write answered 429 has been seen to take effect all the same
    # (learn.microsoft.com/answers/questions/5529013), so a create there is looked up before it is repeated.
    return UNKNOWN if workload == "teams" and idempotency not in _REPEATABLE else WAIT


def _server_failed(idempotency: Idempotency, status: int, stated: bool) -> Decision:
    if idempotency not in _REPEATABLE:
        return UNKNOWN
    return WAIT if stated and status in _STATED_WAITS else REPEAT


def _concurrency(response: Response) -> bool:
    problem = response.error
    return problem.code == CONCURRENCY or CONCURRENCY in problem.inner_codes
