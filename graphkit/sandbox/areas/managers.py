"""Who reports to whom: api-reference/v1.0/api/user-list-manager.md, user-post-manager.md and their neighbours."""

from __future__ import annotations

import re
from typing import Any

from graphkit.sandbox.areas.people import DEFAULT_SELECT, DERIVED, find
from graphkit.sandbox.areas.user_rules import check_mastered
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request, not_found
from graphkit.sandbox.permissions import USERS_FULL, USERS_WRITE
from graphkit.sandbox.query import Kind, entity, listing, matching
from graphkit.sandbox.router import Routes
from graphkit.sandbox.shape import MAX_EXPANDED, expand_options

routes = Routes()

_TYPE = "#microsoft.graph.user"
_CAST = Kind("users", "user", DEFAULT_SELECT, derived=DERIVED, advanced=True, relation=True)
PEOPLE_KIND = Kind("directoryObjects", "directoryObject", advanced=True, relation=True, variants={_TYPE: _CAST})
MAX_LEVELS = 1000
_REFERENCE = re.compile(r"/(?:directoryObjects|users)[/(]'?([^/')]+)")


def _typed(user: Json) -> Json:
    return {"@odata.type": _TYPE, **user}


def manager_of(call: Call, user: Json) -> Json | None:
    """The manager, if there is one and this call's replica knows of it."""
    links = call.tenant.replication.linked("manager", user["id"], call.now, call.replica)
    return next((found for key in links if (found := call.tenant.state.get("users", key))), None)


def _shown(call: Call, user: Json) -> Json:
    """A user as an expanded one is shown: with all that there is, so that ``$select`` within may choose."""
    plain = {name: value for name, value in user.items() if not name.startswith("_")}
    unset = dict.fromkeys(DEFAULT_SELECT)
    worked_out = {name: derive(call, user) for name, derive in DERIVED.items() if name != "signInActivity"}
    plain.pop("licenseAssignmentStates", None)
    return {"@odata.type": _TYPE, **unset, "businessPhones": [], **plain, **worked_out}


def manager_view(call: Call, user: Json) -> Json | None:
    """``$expand=manager``; with ``$levels=n`` or ``max`` the chain upwards, each inside the one below."""
    levels = expand_options(call, "manager").get("$levels", "1")
    if not (levels == "max" or (levels.isdecimal() and 1 <= int(levels) <= MAX_LEVELS)):
        raise bad_request(f"Invalid value '{levels}' for $levels.", "BadRequest")
    return _chain(call, user, MAX_LEVELS if levels == "max" else int(levels), {user["id"]})


def _chain(call: Call, user: Json, levels: int, seen: set[str]) -> Json | None:
    manager = manager_of(call, user) if levels else None
    if manager is None or manager["id"] in seen:
        return None
    above = _chain(call, manager, levels - 1, {*seen, manager["id"]})
    return {**_shown(call, manager), **({"manager": above} if above else {})}


def reports_of(call: Call, user: Json) -> list[Json]:
    """``$expand=directReports``."""
    return [_shown(call, report) for report in _reports(call, user)[:MAX_EXPANDED]]


def _reports(call: Call, user: Json) -> list[Json]:
    state = call.tenant.state
    return [found for key in state.linked_back("manager", user["id"]) if (found := state.get("users", key))]


def bound_manager(call: Call, body: Json) -> Json | None:
    """The user that ``manager@odata.bind`` names in a body, the one bind that a user's body may hold here."""
    for name in body:
        if name.endswith("@odata.bind") and name != "manager@odata.bind":
            raise Refusal(501, "NotModelled", f"The simulated tenant does not model {name} on a user.")
    return _referred(call, body["manager@odata.bind"]) if "manager@odata.bind" in body else None


def _referred(call: Call, link: Any) -> Json:
    found = _REFERENCE.search(link) if isinstance(link, str) else None
    if found is None:
        raise bad_request(f"Invalid URL format specified in the request payload: '{link}'.")
    state = call.tenant.state
    user = state.get("users", found[1].lower())
    if user is None and "@" in found[1]:
        user = next(iter(state.table("users").find("userPrincipalName", found[1])), None)
    if user is None and (state.get("groups", found[1].lower()) or state.get("servicePrincipals", found[1].lower())):
        raise bad_request("Invalid value specified for property 'manager' of resource 'User'.")  # assumption: the words
    if user is None or not call.tenant.replication.visible(user, call.now, call.replica):
        raise not_found(found[1])
    return user


def set_manager(call: Call, user: Json, manager: Json) -> None:
    """There is one at most: the new one takes the place of the old."""
    state = call.tenant.state
    for old in [key for key in state.linked("manager", user["id"]) if key != manager["id"]]:
        state.unlink("manager", user["id"], old)
    if manager["id"] not in state.linked("manager", user["id"]):
        state.link("manager", user["id"], manager["id"])


@routes.get("/users/{user}/manager", USERS_FULL, page="user-list-manager")
def get_manager(call: Call) -> Reply:
    manager = manager_of(call, find(call))
    if manager is None:
        raise not_found("manager")
    return entity(call, PEOPLE_KIND, _typed(manager))


@routes.put("/users/{user}/manager/$ref", USERS_WRITE, page="user-post-manager")
def put_manager(call: Call) -> Reply:
    user = find(call)
    check_mastered(user, ["manager"])
    set_manager(call, user, _referred(call, call.json.get("@odata.id")))
    return Reply(204)


@routes.delete("/users/{user}/manager/$ref", USERS_WRITE, page="user-delete-manager")
def delete_manager(call: Call) -> Reply:
    user = find(call)
    check_mastered(user, ["manager"])
    state = call.tenant.state
    if not state.linked("manager", user["id"]):
        raise not_found("manager")
    for old in list(state.linked("manager", user["id"])):
        state.unlink("manager", user["id"], old)
    return Reply(204)


@routes.get("/users/{user}/directReports", USERS_FULL, page="user-list-directreports")
def list_reports(call: Call) -> Reply:
    return listing(call, PEOPLE_KIND, [_typed(report) for report in _reports(call, find(call))])


@routes.get("/users/{user}/directReports/microsoft.graph.user", USERS_FULL, page="user-list-directreports")
def list_user_reports(call: Call) -> Reply:
    return listing(call, _CAST, [*_reports(call, find(call))])


@routes.get("/users/{user}/directReports/$count", USERS_FULL, page="user-list-directreports")
def count_reports(call: Call) -> Reply:
    return Reply(200, str(matching(call, PEOPLE_KIND, [_typed(report) for report in _reports(call, find(call))])))
