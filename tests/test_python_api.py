"""Every example of docs/python-api.md runs as it stands there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

import graphkit
from graphkit.clock import run
from graphkit.engine.runfile import RunFile

PAGE = Path(__file__).parents[1] / "docs/python-api.md"
PARTS = re.findall(r"(?ms)^## ([^\n]+)$|^```python\n(.+?)^```$", PAGE.read_text(encoding="utf-8"))


def examples():
    """(heading, code), the frame at the top apart."""
    heading = ""
    for title, code in PARTS:
        heading = title or heading
        if code and heading:
            yield pytest.param(code, id=heading)


@pytest.mark.parametrize("code", list(examples()))
@pytest.mark.filterwarnings("ignore")  # what msgraph-sdk's generated code warns about is its own affair
def test_the_example_runs(code, tmp_path, monkeypatch):
    if "graph.sdk" in code:
        pytest.importorskip("msgraph", reason="the extra sdk is not installed: pip install 'graphkit-m365[sdk]'")
    monkeypatch.chdir(tmp_path)
    scope = {"graphkit": graphkit}
    exec(f"async def example(graph):\n{textwrap.indent(code, '    ')}", scope)

    async def main():
        async with graphkit.connect(target="simulated", virtual_time=True) as graph:
            await scope["example"](graph)

    run(main(), virtual=True)


def test_the_page_has_examples():
    assert len(list(examples())) >= 10


POLICY = """\
policies:
  - {key: mfa, state: report, include: {users: [All]}, exclude: {groups: [Break glass]},
     apps: {include: [All]}, grant: {operator: OR, builtInControls: [mfa]}}
"""


@pytest.mark.parametrize(
    ("declared", "status", "said"),
    [("Break glass", "ready", ""), ("Break glass,rx1-0001@contoso.example", "blocked", "rx1-0001@contoso.example")],
)
def test_what_the_settings_declare_is_guarded_without_saying_so_again(tmp_path, declared, status, said):
    given, registry = tmp_path / "policies.yaml", tmp_path / "orgs.csv"
    given.write_text(POLICY, encoding="utf-8")
    registry.write_text("code\nRX1\n", encoding="utf-8")
    env = {"GRAPHKIT_BREAK_GLASS": declared, "GRAPHKIT_ORGS": str(registry), "GRAPHKIT_RUNS_DIR": str(tmp_path)}
    settings = graphkit.load_settings({"target": "simulated", "virtual_time": True}, env=env, cwd=tmp_path)
    asked = graphkit.Asked(recipe="identity.conditional-access", inputs=(str(given),), out=tmp_path / "a.run")

    async def planned():
        async with graphkit.open_session(settings) as session:
            return await graphkit.plan(session, asked, runs_dir=tmp_path)

    summary = run(planned(), virtual=True)
    assert (summary.status, said in "; ".join(summary.blocked)) == (status, True)
    with RunFile.open(summary.run) as file:
        assert set(file.header()["inputs"]) == {str(given), str(registry)}
