"""What a group may be and whom it may hold: the rules of creating, changing and filling groups.

api-reference/v1.0/api/group-post-groups.md, group-update.md, group-post-members.md, resources/group.md and
MicrosoftDocs/entra-docs docs/identity/role-based-access-control/groups-concept.md (role-assignable groups). Messages
without a source are ours.
"""

from __future__ import annotations

import re

from graphkit.sandbox.areas.directory_objects import denied, holds, located
from graphkit.sandbox.call import Call, Json, Refusal, bad_request, conflict
from graphkit.sandbox.permissions import DIRECTORY, GROUP_WRITE
from graphkit.sandbox.rules.group_settings import guests_allowed, in_force, words_of
from graphkit.sandbox.rules.membership_rules import parse_rule
from graphkit.sandbox.rules.naming_policy import check_names
from graphkit.sandbox.schema.check import check, check_changeable, check_writable

MAX_BIND = 20
MAX_OWNERS = 100
MAX_ROLE_ASSIGNABLE = 500
MAX_DYNAMIC = 15_000  # docs/identity/users/groups-dynamic-membership.md of entra-docs
ROLE_WRITE = ("RoleManagement.ReadWrite.Directory",)
VISIBILITIES = {"public": "Public", "private": "Private", "hiddenmembership": "HiddenMembership"}
OUTLOOK = frozenset({"allowExternalSenders", "autoSubscribeNewMembers", "hideFromAddressLists",
                     "hideFromOutlookClients", "isSubscribedByMail", "unseenCount"})  # fmt: skip
"""Kept by Exchange: never with POST, and never together with others (group-update.md)."""
CREATION_ONLY = frozenset({"isAssignableToRole", "resourceBehaviorOptions", "uniqueName"})
"""May come back as they are: the third example of group-upsert.md sends one of them to an existing group."""
_NICKNAME = re.compile(r"""[^\s@()\\\[\]";:<>,\x00-\x1f\x7f-\uffff]{1,64}""")
_SYNCED = (
    "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently "
    "undergoing migration."
)  # microsoftgraph/microsoft-graph-docs#7301


def is_unified(group: Json) -> bool:
    return "Unified" in (group.get("groupTypes") or [])


def is_dynamic(group: Json) -> bool:
    return "DynamicMembership" in (group.get("groupTypes") or [])


# -- bodies ------------------------------------------------------------------------------------------------------


def read_new(call: Call, body: Json) -> Json:
    """The properties of a group to be made, without binds. Raises :class:`Refusal`."""
    check_writable(body, check(body, "group", call.version))
    for name in ("displayName", "mailEnabled", "mailNickname", "securityEnabled"):
        if body.get(name) in (None, ""):
            raise bad_request(f"A value is required for property '{name}' of resource 'Group'.")
    if OUTLOOK.intersection(body):
        raise bad_request(f"Property '{min(OUTLOOK.intersection(body))}' cannot be set when a group is created.")
    given = _without_binds(body)
    _check_role_assignable(call, given)
    check_values(call, given, None)
    return given


def read_changes(call: Call, group: Json, body: Json) -> Json:
    """The properties that an update sets, without binds. Raises :class:`Refusal`.

    uniqueName can be set as long as there is none, and never changed (group-update.md).
    """
    sent = {name: value for name, value in body.items() if name not in CREATION_ONLY or value != group.get(name)}
    named = {"uniqueName": sent.pop("uniqueName")} if sent.get("uniqueName") and not group.get("uniqueName") else {}
    check_changeable(sent, check(sent, "group", call.version))
    if OUTLOOK.intersection(sent):
        if len(sent) > len(OUTLOOK.intersection(sent)):
            raise bad_request("The properties that Outlook keeps must be updated in a request of their own.")
        raise Refusal(501, "NotModelled", "The simulated tenant does not model what Exchange keeps of a group.")
    changes = {**_without_binds(sent), **named}
    if changes:
        check_values(call, changes, group)
    return changes


def _without_binds(body: Json) -> Json:
    given = {name: value for name, value in body.items() if "@" not in name}
    if isinstance(given.get("visibility"), str):
        given["visibility"] = VISIBILITIES.get(given["visibility"].lower(), given["visibility"])
    return given


def check_values(call: Call, body: Json, group: Json | None) -> None:
    """What a create and an update have in common."""
    merged = {**(group or {}), **body}
    _check_types(merged, group)
    nickname = merged.get("mailNickname")
    if not isinstance(nickname, str) or not _NICKNAME.fullmatch(nickname):
        raise _invalid("mailNickname")
    if not merged.get("displayName") or len(merged["displayName"]) > 256:
        raise _invalid("displayName")
    if body.get("description") == "":
        raise _invalid("description")  # as of users: public scripts fall back on the name because of it
    if "visibility" in body:
        _check_visibility(merged, group)
    _check_rule(call, body, merged, group)
    if is_unified(merged):
        check_names(call, {name: body[name] for name in ("displayName", "mailNickname") if name in body})
        _check_classification(call, body)
    _check_unique(call, merged)


