"""A set of conditional access policies as Graph has them: exported from a tenant, or published by others.

Told by what they hold, not by where they stand: policies, named locations, groups, and the migration table that
exporters write (source id to displayName). The folders that exporters lay beside ``ConditionalAccess`` are found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphkit.inputs.layouts import Body, Names, neighbours, read_bodies
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import Source

BESIDE = ("Groups", "groups", "NamedLocations", "MigrationTable.json")
"""What exporters lay beside the folder of policies."""
FOLDERS = ("conditionalaccess", "conditional-access")
"""How exporters call that folder."""


@dataclass(slots=True)
class PublishedSet:
    """``names`` maps ids of the source tenant to names; ``beside`` holds locations that stand near what was given.

    ``groups`` is what is told of groups, by displayName."""

    policies: list[Body] = field(default_factory=list)
    locations: list[Body] = field(default_factory=list)
    beside: list[Body] = field(default_factory=list)
    known: Names = field(default_factory=Names)
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def names(self) -> Mapping[str, str]:
        return self.known.by_id


def read_published(source: Source, problems: Problems) -> PublishedSet:
    """Everything in a file or folder, and what stands beside it for reference."""
    found = PublishedSet()
    for each in read_bodies(source, problems):
        _sort(found, each, found.locations, problems)
    for neighbour in _neighbours(source, problems):
        for each in read_bodies(neighbour, problems):
            _sort(found, each, found.beside, problems)
    if not (found.policies or found.locations or problems.total):
        problems.add(source.name, "", "no-policy", "holds no conditional access policy")
    return found


def _sort(found: PublishedSet, each: Body, locations: list[Body], problems: Problems) -> None:
    kind = _kind(each.value)
    if kind == "policy":
        found.policies.append(each)
        grant = each.value.get("grantControls")
        strength = grant.get("authenticationStrength") if isinstance(grant, dict) else None
        found.known.learn(strength if isinstance(strength, dict) else {})
    elif kind == "location":
        locations.append(each)
        found.known.learn(each.value)
    elif kind == "group":
        found.known.learn(each.value)
        found.groups[str(each.value.get("displayName"))] = each.value
    elif kind == "table":
        found.known.learn_table(each.value["Objects"])
    else:
        message = "is neither a conditional access policy nor a named location, a group or a migration table"
        problems.add(each.file, each.path, "not-recognised", message)


def _kind(value: Mapping[str, Any]) -> str:
    name = str(value.get("@odata.type", "")).removeprefix("#microsoft.graph.")
    if name == "conditionalAccessPolicy" or "conditions" in value:
        return "policy"
    if name.endswith("NamedLocation") or "ipRanges" in value or "countriesAndRegions" in value:
        return "location"
    if name == "group" or "securityEnabled" in value:
        return "group"
    return "table" if isinstance(value.get("Objects"), list) else ""


def _neighbours(source: Source, problems: Problems) -> Iterator[Source]:
    if source.path is None:
        return
    folder = source.path if source.format == "folder" else source.path.parent
    if folder.absolute().name.casefold() in FOLDERS:
        yield from neighbours(source, BESIDE, problems)
