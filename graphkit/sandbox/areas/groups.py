"""Groups, their members and owners: api-reference/v1.0/api/group-*.md of microsoft-graph-docs-contrib."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from graphkit.sandbox import recycling
from graphkit.sandbox.areas import licensing
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request, conflict, not_found
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import GROUP_RECORDS, GROUP_WRITE, MEMBERS, MEMBERS_WRITE, OWNERS
from graphkit.sandbox.query import Kind, candidates, entity, listing, matching
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema import check, check_writable

routes = Routes()

# resources/group.md: "returned by default"
DEFAULT_SELECT = (
    "id", "deletedDateTime", "classification", "createdDateTime", "description", "displayName", "expirationDateTime",
    "groupTypes", "isAssignableToRole", "mail", "mailEnabled", "mailNickname", "membershipRule",
    "membershipRuleProcessingState", "onPremisesLastSyncDateTime", "onPremisesSecurityIdentifier",
    "onPremisesSyncEnabled", "preferredDataLocation", "preferredLanguage", "proxyAddresses", "renewedDateTime",
    "resourceBehaviorOptions", "resourceProvisioningOptions", "securityEnabled", "securityIdentifier", "theme",
    "uniqueName", "visibility",
)  # fmt: skip
MAX_BIND = 20
MAX_OWNERS = 100
_NICKNAME = re.compile(r"""[^\s@()\\\[\]";:<>,\x00-\x1f\x7f-\uffff]{1,64}""")
_REFERENCE = re.compile(r"/(?:v1\.0|beta)/(?:directoryObjects|users|groups|servicePrincipals)[/(]'?([^/')]+)")


def _few(relation: str) -> Any:
    return lambda call, group: [view(call, key) for key in list(call.tenant.state.linked(relation, group["id"]))[:20]]


GROUP_KIND = Kind(
    "groups", "group", DEFAULT_SELECT, expands={"members": _few("members"), "owners": _few("owners")}, advanced=True
)
MEMBER_SELECT = ("id", "businessPhones", "displayName", "givenName", "jobTitle", "mail", "mobilePhone",
                 "officeLocation", "preferredLanguage", "surname", "userPrincipalName")  # fmt: skip
MEMBER_KIND = Kind(
    "directoryObjects",
    "user",
    MEMBER_SELECT,
    derived={"assignedLicenses": licensing.assigned_licenses, "assignedPlans": licensing.assigned_plans},
    advanced=True,
)


# -- finding -----------------------------------------------------------------------------------------------------


def find(call: Call) -> Json:
    """The group that the path names by id. Raises :class:`Refusal` (404), also while a replica lags."""
    key = call.params["group"]
    group = call.tenant.state.get("groups", key.lower())
    if group is None or not call.tenant.replication.visible(group, call.now, call.replica):
        raise not_found(key)
    return group


def by_unique_name(call: Call) -> Json | None:
    return next(iter(call.tenant.state.table("groups").find("uniqueName", call.params["key"])), None)


def groups_of(call: Call, member: str, *, transitive: bool = False) -> Iterator[Json]:
    """The groups that hold an object, nearest first."""
    state = call.tenant.state
    seen: set[str] = set()
    wave = [member]
    while wave:
        found = [group for item in wave for group in state.linked_back("members", item) if group not in seen]
        seen.update(found)
        yield from (state.table("groups").objects[group] for group in dict.fromkeys(found))
        wave = found if transitive else []


def view(call: Call, key: str) -> Json:
    """Any directory object, as it is shown among others."""
    for kind, type_name in (("users", "user"), ("groups", "group"), ("servicePrincipals", "servicePrincipal")):
        item = call.tenant.state.get(kind, key)
        if item is not None:
            shown = {name: value for name, value in item.items() if not name.startswith("_")}
            shown.pop("licenseAssignmentStates", None)
            return {"@odata.type": f"#microsoft.graph.{type_name}", **shown}
    raise not_found(key)


