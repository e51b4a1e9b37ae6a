"""Members and owners of groups, downwards and upwards; the groups they are in.

api-reference/v1.0/api/group-list-members.md, group-post-members.md and their neighbours. Groups may be nested in a
circle, as the service lets them (MicrosoftDocs/azure-docs#43313); what is transitive then ends where it has been.
"""

from __future__ import annotations

from graphkit.sandbox.areas import licensing
from graphkit.sandbox.areas.directory_objects import (
    check_member_groups,
    containers_of,
    count_objects,
    list_objects,
    list_references,
    may_see_members,
    member_groups,
    member_objects,
    referred,
)
from graphkit.sandbox.areas.group_rules import check_addable, check_membership_open, check_owner_leaves
from graphkit.sandbox.areas.groups import find
from graphkit.sandbox.call import Call, Json, Reply, not_found
from graphkit.sandbox.permissions import GROUP_WRITE, MEMBERS, MEMBERS_WRITE, OWNERS
from graphkit.sandbox.router import Routes

routes = Routes()


# -- downwards ---------------------------------------------------------------------------------------------------


def _members(call: Call) -> dict[str, None]:
    group = find(call)
    return _linked(call, "members", group["id"]) if may_see_members(call, group) else {}


def _linked(call: Call, relation: str, key: str) -> dict[str, None]:
    """As the replica that answers this call holds it."""
    return call.tenant.replication.linked(relation, key, call.now, call.replica)


def _transitive(call: Call) -> dict[str, None]:
    state = call.tenant.state
    found: dict[str, None] = {}
    wave = [find(call)["id"]]
    while wave:
        groups = [group for key in wave if (group := state.get("groups", key)) and may_see_members(call, group)]
        step = [key for group in groups for key in _linked(call, "members", group["id"]) if key not in found]
        found.update(dict.fromkeys(step))
        wave = step
    return found


def _owners(call: Call) -> dict[str, None]:
    return _linked(call, "owners", find(call)["id"])


@routes.get("/groups/{group}/members", MEMBERS, page="group-list-members")
@routes.get("/groups/{group}/members/microsoft.graph.user", MEMBERS, page="group-list-members")
@routes.get("/groups/{group}/members/microsoft.graph.group", MEMBERS, page="group-list-members")
@routes.get("/groups/{group}/members/microsoft.graph.device", MEMBERS, page="group-list-members")
@routes.get("/groups/{group}/members/microsoft.graph.servicePrincipal", MEMBERS, page="group-list-members")
def list_members(call: Call) -> Reply:
    return list_objects(call, _members(call))


@routes.get("/groups/{group}/members/$ref", MEMBERS, page="group-list-members")
def list_member_references(call: Call) -> Reply:
    return list_references(call, _members(call))


@routes.get("/groups/{group}/members/$count", MEMBERS, page="group-list-members")
@routes.get("/groups/{group}/members/microsoft.graph.user/$count", MEMBERS, page="group-list-members")
@routes.get("/groups/{group}/members/microsoft.graph.group/$count", MEMBERS, page="group-list-members")
@routes.get("/groups/{group}/members/microsoft.graph.device/$count", MEMBERS, page="group-list-members")
@routes.get("/groups/{group}/members/microsoft.graph.servicePrincipal/$count", MEMBERS, page="group-list-members")
def count_members(call: Call) -> Reply:
    return count_objects(call, _members(call))


@routes.get("/groups/{group}/transitiveMembers", MEMBERS, page="group-list-transitivemembers")
@routes.get("/groups/{group}/transitiveMembers/microsoft.graph.user", MEMBERS, page="group-list-transitivemembers")
@routes.get("/groups/{group}/transitiveMembers/microsoft.graph.group", MEMBERS, page="group-list-transitivemembers")
@routes.get("/groups/{group}/transitiveMembers/microsoft.graph.device", MEMBERS, page="group-list-transitivemembers")
@routes.get(
    "/groups/{group}/transitiveMembers/microsoft.graph.servicePrincipal", MEMBERS, page="group-list-transitivemembers"
)
def list_transitive_members(call: Call) -> Reply:
    return list_objects(call, _transitive(call))


@routes.get("/groups/{group}/transitiveMembers/$count", MEMBERS, page="group-list-transitivemembers")
@routes.get(
    "/groups/{group}/transitiveMembers/microsoft.graph.user/$count", MEMBERS, page="group-list-transitivemembers"
)
@routes.get(
    "/groups/{group}/transitiveMembers/microsoft.graph.group/$count", MEMBERS, page="group-list-transitivemembers"
)
def count_transitive_members(call: Call) -> Reply:
    return count_objects(call, _transitive(call))


@routes.get("/groups/{group}/owners", OWNERS, page="group-list-owners")
@routes.get("/groups/{group}/owners/microsoft.graph.user", OWNERS, page="group-list-owners")
@routes.get("/groups/{group}/owners/microsoft.graph.servicePrincipal", OWNERS, page="group-list-owners")
def list_owners(call: Call) -> Reply:
    return list_objects(call, _owners(call))


