"""The members of a team, one by one and in bulk. What is written here is in the group at once; what is written to the
group comes here later (:mod:`team_sync`).

api-reference/v1.0/api/team-*-members.md, conversationmembers-add.md, conversationmember-remove.md; the limits are those
of MicrosoftDocs/OfficeDocs-SkypeForBusiness Teams/limits-specifications-teams.md. Adding somebody twice is no error
(microsoftgraph/microsoft-graph-docs#9303); that it leaves an owner an owner is an assumption, as are the words of the
refusals.
"""

from __future__ import annotations

from collections.abc import Callable

from graphkit.sandbox.areas import licensing
from graphkit.sandbox.areas.roster import (
    Person,
    bound_user,
    list_roster,
    named_member,
    of_team,
    read_person,
    show_member,
    wants_owner,
)
from graphkit.sandbox.areas.team_base import find_team, forbidden, missing, read_body, refused
from graphkit.sandbox.call import Call, Json, Refusal, Reply
from graphkit.sandbox.memory.state import State
from graphkit.sandbox.permissions import Need
from graphkit.sandbox.router import Routes

routes = Routes()

MAX_MEMBERS = 25_000
MAX_OWNERS = 100
MAX_TEAMS = 1000
MAX_ADDED = 200
MAX_REMOVED = 20

READ: Need = ("TeamMember.Read.All", "TeamMember.ReadWrite.All")
WRITE: Need = ("TeamMember.ReadWriteNonOwnerRole.All", "TeamMember.ReadWrite.All")


@routes.get("/teams/{team}/members", READ, page="team-list-members")
def list_members(call: Call) -> Reply:
    return list_roster(call, of_team(find_team(call)["id"]))


@routes.get("/teams/{team}/members/{membership}", READ, page="team-get-members")
def get_member(call: Call) -> Reply:
    roster = of_team(find_team(call)["id"])
    return show_member(call, roster, named_member(call, roster))


@routes.post("/teams/{team}/members", WRITE, page="team-post-members")
def add_member(call: Call) -> Reply:
    team_id = _open_team(call)
    person = read_person(call, call.json)
    _check_addable(call, team_id, person)
    enrol(call, team_id, person)
    return show_member(call, of_team(team_id), person.id, status=201)


@routes.patch("/teams/{team}/members/{membership}", WRITE, page="team-update-members")
def update_member(call: Call) -> Reply:
    """Only the role can be changed."""
    team_id = _open_team(call)
    roster, state = of_team(team_id), call.tenant.state
    user_id = named_member(call, roster)
    is_owner = wants_owner(read_body(call, call.json, "conversationMember"))
    if is_owner != (user_id in roster.owner_ids(state)):
        _check_owner_rights(call)
        person = Person(state.table("users").objects[user_id], is_owner)
        if is_owner:
            _check_addable(call, team_id, person)
            enrol(call, team_id, person)
        else:
            _check_not_last(call, team_id, user_id)
            for relation, source in (("teamOwners", team_id), ("owners", team_id)):
                state.unlink(relation, source, user_id)
            enrol(call, team_id, person)
    return show_member(call, roster, user_id)


@routes.delete("/teams/{team}/members/{membership}", WRITE, page="team-delete-members")
def remove_member(call: Call) -> Reply:
    """Takes the membership id; a user id is not found."""
    team_id = _open_team(call)
    _remove(call, team_id, named_member(call, of_team(team_id)))
    return Reply(204)


# -- in bulk -----------------------------------------------------------------------------------------------------


@routes.post("/teams/{team}/members/add", WRITE, page="conversationmembers-add")
def add_members(call: Call) -> Reply:
    """200 if all were added, else 207; each part says what became of it."""
    team_id = _open_team(call)

    def add(entry: Json) -> str:
        person = read_person(call, entry)
        _check_addable(call, team_id, person)
        enrol(call, team_id, person)
        return person.id

    results = [_part(entry, add) for entry in _values(call, MAX_ADDED)]
    return _parts(call, results, 207 if any(part["error"] for part in results) else 200)


@routes.post("/teams/{team}/members/remove", ("TeamMember.ReadWrite.All",), page="conversationmember-remove")
def remove_members(call: Call) -> Reply:
    """204 if all were removed, else 207."""
    team_id = _open_team(call)
    roster = of_team(team_id)

    def remove(entry: Json) -> str:
        person = read_person(call, entry)
        if not roster.holds(call.tenant.state, person.id):
            raise missing("member")
        _remove(call, team_id, person.id)
        return person.id

    results = [_part(entry, remove, "Could not find resource") for entry in _values(call, MAX_REMOVED)]
    return _parts(call, results, 207) if any(part["error"] for part in results) else Reply(204)


