"""Archiving teams and channels, and bringing them back: 202, then later.

api-reference/v1.0/api/team-archive.md, team-unarchive.md, channel-archive.md, channel-unarchive.md. Archiving what is
archived already is taken to be no error; where no words are documented, they are assumptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphkit.sandbox.areas.channels import find_channel, roster_of
from graphkit.sandbox.areas.team_base import find_team, refused
from graphkit.sandbox.areas.team_operations import accepted, begin, fail, succeed
from graphkit.sandbox.areas.teams import SETTINGS_WRITE
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.memory.pending import work
from graphkit.sandbox.permissions import Need
from graphkit.sandbox.router import Routes

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

routes = Routes()

CHANNEL_WRITE: Need = ("ChannelSettings.ReadWrite.All",)
_READ_ONLY_SITE = "shouldSetSpoSiteReadOnlyForMembers"


@routes.post("/teams/{team}/archive", SETTINGS_WRITE, page="team-archive")
def archive_team(call: Call) -> Reply:
    """ "In order to archive team, the team and group must have an owner." """
    team = find_team(call)
    _read_options(call)
    _check_owned(call, "team", call.tenant.state.linked("teamOwners", team["id"]))
    _check_owned(call, "group", call.tenant.state.linked("owners", team["id"]))
    return _begin(call, team["id"], "archiveTeam", "teams", team["id"], True)


@routes.post("/teams/{team}/unarchive", SETTINGS_WRITE, page="team-unarchive")
def unarchive_team(call: Call) -> Reply:
    team_id = find_team(call)["id"]
    return _begin(call, team_id, "unarchiveTeam", "teams", team_id, False)


@routes.post("/teams/{team}/channels/{channel}/archive", CHANNEL_WRITE, page="channel-archive")
def archive_channel(call: Call) -> Reply:
    """ "A channel without an owner or that belongs to a group that has no owner, can't be archived." """
    channel = _changeable(call)
    _read_options(call)
    _check_owned(call, "channel", roster_of(channel).owner_ids(call.tenant.state))
    _check_owned(call, "group", call.tenant.state.linked("owners", channel["_team"]))
    return _begin(call, channel["_team"], "archiveChannel", "channels", channel["id"], True)


@routes.post("/teams/{team}/channels/{channel}/unarchive", CHANNEL_WRITE, page="channel-unarchive")
def unarchive_channel(call: Call) -> Reply:
    channel = _changeable(call)
    return _begin(call, channel["_team"], "unarchiveChannel", "channels", channel["id"], False)


def _changeable(call: Call) -> Json:
    channel = find_channel(call)
    if find_team(call)["isArchived"]:  # the words are documented
        raise refused(f"Team has to be active, for channel to be archived or unarchived: {channel['id']}")
    if channel["_primary"]:
        raise refused("The General channel cannot be archived.")
    return channel


def _read_options(call: Call) -> None:
    """The site's being read-only shows nowhere in Graph, so that the option is only checked."""
    body = call.body or {}
    if not isinstance(body, dict) or set(body) - {_READ_ONLY_SITE}:
        raise refused("The action takes the parameter shouldSetSpoSiteReadOnlyForMembers and no other.")
    if not isinstance(body.get(_READ_ONLY_SITE, False), bool):
        raise refused(f"Cannot convert the literal '{body[_READ_ONLY_SITE]}' to the expected type 'Edm.Boolean'.")


def _check_owned(call: Call, what: str, owners: dict[str, None]) -> None:
    if not any(call.tenant.state.get("users", key) for key in owners):
        raise refused(f"The {what} must have an owner to be archived.")


def _begin(call: Call, team_id: str, kind: str, table: str, key: str, archived: bool) -> Reply:
    return accepted(begin(call, team_id, kind, "archive", table, key, archived, target=team_id))


@work("archive")
def archive_later(tenant: SimulatedTenant, now: float, arguments: Any) -> None:
    operation_id, table, key, archived = arguments
    found = tenant.state.get(table, key)
    if found is None:
        return fail(tenant, operation_id, now, "NotFound", "It was deleted in the meantime.")
    tenant.state.put(table, {**found, "isArchived": archived})
    return succeed(tenant, operation_id, now)
