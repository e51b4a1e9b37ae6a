"""Directory objects of whatever kind: found by id, referred to, and listed together.

api-reference/v1.0/api/directoryobject-*.md of microsoft-graph-docs-contrib.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from graphkit.sandbox.areas import people
from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request, not_found
from graphkit.sandbox.permissions import DIRECTORY
from graphkit.sandbox.query.advanced import is_counted, is_eventual
from graphkit.sandbox.query.listing import Kind, entity, listing, matching
from graphkit.sandbox.router import Routes

routes = Routes()

TABLES = {
    "users": "user",
    "groups": "group",
    "servicePrincipals": "servicePrincipal",
    "devices": "device",
    "administrativeUnits": "administrativeUnit",
    "roles": "directoryRole",
}
"""Where the objects of a type are kept. A directory role counts among them only once it is activated."""

# resources/group.md, and the answers on api/group-post-groups.md
GROUP_SELECT = (
    "id", "deletedDateTime", "classification", "createdDateTime", "description", "displayName", "expirationDateTime",
    "groupTypes", "isAssignableToRole", "mail", "mailEnabled", "mailNickname", "membershipRule",
    "membershipRuleProcessingState", "onPremisesDomainName", "onPremisesLastSyncDateTime", "onPremisesNetBiosName",
    "onPremisesProvisioningErrors", "onPremisesSamAccountName", "onPremisesSecurityIdentifier",
    "onPremisesSyncEnabled", "preferredDataLocation", "preferredLanguage", "proxyAddresses", "renewedDateTime",
    "resourceBehaviorOptions", "resourceProvisioningOptions", "securityEnabled", "securityIdentifier", "theme",
    "uniqueName", "visibility",
)  # fmt: skip
_SELECTS = {"user": people.DEFAULT_SELECT, "group": GROUP_SELECT}
_DERIVED = {"user": people.DERIVED}
_CASTS = {
    name: Kind(table, name, _SELECTS.get(name), derived=_DERIVED.get(name, {}), advanced=True, relation=True)
    for table, name in TABLES.items()
}
OBJECT_KIND = Kind(
    "directoryObjects",
    "directoryObject",
    derived=people.DERIVED,
    advanced=True,
    relation=True,
    variants={f"#microsoft.graph.{name}": kind for name, kind in _CASTS.items()},
)
MAX_IDS = 1000
MAX_CHECKED = 20  # api/directoryobject-checkmembergroups.md; the words of the refusal are ours
_REFERENCE = re.compile(
    r"/(?:v1\.0|beta)/(?:directoryObjects|users|groups|servicePrincipals|devices|directory/administrativeUnits)"
    r"[/(]'?([^/')]+)"
)


# -- finding -----------------------------------------------------------------------------------------------------


def located(call: Call, key: str) -> tuple[str, Json] | None:
    """``(type, object)``, whether or not this call's replica has seen it."""
    for table, type_name in TABLES.items():
        item = call.tenant.state.get(table, key)
        if item is not None:
            return type_name, item
    return None


def directory_object(call: Call, key: str) -> tuple[str, Json] | None:
    """``(type, object)`` if the replica that answers this call knows the object."""
    found = located(call, key.lower())
    if found is None or not call.tenant.replication.visible(found[1], call.now, call.replica):
        return None
    return found


def view(call: Call, key: str) -> Json:
    """Any directory object, as it is shown among others."""
    found = located(call, key)
    if found is None:
        raise not_found(key)
    shown = {name: value for name, value in found[1].items() if not name.startswith("_")}
    shown.pop("licenseAssignmentStates", None)
    return {"@odata.type": f"#microsoft.graph.{found[0]}", **shown}


def referred(call: Call, link: Any, where: str) -> tuple[str, Json]:
    """``(type, object)`` that an ``@odata.id`` or a member of an ``@odata.bind`` names. Raises :class:`Refusal`."""
    found = _REFERENCE.search(link) if isinstance(link, str) else None
    if found is None:
        raise bad_request(f"Invalid URL format specified in {where}: '{link}'.")
    key = found[1]
    if "@" in key:
        key = next((user["id"] for user in call.tenant.state.table("users").find("userPrincipalName", key)), key)
    known = directory_object(call, key)
    if known is None:
        raise not_found(key)
    return known


