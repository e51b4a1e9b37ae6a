"""Making teams: from a group, outright, by cloning.

api-reference/v1.0/api/team-put-teams.md, team-post.md, team-clone.md. An owner must be allowed to use Teams: without a
licence the service answers 403 GetApplicableSkuCategoriesForUserFailed (microsoftgraph/msgraph-sdk-powershell#2811,
#3035); that one licensed owner is enough, and that it is so for PUT too, are assumptions. ``Seed.teams_for_all`` turns
that off. Nothing recognises a repeated ``POST /teams``: it makes another team.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.areas.channels import channels_of, new_channel, read_channel
from graphkit.sandbox.areas.roster import Person, read_people
from graphkit.sandbox.areas.team_base import find_team, forbidden, read_body, refuse_migration, refused
from graphkit.sandbox.areas.team_operations import accepted, begin, fail, succeed
from graphkit.sandbox.areas.team_sync import copy
from graphkit.sandbox.areas.team_templates import CHANNELS, SPECIALIZATIONS
from graphkit.sandbox.areas.teams import SETTINGS, TEAM_KIND, as_group, merged, shown
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.ids import guid, instant
from graphkit.sandbox.memory.pending import work
from graphkit.sandbox.permissions import GROUP_WRITE
from graphkit.sandbox.query.listing import entity
from graphkit.sandbox.router import Routes
from graphkit.sandbox.rules.license_rules import enabled_plans, states_of
from graphkit.sandbox.schema.check import check_writable, type_of

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

routes = Routes()

MAX_CONVERTED = 10_000
_GROUP = re.compile(r"/groups(?:\('|/)([^/')]+)")
_TEMPLATE = re.compile(r"/teamsTemplates(?:\('|/)([^/')]+)")
_CLONABLE = frozenset({"apps", "tabs", "settings", "channels", "members"})


# -- from a group ------------------------------------------------------------------------------------------------


@routes.put("/groups/{group}/team", GROUP_WRITE, page="team-put-teams")
def team_from_group(call: Call) -> Reply:
    """201 at once, but 404 while the group is young (team-put-teams.md), 409 if the team exists."""
    group = _ready_group(call, call.params["group"].lower())
    body = read_body(call, call.body or {}, "team")
    check_writable(body, type_of(body, "team", call.version), code="BadRequest")
    team = new_team(call.tenant, group, call.now, body)
    call.tenant.replication.created(call.now)
    return entity(call, TEAM_KIND, shown(call, team), status=201)


def _ready_group(call: Call, group_id: str) -> Json:
    tenant = call.tenant
    group = tenant.state.get("groups", group_id)
    if group is None or call.now - group.get("_created", 0.0) < tenant.team_window_s:
        message = f"Failed to execute Templates backend request. Group '{group_id}' not found."
        raise refused(message, status=404, code="NotFound")
    if "Unified" not in group["groupTypes"] or group.get("securityEnabled"):
        raise refused("A team needs a Microsoft 365 group that is not security-enabled.")
    owners = [user for key in tenant.state.linked("owners", group_id) if (user := tenant.state.get("users", key))]
    if not owners:
        raise refused("Group must have at least one owner to be converted to a team.")
    if len(tenant.state.linked("members", group_id)) > MAX_CONVERTED:
        raise refused(f"A group with more than {MAX_CONVERTED} members cannot be converted to a team.")
    if tenant.state.get("teams", group_id):
        raise refused(f"Team already exists for group '{group_id}'.", status=409, code="Conflict")
    _check_licensed(call, owners, "CreateTeamFromGroupWithTemplateRequest")
    return group


def _check_licensed(call: Call, owners: Iterable[Json], request: str) -> None:
    if call.tenant.seed.teams_for_all or any("TEAMS1" in enabled_plans(states_of(owner)) for owner in owners):
        return
    inner = "GetApplicableSkuCategoriesForUserFailed"
    raise forbidden(
        f"Failed to execute Templates backend request {request}. Error when calling Middle Tier. Message: ''. "
        f"Error code: '{inner}'.",
        inner,
    )


def new_team(tenant: SimulatedTenant, group: Json, now: float, given: Json) -> Json:
    """The team of a group, with its people and its first channel."""
    team: Json = {
        "id": group["id"],
        "createdDateTime": instant(now),
        "internalId": f"19:{guid(group['id'], 'general')[:8]}@thread.tacv2",
        "classification": group.get("classification"),
        "specialization": given.get("specialization") or "none",
        "webUrl": f"https://teams.example/l/team/{group['id']}",
        "isArchived": False,
        "tenantId": tenant.tenant_id,
        **SETTINGS,
        "_created": now,
    }
    team = merged(team, {name: given[name] for name in SETTINGS if name in given})
    tenant.state.put("teams", team)
    provisioned = [*(group.get("resourceProvisioningOptions") or []), "Team"]
    tenant.state.put("groups", {**group, "resourceProvisioningOptions": provisioned})
    copy(tenant, team["id"])
    first = {"displayName": given.get("firstChannelName") or "General", "description": group.get("description")}
    new_channel(tenant, team["id"], now, first, primary=True)
    return team


# -- outright ----------------------------------------------------------------------------------------------------


@routes.post("/teams", ("Team.Create", *GROUP_WRITE), page="team-post")
def create_team(call: Call) -> Reply:
    """202 with the team's id at once; the team itself comes later (team-post.md)."""
    body = read_body(call, call.json, "team")
    refuse_migration(body)
    check_writable(body, type_of(body, "team", call.version), code="BadRequest")
    template = _template(body)
    channels = [read_channel(call, channel) for channel in body.get("channels") or []]
    bound = _GROUP.search(str(body.get("group@odata.bind", "")))
    if bound:
        wrong = {"displayName", "visibility", "specialization", "members"} & set(body)
        if wrong:
            raise refused(f"'{min(wrong)}' cannot be given together with group@odata.bind.")
        group = _ready_group(call, bound[1].lower())
    else:
        group = _group_for(call, body, template)
    given = {name: body[name] for name in (*SETTINGS, "firstChannelName") if name in body}
    given["specialization"] = SPECIALIZATIONS.get(template, body.get("specialization"))
    names = [{"displayName": name} for name in CHANNELS[template]]
    arguments = (group["id"], given, names + channels)
    operation = begin(call, group["id"], "createTeam", "create-team", *arguments, target=group["id"])
    return Reply(202, None, {"Location": operation, "Content-Location": f"/teams('{group['id']}')"})


