"""Sign-in sessions of people, ended: refresh tokens and session cookies count no longer.

https://learn.microsoft.com/graph/api/user-revokesigninsessions sets ``signInSessionsValidFromDateTime`` to now, a few
minutes later. What was ended cannot begin again by itself, and need not: whoever is enabled signs in anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.protocol.touch import Touch
from graphkit.resources.people import People
from graphkit.resources.reading import read_each

VALID_FROM = "signInSessionsValidFromDateTime"


class Sessions(Resource):
    """``properties``: person (employee id, which is the key) and since (instant): sessions must not be older.

    ``resolve`` adds userId. Whoever is still enabled may have signed in a moment ago: then all of them end.
    """

    kind = "user.sessions"
    rank = 1
    visibility_s = 120.0

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._people = People(context)

    async def gather(self, view: PlanView) -> None:
        await self._people.load(view.wanted_count(self.kind))

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        found = await self._people.find([item.key for item in items])
        for item in items:
            reading = found[item.key]
            if reading.value:
                item.properties["userId"] = reading.value["id"]
                item.rails["enabled"] = reading.value.get("accountEnabled") is not False
            item.blocked = item.blocked or reading.why
        return []

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        there = [item for item in items if "userId" in item.properties]
        paths = [f"/users/{segment(item.properties['userId'])}?$select=id,{VALID_FROM}" for item in there]
        found = {item.key: each for item, each in zip(there, await read_each(self.context.client, paths), strict=True)}
        return [found.get(item.key, ABSENT) for item in items]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin, needs=wanted.needs)
        if reading.value is not None:
            valid = str(reading.value.get(VALID_FROM) or "")
            since = str(wanted.properties["since"])
            since = max(since, valid) if wanted.rails.get("enabled") else since
            line.before = self.before_image(reading)
            line.after = {"userId": wanted.properties["userId"], "since": since}
            if since and valid <= since:
                line.action = Action.UPDATE
        return [line]

    def before_image(self, reading: Reading) -> dict[str, Any] | None:
        return {"validFrom": reading.value.get(VALID_FROM)} if reading.value else None

    def inverse(self, change: Change, object_id: str) -> Change:
        """Nothing: that is so already, whatever is there."""
        back = super().inverse(change, object_id)
        back.after = {"userId": (change.after or {})["userId"], "since": ""}
        return back

    def touches(self, change: Change) -> Touch:
        return Touch(users=(str((change.after or {})["userId"]).lower(),), account=True, harm="signs out")

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("POST", "/users/{id}/revokeSignInSessions")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        return Request(
            method="POST",
            path=f"/users/{segment((change.after or {})['userId'])}/revokeSignInSessions",
            idempotency=Idempotency.CONVERGENT,
        )
