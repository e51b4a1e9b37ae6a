"""What accounts say of people: names, title, department, organisation (https://learn.microsoft.com/graph/api/user-update)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from graphkit.engine.change import Action, Change, Desired, Reading
from graphkit.engine.resource import Context, PlanView, Resource, touched
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.protocol.touch import Touch
from graphkit.resources.people import ELSEWHERE, PROFILE, SYNCED, People
from graphkit.resources.reading import read_each


class Profiles(Resource):
    """What accounts say of people: ``properties`` as Graph calls them, beside employeeId, which is the key.

    ``rails["marks"]`` names the properties that tell the organisation: to change them takes ``--transfer``.
    """

    kind = "user.profile"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._people = People(context)

    async def gather(self, view: PlanView) -> None:
        await self._people.load(view.wanted_count(self.kind))

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        known = [item for item in items if item.properties.get("id")]
        select = ",".join(dict.fromkeys(("id", *PROFILE, *self.context.orgs.select)))
        paths = [f"/users/{segment(item.properties['id'])}?$select={select}" for item in known]
        live = {item.key: each for item, each in zip(known, await read_each(self.context.client, paths), strict=True)}
        staged = await self._people.find([item.key for item in items if item.key not in live])
        return [live.get(item.key) or staged[item.key] for item in items]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin, needs=wanted.needs)
        if reading.value is None:
            line.action, line.note = (
                Action.BLOCKED,
                "there is no account with this employee id: people.joiners makes it",
            )
            return [line]
        names = [name for name in wanted.properties if name != "id"]
        changed = [name for name in names if (wanted.properties[name] or None) != (reading.value.get(name) or None)]
        if moved := self._transfer(wanted, reading.value, changed):
            line.action, line.note = Action.BLOCKED, moved
        elif changed and reading.value.get(SYNCED):
            line.action, line.note = Action.BLOCKED, ELSEWHERE
        elif changed:
            line.action = Action.UPDATE
            line.before = {"id": str(reading.value["id"]), **{name: reading.value.get(name) for name in changed}}
            line.after = {"id": line.before["id"], **{name: wanted.properties[name] for name in changed}}
        return [line]

    def _transfer(self, wanted: Desired, found: dict[str, Any], changed: Sequence[str]) -> str:
        """Somebody of another organisation; who was of none so far is no transfer."""
        if self.context.options.transfer or "org" not in wanted.rails:
            return ""
        told = self.context.orgs.of(found)
        marks = [name for name in wanted.rails.get("marks", ()) if name in changed and found.get(name)]
        other = told if told not in ("", wanted.rails["org"]) else ", ".join(str(found[name]) for name in marks)
        return f"it belongs to {other} and would move to {wanted.rails['org']}: --transfer allows it" if other else ""

    def unchanged(self, change: Change, reading: Reading) -> bool:
        """Only what is to be changed counts."""
        found, before = reading.value or {}, change.before or {}
        return bool(found) and all((found.get(name) or None) == (value or None) for name, value in before.items())

    def settled(self, change: Change, reading: Reading) -> bool:
        found, after = reading.value or {}, change.after or {}
        return bool(found) and all((found.get(name) or None) == (value or None) for name, value in after.items())

    def touches(self, change: Change) -> Touch:
        user = (change.before or {}).get("id")
        return replace(touched(change, self.context), account=True, users=(str(user).lower(),) if user else ())

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("PATCH", "/users/{id}")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after = dict(change.after or {})
        user = after.pop("id")
        return Request(
            method="PATCH",
            path=f"/users/{segment(user)}",
            body=msgspec.json.encode(after),
            idempotency=Idempotency.CONVERGENT,
        )
