"""Where somebody uses a service: usageLocation, which decides what may be licensed there.

https://learn.microsoft.com/graph/api/resources/user: required before a licence, and not nullable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from graphkit.engine.change import Action, Change, Desired, Reading, Undo, present
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.reading import read_each
from graphkit.resources.users import Users

WANTED = "user.location.wanted"
"""Kind under which ids of users are staged, with the location that they will have."""


class UserLocations(Resource):
    """``properties``: user (userPrincipalName), usageLocation (two capital letters). The key is the user in lower case.

    ``resolve`` adds userId. A location that was not set before cannot be unset again.
    """

    kind = "user.location"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        # The same as for the licences that follow, so that everybody is read once.
        self._users = Users(context, also=("licenseAssignmentStates",))

    async def gather(self, view: PlanView) -> None:
        await self._users.load(view.wanted_count(self.kind))

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        found, problems = await self._users.resolve(items)
        for item, user in found:
            item.rails["now"] = user.get("usageLocation")
        self.context.snapshot.put(
            WANTED, ((item.properties["userId"], item.properties["usageLocation"]) for item, _ in found)
        )
        return problems

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        ask = [item for item in items if "now" not in item.rails]
        paths = [f"/users/{segment(item.properties['userId'])}?$select=id,usageLocation" for item in ask]
        found = dict(zip((item.key for item in ask), await read_each(self.context.client, paths), strict=True))
        return [self._reading(item, found) for item in items]

    @staticmethod
    def _reading(item: Desired, found: dict[str, Reading]) -> Reading:
        if "now" in item.rails:
            return present({"usageLocation": item.rails["now"]})
        reading = found[item.key]
        return present({"usageLocation": reading.value.get("usageLocation")}) if reading.value else reading

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        after = {name: wanted.properties[name] for name in ("user", "userId", "usageLocation")}
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin)
        if reading.value is None:
            line.action, line.note = Action.BLOCKED, "the user is not there any more"
            return [line]
        line.before, line.after = self.before_image(reading), after
        if reading.value["usageLocation"] != after["usageLocation"]:
            line.action = Action.UPDATE
            line.undo = self.undo if reading.value["usageLocation"] else Undo.IRREVERSIBLE
        return [line]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("PATCH", "/users/{id}")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after: dict[str, Any] = change.after or {}
        return Request(
            method="PATCH",
            path=f"/users/{segment(after['userId'])}",
            body=msgspec.json.encode({"usageLocation": after["usageLocation"]}),
            idempotency=Idempotency.CONVERGENT,
        )

    async def identify(self, change: Change, response: object) -> str:
        """A licence that follows at once may be refused as if there were no location yet: replicas lag."""
        self.context.created[self.kind, change.key] = self.context.clock.now()
        return str((change.after or {})["userId"])
