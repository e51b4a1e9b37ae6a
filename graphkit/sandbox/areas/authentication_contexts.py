"""Authentication contexts: api-reference/v1.0/api/authenticationcontextclassreference-*.md."""

from __future__ import annotations

import re

from graphkit.sandbox.areas.policy_base import change_body, create_body, find, refuse
from graphkit.sandbox.call import Call, Json, Refusal, Reply
from graphkit.sandbox.permissions import CONTEXTS, CONTEXTS_WRITE
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes

routes = Routes()

CONTEXT_KIND = Kind(
    "identity/conditionalAccess/authenticationContextClassReferences", "authenticationContextClassReference"
)
_ID = re.compile(r"c([1-9]|[1-9]\d)")
_PATH = "/identity/conditionalAccess/authenticationContextClassReferences"


@routes.get(_PATH, CONTEXTS, page="conditionalaccessroot-list-authenticationcontextclassreferences")
def list_contexts(call: Call) -> Reply:
    return listing(call, CONTEXT_KIND, call.tenant.state.table("authenticationContexts").in_order())


@routes.get(_PATH + "/{context}", CONTEXTS, page="authenticationcontextclassreference-get")
def get_context(call: Call) -> Reply:
    return entity(call, CONTEXT_KIND, _context(call))


def _context(call: Call) -> Json:
    return find(call, "authenticationContexts", "AuthenticationContextClassReference", call.params["context"])


@routes.post(_PATH, CONTEXTS_WRITE, page="authenticationcontextclassreference-update")
def create_context(call: Call) -> Reply:
    """Not on the pages, but in the published permissions; and published tools create contexts so (CIPP-API)."""
    body, _ = create_body(call, "authenticationContextClassReference")
    key = str(body.pop("id", ""))
    if call.tenant.state.get("authenticationContexts", key) is not None:
        raise refuse(f"AuthenticationContextClassReference with id {key} exists already.")
    return entity(call, CONTEXT_KIND, _put(call, key, body), status=201)


@routes.patch(_PATH + "/{context}", CONTEXTS_WRITE, page="authenticationcontextclassreference-update")
def upsert_context(call: Call) -> Reply:
    """Creates the context if its id is not in use."""
    body, _ = change_body(call, "authenticationContextClassReference")
    body.pop("id", None)
    _put(call, call.params["context"], body)
    return Reply(204)


def _put(call: Call, key: str, changes: Json) -> Json:
    if not _ID.fullmatch(key):
        raise refuse(f"'{key}' is not a valid id: the allowed values are c1 through c99.")
    before = call.tenant.state.get("authenticationContexts", key)
    made = before or {"id": key, "displayName": None, "description": None, "isAvailable": False}
    changed = {**made, **changes}
    call.tenant.state.put("authenticationContexts", changed)
    return changed


@routes.delete(_PATH + "/{context}", CONTEXTS_WRITE, page="authenticationcontextclassreference-delete")
def delete_context(call: Call) -> Reply:
    """403 while it is published; refused too while a policy uses it: 400, where the page says "200 Bad Request"."""
    context = _context(call)
    if context["isAvailable"]:
        raise Refusal(403, "Forbidden", "A published authentication context cannot be deleted. Set isAvailable to "
                      "false first.")  # fmt: skip
    for policy in call.tenant.state.table("policies").objects.values():
        used = (policy["conditions"]["applications"] or {}).get("includeAuthenticationContextClassReferences") or []
        if context["id"] in used:
            raise refuse(f"The authentication context is used by the policy '{policy['id']}' and cannot be deleted.")
    call.tenant.state.delete("authenticationContexts", context["id"])
    return Reply(204)
