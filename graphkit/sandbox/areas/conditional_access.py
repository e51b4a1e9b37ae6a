"""Conditional access: policies, named locations, authentication strengths, terms of use, security defaults.

api-reference/v1.0/api/conditionalaccessroot-post-policies.md and resources/conditionalaccess*.md. The numbers before
the messages (1007 ...) are the service's own where a public report shows them.
"""

from __future__ import annotations

from typing import Any

from graphkit.sandbox.areas.groups import directory_object
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import ACCESS, ACCESS_WRITE, AGREEMENTS, APPS, POLICIES, STRENGTHS
from graphkit.sandbox.query import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema import check, check_writable, is_guid

routes = Routes()

POLICY_KIND = Kind("identity/conditionalAccess/policies", "conditionalAccessPolicy")
LOCATION_KIND = Kind("identity/conditionalAccess/namedLocations", "namedLocation")
STRENGTH_KIND = Kind("policies/authenticationStrengthPolicies", "authenticationStrengthPolicy")
AGREEMENT_KIND = Kind("identityGovernance/termsOfUse/agreements", "agreement")
DEFAULTS_KIND = Kind("policies/identitySecurityDefaultsEnforcementPolicy", "identitySecurityDefaultsEnforcementPolicy")

MAX_POLICIES = 195  # entra-service-limits-include.md, 2024-07
USER_WORDS = frozenset({"None", "All", "GuestsOrExternalUsers"})
APP_WORDS = frozenset({"All", "None", "Office365", "MicrosoftAdminPortals", "AllAgentIdResources"})
LOCATION_WORDS = frozenset({"All", "AllTrusted", "00000000-0000-0000-0000-000000000000"})
_MALFORMED = (
    "1007: Incoming ConditionalAccessPolicy object is null or does not match the schema of ConditionalAccessPolicy "
    "type. For examples, please see API documentation at "
    "https://docs.microsoft.com/en-us/graph/api/conditionalaccessroot-post-policies?view=graph-rest-1.0."
)


def _refuse(message: str) -> Refusal:
    return bad_request(message, "BadRequest")


def _missing(what: str, key: str) -> Refusal:
    return Refusal(404, "NotFound", f"{what} with id '{key}' could not be found in the directory.")


# -- policies ----------------------------------------------------------------------------------------------------


@routes.get("/identity/conditionalAccess/policies", ACCESS, page="conditionalaccessroot-list-policies")
def list_policies(call: Call) -> Reply:
    return listing(call, POLICY_KIND, call.tenant.state.table("policies").in_order())


@routes.get("/identity/conditionalAccess/policies/{policy}", ACCESS, page="conditionalaccesspolicy-get")
def get_policy(call: Call) -> Reply:
    return entity(call, POLICY_KIND, _policy(call))


def _policy(call: Call) -> Json:
    key = call.params["policy"]
    found = call.tenant.state.get("policies", key)
    if found is None or not call.tenant.replication.visible(found, call.now, call.replica):
        raise _missing("1004: ConditionalAccessPolicy", key)
    return found


@routes.post(
    "/identity/conditionalAccess/policies", POLICIES, ACCESS_WRITE, APPS, page="conditionalaccessroot-post-policies"
)
def create_policy(call: Call) -> Reply:
    """Not idempotent: displayName is not unique, so a repeated POST makes a second policy."""
    body = call.json
    check_writable(body, check(body, "conditionalAccessPolicy", call.version, code="BadRequest"), code="BadRequest")
    if len(call.tenant.state.table("policies").objects) >= MAX_POLICIES:
        raise _refuse(f"1037: The maximum number of policies, {MAX_POLICIES}, has been reached.")
    policy = {
        "id": call.tenant.new_id(),
        "templateId": None,
        "createdDateTime": instant(call.now),
        "modifiedDateTime": None,
        "sessionControls": None,
        "grantControls": None,
        **_plain(body),
        "_created": call.now,
    }
    policy["conditions"] = _completed(policy.get("conditions"))
    _check_policy(call, policy)
    _expand_strength(call, policy)
    call.tenant.state.put("policies", policy)
    call.tenant.replication.created(call.now)
    return entity(call, POLICY_KIND, policy, status=201)


@routes.patch(
    "/identity/conditionalAccess/policies/{policy}", POLICIES, ACCESS_WRITE, APPS, page="conditionalaccesspolicy-update"
)
def update_policy(call: Call) -> Reply:
    policy = _policy(call)
    body = call.json
    check_writable(body, check(body, "conditionalAccessPolicy", call.version, code="BadRequest"), code="BadRequest")
    changed = {**policy, **_plain(body), "modifiedDateTime": instant(call.now)}
    if "conditions" in body:
        changed["conditions"] = _completed({**policy["conditions"], **(_plain(body["conditions"] or {}))})
    _check_policy(call, changed)
    _expand_strength(call, changed)
    call.tenant.state.put("policies", changed)
    return Reply(204)


