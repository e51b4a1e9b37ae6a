"""A plan and a run as people read them."""

import pytest

from graphkit.engine.change import Action, Change, Origin, Result, Status
from graphkit.reports.text import differences, duration, one_failure, place, plan_lines, printable, table

ROW = Origin("a.csv", 7)


def change(action, key="k", **how):
    return Change(kind="group", key=key, action=Action(action), origin=ROW, **how)


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain text, ünïcode, 中文", "plain text, ünïcode, 中文"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31m", "\\x1b[31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("lone \ud800", "lone \\ud800"),
    ],
)
def test_whatever_could_steer_a_terminal_is_spelt_out(given, shown):
    assert printable(given) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"), (0.44, "0.4 s"), (9.9, "9.9 s"), (42, "42 s"), (60, "1 min"), (200, "3 min 20 s"),
        (3600, "1 h"), (7500, "2 h 5 min"), (86400, "1 d"), (273_600, "3 d 4 h"),
    ],
)  # fmt: skip
def test_durations_read_as_people_say_them(seconds, shown):
    assert duration(seconds) == shown


def test_columns_are_as_wide_as_they_must_be_and_numbers_stand_to_the_right():
    assert list(table(["kind", "n"], [["a", 1], ["longer", 12_000]])) == [
        "kind         n",
        "a            1",
        "longer  12,000",
    ]


def test_a_table_without_rows_is_its_headings():
    assert list(table(["kind", "n"], [])) == ["kind  n"]


def test_a_cell_that_is_too_long_is_cut():
    line = list(table(["x"], [["y" * 100]]))[1]
    assert len(line) == 60
    assert line.endswith("…")


@pytest.mark.parametrize(
    ("action", "sign"),
    [("create", "+"), ("add", "+"), ("update", "~"), ("remove", "-"), ("delete", "x"), ("blocked", "!")],
)
def test_each_action_has_its_sign(action, sign):
    assert f"  {sign} k  a.csv row 7" in list(plan_lines([(change(action), None)]))


def test_what_is_as_wished_is_only_counted_unless_there_is_a_note():
    lines = [(change("noop"), None)] * 3 + [(change("noop", note="awaiting promotion"), None)]
    assert list(plan_lines(lines)) == [
        "group", "  = k  a.csv row 7  awaiting promotion", "  = 3 as wished already", "",
    ]  # fmt: skip


def test_an_update_shows_what_differs_and_nothing_else():
    update = change("update", before={"a": 1, "b": [1]}, after={"a": 1, "b": [2], "c": "new"})
    assert list(differences(update)) == [("b", "[1]", "[2]"), ("c", "null", '"new"')]
    assert "      b: [1] -> [2]" in list(plan_lines([(update, None)]))


def test_a_failure_names_row_code_message_and_request():
    result = Result(status=Status.FAILED, code="Denied", error="not\nallowed", request_id="r-1")
    assert list(one_failure(change("add", "k\x1b"), result)) == [
        "  failed: add group k\\x1b  (a.csv row 7)",
        "      Denied: not\\nallowed (request-id r-1)",
    ]


@pytest.mark.parametrize(
    ("origin", "shown"), [(ROW, "a.csv row 7"), (Origin("a.yaml", "pools[0]"), "a.yaml pools[0]"), (Origin("", ""), "")]
)
def test_the_place_is_a_row_or_a_path(origin, shown):
    assert place(Change(kind="k", key="k", action=Action.ADD, origin=origin)) == shown
