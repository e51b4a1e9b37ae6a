"""Rows become models; every error of every row is told at once."""

from __future__ import annotations

import tracemalloc

import pytest

from graphkit.errors import InputErrors
from graphkit.inputs.problems import KEPT_PROBLEMS, Problems
from graphkit.inputs.rows import SeenKeys, judge_rows, read_rows

A, B = "rx1-0001@contoso.example", "rx1-0002@contoso.example"


def by_upn(item):
    return item.upn


def test_good_rows_come_with_their_model_and_bad_ones_are_all_told(table, licence, problems, told):
    text = f"upn,sku,org\n{A},E3,RX1\nnobody,,rx1\n{B},#N/A,RX22222222\n{B},E3,\n"
    read = list(read_rows(table(text), licence, problems))
    assert [(row.number, item.upn, item.org) for row, item in read] == [(2, A, "RX1"), (5, B, "RX1")]
    assert told() == [
        "in.csv: row 3, upn: 'nobody': is not a user principal name such as user@contoso.example",
        "in.csv: row 3, sku: is empty or missing",
        "in.csv: row 3, org: 'rx1': is not an organisation code: 1 to 9 capital letters and digits",
        "in.csv: row 4, sku: #N/A is a spreadsheet's error, not a value",
        "in.csv: row 4, org: 'RX22222222': is not an organisation code: 1 to 9 capital letters and digits",
    ]
    with pytest.raises(InputErrors, match="5 problems") as raised:
        problems.raise_if_any()
    assert raised.value.to_json()["errors"][1] == {
        "file": problems.found[1].file,
        "row": 3,
        "code": "missing-value",
        "message": "sku: is empty or missing",
    }


def test_a_bad_cell_in_a_column_that_may_be_empty_still_counts(table, licence, problems, told):
    assert list(read_rows(table(f"upn,sku,org\n{A},E3,#REF!\n"), licence, problems)) == []
    assert told() == ["in.csv: row 2, org: #REF! is a spreadsheet's error, not a value"]


def test_a_repeated_key_is_told_with_both_rows_and_only_the_first_is_kept(table, licence, problems, told):
    text = f"upn,sku\n{A},E3\n{B},E3\n{A.upper()},E3\n{A},E5\n"
    read = list(read_rows(table(text), licence, problems, key=by_upn))
    assert [row.number for row, _ in read] == [2, 3]
    assert told() == [f"in.csv: row 4, {A.upper()}: already in row 2", f"in.csv: row 5, {A}: already in row 2"]


def test_keys_of_several_parts_do_not_run_together():
    seen = SeenKeys()
    assert seen.again([(("ab", "c"), 2), (("a", "bc"), 3)]) == {}
    assert seen.again([(("x", "y"), 4), (("AB", "C"), 5), (("x", "Y"), 6)]) == {5: 2, 6: 4}


@pytest.mark.parametrize(("one", "other"), [("straße", "strasse"), ("İ", "i"), ("ı", "i")])
def test_keys_that_only_look_alike_are_different(one, other):
    seen = SeenKeys()
    assert seen.again([(one, 2), (other, 3)]) == {}


def test_more_problems_than_can_be_kept_are_counted():
    problems = Problems()
    for number in range(KEPT_PROBLEMS + 5):
        problems.add("in.csv", number, "bad-cell", "x")
    with pytest.raises(InputErrors) as raised:
        problems.raise_if_any()
    assert len(problems) == KEPT_PROBLEMS + 5
    assert raised.value.problems[-1].message == "and 5 more"
    assert raised.value.message.startswith("10005 problems")
    assert "not what could not be read" in raised.value.hint, "so many cannot be left out"


def test_no_problem_raises_nothing():
    assert Problems().raise_if_any() is None


def test_memory_does_not_grow_with_the_rows(table, licence, problems):
    lines = "".join(f"rx1-{number:06d}@contoso.example,E3\n" for number in range(20_000))
    opened = table("upn,sku\n" + lines)
    del lines
    tracemalloc.start()
    count = sum(1 for _ in read_rows(opened, licence, problems, key=by_upn))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 2 * 1024 * 1024


LIST = f'[{{"upn": "{A}", "sku": "E3", "disabled_plans": ["A", "B"]}}, 7, {{"upn": "{B}", "sku": null}}]'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("in.json", LIST),
        ("in.json", f'{{"value": {LIST}}}'),
        ("in.yaml", f"- {{upn: {A}, sku: E3, disabled_plans: [A, B]}}\n- 7\n- {{upn: {B}}}\n"),
        ("in.jsonl", f'{{"upn": "{A}", "sku": "E3", "disabled_plans": ["A", "B"]}}\n7\n{{"upn": "{B}"}}\n'),
    ],
)
def test_objects_are_rows_too_counted_from_one(table, licence, problems, told, name, text):
    read = list(read_rows(table(text, name=name), licence, problems))
    assert [(row.number, item.disabled_plans) for row, item in read] == [(1, ("A", "B"))]
    assert told() == [
        f"{name}: row 2, an object of columns and values is expected",
        f"{name}: row 3, sku: is empty or missing",
    ]


def test_json_lines_of_which_none_can_be_read_are_told_one_by_one(table, licence, problems, told):
    assert list(read_rows(table('{oops\n{"upn": 1\n', name="in.jsonl"), licence, problems)) == []
    assert [line.split(",")[0] for line in told()] == ["in.jsonl: row 1", "in.jsonl: row 2"]


def test_a_bad_json_line_hides_no_other(table, licence, problems, told):
    text = f'{{"upn": "{A}", "sku": "E3"}}\n{{oops\n\n{{"upn": "{B}", "sku": {{}}}}\n{{"upn": "{B}", "sku": "E3"}}\n'
    assert [row.number for row, _ in read_rows(table(text, name="in.jsonl"), licence, problems)] == [1, 5]
    assert [line.split(": ", 1)[1][:5] for line in told()] == ["row 2", "row 4"]


def test_bad_rows_amid_a_chunk_keep_their_numbers_and_are_told_in_their_order(table, licence, problems, told):
    """Rows are judged many at a time: of 350, some in each chunk and at its edges are bad, each in a way of its own."""
    rows = [f"{number:06}@contoso.example,E3,RX1" for number in range(2, 352)]
    for number in (2, 101, 102, 150, 351):
        rows[number - 2] = f"nobody-{number},E3,RX1"
    rows[60] = "#N/A,E3,RX1"
    rows[200] = "000003@CONTOSO.example,E3,RX1"
    judged = list(judge_rows(table("upn,sku,org\n" + "\n".join(rows) + "\n"), licence, problems, key=by_upn))
    bad = [2, 62, 101, 102, 150, 202, 351]
    assert [problem.where for problem in problems.found] == bad
    assert [row.number for chunk in judged for row in chunk.rejected] == bad
    assert [row.number for chunk in judged for row, _ in chunk.valid] == [n for n in range(2, 352) if n not in bad]
    assert all(item.upn == f"{row.number:06}@contoso.example" for chunk in judged for row, item in chunk.valid)
    assert told()[5].endswith("row 202, 000003@CONTOSO.example: already in row 3")
    assert told()[6].startswith("in.csv: row 351, upn: 'nobody-351': is not a user principal name")
