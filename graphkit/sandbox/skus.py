"""Products and their service plans, with Microsoft's own ids.

From Microsoft's licensing-service-plan-reference CSV (learn.microsoft.com/entra/identity/users/
licensing-service-plan-reference); products carry the plans that matter for licensing rules, not every one.
"""

from __future__ import annotations

from typing import NamedTuple


class Plan(NamedTuple):
    id: str
    service: str


PLANS: dict[str, Plan] = {
    "AAD_PREMIUM": Plan("41781fb2-bc02-4b7c-bd55-b576c07bb09d", "AADPremiumService"),
    "AAD_PREMIUM_P2": Plan("eec0eb4f-6444-4f95-aba0-50c24d67f998", "AADPremiumService"),
    "ADALLOM_S_DISCOVERY": Plan("932ad362-64a8-4783-9106-97849a1a30b9", "Adallom"),
    "ADALLOM_S_STANDALONE": Plan("2e2ddb96-6af9-4b1d-a3f0-d6ecfd22edb2", "Adallom"),
    "EXCHANGE_S_DESKLESS": Plan("4a82b400-a79f-41a4-b4e2-e94f5787b113", "exchange"),
    "EXCHANGE_S_ENTERPRISE": Plan("efb87545-963c-4e0d-99df-69c6916d9eb0", "exchange"),
    "EXCHANGE_S_FOUNDATION": Plan("113feb6c-3fe4-4440-bddc-54d774bf0318", "exchange"),
    "INTUNE_A": Plan("c1ec4a95-1f05-45b3-a911-aa3fa01094f5", "SCO"),
    "MCOSTANDARD": Plan("0feaeb32-d00e-4d66-bd5a-43b5b83db82c", "MicrosoftCommunicationsOnline"),
    "MFA_PREMIUM": Plan("8a256a2b-b617-496d-b51b-e76466e88db0", "MultiFactorService"),
    "OFFICESUBSCRIPTION": Plan("43de0ff5-c92c-492b-9116-175376d08c38", "MicrosoftOffice"),
    "RMS_S_ENTERPRISE": Plan("bea4c11e-220a-4e6d-8eb8-8ea15d019f90", "RMSOnline"),
    "RMS_S_PREMIUM": Plan("6c57d4b6-3b23-47a5-9bc9-69f17b4947b3", "RMSOnline"),
    "RMS_S_PREMIUM2": Plan("5689bec4-755d-4753-8b61-40975025187c", "RMSOnline"),
    "SHAREPOINTDESKLESS": Plan("902b47e5-dcb2-4fdc-858b-c63a90a2bdb9", "SharePoint"),
    "SHAREPOINTENTERPRISE": Plan("5dbe027f-2339-4123-9542-606e4d348a72", "SharePoint"),
    "TEAMS1": Plan("57ff2da0-773e-42df-b2af-ffb7a2317929", "TeamspaceAPI"),
}


class Product(NamedTuple):
    id: str
    plans: tuple[str, ...]


_EMS = ("AAD_PREMIUM", "INTUNE_A", "MFA_PREMIUM", "RMS_S_ENTERPRISE", "RMS_S_PREMIUM", "ADALLOM_S_DISCOVERY")
_EMS5 = ("AAD_PREMIUM", "AAD_PREMIUM_P2", "INTUNE_A", "MFA_PREMIUM", "RMS_S_ENTERPRISE", "RMS_S_PREMIUM",
         "RMS_S_PREMIUM2", "ADALLOM_S_STANDALONE")  # fmt: skip
_OFFICE = ("TEAMS1", "EXCHANGE_S_ENTERPRISE", "SHAREPOINTENTERPRISE", "OFFICESUBSCRIPTION", "MCOSTANDARD")
_FRONTLINE = ("TEAMS1", "EXCHANGE_S_DESKLESS", "SHAREPOINTDESKLESS", "MCOSTANDARD", "AAD_PREMIUM", "INTUNE_A",
              "MFA_PREMIUM", "RMS_S_ENTERPRISE", "RMS_S_PREMIUM", "ADALLOM_S_DISCOVERY")  # fmt: skip

PRODUCTS: dict[str, Product] = {
    "SPE_E3": Product("05e9a617-0261-4cee-bb44-138d3ef5d965", _OFFICE + _EMS),
    "SPE_E5": Product("06ebc4ee-1bb5-47dd-8120-11324bc54e06", _OFFICE + _EMS5),
    "SPE_F1": Product("66b55226-6b4f-492c-910c-a3b7a3c9d993", _FRONTLINE),
    "M365_F1": Product("44575883-256e-4a79-9da4-ebe9acabe2b2", ("TEAMS1", "SHAREPOINTDESKLESS", *_EMS)),
    "EMS": Product("efccb6f7-5641-4e0e-bd10-b4976e1bf68e", (*_EMS, "EXCHANGE_S_FOUNDATION")),
    "EMSPREMIUM": Product("b05e124f-c7cc-45a0-a6aa-8cf78c946968", (*_EMS5, "EXCHANGE_S_FOUNDATION")),
    "ENTERPRISEPACK": Product("6fd2c87f-b296-42f0-b197-1e91e994b900", (*_OFFICE, "RMS_S_ENTERPRISE")),
    "ENTERPRISEPREMIUM": Product("c7df2760-2c81-4ef7-b578-5b5392b571df", (*_OFFICE, "RMS_S_ENTERPRISE")),
}

EXCLUSIVE: tuple[frozenset[str], ...] = (
    frozenset({"EXCHANGE_S_DESKLESS", "EXCHANGE_S_ENTERPRISE"}),
    frozenset({"SHAREPOINTDESKLESS", "SHAREPOINTENTERPRISE"}),
)
"""Plans that one user cannot hold together (licensing-groups-resolve-problems.md, "Conflicting service plans")."""
