"""What users are members of and what they own: api-reference/v1.0/api/user-list-memberof.md, user-list-ownedobjects.md,
directoryobject-getmembergroups.md and their neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from graphkit.sandbox.areas.groups import GROUP_KIND, groups_of
from graphkit.sandbox.areas.people import find
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request
from graphkit.sandbox.permissions import APPS, GROUP_RECORDS, MEMBERS, USERS_FULL
from graphkit.sandbox.query import Kind, listing, matching
from graphkit.sandbox.router import Routes
from graphkit.sandbox.shape import MAX_EXPANDED

routes = Routes()

_GROUP, _ROLE = "#microsoft.graph.group", "#microsoft.graph.directoryRole"
GROUPS_KIND = replace(GROUP_KIND, relation=True)
ROLES_KIND = Kind("directoryRoles", "directoryRole", advanced=True, relation=True)
CONTAINERS_KIND = Kind(
    "directoryObjects",
    "directoryObject",
    advanced=True,
    relation=True,
    variants={_GROUP: GROUPS_KIND, _ROLE: ROLES_KIND},
)
MAX_CHECKED = 20
_READ = (*MEMBERS, "User.Read.All", "User.ReadWrite.All")
_CHECK = (*APPS, *GROUP_RECORDS, "User.Read.All", "User.ReadWrite.All")


def roles_of(call: Call, user: Json) -> Iterator[Json]:
    """The directory roles that a user holds."""
    held = call.tenant.state.linked_back("roleMembers", user["id"])
    yield from (role for role in call.tenant.state.table("roles").objects.values() if role["roleTemplateId"] in held)


def _containers(call: Call, *, transitive: bool) -> list[Json]:
    """Groups and directory roles that the path's user is in, each with its type."""
    user = find(call)
    groups = ({"@odata.type": _GROUP, **group} for group in groups_of(call, user["id"], transitive=transitive))
    return [*groups, *({"@odata.type": _ROLE, **role} for role in roles_of(call, user))]


def few_memberships(call: Call, user: Json) -> list[Json]:
    """``$expand=memberOf``."""
    found = list(groups_of(call, user["id"]))[:MAX_EXPANDED]
    return [{"@odata.type": _GROUP, **{n: v for n, v in group.items() if not n.startswith("_")}} for group in found]


def _groups(call: Call, *, transitive: bool) -> list[Json]:
    return list(groups_of(call, find(call)["id"], transitive=transitive))


@routes.get("/users/{user}/memberOf", _READ, page="user-list-memberof")
def member_of(call: Call) -> Reply:
    return listing(call, CONTAINERS_KIND, [*_containers(call, transitive=False)])


@routes.get("/users/{user}/memberOf/$count", _READ, page="user-list-memberof")
def count_member_of(call: Call) -> Reply:
    return Reply(200, str(matching(call, CONTAINERS_KIND, [*_containers(call, transitive=False)])))


@routes.get("/users/{user}/memberOf/microsoft.graph.group", _READ, page="user-list-memberof")
def member_of_groups(call: Call) -> Reply:
    return listing(call, GROUPS_KIND, [*_groups(call, transitive=False)])


@routes.get("/users/{user}/memberOf/microsoft.graph.group/$count", _READ, page="user-list-memberof")
def count_member_of_groups(call: Call) -> Reply:
    return Reply(200, str(matching(call, GROUPS_KIND, [*_groups(call, transitive=False)])))


@routes.get("/users/{user}/memberOf/microsoft.graph.directoryRole", _READ, page="user-list-memberof")
def member_of_roles(call: Call) -> Reply:
    return listing(call, ROLES_KIND, [*roles_of(call, find(call))])


@routes.get("/users/{user}/transitiveMemberOf", _READ, page="user-list-transitivememberof")
def transitive_member_of(call: Call) -> Reply:
    return listing(call, CONTAINERS_KIND, [*_containers(call, transitive=True)])


@routes.get("/users/{user}/transitiveMemberOf/$count", _READ, page="user-list-transitivememberof")
def count_transitive_member_of(call: Call) -> Reply:
    return Reply(200, str(matching(call, CONTAINERS_KIND, [*_containers(call, transitive=True)])))


