"""Teams: made from a group or outright, their channels and members.

api-reference/v1.0/api/team-*.md, channel-post.md, team-put-teams.md; the limits on names are those of
MicrosoftDocs/OfficeDocs-SkypeForBusiness Teams/limits-specifications-teams.md.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request
from graphkit.sandbox.ids import guid, instant
from graphkit.sandbox.pending import work
from graphkit.sandbox.permissions import CHANNELS, GROUP_WRITE, TEAM
from graphkit.sandbox.query import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema import check, check_writable

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

routes = Routes()

TEAM_KIND = Kind("teams", "team")
CHANNEL_KIND = Kind("channels", "channel")
MEMBER_KIND = Kind("members", "aadUserConversationMember")
OPERATION_KIND = Kind("operations", "teamsAsyncOperation")
TEMPLATES = frozenset(
    {"standard", "educationClass", "educationStaff", "educationProfessionalLearningCommunity", "retailStore",
     "retailManagerCollaboration", "healthcareWard", "healthcareHospital"}
)  # fmt: skip
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
}
MAX_CHANNELS = 1000
MAX_PRIVATE = 30
_BARRED = re.compile(r"[~#%&*{}+/\\:<>?|'\",]|\.\.")
_USER = re.compile(r"/users(?:\('|/)([^/')]+)")
_BOUND_GROUP = re.compile(r"/groups(?:\('|/)([^/')]+)")
_TEMPLATE = re.compile(r"/teamsTemplates(?:\('|/)([^/')]+)")


def _refuse(message: str) -> Refusal:
    return bad_request(message, "BadRequest")


def _missing(what: str) -> Refusal:
    return Refusal(404, "NotFound", f"No {what} found.")


def find(call: Call) -> Json:
    team = call.tenant.state.get("teams", call.params["team"].lower())
    if team is None or not call.tenant.replication.visible(team, call.now, call.replica):
        raise _missing(f"team with Group Id {call.params['team']}")
    return team


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


# -- making teams ------------------------------------------------------------------------------------------------


@routes.put("/groups/{group}/team", GROUP_WRITE, page="team-put-teams")
def team_from_group(call: Call) -> Reply:
    """201 at once, but 404 while the group is young (team-put-teams.md), 409 if the team exists."""
    group = _ready_group(call, call.params["group"].lower())
    settings = _read_settings(call, call.body if isinstance(call.body, dict) else {})
    team = _new_team(call.tenant, group, call.now, settings)
    call.tenant.replication.created(call.now)
    return entity(call, TEAM_KIND, shown(call, team), status=201)


def _ready_group(call: Call, group_id: str) -> Json:
    tenant = call.tenant
    group = tenant.state.get("groups", group_id)
    if group is None or call.now - group.get("_created", 0.0) < tenant.team_window_s:
        raise Refusal(404, "NotFound", f"Failed to execute Templates backend request. Group '{group_id}' not found.")
    if "Unified" not in group["groupTypes"] or group.get("securityEnabled"):
        raise _refuse("A team needs a Microsoft 365 group that is not security-enabled.")
    if not any(tenant.state.get("users", owner) for owner in tenant.state.linked("owners", group_id)):
        raise _refuse("Group must have at least one owner to be converted to a team.")
    if tenant.state.get("teams", group_id):
        raise Refusal(409, "Conflict", f"Team already exists for group '{group_id}'.")
    return group


def _read_settings(call: Call, body: Json) -> Json:
    body = {name: value for name, value in body.items() if name not in ("channels", "members", "template@odata.bind")}
    check_writable(body, check(body, "team", call.version, code="BadRequest"), code="BadRequest")
    return body


def _new_team(tenant: SimulatedTenant, group: Json, now: float, given: Json) -> Json:
    team: Json = {
        "id": group["id"],
        "createdDateTime": instant(now),
        "internalId": f"19:{guid(group['id'], 'general')[:8]}@thread.tacv2",
        "classification": None,
        "specialization": given.get("specialization") or "none",
        "webUrl": f"https://teams.example/l/team/{group['id']}",
        "isArchived": False,
        "tenantId": tenant.tenant_id,
        "_created": now,
    }
    for name, defaults in SETTINGS.items():
        team[name] = {**defaults, **(given.get(name) or {})}
    tenant.state.put("teams", team)
    provisioned = [*(group.get("resourceProvisioningOptions") or []), "Team"]
    tenant.state.put("groups", {**group, "resourceProvisioningOptions": provisioned})
    _new_channel(tenant, team, now, {"displayName": "General", "description": group.get("description")})
    return team


@routes.post("/teams", ("Team.Create", *GROUP_WRITE), page="team-post")
def create_team(call: Call) -> Reply:
    """202 with the team's id at once; the team itself comes later (team-post.md)."""
    body = call.json
    check(body, "team", call.version, code="BadRequest")
    template = _TEMPLATE.search(str(body.get("template@odata.bind", "")))
    if template is None or template[1] not in TEMPLATES:
        raise _refuse("Invalid or missing template@odata.bind.")
    bound = _BOUND_GROUP.search(str(body.get("group@odata.bind", "")))
    if bound:
        wrong = {"displayName", "visibility", "specialization", "members"} & set(body)
        if wrong:
            raise _refuse(f"'{min(wrong)}' cannot be given together with group@odata.bind.")
        group = _ready_group(call, bound[1].lower())
    else:
        group = _group_for(call, body)
    return _accept(call, group, body)


