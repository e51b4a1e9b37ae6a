"""Generate what Graph's beta adds to the kinds of Intune: ``graphkit/protocol/schema/beta-intune.json``.

    python tools/schema_beta.py SITE-PACKAGES/msgraph_beta/generated/models --sdk 1.66.0 --date 2026-11-26

Beta's metadata is not published beside that of v1.0, but Microsoft's generator has written it into msgraph-beta-sdk:
``get_field_deserializers`` of a model names its properties and their types. The models are read as text; install the
package into a throwaway environment. Kept is only what ``v1.0.json`` lacks. What the models do not tell: which
properties are never null, and how wide a number is.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

TABLES = Path(__file__).resolve().parents[1] / "graphkit" / "protocol" / "schema"

FAMILIES = ("deviceCompliancePolicy", "deviceConfiguration", "managedAppPolicy", "mobileAppIdentifier")
"""Kinds of v1.0 whose beta heirs are taken in too."""
ROOTS = (
    "deviceAndAppManagementAssignmentFilter",
    "deviceManagementConfigurationPolicy",
    "deviceManagementConfigurationSetting",
    "groupPolicyConfiguration",
    "groupPolicyDefinitionValue",
    "groupPolicyPresentationValue",
    "roleScopeTag",
    "windowsDriverUpdateProfile",
    "windowsFeatureUpdateProfile",
    "windowsQualityUpdatePolicy",
    "windowsQualityUpdateProfile",
)
"""Kinds that only beta has and that requests write."""
PRIMITIVES = {
    **{"str": "String", "bool": "Boolean", "int": "Int64", "float": "Double", "bytes": "Binary"},
    **{"datetime": "DateTimeOffset", "date": "Date", "time": "TimeOfDay", "timedelta": "Duration"},
    **{"uuid": "Guid", "UUID": "Guid", "datetime.datetime": "DateTimeOffset", "datetime.date": "Date"},
    **{"datetime.time": "TimeOfDay", "datetime.timedelta": "Duration"},
}

_CLASS = re.compile(r"^class (\w+)\((\w+)", re.M)
_FIELD = re.compile(r'^ {12}"(\w+)": lambda n : setattr\(self, \'\w+\', n\.get_(\w+?)_values?\((\S*?)\)\)', re.M)
_MEMBER = re.compile(r'^    \w+ = "(\w+)"', re.M)
_WRITTEN_AS_ONE = re.compile(r'writer\.write_enum_value\("(\w+)"')

Table = dict[str, Any]


class Model(NamedTuple):
    """One class of the SDK, by its name there. ``fields``: name to (reader, class)."""

    base: str
    fields: dict[str, tuple[str, str]]
    members: tuple[str, ...]
    combined: frozenset[str]
    """Fields that are read as a list of members and written as one value: flags."""


class Models:
    """The models at the top of the folder; those of inner namespaces are none of Intune's."""

    def __init__(self, folder: Path, spelling: Mapping[str, str]) -> None:
        self._spelling = spelling
        self._files: dict[str, Path] = {}
        self.heirs: dict[str, list[str]] = {}
        for path in sorted(folder.glob("*.py")):
            if found := _CLASS.search(path.read_text("utf-8")):
                self._files[found[1]] = path
                self.heirs.setdefault(found[2], []).append(found[1])

    def __contains__(self, name: str) -> bool:
        return name in self._files

    @functools.cache  # noqa: B019 - there is one of these, as long as the script runs
    def read(self, name: str) -> Model:
        text = self._files[name].read_text("utf-8")
        head = _CLASS.search(text)
        fields = {field: (reader, kind) for field, reader, kind in _FIELD.findall(text)}
        members = () if fields else tuple(_MEMBER.findall(text))
        return Model(head[2] if head else "", fields, members, frozenset(_WRITTEN_AS_ONE.findall(text)))

    def graph_name(self, name: str) -> str:
        """In Graph's own spelling: that of v1.0 where it has the type."""
        return self._spelling.get(name.lower(), name[:1].lower() + name[1:])

    def is_entity(self, name: str) -> bool:
        while name in self._files:
            if name == "Entity":
                return True
            name = self.read(name).base
        return False

    def below(self, name: str) -> Iterator[str]:
        for heir in self.heirs.get(name, ()):
            yield heir
            yield from self.below(heir)


