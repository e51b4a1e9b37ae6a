"""devices.app-protection: how apps on phones keep an organisation's data to themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import Flag, InputModel, Key, Org
from graphkit.recipe import Inputs, Recipe
from graphkit.resources.managed_apps import identifier
from recipes.devices.assign import Assign, assignment
from recipes.devices.sound import is_sound

NAME = "devices.app-protection"
KINDS = {"iOS": "iosManagedAppProtection", "android": "androidManagedAppProtection"}
Level = Literal["allApps", "managedApps", "none"]
Clipboard = Literal["allApps", "managedAppsWithPasteIn", "managedApps", "blocked"]


class Pin(InputModel):
    """The PIN that an app asks for."""

    required: Flag | None = Field(default=None, description="true or false")
    length: int | None = Field(default=None, ge=4, le=16, description="digits or characters at least")
    simple: Flag | None = Field(default=None, description="true: 1234 and the like are allowed")
    retries: int | None = Field(default=None, ge=1, le=65535, description="wrong PINs until it must be set anew")
    characters: Literal["numeric", "alphanumericAndSymbol"] | None = Field(
        default=None, description="numeric or alphanumericAndSymbol"
    )

    def body(self) -> dict[str, Any]:
        return {
            "pinRequired": self.required,
            "minimumPinLength": self.length,
            "simplePinBlocked": None if self.simple is None else not self.simple,
            "maximumPinRetries": self.retries,
            "pinCharacterSet": self.characters,
        }


class Data(InputModel):
    """Where an organisation's data may go."""

    receive_from: Level | None = Field(default=None, description="allApps, managedApps or none")
    send_to: Level | None = Field(default=None, description="allApps, managedApps or none")
    clipboard: Clipboard | None = Field(
        default=None, description="allApps, managedAppsWithPasteIn, managedApps or blocked"
    )
    save_as: Flag | None = Field(default=None, description="true: copies may be saved elsewhere")
    backup: Flag | None = Field(default=None, description="true: it may be part of the device's backup")
    printing: Flag | None = Field(default=None, description="true: it may be printed")
    contacts: Flag | None = Field(
        default=None, description="true: contacts may be synchronised to the device's own app"
    )

    def body(self) -> dict[str, Any]:
        allowed = {
            "saveAsBlocked": self.save_as,
            "dataBackupBlocked": self.backup,
            "printBlocked": self.printing,
            "contactSyncBlocked": self.contacts,
        }
        return {
            "allowedInboundDataTransferSources": self.receive_from,
            "allowedOutboundDataTransferDestinations": self.send_to,
            "allowedOutboundClipboardSharingLevel": self.clipboard,
            **{name: None if value is None else not value for name, value in allowed.items()},
        }


class Access(InputModel):
    """What an app checks before it opens."""

    offline_hours: int | None = Field(default=None, ge=0, description="hours offline until access is checked")
    wipe_offline_days: int | None = Field(
        default=None, ge=1, description="days offline until the data is wiped (--confirm)"
    )
    compliant: Flag | None = Field(default=None, description="true: the device must comply")
    min_os: str | None = Field(default=None, description="lowest version of the operating system")
    min_app: str | None = Field(default=None, description="lowest version of the app")

    def body(self) -> dict[str, Any]:
        return {
            "periodOfflineBeforeAccessCheck": None if self.offline_hours is None else f"PT{self.offline_hours}H",
            "periodOfflineBeforeWipeIsEnforced": (
                None if self.wipe_offline_days is None else f"P{self.wipe_offline_days}D"
            ),
            "deviceComplianceRequired": self.compliant,
            "minimumRequiredOsVersion": self.min_os,
            "minimumRequiredAppVersion": self.min_app,
        }


class Policy(InputModel):
    """One app protection policy. What is not named stays as it is."""

    key: Key = Field(
        pattern=r"^[^\[\]/\s]+$", description="names the policy for graphkit; kept in the last line of its description"
    )
    org: Org | None = Field(
        default=None, description="organisation code; for --org, and first word of the new policy's name"
    )
    platform: Literal["iOS", "android"] = Field(description="iOS or android")
    pin: Pin = Field(default_factory=Pin, description="required, length, simple, retries, characters")
    data: Data = Field(default_factory=Data, description="receive_from, send_to, clipboard, save_as, backup ...")
    access: Access = Field(default_factory=Access, description="offline_hours, wipe_offline_days, min_os ...")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="further settings by Graph's own names, such as faceIdBlocked: true"
    )
    apps: list[str] = Field(default_factory=list, description="bundle ids (iOS) or packages (Android) that it is for")
    assign: Assign = Field(default_factory=Assign, description="include and exclude")

    def body(self) -> dict[str, Any]:
        named = {**self.pin.body(), **self.data.body(), **self.access.body()}
        given = {name: value for name, value in named.items() if value is not None}
        title = f"{self.org} {self.key}" if self.org else self.key
        return {
            "@odata.type": f"#microsoft.graph.{KINDS[self.platform]}",
            "displayName": title,
            **self.settings,
            **given,
        }


class Policies(InputModel):
    """The whole file."""

    allow_beta: Flag = Field(default=False, description="true lets this file use what only Graph's beta has")
    policies: list[Policy] = Field(min_length=1, description="one entry a policy")


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """A policy, its apps and its assignments, entry by entry; those of other organisations than ``--org`` rest."""
    for source, document in inputs.documents(Policies):
        beta = options.allow_beta or document.allow_beta
        for index, policy in enumerate(document.policies):
            origin = Origin(source.name, f"policies[{index}]")
            if options.org not in ("", policy.org):
                continue
            if policy.assign.filtered and not beta:
                message = "an assignment filter exists in Graph's beta only: allow_beta: true, or --allow-beta"
                inputs.problems.add(source.name, f"{origin.place}.assign", "needs-beta", message)
            elif is_sound(inputs.problems, origin, policy.body(), KINDS[policy.platform], "beta" if beta else "v1.0"):
                yield from _policy(policy, origin, options, {"api": "beta"} if beta else {})


def _policy(policy: Policy, origin: Origin, options: PlanOptions, api: dict[str, Any]) -> Iterator[Desired]:
    kind = KINDS[policy.platform]
    ours = {"recipe": NAME, "once": ["displayName"], **api}
    yield Desired(kind=kind, key=policy.key, origin=origin, properties={**policy.body(), **ours})
    if policy.apps:
        apps = {"apps": [identifier(kind, app) for app in policy.apps], "policy": policy.key, **api}
        yield Desired(kind=f"{kind}.apps", key=policy.key, origin=origin, properties=apps)
    yield from assignment(kind, policy.key, policy.assign, origin, options, api)


RECIPE = Recipe(
    name=NAME,
    summary="App protection on iOS and Android: PIN, where data may go, which apps, for whom",
    permissions=("DeviceManagementApps.ReadWrite.All", "Group.Read.All"),
    desired=desired,
    template="app_protection.yaml",
    models=(Policies,),
    options=("org", "mode", "adopt", "create_groups", "allow_beta"),
)
