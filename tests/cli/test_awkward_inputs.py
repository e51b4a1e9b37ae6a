"""What spreadsheets, shells and HR systems make of a list: read as it was meant, or refused in words that help."""

import csv
import json
from zipfile import ZipFile

import pytest

HEADER = "employee_id,first_name,last_name,org,start_date"
ROWS = ("90001,Alex,Example,RX1,2026-01-05", "90002,Kim,Sample,RX1,05/01/2026")
PEOPLE = "\n".join((HEADER, *ROWS, ""))
OBJECTS = [dict(zip(HEADER.split(","), each.split(","), strict=True)) for each in ROWS]
PAGE = "usage_location: GB\ndomain: contoso.example\n"
YAML_LIST = "# from HR\n---\n" + "".join(f"- {json.dumps(each)}\n" for each in OBJECTS)
MAP = """\
rows: staff.csv
columns: {employee_id: Nr, first_name: Vorname, last_name: Nachname, org: Haus, start_date: Beginn}
"""
GERMAN = "Nr;Vorname;Nachname;Haus;Beginn\n90001;Zoë;Müller;RX1;05/01/2026\n"


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.yaml"
    path.write_text(PAGE, encoding="utf-8")
    return path


@pytest.fixture
def validate(graphkit, tmp_path, page):
    """``validate(content, name)``: a people file with the page beside it, as (exit code, valid, messages)."""

    def run(content, name="people.csv", *more):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        result = graphkit("validate", "people.joiners", "-i", path, "-i", page, "-o", "json", *more)
        answer = result.json
        return result.code, answer["valid"], [each["message"] for each in answer["errors"]]

    return run


# -- one list, in every form ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("people.csv", PEOPLE),
        ("people.csv", PEOPLE.replace(",", ";").encode("utf-8-sig")),
        ("people.tsv", PEOPLE.replace(",", "\t").encode("utf-16")),
        ("people.jsonl", "\n".join(map(json.dumps, OBJECTS))),
        ("people.json", json.dumps(OBJECTS)),
        ("people.json", json.dumps({"value": OBJECTS}).encode("utf-16")),
        ("people.json", json.dumps(OBJECTS, indent=2).encode("utf-8-sig")),
        ("people.yaml", YAML_LIST),
    ],
)
def test_a_list_beside_a_page_of_rules_may_have_any_format(validate, name, content):
    assert validate(content, name) == (0, 2, [])


@pytest.mark.parametrize(
    ("form", "content"),
    [("csv", PEOPLE), ("jsonl", "\n".join(map(json.dumps, OBJECTS))), ("json", json.dumps(OBJECTS))],
)
def test_a_list_on_standard_input_leaves_the_page_its_own_format(graphkit, page, form, content):
    given = ("-i", "-", "--input-format", form, "-i", page)
    result = graphkit("validate", "people.joiners", *given, "-o", "json", stdin=content)
    assert (result.code, result.json["valid"]) == (0, 2), result.stdout


