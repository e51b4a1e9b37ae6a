"""Deleted users and groups wait for 30 days, with all that they were connected to, and are gone then.

api-reference/v1.0/api/directory-deleteditems-restore.md; what comes back: MicrosoftDocs/entra-docs
docs/architecture/recover-from-deletions.md ("group memberships, roles, licenses").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.sandbox.call import Json
from graphkit.sandbox.ids import instant
from graphkit.sandbox.journal import RELATIONS
from graphkit.sandbox.pending import work
from graphkit.sandbox.state import State

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

KEPT_S = 30 * 86_400
BINS = {"users": "deletedUsers", "groups": "deletedGroups"}
"""Where the deleted objects of a table wait."""
_OBJECTS = ("users", "groups", "servicePrincipals", "devices")


def bury(state: State, table: str, item: Json, now: float, changes: Json) -> None:
    """Move an object, with these changes, among the deleted. ``_links`` is what a restore brings back: ids by relation,
    and by relation with ``Of`` behind it where the object was the target.
    """
    links = _cut(state, item["id"])
    state.delete(table, item["id"])
    state.put(BINS[table], {**item, **changes, "deletedDateTime": instant(now), "_links": links})


def _cut(state: State, key: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for relation in list(state.links):
        for target in list(state.linked(relation, key)):
            found.setdefault(relation, []).append(target)
            state.unlink(relation, key, target)
        for source in list(state.linked_back(relation, key)):
            found.setdefault(f"{relation}Of", []).append(source)
            state.unlink(relation, source, key)
    return found


def unearth(state: State, table: str, item: Json) -> Json:
    """Bring a deleted object back, connected again to whatever is still there."""
    links: dict[str, list[str]] = item.get("_links") or {}
    restored = {name: value for name, value in item.items() if name not in ("deletedDateTime", "_links")}
    state.delete(BINS[table], item["id"])
    state.put(table, restored)
    for name, keys in links.items():
        relation = name.removesuffix("Of")
        for key in keys:
            if _is_there(state, relation, key):
                state.link(relation, *((key, item["id"]) if name.endswith("Of") else (item["id"], key)))
    return restored


def _is_there(state: State, relation: str, key: str) -> bool:
    """Whether the other end of a link is; what is no directory object (a role's template, say) always is."""
    return relation not in RELATIONS or any(state.get(table, key) for table in _OBJECTS)


def expire_later(tenant: SimulatedTenant, now: float) -> None:
    """Whatever a write has put among the deleted is to be gone after 30 days."""
    for (kind, key), old in list(tenant.state.touched.items()):
        item = tenant.state.get(kind, key) if old is None and kind in BINS.values() else None
        if item is not None:
            # Nobody waits for it: the write took effect at once.
            tenant.pending.add(now + KEPT_S, "purge", [kind, key, item["deletedDateTime"]], 0)


@work("purge")
def purge(tenant: SimulatedTenant, now: float, arguments: Any) -> None:
    """Who came back and was deleted again has 30 days again."""
    kind, key, deleted = arguments
    item = tenant.state.get(kind, key)
    if item is not None and item["deletedDateTime"] == deleted:
        tenant.state.delete(kind, key)
