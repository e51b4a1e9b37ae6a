"""What bodies may hold: types, enumerations and path segments of Microsoft Graph.

``data/schema.json`` is generated from the v1.0 CSDL (its head names source and date); what CSDL does not say, and
the few beta properties that recipes use, are listed by hand below.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from graphkit.sandbox.call import Json, Refusal, bad_request

_TABLE: dict[str, Any] = json.loads(
    files("graphkit.sandbox").joinpath("data/schema.json").read_text(encoding="utf-8"),
)

BETA_PROPERTIES: dict[str, dict[str, str]] = {
    # learn.microsoft.com/graph/api/resources/conditionalaccessconditionset?view=graph-rest-beta
    "conditionalAccessConditionSet": {
        "agents": "conditionalAccessAgents",
        "agentContext": "conditionalAccessAgentContext",
        "agentIdRiskLevels": "conditionalAccessAgentIdRiskLevels",
        "deviceStates": "conditionalAccessDeviceStates",
        "times": "conditionalAccessTimes",
    },
    "conditionalAccessClientApplications": {
        "includeAgentIdServicePrincipals": "*String",
        "excludeAgentIdServicePrincipals": "*String",
        "agentIdServicePrincipalFilter": "conditionalAccessFilter",
    },
    "conditionalAccessDevices": {
        "includeDeviceStates": "*String",
        "excludeDeviceStates": "*String",
        "includeDevices": "*String",
        "excludeDevices": "*String",
    },
    "conditionalAccessApplications": {"networkAccess": "String", "globalSecureAccess": "String"},
    "conditionalAccessSessionControls": {
        "continuousAccessEvaluation": "continuousAccessEvaluationSessionControl",
        "globalSecureAccessFilteringProfile": "globalSecureAccessFilteringProfileSessionControl",
    },
    # learn.microsoft.com/graph/api/resources/intune-deviceconfig-windows10compliancepolicy?view=graph-rest-beta
    "deviceCompliancePolicy": {"roleScopeTagIds": "*String"},
    "windows10CompliancePolicy": {
        "validOperatingSystemBuildRanges": "*operatingSystemVersionRange",
        "defenderEnabled": "Boolean",
        "defenderVersion": "String",
        "signatureOutOfDate": "Boolean",
        "rtpEnabled": "Boolean",
        "antivirusRequired": "Boolean",
        "antiSpywareRequired": "Boolean",
        "activeFirewallRequired": "Boolean",
        "tpmRequired": "Boolean",
        "deviceThreatProtectionEnabled": "Boolean",
        "deviceThreatProtectionRequiredSecurityLevel": "String",
        "configurationManagerComplianceRequired": "Boolean",
        "deviceCompliancePolicyScript": "Untyped",
        "wslDistributions": "*Untyped",
    },
    "deviceAndAppManagementAssignmentTarget": {
        "deviceAndAppManagementAssignmentFilterId": "String",
        "deviceAndAppManagementAssignmentFilterType": "String",
    },
    "signInActivity": {},
}
BETA_TYPES: dict[str, dict[str, Any]] = {
    "conditionalAccessAgents": {"properties": {"includeAgentUsers": "*String", "excludeAgentUsers": "*String"}},
    "conditionalAccessAgentContext": {
        "properties": {"includeAgentContexts": "*String", "excludeAgentContexts": "*String"}
    },
    "conditionalAccessDeviceStates": {"properties": {"includeStates": "*String", "excludeStates": "*String"}},
    "conditionalAccessTimes": {"properties": {"includedRanges": "*Untyped", "excludedRanges": "*Untyped"}},
    "continuousAccessEvaluationSessionControl": {"properties": {"mode": "continuousAccessEvaluationMode"}},
    "globalSecureAccessFilteringProfileSessionControl": {
        "base": "conditionalAccessSessionControl",
        "properties": {"profileId": "String"},
    },
    "compliantNetworkNamedLocation": {
        "base": "namedLocation",
        "properties": {"compliantNetworkType": "compliantNetworkType", "isTrusted": "Boolean"},
    },
    "operatingSystemVersionRange": {
        "properties": {"description": "String", "lowestVersion": "String", "highestVersion": "String"}
    },
}
BETA_ENUMS: dict[str, Json] = {
    "conditionalAccessAgentIdRiskLevels": {
        "members": ["low", "medium", "high", "unknownFutureValue"],
        "flags": True,
    },
    "continuousAccessEvaluationMode": {
        "members": ["strictEnforcement", "disabled", "unknownFutureValue", "strictLocation"],
        "flags": False,
    },
    "compliantNetworkType": {"members": ["allTenantCompliantNetworks", "unknownFutureValue"], "flags": False},
}

READ_ONLY: dict[str, frozenset[str]] = {
    # The "Read-only" marks of the resource pages: api-reference/v1.0/resources/user.md, group.md, team.md, channel.md
    "user": frozenset(
        [
            "assignedLicenses",
            "assignedPlans",
            "createdDateTime",
            "deletedDateTime",
            "id",
            "licenseAssignmentStates",
            "provisionedPlans",
            "proxyAddresses",
            "securityIdentifier",
            "signInActivity",
        ]
    ),
    "group": frozenset(
        [
            "assignedLicenses",
            "createdDateTime",
            "deletedDateTime",
            "hasMembersWithLicenseErrors",
            "id",
            "licenseProcessingState",
            "mail",
            "onPremisesSyncEnabled",
            "proxyAddresses",
            "renewedDateTime",
            "securityIdentifier",
        ]
    ),
    "team": frozenset(["createdDateTime", "id", "internalId", "tenantId", "webUrl", "isArchived"]),
    "channel": frozenset(["createdDateTime", "email", "id", "tenantId", "webUrl"]),
    "conditionalAccessPolicy": frozenset(["createdDateTime", "modifiedDateTime", "id", "deletedDateTime"]),
    "namedLocation": frozenset(["createdDateTime", "modifiedDateTime", "id", "deletedDateTime"]),
    "deviceCompliancePolicy": frozenset(["createdDateTime", "lastModifiedDateTime", "id", "version"]),
}

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Type(NamedTuple):
    """A type with everything it inherits; ``properties`` maps names to types (see ``data/generate.py``)."""

    name: str
    properties: dict[str, str]
    open: bool


def first_value(declared: str) -> str | None:
    """The first member of an enumeration that cannot be null; ``None`` for any other type."""
    enum = _TABLE["enums"].get(declared[:-1]) if declared.endswith("!") else None
    return str(enum["members"][0]) if enum else None


def is_guid(text: object) -> bool:
    return isinstance(text, str) and _GUID.fullmatch(text) is not None


@cache
def find_type(name: str, version: str = "v1.0") -> Type | None:
    """The flattened type, or ``None`` if this version does not know it."""
    own = _TABLE["types"].get(name) or (BETA_TYPES.get(name) if version == "beta" else None)
    if own is None:
        return None
    base = find_type(own["base"], version) if own.get("base") else None
    properties = dict(base.properties) if base else {}
    properties.update(own["properties"])
    if version == "beta":
        properties.update(BETA_PROPERTIES.get(name, {}))
    # directoryObject descendants are open in CSDL for schema extensions only; the service refuses unknown names.
    is_open = bool(own.get("open")) and name not in ("user", "group", "team")
    return Type(name, properties, is_open)


@cache
def descends_from(name: str, ancestor: str) -> bool:
    own = _TABLE["types"].get(name) or BETA_TYPES.get(name) or {}
    return name == ancestor or (bool(own.get("base")) and descends_from(own["base"], ancestor))


def type_of(body: Json, expected: str, version: str) -> Type:
    """The type that a body claims by ``@odata.type``, which must descend from the one expected here."""
    name = str(body.get("@odata.type") or expected).removeprefix("#").removeprefix("microsoft.graph.")
    found = find_type(name, version)
    if found is None or not descends_from(name, expected):
        raise bad_request(
            f"A type named 'microsoft.graph.{name}' could not be resolved by the model. "
            "When a model is available, each type name must resolve to a valid type.",
            "BadRequest",
        )
    return found


def check(body: Json, expected: str, version: str, *, code: str = "Request_BadRequest") -> Type:
    """Refuses unknown properties, wrong types and wrong enumeration values, at any depth."""
    found = type_of(body, expected, version)
    for name, value in body.items():
        if "@" in name:
            continue  # annotations and binds: the latter are the handler's business
        declared = found.properties.get(name)
        if declared is None:
            if found.open and not name.startswith("#"):
                continue
            raise bad_request(
                f"The property '{name}' does not exist on type 'microsoft.graph.{found.name}'. Make sure to only use "
                "property names that are defined by the type or mark the type as open type.",
                code,
            )
        _check_value(name, value, declared, version, code)
    return found


def as_seen(item: Json, type_name: str, version: str) -> Json:
    """An object as one version shows it: v1.0 keeps quiet about what only beta knows."""
    claimed = str(item.get("@odata.type") or type_name).removeprefix("#").removeprefix("microsoft.graph.")
    found = find_type(claimed, version) or find_type(type_name, version)
    if found is None or found.open:
        return item
    shown: Json = {}
    for name, value in item.items():
        declared = found.properties.get(name)
        if declared is not None:
            shown[name] = as_seen(value, declared.strip("*>!"), version) if isinstance(value, dict) else value
        elif name == "@odata.type":
            shown[name] = f"#microsoft.graph.{found.name}"
    return shown


def check_writable(body: Json, found: Type, *, code: str = "Request_BadRequest") -> None:
    """Refuses properties that only the service may set."""
    for owner, names in READ_ONLY.items():
        wrong = names.intersection(body) if descends_from(found.name, owner) else None
        if wrong:
            raise bad_request(f"Property '{min(wrong)}' is read-only and cannot be set.", code)


def _check_value(name: str, value: Any, declared: str, version: str, code: str) -> None:
    kind = declared.lstrip(">").rstrip("!")
    if kind.startswith("*"):
        if not isinstance(value, list):
            if value is None and not declared.endswith("!"):
                return
            raise _wrong(name, kind, code)
        for item in value:
            _check_one(name, item, kind[1:], version, code)
    elif value is None:
        # CSDL's Nullable="false" marks are not enforced on writes by the directory; handlers check what is required.
        return
    else:
        _check_one(name, value, kind, version, code)


_PRIMITIVES: dict[str, type | tuple[type, ...]] = {
    "String": str,
    "Boolean": bool,
    "DateTimeOffset": str,
    "Date": str,
    "TimeOfDay": str,
    "Duration": str,
    "Binary": str,
    "Guid": str,
    "Int16": int,
    "Int32": int,
    "Int64": int,
    "Byte": int,
    "Double": (int, float),
    "Single": (int, float),
    "Decimal": (int, float, str),
}


def _check_one(name: str, value: Any, kind: str, version: str, code: str) -> None:
    wanted = _PRIMITIVES.get(kind)
    if wanted is not None:
        if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
            raise _wrong(name, kind, code)
        if kind == "Guid" and not is_guid(value):
            raise _wrong(name, kind, code)
        return
    enum = _TABLE["enums"].get(kind) or (BETA_ENUMS.get(kind) if version == "beta" else None)
    if enum is not None:
        _check_enum(value, kind, enum)
    elif find_type(kind, version) is not None:
        if not isinstance(value, dict):
            raise _wrong(name, kind, code)
        check(value, kind, version, code=code)


def _check_enum(value: Any, kind: str, enum: Json) -> None:
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) and enum["flags"] else [value]
    if any(part not in enum["members"] for part in parts):
        raise bad_request(
            f"Cannot convert the literal '{value}' to the expected type 'microsoft.graph.{kind}'. "
            f"Requested value '{value}' was not found.",
            "BadRequest",
        )


def _wrong(name: str, kind: str, code: str) -> Refusal:
    return bad_request(f"Cannot convert a value of property '{name}' to the expected type '{kind}'.", code)


def is_real_path(names: list[str]) -> str:
    """Empty if v1.0 has a path of these segments, else the segment at which it ends."""
    table: dict[str, dict[str, str]] = _TABLE["segments"]
    current = ""
    for index, name in enumerate(names):
        found = _segment(table, current, name.removeprefix("microsoft.graph."))
        if found is not None:
            current = found
        elif index and current.endswith("*"):
            current = current[:-1]  # a key
        elif index and (name.startswith("$") or name.startswith("microsoft.graph.")):
            continue
        else:
            return name
    return ""


def _segment(table: dict[str, dict[str, str]], current: str, name: str) -> str | None:
    owner: str | None = current
    while owner is not None:
        row = table.get(owner, {})
        for known, target in row.items():
            if known.lower() == name.lower() and known != ":base":
                return target
        base = row.get(":base")
        owner = base if base is not None and not owner.endswith("*") else None
    return None
