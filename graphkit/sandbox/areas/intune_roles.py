"""Intune's own roles and their assignments: api-reference/v1.0/api/intune-rbac-*.md.

What a role allows is not enforced: it is told of and can be assigned, but applications are held to their permissions.
"""

from __future__ import annotations

from typing import Any

from graphkit.sandbox.areas.intune_words import absent, find, read, refuse, seen
from graphkit.sandbox.areas.scope_tags import TAGS
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.permissions import INTUNE_ROLES, INTUNE_ROLES_WRITE
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes, segments
from graphkit.sandbox.schema.check import is_guid

routes = Routes()

DEFINITIONS = "/deviceManagement/roleDefinitions"
ASSIGNMENTS = "/deviceManagement/roleAssignments"
CAST = ASSIGNMENTS + "/{assignment}/deviceAndAppManagementRoleAssignment/roleScopeTags"
_DEFINITION, _ASSIGNMENT = "intune-rbac-roledefinition", "intune-rbac-deviceandappmanagementroleassignment"

DEFINITION_KIND = Kind(
    DEFINITIONS.lstrip("/"), "roleDefinition", expands={"roleAssignments": lambda call, role: _assigned(call, role)}
)
ASSIGNMENT_KIND = Kind(
    ASSIGNMENTS.lstrip("/"),
    "deviceAndAppManagementRoleAssignment",
    expands={
        "roleDefinition": lambda call, item: _definition(call, item),
        "roleScopeTags": lambda call, item: _tags(call, item),
    },
)
MAX_NAME = 128
MAX_DESCRIPTION = 1024


def _assigned(call: Call, role: Json) -> list[Json]:
    made = call.tenant.state.table("intuneRoleAssignments").objects.values()
    return [_public(call, item) for item in made if item["_role"] == role["id"]]


def _public(call: Call, item: Json) -> Json:
    return seen(call, {n: v for n, v in item.items() if n[0] != "_"}, ASSIGNMENT_KIND.type)


def _definition(call: Call, item: Json) -> Json | None:
    role = call.tenant.state.get("intuneRoles", item["_role"])
    return seen(call, role, "roleDefinition") if role else None


def _tags(call: Call, item: Json) -> list[Json]:
    tags = call.tenant.state.table("roleScopeTags").objects
    return [tags[key] for key in item["roleScopeTagIds"] if key in tags]


@routes.get(DEFINITIONS, INTUNE_ROLES, page=f"{_DEFINITION}-list")
def list_definitions(call: Call) -> Reply:
    return listing(call, DEFINITION_KIND, call.tenant.state.table("intuneRoles").in_order())


@routes.get(DEFINITIONS + "/{role}", INTUNE_ROLES, page=f"{_DEFINITION}-get")
def get_definition(call: Call) -> Reply:
    return entity(call, DEFINITION_KIND, find(call, "intuneRoles", call.params["role"]))


@routes.get(DEFINITIONS + "/{role}/roleAssignments", INTUNE_ROLES, page="intune-rbac-roleassignment-list")
def list_assignments_of_role(call: Call) -> Reply:
    role = find(call, "intuneRoles", call.params["role"])
    made = call.tenant.state.table("intuneRoleAssignments").in_order()
    return listing(call, ASSIGNMENT_KIND, [item for item in made if item and item["_role"] == role["id"]])


@routes.get(ASSIGNMENTS, INTUNE_ROLES, page=f"{_ASSIGNMENT}-list")
def list_assignments(call: Call) -> Reply:
    return listing(call, ASSIGNMENT_KIND, call.tenant.state.table("intuneRoleAssignments").in_order())


@routes.get(ASSIGNMENTS + "/{assignment}", INTUNE_ROLES, page=f"{_ASSIGNMENT}-get")
def get_assignment(call: Call) -> Reply:
    return entity(call, ASSIGNMENT_KIND, _find(call))


def _find(call: Call) -> Json:
    return find(call, "intuneRoleAssignments", call.params["assignment"])


@routes.get(CAST, INTUNE_ROLES, page="intune-rbac-rolescopetag-list", beta_only=True)
def list_tags(call: Call) -> Reply:
    return listing(call, TAGS.kind, list(_tags(call, _find(call))))


@routes.post(ASSIGNMENTS, INTUNE_ROLES_WRITE, page=f"{_ASSIGNMENT}-create")
def create_assignment(call: Call) -> Reply:
    """The role is bound by ``roleDefinition@odata.bind``, in beta the tags by their ids or the same way."""
    body, _ = read(call, call.json, ASSIGNMENT_KIND.type)
    role = _bound(call.json.get("roleDefinition@odata.bind"))
    if not role or call.tenant.state.get("intuneRoles", role) is None:
        raise absent(call) if role else refuse(call)
    empty: Json = {"displayName": None, "description": None, "resourceScopes": [], "members": []}
    beta: Json = {"scopeMembers": [], "scopeType": "resourceScope", "roleScopeTagIds": ["0"]}
    item = {**empty, **beta, **_read(call, body), "id": call.tenant.new_id(), "_role": role, "_created": call.now}
    call.tenant.state.put("intuneRoleAssignments", item)
    call.tenant.replication.created(call.now)
    return entity(call, ASSIGNMENT_KIND, item, status=201)


def _bound(link: Any) -> str:
    return segments(str(link))[-1].lower() if link else ""


def _read(call: Call, body: Json) -> Json:
    own = {name: value for name, value in body.items() if name not in ("roleDefinition", "roleScopeTags")}
    bound = call.json.get("roleScopeTags@odata.bind")
    if bound is not None:
        own["roleScopeTagIds"] = [_bound(link) for link in bound]
    tags = call.tenant.state.table("roleScopeTags").objects
    if any(tag not in tags for tag in own.get("roleScopeTagIds") or ()):
        raise refuse(call)
    if any(not is_guid(key) for key in [*(own.get("members") or ()), *(own.get("resourceScopes") or ())]):
        raise refuse(call)
    if len(own.get("displayName") or "") > MAX_NAME or len(own.get("description") or "") > MAX_DESCRIPTION:
        raise refuse(call)
    return own


@routes.patch(ASSIGNMENTS + "/{assignment}", INTUNE_ROLES_WRITE, page=f"{_ASSIGNMENT}-update")
def update_assignment(call: Call) -> Reply:
    body, _ = read(call, call.json, ASSIGNMENT_KIND.type)
    changed = {**_find(call), **_read(call, body)}
    call.tenant.state.put("intuneRoleAssignments", changed)
    return entity(call, ASSIGNMENT_KIND, changed)


@routes.delete(ASSIGNMENTS + "/{assignment}", INTUNE_ROLES_WRITE, page=f"{_ASSIGNMENT}-delete")
def delete_assignment(call: Call) -> Reply:
    call.tenant.state.delete("intuneRoleAssignments", _find(call)["id"])
    return Reply(204)
