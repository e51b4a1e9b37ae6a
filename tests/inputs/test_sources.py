"""What -i may be, and what is refused in one line."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pytest

from graphkit.inputs.source import open_source
from graphkit.inputs.table import open_table


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.csv", "csv"),
        ("a.CSV", "csv"),
        ("a.tsv", "csv"),
        ("a.xlsx", "xlsx"),
        ("a.json", "json"),
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.yml", "yaml"),
        ("a.yaml", "yaml"),
    ],
)
def test_the_suffix_tells_the_format(source, name, kind):
    assert source("x", name).format == kind


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.ods", "ODS is not read: save it as XLSX or CSV UTF-8"),
        ("a.xls", "XLS is not read: save it as XLSX or CSV UTF-8"),
        ("a.doc", "the suffix .doc tells no format"),
        ("a", "the suffix (none) tells no format"),
    ],
)
def test_other_files_are_refused_in_one_line(problems, told, tmp_path, name, message):
    (tmp_path / name).write_text("x")
    assert open_source(tmp_path / name, problems) is None
    assert len(told()) == 1
    assert message in told()[0]


def test_a_given_format_overrules_the_suffix(problems, tmp_path):
    (tmp_path / "a.dat").write_text("x")
    assert open_source(tmp_path / "a.dat", problems, input_format="yaml").format == "yaml"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "- needs --input-format csv, tsv, xlsx, jsonl, json or yaml"),
        ({"input_format": "xml"}, "xml is not a format"),
        ({"input_format": "folder"}, "folder is not a format"),
    ],
)
def test_standard_input_needs_a_format(problems, told, options, message):
    assert open_source("-", problems, stdin=io.BytesIO(b""), **options) is None
    assert message in told()[0]


def test_a_missing_file_is_named(problems, tmp_path, told):
    assert open_source(tmp_path / "none.csv", problems) is None
    assert told() == ["none.csv: there is no such file or folder"]


def test_standard_input_can_be_read_more_than_once(problems, licence):
    data = b"upn,sku\nrx1-0001@contoso.example,E3\n"
    piped = open_source("-", problems, input_format="csv", stdin=io.BytesIO(data))
    opened = open_table(piped, problems, licence)
    assert len(list(opened)) == len(list(opened)) == 1
    assert opened.file == "stdin"
    assert piped.sha256() == hashlib.sha256(data).hexdigest()
    assert piped.beside("rx1.csv") == Path("rx1.csv")


def test_paths_in_a_file_are_relative_to_it(source, tmp_path):
    assert source("a: 1", "sub/pools.yaml").beside("../rx1.csv").resolve() == tmp_path / "rx1.csv"


def test_the_digest_of_a_folder_follows_names_and_contents(problems, source, tmp_path):
    def digest():
        return open_source(tmp_path / "d", problems).sha256()

    source("{}", "d/a.json")
    first = digest()
    source("[]", "d/a.json")
    changed = digest()
    (tmp_path / "d" / "a.json").rename(tmp_path / "d" / "b.json")
    assert len({first, changed, digest()}) == 3


def test_reading_a_table_loads_no_model_library_by_itself():
    modules = "problems source table rows document sheet strict_json headers cells"
    code = "import sys\n" + "".join(f"import graphkit.inputs.{name}\n" for name in modules.split())
    code += "assert not {'pydantic', 'yaml', 'httpx'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
