"""Terms of use: termsofusecontainer-*.md and agreement-*.md. Files and acceptances are not kept."""

from __future__ import annotations

from graphkit.sandbox.areas.policy_base import change_body, create_body, find, refuse
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.permissions import AGREEMENTS, AGREEMENTS_WRITE
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes

routes = Routes()

AGREEMENT_KIND = Kind("identityGovernance/termsOfUse/agreements", "agreement")
_PATH = "/identityGovernance/termsOfUse/agreements"
_OLD = "/agreements"


@routes.get(_OLD, AGREEMENTS, page="termsofusecontainer-list-agreements")
@routes.get(_PATH, AGREEMENTS, page="termsofusecontainer-list-agreements")
def list_agreements(call: Call) -> Reply:
    return listing(call, AGREEMENT_KIND, call.tenant.state.table("agreements").in_order())


@routes.get(_OLD + "/{agreement}", AGREEMENTS, page="agreement-get")
@routes.get(_PATH + "/{agreement}", AGREEMENTS, page="agreement-get")
def get_agreement(call: Call) -> Reply:
    return entity(call, AGREEMENT_KIND, _agreement(call))


def _agreement(call: Call) -> Json:
    return find(call, "agreements", "Agreement", call.params["agreement"])


@routes.post(_OLD, AGREEMENTS_WRITE, page="termsofusecontainer-post-agreements")
@routes.post(_PATH, AGREEMENTS_WRITE, page="termsofusecontainer-post-agreements")
def create_agreement(call: Call) -> Reply:
    body, _ = create_body(call, "agreement")
    if not body.get("displayName"):
        raise refuse("A terms of use agreement needs a displayName.")
    kept = {name: value for name, value in body.items() if name not in ("file", "files")}
    defaults = {"isPerDeviceAcceptanceRequired": False, "isViewingBeforeAcceptanceRequired": False,
                "termsExpiration": None, "userReacceptRequiredFrequency": None}  # fmt: skip
    agreement = {"id": call.tenant.new_id(), **defaults, **kept}
    call.tenant.state.put("agreements", agreement)
    return entity(call, AGREEMENT_KIND, agreement, status=201)


@routes.patch(_OLD + "/{agreement}", AGREEMENTS_WRITE, page="agreement-update")
@routes.patch(_PATH + "/{agreement}", AGREEMENTS_WRITE, page="agreement-update")
def update_agreement(call: Call) -> Reply:
    agreement = _agreement(call)
    body, _ = change_body(call, "agreement")
    changed = {**agreement, **body}
    call.tenant.state.put("agreements", changed)
    return entity(call, AGREEMENT_KIND, changed)


@routes.delete(_OLD + "/{agreement}", AGREEMENTS_WRITE, page="agreement-delete")
@routes.delete(_PATH + "/{agreement}", AGREEMENTS_WRITE, page="agreement-delete")
def delete_agreement(call: Call) -> Reply:
    agreement = _agreement(call)
    for policy in call.tenant.state.table("policies").objects.values():
        if agreement["id"] in ((policy.get("grantControls") or {}).get("termsOfUse") or []):
            raise refuse(f"The agreement is used by the policy '{policy['id']}' and cannot be deleted.")
    call.tenant.state.delete("agreements", agreement["id"])
    return Reply(204)
