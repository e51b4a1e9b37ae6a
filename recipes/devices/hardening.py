"""devices.hardening: BitLocker, firewall, SmartScreen and attack surface reduction of Windows, carefully."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, field_validator

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import PlanOptions
from graphkit.inputs.types import Flag, InputModel, Key, Org
from graphkit.recipe import Inputs, Recipe
from recipes.devices.assign import Assign, assignment
from recipes.devices.sound import is_sound

NAME = "devices.hardening"
KIND, CATALOG = "deviceConfiguration", "deviceManagementConfigurationPolicy"
TYPE = "#microsoft.graph.windows10EndpointProtectionConfiguration"
AUDIT_DAYS = 7
RULES = (
    "blockabuseofexploitedvulnerablesigneddrivers",
    "blockadobereaderfromcreatingchildprocesses",
    "blockallofficeapplicationsfromcreatingchildprocesses",
    "blockcredentialstealingfromwindowslocalsecurityauthoritysubsystem",
    "blockexecutablecontentfromemailclientandwebmail",
    "blockexecutablefilesrunningunlesstheymeetprevalenceagetrustedlistcriterion",
    "blockexecutionofpotentiallyobfuscatedscripts",
    "blockjavascriptorvbscriptfromlaunchingdownloadedexecutablecontent",
    "blockofficeapplicationsfromcreatingexecutablecontent",
    "blockofficeapplicationsfrominjectingcodeintootherprocesses",
    "blockofficecommunicationappfromcreatingchildprocesses",
    "blockpersistencethroughwmieventsubscription",
    "blockprocesscreationsfrompsexecandwmicommands",
    "blockuntrustedunsignedprocessesthatrunfromusb",
    "blockwin32apicallsfromofficemacros",
    "useadvancedprotectionagainstransomware",
)
"""Ends of the definitions' ids, as published exports of the settings catalog have them (observed)."""
_ROOT = "device_vendor_msft_policy_config_defender_attacksurfacereductionrules"
_SETTING = "#microsoft.graph.deviceManagementConfiguration"

Mode = Literal["off", "audit", "warn", "block"]
Method = Literal["aesCbc128", "aesCbc256", "xtsAes128", "xtsAes256"]


class Removable(InputModel):
    """BitLocker on removable drives."""

    method: Method | None = Field(default=None, description="cipher: aesCbc128, aesCbc256, xtsAes128 or xtsAes256")
    require: Flag = Field(default=False, description="true: only encrypted drives may be written to")
    own_only: Flag = Field(default=False, description="true: drives of other organisations may not be written to")

    def body(self) -> dict[str, Any]:
        method = {"encryptionMethod": self.method} if self.method else {}
        return {
            **method,
            "requireEncryptionForWriteAccess": self.require,
            "blockCrossOrganizationWriteAccess": self.own_only,
        }


class Bitlocker(InputModel):
    """BitLocker."""

    require: Flag = Field(default=True, description="true: devices are encrypted; waits until recovery keys are held")
    silent: Flag | None = Field(
        default=None, description="true: nobody is asked about other encryption that may be there"
    )
    removable: Removable | None = Field(default=None, description="removable drives: method, require, own_only")

    def body(self) -> dict[str, Any]:
        named = {
            "bitLockerEncryptDevice": self.require,
            "bitLockerDisableWarningForOtherDiskEncryption": self.silent,
            "bitLockerRemovableDrivePolicy": self.removable.body() if self.removable else None,
        }
        return {name: value for name, value in named.items() if value is not None}


class Firewall(InputModel):
    """The firewall, by kind of network."""

    domain: Flag | None = Field(default=None, description="true or false: on in networks of the domain")
    private: Flag | None = Field(default=None, description="true or false: on in private networks")
    public: Flag | None = Field(default=None, description="true or false: on in public networks")
    block_inbound: Flag | None = Field(default=None, description="true: what comes unasked is blocked in all of them")

    def body(self) -> dict[str, Any]:
        profiles = {"Domain": self.domain, "Private": self.private, "Public": self.public}
        inbound = {} if self.block_inbound is None else {"inboundConnectionsBlocked": self.block_inbound}
        return {
            f"firewallProfile{name}": {"firewallEnabled": "allowed" if on else "blocked", **inbound}
            for name, on in profiles.items()
            if on is not None
        }


class SmartScreen(InputModel):
    """SmartScreen for apps and files."""

    enabled: Flag = Field(default=True, description="true or false")
    block_override: Flag | None = Field(default=None, description="true: its warning cannot be passed over")

    def body(self) -> dict[str, Any]:
        named = {"smartScreenEnableInShell": self.enabled, "smartScreenBlockOverrideForFiles": self.block_override}
        return {name: value for name, value in named.items() if value is not None}


class Asr(InputModel):
    """Attack surface reduction. A rule that is to block audits first; --promote KEY turns it on after its days."""

    mode: Mode | None = Field(default=None, description="of every rule that is not named: off, audit, warn or block")
    rules: dict[str, Mode] = Field(default_factory=dict, description="rule to mode; rules by the end of their id")
    audit_days: int = Field(default=AUDIT_DAYS, ge=0, description="days that a rule only audits before it may block")

    @field_validator("rules")
    @classmethod
    def _known(cls, rules: dict[str, Mode]) -> dict[str, Mode]:
        if unknown := sorted(set(rules) - set(RULES)):
            raise ValueError(f"names no rule that is known: {', '.join(unknown)}; known: {', '.join(RULES)}")
        return rules

    def modes(self) -> dict[str, Mode]:
        every: dict[str, Mode] = dict.fromkeys(RULES, self.mode) if self.mode else {}
        return {**every, **self.rules}