@routes.delete(
    "/identity/conditionalAccess/policies/{policy}", POLICIES, ACCESS_WRITE, page="conditionalaccesspolicy-delete"
)
def delete_policy(call: Call) -> Reply:
    policy = _policy(call)
    call.tenant.state.delete("policies", policy["id"])
    call.tenant.state.put("deletedPolicies", {**policy, "deletedDateTime": instant(call.now)})
    return Reply(204)


def _plain(value: Any) -> Any:
    """A body without its annotations, at any depth, but for the ``@odata.type`` that tells shapes apart."""
    if isinstance(value, dict):
        return {
            name: _plain(inner) for name, inner in value.items() if "@" not in name or (name == "@odata.type" and inner)
        }
    return [_plain(item) for item in value] if isinstance(value, list) else value


_USER_LISTS = ("includeUsers", "excludeUsers", "includeGroups", "excludeGroups", "includeRoles", "excludeRoles")
_APP_LISTS = (
    "includeApplications",
    "excludeApplications",
    "includeUserActions",
    "includeAuthenticationContextClassReferences",
)


def _completed(conditions: Json | None) -> Json:
    """Conditions with what the service fills in: empty collections, nulls, and clientAppTypes ``all``."""
    given = conditions or {}
    filled = {
        "userRiskLevels": [],
        "signInRiskLevels": [],
        "servicePrincipalRiskLevels": [],
        "clientAppTypes": [],
        "insiderRiskLevels": None,
        "platforms": None,
        "locations": None,
        "devices": None,
        "clientApplications": None,
        "authenticationFlows": None,
        **{name: value for name, value in given.items() if name != "@odata.type"},
    }
    filled["clientAppTypes"] = filled["clientAppTypes"] or ["all"]
    for name, lists in (("users", _USER_LISTS), ("applications", _APP_LISTS)):
        part = given.get(name)
        filled[name] = {**part, **{key: part.get(key) or [] for key in lists}} if part else None
    return filled


def _check_policy(call: Call, policy: Json) -> None:
    if not policy.get("displayName") or not policy.get("state"):
        raise _refuse(_MALFORMED)
    conditions = policy["conditions"]
    _check_required(policy, conditions)
    _check_grant(call, policy.get("grantControls"))
    _check_users(call, conditions.get("users") or {})
    _check_applications(call, conditions.get("applications") or {})
    locations = conditions.get("locations") or {}
    for side in ("includeLocations", "excludeLocations"):
        for key in locations.get(side) or []:
            _check_location(call, key)
    if (
        policy["state"] == "enabled"
        and call.tenant.state.table("securityDefaults").objects["securityDefaults"]["isEnabled"]
    ):
        raise _refuse("Security Defaults is enabled in the tenant. You must disable Security defaults before enabling "
                      "a Conditional Access policy.")  # fmt: skip


def _check_required(policy: Json, conditions: Json) -> None:
    """An application rule, a user rule and a grant or session control (conditionalaccessroot-post-policies.md)."""
    applications = conditions.get("applications") or {}
    chosen = ("includeApplications", "includeUserActions", "includeAuthenticationContextClassReferences")
    if not any(applications.get(name) for name in (*chosen, "applicationFilter")):
        raise _refuse("1009: The policy must include at least one application, user action or authentication context.")
    people = (conditions.get("users"), conditions.get("clientApplications"), conditions.get("agents"))
    if not any(_includes(part) for part in people):
        raise _refuse("1010: The policy must include at least one user, group, role, guest or workload identity.")
    session = policy.get("sessionControls") or {}
    if not policy.get("grantControls") and not any(value for name, value in session.items() if name != "@odata.type"):
        raise _refuse("1032: The policy must have a grant control or a session control.")


def _includes(part: Json | None) -> bool:
    return any(value for name, value in (part or {}).items() if name.startswith("include"))


def _check_grant(call: Call, grant: Json | None) -> None:
    if not grant:
        return
    controls = grant.get("builtInControls") or []
    strength = grant.get("authenticationStrength")
    terms = grant.get("termsOfUse") or []
    if not (controls or strength or terms or grant.get("customAuthenticationFactors")):
        raise _refuse("1033: Grant controls must hold at least one control.")
    if grant.get("operator") not in ("AND", "OR"):
        raise _refuse("1034: The operator of the grant controls must be AND or OR.")
    if "block" in controls and (len(controls) > 1 or strength or terms):
        raise _refuse("1035: The block control cannot be combined with other controls.")
    if "mfa" in controls and strength:
        raise _refuse("1036: The mfa control cannot be combined with an authentication strength.")
    if strength and call.tenant.state.get("strengths", str(strength.get("id"))) is None:
        raise _refuse(f"1059: Authentication strength policy '{strength.get('id')}' does not exist.")
    for key in terms:
        if call.tenant.state.get("agreements", key) is None:
            raise _refuse(f"1060: Terms of use agreement '{key}' does not exist.")


