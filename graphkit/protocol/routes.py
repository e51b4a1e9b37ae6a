"""What an address is about: which service answers it, which object it names, and its shape without the ids."""

from __future__ import annotations

from functools import lru_cache

import msgspec

# Where the collection is not the first segment but the second; and below which two it is the third.
_DEEP = frozenset(
    {
        "admin", "appcatalogs", "auditlogs", "communications", "copilot", "deviceappmanagement", "devicemanagement",
        "directory", "education", "identity", "identitygovernance", "identityprotection", "policies", "reports",
        "rolemanagement", "security", "tenantrelationships",
    }
)  # fmt: skip
_DEEPER = frozenset(
    {
        "admin/serviceannouncement", "identity/conditionalaccess", "identitygovernance/accessreviews",
        "identitygovernance/appconsent", "identitygovernance/entitlementmanagement",
        "identitygovernance/lifecycleworkflows", "identitygovernance/termsofuse", "reports/authenticationmethods",
        "rolemanagement/directory", "rolemanagement/entitlementmanagement", "tenantrelationships/managedtenants",
    }
)  # fmt: skip

# Segments in an id's place that are functions or system paths.
_NOT_IDS = frozenset(
    {
        "getbyids", "delta", "$count", "$ref", "$value", "validateproperties", "deleteditems", "evaluate", "add",
        "remove", "getobjectsbyid", "getallmessages", "allmessages", "getallretainedmessages",
        "sendactivitynotificationtorecipients", "getallenterpriseinteractions",
    }
)  # fmt: skip
# Properties that are one object, so that no id follows.
_SINGLE = frozenset(
    {
        "authentication", "calendar", "drive", "insights", "interactionhistory", "manager", "onenote", "planner",
        "presence", "primarychannel", "schedule", "team", "teamwork", "todo",
    }
)  # fmt: skip

# The service behind the first segment ...
_SERVICES = {
    **dict.fromkeys(
        (
            "applications", "contracts", "devices", "directoryobjects", "directoryroles", "directoryroletemplates",
            "domains", "groups", "groupsettings", "groupsettingtemplates", "oauth2permissiongrants", "organization",
            "contacts", "serviceprincipals", "subscribedskus", "users", "directory",
        ),
        "identity",
    ),
    **dict.fromkeys(("teams", "chats", "teamwork", "appcatalogs", "copilot"), "teams"),
    "devicemanagement": "intune",
    "deviceappmanagement": "intune",
    "identityprotection": "conditional-access",
    "auditlogs": "identity-reports",
    "datapolicyoperations": "data-policy",
    "invitations": "invitations",
    "subscriptions": "subscriptions",
    "schemaextensions": "extensions",
    "security": "security",
    "education": "education",
}  # fmt: skip
# ... behind the first two ...
_SERVICES_OF_TWO = {
    "identity/conditionalaccess": "conditional-access",
    # Authentication strengths are in no published list; they are handled by the same service as their policies.
    "policies/authenticationstrengthpolicies": "conditional-access",
    **dict.fromkeys(
        (
            "identity/identityproviders", "identity/b2xuserflows", "identity/userflowattributes",
            "policies/authenticationflowspolicy",
        ),
        "identity-providers",
    ),
    "policies/homerealmdiscoverypolicies": "identity",
    "policies/tokenissuancepolicies": "identity",
    "policies/tokenlifetimepolicies": "identity",
    "reports/authenticationmethods": "identity-reports",
    "reports/credentialuserregistrationdetails": "identity-reports",
    "communications/getpresencesbyuserid": "presence",
    "communications/presences": "presence",
    "tenantrelationships/managedtenants": "multitenant",
    "admin/serviceannouncement": "service-communications",
}  # fmt: skip
# ... and below an object of the directory, whom it costs nothing.
_SERVICES_BELOW = {
    **dict.fromkeys(("team", "joinedteams", "teamwork", "chats"), "teams"),
    **dict.fromkeys(("manageddevices", "managedappregistrations", "devicemanagementtroubleshootingevents"), "intune"),
    "extensions": "extensions",
    "presence": "presence",
    **dict.fromkeys(
        (
            "messages", "mailfolders", "mailboxsettings", "sendmail", "calendar", "calendars", "calendarview",
            "events", "contactfolders", "drive", "drives", "insights", "onenote", "planner", "sites", "conversations",
            "threads", "todo", "onlinemeetings", "photo", "photos", "people",
        ),
        "other",
    ),
}  # fmt: skip


