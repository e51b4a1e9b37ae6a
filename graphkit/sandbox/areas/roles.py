"""Directory roles: templates, activated roles and their members; the same as role definitions and assignments.

api-reference/v1.0/api/directoryrole-*.md, rbacapplication-*.md, unifiedroleassignment-*.md. Who holds a role in the
whole tenant is the link ``roleMembers`` from its template; assignments with a narrower scope are objects of their own.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Iterator

from graphkit.sandbox.areas.directory_objects import (
    count_objects,
    directory_object,
    list_objects,
    list_references,
    referred,
    view,
)
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request, not_found
from graphkit.sandbox.permissions import ROLES, ROLES_WRITE
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import check, check_required, check_writable
from graphkit.sandbox.seeding.seed import GLOBAL_ADMINISTRATOR

routes = Routes()

ROLE_KIND = Kind(
    "directoryRoles",
    "directoryRole",
    expands={"members": lambda call, role: role_holders(call, role["roleTemplateId"])},
)
TEMPLATE_KIND = Kind("directoryRoleTemplates", "directoryRoleTemplate")
DEFINITION_KIND = Kind("roleManagement/directory/roleDefinitions", "unifiedRoleDefinition")
ASSIGNMENT_KIND = Kind(
    "roleManagement/directory/roleAssignments",
    "unifiedRoleAssignment",
    expands={
        "principal": lambda call, assignment: view(call, assignment["principalId"]),
        "roleDefinition": lambda call, assignment: _definitions(call)[assignment["roleDefinitionId"]],
    },
)
CONFLICT = "A conflicting object with one or more of the specified property values is present in the directory."
PRINCIPALS = ("user", "group", "servicePrincipal")


# -- templates and definitions -----------------------------------------------------------------------------------


def _definitions(call: Call) -> dict[str, Json]:
    """The built-in ones, by template id. Their permissions are not modelled: ``rolePermissions`` is empty."""
    return {
        role["roleTemplateId"]: {
            "id": role["roleTemplateId"],
            "description": role["description"],
            "displayName": role["displayName"],
            "isBuiltIn": True,
            "isEnabled": True,
            "resourceScopes": ["/"],
            "rolePermissions": [],
            "templateId": role["roleTemplateId"],
            "version": "1",
        }
        for role in call.tenant.state.table("roles").objects.values()
    }


def _template(definition: Json) -> Json:
    return {"deletedDateTime": None, **{name: definition[name] for name in ("id", "displayName", "description")}}


@routes.get("/directoryRoleTemplates", ROLES, page="directoryroletemplate-list")
def list_templates(call: Call) -> Reply:
    return listing(call, TEMPLATE_KIND, [_template(each) for each in _definitions(call).values()], pages=False)


@routes.get("/directoryRoleTemplates/{template}", ROLES, page="directoryroletemplate-get")
def get_template(call: Call) -> Reply:
    return entity(call, TEMPLATE_KIND, _template(_definition(call, call.params["template"])))


@routes.get("/roleManagement/directory/roleDefinitions", ROLES, page="rbacapplication-list-roledefinitions")
def list_definitions(call: Call) -> Reply:
    return listing(call, DEFINITION_KIND, list(_definitions(call).values()))


@routes.get("/roleManagement/directory/roleDefinitions/{definition}", ROLES, page="unifiedroledefinition-get")
def get_definition(call: Call) -> Reply:
    return entity(call, DEFINITION_KIND, _definition(call, call.params["definition"]))


def _definition(call: Call, key: str) -> Json:
    found = _definitions(call).get(key.lower())
    if found is None:
        raise not_found(key)
    return found


# -- roles -------------------------------------------------------------------------------------------------------


def _is_active(call: Call, role: Json) -> bool:
    """A role is there once it was activated, or given to anybody."""
    return bool(role.get("_active") or call.tenant.state.linked("roleMembers", role["roleTemplateId"]))


def _role(call: Call) -> Json:
    """The activated role that the path names by its id, or by its template's. Raises :class:`Refusal` (404)."""
    roles = call.tenant.state.table("roles").objects.values()
    name, key = ("roleTemplateId", "template") if "template" in call.params else ("id", "role")
    wanted = call.params[key].lower()
    for role in roles:
        if role[name] == wanted and _is_active(call, role):
            return role
    raise not_found(call.params[key])


def role_holders(call: Call, template: str) -> list[Json]:
    return [view(call, key) for key in call.tenant.state.linked("roleMembers", template)]


