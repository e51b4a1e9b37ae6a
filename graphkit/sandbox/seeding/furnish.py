"""What an administrator would find in a tenant that is in use: groups with members, and policies.

Made through the front door, so that nothing here can be in a shape that the service would refuse.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

ROOT = "https://graph.microsoft.com"
HEADERS = {"authorization": "Bearer furnishing", "content-type": "application/json"}
MEMBERS = 20
"""Bound when a group is made: as many as the service takes (api-reference/v1.0/api/group-post-groups.md)."""

_CA = "/v1.0/identity/conditionalAccess"
_INTUNE = "/v1.0/deviceManagement"
_REPORT_ONLY = "enabledForReportingButNotEnforced"


def furnish(tenant: SimulatedTenant, *, groups: int = 0, policies: bool = False) -> None:
    """``groups`` security groups in each organisation ("RX1 Ward 1" ...), and a few ``policies``. The log begins with
    them.
    """
    throttling, tenant.throttling = tenant.throttling, False
    try:
        for body in _groups(tenant, groups):
            _post(tenant, "/v1.0/groups", body)
        if policies:
            for path, body in _policies(tenant):
                _post(tenant, path, body)
    finally:
        tenant.throttling = throttling


def _post(tenant: SimulatedTenant, path: str, body: dict[str, Any]) -> None:
    answer = tenant.handle("POST", ROOT + path, HEADERS, json.dumps(body).encode())
    if answer.status != 201:
        raise RuntimeError(f"{path}: {answer.status} {answer.body.decode()}")


def _groups(tenant: SimulatedTenant, each: int) -> list[dict[str, Any]]:
    staff, bodies = tenant.seed.staff, []
    for place, code in enumerate(tenant.seed.codes):
        present = staff.shares.of(place)
        for number in range(each):
            people = [
                staff.shares.join(code, 1 + at % present) for at in range(number * MEMBERS, (number + 1) * MEMBERS)
            ]
            keys = dict.fromkeys(staff.key(position) for position in people if position is not None)
            bodies.append(
                {
                    "displayName": f"{code} Ward {number + 1}",
                    "mailNickname": f"{code.lower()}-ward-{number + 1}",
                    "mailEnabled": False,
                    "securityEnabled": True,
                    "members@odata.bind": [f"{ROOT}/v1.0/directoryObjects/{key}" for key in keys],
                }
            )
    return bodies


def _policies(tenant: SimulatedTenant) -> list[tuple[str, dict[str, Any]]]:
    """Multifactor authentication on trial, old protocols blocked, a floor for Windows, and a ring of updates."""
    spared = tenant.seed.id_of("group", "Break glass")
    block = {"actionType": "block", "gracePeriodHours": 72}
    return [
        (f"{_CA}/namedLocations", {
            "@odata.type": "#microsoft.graph.ipNamedLocation", "displayName": "Head office", "isTrusted": True,
            "ipRanges": [{"@odata.type": "#microsoft.graph.iPv4CidrRange", "cidrAddress": "203.0.113.0/24"}],
        }),
        (f"{_CA}/policies", {
            "displayName": "Require MFA for everyone", "state": _REPORT_ONLY,
            "conditions": _everyone(spared), "grantControls": {"operator": "OR", "builtInControls": ["mfa"]},
        }),
        (f"{_CA}/policies", {
            "displayName": "Block legacy authentication", "state": "enabled",
            "conditions": {**_everyone(spared), "clientAppTypes": ["exchangeActiveSync", "other"]},
            "grantControls": {"operator": "OR", "builtInControls": ["block"]},
        }),
        (f"{_INTUNE}/deviceCompliancePolicies", {
            "@odata.type": "#microsoft.graph.windows10CompliancePolicy", "displayName": "Windows floor",
            "osMinimumVersion": "10.0.19045.4529", "bitLockerEnabled": True,
            "scheduledActionsForRule": [{"ruleName": "PasswordRequired", "scheduledActionConfigurations": [block]}],
        }),
        (f"{_INTUNE}/deviceConfigurations", {
            "@odata.type": "#microsoft.graph.windowsUpdateForBusinessConfiguration", "displayName": "Broad ring",
            "qualityUpdatesDeferralPeriodInDays": 7, "deadlineForQualityUpdatesInDays": 3,
        }),
    ]  # fmt: skip


def _everyone(spared: str) -> dict[str, Any]:
    return {
        "users": {"includeUsers": ["All"], "excludeGroups": [spared]},
        "applications": {"includeApplications": ["All"]},
    }
