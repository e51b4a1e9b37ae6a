"""Makes ``schema.json`` from the CSDL of Microsoft Graph: ``python generate.py v1.0-Prod.csdl.gz 2026-08-20``.

Two tables come out: the properties and enumerations of the types that the simulated tenant models, and the path
segments of all of v1.0, by which a real path that is not modelled (501) is told from one that does not exist (400).
"""

from __future__ import annotations

import gzip
import json
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
SOURCE = "microsoftgraph/msgraph-metadata schemas/v1.0-Prod.csdl"

# By area: directory, licences, authentication, conditional access, teams, devices, app protection, enrolment, roles.
MODELLED = """
    user group device orgContact directoryObject organization domain invitation groupSetting groupSettingTemplate
    groupLifecyclePolicy administrativeUnit application servicePrincipal appRoleAssignment oAuth2PermissionGrant
    directoryRole directoryRoleTemplate unifiedRoleAssignment unifiedRoleDefinition signIn adminReportSettings
    subscribedSku licenseDetails
    authenticationMethodsPolicy authenticationMethodConfiguration authenticationMethodTarget authenticationMethod
    userRegistrationDetails temporaryAccessPassAuthenticationMethod authenticationContextClassReference
    authenticationStrengthPolicy authenticationCombinationConfiguration authorizationPolicy
    crossTenantAccessPolicy crossTenantAccessPolicyConfigurationDefault crossTenantAccessPolicyConfigurationPartner
    crossTenantIdentitySyncPolicyPartner
    conditionalAccessPolicy ipNamedLocation countryNamedLocation namedLocation ipRange agreement
    conditionalAccessExternalTenants conditionalAccessSessionControl identitySecurityDefaultsEnforcementPolicy
    team deletedTeam channel conversationMember aadUserConversationMember teamsAsyncOperation teamsTemplate
    actionResultPart aadUserConversationMemberResult teamsApp teamsAppInstallation
    deviceCompliancePolicy deviceCompliancePolicyAssignment deviceComplianceScheduledActionForRule
    deviceComplianceActionItem deviceComplianceDeviceStatus deviceComplianceUserStatus deviceComplianceDeviceOverview
    deviceConfiguration deviceConfigurationAssignment deviceConfigurationDeviceStatus deviceConfigurationUserStatus
    deviceConfigurationDeviceOverview deviceAndAppManagementAssignmentTarget
    deviceManagement managedDevice deviceCompliancePolicyState bitlockerRecoveryKey deviceManagementExportJob
    notificationMessageTemplate localizedNotificationMessage
    managedAppPolicy managedMobileApp mobileAppIdentifier targetedManagedAppPolicyAssignment
    importedWindowsAutopilotDeviceIdentity windowsAutopilotDeviceIdentity
    roleAssignment deviceAndAppManagementRoleAssignment roleDefinition deviceAndAppManagementRoleDefinition
"""
FAMILIES = """
    deviceCompliancePolicy deviceConfiguration deviceAndAppManagementAssignmentTarget namedLocation ipRange
    conditionalAccessExternalTenants conversationMember authenticationMethodConfiguration authenticationMethodTarget
    authenticationMethod authenticationCombinationConfiguration managedAppPolicy mobileAppIdentifier actionResultPart
"""
"""Types whose descendants are wanted too: the body chooses among them by ``@odata.type``."""


def short(name: str) -> str:
    return name.removeprefix("microsoft.graph.").removeprefix("graph.").removeprefix("Edm.")


def typed(text: str) -> tuple[str, bool]:
    """``Collection(graph.user)`` -> ``("user", True)``."""
    inner = text.removeprefix("Collection(").removesuffix(")")
    return short(inner), inner != text


def read(path: Path) -> ET.Element:
    with gzip.open(path) as file:
        return ET.parse(file).getroot()  # noqa: S314 - see above


def definitions(root: ET.Element) -> Iterator[tuple[str, ET.Element]]:
    for schema in root.iter(f"{EDM}Schema"):
        for element in schema:
            if element.get("Name"):
                yield short(f"{schema.get('Namespace')}.{element.get('Name')}"), element


def describe(element: ET.Element) -> dict[str, Any]:
    """One type: its base, whether it is open, and ``name -> type``; ``!`` = not nullable, ``>`` = navigation."""
    properties = {}
    for child in element:
        if child.tag in (f"{EDM}Property", f"{EDM}NavigationProperty"):
            name, many = typed(child.get("Type", ""))
            mark = ">" if child.tag == f"{EDM}NavigationProperty" else ""
            end = "!" if child.get("Nullable") == "false" else ""
            properties[child.get("Name", "")] = f"{mark}{'*' if many else ''}{name}{end}"
    described: dict[str, Any] = {"properties": properties}
    if element.get("BaseType"):
        described["base"] = short(element.get("BaseType", ""))
    if element.get("OpenType") == "true":
        described["open"] = True
    return described


