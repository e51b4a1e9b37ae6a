"""A set of Intune policies as Graph has them: exported from a tenant, or published by others.

Told by what they hold, not by where they stand: policies of any kind, the groups that they name, and the migration
table that exporters write (source id to displayName).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from graphkit.inputs.layouts import NOT_A_BODY, Body, Names, neighbours, read_bodies
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import Source
from graphkit.resources.intune import BY_KIND, Endpoint, endpoint_of, segments

BESIDE = ("Groups", "groups", "MigrationTable.json")
"""What exporters lay beside the folders of policies."""
LEGACY_INTENT = "legacy-intent"
_CONTEXT = re.compile(r"#deviceManagement/(\w+)|#deviceAppManagement/(\w+)", re.I)
_SEGMENTS = dict(segments())
_SHAPES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("windowsFeatureUpdateProfile", ("featureUpdateVersion",)),
    ("windowsQualityUpdateProfile", ("expeditedUpdateSettings",)),
    ("windowsDriverUpdateProfile", ("approvalType",)),
    ("windowsQualityUpdatePolicy", ("hotpatchEnabled",)),
    ("deviceManagementConfigurationPolicy", ("settings", "platforms")),
    ("deviceManagementConfigurationPolicy", ("settings", "technologies")),
    ("deviceManagementConfigurationPolicy", ("settings", "templateReference")),
    ("deviceAndAppManagementAssignmentFilter", ("rule", "platform")),
    ("groupPolicyConfiguration", ("definitionValues",)),
    ("groupPolicyConfiguration", ("policyConfigurationIngestionType",)),
    ("deviceCompliancePolicy", ("scheduledActionsForRule",)),
    ("deviceConfiguration", ("omaSettings",)),
)
"""By which properties a body that does not name its type is known."""


@dataclass(frozen=True, slots=True)
class Found:
    """A policy and the collection that it belongs to."""

    body: Body
    endpoint: Endpoint


@dataclass(slots=True)
class PublishedSet:
    policies: list[Found] = field(default_factory=list)
    names: Names = field(default_factory=Names)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What is told of groups, by displayName."""


def read_published(source: Source, problems: Problems) -> PublishedSet:
    """Everything in a file or folder, and what stands beside it for reference."""
    found = PublishedSet()
    for body in read_bodies(source, problems):
        _sort(found, body, problems)
    for neighbour in neighbours(source, BESIDE, problems):
        for body in read_bodies(neighbour, Problems()):
            _learn(found, body.value)
    return found


def _sort(found: PublishedSet, body: Body, problems: Problems) -> None:
    if _learn(found, body.value):
        return
    body = _template_of(body)
    endpoint = _endpoint(body.value)
    if endpoint:
        found.policies.append(Found(body, endpoint))
    else:
        problems.add(body.file, body.path, *_reason(body.value))


def _template_of(body: Body) -> Body:
    """An administrative template as its settings are posted (updateDefinitionValues), turned into the policy."""
    added = body.value.get("added")
    if not isinstance(added, list) or "definitionValues" in body.value:
        return body
    kept = {name: item for name, item in body.value.items() if name not in ("added", "updated", "deletedIds")}
    return replace(body, value={**kept, "definitionValues": added})


def _learn(found: PublishedSet, value: Mapping[str, Any]) -> bool:
    """Is it something that tells names: a group, or a migration table?"""
    if isinstance(value.get("Objects"), list):
        found.names.learn_table(value["Objects"])
        return True
    if value.get("@odata.type") == "#microsoft.graph.group" or "securityEnabled" in value:
        found.names.learn(value)
        if isinstance(value.get("displayName"), str):
            found.groups[value["displayName"]] = dict(value)
        return True
    return False


def _endpoint(value: Mapping[str, Any]) -> Endpoint | None:
    given = value.get("@odata.type")
    if isinstance(given, str):
        return endpoint_of(given)
    if found := _CONTEXT.search(str(value.get("@odata.context"))):
        return _SEGMENTS.get((found[1] or found[2]).casefold())
    return next((BY_KIND[kind] for kind, names in _SHAPES if all(name in value for name in names)), None)


def _reason(value: Mapping[str, Any]) -> tuple[str, str]:
    """(code, message): why it is no policy that can be applied."""
    folded = {name.casefold() for name in value}
    given = str(value.get("@odata.type", "")).rpartition(".")[2]
    if given == "deviceManagementIntent" or "settingsdelta" in folded or {"templateid", "settings"} <= folded:
        message = (
            "is an intent of the old endpoint security templates, which new policies cannot be made of: make it "
            "anew in the settings catalog"
        )
        return LEGACY_INTENT, message
    if "definition@odata.bind" in value:
        message = (
            "is one setting of an administrative template, without the policy (groupPolicyConfiguration) around it"
        )
        return NOT_A_BODY, message
    if given:
        return "unknown-type", f"{value['@odata.type']} is not a policy of Intune that v1.0 or beta knows"
    return NOT_A_BODY, "is not a policy of Intune: neither @odata.type nor its properties tell its kind"


def targets(found: Found) -> Iterator[Mapping[str, Any]]:
    """The targets of its assignments, in the form of today and in the one of old exports (groupAssignments)."""
    given = found.body.assignments
    for entry in given if given is not None else found.body.value.get("assignments") or ():
        target = entry.get("target") if isinstance(entry, dict) else None
        if isinstance(target, dict):
            yield target
    for entry in found.body.value.get("groupAssignments") or ():
        if isinstance(entry, dict) and entry.get("targetGroupId"):
            way = "exclusionGroup" if entry.get("excludeGroup") else "group"
            yield {"@odata.type": f"#microsoft.graph.{way}AssignmentTarget", "groupId": entry["targetGroupId"]}
