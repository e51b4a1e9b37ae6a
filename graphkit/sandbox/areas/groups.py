"""Groups: found, made, changed, deleted. api-reference/v1.0/api/group-*.md of microsoft-graph-docs-contrib.

What a group may be is in ``group_rules.py``, its members and owners in ``group_members.py``, membership by rule in
``dynamic_groups.py``.
"""

from __future__ import annotations

from typing import Any

from graphkit.sandbox.areas import directory_objects, dynamic_groups, licensing
from graphkit.sandbox.areas.directory_objects import directory_object, groups_of, holds, referred, view
from graphkit.sandbox.areas.group_rules import (
    MAX_BIND,
    check_addable,
    check_cloud,
    check_membership_open,
    check_readable,
    is_dynamic,
    is_unified,
    read_changes,
    read_new,
)
from graphkit.sandbox.call import Call, Json, Reply, bad_request, not_found
from graphkit.sandbox.ids import instant, security_identifier
from graphkit.sandbox.memory import recycling
from graphkit.sandbox.permissions import GROUP_RECORDS, GROUP_WRITE
from graphkit.sandbox.query.listing import Kind, candidates, entity, listing, matching
from graphkit.sandbox.router import Routes
from graphkit.sandbox.rules.group_expiry import expires
from graphkit.sandbox.rules.group_settings import in_force

__all__ = ["GROUP_KIND", "by_unique_name", "directory_object", "find", "groups_of", "routes", "view"]

routes = Routes()

RELATIONS = ("members", "owners")


def _few(relation: str) -> Any:
    """``$expand`` shows 20 at most (concepts/query-parameters.md)."""

    def expand(call: Call, group: Json) -> list[Json]:
        if relation == "members" and not directory_objects.may_see_members(call, group):
            return []
        return [view(call, key) for key in list(call.tenant.state.linked(relation, group["id"]))[:20]]

    return expand


def _expiration(call: Call, group: Json) -> str | None:
    return expires(call.tenant.state, group)


