"""Products and their service plans, with Microsoft's own ids, and what the plans ask of each other.

From Microsoft's licensing-service-plan-reference CSV (learn.microsoft.com/entra/identity/users/
licensing-service-plan-reference); products carry the plans that matter for licensing rules, not every one. Names of
services are as seen in assignedPlans; those of add-ons are assumptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Plan(NamedTuple):
    id: str
    service: str


_EXCHANGE, _SHAREPOINT, _TEAMS, _CALLS = "exchange", "SharePoint", "TeamspaceAPI", "MicrosoftCommunicationsOnline"

PLANS: dict[str, Plan] = {
    "AAD_PREMIUM": Plan("41781fb2-bc02-4b7c-bd55-b576c07bb09d", "AADPremiumService"),
    "AAD_PREMIUM_P2": Plan("eec0eb4f-6444-4f95-aba0-50c24d67f998", "AADPremiumService"),
    "ADALLOM_S_DISCOVERY": Plan("932ad362-64a8-4783-9106-97849a1a30b9", "Adallom"),
    "ADALLOM_S_STANDALONE": Plan("2e2ddb96-6af9-4b1d-a3f0-d6ecfd22edb2", "Adallom"),
    "ATP_ENTERPRISE": Plan("f20fedf3-f3c3-43c3-8267-2bfdd51c0939", _EXCHANGE),
    "BI_AZURE_P0": Plan("2049e525-b859-401b-b2a0-e0a31c4b1fe4", "PowerBI"),
    "BI_AZURE_P2": Plan("70d33638-9c74-4d01-bfd3-562de28bd4ba", "PowerBI"),
    "EXCHANGE_S_DESKLESS": Plan("4a82b400-a79f-41a4-b4e2-e94f5787b113", _EXCHANGE),
    "EXCHANGE_S_ENTERPRISE": Plan("efb87545-963c-4e0d-99df-69c6916d9eb0", _EXCHANGE),
    "EXCHANGE_S_FOUNDATION": Plan("113feb6c-3fe4-4440-bddc-54d774bf0318", _EXCHANGE),
    "EXCHANGE_S_STANDARD": Plan("9aaf7827-d63c-4b61-89c3-182f06f82e5c", _EXCHANGE),
    "INTUNE_A": Plan("c1ec4a95-1f05-45b3-a911-aa3fa01094f5", "SCO"),
    "Intune_Defender": Plan("1689aade-3d6a-4bfc-b017-46d2672df5ad", "SCO"),
    "MCOEV": Plan("4828c8ec-dc2e-4779-b502-87ac9ce28ab7", _CALLS),
    "MCOIMP": Plan("afc06cb0-b4f4-4473-8286-d644f70d8faf", _CALLS),
    "MCOMEETADV": Plan("3e26ee1f-8a5f-4d52-aee2-b81ce45c8f40", _CALLS),
    "MCOPSTN1": Plan("4ed3ff63-69d7-4fb7-b984-5aec7f605ca8", _CALLS),
    "MCOPSTN2": Plan("5a10155d-f5c1-411a-a8ec-e99aae125390", _CALLS),
    "MCOSTANDARD": Plan("0feaeb32-d00e-4d66-bd5a-43b5b83db82c", _CALLS),
    "MFA_PREMIUM": Plan("8a256a2b-b617-496d-b51b-e76466e88db0", "MultiFactorService"),
    "OFFICESUBSCRIPTION": Plan("43de0ff5-c92c-492b-9116-175376d08c38", "MicrosoftOffice"),
    "PROJECT_CLIENT_SUBSCRIPTION": Plan("fafd7243-e5c1-4a3a-9e40-495efcb1d3c3", "MicrosoftOffice"),
    "RMS_S_ENTERPRISE": Plan("bea4c11e-220a-4e6d-8eb8-8ea15d019f90", "RMSOnline"),
    "RMS_S_PREMIUM": Plan("6c57d4b6-3b23-47a5-9bc9-69f17b4947b3", "RMSOnline"),
    "RMS_S_PREMIUM2": Plan("5689bec4-755d-4753-8b61-40975025187c", "RMSOnline"),
    "SHAREPOINTDESKLESS": Plan("902b47e5-dcb2-4fdc-858b-c63a90a2bdb9", _SHAREPOINT),
    "SHAREPOINTENTERPRISE": Plan("5dbe027f-2339-4123-9542-606e4d348a72", _SHAREPOINT),
    "SHAREPOINTSTANDARD": Plan("c7699d2e-19aa-44de-8edf-1736da088ca1", _SHAREPOINT),
    "SHAREPOINT_PROJECT": Plan("fe71d6c3-a2ea-4499-9778-da042bf08063", _SHAREPOINT),
    "TEAMS1": Plan("57ff2da0-773e-42df-b2af-ffb7a2317929", _TEAMS),
    "TEAMSPRO_CUST": Plan("cc8c0802-a325-43df-8cba-995d0c6cb373", _TEAMS),
    "TEAMSPRO_MGMT": Plan("0504111f-feb8-4a3c-992a-70280f9a2869", _TEAMS),
    "TEAMSPRO_PROTECTION": Plan("f8b44f54-18bb-46a3-9658-44ab58712968", _TEAMS),
    "TEAMSPRO_VIRTUALAPPT": Plan("9104f592-f2a7-4f77-904c-ca5a5715883f", _TEAMS),
    "TEAMSPRO_WEBINAR": Plan("78b58230-ec7e-4309-913c-93a45cc4735b", _TEAMS),
    "VISIOONLINE": Plan("2bdbaf8f-738f-4ac7-9234-3c3ee2ce7d0f", "MicrosoftOffice"),
    "VISIO_CLIENT_SUBSCRIPTION": Plan("663a804f-1c30-4ff0-9915-9db84f0d1cea", "MicrosoftOffice"),
    "WINDEFATP": Plan("871d91ec-ec1a-452b-a83f-bd76c7d770ef", "WindowsDefenderATP"),
    "WINDOWS_STORE": Plan("a420f25f-a7b3-4ff5-a9d0-5d58f73b537d", "WindowsStore"),
    "WORKPLACE_ANALYTICS": Plan("f477b0f0-3bb1-4890-940c-40fcee6ce05f", _EXCHANGE),
}

FOR_THE_COMPANY = frozenset({"EXCHANGE_S_FOUNDATION", "WINDOWS_STORE"})
"""Plans of the whole tenant (``appliesTo`` Company): nobody is given one, nobody's is turned off. Which plans these are
is not published; the second is an assumption."""


class Product(NamedTuple):
    """``applies_to`` is Company for what cannot be assigned to a user (resources/subscribedsku.md)."""

    id: str
    plans: tuple[str, ...]
    applies_to: str = "User"


_P1 = ("AAD_PREMIUM", "MFA_PREMIUM", "ADALLOM_S_DISCOVERY")
_EMS = ("AAD_PREMIUM", "INTUNE_A", "MFA_PREMIUM", "RMS_S_ENTERPRISE", "RMS_S_PREMIUM", "ADALLOM_S_DISCOVERY")
_EMS5 = ("AAD_PREMIUM", "AAD_PREMIUM_P2", "INTUNE_A", "MFA_PREMIUM", "RMS_S_ENTERPRISE", "RMS_S_PREMIUM",
         "RMS_S_PREMIUM2", "ADALLOM_S_STANDALONE")  # fmt: skip
_OFFICE_ONLY = ("EXCHANGE_S_ENTERPRISE", "SHAREPOINTENTERPRISE", "OFFICESUBSCRIPTION", "MCOSTANDARD")
_OFFICE = ("TEAMS1", *_OFFICE_ONLY)
_VOICE = ("MCOEV", "MCOMEETADV", "BI_AZURE_P2", "ATP_ENTERPRISE")
_FRONTLINE = ("TEAMS1", "EXCHANGE_S_DESKLESS", "SHAREPOINTDESKLESS", "MCOIMP", "AAD_PREMIUM", "INTUNE_A",
              "MFA_PREMIUM", "RMS_S_ENTERPRISE", "RMS_S_PREMIUM", "ADALLOM_S_DISCOVERY")  # fmt: skip
_PREMIUM = ("TEAMSPRO_CUST", "TEAMSPRO_MGMT", "TEAMSPRO_PROTECTION", "TEAMSPRO_VIRTUALAPPT", "TEAMSPRO_WEBINAR")
_FOUNDATION = "EXCHANGE_S_FOUNDATION"

PRODUCTS: dict[str, Product] = {
    "SPE_E3": Product("05e9a617-0261-4cee-bb44-138d3ef5d965", _OFFICE + _EMS),
    "SPE_E5": Product("06ebc4ee-1bb5-47dd-8120-11324bc54e06", (*_OFFICE, *_EMS5, *_VOICE, "WINDEFATP")),
    "SPE_F1": Product("66b55226-6b4f-492c-910c-a3b7a3c9d993", _FRONTLINE),
    "M365_F1": Product("44575883-256e-4a79-9da4-ebe9acabe2b2", ("TEAMS1", "SHAREPOINTDESKLESS", "MCOIMP", *_EMS)),
    "EMS": Product("efccb6f7-5641-4e0e-bd10-b4976e1bf68e", (*_EMS, _FOUNDATION)),
    "EMSPREMIUM": Product("b05e124f-c7cc-45a0-a6aa-8cf78c946968", (*_EMS5, _FOUNDATION)),
    "STANDARDPACK": Product(
        "18181a46-0d4e-45cd-891e-60aabd171b4e", ("TEAMS1", "EXCHANGE_S_STANDARD", "SHAREPOINTSTANDARD", "MCOSTANDARD")
    ),
    "ENTERPRISEPACK": Product("6fd2c87f-b296-42f0-b197-1e91e994b900", (*_OFFICE, "RMS_S_ENTERPRISE")),
    "ENTERPRISEPREMIUM": Product("c7df2760-2c81-4ef7-b578-5b5392b571df", (*_OFFICE, "RMS_S_ENTERPRISE", *_VOICE)),
    "Microsoft_365_E3_(no_Teams)": Product("dcf0408c-aaec-446c-afd4-43e3683943ea", _OFFICE_ONLY + _EMS),
    "Microsoft_365_E5_(no_Teams)": Product(
        "18a4bd3f-0b5b-4887-b04f-61dd0ee15f5e", (*_OFFICE_ONLY, *_EMS5, *_VOICE, "WINDEFATP")
    ),
    "Microsoft_Teams_Enterprise_New": Product(
        "7e31c0d9-9551-471d-836f-32ee72be4a01", ("TEAMS1", "EXCHANGE_S_DESKLESS", "MCOIMP")
    ),
    "Microsoft_Teams_Premium": Product("36a0f3b3-adb5-49ea-bf66-762134cf063a", _PREMIUM),
    "MCOMEETADV": Product("0c266dff-15dd-4b49-8397-2bb16070ed52", ("MCOMEETADV",)),
    "MCOEV": Product("e43b5b99-8dfb-405f-9987-dc307f34bcbd", ("MCOEV",)),
    "MCOPSTN1": Product("0dab259f-bf13-4952-b7f8-7db8f131b28d", ("MCOPSTN1",)),
    "MCOPSTN2": Product("d3b4fe1f-9992-4930-8acb-ca6ec609365e", ("MCOPSTN2",)),
    "EXCHANGESTANDARD": Product("4b9405b0-7788-4568-add1-99614e613b69", ("EXCHANGE_S_STANDARD",)),
    "EXCHANGEENTERPRISE": Product("19ec0d23-8335-4cbd-94ac-6050e30712fa", ("EXCHANGE_S_ENTERPRISE",)),
    "WORKPLACE_ANALYTICS": Product("3d957427-ecdc-4df2-aacd-01cc9d519da8", ("WORKPLACE_ANALYTICS",)),
    "VISIOCLIENT": Product(
        "c5928f49-12ba-48f7-ada3-0d743a3601d5", ("VISIO_CLIENT_SUBSCRIPTION", "VISIOONLINE", _FOUNDATION)
    ),
    "PROJECTPROFESSIONAL": Product(
        "53818b1b-4a27-454b-8896-0dba576410e6",
        ("PROJECT_CLIENT_SUBSCRIPTION", "SHAREPOINT_PROJECT", "SHAREPOINTENTERPRISE", _FOUNDATION),
    ),
    "POWER_BI_STANDARD": Product("a403ebcc-fae0-4ca2-8c8c-7a907fd6c235", ("BI_AZURE_P0", _FOUNDATION)),
    "POWER_BI_PRO": Product("f8a1db68-be16-40ed-86d5-cb42ce701560", ("BI_AZURE_P2", _FOUNDATION)),
    "WIN_DEF_ATP": Product("111046dd-295b-4d6d-9724-d52ac90bd1f2", ("WINDEFATP", _FOUNDATION)),
    "MDATP_XPLAT": Product("b126b073-72db-4a9d-87a4-b17afe41d4ab", ("WINDEFATP", "Intune_Defender", _FOUNDATION)),
    "ATP_ENTERPRISE": Product("4ef96642-f096-40de-a3e9-d83fb2f90211", ("ATP_ENTERPRISE",)),
    "AAD_PREMIUM": Product("078d2b04-f1bd-4111-bbd4-b4b1b354cef4", (*_P1, _FOUNDATION)),
    "AAD_PREMIUM_P2": Product("84a661c4-e949-4bd2-a560-ed7766fcaf2b", (*_P1, "AAD_PREMIUM_P2", _FOUNDATION)),
    "INTUNE_A": Product("061f9ace-7d42-4136-88ac-31dc755f143f", ("INTUNE_A",)),
    "WINDOWS_STORE": Product("6470687e-a428-4b7a-bef2-8a291ad947c9", ("WINDOWS_STORE", _FOUNDATION), "Company"),
}

EXCLUSIVE: tuple[frozenset[str], ...] = (
    frozenset({"SHAREPOINTDESKLESS", "SHAREPOINTENTERPRISE"}),
    frozenset({"SHAREPOINTDESKLESS", "SHAREPOINTSTANDARD"}),
    frozenset({"MCOPSTN1", "MCOPSTN2"}),
)
"""Plans that one user cannot hold together: licensing-service-plan-reference, "Service plans that cannot be assigned at
the same time" (October 2025).

