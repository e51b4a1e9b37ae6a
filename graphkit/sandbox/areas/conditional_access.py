"""Conditional access policies: api-reference/v1.0/api/conditionalaccessroot-*.md and conditionalaccesspolicy-*.md.

What a policy may say is in ``conditional_access_rules.py``, what the service fills in is here. The shape of an answer
(order, nulls, empty lists) is that of published exports of real tenants and of policydeletableitem-list.md (beta).
"""

from __future__ import annotations

from typing import Any

from graphkit.sandbox.areas.authentication_strengths import shown as strength_shown
from graphkit.sandbox.areas.conditional_access_rules import check_policy, given_strength, malformed
from graphkit.sandbox.areas.policy_base import change_body, create_body, find, refuse
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import ACCESS, ACCESS_WRITE, APPS, POLICIES
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes

routes = Routes()

POLICY_KIND = Kind("identity/conditionalAccess/policies", "conditionalAccessPolicy")
MAX_POLICIES = 195
"""In any state (entra-docs, includes/entra-service-limits-include.md, 2024-07); newer guides speak of 240."""


@routes.get("/identity/conditionalAccess/policies", ACCESS, page="conditionalaccessroot-list-policies")
def list_policies(call: Call) -> Reply:
    return listing(call, POLICY_KIND, [shown(call, p) for p in call.tenant.state.table("policies").in_order()])


@routes.get("/identity/conditionalAccess/policies/{policy}", ACCESS, page="conditionalaccesspolicy-get")
def get_policy(call: Call) -> Reply:
    return entity(call, POLICY_KIND, whole(call, _policy(call)))


def _policy(call: Call) -> Json:
    return find(call, "policies", "ConditionalAccessPolicy", call.params["policy"])


def shown(call: Call, policy: Json | None) -> Json | None:
    return None if policy is None else whole(call, policy)


def whole(call: Call, policy: Json) -> Json:
    """A policy as it is shown: it keeps the id of a strength only, and shows the strength as it is today."""
    grant = policy.get("grantControls")
    if not grant or not grant.get("authenticationStrength"):
        return policy
    strength = call.tenant.state.get("strengths", grant["authenticationStrength"]["id"])
    expanded = {**grant, "authenticationStrength": strength_shown(strength) if strength else None}
    return {**policy, "grantControls": expanded}


@routes.post(
    "/identity/conditionalAccess/policies", POLICIES, ACCESS_WRITE, APPS, page="conditionalaccessroot-post-policies"
)
def create_policy(call: Call) -> Reply:
    """Not idempotent: displayName is not unique, so a repeated POST makes a second policy."""
    body, _ = create_body(call, "conditionalAccessPolicy")
    if len(call.tenant.state.table("policies").objects) >= MAX_POLICIES:
        # The limit is documented, these words are not.
        raise refuse(f"The maximum number of policies, {MAX_POLICIES}, has been reached.")
    policy = {
        "id": call.tenant.new_id(),
        "templateId": None,
        "displayName": None,
        "createdDateTime": instant(call.now),
        "modifiedDateTime": None,
        "state": None,
        "deletedDateTime": None,
        "partialEnablementStrategy": None,
        "sessionControls": None,
        "conditions": None,
        "grantControls": None,
        **body,
        "_created": call.now,
    }
    _put(call, policy, call.json)
    call.tenant.replication.created(call.now)
    return entity(call, POLICY_KIND, whole(call, policy), status=201)


@routes.patch(
    "/identity/conditionalAccess/policies/{policy}", POLICIES, ACCESS_WRITE, APPS, page="conditionalaccesspolicy-update"
)
def update_policy(call: Call) -> Reply:
    """Conditions that are not named keep their values; a condition that is named is replaced (assumption)."""
    policy = _policy(call)
    body, _ = change_body(call, "conditionalAccessPolicy")
    changed = {**policy, **body, "modifiedDateTime": instant(call.now)}
    if "conditions" in body:
        changed["conditions"] = {**policy["conditions"], **(body["conditions"] or {})}
    _put(call, changed, call.json)
    return Reply(204)


@routes.delete(
    "/identity/conditionalAccess/policies/{policy}", POLICIES, ACCESS_WRITE, page="conditionalaccesspolicy-delete"
)
def delete_policy(call: Call) -> Reply:
    """Soft: resources/policydeletableitem.md gives 30 days to think better of it (``deleted_policies.py``)."""
    policy = _policy(call)
    call.tenant.state.delete("policies", policy["id"])
    call.tenant.state.put("deletedPolicies", {**policy, "deletedDateTime": instant(call.now)})
    return Reply(204)


