"""What a tenant is born with: accounts, organisations, products, roles. Nothing here resembles a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from graphkit.sandbox.call import Json
from graphkit.sandbox.ids import SEEDED_AT, guid, security_identifier
from graphkit.sandbox.memory.state import State
from graphkit.sandbox.permissions import APP_ROLES
from graphkit.sandbox.seeding.devices import Fleet
from graphkit.sandbox.seeding.intune import plant_intune
from graphkit.sandbox.seeding.policies import plant_policies
from graphkit.sandbox.seeding.population import Staff
from graphkit.sandbox.seeding.skus import FOR_THE_COMPANY, PLANS, PRODUCTS

DEFAULT_SEATS: Mapping[str, int] = {
    "SPE_E3": 7000,
    "SPE_F1": 5000,
    "EMS": 8000,
    "EMSPREMIUM": 500,
    "ENTERPRISEPACK": 500,
}
GLOBAL_ADMINISTRATOR = "62e90394-69f5-4237-9190-012177145e10"

# learn.microsoft.com/entra/identity/role-based-access-control/permissions-reference
ROLES: Mapping[str, str] = {
    "Global Administrator": GLOBAL_ADMINISTRATOR,
    "Global Reader": "f2ef992c-3afb-46b9-b7cf-a126ee74c451",
    "Security Administrator": "194ae4cb-b126-40b2-bd5b-6091b380977d",
    "Exchange Administrator": "29232cdf-9323-42fd-ade2-1d097af3e4de",
    "SharePoint Administrator": "f28a1f50-f6e7-4571-818b-6a12f2af6b6c",
    "Conditional Access Administrator": "b1be1c3e-b65d-4f19-8427-f6fa0d97feb9",
    "Helpdesk Administrator": "729827e3-9c14-49f7-bb1b-9608f156bbb8",
    "Billing Administrator": "b0f54661-2d74-4c50-afa3-1ec803f12efe",
    "User Administrator": "fe930be7-5e62-47db-91af-98c3a49a38b1",
    "Authentication Administrator": "c4e39bd9-1100-46d3-8c65-fb160da0071f",
    "Application Administrator": "9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3",
    "Cloud Application Administrator": "158c047a-c907-4556-b7ef-446551a6b5f7",
    "Password Administrator": "966707d0-3269-4727-9be2-8c3a10f19b9d",
    "Privileged Authentication Administrator": "7be44c8a-adaf-4e2a-84d6-ab2649e08a13",
    "Privileged Role Administrator": "e8611ab8-c189-46e8-94e1-60213ab1f814",
    "Intune Administrator": "3a2c62db-5318-420d-8d74-23affee5d9d5",
    "Directory Synchronization Accounts": "d29b2b05-8046-44ba-8758-1e26182fcf32",
    "Teams Administrator": "69091246-20e8-4a56-aa4d-066075b2a7a8",
    "License Administrator": "4d6ac14f-3453-41d0-bef9-a3e0c569773a",
    "Groups Administrator": "fdd7a751-b60b-444a-984c-02652fe8fa1c",
}

APPLICATIONS: Mapping[str, str] = {
    # learn.microsoft.com/troubleshoot/entra/entra-id/governance/verify-first-party-apps-sign-in
    "00000003-0000-0000-c000-000000000000": "Microsoft Graph",
    "00000002-0000-0ff1-ce00-000000000000": "Office 365 Exchange Online",
    "00000003-0000-0ff1-ce00-000000000000": "Office 365 SharePoint Online",
    "cc15fd57-2c6c-4117-a88c-83b1d56b4bbe": "Microsoft Teams Services",
    "0000000a-0000-0000-c000-000000000000": "Microsoft Intune",
    "d4ebce55-015a-49b5-a083-c84d1797ae8c": "Microsoft Intune Enrollment",
    "797f4846-ba00-4fd7-ba43-dac1f8f63013": "Windows Azure Service Management API",
    "14d82eec-204b-4c2f-b7e8-296a70dab67e": "Microsoft Graph Command Line Tools",
    "2793995e-0a7d-40d7-bd35-6968ba142197": "My Apps",
    "f53895d3-095d-408f-8e93-8f94b391404e": "Microsoft Project Online",
}

GRAPH_APP = "00000003-0000-0000-c000-000000000000"
OWN_APP = "Bulk administration"
HOST_IDENTITY = "bulk-administration-host"
"""The machine on which the own app would run, as its system-assigned managed identity is named."""


@dataclass(frozen=True)
class Seed:
    """The birth certificate of a tenant: equal seeds make equal tenants, ids included.

    ``users`` are shared out evenly over ``organisations`` (RX1, RX2 ...); the first ``licensed`` of each hold the
    first of ``skus`` directly; ``devices`` are shared out likewise. ``accounts`` are further user principal names
    (licensed too), ``seats`` the units bought per SKU, ``synced_groups`` the names of groups that a directory on
    premises masters, as it does the last ``synced`` users of each organisation; ``dice`` is the seed of everything
    random.

    ``warning``, ``suspended`` and ``locked_out`` are units per SKU whose subscription has run out, was cancelled, or is
    closed, on top of the ``seats``; ``prohibited`` says where a SKU may not be used (``{"MCOPSTN1": ("IN",)}``);
    ``country`` is the directory's, which group licensing takes for users who have no location of their own;
    ``teams_for_all`` lets a team be made whose owners have no licence for Teams.
    """

    organisations: int = 3
    users: int = 8000
    skus: tuple[str, ...] = ("SPE_E3", "SPE_F1", "EMS", "EMSPREMIUM", "ENTERPRISEPACK")
    tenant_id: str = ""
    domain: str = "contoso.example"
    name: str = "Contoso Health"
    seats: Mapping[str, int] = field(default_factory=dict)
    warning: Mapping[str, int] = field(default_factory=dict)
    suspended: Mapping[str, int] = field(default_factory=dict)
    locked_out: Mapping[str, int] = field(default_factory=dict)
    prohibited: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    country: str = "GB"
    teams_for_all: bool = False
    licensed: int = 20
    accounts: tuple[str, ...] = ()
    app_id: str = ""
    security_defaults: bool = False
    synced_groups: tuple[str, ...] = ()
    synced: int = 0
    dice: int = 1
    devices: int = 0

    def __post_init__(self) -> None:
        for name in ("tenant", "app"):
            if not getattr(self, f"{name}_id"):
                object.__setattr__(self, f"{name}_id", guid(name, self.domain))
        unknown = set(self.skus) - set(PRODUCTS)
        if unknown:
            raise ValueError(f"unknown SKU {', '.join(sorted(unknown))}; known are {', '.join(PRODUCTS)}")

    @cached_property
    def codes(self) -> tuple[str, ...]:
        return tuple(f"RX{number}" for number in range(1, self.organisations + 1))

    @property
    def identity_id(self) -> str:
        """The application id of the managed identity."""
        return guid("managed-identity", self.domain)

    def id_of(self, kind: str, key: str) -> str:
        """The id of something seeded: ``id_of("user", "rx1-0001@contoso.example")``."""
        if kind == "user":
            position = self.staff.find("userPrincipalName", key.lower())
            if position is not None:
                return self.staff.key(position)
        if kind in ("managedDevice", "device"):
            position = self.fleet.find("deviceName", key.lower())
            if position is not None:
                return (self.fleet if kind == "managedDevice" else self.fleet.joined).key(position)
        return guid(self.tenant_id, kind, key.lower())

    @cached_property
    def staff(self) -> Staff:
        return Staff(self, licence(self))

    @cached_property
    def fleet(self) -> Fleet:
        return Fleet(self)

    def seats_of(self, sku: str) -> int:
        return self.seats.get(sku, DEFAULT_SEATS.get(sku, 100))


def plant(state: State, seed: Seed) -> None:
    """Put everything that the tenant is born with into an empty state."""
    _plant_people(state, seed)
    _plant_organisation(state, seed)
    _plant_products(state, seed)
    _plant_break_glass(state, seed)
    _plant_synced_groups(state, seed)
    _plant_roles(state, seed)
    _plant_applications(state, seed)
    plant_policies(state, security_defaults=seed.security_defaults)
    plant_intune(state, seed)


def _plant_people(state: State, seed: Seed) -> None:
    held = licence(seed)
    state.populate("users", seed.staff)
    for upn in seed.accounts:
        user = account(seed, upn, upn.partition("@")[0])
        if held:
            user["licenseAssignmentStates"] = held
        state.table("users").put(user)


def account(seed: Seed, upn: str, name: str) -> Json:
    return {
        "id": seed.id_of("user", upn),
        "userPrincipalName": upn,
        "displayName": name,
        "mail": upn,
        "mailNickname": upn.partition("@")[0],
        "accountEnabled": True,
        "userType": "Member",
        "usageLocation": "GB",
        "createdDateTime": SEEDED_AT,
    }


def licence(seed: Seed) -> list[Json]:
    if not seed.skus or not seed.licensed:
        return []
    return [
        {
            "skuId": PRODUCTS[seed.skus[0]].id,
            "assignedByGroup": None,
            "disabledPlans": [],
            "state": "Active",
            "error": "None",
            "lastUpdatedDateTime": SEEDED_AT,
        }
    ]


def _plant_organisation(state: State, seed: Seed) -> None:
    domain = {"name": seed.domain, "capabilities": "Email, OfficeCommunicationsOnline", "type": "Managed"}
    initial = f"{seed.domain.partition('.')[0]}.onmicrosoft.example"
    state.table("organization").put(
        {
            "id": seed.tenant_id,
            "displayName": seed.name,
            "countryLetterCode": seed.country,
            "preferredLanguage": "en",
            "tenantType": "AAD",
            "createdDateTime": SEEDED_AT,
            "onPremisesSyncEnabled": None,
            "assignedPlans": _company_plans(seed),
            "verifiedDomains": [
                {**domain, "isDefault": True, "isInitial": False},
                {**domain, "name": initial, "isDefault": False, "isInitial": True},
            ],
        }
    )


def _company_plans(seed: Seed) -> list[Json]:
    """All plans that the company has bought, its own and its users' (resources/organization.md)."""
    plans = dict.fromkeys(plan for sku in seed.skus for plan in PRODUCTS[sku].plans)
    return [
        {
            "assignedDateTime": SEEDED_AT,
            "capabilityStatus": "Enabled",
            "service": PLANS[plan].service,
            "servicePlanId": PLANS[plan].id,
        }
        for plan in plans
    ]


