"""Teams: finding, reading and changing them. Making them is in :mod:`team_creation`.

api-reference/v1.0/api/team-get.md, team-update.md, teams-list.md, user-list-joinedteams.md.
"""

from __future__ import annotations

from typing import Any

from graphkit.sandbox.areas import channels, users
from graphkit.sandbox.areas.roster import members_of, of_team
from graphkit.sandbox.areas.team_base import check_active, find_team, read_body
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.permissions import DIRECTORY, GROUP_WRITE, TEAM, Need
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import check_changeable, type_of

routes = Routes()

LISTED: Need = ("Team.ReadBasic.All", "TeamSettings.Read.All", "TeamSettings.ReadWrite.All")
JOINED: Need = (*LISTED, "User.Read.All", "User.ReadWrite.All", *DIRECTORY)
SETTINGS_WRITE: Need = ("TeamSettings.ReadWrite.All", *GROUP_WRITE)

SETTINGS: dict[str, Json] = {
    "memberSettings": {
        "allowCreateUpdateChannels": True,
        "allowDeleteChannels": True,
        "allowAddRemoveApps": True,
        "allowCreateUpdateRemoveTabs": True,
        "allowCreateUpdateRemoveConnectors": True,
        "allowCreatePrivateChannels": True,
    },
    "guestSettings": {"allowCreateUpdateChannels": False, "allowDeleteChannels": False},
    "messagingSettings": {
        "allowUserEditMessages": True,
        "allowUserDeleteMessages": True,
        "allowOwnerDeleteMessages": True,
        "allowTeamMentions": True,
        "allowChannelMentions": True,
    },
    "funSettings": {
        "allowGiphy": True,
        "giphyContentRating": "moderate",
        "allowStickersAndMemes": True,
        "allowCustomMemes": True,
    },
    "discoverySettings": {"showInTeamsSearchAndSuggestions": True},  # beta only
}
OF_THE_GROUP = ("displayName", "description", "visibility")
"""What a team says of itself, but its group keeps."""


def _summary(call: Call, team: Json) -> Json:
    state, roster = call.tenant.state, of_team(team["id"])
    people, owners = roster.people(state), roster.owner_ids(state)
    guests = sum((state.get("users", key) or {}).get("userType") == "Guest" for key in people)
    return {
        "ownersCount": len(owners),
        "membersCount": len(people) - len(owners) - guests,
        "guestsCount": guests,
    }


def _members(call: Call, team: Json) -> Any:
    return members_of(call, of_team(team["id"]))


def _primary(call: Call, team: Json) -> Json:
    return next(channel for channel in channels.expanded(call, team) if channel["id"] == _primary_id(call, team))


def _primary_id(call: Call, team: Json) -> Any:
    return channels.primary_of(call.tenant, team["id"])["id"]


TEAM_KIND = Kind(
    "teams",
    "team",
    derived={"summary": _summary},
    expands={
        "members": _members,
        "channels": channels.expanded,
        "allChannels": channels.expanded,
        "primaryChannel": _primary,
    },
)


def shown(call: Call, team: Json) -> Json:
    """A team as its group names it: displayName, description and visibility live there."""
    group = call.tenant.state.get("groups", team["id"]) or {}
    visibility = str(group.get("visibility") or "Private")
    return {
        **team,
        "displayName": group.get("displayName"),
        "description": group.get("description"),
        "visibility": visibility[0].lower() + visibility[1:],
    }


def _listed(call: Call, team: Json) -> Json:
    """ "Currently, this API call returns only the id, displayName, and description properties" """
    found = shown(call, team)
    return {"id": team["id"], "displayName": found["displayName"], "description": found["description"],
            "_created": team["_created"]}  # fmt: skip


# -- reading -----------------------------------------------------------------------------------------------------


@routes.get("/teams", LISTED, page="teams-list")
def list_teams(call: Call) -> Reply:
    groups = call.tenant.state.table("groups").objects
    found = [
        _listed(call, team) if team is not None and team["id"] in groups else None
        for team in call.tenant.state.table("teams").in_order()
    ]
    return listing(call, TEAM_KIND, found)


@routes.get("/teams/{team}", TEAM, page="team-get")
def get_team(call: Call) -> Reply:
    return entity(call, TEAM_KIND, shown(call, find_team(call)))


@routes.get("/groups/{group}/team", TEAM, page="team-get")
def get_team_of_group(call: Call) -> Reply:
    call.params["team"] = call.params["group"]
    return entity(call, TEAM_KIND, shown(call, find_team(call)))


@routes.get("/users/{user}/joinedTeams", JOINED, page="user-list-joinedteams")
def list_joined_teams(call: Call) -> Reply:
    """Of those the user is a direct member, or an owner, of."""
    state, user = call.tenant.state, users.find(call)
    ids = {**state.linked_back("teamMembers", user["id"]), **state.linked_back("teamOwners", user["id"])}
    found = [state.table("teams").objects[key] for key in ids if state.get("groups", key) is not None]
    return listing(call, TEAM_KIND, [_listed(call, team) for team in found])


@routes.get("/teamwork/deletedTeams", ("Team.ReadBasic.All",), page="teamwork-list-deletedteams")
def list_deleted_teams(call: Call) -> Reply:
    """Teams whose groups can still be restored, and the teams with them."""
    state = call.tenant.state
    found: list[Json | None] = [
        {"id": key} for key in state.table("teams").objects if state.get("deletedGroups", key) is not None
    ]
    return listing(call, Kind("teamwork/deletedTeams", "deletedTeam"), found)


# -- changing ----------------------------------------------------------------------------------------------------


@routes.patch("/teams/{team}", SETTINGS_WRITE, page="team-update")
def update_team(call: Call) -> Reply:
    """Settings are merged, setting by setting."""
    team = find_team(call)
    check_active(team)
    body = read_body(call, call.json, "team")
    check_changeable(body, type_of(body, "team", call.version), code="BadRequest")
    of_group: Json = {name: body.pop(name) for name in OF_THE_GROUP if name in body}
    changed = merged(team, body)
    if changed != team or not of_group:
        call.tenant.state.put("teams", changed)
    if of_group:
        group = call.tenant.state.table("groups").objects[team["id"]]
        call.tenant.state.put("groups", {**group, **as_group(of_group)})
    return Reply(204)


def merged(team: Json, given: Json) -> Json:
    """A team with the properties of a body; what it links to is no property of it."""
    found = dict(team)
    for name, value in given.items():
        if name in SETTINGS:
            found[name] = {**team[name], **(value or {})}
        elif "@" not in name and name in team:
            found[name] = value
    return found


def as_group(given: Json) -> Json:
    """``visibility`` in the spelling of groups."""
    if not given.get("visibility"):
        return given
    return {**given, "visibility": given["visibility"][0].upper() + given["visibility"][1:]}
