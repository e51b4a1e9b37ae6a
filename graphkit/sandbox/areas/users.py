"""Users: api-reference/v1.0/api/user-*.md of microsoft-graph-docs-contrib."""

from __future__ import annotations

from graphkit.sandbox.areas import licensing
from graphkit.sandbox.areas.groups import GROUP_KIND, groups_of
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request, conflict, not_found
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import DIRECTORY, LICENSES, MEMBERS, USERS, USERS_WRITE
from graphkit.sandbox.query import Kind, candidates, entity, listing, matching
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema import check, check_writable

routes = Routes()

# resources/user.md: "returned by default"
DEFAULT_SELECT = (
    "businessPhones", "displayName", "givenName", "id", "jobTitle", "mail", "mobilePhone", "officeLocation",
    "preferredLanguage", "surname", "userPrincipalName",
)  # fmt: skip
USER_KIND = Kind(
    "users",
    "user",
    DEFAULT_SELECT,
    derived={
        "assignedLicenses": licensing.assigned_licenses,
        "assignedPlans": licensing.assigned_plans,
        "provisionedPlans": licensing.provisioned_plans,
    },
    expands={"memberOf": lambda call, user: [directory_view(g) for g in groups_of(call, user["id"])][:20]},
    advanced=True,
)
DELETED_KIND = Kind("directoryObjects", "user", (*DEFAULT_SELECT, "deletedDateTime"))
# Stored outside Entra: $select of these on the collection is 501 (api-reference/v1.0/api/user-list.md).
ELSEWHERE = frozenset(
    [
        "aboutMe",
        "birthday",
        "hireDate",
        "interests",
        "mySite",
        "pastProjects",
        "preferredName",
        "responsibilities",
        "schools",
        "skills",
        "mailboxSettings",
    ]
)


def directory_view(group: Json) -> Json:
    return {"@odata.type": "#microsoft.graph.group", "id": group["id"], "displayName": group.get("displayName")}


def find(call: Call, *, to_write: bool = False) -> Json:
    """The user that the path names by id or userPrincipalName. Raises :class:`Refusal` (404)."""
    key = call.params["user"]
    table = call.tenant.state.table("users")
    user = table.objects.get(key.lower())
    if user is None and "@" in key:
        user = next(iter(table.find("userPrincipalName", key)), None)
    if user is None or not call.tenant.replication.visible(user, call.now, call.replica):
        raise not_found(key)
    return user


@routes.get("/users", USERS, page="user-list")
def list_users(call: Call) -> Reply:
    elsewhere = ELSEWHERE.intersection(call.query.select)
    if elsewhere:
        raise Refusal(501, "NotImplemented", f"This operation target is not yet supported: {min(elsewhere)}.")
    return listing(call, USER_KIND, candidates(call, "users"))


@routes.get("/users/$count", USERS, page="user-list")
def count_users(call: Call) -> Reply:
    return Reply(200, str(matching(call, USER_KIND, call.tenant.state.table("users").in_order())))


@routes.get("/users/{user}", USERS, page="user-get")
def get_user(call: Call) -> Reply:
    return entity(call, USER_KIND, find(call))


@routes.post("/users", USERS_WRITE, page="user-post-users")
def create_user(call: Call) -> Reply:
    body = call.json
    check_writable(body, check(body, "user", call.version))
    for name in ("accountEnabled", "displayName", "mailNickname", "passwordProfile", "userPrincipalName"):
        if body.get(name) in (None, ""):
            raise bad_request(f"A value is required for property '{name}' of resource 'User'.")
    _check_upn(call, body["userPrincipalName"], None)
    user = {
        "id": call.tenant.new_id(),
        "userType": "Member",
        **{name: value for name, value in body.items() if name != "passwordProfile" and "@" not in name},
        "createdDateTime": instant(call.now),
        "_created": call.now,
    }
    call.tenant.state.put("users", user)
    call.tenant.replication.created(call.now)
    return entity(call, USER_KIND, user, status=201)


def _check_upn(call: Call, upn: str, own_id: str | None) -> None:
    state = call.tenant.state
    organisation = state.table("organization").objects[call.tenant.tenant_id]
    domains = {domain["name"].lower() for domain in organisation["verifiedDomains"]}
    if upn.count("@") != 1 or upn.partition("@")[2].lower() not in domains:
        raise bad_request("The domain portion of the userPrincipalName property is invalid. You must use one of the "
                          "verified domain names in your organization.")  # fmt: skip
    if any(user["id"] != own_id for user in state.table("users").find("userPrincipalName", upn)):
        raise conflict("userPrincipalName")


