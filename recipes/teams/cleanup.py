"""teams.cleanup: teams that nobody uses any more, and teams without an owner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import DocumentModel, Key, Upn
from graphkit.recipe import Inputs, Recipe


class Cleanup(DocumentModel):
    """The whole file."""

    inactive_days: int = Field(ge=1, description="a team is idle if it was not used for so many days")
    action: Literal["report", "archive"] = Field(default="report", description="report (default), or archive")
    exclude: tuple[Key, ...] = Field(default=(), description="teams to leave alone, by name, mailNickname or id")
    owner_fallback: Upn | None = Field(default=None, description="who becomes owner of a team that has none")


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """One wish; the teams that it is about are found when planning."""
    for source, cleanup in inputs.documents(Cleanup):
        properties = {
            "inactive_days": cleanup.inactive_days,
            "action": cleanup.action,
            "exclude": list(cleanup.exclude),
            "owner_fallback": cleanup.owner_fallback or "",
        }
        yield Desired(kind="team.review", key="summary", origin=Origin(source.name, ""), properties=properties)


RECIPE = Recipe(
    name="teams.cleanup",
    summary="Idle teams archived, ownerless teams given an owner; a report unless asked to act",
    permissions=("Reports.Read.All", "TeamSettings.ReadWrite.All", "TeamMember.ReadWrite.All"),
    desired=desired,
    template="cleanup.yaml",
    trial=None,
    builds_on="teams.provision",
    models=(Cleanup,),
    options=("org", "as_of"),
    rails=(
        "nothing is written unless action is archive, and nothing is ever deleted",
        "a report whose names are concealed blocks the plan",
    ),
)
