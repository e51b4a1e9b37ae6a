from __future__ import annotations

import os
import stat

import pytest

from graphkit.engine.ledger import Ledger


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