def directory_object(call: Call, key: str) -> tuple[str, Json] | None:
    """``(type, object)`` if the replica that answers this call knows the object."""
    for kind, type_name in (("users", "user"), ("groups", "group"), ("servicePrincipals", "servicePrincipal")):
        item = call.tenant.state.get(kind, key.lower())
        if item is not None and call.tenant.replication.visible(item, call.now, call.replica):
            return type_name, item
    return None


# -- reading -----------------------------------------------------------------------------------------------------


@routes.get("/groups", GROUP_RECORDS, page="group-list")
def list_groups(call: Call) -> Reply:
    return listing(call, GROUP_KIND, candidates(call, "groups"))


@routes.get("/groups/$count", GROUP_RECORDS, page="group-list")
def count_groups(call: Call) -> Reply:
    return Reply(200, str(matching(call, GROUP_KIND, candidates(call, "groups"))))


@routes.get("/groups/{group}", GROUP_RECORDS, page="group-get")
def get_group(call: Call) -> Reply:
    return entity(call, GROUP_KIND, find(call))


@routes.get("/groups(uniqueName)/{key}", GROUP_RECORDS, page="group-get")
def get_group_by_name(call: Call) -> Reply:
    group = by_unique_name(call)
    if group is None or not call.tenant.replication.visible(group, call.now, call.replica):
        raise not_found(call.params["key"])
    return entity(call, GROUP_KIND, group)


# -- creating, changing, deleting --------------------------------------------------------------------------------


@routes.post("/groups", ("Group.Create", *GROUP_WRITE), page="group-post-groups")
def create_group(call: Call) -> Reply:
    return _create(call, call.json)


def _create(call: Call, body: Json) -> Reply:
    check_writable(body, check(body, "group", call.version))
    for name in ("displayName", "mailEnabled", "mailNickname", "securityEnabled"):
        if body.get(name) in (None, ""):
            raise bad_request(f"A value is required for property '{name}' of resource 'Group'.")
    _check_values(call, body, None)
    links = {relation: _bound(call, body, relation) for relation in ("members", "owners")}
    if len(links["members"]) + len(links["owners"]) > MAX_BIND:
        raise bad_request(f"At most {MAX_BIND} owners and members can be added when a group is created.")
    if links["members"] and "DynamicMembership" in (body.get("groupTypes") or []):
        raise _denied()
    group = _new_group(call, body)
    call.tenant.state.put("groups", group)
    for relation, targets in links.items():
        for target in targets:
            call.tenant.state.link(relation, group["id"], target)
    call.tenant.replication.created(call.now)
    return entity(call, GROUP_KIND, group, status=201)


def _new_group(call: Call, body: Json) -> Json:
    unified = "Unified" in (body.get("groupTypes") or [])
    domain = call.tenant.seed.domain
    mail = f"{body['mailNickname']}@{domain}" if body["mailEnabled"] else None
    return {
        "id": call.tenant.new_id(),
        "groupTypes": [],
        "resourceProvisioningOptions": [],
        "visibility": "Public" if unified else None,
        **{name: value for name, value in body.items() if "@" not in name},
        "mail": mail,
        "proxyAddresses": [f"SMTP:{mail}"] if mail else [],
        "createdDateTime": instant(call.now),
        "renewedDateTime": instant(call.now),
        "_created": call.now,
    }


