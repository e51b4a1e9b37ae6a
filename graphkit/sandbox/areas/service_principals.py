"""Applications, their service principals, and the permissions that these are granted.

api-reference/v1.0/api/serviceprincipal-*.md, application-list.md, application-get.md. Registrations are those of the
login service (``Login.register``); a permission granted here is in the tokens that it issues from then on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from graphkit.sandbox.areas.directory_objects import containers_of, list_objects, located
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request, not_found
from graphkit.sandbox.ids import SEEDED_AT, guid, instant
from graphkit.sandbox.permissions import APP_ROLES, APPS, APPS_WRITE
from graphkit.sandbox.query.listing import Kind, candidates, entity, listing, matching
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import check, check_changeable, check_required, check_writable, is_guid
from graphkit.sandbox.seeding.seed import GRAPH_APP, plant_app

if TYPE_CHECKING:
    from graphkit.sandbox.login.apps import App
    from graphkit.sandbox.tenant import SimulatedTenant

routes = Routes()

APPLICATION_KIND = Kind("applications", "application", advanced=True)
PRINCIPAL_KIND = Kind("servicePrincipals", "servicePrincipal", advanced=True)
GRANT_KIND = Kind("appRoleAssignments", "appRoleAssignment")
GRANT: tuple[tuple[str, ...], ...] = (("AppRoleAssignment.ReadWrite.All",), APPS)
DEFAULT_ACCESS = "00000000-0000-0000-0000-000000000000"
"""The role of whoever may use an app that has no roles (serviceprincipal-post-approleassignedto.md)."""
ROLE_OF = {role: value for value, role in APP_ROLES.items()}
GALLERY = {
    "45a330b1-b1ec-4cc1-9161-9f03992aa49f": "Windows Store for Business",
    "372140e0-b3b7-4226-8ef9-d57986796201": "Microsoft Azure Windows Virtual Machine Sign-in",
    "9cdead84-a844-4324-93f2-b2e6bb768d07": "Azure Virtual Desktop",
    "270efc09-cd0d-444b-a71f-39af4910ec45": "Windows Cloud Login",
}
"""Microsoft's apps that a tenant has no service principal of until it makes one: the ids are those of
learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in and
learn.microsoft.com/azure/virtual-desktop/set-up-mfa."""


# -- applications ------------------------------------------------------------------------------------------------


@routes.get("/applications", APPS, page="application-list")
def list_applications(call: Call) -> Reply:
    return listing(call, APPLICATION_KIND, list(_applications(call).values()))


@routes.get("/applications/$count", APPS, page="application-list")
def count_applications(call: Call) -> Reply:
    return Reply(200, str(matching(call, APPLICATION_KIND, list(_applications(call).values()))))


@routes.get("/applications/{application}", APPS, page="application-get")
def get_application(call: Call) -> Reply:
    return _application(call, "id", call.params["application"])


@routes.get("/applications(appId)/{app}", APPS, page="application-get")
def get_application_by_app(call: Call) -> Reply:
    return _application(call, "appId", call.params["app"])


def _application(call: Call, name: str, value: str) -> Reply:
    found = next((each for each in _applications(call).values() if each[name] == value.lower()), None)
    if found is None:
        raise not_found(value)
    return entity(call, APPLICATION_KIND, found)


def _applications(call: Call) -> dict[str, Json]:
    """What is registered, by application id. A managed identity has no registration."""
    apps = call.tenant.login.apps.values()
    return {app.id: _shown(call, app) for app in apps if not getattr(app, "managed_identity", False)}


def _shown(call: Call, app: App) -> Json:
    return {
        "id": call.tenant.seed.id_of("application", app.id),
        "deletedDateTime": None,
        "appId": app.id,
        "createdDateTime": SEEDED_AT,
        "displayName": app.name,
        "identifierUris": [],
        "isFallbackPublicClient": app.public,
        "publisherDomain": call.tenant.seed.domain,
        "signInAudience": "AzureADMyOrg",
        "tags": [],
        "appRoles": [],
        "keyCredentials": [],
        "passwordCredentials": [_credential(call, app, secret, end) for secret, end in app.secrets.items()],
        "requiredResourceAccess": [_required(app)],
    }


def _credential(call: Call, app: App, secret: str, end: float) -> Json:
    """A secret without the secret: its first letters and when it ends."""
    ends = "2299-12-31T00:00:00Z" if math.isinf(end) else instant(end)
    key = guid(call.tenant.tenant_id, "secret-key", app.id, secret)
    return {"customKeyIdentifier": None, "displayName": None, "endDateTime": ends, "hint": secret[:3], "keyId": key,
            "secretText": None, "startDateTime": SEEDED_AT}  # fmt: skip


def _required(app: App) -> Json:
    access = [{"id": APP_ROLES[value], "type": "Role"} for value in sorted(app.roles)]
    return {"resourceAppId": GRAPH_APP, "resourceAccess": access}


# -- service principals ------------------------------------------------------------------------------------------


@routes.get("/servicePrincipals", APPS, page="serviceprincipal-list")
def list_principals(call: Call) -> Reply:
    return listing(call, PRINCIPAL_KIND, candidates(call, "servicePrincipals"))


@routes.get("/servicePrincipals/$count", APPS, page="serviceprincipal-list")
def count_principals(call: Call) -> Reply:
    return Reply(200, str(matching(call, PRINCIPAL_KIND, call.tenant.state.table("servicePrincipals").in_order())))


def _principal(call: Call) -> Json:
    """The service principal that the path names by its id or by its application's. Raises :class:`Refusal` (404)."""
    if "app" in call.params:
        found = next(iter(call.tenant.state.table("servicePrincipals").find("appId", call.params["app"])), None)
    else:
        found = call.tenant.state.get("servicePrincipals", call.params["principal"].lower())
    if found is None or not call.tenant.replication.visible(found, call.now, call.replica):
        raise not_found(call.params.get("app") or call.params["principal"])
    return found


