"""What a conditional access policy may say: resources/conditionalaccess*.md, conditionalaccessroot-post-policies.md.

A number before a message is the service's own where a public report shows it; messages without one are our words.
"""

from __future__ import annotations

from graphkit.sandbox.areas.groups import directory_object
from graphkit.sandbox.areas.policy_base import refuse
from graphkit.sandbox.call import Call, Json, Refusal
from graphkit.sandbox.schema.check import is_guid

USER_WORDS = frozenset({"None", "All", "GuestsOrExternalUsers"})
APP_WORDS = frozenset({"All", "None", "Office365", "MicrosoftAdminPortals", "AllAgentIdResources"})
LOCATION_WORDS = frozenset({"All", "AllTrusted", "00000000-0000-0000-0000-000000000000"})
"""The last one stands for the trusted addresses of multifactor authentication (Microsoft365DSC#2974)."""
PRINCIPAL_WORDS = frozenset({"ServicePrincipalsInMyTenant", "All"})
USER_ACTIONS = frozenset({"urn:user:registersecurityinfo", "urn:user:registerdevice"})
_ALONE = frozenset({"All", "None"})
_MALFORMED = (  # microsoftgraph/microsoft-graph-docs#10894, also for a strength without its id
    "1007: Incoming ConditionalAccessPolicy object is null or does not match the schema of ConditionalAccessPolicy "
    "type. For examples, please see API documentation at "
    "https://docs.microsoft.com/en-us/graph/api/conditionalaccessroot-post-policies?view=graph-rest-1.0."
)
SECURITY_DEFAULTS_ON = (
    "Security Defaults is enabled in the tenant. You must disable Security defaults before enabling a Conditional "
    "Access policy."
)


def check_policy(call: Call, policy: Json) -> None:
    """Raises :class:`Refusal` (400) for a completed policy that the service would not keep."""
    if not policy.get("displayName") or not policy.get("state"):
        raise refuse(_MALFORMED)
    conditions = policy["conditions"]
    _check_required(policy, conditions)
    _check_users(call, conditions["users"] or {})
    _check_applications(call, conditions["applications"] or {})
    _check_principals(call, conditions["clientApplications"] or {})
    _check_places(call, conditions)
    _check_grant(call, policy["grantControls"])
    _check_password_change(policy, conditions)
    _check_frequency(policy["sessionControls"] or {})
    defaults = next(iter(call.tenant.state.table("securityDefaults").objects.values()))
    if policy["state"] == "enabled" and defaults["isEnabled"]:
        raise refuse(SECURITY_DEFAULTS_ON)


def _invalid(reason: str) -> Refusal:
    """AlexFilipin/ConditionalAccess#4 shows InvalidPasswordResetControl, others InvalidControls for no control."""
    return malformed(f"1032: ConditionalActionPolicy validation failed due to {reason}.")


def malformed(reason: str) -> Refusal:
    """What is wrong is told in the inner error alone (AlexFilipin/ConditionalAccess#3 and #4)."""
    message = "The server could not process the request because it is malformed or incorrect."
    return Refusal(400, "BadRequest", message, inner={"message": reason})


def _check_required(policy: Json, conditions: Json) -> None:
    """An application rule, a user rule and a grant or session control (conditionalaccessroot-post-policies.md)."""
    applications = conditions["applications"] or {}
    chosen = ("includeUserActions", "includeAuthenticationContextClassReferences")
    # Filters, and the traffic profiles that only beta knows.
    others = ("applicationFilter", "networkAccess", "globalSecureAccess")
    if not any(applications.get(name) for name in ("includeApplications", *chosen, *others)):
        raise refuse("The policy must include at least one application, user action or authentication context.")
    if applications["includeApplications"] and any(applications.get(name) for name in chosen):
        # nicolonsky/ModernWorkplaceConcierge#50
        raise refuse(
            "1012: 'applications' condition cannot include both 'includeApplications' and "
            "'includeUserActions'/'includeProtectionLevels'. Please remove one of the conditions."
        )
    people = (conditions["users"], conditions["clientApplications"], conditions.get("agents"))
    if not any(_includes(part) for part in people):
        raise refuse("The policy must include at least one user, group, role, guest or workload identity.")
    if not _asks(policy["grantControls"]) and not policy["sessionControls"]:
        raise _invalid("InvalidControls")