def _values(call: Call, most: int) -> list[Json]:
    values = call.json.get("values")
    if not isinstance(values, list) or not all(isinstance(entry, dict) for entry in values):
        raise refused("The parameter 'values' must be a collection of microsoft.graph.conversationMember.")
    if not 0 < len(values) <= most:
        raise refused(f"Between 1 and {most} members can be given in one request, not {len(values)}.")
    return values


def _part(entry: Json, act: Callable[[Json], str], not_found: str = "") -> Json:
    """actionResultPart: whom it is about, and the error if there was one."""
    error: Json | None = None
    user_id = bound_user(entry)
    try:
        user_id = act(entry)
    except Refusal as refusal:
        # The documented example has an empty message for who is not found.
        error = {"code": refusal.code, "message": not_found if refusal.status == 404 else refusal.message}
    return {"@odata.type": "#microsoft.graph.aadUserConversationMemberResult", "userId": user_id, "error": error}


def _parts(call: Call, results: list[Json], status: int) -> Reply:
    context = call.context("Collection(microsoft.graph.aadUserConversationMemberResult)")
    return Reply(status, {"@odata.context": context, "value": results})


# -- rules -------------------------------------------------------------------------------------------------------


def _open_team(call: Call) -> str:
    """The team's id, unless its group's members are chosen by a rule (microsoft-graph-docs#12712)."""
    team_id = str(find_team(call)["id"])
    group = call.tenant.state.table("groups").objects[team_id]
    if "DynamicMembership" in group["groupTypes"]:
        raise forbidden("Members of a team with dynamic membership cannot be changed.")
    return team_id


def _check_addable(call: Call, team_id: str, person: Person) -> None:
    state, roster = call.tenant.state, of_team(team_id)
    if person.is_owner:
        _check_owner_rights(call)
        if len(roster.owner_ids(state)) >= MAX_OWNERS and person.id not in roster.owner_ids(state):
            raise forbidden("The team has reached its limit of owners.")
    if roster.holds(state, person.id):
        return
    if len(state.linked("teamMembers", team_id)) >= MAX_MEMBERS:
        raise forbidden("The team has reached its limit of members.")
    if len(state.linked_back("teamMembers", person.id)) >= MAX_TEAMS:
        raise forbidden("The user has reached the limit of teams that one can be a member of.")


def _check_owner_rights(call: Call) -> None:
    """TeamMember.ReadWriteNonOwnerRole.All allows what its name says."""
    if call.permissions is not None and "TeamMember.ReadWrite.All" not in call.permissions:
        raise forbidden("Insufficient privileges to add, change or remove an owner.")


def _check_not_last(call: Call, team_id: str, user_id: str) -> None:
    if of_team(team_id).is_last_owner(call.tenant.state, user_id):
        raise refused("The last owner of a team cannot be removed.")


def enrol(call: Call, team_id: str, person: Person) -> None:
    """Into the team, then into its group, so that nothing is left to be brought over."""
    state = call.tenant.state
    for mine, theirs in (("teamMembers", "members"), *((("teamOwners", "owners"),) if person.is_owner else ())):
        for relation in (mine, theirs):
            if person.id not in state.linked(relation, team_id):
                state.link(relation, team_id, person.id)
    licensing.membership_changed(call.tenant, state.table("groups").objects[team_id], [person.id], call.now)


def _remove(call: Call, team_id: str, user_id: str) -> None:
    state = call.tenant.state
    if user_id in of_team(team_id).owner_ids(state):
        _check_owner_rights(call)
        _check_not_last(call, team_id, user_id)
    drop(state, team_id, user_id)
    for relation in ("members", "owners"):
        state.unlink(relation, team_id, user_id)
    licensing.membership_changed(call.tenant, state.table("groups").objects[team_id], [user_id], call.now)


def drop(state: State, team_id: str, user_id: str) -> None:
    """Out of the team, and of its private channels with it (an assumption: they are made up of its members)."""
    for relation in ("teamMembers", "teamOwners"):
        state.unlink(relation, team_id, user_id)
    for channel_id in state.linked("channels", team_id):
        if state.table("channels").objects[channel_id]["membershipType"] == "private":
            for relation in ("channelMembers", "channelOwners"):
                if user_id in state.linked(relation, channel_id):
                    state.unlink(relation, channel_id, user_id)
