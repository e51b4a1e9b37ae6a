"""What the areas of Teams share: how the service says no, how a team is found, how bodies are read."""

from __future__ import annotations

from typing import Any

from graphkit.sandbox.call import Call, Json, Refusal
from graphkit.sandbox.schema.check import check, is_guid

_PREFIX = "#microsoft.graph."
_CAPITALISED = ("visibility", "giphyContentRating")
"""Enumerations that the examples of api-reference/v1.0/api/team-post.md write with a capital."""


def refused(message: str, *, status: int = 400, code: str = "BadRequest", inner: str = "Unknown") -> Refusal:
    """An error as Teams shapes it: said twice, with a code of its own inside (api/channel-archive.md, example 2)."""
    return Refusal(status, code, message, inner={"message": message, "code": inner, "innerError": {}})


def missing(what: str) -> Refusal:
    return refused(f"No {what} found.", status=404, code="NotFound")


def forbidden(message: str, inner: str = "Unknown") -> Refusal:
    return refused(message, status=403, code="Forbidden", inner=inner)


def find_team(call: Call) -> Json:
    """The team that the path names. It is there as long as its group is, and comes back with it."""
    key = call.params["team"].lower()
    if not is_guid(key):
        raise refused("teamId needs to be a valid GUID.")
    state = call.tenant.state
    team, group = state.get("teams", key), state.get("groups", key)
    if team is None or group is None or not call.tenant.replication.visible(team, call.now, call.replica):
        raise missing(f"team with Group Id {call.params['team']}")
    return team


def check_active(team: Json) -> None:
    """Nothing of an archived team can be changed but its members (api/team-archive.md); the words are an assumption."""
    if team["isArchived"]:
        raise refused(f"Team has to be active, for it or its channels to be changed: {team['id']}")


def read_body(call: Call, body: Any, type_name: str) -> Json:
    """A body, checked, with enumerations and ``@odata.type`` in the case that the metadata knows."""
    if not isinstance(body, dict):
        raise refused(f"A microsoft.graph.{type_name} is expected.")
    read = _recased(body)
    check(read, type_name, call.version, code="BadRequest")
    return read


def _recased(body: Json) -> Json:
    found: Json = {}
    for name, value in body.items():
        if isinstance(value, dict):
            found[name] = _recased(value)
        elif name in _CAPITALISED and isinstance(value, str):
            found[name] = value[:1].lower() + value[1:]
        elif name == "@odata.type" and str(value).lower().startswith(_PREFIX):
            found[name] = _PREFIX + str(value)[len(_PREFIX) :]
        else:
            found[name] = value
    return found


def refuse_migration(body: Json) -> None:
    """Teams and channels that are made for imported messages have a past, and take it from the body."""
    mode = next((name for name in body if name.startswith("@microsoft.graph.") and name.endswith("CreationMode")), "")
    if mode:
        raise Refusal(501, "NotModelled", f"The simulated tenant does not model {mode}.")


def plain(item: Json) -> Json:
    """An object inside another one: without what is private to the tenant."""
    return {name: value for name, value in item.items() if not name.startswith("_")}
