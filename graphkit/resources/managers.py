"""Who is whose manager: one reference a person (https://learn.microsoft.com/graph/api/user-post-manager)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, present
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.owners import user_link
from graphkit.resources.people import People
from graphkit.resources.reading import read_each
from graphkit.resources.recycling import deletion
from graphkit.resources.users import FEW, PAGE

WANTED, STAGED = "person.wanted", "person.manager"
"""Kinds of the snapshot: employee ids that get an account by this plan; managers' ids by the ids of their people."""


class Managers(Resource):
    """``properties``: person and manager (employee ids). ``resolve`` adds userId and managerId of those who are there;
    the others are accounts of the same plan. The key is the person's.
    """

    kind = "user.manager"
    rank = 1
    visibility_s = 120.0
    goes_with = frozenset({"user"})

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._people = People(context)

    async def gather(self, view: PlanView) -> None:
        await self._people.load(view.wanted_count(self.kind))
        planned = (wish.key.lower() for wish in view.wanted("user") if not wish.absent)
        self.context.snapshot.put(WANTED, ((key, 1) for key in planned))
        if view.wanted_count(self.kind) > FEW:
            await self._load()

    async def _load(self) -> None:
        """Everybody's manager at once. In a part that fails nobody is known, and the whole plan with it."""
        params = {"$select": "id", "$expand": "manager($select=id)", "$top": str(PAGE)}
        async for page in self.context.client.list_partitioned("/users", params=params).pages():
            found = ((str(user["id"]), str((user.get("manager") or {}).get("id") or "")) for user in page)
            self.context.snapshot.put(STAGED, found)
        self.context.snapshot.mark_complete(STAGED)

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        names = [item.properties[name] for item in items for name in ("person", "manager")]
        found = await self._people.find(names)
        planned = self.context.snapshot.get(WANTED, [name.lower() for name in names])
        problems = []
        for item in items:
            for name, into in (("person", "userId"), ("manager", "managerId")):
                reading = found[item.properties[name]]
                if reading.value:
                    item.properties[into] = reading.value["id"]
                elif not reading.known:
                    item.blocked = item.blocked or f"{name} {item.properties[name]}: {reading.why}"
            manager = item.properties["manager"]
            if not item.blocked and "managerId" not in item.properties and manager.lower() not in planned:
                message = f"manager_employee_id: {manager} not found"
                if org := self.context.options.org:
                    # Another organisation's people may have them, who are made by a plan of their own.
                    item.blocked = f"{message}, neither in the tenant nor among those of --org {org}"
                    continue
                problems.append(InputProblem(item.origin.file, item.origin.place, "unknown-user", message))
        return problems

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        ids = {item.key: self._id(item.properties, "person", "userId") for item in items}
        if self.context.snapshot.is_complete(STAGED):
            staged = self.context.snapshot.get(STAGED, sorted(set(ids.values())))
            managers = [staged.get(ids[item.key]) for item in items]
            return [present({"managerId": manager}) if manager else ABSENT for manager in managers]
        ask = [key for key, user_id in ids.items() if user_id]
        paths = [f"/users/{segment(ids[key])}/manager?$select=id" for key in ask]
        found = dict(zip(ask, await read_each(self.context.client, paths), strict=True))
        return [_reading(found.get(item.key, ABSENT)) for item in items]

    def _id(self, properties: Mapping[str, Any], name: str, known: str) -> str:
        return str(properties.get(known) or self.context.object_ids.get(("user", properties.get(name, "")), ""))

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        properties = wanted.properties
        before = self.before_image(reading)
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, before=before, origin=wanted.origin)
        line.after = {
            name: properties[name] for name in ("person", "manager", "userId", "managerId") if name in properties
        }
        missing = [name for name, known in (("person", "userId"), ("manager", "managerId")) if known not in properties]
        people = (("user", properties[name]) for name in missing if name in properties)
        line.needs = (*people, *wanted.needs)
        if before is None or before["managerId"] != self._id(properties, "manager", "managerId"):
            line.action = Action.ADD if before is None else Action.UPDATE
        return [line]

    def before_image(self, reading: Reading) -> dict[str, Any] | None:
        return {"managerId": reading.value["managerId"]} if reading.value else None

    def inverse(self, change: Change, object_id: str) -> Change:
        """The manager before was known by id alone."""
        back = super().inverse(change, object_id)
        if back.action is Action.UPDATE:
            kept = {name: value for name, value in (change.after or {}).items() if name in ("person", "userId")}
            back.after = {**kept, "managerId": (change.before or {})["managerId"]}
        return back

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("DELETE" if change.action is Action.REMOVE else "PUT", "/users/{id}/manager/$ref")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        properties = change.after or change.before or {}
        path = f"/users/{segment(self._id(properties, 'person', 'userId'))}/manager/$ref"
        if change.action is Action.REMOVE:
            return deletion(path)
        link = user_link(self.context, self._id(properties, "manager", "managerId"))
        return Request(
            method="PUT",
            path=path,
            body=msgspec.json.encode({"@odata.id": link}),
            idempotency=Idempotency.CONVERGENT,
        )


def _reading(found: Reading) -> Reading:
    return present({"managerId": str(found.value["id"])}) if found.value else found
