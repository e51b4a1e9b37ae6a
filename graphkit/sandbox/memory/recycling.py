"""Deleted users and groups wait for 30 days, with all that they were connected to, and are gone then.

api-reference/v1.0/api/directory-deleteditems-restore.md; what comes back: MicrosoftDocs/entra-docs
docs/architecture/recover-from-deletions.md ("group memberships, roles, licenses").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.sandbox.call import Json
from graphkit.sandbox.ids import instant
from graphkit.sandbox.memory.pending import work
from graphkit.sandbox.memory.state import State

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

KEPT_S = 30 * 86_400
BINS = {
    "users": "deletedUsers",
    "groups": "deletedGroups",
    "servicePrincipals": "deletedServicePrincipals",
    "administrativeUnits": "deletedAdministrativeUnits",
}
"""Where the deleted objects of a table wait."""
_OBJECTS = (*BINS, "devices", "groupLifecyclePolicies")
_RELATIONS = ("members", "owners", "manager", "roleMembers", "unitMembers", "lifecycleGroups")
"""What is cut and comes back. A team and its channels stay with their group as they are."""


def bury(state: State, table: str, item: Json, now: float, changes: Json) -> None:
    """Move an object, with these changes, among the deleted. ``_links`` is what a restore brings back: ids by relation,
    and by relation with ``Of`` behind it where the object was the target.
    """
    links = _cut(state, item["id"])
    state.delete(table, item["id"])
    state.put(BINS[table], {**item, **changes, "deletedDateTime": instant(now), "_links": links})


def _cut(state: State, key: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for relation in _RELATIONS:
        for target in list(state.linked(relation, key)):
            found.setdefault(relation, []).append(target)
            state.unlink(relation, key, target)
        for source in list(state.linked_back(relation, key)):
            found.setdefault(f"{relation}Of", []).append(source)
            state.unlink(relation, source, key)
    return found


def name_of(user: Json) -> str:
    """The principal name that a deleted user had."""
    return str(user["userPrincipalName"]).removeprefix(user["id"].replace("-", ""))


def unearth(state: State, table: str, item: Json, changes: Json) -> Json:
    """Bring a deleted object back, with these changes, connected again to whatever is still there."""
    links: dict[str, list[str]] = item.get("_links") or {}
    kept = {name: value for name, value in item.items() if name not in ("deletedDateTime", "_links")}
    restored = {**kept, **changes}
    state.delete(BINS[table], item["id"])
    state.put(table, restored)
    for name, keys in links.items():
        for key in keys:
            _connect(state, name, restored["id"], key)
    return restored


def _connect(state: State, name: str, key: str, other: str) -> None:
    """A link again, if its other end is there; if that is deleted too, the link waits with it."""
    relation, is_target = name.removesuffix("Of"), name.endswith("Of")
    waiting = next((kind for kind in BINS.values() if state.get(kind, other)), "")
    if waiting:
        item = state.table(waiting).objects[other]
        links, back = item.get("_links") or {}, relation if is_target else f"{relation}Of"
        state.put(waiting, {**item, "_links": {**links, back: [*links.get(back, ()), key]}})
    elif name == "roleMembersOf" or any(state.get(table, other) for table in _OBJECTS):  # role templates are for ever
        state.link(relation, *((other, key) if is_target else (key, other)))


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
