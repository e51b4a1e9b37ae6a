"""Groups that graphkit makes and keeps, known by ``uniqueName``.

Upsert by that alternate key (``PATCH /groups(uniqueName='..')`` with ``Prefer: create-if-missing``) makes creation safe
to repeat: https://learn.microsoft.com/graph/api/group-upsert
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, Undo, present
from graphkit.engine.resource import PlanView, Resource
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import keyed, literal, query, segment
from graphkit.resources.group_references import note_hidden
from graphkit.resources.owners import resolve_owners, user_link
from graphkit.resources.reading import differing, read_each
from graphkit.resources.recycling import deletion, restoring
from graphkit.resources.users import users_matching

COMPARED = ("displayName", "description", "visibility")
"""What may change after creation; the rest is set once."""
DYNAMIC = ("membershipRule", "membershipRuleProcessingState")
FIXED = ("mailEnabled", "mailNickname", "securityEnabled", "groupTypes", "uniqueName", *DYNAMIC)
UNIFIED = "Unified"
BOUND = 20
"""Owners that a group can be created with (https://learn.microsoft.com/graph/api/group-upsert); the rest follow."""
LOOKS_AFTER_S = (0.0, 2.0, 5.0, 15.0, 30.0, 60.0)
SELECT = ",".join(("id", *COMPARED, *FIXED, "assignedLicenses", "resourceProvisioningOptions"))


def security_group(key: str, name: str) -> dict[str, Any]:
    """The properties of a wish for a security group, known by ``key`` and shown as ``name``."""
    return {
        "displayName": name,
        "uniqueName": key,
        "mailNickname": key,
        "mailEnabled": False,
        "securityEnabled": True,
    }


class Groups(Resource):
    """``properties``: displayName and, if given, description, visibility; mailNickname, groupTypes and the like.

    The key is the uniqueName. ``owners`` (user principal names) are those of a new group; ``resolve`` adds ownerIds.
    """

    kind = "group"
    rank = 0
    visibility_s = 120.0
    # Deleted groups, security groups by now included, can be restored for 30 days
    # (https://learn.microsoft.com/graph/api/group-delete), with members, owners and, where there is one, the team.
    undo = Undo.WINDOW

    async def expand(self, view: PlanView) -> AsyncIterator[Sequence[Desired]]:
        """Members that a rule describes (``rails["filter"]``, a ``$filter`` on /users), as of now."""
        for group in view.wanted(self.kind):
            if rule := group.rails.get("filter"):
                async for page in users_matching(self.context, rule, group.origin):
                    yield [_member(group, user) for user in page]

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        await resolve_owners(self.context, [item for item in items if item.properties.get("owners")])
        return []

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        paths = [f"{keyed('groups', 'uniqueName', item.key)}?$select={SELECT}" for item in items]
        readings = await read_each(self.context.client, paths)
        await self._find_namesakes(items, readings)
        for item, reading in zip(items, readings, strict=True):
            if reading.value:
                self.context.object_ids[self.kind, item.key] = str(reading.value["id"])
        note_hidden(self.context, [item.key for item in items], readings)
        return readings

    async def _find_namesakes(self, items: Sequence[Desired], readings: list[Reading]) -> None:
        """A mailNickname belongs to one Microsoft 365 group only: who has it already is the one, or is in the way."""
        ask = [
            at
            for at, (item, reading) in enumerate(zip(items, readings, strict=True))
            if reading == ABSENT and UNIFIED in item.properties.get("groupTypes", ())
        ]
        filters = [f"mailNickname eq {literal(items[at].properties['mailNickname'])}" for at in ask]
        paths = [f"/groups{query({'$filter': each, '$select': SELECT})}" for each in filters]
        for at, found in zip(ask, await read_each(self.context.client, paths), strict=True):
            same = [each for each in (found.value or {}).get("value") or () if UNIFIED in each["groupTypes"]]
            readings[at] = present(same[0]) if same else found if not found.known else ABSENT

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin, needs=wanted.needs)
        line.after = _written(wanted.properties)
        found = reading.value
        if found is None:
            line.action = Action.CREATE
            if wanted.properties.get("ownerIds"):
                line.after["ownerIds"] = wanted.properties["ownerIds"]
        elif UNIFIED in line.after.get("groupTypes", ()) and UNIFIED not in (found.get("groupTypes") or ()):
            line.action = Action.BLOCKED
            line.note = f"{wanted.key} is the uniqueName of a group that is not a Microsoft 365 group ({found['id']})"
        else:
            line.before = self.before_image(reading)
            if str(found.get("uniqueName") or "").casefold() != wanted.key.casefold():
                self._take_over(line, found)
            elif differing(wanted.properties, found, (name for name in COMPARED if name in wanted.properties)):
                line.action = Action.UPDATE
        return [line]

    def _take_over(self, line: Change, found: dict[str, Any]) -> None:
        """A group of that mailNickname without our uniqueName, which can be given once
        (https://learn.microsoft.com/graph/api/group-update)."""
        named = found.get("uniqueName")
        line.action = Action.UPDATE if self.context.options.adopt and not named else Action.BLOCKED
        line.note = f"{line.key} is the mailNickname of a group that graphkit did not make ({found['id']})"
        if named:
            line.note += f", and its uniqueName is {named}"
        elif line.action is Action.BLOCKED:
            line.note += "; --adopt takes it over"

    def before_image(self, reading: Reading) -> dict[str, Any] | None:
        if reading.value is None:
            return None
        return {name: reading.value.get(name) for name in ("id", *COMPARED, *FIXED)}

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        if change.action is Action.DELETE:
            return [("DELETE", "/groups/{id}")]
        restored = change.action is Action.CREATE and "id" in (change.after or {})
        return [("POST", "/directory/deletedItems/{id}/restore") if restored else ("PATCH", "/groups/{id}")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after = change.after or {}
        before = change.before or {}
        if change.action is Action.DELETE:
            return deletion(f"/groups/{segment(before['id'])}")
        if change.action is Action.CREATE and "id" in after:
            return restoring("/directory/deletedItems", after["id"], target=f"group:{change.key}")
        if change.action is Action.CREATE:
            body = {name: value for name, value in after.items() if name not in ("uniqueName", "ownerIds")}
            idempotency = Idempotency.CONVERGENT
            if after.get("ownerIds"):
                body["owners@odata.bind"] = [user_link(self.context, owner) for owner in after["ownerIds"][:BOUND]]
                # Sent again it would be refused: the owners are there by then.
                idempotency = Idempotency.KEYED
            return Request(
                method="PATCH",
                path=keyed("groups", "uniqueName", change.key),
                body=msgspec.json.encode(body),
                headers={"Prefer": "create-if-missing"},
                idempotency=idempotency,
                target=f"group:{change.key}",
            )
        body = {name: after[name] for name in differing(after, before, (name for name in COMPARED if name in after))}
        if after.get("uniqueName") and not before.get("uniqueName"):
            body["uniqueName"] = after["uniqueName"]
        return Request(
            method="PATCH",
            path=f"/groups/{segment(before['id'])}",
            body=msgspec.json.encode(body),
            idempotency=Idempotency.CONVERGENT,
        )

    async def identify(self, change: Change, response: Response) -> str:
        """204 says that the group was there by then, so its id has to be asked for; replicas may lag."""
        object_id = await super().identify(change, response)
        for wait in LOOKS_AFTER_S:
            if object_id or change.action is not Action.CREATE:
                break
            await self.context.clock.sleep(wait)
            (reading,) = await self.look([change])
            object_id = str((reading.value or {}).get("id") or "")
        return object_id


def _member(group: Desired, user: dict[str, Any]) -> Desired:
    name = str(user["userPrincipalName"])
    return Desired(
        kind="group.member",
        key=f"{group.key}/{name.lower()}",
        origin=group.origin,
        properties={"group": group.key, "user": name},
    )


def _written(properties: dict[str, Any]) -> dict[str, Any]:
    return {name: properties[name] for name in (*COMPARED, *FIXED) if name in properties}
