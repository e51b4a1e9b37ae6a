"""Groups that somebody else keeps: named by ``uniqueName``, looked up, never written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from graphkit.engine.change import Action, Change, Desired, Reading
from graphkit.engine.resource import Context, Resource
from graphkit.protocol.odata import keyed
from graphkit.resources.reading import read_each

UNREAD = "group.reference.why"
"""Kind of the snapshot: why the members of a group could not be read, by uniqueName."""
HIDDEN = "group.hidden"
"""Kind of the snapshot: groups with hidden membership, by uniqueName."""
HIDDEN_MEMBERSHIP = "HiddenMembership"
"""In visibility (https://learn.microsoft.com/graph/api/resources/group)."""
NOBODY_SHOWN = (
    "its membership is hidden and nobody is shown: either it is empty, or the app lacks Member.Read.Hidden, without "
    "which the service answers as if it were"
)
"""https://learn.microsoft.com/graph/api/group-list-members; microsoftgraph/microsoft-graph-docs issues 12285, 12552."""


class GroupReferences(Resource):
    """The key is the uniqueName. A group that is not there blocks whatever needs it.

    ``rails`` are those of a group, ``cap`` and ``sku``, and ``optional``: nobody needs it.
    """

    kind = "group.reference"

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        paths = [f"{keyed('groups', 'uniqueName', item.key)}?$select=id,groupTypes,visibility" for item in items]
        readings = await read_each(self.context.client, paths)
        for item, reading in zip(items, readings, strict=True):
            if reading.value:
                self.context.object_ids["group", item.key] = str(reading.value["id"])
        note_hidden(self.context, [item.key for item in items], readings)
        return readings

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin)
        if reading.value is None and wanted.rails.get("optional"):
            line.note = "not there"
        elif reading.value is None:
            line.action = Action.BLOCKED
            line.note = f"there is no group with the uniqueName {wanted.key}: make it first"
            if wanted.rails.get("sku"):
                line.note += " (licenses.pools)"
        elif "DynamicMembership" in (reading.value.get("groupTypes") or ()):
            line.action = Action.BLOCKED
            line.note = f"{wanted.key} has a rule of membership, so that nobody can be added"
        elif why := self.context.snapshot.get(UNREAD, [wanted.key]).get(wanted.key):
            line.action, line.note = Action.BLOCKED, f"its members could not be read: {why}"
        return [line]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return []


def note_hidden(context: Context, groups: Sequence[str], readings: Sequence[Reading]) -> None:
    """Of an empty list of their members nobody can tell what it means."""
    hidden = [
        (group, 1)
        for group, reading in zip(groups, readings, strict=True)
        if (reading.value or {}).get("visibility") == HIDDEN_MEMBERSHIP
    ]
    if hidden:
        context.snapshot.put(HIDDEN, hidden)


def shows_nobody(context: Context, group: str, listed: int) -> bool:
    return not listed and bool(context.snapshot.get(HIDDEN, [group]))
