"""CSV as people save it: encodings, separators, Excel's habits, and what is refused."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphkit.inputs.cells import FORMULA_STARTS, are_plain, clean, strip_apostrophe
from graphkit.inputs.source import open_source
from graphkit.inputs.table import open_raw_table

UPN = "rx1-0001@contoso.example"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_encodings_separators_and_line_ends_are_recognised(table, problems, encoding, separator, line_end):
    text = line_end.join([separator.join(["upn", "sku"]), separator.join([UPN, "Büro £5"]), ""])
    rows = list(table(text.encode(encoding)))
    assert [row.values for row in rows] == [{"upn": UPN, "sku": "Büro £5"}]
    assert not problems
    assert len(problems.warnings) == (1 if encoding == "cp1252" else 0)


def test_utf_16_with_the_big_end_first_is_recognised(table):
    text = "\ufeff" + f"upn,sku\n{UPN},E3\n"
    assert next(iter(table(text.encode("utf-16-be")))).values["sku"] == "E3"


def test_the_windows_1252_warning_names_the_line_that_is_not_utf_8(table, problems):
    list(table(f"upn,sku\n{UPN},E3\n{UPN},Büro\n".encode("cp1252")))
    assert "line 3 is not UTF-8" in problems.warnings[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"upn,sku\nr\x81\xff,E3\n", "line 2 is neither UTF-8 nor Windows-1252"),
        ("\ufeffupn,sku\n".encode("utf-16-le") + b"\x00\xd8a\x00", "UTF-16"),
        (b"", "holds no header row"),
        (b"\n,\n", "holds no header row"),
        (b"sep=|\nupn|sku\n", "the separator '|' is not a comma, semicolon or tab"),
        (f"upn,sku\n{UPN},E3\n".encode("utf-16-le"), "UTF-16 without a byte order mark?"),
    ],
)
def test_a_file_that_is_no_table_is_one_problem(table, problems, told, content, message):
    assert list(table(content)) == []
    assert len(problems) == 1
    assert message in told()[0]


def test_an_invisible_broken_byte_far_down_is_found_across_chunks(table, problems):
    filler = f"{UPN},E3\n" * 50_000
    content = b"upn,sku\n" + filler.encode() + "ü,E3\n".encode("cp1252")
    assert sum(1 for _ in table(content)) == 50_001
    assert "line 50002 is not UTF-8" in problems.warnings[0]


def test_rows_are_numbered_as_a_spreadsheet_shows_them(table):
    text = f'upn,sku\n{UPN},"two\nlines"\n\n , \n{UPN},E3\n'
    assert [(row.number, row.values["sku"]) for row in table(text)] == [(2, "two\nlines"), (5, "E3")]


def test_the_separator_line_of_excel_is_no_row(table):
    assert [row.number for row in table(f"sep=;\nupn;sku\n{UPN};E3\n")] == [2]


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("  E3 ", "E3"),
        ("\u00a0E3\u00a0", "E3"),
        ('="00123"', "00123"),
        ('"=""00123"""', "00123"),
        ("00123", "00123"),
        ("'=1+1", "=1+1"),
        ("'+44 1", "+44 1"),
        ("'-x", "-x"),
        ("'@x", "@x"),
        ("''=x", "'=x"),
        ("'tis", "'tis"),
        ("e\u0301", "\u00e9"),
        ("5E3", "5E3"),
        ("rose-ann", "rose-ann"),
        ("#1", "#1"),
        ('="1.2E+05"', "1.2E+05"),
    ],
)
def test_a_cell_means_what_the_person_typed(table, problems, cell, value):
    rows = list(table(f"upn,sku\n{UPN},{cell}\n"))
    assert [row.values["sku"] for row in rows] == [value]
    assert not problems


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("1.2E+05", "1.2E+05 was rounded by a spreadsheet"),
        ("5.00e+03", "5.00e+03 was rounded by a spreadsheet"),
        ("#N/A", "#N/A is a spreadsheet's error"),
        ("#REF!", "#REF! is a spreadsheet's error"),
        ("#NAME?", "#NAME? is a spreadsheet's error"),
        ("#DIV/0!", "#DIV/0! is a spreadsheet's error"),
        ("#####", "##### is a spreadsheet's error"),
        ("a\0b", "holds the control character U+0000"),
        ("a\x1bb", "holds the control character U+001B"),
        ("a\x1fb", "holds the control character U+001F"),
        ("x" * 32_769, "longer than 32768 characters"),
    ],
)
def test_a_destroyed_cell_is_refused_by_row_and_column(table, told, cell, reason):
    assert list(table(f"upn,sku\n{UPN},E3\n{UPN},{cell}\n"))[1:] == []
    assert len(told()) == 1
    assert told()[0].startswith(f"in.csv: row 3, sku: {reason}")


def test_a_destroyed_cell_in_a_column_that_is_not_used_harms_nobody(table, problems):
    assert len(list(table(f"upn,sku,note\n{UPN},E3,#N/A\n"))) == 1
    assert not problems


