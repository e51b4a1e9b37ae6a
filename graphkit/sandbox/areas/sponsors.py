"""Who answers for a guest: api-reference/v1.0/api/user-list-sponsors.md, user-post-sponsors.md and their neighbour.

An invitation may name them, too (invitedUserSponsors of resources/invitation.md): as objects with an id, which is an
assumption, as is everything about refusals.
"""

from __future__ import annotations

from typing import Any

from graphkit.sandbox.areas.directory_objects import directory_object, list_objects, referred
from graphkit.sandbox.areas.people import find
from graphkit.sandbox.call import Call, Json, Reply, bad_request, not_found
from graphkit.sandbox.permissions import USERS_FULL, USERS_WRITE
from graphkit.sandbox.router import Routes

routes = Routes()

KINDS = ("user", "group")


def named_sponsors(call: Call, given: Any) -> list[str]:
    """The ids that ``invitedUserSponsors`` holds. Raises :class:`Refusal`."""
    found = [_sponsor(call, str(each.get("id") or "").lower()) for each in given or ()]
    return list(dict.fromkeys(each["id"] for each in found))


def _sponsor(call: Call, key: str) -> Json:
    known = directory_object(call, key)
    if known is None:
        raise not_found(key)
    return _checked(*known)


def _checked(kind: str, found: Json) -> Json:
    if kind not in KINDS:
        raise bad_request("Invalid value specified for property 'sponsors' of resource 'User'.")
    return found


@routes.get("/users/{user}/sponsors", USERS_FULL, page="user-list-sponsors")
def list_sponsors(call: Call) -> Reply:
    return list_objects(call, call.tenant.state.linked("sponsors", find(call)["id"]))


@routes.post("/users/{user}/sponsors/$ref", USERS_WRITE, page="user-post-sponsors")
def add_sponsor(call: Call) -> Reply:
    user, sponsor = find(call), _checked(*referred(call, call.json.get("@odata.id"), "@odata.id"))
    if sponsor["id"] in call.tenant.state.linked("sponsors", user["id"]):
        raise bad_request("One or more added object references already exist for the following modified properties: "
                          "'sponsors'.")  # fmt: skip
    call.tenant.state.link("sponsors", user["id"], sponsor["id"])
    return Reply(204)


@routes.delete("/users/{user}/sponsors/{sponsor}/$ref", USERS_WRITE, page="user-delete-sponsors")
def remove_sponsor(call: Call) -> Reply:
    user, key = find(call), call.params["sponsor"].lower()
    if key not in call.tenant.state.linked("sponsors", user["id"]):
        raise not_found(key)
    call.tenant.state.unlink("sponsors", user["id"], key)
    return Reply(204)
