"""devices.updates: the version of Windows that devices move to, and updates that cannot wait. Graph's beta only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field, model_validator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import Day, Flag, InputModel, Org
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.markers import marker_key
from recipes.devices.assign import Assign, assignment

NAME = "devices.updates"
FEATURE, EXPEDITE = "windowsFeatureUpdateProfile", "windowsQualityUpdateProfile"


class Rollout(InputModel):
    """Over which days the version is offered, group of devices by group."""

    start: Day = Field(description="first day on which it is offered, YYYY-MM-DD")
    end: Day | None = Field(default=None, description="last day; without one it is offered to all on the first")
    every_days: int | None = Field(default=None, ge=1, le=30, description="days between two groups of devices")

    @model_validator(mode="after")
    def _forwards(self) -> Rollout:
        if self.end and self.end < self.start:
            raise ValueError("ends before it starts")
        return self

    def body(self) -> dict[str, Any]:
        named = {
            "offerStartDateTimeInUTC": f"{self.start.isoformat()}T00:00:00Z",
            "offerEndDateTimeInUTC": f"{self.end.isoformat()}T00:00:00Z" if self.end else None,
            "offerIntervalInDays": self.every_days,
        }
        return {name: value for name, value in named.items() if value is not None}


class Feature(InputModel):
    """A version of Windows that devices move to and stay at."""

    version: str = Field(min_length=1, description="as the service names it: Windows 11, version 24H2")
    rollout: Rollout | None = Field(default=None, description="without one it is offered at once")
    optional: Flag | None = Field(default=None, description="true: offered, and installed only by whoever wants it")

    def body(self) -> dict[str, Any]:
        rollout = {"rolloutSettings": self.rollout.body()} if self.rollout else {}
        optional = {} if self.optional is None else {"installFeatureUpdatesOptional": self.optional}
        return {"featureUpdateVersion": self.version, **rollout, **optional}


class Expedite(InputModel):
    """A quality update that does not wait for its ring."""

    release: Day = Field(description="day of the release, YYYY-MM-DD")
    reboot_days: int = Field(ge=0, le=2, description="days until the restart is forced")

    def body(self) -> dict[str, Any]:
        release = {"qualityUpdateRelease": f"{self.release.isoformat()}T00:00:00Z"}
        return {"expeditedUpdateSettings": {**release, "daysUntilForcedReboot": self.reboot_days}}


class Update(InputModel):
    """Either a feature update or an expedited one, and whom it is for."""

    name: str = Field(
        default="", description="displayName of a new profile; default: the version, or Expedite and the day"
    )
    org: Org | None = Field(default=None, description="organisation code, for --org")
    feature: Feature | None = Field(default=None, description="a version of Windows: version, rollout")
    expedite: Expedite | None = Field(default=None, description="a release that cannot wait: release, reboot_days")
    assign: Assign = Field(default_factory=Assign, description="include and exclude")

    @model_validator(mode="after")
    def _one_of_both(self) -> Update:
        if (self.feature is None) == (self.expedite is None):
            raise ValueError("give either feature or expedite")
        return self

    @property
    def display_name(self) -> str:
        if self.name or self.feature:
            return self.name or (self.feature.version if self.feature else "")
        return self.key

    @property
    def key(self) -> str:
        """One a release: two entries for one are an error."""
        if self.expedite:
            return f"Expedite {self.expedite.release.isoformat()}"
        return marker_key(self.display_name)

    def body(self) -> dict[str, Any]:
        chosen = self.feature or self.expedite
        return {"displayName": self.display_name, **(chosen.body() if chosen else {})}


class Updates(InputModel):
    """The whole file: a list of updates, or the keys of one at the top."""

    allow_beta: Flag = Field(default=False, description="true: only Graph's beta has these profiles")
    updates: list[Update] = Field(min_length=1, description="one entry a profile; of one alone its keys may stand here")

    @model_validator(mode="before")
    @classmethod
    def _of_one(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not {"feature", "expedite"}.intersection(value):
            return value
        own = {name: value[name] for name in value if name not in ("allow_beta", "updates")}
        kept = {name: value[name] for name in ("allow_beta",) if name in value}
        return {**kept, "updates": [*value.get("updates", ()), own]}


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """A profile and its assignments, entry by entry; those of other organisations than ``--org`` rest."""
    for source, document in inputs.documents(Updates):
        if not (options.allow_beta or document.allow_beta):
            message = "these profiles exist in Graph's beta only: set allow_beta: true in the file, or --allow-beta"
            inputs.problems.add(source.name, "allow_beta", "needs-beta", message)
            continue
        for index, update in enumerate(document.updates):
            origin = Origin(source.name, f"updates[{index}]")
            if options.org in ("", update.org):
                yield from _update(update, origin, options)


def _update(update: Update, origin: Origin, options: PlanOptions) -> Iterator[Desired]:
    kind = FEATURE if update.feature else EXPEDITE
    properties = {**update.body(), "recipe": NAME, "once": ["displayName"]}
    note = {"note": "through Graph beta"}
    yield Desired(kind=kind, key=update.key, origin=origin, properties=properties, rails=note)
    yield from assignment(kind, update.key, update.assign, origin, options, {})


RECIPE = Recipe(
    name=NAME,
    summary="Feature updates and expedited quality updates of Windows, and whom they are for (Graph beta)",
    permissions=("DeviceManagementConfiguration.ReadWrite.All", "Group.Read.All"),
    desired=desired,
    template="updates.yaml",
    models=(Updates,),
    options=("org", "mode", "adopt", "create_groups", "allow_beta"),
)