def _expand_strength(call: Call, policy: Json) -> None:
    """A strength is given by id and shown whole."""
    grant = policy.get("grantControls")
    if grant:
        given = grant.get("authenticationStrength") or {}
        policy["grantControls"] = {
            "builtInControls": [],
            "customAuthenticationFactors": [],
            "termsOfUse": [],
            **grant,
            "authenticationStrength": call.tenant.state.get("strengths", given["id"]) if given else None,
        }


def _check_users(call: Call, users: Json) -> None:
    for name, wanted in (("Users", "user"), ("Groups", "group"), ("Roles", "")):
        for side in ("include", "exclude"):
            for key in users.get(side + name) or []:
                if wanted == "user" and key in USER_WORDS:
                    continue
                known = directory_object(call, key) if wanted and is_guid(key) else None
                if (known is None or known[0] != wanted) if wanted else not is_guid(key):
                    raise _refuse(f"1011: {(wanted or 'role').capitalize()} '{key}' in {side}{name} does not exist in "
                                  "the directory.")  # fmt: skip


def _check_applications(call: Call, applications: Json) -> None:
    principals = call.tenant.state.table("servicePrincipals")
    for side in ("includeApplications", "excludeApplications"):
        for key in applications.get(side) or []:
            if key not in APP_WORDS and not principals.find("appId", key):
                raise _refuse(f"1012: Application '{key}' in {side} does not exist in the directory.")


def _check_location(call: Call, key: str) -> None:
    if key in LOCATION_WORDS:
        return
    found = call.tenant.state.get("locations", key)
    if found is None or not call.tenant.replication.visible(found, call.now, call.replica):
        # Also said of a location that was made a moment ago (reliability notes, CIPP's code).
        raise _refuse(f"1040: NamedLocation with id {key} does not exist in the directory.")


# -- named locations ---------------------------------------------------------------------------------------------


@routes.get("/identity/conditionalAccess/namedLocations", ACCESS, page="conditionalaccessroot-list-namedlocations")
def list_locations(call: Call) -> Reply:
    return listing(call, LOCATION_KIND, call.tenant.state.table("locations").in_order())


@routes.get("/identity/conditionalAccess/namedLocations/{location}", ACCESS, page="namedlocation-get")
def get_location(call: Call) -> Reply:
    return entity(call, LOCATION_KIND, _location(call))


def _location(call: Call) -> Json:
    key = call.params["location"]
    found = call.tenant.state.get("locations", key)
    if found is None or not call.tenant.replication.visible(found, call.now, call.replica):
        raise _missing("1040: NamedLocation", key)
    return found


@routes.post(
    "/identity/conditionalAccess/namedLocations",
    POLICIES,
    ACCESS_WRITE,
    page="conditionalaccessroot-post-namedlocations",
)
def create_location(call: Call) -> Reply:
    body = call.json
    found = check(body, "namedLocation", call.version, code="BadRequest")
    check_writable(body, found, code="BadRequest")
    if found.name == "namedLocation":
        raise _refuse("1038: The @odata.type of the named location must be ipNamedLocation or countryNamedLocation.")
    location = {
        "@odata.type": f"#microsoft.graph.{found.name}",
        "id": call.tenant.new_id(),
        "createdDateTime": instant(call.now),
        "modifiedDateTime": instant(call.now),
        **_DEFAULTS.get(found.name, {}),
        **{name: value for name, value in _plain(body).items() if name != "@odata.type"},
        "_created": call.now,
    }
    _check_location_values(location, found.name)
    call.tenant.state.put("locations", location)
    call.tenant.replication.created(call.now)
    return entity(call, LOCATION_KIND, location, status=201)


_DEFAULTS: dict[str, Json] = {
    "ipNamedLocation": {"isTrusted": False},
    "countryNamedLocation": {"includeUnknownCountriesAndRegions": False, "countryLookupMethod": "clientIpAddress"},
}


def _check_location_values(location: Json, type_name: str) -> None:
    needed = {"ipNamedLocation": "ipRanges", "countryNamedLocation": "countriesAndRegions"}.get(type_name)
    if not location.get("displayName") or (needed and not location.get(needed)):
        raise _refuse(f"1041: A named location needs displayName{' and ' + needed if needed else ''}.")
    for code in location.get("countriesAndRegions") or []:
        if not (len(code) == 2 and code.isalpha() and code.isupper()):
            raise _refuse(f"1042: '{code}' is not a two-letter country code.")
    for entry in location.get("ipRanges") or []:
        if not entry.get("cidrAddress") or "/" not in entry["cidrAddress"]:
            raise _refuse("1043: An IP range needs a cidrAddress such as 203.0.113.0/24.")