@routes.patch("/users/{user}", USERS_WRITE, page="user-update")
def update_user(call: Call) -> Reply:
    user = find(call)
    body = call.json
    check_writable(body, check(body, "user", call.version))
    if "userPrincipalName" in body:
        _check_upn(call, body["userPrincipalName"], user["id"])
    changes = {name: value for name, value in body.items() if name != "passwordProfile" and "@" not in name}
    call.tenant.state.put("users", {**user, **changes})
    return Reply(204)


@routes.delete("/users/{user}", ("User.DeleteRestore.All", "User.ReadWrite.All"), page="user-delete")
def delete_user(call: Call) -> Reply:
    """Soft: the user waits 30 days among the deleted items and leaves every group and licence behind."""
    user = find(call)
    state = call.tenant.state
    licensing.release_seats(call.tenant, user)
    for name in ("members", "owners", "roleMembers", "unitMembers"):
        for source in list(state.linked_back(name, user["id"])):
            state.unlink(name, source, user["id"])
    state.delete("users", user["id"])
    state.put("deletedUsers", {**user, "licenseAssignmentStates": [], "deletedDateTime": instant(call.now)})
    return Reply(204)


@routes.get(
    "/directory/deletedItems/microsoft.graph.user",
    ("User.Read.All", "User.ReadWrite.All", *DIRECTORY),
    page="directory-deleteditems-list",
)
def list_deleted_users(call: Call) -> Reply:
    return listing(call, DELETED_KIND, call.tenant.state.table("deletedUsers").in_order())


@routes.post(
    "/users/{user}/assignLicense", ("LicenseAssignment.ReadWrite.All", *USERS_WRITE), page="user-assignlicense"
)
def assign_license(call: Call) -> Reply:
    changed = licensing.assign_to_user(call, find(call))
    return entity(call, USER_KIND, changed)


@routes.post("/users/{user}/reprocessLicenseAssignment", USERS_WRITE, page="user-reprocesslicenseassignment")
def reprocess(call: Call) -> Reply:
    user = find(call)
    for group in {s["assignedByGroup"] for s in licensing.states_of(user)} - {None}:
        call.tenant.later(call.now + call.tenant.licensing_s, "group-licensing", group, [user["id"]])
    call.tenant.state.put("users", dict(user))
    return entity(call, USER_KIND, user)


@routes.post(
    "/users/{user}/revokeSignInSessions", ("User.RevokeSessions.All", *USERS_WRITE), page="user-revokesigninsessions"
)
def revoke_sessions(call: Call) -> Reply:
    """api-reference/v1.0/api/user-revokesigninsessions.md: refresh tokens end. Access tokens: see ``bearer.py``."""
    user = find(call)
    call.tenant.state.put("users", {**user, "signInSessionsValidFromDateTime": instant(call.now)})
    return Reply(200, {"@odata.context": call.context("Edm.Boolean"), "value": True})


@routes.get(
    "/users/{user}/licenseDetails", (*LICENSES, "User.Read.All", "User.ReadWrite.All"), page="user-list-licensedetails"
)
def get_license_details(call: Call) -> Reply:
    return licensing.license_details(call, find(call))


@routes.get("/users/{user}/memberOf", (*MEMBERS, "User.Read.All", "User.ReadWrite.All"), page="user-list-memberof")
def member_of(call: Call) -> Reply:
    return _memberships(call, transitive=False)


@routes.get(
    "/users/{user}/memberOf/microsoft.graph.group",
    (*MEMBERS, "User.Read.All", "User.ReadWrite.All"),
    page="user-list-memberof",
)
def member_of_groups(call: Call) -> Reply:
    return _memberships(call, transitive=False)


@routes.get(
    "/users/{user}/transitiveMemberOf",
    (*MEMBERS, "User.Read.All", "User.ReadWrite.All"),
    page="user-list-transitivememberof",
)
def transitive_member_of(call: Call) -> Reply:
    return _memberships(call, transitive=True)


@routes.get(
    "/users/{user}/transitiveMemberOf/microsoft.graph.group",
    (*MEMBERS, "User.Read.All", "User.ReadWrite.All"),
    page="user-list-transitivememberof",
)
def transitive_member_of_groups(call: Call) -> Reply:
    return _memberships(call, transitive=True)


def _memberships(call: Call, *, transitive: bool) -> Reply:
    user = find(call)
    found = listing(call, GROUP_KIND, list(groups_of(call, user["id"], transitive=transitive)))
    for item in found.body["value"]:
        item["@odata.type"] = "#microsoft.graph.group"
    found.body["@odata.context"] = call.context("directoryObjects")
    return found
