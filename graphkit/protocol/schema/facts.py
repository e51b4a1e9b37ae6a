"""What the metadata does not say about the kinds that graphkit writes: kept by hand, each line with its source.

D = microsoftgraph/microsoft-graph-docs-contrib, api-reference/v1.0/; M = v1.0-Prod.csdl, its nullability and
descriptions; S = the descriptions in msgraph-sdk 1.65.0, B = those in msgraph-beta-sdk 1.66.0.
A fact about a type holds for the types derived from it. Lines marked (observed) come from published exports of real
tenants or from issue threads, not from Microsoft's reference.
"""

from __future__ import annotations

from .facts_intune import INTUNE, INTUNE_ORDER_FREE, Fact, Mark

__all__ = ["FACTS", "ORDER_FREE", "Fact", "Mark"]

FACTS: tuple[Fact, ...] = (
    *INTUNE,
    Fact("read_only", "entity", "id", "D: every resource page; a body's own id is ignored or refused on create"),
    # Conditional access
    Fact(
        "required",
        "conditionalAccessPolicy",
        "displayName state conditions",
        "D api/conditionalaccessroot-post-policies.md",
    ),
    Fact(
        "read_only",
        "conditionalAccessPolicy",
        "id createdDateTime modifiedDateTime",
        "D resources/conditionalaccesspolicy.md",
    ),
    Fact(
        "read_only",
        "conditionalAccessPolicy",
        "templateId",
        "D resources/conditionalaccesspolicy.md: where a policy came from; no rule, unknown to beta",
    ),
    Fact(
        "read_only",
        "policyDeletableItem",
        "deletedDateTime",
        "(observed) null in every export but those of deleted policies",
    ),
    Fact(
        "noise",
        "conditionalAccessPolicy",
        "partialEnablementStrategy",
        "(observed) null in every beta export; neither metadata nor msgraph-beta-sdk 1.66.0 knows it",
    ),
    Fact(
        "noise",
        "conditionalAccessConditionSet",
        "times",
        "(observed) null in every beta export, microsoftgraph/microsoft-graph-docs#21205; no metadata knows it",
    ),
    Fact(
        "noise",
        "conditionalAccessSessionControls",
        "blockSensitiveActions",
        "(observed) null in beta exports of 2026, not yet in msgraph-beta-sdk 1.66.0; has a meaning when it is set",
    ),
    Fact(
        "default",
        "conditionalAccessConditionSet",
        "clientAppTypes",
        "D resources/conditionalaccessconditionset.md: optional in the body, never null; (observed) all",
        ["all"],
    ),
    Fact(
        "default",
        "signInFrequencySessionControl",
        "authenticationType",
        "(observed) filled in; D resources/signinfrequencysessioncontrol.md: not required with timeBased",
        "primaryAndSecondaryAuthentication",
    ),
    Fact("default", "signInFrequencySessionControl", "frequencyInterval", "(observed) filled in", "timeBased"),
    Fact(
        "reference",
        "conditionalAccessGrantControls",
        "authenticationStrength",
        "microsoftgraph/entra-powershell#1378: created with {id}; a read shows the whole object",
    ),
    Fact("required", "conditionalAccessConditionSet", "applications", "D resources/conditionalaccessconditionset.md"),
    Fact(
        "default",
        "signInFrequencySessionControl",
        "authenticationType",
        "D resources/signinfrequencysessioncontrol.md: not required; (observed) filled in in every export",
        "primaryAndSecondaryAuthentication",
    ),
    Fact(
        "default",
        "signInFrequencySessionControl",
        "frequencyInterval",
        "D resources/signinfrequencysessioncontrol.md; (observed) filled in in every export",
        "timeBased",
    ),
    Fact("required", "conditionalAccessFilter", "mode rule", "M: never null"),
    Fact("required", "conditionalAccessGuestsOrExternalUsers", "guestOrExternalUserTypes", "M: never null"),
    Fact("required", "conditionalAccessAuthenticationFlows", "transferMethods", "M: never null"),
    # Named locations
    Fact("required", "namedLocation", "displayName", "D resources/countrynamedlocation.md"),
    Fact("read_only", "namedLocation", "id createdDateTime modifiedDateTime", "D resources/countrynamedlocation.md"),
    Fact("required", "ipNamedLocation", "ipRanges", "D resources/ipnamedlocation.md"),
    Fact("default", "ipNamedLocation", "isTrusted", "D resources/ipnamedlocation.md", False),
    Fact("required", "countryNamedLocation", "countriesAndRegions", "D resources/countrynamedlocation.md"),
    Fact(
        "default",
        "countryNamedLocation",
        "includeUnknownCountriesAndRegions",
        "D resources/countrynamedlocation.md",
        False,
    ),
    Fact(
        "default",
        "countryNamedLocation",
        "countryLookupMethod",
        "D resources/countrynamedlocation.md",
        "clientIpAddress",
    ),
    Fact("required", "iPv4CidrRange", "cidrAddress", "M: never null"),
    Fact("required", "iPv6CidrRange", "cidrAddress", "M: never null"),
    Fact("required", "iPv4Range", "lowerAddress upperAddress", "M: never null"),
    Fact("required", "iPv6Range", "lowerAddress upperAddress", "M: never null"),
    # Authentication strengths
    Fact(
        "read_only",
        "authenticationStrengthPolicy",
        "createdDateTime modifiedDateTime policyType",
        "D resources/authenticationstrengthpolicy.md",
    ),
    Fact(
        "required",
        "authenticationStrengthPolicy",
        "displayName allowedCombinations",
        "D api/authenticationstrengthroot-post-policies.md",
    ),
    # Users
    Fact(
        "required",
        "user",
        "accountEnabled displayName mailNickname passwordProfile userPrincipalName",
        "D api/user-post-users.md",
    ),
    Fact(
        "read_only",
        "user",
        "assignedLicenses assignedPlans createdDateTime creationType deletedDateTime externalUserStateChangeDateTime"
        " imAddresses isManagementRestricted lastPasswordChangeDateTime legalAgeGroupClassification"
        " licenseAssignmentStates onPremisesDistinguishedName onPremisesDomainName onPremisesLastSyncDateTime"
        " onPremisesSamAccountName onPremisesSecurityIdentifier onPremisesSyncEnabled onPremisesUserPrincipalName"
        " provisionedPlans proxyAddresses securityIdentifier serviceProvisioningErrors signInActivity"
        " signInSessionsValidFromDateTime",
        "S: read-only, or set by the service; licences are changed by assignLicense, api/user-assignlicense.md",
    ),
    # Groups
    Fact("required", "group", "displayName mailEnabled mailNickname securityEnabled", "D api/group-post-groups.md"),
    Fact(
        "read_only",
        "group",
        "assignedLicenses createdDateTime deletedDateTime expirationDateTime hasMembersWithLicenseErrors"
        " isManagementRestricted licenseProcessingState mail onPremisesDomainName onPremisesLastSyncDateTime"
        " onPremisesNetBiosName onPremisesProvisioningErrors onPremisesSamAccountName onPremisesSecurityIdentifier"
        " onPremisesSyncEnabled proxyAddresses renewedDateTime securityIdentifier serviceProvisioningErrors",
        "S: read-only, or set by the service; licences are changed by assignLicense, api/group-assignlicense.md",
    ),
    Fact(
        "read_only", "group", "createdByAppId onPremisesObjectIdentifier", "(observed) beta exports: set by the service"
    ),
    Fact("immutable", "group", "isAssignableToRole uniqueName", "S: immutable"),
    # Teams
    Fact(
        "read_only",
        "team",
        "createdDateTime internalId isArchived summary tenantId webUrl",
        "S: kept by the service; archiving is an action",
    ),
    Fact("immutable", "team", "firstChannelName", "S: used during team creation only"),
    Fact("required", "channel", "displayName", "D api/channel-post.md"),
    Fact(
        "read_only",
        "channel",
        "createdDateTime email isArchived summary tenantId webUrl",
        "S: read-only, or kept by the service",
    ),
    Fact("immutable", "channel", "membershipType", "S: can be set during creation and cannot be changed"),
    Fact(
        "read_only",
        "conversationMember",
        "displayName visibleHistoryStartDateTime",
        "D resources/conversationmember.md; S: the latter is settable only for members of a chat",
    ),
    Fact("read_only", "aadUserConversationMember", "email tenantId", "S: kept by the service"),
)

