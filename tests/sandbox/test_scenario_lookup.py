"""Where a scenario comes from: a file, or the package."""

from __future__ import annotations

import json

import pytest

from graphkit.sandbox import load_scenario, scenario_names
from graphkit.sandbox.faults import check_rule

RULES = [{"path": "/users", "action": "html"}, {"action": "throttle", "retry_after": "3"}]


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "down.json").write_text(json.dumps(RULES))
    (folder / "monday.json").write_text(json.dumps(RULES[:1]))
    (folder / "README.md").write_text("no scenario")
    return folder


def test_a_scenario_of_the_package_is_found_by_its_name(package):
    assert scenario_names(package) == ["down", "monday"]
    assert load_scenario("down", package) == RULES


def test_a_file_of_ones_own_is_found_by_its_path(package, tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps(RULES[1]))
    assert load_scenario(str(tmp_path / "mine.json"), package) == RULES[1:]


def test_a_name_that_is_unknown_is_told_with_those_that_are_known(package):
    with pytest.raises(ValueError, match="tuesday is no file and no scenario; known are down, monday"):
        load_scenario("tuesday", package)


@pytest.mark.parametrize("text", ["{", '[{"action": "dance"}]', "[1]"])
def test_a_file_that_holds_no_rules_is_named(package, tmp_path, text):
    (tmp_path / "wrong.json").write_text(text)
    with pytest.raises(ValueError, match=r"wrong\.json: "):
        load_scenario(str(tmp_path / "wrong.json"), package)


def test_every_scenario_of_the_package_can_be_loaded():
    for name in scenario_names():
        assert [check_rule(rule) for rule in load_scenario(name)]