def holds(call: Call, needed: Iterable[str]) -> bool:
    """Whether the caller's token has one of these permissions."""
    return call.permissions is None or not call.permissions.isdisjoint(needed)


def denied() -> Refusal:
    return Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


# -- listing -----------------------------------------------------------------------------------------------------


class _Objects(Sequence[Json | None]):
    """Objects by their ids, looked up one by one when asked for; ``None`` for what is of another type."""

    def __init__(self, call: Call, keys: Iterable[str], cast: str) -> None:
        self._call = call
        self._keys = list(keys)
        self._cast = cast

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, position: Any) -> Any:
        found = located(self._call, self._keys[position])
        if found is None or (self._cast and found[0] != self._cast):
            return None
        return {"@odata.type": f"#microsoft.graph.{found[0]}", **found[1]}


def cast_of(call: Call) -> str:
    """The type that the path is cast to: ``user`` in ``/groups/{id}/members/microsoft.graph.user/$count``."""
    for segment in reversed(call.path.split("/")):
        name = segment.lower().removeprefix("microsoft.").removeprefix("graph.")
        if name != segment.lower():
            return next((known for known in _CASTS if known.lower() == name), "")
    return ""


def list_objects(call: Call, keys: Iterable[str]) -> Reply:
    """A page of the objects of these ids, those of one type if the path is cast to it."""
    cast = cast_of(call)
    _check_cast(call, cast)
    return listing(call, _CASTS.get(cast, OBJECT_KIND), _Objects(call, keys, cast))


def _check_cast(call: Call, cast: str) -> None:
    """Of what is transitive only with the advanced parameters (concepts/aad-advanced-queries.md), though users among
    members have been had without; code and words: microsoft-graph-docs-contrib#1517.
    """
    path = call.path.lower()
    if not cast or "/transitivemember" not in path or ("/transitivemembers/" in path and cast == "user"):
        return
    if not (is_eventual(call) and is_counted(call)):
        raise Refusal(400, "Request_UnsupportedQuery", "Invalid search request.")


def count_objects(call: Call, keys: Iterable[str]) -> Reply:
    cast = cast_of(call)
    objects = _Objects(call, keys, cast)
    if not (cast or call.query.get("$filter") or call.query.get("$search")):
        return Reply(200, str(len(objects) + matching(call, OBJECT_KIND, ())))  # none to look at one by one
    return Reply(200, str(matching(call, _CASTS.get(cast, OBJECT_KIND), objects)))


_ENTITIES = {"user": "User", "group": "Group", "servicePrincipal": "ServicePrincipal", "device": "Device"}


def list_references(call: Call, keys: Iterable[str]) -> Reply:
    """The answer to ``.../$ref``: where the objects are, in the shape of api/group-post-groups.md's ``@odata.id``."""
    reply = listing(call, OBJECT_KIND, _Objects(call, keys, ""))
    root = f"{call.base}/v2/{call.tenant.tenant_id}/directoryObjects"
    references = []
    for item in reply.body["value"]:
        entity_name = _ENTITIES.get(item["@odata.type"].rpartition(".")[2], "DirectoryObject")
        references.append({"@odata.id": f"{root}/{item['id']}/Microsoft.DirectoryServices.{entity_name}"})
    reply.body.update({"@odata.context": call.context("Collection($ref)"), "value": references})
    return reply


# -- membership, upwards -----------------------------------------------------------------------------------------


def may_see_members(call: Call, group: Json) -> bool:
    """Hidden membership is shown to ``Member.Read.Hidden`` only; others find nobody there and are not told
    (microsoftgraph/microsoft-graph-docs#12285, #12552)."""
    return group.get("visibility") != "HiddenMembership" or holds(call, ("Member.Read.Hidden",))


