"""teams.provision: a Microsoft 365 group per row, with owners, turned into a team with channels."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import InputModel, Key, Org, TextList, UpnList
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.teams import TEAMS_PLAN

NICKNAME_MAX = 64
"""Characters of a mailNickname (https://learn.microsoft.com/graph/api/group-post-groups)."""
CHANNEL_NAME_MAX = 50
"""Characters of a channel's name (https://learn.microsoft.com/graph/api/resources/channel)."""

GENERAL = "general"
"""Every team has this channel from the start: to name it asks for nothing."""

# https://learn.microsoft.com/microsoftteams/limits-specifications-teams
_BARRED = re.compile(r"""[~#%&*{}+/\\:<>?|'",\x00-\x1f]|\.\.""")


def _check_channel(name: str) -> str:
    if len(name) > CHANNEL_NAME_MAX:
        raise ValueError(f"{name}: a channel's name has at most {CHANNEL_NAME_MAX} characters")
    if found := _BARRED.search(name):
        raise ValueError(f"{name}: a channel's name may not hold {found[0]}")
    if name.startswith(("_", ".")) or name.endswith("."):
        raise ValueError(f"{name}: a channel's name may not begin with _ or . nor end with .")
    return name


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
    channels: Annotated[TextList, Field(max_length=1000)] = Field(default=(), description="names of standard channels")
    template: str = Field(default="", description="not supported: leave it empty")
    archive: str = Field(default="", description="not supported: leave it empty")

    @model_validator(mode="before")
    @classmethod
    def _let_owners_be_empty(cls, row: dict[str, Any]) -> dict[str, Any]:
        """The column must be there, but a row without owners is blocked and not wrong: a roster has such sections."""
        return {"owners": (), **row}

    @field_validator("template", "archive")
    @classmethod
    def _refuse(cls, text: str) -> str:
        raise ValueError("this column is not supported: leave it empty")

    @field_validator("channels")
    @classmethod
    def _check_channels(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        folded = [_check_channel(name).casefold() for name in names]
        for name in names:
            if folded.count(name.casefold()) > 1:
                raise ValueError(f"a channel is there twice: {name}")
        return names

    @model_validator(mode="after")
    def _check_unique_name(self) -> Team:
        if not _slug(self.team_key):
            raise ValueError(f"team_key: {self.team_key!r} holds no letter or digit of the English alphabet")
        if len(self.unique_name) > NICKNAME_MAX:
            raise ValueError(f"team_key: {self.unique_name} would have more than {NICKNAME_MAX} characters")
        return self

    @property
    def unique_name(self) -> str:
        """What the group, and with it the team, is known by."""
        return f"{self.org}-{_slug(self.team_key)}".lower()


def _slug(text: str) -> str:
    """Lower-case letters and digits joined by hyphens; accents are dropped."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", plain.lower()))


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """A group, its owners, its team and the team's channels, row by row."""
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
        properties={"group": key},
        needs=tuple(("group.owner", owner_key) for owner_key in owners),
        rails={"owners": len(owners)},
    )
    for name in team.channels:
        if name.casefold() != GENERAL:
            properties = {"team": key, "displayName": name}
            yield Desired(kind="channel", key=f"{key}/{name}", origin=origin, properties=properties)


RECIPE = Recipe(
    name="teams.provision",
    summary="Teams from a list: a Microsoft 365 group, its owners, the team and its channels",
    permissions=("Group.ReadWrite.All", "Channel.Create", "TeamSettings.ReadWrite.All"),
    desired=desired,
    template="provision.csv",
    models=(Team,),
    rails=(
        "no owner, or a first owner without a Teams plan: that row is blocked",
        "Public needs --allow-public",
    ),
)
