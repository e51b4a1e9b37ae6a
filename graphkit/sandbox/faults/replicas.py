"""``lag``: what a call makes or changes arrives late at some replicas (:mod:`graphkit.sandbox.memory.replication`)."""

from __future__ import annotations

from typing import Any

from graphkit.sandbox.call import Call, Reply
from graphkit.sandbox.faults import checks
from graphkit.sandbox.faults.actions import Action, Struck, action
from graphkit.sandbox.memory.replication import REPLICAS, Lag


def _some(value: Any) -> bool:
    return checks.COUNT[1](value) and value <= REPLICAS


@action(
    "lag",
    {
        "seconds": checks.SECONDS,
        "replicas": (f"a whole number from 1 to {REPLICAS}", _some),
        "mode": checks.one_of("steady", "alternate"),
    },
)
class LagAction(Action):
    outcome = False

    def executed(self, struck: Struck, call: Call, reply: Reply) -> None:
        spec, state = struck.spec, call.tenant.state
        lag = Lag(
            since=call.now,
            until=call.now + float(spec.get("seconds", 60)),
            replicas=int(spec.get("replicas", 2)),
            alternate=spec.get("mode") == "alternate",
        )
        if not (state.touched or state.touched_links):
            return
        struck.hit()
        call.tenant.replication.hold(lag)
