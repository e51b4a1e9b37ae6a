"""An undo is a plan like any other: the rails judge it too."""

from __future__ import annotations


def test_an_undo_takes_nothing_from_a_protected_account(simulated, tenant, tmp_path, monkeypatch):
    (tmp_path / "rx1.csv").write_text("upn\nrx1-0001@contoso.example\nrx1-0002@contoso.example\n", encoding="utf-8")
    path = tmp_path / "pools.yaml"
    text = "pools:\n  - {org: RX1, sku: SPE_E3, cap: 5, members_from: rx1.csv}\n"
    path.write_text(text, encoding="utf-8")
    (tmp_path / "first.csv").write_text("upn\nrx1-0003@contoso.example\n", encoding="utf-8")
    first = tmp_path / "first.yaml"
    first.write_text(path.read_text(encoding="utf-8").replace("rx1.csv", "first.csv"), encoding="utf-8")
    for name, given in (("a.run", first), ("b.run", path)):
        assert simulated("plan", "licenses.pools", "-i", given, "--out", tmp_path / name).code == 0
        assert simulated("apply", tmp_path / name, "--yes").code == 0
    monkeypatch.setenv("GRAPHKIT_PROTECTED", "rx1-0002@*")
    before = len(tenant.log())
    result = simulated("undo", tmp_path / "b.run", "--yes", "--out", tmp_path / "undo.run", "-o", "json")
    assert result.code == 3, result.stdout + result.stderr
    shown = simulated("show", tmp_path / "undo.run", "-o", "json")
    assert "which is protected (rx1-0002@* in the setting protected)" in shown.stdout
    assert [entry.method for entry in tenant.log()[before:]] == ["DELETE"]
