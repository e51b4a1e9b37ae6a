"""Who reports to whom: api-reference/v1.0/api/user-list-manager.md, user-post-manager.md and their neighbours."""

from __future__ import annotations

from typing import Any

from graphkit.sandbox.areas.directory_objects import OBJECT_KIND, count_objects, list_objects, referred
from graphkit.sandbox.areas.people import DEFAULT_SELECT, DERIVED, find
from graphkit.sandbox.areas.user_rules import check_mastered
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request, not_found
from graphkit.sandbox.permissions import USERS_FULL, USERS_WRITE
from graphkit.sandbox.query.listing import entity
from graphkit.sandbox.query.shape import MAX_EXPANDED, expand_options
from graphkit.sandbox.router import Routes

routes = Routes()

_TYPE = "#microsoft.graph.user"
MAX_LEVELS = 1000


def manager_of(call: Call, user: Json) -> Json | None:
    """The manager, if there is one and this call's replica knows of it."""
    links = call.tenant.replication.linked("manager", user["id"], call.now, call.replica)
    return next((found for key in links if (found := call.tenant.state.get("users", key))), None)


def _shown(call: Call, user: Json) -> Json:
    """A user as an expanded one is shown: with all that there is, so that ``$select`` within may choose."""
    plain = {name: value for name, value in user.items() if not name.startswith("_")}
    unset = dict.fromkeys(DEFAULT_SELECT)
    worked_out = {name: derive(call, user) for name, derive in DERIVED.items()}
    plain.pop("licenseAssignmentStates", None)
    return {"@odata.type": _TYPE, **unset, "businessPhones": [], **plain, **worked_out}


def manager_view(call: Call, user: Json) -> Json | None:
    """``$expand=manager``; with ``$levels=n`` or ``max`` the chain upwards, each inside the one below."""
    levels = expand_options(call, "manager").get("$levels", "1")
    if not (levels == "max" or (levels.isdecimal() and 1 <= int(levels) <= MAX_LEVELS)):
        raise bad_request(f"Invalid value '{levels}' for $levels.", "BadRequest")
    shown: Json | None = None
    for manager in reversed(_chain(call, user, MAX_LEVELS if levels == "max" else int(levels))):
        shown = {**_shown(call, manager), **({"manager": shown} if shown else {})}
    return shown


def _chain(call: Call, user: Json, levels: int) -> list[Json]:
    """Upwards, and not in circles."""
    found = {user["id"]: user}
    while len(found) <= levels:
        user = manager_of(call, user) or {}
        if not user or user["id"] in found:
            break
        found[user["id"]] = user
    return list(found.values())[1:]


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
    if "manager@odata.bind" not in body:
        return None
    return _person(call, body["manager@odata.bind"], "manager@odata.bind")


def _person(call: Call, link: Any, where: str) -> Json:
    type_name, found = referred(call, link, where)
    if type_name != "user":
        raise bad_request("Invalid value specified for property 'manager' of resource 'User'.")  # assumption: the words
    return found


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
    return entity(call, OBJECT_KIND, {"@odata.type": _TYPE, **manager})


@routes.put("/users/{user}/manager/$ref", USERS_WRITE, page="user-post-manager")
def put_manager(call: Call) -> Reply:
    user = find(call)
    check_mastered(user, ["manager"])
    set_manager(call, user, _person(call, call.json.get("@odata.id"), "@odata.id"))
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
@routes.get("/users/{user}/directReports/microsoft.graph.user", USERS_FULL, page="user-list-directreports")
def list_reports(call: Call) -> Reply:
    return list_objects(call, call.tenant.state.linked_back("manager", find(call)["id"]))


@routes.get("/users/{user}/directReports/$count", USERS_FULL, page="user-list-directreports")
@routes.get("/users/{user}/directReports/microsoft.graph.user/$count", USERS_FULL, page="user-list-directreports")
def count_reports(call: Call) -> Reply:
    return count_objects(call, call.tenant.state.linked_back("manager", find(call)["id"]))