class Difference:
    """What the models have beyond the table of v1.0."""

    def __init__(self, models: Models, v1: Table) -> None:
        self.models = models
        self.v1 = v1
        self.types: Table = {}
        self.enums: Table = {}
        self._waiting: list[str] = []

    def take(self, names: Sequence[str]) -> None:
        self._waiting = list(names)
        done: set[str] = set()
        while self._waiting:
            name = self._waiting.pop()
            if name in done or name not in self.models or name == "Entity":
                continue
            done.add(name)
            self._take(name)

    def _take(self, name: str) -> None:
        model, own = self.models.read(name), self.models.graph_name(name)
        known = self._known(own)
        properties, relations = {}, {}
        for field, (reader, kind) in sorted(model.fields.items()):
            declared, relation = self._declared(field, reader, kind, model)
            if declared and not _agrees(known.get(field), declared):
                (relations if relation else properties)[field] = declared
        entity = self.models.is_entity(name)
        if own in self.v1["types"]:
            row: Table = {}
        else:
            row = {"kind": "entity" if entity else "complex"}
            if model.base in self.models:
                row["base"] = self.models.graph_name(model.base)
                self._waiting.append(model.base)
        if not entity or name == "GroupPolicyPresentationValue":
            self._waiting += self.models.below(name)
        if row or properties or relations:
            self.types[own] = row | {"properties": properties} | ({"relations": relations} if relations else {})

    def _declared(self, field: str, reader: str, kind: str, model: Model) -> tuple[str, bool]:
        many = reader.startswith("collection_of") and field not in model.combined
        if not reader.removeprefix("collection_of_").startswith(("object", "enum")):
            text = PRIMITIVES[kind or reader]
            return (f"[{text}]" if many else text), False
        if kind not in self.models:
            return "", False  # the generator itself did not know what it is
        text = self.models.graph_name(kind)
        if members := self.models.read(kind).members:
            self._enum(text, members, flags=field in model.combined and reader.startswith("collection_of"))
            return (f"[{text}]" if many else text), False
        relation = self.models.is_entity(kind)
        if not relation:
            self._waiting.append(kind)
        return (f"[{text}]" if many else text), relation

    def _enum(self, name: str, members: Sequence[str], *, flags: bool) -> None:
        known = self.v1["enums"].get(name, {"members": []})
        if set(members) <= set(known["members"]):
            return
        row = self.enums.setdefault(name, {"members": list(members)})
        if flags or known.get("flags"):
            row["flags"] = True

    def _known(self, name: str) -> dict[str, str]:
        """What v1.0 says of the type's own and inherited properties."""
        known: dict[str, str] = {}
        while name in self.v1["types"]:
            row = self.v1["types"][name]
            known = {**row.get("relations", {}), **row["properties"], **known}
            name = row.get("base", "")
        return known


def _agrees(known: str | None, declared: str) -> bool:
    """Numbers agree whatever their width, for the models do not tell it."""
    if known is None:
        return False
    mine, theirs = declared.strip("[]"), known.split()[0].replace("!", "").strip("[]")
    numbers = {"Int64", "Double", "Int32", "Int16", "Byte", "Single", "Decimal", "Stream"}
    return mine == theirs or {mine, theirs} <= numbers


def build(folder: Path, v1: Table, *, sdk: str, date: str) -> Table:
    """The table. Raises ``SystemExit`` naming the kinds that the models do not have."""
    models = Models(folder, {name.lower(): name for name in (*v1["types"], *v1["enums"])})
    by_fold = {name.lower(): name for name in models._files}
    if unknown := [name for name in (*FAMILIES, *ROOTS) if name.lower() not in by_fold]:
        raise SystemExit(f"not in the models: {', '.join(unknown)}")
    wanted = [by_fold[name.lower()] for name in (*ROOTS, *v1["types"]) if name.lower() in by_fold]
    wanted += [heir for name in FAMILIES for heir in models.below(by_fold[name.lower()])]
    found = Difference(models, v1)
    # Whatever conditional access and the directory have in beta is kept by hand in beta.json.
    found.take([name for name in wanted if _is_intune(v1, models.graph_name(name))])
    return {
        "source": f"msgraph-beta-sdk {sdk} msgraph_beta/generated/models",
        "date": date,
        "version": "beta",
        "roots": sorted(ROOTS),
        "enums": dict(sorted(found.enums.items())),
        "types": dict(sorted(found.types.items())),
    }


def _is_intune(v1: Table, name: str) -> bool:
    """Is it reached from Intune's kinds, or unknown to v1.0 (and so one of those asked for)?"""
    return name not in v1["types"] or name in _reached(json.dumps(v1["types"], sort_keys=True))


@functools.cache
def _reached(types_text: str) -> frozenset[str]:
    types = json.loads(types_text)
    waiting = [name for name in types if name in _INTUNE or _INTUNE & set(_ancestors(types, name))]
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found or name not in types or name == "entity":
            continue
        found.add(name)
        inner = (text.split()[0].strip("[]!") for text in types[name]["properties"].values())
        waiting += [*inner, *([types[name]["base"]] if "base" in types[name] else [])]
        waiting += [heir for heir in types if types[heir].get("base") == name and types[heir]["kind"] == "complex"]
    return frozenset(found)


_INTUNE = {
    "deviceAndAppManagementAssignmentTarget",
    "deviceAndAppManagementRoleAssignment",
    "deviceComplianceActionItem",
    "deviceCompliancePolicy",
    "deviceComplianceScheduledActionForRule",
    "deviceConfiguration",
    "importedWindowsAutopilotDeviceIdentity",
    "managedAppPolicy",
    "managedMobileApp",
    "mobileAppIdentifier",
}


def _ancestors(types: Table, name: str) -> Iterator[str]:
    while base := types.get(name, {}).get("base"):
        yield base
        name = base


def dump(table: Table) -> str:
    """JSON with one type a line, so that a change of the models reads as a change of lines."""
    lines = []
    for key, value in table.items():
        if key in ("enums", "types"):
            rows = [f"{json.dumps(name)}: {json.dumps(row, separators=(',', ':'))}" for name, row in value.items()]
            lines.append(f"{json.dumps(key)}: {{\n" + ",\n".join(rows) + "\n}")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Generate what beta adds to the kinds of Intune.")
    parser.add_argument("models", type=Path, help="msgraph_beta/generated/models of an installed msgraph-beta-sdk")
    parser.add_argument("--sdk", required=True, help="its version, kept in the head of the table")
    parser.add_argument("--date", required=True, help="the day of the making, YYYY-MM-DD")
    options = parser.parse_args(arguments)
    v1 = json.loads((TABLES / "v1.0.json").read_text("utf-8"))
    made = build(options.models, v1, sdk=options.sdk, date=options.date)
    (TABLES / "beta-intune.json").write_text(dump(made), "utf-8")


if __name__ == "__main__":
    main()
