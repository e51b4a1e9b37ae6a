"""Channels of a team: standard, private and shared.

api-reference/v1.0/api/channel-*.md; names and numbers are those of MicrosoftDocs/OfficeDocs-SkypeForBusiness
Teams/limits-specifications-teams.md. That the name of a deleted channel stays taken while it can be restored is what
people report; where no words are documented, they are assumptions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.areas.roster import Person, Roster, members_of, of_channel, of_team, read_people
from graphkit.sandbox.areas.team_base import (
    check_active,
    find_team,
    forbidden,
    missing,
    plain,
    read_body,
    refuse_migration,
    refused,
)
from graphkit.sandbox.areas.team_operations import begin, sees_all_members, succeed
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.ids import guid, instant
from graphkit.sandbox.memory.pending import work
from graphkit.sandbox.permissions import CHANNELS, GROUP_WRITE, Need
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import check_changeable, check_writable, type_of

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

routes = Routes()

BASIC: Need = ("Channel.ReadBasic.All", "ChannelSettings.Read.All", "ChannelSettings.ReadWrite.All")

MAX_CHANNELS = 1000
MAX_PRIVATE = 30
MAX_PEOPLE = {"private": 250, "shared": 5000}
MAX_AT_CREATION = 200
MAX_NAME = 50
KEPT_S = 30 * 86_400.0
_BARRED = re.compile(r"[~#%&*{}+/\\:<>?|'\",\x00-\x1f\x80-\x9f]|\.\.")
_RESERVED = re.compile(r"forms|con|conin\$|conout\$|prn|aux|nul|com[1-9]|lpt[1-9]|desktop\.ini|.*_vti_.*", re.I)


# -- showing -----------------------------------------------------------------------------------------------------


def _membership_type(call: Call, channel: Json) -> str:
    """``shared`` is one of those values that only those see who ask for them (resources/channel.md)."""
    kind = str(channel["membershipType"])
    return "unknownFutureValue" if kind == "shared" and not sees_all_members(call) else kind


def _summary(call: Call, channel: Json) -> Json:
    roster = roster_of(channel)
    people, owners = roster.people(call.tenant.state), roster.owner_ids(call.tenant.state)
    return {"ownersCount": len(owners), "membersCount": len(people) - len(owners), "guestsCount": 0,
            "hasMembersFromOtherTenants": False}  # fmt: skip


def _members(call: Call, channel: Json) -> Any:
    return members_of(call, roster_of(channel))


CHANNEL_KIND = Kind("channels", "channel", derived={"summary": _summary}, expands={"members": _members})


def view(call: Call, channel: Json) -> Json:
    """If a team is archived, so are its channels (api/channel-archive.md)."""
    team = call.tenant.state.table("teams").objects[channel["_team"]]
    archived = team["isArchived"] or channel["isArchived"]
    return {**channel, "membershipType": _membership_type(call, channel), "isArchived": archived}


def views(call: Call, team_id: str) -> list[Json]:
    return [view(call, channel) for channel in channels_of(call.tenant, team_id)]


def expanded(call: Call, team: Json) -> list[Json]:
    return [plain(channel) for channel in views(call, team["id"])]


def channels_of(tenant: SimulatedTenant, team_id: str) -> list[Json]:
    found = tenant.state.table("channels").objects
    return [found[key] for key in tenant.state.linked("channels", team_id)]


def primary_of(tenant: SimulatedTenant, team_id: str) -> Json:
    return next(channel for channel in channels_of(tenant, team_id) if channel["_primary"])


def roster_of(channel: Json) -> Roster:
    """A standard channel's people are its team's."""
    if channel["membershipType"] == "standard":
        return of_team(channel["_team"])
    return of_channel(channel["_team"], channel["id"])


def find_channel(call: Call) -> Json:
    team, key = find_team(call), call.params["channel"]
    found = call.tenant.state.get("channels", key)
    if found is None or key not in call.tenant.state.linked("channels", team["id"]):
        raise missing("channel")
    return found


@routes.get("/teams/{team}/channels", CHANNELS, page="channel-list")
def list_channels(call: Call) -> Reply:
    return listing(call, CHANNEL_KIND, list(views(call, find_team(call)["id"])))


@routes.get("/teams/{team}/allChannels", BASIC, page="team-list-allchannels")
def list_all_channels(call: Call) -> Reply:
    """Those of the team and those shared with it, each with its address. None is ever shared with another team here."""
    team_id = find_team(call)["id"]
    reply = listing(call, CHANNEL_KIND, list(views(call, team_id)))
    where = f"{call.root}/tenants/{call.tenant.tenant_id}/teams/{team_id}/channels/"
    reply.body["value"] = [{"@odata.id": f"{where}{each.get('id', '')}", **each} for each in reply.body["value"]]
    return reply


@routes.get("/teams/{team}/incomingChannels", BASIC, page="team-list-incomingchannels")
def list_incoming_channels(call: Call) -> Reply:
    find_team(call)
    return listing(call, CHANNEL_KIND, [])


@routes.get("/teams/{team}/primaryChannel", BASIC, page="team-get-primarychannel")
def get_primary_channel(call: Call) -> Reply:
    return entity(call, CHANNEL_KIND, view(call, primary_of(call.tenant, find_team(call)["id"])))


@routes.get("/teams/{team}/channels/{channel}", CHANNELS, page="channel-get")
def get_channel(call: Call) -> Reply:
    return entity(call, CHANNEL_KIND, view(call, find_channel(call)))


# -- creating ----------------------------------------------------------------------------------------------------


@routes.post("/teams/{team}/channels", ("Channel.Create", *GROUP_WRITE), page="channel-post")
def create_channel(call: Call) -> Reply:
    """201, but a shared channel is 202 and comes later."""
    team = find_team(call)
    check_active(team)
    body = read_channel(call, call.json)
    kind = body.get("membershipType") or "standard"
    _check_room(call.tenant, team["id"], kind, call.now)
    check_name_free(call.tenant, team["id"], body["displayName"], call.now)
    people = _read_roster(call, team["id"], kind, body)
    if kind == "shared":
        arguments = (team["id"], body, [[person.id, person.is_owner] for person in people])
        where = begin(call, team["id"], "createChannel", "create-channel", *arguments)
        return Reply(202, None, {"Content-Location": where})
    channel = new_channel(call.tenant, team["id"], call.now, body)
    _enrol_all(call.tenant, channel, [(person.id, person.is_owner) for person in people])
    return entity(call, CHANNEL_KIND, view(call, channel), status=201)


def read_channel(call: Call, given: Any) -> Json:
    """A channel as a body describes it, alone or within a new team."""
    body = read_body(call, given, "channel")
    refuse_migration(body)
    check_writable(body, type_of(body, "channel", call.version), code="BadRequest")
    check_channel_name(body.get("displayName"))
    if len(body.get("description") or "") > 1024:
        raise refused("Channel description is longer than 1024 characters.")
    if body.get("membershipType") == "unknownFutureValue":
        raise refused("Invalid membershipType.")
    return body


def check_channel_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME:
        raise refused(f"Channel display name is missing or longer than {MAX_NAME} characters.")
    if _BARRED.search(name) or _RESERVED.fullmatch(name) or name[0] in "_." or name[-1] == ".":
        raise refused(f"Channel name '{name}' holds characters or words that are not allowed.")


def _remembered(tenant: SimulatedTenant, team_id: str, now: float) -> list[Json]:
    """Channels there are and those deleted within 30 days, which still count."""
    deleted = tenant.state.table("deletedChannels").objects
    gone = [deleted[key] for key in tenant.state.linked("deletedChannels", team_id)]
    return channels_of(tenant, team_id) + [channel for channel in gone if now - channel["_deleted"] < KEPT_S]


def _check_room(tenant: SimulatedTenant, team_id: str, kind: str, now: float) -> None:
    counted = [channel["membershipType"] for channel in _remembered(tenant, team_id, now)]
    if len(counted) >= MAX_CHANNELS or (kind == "private" and counted.count("private") >= MAX_PRIVATE):
        raise forbidden("This team has exceeded the Max allowed channels")  # microsoft-graph-docs#7288


def check_name_free(tenant: SimulatedTenant, team_id: str, name: str, now: float, own: str = "") -> None:
    taken = (c for c in _remembered(tenant, team_id, now) if c["displayName"].lower() == name.lower())
    if any(channel["id"] != own for channel in taken):
        raise refused("Channel name already existed, please use other name.")


def _read_roster(call: Call, team_id: str, kind: str, body: Json) -> list[Person]:
    """Whom a private or shared channel begins with. An app is nobody, so it must name an owner."""
    if kind == "standard":
        return []
    people = read_people(call, body.get("members") or [])
    owners = [person for person in people if person.is_owner]
    if not owners:
        raise refused(f"A {kind} channel needs an owner among its members.")
    if kind == "shared" and len(owners) > 1:
        raise refused("A shared channel can be created with one owner only.")
    if len(people) > MAX_AT_CREATION:
        raise refused(f"At most {MAX_AT_CREATION} members can be added when a channel is created.")
    if len({person.id for person in people}) < len(people):  # microsoft-graph-docs-contrib#8676
        raise refused("Creating private channel thread in chat service failed with error: Failed to execute Skype "
                      "backend request CreateThreadS2SRequest.")  # fmt: skip
    for person in people:
        check_in_team(call, team_id, kind, person)
    return people


def check_in_team(call: Call, team_id: str, kind: str, person: Person) -> None:
    """A private channel is for people of its team (microsoft-graph-docs#18669); the status is an assumption."""
    if kind == "private" and person.id not in of_team(team_id).people(call.tenant.state):
        raise refused("User is not found in the team.", status=404, code="NotFound")


def new_channel(tenant: SimulatedTenant, team_id: str, now: float, given: Json, *, primary: bool = False) -> Json:
    number = guid(team_id, given["displayName"], str(now)).replace("-", "")
    channel = {
        "id": f"19:{number}@thread.tacv2",
        "createdDateTime": instant(now),
        "description": None,
        "email": "",
        "isFavoriteByDefault": None,
        "membershipType": "standard",
        "tenantId": tenant.tenant_id,
        "webUrl": f"https://teams.example/l/channel/{number}?groupId={team_id}&tenantId={tenant.tenant_id}",
        **{name: value for name, value in given.items() if "@" not in name and name not in ("members", "tabs")},
        "isArchived": False,
        "_created": now,
        "_team": team_id,
        "_primary": primary,
    }
    tenant.state.put("channels", channel)
    tenant.state.link("channels", team_id, channel["id"])
    return channel


def _enrol_all(tenant: SimulatedTenant, channel: Json, people: Any) -> None:
    for user_id, is_owner in people:
        for relation in ("channelMembers", "channelOwners") if is_owner else ("channelMembers",):
            tenant.state.link(relation, channel["id"], user_id)


@work("create-channel")
def create_later(tenant: SimulatedTenant, now: float, arguments: Any) -> None:
    operation_id, team_id, body, people = arguments
    channel = new_channel(tenant, team_id, now, body)
    _enrol_all(tenant, channel, people)
    where = f"/teams('{team_id}')/channels('{channel['id']}')"
    succeed(tenant, operation_id, now, targetResourceId=channel["id"], targetResourceLocation=where)


# -- changing, deleting ------------------------------------------------------------------------------------------


@routes.patch("/teams/{team}/channels/{channel}", ("ChannelSettings.ReadWrite.All", *GROUP_WRITE), page="channel-patch")
def update_channel(call: Call) -> Reply:
    channel = find_channel(call)
    check_active(find_team(call))
    if channel["isArchived"]:
        raise refused(f"Channel has to be active to be changed: {channel['id']}")
    body = read_body(call, call.json, "channel")
    check_changeable(body, type_of(body, "channel", call.version), code="BadRequest")
    if "displayName" in body:
        if channel["_primary"]:
            raise refused("The General channel cannot be renamed.")
        check_channel_name(body["displayName"])
        check_name_free(call.tenant, channel["_team"], body["displayName"], call.now, channel["id"])
    call.tenant.state.put("channels", {**channel, **{n: v for n, v in body.items() if "@" not in n}})
    return Reply(204)


@routes.delete("/teams/{team}/channels/{channel}", ("Channel.Delete.All", *GROUP_WRITE), page="channel-delete")
def delete_channel(call: Call) -> Reply:
    """An archived channel can be deleted, a channel of an archived team cannot."""
    channel = find_channel(call)
    check_active(find_team(call))
    if channel["_primary"]:
        raise refused("The General channel cannot be deleted.")
    state = call.tenant.state
    state.unlink("channels", channel["_team"], channel["id"])
    state.delete("channels", channel["id"])
    state.put("deletedChannels", {**channel, "_deleted": call.now})
    state.link("deletedChannels", channel["_team"], channel["id"])
    return Reply(204)
