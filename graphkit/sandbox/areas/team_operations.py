"""The operations that Teams works on after it has answered 202: resources/teamsasyncoperation.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.sandbox.areas.team_base import missing
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import TEAM
from graphkit.sandbox.query.listing import Kind, entity
from graphkit.sandbox.router import Routes

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

routes = Routes()

OPERATION_KIND = Kind("operations", "teamsAsyncOperation")
_NEWER = frozenset({"teamifyGroup", "createChannel", "archiveChannel", "unarchiveChannel"})
"""Values that only those see who ask for them."""
_WAITS = 0.2
"""The share of its time that an operation has not started for."""


def begin(call: Call, team_id: str, kind: str, work: str, *arguments: Any, target: str | None = None) -> str:
    """Put work off; returns where its operation is found. The work is given the operation's id and ``arguments``."""
    operation_id = call.tenant.new_id()
    call.tenant.state.put(
        "operations",
        {
            "id": operation_id,
            "operationType": kind,
            "createdDateTime": instant(call.now),
            "status": "notStarted",
            "lastActionDateTime": instant(call.now),
            "attemptsCount": 1,
            "targetResourceId": target,
            "targetResourceLocation": f"/teams('{target}')" if target else None,
            "error": None,
            "_team": team_id,
            "_starts": call.now + call.tenant.team_s * _WAITS,
        },
    )
    call.tenant.later(call.now + call.tenant.team_s, work, operation_id, *arguments)
    return f"/teams('{team_id}')/operations('{operation_id}')"


def accepted(where: str, **headers: str) -> Reply:
    return Reply(202, None, {"Location": where, "Content-Type": "text/plain", **headers})


def succeed(tenant: SimulatedTenant, operation_id: str, now: float, **changes: Any) -> None:
    _end(tenant, operation_id, now, {"status": "succeeded", **changes})


def fail(tenant: SimulatedTenant, operation_id: str, now: float, code: str, message: str) -> None:
    _end(tenant, operation_id, now, {"status": "failed", "error": {"code": code, "message": message}})


def _end(tenant: SimulatedTenant, operation_id: str, now: float, changes: Json) -> None:
    operation = tenant.state.table("operations").objects[operation_id]
    tenant.state.put("operations", {**operation, "lastActionDateTime": instant(now), **changes})


@routes.get("/teams/{team}/operations/{operation}", TEAM, page="teamsasyncoperation-get")
def get_operation(call: Call) -> Reply:
    operation = call.tenant.state.get("operations", call.params["operation"])
    if operation is None or operation["_team"] != call.params["team"].lower():
        raise missing("operation")
    return entity(call, OPERATION_KIND, _as_of(call, operation))


def _as_of(call: Call, operation: Json) -> Json:
    shown = dict(operation)
    if shown["status"] == "notStarted" and call.now >= shown["_starts"]:
        shown.update(status="inProgress", lastActionDateTime=instant(shown["_starts"]))
    if shown["operationType"] in _NEWER and not sees_all_members(call):
        shown["operationType"] = "unknownFutureValue"
    return shown


def sees_all_members(call: Call) -> bool:
    """Enumerations that grow hide their newer members (concepts/best-practices-concept.md)."""
    return "include-unknown-enum-members" in call.headers.get("prefer", "").lower()
