"""Owners of groups.

They are added one by one (https://learn.microsoft.com/graph/api/group-post-owners); a new group is created with its
first twenty, so that it never stands without one (https://learn.microsoft.com/graph/api/group-upsert).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, present
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.reading import list_below
from graphkit.resources.recycling import deletion
from graphkit.resources.skus import Skus
from graphkit.resources.users import Users


class Owners(Resource):
    """``properties``: group (key of a ``group``), user (userPrincipalName or id). ``resolve`` adds userId.

    The key is ``<group>/<user>``. Owners who are not wished for are left alone.
    """

    kind = "group.owner"
    rank = 1
    visibility_s = 120.0
    goes_with = frozenset({"group"})

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._users = Users(context)

    async def gather(self, view: PlanView) -> None:
        await self._users.load(view.wanted_count(self.kind))

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        _, problems = await self._users.resolve(items, column="owners")
        return problems

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        groups = [item.properties["group"] for item in items]
        owners = await list_below(self.context, "group", groups, "/groups/{}/owners?$select=id")
        return [_of_user(owners[group], item.properties["userId"]) for group, item in zip(groups, items, strict=True)]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        yield Change(
            kind=self.kind,
            key=wanted.key,
            action=Action.ADD if reading.value is None else Action.NOOP,
            before=self.before_image(reading),
            after={name: wanted.properties[name] for name in ("group", "user", "userId")},
            needs=(("group", wanted.properties["group"]),),
            origin=wanted.origin,
        )

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        if change.action is Action.REMOVE:
            return [("DELETE", "/groups/{id}/owners/{owner}/$ref")]
        return [("POST", "/groups/{id}/owners/$ref")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after = change.after or change.before or {}
        group_id = self.context.object_id("group", after["group"])
        if change.action is Action.REMOVE:
            return deletion(f"/groups/{segment(group_id)}/owners/{segment(after['userId'])}/$ref")
        return Request(
            method="POST",
            path=f"/groups/{segment(group_id)}/owners/$ref",
            body=msgspec.json.encode({"@odata.id": user_link(self.context, after["userId"])}),
            # Whoever is an owner already is refused, and that answer is read back.
            idempotency=Idempotency.CONVERGENT,
        )


def user_link(context: Context, user_id: str) -> str:
    """How a reference names a user: an absolute address of this cloud."""
    return f"{context.client.cloud.graph_root}/v1.0/users/{user_id}"


async def resolve_owners(context: Context, groups: Sequence[Desired]) -> None:
    """Put ownerIds beside the ``owners`` of each wished group.

    ``rails["owner_plan"]`` is a service plan (id, name) that the first owner must hold through a licence, or the group
    is blocked. Names that lead to nobody are the ``group.owner``'s to report.
    """
    found = await Users(context).find([name for group in groups for name in group.properties["owners"]])
    skus = Skus(context)
    for group in groups:
        readings = [found[name] for name in group.properties["owners"]]
        owners = [reading.value for reading in readings]
        group.properties["ownerIds"] = [owner["id"] for owner in owners if owner]
        if unread := next((reading.why for reading in readings if not reading.known), ""):
            group.blocked = f"its owners could not be looked up: {unread}"
            continue
        plan = group.rails.get("owner_plan")
        if plan and owners and owners[0] is not None:
            await skus.load()
            if not skus.grant(owners[0].get("assignedLicenses") or (), plan["id"]):
                reason = f"{group.properties['owners'][0]} is its first owner and holds no {plan['name']} licence"
                group.blocked = "; ".join(filter(None, (group.blocked, reason)))


def _of_user(owners: Reading, user_id: str) -> Reading:
    if owners.value is None:
        return owners
    there: list[dict[str, Any]] = owners.value["value"]
    return present({"id": user_id}) if any(owner.get("id") == user_id for owner in there) else ABSENT
