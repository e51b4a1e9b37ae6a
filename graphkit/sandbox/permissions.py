"""Permissions: sets of them that the operations need, and what each is called.

The rows are those of microsoftgraph/microsoft-graph-devx-content permissions/new/permissions.json (application
permissions), the identifiers those of permissions/new/provisioningInfo.json; names that only resource-specific consent
or preview features have are left out. Where a page of the API reference asks for several at once, each is a need of its
own. The least comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from graphkit.sandbox.call import Call, Refusal

Need = tuple[str, ...]
"""Any one of these will do."""

DIRECTORY: Need = ("Directory.Read.All", "Directory.ReadWrite.All")
USERS: Need = ("User.ReadBasic.All", "User.Read.All", "User.ReadWrite.All", *DIRECTORY)
USERS_FULL: Need = ("User.Read.All", "User.ReadWrite.All", *DIRECTORY)
USERS_DELETE: Need = ("User.DeleteRestore.All", "User.ReadWrite.All")
USERS_WRITE: Need = ("User.ReadWrite.All", "Directory.ReadWrite.All")
GROUP_RECORDS: Need = (
    "Group.ReadBasic.All",
    "GroupMember.Read.All",
    "Group.Read.All",
    "Group.ReadWrite.All",
    *DIRECTORY,
)
MEMBERS: Need = (
    "GroupMember.ReadBasic.All",
    "GroupMember.Read.All",
    "GroupMember.ReadWrite.All",
    "Group.ReadBasic.All",
    "Group.Read.All",
    "Group.ReadWrite.All",
    *DIRECTORY,
)
OWNERS: Need = (
    "GroupMember.Read.All",
    "GroupMember.ReadWrite.All",
    "Group.Read.All",
    "Group.ReadWrite.All",
    *DIRECTORY,
)
GROUPS_FULL: Need = ("Group.Read.All", "Group.ReadWrite.All", *DIRECTORY)
GROUP_WRITE: Need = ("Group.ReadWrite.All", "Directory.ReadWrite.All")
MEMBERS_WRITE: Need = ("GroupMember.ReadWrite.All", *GROUP_WRITE)
LICENSES: Need = (
    "LicenseAssignment.Read.All",
    "LicenseAssignment.ReadWrite.All",
    "Organization.Read.All",
    *DIRECTORY,
)
TEAM: Need = (
    "Team.ReadBasic.All",
    "TeamSettings.Read.All",
    "TeamSettings.ReadWrite.All",
    "Group.Read.All",
    "Group.ReadWrite.All",
    *DIRECTORY,
)
CHANNELS: Need = (
    "Channel.ReadBasic.All",
    "ChannelSettings.Read.All",
    "ChannelSettings.ReadWrite.All",
    "Group.Read.All",
    "Group.ReadWrite.All",
    *DIRECTORY,
)
UNITS: Need = ("AdministrativeUnit.Read.All", "AdministrativeUnit.ReadWrite.All", *DIRECTORY)
UNITS_WRITE: Need = ("AdministrativeUnit.ReadWrite.All",)
ROLES: Need = ("RoleManagement.Read.Directory", "RoleManagement.ReadWrite.Directory", *DIRECTORY)
APPS: Need = ("Application.Read.All", "Application.ReadWrite.All", *DIRECTORY)
POLICIES: Need = ("Policy.Read.All",)
ACCESS: Need = ("Policy.Read.ConditionalAccess", "Policy.Read.All")
ACCESS_WRITE: Need = ("Policy.ReadWrite.ConditionalAccess",)
STRENGTHS: Need = (
    "Policy.Read.AuthenticationMethod",
    "Policy.Read.All",
    "Policy.ReadWrite.AuthenticationMethod",
    "Policy.ReadWrite.ConditionalAccess",
)
AGREEMENTS: Need = ("Agreement.Read.All", "Agreement.ReadWrite.All")
SIGN_INS: Need = ("AuditLog.Read.All",)
INVITE: Need = ("User.Invite.All", *USERS_WRITE)
INTUNE: Need = ("DeviceManagementConfiguration.Read.All", "DeviceManagementConfiguration.ReadWrite.All")
INTUNE_WRITE: Need = ("DeviceManagementConfiguration.ReadWrite.All",)


def check(call: Call, template: str, needs: Iterable[Need]) -> None:
    """Raises :class:`Refusal` (403) if the caller's token does not allow this operation."""
    held = call.permissions
    if held is None:
        return
    # api-reference/v1.0/api/group-post-members.md: up to 20 members at once, by PATCH, with the same permission
    if template == "/groups/{group}" and call.method == "PATCH" and _only(call.body, "members@odata.bind"):
        needs = (MEMBERS_WRITE,)
    # api-reference/v1.0/api/user-update.md: the least for accountEnabled is this one with User.Read.All
    if template == "/users/{user}" and call.method == "PATCH" and _only(call.body, "accountEnabled"):
        needs = (("User.EnableDisableAccount.All", *USERS_WRITE), USERS_FULL)
    if any(held.isdisjoint(need) for need in needs):
        raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def _only(body: object, name: str) -> bool:
    return isinstance(body, dict) and set(body) == {name}


def unknown(names: Iterable[str]) -> list[str]:
    """Those that are no permission known here, sorted."""
    return sorted(set(names) - set(APP_ROLES))


