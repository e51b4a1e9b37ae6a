"""Administrative units, their members and the roles held over them.

api-reference/v1.0/api/directory-post-administrativeunits.md, administrativeunit-*.md.
"""

from __future__ import annotations

from graphkit.sandbox.areas.directory_objects import (
    count_objects,
    directory_object,
    list_objects,
    list_references,
    may_see_members,
    referred,
    view,
)
from graphkit.sandbox.areas.roles import assign, assignments
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request, not_found
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import ROLES, ROLES_WRITE, UNITS, UNITS_WRITE
from graphkit.sandbox.query.listing import Kind, entity, listing, matching
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import check, check_changeable, check_required, check_writable

routes = Routes()

UNIT_KIND = Kind(
    "administrativeUnits",
    "administrativeUnit",
    expands={"members": lambda call, unit: [view(call, key) for key in list(_members_of(call, unit))[:20]]},
    advanced=True,
)
SCOPED_KIND = Kind("scopedRoleMemberships", "scopedRoleMembership")
MEMBER_TYPES = ("user", "group", "device")
MAX_UNITS = 30
"""Units that one object may be in (entra-service-limits-include.md of entra-docs)."""


def find(call: Call) -> Json:
    key = call.params["unit"]
    unit = call.tenant.state.get("administrativeUnits", key.lower())
    if unit is None or not call.tenant.replication.visible(unit, call.now, call.replica):
        raise not_found(key)
    return unit


# -- units -------------------------------------------------------------------------------------------------------


@routes.get("/directory/administrativeUnits", UNITS, page="directory-list-administrativeunits")
def list_units(call: Call) -> Reply:
    return listing(call, UNIT_KIND, call.tenant.state.table("administrativeUnits").in_order())


@routes.get("/directory/administrativeUnits/$count", UNITS, page="directory-list-administrativeunits")
def count_units(call: Call) -> Reply:
    return Reply(200, str(matching(call, UNIT_KIND, call.tenant.state.table("administrativeUnits").in_order())))


@routes.post("/directory/administrativeUnits", UNITS_WRITE, page="directory-post-administrativeunits")
def create_unit(call: Call) -> Reply:
    body = call.json
    found = check(body, "administrativeUnit", call.version)
    check_writable(body, found)
    check_required(body, found)
    unit: Json = {
        "id": call.tenant.new_id(),
        "isMemberManagementRestricted": False,
        **_given(body),
        "_created": call.now,
    }
    call.tenant.state.put("administrativeUnits", unit)
    call.tenant.replication.created(call.now)
    return entity(call, UNIT_KIND, unit, status=201)


def _given(body: Json) -> Json:
    if body.get("membershipType") == "Dynamic" or body.get("membershipRule"):
        raise Refusal(501, "NotModelled", "The simulated tenant does not model dynamic administrative units.")
    if body.get("visibility") not in (None, "Public", "HiddenMembership"):
        raise bad_request("Invalid value specified for property 'visibility' of resource 'AdministrativeUnit'.")
    return {name: value for name, value in body.items() if "@" not in name}


@routes.get("/directory/administrativeUnits/{unit}", UNITS, page="administrativeunit-get")
def get_unit(call: Call) -> Reply:
    return entity(call, UNIT_KIND, find(call))


@routes.patch("/directory/administrativeUnits/{unit}", UNITS_WRITE, page="administrativeunit-update")
def update_unit(call: Call) -> Reply:
    unit = find(call)
    check_changeable(call.json, check(call.json, "administrativeUnit", call.version))
    changed = {**unit, **_given(call.json)}
    if not changed.get("displayName"):
        raise bad_request("Invalid value specified for property 'displayName' of resource 'AdministrativeUnit'.")
    call.tenant.state.put("administrativeUnits", changed)
    return Reply(204)


@routes.delete("/directory/administrativeUnits/{unit}", UNITS_WRITE, page="administrativeunit-delete")
def delete_unit(call: Call) -> Reply:
    """Soft, for 30 days (directory-deleteditems-restore.md). Roles held over it go with it."""
    unit, state = find(call), call.tenant.state
    members = list(state.linked("unitMembers", unit["id"]))
    for key in members:
        state.unlink("unitMembers", unit["id"], key)
    for assignment in [each for each in assignments(call) if each["directoryScopeId"] == _scope(unit)]:
        state.delete("scopedRoles", assignment["id"])
    state.delete("administrativeUnits", unit["id"])
    gone = {**unit, "deletedDateTime": instant(call.now), "_links": {"unitMembers": members}}
    state.put("deletedAdministrativeUnits", gone)
    return Reply(204)


# -- members -----------------------------------------------------------------------------------------------------


def _members_of(call: Call, unit: Json) -> dict[str, None]:
    return call.tenant.state.linked("unitMembers", unit["id"]) if may_see_members(call, unit) else {}


