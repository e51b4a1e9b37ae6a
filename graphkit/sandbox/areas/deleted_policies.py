"""Deleted policies and named locations: list, get, restore, delete for good.

api-reference/beta/api/policydeletableitem-*.md and conditionalaccesspolicy-restore.md; the v1.0 CSDL has the same
paths. The pages name no application permission ("Not supported"); those of the live objects are asked for here
(assumption). After 30 days nothing is left (resources/policydeletableitem.md).
"""

from __future__ import annotations

from datetime import datetime

from graphkit.sandbox.areas.conditional_access import MAX_POLICIES, POLICY_KIND, whole
from graphkit.sandbox.areas.conditional_access_rules import check_policy
from graphkit.sandbox.areas.named_locations import LOCATION_KIND, MAX_LOCATIONS
from graphkit.sandbox.areas.policy_base import absent, refuse
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.permissions import ACCESS, ACCESS_WRITE, APPS, POLICIES
from graphkit.sandbox.query.listing import entity, listing
from graphkit.sandbox.router import Routes

routes = Routes()

_ROOT = "/identity/conditionalAccess/deletedItems"
KEPT_S = 30 * 86_400.0


@routes.get(_ROOT + "/policies", ACCESS, page="policydeletableitem-list")
def list_deleted_policies(call: Call) -> Reply:
    found = [whole(call, item) for item in _kept(call, "deletedPolicies")]
    return listing(call, POLICY_KIND, found)


@routes.get(_ROOT + "/namedLocations", ACCESS, page="policydeletableitem-list")
def list_deleted_locations(call: Call) -> Reply:
    return listing(call, LOCATION_KIND, _kept(call, "deletedLocations"))


@routes.get(_ROOT + "/policies/{policy}", ACCESS, page="policydeletableitem-get")
def get_deleted_policy(call: Call) -> Reply:
    return entity(call, POLICY_KIND, whole(call, _deleted_policy(call)))


@routes.get(_ROOT + "/namedLocations/{location}", ACCESS, page="policydeletableitem-get")
def get_deleted_location(call: Call) -> Reply:
    return entity(call, LOCATION_KIND, _deleted_location(call))


def _kept(call: Call, kind: str) -> list[Json]:
    return [item for item in call.tenant.state.table(kind).objects.values() if _is_kept(call, item)]


def _is_kept(call: Call, item: Json) -> bool:
    return call.now < datetime.fromisoformat(item["deletedDateTime"]).timestamp() + KEPT_S


def _deleted_policy(call: Call) -> Json:
    return _find(call, "deletedPolicies", "ConditionalAccessPolicy", call.params["policy"])


def _deleted_location(call: Call) -> Json:
    return _find(call, "deletedLocations", "NamedLocation", call.params["location"])


def _find(call: Call, kind: str, what: str, key: str) -> Json:
    found = call.tenant.state.get(kind, key)
    if found is None or not _is_kept(call, found):
        raise absent(what, key)
    return found


@routes.post(_ROOT + "/policies/{policy}/restore", POLICIES, ACCESS_WRITE, APPS, page="conditionalaccesspolicy-restore")
def restore_policy(call: Call) -> Reply:
    """As it was, its state included; what it refers to must still be there (assumption)."""
    restored = {**_deleted_policy(call), "deletedDateTime": None, "_created": call.now}
    if len(call.tenant.state.table("policies").objects) >= MAX_POLICIES:
        raise refuse(f"The maximum number of policies, {MAX_POLICIES}, has been reached.")
    check_policy(call, restored)
    _restore(call, "policies", "deletedPolicies", restored)
    return entity(call, POLICY_KIND, whole(call, restored))


@routes.post(_ROOT + "/namedLocations/{location}/restore", POLICIES, ACCESS_WRITE, page="namedlocation-restore")
def restore_location(call: Call) -> Reply:
    restored = {**_deleted_location(call), "deletedDateTime": None, "_created": call.now}
    if len(call.tenant.state.table("locations").objects) >= MAX_LOCATIONS:
        raise refuse(f"The maximum number of named locations, {MAX_LOCATIONS}, has been reached.")
    _restore(call, "locations", "deletedLocations", restored)
    return entity(call, LOCATION_KIND, restored)


def _restore(call: Call, kind: str, deleted: str, item: Json) -> None:
    call.tenant.state.put(kind, item)
    call.tenant.state.delete(deleted, item["id"])
    call.tenant.replication.created(call.now)


@routes.delete(_ROOT + "/policies/{policy}", POLICIES, ACCESS_WRITE, page="policydeletableitem-delete")
def purge_policy(call: Call) -> Reply:
    call.tenant.state.delete("deletedPolicies", _deleted_policy(call)["id"])
    return Reply(204)


@routes.delete(_ROOT + "/namedLocations/{location}", POLICIES, ACCESS_WRITE, page="policydeletableitem-delete")
def purge_location(call: Call) -> Reply:
    call.tenant.state.delete("deletedLocations", _deleted_location(call)["id"])
    return Reply(204)
