"""What hangs on people who leave: what they own, which groups they are in, what they hold and use.

Only the tenant can spell that out. In the order of their stages: what a leaver owns alone gets another owner; the
leaver goes from owners and groups, licences are released, devices retired; at last the account is deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading
from graphkit.engine.plan import chunked
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.protocol.odata import segment
from graphkit.resources.memberships import DYNAMIC
from graphkit.resources.people import People
from graphkit.resources.reading import read_each, read_list
from graphkit.resources.retirements import SELECT as DEVICE
from graphkit.resources.skus import Skus
from graphkit.resources.user_licenses import HOLDING

GROUP = "id,displayName,groupTypes,onPremisesSyncEnabled"
LEAVING, REASONS = "leaver.id", "leaver.why"
"""Kinds of the snapshot: ids of those who leave; why what hangs on somebody is left alone, by employee id."""
RELEASE, DELETE = 7, 30
"""Stages, in days: from 0 on things are handed over."""
CHUNK = 20


@dataclass(slots=True)
class Leaving:
    """One leaver and what hangs on them; ``why`` says what could not be read or be given to anybody."""

    wish: Desired
    user: Mapping[str, Any]
    owned: list[dict[str, Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    skus: list[str] = field(default_factory=list)
    devices: list[dict[str, Any]] = field(default_factory=list)
    why: str = ""

    @property
    def stage(self) -> int:
        return int(self.wish.properties["stage"])


class Leavers(Resource):
    """``properties``: stage (days since the last one: 0, 7 or 30), successor (employee id of the manager) and fallback
    (userPrincipalName), either may be empty; devices (whether to retire them). The key is the employee id.

    ``expand`` says what is to become of all the rest; nothing is written for the kind itself. What cannot be read, or
    has no owner to be given to, blocks whatever needs the leaver.
    """

    kind = "leaver"
    leads_to: ClassVar = {
        "group.handover": Action.ADD,
        "group.member": Action.REMOVE,
        "group.owner": Action.REMOVE,
        "user.license": Action.REMOVE,
        "managedDevice.retirement": Action.UPDATE,
        "user.deletion": Action.DELETE,
    }

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._people = People(context)
        self._skus = Skus(context)
        self._handed: dict[str, str] = {}

    async def expand(self, view: PlanView) -> AsyncIterator[Sequence[Desired]]:
        await self._people.load(view.wanted_count(self.kind))
        for chunk in chunked(view.wanted(self.kind), CHUNK):
            found = await self._people.find([wish.key for wish in chunk])
            there = [each.value["id"] for each in found.values() if each.value]
            self.context.snapshot.put(LEAVING, ((user_id, 1) for user_id in there))
        for chunk in chunked(view.wanted(self.kind), CHUNK):
            found = await self._people.find([wish.key for wish in chunk])
            leaving = [Leaving(wish, user) for wish in chunk if (user := found[wish.key].value)]
            await asyncio.gather(*(self._look_at(each) for each in leaving))
            for each in leaving:
                yield [wish async for wish in self._wishes(each)]
                if each.why:
                    self.context.snapshot.put(REASONS, [(each.wish.key, each.why)])

    # -- what is there ---------------------------------------------------------------------------------------------

    async def _look_at(self, each: Leaving) -> None:
        root = f"/users/{segment(str(each.user['id']))}"
        each.owned = await self._listed(each, f"{root}/ownedObjects/microsoft.graph.group?$select={GROUP}")
        if each.stage < RELEASE:
            return
        each.groups = await self._listed(each, f"{root}/memberOf/microsoft.graph.group?$select={GROUP}")
        if each.wish.properties.get("devices"):
            each.devices = await self._listed(each, f"{root}/managedDevices?$select={DEVICE}")
        await self._skus.load()
        (user,) = await read_each(self.context.client, [f"{root}?$select=id,licenseAssignmentStates"])
        each.why = each.why or user.why
        states = (user.value or {}).get("licenseAssignmentStates") or ()
        direct = {str(s["skuId"]) for s in states if not s.get("assignedByGroup") and s.get("state") in HOLDING}
        each.skus = sorted(sku for sku in direct if self._skus.find(sku))

    async def _listed(self, each: Leaving, path: str) -> list[dict[str, Any]]:
        found = await read_list(self.context.client, path)
        if not found.known:
            each.why = each.why or f"what hangs on the account could not be read: {found.why}"
        return sorted((found.value or {}).get("value") or (), key=lambda item: str(item["id"]))

    # -- what is to become of it -----------------------------------------------------------------------------------

    async def _wishes(self, each: Leaving) -> AsyncIterator[Desired]:
        """The deletion needs all the rest."""
        last: list[tuple[str, str]] = []
        for group in each.owned:
            self.context.object_ids["group", str(group["id"])] = str(group["id"])
            handover = [wish async for wish in self._handover(each, group)]
            for wish in handover:
                yield wish
            if each.stage >= RELEASE:
                ownership = self._ownership(each, group)
                last.append((ownership.kind, ownership.key))
                yield ownership
        for wish in self._released(each) if each.stage >= RELEASE else ():
            last.append((wish.kind, wish.key))
            yield wish
        if each.stage >= DELETE:
            yield self._wish(each, "user.deletion", each.wish.key, {"employeeId": each.wish.key}, last, absent=True)

    async def _handover(self, each: Leaving, group: Mapping[str, Any]) -> AsyncIterator[Desired]:
        """Another owner, where no other stays."""
        group_id = str(group["id"])
        if group_id in self._handed:
            return
        path = f"/groups/{segment(group_id)}/owners/microsoft.graph.user?$select=id,accountEnabled"
        owners = await self._listed(each, path)
        if any(self._stays(owner) for owner in owners) or each.why:
            return
        successor = await self._successor(each)
        if successor is None:
            each.why = (
                f"{each.user['userPrincipalName']} alone owns {group['displayName']} ({group_id}), and there is nobody "
                "to give it to: name a manager who stays, or an owner_fallback"
            )
            return
        upn = str(successor["userPrincipalName"])
        self._handed[group_id] = key = f"{group_id}/{upn.lower()}"
        properties = {"group": group_id, "user": upn}
        note = f"{group['displayName']}: in place of {each.user['userPrincipalName']}, its only owner"
        yield Desired(
            kind="group.handover",
            key=key,
            origin=each.wish.origin,
            properties=dict(properties),
            rails={"org": each.wish.rails.get("org", ""), "note": note},
        )
        if "Unified" in (group.get("groupTypes") or ()):
            # Whoever owns a team without being a member does not see it.
            yield Desired(kind="group.member", key=key, origin=each.wish.origin, properties=properties)

    async def _successor(self, each: Leaving) -> dict[str, Any] | None:
        """The manager, else the fallback: somebody who stays."""
        manager = str(each.wish.properties.get("successor") or "")
        if manager:
            found = (await self._people.find([manager]))[manager].value
            if found and self._stays(found):
                return found
        fallback = str(each.wish.properties.get("fallback") or "")
        if fallback:
            path = f"/users/{segment(fallback)}?$select=id,userPrincipalName,accountEnabled"
            (reading,) = await read_each(self.context.client, [path])
            if reading.value and self._stays(reading.value):
                return reading.value
        return None

    def _stays(self, user: Mapping[str, Any]) -> bool:
        user_id = str(user["id"])
        return user.get("accountEnabled") is True and not self.context.snapshot.get(LEAVING, [user_id])

    def _ownership(self, each: Leaving, group: Mapping[str, Any]) -> Desired:
        group_id = str(group["id"])
        needs = [("group.handover", self._handed[group_id])] if group_id in self._handed else []
        properties = {"group": group_id, "user": str(each.user["id"])}
        return self._wish(each, "group.owner", f"{group_id}/{each.user['id']}", properties, needs, absent=True)

    def _released(self, each: Leaving) -> Iterator[Desired]:
        user_id, upn = str(each.user["id"]), str(each.user["userPrincipalName"])
        for group in each.groups:
            # A rule, or a directory on premises, has to let go of its own people.
            if DYNAMIC not in (group.get("groupTypes") or ()) and not group.get("onPremisesSyncEnabled"):
                yield self._membership(each, str(group["id"]), user_id)
        for sku in each.skus:
            properties: dict[str, Any] = {"user": upn, "sku": sku, "disabledPlans": []}
            key = f"{upn.lower()}/{self._skus.name_of(sku)}"
            yield self._wish(each, "user.license", key, properties, (), absent=True)
        for device in each.devices:
            properties = {"device": str(device["id"]), "deviceName": device.get("deviceName"), "userId": user_id}
            key = f"{each.wish.key}/{device.get('deviceName')}/{device['id']}"
            yield self._wish(each, "managedDevice.retirement", key, properties, ())

    def _membership(self, each: Leaving, group_id: str, user_id: str) -> Desired:
        self.context.object_ids["group", group_id] = group_id
        self.context.snapshot.put("group.member", [(f"{group_id}/{user_id}", 1)])
        needs = [("group.handover", self._handed[group_id])] if group_id in self._handed else []
        properties = {"group": group_id, "person": each.wish.key}
        return self._wish(each, "group.member", f"{group_id}/{each.wish.key}", properties, needs, absent=True)

    @staticmethod
    def _wish(
        each: Leaving,
        kind: str,
        key: str,
        properties: dict[str, Any],
        needs: Iterable[tuple[str, str]],
        *,
        absent: bool = False,
    ) -> Desired:
        """All that is taken from somebody waits until the account is disabled."""
        return Desired(
            kind=kind,
            key=key,
            origin=each.wish.origin,
            properties=properties,
            needs=(("leaver", each.wish.key), ("user", each.wish.key), *needs),
            rails={"org": each.wish.rails.get("org", "")},
            absent=absent,
        )

    # -- the line in the plan --------------------------------------------------------------------------------------

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        return [ABSENT for _ in items]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin)
        line.note = f"stage day{wanted.properties['stage']}"
        if why := self.context.snapshot.get(REASONS, [wanted.key]).get(wanted.key):
            line.action, line.note = Action.BLOCKED, why
        return [line]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return []