def _check_values(call: Call, body: Json, group: Json | None) -> None:
    """What a create and an update have in common."""
    merged = {**(group or {}), **body}
    types = merged.get("groupTypes") or []
    unified = "Unified" in types
    if not unified and merged.get("mailEnabled"):
        raise bad_request("Cannot Create a mail-enabled security groups and or distribution list.")
    if unified and not merged.get("mailEnabled"):
        raise bad_request("The mailEnabled property of a Microsoft 365 group must be true.")
    if not merged.get("mailEnabled") and not merged.get("securityEnabled"):
        raise bad_request("A group must be mail-enabled, security-enabled or both.")
    if set(types) - {"Unified", "DynamicMembership"}:
        raise bad_request("Invalid value specified for property 'groupTypes' of resource 'Group'.")
    nickname = merged.get("mailNickname")
    if not isinstance(nickname, str) or not _NICKNAME.fullmatch(nickname):
        raise bad_request("Invalid value specified for property 'mailNickname' of resource 'Group'.")
    if len(merged.get("displayName") or "") > 256:
        raise bad_request("Invalid value specified for property 'displayName' of resource 'Group'.")
    if merged.get("visibility") not in (None, "Public", "Private", "HiddenMembership"):
        raise bad_request("Invalid value specified for property 'visibility' of resource 'Group'.")
    _check_unique(call, merged, unified)


def _check_unique(call: Call, merged: Json, unified: bool) -> None:
    """mailNickname is unique among Microsoft 365 groups, uniqueName among all, displayName not at all."""
    table = call.tenant.state.table("groups")
    own = merged.get("id")
    if merged.get("uniqueName") and any(g["id"] != own for g in table.find("uniqueName", merged["uniqueName"])):
        raise conflict("uniqueName")
    if unified and any(
        g["id"] != own and "Unified" in g["groupTypes"] for g in table.find("mailNickname", merged["mailNickname"])
    ):
        raise conflict("mailNickname")


@routes.patch("/groups/{group}", GROUP_WRITE, page="group-update")
def update_group(call: Call) -> Reply:
    return _update(call, find(call), call.json)


@routes.patch("/groups(uniqueName)/{key}", GROUP_WRITE, page="group-upsert")
def upsert_group(call: Call) -> Reply:
    """api-reference/v1.0/api/group-upsert.md: 201 when created, 204 when updated, 404 if creating is not asked for.

    The key is looked up where writes go, so that a repeated upsert never makes a second group.
    """
    group = by_unique_name(call)
    name = call.params["key"]
    if group is not None:
        return _update(call, group, {n: v for n, v in call.json.items() if (n, v) != ("uniqueName", name)})
    if "create-if-missing" not in call.headers.get("prefer", "").lower():
        raise not_found(name)
    if call.json.get("uniqueName", name) != name:
        raise bad_request("The uniqueName in the body differs from the one in the request URL.")
    return _create(call, {**call.json, "uniqueName": name})


def _update(call: Call, group: Json, body: Json) -> Reply:
    check_writable(body, check(body, "group", call.version))
    if body.get("uniqueName", group.get("uniqueName")) != group.get("uniqueName"):
        raise bad_request("Property 'uniqueName' cannot be changed once it is set.")
    changes = {name: value for name, value in body.items() if "@" not in name}
    if changes:
        _check_values(call, changes, group)
    added = {relation: _to_add(call, group, body, relation) for relation in ("members", "owners")}
    if changes or not any(added.values()):
        call.tenant.state.put("groups", {**group, **changes})
    for relation, targets in added.items():
        for target in targets:
            call.tenant.state.link(relation, group["id"], target)
    if added["members"]:
        licensing.membership_changed(call.tenant, group, added["members"], call.now)
    return Reply(204)


@routes.delete("/groups/{group}", ("Group.ReadWrite.All",), page="group-delete")
def delete_group(call: Call) -> Reply:
    """Refused while the group holds licences (licensing-groups-resolve-problems.md)."""
    group = find(call)
    if group.get("assignedLicenses"):
        raise bad_request("A group with active licenses cannot be deleted. Remove the licenses and try again.")
    state = call.tenant.state
    recycling.bury(state, "groups", group, call.now, {"_team": state.get("teams", group["id"])})
    if "Unified" not in group["groupTypes"]:
        state.delete("deletedGroups", group["id"])
    if state.get("teams", group["id"]):
        state.delete("teams", group["id"])
    return Reply(204)


