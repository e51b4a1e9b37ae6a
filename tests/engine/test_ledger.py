from __future__ import annotations

import os
import stat

import pytest
from chaos import World

from graphkit.engine.ledger import Ledger
from graphkit.engine.runfile import RunFile
from graphkit.errors import DeadlineReached


def test_what_was_added_is_there_for_the_next_command_and_only_for_that_tenant(tmp_path):
    folder = tmp_path / "runs"
    assert Ledger(folder, "one").ids() == frozenset()
    Ledger(folder, "one").add(["b", "a"])
    Ledger(folder, "one").add({"b", "c"})
    assert Ledger(folder, "one").ids() == {"a", "b", "c"}
    assert Ledger(folder, "two").ids() == frozenset()
    (file,) = folder.iterdir()
    assert file.read_text().split() == ["a", "b", "c"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such bits")
def test_only_its_owner_may_read_it(tmp_path):
    Ledger(tmp_path / "runs", "unknown tenant at http://127.0.0.1:8080").add(["a"])
    (file,) = (tmp_path / "runs").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_line_that_a_crash_cut_short_takes_no_other_with_it(tmp_path):
    ledger = Ledger(tmp_path / "runs", "one")
    ledger.add(["a-1"])
    (file,) = (tmp_path / "runs").iterdir()
    file.write_bytes(file.read_bytes() + b"b-\xff")
    ledger.add(["c-3"])
    assert {"a-1", "c-3"} <= ledger.ids()


def test_what_stopped_a_run_is_told_even_if_its_ids_cannot_be_kept(tmp_path):
    access = World(tmp_path / "access", "identity.conditional-access")
    access.folder.mkdir()
    access.prepare()
    access.plan("a.run")
    runs_dir = access.settings.runs_dir
    runs_dir.mkdir(parents=True, exist_ok=True)
    with RunFile.open(access.folder / "a.run") as run:
        name = Ledger(runs_dir, run.header()["tenant"])._path.name
    (runs_dir / name).mkdir()
    with pytest.raises(DeadlineReached, match="changes are left"):
        access.apply("a.run", deadline_s=3)
    assert (access.folder / "a.results.csv").exists()
    (runs_dir / name).rmdir()
    assert access.apply("a.run").apply_exit_code == 0
    assert len((runs_dir / name).read_text().split()) == 6
