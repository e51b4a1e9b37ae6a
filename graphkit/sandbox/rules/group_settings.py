"""Tenant-wide settings of groups: their templates with the defaults, and what the settings in force come to.

Templates: the answers of ``GET /groupSettingTemplates`` that pnp/cli-microsoft365 keeps in its tests
(siteclassification-enable.spec.ts), with the two values that Group.Unified has gained since and Consent Policy Settings
(MicrosoftDocs/entra-docs docs/identity/users/groups-settings-cmdlets.md; concepts/group-directory-settings.md).
Descriptions are ours.
"""

from __future__ import annotations

from collections.abc import Iterable

from graphkit.sandbox.call import Json
from graphkit.sandbox.memory.state import State

UNIFIED = "62375ab9-6b52-47ed-826b-58e47e0e304b"
UNIFIED_GUEST = "08d542b9-071f-4e16-94b0-74abb372e3d9"

# name, type without "System.", default
_TEMPLATES: dict[str, tuple[str, tuple[tuple[str, str, str], ...]]] = {
    UNIFIED: (
        "Group.Unified",
        (
            ("NewUnifiedGroupWritebackDefault", "Boolean", "true"),
            ("EnableMIPLabels", "Boolean", "false"),
            ("CustomBlockedWordsList", "String", ""),
            ("EnableMSStandardBlockedWords", "Boolean", "false"),
            ("ClassificationDescriptions", "String", ""),
            ("DefaultClassification", "String", ""),
            ("PrefixSuffixNamingRequirement", "String", ""),
            ("AllowGuestsToBeGroupOwner", "Boolean", "false"),
            ("AllowGuestsToAccessGroups", "Boolean", "true"),
            ("GuestUsageGuidelinesUrl", "String", ""),
            ("GroupCreationAllowedGroupId", "Guid", ""),
            ("AllowToAddGuests", "Boolean", "true"),
            ("UsageGuidelinesUrl", "String", ""),
            ("ClassificationList", "String", ""),
            ("EnableGroupCreation", "Boolean", "true"),
        ),
    ),
    UNIFIED_GUEST: ("Group.Unified.Guest", (("AllowToAddGuests", "Boolean", "true"),)),
    "4bc7f740-180e-4586-adb6-38b2e9024e6b": (
        "Application",
        (("EnableAccessCheckForPrivilegedApplicationUpdates", "Boolean", "false"),),
    ),
    "898f1161-d651-43d1-805c-3b0b388a9fc2": (
        "Custom Policy Settings",
        (("CustomConditionalAccessPolicyUrl", "String", ""),),
    ),
    "5cf42378-d67d-4f36-ba46-e8b86229381d": (
        "Password Rule Settings",
        (
            ("BannedPasswordCheckOnPremisesMode", "String", "Audit"),
            ("EnableBannedPasswordCheckOnPremises", "Boolean", "true"),
            ("EnableBannedPasswordCheck", "Boolean", "true"),
            ("LockoutDurationInSeconds", "Int32", "60"),
            ("LockoutThreshold", "Int32", "10"),
            ("BannedPasswordList", "String", ""),
        ),
    ),
    "80661d51-be2f-4d46-9713-98a2fcaec5bc": (
        "Prohibited Names Settings",
        (("CustomBlockedSubStringsList", "String", ""), ("CustomBlockedWholeWordsList", "String", "")),
    ),
    "aad3907d-1d1a-448b-b3ef-7bf7f63db63b": (
        "Prohibited Names Restricted Settings",
        (
            ("CustomAllowedSubStringsList", "String", ""),
            ("CustomAllowedWholeWordsList", "String", ""),
            ("DoNotValidateAgainstTrademark", "Boolean", "false"),
        ),
    ),
    "dffd5d46-495d-40a9-8e21-954ff55e198a": (
        "Consent Policy Settings",
        (  # the defaults of this one are assumptions
            ("EnableGroupSpecificConsent", "Boolean", "false"),
            ("BlockUserConsentForRiskyApps", "Boolean", "true"),
            ("EnableAdminConsentRequests", "Boolean", "false"),
            ("ConstrainGroupSpecificConsentToMembersOfGroupId", "Guid", ""),
        ),
    ),
}


def _template(key: str, name: str, values: Iterable[tuple[str, str, str]]) -> Json:
    rows = [
        {"name": value, "type": f"System.{kind}", "defaultValue": default, "description": f"{value} of {name}."}
        for value, kind, default in values
    ]
    return {"id": key, "deletedDateTime": None, "displayName": name, "description": f"Settings of {name}.",
            "values": rows}  # fmt: skip


TEMPLATES: dict[str, Json] = {key: _template(key, name, values) for key, (name, values) in _TEMPLATES.items()}


def in_force(state: State) -> dict[str, str]:
    """The values of Group.Unified: those of the tenant's settings object, or the defaults."""
    values = {row["name"]: row["defaultValue"] for row in TEMPLATES[UNIFIED]["values"]}
    for setting in state.table("groupSettings").find("templateId", UNIFIED):
        values.update({row["name"]: row["value"] for row in setting["values"]})
    return values


def guests_allowed(state: State, group_id: str) -> bool:
    """A no for the tenant outweighs a yes for the group (groups-settings-cmdlets.md)."""
    answers = [in_force(state)["AllowToAddGuests"]]
    for key in state.linked("groupSettings", group_id):
        rows = state.table("groupSettings").objects[key]["values"]
        answers += [row["value"] for row in rows if row["name"] == "AllowToAddGuests"]
    return all(answer.lower() == "true" for answer in answers)


def words_of(text: str) -> list[str]:
    """A comma-separated list, as settings hold them."""
    return [word.strip() for word in text.split(",") if word.strip()]