def _group_for(call: Call, body: Json) -> Json:
    if not body.get("displayName"):
        raise _refuse("A team needs a displayName.")
    owners = [user for user, roles in _read_members(call, body.get("members") or []) if "owner" in roles]
    if not owners:
        raise _refuse("A team owner must be provided when creating a team in application context.")
    group_id = call.tenant.new_id()
    visibility = str(body.get("visibility") or "public")
    nickname = re.sub(r"[^A-Za-z0-9]", "", body["displayName"]) or "team"
    group = {
        "id": group_id,
        "displayName": body["displayName"],
        "description": body.get("description"),
        "groupTypes": ["Unified"],
        "mailEnabled": True,
        "mailNickname": f"{nickname}{group_id[:6]}",
        "mail": f"{nickname}{group_id[:6]}@{call.tenant.seed.domain}",
        "securityEnabled": False,
        "visibility": visibility[0].upper() + visibility[1:],
        "resourceProvisioningOptions": [],
        "createdDateTime": instant(call.now),
        "_created": call.now,
    }
    call.tenant.state.put("groups", group)
    for user, roles in _read_members(call, body["members"]):
        for relation in ("owners", "members") if "owner" in roles else ("members",):
            call.tenant.state.link(relation, group_id, user)
    call.tenant.replication.created(call.now)
    return group


def _accept(call: Call, group: Json, body: Json) -> Reply:
    operation = {
        "id": call.tenant.new_id(),
        "operationType": "createTeam",
        "createdDateTime": instant(call.now),
        "status": "inProgress",
        "lastActionDateTime": instant(call.now),
        "attemptsCount": 1,
        "targetResourceId": group["id"],
        "targetResourceLocation": f"/teams('{group['id']}')",
        "error": None,
        "_team": group["id"],
    }
    call.tenant.state.put("operations", operation)
    channels = [channel.get("displayName") for channel in body.get("channels") or []]
    settings = {name: body[name] for name in SETTINGS if name in body}
    call.tenant.later(call.now + call.tenant.team_s, "create-team", group["id"], operation["id"], settings, channels)
    where = f"/teams('{group['id']}')"
    return Reply(202, None, {"Location": f"{where}/operations('{operation['id']}')", "Content-Location": where})


@work("create-team")
def provision(tenant: SimulatedTenant, now: float, arguments: Any) -> None:
    group_id, operation_id, settings, channels = arguments
    group = tenant.state.get("groups", group_id)
    operation = tenant.state.get("operations", operation_id) or {"id": operation_id}
    if group is None or tenant.state.get("teams", group_id):
        failure = {"code": "NotFound" if group is None else "Conflict", "message": "The team could not be created."}
        tenant.state.put("operations", {**operation, "status": "failed", "error": failure})
        return
    team = _new_team(tenant, group, now, settings)
    for name in channels:
        if name and name != "General":
            _new_channel(tenant, team, now, {"displayName": name})
    tenant.state.put("operations", {**operation, "status": "succeeded", "lastActionDateTime": instant(now)})


@routes.get("/teams/{team}/operations/{operation}", TEAM, page="teamsasyncoperation-get")
def get_operation(call: Call) -> Reply:
    operation = call.tenant.state.get("operations", call.params["operation"])
    if operation is None or operation["_team"] != call.params["team"].lower():
        raise _missing("operation")
    return entity(call, OPERATION_KIND, operation)


# -- teams -------------------------------------------------------------------------------------------------------


@routes.get("/teams/{team}", TEAM, page="team-get")
def get_team(call: Call) -> Reply:
    return entity(call, TEAM_KIND, shown(call, find(call)))


