"""Each promise names the tests that would catch its breach: a name that leads nowhere fails here."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
PROMISES = re.findall(r"(?ms)^\*\*.+?(?=^\*\*|^## )", TEXT.partition("## The long proofs")[0] + "## ")
NAMED = re.findall(r"`(tests/\S+)::(\w+)`", TEXT)


@pytest.mark.parametrize("promise", PROMISES, ids=[each.partition("**")[2][:30] for each in PROMISES])
def test_each_promise_names_a_test(promise):
    assert re.search(r"(?m)^- `tests/\S+::test_\w+`$", promise)


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_each_test_that_is_named_exists(path, name):
    functions = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    assert name in {each.name for each in functions if isinstance(each, ast.FunctionDef)}


def test_there_are_promises_and_tests():
    assert len(PROMISES) >= 13
    assert len(NAMED) > len(PROMISES)


def test_the_table_has_its_date_its_seed_and_all_its_parts():
    table = TEXT.partition("## The long proofs")[2]
    assert re.search(r"\d{4}-\d{2}-\d{2}.{0,40}seed \d+", table, re.DOTALL)
    parts = re.findall(r'(?m)^    "([^"]+)": \w+,$', (ROOT / "tools" / "prove.py").read_text(encoding="utf-8"))
    assert parts
    assert [part for part in parts if f"| {part} | " not in table.partition("*Items lost*")[2]] == []
