"""devices.compliance: what a device must show to count as compliant, and whom that concerns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator
from pydantic_core import PydanticCustomError

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import Flag, InputModel, Key, Org
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.compliance import KIND, RULES, rules_for, scheduled_action
from graphkit.resources.os_builds import LARGEST, parse_build, show_build
from graphkit.resources.users import GUID
from recipes.devices.assign import Assign, assignment
from recipes.devices.sound import is_sound

NAME = "devices.compliance"
PLATFORMS = {
    "windows10": "windows10CompliancePolicy",
    "windows81": "windows81CompliancePolicy",
    "macOS": "macOSCompliancePolicy",
    "iOS": "iosCompliancePolicy",
    "android": "androidCompliancePolicy",
    "androidWorkProfile": "androidWorkProfileCompliancePolicy",
    "androidDeviceOwner": "androidDeviceOwnerCompliancePolicy",
    "aosp": "aospDeviceOwnerCompliancePolicy",
}
"""Platform of the file to the type of the policy; windows10 is Windows 10 and 11 alike."""
BETA_PLATFORMS = frozenset({"androidDeviceOwner", "aosp"})
WINDOWS = "windows10"
WINDOWS_NEEDS = ("os_floor", "bitlocker", "secure_boot")
ENCRYPTION = frozenset(PLATFORMS) - {"iOS"}
"""Platforms whose policies know storageRequireEncryption (v1.0 metadata; beta models)."""
_VERSION = re.compile(r"\d{1,5}(\.\d{1,5}){0,3}", re.ASCII)


FLOOR_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "object", "additionalProperties": {"type": "integer"}}]}


def _read_floor(value: Any) -> Any:
    """One version, or several branches of Windows as branch to build number: four-part builds, the lowest first."""
    if not isinstance(value, dict):
        return [str(value).strip()]
    builds = sorted(parse_build(f"{branch}.{number}") for branch, number in value.items())
    branches = {build[:3] for build in builds}
    if not builds or len(branches) < len(builds):
        raise ValueError('names no branch, or one twice: write branches such as {"10.0.22631": 4000}')
    return [show_build(build) for build in builds]


def _checked_floor(floors: list[str], platform: str) -> list[str]:
    if platform == WINDOWS:
        return [show_build(parse_build(floor)) for floor in floors]
    if len(floors) > 1 or not _VERSION.fullmatch(floors[0]):
        raise ValueError("is not one version such as 14.5")
    return floors


def _check_platform(name: str) -> str:
    if name not in PLATFORMS:
        raise ValueError(f"is not a platform that this recipe knows; supported: {', '.join(PLATFORMS)}")
    return name


def _check_template(text: str) -> str:
    if text and not GUID.fullmatch(text):
        raise ValueError("is not the id of a notification message template")
    return text.lower()


class Policy(InputModel):
    """One compliance policy."""

    key: Key = Field(
        pattern=r"^[^\[\]/\s]+$", description="names the policy for graphkit; kept in the last line of its description"
    )
    org: Org | None = Field(
        default=None, description="organisation code; for --org, and first word of the new policy's name"
    )
    platform: Annotated[str, AfterValidator(_check_platform)] = Field(description=f"one of {', '.join(PLATFORMS)}")
    os_floor: Annotated[list[str], BeforeValidator(_read_floor), WithJsonSchema(FLOOR_SCHEMA)] | None = Field(
        default=None,
        validate_default=True,
        description="lowest version; for Windows four numbers, or several branches as {branch: build} (beta)",
    )
    bitlocker: Flag | None = Field(
        default=None, validate_default=True, description="true or false: BitLocker (Windows)"
    )
    secure_boot: Flag | None = Field(
        default=None, validate_default=True, description="true or false: Secure Boot (Windows)"
    )
    encryption: Flag | None = Field(default=None, description="true or false: encrypted storage (not iOS)")
    defender: Flag | None = Field(
        default=None, description="true or false: Microsoft Defender must be on (Windows, beta)"
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description="further settings by Graph's own names, such as passwordRequired: true"
    )
    grace_hours: int = Field(ge=0, description="hours until a device that does not comply is marked so")
    notify_template: Annotated[str, AfterValidator(_check_template)] = Field(
        default="", description="id of a notification message template, sent at once"
    )
    assign: Assign = Field(description="include and exclude")

    @field_validator("os_floor", "bitlocker", "secure_boot", "encryption", "defender")
    @classmethod
    def _fits_the_platform(cls, value: Any, info: ValidationInfo) -> Any:
        platform, name = info.data.get("platform"), str(info.field_name)
        if platform == WINDOWS and value is None and name in WINDOWS_NEEDS:
            raise PydanticCustomError("missing", "is missing")
        if platform is None or value is None:
            return value
        if platform != WINDOWS and name in ("bitlocker", "secure_boot", "defender"):
            raise ValueError(f"is a setting of {WINDOWS} only")
        if name == "encryption" and platform not in ENCRYPTION:
            raise ValueError(f"is not a setting of {platform}")
        return _checked_floor(value, platform) if name == "os_floor" else value

    @property
    def needs_beta(self) -> dict[str, str]:
        """What of this policy v1.0 does not have: key to reason."""
        needs = {}
        if self.platform in BETA_PLATFORMS:
            needs["platform"] = f"a policy for {self.platform}"
        if len(self.os_floor or ()) > 1:
            needs["os_floor"] = "several branches (validOperatingSystemBuildRanges)"
        if self.defender is not None:
            needs["defender"] = "this setting (defenderEnabled)"
        if self.assign.filtered:
            needs["assign"] = "an assignment filter"
        return needs


class Policies(InputModel):
    """The whole file."""

    allow_beta: Flag = Field(default=False, description="true lets this file use what only Graph's beta has")
    max_impact_pct: float | None = Field(
        default=None,
        ge=0,
        le=100,
        description="the share of an organisation's devices that may become non-compliant without --accept-impact",
    )
    policies: list[Policy] = Field(min_length=1, description="one entry a policy")


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """A policy, its actions and its assignments, entry by entry; those of other organisations than ``--org`` rest."""
    for source, document in inputs.documents(Policies):
        beta = options.allow_beta or document.allow_beta
        for index, policy in enumerate(document.policies):
            origin = Origin(source.name, f"policies[{index}]")
            if options.org not in ("", policy.org):
                continue
            refused = {} if beta else policy.needs_beta
            for name, what in refused.items():
                message = f"{what} exists in Graph's beta only: set allow_beta: true in the file, or --allow-beta"
                inputs.problems.add(source.name, f"{origin.place}.{name}", "needs-beta", message)
            if refused:
                continue
            body = {"@odata.type": f"#microsoft.graph.{PLATFORMS[policy.platform]}", **policy.settings}
            named = {"displayName": policy.key, RULES: []}
            if is_sound(inputs.problems, origin, {**body, **named}, KIND, "beta" if beta else "v1.0"):
                api = {"api": "beta"} if beta else {}
                yield from _policy(policy, document.max_impact_pct, origin, options, api)


def _policy(
    policy: Policy, max_pct: float | None, origin: Origin, options: PlanOptions, api: dict[str, str]
) -> Iterator[Desired]:
    actions = [scheduled_action("block", hours=policy.grace_hours)]
    if policy.notify_template:
        actions.append(scheduled_action("notification", template=policy.notify_template))
    created = {
        "@odata.type": f"#microsoft.graph.{PLATFORMS[policy.platform]}",
        "displayName": f"{policy.org} {policy.key}" if policy.org else policy.key,
        **_settings(policy, beta=bool(api)),
        RULES: rules_for(actions),
    }
    impact = {
        "floors": policy.os_floor or [],
        "encrypted": bool(policy.bitlocker or policy.encryption),
        "include": policy.assign.named(),
        "exclude": list(policy.assign.exclude),
        "max_pct": max_pct,
    }
    ours = {"recipe": NAME, "once": ["displayName", RULES], **api}
    yield Desired(
        kind=KIND,
        key=policy.key,
        origin=origin,
        properties={**created, **ours},
        rails={"impact": impact, "org": policy.org},
    )
    below = {"policy": policy.key, **api}
    yield Desired(kind=f"{KIND}.actions", key=policy.key, origin=origin, properties={"actions": actions, **below})
    yield from assignment(KIND, policy.key, policy.assign, origin, options, api)


def _settings(policy: Policy, *, beta: bool) -> dict[str, Any]:
    floors = policy.os_floor or []
    several = len(floors) > 1
    settings: dict[str, Any] = {
        "bitLockerEnabled": policy.bitlocker,
        "secureBootEnabled": policy.secure_boot,
        "storageRequireEncryption": policy.encryption,
        "defenderEnabled": policy.defender,
    }
    settings = {name: value for name, value in settings.items() if value is not None}
    if floors:
        settings["osMinimumVersion"] = None if several else floors[0]
    if beta and policy.platform == WINDOWS:
        settings["validOperatingSystemBuildRanges"] = [_range(floor) for floor in floors] if several else []
    return {**policy.settings, **settings}


def _range(floor: str) -> dict[str, str]:
    """From the floor to the end of its branch, both included."""
    return {"lowestVersion": floor, "highestVersion": f"{floor.rpartition('.')[0]}.{LARGEST}"}


RECIPE = Recipe(
    name=NAME,
    summary="Compliance policies of Intune: operating system floor, encryption, grace, assignments, impact first",
    permissions=(
        "DeviceManagementConfiguration.ReadWrite.All",
        "DeviceManagementManagedDevices.Read.All",
        "Group.Read.All",
    ),
    desired=desired,
    template="compliance.yaml",
    models=(Policies,),
    options=("org", "mode", "adopt", "create_groups", "allow_beta"),
    rails=(
        "what only Graph's beta has needs allow_beta",
        "two live policies with one marker: that policy is blocked",
        "more of an organisation's devices below the floor than max_impact_pct need --accept-impact",
    ),
)