def _put(call: Call, policy: Json, sent: Json) -> None:
    """Complete a policy, judge it and keep it. ``sent`` is the body with its annotations."""
    policy["conditions"] = _completed(policy.get("conditions"))
    policy["sessionControls"] = _sessions(policy.get("sessionControls"))
    policy["grantControls"] = _grants(policy.get("grantControls"), sent.get("grantControls"))
    check_policy(call, policy)
    call.tenant.state.put("policies", policy)


# -- what the service fills in -----------------------------------------------------------------------------------

_CONDITIONS: Json = {
    "userRiskLevels": [],
    "signInRiskLevels": [],
    "clientAppTypes": [],
    "servicePrincipalRiskLevels": [],
    "insiderRiskLevels": None,
    "platforms": None,
    "locations": None,
    "times": None,
    "deviceStates": None,
    "devices": None,
    "clientApplications": None,
    "authenticationFlows": None,
    "applications": None,
    "users": None,
}
# Of a part that was given: the lists that are never null, and the rest. What beta alone knows, v1.0 does not show.
_PARTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "users": (
        ("includeUsers", "excludeUsers", "includeGroups", "excludeGroups", "includeRoles", "excludeRoles"),
        ("includeGuestsOrExternalUsers", "excludeGuestsOrExternalUsers"),
    ),
    "applications": (
        (
            "includeApplications",
            "excludeApplications",
            "includeUserActions",
            "includeAuthenticationContextClassReferences",
        ),
        ("applicationFilter",),
    ),
    "locations": (("includeLocations", "excludeLocations"), ()),
    "platforms": (("includePlatforms", "excludePlatforms"), ()),
    "devices": (
        ("includeDeviceStates", "excludeDeviceStates", "includeDevices", "excludeDevices"),
        ("deviceFilter",),
    ),
    "clientApplications": (("includeServicePrincipals", "excludeServicePrincipals"), ("servicePrincipalFilter",)),
}
_SESSIONS = (
    "disableResilienceDefaults",
    "applicationEnforcedRestrictions",
    "cloudAppSecurity",
    "signInFrequency",
    "persistentBrowser",
    "continuousAccessEvaluation",
    "secureSignInSession",
)
_WORDS = {word.lower(): word for word in ("All", "None", "GuestsOrExternalUsers", "AllTrusted", "Office365")}
_WORDED = ("users", "applications", "locations")


def _completed(conditions: Json | None) -> Json:
    empty_set = {name: [] if value == [] else value for name, value in _CONDITIONS.items()}
    given = _untyped(conditions)
    if given.get("clientAppTypes") == []:  # AlexFilipin/ConditionalAccess#3
        raise malformed("1064: 'clientAppTypes' condition does not support []. If you want to target all client apps, "
                        "use ['All'].")  # fmt: skip
    filled = {**empty_set, **given}
    filled["clientAppTypes"] = filled["clientAppTypes"] or ["all"]
    for name, (lists, others) in _PARTS.items():
        part = filled[name]
        if part is not None:
            empty: Json = {**{key: [] for key in lists}, **dict.fromkeys(others)}
            filled[name] = {
                **empty,
                **{key: _worded(value) if name in _WORDED else value for key, value in _untyped(part).items()},
            }
    return filled


def _untyped(part: Json | None) -> Json:
    """Without an ``@odata.type`` that says no more than the place does."""
    return {name: value for name, value in (part or {}).items() if name != "@odata.type"}


def _worded(value: Any) -> Any:
    """``none`` as the service writes it: conditionalaccessroot-post-policies.md has it in lower case."""
    if isinstance(value, list):
        return [_WORDS.get(item.lower(), item) if isinstance(item, str) else item for item in value]
    return value


def _sessions(session: Json | None) -> Json | None:
    """Session controls that are all null are no session controls (microsoftgraph/msgraph-metadata#93)."""
    given = _untyped(session)
    if all(value is None for value in given.values()):
        return None
    frequency = given.get("signInFrequency")
    if frequency:
        defaults = {"value": None, "type": None, "authenticationType": "primaryAndSecondaryAuthentication",
                    "frequencyInterval": "timeBased"}  # fmt: skip
        given["signInFrequency"] = {**defaults, **{n: v for n, v in frequency.items() if v is not None}}
    return {**dict.fromkeys(_SESSIONS), **given}


def _grants(grant: Json | None, sent: Json | None) -> Json | None:
    if not grant:
        return None
    empty: Json = {"operator": None, "builtInControls": [], "customAuthenticationFactors": [], "termsOfUse": []}
    return {**empty, **_untyped(grant), "authenticationStrength": given_strength(grant, sent or {})}
