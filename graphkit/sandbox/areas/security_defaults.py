"""Security defaults: api-reference/v1.0/api/identitysecuritydefaultsenforcementpolicy-*.md."""

from __future__ import annotations

from graphkit.sandbox.areas.policy_base import change_body, refuse
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.permissions import DEFAULTS_WRITE, POLICIES
from graphkit.sandbox.query.listing import Kind, entity
from graphkit.sandbox.router import Routes

routes = Routes()

DEFAULTS_KIND = Kind("policies/identitySecurityDefaultsEnforcementPolicy", "identitySecurityDefaultsEnforcementPolicy")
_PATH = "/policies/identitySecurityDefaultsEnforcementPolicy"


def _defaults(call: Call) -> Json:
    return next(iter(call.tenant.state.table("securityDefaults").objects.values()))


@routes.get(
    _PATH, (*POLICIES, "Policy.ReadWrite.SecurityDefaults"), page="identitysecuritydefaultsenforcementpolicy-get"
)
def get_security_defaults(call: Call) -> Reply:
    return entity(call, DEFAULTS_KIND, _defaults(call))


@routes.patch(_PATH, DEFAULTS_WRITE, POLICIES, page="identitysecuritydefaultsenforcementpolicy-update")
def update_security_defaults(call: Call) -> Reply:
    """They and enabled policies exclude each other (entra-docs, fundamentals/security-defaults.md); the words of this
    refusal are an assumption.
    """
    body, _ = change_body(call, "identitySecurityDefaultsEnforcementPolicy")
    if set(body) - {"isEnabled"}:
        raise refuse("Only isEnabled can be updated.")
    policies = call.tenant.state.table("policies").objects.values()
    if body.get("isEnabled") and any(policy["state"] == "enabled" for policy in policies):
        raise refuse("Security defaults cannot be enabled while a Conditional Access policy is enabled.")
    call.tenant.state.put("securityDefaults", {**_defaults(call), **body})
    return Reply(204)
