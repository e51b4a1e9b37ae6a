"""The tables: what they know, where they come from, and that they agree with Microsoft's own SDK."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from graphkit.protocol.schema import ComplexType, EntityType, EnumType, schema
from graphkit.protocol.schema.facts import FACTS, ORDER_FREE

ROOT = Path(__file__).resolve().parents[2]
METADATA = ROOT.parent / "shared" / "data" / "metadata" / "v1.0-Prod.csdl.gz"
TABLES = ROOT / "graphkit" / "protocol" / "schema"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("schema_tool", ROOT / "tools" / "schema.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def table(name: str = "v1.0.json") -> dict:
    return json.loads((TABLES / name).read_text("utf-8"))


CSDL = b"""<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>
<Schema Namespace="microsoft.graph" Alias="graph" xmlns="http://docs.oasis-open.org/odata/ns/edm">
  <EnumType Name="colour" IsFlags="true"><Member Name="red" Value="1"/><Member Name="blue" Value="2"/></EnumType>
  <EnumType Name="unused"><Member Name="x" Value="0"/></EnumType>
  <EntityType Name="entity" Abstract="true"><Property Name="id" Type="Edm.String" Nullable="false"/></EntityType>
  <EntityType Name="box" BaseType="graph.entity" OpenType="true">
    <Property Name="colours" Type="Collection(graph.colour)" Nullable="false"/>
    <Property Name="lid" Type="graph.lid"/>
    <Property Name="made" Type="Edm.DateTimeOffset"/>
    <NavigationProperty Name="owners" Type="Collection(graph.person)"/>
  </EntityType>
  <EntityType Name="bigBox" BaseType="graph.box"/>
  <EntityType Name="person" BaseType="graph.entity"/>
  <ComplexType Name="lid"><Property Name="alert" Type="microsoft.graph.security.note"/></ComplexType>
  <ComplexType Name="heavyLid" BaseType="graph.lid"/>
</Schema>
<Schema Namespace="microsoft.graph.security" Alias="self" xmlns="http://docs.oasis-open.org/odata/ns/edm">
  <ComplexType Name="note"><Property Name="text" Type="Edm.String"/></ComplexType>
  <Annotations Target="microsoft.graph.box/made">
    <Annotation Term="Org.OData.Core.V1.Computed" Bool="true"/>
  </Annotations>
  <Annotations Target="microsoft.graph.box/lid">
    <Annotation Term="Org.OData.Core.V1.Immutable" Bool="false"/>
  </Annotations>
