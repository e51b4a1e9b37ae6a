"""teams.membership: people into teams and out of them, and who owns a team."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from graphkit.engine.change import Desired
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import InputModel, Key, Org
from graphkit.recipe import Inputs, Recipe
from recipes.teams.names import slug, unique_name

GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def _capitalised(text: Any) -> Any:
    return text.strip().capitalize() if isinstance(text, str) else text


Role = Annotated[Literal["Owner", "Member", ""], BeforeValidator(_capitalised)]
Deed = Annotated[Literal["Add", "Remove"], BeforeValidator(_capitalised)]


class Membership(InputModel):
    """One row: one person in one team."""

    team_key: str = Field(default="", description="the team's key, as for teams.provision; or its name")
    team_id: str = Field(default="", description="the team's id, in place of team_key")
    org: Org | Literal[""] = Field(default="", description="organisation code; makes team_key unambiguous")
    upn: Key = Field(description="user principal name or id of the person")
    role: Role = Field(default="", description="Owner or Member; may be empty where action is Remove")
    action: Deed = Field(default="Add", description="Add (default) or Remove")

    @model_validator(mode="after")
    def _check(self) -> Membership:
        if wrong := "; ".join(self._wrong()):
            raise ValueError(wrong)
        return self

    def _wrong(self) -> Iterator[str]:
        if bool(self.team_key) == bool(self.team_id):
            yield "team_key: give either team_key or team_id"
        if self.team_id and not GUID.fullmatch(self.team_id):
            yield f"team_id: {self.team_id} is not a GUID"
        if self.team_key and not slug(self.team_key):
            yield f"team_key: {self.team_key!r} holds no letter or digit of the English alphabet"
        if "@" not in self.upn and not GUID.fullmatch(self.upn):
            yield f"upn: {self.upn} is neither a user principal name nor an id"
        if self.action == "Add" and not self.role:
            yield "role: say Owner or Member"

    def team(self, org: str) -> str:
        """What the team is looked up by: its id, the uniqueName that teams.provision gives, or the key as it is."""
        if self.team_id:
            return self.team_id.lower()
        return unique_name(self.org or org, self.team_key) if self.org or org else slug(self.team_key)


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """One wish a row. A team may be named loosely only where nothing says whose it is."""
    for origin, row in inputs.rows(Membership, key=lambda row: f"{row.team(options.org)} {row.upn.lower()}"):
        if options.org not in ("", row.org or options.org):
            continue
        team = row.team(options.org)
        loose = row.team_key if not (row.org or options.org or row.team_id) else ""
        yield Desired(
            kind="team.member",
            key=f"{team}/{row.upn.lower()}",
            origin=origin,
            properties={"team": team, "user": row.upn, "roles": ["owner"] if row.role == "Owner" else []},
            absent=row.action == "Remove",
            rails={"loose": loose},
        )


RECIPE = Recipe(
    name="teams.membership",
    summary="People into teams and out of them: members and owners, 200 to a call",
    permissions=("TeamMember.ReadWrite.All", "GroupMember.ReadWrite.All"),
    desired=desired,
    template="membership.csv",
    builds_on="teams.provision",
    models=(Membership,),
    options=("org", "mode"),
    rails=("the last owner of a team is neither removed nor made a member: that row is blocked",),
)