def groups_of(call: Call, member: str, *, transitive: bool = False) -> Iterator[Json]:
    """The groups that hold an object, nearest first."""
    state = call.tenant.state
    seen: set[str] = set()
    wave = [member]
    while wave:
        found = [key for item in wave for key in state.linked_back("members", item) if key not in seen]
        seen.update(found)
        groups = (state.table("groups").objects[key] for key in dict.fromkeys(found))
        yield from (group for group in groups if may_see_members(call, group))
        wave = found if transitive else []


def containers_of(call: Call, key: str, *, transitive: bool = False) -> Iterator[str]:
    """The ids of all that an object is a member of: groups, directory roles, administrative units."""
    state = call.tenant.state
    yield from (group["id"] for group in groups_of(call, key, transitive=transitive))
    templates = state.linked_back("roleMembers", key)
    yield from (role["id"] for role in state.table("roles").objects.values() if role["roleTemplateId"] in templates)
    yield from state.linked_back("unitMembers", key)


def member_groups(call: Call, key: str) -> Reply:
    """``getMemberGroups``: transitive, ids only."""
    only_security = call.json.get("securityEnabledOnly")
    if not isinstance(only_security, bool):
        raise _missing_parameter("getMemberGroups", "securityEnabledOnly")
    found = groups_of(call, key, transitive=True)
    return strings(call, [group["id"] for group in found if group.get("securityEnabled") or not only_security])


def member_objects(call: Call, key: str) -> Reply:
    """``getMemberObjects``: as above, with directory roles and administrative units."""
    only_security = call.json.get("securityEnabledOnly")
    if not isinstance(only_security, bool):
        raise _missing_parameter("getMemberObjects", "securityEnabledOnly")
    groups = call.tenant.state.table("groups").objects
    found = containers_of(call, key, transitive=True)
    return strings(
        call, [each for each in found if not only_security or groups.get(each, {}).get("securityEnabled", True)]
    )


def check_member_groups(call: Call, key: str, parameter: str = "groupIds") -> Reply:
    """``checkMemberGroups`` and ``checkMemberObjects`` (``ids``): those of up to 20 ids that hold the object."""
    asked = call.json.get(parameter)
    if not isinstance(asked, list):
        raise _missing_parameter("checkMemberGroups" if parameter == "groupIds" else "checkMemberObjects", parameter)
    if len(asked) > MAX_CHECKED:
        raise bad_request(f"The number of values in {parameter} exceeds the limit of {MAX_CHECKED}.")
    found = set(containers_of(call, key, transitive=True))
    return strings(call, [each for each in asked if str(each).lower() in found])


def strings(call: Call, values: list[str]) -> Reply:
    return Reply(200, {"@odata.context": call.context("Collection(Edm.String)"), "value": values})


def _missing_parameter(action: str, name: str) -> Refusal:
    return bad_request(
        f"One or more parameters of the operation '{action}' are missing from the request payload. The missing "
        f"parameters are: {name}.",
        "BadRequest",
    )


# -- endpoints ---------------------------------------------------------------------------------------------------


@routes.get("/directoryObjects/{object}", DIRECTORY, page="directoryobject-get")
def get_object(call: Call) -> Reply:
    known = directory_object(call, call.params["object"])
    if known is None:
        raise not_found(call.params["object"])
    return entity(call, OBJECT_KIND, {"@odata.type": f"#microsoft.graph.{known[0]}", **known[1]})


@routes.post("/directoryObjects/getByIds", DIRECTORY, page="directoryobject-getbyids")
def get_by_ids(call: Call) -> Reply:
    """Up to 1000 ids; the absent are left out."""
    ids = call.json.get("ids")
    if not isinstance(ids, list) or len(ids) > MAX_IDS:
        raise bad_request(f"The ids collection is missing or holds more than {MAX_IDS} ids.")
    wanted = {str(name).lower() for name in call.json.get("types") or []} or {"directoryobject"}
    found: list[Json | None] = []
    for key in dict.fromkeys(str(key) for key in ids):
        known = directory_object(call, key)
        if known is not None and not wanted.isdisjoint((known[0].lower(), "directoryobject")):
            found.append({"@odata.type": f"#microsoft.graph.{known[0]}", **known[1]})
    return listing(call, OBJECT_KIND, found, pages=False)
