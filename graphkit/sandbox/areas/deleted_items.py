"""Deleted users and groups: listed, brought back, or gone for good.

api-reference/v1.0/api/directory-deleteditems-*.md of microsoft-graph-docs-contrib. What waits there, and for how long,
is in ``memory/recycling.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from graphkit.sandbox.areas import licensing, user_rules
from graphkit.sandbox.areas.groups import GROUP_KIND
from graphkit.sandbox.areas.users import USER_KIND
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request, conflict, not_found
from graphkit.sandbox.memory import recycling
from graphkit.sandbox.permissions import APPS, GROUPS_FULL, UNITS, UNITS_WRITE, USERS_DELETE, USERS_FULL, Need
from graphkit.sandbox.query.listing import Kind, entity, listing, matching
from graphkit.sandbox.router import Routes

routes = Routes()


class _Bin(NamedTuple):
    """Where deleted objects of one type wait, how they are shown, and which permissions open it."""

    table: str
    kind: Kind
    read: Need
    write: Need


_BINS: Mapping[str, _Bin] = {
    "user": _Bin("users", replace(USER_KIND, expands={}), USERS_FULL, USERS_DELETE),
    "group": _Bin("groups", replace(GROUP_KIND, expands={}), GROUPS_FULL, ("Group.ReadWrite.All",)),
    "servicePrincipal": _Bin(
        "servicePrincipals",
        Kind("servicePrincipals", "servicePrincipal", advanced=True),
        APPS,
        ("Application.ReadWrite.All",),
    ),
    "administrativeUnit": _Bin(
        "administrativeUnits",
        Kind("administrativeUnits", "administrativeUnit", advanced=True),
        UNITS,
        UNITS_WRITE,
    ),
}
"""The permissions to write are those of the restore page; that they also delete for good is an assumption."""
ANY_KIND = Kind(
    "directoryObjects",
    "directoryObject",
    advanced=True,
    variants={f"#microsoft.graph.{name}": each.kind for name, each in _BINS.items()},
)
_ANY_READ: Need = tuple(dict.fromkeys(name for each in _BINS.values() for name in each.read))
_ANY_WRITE: Need = tuple(dict.fromkeys(name for each in _BINS.values() for name in each.write))
MAX_OWNED = 1000


# -- lists -------------------------------------------------------------------------------------------------------


def _listed(call: Call, name: str) -> Reply:
    return listing(call, _BINS[name].kind, call.tenant.state.table(recycling.BINS[_BINS[name].table]).in_order())


def _counted(call: Call, name: str) -> Reply:
    found = call.tenant.state.table(recycling.BINS[_BINS[name].table]).in_order()
    return Reply(200, str(matching(call, _BINS[name].kind, found)))


@routes.get("/directory/deletedItems", _ANY_READ, page="directory-deleteditems-list")
def list_all(call: Call) -> Reply:
    """ "The OData cast type is a required part of the URI"; the words of the refusal are ours."""
    raise bad_request("The request must name a type of directory object, as in deletedItems/microsoft.graph.user.")


@routes.get("/directory/deletedItems/microsoft.graph.user", USERS_FULL, page="directory-deleteditems-list")
def list_users(call: Call) -> Reply:
    return _listed(call, "user")


@routes.get("/directory/deletedItems/microsoft.graph.user/$count", USERS_FULL, page="directory-deleteditems-list")
def count_users(call: Call) -> Reply:
    return _counted(call, "user")


@routes.get("/directory/deletedItems/microsoft.graph.group", GROUPS_FULL, page="directory-deleteditems-list")
def list_groups(call: Call) -> Reply:
    return _listed(call, "group")


@routes.get("/directory/deletedItems/microsoft.graph.group/$count", GROUPS_FULL, page="directory-deleteditems-list")
def count_groups(call: Call) -> Reply:
    return _counted(call, "group")


@routes.get("/directory/deletedItems/microsoft.graph.servicePrincipal", APPS, page="directory-deleteditems-list")
def list_principals(call: Call) -> Reply:
    return _listed(call, "servicePrincipal")


@routes.get("/directory/deletedItems/microsoft.graph.administrativeUnit", UNITS, page="directory-deleteditems-list")
def list_units(call: Call) -> Reply:
    return _listed(call, "administrativeUnit")


@routes.post(
    "/directory/deletedItems/getUserOwnedObjects",
    ("Group.Read.All", "Group.ReadWrite.All"),
    page="directory-deleteditems-user-owned",
)
def get_owned(call: Call) -> Reply:
    """A thousand groups at most, by id, and no pages."""
    missing = [name for name in ("userId", "type") if not isinstance(call.json.get(name), str)]
    if missing:
        raise bad_request(
            "One or more parameters of the operation 'getUserOwnedObjects' are missing from the request payload. The "
            f"missing parameters are: {', '.join(missing)}.",
            "BadRequest",
        )
    if call.json["type"].lower() != "group":
        raise bad_request(f"The type '{call.json['type']}' is not supported.")  # assumption: the words
    found = sorted(_owned(call, call.json["userId"].lower()), key=lambda group: str(group["id"]))
    return listing(call, replace(ANY_KIND, relation=False), [*found[:MAX_OWNED]], pages=False)


def _owned(call: Call, user: str) -> Iterator[Json]:
    for group in call.tenant.state.table("deletedGroups").objects.values():
        if user in (group.get("_links") or {}).get("owners", ()):
            yield {"@odata.type": "#microsoft.graph.group", **group}


# -- one of them -------------------------------------------------------------------------------------------------


def _found(call: Call, *, to_write: bool) -> tuple[str, Json]:
    """``(type, object)`` of the path's id. Raises :class:`Refusal` if it is not there, or not for this caller."""
    key = call.params["item"]
    for name, each in _BINS.items():
        item = call.tenant.state.get(recycling.BINS[each.table], key.lower())
        if item is not None:
            if call.permissions is not None and call.permissions.isdisjoint(each.write if to_write else each.read):
                raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
            return name, {"@odata.type": f"#microsoft.graph.{name}", **item}
    if key.lower().startswith("microsoft.graph."):
        raise Refusal(501, "NotModelled", f"The simulated tenant does not model deleted objects of type {key}.")
    raise not_found(key)


