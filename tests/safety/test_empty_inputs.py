"""An empty list is more often the wrong file than a wish: through the command line."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("recipe", "name", "text"),
    [
        ("identity.conditional-access", "none.yaml", "policies: []\n"),
        ("identity.conditional-access", "none.json", "[]"),
        ("identity.conditional-access", "none.json", '{"value": []}'),
        ("licenses.pools", "none.yaml", "mode: authoritative\npools: []\n"),
        ("licenses.assign", "none.csv", "upn,sku,org\n"),
        ("licenses.assign", "none.csv", "upn,sku,org\n\n  ,,\n"),
        ("licenses.assign", "none.csv", ""),
        ("teams.provision", "none.csv", "team_key,org,display_name,visibility,owners\n"),
    ],
)
@pytest.mark.parametrize("flags", [(), ("--skip-invalid",)])
def test_an_input_that_asks_for_nothing_is_refused(simulated, tenant, tmp_path, monkeypatch, recipe, name, text, flags):
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "Break glass")
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    result = simulated("plan", recipe, "-i", path, "-o", "json", "--out", tmp_path / "a.run", *flags)
    assert result.code == 5, result.stdout
    assert result.json["error"]["errors"][0]["file"].endswith(name)
    assert not (tmp_path / "a.run").exists()


def test_an_empty_folder_is_refused(simulated, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "Break glass")
    (tmp_path / "wrong").mkdir()
    assert simulated("plan", "identity.conditional-access", "-i", tmp_path / "wrong", "-o", "json").code == 5
