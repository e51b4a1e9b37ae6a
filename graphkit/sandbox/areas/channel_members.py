"""The people of a channel: those of the team, unless it is private or shared and has its own.

api-reference/v1.0/api/channel-*-members.md. "This operation is allowed only for channels with a membershipType value of
private or shared"; the words of the refusals are assumptions.
"""

from __future__ import annotations

from graphkit.sandbox.areas.channels import MAX_PEOPLE, check_in_team, find_channel, roster_of
from graphkit.sandbox.areas.roster import (
    Roster,
    list_roster,
    named_member,
    read_person,
    show_member,
    wants_owner,
)
from graphkit.sandbox.areas.team_base import forbidden, read_body, refused
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.permissions import GROUP_WRITE, Need
from graphkit.sandbox.router import Routes

routes = Routes()

READ: Need = ("ChannelMember.Read.All", "ChannelMember.ReadWrite.All")
WRITE: Need = ("ChannelMember.ReadWrite.All",)


@routes.get("/teams/{team}/channels/{channel}/members", READ, page="channel-list-members")
def list_members(call: Call) -> Reply:
    return list_roster(call, roster_of(find_channel(call)))


@routes.get("/teams/{team}/channels/{channel}/allMembers", READ, page="channel-list-allmembers")
def list_all_members(call: Call) -> Reply:
    """Nobody comes in through another team here, so these are the same people."""
    return list_members(call)


@routes.get("/teams/{team}/channels/{channel}/members/{membership}", READ, page="channel-get-members")
def get_member(call: Call) -> Reply:
    roster = roster_of(find_channel(call))
    return show_member(call, roster, named_member(call, roster))


@routes.post("/teams/{team}/channels/{channel}/members", WRITE, page="channel-post-members")
def add_member(call: Call) -> Reply:
    channel, roster = _own(call)
    person = read_person(call, call.json)
    check_in_team(call, channel["_team"], channel["membershipType"], person)
    people = roster.people(call.tenant.state)
    if person.id not in people and len(people) >= MAX_PEOPLE[channel["membershipType"]]:
        raise forbidden("The channel has reached its limit of members.")
    _set_role(call, roster, person.id, person.is_owner or person.id in roster.owner_ids(call.tenant.state))
    return show_member(call, roster, person.id, status=201)


@routes.patch(
    "/teams/{team}/channels/{channel}/members/{membership}", (*WRITE, *GROUP_WRITE), page="channel-update-members"
)
def update_member(call: Call) -> Reply:
    _, roster = _own(call)
    user_id = named_member(call, roster)
    is_owner = wants_owner(read_body(call, call.json, "conversationMember"))
    if not is_owner:
        _check_not_last(call, roster, user_id)
    _set_role(call, roster, user_id, is_owner)
    return show_member(call, roster, user_id)


@routes.delete("/teams/{team}/channels/{channel}/members/{membership}", WRITE, page="channel-delete-members")
def remove_member(call: Call) -> Reply:
    _, roster = _own(call)
    user_id = named_member(call, roster)
    _check_not_last(call, roster, user_id)
    for relation in (roster.members, roster.owners):
        call.tenant.state.unlink(relation, roster.key, user_id)
    return Reply(204)


def _own(call: Call) -> tuple[Json, Roster]:
    """The channel and its roster, if it has one of its own. Members can change while team or channel is archived."""
    channel = find_channel(call)
    if channel["membershipType"] == "standard":
        raise refused("Members can be changed for channels with a membershipType of private or shared only.")
    return channel, roster_of(channel)


def _set_role(call: Call, roster: Roster, user_id: str, is_owner: bool) -> None:
    state = call.tenant.state
    state.link(roster.members, roster.key, user_id)
    if is_owner:
        state.link(roster.owners, roster.key, user_id)
    else:
        state.unlink(roster.owners, roster.key, user_id)


def _check_not_last(call: Call, roster: Roster, user_id: str) -> None:
    if roster.is_last_owner(call.tenant.state, user_id):
        raise refused("The last owner of a channel cannot be removed.")
