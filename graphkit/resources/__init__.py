"""One noun a module: how it is read in bulk, compared, written and looked up.

``RESOURCES`` is the whole list: kind to class, loaded when a plan or a run names the kind.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping

from graphkit.engine.resource import Context, Resource

_PARTS = ("", ".assignment", ".apps")
INTUNE = (
    *("deviceAndAppManagementAssignmentFilter", "deviceCompliancePolicy", "deviceConfiguration"),
    *("deviceManagementConfigurationPolicy", "groupPolicyConfiguration"),
    *("windowsDriverUpdateProfile", "windowsFeatureUpdateProfile"),
    *("windowsQualityUpdatePolicy", "windowsQualityUpdateProfile"),
    *("androidManagedAppProtection", "defaultManagedAppProtection", "iosManagedAppProtection"),
    *("mdmWindowsInformationProtectionPolicy", "roleScopeTag", "targetedManagedAppConfiguration"),
    *("windowsInformationProtectionPolicy", "windowsManagedAppProtection"),
)
"""Kinds of Intune policies: each with its assignments, and those that protect apps with them."""

RESOURCES: Mapping[str, str] = {
    **{f"{kind}{part}": f"graphkit.resources.intune_kinds:{kind}{part}" for kind in INTUNE for part in _PARTS},
    "administrativeUnit": "graphkit.resources.administrative_units:AdministrativeUnits",
    "authenticationMethod": "graphkit.resources.auth_methods:AuthenticationMethods",
    "autopilotDevice": "graphkit.resources.autopilot:AutopilotDevices",
    "channel": "graphkit.resources.channels:Channels",
    "conditionalAccessPolicy": "graphkit.resources.conditional_access:ConditionalAccessPolicies",
    "crossTenantDefault": "graphkit.resources.cross_tenant:CrossTenantDefaults",
    "crossTenantPartner": "graphkit.resources.cross_tenant:CrossTenantPartners",
    "deviceCompliancePolicy": "graphkit.resources.compliance:CompliancePolicies",
    "deviceCompliancePolicy.actions": "graphkit.resources.compliance:ScheduledActions",
    "deviceConfiguration": "graphkit.resources.device_configurations:DeviceConfigurations",
    "deviceManagementConfigurationPolicy": "graphkit.resources.settings_catalog:SettingsCatalogPolicies",
    "group": "graphkit.resources.groups:Groups",
    "groupPolicyConfiguration.values": "graphkit.resources.group_policies:GroupPolicyValues",
    "group.license": "graphkit.resources.group_licenses:GroupLicenses",
    "group.member": "graphkit.resources.members:Members",
    "group.owner": "graphkit.resources.owners:Owners",
    "groupLifecyclePolicy": "graphkit.resources.group_expiry:GroupExpiry",
    "groupSetting": "graphkit.resources.group_settings:GroupSettings",
    "guest": "graphkit.resources.guests:Guests",
    "intuneRoleAssignment": "graphkit.resources.intune_roles:IntuneRoleAssignments",
    "mfaWave": "graphkit.resources.mfa_waves:MfaWaves",
    "namedLocation": "graphkit.resources.named_locations:NamedLocations",
    "roleScopeTag": "graphkit.resources.scope_tags:ScopeTags",
    "scheduled": "graphkit.resources.scheduled:Scheduled",
    "team": "graphkit.resources.teams:Teams",
    "team.active": "graphkit.resources.archiving:ActiveTeams",
    "team.archived": "graphkit.resources.archiving:ArchivedTeams",
    "team.member": "graphkit.resources.team_members:TeamMembers",
    "team.review": "graphkit.resources.team_review:TeamReviews",
    "user.license": "graphkit.resources.user_licenses:UserLicenses",
    "windowsQualityUpdateProfile": "graphkit.resources.quality_updates:QualityUpdateProfiles",
}


class ResourceTable(dict[str, Resource]):
    """Resources by kind, built on first use, all on one context."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context

    def __missing__(self, kind: str) -> Resource:
        module, name = RESOURCES[kind].split(":")
        resource: Resource = getattr(importlib.import_module(module), name)(self._context)
        self[kind] = resource
        return resource


def known_kinds() -> Iterable[str]:
    return RESOURCES.keys()