def _asks(grant: Json | None) -> bool:
    """Grant controls may be empty beside session controls: a published export of a tenant has them so."""
    names = ("builtInControls", "authenticationStrength", "termsOfUse", "customAuthenticationFactors")
    return any((grant or {}).get(name) for name in names)


def _includes(part: Json | None) -> bool:
    return any(value for name, value in (part or {}).items() if name.startswith("include"))


def _check_alone(name: str, values: list[str]) -> None:
    """``All`` and ``None`` are whole answers (assumption; the admin centre lets one choose nothing beside them)."""
    word = next((value for value in values if value in _ALONE), None)
    if word and len(set(values)) > 1:
        raise refuse(f"'{word}' cannot be combined with other values in {name}.")


def _check_users(call: Call, users: Json) -> None:
    for side in ("include", "exclude"):
        named = users.get(side + "Users") or []
        _check_alone(side + "Users", named)
        if side == "exclude" and not _ALONE.isdisjoint(named):
            raise refuse("excludeUsers holds ids of users, or GuestsOrExternalUsers.")  # conditionalaccessusers.md
        if "GuestsOrExternalUsers" in named and users.get(f"{side}GuestsOrExternalUsers"):
            # hashicorp/terraform-provider-azuread#1196
            raise refuse("'GuestsOrExternalUsers' cannot be combined with guestOrExternalUsers")
        for key in named:
            _check_object(call, key, "user", f"{side}Users", USER_WORDS)
        for key in users.get(side + "Groups") or []:
            _check_object(call, key, "group", f"{side}Groups", frozenset())
        for key in users.get(side + "Roles") or []:
            # Any GUID: built-in roles are many more than the tenant is seeded with. `All` is refused: azuread#686.
            if not is_guid(key):
                raise refuse(f"Role '{key}' in {side}Roles is not the id of a role template.")


def _check_object(call: Call, key: str, wanted: str, place: str, words: frozenset[str]) -> None:
    if key in words:
        return
    known = directory_object(call, key) if is_guid(key) else None
    if known is None or known[0] != wanted:
        raise refuse(f"{wanted.capitalize()} '{key}' in {place} does not exist in the directory.")


def _check_applications(call: Call, applications: Json) -> None:
    principals = call.tenant.state.table("servicePrincipals")
    _check_alone("includeApplications", applications.get("includeApplications") or [])
    for side in ("includeApplications", "excludeApplications"):
        words = APP_WORDS if side == "includeApplications" else APP_WORDS - _ALONE
        for key in applications.get(side) or []:
            if key not in words and not principals.find("appId", key):
                raise refuse(f"Application '{key}' in {side} does not exist in the directory.")
    for action in applications.get("includeUserActions") or []:
        if action not in USER_ACTIONS:
            raise refuse(f"User action '{action}' is not supported.")
    for key in applications.get("includeAuthenticationContextClassReferences") or []:
        if call.tenant.state.get("authenticationContexts", key) is None:
            raise refuse(f"Authentication context '{key}' does not exist in the directory.")


def _check_principals(call: Call, clients: Json) -> None:
    for side in ("includeServicePrincipals", "excludeServicePrincipals"):
        for key in clients.get(side) or []:
            _check_object(call, key, "servicePrincipal", side, PRINCIPAL_WORDS)


