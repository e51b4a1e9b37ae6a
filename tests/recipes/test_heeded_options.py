"""An option that means nothing to a recipe is refused, and what a recipe says it heeds is what its code reads."""

import ast
import inspect
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from graphkit.engine import plan, rails
from graphkit.engine.resource import FOR_EVERY_PLAN, PlanOptions
from graphkit.jobs.describing import sample_of
from graphkit.jobs.heeded import flag_of
from graphkit.recipe import all_recipes, all_reports
from graphkit.resources import resource_class
from graphkit.safety import lockout_rail, protection

RECIPES = {recipe.name: recipe for recipe in all_recipes()}
CHOSEN = {
    "org": ("--org", "RX1"),
    "mode": ("--mode", "authoritative"),
    "adopt": ("--adopt",),
    "promote": ("--promote", "mfa"),
    "add_break_glass": ("--add-break-glass",),
    "bind": ("--bind", "bind.yaml"),
    "create_groups": ("--create-groups",),
    "transfer": ("--transfer",),
    "allow_public": ("--allow-public",),
    "allow_beta": ("--allow-beta",),
    "allow_irreversible": ("--allow-irreversible",),
    "as_of": ("--as-of", "2026-03-31"),
}
ALWAYS = (
    *("--skip-invalid", "--accept-impact", "--allow-privileged", "--confirm", "contoso.example"),
    *("--max-changes", "5", "--max-removals", "5", "--max-deletes", "5"),
)
every_recipe = pytest.mark.parametrize("name", RECIPES)

READ_BUT_NOT_HEEDED = {
    ("devices.org-scope", "create_groups"): "the groups that its tags go to are its own wishes",
    ("teams.cleanup", "mode"): "its wishes name one owner of a team, and never who else is in it",
}
"""What the code of a kind reads although the recipe that leads to the kind has no use for it, and why."""


def test_each_option_is_heeded_by_every_plan_or_has_a_command_line_here():
    assert {field.name for field in fields(PlanOptions)} == FOR_EVERY_PLAN | set(CHOSEN)


@every_recipe
def test_all_options_that_mean_nothing_to_a_recipe_are_refused_at_once(graphkit, name):
    idle = [option for option in CHOSEN if option not in RECIPES[name].options]
    given = [part for option in idle for part in CHOSEN[option]]
    refused = graphkit("plan", name, "-i", "gone.yaml", "--out", "a.run", *ALWAYS, *given)
    assert (refused.code, refused.stdout) == (5, "")
    told, hint = refused.stderr.splitlines()
    assert sorted(told.partition(" does not use ")[2].split(", ")) == sorted(map(flag_of, idle))
    for option in idle:
        for other in RECIPES.values():
            meant = re.search(rf"{flag_of(option)} is for ([^;]*)", hint)[1].split(", ")
            assert (other.name in meant) == (option in other.options)


@every_recipe
def test_what_a_recipe_heeds_and_what_every_plan_heeds_is_not_refused(graphkit, name):
    given = [part for option in RECIPES[name].options for part in CHOSEN[option]]
    told = graphkit("validate", name, "-i", "gone.yaml", *given, *ALWAYS[:5]).stderr
    assert "does not use" not in told
    assert "gone.yaml" in told


@every_recipe
def test_what_settings_say_by_themselves_is_refused_by_no_recipe(graphkit, name, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "break-glass-1@contoso.example")
    monkeypatch.setenv("GRAPHKIT_PROTECTED", "svc-*@contoso.example")
    assert "does not use" not in graphkit("validate", name, "-i", "gone.yaml").stderr


def test_of_several_recipes_that_are_compared_each_takes_what_it_heeds(simulated, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("licenses.assign", "teams.policy"):
        assert simulated("recipe", "template", name, ".").code == 0
    Path("graphkit.toml").write_text('[drift]\n"licenses.assign" = ["assign.csv"]\n"teams.policy" = ["policy.yaml"]\n')
    both = simulated("drift", "--all", "--org", "RX1", "-o", "json")
    assert "teams.policy is compared without --org, which it does not use" in both.stderr
    assert {found["recipe"] for found in both.json["findings"]} == {"licenses.assign", "teams.policy"}
    neither = simulated("drift", "--all", "--org", "RX1", "--bind", "bind.yaml")
    assert (neither.code, "licenses.assign does not use --bind" in neither.stderr) == (5, True)
    one = simulated("drift", "teams.policy", "--org", "RX1")
    assert (one.code, "teams.policy does not use --org" in one.stderr) == (5, True)


@every_recipe
def test_a_recipe_heeds_what_its_code_and_that_of_its_kinds_read(name):
    recipe = RECIPES[name]
    read = reads(recipe.desired, *(resource_class(kind) for kind in sample_of(recipe)))
    unused = {option for recipe, option in READ_BUT_NOT_HEEDED if recipe == name}
    assert unused <= read
    assert read - FOR_EVERY_PLAN - unused == set(recipe.options)


@pytest.mark.parametrize("report", all_reports(), ids=lambda report: report.name)
def test_a_report_heeds_what_its_code_reads(report):
    assert reads(report.build) == set(report.options)


def test_what_every_plan_heeds_is_what_engine_and_rails_read():
    read = {name for module in (plan, rails, protection, lockout_rail) for name in named_in(inspect.getsource(module))}
    assert read - {"org"} == FOR_EVERY_PLAN  # the engine fences off what names an organisation, if the recipe has any


def named_in(source):
    return set(re.findall(r"\b_?options\.(\w+)", source)) & {field.name for field in fields(PlanOptions)}


def reads(*roots):
    """The options that functions and classes read, and whatever of ours they name, and that names."""
    found, todo, seen = set(), list(roots), set()
    while todo:
        each = todo.pop()
        if each in seen or not f"{each.__module__}.".startswith(("recipes.", "graphkit.resources.")):
            continue
        seen.add(each)
        todo += getattr(each, "__mro__", ())
        source = source_of(each)
        found |= named_in(source)
        around = vars(sys.modules[each.__module__])
        named = [around.get(node.id) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
        todo += [other for other in named if inspect.isfunction(other) or inspect.isclass(other)]
    return found


def source_of(each):
    """Nothing for the classes that are made from a table: what they do stands in their bases."""
    made = inspect.isclass(each) and f"class {each.__name__}" not in inspect.getsource(sys.modules[each.__module__])
    return "" if made else inspect.getsource(each)