@routes.get("/directory/deletedItems/{item}", _ANY_READ, page="directory-deleteditems-get")
def get_item(call: Call) -> Reply:
    return entity(call, ANY_KIND, _found(call, to_write=False)[1])


@routes.delete("/directory/deletedItems/{item}", _ANY_WRITE, page="directory-deleteditems-delete")
def delete_item(call: Call) -> Reply:
    """For good, and at once."""
    name, item = _found(call, to_write=True)
    if name == "user":
        user_rules.check_sensitive(call, item)
    call.tenant.state.delete(recycling.BINS[_BINS[name].table], item["id"])
    return Reply(204)


@routes.post("/directory/deletedItems/{item}/restore", _ANY_WRITE, page="directory-deleteditems-restore")
def restore_item(call: Call) -> Reply:
    name, item = _found(call, to_write=True)
    given = _options(call)
    restored = _restore_user(call, item, given) if name == "user" else _restore_other(call, name, item)
    call.tenant.replication.created(call.now)
    return entity(call, ANY_KIND, {"@odata.type": item["@odata.type"], **restored})


def _options(call: Call) -> Json:
    """What a body may say; there may be none."""
    given = call.json if call.body is not None else {}
    for name, wanted in {"autoReconcileProxyConflict": bool, "newUserPrincipalName": str}.items():
        if given.get(name) is not None and not isinstance(given[name], wanted):
            raise bad_request(f"Cannot convert the value of parameter '{name}'.", "BadRequest")  # assumption: the words
    unknown = given.keys() - {"autoReconcileProxyConflict", "newUserPrincipalName"}
    if unknown:
        raise bad_request(
            f"The parameter '{min(unknown)}' in the request payload is not a valid parameter for the operation "
            "'restore'.",
            "BadRequest",
        )
    return given


def _restore_user(call: Call, item: Json, given: Json) -> Json:
    """With groups, roles and licences (MicrosoftDocs/entra-docs docs/architecture/recover-from-deletions.md).

    Somebody may have taken the name or an address since: then the caller says which name to have instead, and whether
    to come back without the addresses.
    """
    user_rules.check_sensitive(call, item)
    tenant = call.tenant
    upn = given.get("newUserPrincipalName") or recycling.name_of(item)
    user_rules.check_upn(call, upn, item["id"])
    changes = {"userPrincipalName": upn, **_addresses(call, item, given)}
    plain = {name: value for name, value in item.items() if name not in ("@odata.type", "_licenses")}
    restored = recycling.unearth(tenant.state, "users", plain, {**changes, "_created": call.now})
    restored = licensing.restore_direct(tenant, restored, item.get("_licenses") or [])
    for key in tenant.state.linked_back("members", item["id"]):
        licensing.membership_changed(tenant, tenant.state.table("groups").objects[key], [item["id"]], call.now)
    return restored


def _addresses(call: Call, item: Json, given: Json) -> Json:
    """What becomes of addresses that somebody else has by now."""
    mail = item.get("mail")
    if mail is None or user_rules.holder_of(call, mail) is None:
        return {}
    if not given.get("autoReconcileProxyConflict"):
        raise conflict("proxyAddresses")
    kept = [each for each in item.get("proxyAddresses") or () if not user_rules.holder_of(call, each[5:])]
    return {"mail": None, "proxyAddresses": kept}


def _restore_other(call: Call, name: str, item: Json) -> Json:
    state = call.tenant.state
    if name == "group":
        _check_names(call, item)
    plain = {name: value for name, value in item.items() if name != "@odata.type"}
    return recycling.unearth(state, _BINS[name].table, plain, {"_created": call.now})


def _check_names(call: Call, group: Json) -> None:
    """What must be unique may have been taken since; that a restore fails by that is an assumption."""
    groups = call.tenant.state.table("groups")
    if group.get("uniqueName") and groups.find("uniqueName", group["uniqueName"]):
        raise conflict("uniqueName")
    if any(other.get("mailEnabled") for other in groups.find("mailNickname", group["mailNickname"])):
        raise conflict("mailNickname")
