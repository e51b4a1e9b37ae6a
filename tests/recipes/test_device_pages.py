"""The worked example of each device recipe's page is run as it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "recipes").glob("devices.*.md"))
_INPUT = re.compile(r"```(?:yaml|json|csv)\n(.*?)```", re.DOTALL)
_COMMANDS = re.compile(r"^```\n(graphkit .*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_worked_example_is_applied_and_a_second_plan_is_empty(simulated, tmp_path, monkeypatch, page):
    monkeypatch.chdir(tmp_path)
    text = page.read_text(encoding="utf-8")
    commands = [shlex.split(line)[1:] for line in _COMMANDS.search(text)[1].splitlines()]
    planned = next(words for words in commands if words[0] == "plan")
    Path(planned[planned.index("-i") + 1]).write_text(_INPUT.search(text)[1], encoding="utf-8")
    for words in commands:
        done = simulated(*words)
        assert done.code == 0, (words, done.stdout, done.stderr)
    again = simulated(*planned[: planned.index("--out")], "-o", "json")
    assert again.json["status"] == "empty"
