"""The short form of the kill and fault matrices; the long ones are ``make prove``."""

import random
import sys

import pytest
from chaos import KINDS, STARTERS, Usual, undisturbed
from matrix import POINTS, fault_case, fault_cases, kill_case, link_case, steps_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a kill is a signal")
RECIPES = ("licenses.pools", "teams.provision")
DICE = random.Random(20261126)


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    folder = tmp_path_factory.mktemp("usual")
    return Usual(folder, list(RECIPES))


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_killed_anywhere_ends_as_one_that_was_not(usual, tmp_path, recipe, point):
    steps = steps_of(usual[recipe], recipe, tmp_path / "count")
    kills = [kill for kill in steps.kills(random.Random(1)) if kill[0] == point]
    tally = kill_case(usual[recipe], recipe, tmp_path / "case", [kills[2]])
    assert tally.kills == 1
    assert tally.sound, tally.told


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_run_killed_three_times_the_later_ones_while_resuming_ends_the_same(usual, tmp_path, recipe):
    kills = [("after", 2), ("journal-before", 2), ("answered", 3)]
    tally = kill_case(usual[recipe], recipe, tmp_path / "case", kills)
    assert tally.kills == 3
    assert tally.sound, tally.told


def test_every_kind_of_request_meets_every_fault(usual):
    cases = {name for recipe in RECIPES for name, _ in fault_cases(usual[recipe])}
    assert len(cases) > 100
    assert set(KINDS) >= set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_single_faults_change_nothing_about_the_end(usual, tmp_path, recipe):
    cases = list(fault_cases(usual[recipe]))
    for name, rule in DICE.sample(cases, 6):
        tally = fault_case(usual[recipe], recipe, tmp_path / "case", name, [rule])
        assert tally.sound, (name, tally.told)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("link", ["host", "dot"])
def test_lists_that_lead_elsewhere_are_followed_nowhere(usual, tmp_path, recipe, link):
    tally = link_case(usual[recipe], recipe, tmp_path / "case", link)
    assert tally.faults
    assert tally.sound, tally.told


@pytest.mark.parametrize("recipe", STARTERS)
def test_what_a_starter_file_asks_for_ends_the_same_after_a_kill_and_after_faults(tmp_path, recipe):
    usual = undisturbed(recipe, tmp_path / "usual")
    dice = random.Random(recipe)
    steps = steps_of(usual, recipe, tmp_path / "count")
    tally = kill_case(usual, recipe, tmp_path / "case", [dice.choice(list(steps.kills(dice)))])
    assert tally.kills == 1
    for name, rule in dice.sample(list(fault_cases(usual)), 3):
        tally.add(fault_case(usual, recipe, tmp_path / "case", name, [rule]))
    assert tally.sound, tally.told
