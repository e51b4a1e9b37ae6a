"""How many of an organisation's people an input lists, and how many of them it lets go: neither may jump."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading
from graphkit.engine.resource import PlanView, Resource


class Workforces(Resource):
    """``properties``: listed (people of the organisation by the input, those who left lately included). ``rails``: org,
    max_leaving_pct. Nothing is written. The key is the organisation's code.
    """

    kind = "workforce"

    async def gather(self, view: PlanView) -> None:
        for wish in view.wanted(self.kind):
            self.context.sizes.note(f"the people of {wish.key} in the input", wish.properties["listed"])

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        return [ABSENT for _ in items]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        note = f"{wanted.properties['listed']:,} people in the input"
        return [Change(kind=self.kind, key=wanted.key, action=Action.NOOP, note=note, origin=wanted.origin)]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return []

    async def guard(self, view: PlanView) -> list[str]:
        """Whoever was disabled before does not count: only those who leave by this plan."""
        if self.context.options.accept_impact:
            return []
        orgs = {wish.key: str(wish.rails.get("org")) for wish in view.wanted("user")}
        leaving = Counter(orgs.get(change.key, "") for change in view.changes("user") if change.action is Action.UPDATE)
        return [reason for wish in view.wanted(self.kind) if (reason := _too_many(wish, leaving[wish.key]))]


def _too_many(wish: Desired, leaving: int) -> str:
    """One person is never too many."""
    listed, most = wish.properties["listed"], wish.rails["max_leaving_pct"]
    if leaving <= 1 or leaving * 100 <= listed * most:
        return ""
    return (
        f"{wish.key}: {leaving:,} of {listed:,} people would leave ({100 * leaving / max(listed, 1):.1f} %, "
        f"{most:g} % allowed): if the file is right, --accept-impact goes on"
    )