@routes.get("/users/{user}/transitiveMemberOf/microsoft.graph.group", _READ, page="user-list-transitivememberof")
def transitive_member_of_groups(call: Call) -> Reply:
    return listing(call, GROUPS_KIND, [*_groups(call, transitive=True)])


@routes.get("/users/{user}/transitiveMemberOf/microsoft.graph.group/$count", _READ, page="user-list-transitivememberof")
def count_transitive_member_of_groups(call: Call) -> Reply:
    return Reply(200, str(matching(call, GROUPS_KIND, [*_groups(call, transitive=True)])))


# -- what they own -----------------------------------------------------------------------------------------------


def _owned(call: Call) -> list[Json]:
    """Groups: who owns applications is not modelled."""
    state = call.tenant.state
    keys = state.linked_back("owners", find(call)["id"])
    return [group for key in keys if (group := state.get("groups", key))]


@routes.get("/users/{user}/ownedObjects", USERS_FULL, page="user-list-ownedobjects")
def owned_objects(call: Call) -> Reply:
    return listing(call, CONTAINERS_KIND, [{"@odata.type": _GROUP, **group} for group in _owned(call)])


@routes.get("/users/{user}/ownedObjects/microsoft.graph.group", USERS_FULL, page="user-list-ownedobjects")
def owned_groups(call: Call) -> Reply:
    return listing(call, GROUPS_KIND, [*_owned(call)])


@routes.get("/users/{user}/ownedObjects/$count", USERS_FULL, page="user-list-ownedobjects")
def count_owned(call: Call) -> Reply:
    return Reply(200, str(matching(call, GROUPS_KIND, [*_owned(call)])))


# -- membership by ids -------------------------------------------------------------------------------------------


def _ids(call: Call, found: Iterable[str]) -> Reply:
    return Reply(200, {"@odata.context": call.context("Collection(Edm.String)"), "value": list(found)})


def _parameter(call: Call, action: str, name: str, kind: type) -> Json:
    """The body of an action that has this one parameter. Raises :class:`Refusal`."""
    if not isinstance(call.json.get(name), kind):
        raise _missing(action, name)
    return call.json


def _missing(action: str, name: str) -> Refusal:
    return bad_request(
        f"One or more parameters of the operation '{action}' are missing from the request payload. The missing "
        f"parameters are: {name}.",
        "BadRequest",
    )


@routes.post("/users/{user}/getMemberGroups", _CHECK, page="directoryobject-getmembergroups")
def get_member_groups(call: Call) -> Reply:
    asked = _parameter(call, "getMemberGroups", "securityEnabledOnly", bool)
    found = _groups(call, transitive=True)
    return _ids(call, (g["id"] for g in found if g.get("securityEnabled") or not asked["securityEnabledOnly"]))


@routes.post("/users/{user}/getMemberObjects", _CHECK, page="directoryobject-getmemberobjects")
def get_member_objects(call: Call) -> Reply:
    """Groups and directory roles; of the latter all count as security."""
    asked = _parameter(call, "getMemberObjects", "securityEnabledOnly", bool)
    found = _containers(call, transitive=True)
    only_security = asked["securityEnabledOnly"]
    return _ids(call, (each["id"] for each in found if each.get("securityEnabled", True) or not only_security))


@routes.post("/users/{user}/checkMemberGroups", _CHECK, page="directoryobject-checkmembergroups")
def check_member_groups(call: Call) -> Reply:
    """Up to 20 ids, of which those that hold the user come back. The words of the refusal are ours."""
    asked = _parameter(call, "checkMemberGroups", "groupIds", list)["groupIds"]
    held = {group["id"] for group in _groups(call, transitive=True)}
    return _checked(call, asked, held, "groupIds")


@routes.post("/users/{user}/checkMemberObjects", _CHECK, page="directoryobject-checkmemberobjects")
def check_member_objects(call: Call) -> Reply:
    asked = _parameter(call, "checkMemberObjects", "ids", list)["ids"]
    held = {each["id"] for each in _containers(call, transitive=True)}
    return _checked(call, asked, held, "ids")


def _checked(call: Call, asked: list[str], held: set[str], name: str) -> Reply:
    if len(asked) > MAX_CHECKED:
        raise bad_request(f"The number of values in {name} exceeds the limit of {MAX_CHECKED}.")
    return _ids(call, (key for key in asked if str(key).lower() in held))