@routes.get("/groups/{group}/owners/$ref", OWNERS, page="group-list-owners")
def list_owner_references(call: Call) -> Reply:
    return list_references(call, _owners(call))


@routes.get("/groups/{group}/owners/$count", OWNERS, page="group-list-owners")
def count_owners(call: Call) -> Reply:
    return count_objects(call, _owners(call))


@routes.get("/groups/{group}/membersWithLicenseErrors", MEMBERS, page="group-list-memberswithlicenseerrors")
def members_with_errors(call: Call) -> Reply:
    return list_objects(call, licensing.members_in_error(call.tenant, find(call)["id"]))


# -- upwards -----------------------------------------------------------------------------------------------------


@routes.get("/groups/{group}/memberOf", MEMBERS, page="group-list-memberof")
@routes.get("/groups/{group}/memberOf/microsoft.graph.group", MEMBERS, page="group-list-memberof")
@routes.get("/groups/{group}/memberOf/microsoft.graph.administrativeUnit", MEMBERS, page="group-list-memberof")
def member_of(call: Call) -> Reply:
    return list_objects(call, containers_of(call, find(call)["id"]))


@routes.get("/groups/{group}/memberOf/$count", MEMBERS, page="group-list-memberof")
def count_member_of(call: Call) -> Reply:
    return count_objects(call, containers_of(call, find(call)["id"]))


@routes.get("/groups/{group}/transitiveMemberOf", MEMBERS, page="group-list-transitivememberof")
@routes.get("/groups/{group}/transitiveMemberOf/microsoft.graph.group", MEMBERS, page="group-list-transitivememberof")
def transitive_member_of(call: Call) -> Reply:
    return list_objects(call, containers_of(call, find(call)["id"], transitive=True))


@routes.get("/groups/{group}/transitiveMemberOf/$count", MEMBERS, page="group-list-transitivememberof")
def count_transitive_member_of(call: Call) -> Reply:
    return count_objects(call, containers_of(call, find(call)["id"], transitive=True))


@routes.post("/groups/{group}/getMemberGroups", MEMBERS, page="directoryobject-getmembergroups")
def get_member_groups(call: Call) -> Reply:
    return member_groups(call, find(call)["id"])


@routes.post("/groups/{group}/getMemberObjects", MEMBERS, page="directoryobject-getmemberobjects")
def get_member_objects(call: Call) -> Reply:
    return member_objects(call, find(call)["id"])


@routes.post("/groups/{group}/checkMemberGroups", MEMBERS, page="directoryobject-checkmembergroups")
def check_groups(call: Call) -> Reply:
    return check_member_groups(call, find(call)["id"])


@routes.post("/groups/{group}/checkMemberObjects", MEMBERS, page="directoryobject-checkmemberobjects")
def check_objects(call: Call) -> Reply:
    return check_member_groups(call, find(call)["id"], "ids")


# -- one by one --------------------------------------------------------------------------------------------------


def _add_reference(call: Call, relation: str) -> Reply:
    group = find(call)
    check_membership_open(call, group, relation)
    target = referred(call, call.json.get("@odata.id"), f"{relation}@odata.bind")[1]["id"]
    check_addable(call, group, [target], relation)
    call.tenant.state.link(relation, group["id"], target)
    _tell_licensing(call, group, target, relation)
    return Reply(204)


def _remove_reference(call: Call, relation: str) -> Reply:
    group = find(call)
    target = call.params["object"].lower()
    check_membership_open(call, group, relation)
    if target not in call.tenant.state.linked(relation, group["id"]):
        raise not_found(target)
    if relation == "owners":
        check_owner_leaves(call, group, target)
    call.tenant.state.unlink(relation, group["id"], target)
    _tell_licensing(call, group, target, relation)
    return Reply(204)


def _tell_licensing(call: Call, group: Json, target: str, relation: str) -> None:
    if relation == "members":
        licensing.membership_changed(call.tenant, group, [target], call.now)


@routes.post("/groups/{group}/members/$ref", MEMBERS_WRITE, page="group-post-members")
def add_member(call: Call) -> Reply:
    return _add_reference(call, "members")


@routes.delete("/groups/{group}/members/{object}/$ref", MEMBERS_WRITE, page="group-delete-members")
def remove_member(call: Call) -> Reply:
    return _remove_reference(call, "members")


@routes.post("/groups/{group}/owners/$ref", GROUP_WRITE, page="group-post-owners")
def add_owner(call: Call) -> Reply:
    return _add_reference(call, "owners")


@routes.delete("/groups/{group}/owners/{object}/$ref", GROUP_WRITE, page="group-delete-owners")
def remove_owner(call: Call) -> Reply:
    return _remove_reference(call, "owners")
