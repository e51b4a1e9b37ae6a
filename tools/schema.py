"""Generate graphkit's property tables from Microsoft Graph's metadata (CSDL).

    python tools/schema.py ../shared/data/metadata/v1.0-Prod.csdl.gz --date 2026-08-20
    python tools/schema.py NEWER.csdl --date 2026-11-01 --root deviceConfiguration

The input is ``schemas/v1.0-Prod.csdl`` of microsoftgraph/msgraph-metadata, gzipped or not. The table takes in each
root, the types that derive from it, and every base, complex type and enum that their properties reach. Relations
(navigation properties) are listed by name and target, but do not pull their target in: a kind that is written inside
another one is a root of its own.

The form of a table, and of each property in it, is told in ``graphkit/protocol/schema/model.py``, which reads it.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

TABLES = Path(__file__).resolve().parents[1] / "graphkit" / "protocol" / "schema"
SOURCE = "microsoftgraph/msgraph-metadata schemas/{version}-Prod.csdl"

# A kind needs its name here when a request writes it: by itself, or inside the body of another kind.
ROOTS = (
    "authenticationStrengthPolicy",
    "channel",
    "conditionalAccessPolicy",
    "conversationMember",
    "deviceAndAppManagementRoleAssignment",
    "deviceComplianceActionItem",
    "deviceCompliancePolicy",
    "deviceCompliancePolicyAssignment",
    "deviceComplianceScheduledActionForRule",
    "deviceConfiguration",
    "group",
    "importedWindowsAutopilotDeviceIdentity",
    "managedAppPolicy",
    "managedMobileApp",
    "namedLocation",
    "team",
    "teamsAppInstallation",
    "user",
)

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
MARKS = {"Org.OData.Core.V1.Computed": "computed", "Org.OData.Core.V1.Immutable": "immutable"}

Table = dict[str, Any]


class Metadata:
    """The types of one CSDL document by short name: ``user``, ``security.alert``; ``Edm.String`` is ``String``."""

    def __init__(self, document: bytes) -> None:
        # The input is a file that the developer names, not something from the network.
        self.elements: dict[str, ElementTree.Element] = {}
        self.derived: dict[str, list[str]] = {}
        self.marks: dict[str, str] = {}
        self.prefixes: dict[str, str] = {"Edm": ""}
        schemas = list(ElementTree.fromstring(document).iter(f"{EDM}Schema"))
        for schema in schemas:
            prefix = schema.attrib["Namespace"].removeprefix("microsoft.graph").removeprefix(".")
            for alias in (schema.attrib["Namespace"], schema.get("Alias")):
                if alias:
                    self.prefixes[alias] = f"{prefix}." if prefix else ""
        for schema in schemas:
            self._read(schema)

    def _read(self, schema: ElementTree.Element) -> None:
        prefix = self.prefixes[schema.attrib["Namespace"]]
        for element in schema:
            if element.tag in (f"{EDM}EntityType", f"{EDM}ComplexType", f"{EDM}EnumType"):
                name = prefix + element.attrib["Name"]
                self.elements[name] = element
                if base := self.base(name):
                    self.derived.setdefault(base, []).append(name)
            elif element.tag == f"{EDM}Annotations":
                self._read_marks(element)

    def _read_marks(self, annotations: ElementTree.Element) -> None:
        owner, slash, name = annotations.attrib["Target"].partition("/")
        for annotation in annotations.iter(f"{EDM}Annotation"):
            mark = MARKS.get(annotation.attrib["Term"])
            if mark and slash and annotation.get("Bool", "true") == "true":
                self.marks[f"{self.short(owner)}/{name}"] = mark

    def short(self, name: str) -> str:
        namespace, _, last = name.rpartition(".")
        return self.prefixes[namespace] + last

    def base(self, name: str) -> str | None:
        base = self.elements[name].get("BaseType")
        return self.short(base) if base else None

    def properties(self, name: str, tag: str = "Property") -> Iterator[ElementTree.Element]:
        return self.elements[name].iter(f"{EDM}{tag}")

    def property_type(self, element: ElementTree.Element) -> tuple[str, bool]:
        """The short type name, and whether it is a collection of it."""
        name = element.attrib["Type"]
        inner = name.removeprefix("Collection(").removesuffix(")")
        return self.short(inner), inner != name

    def reached(self, roots: Iterable[str]) -> set[str]:
        """Every type that the table must hold."""
        found: set[str] = set()
        waiting = [name for root in roots for name in self._with_derived(root)]
        while waiting:
            name = waiting.pop()
            if name in found or name not in self.elements:
                continue
            found.add(name)
            if base := self.base(name):
                waiting.append(base)
            for element in self.properties(name):
                waiting.extend(self._with_derived(self.property_type(element)[0]))
        return found

    def _with_derived(self, name: str) -> Iterator[str]:
        yield name
        for child in self.derived.get(name, ()):
            yield from self._with_derived(child)


def build(document: bytes, roots: Sequence[str], *, version: str, date: str) -> Table:
    """The table for ``roots``. Raises ``SystemExit`` naming the roots that the metadata does not have."""
    metadata = Metadata(document)
    if unknown := sorted(set(roots) - metadata.elements.keys()):
        raise SystemExit(f"not in the metadata: {', '.join(unknown)}")
    names = sorted(metadata.reached(roots))
    enums = [name for name in names if metadata.elements[name].tag == f"{EDM}EnumType"]
    return {
        "source": SOURCE.format(version=version),
        "date": date,
        "version": version,
        "roots": sorted(roots),
        "enums": {name: _enum(metadata.elements[name]) for name in enums},
        "types": {name: _type(metadata, name) for name in names if name not in enums},
    }


def _enum(element: ElementTree.Element) -> Table:
    row: Table = {"members": [member.attrib["Name"] for member in element.iter(f"{EDM}Member")]}
    return row | ({"flags": True} if element.get("IsFlags") == "true" else {})


def _type(metadata: Metadata, name: str) -> Table:
    element = metadata.elements[name]
    row: Table = {"kind": "entity" if element.tag == f"{EDM}EntityType" else "complex"}
    if base := metadata.base(name):
        row["base"] = base
    row |= {mark.lower(): True for mark in ("Abstract", "OpenType") if element.get(mark) == "true"}
    row["properties"] = {
        item.attrib["Name"]: _property(metadata, f"{name}/{item.attrib['Name']}", item)
        for item in metadata.properties(name)
    }
    if relations := {
        item.attrib["Name"]: _property(metadata, f"{name}/{item.attrib['Name']}", item)
        for item in metadata.properties(name, "NavigationProperty")
    }:
        row["relations"] = relations
    return row


def _property(metadata: Metadata, path: str, element: ElementTree.Element) -> str:
    """``[riskLevel]!``: a collection that is never null; a mark of the metadata follows after a space."""
    kind, collection = metadata.property_type(element)
    text = f"[{kind}]" if collection else kind
    text += "!" if element.get("Nullable") == "false" else ""
    mark = metadata.marks.get(path)
    return f"{text} {mark}" if mark else text


def dump(table: Table) -> str:
    """JSON with one type a line, so that a change of the metadata reads as a change of lines."""
    lines = []
    for key, value in table.items():
        if key in ("enums", "types"):
            rows = [f"{json.dumps(name)}: {json.dumps(row, separators=(',', ':'))}" for name, row in value.items()]
            lines.append(f"{json.dumps(key)}: {{\n" + ",\n".join(rows) + "\n}")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read(path: Path) -> bytes:
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Generate the property table of one Graph API version.")
    parser.add_argument("csdl", type=Path, help="the metadata, .csdl or .csdl.gz")
    parser.add_argument(
        "--date", required=True, help="the day of the metadata, YYYY-MM-DD; kept in the head of the table"
    )
    parser.add_argument("--version", default="v1.0")
    parser.add_argument("--root", action="append", default=[], help="a further kind to take in; may be repeated")
    options = parser.parse_args(arguments)
    roots = sorted({*ROOTS, *options.root})
    target = TABLES / f"{options.version}.json"
    target.write_text(dump(build(read(options.csdl), roots, version=options.version, date=options.date)), "utf-8")


if __name__ == "__main__":
    main()
