"""The policies that a tenant is born with: authentication strengths and methods, security defaults, settings."""

from __future__ import annotations

from typing import NamedTuple

from graphkit.sandbox.call import Json
from graphkit.sandbox.memory.state import State

BORN = "2021-12-01T08:00:00Z"
"""What built-in strengths say of their making, in every tenant."""


class Strength(NamedTuple):
    id: str
    name: str
    description: str
    combinations: tuple[str, ...]


_RESISTANT = ("windowsHelloForBusiness", "fido2", "x509CertificateMultiFactor")
# learn.microsoft.com/entra/identity/authentication/concept-authentication-strengths; ids, names, descriptions and
# the order of the combinations as in published exports of policies.
STRENGTHS: tuple[Strength, ...] = (
    Strength(
        "00000000-0000-0000-0000-000000000002",
        "Multifactor authentication",
        "Combinations of methods that satisfy strong authentication, such as a password + SMS",
        (
            *_RESISTANT, "deviceBasedPush", "temporaryAccessPassOneTime", "temporaryAccessPassMultiUse",
            "password,microsoftAuthenticatorPush", "password,softwareOath", "password,hardwareOath", "password,sms",
            "password,voice", "federatedMultiFactor", "microsoftAuthenticatorPush,federatedSingleFactor",
            "softwareOath,federatedSingleFactor", "hardwareOath,federatedSingleFactor", "sms,federatedSingleFactor",
            "voice,federatedSingleFactor",
        ),
    ),
    Strength(
        "00000000-0000-0000-0000-000000000003",
        "Passwordless MFA",
        "Passwordless methods that satisfy strong authentication, such as Passwordless sign-in with the Microsoft "
        "Authenticator",
        (*_RESISTANT, "deviceBasedPush"),
    ),
    Strength(
        "00000000-0000-0000-0000-000000000004",
        "Phishing-resistant MFA",
        "Phishing-resistant, Passwordless methods for the strongest authentication, such as a FIDO2 security key",
        _RESISTANT,
    ),
)  # fmt: skip


def plant_policies(state: State, *, security_defaults: bool) -> None:
    _plant_security_defaults(state, security_defaults)
    _plant_strengths(state)
    _plant_methods(state)
    state.table("reportSettings").put({"id": "reportSettings", "displayConcealedNames": False})
    state.table("crossTenantPolicies").put(
        {"id": "crossTenantAccessPolicy", "displayName": "CrossTenantAccessPolicy", "allowedCloudEndpoints": []}
    )
    state.table("crossTenantDefaults").put(system_default())


def _plant_security_defaults(state: State, enabled: bool) -> None:
    """api-reference/v1.0/api/identitysecuritydefaultsenforcementpolicy-get.md has the id and the words."""
    state.table("securityDefaults").put(
        {
            "id": "00000000-0000-0000-0000-000000000005",
            "displayName": "Security Defaults",
            "description": "Security defaults is a set of basic identity security mechanisms recommended by "
            "Microsoft. When enabled, these recommendations will be automatically enforced in your organization. "
            "Administrators and users will be better protected from common identity related attacks.",
            "isEnabled": enabled,
        }
    )


def _plant_strengths(state: State) -> None:
    for key, name, description, combinations in STRENGTHS:
        state.table("strengths").put(
            {
                "id": key,
                "createdDateTime": BORN,
                "modifiedDateTime": BORN,
                "displayName": name,
                "description": description,
                "policyType": "builtIn",
                "requirementsSatisfied": "mfa",
                "allowedCombinations": list(combinations),
                "combinationConfigurations": [],
            }
        )


# -- authentication methods ----------------------------------------------------------------------------------------

METHODS_POLICY: Json = {
    "id": "authenticationMethodsPolicy",
    "displayName": "Authentication Methods Policy",
    "description": "The tenant-wide policy that controls which authentication methods are allowed in the tenant, "
    "authentication method registration requirements, and self-service password reset settings",
    "lastModifiedDateTime": "2024-01-08T09:00:00Z",
    "policyVersion": "1.5",
    "policyMigrationState": "migrationComplete",
    "registrationEnforcement": {
        "authenticationMethodsRegistrationCampaign": {
            "snoozeDurationInDays": 1,
            "enforceRegistrationAfterAllowedSnoozes": True,
            "state": "default",
            "excludeTargets": [],
            "includeTargets": [
                {
                    "id": "all_users",
                    "targetType": "group",
                    "targetedAuthenticationMethod": "microsoftAuthenticator",
                }
            ],
        }
    },
}
"""api-reference/v1.0/api/authenticationmethodspolicy-get.md."""


def _method(key: str, type_name: str, settings: Json, target: Json | None = None, *, targets: bool = True) -> Json:
    everyone = {"targetType": "group", "id": "all_users", "isRegistrationRequired": False, **(target or {})}
    return {
        "@odata.type": f"#microsoft.graph.{type_name}AuthenticationMethodConfiguration",
        "id": key,
        "state": "disabled",
        "excludeTargets": [],
        **settings,
        "includeTargets": [everyone] if targets else [],
    }