# Lists that the service treats as sets: ids, names and choices of a rule, of which order says nothing (D, the
# resource page of each type).
ORDER_FREE: dict[str, str] = {
    **INTUNE_ORDER_FREE,
    "assignedLicense": "disabledPlans",
    "authenticationStrengthPolicy": "allowedCombinations",
    "conditionalAccessAgentContext": "includeAgentContexts excludeAgentContexts",
    "conditionalAccessAgents": "includeAgentUsers excludeAgentUsers",
    "conditionalAccessApplications": "includeApplications excludeApplications includeUserActions"
    " includeAuthenticationContextClassReferences",
    "conditionalAccessClientApplications": "includeServicePrincipals excludeServicePrincipals"
    " includeAgentIdServicePrincipals excludeAgentIdServicePrincipals",
    "conditionalAccessConditionSet": "clientAppTypes servicePrincipalRiskLevels signInRiskLevels userRiskLevels",
    "conditionalAccessEnumeratedExternalTenants": "members",
    "conditionalAccessGrantControls": "builtInControls customAuthenticationFactors termsOfUse",
    "conditionalAccessLocations": "includeLocations excludeLocations",
    "conditionalAccessPlatforms": "includePlatforms excludePlatforms",
    "conditionalAccessUsers": "includeUsers excludeUsers includeGroups excludeGroups includeRoles excludeRoles",
    "countryNamedLocation": "countriesAndRegions",
    "group": "groupTypes",
    "ipNamedLocation": "ipRanges",
}
