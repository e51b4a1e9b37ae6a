"""Authentication strengths: authenticationstrength*.md in api-reference/v1.0/api and resources.

Combinations are written without blanks, as published exports show them, and read with or without.
"""

from __future__ import annotations

from collections.abc import Iterator

from graphkit.sandbox.areas.policy_base import absent, change_body, create_body, find, refuse
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import STRENGTHS, STRENGTHS_WRITE
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import check, is_guid
from graphkit.sandbox.seeding.policies import STRENGTHS as BUILT_IN

routes = Routes()

STRENGTH_KIND = Kind("policies/authenticationStrengthPolicies", "authenticationStrengthPolicy")
CONFIGURATION_KIND = Kind(
    "policies/authenticationStrengthPolicies/combinationConfigurations", "authenticationCombinationConfiguration"
)
MAX_CUSTOM = 15  # entra-docs, docs/identity/authentication/concept-authentication-strength-how-it-works.md
MFA_COMBINATIONS = frozenset(BUILT_IN[0].combinations) | {
    "password,x509CertificateSingleFactor",
    "password,x509CertificateMultiFactor",
}
"""The built-in strength "Multifactor authentication" holds them all (conditionalaccessroot-evaluate.md, an example)."""
WEAK_COMBINATIONS = frozenset({"password", "sms", "x509CertificateSingleFactor", "federatedSingleFactor", "qrCodePin"})
"""Single factors (assumption: authenticationstrengthroot-list-authenticationmethodmodes.md names only the modes)."""
_APPLIES = {
    "fido2CombinationConfiguration": frozenset({"fido2"}),
    "x509CertificateCombinationConfiguration": frozenset({"x509CertificateSingleFactor", "x509CertificateMultiFactor"}),
}

_POLICIES = "/policies/authenticationStrengthPolicies"
_ROOT = "/identity/conditionalAccess/authenticationStrength/policies"


def shown(strength: Json) -> Json:
    """As it is shown: with its configurations, which a policy that uses it shows too."""
    return {**strength, "combinationConfigurations": list(strength.get("combinationConfigurations") or [])}


@routes.get(_POLICIES, STRENGTHS, page="authenticationstrengthroot-list-policies")
@routes.get(_ROOT, STRENGTHS, page="authenticationstrengthroot-list-policies")
def list_strengths(call: Call) -> Reply:
    found = [shown(item) if item else None for item in call.tenant.state.table("strengths").in_order()]
    return listing(call, STRENGTH_KIND, found)


@routes.get(_POLICIES + "/{strength}", STRENGTHS, page="authenticationstrengthpolicy-get")
@routes.get(_ROOT + "/{strength}", STRENGTHS, page="authenticationstrengthpolicy-get")
def get_strength(call: Call) -> Reply:
    return entity(call, STRENGTH_KIND, shown(_strength(call)))


def _strength(call: Call) -> Json:
    return find(call, "strengths", "AuthenticationStrengthPolicy", call.params["strength"])


def _custom(call: Call) -> Json:
    strength = _strength(call)
    if strength["policyType"] == "builtIn":
        raise refuse("A built-in authentication strength policy cannot be changed or deleted.")
    return strength


@routes.post(_POLICIES, STRENGTHS_WRITE, page="authenticationstrengthroot-post-policies")
@routes.post(_ROOT, STRENGTHS_WRITE, page="authenticationstrengthroot-post-policies")
def create_strength(call: Call) -> Reply:
    body, _ = create_body(call, "authenticationStrengthPolicy")
    if not body.get("displayName"):
        raise refuse("A value is required for property 'displayName' of resource 'AuthenticationStrengthPolicy'.")
    table = call.tenant.state.table("strengths")
    if sum(item["policyType"] == "custom" for item in table.objects.values()) >= MAX_CUSTOM:
        raise refuse(f"The maximum number of custom authentication strengths, {MAX_CUSTOM}, has been reached.")
    combinations = _combinations(body.get("allowedCombinations"))
    strength = {
        "id": call.tenant.new_id(),
        "createdDateTime": instant(call.now),
        "modifiedDateTime": instant(call.now),
        "displayName": body["displayName"],
        "description": body.get("description") or "",
        "policyType": "custom",
        "requirementsSatisfied": _satisfied(combinations),
        "allowedCombinations": combinations,
        "combinationConfigurations": [],
        "_created": call.now,
    }
    call.tenant.state.put("strengths", strength)
    call.tenant.replication.created(call.now)
    return entity(call, STRENGTH_KIND, strength, status=201)