@routes.post(
    "/groups/{group}/assignLicense", ("LicenseAssignment.ReadWrite.All", *GROUP_WRITE), page="group-assignlicense"
)
def assign_group_license(call: Call) -> Reply:
    changed = licensing.assign_to_group(call, find(call))
    return entity(call, GROUP_KIND, changed, status=202)


# -- members and owners ------------------------------------------------------------------------------------------


def _denied() -> Refusal:
    return Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def _bound(call: Call, body: Json, relation: str) -> list[str]:
    """The ids that ``<relation>@odata.bind`` names. Raises :class:`Refusal` for an object that is not there."""
    links = body.get(f"{relation}@odata.bind")
    if links is None:
        return []
    if not isinstance(links, list):
        raise bad_request(f"Invalid value for '{relation}@odata.bind'.", "BadRequest")
    return list(dict.fromkeys(_referred(call, link, relation) for link in links))


def _referred(call: Call, link: Any, relation: str) -> str:
    found = _REFERENCE.search(link) if isinstance(link, str) else None
    if found is None:
        raise bad_request(f"Invalid URL format specified in {relation}@odata.bind: '{link}'.")
    known = directory_object(call, found[1])
    if known is None:
        raise not_found(found[1])
    if relation == "owners" and known[0] == "group":
        raise bad_request("Groups cannot own groups.")
    return str(known[1]["id"])


def _to_add(call: Call, group: Json, body: Json, relation: str) -> list[str]:
    """Up to 20 references, all or none: one that is absent or there already spoils the lot (group-post-members.md)."""
    links = body.get(f"{relation}@odata.bind")
    if links is None:
        return []
    if isinstance(links, list) and len(links) > MAX_BIND:
        raise bad_request(f"At most {MAX_BIND} references can be added in one request.")
    targets = _bound(call, body, relation)
    _check_addable(call, group, targets, relation)
    return targets


def _check_addable(call: Call, group: Json, targets: list[str], relation: str) -> None:
    state = call.tenant.state
    if relation == "members" and "DynamicMembership" in (group.get("groupTypes") or []):
        raise _denied()
    present = state.linked(relation, group["id"])
    if any(target in present for target in targets):
        raise bad_request(
            f"One or more added object references already exist for the following modified properties: '{relation}'."
        )
    if relation == "owners" and len(present) + len(targets) > MAX_OWNERS:
        raise Refusal(403, "Directory_QuotaExceeded",
                      f"The directory object quota would exceed the maximum quota count '{MAX_OWNERS}' for "
                      "forward-link 'owners'.")  # fmt: skip
    unified = "Unified" in (group.get("groupTypes") or [])
    if relation == "members" and unified and any(state.get("groups", target) for target in targets):
        raise bad_request("Microsoft 365 groups cannot hold groups.")


def _list_linked(call: Call, relation: str, keys: list[str] | None = None) -> Reply:
    group = find(call)
    state = call.tenant.state
    members: list[Json | None] = [
        state.get("users", key) or state.get("groups", key) or state.get("servicePrincipals", key)
        for key in (state.linked(relation, group["id"]) if keys is None else keys)
    ]
    reply = listing(call, MEMBER_KIND, members)
    if not call.query.select:
        reply.body["value"] = [{"@odata.type": _type_name(call, item["id"]), **item} for item in reply.body["value"]]
    return reply


def _type_name(call: Call, key: str) -> str:
    known = "user" if call.tenant.state.get("users", key) else "group" if call.tenant.state.get("groups", key) else ""
    return f"#microsoft.graph.{known or 'servicePrincipal'}"


@routes.get("/groups/{group}/members", MEMBERS, page="group-list-members")
def list_members(call: Call) -> Reply:
    return _list_linked(call, "members")


