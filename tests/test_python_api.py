"""Every example of docs/python-api.md runs as it stands there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest

import graphkit
from graphkit.clock import run

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