def _combinations(given: object) -> list[str]:
    if not isinstance(given, list) or not given:
        raise refuse("A value is required for property 'allowedCombinations' of resource "
                     "'AuthenticationStrengthPolicy'.")  # fmt: skip
    found = list(dict.fromkeys(",".join(part.strip() for part in str(item).split(",")) for item in given))
    for item in found:
        if item not in MFA_COMBINATIONS | WEAK_COMBINATIONS:
            raise refuse(f"'{item}' is not an allowed combination of authentication methods.")
    return found


def _satisfied(combinations: list[str]) -> str:
    return "mfa" if MFA_COMBINATIONS.issuperset(combinations) else "none"


@routes.patch(_POLICIES + "/{strength}", STRENGTHS_WRITE, page="authenticationstrengthpolicy-update")
@routes.patch(_ROOT + "/{strength}", STRENGTHS_WRITE, page="authenticationstrengthpolicy-update")
def update_strength(call: Call) -> Reply:
    strength = _custom(call)
    body, _ = change_body(call, "authenticationStrengthPolicy")
    if set(body) - {"displayName", "description"}:
        raise refuse("Only displayName and description can be updated. To change allowedCombinations, use the "
                     "updateAllowedCombinations action.")  # fmt: skip
    call.tenant.state.put("strengths", {**strength, **body, "modifiedDateTime": instant(call.now)})
    return Reply(204)


@routes.delete(_POLICIES + "/{strength}", STRENGTHS_WRITE, page="authenticationstrengthroot-delete-policies")
@routes.delete(_ROOT + "/{strength}", STRENGTHS_WRITE, page="authenticationstrengthroot-delete-policies")
def delete_strength(call: Call) -> Reply:
    strength = _custom(call)
    if any(_users(call, strength["id"])):
        raise refuse("The authentication strength is referenced by a Conditional Access policy and cannot be deleted.")
    call.tenant.state.delete("strengths", strength["id"])
    return Reply(204)


def _users(call: Call, key: str) -> Iterator[Json]:
    """The policies that demand this strength."""
    for policy in call.tenant.state.table("policies").objects.values():
        if ((policy.get("grantControls") or {}).get("authenticationStrength") or {}).get("id") == key:
            yield policy


@routes.post(
    _POLICIES + "/{strength}/updateAllowedCombinations",
    STRENGTHS_WRITE,
    page="authenticationstrengthpolicy-updateallowedcombinations",
)
@routes.post(
    _ROOT + "/{strength}/updateAllowedCombinations",
    STRENGTHS_WRITE,
    page="authenticationstrengthpolicy-updateallowedcombinations",
)
def update_combinations(call: Call) -> Reply:
    strength = _custom(call)
    before, after = strength["allowedCombinations"], _combinations(call.json.get("allowedCombinations"))
    users = [policy["id"] for policy in _users(call, strength["id"])]
    satisfied = _satisfied(after)
    if users and strength["requirementsSatisfied"] == "mfa" != satisfied:
        # authenticationstrengthpolicy-usage.md: changes that undermine a policy's demand for MFA are restricted.
        raise refuse("The allowed combinations no longer satisfy MFA, which policies that use this strength require.")
    changed = {"allowedCombinations": after, "requirementsSatisfied": satisfied, "modifiedDateTime": instant(call.now)}
    call.tenant.state.put("strengths", {**strength, **changed})
    result = {
        "@odata.context": call.context("microsoft.graph.updateAllowedCombinationsResult"),
        "previousCombinations": before,
        "currentCombinations": after,
        "conditionalAccessReferences": users,
        "additionalInformation": "",
    }
    return Reply(200, result)


@routes.get(_POLICIES + "/{strength}/usage", STRENGTHS, page="authenticationstrengthpolicy-usage")
@routes.get(_ROOT + "/{strength}/usage", STRENGTHS, page="authenticationstrengthpolicy-usage")
def usage(call: Call) -> Reply:
    strength = _strength(call)
    found = [{"id": policy["id"], "displayName": policy["displayName"]} for policy in _users(call, strength["id"])]
    mfa = strength["requirementsSatisfied"] == "mfa"
    return Reply(
        200,
        {
            "@odata.context": call.context("microsoft.graph.authenticationStrengthUsage"),
            "mfa": found if mfa else [],
            "none": [] if mfa else found,
        },
    )


