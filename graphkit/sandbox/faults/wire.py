"""The faults of the wire (:mod:`graphkit.sandbox.doors.mishaps`) as actions of rules.

Those that let the client read an answer add up with others; those that tell it nothing are outcomes.
"""

from __future__ import annotations

from graphkit.sandbox.call import Json, Reply
from graphkit.sandbox.doors import mishaps
from graphkit.sandbox.faults.actions import ACTIONS, Action, Struck, Told
from graphkit.sandbox.faults.rules import Asked


class WireAction(Action):
    always = True

    def __init__(self, name: str) -> None:
        self._name = name
        self.keys = {key: (words, fits) for key, (fits, words) in mishaps.WIRE_ACTIONS[name].keys.items()}

    def is_outcome(self, spec: Json) -> bool:
        return mishaps.mishap_of(spec).silent or not mishaps.is_executed(spec)

    def fits(self, spec: Json, asked: Asked) -> bool:
        return not (asked.incoming.connected and mishaps.counts_connections(spec))

    def before(self, struck: Struck) -> Reply | None:
        return None if mishaps.is_executed(struck.spec) else mishaps.instead_of_executing(struck.spec)

    def told(self, struck: Struck, status: int) -> Told | None:
        return 0 if mishaps.mishap_of(struck.spec).silent else status, True

    def after(self, struck: Struck, reply: Reply, refused: bool) -> Reply:
        if not self.is_outcome(struck.spec):
            struck.hit()
        return mishaps.after_executing(struck.spec, reply)


for _name in mishaps.WIRE_ACTIONS:
    ACTIONS[_name] = WireAction(_name)