def _check_places(call: Call, conditions: Json) -> None:
    """Locations that exist; and a part that is there says what it includes."""
    locations, platforms = conditions["locations"], conditions["platforms"]
    if locations is not None:
        for key in [*locations["includeLocations"], *locations["excludeLocations"]]:
            _check_location(call, key)
        if not locations["includeLocations"]:
            raise refuse("The locations condition must include at least one location.")
    if platforms is not None and not platforms["includePlatforms"]:
        raise refuse("The platforms condition must include at least one platform.")
    rule = (conditions["devices"] or {}).get("deviceFilter")
    if rule and not (rule.get("mode") and rule.get("rule")):
        raise refuse("A device filter must have a mode and a rule.")


def _check_location(call: Call, key: str) -> None:
    if key in LOCATION_WORDS:
        return
    found = call.tenant.state.get("locations", key)
    if found is None or not call.tenant.replication.visible(found, call.now, call.replica):
        # Also said of a location that was made a moment ago (reliability notes, CIPP's code).
        raise refuse(f"1040: NamedLocation with id {key} does not exist in the directory.")


def given_strength(grant: Json, sent: Json) -> Json | None:
    """The strength that a policy names, as ``{"id": ...}``: given as an object with an id, or bound by its address."""
    bound = sent.get("authenticationStrength@odata.bind")
    if bound:
        return {"id": str(bound).rstrip("/").rpartition("/")[2].removesuffix("')").rpartition("('")[2]}
    given = grant.get("authenticationStrength")
    if given and not given.get("id"):
        raise refuse(_MALFORMED)
    return {"id": given["id"]} if given else None


def _check_grant(call: Call, grant: Json | None) -> None:
    if not grant:
        return
    controls, strength, terms = grant["builtInControls"], grant["authenticationStrength"], grant["termsOfUse"]
    if grant["operator"] not in ("AND", "OR"):
        raise refuse("The operator of the grant controls must be AND or OR.")
    if "block" in controls and (len(controls) > 1 or strength or terms or grant["customAuthenticationFactors"]):
        raise _invalid("InvalidControls")
    if "mfa" in controls and strength:  # behaviours of the service, unverified
        raise refuse("The mfa control cannot be combined with an authentication strength.")
    if strength and call.tenant.state.get("strengths", strength["id"]) is None:
        raise refuse(f"Authentication strength policy '{strength['id']}' does not exist.")
    for key in terms:
        if call.tenant.state.get("agreements", key) is None:
            raise refuse(f"Terms of use agreement '{key}' does not exist.")


_BESIDE_PASSWORD = ("signInRiskLevels", "servicePrincipalRiskLevels", "platforms", "locations", "devices",
                    "clientApplications", "authenticationFlows", "insiderRiskLevels")  # fmt: skip


def _check_password_change(policy: Json, conditions: Json) -> None:
    """resources/conditionalaccessgrantcontrols.md, "Special considerations when using passwordChange"."""
    grant = policy["grantControls"]
    if not grant or "passwordChange" not in grant["builtInControls"]:
        return
    applications = conditions["applications"] or {}
    kept = (
        grant["operator"] == "AND"
        and "mfa" in grant["builtInControls"]
        and conditions["userRiskLevels"]
        and applications.get("includeApplications") == ["All"]
        and not applications.get("excludeApplications")
        and conditions["clientAppTypes"] == ["all"]
        and not any(conditions.get(name) for name in _BESIDE_PASSWORD)
    )
    if not kept:
        raise _invalid("InvalidPasswordResetControl")


def _check_frequency(session: Json) -> None:
    """resources/signinfrequencysessioncontrol.md: so many hours or days, or every time and then neither."""
    frequency = session.get("signInFrequency")
    if not frequency or not frequency.get("isEnabled"):
        return
    timed = frequency["frequencyInterval"] == "timeBased"
    value, unit = frequency["value"], frequency["type"]
    if timed and not (unit and isinstance(value, int) and value >= 1):
        raise refuse("A time-based sign-in frequency needs a value of at least 1 and the type hours or days.")
    if not timed and (value is not None or unit is not None):
        raise refuse("A sign-in frequency of everyTime has neither a value nor a type.")