def _template(body: Json) -> str:
    found = _TEMPLATE.search(str(body.get("template@odata.bind", "")))
    if found is None or found[1] not in CHANNELS:
        raise refused("Invalid or missing template@odata.bind.")
    return found[1]


def _group_for(call: Call, body: Json, template: str) -> Json:
    if not body.get("displayName"):
        raise refused("A team needs a displayName.")
    people = read_people(call, body.get("members") or [])
    owners = [person.user for person in people if person.is_owner]
    if not owners:
        raise refused("A team owner must be provided when creating a team in application context.")
    _check_licensed(call, owners, "CreateTeamFromTemplateRequest")
    hidden = template == "educationClass"  # get-started-with-teams-templates.md: cannot be overridden
    visibility = "hiddenMembership" if hidden else body.get("visibility") or "public"
    wanted = {"displayName": body["displayName"], "description": body.get("description"), "visibility": visibility}
    group = _new_group(call.tenant, call.now, wanted)
    _enrol(call.tenant, group["id"], people)
    call.tenant.replication.created(call.now)
    return group


def _new_group(tenant: SimulatedTenant, now: float, wanted: Json) -> Json:
    group_id = tenant.new_id()
    nickname = (re.sub(r"[^A-Za-z0-9]", "", wanted["displayName"]) or "team") + group_id[:6]
    mail = f"{nickname}@{tenant.seed.domain}"
    group = {
        "id": group_id,
        **as_group(wanted),
        "groupTypes": ["Unified"],
        "mailEnabled": True,
        "mailNickname": nickname,
        "mail": mail,
        "proxyAddresses": [f"SMTP:{mail}"],
        "securityEnabled": False,
        "resourceProvisioningOptions": [],
        "createdDateTime": instant(now),
        "renewedDateTime": instant(now),
        "_created": now,
    }
    tenant.state.put("groups", group)
    return group


def _enrol(tenant: SimulatedTenant, group_id: str, people: Iterable[Person]) -> None:
    for person in people:
        for relation in ("owners", "members") if person.is_owner else ("members",):
            tenant.state.link(relation, group_id, person.id)