# -- which keys and certificates will do ---------------------------------------------------------------------------


@routes.get(
    _POLICIES + "/{strength}/combinationConfigurations",
    STRENGTHS,
    page="authenticationstrengthpolicy-list-combinationconfigurations",
)
@routes.get(
    _ROOT + "/{strength}/combinationConfigurations",
    STRENGTHS,
    page="authenticationstrengthpolicy-list-combinationconfigurations",
)
def list_configurations(call: Call) -> Reply:
    return listing(call, CONFIGURATION_KIND, shown(_strength(call))["combinationConfigurations"])


@routes.get(
    _ROOT + "/{strength}/combinationConfigurations/{configuration}",
    STRENGTHS,
    page="authenticationcombinationconfiguration-get",
)
def get_configuration(call: Call) -> Reply:
    return entity(call, CONFIGURATION_KIND, _configuration(call, _strength(call)))


def _configuration(call: Call, strength: Json) -> Json:
    key = call.params["configuration"]
    found = next((item for item in shown(strength)["combinationConfigurations"] if item["id"] == key), None)
    if found is None:
        raise absent("AuthenticationCombinationConfiguration", key)
    return dict(found)


@routes.post(
    _POLICIES + "/{strength}/combinationConfigurations",
    STRENGTHS_WRITE,
    page="authenticationstrengthpolicy-post-combinationconfigurations",
)
@routes.post(
    _ROOT + "/{strength}/combinationConfigurations",
    STRENGTHS_WRITE,
    page="authenticationstrengthpolicy-post-combinationconfigurations",
)
def create_configuration(call: Call) -> Reply:
    strength = _custom(call)
    body, found = create_body(call, "authenticationCombinationConfiguration")
    made = {"@odata.type": f"#microsoft.graph.{found.name}", "id": call.tenant.new_id(), **body}
    _keep_configuration(call, strength, made, found.name)
    return entity(call, CONFIGURATION_KIND, made, status=201)


@routes.patch(
    _ROOT + "/{strength}/combinationConfigurations/{configuration}",
    STRENGTHS_WRITE,
    page="authenticationcombinationconfiguration-update",
)
def update_configuration(call: Call) -> Reply:
    strength = _custom(call)
    before = _configuration(call, strength)
    own_type = before["@odata.type"].rpartition(".")[2]
    body = {"@odata.type": own_type, **call.json}
    check(body, own_type, call.version, code="BadRequest")
    changes = {name: value for name, value in body.items() if "@" not in name and name != "id"}
    _keep_configuration(call, strength, {**before, **changes}, own_type)
    return Reply(204)


@routes.delete(
    _ROOT + "/{strength}/combinationConfigurations/{configuration}",
    STRENGTHS_WRITE,
    page="authenticationstrengthpolicy-delete-combinationconfigurations",
)
def delete_configuration(call: Call) -> Reply:
    strength = _custom(call)
    gone = _configuration(call, strength)
    kept = [item for item in strength["combinationConfigurations"] if item["id"] != gone["id"]]
    call.tenant.state.put("strengths", {**strength, "combinationConfigurations": kept})
    return Reply(204)


def _keep_configuration(call: Call, strength: Json, made: Json, type_name: str) -> None:
    """For a combination that the strength allows, and one configuration for each (the latter is an assumption)."""
    wanted = made.get("appliesToCombinations") or []
    if not wanted or not _APPLIES.get(type_name, frozenset()).issuperset(wanted):
        allowed = ", ".join(sorted(_APPLIES.get(type_name, ())))
        raise refuse(f"appliesToCombinations of a {type_name} must be one of: {allowed}.")
    if not set(strength["allowedCombinations"]).issuperset(wanted):
        raise refuse("appliesToCombinations must be among the allowedCombinations of the authentication strength.")
    if not all(is_guid(item) for item in made.get("allowedAAGUIDs") or []):
        raise refuse("allowedAAGUIDs must be GUIDs.")
    others = [item for item in strength["combinationConfigurations"] if item["id"] != made["id"]]
    if any(not set(item["appliesToCombinations"]).isdisjoint(wanted) for item in others):
        raise refuse("A configuration for this combination exists already.")
    call.tenant.state.put("strengths", {**strength, "combinationConfigurations": [*others, made]})
