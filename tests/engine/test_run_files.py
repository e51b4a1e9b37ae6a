"""A run file keeps what it was given, and refuses what was done to it."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import sys
from contextlib import closing

import pytest

from graphkit.engine.bulk import AT_ONCE, insert
from graphkit.engine.change import Action, Change, Desired, Effect, Origin, Result, Status
from graphkit.engine.runfile import RunFile
from graphkit.errors import InputProblem, RunFileError

HEADER = {"recipe": "licenses.pools", "tenant": "t", "target": "simulated", "apps": ["a"], "inputs": {}, "options": {}}


def change(key, action=Action.ADD, place=2, **more):
    return Change(kind="group.member", key=key, action=action, after={"id": key}, origin=Origin("s.csv", place), **more)


def sealed(path, *changes):
    run = RunFile.create(path, HEADER)
    run.stage_inputs([each.origin for each in changes])
    run.add_changes(changes)
    run.seal(status="ready")
    run.close()
    return path


@pytest.fixture
def plan(tmp_path):
    return sealed(tmp_path / "a.run", change("a", place=2), change("b", place=3), change("c", Action.NOOP, place=4))


def test_a_sealed_plan_is_sound_when_opened_again(plan):
    with RunFile.open(plan) as run:
        run.verify()
        assert [each.key for each in run.changes()] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE change SET line = replace(line, '\"a\"', '\"x\"') WHERE seq = 1",
        "DELETE FROM change WHERE seq = 2",
        "UPDATE change SET seq = 9 WHERE seq = 3",
        "INSERT INTO change(kind, key, action, line) SELECT kind, key, action, line FROM change WHERE seq = 1",
        "UPDATE header SET value = '\"other\"' WHERE name = 'tenant'",
        "UPDATE header SET value = '[\"other\"]' WHERE name = 'apps'",
        "UPDATE header SET value = '{\"s.csv\":\"0\"}' WHERE name = 'inputs'",
        "UPDATE header SET value = '{\"max_deletes\":999}' WHERE name = 'limits' OR name = 'options'",
        "DELETE FROM header WHERE name = 'digest'",
    ],
)
def test_an_altered_plan_is_refused(plan, tampering):
    with closing(sqlite3.connect(plan)) as db, db:
        db.execute(tampering)
    db.close()
    with RunFile.open(plan) as run, pytest.raises(RunFileError, match="changed after it was planned"):
        run.verify()


def test_an_action_that_no_longer_fits_its_line_is_refused(plan):
    with closing(sqlite3.connect(plan)) as db, db:
        db.execute("UPDATE change SET action = 'delete' WHERE seq = 1")
    db.close()
    with RunFile.open(plan) as run, pytest.raises(RunFileError):
        run.verify()


@pytest.mark.parametrize(
    "content", [b"", b"not a database at all, but long enough to look like a file", b"SQLite format 3\0"]
)
def test_a_file_that_is_no_run_file_is_refused_by_name(tmp_path, content):
    path = tmp_path / "x.run"
    path.write_bytes(content)
    with pytest.raises(RunFileError, match=r"x\.run"):
        RunFile.open(path)


def test_a_missing_file_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(RunFileError) as caught:
        RunFile.open(tmp_path / "gone.run")
    assert "runs list" in caught.value.hint


def test_a_newer_format_is_refused(plan):
    with closing(sqlite3.connect(plan)) as db, db:
        db.execute("PRAGMA user_version = 4")
    db.close()
    with pytest.raises(RunFileError, match="newer graphkit"):
        RunFile.open(plan)


def test_only_one_process_may_write(plan):
    with RunFile.open(plan, write=True), pytest.raises(RunFileError, match=f"process {os.getpid()}"):
        RunFile.open(plan, write=True)
    RunFile.open(plan, write=True).close()
    assert list(plan.parent.glob("a.run*")) == [plan]


def test_a_lock_whose_holder_finds_no_room_to_say_so_is_not_held(plan, monkeypatch):
    def is_full(handle, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", is_full)
        with pytest.raises(OSError, match="No space"):
            RunFile.open(plan, write=True)
    RunFile.open(plan, write=True).close()
    assert list(plan.parent.glob("a.run*")) == [plan]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no mode bits")
def test_only_its_owner_may_read_a_run_file(plan):
    assert stat.S_IMODE(plan.stat().st_mode) == 0o600


def test_a_run_file_is_never_overwritten(plan):
    with pytest.raises(RunFileError, match="exists already"):
        RunFile.create(plan, HEADER)


def row_of(file, place, cells):
    return Origin(file, place, tuple(cells), tuple(cells.values()))


def wish(key, place, **more):
    return Desired(kind="group", key=key, origin=row_of("s.csv", place, {"name": key}), **more)


def test_keys_that_are_wanted_twice_name_both_rows_and_the_first_is_kept(tmp_path):
    with RunFile.create(tmp_path / "a.run", HEADER) as run:
        run.stage([wish("k", 2), wish("j", 3), wish("k", 7)])
        run.stage([Desired(kind="group", key="k", origin=Origin("p.yaml", "groups[1]")), wish("l", 8)])
        (chunk,) = run.resolving("group")
        assert [(each.key, each.origin.place) for each in chunk] == [("j", 3), ("k", 2), ("l", 8)]
        assert run.twice() == [
            InputProblem("s.csv", 7, "duplicate-key", "k is there twice, first in row 2"),
            InputProblem("p.yaml", "groups[1]", "duplicate-key", "k is there twice, first in s.csv row 2"),
        ]
        assert [each.values.get("name") for each in run.inputs()] == ["k", "j", "k", "l", None]


def test_a_key_is_wanted_twice_too_where_a_chunk_ends_between_the_two(tmp_path):
    keys = [f"{number:05}" for number in range(2_500)]
    with RunFile.create(tmp_path / "a.run", HEADER) as run:
        run.stage([wish(key, place) for place, key in enumerate(reversed(keys), 2)])
        run.stage([wish(key, place) for place, key in ((3_000, "00999"), (3_001, "00999"), (3_002, "02499"))])
        found = [each.key for chunk in run.resolving("group") for each in chunk]
        assert found == keys
        assert [problem.where for problem in run.twice()] == [3_000, 3_001, 3_002]


def test_what_is_put_into_wishes_is_kept_and_what_a_refused_row_asks_for_is_not(tmp_path):
    with RunFile.create(tmp_path / "a.run", HEADER) as run:
        run.stage([wish("a", 2), wish("b", 3), wish("c", 4)])
        for chunk in run.resolving("group"):
            for each in chunk:
                each.properties["id"] = f"id of {each.key}"
        run.drop_wanted(InputProblem("s.csv", 3, "bad", "no such group"))
        assert [(each.key, each.properties) for each in run.wanted("group")] == [
            ("a", {"id": "id of a"}),
            ("c", {"id": "id of c"}),
        ]
        assert run.wanted_count("group") == 2
        run.drop_wanted(InputProblem("s.csv", 2, "bad", "no such group"))
        run.drop_wanted(InputProblem("s.csv", 4, "bad", "no such group"))
        assert run.wanted_kinds() == []


def test_a_key_is_wanted_as_long_as_a_row_that_asks_for_it_is_left(tmp_path):
    with RunFile.create(tmp_path / "a.run", HEADER) as run:
        run.stage([wish("a", 2), wish("b", 3), wish("a", 4)])
        assert [run.is_wanted("group", key) for key in "abc"] == [True, True, False]
        assert not run.is_wanted("team", "a")
        assert [each.key for chunk in run.resolving("group") for each in chunk] == ["a", "b"]
        for row in (3, 4):
            run.drop_wanted(InputProblem("s.csv", row, "bad", "no such group"))
        assert [run.is_wanted("group", key) for key in "ab"] == [True, False]
        run.drop_wanted(InputProblem("s.csv", 2, "bad", "no such group"))
        assert not run.is_wanted("group", "a")


def test_lines_are_counted_within_a_container_and_not_within_one_whose_name_begins_like_it(tmp_path):
    keys = ("a/1", "a/2", "a/b/3", "ab/4", "a0/5", "a")
    with RunFile.create(tmp_path / "a.run", HEADER) as run:
        run.add_changes([Change(kind="k", key=key, action=Action.ADD) for key in keys])
        assert run.counts()["add"] == 6
        run.add_changes([Change(kind="k", key="a/6", action=Action.REMOVE)])
        assert run.counts()["remove"] == 1
        assert run.counts_within("k", "a") == {Action.ADD: 2, Action.REMOVE: 1}
        assert run.counts_within("k", "a/b") == {Action.ADD: 1}
        assert run.counts_within("other", "a") == {}


def test_texts_with_line_feeds_are_kept_as_they_are(tmp_path):
    """Lines, wishes and cells are encoded many at a time, one to a line."""
    text = "one\ntwo\r\n\u2028three"
    item = Desired(kind="k", key=text, origin=row_of("t.csv", 2, {text: text}), properties={"name": text})
    with RunFile.create(tmp_path / "a.run", HEADER) as run:
        run.stage([item, wish("z", 3)])
        assert [each.properties for each in run.wanted("k")] == [{"name": text}]
        assert [each.values for each in run.inputs()] == [{text: text}, {"name": "z"}]
        change = Change(kind="k", key=text, action=Action.ADD, after={"name": text}, origin=Origin("s.csv", 2))
        run.add_changes([change, Change(kind="k", key="z", action=Action.ADD, origin=Origin("s.csv", 3))])
        assert [each.key for each in run.changes()] == [text, "z"]
        assert Change.lines([change]) == [change.line()]


def test_intents_without_outcome_are_unsettled_until_released_or_recorded(plan):
    with RunFile.open(plan, write=True) as run:
        run.intend([(1, 1, 0.0), (2, 2, 0.0)])
        assert run.unsettled() == {1: 0.0, 2: 0.0}
        run.release(1)
        run.record([(2, Result(status=Status.DONE), 1.0)])
        assert run.unsettled() == {}
        assert [each.key for each in run.pending()] == ["a"]


def test_what_was_accepted_uses_up_the_budget_though_it_did_not_become_effective(tmp_path):
    path = sealed(tmp_path / "a.run", change("a", Action.CREATE), change("b", Action.CREATE, place=3), change("c"))
    refused = Result(status=Status.FAILED, object_id="id-a", code="CountViolation", effective=Effect.NO)
    with RunFile.open(path, write=True) as run:
        run.intend([(1, 1, 0.0), (2, 2, 0.0), (3, 3, 0.0)])
        run.record([(1, refused, 1.0), (2, Result(status=Status.FAILED), 1.0), (3, Result(status=Status.DONE), 1.0)])
        assert run.written_counts() == {"create": 1, "add": 1}
        assert [key for _, key, _, _ in run.written()] == ["a", "c"]
        assert run.created() == {("group.member", "a"): 1.0}
        assert run.written_ids("group.member") == {"id-a"}


@pytest.mark.parametrize("seq", [1, 1_000, 1_001, 2_005])
@pytest.mark.parametrize(
    "tampering",
    [
        "key = key || 'x'",
        "action = 'remove'",
        "line = line || ' '",
        # The same characters, and another place between the two.
        "kind = kind || substr(key, 1, 1), key = substr(key, 2)",
        "line = CAST(line AS BLOB)",
    ],
)
def test_a_line_anywhere_in_a_long_plan_cannot_be_altered_unseen(tmp_path, seq, tampering):
    """The digest is chained over a thousand lines at a time."""
    path = sealed(tmp_path / "a.run", *(change(f"{number:04}", place=number) for number in range(2_005)))
    with RunFile.open(path) as run:
        run.verify()
    with closing(sqlite3.connect(path)) as db, db:
        assert db.execute(f"UPDATE change SET {tampering} WHERE seq = ?", (seq,)).rowcount == 1
    db.close()
    with RunFile.open(path) as run, pytest.raises(RunFileError):
        run.verify()


def test_counts_follow_the_lines_as_they_come(tmp_path):
    with RunFile.create(tmp_path / "a.run", HEADER) as run:
        assert run.counts_by_kind() == {}
        run.add_changes([change("a"), change("b", action=Action.NOOP), change("c")])
        assert (run.counts()["add"], run.counts()["noop"]) == (2, 1)
        run.add_changes([change("d"), Change(kind="other", key="e", action=Action.ADD)])
        kept = run.counts_by_kind()
    with RunFile.open(tmp_path / "a.run") as run:
        assert run.counts_by_kind() == kept
        assert list(kept) == list(run.counts_by_kind())
        assert run.counts()["add"] == 4


def test_rows_go_in_whole_however_many_they_are():
    for count in (0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, 3 * AT_ONCE + 7):
        with closing(sqlite3.connect(":memory:")) as db:
            db.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
            rows = [(number, f"b{number}") for number in range(count)]
            assert insert(db, "OR IGNORE INTO t(a, b)", rows) == count
            assert db.execute("SELECT a, b FROM t ORDER BY a").fetchall() == rows
            assert insert(db, "OR IGNORE INTO t(a, b)", [*rows, (-1, "new")]) == 1


def test_every_change_has_an_outcome_before_a_run_is_finished(plan):
    with RunFile.open(plan, write=True) as run:
        run.settle_unwritten(0.0)
        assert not run.finished()
        run.record([(seq, Result(status=Status.DONE), 0.0) for seq in (1, 2)])
        assert run.finished()
        assert run.outcome_counts() == {"done": 2, "already": 1, "failed": 0, "skipped": 0, "unknown": 0}


def test_a_row_is_as_good_as_its_worst_change(tmp_path):
    path = sealed(tmp_path / "a.run", change("a", place=2), change("b", place=2), change("c", place=3))
    with RunFile.open(path, write=True) as run:
        bad = Result(status=Status.FAILED, code="Request_BadRequest", error="no", request_id="r-1")
        run.record([(1, Result(status=Status.DONE), 0.0), (2, bad, 0.0), (3, Result(status=Status.DONE), 0.0)])
        first, second = run.input_results(tables=True)
    assert (first.result.status, first.result.request_id) == (Status.FAILED, "r-1")
    assert second.result.status == Status.DONE


def test_input_rows_come_back_in_their_order_whatever_the_order_of_trouble(tmp_path):
    with RunFile.create(tmp_path / "a.run", HEADER) as run:
        run.stage_inputs([row_of("s.csv", place, {"upn": str(place)}) for place in (2, 4, 5)])
        run.mark_problem(InputProblem("s.csv", 3, "bad", "no such user"))
        rows = [(row.origin.place, row.result.code) for row in run.input_results(tables=True)]
    assert rows == [(2, "not-asked"), (3, "invalid-input"), (4, "not-asked"), (5, "not-asked")]


def test_input_rows_come_back_in_the_order_of_their_files_one_that_is_found_meanwhile_too(tmp_path):
    opened = ["z.csv", "a.yaml"]
    with RunFile.create(tmp_path / "a.run", HEADER) as run:
        run.given = opened
        run.stage_inputs([Origin("a.yaml", "pools[0]")])
        opened += ["m.csv", "b.csv"]
        for file in ("b.csv", "z.csv", "m.csv"):
            run.stage_inputs([row_of(file, place, {file: ""}) for place in (2, 3)])
        found = [row.origin.file for row in run.input_results(tables=True)]
        assert run.input_columns() == ["z.csv", "m.csv", "b.csv"]
    assert found == ["z.csv", "z.csv", "m.csv", "m.csv", "b.csv", "b.csv"]


# -- the journal -----------------------------------------------------------------------------------------------------


@pytest.fixture
def begun(tmp_path):
    """A run of four changes: two done, one failed, one sent and not settled."""
    path = sealed(tmp_path / "b.run", *(change(key, place=place) for place, key in enumerate("abcd", start=2)))
    with RunFile.open(path, write=True) as run:
        run.intend([(1, 1, 1.0), (1, 2, 1.0)])
        run.intend([(2, 3, 2.0)])
        run.intend([(3, 4, 3.0)])
        run.release(3)
        run.intend([(4, 4, 4.0)])
        run.record([(1, Result(status=Status.DONE, object_id="o-1"), 5.0)])
        run.record([(2, Result(status=Status.DONE, object_id="o-2"), 5.0)])
        run.record([(3, Result(status=Status.FAILED, code="Denied", error="no"), 6.0)])
    return path


def refused(path):
    with RunFile.open(path) as run, pytest.raises(RunFileError) as caught:
        run.verify()
    assert caught.value.hint
    return caught.value.message


def test_a_journal_is_sound_however_it_came_to_be(begun):
    with RunFile.open(begun, write=True) as run:
        run.verify()
        assert run.retry_failed() == 1
        run.settle_unwritten(7.0)
        run.verify()
        run.record([(3, Result(status=Status.DONE), 8.0)])
        run.record([(3, Result(status=Status.FAILED, code="again"), 9.0)])
    with RunFile.open(begun) as run:
        run.verify()


MEDDLING = {
    "an outcome edited": (
        "UPDATE outcome SET status = 'done' WHERE seq = 3",
        "the outcome of group.member c",
    ),
    "an outcome's text edited": ("UPDATE outcome SET error = 'yes' WHERE seq = 3", "the outcome of group.member c"),
    "outcomes swapped": (
        "UPDATE outcome SET seq = CASE seq WHEN 1 THEN -2 WHEN 2 THEN -1 END WHERE seq < 3;"
        "UPDATE outcome SET seq = -seq WHERE seq < 0",
        "the outcome of group.member a",
    ),
    "an outcome deleted": (
        "DELETE FROM outcome WHERE seq = 2",
        "2 outcomes are there, 3 were written, missing is perhaps that of group.member b",
    ),
    "an outcome repeated for another change": (
        "INSERT INTO outcome SELECT 4, status, object_id, code, error, request_id, at, effective, mark"
        " FROM outcome WHERE seq = 1",
        "the outcome of group.member d",
    ),
    "an intent deleted": ("DELETE FROM intent WHERE step = 2", "4 intents are there, 5 were written"),
    "an intent repeated": (
        "INSERT INTO intent SELECT 9, seq, at, released, mark FROM intent WHERE step = 4",
        "the intent of group.member d",
    ),
    "an intent released": ("UPDATE intent SET released = 1 WHERE step = 4", "the intent of group.member d"),
    "the count forged": (
        "DELETE FROM outcome WHERE seq = 2;"
        "UPDATE header SET value = replace(value, '\"outcomes\":3', '\"outcomes\":2') WHERE name = 'journal'",
        "records were replaced",
    ),
    "the count gone": ("DELETE FROM header WHERE name = 'journal'", "5 intents are there, 0 were written"),
    "the count unreadable": ("UPDATE header SET value = '{\"sum\":\"x\"}' WHERE name = 'journal'", "is damaged"),
}


@pytest.mark.parametrize("what", MEDDLING)
def test_an_altered_journal_is_refused_with_the_record_named(begun, what):
    script, told = MEDDLING[what]
    with closing(sqlite3.connect(begun)) as db, db:
        db.executescript(script)
    assert told in refused(begun)


def test_the_journal_of_another_run_of_the_same_plan_is_refused(begun, tmp_path):
    """The very same changes and outcomes, put down by another run."""
    other = sealed(tmp_path / "c.run", *(change(key, place=place) for place, key in enumerate("abcd", start=2)))
    with closing(sqlite3.connect(other)) as db, db:
        db.execute("ATTACH ? AS begun", (str(begun),))
        db.execute("INSERT INTO intent SELECT * FROM begun.intent")
        db.execute("INSERT INTO outcome SELECT * FROM begun.outcome")
        db.execute("INSERT OR REPLACE INTO header SELECT * FROM begun.header WHERE name = 'journal'")
    db.close()
    assert "altered, or is another run's: the intent of group.member a" in refused(other)


def test_a_torn_file_is_refused(begun):
    content = begun.read_bytes()
    begun.write_bytes(content[: len(content) // 2])
    with pytest.raises(RunFileError, match=r"b\.run"):
        refused(begun)


def test_an_older_format_is_refused(plan):
    with closing(sqlite3.connect(plan)) as db, db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(RunFileError, match="older graphkit"):
        RunFile.open(plan)


def test_a_journal_can_be_read_while_it_is_written(begun):
    with RunFile.open(begun, write=True) as writer, RunFile.open(begun) as reader:
        reader.verify()
        writer.record([(4, Result(status=Status.DONE), 9.0)])
        reader.verify()
        assert reader.outcome_counts()["done"] == 3