class Route(msgspec.Struct, frozen=True, gc=False):
    """``shape`` is lower case with ``*`` for each id; ``target`` the first object named, empty for a collection.

    ``version`` is empty unless the address was absolute. ``parts`` are the segments as given.
    """

    workload: str
    shape: str
    target: str
    parts: tuple[str, ...]
    query: str = ""
    version: str = ""


def workload(path: str) -> str:
    """Which service answers: ``identity``, ``teams``, ``conditional-access``, ``intune`` ... or ``other``."""
    return parse(path).workload


@lru_cache(maxsize=4096)
def parse(path: str) -> Route:
    """Take an address apart; relative (``/users/..``) or absolute (a nextLink). Never raises."""
    version = ""
    if path[:1] != "/":
        version, path = _relative(path)
    head, _, query = path.partition("?")
    parts = head[1:].split("/")
    if "" in parts or "(" in head:
        parts = _segments(head)
        if not parts:
            return Route("other", "/", "", (), query, version)
        lower = [part.lower() for part in parts]
    else:
        lower = head[1:].lower().split("/")
    if lower[0] == "me":
        parts, lower = ["users", "me", *parts[1:]], ["users", "me", *lower[1:]]
    depth = _depth(lower) if lower[0] in _DEEP else 0
    index, end = depth + 1, len(lower)
    while index < end:
        if lower[index] not in _NOT_IDS:
            lower[index] = "*"
        index += 3 if index + 1 < end and lower[index + 1] in _SINGLE else 2
    target = ""
    if depth + 1 < end and lower[depth + 1] == "*":
        target = f"{'/'.join(lower[: depth + 1])}/{parts[depth + 1]}" if depth else f"{lower[0]}/{parts[1]}"
    shape = "/" + "/".join(lower)
    return Route(_workload(shape), shape, target, tuple(parts), query, version)


def _depth(lower: list[str]) -> int:
    return 2 if len(lower) > 1 and f"{lower[0]}/{lower[1]}" in _DEEPER else 1


def _relative(path: str) -> tuple[str, str]:
    pieces = path.split("/", 4)
    if len(pieces) < 5:
        return "", ""
    return pieces[3], "/" + pieces[4]


def _segments(head: str) -> list[str]:
    split: list[str] = []
    for part in head.split("/"):
        # An alternate key names an object just as an id does: groups(uniqueName='x') has the shape of groups/x.
        name, bracket, key = part.partition("(")
        if name or bracket:
            split += [name, key.rstrip(")")] if bracket and key != ")" else [name]
    return split


@lru_cache(maxsize=4096)
def _workload(shape: str) -> str:
    first, second, third, *_ = (*shape.split("/")[1:], "", "")
    service = _SERVICES.get(first)
    if service == "identity":
        return _SERVICES_BELOW.get(third, service)
    if service is None:
        service = _SERVICES_OF_TWO.get(f"{first}/{second}", "other")
        if service == "other" and first == "reports" and second:
            return _report(second, shape)
    return service


def _report(name: str, shape: str) -> str:
    """A usage report is a function of ``/reports``, and those about sign-ins belong to the directory."""
    if "applicationsignin" in name:
        return "identity-reports"
    return "m365-reports" if shape in {f"/reports/{name}", f"/reports/{name}/*"} else "other"
