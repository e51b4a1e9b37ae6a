"""What the metadata does not say about bodies: properties that only the service sets, that never change again, that
a create must carry. Kept by hand.

Sources, by page of microsoftgraph/microsoft-graph-docs-contrib ``api-reference/v1.0/`` unless told otherwise: the
"Read-only" marks and "can't be modified" of ``resources/<kind>.md``, the tables of required properties of the create
page that is named. A fact about a type holds for its heirs. Only the top of a body is looked at.
"""

from __future__ import annotations


def _rows(table: dict[str, str]) -> dict[str, frozenset[str]]:
    return {kind: frozenset(names.split()) for kind, names in table.items()}


_ON_PREMISES = """onPremisesDomainName onPremisesLastSyncDateTime onPremisesSamAccountName onPremisesSecurityIdentifier
    onPremisesSyncEnabled"""
_KEPT_BY_INTUNE = "id createdDateTime lastModifiedDateTime version"
"""Not marked on the pages; published exports are stripped of these before they are sent again (``-ExcludeProperty
id,createdDateTime,lastModifiedDateTime,version`` in microsoftgraph/powershell-intune-samples)."""

READ_ONLY = _rows(
    {
        # Licences and plans of users and groups change by assignLicense: api/user-assignlicense.md.
        "user": f"""assignedLicenses assignedPlans createdDateTime deletedDateTime id imAddresses isManagementRestricted
            lastPasswordChangeDateTime legalAgeGroupClassification licenseAssignmentStates provisionedPlans
            proxyAddresses securityIdentifier signInActivity signInSessionsValidFromDateTime
            onPremisesDistinguishedName onPremisesUserPrincipalName {_ON_PREMISES}""",
        "group": f"""assignedLicenses createdByAppId createdDateTime deletedDateTime expirationDateTime
            hasMembersWithLicenseErrors id isManagementRestricted licenseProcessingState mail
            membershipRuleProcessingStatus onPremisesNetBiosName onPremisesObjectIdentifier proxyAddresses
            renewedDateTime securityIdentifier {_ON_PREMISES}""",
        "device": """approximateLastSignInDateTime complianceExpirationDateTime deletedDateTime id
            isManagementRestricted manufacturer mdmAppId model onPremisesLastSyncDateTime onPremisesSecurityIdentifier
            onPremisesSyncEnabled registrationDateTime trustType""",
        "organization": "assignedPlans createdDateTime id onPremisesLastSyncDateTime provisionedPlans verifiedDomains",
        # A domain's id is its name and is sent on create: api/domain-post-domains.md.
        "domain": """authenticationType availabilityStatus isAdminManaged isInitial isRoot isVerified""",
        "application": "appId createdByAppId createdDateTime deletedDateTime id publisherDomain",
        "servicePrincipal": "applicationTemplateId createdByAppId deletedDateTime id signInAudience",
        "appRoleAssignment": "createdDateTime deletedDateTime id principalDisplayName principalType",
        "administrativeUnit": "deletedDateTime id",
        "directoryRole": "deletedDateTime description displayName id",
        "unifiedRoleAssignment": "id",
        # status and invitedUser are told, not asked for; invitedUser/id only to reset a redemption (invitation.md).
        "invitation": "id inviteRedeemUrl status",
        "groupSetting": "displayName id",
        "directorySetting": "displayName id",
        "groupLifecyclePolicy": "id",
        # Authentication
        "authenticationMethodsPolicy": "description displayName id lastModifiedDateTime policyVersion",
        "temporaryAccessPassAuthenticationMethod": """createdDateTime id isUsable methodUsabilityReason
            temporaryAccessPass""",  # api/authentication-post-temporaryaccesspassmethods.md: three may be sent
        "authenticationStrengthPolicy": "createdDateTime id modifiedDateTime policyType requirementsSatisfied",
        "userRegistrationDetails": "id isAdmin isMfaCapable isMfaRegistered lastUpdatedDateTime methodsRegistered",
        # Conditional access and cross-tenant access
        "conditionalAccessPolicy": "createdDateTime modifiedDateTime id deletedDateTime",
        "namedLocation": "createdDateTime modifiedDateTime id deletedDateTime",
        "crossTenantAccessPolicyConfigurationDefault": "automaticUserConsentSettings id isServiceDefault",
        "crossTenantAccessPolicyConfigurationPartner": "isInMultiTenantOrganization",
        "crossTenantIdentitySyncPolicyPartner": "tenantId",
        # Teams
        "team": "createdDateTime id internalId tenantId webUrl isArchived",
        "channel": "createdDateTime email id isArchived tenantId webUrl",
        "deletedTeam": "id",
        # Intune
        "deviceCompliancePolicy": _KEPT_BY_INTUNE,
        "deviceConfiguration": _KEPT_BY_INTUNE,
        "managedAppPolicy": _KEPT_BY_INTUNE,
        "targetedManagedAppProtection": "isAssigned",
        # resources/intune-deviceconfig-windowsupdateforbusinessconfiguration.md: "This property is read-only."
        "windowsUpdateForBusinessConfiguration": "featureUpdatesPauseStartDate qualityUpdatesPauseStartDate",
        # resources/intune-devices-manageddevice.md: "This property is read-only."; the states have no such mark, but
        # are what the service makes of the device's reports. Managers set managedDeviceName, its owner type and notes.
        "managedDevice": """id activationLockBypassCode androidSecurityPatchLevel azureADDeviceId azureADRegistered
            complianceGracePeriodExpirationDateTime complianceState configurationManagerClientEnabledFeatures
            deviceActionResults deviceCategoryDisplayName deviceEnrollmentType deviceHealthAttestationState deviceName
            deviceRegistrationState easActivated easActivationDateTime easDeviceId emailAddress enrolledDateTime
            enrollmentProfileName ethernetMacAddress exchangeAccessState exchangeAccessStateReason
            exchangeLastSuccessfulSyncDateTime freeStorageSpaceInBytes iccid imei isEncrypted isSupervised jailBroken
            lastSyncDateTime managementAgent managementCertificateExpirationDate manufacturer meid model
            operatingSystem osVersion phoneNumber physicalMemoryInBytes remoteAssistanceSessionErrorDetails
            remoteAssistanceSessionUrl requireUserEnrollmentApproval serialNumber subscriberCarrier
            totalStorageSpaceInBytes udid userDisplayName userId userPrincipalName wiFiMacAddress""",
        "notificationMessageTemplate": "id lastModifiedDateTime",
        "localizedNotificationMessage": "id lastModifiedDateTime",
        "windowsAutopilotDeviceIdentity": "azureActiveDirectoryDeviceId enrollmentState id lastContactedDateTime",
        "roleDefinition": "id isBuiltIn",
        "roleAssignment": "id",
        # Beta (api-reference/beta/resources/intune-*.md, and the descriptions in msgraph-beta-sdk 1.66.0)
        "deviceManagementConfigurationPolicy": """createdDateTime id isAssigned lastModifiedDateTime
            settingCount""",
        "windowsFeatureUpdateProfile": """createdDateTime deployableContentDisplayName endOfSupportDate id
            lastModifiedDateTime""",
        "windowsQualityUpdateProfile": """createdDateTime deployableContentDisplayName id lastModifiedDateTime
            releaseDateDisplayName""",
        "windowsQualityUpdatePolicy": "createdDateTime id lastModifiedDateTime",
        "windowsDriverUpdateProfile": """createdDateTime deviceReporting id inventorySyncStatus lastModifiedDateTime
            newUpdates""",
        "roleScopeTag": "id isBuiltIn",
        "deviceAndAppManagementAssignmentFilter": "createdDateTime id lastModifiedDateTime payloads",
        "groupPolicyConfiguration": "createdDateTime id lastModifiedDateTime",
        "deviceManagementIntent": "id isAssigned isMigratingToConfigurationPolicy lastModifiedDateTime",
    }
)

