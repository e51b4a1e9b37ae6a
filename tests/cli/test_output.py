"""One answer in every format, harmless in each."""

import csv
import json

import pytest
import yaml

from graphkit.cli.output import Output, coloured, to_json, to_yaml

ROWS = [
    {"name": "=1+1", "nested": {"a": [1]}, "count": 2, "none": None, "yes": True},
    {"name": "\u202e\x1b[2J", "further": "x"},
]


@pytest.mark.parametrize("text", ["\x1b[2J", "\x7f", "\x9b2J", "\u202egnp", "\u200b", "\ufeff", "\ud800", "ü 中 😀"])
def test_json_and_yaml_mean_what_they_were_given_and_steer_nothing(text):
    encoded = to_json({"key": text})
    assert json.loads(encoded) == {"key": text}
    assert encoded.isprintable() or text == "\u200b"
    if text != "\ud800":
        told = to_yaml({"key": text})
        assert yaml.safe_load(told) == {"key": text}
        assert told.strip().isprintable()


def test_csv_has_every_field_and_no_formula(capsys):
    Output("csv").emit(ROWS)
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert list(rows[0]) == ["name", "nested", "count", "none", "yes", "further"]
    assert list(rows[0].values()) == ["'=1+1", '{"a": [1]}', "2", "", "true", ""]


def test_a_table_has_what_fits_one_and_nothing_that_steers(capsys):
    Output("table").emit(ROWS)
    told = capsys.readouterr().out.splitlines()
    assert told[0].split() == ["name", "count", "none", "yes", "further"]
    assert told[2].startswith("\\u202e\\x1b[2J")


def test_a_long_list_is_written_one_at_a_time_and_is_one_json_object(capsys):
    for count in (0, 1, 3):
        Output("json").emit_long({"format": 1, "run": "a.run"}, "items", ({"n": n} for n in range(count)))
        assert json.loads(capsys.readouterr().out) == {
            "format": 1, "run": "a.run", "items": [{"n": n} for n in range(count)],
        }  # fmt: skip


def test_a_query_sees_the_long_list_too(capsys):
    Output("json", "items[1].n").emit_long({}, "items", ({"n": n} for n in range(3)))
    assert capsys.readouterr().out == "1\n"


@pytest.mark.parametrize("format", ["none", "table", "json", "jsonl", "csv", "yaml"])
@pytest.mark.parametrize("data", [[], {}, None, "text", 3, [1, 2], [[]], {"a": None}])
def test_any_answer_can_be_written_in_any_format(capsys, format, data):
    Output(format).emit(data)
    if format in ("json", "yaml"):
        assert (json.loads if format == "json" else yaml.safe_load)(capsys.readouterr().out) == data


def test_signs_are_coloured_only_where_it_is_wanted(monkeypatch):
    monkeypatch.setattr("graphkit.cli.output.wants_colour", lambda: True)
    assert coloured("  + key") == "\x1b[32m  + key\x1b[0m"
    assert coloured("+44 is no sign") == "+44 is no sign"
    monkeypatch.undo()
    assert coloured("  + key") == "  + key"


def test_no_color_is_heeded_on_a_terminal(simulated, planned, monkeypatch):
    assert "\x1b[32m" in simulated("show", planned, terminal=True).stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in simulated("show", planned, terminal=True).stdout