@routes.get("/servicePrincipals/{principal}", APPS, page="serviceprincipal-get")
@routes.get("/servicePrincipals(appId)/{app}", APPS, page="serviceprincipal-get")
def get_principal(call: Call) -> Reply:
    return entity(call, PRINCIPAL_KIND, _principal(call))


@routes.post("/servicePrincipals", APPS_WRITE, page="serviceprincipal-post-serviceprincipals")
def create_principal(call: Call) -> Reply:
    """From ``appId``: of an app that is registered here, or of Microsoft's. The messages are the service's, as public
    threads quote them."""
    body = call.json
    check_writable(body, check(body, "servicePrincipal", call.version))
    app_id = body.get("appId")
    if not is_guid(app_id):
        raise bad_request("A value is required for property 'appId' of resource 'ServicePrincipal'.")
    tenant, app_id = call.tenant, str(app_id).lower()
    if tenant.state.table("servicePrincipals").find("appId", app_id):
        message = (
            "The service principal cannot be created, updated, or restored because the service principal name "
            f"{app_id} is already in use."
        )
        raise Refusal(409, "Request_MultipleObjectsWithSameKeyValue", message)
    registered = tenant.login.apps.get(app_id)
    name = registered.name if registered else GALLERY.get(app_id)
    if name is None:
        raise bad_request(f"The appId '{app_id}' of the service principal does not reference a valid application "
                          "object.")  # fmt: skip
    plant_app(tenant.state, tenant.seed, app_id, name)
    made = tenant.state.table("servicePrincipals").find("appId", app_id)[0]
    given = {key: value for key, value in body.items() if "@" not in key and key != "appId"}
    made = {**made, **given, "_created": call.now}
    tenant.state.put("servicePrincipals", made)
    tenant.replication.created(call.now)
    return entity(call, PRINCIPAL_KIND, made, status=201)


