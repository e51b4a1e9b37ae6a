"""YAML and JSON: strict, and every error by its path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import Field

from graphkit.inputs.document import parse_document, read_document
from graphkit.inputs.layouts import read_bodies
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import open_source
from graphkit.inputs.strict_yaml import parse_yaml
from graphkit.inputs.types import InputModel, Org

SHARED = Path(__file__).parents[3] / "shared" / "data"


class Rule(InputModel):
    filter: str


class Pool(InputModel):
    org: Org
    sku: str
    cap: int = Field(ge=0)
    members_from: str | Rule


class Pools(InputModel):
    mode: str = "additive"
    pools: list[Pool]


GOOD = """pools:
  - {org: 10001, sku: SPE_E3, cap: 50, members_from: rx1.csv}
  - {org: RX2, sku: SPE_E3, cap: 5, members_from: {filter: "department eq 'Nursing'"}}
"""

BAD = """mod: additive
pools:
  - org: rx1
    sku: SPE_E3
    cap: many
    members_from: rx1.csv
  - org: RX2
    cap: -1
    members_from: {filtr: x}
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["pools.yaml", "pools.yml", "pools.json"])
def test_a_document_becomes_its_model(source, problems, name, encoding):
    text = json.dumps(parse_yaml(GOOD)) if name.endswith("json") else GOOD
    document = read_document(source(text.encode(encoding), name), Pools, problems)
    assert [pool.org for pool in document.pools] == ["10001", "RX2"]
    assert document.pools[1].members_from == Rule(filter="department eq 'Nursing'")
    assert not problems


def test_every_error_is_told_by_path_and_line(source, problems):
    assert read_document(source(BAD, "pools.yaml"), Pools, problems) is None
    told = {problem.where: problem.message for problem in problems.found}
    assert told["mod"] == "is not a known key here (line 1)"
    assert told["pools[0].org"].startswith("'rx1': is not an organisation code")
    assert told["pools[0].cap"].startswith("'many': input should be a valid integer")
    assert told["pools[0].cap"].endswith("(line 5)")
    assert told["pools[1].sku"] == "is empty or missing (line 7)"
    assert told["pools[1].cap"] == "-1: input should be greater than or equal to 0 (line 8)"
    assert told["pools[1].members_from.filtr"] == "is not a known key here (line 9)"
    assert not any("Rule" in path for path in told)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("NO", "NO"),
        ("yes", "yes"),
        ("0012", "0012"),
        ("10.10", "10.10"),
        ("1e5", "1e5"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2026-01-05", "2026-01-05"),
        ("10.0.22631.4000", "10.0.22631.4000"),
        ("=Private", "=Private"),
        ("50", 50),
        ("-1", -1),
        ("1.5", 1.5),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("'50'", "50"),
    ],
)
def test_yaml_values_stay_what_was_typed(text, value):
    read = parse_yaml(f"key: {text}")["key"]
    assert (read, type(read)) == (value, type(value))


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", "a: [1", "line 1, column 6: expected ',' or ']'"),
        ("a.yaml", "a: 1\na: 2", "line 2, column 1: the key a occurs twice"),
        ("a.yaml", "a: 1\nb: !!python/object:os.system x", "line 2, column 4: tags are not accepted"),
        ("a.yaml", "a: !!str 5", "line 1, column 4: tags are not accepted"),
        ("a.yaml", BOMB, "line 1, column 5: anchors and aliases are not accepted"),
        ("a.yaml", "b: *a", "line 1, column 4: anchors and aliases are not accepted"),
        ("a.yaml", "- " * 100 + "x", "nested deeper than 64 levels"),
        ("a.yaml", "[" * 5_000, "nested deeper than 64 levels"),
        ("a.yaml", "a: 1\n---\nb: 2", "but found another document"),
        ("a.yaml", "? [1]\n: 2", "a key must be plain text"),
        ("a.yaml", "a: \x1b", "holds the character U+001B"),
        ("a.yaml", "x" * (4 * 1024 * 1024 + 1), "larger than 4 MB"),
        ("a.yaml", "", "holds nothing"),
        ("a.json", '{"a": 1,\n "b": }', "line 2, column 7: Expecting value"),
        ("a.json", '{"a": 1, "a": 2}', "the key a occurs twice"),
        ("a.json", '{"a": NaN}', "NaN is not JSON"),
        ("a.json", "[" * 100 + "]" * 100, "nested deeper than 64 levels"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", "", "line 1, column 1: Expecting value"),
        ("a.json", "{}".encode("utf-16-le"), "UTF-16 without a byte order mark?"),
        ("a.json", '{"a":\n"ü"}'.encode("cp1252"), "line 2 is not UTF-8"),
        ("a.yaml", "a: ü".encode("cp1252"), "line 1 is not UTF-8"),
        ("a.csv", "a,b", "is not a YAML or JSON file"),
    ],
)
def test_a_malformed_document_is_one_problem(source, problems, name, text, message):
    assert parse_document(source(text, name), problems) is None
    assert len(problems) == 1
    assert message in problems.found[0].message


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ('{"a": 1}', [""]),
        ('[{"a": 1}, {"a": 2}]', ["[0]", "[1]"]),
        ('{"@odata.context": "x", "value": [{"a": 1}, {"a": 2}]}', ["value[0]", "value[1]"]),
        ('{"value": []}', []),
    ],
)
def test_graph_shaped_json_is_taken_apart(source, problems, text, paths):
    assert [found.path for found in read_bodies(source(text, "a.json"), problems)] == paths
    assert not problems


def test_a_folder_is_read_to_the_bottom_and_one_bad_file_hides_no_other(source, problems, told, tmp_path):
    source('{"n": 3}'.encode("utf-16"), "export/z/deep.json")
    source('{"n": 1}', "export/a.JSON")
    source("{oops", "export/b.json")
    source("[1]", "export/c.json")
    source("{}", "export/.hidden/x.json")
    source("{}", "export/readme.txt")
    folder = open_source(tmp_path / "export", problems)
    assert [found.value["n"] for found in read_bodies(folder, problems)] == [1, 3]
    assert told() == [
        "export/b.json: line 1, column 2: Expecting property name enclosed in double quotes",
        "export/c.json: [0]: an object or a list of objects is expected",
    ]


def test_an_empty_folder_is_said(problems, told, tmp_path):
    assert list(read_bodies(open_source(tmp_path, problems), problems)) == []
    assert "holds no *.json or *.yaml file" in told()[0]


@pytest.mark.skipif(not SHARED.exists(), reason="the published data is not here")
def test_the_published_conditional_access_exports_are_read():
    problems = Problems()
    folder = open_source(SHARED / "conditional-access-baseline" / "ConditionalAccess", problems)
    found = list(read_bodies(folder, problems))
    assert len(found) == 36
    assert all("displayName" in each.value for each in found)
    assert not problems