def test_a_map_finds_its_files_in_a_folder_that_is_given_beside_a_page(graphkit, tmp_path, page):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "staff.csv").write_text(GERMAN, encoding="cp1252")
    (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
    given = ("-i", folder, "-i", page, "--map", tmp_path / "map.yaml")
    result = graphkit("validate", "people.joiners", *given, "-o", "json")
    assert (result.code, result.json["valid"]) == (0, 1), result.stdout


# -- what is refused, and how that is said -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            PEOPLE.replace("org,", "Last Name,"),
            "'last_name' and 'Last Name' both mean last_name: remove one of them",
        ),
        (PEOPLE.encode("utf-16-le"), "holds NUL characters: UTF-16 without a byte order mark? save as CSV UTF-8"),
        (f"{HEADER}\n90001,Alex\n", "has 2 cells, the header 5: is a separator or quotation mark missing?"),
        (
            f'{HEADER}\n90001,"Alex,Example,RX1,2026-01-05\n',
            "unexpected end of data (a quotation mark left open or out of place?); nothing below was read",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_once_and_in_its_own_words(validate, content, message):
    code, valid, messages = validate(content)
    assert (code, valid) == (5, 0)
    assert message in messages
    assert not [each for each in messages if "holds no rows" in each]


@pytest.mark.parametrize("below", ["", ",,,,\n" * 250, "\n\n"])
def test_a_list_of_blank_rows_is_as_empty_as_one_without_any(validate, below):
    code, valid, (message,) = validate(f"{HEADER}\n{below}")
    assert (code, valid) == (5, 0)
    assert message.startswith("holds no rows below its header")


def test_passwords_are_not_kept_wherever_in_a_long_list_they_are(simulated, tmp_path):
    path, run = tmp_path / "assign.csv", tmp_path / "a.run"
    rows = [f"rx1-{number:04}@contoso.example,SPE_E3,RX1,Secret-{number}" for number in range(1, 251)]
    rows[120] = "nobody,SPE_E3,RX1,Secret-bad"
    path.write_text("\n".join(("upn,sku,org,Passwort", *rows, "")), encoding="utf-8")
    assert simulated("plan", "licenses.assign", "-i", path, "--skip-invalid", "--out", run).code in (0, 3, 4)
    assert b"rx1-0030@" in run.read_bytes()
    assert b"Secret-" not in run.read_bytes()


# -- and what comes back -------------------------------------------------------------------------------------------

LEAVING = "employee_id,first_name,last_name,org,start_date,end_date"


def read(path):
    with open(path, encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_results_hold_every_row_of_the_list_the_idle_ones_too(simulated, tmp_path):
    people = tmp_path / "people.csv"
    rows = [
        "RX100001,Alex,Stays,RX1,2020-01-06,",
        "RX100002,Alex,Stays,RX1,2020-01-06,",
        "RX100003,Alex,Leaves,RX1,2020-01-06,2026-01-05",
        "RX200001,Alex,Elsewhere,RX2,2020-01-06,2026-01-05",
    ]
    people.write_text("\n".join((LEAVING, *rows, "")), encoding="utf-8")
    given = ("-i", people, "--as-of", "2026-01-05", "--org", "RX1", "--accept-impact")
    done = simulated("apply", "people.leavers", *given, "--yes", "-o", "json")
    assert done.code == 0, done.stderr
    results = read(done.json["results"])
    assert [row["employee_id"] for row in results] == [row.split(",")[0] for row in rows]
    assert [(row["gk_status"], row["gk_error_code"]) for row in results][1:] == [
        ("skipped", "not-asked"),
        ("done", ""),
        ("skipped", "not-asked"),
    ]


def test_results_come_in_the_order_of_the_files_whatever_became_of_them(simulated, tmp_path):
    first, second = tmp_path / "z.csv", tmp_path / "a.csv"
    first.write_text("upn,sku,org\nrx1-0030@contoso.example,SPE_E3,RX1\n", encoding="utf-8")
    second.write_text("upn,sku,org\nnobody,SPE_E3,RX1\nrx2-0030@contoso.example,SPE_E3,RX2\n", encoding="utf-8")
    given = ("-i", first, "-i", second, "--org", "RX1", "--skip-invalid")
    done = simulated("apply", "licenses.assign", *given, "--yes", "-o", "json")
    assert [(row["upn"].split("@")[0], row["gk_error_code"]) for row in read(done.json["results"])] == [
        ("rx1-0030", ""),
        ("nobody", "invalid-input"),
        ("rx2-0030", "not-asked"),
    ]


def test_results_can_be_given_again_as_often_as_one_likes(simulated, tmp_path):
    path = tmp_path / "assign.csv"
    path.write_text("upn,sku,org\nrx1-0030@contoso.example,SPE_E3,RX1\n", encoding="utf-8")
    for _ in range(3):
        done = simulated("apply", "licenses.assign", "-i", path, "--yes", "-o", "json")
        assert done.code == 0, done.stderr
        path = done.json["results"]
    with open(path, encoding="utf-8-sig") as stream:
        heading = stream.readline().strip().split(",")
    assert len(heading) == len(set(heading)) == 3 + 7


def test_a_page_without_its_list_asks_for_nothing_and_is_refused(graphkit, page):
    result = graphkit("validate", "people.joiners", "-i", page, "-o", "json")
    assert (result.code, [each["code"] for each in result.json["errors"]]) == (5, ["nothing-wanted"])


def test_a_row_that_is_not_due_is_valid_all_the_same(validate):
    ended = "\n".join((f"{HEADER},end_date", f"{ROWS[0]},2026-02-01", f"{ROWS[1]},", ""))
    assert validate(ended, "people.csv", "--as-of", "2026-03-01") == (0, 2, [])


@pytest.mark.parametrize(
    "heading",
    ["Initial password [passwordProfile] Required", "Passwort", "temp_password", "TAP", "Temporary Access Pass"],
)
def test_passwords_that_a_list_brings_along_are_not_kept(simulated, tmp_path, heading):
    path, run = tmp_path / "assign.csv", tmp_path / "a.run"
    path.write_text(f"upn,sku,org,{heading}\nrx1-0030@contoso.example,SPE_E3,RX1,Not-a-secret-2026\n", encoding="utf-8")
    done = simulated("apply", "licenses.assign", "-i", path, "--yes", "--out", run, "-o", "json")
    assert f"neither read nor kept, for they are secret: {heading}" in done.stderr + simulated("show", run).stdout
    (row,) = read(done.json["results"])
    assert (row[heading], row["gk_status"]) == ("", "done")
    assert b"Not-a-secret-2026" not in run.read_bytes()


def test_all_that_is_wrong_with_a_row_of_memberships_is_told_at_once(graphkit, tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("team_key,team_id,upn,role\n,12,alex,\n", encoding="utf-8")
    (error,) = graphkit("validate", "teams.membership", "-i", path, "-o", "json").json["errors"]
    assert error["message"] == (
        "team_id: 12 is not a GUID; upn: alex is neither a user principal name nor an id; role: say Owner or Member"
    )


def test_a_value_that_no_map_takes_is_refused(graphkit, tmp_path):
    path = tmp_path / "reclaim.yaml"
    path.write_text("idle_days: 90\nskus: [SPE_E3]\n", encoding="utf-8")
    told = graphkit("validate", "licenses.reclaim", "-i", path, "--set", "idle_days=30")
    assert (told.code, "--set gives values to a map" in told.stderr) == (5, True)


# -- leaving rows out, and nothing but rows ------------------------------------------------------------------------

GOOD = "upn,sku,org\nrx1-0030@contoso.example,SPE_E3,RX1\n"


def damaged(path):
    """A workbook of which the lower half of the sheet got lost."""
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["upn", "sku", "org"], *([f"rx1-{n:04}@contoso.example", "SPE_E3", "RX1"] for n in range(31, 60))):
        book.active.append(row)
    book.save(path.with_suffix(".whole"))
    with ZipFile(path.with_suffix(".whole")) as whole, ZipFile(path, "w") as half:
        for part in whole.namelist():
            text = whole.read(part)
            half.writestr(part, text[: len(text) // 2] if "sheet1" in part else text)


def truncated(path):
    damaged(path)
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize("spoil", [damaged, truncated])
def test_a_workbook_that_is_damaged_is_not_left_out_as_if_it_were_a_row(simulated, tmp_path, spoil):
    bad, good = tmp_path / "bad.xlsx", tmp_path / "good.csv"
    spoil(bad)
    good.write_text(GOOD, encoding="utf-8")
    plan = simulated("plan", "licenses.assign", "-i", bad, "-i", good, "--skip-invalid", "-o", "json")
    assert (plan.code, plan.json["error"]["code"]) == (5, "invalid-input")
    assert [each["code"] for each in plan.json["error"]["errors"]] == ["malformed-xlsx"]


TWICE = """\
rows: staff.csv
join:
  - {file: names.csv, on: {Name: upn}, as: a}
  - {file: names.csv, on: {Name: upn}, as: a}
columns: {upn: a.Name, sku: =SPE_E3, org: =RX1}
"""


@pytest.mark.parametrize(
    ("text", "names"), [(TWICE, "Name\na@contoso.example\n"), (TWICE.replace("as: a}", "as: b}", 1), "Name\nx\nx\n")]
)
def test_a_map_that_is_wrong_does_not_leave_out_the_whole_list(simulated, tmp_path, text, names):
    (tmp_path / "staff.csv").write_text(GOOD, encoding="utf-8")
    (tmp_path / "names.csv").write_text(names, encoding="utf-8")
    (tmp_path / "map.yaml").write_text(text, encoding="utf-8")
    plan = simulated("plan", "licenses.assign", "--map", tmp_path / "map.yaml", "--skip-invalid", "-o", "json")
    assert plan.code == 5
    assert "bad-map" in {each["code"] for each in plan.json["error"]["errors"]}


def test_a_list_of_people_of_whom_none_is_due_is_an_empty_plan_and_no_error(simulated, tmp_path, page):
    people = tmp_path / "people.csv"
    people.write_text(PEOPLE.replace("2026-01-05", "2026-03-01").replace("05/01/2026", "01/03/2026"), encoding="utf-8")
    given = ("-i", people, "-i", page, "--as-of", "2026-02-01")
    plan = simulated("plan", "people.movers", *given, "-o", "json")
    assert (plan.code, plan.json["status"]) == (0, "empty"), plan.stderr
    assert simulated("validate", "people.movers", *given, "-o", "json").json["valid"] == 2
