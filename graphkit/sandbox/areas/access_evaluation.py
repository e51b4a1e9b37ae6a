"""Would a policy apply to a sign-in, and what would it ask? For the sign-in log and for what-if.

resources/conditionalaccess*.md. Looked at are users, applications, user actions and contexts, client apps, platforms,
locations and risk. A device filter, terms of use and authentication flows are not: a policy that has an authentication
flow does not apply, one with a device filter is judged as if it had none.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from graphkit.sandbox.areas.groups import groups_of
from graphkit.sandbox.areas.registration import roles_of
from graphkit.sandbox.call import Call, Json

# Apps included in Conditional Access Office 365 app suite, as far as the tenant has them (entra-docs,
# reference-office-365-application-contents.md).
OFFICE = frozenset(
    {
        "00000002-0000-0ff1-ce00-000000000000",
        "00000003-0000-0ff1-ce00-000000000000",
        "cc15fd57-2c6c-4117-a88c-83b1d56b4bbe",
    }
)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """A sign-in as policies see it. ``groups`` and ``roles`` are all that the user is in or holds."""

    user_id: str
    groups: frozenset[str]
    roles: frozenset[str]
    guest: bool = False
    app: str = ""
    action: str = ""
    context: str = ""
    client: str = "browser"
    platform: str = "windows"
    address: str = ""
    country: str = ""
    sign_in_risk: str = "none"
    user_risk: str = "none"
    compliant: bool = False
    mfa: bool = False


def who(call: Call, user: Json) -> tuple[frozenset[str], frozenset[str]]:
    """A user's groups, nested ones too, and directory roles."""
    groups = frozenset(group["id"] for group in groups_of(call, user["id"], transitive=True))
    return groups, frozenset(roles_of(call, user["id"]))


def unmet(call: Call, policy: Json, at: Circumstances) -> list[str]:
    """The conditions that a sign-in does not meet, in the words of whatIfAnalysisReasons; none if it applies."""
    conditions = policy["conditions"]
    applications = conditions["applications"] or {}
    asked = "userActions" if at.action else "authenticationContext" if at.context else "application"
    clients = conditions["clientAppTypes"]
    met = {
        "users": _users(conditions["users"] or {}, at),
        asked: _applications(applications, at),
        "clientApps": clients == ["all"] or at.client in clients,
        "devicePlatform": _platforms(conditions["platforms"], at),
        "location": _locations(call, conditions["locations"], at),
        "signInRisk": not conditions["signInRiskLevels"] or at.sign_in_risk in conditions["signInRiskLevels"],
        "userRisk": not conditions["userRiskLevels"] or at.user_risk in conditions["userRiskLevels"],
        "insiderRisk": not conditions["insiderRiskLevels"],
        "authenticationFlow": not conditions["authenticationFlows"],
    }
    return [reason for reason, is_met in met.items() if not is_met]


def _users(users: Json, at: Circumstances) -> bool:
    return _named(users, "include", at) and not _named(users, "exclude", at)


def _named(users: Json, side: str, at: Circumstances) -> bool:
    named = users.get(side + "Users") or []
    guests = "GuestsOrExternalUsers" in named or users.get(side + "GuestsOrExternalUsers")
    return bool(
        "All" in named
        or at.user_id in named
        or (at.guest and guests)
        or not at.groups.isdisjoint(users.get(side + "Groups") or [])
        or not at.roles.isdisjoint(users.get(side + "Roles") or [])
    )


def _applications(applications: Json, at: Circumstances) -> bool:
    if at.action:
        return at.action in (applications.get("includeUserActions") or [])
    if at.context:
        return at.context in (applications.get("includeAuthenticationContextClassReferences") or [])
    return _apps(applications.get("includeApplications"), at) and not _apps(applications.get("excludeApplications"), at)


def _apps(named: Iterable[str] | None, at: Circumstances) -> bool:
    words = set(named or ())
    return "All" in words or at.app in words or ("Office365" in words and at.app in OFFICE)


def _platforms(platforms: Json | None, at: Circumstances) -> bool:
    if platforms is None:
        return True
    included, excluded = platforms["includePlatforms"], platforms["excludePlatforms"]
    return ("all" in included or at.platform in included) and at.platform not in excluded


def _locations(call: Call, locations: Json | None, at: Circumstances) -> bool:
    if locations is None:
        return True
    included = any(_is_at(call, key, at) for key in locations["includeLocations"])
    return included and not any(_is_at(call, key, at) for key in locations["excludeLocations"])


def _is_at(call: Call, key: str, at: Circumstances) -> bool:
    table = call.tenant.state.table("locations").objects
    if key == "All":
        return True
    if key == "AllTrusted":
        return any(place.get("isTrusted") and _covers(place, at) for place in table.values())
    place = table.get(key)
    return place is not None and _covers(place, at)


def _covers(place: Json, at: Circumstances) -> bool:
    if place.get("countriesAndRegions"):
        return at.country in place["countriesAndRegions"] or (
            not at.country and bool(place.get("includeUnknownCountriesAndRegions"))
        )
    if not at.address:
        return False
    address = ipaddress.ip_address(at.address)
    networks = (ipaddress.ip_network(entry["cidrAddress"], strict=False) for entry in place.get("ipRanges") or ())
    return any(address.version == network.version and address in network for network in networks)


def outcome(policy: Json, at: Circumstances) -> str:
    """``success``, ``interrupted`` (the user would be asked for something) or ``failure``, once a policy applies.

    entra-docs, concept-conditional-access-report-only.md: a control that would ask the user for something interrupts,
    any other that is not satisfied fails.
    """
    grant = policy["grantControls"]
    if not grant:
        return "success"
    controls = [_control(control, at) for control in grant["builtInControls"]]
    if grant.get("authenticationStrength"):
        controls.append(_control("mfa", at))
    if grant["termsOfUse"] or grant["customAuthenticationFactors"]:
        controls.append("interrupted")
    if not controls:
        return "success"
    order = ("success", "interrupted", "failure")
    ranked = sorted(controls, key=order.index)
    return ranked[-1] if grant["operator"] == "AND" else ranked[0]


def _control(name: str, at: Circumstances) -> str:
    if name in ("mfa", "passwordChange", "riskRemediation"):
        return "success" if at.mfa and name == "mfa" else "interrupted"
    if name in ("compliantDevice", "domainJoinedDevice", "compliantApplication", "approvedApplication"):
        return "success" if at.compliant else "failure"
    return "failure"