@routes.get("/groups/{group}/team", TEAM, page="team-get")
def get_team_of_group(call: Call) -> Reply:
    call.params["team"] = call.params["group"]
    return entity(call, TEAM_KIND, shown(call, find(call)))


@routes.patch("/teams/{team}", ("TeamSettings.ReadWrite.All", *GROUP_WRITE), page="team-update")
def update_team(call: Call) -> Reply:
    team = find(call)
    body = _read_settings(call, call.json)
    of_group: Json = {name: body.pop(name) for name in ("displayName", "description", "visibility") if name in body}
    changed = dict(team)
    for name, value in body.items():
        changed[name] = {**team[name], **value} if name in SETTINGS and isinstance(value, dict) else value
    call.tenant.state.put("teams", changed)
    if of_group:
        if of_group.get("visibility"):
            of_group["visibility"] = of_group["visibility"][0].upper() + of_group["visibility"][1:]
        group = call.tenant.state.table("groups").objects[team["id"]]
        call.tenant.state.put("groups", {**group, **of_group})
    return Reply(204)


# -- channels ----------------------------------------------------------------------------------------------------


def _channels(tenant: SimulatedTenant, team_id: str) -> list[Json]:
    found = tenant.state.table("channels").objects
    return [found[key] for key in tenant.state.linked("channels", team_id)]


def _new_channel(tenant: SimulatedTenant, team: Json, now: float, given: Json) -> Json:
    number = guid(team["id"], given["displayName"], str(now)).replace("-", "")
    channel = {
        "id": f"19:{number}@thread.tacv2",
        "createdDateTime": instant(now),
        "description": None,
        "email": "",
        "isArchived": False,
        "isFavoriteByDefault": None,
        "membershipType": "standard",
        "tenantId": tenant.tenant_id,
        "webUrl": f"https://teams.example/l/channel/{number}",
        **{name: value for name, value in given.items() if "@" not in name and name != "members"},
        "_created": now,
    }
    tenant.state.put("channels", channel)
    tenant.state.link("channels", team["id"], channel["id"])
    return channel


@routes.get("/teams/{team}/channels", CHANNELS, page="channel-list")
def list_channels(call: Call) -> Reply:
    team = find(call)
    return listing(call, CHANNEL_KIND, list(_channels(call.tenant, team["id"])))


@routes.get("/teams/{team}/primaryChannel", CHANNELS, page="team-get-primarychannel")
def get_primary_channel(call: Call) -> Reply:
    return entity(call, CHANNEL_KIND, _channels(call.tenant, find(call)["id"])[0])


@routes.get("/teams/{team}/channels/{channel}", CHANNELS, page="channel-get")
def get_channel(call: Call) -> Reply:
    return entity(call, CHANNEL_KIND, _channel(call))


def _channel(call: Call) -> Json:
    team, key = find(call), call.params["channel"]
    found = call.tenant.state.get("channels", key)
    if found is None or key not in call.tenant.state.linked("channels", team["id"]):
        raise _missing("channel")
    return found


@routes.post("/teams/{team}/channels", ("Channel.Create", *GROUP_WRITE), page="channel-post")
def create_channel(call: Call) -> Reply:
    team = find(call)
    body = call.json
    check_writable(body, check(body, "channel", call.version, code="BadRequest"), code="BadRequest")
    name = body.get("displayName")
    _check_channel_name(name)
    present = _channels(call.tenant, team["id"])
    if any(channel["displayName"].lower() == str(name).lower() for channel in present):
        raise Refusal(400, "BadRequest", "Channel name already existed, please use other name.")
    private = [channel for channel in present if channel["membershipType"] == "private"]
    if len(present) >= MAX_CHANNELS or (body.get("membershipType") == "private" and len(private) >= MAX_PRIVATE):
        raise Refusal(403, "Forbidden", "The team has reached its limit of channels.")
    if body.get("membershipType") == "private" and not body.get("members"):
        raise _refuse("A private channel needs an owner among its members.")
    _read_members(call, body.get("members") or [])
    channel = _new_channel(call.tenant, team, call.now, body)
    return entity(call, CHANNEL_KIND, channel, status=201)


def _check_channel_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip() or len(name) > 50:
        raise _refuse("Channel display name is missing or longer than 50 characters.")
    if _BARRED.search(name) or name[0] in "_." or name[-1] == ".":
        raise _refuse(f"Channel name '{name}' holds characters that are not allowed.")