@pytest.mark.parametrize(
    ("text", "numbers", "message"),
    [
        (f"upn,sku\n{UPN}\n{UPN},E3\n", [3], "row 2, has 1 cells, the header 2"),
        (f"upn,sku\n{UPN},E3,x\n{UPN},E3\n", [3], "row 2, has 3 cells, the header 2"),
        (f'upn,sku\n{UPN},E3\n{UPN},"E3\n{UPN},E3\n', [2], "row 3, unexpected end of data"),
        (f'upn,sku\n{UPN},E3\n{UPN},"E"3\n', [2], "row 3, ',' expected after '\"'"),
        (f"upn,sku\n{UPN},E3\n{UPN},{'x' * 10_000_000}\n", [2], "row 3, field larger than field limit"),
    ],
)
def test_a_row_out_of_shape_is_reported(table, told, text, numbers, message):
    assert [row.number for row in table(text)] == numbers
    assert len(told()) == 1
    assert message in told()[0]


def test_empty_cells_beyond_the_header_are_no_error(table, problems):
    assert len(list(table(f"upn,sku\n{UPN},E3,,\n"))) == 1
    assert not problems


def test_the_cells_of_a_row_are_kept_as_they_stand_for_the_results(table):
    opened = table(f"upn,note,sku\n{UPN}, hello ,'=E3\n")
    row = next(iter(opened))
    assert opened.header == ("upn", "note", "sku")
    assert row.cells == [UPN, " hello ", "'=E3"]


def test_rows_stream_and_the_file_is_read_afresh_each_time(table):
    opened = table(f"upn,sku\n{UPN},E3\n")
    assert list(opened) == list(opened)
    first = iter(opened)
    next(first)
    first.close()  # an open file would be a ResourceWarning, which is an error


def test_a_raw_table_takes_headings_as_written(source, problems):
    opened = open_raw_table(source("Section ID, ID ,Note,Note\n7,8,,\n"), problems, ["ID", "Section ID"])
    assert [row.values for row in opened] == [{"ID": "8", "Section ID": "7"}]
    assert not problems


def guarded(value: str) -> str:
    """The writer's half of the agreement that strip_apostrophe undoes."""
    bare = value.lstrip("'")
    return f"'{value}" if bare and bare[0] in FORMULA_STARTS else value


printable = st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters='"')
cell_text = st.text(printable, min_size=1, max_size=12).filter(lambda text: is_kept(text))


def is_kept(text: str) -> bool:
    try:
        return clean(guarded(text)) == text
    except ValueError:
        return False


@given(st.text(st.sampled_from("'=+-@a1 \t＝"), max_size=6))
def test_the_guard_against_formulas_is_undone_exactly(text):
    assert strip_apostrophe(guarded(text)) == text


@given(st.text(max_size=8))
def test_the_fast_path_never_lets_a_cell_through_that_needs_cleaning(text):
    trimmed = text.strip()
    if are_plain([trimmed]):
        assert clean(trimmed) == trimmed


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(st.tuples(cell_text, cell_text), max_size=5),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    separator=st.sampled_from(",;\t"),
)
def test_what_was_written_is_read_back(table, problems, rows, encoding, separator):
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\r\n")
    writer.writerows([("upn", "sku"), *((guarded(a), guarded(b)) for a, b in rows)])
    read = [tuple(row.values.values()) for row in table(out.getvalue().encode(encoding))]
    assert (read, problems.found) == (rows, [])


def test_a_file_that_is_too_wide_is_refused(table, told):
    assert list(table(",".join(["upn", "sku", *(f"c{n}" for n in range(1000))]) + "\n")) == []
    assert "has 1,002 columns, at most 1,000 are read" in told()[0]


def test_a_line_of_json_that_never_ends_is_not_taken_in(table, told, monkeypatch):
    monkeypatch.setattr("graphkit.inputs.sheet.MAX_LINE", 100)
    lines = f'{{"upn": "{UPN}", "sku": "E3"}}\n{{"upn": "{"x" * 200}"}}\n{{"upn": "{UPN}", "sku": "E3"}}\n'
    assert len(list(table(lines, name="in.jsonl"))) == 1
    assert "row 2, longer than 100 characters; nothing below was read" in told()[0]


def test_an_input_that_is_too_large_is_refused(problems, told, tmp_path, monkeypatch):
    monkeypatch.setattr("graphkit.inputs.source.MAX_BYTES", 10)
    (tmp_path / "in.csv").write_text("upn,sku\nx,y\n")
    assert open_source(tmp_path / "in.csv", problems) is None
    assert open_source("-", problems, input_format="csv", stdin=io.BytesIO(b"x" * 11)) is None
    assert [line.partition(": ")[2].split(" ")[0] for line in told()] == ["larger", "larger"]
    assert open_source("-", problems, input_format="tsv", stdin=io.BytesIO(b"x" * 10)) is not None
