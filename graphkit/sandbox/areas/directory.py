"""The rest of the directory: organization, getByIds, roles, service principals."""

from __future__ import annotations

from graphkit.sandbox.areas.groups import directory_object, view
from graphkit.sandbox.call import Call, Json, Reply, bad_request, not_found
from graphkit.sandbox.ids import SEEDED_AT
from graphkit.sandbox.permissions import APP_ROLES, APPS, DIRECTORY, INTUNE, ROLES
from graphkit.sandbox.query import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.seed import GRAPH_APP

routes = Routes()

ORGANISATION_KIND = Kind("organization", "organization")
ROLE_KIND = Kind(
    "directoryRoles",
    "directoryRole",
    expands={"members": lambda call, role: role_holders(call, role["roleTemplateId"])},
)
TEMPLATE_KIND = Kind("directoryRoleTemplates", "directoryRoleTemplate")
ASSIGNMENT_KIND = Kind(
    "roleManagement/directory/roleAssignments",
    "unifiedRoleAssignment",
    expands={"principal": lambda call, assignment: view(call, assignment["principalId"])},
)
DEFINITION_KIND = Kind("roleManagement/directory/roleDefinitions", "unifiedRoleDefinition")
PRINCIPAL_KIND = Kind("servicePrincipals", "servicePrincipal", advanced=True)
APP_ROLE_KIND = Kind("appRoleAssignments", "appRoleAssignment")
MAX_IDS = 1000


@routes.get("/organization", ("Organization.Read.All", "User.Read.All", *INTUNE, *DIRECTORY), page="organization-list")
def list_organizations(call: Call) -> Reply:
    return listing(call, ORGANISATION_KIND, call.tenant.state.table("organization").in_order())


@routes.get(
    "/organization/{organization}",
    ("Organization.Read.All", "User.Read.All", *INTUNE, *DIRECTORY),
    page="organization-get",
)
def get_organization(call: Call) -> Reply:
    found = call.tenant.state.get("organization", call.params["organization"])
    if found is None:
        raise not_found(call.params["organization"])
    return entity(call, ORGANISATION_KIND, found)


@routes.get("/domains", ("Domain.Read.All", *DIRECTORY), page="domain-list")
def list_domains(call: Call) -> Reply:
    organisation = call.tenant.state.table("organization").objects[call.tenant.tenant_id]
    found = [
        {"id": d["name"], "isDefault": d["isDefault"], "isInitial": d["isInitial"], "isVerified": True,
         "authenticationType": "Managed"}
        for d in organisation["verifiedDomains"]
    ]  # fmt: skip
    return Reply(200, {"@odata.context": call.context("domains"), "value": found})


@routes.post("/directoryObjects/getByIds", DIRECTORY, page="directoryobject-getbyids")
def get_by_ids(call: Call) -> Reply:
    """api-reference/v1.0/api/directoryobject-getbyids.md: up to 1000 ids; the absent are left out."""
    ids = call.json.get("ids")
    if not isinstance(ids, list) or len(ids) > MAX_IDS:
        raise bad_request(f"The ids collection is missing or holds more than {MAX_IDS} ids.")
    wanted = {str(name).lower() for name in call.json.get("types") or []}
    found = [known for key in dict.fromkeys(ids) if (known := directory_object(call, str(key)))]
    shown = [
        view(call, item["id"])
        for type_name, item in found
        if not wanted or type_name.lower() in wanted or "directoryobject" in wanted
    ]
    select = call.query.select
    if select:
        shown = [{"@odata.type": item["@odata.type"], **{n: item.get(n) for n in select}} for item in shown]
    return Reply(200, {"@odata.context": call.context("directoryObjects"), "value": shown})


@routes.get("/directoryRoles", ROLES, page="directoryrole-list")
def list_roles(call: Call) -> Reply:
    """Roles in use; this list never pages (concepts/paging.md)."""
    roles = call.tenant.state.table("roles").objects.values()
    active = [role for role in roles if call.tenant.state.linked("roleMembers", role["roleTemplateId"])]
    return listing(call, ROLE_KIND, list(active), pages=False)


@routes.get("/directoryRoles/{role}/members", ROLES, page="directoryrole-list-members")
def list_role_members(call: Call) -> Reply:
    role = call.tenant.state.get("roles", call.params["role"])
    if role is None:
        raise not_found(call.params["role"])
    return _role_members(call, role["roleTemplateId"])