APP_ROLES: Mapping[str, str] = {
    "AdministrativeUnit.Read.All": "134fd756-38ce-4afd-ba33-e9623dbe66c2",
    "AdministrativeUnit.ReadWrite.All": "5eb59dd3-1da2-4329-8733-9dabdc435916",
    "Agreement.Read.All": "2f3e6f8c-093b-4c57-a58b-ba5ce494a169",
    "Agreement.ReadWrite.All": "c9090d00-6101-42f0-a729-c41074260d47",
    "Application.Read.All": "9a5d68dd-52b0-4cc2-bd40-abcf44ac3a30",
    "Application.ReadWrite.All": "1bfefb4e-e0b5-418b-a88f-73c46d2cc8e9",
    "AuditLog.Read.All": "b0afded3-3588-46d8-8b3d-9842eff778da",
    "Channel.Create": "f3a65bd4-b703-46df-8f7e-0174fea562aa",
    "Channel.Delete.All": "6a118a39-1227-45d4-af0c-ea7b40d210bc",
    "Channel.ReadBasic.All": "59a6b24b-4225-4393-8165-ebaec5f55d7a",
    "ChannelSettings.Read.All": "c97b873f-f59f-49aa-8a0e-52b32d762124",
    "ChannelSettings.ReadWrite.All": "243cded2-bd16-4fd6-a953-ff8177894c3d",
    "DeviceManagementConfiguration.Read.All": "dc377aa6-52d8-4e23-b271-2a7ae04cedf3",
    "DeviceManagementConfiguration.ReadWrite.All": "9241abd9-d0e6-425a-bd4f-47ba86e767a4",
    "Directory.Read.All": "7ab1d382-f21e-4acd-a863-ba3e13f7da61",
    "Directory.ReadWrite.All": "19dbc75e-c2e2-444c-a770-ec69d8559fc7",
    "Domain.Read.All": "dbb9058a-0e50-45d7-ae91-66909b5d4664",
    "Group.Create": "bf7b1a76-6e77-406b-b258-bf5c7720e98f",
    "Group.Read.All": "5b567255-7703-4780-807c-7be8301ae99b",
    "Group.ReadBasic.All": "07d67222-3a10-4d3b-9ddc-b8aa43198a00",
    "Group.ReadWrite.All": "62a82d76-70ea-41e2-9197-370581804d09",
    "GroupMember.Read.All": "98830695-27a2-44f7-8c18-0c3ebc9698f6",
    "GroupMember.ReadBasic.All": "8222c640-cae5-4860-8d11-b32cfad95e03",
    "GroupMember.ReadWrite.All": "dbaae8cf-10b5-4b86-a4a1-f871c94c6695",
    "LicenseAssignment.Read.All": "e2f98668-2877-4f38-a2f4-8202e0717aa1",
    "LicenseAssignment.ReadWrite.All": "5facf0c1-8979-4e95-abcf-ff3d079771c0",
    "Organization.Read.All": "498476ce-e0fe-48b0-b801-37ba7e2685c6",
    "Policy.Read.All": "246dd0d5-5bd0-4def-940b-0421030a5b68",
    "Policy.Read.AuthenticationMethod": "8e3bc81b-d2f3-4b7b-838c-32c88218d2f0",
    "Policy.Read.ConditionalAccess": "37730810-e9ba-4e46-b07e-8ca78d182097",
    "Policy.ReadWrite.AuthenticationMethod": "29c18626-4985-4dcd-85c0-193eef327366",
    "Policy.ReadWrite.ConditionalAccess": "01c0a623-fc9b-48e9-b794-0756f8e8f067",
    "Policy.ReadWrite.SecurityDefaults": "1c6e93a6-28e2-4cbb-9f64-1a46a821124d",
    "RoleManagement.Read.Directory": "483bed4a-2ad3-4361-a73b-c83ccdbdc53c",
    "RoleManagement.ReadWrite.Directory": "9e3f62cf-ca93-4989-b6ce-bf83c28f9fe8",
    "Team.Create": "23fc2474-f741-46ce-8465-674744c5c361",
    "Team.ReadBasic.All": "2280dda6-0bfd-44ee-a2f4-cb867cfc4c1e",
    "TeamMember.Read.All": "660b7406-55f1-41ca-a0ed-0b035e182f3e",
    "TeamMember.ReadWrite.All": "0121dc95-1b9f-4aed-8bac-58c5ac466691",
    "TeamMember.ReadWriteNonOwnerRole.All": "4437522e-9a86-4a41-a7da-e380edd4a97d",
    "TeamSettings.Read.All": "242607bd-1d2c-432c-82eb-bdb27baa23ab",
    "TeamSettings.ReadWrite.All": "bdd80a03-d9bc-451d-b7c4-ce7c63fe3c8f",
    "User.DeleteRestore.All": "eccc023d-eccf-4e7b-9683-8813ab36cecc",
    "User.EnableDisableAccount.All": "3011c876-62b7-4ada-afa2-506cbbecc68c",
    "User.Invite.All": "09850681-111b-4a89-9bed-3f2cae46d706",
    "User.Read.All": "df021288-bdef-4463-88db-98f22de89214",
    "User.ReadBasic.All": "97235f07-e226-4f63-ace3-39588e11d3a1",
    "User.ReadWrite.All": "741f803b-c850-494e-b5df-cde7c675a1ca",
    "User.RevokeSessions.All": "77f3a031-c388-4f99-b373-dc68676a979e",
}
"""Application permissions of Microsoft Graph and their ids (learn.microsoft.com/graph/permissions-reference)."""