IMMUTABLE = _rows(
    {
        # group.md says of each that it is set by the request that creates the group, and never again
        "group": "isAssignableToRole resourceBehaviorOptions uniqueName",
        "administrativeUnit": "isMemberManagementRestricted",  # likewise
        "channel": "membershipType",
        "team": "firstChannelName",
        "groupSetting": "templateId",
        "directorySetting": "templateId",
        "appRoleAssignment": "appRoleId principalId resourceId",
        "unifiedRoleAssignment": "appScopeId directoryScopeId principalId roleDefinitionId",
        "crossTenantAccessPolicyConfigurationPartner": "tenantId",
        "deviceAndAppManagementAssignmentFilter": "platform",
    }
)
"""May be sent to create, not to change."""

REQUIRED = _rows(
    {
        "invitation": "inviteRedirectUrl invitedUserEmailAddress",  # api/invitation-post.md
        "groupSetting": "templateId values",  # api/group-post-settings.md
        "directorySetting": "templateId values",  # the same page, for beta
        "appRoleAssignment": "appRoleId principalId resourceId",  # api/serviceprincipal-post-approleassignedto.md
        # api/rbacapplication-post-roleassignments.md; and one of directoryScopeId and appScopeId
        "unifiedRoleAssignment": "principalId roleDefinitionId",
        "administrativeUnit": "displayName",  # assumption: as for the other directory objects
        "authenticationStrengthPolicy": "allowedCombinations displayName",  # authenticationstrengthroot-post-policies
        # api/crosstenantaccesspolicy-post-partners.md calls more of them required, but its example leaves them out
        "crossTenantAccessPolicyConfigurationPartner": "tenantId",
        # CSDL: never null and without a default
        "deviceConfiguration": "displayName",
        "deviceManagementExportJob": "reportName",
        "notificationMessageTemplate": "displayName",
        "localizedNotificationMessage": "locale messageTemplate subject",
        # Assumption: what the admin centre demands too
        "managedAppPolicy": "displayName",
        "roleScopeTag": "displayName",
        "deviceManagementConfigurationPolicy": "name platforms technologies",
        "windowsFeatureUpdateProfile": "displayName featureUpdateVersion",
        "windowsQualityUpdateProfile": "displayName",
        "windowsQualityUpdatePolicy": "displayName",
        "windowsDriverUpdateProfile": "approvalType displayName",
        "deviceAndAppManagementAssignmentFilter": "displayName platform rule",
    }
)
"""Without these nothing is created."""

OBSERVED_IN_BETA: dict[str, dict[str, str]] = {
    "conditionalAccessPolicy": {"partialEnablementStrategy": "Untyped"},
    "conditionalAccessConditionSet": {"times": "Untyped"},  # microsoftgraph/microsoft-graph-docs#21205 too
    "conditionalAccessSessionControls": {"blockSensitiveActions": "Untyped", "networkAccessSecurity": "Untyped"},
    "group": {"onPremisesObjectIdentifier": "String"},
}
"""In published exports of real tenants (beta, 2025 and 2026), unknown to the models that ``beta.json`` is made from."""
