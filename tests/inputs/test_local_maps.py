"""--map: local files become a recipe's columns, joined by key only."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphkit.inputs.localmap import open_mapped_table
from graphkit.inputs.problems import Problems
from graphkit.inputs.rows import read_rows
from graphkit.inputs.source import open_source

ROSTER = Path(__file__).parents[3] / "shared" / "data" / "rosters" / "uk-25-users"

MAP = """rows: Section.csv
join:
  - {file: TeacherRoster.csv, on: {"Section ID": ID}, many: true, as: roster}
  - {file: Teacher.csv, on: {ID: roster.ID}, as: teacher}
columns:
  team_key: ID                          # a column of `rows`
  display_name: "{Section Name} {ID}"   # a template
  org: School DfE Number
  visibility: =Private                  # a constant
  owners: "{teacher.Username}@{domain}" # many: joined with ;
values: {domain: contoso.example}       # or --set domain=...
"""
SECTIONS = "ID,School DfE Number,Section Name\n1,10001,Maths\n2,10001,\n3,10001,Art\n"
ROSTERS = "Section ID,ID\n1,8\n1,7\n1,8\n3,6\n"
TEACHERS = "ID,Username\n7,t-0007\n8,t-0008\n9,t-0009\n"


@pytest.fixture
def mapped(source, problems, team):
    """The table of a map beside its three files."""

    def opened(text=MAP, sections=SECTIONS, rosters=ROSTERS, teachers=TEACHERS, **options):
        source(sections, "Section.csv")
        source(rosters, "TeacherRoster.csv")
        source(teachers, "Teacher.csv")
        return open_mapped_table(source(text, "map.yaml"), problems, team, **options)

    return opened


def test_columns_templates_constants_and_joins_fill_the_recipe_s_columns(mapped, problems):
    table = mapped()
    rows = list(table)
    assert rows[0].values == {
        "team_key": "1",
        "display_name": "Maths 1",
        "org": "10001",
        "visibility": "Private",
        "owners": "t-0008@contoso.example;t-0007@contoso.example",
    }
    assert table.mapping["display_name"] == "{Section Name} {ID}"
    assert rows[0].cells == ["1", "10001", "Maths"]
    assert not problems


def test_a_join_without_a_match_or_an_empty_part_leaves_the_cell_empty(mapped):
    rows = list(mapped())
    assert [row.values["owners"] for row in rows[1:]] == ["", ""]
    assert [row.values["display_name"] for row in rows] == ["Maths 1", "", "Art 3"]


def test_settings_overrule_values(mapped):
    table = mapped(settings={"domain": "fabrikam.example"})
    assert next(iter(table)).values["owners"].endswith("@fabrikam.example")


def test_two_many_joins_do_not_multiply_each_other(mapped, source, tmp_path):
    source("Section ID,Room\n1,a\n1,b\n1,c\n", "Room.csv")
    text = MAP.replace("columns:", '  - {file: Room.csv, on: {"Section ID": ID}, many: true, as: room}\ncolumns:')
    text = text.replace("visibility: =Private", "visibility: room.Room")
    row = next(iter(mapped(text)))
    assert row.values["visibility"] == "a;b;c"
    assert row.values["owners"].count("@") == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": MAP.replace("  org: School DfE Number\n", "")}, "map.yaml: columns: missing columns: org"),
        (
            {"text": MAP.replace("  org:", "  orgg: x\n  org:")},
            "map.yaml: columns.orgg: is not a column of this recipe",
        ),
        ({"text": MAP.replace("many: true,", "")}, "TeacherRoster.csv: row 4, Section ID: already in row 2"),
        ({"text": MAP.replace("many: true,", "mny: true,")}, "map.yaml: join[0].mny: is not a known key here (line 3)"),
        ({"text": MAP.replace("as: teacher", "as: roster")}, "map.yaml: join: two joins are called roster"),
        ({"text": MAP.replace("{ID}", "{Id}")}, "Section.csv: missing columns: Id (found: ID"),
        ({"text": MAP.replace("{ID}", "{ID")}, "map.yaml: columns.display_name: {Section Name} {ID: a brace"),
        ({"text": MAP.replace("Teacher.csv", "Tutor.csv")}, "Tutor.csv: there is no such file or folder"),
        ({"text": MAP.replace("teacher.Username", "teacher.Login")}, "Teacher.csv: missing columns: Login"),
        ({"text": MAP.replace("values: {domain", "values: {d")}, "Section.csv: missing columns: domain"),
        ({"settings": {"domian": "x"}}, "map.yaml: values.domian: no column uses domian, which --set gives"),
        ({"teachers": TEACHERS.replace("t-0009", "#N/A")}, "Teacher.csv: row 4, bad-cell"),
        ({"text": "rows: [1"}, "map.yaml: line 1, column 9"),
    ],
)
def test_what_is_wrong_with_a_map_is_told_before_any_row(mapped, told, problems, changes, message):
    assert list(mapped(**changes)) == []
    expected = message.replace("bad-cell", "Username: #N/A is a spreadsheet's error")
    assert any(expected in line for line in told()), told()


def test_everything_wrong_is_told_at_once(mapped, problems):
    text = MAP.replace("  org: School DfE Number\n", "").replace("{ID}", "{Id}").replace("Teacher.csv", "Tutor.csv")
    mapped(text)
    assert {problem.code for problem in problems.found} == {"missing-column", "file-not-found"}
    assert len(problems) == 3


def test_names_are_looked_for_in_the_given_folder_before_the_map_s_own(mapped, source, problems, tmp_path):
    source("ID,School DfE Number,Section Name\n9,10002,Drama\n", "given/Section.csv")
    table = mapped(given=open_source(tmp_path / "given", problems))
    assert [row.values["team_key"] for row in table] == ["9"]


def test_a_given_file_stands_in_for_the_rows(mapped, source):
    other = source("ID,School DfE Number,Section Name\n1,10002,Drama\n", "other.csv")
    rows = list(mapped(given=other))
    assert [row.values["display_name"] for row in rows] == ["Drama 1"]
    assert rows[0].file.endswith("other.csv")


@pytest.mark.skipif(not ROSTER.exists(), reason="the published data is not here")
def test_of_28_published_sections_4_have_an_owner(source, team):
    problems = Problems()
    local, folder = source(MAP, "map.yaml"), open_source(ROSTER, problems)
    table = open_mapped_table(local, problems, team, given=folder)
    teams = [item for _, item in read_rows(table, team, problems, key=lambda item: item.team_key)]
    assert len(teams) == 28
    assert sum(1 for item in teams if item.owners) == 4
    assert not problems


def test_the_map_in_the_documentation_works(mapped, problems):
    page = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text(encoding="utf-8")
    shown = page.split("```yaml\n")[1].split("```")[0]
    assert [row.values["team_key"] for row in mapped(shown)] == ["1", "2", "3"]
    assert not problems
