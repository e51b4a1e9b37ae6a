"""What Teams goes on working at after it has answered 202.

The answer names an operation, which is asked for until it has ended, "more than 30 seconds" apart
(https://learn.microsoft.com/graph/api/resources/teamsasyncoperation).
"""

from __future__ import annotations

from typing import Any

import msgspec

from graphkit.engine.resource import Context
from graphkit.errors import AuthError, GraphkitError, Stopped
from graphkit.protocol.message import Request, Response

POLL_S = 30.0
REFUSED = 400
"""The status under which an operation that failed is handed on: the service gives none."""


async def ended(context: Context, response: Response, patience_s: float) -> Response:
    """What the operation that ``response`` names came to: 200 with the operation, or a refusal with its error.

    ``response`` itself where it names none, or where the operation has not ended within ``patience_s``.
    """
    where = response.headers.get("location") or response.headers.get("content-location") or ""
    if response.status != 202 or "/operations" not in where:
        return response
    patience = context.clock.now() + patience_s
    while context.clock.now() < patience:
        await context.clock.sleep(POLL_S)
        operation = await _ask(context, where)
        if operation.get("status") in ("succeeded", "failed"):
            return _settled(response, operation)
    return response


async def _ask(context: Context, where: str) -> dict[str, Any]:
    """The operation, or nothing where it could not be read this time."""
    try:
        answer = await context.client.send(Request(method="GET", path=where))
    except (AuthError, Stopped):
        raise
    except GraphkitError:
        return {}
    value = answer.json() if answer.ok else None
    return value if isinstance(value, dict) else {}


def _settled(response: Response, operation: dict[str, Any]) -> Response:
    if operation["status"] == "succeeded":
        return Response(200, response.headers, msgspec.json.encode(operation))
    error = operation.get("error") or {"code": "OperationFailed", "message": "the operation failed"}
    return Response(REFUSED, response.headers, msgspec.json.encode({"error": error}))