def _plant_products(state: State, seed: Seed) -> None:
    for sku in seed.skus:
        product = PRODUCTS[sku]
        state.table("subscribedSkus").put(
            {
                "id": f"{seed.tenant_id}_{product.id}",
                "accountId": seed.tenant_id,
                "accountName": seed.domain.partition(".")[0],
                "appliesTo": product.applies_to,
                "capabilityStatus": "Enabled",
                "skuId": product.id,
                "skuPartNumber": sku,
                "subscriptionIds": [guid(seed.tenant_id, "subscription", sku)],
                "prepaidUnits": {
                    "enabled": seed.seats_of(sku),
                    "suspended": seed.suspended.get(sku, 0),
                    "warning": seed.warning.get(sku, 0),
                    "lockedOut": seed.locked_out.get(sku, 0),
                },
                "servicePlans": [
                    {
                        "servicePlanId": PLANS[plan].id,
                        "servicePlanName": plan,
                        "provisioningStatus": "Success",
                        "appliesTo": "Company" if plan in FOR_THE_COMPANY else "User",
                    }
                    for plan in product.plans
                ],
            }
        )


def _plant_break_glass(state: State, seed: Seed) -> None:
    group = _security_group(seed, "Break glass")
    group_id = group["id"]
    state.table("groups").put(
        {
            **group,
            "description": "Emergency access accounts",
            "mailNickname": "break-glass",
            "isAssignableToRole": True,
            "visibility": "Private",
        }
    )
    for number in (1, 2):
        upn = f"break-glass-{number}@{seed.domain}"
        user = account(seed, upn, f"Break glass {number}")
        state.table("users").put(user)
        state.link("members", group_id, user["id"])
        state.link("roleMembers", GLOBAL_ADMINISTRATOR, user["id"])


