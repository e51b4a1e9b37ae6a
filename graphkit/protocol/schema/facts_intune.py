"""What the metadata does not say about the kinds of Intune; the rest of :mod:`.facts`, with the same legend."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Mark = Literal["read_only", "immutable", "required", "reference", "default", "default_of_type", "void", "noise"]


class Fact(NamedTuple):
    """``properties``: names separated by spaces; for ``default_of_type`` names of property types.

    ``default``: the service fills in ``value``. ``void``: to write ``value`` is to write nothing. ``reference``: the
    object is referred to by its ``id``, the rest of it is for reading. ``noise``: exports carry the name with null.
    """

    mark: Mark
    type: str
    properties: str
    source: str
    value: Any = None


_KEPT = "M, B: dates and versions of the object, kept by the service"
_SHOWN = "B: what the service tells about the object, not what is asked for"

_TAGGED = (
    *("deviceCompliancePolicy", "deviceConfiguration", "deviceManagementConfigurationPolicy", "managedAppPolicy"),
    *("groupPolicyConfiguration", "windowsDriverUpdateProfile", "windowsFeatureUpdateProfile"),
    *("windowsQualityUpdatePolicy", "windowsQualityUpdateProfile"),
)

INTUNE: tuple[Fact, ...] = (
    *(
        Fact("default", kind, "roleScopeTagIds", "(observed) the default tag, where none is chosen", ["0"])
        for kind in _TAGGED
    ),
    # Device compliance
    Fact(
        "required",
        "deviceCompliancePolicy",
        "displayName scheduledActionsForRule",
        "M: required when creating; microsoftgraph/microsoft-graph-docs#7746",
    ),
    Fact(
        "read_only",
        "deviceCompliancePolicy",
        "createdDateTime lastModifiedDateTime version",
        "M: dates and version of the object, kept by the service",
    ),
    Fact("default_of_type", "deviceCompliancePolicy", "Boolean", "M for macOS; (observed) the other platforms", False),
    Fact(
        "default_of_type",
        "deviceCompliancePolicy",
        "requiredPasswordType androidRequiredPasswordType",
        "M for macOS; (observed) the other platforms",
        "deviceDefault",
    ),
    Fact(
        "default_of_type",
        "deviceCompliancePolicy",
        "deviceThreatProtectionLevel",
        "M for macOS; (observed) the other platforms",
        "unavailable",
    ),
    Fact("default", "deviceComplianceActionItem", "gracePeriodHours", "M: never null, so zero", 0),
    Fact(
        "void", "deviceComplianceActionItem", "notificationTemplateId", "microsoftgraph/microsoft-graph-docs#7746", ""
    ),
    Fact(
        "void",
        "deviceComplianceActionItem",
        "notificationTemplateId",
        "(observed) what a read shows where no message template was chosen",
        "00000000-0000-0000-0000-000000000000",
    ),
    Fact(
        "default",
        "deviceComplianceScheduledActionForRule",
        "ruleName",
        "M: always set to the default value PasswordRequired",
        "PasswordRequired",
    ),
    Fact(
        "required",
        "deviceComplianceScheduledActionForRule",
        "scheduledActionConfigurations",
        "microsoftgraph/microsoft-graph-docs#7746",
    ),
    Fact("required", "deviceComplianceActionItem", "actionType", "M: never null"),
    Fact(
        "required",
        "deviceCompliancePolicyAssignment",
        "target",
        "D api/intune-deviceconfig-devicecompliancepolicy-assign.md",
    ),
    Fact("required", "groupAssignmentTarget", "groupId", "M: the group that is the target"),
    Fact(
        "required",
        "operatingSystemVersionRange",
        "lowestVersion highestVersion",
        "B: the inclusive bounds of a range",
    ),
    # Device configuration
    Fact("required", "deviceConfiguration", "displayName", "M: never null, and without a default"),
    Fact("read_only", "deviceConfiguration", "createdDateTime lastModifiedDateTime version", _KEPT),
    Fact(
        "read_only",
        "deviceConfiguration",
        "supportsScopeTags",
        "B: read-only; sent as true it is refused (microsoftgraph/microsoft-graph-docs#4003)",
    ),
    Fact("default_of_type", "deviceConfiguration", "Boolean", "M: never null where v1.0 has it", False),
    Fact(
        "read_only",
        "windowsUpdateForBusinessConfiguration",
        "qualityUpdatesPauseStartDate featureUpdatesPauseStartDate qualityUpdatesPauseExpiryDateTime"
        " featureUpdatesPauseExpiryDateTime qualityUpdatesRollbackStartDateTime featureUpdatesRollbackStartDateTime",
        "M: read-only; they follow from pausing and rolling back",
    ),
    Fact(
        "default",
        "windowsUpdateForBusinessConfiguration",
        "featureUpdatesRollbackWindowInDays",
        "learn.microsoft.com/intune/intune-service/protect/windows-update-settings: 10 unless another is chosen",
        10,
    ),
    Fact("required", "omaSetting", "displayName omaUri", "M: never null"),
    Fact("read_only", "omaSetting", "isEncrypted secretReferenceValueId", "B: kept by the service"),
    # App protection
    Fact("required", "managedAppPolicy", "displayName", "M: never null, and without a default"),
    Fact("read_only", "managedAppPolicy", "createdDateTime lastModifiedDateTime version", _KEPT),
    Fact("read_only", "targetedManagedAppProtection", "isAssigned", _SHOWN),
    Fact("read_only", "targetedManagedAppConfiguration", "isAssigned deployedAppCount", _SHOWN),
    Fact("read_only", "windowsInformationProtection", "isAssigned", _SHOWN),
    Fact("read_only", "iosManagedAppProtection", "deployedAppCount", _SHOWN),
    Fact("read_only", "androidManagedAppProtection", "deployedAppCount", _SHOWN),
    Fact("read_only", "windowsManagedAppProtection", "deployedAppCount isAssigned", _SHOWN),
    Fact("read_only", "defaultManagedAppProtection", "deployedAppCount", _SHOWN),
    Fact("read_only", "managedMobileApp", "version", _KEPT),
    Fact("required", "managedMobileApp", "mobileAppIdentifier", "D api/intune-mam-managedapppolicy-targetapps.md"),
    # Settings catalog and administrative templates
    Fact("required", "deviceManagementConfigurationPolicy", "name platforms technologies", "assumption: as asked for"),
    Fact(
        "read_only",
        "deviceManagementConfigurationPolicy",
        "createdDateTime creationSource isAssigned lastModifiedDateTime settingCount",
        _SHOWN,
    ),
    Fact("read_only", "groupPolicyConfiguration", "createdDateTime lastModifiedDateTime", _KEPT),
    Fact("read_only", "groupPolicyConfiguration", "policyConfigurationIngestionType", _SHOWN),
    Fact("required", "groupPolicyConfiguration", "displayName", "assumption: as the admin centre asks"),
    # Updates
    Fact(
        "read_only",
        "windowsFeatureUpdateProfile",
        "createdDateTime deployableContentDisplayName endOfSupportDate lastModifiedDateTime",
        _SHOWN,
    ),
    Fact("required", "windowsFeatureUpdateProfile", "displayName featureUpdateVersion", "assumption: as asked for"),
    Fact(
        "read_only",
        "windowsQualityUpdateProfile",
        "createdDateTime deployableContentDisplayName lastModifiedDateTime releaseDateDisplayName",
        _SHOWN,
    ),
    Fact("required", "windowsQualityUpdateProfile", "displayName", "assumption: as the admin centre asks"),
    Fact("read_only", "windowsQualityUpdatePolicy", "createdDateTime lastModifiedDateTime", _KEPT),
    Fact("required", "windowsQualityUpdatePolicy", "displayName", "assumption: as the admin centre asks"),
    Fact(
        "read_only",
        "windowsDriverUpdateProfile",
        "createdDateTime deviceReporting inventorySyncStatus lastModifiedDateTime newUpdates",
        _SHOWN,
    ),
    Fact("immutable", "windowsDriverUpdateProfile", "approvalType", "almenscorner/IntuneCD#184"),
    Fact("required", "windowsDriverUpdateProfile", "approvalType displayName", "assumption: as asked for"),
    # Roles and filters
    Fact("read_only", "roleScopeTag", "isBuiltIn", "B: the default tag is, no other"),
    Fact("required", "roleScopeTag", "displayName", "assumption: as the admin centre asks"),
    Fact(
        "read_only",
        "deviceAndAppManagementAssignmentFilter",
        "createdDateTime lastModifiedDateTime payloads",
        _KEPT,
    ),
    Fact("immutable", "deviceAndAppManagementAssignmentFilter", "platform", "assumption: the rule is written for it"),
    Fact("required", "deviceAndAppManagementAssignmentFilter", "displayName platform rule", "assumption: as asked for"),
    # Autopilot
    Fact("read_only", "importedWindowsAutopilotDeviceIdentity", "state", "M: how the import goes"),
)

INTUNE_ORDER_FREE: dict[str, str] = {
    **dict.fromkeys(_TAGGED, "roleScopeTagIds"),
    "deviceCompliancePolicy": "assignments roleScopeTagIds scheduledActionsForRule",
    "deviceComplianceActionItem": "notificationMessageCCList",
    "deviceComplianceScheduledActionForRule": "scheduledActionConfigurations",
    "windows10CompliancePolicy": "validOperatingSystemBuildRanges",
    "deviceManagementConfigurationPolicy": "roleScopeTagIds settings",
    "deviceManagementConfigurationChoiceSettingValue": "children",
    "deviceManagementConfigurationGroupSettingValue": "children",
}