@work("create-team")
def provision(tenant: SimulatedTenant, now: float, arguments: Any) -> None:
    operation_id, group_id, given, channels = arguments
    group = tenant.state.get("groups", group_id)
    if group is None:
        return fail(tenant, operation_id, now, "NotFound", f"Group '{group_id}' not found.")
    if tenant.state.get("teams", group_id):
        return fail(tenant, operation_id, now, "Conflict", f"Team already exists for group '{group_id}'.")
    new_team(tenant, group, now, given)
    _add_channels(tenant, group_id, channels, now)
    return succeed(tenant, operation_id, now)


def _add_channels(tenant: SimulatedTenant, team_id: str, channels: Iterable[Json], now: float) -> None:
    """Names that are there already, such as General, describe the channel that is."""
    present = {channel["displayName"].lower(): channel for channel in channels_of(tenant, team_id)}
    for wanted in channels:
        known = present.get(wanted["displayName"].lower())
        if known is None:
            made = new_channel(tenant, team_id, now, wanted)
            present[made["displayName"].lower()] = made
        else:
            tenant.state.put("channels", {**known, "description": wanted.get("description", known["description"])})


# -- cloning -----------------------------------------------------------------------------------------------------


@routes.post("/teams/{team}/clone", ("Team.Create", *GROUP_WRITE), page="team-clone")
def clone_team(call: Call) -> Reply:
    """The operation tells the id of the new team when there is one; mailNickname is ignored."""
    team = find_team(call)
    body = call.json
    _check_clone(body)
    parts = [part.strip() for part in body["partsToClone"].split(",")]
    wanted = {
        name: body[name] for name in ("displayName", "description", "classification", "visibility") if name in body
    }
    return accepted(begin(call, team["id"], "cloneTeam", "clone-team", team["id"], parts, wanted))


def _check_clone(body: Json) -> None:
    known = {"classification", "description", "displayName", "mailNickname", "partsToClone", "visibility"}
    unknown = set(body) - known
    if unknown:
        raise refused(f"The parameter '{min(unknown)}' does not exist on the action 'clone'.")
    for name in ("displayName", "partsToClone"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise refused(f"The parameter '{name}' is missing.")
    wrong = {part.strip() for part in body["partsToClone"].split(",")} - _CLONABLE
    if wrong:
        raise refused(f"Cannot convert the literal '{min(wrong)}' to the expected type "
                      "'microsoft.graph.clonableTeamParts'.")  # fmt: skip
    if str(body.get("visibility") or "public").lower() not in ("public", "private"):
        raise refused(f"Cannot convert the literal '{body['visibility']}' to the expected type "
                      "'microsoft.graph.teamVisibilityType'.")  # fmt: skip


@work("clone-team")
def clone_later(tenant: SimulatedTenant, now: float, arguments: Any) -> None:
    operation_id, team_id, parts, wanted = arguments
    team, group = tenant.state.get("teams", team_id), tenant.state.get("groups", team_id)
    if team is None or group is None:
        return fail(tenant, operation_id, now, "NotFound", f"No team found with Group Id {team_id}")
    # "If the description property isn't specified, it takes the value of the displayName"
    named = {"description": wanted["displayName"], "visibility": group.get("visibility") or "Private", **wanted}
    made = _new_group(tenant, now, named)
    if "members" in parts:
        for relation in ("owners", "members"):
            for user_id in tenant.state.linked(relation, team_id):
                tenant.state.link(relation, made["id"], user_id)
    settings = {name: team[name] for name in SETTINGS} if "settings" in parts else {}
    new_team(tenant, made, now, {"specialization": team["specialization"], **settings})
    if "channels" in parts:
        _add_channels(tenant, made["id"], _copies(tenant, team_id), now)
    where = f"/teams('{made['id']}')"
    return succeed(tenant, operation_id, now, targetResourceId=made["id"], targetResourceLocation=where)


def _copies(tenant: SimulatedTenant, team_id: str) -> list[Json]:
    """Shared channels are not copied over (limits-specifications-teams.md), nor private ones (an assumption)."""
    return [
        {"displayName": channel["displayName"], "description": channel["description"]}
        for channel in channels_of(tenant, team_id)
        if channel["membershipType"] == "standard" and not channel["_primary"]
    ]