def _feature() -> Json:
    nobody = {"targetType": "group", "id": "00000000-0000-0000-0000-000000000000"}
    return {"state": "default", "includeTarget": {**nobody, "id": "all_users"}, "excludeTarget": nobody}


SERVICE_METHODS: dict[str, Json] = {
    method["id"]: method
    for method in (
        # api/authenticationmethodspolicy-get.md and resources/*authenticationmethodconfiguration.md; what those leave
        # open (the certificate's bindings, the lengths of codes) is as in the examples of the *-get.md pages.
        _method(
            "Fido2",
            "fido2",
            {
                "isSelfServiceRegistrationAllowed": True,
                "isAttestationEnforced": True,
                "keyRestrictions": {"isEnforced": False, "enforcementType": "block", "aaGuids": []},
            },
        ),
        _method(
            "MicrosoftAuthenticator",
            "microsoftAuthenticator",
            {
                "isSoftwareOathEnabled": False,
                "featureSettings": {
                    name: _feature()
                    for name in (
                        "companionAppAllowedState",
                        "numberMatchingRequiredState",
                        "displayAppInformationRequiredState",
                        "displayLocationInformationRequiredState",
                    )
                },
            },
            {"authenticationMode": "any"},
        ),
        _method("Sms", "sms", {}, {"isUsableForSignIn": True}),
        _method(
            "TemporaryAccessPass",
            "temporaryAccessPass",
            {
                "defaultLifetimeInMinutes": 60,
                "defaultLength": 8,
                "minimumLifetimeInMinutes": 60,
                "maximumLifetimeInMinutes": 480,
                "isUsableOnce": False,
            },
        ),
        _method("HardwareOath", "hardwareOath", {}),
        _method("SoftwareOath", "softwareOath", {}),
        _method("Voice", "voice", {"isOfficePhoneAllowed": False}),
        _method("Email", "email", {"state": "enabled", "allowExternalIdToUseEmailOtp": "default"}, targets=False),
        _method(
            "X509Certificate",
            "x509Certificate",
            {
                "certificateUserBindings": [
                    {"x509CertificateField": "PrincipalName", "userProperty": "onPremisesUserPrincipalName",
                     "priority": 1, "trustAffinityLevel": "low"},
                    {"x509CertificateField": "RFC822Name", "userProperty": "userPrincipalName", "priority": 2,
                     "trustAffinityLevel": "low"},
                ],
                "authenticationModeConfiguration": {
                    "x509CertificateAuthenticationDefaultMode": "x509CertificateSingleFactor",
                    "x509CertificateDefaultRequiredAffinityLevel": "low",
                    "rules": [],
                },
                "crlValidationConfiguration": {
                    "state": "disabled",
                    "exemptedCertificateAuthoritiesSubjectKeyIdentifiers": [],
                },
                "issuerHintsConfiguration": {"state": "disabled"},
                "certificateAuthorityScopes": [],
            },
        ),
        _method("QRCodePin", "qrCodePin", {"standardQRCodeLifetimeInDays": 365, "pinLength": 8}),
    )
}  # fmt: skip
"""What the service sets of itself: a DELETE brings it back."""

_IN_USE = ("Fido2", "MicrosoftAuthenticator", "Sms", "SoftwareOath")
"""Methods that the seeded people have registered, so somebody must have enabled them."""


def _plant_methods(state: State) -> None:
    state.table("methodsPolicy").put(METHODS_POLICY)
    for key, method in SERVICE_METHODS.items():
        state.table("methodConfigurations").put({**method, "state": "enabled"} if key in _IN_USE else method)


# -- cross-tenant access -------------------------------------------------------------------------------------------


def system_default() -> Json:
    """api-reference/v1.0/api/crosstenantaccesspolicyconfigurationdefault-get.md."""
    return {
        "id": "default",
        "isServiceDefault": True,
        "inboundTrust": {
            "isMfaAccepted": False,
            "isCompliantDeviceAccepted": False,
            "isHybridAzureADJoinedDeviceAccepted": False,
        },
        "b2bCollaborationOutbound": _everybody("allowed"),
        "b2bCollaborationInbound": _everybody("allowed"),
        "b2bDirectConnectOutbound": _everybody("blocked"),
        "b2bDirectConnectInbound": _everybody("blocked"),
        "automaticUserConsentSettings": {"inboundAllowed": False, "outboundAllowed": False},
        "invitationRedemptionIdentityProviderConfiguration": {
            "primaryIdentityProviderPrecedenceOrder": [
                "azureActiveDirectory",
                "externalFederation",
                "socialIdentityProviders",
            ],
            "fallbackIdentityProvider": "defaultConfiguredIdp",
        },
    }


def _everybody(access: str) -> Json:
    return {
        "usersAndGroups": {"accessType": access, "targets": [{"target": "AllUsers", "targetType": "user"}]},
        "applications": {"accessType": access, "targets": [{"target": "AllApplications", "targetType": "application"}]},
    }
