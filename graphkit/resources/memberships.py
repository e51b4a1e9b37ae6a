"""Which groups an account is in, as the service tells it: a rule of ours is never read in its place.

Rules take people in and out on their own, so that what hangs on a dynamic group is told from what does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from graphkit.engine.change import Reading
from graphkit.engine.resource import Context
from graphkit.protocol.odata import segment
from graphkit.resources.reading import of_type, read_list

DYNAMIC = "DynamicMembership"
"""In groupTypes of a group with a rule (https://learn.microsoft.com/graph/api/resources/group)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """The groups of one account; ids in lower case.

    ``assigned`` and ``dynamic`` are those that it is in itself, ``parents`` which groups a group is in, nested ones
    too, ``told`` those that ``transitiveMemberOf`` names. ``why`` says what could not be read.
    """

    assigned: frozenset[str] = frozenset()
    dynamic: frozenset[str] = frozenset()
    parents: Mapping[str, frozenset[str]] = field(default_factory=dict)
    told: frozenset[str] = frozenset()
    why: str = ""

    @property
    def groups(self) -> frozenset[str]:
        """All that it is in, or may be."""
        own = self.assigned | self.dynamic
        return own.union(self.told, *(self.parents.get(group, ()) for group in own))

    @property
    def solid(self) -> frozenset[str]:
        """Those that it is in through assigned groups alone: no rule takes it out."""
        return self.assigned.union(*(self.parents.get(group, ()) for group in self.assigned))

    def joined(self, group: str, above: Iterable[str] = ()) -> Membership:
        """Once it has been added to a group, which is itself in those ``above``."""
        return replace(self, assigned=self.assigned | {group}, parents={**self.parents, group: frozenset(above)})

    def left(self, group: str) -> Membership:
        """Once it has been removed from a group: gone is whatever it was in through that one alone."""
        bare = replace(self, assigned=self.assigned - {group}, dynamic=self.dynamic - {group}, told=frozenset())
        gone = {group, *self.parents.get(group, ())} - bare.groups
        return replace(bare, told=self.told - gone)

    def ruled(self, group: str) -> Membership:
        """Once a group that it may be in has got a rule."""
        held = self.assigned & {group}
        return replace(self, assigned=self.assigned - held, dynamic=self.dynamic | held)


async def read_membership(context: Context, user_id: str) -> Membership:
    """Never raises for what cannot be read: then ``why`` says so, and the rest is not to be relied on."""
    root = f"/users/{segment(user_id)}"
    told, own = await asyncio.gather(
        read_list(context.client, f"{root}/transitiveMemberOf?$select=id"),
        read_list(context.client, f"{root}/memberOf/microsoft.graph.group?$select=id,groupTypes"),
    )
    if told.value is None or own.value is None:
        return Membership(why=f"its groups could not be read: {told.why or own.why or 'not found'}")
    groups = {str(each["id"]).lower(): DYNAMIC in (each.get("groupTypes") or ()) for each in own.value["value"]}
    above = await asyncio.gather(*(groups_above(context, group) for group in groups))
    if unread := next((reading.why for reading in above if not reading.known), ""):
        return Membership(why=f"its groups could not be read: {unread}")
    return Membership(
        assigned=frozenset(group for group, is_dynamic in groups.items() if not is_dynamic),
        dynamic=frozenset(group for group, is_dynamic in groups.items() if is_dynamic),
        parents={group: ids_of(reading) for group, reading in zip(groups, above, strict=True)},
        told=ids_of(told),
    )


async def groups_above(context: Context, group: str) -> Reading:
    """What a group is in, as ``{"value": [...]}``; :func:`ids_of` tells the groups among it."""
    return await read_list(context.client, f"/groups/{segment(group)}/transitiveMemberOf?$select=id")


def ids_of(reading: Reading) -> frozenset[str]:
    """Of the groups among them: roles and administrative units are containers too."""
    found = of_type((reading.value or {}).get("value") or (), "group")
    return frozenset(str(each["id"]).lower() for each in found)
