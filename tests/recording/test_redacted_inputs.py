"""Input files in pseudonyms: each format as it was, and nothing of the tenant in it."""

from __future__ import annotations

import json

import pytest

from graphkit.recording import Given, known
from graphkit.recording.inputs import write_inputs
from graphkit.recording.pseudonyms import Pseudonyms
from graphkit.recording.redaction import Redaction


@pytest.fixture
def written(tmp_path):
    """``written(name, text, form)``: what becomes of the file, read back from the folder beside the cassette."""

    def write(name, text, form, encoding="utf-8"):
        source = tmp_path / "given" / name
        source.parent.mkdir(exist_ok=True)
        source.write_bytes(text.encode(encoding))
        redaction = Redaction(Pseudonyms(kept=known.WORDS, key=b"k" * 32))
        given = Given(source, form)
        redaction.learn(given.values())
        write_inputs(tmp_path / "made", [given], redaction)
        (made,) = (tmp_path / "made").iterdir()
        return made.read_text(encoding="utf-8")

    return write


def clean(text):
    return not any(word in text.lower() for word in ("anna", "contoso", "ward", "night"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_keeps_headings_delimiter_and_words_of_the_recipe(written, encoding, delimiter):
    rows = [["upn", "visibility", "job_title", "usage_location"], ["anna@contoso.com", "Private", "Wärd nurse", "GB"]]
    text = "\r\n".join(delimiter.join(row) for row in rows)
    header, row = written("people.csv", text, "csv", encoding).splitlines()
    assert header.split(delimiter) == rows[0]
    assert row.split(delimiter)[1::2] == ["Private", "GB"]
    assert clean(row)


def test_a_document_keeps_what_is_no_text_and_loses_its_comments(written):
    made = written("x.yaml", "policies:\n  # Anna asked\n  - {name: Ward, state: on, n: 5, flag: true}\n", "yaml")
    assert clean(made)
    assert "state: on, n: 5, flag: true" in made


@pytest.mark.parametrize(("name", "text"), [("b.yaml", "Ward: Night staff\n"), ("b.json", '{"Ward": "Night staff"}')])
def test_names_on_both_sides_of_a_binding_are_replaced(written, name, text):
    assert clean(written(name, text, name.rpartition(".")[2]))


def test_a_map_keeps_the_columns_that_it_speaks_of_and_nothing_else(written):
    text = (
        "rows: staff.csv\n"
        "join: [{file: members.csv, as: w, on: {code: Ward code}}]\n"
        "columns: {upn: '{first}.{last}@contoso.com', org: '=WARD', title: Job title, note: '{w.name} Night'}\n"
        "values: {domain: contoso.com}\n"
    )
    made = written("map.yaml", text, "yaml")
    for kept in ("rows: staff.csv", "code: Ward code", "{first}.{last}@", ".example", "title: Job title", "{w.name} "):
        assert kept in made
    for gone in ("contoso", "WARD", "Night"):
        assert gone not in made


def test_lines_of_json_stay_lines(written):
    made = written("x.jsonl", '{"displayName": "Anna"}\n{"displayName": "Ward"}\n', "jsonl")
    assert [list(json.loads(line)) for line in made.splitlines()] == [["displayName"]] * 2
    assert clean(made)


@pytest.mark.parametrize("column", ["channel", "gender", "brand", "department", "note", "unknown_column"])
def test_a_column_that_nobody_knows_is_never_kept_whatever_the_metadata_calls_so(written, column):
    assert clean(written("x.csv", f"{column}\nAnna\n", "csv"))


def test_a_file_is_called_for_what_it_holds_and_not_after_anybody():
    redaction = Redaction(Pseudonyms(kept=known.WORDS, key=b"k" * 32))
    assert redaction.value("members.csv", "members_from") == "members.csv"
    made = redaction.value("anna-members.csv")
    assert made.endswith("-members.csv")
    assert clean(made)
