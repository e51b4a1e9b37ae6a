"""What users are members of and what they own: api-reference/v1.0/api/user-list-memberof.md, user-list-ownedobjects.md,
directoryobject-getmembergroups.md and their neighbours."""

from __future__ import annotations

from graphkit.sandbox.areas.directory_objects import (
    check_member_groups,
    containers_of,
    count_objects,
    list_objects,
    member_groups,
    member_objects,
)
from graphkit.sandbox.areas.people import find
from graphkit.sandbox.call import Call, Reply
from graphkit.sandbox.permissions import APPS, GROUP_RECORDS, MEMBERS, USERS_FULL
from graphkit.sandbox.router import Routes

routes = Routes()

_READ = (*MEMBERS, "User.Read.All", "User.ReadWrite.All")
_CHECK = (*APPS, *GROUP_RECORDS, "User.Read.All", "User.ReadWrite.All")


@routes.get("/users/{user}/memberOf", _READ, page="user-list-memberof")
@routes.get("/users/{user}/memberOf/microsoft.graph.group", _READ, page="user-list-memberof")
@routes.get("/users/{user}/memberOf/microsoft.graph.directoryRole", _READ, page="user-list-memberof")
@routes.get("/users/{user}/memberOf/microsoft.graph.administrativeUnit", _READ, page="user-list-memberof")
def member_of(call: Call) -> Reply:
    return list_objects(call, containers_of(call, find(call)["id"]))


@routes.get("/users/{user}/memberOf/$count", _READ, page="user-list-memberof")
@routes.get("/users/{user}/memberOf/microsoft.graph.group/$count", _READ, page="user-list-memberof")
def count_member_of(call: Call) -> Reply:
    return count_objects(call, containers_of(call, find(call)["id"]))


@routes.get("/users/{user}/transitiveMemberOf", _READ, page="user-list-transitivememberof")
@routes.get("/users/{user}/transitiveMemberOf/microsoft.graph.group", _READ, page="user-list-transitivememberof")
def transitive_member_of(call: Call) -> Reply:
    return list_objects(call, containers_of(call, find(call)["id"], transitive=True))


@routes.get("/users/{user}/transitiveMemberOf/$count", _READ, page="user-list-transitivememberof")
@routes.get("/users/{user}/transitiveMemberOf/microsoft.graph.group/$count", _READ, page="user-list-transitivememberof")
def count_transitive_member_of(call: Call) -> Reply:
    return count_objects(call, containers_of(call, find(call)["id"], transitive=True))


# -- what they own -----------------------------------------------------------------------------------------------


@routes.get("/users/{user}/ownedObjects", USERS_FULL, page="user-list-ownedobjects")
@routes.get("/users/{user}/ownedObjects/microsoft.graph.group", USERS_FULL, page="user-list-ownedobjects")
def owned_objects(call: Call) -> Reply:
    """Groups: who owns applications is not modelled."""
    return list_objects(call, call.tenant.state.linked_back("owners", find(call)["id"]))


@routes.get("/users/{user}/ownedObjects/$count", USERS_FULL, page="user-list-ownedobjects")
def count_owned(call: Call) -> Reply:
    return count_objects(call, call.tenant.state.linked_back("owners", find(call)["id"]))


# -- membership by ids -------------------------------------------------------------------------------------------


@routes.post("/users/{user}/getMemberGroups", _CHECK, page="directoryobject-getmembergroups")
def get_member_groups(call: Call) -> Reply:
    return member_groups(call, find(call)["id"])


@routes.post("/users/{user}/getMemberObjects", _CHECK, page="directoryobject-getmemberobjects")
def get_member_objects(call: Call) -> Reply:
    return member_objects(call, find(call)["id"])


@routes.post("/users/{user}/checkMemberGroups", _CHECK, page="directoryobject-checkmembergroups")
def check_groups(call: Call) -> Reply:
    return check_member_groups(call, find(call)["id"])


@routes.post("/users/{user}/checkMemberObjects", _CHECK, page="directoryobject-checkmemberobjects")
def check_objects(call: Call) -> Reply:
    return check_member_groups(call, find(call)["id"], "ids")