def _invalid(name: str) -> Refusal:
    return bad_request(f"Invalid value specified for property '{name}' of resource 'Group'.")


def _check_types(merged: Json, group: Json | None) -> None:
    types = merged.get("groupTypes") or []
    if set(types) - {"Unified", "DynamicMembership"}:
        raise _invalid("groupTypes")
    if group is not None and is_unified(group) != is_unified(merged):
        raise _invalid("groupTypes")  # an assumption: only the way of membership changes (groups-change-type.md)
    unified = "Unified" in types
    if not unified and merged.get("mailEnabled"):
        raise bad_request("Cannot Create a mail-enabled security groups and or distribution list.")
    if unified and not merged.get("mailEnabled"):
        raise bad_request("The mailEnabled property of a Microsoft 365 group must be true.")
    if not merged.get("mailEnabled") and not merged.get("securityEnabled"):
        raise bad_request("A group must be mail-enabled, security-enabled or both.")
    if merged.get("isAssignableToRole") and "DynamicMembership" in types:
        # microsoftgraph/microsoft-graph-docs-contrib#2815
        raise bad_request("GroupType cannot be set for security groups assignable to roles.")
    if merged.get("isAssignableToRole") and not merged.get("securityEnabled"):
        raise bad_request("Groups assignable to roles must be security-enabled.")


def _check_visibility(merged: Json, group: Json | None) -> None:
    value = merged.get("visibility")
    if value not in (None, *VISIBILITIES.values()):
        raise _invalid("visibility")
    if merged.get("isAssignableToRole") and value not in (None, "Private"):
        # microsoftgraph/microsoft-graph-docs-contrib#1524
        raise bad_request("Visibility can only be set to Private for groups assignable to role.")
    hidden = "HiddenMembership"
    if value == hidden and not is_unified(merged):
        raise _invalid("visibility")
    if group is not None and (value == hidden) != (group.get("visibility") == hidden):
        raise bad_request("HiddenMembership can be set only when a Microsoft 365 group is created, and stays.")


def _check_rule(call: Call, body: Json, merged: Json, group: Json | None) -> None:
    state = merged.get("membershipRuleProcessingState")
    if state not in (None, "On", "Paused"):
        raise _invalid("membershipRuleProcessingState")
    if not is_dynamic(merged):
        if body.get("membershipRule"):
            raise _invalid("membershipRule")
        return
    if not merged.get("membershipRule"):
        raise bad_request("A value is required for property 'membershipRule' of resource 'Group'.")
    is_new = group is None or not is_dynamic(group)
    if state != "Paused":
        _check_parsed(merged["membershipRule"], strictly=is_new or "membershipRule" in body)
    if is_new:
        index = call.tenant.state.table("groups").indexes["membershipRuleProcessingState"]
        _check_quota(sum(len(keys) for keys in index.values()), MAX_DYNAMIC)


def _check_parsed(rule: str, *, strictly: bool) -> None:
    """While processing is paused a rule is stored unread; to turn processing on with a bad one is accepted, too, and
    fails later (seen in a lab tenant in 2026). What we cannot follow is never accepted silently."""
    try:
        parse_rule(rule)
    except Refusal as refusal:
        if strictly or refusal.status == 501:
            raise


def _check_quota(taken: int, most: int) -> None:
    if taken >= most:
        message = f"The directory object quota limit for the Tenant has been exceeded: {most} such groups at most."
        raise Refusal(403, "Directory_QuotaExceeded", message)


def _check_role_assignable(call: Call, given: Json) -> None:
    if "isAssignableToRole" not in given or given["isAssignableToRole"] is None:
        return
    if not holds(call, ROLE_WRITE):
        raise denied()
    if given["isAssignableToRole"]:
        groups = call.tenant.state.table("groups").objects.values()
        _check_quota(sum(1 for group in groups if group.get("isAssignableToRole")), MAX_ROLE_ASSIGNABLE)


def _check_classification(call: Call, body: Json) -> None:
    allowed = words_of(in_force(call.tenant.state)["ClassificationList"])
    if allowed and body.get("classification") and body["classification"] not in allowed:
        raise _invalid("classification")


