"""devices.compliance: what a device must show to count as compliant, and whom that concerns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import Flag, InputModel, Key, Org
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.assignments import EVERYBODY
from graphkit.resources.compliance import KIND, scheduled_action
from graphkit.resources.os_builds import LARGEST, parse_build, show_build
from graphkit.resources.users import GUID

PLATFORMS = {"windows10": "#microsoft.graph.windows10CompliancePolicy"}
"""Windows 10 and 11 alike. Other platforms know neither BitLocker nor Secure Boot nor four-part builds."""


FLOOR_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"type": "integer"}}]}


def _read_floor(value: Any) -> Any:
    """One build, or several as branch to build number: a list of four-part builds, the lowest first."""
    if not isinstance(value, dict):
        return [show_build(parse_build(str(value).strip()))]
    builds = sorted(parse_build(f"{branch}.{number}") for branch, number in value.items())
    branches = {build[:3] for build in builds}
    if not builds or len(branches) < len(builds):
        raise ValueError('names no branch, or one twice: write branches such as {"10.0.22631": 4000}')
    return [show_build(build) for build in builds]


def _check_platform(name: str) -> str:
    if name not in PLATFORMS:
        raise ValueError(f"is not a platform that this recipe knows; supported: {', '.join(PLATFORMS)}")
    return name


def _check_template(text: str) -> str:
    if text and not GUID.fullmatch(text):
        raise ValueError("is not the id of a notification message template")
    return text.lower()


class Assign(InputModel):
    """Groups by name or id, "All devices", "All users"."""

    include: list[str] = Field(default_factory=list, description="groups by name or id, All devices, All users")
    exclude: list[str] = Field(default_factory=list, description="groups by name or id")

    @model_validator(mode="after")
    def _exclude_groups_only(self) -> Assign:
        for name in self.exclude:
            if name.lower() in EVERYBODY:
                raise ValueError(f"{name} cannot be excluded; name groups")
        return self


class Policy(InputModel):
    """One compliance policy."""

    key: Key = Field(
        pattern=r"^[^\[\]/\s]+$", description="names the policy for graphkit; kept as the last line of its description"
    )
    org: Org | None = Field(
        default=None, description="organisation code; for --org, and first word of the new policy's name"
    )
    platform: Annotated[str, AfterValidator(_check_platform)] = Field(description="windows10 (Windows 10 and 11)")
    os_floor: Annotated[list[str], BeforeValidator(_read_floor), WithJsonSchema(FLOOR_SCHEMA)] = Field(
        description="lowest build, such as 10.0.22631.4000; several branches as {branch: build} (beta)"
    )
    bitlocker: Flag = Field(description="the system drive must be encrypted")
    secure_boot: Flag = Field(description="Secure Boot must be on")
    defender: Flag | None = Field(default=None, description="Microsoft Defender must be on (beta)")
    grace_hours: int = Field(ge=0, description="hours until a device that does not comply is marked so")
    notify_template: Annotated[str, AfterValidator(_check_template)] = Field(
        default="", description="id of a notification message template, sent at once"
    )
    assign: Assign = Field(description="whom it concerns")

    @property
    def needs_beta(self) -> dict[str, str]:
        """What of this policy v1.0 does not have: key to reason."""
        needs = {}
        if len(self.os_floor) > 1:
            needs["os_floor"] = "several branches (validOperatingSystemBuildRanges)"
        if self.defender is not None:
            needs["defender"] = "this setting (defenderEnabled)"
        return needs


class Policies(InputModel):
    """The whole file."""

    allow_beta: Flag = Field(default=False, description="true lets this file use what only Graph's beta has")
    policies: list[Policy] = Field(min_length=1, description="one entry for each policy")


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """A policy, its actions and its assignments, entry by entry; those of other organisations than ``--org`` rest."""
    for source, document in inputs.documents(Policies):
        beta = options.allow_beta or document.allow_beta
        for index, policy in enumerate(document.policies):
            origin = Origin(source.name, f"policies[{index}]")
            refused = {} if beta else policy.needs_beta
            for name, what in refused.items():
                message = f"{what} exists in Graph's beta only: set allow_beta: true in the file, or --allow-beta"
                inputs.problems.add(source.name, f"{origin.place}.{name}", "needs-beta", message)
            if not refused and options.org in ("", policy.org):
                yield from _policy(policy, origin, {"api": "beta"} if beta else {})


def _policy(policy: Policy, origin: Origin, api: dict[str, str]) -> Iterator[Desired]:
    actions = [scheduled_action("block", hours=policy.grace_hours)]
    if policy.notify_template:
        actions.append(scheduled_action("notification", template=policy.notify_template))
    name = f"{policy.org} {policy.key}" if policy.org else policy.key
    created = {"@odata.type": PLATFORMS[policy.platform], "displayName": name, **_settings(policy, beta=bool(api))}
    rails = {"org": policy.org}
    yield Desired(
        kind=KIND, key=policy.key, origin=origin, properties={**created, "actions": actions, **api}, rails=rails
    )
    below = {"policy": policy.key, **api}
    yield Desired(kind=f"{KIND}.actions", key=policy.key, origin=origin, properties={"actions": actions, **below})
    if policy.assign.include or policy.assign.exclude:
        targets = {"include": policy.assign.include, "exclude": policy.assign.exclude}
        yield Desired(kind=f"{KIND}.assignment", key=policy.key, origin=origin, properties={**targets, **below})


def _settings(policy: Policy, *, beta: bool) -> dict[str, Any]:
    settings: dict[str, Any] = {"bitLockerEnabled": policy.bitlocker, "secureBootEnabled": policy.secure_boot}
    several = len(policy.os_floor) > 1
    settings["osMinimumVersion"] = None if several else policy.os_floor[0]
    if beta:
        settings["validOperatingSystemBuildRanges"] = [_range(floor) for floor in policy.os_floor] if several else []
    if policy.defender is not None:
        settings["defenderEnabled"] = policy.defender
    return settings


def _range(floor: str) -> dict[str, str]:
    """From the floor to the end of its branch, both included."""
    return {"lowestVersion": floor, "highestVersion": f"{floor.rpartition('.')[0]}.{LARGEST}"}


RECIPE = Recipe(
    name="devices.compliance",
    summary="Compliance policies of Intune: operating system floor, encryption, grace, assignments",
    permissions=("DeviceManagementConfiguration.ReadWrite.All", "Group.Read.All"),
    desired=desired,
    template="compliance.yaml",
    models=(Policies,),
    rails=(
        "what only Graph's beta has needs allow_beta",
        "two live policies with one marker: that policy is blocked",
    ),
)
