"""What would conditional access do? api-reference/beta/api/conditionalaccessroot-evaluate.md, in v1.0's CSDL too."""

from __future__ import annotations

import ipaddress

from graphkit.sandbox.areas.access_evaluation import Circumstances, unmet, who
from graphkit.sandbox.areas.conditional_access import whole
from graphkit.sandbox.areas.policy_base import refuse
from graphkit.sandbox.call import Call, Json, Refusal, Reply
from graphkit.sandbox.permissions import ACCESS, ACCESS_WRITE
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import as_seen

routes = Routes()

# resources/useractioncontext.md, and what policies call the same actions.
_ACTIONS = {
    "registerSecurityInformation": "urn:user:registersecurityinfo",
    "registerOrJoinDevices": "urn:user:registerdevice",
}


@routes.post("/identity/conditionalAccess/evaluate", (*ACCESS, *ACCESS_WRITE), page="conditionalaccessroot-evaluate")
def evaluate(call: Call) -> Reply:
    """Every policy and why it would not apply; with ``appliedPoliciesOnly`` those that would."""
    at = _circumstances(call)
    found = []
    for policy in call.tenant.state.table("policies").objects.values():
        reasons = unmet(call, policy, at)
        if policy["state"] == "disabled":
            reasons.append("policyNotEnabled")
        if reasons and call.json.get("appliedPoliciesOnly"):
            continue
        shown = as_seen(whole(call, policy), "conditionalAccessPolicy", call.version)
        found.append({**shown, "policyApplies": not reasons, "analysisReasons": ",".join(reasons) or "notSet"})
    return Reply(
        200, {"@odata.context": call.context("Collection(microsoft.graph.whatIfAnalysisResult)"), "value": found}
    )


def _circumstances(call: Call) -> Circumstances:
    identity, context, conditions = (
        _part(call, name) for name in ("signInIdentity", "signInContext", "signInConditions")
    )
    if not identity.get("userId"):
        raise Refusal(501, "NotModelled", "The simulated tenant evaluates sign-ins of users (userSignIn) only.")
    user = call.tenant.state.get("users", str(identity["userId"]).lower())
    if user is None:
        raise refuse(f"User '{identity['userId']}' does not exist in the directory.")
    groups, roles = who(call, user)
    apps = context.get("includeApplications") or [""]
    return Circumstances(
        user_id=user["id"],
        groups=groups,
        roles=roles,
        guest=user.get("userType") == "Guest",
        app=str(apps[0]),
        action=_ACTIONS.get(str(context.get("userAction")), ""),
        context=str(context.get("authenticationContextValue") or ""),
        client=str(conditions.get("clientAppType") or "browser"),
        platform=str(conditions.get("devicePlatform") or ""),
        address=_address(conditions.get("ipAddress")),
        country=str(conditions.get("country") or ""),
        sign_in_risk=str(conditions.get("signInRiskLevel") or "none"),
        user_risk=str(conditions.get("userRiskLevel") or "none"),
    )


def _part(call: Call, name: str) -> Json:
    found = call.json.get(name)
    if not isinstance(found, dict):
        raise refuse(f"The parameter {name} is required.")
    return found


def _address(text: object) -> str:
    try:
        return str(ipaddress.ip_address(str(text))) if text else ""
    except ValueError:
        raise refuse(f"'{text}' is not an IP address.") from None