def _check_unique(call: Call, merged: Json) -> None:
    """mailNickname is unique among Microsoft 365 groups, uniqueName among all, displayName not at all."""
    table = call.tenant.state.table("groups")
    own = merged.get("id")
    if merged.get("uniqueName") and any(g["id"] != own for g in table.find("uniqueName", merged["uniqueName"])):
        raise conflict("uniqueName")
    if is_unified(merged) and any(
        g["id"] != own and is_unified(g) for g in table.find("mailNickname", merged["mailNickname"])
    ):
        raise conflict("mailNickname")


# -- who may write -----------------------------------------------------------------------------------------------


def check_cloud(group: Json) -> None:
    """Groups that a directory on premises masters, and those that Exchange does, are changed there only."""
    if group.get("onPremisesSyncEnabled"):
        raise bad_request(_SYNCED)
    if group.get("mailEnabled") and not is_unified(group):
        raise bad_request("Cannot Update a mail-enabled security groups and or distribution list.")


def check_membership_open(call: Call, group: Json, relation: str) -> None:
    """Before references are added or removed. A rule's members are refused in misleading words
    (KelvinTegelaar/CIPP#468)."""
    check_cloud(group)
    if relation == "members" and is_dynamic(group):
        raise denied()
    if group.get("isAssignableToRole") and not holds(call, ROLE_WRITE):
        raise denied()


def check_readable(call: Call, keys: list[str]) -> None:
    """With ``Group.Create`` alone, an app binds only what it may read, and itself (group-post-groups.md)."""
    if holds(call, GROUP_WRITE):
        return
    found = [located(call, key) for key in keys]
    types = {each[0] for each in found if each and each[1].get("appId") != call.app}
    needs = {"user": ("User.Read.All", "User.ReadWrite.All"),
             "servicePrincipal": ("Application.Read.All", "Application.ReadWrite.All")}  # fmt: skip
    if any(not holds(call, (*needs.get(type_name, ()), *DIRECTORY)) for type_name in types):
        raise denied()


# -- whom it may hold --------------------------------------------------------------------------------------------


def check_addable(call: Call, group: Json, targets: list[str], relation: str) -> None:
    """All or none: one that is there already, or may not be there, spoils the lot (group-post-members.md)."""
    present = call.tenant.state.linked(relation, group["id"])
    if any(target in present for target in targets):
        raise bad_request(
            f"One or more added object references already exist for the following modified properties: '{relation}'."
        )
    if relation == "owners" and len(present) + len(targets) > MAX_OWNERS:
        raise Refusal(403, "Directory_QuotaExceeded",
                      f"The directory object quota would exceed the maximum quota count '{MAX_OWNERS}' for "
                      "forward-link 'owners'.")  # fmt: skip
    for target in targets:
        found = located(call, target)
        if found is not None:
            (_check_member if relation == "members" else _check_owner)(call, group, *found)


def _check_owner(_: Call, __: Json, type_name: str, ___: Json) -> None:
    if type_name not in ("user", "servicePrincipal"):
        raise bad_request("Only users and service principals can own a group.")


def _check_member(call: Call, group: Json, type_name: str, member: Json) -> None:
    """The table of concepts/includes/groups-allowed-member-types.md."""
    if type_name == "group" and group.get("isAssignableToRole"):
        # hashicorp/terraform-provider-azuread#651
        raise bad_request("Nesting is currently not supported for groups that can be assigned to a role.")
    unified = is_unified(group)
    if type_name == "group" and is_unified(member):
        # microsoftgraph/microsoft-graph-docs#11629 for the first; the second is worded after it
        raise _not_addable("Unified Groups cannot be added to " + ("Unified" if unified else "Security") + " Groups.")
    if type_name in ("administrativeUnit", "directoryRole") or (unified and type_name != "user"):
        raise _not_addable(f"Objects of type '{type_name}' cannot be members of this group.")
    if unified and member.get("userType") == "Guest" and not guests_allowed(call.tenant.state, group["id"]):
        # As the admin centres and many public threads quote it.
        raise _not_addable("Guests users are not allowed to join this Unified Group due to policy setting.")


def _not_addable(message: str) -> Refusal:
    told = f"{message} paramName: Members, paramValue: , objectType: Microsoft.Online.DirectoryServices.Group"
    return Refusal(400, "Request_BadRequest", told, details=[{"target": "members", "code": "InvalidValue"}])


def check_owner_leaves(call: Call, group: Json, owner: str) -> None:
    """ "Once owners are assigned to a group, the last owner (a user object) of the group can't be removed."
    (group-delete-owners.md)"""
    users = call.tenant.state.table("users").objects
    if owner not in users:
        return
    if not any(each in users for each in call.tenant.state.linked("owners", group["id"]) if each != owner):
        raise bad_request("The group must have at least one owner, hence this owner cannot be removed.")