@routes.get("/directoryRoles(roleTemplateId)/{template}/members", ROLES, page="directoryrole-list-members")
def list_template_members(call: Call) -> Reply:
    return _role_members(call, call.params["template"])


def _role_members(call: Call, template: str) -> Reply:
    return Reply(200, {"@odata.context": call.context("directoryObjects"), "value": role_holders(call, template)})


def role_holders(call: Call, template: str) -> list[Json]:
    return [view(call, key) for key in call.tenant.state.linked("roleMembers", template)]


def _templates(call: Call) -> list[Json | None]:
    roles = call.tenant.state.table("roles").objects.values()
    return [
        {"id": r["roleTemplateId"], "displayName": r["displayName"], "description": r["description"]} for r in roles
    ]


@routes.get("/directoryRoleTemplates", ROLES, page="directoryroletemplate-list")
def list_templates(call: Call) -> Reply:
    return listing(call, TEMPLATE_KIND, _templates(call), pages=False)


@routes.get("/roleManagement/directory/roleDefinitions", ROLES, page="rbacapplication-list-roledefinitions")
def list_definitions(call: Call) -> Reply:
    found: list[Json | None] = [
        {**role, "templateId": role["id"], "isBuiltIn": True, "isEnabled": True} for role in _templates(call) if role
    ]
    return listing(call, DEFINITION_KIND, found)


@routes.get("/roleManagement/directory/roleAssignments", ROLES, page="rbacapplication-list-roleassignments")
def list_role_assignments(call: Call) -> Reply:
    found: list[Json | None] = [
        {
            "id": f"{template[:8]}-{principal}",
            "principalId": principal,
            "roleDefinitionId": template,
            "directoryScopeId": "/",
        }
        for template, principals in call.tenant.state.links.get("roleMembers", {}).items()
        for principal in principals
    ]
    return listing(call, ASSIGNMENT_KIND, found)


@routes.get("/servicePrincipals", APPS, page="serviceprincipal-list")
def list_principals(call: Call) -> Reply:
    return listing(call, PRINCIPAL_KIND, call.tenant.state.table("servicePrincipals").in_order())


@routes.get("/servicePrincipals/{principal}", APPS, page="serviceprincipal-get")
def get_principal(call: Call) -> Reply:
    return entity(call, PRINCIPAL_KIND, _principal(call, call.params["principal"]))


@routes.get("/servicePrincipals(appId)/{app}", APPS, page="serviceprincipal-get")
def get_principal_by_app(call: Call) -> Reply:
    return entity(call, PRINCIPAL_KIND, _principal_of_app(call, call.params["app"]))


def _principal(call: Call, key: str) -> Json:
    found = call.tenant.state.get("servicePrincipals", key)
    if found is None:
        raise not_found(key)
    return found


def _principal_of_app(call: Call, app_id: str) -> Json:
    found = call.tenant.state.table("servicePrincipals").find("appId", app_id)
    if not found:
        raise not_found(app_id)
    return found[0]


@routes.get("/servicePrincipals/{principal}/appRoleAssignments", APPS, page="serviceprincipal-list-approleassignments")
def list_app_roles(call: Call) -> Reply:
    return _app_roles(call, _principal(call, call.params["principal"]))


@routes.get("/servicePrincipals(appId)/{app}/appRoleAssignments", APPS, page="serviceprincipal-list-approleassignments")
def list_app_roles_of_app(call: Call) -> Reply:
    return _app_roles(call, _principal_of_app(call, call.params["app"]))


def _app_roles(call: Call, principal: Json) -> Reply:
    """What an administrator has granted the app (``Login.register``); no other app holds anything."""
    seed = call.tenant.seed
    app = call.tenant.login.apps.get(principal["appId"])
    granted = [(value, role) for value, role in APP_ROLES.items() if app and value in app.roles]
    found: list[Json | None] = [
        {
            "id": seed.id_of("appRoleAssignment", value),
            "appRoleId": role,
            "principalId": principal["id"],
            "principalType": "ServicePrincipal",
            "principalDisplayName": principal["displayName"],
            "resourceId": seed.id_of("servicePrincipal", GRAPH_APP),
            "resourceDisplayName": "Microsoft Graph",
            "createdDateTime": SEEDED_AT,
        }
        for value, role in granted
    ]
    return listing(call, APP_ROLE_KIND, found)
