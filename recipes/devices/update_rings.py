"""devices.update-rings: how soon Windows takes its updates, ring by ring, and who is in which."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, model_validator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import Flag, InputModel, Key, Org
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.markers import marker_key
from recipes.devices.assign import Assign, assignment
from recipes.devices.sound import is_sound

NAME = "devices.update-rings"
KIND = "deviceConfiguration"
TYPE = "#microsoft.graph.windowsUpdateForBusinessConfiguration"
SLOW_DAYS = 14
"""Days of deferral and deadline together beyond which a ring leaves known holes open for long."""
_HOURS = re.compile(r"(\d{1,2})(?::00)?\s*-\s*(\d{1,2})(?::00)?")
MOST_ACTIVE_HOURS = 18
"""learn.microsoft.com/intune/intune-service/protect/windows-update-settings: active hours."""


def _read_hours(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = _HOURS.fullmatch(value.strip())
    if found is None:
        raise ValueError("is not a span of hours such as 8-17")
    return {"start": int(found[1]), "end": int(found[2])}


class ActiveHours(InputModel):
    """When a device is in use, and so does not restart by itself."""

    start: int = Field(ge=0, le=23, description="hour of the day")
    end: int = Field(ge=0, le=23, description="hour of the day, 18 hours later at most")

    @model_validator(mode="after")
    def _not_all_day(self) -> ActiveHours:
        if not 0 < (self.end - self.start) % 24 <= MOST_ACTIVE_HOURS:
            raise ValueError(f"the hours of use are 1 to {MOST_ACTIVE_HOURS}")
        return self


class Ring(InputModel):
    """One update ring. What is not named stays as it is."""

    name: Key = Field(description="displayName of a new ring; names it for graphkit")
    org: Org | None = Field(default=None, description="organisation code, for --org")
    quality_deferral: int | None = Field(
        default=None, ge=0, le=30, description="days until a quality update is offered"
    )
    quality_deadline: int | None = Field(
        default=None,
        ge=0,
        le=30,
        validation_alias=AliasChoices("quality_deadline", "deadline"),
        description="days from the offer until a quality update is forced; also called deadline",
    )
    feature_deferral: int | None = Field(
        default=None, ge=0, le=365, description="days until a feature update is offered"
    )
    feature_deadline: int | None = Field(default=None, ge=0, le=30, description="days until a feature update is forced")
    grace: int | None = Field(default=None, ge=0, le=7, description="days after the deadline until a restart is forced")
    active_hours: Annotated[ActiveHours | None, BeforeValidator(_read_hours)] = Field(
        default=None, description="hours of use, such as 8-17: no restart then"
    )
    drivers: Flag | None = Field(default=None, description="true or false: drivers come with Windows updates")
    windows11: Flag | None = Field(default=None, description="true or false: devices with Windows 10 are moved to 11")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="further settings by Graph's own names, such as userPauseAccess: disabled"
    )
    assign: Assign = Field(default_factory=Assign, description="include and exclude; a device is in one ring only")

    def body(self) -> dict[str, Any]:
        named = {
            "qualityUpdatesDeferralPeriodInDays": self.quality_deferral,
            "deadlineForQualityUpdatesInDays": self.quality_deadline,
            "featureUpdatesDeferralPeriodInDays": self.feature_deferral,
            "deadlineForFeatureUpdatesInDays": self.feature_deadline,
            "deadlineGracePeriodInDays": self.grace,
            "driversExcluded": None if self.drivers is None else not self.drivers,
            "allowWindows11Upgrade": self.windows11,
        }
        body = {"@odata.type": TYPE, "displayName": self.name, **self.settings, **self._hours()}
        return {**body, **{name: value for name, value in named.items() if value is not None}}

    def _hours(self) -> dict[str, Any]:
        if self.active_hours is None:
            return {}
        hours = {
            "@odata.type": "#microsoft.graph.windowsUpdateActiveHoursInstall",
            "activeHoursStart": f"{self.active_hours.start:02}:00:00",
            "activeHoursEnd": f"{self.active_hours.end:02}:00:00",
        }
        return {"automaticUpdateMode": "autoInstallAtMaintenanceTime", "installationSchedule": hours}

    @property
    def slow(self) -> int:
        """Days until a quality update is on every device of the ring, if they are too many; else nought."""
        days = (self.quality_deferral or 0) + (self.quality_deadline or 0)
        return days if days > SLOW_DAYS else 0


class Rings(InputModel):
    """The whole file."""

    rings: list[Ring] = Field(min_length=1, description="one entry a ring")


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """A ring and its assignments, entry by entry; those of other organisations than ``--org`` rest."""
    for source, document in inputs.documents(Rings):
        for index, ring in enumerate(document.rings):
            origin = Origin(source.name, f"rings[{index}]")
            if options.org in ("", ring.org):
                yield from _ring(ring, origin, options, inputs)


def _ring(ring: Ring, origin: Origin, options: PlanOptions, inputs: Inputs) -> Iterator[Desired]:
    if ring.slow:
        inputs.problems.warn(
            f"{ring.name}: quality updates take {ring.slow} days to reach every device; more than {SLOW_DAYS} leaves "
            "holes open that are known"
        )
    if ring.assign.filtered and not options.allow_beta:
        message = "an assignment filter exists in Graph's beta only: --allow-beta permits it"
        inputs.problems.add(origin.file, f"{origin.place}.assign", "needs-beta", message)
        return
    if not is_sound(inputs.problems, origin, ring.body(), KIND, "beta" if options.allow_beta else "v1.0"):
        return
    key, api = marker_key(ring.name), {"api": "beta"} if options.allow_beta else {}
    ours = {"recipe": NAME, "once": ["displayName"], **api}
    yield Desired(kind=KIND, key=key, origin=origin, properties={**ring.body(), **ours})
    for wish in assignment(KIND, key, ring.assign, origin, options, api):
        wish.rails["exclusive"] = True
        yield wish


RECIPE = Recipe(
    name=NAME,
    summary="Update rings of Windows: deferrals, deadlines, active hours, and who is in which ring",
    permissions=(
        "DeviceManagementConfiguration.ReadWrite.All",
        "DeviceManagementManagedDevices.Read.All",
        "Group.Read.All",
    ),
    desired=desired,
    template="update_rings.yaml",
    models=(Rings,),
    options=("org", "mode", "adopt", "create_groups", "allow_beta"),
)