GROUP_KIND = Kind(
    "groups",
    "group",
    directory_objects.GROUP_SELECT,
    derived={"expirationDateTime": _expiration},
    expands={
        **{relation: _few(relation) for relation in RELATIONS},
        "memberOf": lambda call, group: [view(call, each["id"]) for each in groups_of(call, group["id"])][:20],
    },
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


# -- creating ----------------------------------------------------------------------------------------------------


@routes.post("/groups", ("Group.Create", *GROUP_WRITE), page="group-post-groups")
def create_group(call: Call) -> Reply:
    return _create(call, call.json)


def _create(call: Call, body: Json) -> Reply:
    given = read_new(call, body)
    links = {relation: _bound(call, body, relation) for relation in RELATIONS}
    check_readable(call, [*links["members"], *links["owners"]])
    if sum(len(targets) for targets in links.values()) > MAX_BIND:
        raise bad_request(f"At most {MAX_BIND} owners and members can be added when a group is created.")
    group = _new_group(call, given)
    for relation, targets in links.items():
        if targets:
            check_membership_open(call, group, relation)
            check_addable(call, group, targets, relation)
    call.tenant.state.put("groups", group)
    for relation, targets in links.items():
        for target in targets:
            call.tenant.state.link(relation, group["id"], target)
    if is_dynamic(group):
        dynamic_groups.rule_changed(call.tenant, group["id"], call.now)
    call.tenant.replication.created(call.now)
    return entity(call, GROUP_KIND, group, status=201)


def _new_group(call: Call, given: Json) -> Json:
    key = call.tenant.new_id()
    mail = f"{given['mailNickname']}@{call.tenant.seed.domain}" if given["mailEnabled"] else None
    return {
        "id": key,
        "groupTypes": [],
        "resourceBehaviorOptions": [],
        "resourceProvisioningOptions": [],
        **_defaults(call, given),
        **{name: value for name, value in given.items() if value is not None},
        "mail": mail,
        "proxyAddresses": [f"SMTP:{mail}"] if mail else [],
        "securityIdentifier": security_identifier(key),
        "createdDateTime": instant(call.now),
        "renewedDateTime": instant(call.now),
        "_created": call.now,
    }


def _defaults(call: Call, given: Json) -> Json:
    """What the service fills in. Assumption: a rule whose processing is not spoken of is followed."""
    found: Json = {"visibility": "Public" if is_unified(given) else None}
    if given.get("isAssignableToRole"):
        found["visibility"] = "Private"
    if is_unified(given):
        found["classification"] = in_force(call.tenant.state)["DefaultClassification"] or None
    if is_dynamic(given):
        found["membershipRuleProcessingState"] = "On"
    return found


def _bound(call: Call, body: Json, relation: str) -> list[str]:
    """The ids that ``<relation>@odata.bind`` names. Raises :class:`Refusal` for an object that is not there."""
    links = body.get(f"{relation}@odata.bind")
    if links is None:
        return []
    if not isinstance(links, list):
        raise bad_request(f"Invalid value for '{relation}@odata.bind'.", "BadRequest")
    return list(dict.fromkeys(str(referred(call, link, f"{relation}@odata.bind")[1]["id"]) for link in links))


# -- changing ----------------------------------------------------------------------------------------------------


@routes.patch("/groups/{group}", GROUP_WRITE, page="group-update")
def update_group(call: Call) -> Reply:
    return _update(call, find(call), call.json)


@routes.patch("/groups(uniqueName)/{key}", ("Group.Create", *GROUP_WRITE), page="group-upsert")
def upsert_group(call: Call) -> Reply:
    """api-reference/v1.0/api/group-upsert.md: 201 when created, 204 when updated, 404 if creating is not asked for.

    The key is looked up where writes go, so that a repeated upsert never makes a second group.
    """
    group = by_unique_name(call)
    name = call.params["key"]
    if group is not None:
        if not holds(call, GROUP_WRITE):
            raise directory_objects.denied()
        return _update(call, group, {n: v for n, v in call.json.items() if (n, v) != ("uniqueName", name)})
    if "create-if-missing" not in call.headers.get("prefer", "").lower():
        raise not_found(name)
    if call.json.get("uniqueName", name) != name:
        raise bad_request("The uniqueName in the body differs from the one in the request URL.")
    return _create(call, {**call.json, "uniqueName": name})


def _update(call: Call, group: Json, body: Json) -> Reply:
    check_cloud(group)
    changes = read_changes(call, group, body)
    added = {relation: _to_add(call, group, body, relation) for relation in RELATIONS}
    changed = {**group, **changes}
    if changes or not any(added.values()):
        call.tenant.state.put("groups", changed)
    for relation, targets in added.items():
        for target in targets:
            call.tenant.state.link(relation, group["id"], target)
    if added["members"]:
        licensing.membership_changed(call.tenant, group, added["members"], call.now)
    if is_dynamic(changed) and {"groupTypes", "membershipRule", "membershipRuleProcessingState"}.intersection(changes):
        dynamic_groups.rule_changed(call.tenant, group["id"], call.now)
    return Reply(204)


def _to_add(call: Call, group: Json, body: Json, relation: str) -> list[str]:
    """Up to 20 references, all or none: one that is absent or there already spoils the lot (group-post-members.md)."""
    links = body.get(f"{relation}@odata.bind")
    if links is None:
        return []
    if isinstance(links, list) and len(links) > MAX_BIND:
        raise bad_request(f"At most {MAX_BIND} references can be added in one request.")
    check_membership_open(call, group, relation)
    targets = _bound(call, body, relation)
    check_addable(call, group, targets, relation)
    return targets


@routes.post("/groups/{group}/renew", GROUP_WRITE, page="group-renew")
def renew_group(call: Call) -> Reply:
    group = find(call)
    if not is_unified(group):
        raise bad_request("Only Microsoft 365 groups can be renewed.")  # assumption
    call.tenant.state.put("groups", {**group, "renewedDateTime": instant(call.now)})
    return Reply(204)


@routes.post(
    "/groups/{group}/assignLicense", ("LicenseAssignment.ReadWrite.All", *GROUP_WRITE), page="group-assignlicense"
)
def assign_group_license(call: Call) -> Reply:
    changed = licensing.assign_to_group(call, find(call))
    reply = entity(call, GROUP_KIND, changed, status=202)
    where = f"{call.base}/v2/{call.tenant.tenant_id}/directoryObjects/{changed['id']}"
    reply.headers["Location"] = f"{where}/Microsoft.DirectoryServices.Group"
    return reply


# -- deleting ----------------------------------------------------------------------------------------------------


@routes.delete("/groups/{group}", ("Group.ReadWrite.All",), page="group-delete")
def delete_group(call: Call) -> Reply:
    """Soft, for 30 days: Microsoft 365 groups and, by now, security groups (group-delete.md).

    Refused while the group holds licences (licensing-groups-resolve-problems.md), and for a role-assignable group
    to an app that neither manages roles nor owns it.
    """
    group = find(call)
    check_cloud(group)
    if group.get("assignedLicenses"):
        raise bad_request("A group with active licenses cannot be deleted. Remove the licenses and try again.")
    if group.get("isAssignableToRole") and not _may_delete_role_assignable(call, group):
        raise directory_objects.denied()
    recycling.bury(call.tenant.state, "groups", group, call.now, {})
    return Reply(204)


def _may_delete_role_assignable(call: Call, group: Json) -> bool:
    owners = call.tenant.state.linked("owners", group["id"])
    own = call.tenant.seed.id_of("servicePrincipal", call.app)
    return own in owners or holds(call, ("RoleManagement.ReadWrite.Directory",))
