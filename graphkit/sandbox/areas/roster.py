"""The people of a team or a channel, as conversation members (resources/aaduserconversationmember.md)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from graphkit.sandbox.areas.team_base import missing, read_body, refused
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.memory.state import State
from graphkit.sandbox.query.listing import Kind, entity, listing

_USER = re.compile(r"/users(?:\('|/)([^/')]+)")
_TYPE = "#microsoft.graph.aadUserConversationMember"


class Roster(NamedTuple):
    """Whose people: the id of a team or channel, and the names of the links that lead to them."""

    key: str
    members: str
    owners: str
    context: str

    def people(self, state: State) -> dict[str, None]:
        return {**state.linked(self.owners, self.key), **state.linked(self.members, self.key)}

    def holds(self, state: State, user_id: str) -> bool:
        return user_id in state.linked(self.members, self.key) or user_id in state.linked(self.owners, self.key)

    def owner_ids(self, state: State) -> dict[str, None]:
        return state.linked(self.owners, self.key)

    def is_last_owner(self, state: State, user_id: str) -> bool:
        return list(self.owner_ids(state)) == [user_id]


def of_team(team_id: str) -> Roster:
    return Roster(team_id, "teamMembers", "teamOwners", f"teams('{team_id}')/members")


def of_channel(team_id: str, channel_id: str) -> Roster:
    context = f"teams('{team_id}')/channels('{channel_id}')/members"
    return Roster(channel_id, "channelMembers", "channelOwners", context)


# -- showing -----------------------------------------------------------------------------------------------------


def _kind(roster: Roster) -> Kind:
    return Kind(roster.context, "aadUserConversationMember")


def membership_id(roster: Roster, user_id: str) -> str:
    """Opaque, and not the user's id."""
    return base64.b64encode(f"{roster.key}##{user_id}".encode()).decode()


def _user_of(roster: Roster, membership: str) -> str:
    try:
        key, _, user_id = base64.b64decode(membership, validate=True).decode().partition("##")
    except (ValueError, binascii.Error):
        return ""
    return user_id if key == roster.key else ""


def member_of(call: Call, roster: Roster, user_id: str) -> Json | None:
    """One person on the roster; ``None`` if they are not, or are no more."""
    state = call.tenant.state
    owner = user_id in roster.owner_ids(state)
    user = state.get("users", user_id) if roster.holds(state, user_id) else None
    if user is None:
        return None
    return {
        "@odata.type": _TYPE,
        "id": membership_id(roster, user_id),
        "roles": ["owner"] if owner else ["guest"] if user.get("userType") == "Guest" else [],
        "displayName": user.get("displayName"),
        "userId": user_id,
        "email": user.get("mail"),
        "tenantId": call.tenant.tenant_id,
        "visibleHistoryStartDateTime": "0001-01-01T00:00:00Z",
    }


class _People(Sequence[Json | None]):
    """All on a roster, each made when looked at: a page of a team of 25,000 is made of a hundred."""

    def __init__(self, call: Call, roster: Roster) -> None:
        self._call = call
        self._roster = roster
        self._ids = list(roster.people(call.tenant.state))

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, position: Any) -> Any:
        return member_of(self._call, self._roster, self._ids[position])


def members_of(call: Call, roster: Roster) -> list[Json]:
    return [member for member in _People(call, roster) if member is not None]


def list_roster(call: Call, roster: Roster) -> Reply:
    """The examples show ``@odata.count`` unasked (api/team-list-members.md, channel-list-members.md)."""
    reply = listing(call, _kind(roster), _People(call, roster))
    reply.body.setdefault("@odata.count", len(reply.body["value"]))
    return reply


def show_member(call: Call, roster: Roster, user_id: str, status: int = 200) -> Reply:
    member = member_of(call, roster, user_id)
    if member is None:
        raise missing("member")
    return entity(call, _kind(roster), member, status=status)


def named_member(call: Call, roster: Roster) -> str:
    """The user of the membership id in the path. A user's id names nobody here."""
    user_id = _user_of(roster, call.params["membership"])
    if member_of(call, roster, user_id) is None:
        raise missing("member")
    return user_id


# -- people in bodies --------------------------------------------------------------------------------------------


class Person(NamedTuple):
    user: Json
    is_owner: bool

    @property
    def id(self) -> str:
        return str(self.user["id"])


def bound_user(entry: Json) -> str:
    """Whom an entry names: an id or a user principal name, empty if nobody."""
    named = _USER.search(str(entry.get("user@odata.bind", "")))
    return named[1] if named else ""


def read_person(call: Call, entry: Any) -> Person:
    """Refused for a body that is none (400), or a user that is not there (404)."""
    body = read_body(call, entry, "conversationMember")
    if "@odata.type" not in body:  # microsoftgraph/microsoft-graph-docs#15789
        raise refused("'odata.type' must be specified in the request body for each member.")
    is_owner = wants_owner(body)
    key = bound_user(body)
    user = call.tenant.state.get("users", key.lower()) if key else None
    if user is None and "@" in key:
        user = next(iter(call.tenant.state.table("users").find("userPrincipalName", key)), None)
    if user is None:
        raise missing(f"user for '{body.get('user@odata.bind', '')}'")
    if is_owner and user.get("userType") == "Guest":  # api/team-update-members.md
        raise refused("A guest cannot be given the role of owner.")
    return Person(user, is_owner)


def wants_owner(body: Json) -> bool:
    """ "Must be owner or empty" (api/team-update-members.md)."""
    roles = body.get("roles") or []
    if set(roles) - {"owner", "guest"} or len(roles) > 1:
        raise refused("Invalid role specified for member.")
    return "owner" in roles


def read_people(call: Call, entries: Any) -> list[Person]:
    if not isinstance(entries, list):
        raise refused("members must be a collection of microsoft.graph.conversationMember.")
    return [read_person(call, entry) for entry in entries]