@routes.get("/directoryRoles", ROLES, page="directoryrole-list")
def list_roles(call: Call) -> Reply:
    """This list never pages (concepts/paging.md)."""
    roles = call.tenant.state.table("roles").objects.values()
    return listing(call, ROLE_KIND, [role for role in roles if _is_active(call, role)], pages=False)


@routes.post("/directoryRoles", ROLES_WRITE, page="directoryrole-post-directoryroles")
def activate_role(call: Call) -> Reply:
    """Takes ``roleTemplateId`` and nothing else."""
    check_writable(call.json, check(call.json, "directoryRole", call.version))
    template = call.json.get("roleTemplateId")
    if not template:
        raise bad_request("A value is required for property 'roleTemplateId' of resource 'DirectoryRole'.")
    roles = call.tenant.state.table("roles").objects.values()
    role = next((each for each in roles if each["roleTemplateId"] == str(template).lower()), None)
    if role is None:
        raise not_found(template)
    if _is_active(call, role):
        raise bad_request(CONFLICT)
    call.tenant.state.put("roles", {**role, "_active": True})
    return entity(call, ROLE_KIND, role, status=201)


@routes.get("/directoryRoles/{role}", ROLES, page="directoryrole-get")
@routes.get("/directoryRoles(roleTemplateId)/{template}", ROLES, page="directoryrole-get")
def get_role(call: Call) -> Reply:
    return entity(call, ROLE_KIND, _role(call))


def _holders(call: Call) -> dict[str, None]:
    return call.tenant.state.linked("roleMembers", _role(call)["roleTemplateId"])


@routes.get("/directoryRoles/{role}/members", ROLES, page="directoryrole-list-members")
@routes.get("/directoryRoles(roleTemplateId)/{template}/members", ROLES, page="directoryrole-list-members")
@routes.get("/directoryRoles/{role}/members/microsoft.graph.user", ROLES, page="directoryrole-list-members")
def list_role_members(call: Call) -> Reply:
    return list_objects(call, _holders(call))


@routes.get("/directoryRoles/{role}/members/$ref", ROLES, page="directoryrole-list-members")
def list_role_references(call: Call) -> Reply:
    return list_references(call, _holders(call))


@routes.get("/directoryRoles/{role}/members/$count", ROLES, page="directoryrole-list-members")
def count_role_members(call: Call) -> Reply:
    return count_objects(call, _holders(call))


@routes.post("/directoryRoles/{role}/members/$ref", ROLES_WRITE, page="directoryrole-post-members")
@routes.post("/directoryRoles(roleTemplateId)/{template}/members/$ref", ROLES_WRITE, page="directoryrole-post-members")
def add_role_member(call: Call) -> Reply:
    role = _role(call)
    type_name, item = referred(call, call.json.get("@odata.id"), "members")
    _check_principal(type_name, item)
    if item["id"] in call.tenant.state.linked("roleMembers", role["roleTemplateId"]):
        raise bad_request(
            "One or more added object references already exist for the following modified properties: 'members'."
        )
    _grant(call, role["roleTemplateId"], item["id"])
    return Reply(204)


@routes.delete("/directoryRoles/{role}/members/{object}/$ref", ROLES_WRITE, page="directoryrole-delete-member")
@routes.delete(
    "/directoryRoles(roleTemplateId)/{template}/members/{object}/$ref", ROLES_WRITE, page="directoryrole-delete-member"
)
def remove_role_member(call: Call) -> Reply:
    role, principal = _role(call), call.params["object"].lower()
    if principal not in call.tenant.state.linked("roleMembers", role["roleTemplateId"]):
        raise not_found(principal)
    _revoke(call, role["roleTemplateId"], principal)
    return Reply(204)


def _check_principal(type_name: str, item: Json) -> None:
    """A group only if it was made for it (docs/identity/role-based-access-control/groups-concept.md of entra-docs)."""
    if type_name not in PRINCIPALS:
        raise bad_request(f"A role cannot be assigned to an object of type '{type_name}'.")
    if type_name == "group" and not item.get("isAssignableToRole"):
        raise bad_request("The group cannot be assigned to a role: isAssignableToRole is not true.")


def _grant(call: Call, template: str, principal: str) -> None:
    call.tenant.state.link("roleMembers", template, principal)


def _revoke(call: Call, template: str, principal: str) -> None:
    """The role stays activated. Somebody must remain Global Administrator (assumption: in these words)."""
    holders = call.tenant.state.linked("roleMembers", template)
    if template == GLOBAL_ADMINISTRATOR and len(holders) == 1:
        raise bad_request("The last member of the Global Administrator role cannot be removed.")
    roles = call.tenant.state.table("roles").objects.values()
    role = next(each for each in roles if each["roleTemplateId"] == template)
    call.tenant.state.put("roles", {**role, "_active": True})
    call.tenant.state.unlink("roleMembers", template, principal)