@routes.patch("/servicePrincipals/{principal}", APPS_WRITE, page="serviceprincipal-update")
@routes.patch("/servicePrincipals(appId)/{app}", APPS_WRITE, page="serviceprincipal-update")
def update_principal(call: Call) -> Reply:
    principal, body = _principal(call), call.json
    check_changeable(body, check(body, "servicePrincipal", call.version))
    if body.get("appId", principal["appId"]) != principal["appId"]:
        raise bad_request("Property 'appId' is read-only and cannot be set.")
    call.tenant.state.put("servicePrincipals", {**principal, **body})
    return Reply(204)


@routes.get("/servicePrincipals/{principal}/memberOf", APPS, page="serviceprincipal-list-memberof")
def list_member_of(call: Call) -> Reply:
    return list_objects(call, containers_of(call, _principal(call)["id"]))


@routes.get("/servicePrincipals/{principal}/transitiveMemberOf", APPS, page="serviceprincipal-list-transitivememberof")
def list_transitive_member_of(call: Call) -> Reply:
    return list_objects(call, containers_of(call, _principal(call)["id"], transitive=True))


# -- app roles ---------------------------------------------------------------------------------------------------


def _grants(call: Call) -> Iterator[Json]:
    """Every assignment: the permissions of apps as the login service knows them, and what was granted besides."""
    kept = call.tenant.state.table("appRoleAssignments").objects
    told: set[str] = set()
    for app in call.tenant.login.apps.values():
        for principal in call.tenant.state.table("servicePrincipals").find("appId", app.id):
            for role in (role for value, role in APP_ROLES.items() if value in app.roles):
                grant = _grant(call, principal, role, _graph(call.tenant), SEEDED_AT)
                told.add(grant["id"])
                yield kept.get(grant["id"], grant)
    yield from (grant for key, grant in kept.items() if key not in told and not grant.get("_revoked"))


def _graph(tenant: SimulatedTenant) -> str:
    return tenant.seed.id_of("servicePrincipal", GRAPH_APP)


def _grant_id(tenant: SimulatedTenant, principal: str, role: str, resource: str) -> str:
    return guid(tenant.tenant_id, "appRoleAssignment", principal, role, resource)


def _grant(call: Call, principal: Json, role: str, resource: str, created: str) -> Json:
    type_name, _ = located(call, principal["id"]) or ("", {})
    return {
        "id": _grant_id(call.tenant, principal["id"], role, resource),
        "deletedDateTime": None,
        "appRoleId": role,
        "createdDateTime": created,
        "principalDisplayName": principal.get("displayName"),
        "principalId": principal["id"],
        "principalType": type_name[:1].upper() + type_name[1:],
        "resourceDisplayName": call.tenant.state.table("servicePrincipals").objects[resource]["displayName"],
        "resourceId": resource,
    }


def _list(call: Call, fits: Callable[[Json], bool]) -> Reply:
    return listing(call, GRANT_KIND, [grant for grant in _grants(call) if fits(grant)])


@routes.get("/servicePrincipals/{principal}/appRoleAssignments", APPS, page="serviceprincipal-list-approleassignments")
@routes.get("/servicePrincipals(appId)/{app}/appRoleAssignments", APPS, page="serviceprincipal-list-approleassignments")
def list_app_roles(call: Call) -> Reply:
    principal = _principal(call)["id"]
    return _list(call, lambda grant: bool(grant["principalId"] == principal))


@routes.get("/servicePrincipals/{principal}/appRoleAssignedTo", APPS, page="serviceprincipal-list-approleassignedto")
@routes.get("/servicePrincipals(appId)/{app}/appRoleAssignedTo", APPS, page="serviceprincipal-list-approleassignedto")
def list_assigned_to(call: Call) -> Reply:
    resource = _principal(call)["id"]
    return _list(call, lambda grant: bool(grant["resourceId"] == resource))


