"""Whom a policy is for: the part that the input files of all device recipes share."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import InputModel
from graphkit.resources.assignments import EVERYBODY
from graphkit.resources.intune import AUTHORITATIVE


class Filtered(InputModel):
    """A target that a filter narrows to some of its devices; filters exist in Graph's beta only."""

    group: str = Field(min_length=1, description="group by name or id, All devices or All users")
    filter: str = Field(min_length=1, description="assignment filter by name or id")
    mode: Literal["include", "exclude"] = Field(
        default="include", description="only, or all but, the devices of the filter"
    )


class Assign(InputModel):
    """Groups by name or id, "All devices", "All users"."""

    include: list[str | Filtered] = Field(
        default_factory=list, description="groups by name or id, All devices, All users; or {group, filter, mode}"
    )
    exclude: list[str] = Field(default_factory=list, description="groups by name or id")

    @model_validator(mode="after")
    def _exclude_groups_only(self) -> Assign:
        for name in self.exclude:
            if name.lower() in EVERYBODY:
                raise ValueError(f"{name} cannot be excluded; name groups")
        return self

    @property
    def filtered(self) -> bool:
        return any(isinstance(entry, Filtered) for entry in self.include)

    def named(self) -> list[str | dict[str, str]]:
        """The included ones as resources take them."""
        return [
            {"name": each.group, "filter": each.filter, "filter_type": each.mode}
            if isinstance(each, Filtered)
            else each
            for each in self.include
        ]


def assignment(
    kind: str, key: str, assign: Assign, origin: Origin, options: PlanOptions, api: dict[str, Any]
) -> list[Desired]:
    """The wish for a policy's assignments, if it has any."""
    whole = {"mode": AUTHORITATIVE} if options.mode == AUTHORITATIVE else {}
    if not (assign.include or assign.exclude or whole):
        return []
    targets = {"include": assign.named(), "exclude": list(assign.exclude)}
    properties = {**targets, "policy": key, **api, **whole}
    return [Desired(kind=f"{kind}.assignment", key=key, origin=origin, properties=properties)]
