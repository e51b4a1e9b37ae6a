"""People whom a list names when licences are taken back: the plan has a line for each, which tells what was found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.resources.reclaim import FATE


class ReclaimedPeople(Resource):
    """Who is listed: ``properties`` leaveStatus and org; the key is the userPrincipalName in lower case.

    The line in the plan tells what was found of them; what they lose is on lines of their own, for the same input row.
    """

    kind = "license.reclaim.person"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._nobody: Counter[str] = Counter()

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        return [ABSENT for _ in items]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        fate = self.context.snapshot.get(FATE, [wanted.key]).get(wanted.key)
        if fate is None:
            self._nobody[wanted.properties["leaveStatus"]] += 1
            fate = "nobody here has this name"
        return [Change(kind=self.kind, key=wanted.key, action=Action.NOOP, note=fate, origin=wanted.origin)]

    async def guard(self, view: PlanView) -> list[str]:
        """Lists hold people without an account. With a slip in it, the name of somebody on leave spares nobody."""
        away = {status: count for status, count in sorted(self._nobody.items()) if status}
        if away:
            counted = ", ".join(f"{count:,} {status}" for status, count in away.items())
            self.context.remarks.append(
                f"listed by a name that nobody here has, so that whoever is meant is not spared: {counted}"
            )
        return []

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return []
