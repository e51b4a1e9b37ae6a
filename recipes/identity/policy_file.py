"""Our own form of conditional access policies: short names for what most policies say, Graph's for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from ipaddress import ip_network
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from graphkit.inputs.types import Flag, InputModel, Key, TextList
from graphkit.resources.conditional_access import OFF, ON, REPORT

STATES = {"off": OFF, "report": REPORT, "on": ON}
PROMOTE_AFTER_DAYS = 7


def _cidr(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError(f"is not a range such as 203.0.113.0/24 ({error})") from None


Cidr = Annotated[str, AfterValidator(_cidr)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class Location(InputModel):
    """IP ranges or countries under one name."""

    key: Key = Field(description="what policies of this file call it")
    name: str = Field(default="", description="displayName; default: key")
    ip_ranges: list[Cidr] = Field(default_factory=list, description="ranges such as 203.0.113.0/24")
    trusted: Flag = Field(default=False, description="mark the ranges as trusted")
    countries: list[Country] = Field(default_factory=list, description="two-letter codes, in place of ranges")

    @property
    def display_name(self) -> str:
        return self.name or self.key

    @model_validator(mode="after")
    def _one_kind(self) -> Location:
        if bool(self.ip_ranges) == bool(self.countries):
            raise ValueError("give either ip_ranges or countries")
        if self.trusted and self.countries:
            raise ValueError("only IP ranges can be trusted")
        return self

    def body(self) -> dict[str, Any]:
        if self.countries:
            return {
                "@odata.type": "#microsoft.graph.countryNamedLocation",
                "displayName": self.display_name,
                "countriesAndRegions": self.countries,
            }
        return {
            "@odata.type": "#microsoft.graph.ipNamedLocation",
            "displayName": self.display_name,
            "isTrusted": self.trusted,
            "ipRanges": [
                {"@odata.type": f"#microsoft.graph.iPv{ip_network(cidr).version}CidrRange", "cidrAddress": cidr}
                for cidr in self.ip_ranges
            ],
        }


class Whom(InputModel):
    """Users, groups and directory roles by name or id; users also All, None, GuestsOrExternalUsers."""

    users: TextList = Field(default=(), description="by name or id; also All, None, GuestsOrExternalUsers")
    groups: TextList = Field(default=(), description="by name or id")
    roles: TextList = Field(default=(), description="directory roles by name or id")


class Apps(InputModel):
    """Applications by name or appId, or All, None, Office365, MicrosoftAdminPortals."""

    include: TextList = Field(default=(), description="by name or appId, or All, None, Office365 ...")
    exclude: TextList = Field(default=(), description="by name or appId")


class Policy(InputModel):
    """One policy; ``conditions``, ``grant`` and ``session`` as Graph has them, names allowed for ids."""

    key: Key = Field(description="names the policy for --promote")
    name: str = Field(default="", description="displayName, by which the policy is known; default: key")
    state: Literal["off", "report", "on"] = Field(description="a new policy that is wished on only reports at first")
    promote_after_days: int | None = Field(default=None, ge=0, description="for this policy alone")
    include: Whom = Field(default=Whom(), description="whom it concerns")
    exclude: Whom = Field(default=Whom(), description="whom it spares; the break-glass accounts must be among them")
    apps: Apps = Field(default=Apps(), description="applications")
    conditions: dict[str, Any] = Field(
        default_factory=dict, description="the other conditions by Graph's property names; locations by key, name or id"
    )
    grant: dict[str, Any] | None = Field(default=None, description="grantControls by Graph's property names")
    session: dict[str, Any] | None = Field(default=None, description="sessionControls by Graph's property names")

    @property
    def display_name(self) -> str:
        return self.name or self.key

    @model_validator(mode="after")
    def _said_once(self) -> Policy:
        for part, short in (("users", self._users()), ("applications", self._applications())):
            given = self.conditions.get(part) or {}
            if twice := sorted(set(short).intersection(given if isinstance(given, dict) else ())):
                raise ValueError(f"{', '.join(twice)} of conditions.{part} is given in its short form too")
        return self

    def _users(self) -> dict[str, Any]:
        sides = {"include": self.include, "exclude": self.exclude}
        named = {
            f"{side}{noun}": list(getattr(whom, noun.lower()))
            for side, whom in sides.items()
            for noun in ("Users", "Groups", "Roles")
        }
        return {name: value for name, value in named.items() if value}

    def _applications(self) -> dict[str, Any]:
        named = {"includeApplications": list(self.apps.include), "excludeApplications": list(self.apps.exclude)}
        return {name: value for name, value in named.items() if value}

    def body(self) -> dict[str, Any]:
        conditions = deepcopy(self.conditions)
        for part, short in (("users", self._users()), ("applications", self._applications())):
            if isinstance(conditions.get(part) or {}, dict):
                conditions[part] = {**(conditions.get(part) or {}), **short}
        grant = deepcopy(self.grant)
        if grant and isinstance(grant.get("authenticationStrength"), str):
            grant["authenticationStrength"] = {"id": grant["authenticationStrength"]}
        return {
            "displayName": self.display_name,
            "state": STATES[self.state],
            "conditions": conditions,
            "grantControls": grant,
            "sessionControls": deepcopy(self.session),
        }


class Policies(InputModel):
    """The whole file."""

    promote_after_days: int = Field(
        default=PROMOTE_AFTER_DAYS, ge=0, description="days that a policy only reports before --promote may turn it on"
    )
    allow_beta: Flag = Field(default=False, description="true lets this file use what only Graph's beta has")
    max_impact_pct: float | None = Field(
        default=None,
        ge=0,
        le=100,
        description="the share of people that a policy may block or prompt without --accept-impact",
    )
    named_locations: list[Location] = Field(default_factory=list, description="places, by either ranges or countries")
    policies: list[Policy] = Field(default_factory=list, description="one entry for each policy")

    @model_validator(mode="after")
    def _keys_once(self) -> Policies:
        entries: tuple[Sequence[Location | Policy], ...] = (self.named_locations, self.policies)
        for keys in ([entry.key for entry in part] for part in entries):
            if twice := sorted({key for key in keys if keys.count(key) > 1}):
                raise ValueError(f"the key {', '.join(twice)} is given twice")
        if not (self.named_locations or self.policies):
            raise ValueError("neither policies nor named_locations are given")
        return self
