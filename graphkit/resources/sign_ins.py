"""When people last signed in, as far as anybody knows.

https://learn.microsoft.com/graph/api/resources/signinactivity: attempts and successes are kept apart, successes only
since December 2023. Reading it takes AuditLog.Read.All and Entra ID P1.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from graphkit.client import GraphClient
from graphkit.engine.resource import Context
from graphkit.errors import ServiceError

SIGN_INS = "signInActivity"


def idle_days(user: Mapping[str, Any], now: float) -> int | None:
    """Whole days since the last sign-in that succeeded; ``None`` where none is recorded, which proves nothing.

    ``now`` in epoch seconds. Attempts do not count: somebody else may have tried.
    """
    last = (user.get(SIGN_INS) or {}).get("lastSuccessfulSignInDateTime")
    if not last:
        return None
    return max(0, int(now - datetime.fromisoformat(last).timestamp()) // 86_400)


def day_of(context: Context) -> float:
    """When the day began for which is planned or reported (``--as-of``, else today): the hour makes no difference."""
    day = context.options.as_of or datetime.fromtimestamp(context.clock.now(), UTC).date().isoformat()
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


async def users_with_sign_ins(
    client: GraphClient, select: Sequence[str], notes: list[str]
) -> AsyncIterator[list[dict[str, Any]]]:
    """Pages of all users, read in parts, with their sign-in activity. Where the service refuses that, without; then
    ``notes`` says why. Raises ``ServiceError`` and ``IncompleteList``.
    """
    chosen = [*dict.fromkeys(("id", *select))]
    try:
        probe = {"$select": f"id,{SIGN_INS}", "$top": "1"}
        await client.get("/users", params=probe)
        chosen.append(SIGN_INS)
    except ServiceError as error:
        if error.status != 403:
            raise
        notes.append(f"sign-ins cannot be read, so nobody counts as active or idle: {error.service_message}")
    async for page in client.list_partitioned("/users", params={"$select": ",".join(chosen)}).pages():
        yield page
