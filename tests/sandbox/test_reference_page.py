"""The manual's tables of endpoints and behaviours are what the code says, and what they call proved is proved."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from simulated_tenant import BEHAVIOURS, PAGE, render  # noqa: E402 - the tools are no package

PROOFS = [behaviour.proof for behaviours in BEHAVIOURS.values() for behaviour in behaviours if behaviour.proof]


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text(encoding="utf-8") == render(), "run: python tools/simulated_tenant.py"


@pytest.fixture(scope="module")
def tests():
    files = (ROOT / "tests").rglob("test_*.py")
    return {name for file in files for name in re.findall(r"(?m)^def (test_\w+)", file.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("proof", PROOFS)
def test_what_is_said_to_be_proved_has_its_test(tests, proof):
    assert proof in tests