def _security_group(seed: Seed, name: str) -> Json:
    key = seed.id_of("group", name)
    return {
        "id": key,
        "displayName": name,
        "groupTypes": [],
        "mailEnabled": False,
        "mailNickname": name.replace(" ", "-").lower(),
        "securityEnabled": True,
        "securityIdentifier": security_identifier(key),
        "createdDateTime": SEEDED_AT,
        "renewedDateTime": SEEDED_AT,
    }


def _plant_synced_groups(state: State, seed: Seed) -> None:
    for name in seed.synced_groups:
        group = _security_group(seed, name)
        synced = {
            "onPremisesSyncEnabled": True,
            "onPremisesLastSyncDateTime": SEEDED_AT,
            "onPremisesSamAccountName": name,
            "onPremisesDomainName": seed.domain,
        }
        state.table("groups").put({**group, **synced})


def _plant_roles(state: State, seed: Seed) -> None:
    for name, template in ROLES.items():
        state.table("roles").put(
            {"id": seed.id_of("role", name), "displayName": name, "description": name, "roleTemplateId": template}
        )


def _plant_applications(state: State, seed: Seed) -> None:
    for app_id, name in {**APPLICATIONS, seed.app_id: OWN_APP}.items():
        plant_app(state, seed, app_id, name)
    plant_app(state, seed, seed.identity_id, HOST_IDENTITY, "ManagedIdentity")


def plant_app(state: State, seed: Seed, app_id: str, name: str, kind: str = "Application") -> None:
    """The service principal of an application, made anew at every opening; one that was disabled stays so."""
    found = state.table("servicePrincipals").find("appId", app_id)
    principal: Json = {
        "id": seed.id_of("servicePrincipal", app_id),
        "appId": app_id,
        "displayName": name,
        "accountEnabled": found[0]["accountEnabled"] if found else True,
        "servicePrincipalType": kind,
        "appOwnerOrganizationId": seed.tenant_id,
    }
    if kind == "ManagedIdentity":
        principal["alternativeNames"] = [f"isExplicit={app_id != seed.identity_id}", resource_id(seed, name)]
    if app_id == GRAPH_APP:
        principal["appRoles"] = [
            {"id": role, "value": value, "displayName": value, "isEnabled": True, "allowedMemberTypes": ["Application"]}
            for value, role in APP_ROLES.items()
        ]
    state.table("servicePrincipals").put(principal)


def resource_id(seed: Seed, name: str) -> str:
    """The Azure resource that a managed identity belongs to, or is."""
    group = f"/subscriptions/{guid(seed.tenant_id, 'azure')}/resourcegroups/bulk-administration/providers"
    if name == HOST_IDENTITY:
        return f"{group}/Microsoft.Web/sites/{name}"
    return f"{group}/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