class Policy(InputModel):
    """One set of hardening: an endpoint protection profile, and for the rules a policy of the settings catalog."""

    key: Key = Field(pattern=r"^[^\[\]/\s]+$", description="names the policies for graphkit, and for --promote")
    org: Org | None = Field(
        default=None, description="organisation code; for --org, and first word of new policies' names"
    )
    bitlocker: Bitlocker | None = Field(default=None, description="require, silent, removable")
    firewall: Firewall | None = Field(default=None, description="domain, private, public, block_inbound")
    smartscreen: SmartScreen | None = Field(default=None, description="enabled, block_override")
    asr: Asr | None = Field(default=None, description="attack surface reduction: mode, rules, audit_days (beta)")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="further settings of endpoint protection by Graph's own names"
    )
    assign: Assign = Field(default_factory=Assign, description="include and exclude")

    def protection(self) -> dict[str, Any]:
        parts = [part.body() for part in (self.bitlocker, self.firewall, self.smartscreen) if part]
        merged = {name: value for part in (self.settings, *parts) for name, value in part.items()}
        return {"@odata.type": TYPE, "displayName": self.title, **merged} if merged else {}

    @property
    def title(self) -> str:
        return f"{self.org} {self.key}" if self.org else self.key


class Policies(InputModel):
    """The whole file."""

    allow_beta: Flag = Field(default=False, description="true lets this file use what only Graph's beta has")
    policies: list[Policy] = Field(min_length=1, description="one entry a set of hardening")


def desired(inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """Profile, rules and their assignments, entry by entry; those of other organisations than ``--org`` rest."""
    promotable: set[str] = set()
    for source, document in inputs.documents(Policies):
        beta = options.allow_beta or document.allow_beta
        for index, policy in enumerate(document.policies):
            origin = Origin(source.name, f"policies[{index}]")
            promotable.update([policy.key] if policy.asr else [])
            if options.org not in ("", policy.org):
                continue
            for name in _needing_beta(policy) if not beta else ():
                message = "exists in Graph's beta only: set allow_beta: true in the file, or --allow-beta"
                inputs.problems.add(source.name, f"{origin.place}.{name}", "needs-beta", message)
            if beta or not _needing_beta(policy):
                yield from _protection(policy, origin, options, inputs, beta=beta)
                yield from _rules(policy, origin, options)
    for key in sorted(set(options.promote) - promotable):
        message = f"--promote {key}: the input has no policy of that key with asr"
        inputs.problems.add(inputs.sources[0].name if inputs.sources else "", "", "unknown-key", message)


def _needing_beta(policy: Policy) -> list[str]:
    return [name for name, needed in (("asr", policy.asr), ("assign", policy.assign.filtered)) if needed]


def _protection(
    policy: Policy, origin: Origin, options: PlanOptions, inputs: Inputs, *, beta: bool
) -> Iterator[Desired]:
    body = policy.protection()
    if not body or not is_sound(inputs.problems, origin, body, KIND, "beta" if beta else "v1.0"):
        return
    api = {"api": "beta"} if beta else {}
    audience = {"include": policy.assign.named(), "exclude": list(policy.assign.exclude)}
    rails = {"escrow": audience} if body.get("bitLockerEncryptDevice") else {}
    ours = {"recipe": NAME, "once": ["displayName"], **api}
    yield Desired(kind=KIND, key=policy.key, origin=origin, properties={**body, **ours}, rails=rails)
    yield from assignment(KIND, policy.key, policy.assign, origin, options, api)


def _rules(policy: Policy, origin: Origin, options: PlanOptions) -> Iterator[Desired]:
    if policy.asr is None:
        return
    body = {
        "name": f"{policy.title} attack surface reduction",
        "platforms": "windows10",
        "technologies": "mdm",
        "settings": [_group([_choice(rule, mode) for rule, mode in sorted(policy.asr.modes().items())])],
    }
    ladder = {"days": policy.asr.audit_days, "promote": policy.key in options.promote}
    yield Desired(
        kind=CATALOG,
        key=policy.key,
        origin=origin,
        properties={**body, "recipe": NAME, "once": ["name"]},
        rails={"ladder": ladder, "note": "through Graph beta"},
    )
    yield from assignment(CATALOG, policy.key, policy.assign, origin, options, {})


def _group(children: list[dict[str, Any]]) -> dict[str, Any]:
    value = {"@odata.type": f"{_SETTING}GroupSettingValue", "children": children}
    instance = {
        "@odata.type": f"{_SETTING}GroupSettingCollectionInstance",
        "settingDefinitionId": _ROOT,
        "groupSettingCollectionValue": [value],
    }
    return {"@odata.type": f"{_SETTING}Setting", "settingInstance": instance}


def _choice(rule: str, mode: Mode) -> dict[str, Any]:
    definition = f"{_ROOT}_{rule}"
    value = {"@odata.type": f"{_SETTING}ChoiceSettingValue", "value": f"{definition}_{mode}", "children": []}
    kind = f"{_SETTING}ChoiceSettingInstance"
    return {"@odata.type": kind, "settingDefinitionId": definition, "choiceSettingValue": value}


RECIPE = Recipe(
    name=NAME,
    summary="BitLocker, firewall, SmartScreen, attack surface reduction: audit first, recovery keys held before",
    permissions=(
        "DeviceManagementConfiguration.ReadWrite.All",
        "DeviceManagementManagedDevices.Read.All",
        "BitlockerKey.ReadBasic.All",
        "Group.Read.All",
    ),
    desired=desired,
    template="hardening.yaml",
    models=(Policies,),
    options=("org", "mode", "adopt", "promote", "create_groups", "allow_beta"),
    trial=PlanOptions(accept_impact=True),
)
