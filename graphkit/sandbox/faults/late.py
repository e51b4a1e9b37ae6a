"""``answer-then-commit``: an error now, and the write some seconds later.

The call goes through the door as ever: what the service refuses there it refuses, and it is charged once. Then it waits
with other work that was put off, in the state file too, and is executed at its time without being charged again. A late
write that is refused changes nothing; the log says so, with the kind ``refused``.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.faults import checks
from graphkit.sandbox.faults.actions import Action, Struck, action
from graphkit.sandbox.faults.rules import Asked
from graphkit.sandbox.faults.telling import TELLING, tell
from graphkit.sandbox.memory.pending import work

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

LATE = "late call"


@action("answer-then-commit", TELLING | {"after": checks.SECONDS})
class LateAction(Action):
    def fits(self, spec: Json, asked: Asked) -> bool:
        return not asked.login

    def before(self, struck: Struck) -> Reply | None:
        # A batch has no door of its own: its items are charged when they are executed.
        if not struck.asked.batch:
            return None
        return self._put_off(struck, None)

    def at_the_door(self, struck: Struck, call: Call) -> Reply | None:
        return self._put_off(struck, call)

    @staticmethod
    def _put_off(struck: Struck, call: Call | None) -> Reply:
        asked, told = struck.asked, tell(struck, 504)
        incoming = asked.incoming
        kept = {
            "method": incoming.method,
            "version": incoming.version,
            "path": incoming.path,
            "query": incoming.query,
            "headers": incoming.headers,
            "body": _stored(incoming.body),
            "base": incoming.base,
            "told": told.status,
        }
        if call is not None:  # who it is has been found out, and no token need be kept
            kept["headers"] = {name: value for name, value in incoming.headers.items() if name != "authorization"}
            kept["app"] = call.app
            kept["permissions"] = None if call.permissions is None else sorted(call.permissions)
        asked.tenant.put_off_call(asked.now + float(struck.spec.get("after", 5)), LATE, kept)
        return told


def _stored(body: Any) -> Any:
    return {"_bytes": base64.b64encode(body).decode()} if isinstance(body, bytes) else body


def _restored(body: Any) -> Any:
    return base64.b64decode(body["_bytes"]) if isinstance(body, dict) and "_bytes" in body else body


@work(LATE)
def execute(tenant: SimulatedTenant, due: float, arguments: Any) -> None:
    _, kept = arguments
    kept["body"] = _restored(kept["body"])
    tenant.execute_late(kept, due)