# -- assignments -------------------------------------------------------------------------------------------------


def assignment_id(template: str, principal: str, scope: str = "/") -> str:
    """Role, principal and, if narrower than the tenant, scope: their bytes, as the examples of
    rbacapplication-list-roleassignments.md come apart."""
    narrower = uuid.UUID(scope.rpartition("/")[2]).bytes_le if scope != "/" else b""
    raw = uuid.UUID(template).bytes_le + uuid.UUID(principal).bytes_le + narrower
    return base64.urlsafe_b64encode(raw).decode().rstrip("=") + "-1"


def _parts(key: str) -> tuple[str, str]:
    """The template and the principal of an assignment's id; empty for what is none."""
    try:
        raw = base64.urlsafe_b64decode(key.removesuffix("-1") + "==")
        return str(uuid.UUID(bytes_le=raw[:16])), str(uuid.UUID(bytes_le=raw[16:32]))
    except (ValueError, binascii.Error):
        return "", ""


def _assignment(template: str, principal: str, scope: str = "/") -> Json:
    return {
        "id": assignment_id(template, principal, scope),
        "principalId": principal,
        "roleDefinitionId": template,
        "directoryScopeId": scope,
    }


def assignments(call: Call) -> Iterator[Json]:
    for template, principals in call.tenant.state.links.get("roleMembers", {}).items():
        yield from (_assignment(template, principal) for principal in principals)
    yield from (
        scoped
        for scoped in call.tenant.state.table("scopedRoles").objects.values()
        if directory_object(call, scoped["principalId"])
    )


def _find_assignment(call: Call) -> Json:
    key = call.params["assignment"]
    template, principal = _parts(key)
    if principal in call.tenant.state.linked("roleMembers", template) and key == assignment_id(template, principal):
        return _assignment(template, principal)
    found = call.tenant.state.get("scopedRoles", key)
    if found is None:
        raise not_found(key)
    return found


@routes.get("/roleManagement/directory/roleAssignments", ROLES, page="rbacapplication-list-roleassignments")
def list_role_assignments(call: Call) -> Reply:
    return listing(call, ASSIGNMENT_KIND, list(assignments(call)))


@routes.get("/roleManagement/directory/roleAssignments/{assignment}", ROLES, page="unifiedroleassignment-get")
def get_role_assignment(call: Call) -> Reply:
    return entity(call, ASSIGNMENT_KIND, _find_assignment(call))


@routes.post("/roleManagement/directory/roleAssignments", ROLES_WRITE, page="rbacapplication-post-roleassignments")
def create_role_assignment(call: Call) -> Reply:
    body = call.json
    found = check(body, "unifiedRoleAssignment", call.version)
    check_writable(body, found)
    check_required(body, found)
    if body.get("appScopeId"):
        raise Refusal(501, "NotModelled", "The simulated tenant does not model assignments with an app-specific scope.")
    template = _definition(call, body["roleDefinitionId"])["id"]
    known = directory_object(call, body["principalId"])
    if known is None:
        raise not_found(body["principalId"])
    _check_principal(*known)
    return assign(call, template, known[1]["id"], _scope(call, body))


def _scope(call: Call, body: Json) -> str:
    scope = body.get("directoryScopeId")
    if not scope:
        raise bad_request("A value is required for property 'directoryScopeId' of resource 'RoleAssignment'.")
    if scope != "/":
        key = scope.rpartition("/")[2]
        known = directory_object(call, key)
        if known is None or (scope.startswith("/administrativeUnits/") and known[0] != "administrativeUnit"):
            raise not_found(key)
    return str(scope)


def assign(call: Call, template: str, principal: str, scope: str) -> Reply:
    """Raises :class:`Refusal` for what is assigned already."""
    made = _assignment(template, principal, scope)
    if any(each["id"] == made["id"] for each in assignments(call)):
        raise bad_request(CONFLICT)
    if scope == "/":
        _grant(call, template, principal)
    else:
        call.tenant.state.put("scopedRoles", made)
    return entity(call, ASSIGNMENT_KIND, made, status=201)


@routes.delete(
    "/roleManagement/directory/roleAssignments/{assignment}", ROLES_WRITE, page="unifiedroleassignment-delete"
)
def delete_role_assignment(call: Call) -> Reply:
    assignment = _find_assignment(call)
    if assignment["directoryScopeId"] == "/":
        _revoke(call, assignment["roleDefinitionId"], assignment["principalId"])
    else:
        call.tenant.state.delete("scopedRoles", assignment["id"])
    return Reply(204)
