"""What an input asks for on a later day: it stands in the plan as not due yet, so that no row is lost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from graphkit.engine.change import ABSENT, Action, Change, Desired, Origin, Reading
from graphkit.engine.resource import Resource


def scheduled(key: str, origin: Origin, day: date, what: str) -> Desired:
    """A wish that waits for ``day``; ``what`` says in a few words what will be planned then."""
    return Desired(kind="scheduled", key=key, origin=origin, rails={"note": f"{what} on {day.isoformat()}"})


class Scheduled(Resource):
    """Nothing is read and nothing written."""

    kind = "scheduled"
    rank = 9

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        return [ABSENT for _ in items]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        note = wanted.rails.get("note", "")
        return [Change(kind=self.kind, key=wanted.key, action=Action.NOOP, note=note, origin=wanted.origin)]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return []