@routes.post(
    "/servicePrincipals/{principal}/appRoleAssignments", *GRANT, page="serviceprincipal-post-approleassignments"
)
@routes.post(
    "/servicePrincipals(appId)/{app}/appRoleAssignments", *GRANT, page="serviceprincipal-post-approleassignments"
)
def grant_to(call: Call) -> Reply:
    return _create_grant(call, "principalId", _principal(call)["id"])


@routes.post("/servicePrincipals/{principal}/appRoleAssignedTo", *GRANT, page="serviceprincipal-post-approleassignedto")
@routes.post("/servicePrincipals(appId)/{app}/appRoleAssignedTo", *GRANT,
             page="serviceprincipal-post-approleassignedto")  # fmt: skip
def grant_on(call: Call) -> Reply:
    return _create_grant(call, "resourceId", _principal(call)["id"])


def _create_grant(call: Call, side: str, own: str) -> Reply:
    body, tenant = call.json, call.tenant
    found = check(body, "appRoleAssignment", call.version)
    check_writable(body, found)
    check_required(body, found)
    principal, role, resource = (str(body[name]).lower() for name in ("principalId", "appRoleId", "resourceId"))
    if str(body[side]).lower() != own:
        raise bad_request(f"The {side} in the body differs from the one in the request URL.")
    known = located(call, principal)
    target = tenant.state.get("servicePrincipals", resource)
    if known is None or target is None or known[0] not in ("user", "group", "servicePrincipal"):
        raise not_found(resource if target is None else principal)
    if role not in {DEFAULT_ACCESS, *(each["id"] for each in target.get("appRoles") or [])}:
        raise bad_request("Permission being assigned was not found on application")
    grant = _grant(call, known[1], role, resource, instant(call.now))
    if any(each["id"] == grant["id"] for each in _grants(call)):
        raise bad_request("Permission being assigned already exists on the object")
    tenant.state.put("appRoleAssignments", grant)
    restore_grants(tenant)
    return entity(call, GRANT_KIND, grant, status=201)


def _find_grant(call: Call) -> Json:
    own, key = _principal(call)["id"], call.params["assignment"]
    for grant in _grants(call):
        if grant["id"] == key and own in (grant["principalId"], grant["resourceId"]):
            return grant
    raise not_found(key)


@routes.get("/servicePrincipals/{principal}/appRoleAssignments/{assignment}", APPS, page="approleassignment-get")
@routes.get("/servicePrincipals/{principal}/appRoleAssignedTo/{assignment}", APPS, page="approleassignment-get")
def get_grant(call: Call) -> Reply:
    return entity(call, GRANT_KIND, _find_grant(call))


@routes.delete(
    "/servicePrincipals/{principal}/appRoleAssignments/{assignment}",
    ("AppRoleAssignment.ReadWrite.All",),
    page="serviceprincipal-delete-approleassignments",
)
@routes.delete(
    "/servicePrincipals/{principal}/appRoleAssignedTo/{assignment}",
    ("AppRoleAssignment.ReadWrite.All",),
    page="serviceprincipal-delete-approleassignedto",
)
def revoke(call: Call) -> Reply:
    grant = _find_grant(call)
    call.tenant.state.put("appRoleAssignments", {**grant, "_revoked": True})
    restore_grants(call.tenant)
    return Reply(204)


def restore_grants(tenant: SimulatedTenant) -> None:
    """Give the registered apps what was granted here, and take from them what was revoked; a kept tenant needs it when
    it is opened, since registrations come and go with the process."""
    for grant in tenant.state.table("appRoleAssignments").objects.values():
        principal = tenant.state.get("servicePrincipals", grant["principalId"])
        app = tenant.login.apps.get(principal["appId"]) if principal else None
        value = ROLE_OF.get(grant["appRoleId"])
        if app is not None and value is not None and grant["resourceId"] == _graph(tenant):
            app.roles = app.roles - {value} if grant.get("_revoked") else app.roles | {value}