@routes.get("/directory/administrativeUnits/{unit}/members", UNITS, page="administrativeunit-list-members")
@routes.get(
    "/directory/administrativeUnits/{unit}/members/microsoft.graph.user", UNITS, page="administrativeunit-list-members"
)
@routes.get(
    "/directory/administrativeUnits/{unit}/members/microsoft.graph.group", UNITS, page="administrativeunit-list-members"
)
def list_members(call: Call) -> Reply:
    return list_objects(call, _members_of(call, find(call)))


@routes.get("/directory/administrativeUnits/{unit}/members/$ref", UNITS, page="administrativeunit-list-members")
def list_member_references(call: Call) -> Reply:
    return list_references(call, _members_of(call, find(call)))


@routes.get("/directory/administrativeUnits/{unit}/members/$count", UNITS, page="administrativeunit-list-members")
def count_members(call: Call) -> Reply:
    return count_objects(call, _members_of(call, find(call)))


@routes.get("/directory/administrativeUnits/{unit}/members/{object}", UNITS, page="administrativeunit-get-members")
def get_member(call: Call) -> Reply:
    key = call.params["object"].lower()
    if key not in _members_of(call, find(call)):
        raise not_found(key)
    return Reply(200, {"@odata.context": call.context("directoryObjects/$entity"), **view(call, key)})


@routes.post("/directory/administrativeUnits/{unit}/members/$ref", UNITS_WRITE, page="administrativeunit-post-members")
def add_member(call: Call) -> Reply:
    """One at a time."""
    unit, state = find(call), call.tenant.state
    type_name, item = referred(call, call.json.get("@odata.id"), "members")
    if type_name not in MEMBER_TYPES:
        raise bad_request(f"Objects of type '{type_name}' cannot be members of an administrative unit.")
    if item["id"] in state.linked("unitMembers", unit["id"]):
        raise bad_request(
            "One or more added object references already exist for the following modified properties: 'members'."
        )
    if len(state.linked_back("unitMembers", item["id"])) >= MAX_UNITS:
        raise Refusal(403, "Directory_QuotaExceeded",
                      f"An object can be a member of {MAX_UNITS} administrative units at most.")  # fmt: skip
    state.link("unitMembers", unit["id"], item["id"])
    return Reply(204)


@routes.delete(
    "/directory/administrativeUnits/{unit}/members/{object}/$ref", UNITS_WRITE, page="administrativeunit-delete-members"
)
def remove_member(call: Call) -> Reply:
    unit, key = find(call), call.params["object"].lower()
    if key not in call.tenant.state.linked("unitMembers", unit["id"]):
        raise not_found(key)
    call.tenant.state.unlink("unitMembers", unit["id"], key)
    return Reply(204)


# -- roles over a unit -------------------------------------------------------------------------------------------


def _scope(unit: Json) -> str:
    return f"/administrativeUnits/{unit['id']}"


def _scoped(call: Call, unit: Json) -> dict[str, Json]:
    """The role assignments over a unit, as scopedRoleMembership tells them."""
    roles = {role["roleTemplateId"]: role["id"] for role in call.tenant.state.table("roles").objects.values()}
    found: dict[str, Json] = {}
    for each in assignments(call):
        if each["directoryScopeId"] == _scope(unit):
            holder = view(call, each["principalId"])
            found[each["id"]] = {
                "id": each["id"],
                "roleId": roles[each["roleDefinitionId"]],
                "administrativeUnitId": unit["id"],
                "roleMemberInfo": {"id": holder["id"], "displayName": holder.get("displayName")},
            }
    return found


@routes.get(
    "/directory/administrativeUnits/{unit}/scopedRoleMembers", ROLES, page="administrativeunit-list-scopedrolemembers"
)
def list_scoped_roles(call: Call) -> Reply:
    return listing(call, SCOPED_KIND, list(_scoped(call, find(call)).values()))


@routes.post(
    "/directory/administrativeUnits/{unit}/scopedRoleMembers",
    ROLES_WRITE,
    page="administrativeunit-post-scopedrolemembers",
)
def add_scoped_role(call: Call) -> Reply:
    """``roleId`` is the id of an activated role, not of its template."""
    unit = find(call)
    role = call.tenant.state.get("roles", str(call.json.get("roleId") or "").lower())
    who = call.json.get("roleMemberInfo")
    holder = directory_object(call, str(who.get("id") or "")) if isinstance(who, dict) else None
    if role is None or holder is None:
        raise not_found(str(call.json.get("roleId") if role is None else (who or {}).get("id")))
    made = assign(call, role["roleTemplateId"], holder[1]["id"], _scope(unit)).body["id"]
    return Reply(201, {"@odata.context": call.context("scopedRoleMemberships/$entity"), **_scoped(call, unit)[made]})


@routes.delete(
    "/directory/administrativeUnits/{unit}/scopedRoleMembers/{membership}",
    ROLES_WRITE,
    page="administrativeunit-delete-scopedrolemembers",
)
def remove_scoped_role(call: Call) -> Reply:
    if call.params["membership"] not in _scoped(call, find(call)):
        raise not_found(call.params["membership"])
    call.tenant.state.delete("scopedRoles", call.params["membership"])
    return Reply(204)