That page names more pairs, but others of Microsoft's contradict it: Exchange plans have been assigned together since
January 2023 (techcommunity.microsoft.com, "Introducing Support for Concurrent Exchange Online License Assignments"),
and Teams Enterprise, which carries MCOIMP, is sold to be held with Microsoft 365 E3, which carries MCOSTANDARD.
SharePoint Plan 1 and 2 together are merely "not recommended".
"""

_SKYPE = frozenset({"MCOSTANDARD", "MCOIMP"})
_MAIL = frozenset({"EXCHANGE_S_STANDARD", "EXCHANGE_S_ENTERPRISE"})

REQUIRES: Mapping[str, frozenset[str]] = {
    # licensing-groups-resolve-problems.md: "Audio Conferencing is dependent on Skype for Business"; "Workplace
    # Analytics ... Exchange Online (Plan 1), Exchange Online (Plan 2)".
    "MCOMEETADV": _SKYPE,
    "WORKPLACE_ANALYTICS": _MAIL,
    # Sold as add-ons to these (learn.microsoft.com/microsoftteams/teams-add-on-licensing); that the directory insists
    # is an assumption.
    "MCOEV": _SKYPE,
    "MCOPSTN1": frozenset({"MCOEV"}),
    "MCOPSTN2": frozenset({"MCOEV"}),
    **dict.fromkeys(_PREMIUM, frozenset({"TEAMS1"})),
}
"""A plan, and those of which one must be enabled with it."""

MAILBOX = frozenset({"EXCHANGE_S_DESKLESS", *_MAIL})
"""Plans that give a mailbox, and with it an address that nobody else may have."""
