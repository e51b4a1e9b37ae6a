"""teams.provision: a Microsoft 365 group per row, with owners, turned into a team with channels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import Flag, InputModel, Key, Org, TextList, UpnList
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.teams import TEAMS_PLAN
from recipes.teams.names import Channel, read_channels, slug, unique_name

NICKNAME_MAX = 64
"""Characters of a mailNickname (https://learn.microsoft.com/graph/api/group-post-groups)."""
BASE_TEMPLATES = (
    "standard",
    "educationClass",
    "educationStaff",
    "educationProfessionalLearningCommunity",
    "retailStore",
    "retailManagerCollaboration",
    "healthcareWard",
    "healthcareHospital",
)
"""https://learn.microsoft.com/microsoftteams/get-started-with-teams-templates; others have a dotted name or a GUID."""

GENERAL = "general"
"""Every team has this channel from the start: to name it asks for nothing."""


class Team(InputModel):
    """One row."""

    team_key: Key = Field(description="what the row is known by; with org it makes the uniqueName and mailNickname")
    org: Org = Field(description="organisation code")
    display_name: str = Field(min_length=1, max_length=100, description="name of the team")
    description: str = Field(
        default="", max_length=250, description="what the team is for; an empty cell leaves what is there"
    )
    visibility: Literal["Private", "Public"] = Field(description="Public needs --allow-public")
    owners: UpnList = Field(max_length=100, description="user principal names; the first must hold a Teams licence")
    channels: Annotated[TextList, Field(max_length=1000)] = Field(
        default=(), description="a name each; name:private or name:shared for a channel of that kind"
    )
    template: str = Field(default="", description="a team template: base template, dotted name or id")
    archive: Flag | None = Field(default=None, description="true archives the team, false reopens it")

    @model_validator(mode="before")
    @classmethod
    def _let_owners_be_empty(cls, row: dict[str, Any]) -> dict[str, Any]:
        """The column must be there, but a row without owners is blocked and not wrong: a roster has such sections."""
        return {"owners": (), **row}

    @field_validator("template")
    @classmethod
    def _check_template(cls, text: str) -> str:
        known = {name.casefold(): name for name in BASE_TEMPLATES}
        if text and text.casefold() not in known and not re.fullmatch(r"(?=.*[.-])[A-Za-z0-9.-]+", text):
            raise ValueError(f"{text} is no template; base templates are {', '.join(BASE_TEMPLATES)}")
        return known.get(text.casefold(), text)

    @field_validator("channels")
    @classmethod
    def _check_channels(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        read_channels(texts)
        return texts

    @model_validator(mode="after")
    def _check_unique_name(self) -> Team:
        if not slug(self.team_key):
            raise ValueError(f"team_key: {self.team_key!r} holds no letter or digit of the English alphabet")
        if len(self.unique_name) > NICKNAME_MAX:
            raise ValueError(f"team_key: {self.unique_name} would have more than {NICKNAME_MAX} characters")
        return self

    @property
    def unique_name(self) -> str:
        """What the group, and with it the team, is known by."""
        return unique_name(self.org, self.team_key)

    @property
    def wanted_channels(self) -> list[Channel]:
        return [channel for channel in read_channels(self.channels) if channel.name.casefold() != GENERAL]


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """A group, its owners, its team, the team's channels and whether it is archived, row by row."""
    for origin, team in inputs.rows(Team, key=lambda team: team.unique_name):
        if options.org in ("", team.org):
            yield from _wishes(team, origin, _why_blocked(team, options))


def _why_blocked(team: Team, options: PlanOptions) -> str:
    reasons = []
    if not team.owners:
        reasons.append("no owner")
    if team.visibility == "Public" and not options.allow_public:
        reasons.append("visibility is Public, which needs --allow-public")
    return "; ".join(reasons)


def _wishes(team: Team, origin: Origin, blocked: str) -> Iterator[Desired]:
    """The group first: whatever blocks it blocks those that need it."""
    key = team.unique_name
    owners = {f"{key}/{upn.lower()}": upn for upn in team.owners}
    group = {
        "displayName": team.display_name,
        "visibility": team.visibility,
        "uniqueName": key,
        "mailNickname": key,
        "mailEnabled": True,
        "securityEnabled": False,
        "groupTypes": ["Unified"],
        "owners": list(owners.values()),
    }
    if team.description:
        group["description"] = team.description
    rails = {"org": team.org, "owner_plan": TEAMS_PLAN}
    yield Desired(kind="group", key=key, origin=origin, properties=group, rails=rails, blocked=blocked)
    for owner_key, upn in owners.items():
        yield Desired(kind="group.owner", key=owner_key, origin=origin, properties={"group": key, "user": upn})
    yield Desired(
        kind="team",
        key=key,
        origin=origin,
        properties={"group": key, **({"template": team.template} if team.template else {})},
        needs=tuple(("group.owner", owner_key) for owner_key in owners),
        rails={"owners": len(owners)},
    )
    yield from _inside(team, key, origin)


def _inside(team: Team, key: str, origin: Origin) -> Iterator[Desired]:
    """What goes on in the team: it is reopened before anything else and archived after it."""
    channels = {f"{key}/{channel.name}": channel for channel in team.wanted_channels}
    reopened = (("team.active", key),) if team.archive is False else ()
    if reopened:
        yield Desired(kind="team.active", key=key, origin=origin, properties={"team": key}, needs=(("team", key),))
    for channel_key, channel in channels.items():
        properties = {"team": key, "displayName": channel.name}
        if channel.kind != "standard":
            properties.update(membershipType=channel.kind, user=next(iter(team.owners), ""))
        yield Desired(kind="channel", key=channel_key, origin=origin, properties=properties, needs=reopened)
    if team.archive:
        needs = (("team", key), *(("channel", channel_key) for channel_key in channels))
        yield Desired(kind="team.archived", key=key, origin=origin, properties={"team": key}, needs=needs)


RECIPE = Recipe(
    name="teams.provision",
    summary="Teams from a list: a Microsoft 365 group, its owners, the team and its channels",
    permissions=("Group.ReadWrite.All", "Channel.Create", "TeamSettings.ReadWrite.All"),
    desired=desired,
    template="provision.csv",
    models=(Team,),
    options=("org", "adopt", "allow_public"),
    rails=(
        "no owner, or a first owner without a Teams plan: that row is blocked",
        "Public needs --allow-public",
        "a group that graphkit did not make needs --adopt",
    ),
)
