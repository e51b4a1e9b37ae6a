"""Licences that a group gives to its members.

``POST /groups/{id}/assignLicense`` answers 202 and works on in its own time; nothing can be polled for it
(https://learn.microsoft.com/graph/api/group-assignlicense).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Pace, Reading, Verdict, present
from graphkit.engine.resource import Context, PlanView, Resource, as_desired
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.license_effects import effects_on_groups
from graphkit.resources.reading import read_each
from graphkit.resources.service_plans import obstacle
from graphkit.resources.skus import Skus

STAGED = "group.license.set"


class GroupLicenses(Resource):
    """``properties``: group (key of a ``group``), sku (part number or id), disabledPlans (names or ids).

    The key is ``<group>/<sku>``. ``resolve`` adds skuId and turns disabledPlans into sorted ids. What an add-on needs
    has to come from the same group (https://learn.microsoft.com/entra/fundamentals/licensing-groups-resolve-problems).
    """

    kind = "group.license"
    rank = 1
    # An add-on and what it needs are taken in one write.
    pack_limit = 20
    visibility_s = 120.0
    pace = Pace.LATER

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._skus = Skus(context)

    async def gather(self, view: PlanView) -> None:
        await self._skus.load()

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        problems = []
        for item in items:
            message = self._skus.resolve(item.properties)
            if message:
                problems.append(InputProblem(item.origin.file, item.origin.place, "unknown-sku", message))
        self._stage([item for item in items if "skuId" in item.properties and not item.absent])
        return problems

    def _stage(self, items: Sequence[Desired]) -> None:
        sets = dict(self.context.snapshot.get(STAGED, sorted({item.properties["group"] for item in items})))
        for item in items:
            licence = {name: item.properties[name] for name in ("skuId", "disabledPlans")}
            sets.setdefault(item.properties["group"], []).append(licence)
        self.context.snapshot.put(STAGED, sets.items())

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        # A group that this run has just made holds no licence yet, and replicas may not even show it.
        new = {key for kind, key in self.context.created if kind == "group"}
        return await self._read(
            items, [item.properties["group"] for item in items if item.properties["group"] not in new]
        )

    async def look(self, pack: Sequence[Change]) -> Sequence[Reading]:
        """By then a new group may hold what this run has given it."""
        items = [as_desired(change) for change in pack]
        return await self._read(items, [item.properties["group"] for item in items])

    async def _read(self, items: Sequence[Desired], groups: Iterable[str]) -> Sequence[Reading]:
        ids = {group: self.context.object_ids.get(("group", group), "") for group in groups}
        ask = [group for group in ids if ids[group]]
        paths = [f"/groups/{segment(ids[group])}?$select=id,assignedLicenses" for group in ask]
        found = dict(zip(ask, await read_each(self.context.client, paths), strict=True))
        staged = self.context.snapshot.get(STAGED, sorted(ids))
        for item in items:
            group = found.get(item.properties["group"], ABSENT)
            item.rails["why"] = self._obstacle(item, group, staged.get(item.properties["group"], ()))
        return [_of_sku(found.get(item.properties["group"], ABSENT), item.properties["skuId"]) for item in items]

    def _obstacle(self, item: Desired, group: Reading, wanted: Sequence[dict[str, Any]]) -> str:
        """Why the group cannot give this licence beside the others that it gives."""
        held = {str(each["skuId"]).lower(): each for each in (group.value or {}).get("assignedLicenses") or ()}
        after = {**held, **{each["skuId"].lower(): each for each in wanted}}
        alone = self._skus.plans_on(each for each in wanted if each["skuId"] == item.properties.get("skuId"))
        why = obstacle(self._skus.plans_on(held.values()), self._skus.plans_on(after.values()), alone)
        advice = "what it needs has to come from the same group: name it among the addons of that SKU's pool"
        return f"{why}; {advice}" if "Dependency" in why else why

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        after = {name: wanted.properties[name] for name in ("group", "sku", "skuId", "disabledPlans")}
        before = self.before_image(reading)
        action = Action.ADD if before is None else Action.UPDATE
        if before is not None and before["disabledPlans"] == after["disabledPlans"]:
            action = Action.NOOP
        needs = (("group", wanted.properties["group"]),)
        if action.writes and (why := wanted.rails.get("why", "")):
            return [Change(kind=self.kind, key=wanted.key, action=Action.BLOCKED, note=why, origin=wanted.origin)]
        return [
            Change(
                kind=self.kind,
                key=wanted.key,
                action=action,
                before=before,
                after=after,
                needs=needs,
                origin=wanted.origin,
            )
        ]

    async def effective(self, changes: Sequence[Change]) -> Sequence[Verdict]:
        return await effects_on_groups(self.context, changes)

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("POST", "/groups/{id}/assignLicense")]

    def pack_key(self, change: Change) -> str:
        return str((change.after or change.before or {})["group"])

    def request(self, pack: Sequence[Change]) -> Request:
        given = [change.after for change in pack if change.after]
        taken = [change.before for change in pack if change.before and not change.after]
        group = self.context.object_id("group", (given or taken)[0]["group"])
        body = {
            "addLicenses": [{name: each[name] for name in ("skuId", "disabledPlans")} for each in given],
            "removeLicenses": [each["skuId"] for each in taken],
        }
        return Request(
            method="POST",
            path=f"/groups/{segment(group)}/assignLicense",
            body=msgspec.json.encode(body),
            idempotency=Idempotency.CONVERGENT,
        )


def _of_sku(group: Reading, sku_id: str) -> Reading:
    if not group.known or group.value is None:
        return group
    for held in group.value.get("assignedLicenses") or ():
        if str(held.get("skuId")).lower() == sku_id.lower():
            return present({"disabledPlans": sorted(held.get("disabledPlans") or ())})
    return ABSENT
