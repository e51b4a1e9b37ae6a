"""``concurrency``: two writes to one object that come too close are refused, the second one.

409 ``Directory_ConcurrencyViolation``, in the words of nais/azurerator#448. Time is the tenant's: on virtual time two
writes without a wait between them come at once.
"""

from __future__ import annotations

from graphkit.sandbox.call import Call, Json, Refusal, Reply
from graphkit.sandbox.faults import checks
from graphkit.sandbox.faults.actions import Action, Struck, action
from graphkit.sandbox.faults.rules import Asked
from graphkit.sandbox.throttle.table import WRITES


@action(
    "concurrency",
    {"ms": ("a number of milliseconds above 0", lambda value: checks.NUMBER[1](value) and value > 0)},
    required=("ms",),
)
class ConcurrencyAction(Action):
    outcome = False

    def fits(self, spec: Json, asked: Asked) -> bool:
        return asked.incoming.method in WRITES and not asked.login

    def at_the_door(self, struck: Struck, call: Call) -> Reply | None:
        within = struck.spec["ms"] / 1000
        recent = {key: at for key, at in struck.rule.memory.items() if 0 <= call.now - at < within}
        struck.rule.memory = recent
        if _subject(call) in recent:
            struck.hit()
            raise Refusal(
                409,
                "Directory_ConcurrencyViolation",
                "Error due to concurrent requests being made to the tenant. Please wait briefly and retry.",
            )
        return None

    def executed(self, struck: Struck, call: Call, reply: Reply) -> None:
        if _subject(call):
            struck.rule.memory[_subject(call)] = call.now


def _subject(call: Call) -> str:
    """The object that the path names first; nothing for a create."""
    return next(iter(call.params.values()), "")
