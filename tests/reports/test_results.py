"""``results.csv``: rows in, outcomes out."""

import csv
import errno
import os
import tracemalloc

import pytest

from graphkit.engine.change import Action, Change, Desired, Origin, Result, Status
from graphkit.engine.runfile import RunFile
from graphkit.inputs.cells import FORMULA_STARTS, guarded, strip_apostrophe
from graphkit.reports.results import OUTCOME, write_results


@pytest.fixture
def run(tmp_path):
    with RunFile.create(tmp_path / "a.run", {"recipe": "x"}) as file:
        yield file


def row_of(file, place, cells):
    return Origin(file, place, tuple(cells), tuple(cells.values()))


def add(run, key, origin, action=Action.ADD, result=None):
    run.stage([Desired(kind="k", key=key, origin=origin)])
    run.add_changes([Change(kind="k", key=key, action=action, origin=origin)])
    if result:
        change = next(change for change in run.changes("k") if change.key == key)
        run.record([(change.seq, result, 0.0)])


def written(run, tmp_path):
    path = tmp_path / "out.csv"
    write_results(run, path)
    return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))


DONE = Result(status=Status.DONE, object_id="id-1", request_id="r-1")


def test_each_row_of_a_table_keeps_its_columns_and_gets_its_outcome(run, tmp_path):
    add(run, "b", row_of("a.csv", 3, {"upn": "b", "org": "RX1"}), result=DONE)
    add(run, "a", row_of("a.csv", 2, {"upn": "a", "org": "RX1"}), result=Result(
        status=Status.FAILED, code="Denied", error="no", request_id="r-2"
    ))  # fmt: skip
    rows = written(run, tmp_path)
    assert [row["upn"] for row in rows] == ["a", "b"]
    assert list(rows[0]) == ["upn", "org", *OUTCOME]
    assert list(rows[0].values())[2:] == ["add", "failed", "", "Denied", "no", "r-2", ""]
    assert list(rows[1].values())[2:] == ["add", "done", "id-1", "", "", "r-1", ""]


def test_rows_of_two_tables_share_the_columns_of_both(run, tmp_path):
    add(run, "a", row_of("a.csv", 2, {"upn": "a"}), result=DONE)
    add(run, "b", row_of("b.csv", 2, {"team": "b", "upn": "o"}), result=DONE)
    assert [(row["upn"], row["team"]) for row in written(run, tmp_path)] == [("a", ""), ("o", "b")]


def test_entries_of_documents_are_named_where_no_table_was_given(run, tmp_path):
    add(run, "a", Origin("a.yaml", "policies[0]"), result=DONE)
    add(run, "b", Origin("a.yaml", "policies[1]"))
    rows = written(run, tmp_path)
    assert [(row["file"], row["path"], row["gk_status"]) for row in rows] == [
        ("a.yaml", "policies[0]", "done"), ("a.yaml", "policies[1]", "unknown"),
    ]  # fmt: skip


def test_entries_of_a_document_stay_out_of_the_way_of_a_table(run, tmp_path):
    add(run, "a", Origin("a.yaml", "pools[0]"), result=DONE)
    add(run, "b", row_of("a.csv", 2, {"upn": "b"}), result=DONE)
    assert [row["upn"] for row in written(run, tmp_path)] == ["b"]


def test_no_cell_is_a_formula_heading_and_error_included(run, tmp_path):
    evil = "=HYPERLINK(1)"
    bad = Result(status=Status.FAILED, code=evil, error=evil)
    add(run, "a", row_of("a.csv", 2, {evil: evil}), result=bad)
    text = (written(run, tmp_path), (tmp_path / "out.csv").read_text(encoding="utf-8-sig"))[1]
    for row in csv.reader(text.splitlines()):
        assert not [cell for cell in row if cell.startswith(tuple(FORMULA_STARTS))]


@pytest.mark.parametrize("start", [*FORMULA_STARTS, "'tis", "plain", "", "'", "''"])
@pytest.mark.parametrize("apostrophes", [0, 1, 3])
def test_what_guards_a_cell_is_undone_exactly_when_it_is_read_again(start, apostrophes):
    cell = "'" * apostrophes + start + "1"
    written = guarded(cell)
    assert strip_apostrophe(written) == cell
    assert not written.startswith(tuple(FORMULA_STARTS))


def test_the_file_is_for_spreadsheets_and_for_its_owner_alone(run, tmp_path):
    add(run, "a", row_of("a.csv", 2, {"upn": "ü"}), result=DONE)
    written(run, tmp_path)
    content = (tmp_path / "out.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.count(b"\r\n") == content.count(b"\n") == 2
    if os.name == "posix":
        assert (tmp_path / "out.csv").stat().st_mode & 0o777 == 0o600


def test_an_older_file_is_replaced_at_once(run, tmp_path):
    (tmp_path / "out.csv").write_text("old\n" * 1000)
    add(run, "a", row_of("a.csv", 2, {"upn": "a"}), result=DONE)
    assert len(written(run, tmp_path)) == 1
    assert list(tmp_path.glob("*.part")) == []


def test_what_cannot_be_written_to_its_end_leaves_the_older_file_and_nothing_of_the_new_one(run, tmp_path, monkeypatch):
    add(run, "a", Origin("a.csv", 2, {"upn": "a"}), result=DONE)
    written(run, tmp_path)
    before = (tmp_path / "out.csv").read_bytes()

    def broken(**_):
        yield from ()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(run, "input_results", broken)
    with pytest.raises(OSError, match="No space left"):
        written(run, tmp_path)
    assert (tmp_path / "out.csv").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir() if "out.csv" in path.name] == ["out.csv"]


def test_memory_does_not_grow_with_the_rows(run, tmp_path):
    def peak(rows):
        origins = [row_of("a.csv", number, {"upn": f"{number}" * 20}) for number in rows]
        run.stage_inputs(origins)
        del origins
        tracemalloc.start()
        write_results(run, tmp_path / "out.csv")
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    few, many = peak(range(2, 502)), peak(range(502, 8002))
    assert many < 2 * few
