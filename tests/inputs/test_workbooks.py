"""XLSX: the first sheet as people see it, and nothing that a workbook from elsewhere may do to us."""

from __future__ import annotations

import io
import sys
import zipfile
from datetime import date, datetime, time

import pytest
from openpyxl import Workbook

from graphkit.inputs import workbook
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import open_source
from graphkit.inputs.table import open_table
from graphkit.inputs.types import Day, InputModel

UPN = "rx1-0001@contoso.example"


class Person(InputModel):
    upn: str
    employee_id: str = ""
    start_date: Day | None = None


def book(*rows, formats=None, more=()):
    """The bytes of a workbook; ``formats`` maps a cell to a number format, ``more`` are titles of further sheets."""
    made = Workbook()
    sheet = made.active
    sheet.title = "Staff"
    for row in rows:
        sheet.append(row)
    for cell, shown in (formats or {}).items():
        sheet[cell].number_format = shown
    for title in more:
        made.create_sheet(title)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def rezipped(content, change):
    """The archive with its parts changed: ``change(name, data)`` gives the new data."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, change(part.filename, old.read(part)))
    return out.getvalue()


@pytest.fixture
def people(table):
    return lambda content: table(content, Person, "staff.xlsx")


def test_rows_come_with_their_numbers_and_blank_ones_are_dropped(people, problems):
    rows = list(people(book(["upn", "employee_id"], [UPN, "0007"], [], ["b@contoso.example", ""])))
    assert [(row.number, row.values["upn"]) for row in rows] == [(2, UPN), (4, "b@contoso.example")]
    assert rows[0].values["employee_id"] == "0007"
    assert not problems


@pytest.mark.parametrize(
    ("value", "shown", "text"),
    [
        (123, "General", "123"),
        (123, "00000", "00123"),
        (123.0, "0.00", "123"),
        (12.5, "General", "12.5"),
        (120_000, "0.00E+00", "120000"),
        (123_456_789_012_345, "General", "123456789012345"),
        (True, "General", "true"),
        (date(2026, 3, 31), "dd/mm/yyyy", "2026-03-31"),
        (datetime(2026, 3, 31, 8, 30), "General", "2026-03-31 08:30:00"),
        ("  0012 ", "@", "0012"),
        ("'=1+1", "@", "=1+1"),
    ],
)
def test_a_cell_is_what_people_see_in_it(people, problems, value, shown, text):
    formats = {"B2": shown} if shown != "General" else {}
    rows = list(people(book(["upn", "employee_id"], [UPN, value], formats=formats)))
    assert [row.values["employee_id"] for row in rows] == [text], problems.found


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("#N/A", "employee_id: B2: #N/A is a spreadsheet's error"),
        (1_234_567_890_123_456, "employee_id: B2: 1.23457e+15 was rounded by a spreadsheet"),
        ("=A1", "employee_id: B2: holds a formula that was never worked out"),
        (time(8, 30), "employee_id: B2: 08:30:00 is a time of day"),
    ],
)
def test_what_a_spreadsheet_has_destroyed_is_refused_by_its_cell(people, told, value, message):
    assert list(people(book(["upn", "employee_id"], [UPN, value]))) == []
    assert told()[0].startswith(f"staff.xlsx: row 2, {message}")


def test_a_day_number_is_no_date(source, problems, told):
    from graphkit.inputs.rows import read_rows

    opened = open_table(source(book(["upn", "start_date"], [UPN, 46_112]), "staff.xlsx"), problems, Person)
    assert list(read_rows(opened, Person, problems)) == []
    assert told() == [
        "staff.xlsx: row 2, start_date: '46112': is a spreadsheet's day number: write YYYY-MM-DD or DD/MM/YYYY"
    ]


def test_a_spoilt_cell_in_a_column_that_is_not_used_harms_nobody(people, problems):
    assert len(list(people(book(["upn", "note"], [UPN, "#REF!"])))) == 1
    assert not problems


def test_only_the_first_sheet_is_read_and_that_is_said(people, problems):
    list(people(book(["upn"], [UPN], more=("Old", "Notes"))))
    assert any(warning.endswith("only the sheet Staff is read, not Old, Notes") for warning in problems.warnings), (
        problems.warnings
    )


def test_a_workbook_can_come_by_standard_input(problems):
    opened = open_source("-", problems, input_format="xlsx", stdin=io.BytesIO(book(["upn"], [UPN])))
    assert [row.values["upn"] for row in open_table(opened, problems, Person)] == [UPN]


# --- what is not trusted ---


def test_a_bomb_is_refused_before_it_is_unpacked(people, told):
    def swollen(name, data):
        return b" " * 300_000_000 if name == "xl/styles.xml" else data

    assert list(people(rezipped(book(["upn"], [UPN]), swollen))) == []
    assert "xl/styles.xml unpacks to 250 times its size and more" in told()[0]


def test_too_many_parts_and_too_many_bytes_are_refused(people, told, monkeypatch):
    content = book(["upn"], [UPN])
    monkeypatch.setattr(workbook, "MAX_ENTRIES", 3)
    assert list(people(content)) == []
    assert "at most 3 are read" in told()[0]
    monkeypatch.setattr(workbook, "MAX_ENTRIES", 100)
    monkeypatch.setattr(workbook, "MAX_UNPACKED", 100)
    assert list(people(content)) == []
    assert "unpacks to more than" in told()[1]


def test_entities_are_refused(people, told):
    def armed(name, data):
        if not name.endswith("sheet1.xml"):
            return data
        head = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>'
        return head + data.partition(b"?>")[2].lstrip() if data.startswith(b"<?xml") else head + data

    assert list(people(rezipped(book(["upn"], [UPN]), armed))) == []
    assert "EntitiesForbidden" in told()[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xd0\xcf\x11\xe0" + b"\0" * 600, "is protected by a password, or an old .xls"),
        (b"upn\nx\n", "is no XLSX workbook"),
        (book(["upn"], [UPN])[:900], "is no XLSX workbook"),
        (book(), "the sheet Staff holds no header row"),
    ],
)
def test_what_is_no_workbook_is_said_in_one_line(people, told, content, message):
    assert list(people(content)) == []
    assert len(told()) == 1
    assert message in told()[0]


def test_a_sheet_that_is_damaged_further_down_hides_nothing_above(people, told):
    content = book(["upn"], [UPN], ["b@contoso.example"])
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
    end = sheet.rindex(b"<row")
    broken = rezipped(content, lambda name, data: data[:end] if name.endswith("sheet1.xml") else data)
    assert [row.number for row in people(broken)] == [2]
    assert "nothing below was read" in told()[0]


def test_without_the_extra_one_line_says_so(people, told, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    assert list(people(book(["upn"], [UPN]))) == []
    assert told() == [
        "staff.xlsx: XLSX needs the extra excel: pip install 'graphkit-m365[excel]'; or save the sheet as CSV UTF-8"
    ]


def test_an_xlsx_file_is_planned_like_a_csv_file(simulated, tmp_path):
    path = tmp_path / "assign.xlsx"
    path.write_bytes(book(["User Principal Name", "SKU", "Org"], [UPN, "EMS", "RX1"]))
    planned = simulated("plan", "licenses.assign", "-i", path, "-o", "json")
    assert (planned.code, planned.json["changes"]["add"]) == (0, 1), planned.stderr
    assert any("User Principal Name as upn" in warning for warning in planned.json["warnings"])


def test_problems_are_collected_apart_from_the_look_at_the_header(source):
    problems = Problems()
    opened = open_table(source(book(["upn", "employee_id"], [UPN, "#N/A"]), "staff.xlsx"), problems, Person)
    assert len(problems) == 0
    list(opened)
    assert len(problems) == 1