def closure(types: dict[str, ET.Element]) -> dict[str, Any]:
    """The modelled types and everything that their bodies may hold; what they merely link to is left out."""
    found: dict[str, Any] = {}
    wanted = [*MODELLED.split(), *(heir for name in FAMILIES.split() for heir in heirs(types, name))]
    while wanted:
        name = wanted.pop()
        if name in found or name not in types:
            continue
        found[name] = describe(types[name])
        wanted += [found[name].get("base", "")]
        wanted += [t.strip("*!") for t in found[name]["properties"].values() if not t.startswith(">")]
        if types[name].tag == f"{EDM}ComplexType":
            wanted += heirs(types, name)
    return found


def heirs(types: dict[str, ET.Element], ancestor: str) -> list[str]:
    """All descendants, however far down."""
    own = [name for name, element in types.items() if short(element.get("BaseType", "")) == ancestor]
    return own + [later for name in own for later in heirs(types, name)]


def segments(root: ET.Element) -> dict[str, dict[str, str]]:
    """``type -> segment -> type it leads to``; ``*`` marks collections, the empty type is the root."""
    table: dict[str, dict[str, str]] = {}
    for name, element in definitions(root):
        if element.tag == f"{EDM}EntityContainer":
            for child in element:
                many = child.tag == f"{EDM}EntitySet"
                target = short(child.get("EntityType" if many else "Type", ""))
                table.setdefault("", {})[child.get("Name", "")] = target + ("*" if many else "")
        elif element.tag in (f"{EDM}Action", f"{EDM}Function") and element.get("IsBound") == "true":
            add_operation(table, name, element)
        elif element.tag == f"{EDM}EntityType":
            row = table.setdefault(name, {})
            if element.get("BaseType"):
                row[":base"] = short(element.get("BaseType", ""))
            for child in element.findall(f"{EDM}NavigationProperty"):
                target, many = typed(child.get("Type", ""))
                row[child.get("Name", "")] = target + ("*" if many else "")
    return {name: row for name, row in table.items() if row}


def add_operation(table: dict[str, dict[str, str]], name: str, element: ET.Element) -> None:
    binding = element.find(f"{EDM}Parameter")
    if binding is None:
        return
    owner, many = typed(binding.get("Type", ""))
    returns = element.find(f"{EDM}ReturnType")
    target, lists = typed(returns.get("Type", "")) if returns is not None else ("", False)
    table.setdefault(owner + ("*" if many else ""), {})[name.rpartition(".")[2]] = target + ("*" if lists else "")


def dump(table: dict[str, Any]) -> str:
    """JSON with one row a line, so that new metadata reads as changed lines."""
    parts = []
    for key, value in table.items():
        if isinstance(value, dict):
            rows = ",\n".join(f"{json.dumps(n)}:{json.dumps(row, separators=(',', ':'))}" for n, row in value.items())
            parts.append(f"{json.dumps(key)}:{{\n{rows}\n}}")
        else:
            parts.append(f"{json.dumps(key)}:{json.dumps(value)}")
    return "{" + ",\n".join(parts) + "}\n"


def build(root: ET.Element, date: str) -> dict[str, Any]:
    named = list(definitions(root))
    types = {n: e for n, e in named if e.tag in (f"{EDM}EntityType", f"{EDM}ComplexType")}
    enums = {n: e for n, e in named if e.tag == f"{EDM}EnumType"}
    if unknown := sorted({*MODELLED.split(), *FAMILIES.split()} - types.keys()):
        raise SystemExit(f"not in the metadata: {', '.join(unknown)}")
    chosen = closure(types)
    used = {t.strip("*!>") for d in chosen.values() for t in d["properties"].values()}
    return {
        "source": SOURCE,
        "date": date,
        "types": dict(sorted(chosen.items())),
        "enums": {
            n: {"members": [m.get("Name") for m in e.findall(f"{EDM}Member")], "flags": e.get("IsFlags") == "true"}
            for n, e in sorted(enums.items())
            if n in used
        },
        "segments": dict(sorted(segments(root).items())),
    }


def main(source: Path, date: str) -> None:
    Path(__file__).with_name("schema.json").write_text(dump(build(read(source), date)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