@routes.patch(
    "/identity/conditionalAccess/namedLocations/{location}", POLICIES, ACCESS_WRITE, page="ipnamedlocation-update"
)
def update_location(call: Call) -> Reply:
    location = _location(call)
    own_type = location["@odata.type"].removeprefix("#microsoft.graph.")
    body = {"@odata.type": own_type, **call.json}
    found = check(body, "namedLocation", call.version, code="BadRequest")
    check_writable(body, found, code="BadRequest")
    if found.name != own_type:
        raise _refuse("1044: The type of a named location cannot be changed.")
    changes = {name: value for name, value in _plain(body).items() if name != "@odata.type"}
    changed = {**location, **changes, "modifiedDateTime": instant(call.now)}
    _check_location_values(changed, found.name)
    call.tenant.state.put("locations", changed)
    return Reply(204)


@routes.delete(
    "/identity/conditionalAccess/namedLocations/{location}", POLICIES, ACCESS_WRITE, page="ipnamedlocation-delete"
)
def delete_location(call: Call) -> Reply:
    """Refused while a policy refers to it; a trusted one must be untrusted first (namedlocation-delete)."""
    location = _location(call)
    if location.get("isTrusted"):
        raise _refuse("1045: A trusted named location cannot be deleted. Set isTrusted to false first.")
    for policy in call.tenant.state.table("policies").objects.values():
        used = policy["conditions"].get("locations") or {}
        if location["id"] in [*(used.get("includeLocations") or []), *(used.get("excludeLocations") or [])]:
            raise _refuse(f"1046: NamedLocation is used by the policy '{policy['id']}' and cannot be deleted.")
    call.tenant.state.delete("locations", location["id"])
    call.tenant.state.put("deletedLocations", {**location, "deletedDateTime": instant(call.now)})
    return Reply(204)


# -- what policies refer to --------------------------------------------------------------------------------------


@routes.get("/policies/authenticationStrengthPolicies", STRENGTHS, page="authenticationstrengthroot-list-policies")
@routes.get(
    "/identity/conditionalAccess/authenticationStrength/policies",
    STRENGTHS,
    page="authenticationstrengthroot-list-policies",
)
def list_strengths(call: Call) -> Reply:
    return listing(call, STRENGTH_KIND, call.tenant.state.table("strengths").in_order())


@routes.get("/policies/authenticationStrengthPolicies/{strength}", STRENGTHS, page="authenticationstrengthpolicy-get")
@routes.get(
    "/identity/conditionalAccess/authenticationStrength/policies/{strength}",
    STRENGTHS,
    page="authenticationstrengthpolicy-get",
)
def get_strength(call: Call) -> Reply:
    found = call.tenant.state.get("strengths", call.params["strength"])
    if found is None:
        raise _missing("AuthenticationStrengthPolicy", call.params["strength"])
    return entity(call, STRENGTH_KIND, found)


@routes.get("/agreements", AGREEMENTS, page="termsofusecontainer-list-agreements")
@routes.get("/identityGovernance/termsOfUse/agreements", AGREEMENTS, page="termsofusecontainer-list-agreements")
def list_agreements(call: Call) -> Reply:
    return listing(call, AGREEMENT_KIND, call.tenant.state.table("agreements").in_order())


@routes.post("/agreements", ("Agreement.ReadWrite.All",), page="termsofusecontainer-post-agreements")
@routes.post(
    "/identityGovernance/termsOfUse/agreements",
    ("Agreement.ReadWrite.All",),
    page="termsofusecontainer-post-agreements",
)
def create_agreement(call: Call) -> Reply:
    body = call.json
    check(body, "agreement", call.version, code="BadRequest")
    if not body.get("displayName"):
        raise _refuse("A terms of use agreement needs a displayName.")
    agreement = {"id": call.tenant.new_id(), **_plain(body)}
    call.tenant.state.put("agreements", agreement)
    return entity(call, AGREEMENT_KIND, agreement, status=201)


@routes.get(
    "/policies/identitySecurityDefaultsEnforcementPolicy",
    (*POLICIES, "Policy.ReadWrite.SecurityDefaults"),
    page="identitysecuritydefaultsenforcementpolicy-get",
)
def get_security_defaults(call: Call) -> Reply:
    return entity(call, DEFAULTS_KIND, call.tenant.state.table("securityDefaults").objects["securityDefaults"])