@routes.patch("/teams/{team}/channels/{channel}", ("ChannelSettings.ReadWrite.All", *GROUP_WRITE), page="channel-patch")
def update_channel(call: Call) -> Reply:
    channel = _channel(call)
    body = call.json
    check_writable(body, check(body, "channel", call.version, code="BadRequest"), code="BadRequest")
    if "membershipType" in body:
        raise _refuse("The membershipType of a channel cannot be changed.")
    if "displayName" in body:
        if channel["displayName"] == "General":
            raise _refuse("The General channel cannot be renamed.")
        _check_channel_name(body["displayName"])
    call.tenant.state.put("channels", {**channel, **{n: v for n, v in body.items() if "@" not in n}})
    return Reply(204)


@routes.delete("/teams/{team}/channels/{channel}", ("Channel.Delete.All", *GROUP_WRITE), page="channel-delete")
def delete_channel(call: Call) -> Reply:
    channel = _channel(call)
    if channel["displayName"] == "General":
        raise _refuse("The General channel cannot be deleted.")
    call.tenant.state.unlink("channels", call.params["team"].lower(), channel["id"])
    call.tenant.state.delete("channels", channel["id"])
    return Reply(204)


# -- members -----------------------------------------------------------------------------------------------------


def _membership_id(team_id: str, user_id: str) -> str:
    """Opaque, and not the user's id."""
    return base64.b64encode(f"MCMjMS{team_id}##{user_id}".encode()).decode()


def _members(call: Call, team_id: str) -> Iterator[Json]:
    state = call.tenant.state
    owners = state.linked("owners", team_id)
    for key in {**owners, **state.linked("members", team_id)}:
        user = state.get("users", key)
        if user is not None:
            yield {
                "@odata.type": "#microsoft.graph.aadUserConversationMember",
                "id": _membership_id(team_id, key),
                "roles": ["owner"] if key in owners else [],
                "displayName": user.get("displayName"),
                "userId": key,
                "email": user.get("mail"),
                "tenantId": call.tenant.tenant_id,
                "visibleHistoryStartDateTime": "0001-01-01T00:00:00Z",
            }


def _read_members(call: Call, entries: list[Json]) -> list[tuple[str, list[str]]]:
    """``(user id, roles)`` of each; refused for a user that is not there."""
    found = []
    for entry in entries:
        named = _USER.search(str(entry.get("user@odata.bind", "")))
        user = call.tenant.state.get("users", named[1].lower()) if named else None
        if user is None and named:
            user = next(iter(call.tenant.state.table("users").find("userPrincipalName", named[1])), None)
        if user is None:
            raise Refusal(404, "NotFound", f"User of '{entry.get('user@odata.bind')}' was not found.")
        roles = entry.get("roles") or []
        if set(roles) - {"owner", "guest"}:
            raise _refuse("Invalid role specified for member.")
        found.append((user["id"], roles))
    return found


@routes.get("/teams/{team}/members", ("TeamMember.Read.All", "TeamMember.ReadWrite.All"), page="team-list-members")
def list_members(call: Call) -> Reply:
    return listing(call, MEMBER_KIND, list(_members(call, find(call)["id"])))


@routes.post(
    "/teams/{team}/members",
    ("TeamMember.ReadWriteNonOwnerRole.All", "TeamMember.ReadWrite.All"),
    page="team-post-members",
)
def add_member(call: Call) -> Reply:
    team = find(call)
    check(call.json, "conversationMember", call.version, code="BadRequest")
    user, roles = _read_members(call, [call.json])[0]
    call.tenant.state.link("members", team["id"], user)
    if "owner" in roles:
        call.tenant.state.link("owners", team["id"], user)
    added = next(member for member in _members(call, team["id"]) if member["userId"] == user)
    return entity(call, MEMBER_KIND, added, status=201)


@routes.delete(
    "/teams/{team}/members/{membership}",
    ("TeamMember.ReadWriteNonOwnerRole.All", "TeamMember.ReadWrite.All"),
    page="team-delete-members",
)
def remove_member(call: Call) -> Reply:
    """Takes the membership id; a user id is not found."""
    team = find(call)
    found = next((m for m in _members(call, team["id"]) if m["id"] == call.params["membership"]), None)
    if found is None:
        raise _missing("member")
    owners = call.tenant.state.linked("owners", team["id"])
    if "owner" in found["roles"] and len(owners) == 1:
        raise _refuse("The last owner of a team cannot be removed.")
    for relation in ("members", "owners"):
        call.tenant.state.unlink(relation, team["id"], found["userId"])
    return Reply(204)
