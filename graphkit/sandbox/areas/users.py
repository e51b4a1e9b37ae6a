"""Users: found, made, changed, deleted. api-reference/v1.0/api/user-*.md of microsoft-graph-docs-contrib.

What a user may be is in ``user_rules.py``; managers, memberships, deleted users and guests have modules of their own.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from graphkit.sandbox.areas import licensing, user_rules
from graphkit.sandbox.areas.directory_objects import groups_of, view
from graphkit.sandbox.areas.managers import bound_manager, manager_view, reports_of, set_manager
from graphkit.sandbox.areas.people import DEFAULT_SELECT, DERIVED, find, proxy_addresses
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request
from graphkit.sandbox.ids import instant
from graphkit.sandbox.memory import recycling
from graphkit.sandbox.permissions import LICENSES, USERS, USERS_DELETE, USERS_WRITE
from graphkit.sandbox.query.listing import Kind, candidates, entity, listing, matching
from graphkit.sandbox.query.shape import MAX_EXPANDED
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.edm import is_guid
from graphkit.sandbox.sign_ins import PAGE, asks, check_access, sign_in_activity

__all__ = ["DEFAULT_SELECT", "USER_KIND", "find", "routes"]

routes = Routes()


def _few_groups(call: Call, user: Json) -> list[Json]:
    return [view(call, group["id"]) for group in islice(groups_of(call, user["id"]), MAX_EXPANDED)]


USER_KIND = Kind(
    "users",
    "user",
    DEFAULT_SELECT,
    derived={**DERIVED, "signInActivity": sign_in_activity},
    expands={"manager": manager_view, "directReports": reports_of, "memberOf": _few_groups},
    advanced=True,
)
# "Requests with $top set higher than 500 return pages with up to 500 users", and the id comes along (api/user-list.md).
SIGN_IN_KIND = replace(USER_KIND, page_cap=PAGE, always=("id",))
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


def _kind(call: Call) -> Kind:
    """How this call shows users. Raises :class:`Refusal` if it asks for sign-in activity and may not."""
    if not asks(call):
        return USER_KIND
    check_access(call)
    return SIGN_IN_KIND


@routes.get("/users", USERS, page="user-list")
def list_users(call: Call) -> Reply:
    elsewhere = ELSEWHERE.intersection(call.query.select)
    if elsewhere:
        raise Refusal(501, "NotImplemented", f"This operation target is not yet supported: {min(elsewhere)}.")
    if "$levels" in call.query.get("$expand").lower():
        raise Refusal(
            400,
            "Request_UnsupportedQuery",
            "Transitive manager's list is only supported on a single user, send the $expand request on /users/{id} "
            "endpoint",
        )  # microsoft-graph-docs#18615
    return listing(call, _kind(call), candidates(call, "users"))


@routes.get("/users/$count", USERS, page="user-list")
def count_users(call: Call) -> Reply:
    return Reply(200, str(matching(call, _kind(call), candidates(call, "users"))))


@routes.get("/users/{user}", USERS, page="user-get")
def get_user(call: Call) -> Reply:
    kind = _kind(call)
    if kind is SIGN_IN_KIND and not is_guid(call.params["user"]):
        # The code is the status: as seen in September 2026, in several published scripts before.
        raise bad_request("Get By Key only supports UserId and the key has to be a valid Guid", "400")
    return entity(call, kind, find(call))


@routes.post("/users", USERS_WRITE, page="user-post-users")
def create_user(call: Call) -> Reply:
    given = user_rules.read_new(call, call.json)
    manager = bound_manager(call, call.json)
    user = {
        "id": call.tenant.new_id(),
        "userType": "Member",
        **given,
        "createdDateTime": instant(call.now),
        "lastPasswordChangeDateTime": instant(call.now),
        "_created": call.now,
    }
    call.tenant.state.put("users", user)
    if manager:
        set_manager(call, user, manager)
    call.tenant.replication.created(call.now)
    return entity(call, USER_KIND, user, status=201)


@routes.patch("/users/{user}", USERS_WRITE, page="user-update")
def update_user(call: Call) -> Reply:
    user = find(call)
    changes = user_rules.read_changes(call, user, call.json)
    manager = bound_manager(call, call.json)
    if "mail" in changes:
        changes["proxyAddresses"] = _addresses(user, changes["mail"])
    if call.json.get("passwordProfile", {}).get("password"):
        changes["lastPasswordChangeDateTime"] = instant(call.now)
    call.tenant.state.put("users", {**user, **changes})
    if manager:
        set_manager(call, user, manager)
    return Reply(204)


def _addresses(user: Json, mail: str | None) -> list[str]:
    """ "Changes to this property will also update the user's proxyAddresses" (resources/user.md): the new address is
    the primary one, the others stay."""
    kept = [address for address in proxy_addresses(None, user) if address[5:].lower() != (mail or "").lower()]
    others = [f"smtp:{address[5:]}" for address in kept]
    return [f"SMTP:{mail}", *others] if mail else others


@routes.delete("/users/{user}", USERS_DELETE, page="user-delete")
def delete_user(call: Call) -> Reply:
    """Soft: the user waits 30 days among the deleted items. Its name is free for others at once, for its own begins
    with its id from now on, as scripts that list the deleted know (``userPrincipalName.Substring(32)``).
    """
    user = find(call)
    user_rules.check_sensitive(call, user)
    licensing.release_seats(call.tenant, user)
    direct = [state for state in licensing.states_of(user) if state["assignedByGroup"] is None]
    hidden = {
        "userPrincipalName": user["id"].replace("-", "") + user["userPrincipalName"],
        "licenseAssignmentStates": [],
        "_licenses": direct,
    }
    recycling.bury(call.tenant.state, "users", user, call.now, hidden)
    return Reply(204)


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
    """api-reference/v1.0/api/user-revokesigninsessions.md: refresh tokens end. Access tokens: ``login/bearer.py``."""
    user = find(call)
    call.tenant.state.put("users", {**user, "signInSessionsValidFromDateTime": instant(call.now)})
    return Reply(200, {"@odata.context": call.context("Edm.Boolean"), "value": True})


@routes.get(
    "/users/{user}/licenseDetails", (*LICENSES, "User.Read.All", "User.ReadWrite.All"), page="user-list-licensedetails"
)
def get_license_details(call: Call) -> Reply:
    return licensing.license_details(call, find(call))