@routes.get("/groups/{group}/members/microsoft.graph.user", MEMBERS, page="group-list-members")
def list_user_members(call: Call) -> Reply:
    linked = call.tenant.state.linked("members", find(call)["id"])
    return _list_linked(call, "members", [key for key in linked if call.tenant.state.get("users", key)])


@routes.get("/groups/{group}/members/$count", MEMBERS, page="group-list-members")
def count_members(call: Call) -> Reply:
    if call.headers.get("consistencylevel", "").lower() != "eventual":
        raise bad_request("$count is not currently supported.")
    return Reply(200, str(len(call.tenant.state.linked("members", find(call)["id"]))))


@routes.get("/groups/{group}/owners", OWNERS, page="group-list-owners")
def list_owners(call: Call) -> Reply:
    return _list_linked(call, "owners")


@routes.get("/groups/{group}/transitiveMembers", MEMBERS, page="group-list-transitivemembers")
def list_transitive_members(call: Call) -> Reply:
    return _list_linked(call, "members", list(_transitive(call, find(call)["id"])))


def _transitive(call: Call, group_id: str) -> dict[str, None]:
    found: dict[str, None] = {}
    wave = [group_id]
    while wave:
        step = [m for group in wave for m in call.tenant.state.linked("members", group) if m not in found]
        found.update(dict.fromkeys(step))
        wave = [m for m in step if call.tenant.state.get("groups", m)]
    return found


@routes.get("/groups/{group}/membersWithLicenseErrors", MEMBERS, page="group-list-memberswithlicenseerrors")
def members_with_errors(call: Call) -> Reply:
    group = find(call)
    found = list(licensing.members_in_error(call.tenant, group["id"]))
    return _list_linked(call, "members", found)


@routes.get("/groups/{group}/memberOf", MEMBERS, page="group-list-memberof")
def group_member_of(call: Call) -> Reply:
    return listing(call, GROUP_KIND, list(groups_of(call, find(call)["id"])))


@routes.get("/groups/{group}/transitiveMemberOf", MEMBERS, page="group-list-transitivememberof")
def group_transitive_member_of(call: Call) -> Reply:
    return listing(call, GROUP_KIND, list(groups_of(call, find(call)["id"], transitive=True)))


def _add_reference(call: Call, relation: str) -> Reply:
    group = find(call)
    target = _referred(call, call.json.get("@odata.id"), relation)
    _check_addable(call, group, [target], relation)
    call.tenant.state.link(relation, group["id"], target)
    if relation == "members":
        licensing.membership_changed(call.tenant, group, [target], call.now)
    return Reply(204)


def _remove_reference(call: Call, relation: str) -> Reply:
    group = find(call)
    target = call.params["object"].lower()
    if relation == "members" and "DynamicMembership" in (group.get("groupTypes") or []):
        raise _denied()
    present = call.tenant.state.linked(relation, group["id"])
    if target not in present:
        raise not_found(target)
    if relation == "owners" and len(present) == 1 and "Unified" in group["groupTypes"]:
        raise bad_request("The group must have at least one owner, hence this owner cannot be removed.")
    call.tenant.state.unlink(relation, group["id"], target)
    if relation == "members":
        licensing.membership_changed(call.tenant, group, [target], call.now)
    return Reply(204)


@routes.post("/groups/{group}/members/$ref", MEMBERS_WRITE, page="group-post-members")
def add_member(call: Call) -> Reply:
    return _add_reference(call, "members")


@routes.delete("/groups/{group}/members/{object}/$ref", MEMBERS_WRITE, page="group-delete-members")
def remove_member(call: Call) -> Reply:
    return _remove_reference(call, "members")


@routes.post("/groups/{group}/owners/$ref", GROUP_WRITE, page="group-post-owners")
def add_owner(call: Call) -> Reply:
    return _add_reference(call, "owners")


@routes.delete("/groups/{group}/owners/{object}/$ref", GROUP_WRITE, page="group-delete-owners")
def remove_owner(call: Call) -> Reply:
    return _remove_reference(call, "owners")
