"""One noun a module: how it is read in bulk, compared, written and looked up.

``RESOURCES`` is the whole list: kind to class, loaded when a plan or a run names the kind.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

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
    "group.handover": "graphkit.resources.handovers:Handovers",
    "group.license": "graphkit.resources.group_licenses:GroupLicenses",
    "group.member": "graphkit.resources.members:Members",
    "group.owner": "graphkit.resources.owners:Owners",
    "group.reference": "graphkit.resources.group_references:GroupReferences",
    "groupLifecyclePolicy": "graphkit.resources.group_expiry:GroupExpiry",
    "groupPolicyConfiguration.values": "graphkit.resources.group_policies:GroupPolicyValues",
    "groupSetting": "graphkit.resources.group_settings:GroupSettings",
    "guest": "graphkit.resources.guests:Guests",
    "intuneRoleAssignment": "graphkit.resources.intune_roles:IntuneRoleAssignments",
    "leaver": "graphkit.resources.leavers:Leavers",
    "license.reclaim": "graphkit.resources.reclaim:Reclaims",
    "license.reclaim.person": "graphkit.resources.reclaimed_people:ReclaimedPeople",
    "license.scope": "graphkit.resources.license_errors:LicenseScopes",
    "managedDevice.retirement": "graphkit.resources.retirements:Retirements",
    "mfaWave": "graphkit.resources.mfa_waves:MfaWaves",
    "mover": "graphkit.resources.movers:Movers",
    "namedLocation": "graphkit.resources.named_locations:NamedLocations",
    "roleScopeTag": "graphkit.resources.scope_tags:ScopeTags",
    "scheduled": "graphkit.resources.scheduled:Scheduled",
    "team": "graphkit.resources.teams:Teams",
    "team.active": "graphkit.resources.archiving:ActiveTeams",
    "team.archived": "graphkit.resources.archiving:ArchivedTeams",
    "team.member": "graphkit.resources.team_members:TeamMembers",
    "team.review": "graphkit.resources.team_review:TeamReviews",
    "user": "graphkit.resources.accounts:Accounts",
    "user.accessPass": "graphkit.resources.access_passes:AccessPasses",
    "user.deletion": "graphkit.resources.accounts:Deletions",
    "user.license": "graphkit.resources.user_licenses:UserLicenses",
    "user.licenseError": "graphkit.resources.license_errors:LicenseErrors",
    "user.location": "graphkit.resources.user_locations:UserLocations",
    "user.manager": "graphkit.resources.managers:Managers",
    "user.profile": "graphkit.resources.profiles:Profiles",
    "user.sessions": "graphkit.resources.sessions:Sessions",
    "windowsQualityUpdateProfile": "graphkit.resources.quality_updates:QualityUpdateProfiles",
    "workforce": "graphkit.resources.workforce:Workforces",
}


class ResourceTable(dict[str, Resource]):
    """Resources by kind, built on first use, all on one context."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context

    def __missing__(self, kind: str) -> Resource:
        self[kind] = resource = resource_class(kind)(self._context)
        return resource


def resource_class(kind: str) -> type[Resource]:
    module, name = RESOURCES[kind].split(":")
    found: type[Resource] = getattr(importlib.import_module(module), name)
    return found
