"""What an address is about: which service answers it, which object it names, and its shape without the ids."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

# How many segments lead to the collection, where it is not the first segment.
_DEPTH = {
    "identity": 2,
    "identityprotection": 1,
    "identitygovernance": 2,
    "devicemanagement": 1,
    "deviceappmanagement": 1,
    "policies": 1,
    "auditlogs": 1,
    "reports": 1,
    "appcatalogs": 1,
    "admin": 1,
    "security": 1,
}

# Segments in an id's place that are functions or system paths.
_NOT_IDS = frozenset(
    {"getbyids", "delta", "$count", "$ref", "$value", "validateproperties", "deleteditems", "evaluate", "add", "remove"}
)

_DIRECTORY = frozenset(
    {
        "applications", "contracts", "devices", "directoryobjects", "directoryroles",
        "directoryroletemplates", "domains", "groups", "groupsettings", "groupsettingtemplates",
        "oauth2permissiongrants", "organization", "contacts", "serviceprincipals", "subscribedskus",
        "users", "directory",
    }
)  # fmt: skip
_TEAMS = frozenset({"teams", "chats", "teamwork", "appcatalogs"})
_TEAMS_BELOW_OTHERS = frozenset({"team", "joinedteams", "teamwork"})
_INTUNE = frozenset({"devicemanagement", "deviceappmanagement"})
_DIRECTORY_POLICIES = frozenset({"homerealmdiscoverypolicies", "tokenissuancepolicies", "tokenlifetimepolicies"})
# Below a user or group, these belong to other services and cost the directory nothing.
_NOT_DIRECTORY = frozenset(
    {
        "messages", "mailfolders", "mailboxsettings", "sendmail", "calendar", "calendars", "calendarview",
        "events", "contactfolders", "drive", "drives", "insights", "onenote", "planner", "extensions",
        "sites", "conversations", "threads", "todo", "presence", "chats", "onlinemeetings", "photo",
        "photos",
    }
)  # fmt: skip


class Route(NamedTuple):
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
    """Which service answers: ``identity``, ``teams``, ``conditional-access``, ``intune``, ``reports`` or ``other``."""
    return parse(path).workload


@lru_cache(maxsize=4096)
def parse(path: str) -> Route:
    """Take an address apart; relative (``/users/..``) or absolute (a nextLink). Never raises."""
    version, relative = _relative(path)
    head, _, query = relative.partition("?")
    parts = _segments(head)
    if not parts:
        return Route("other", "/", "", (), query, version)
    lower = [part.lower() for part in parts]
    if lower[0] == "me":
        parts, lower = ["users", "me", *parts[1:]], ["users", "me", *lower[1:]]
    depth = _DEPTH.get(lower[0], 0)
    for index in range(depth + 1, len(lower), 2):
        if lower[index] not in _NOT_IDS:
            lower[index] = "*"
    names_object = len(lower) > depth + 1 and lower[depth + 1] == "*"
    target = "/".join([*lower[: depth + 1], parts[depth + 1]]) if names_object else ""
    return Route(_workload(lower), "/" + "/".join(lower), target, tuple(parts), query, version)


def _relative(path: str) -> tuple[str, str]:
    if path.startswith("/"):
        return "", path
    pieces = path.split("/", 4)
    if len(pieces) < 5:
        return "", ""
    return pieces[3], "/" + pieces[4]


def _segments(head: str) -> list[str]:
    parts = [part for part in head.split("/") if part]
    if "(" not in head:
        return parts
    split: list[str] = []
    for part in parts:
        # An alternate key names an object just as an id does: groups(uniqueName='x') has the shape of groups/x.
        name, bracket, key = part.partition("(")
        split += [name, key.rstrip(")")] if bracket and key != ")" else [name]
    return split


def _workload(lower: list[str]) -> str:
    root, second = lower[0], lower[1] if len(lower) > 1 else ""
    third = lower[2] if len(lower) > 2 else ""
    if root in _TEAMS or (root in {"groups", "users"} and third in _TEAMS_BELOW_OTHERS):
        return "teams"
    if root in _DIRECTORY:
        return "other" if third in _NOT_DIRECTORY else "identity"
    if root in _INTUNE:
        return "intune"
    return _policy_workload(root, second)


def _policy_workload(root: str, second: str) -> str:
    if (root, second) == ("identity", "conditionalaccess") or root == "identityprotection":
        return "conditional-access"
    if root == "policies":
        # Authentication strengths are in no published list; they are handled by the same service as their policies.
        if second == "authenticationstrengthpolicies":
            return "conditional-access"
        return "identity" if second in _DIRECTORY_POLICIES else "other"
    return "reports" if root in {"auditlogs", "reports"} else "other"
