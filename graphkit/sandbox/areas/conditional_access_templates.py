"""Templates of conditional access policies: the four that conditionalaccessroot-list-templates.md shows.

The service has more, so an id that is none of these is answered 501, not 404.
"""

from __future__ import annotations

import re

from graphkit.sandbox.call import Call, Json, Refusal, Reply
from graphkit.sandbox.permissions import POLICIES
from graphkit.sandbox.router import Routes
from graphkit.sandbox.seeding.seed import ROLES

routes = Routes()

_HAS = re.compile(r"scenarios\s+has\s+(?:microsoft\.graph\.templateScenarios)?'(\w+)'", re.IGNORECASE)
_PRIVILEGED = (
    "Global Administrator", "Security Administrator", "SharePoint Administrator", "Exchange Administrator",
    "Conditional Access Administrator", "Helpdesk Administrator", "Billing Administrator", "User Administrator",
    "Authentication Administrator", "Application Administrator", "Cloud Application Administrator",
    "Password Administrator", "Privileged Authentication Administrator", "Privileged Role Administrator",
)  # fmt: skip
_CURRENT = "Current administrator will be excluded"


def _template(key: str, name: str, description: str, scenarios: str, details: Json) -> Json:
    return {"name": name, "description": description, "id": key, "scenarios": scenarios, "details": details}


def _details(applications: Json, users: Json, control: str, clients: tuple[str, ...] = ("all",)) -> Json:
    conditions = {
        "userRiskLevels": [],
        "signInRiskLevels": [],
        "clientAppTypes": list(clients),
        "servicePrincipalRiskLevels": [],
        "platforms": None,
        "locations": None,
        "devices": None,
        "clientApplications": None,
        "applications": {
            "includeApplications": [],
            "excludeApplications": [],
            "includeUserActions": [],
            "includeAuthenticationContextClassReferences": [],
            "applicationFilter": None,
            **applications,
        },
        "users": {
            "includeUsers": [],
            "excludeUsers": [_CURRENT],
            "includeGroups": [],
            "excludeGroups": [],
            "includeRoles": [],
            "excludeRoles": [],
            "includeGuestsOrExternalUsers": None,
            "excludeGuestsOrExternalUsers": None,
            **users,
        },
    }
    grant = {
        "operator": "OR",
        "builtInControls": [control],
        "customAuthenticationFactors": [],
        "termsOfUse": [],
        "authenticationStrength": None,
    }
    return {"sessionControls": None, "conditions": conditions, "grantControls": grant}


_EVERY_APP: Json = {"includeApplications": ["All"]}
_EVERYONE: Json = {"includeUsers": ["All"]}
TEMPLATES = (
    _template(
        "c7503427-338e-4c5e-902d-abe252abfb43",
        "Require multifactor authentication for admins",
        "MFA for privileged administrative accounts.",
        "secureFoundation,zeroTrust,protectAdmins",
        _details(_EVERY_APP, {"includeRoles": [ROLES[role] for role in _PRIVILEGED]}, "mfa"),
    ),
    _template(
        "b8bda7f8-6584-4446-bce9-d871480e53fa",
        "Securing security info registration",
        "When and how users may register for MFA and self-service password reset.",
        "secureFoundation,zeroTrust,remoteWork",
        _details({"includeUserActions": ["urn:user:registersecurityinfo"]}, _EVERYONE, "mfa"),
    ),
    _template(
        "0b2282f9-2862-4178-88b5-d79340b36cb8",
        "Block legacy authentication",
        "No protocols that know nothing of MFA.",
        "secureFoundation,zeroTrust,remoteWork,protectAdmins",
        _details(_EVERY_APP, _EVERYONE, "block", ("exchangeActiveSync", "other")),
    ),
    _template(
        "a3d0a415-b068-4326-9251-f9cdf9feeb64",
        "Require multifactor authentication for all users",
        "MFA for every account.",
        "secureFoundation,zeroTrust,remoteWork",
        _details(_EVERY_APP, _EVERYONE, "mfa"),
    ),
)


@routes.get("/identity/conditionalAccess/templates", POLICIES, page="conditionalaccessroot-list-templates")
def list_templates(call: Call) -> Reply:
    """``$filter`` knows ``scenarios has '...'`` (the page) and nothing else here."""
    text = call.query.get("$filter")
    asked = _HAS.fullmatch(text.strip()) if text else None
    if text and asked is None:
        raise Refusal(501, "NotModelled", "The simulated tenant models only $filter=scenarios has '...' on templates.")
    found = [item for item in TEMPLATES if asked is None or asked[1] in item["scenarios"].split(",")]
    select = call.query.select
    shown = [{name: item.get(name) for name in select} if select else item for item in found]
    return Reply(200, {"@odata.context": call.context("identity/conditionalAccess/templates"), "value": shown})


@routes.get("/identity/conditionalAccess/templates/{template}", POLICIES, page="conditionalaccesstemplate-get")
def get_template(call: Call) -> Reply:
    for item in TEMPLATES:
        if item["id"] == call.params["template"].lower():
            return Reply(200, {"@odata.context": call.context("identity/conditionalAccess/templates/$entity"), **item})
    raise Refusal(501, "NotModelled", "The simulated tenant has four templates only; the service has more.")