</Schema></edmx:DataServices></edmx:Edmx>"""


def test_the_generator_takes_in_what_a_root_reaches_and_nothing_else(tool):
    built = tool.build(CSDL, ["box"], version="v1.0", date="2026-01-01")
    assert sorted(built["types"]) == ["bigBox", "box", "entity", "heavyLid", "lid", "security.note"]
    assert built["enums"] == {"colour": {"members": ["red", "blue"], "flags": True}}


def test_the_generator_writes_each_property_as_one_word(tool):
    box = tool.build(CSDL, ["box"], version="v1.0", date="2026-01-01")["types"]["box"]
    assert box["properties"] == {"colours": "[colour]!", "lid": "lid", "made": "DateTimeOffset computed"}
    assert box["relations"] == {"owners": "[person]"}
    assert box["opentype"] is True


def test_the_generator_names_a_root_that_the_metadata_lacks(tool):
    with pytest.raises(SystemExit, match="not in the metadata: bix"):
        tool.build(CSDL, ["box", "bix"], version="v1.0", date="2026-01-01")


def test_a_further_root_adds_types_and_changes_none(tool):
    small = tool.build(CSDL, ["person"], version="v1.0", date="2026-01-01")["types"]
    large = tool.build(CSDL, ["person", "box"], version="v1.0", date="2026-01-01")["types"]
    assert small.items() <= large.items()
    assert len(small) < len(large)


@pytest.mark.skipif(not METADATA.exists(), reason="the published metadata is not beside this checkout")
def test_the_committed_table_is_what_the_generator_makes_of_the_metadata(tool):
    head = table()
    assert set(head["roots"]) == set(tool.ROOTS)
    made = tool.build(tool.read(METADATA), head["roots"], version="v1.0", date=head["date"])
    assert (TABLES / "v1.0.json").read_text("utf-8") == tool.dump(made)


def test_the_tables_stay_small():
    assert sum(path.stat().st_size for path in TABLES.glob("*.json")) < 300_000


@pytest.mark.parametrize("version", ["v1.0", "beta"])
def test_every_type_that_a_property_names_is_there(version):
    known = schema(version)
    rows = known._types
    for name in rows:
        for found in known.structured(name).properties.values():
            assert found.relation or found.type[0].isupper() or found.type in known, f"{name}/{found.name}"


def test_every_fact_is_about_a_property_that_exists_and_has_a_source():
    known = schema("beta")
    for fact in FACTS:
        kind = known.structured(fact.type)
        assert fact.source, fact
        for name in fact.properties.split():
            if fact.mark == "noise":
                assert name not in kind.properties, fact
            elif fact.mark != "default_of_type":
                assert name in kind.properties, f"{fact.type}/{name}"
    for name, properties in ORDER_FREE.items():
        for item in properties.split():
            assert known.structured(name).properties[item].collection, f"{name}/{item}"


def test_what_beta_adds_is_not_in_v1_and_has_a_source():
    rows = table()["types"]
    for name, added in table("beta.json")["types"].items():
        assert added["source"]
        assert not added["properties"].keys() & rows.get(name, {"properties": {}})["properties"].keys(), name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("user", EntityType),
        ("#microsoft.graph.group", EntityType),
        ("microsoft.graph.conditionalAccessUsers", ComplexType),
        ("riskLevel", EnumType),
    ],
)
def test_a_type_is_found_by_short_and_by_full_name(name, kind):
    assert isinstance(schema("v1.0").type(name), kind)


def test_an_unknown_type_is_a_key_error():
    with pytest.raises(KeyError):
        schema("v1.0").type("conditionalAcessPolicy")


def test_a_derived_type_has_the_properties_of_its_bases():
    policy = schema("v1.0").structured("windows10CompliancePolicy")
    assert policy.ancestors == ("deviceCompliancePolicy", "entity")
    assert {"id", "displayName", "scheduledActionsForRule", "osMinimumVersion"} <= policy.properties.keys()
    assert policy.properties["version"].read_only
    assert policy.properties["version"].reason


def test_a_property_tells_type_collection_and_nullability():
    found = schema("v1.0").structured("conditionalAccessConditionSet").properties["signInRiskLevels"]
    assert (found.type, found.collection, found.nullable, found.order_free) == ("riskLevel", True, False, True)


def test_beta_marks_what_v1_lacks():
    found = schema("beta").structured("windows10CompliancePolicy").properties
    assert found["validOperatingSystemBuildRanges"].beta
    assert not found["osMinimumVersion"].beta
    assert "validOperatingSystemBuildRanges" not in schema("v1.0").structured("windows10CompliancePolicy").properties


def test_every_compliance_platform_of_v1_is_there():
    assert schema("v1.0").concrete("deviceCompliancePolicy") == [
        "androidCompliancePolicy",
        "androidWorkProfileCompliancePolicy",
        "iosCompliancePolicy",
        "macOSCompliancePolicy",
        "windows10CompliancePolicy",
        "windows10MobileCompliancePolicy",
        "windows81CompliancePolicy",
        "windowsPhone81CompliancePolicy",
    ]


@pytest.mark.parametrize(
    ("name", "value", "spelt"),
    [
        ("riskLevel", "High", "high"),
        ("riskLevel", "highest", None),
        ("riskLevel", "low,high", None),
        ("riskLevel", "unknownFutureValue", None),
        ("conditionalAccessDevicePlatform", "ios", "iOS"),
        (
            "conditionalAccessTransferMethods",
            "authenticationTransfer, DeviceCodeFlow",
            "deviceCodeFlow,authenticationTransfer",
        ),
        ("conditionalAccessTransferMethods", "deviceCodeFlow,phone", None),
    ],
)
def test_an_enum_value_gets_the_spelling_and_order_of_the_metadata(name, value, spelt):
    kind = schema("v1.0").type(name)
    assert kind.spell(value) == spelt


# -- agreement with msgraph-sdk, read as text: importing its models costs seconds


def sdk_models() -> Path | None:
    spec = importlib.util.find_spec("msgraph")
    for place in (spec.submodule_search_locations if spec else None) or ():
        models = Path(place) / "generated" / "models"
        if models.is_dir():
            return models
    return None


SDK = sdk_models()
SDK_VERSION = importlib.metadata.version("msgraph-sdk") if SDK else ""
needs_sdk = pytest.mark.skipif(SDK is None, reason="msgraph-sdk (the extra `sdk`) is not installed")
FIELD = re.compile(r'^\s+"(?P<name>[\w]+)": lambda n : setattr\(self, \'\w+\', n\.get_(?P<kind>\w+?)\(', re.M)
MEMBER = re.compile(r'^    \w+ = "(\w+)",', re.M)


@functools.cache
def sdk_files() -> dict[str, Path]:
    return {path.stem.replace("_", ""): path for path in SDK.glob("*.py")}


def sdk_source(name: str) -> str:
    return sdk_files()[name.lower()].read_text("utf-8")


def sdk_names(name: str) -> set[str]:
    return {match["name"] for match in FIELD.finditer(sdk_source(name))}


def property_names(name: str) -> set[str]:
    row = table()["types"][name]
    return {*row["properties"], *row.get("relations", {})}


@needs_sdk
def test_msgraph_sdk_names_every_property_of_the_table():
    assert {name: extra for name in table()["types"] if (extra := property_names(name) - sdk_names(name))} == {}


@needs_sdk
@pytest.mark.skipif(SDK_VERSION != "1.65.0", reason="compared with msgraph-sdk 1.65.0; a newer one may know more")
def test_the_table_names_every_property_of_msgraph_sdk():
    extra = {name: extra for name in table()["types"] if (extra := sdk_names(name) - property_names(name))}
    assert extra == {"user": {"notes"}}  # the metadata of 2026-08-20 does not have it


@needs_sdk
def test_the_table_and_msgraph_sdk_agree_on_collections_and_enums():
    rows = table()
    for name, row in rows["types"].items():
        kinds = {match["name"]: match["kind"] for match in FIELD.finditer(sdk_source(name))}
        for item, text in row["properties"].items():
            kind = text.split()[0].strip("[]!")
            flags = rows["enums"].get(kind, {}).get("flags", False)
            assert kinds[item].startswith("collection") == (text.startswith("[") or flags), f"{name}/{item}"
            assert ("enum" in kinds[item]) == (kind in rows["enums"]), f"{name}/{item}"


@needs_sdk
def test_the_table_and_msgraph_sdk_agree_on_enum_members():
    for name, row in table()["enums"].items():
        theirs = MEMBER.findall(sdk_source(name))
        assert theirs[: len(row["members"])] == row["members"], name
