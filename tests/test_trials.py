"""The trials that every recipe gets: they pass for ours, and each one notices what it is there for."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec import structs

from graphkit import recipe as recipes
from graphkit.cli.scaffold import scaffold
from graphkit.engine.change import Action, Desired
from graphkit.jobs import Asked
from graphkit.recipe import Recipe, everything, find, find_recipe
from graphkit.resources.user_licenses import UserLicenses
from graphkit.trials import run_trials, scratch
from graphkit.trials.permissions import Undeclared, judge_permissions
from recipes.licenses.assign import License


@pytest.fixture
def folder():
    with scratch() as made:
        yield Path(made) / "trials"


ALL = [each.name for each in everything()]


def failures(recipe, folder, *, steps=2):
    return {trial.name: trial.told for trial in run_trials(recipe, folder, steps=steps) if trial.passed is False}


@pytest.mark.parametrize("name", ALL)
def test_what_must_hold_of_any_recipe_holds_of_ours(name, folder):
    trials = list(run_trials(find(name), folder, steps=2))
    assert [trial for trial in trials if trial.passed is False] == []
    found = find(name)
    assert len(trials) == (11 if isinstance(found, Recipe) and found.trial else 1)


@pytest.fixture
def other(monkeypatch):
    """``other(permissions=())``: licenses.assign, changed like this while the test lasts."""

    def change(**fields):
        monkeypatch.setattr("recipes.licenses.assign.RECIPE", replace(find_recipe("licenses.assign"), **fields))
        return find_recipe("licenses.assign")

    return change


def test_an_undeclared_permission_is_noticed(folder, other):
    told = failures(other(permissions=()), folder)
    assert (
        "needs LicenseAssignment.ReadWrite.All, which is not declared" in told["needs the permissions that it declares"]
    )


def wishing(kind, key, **properties):
    """A function of inputs that asks for this one object, whatever the starter file says."""

    def desired(inputs, options):
        origin = next(origin for origin, _ in inputs.rows(License))
        yield Desired(kind=kind, key=key, origin=origin, properties=properties)

    return desired


@pytest.mark.parametrize(
    ("kind", "key", "properties", "needed"),
    [
        ("group.member", "rx1-nobody/rx1-0001", {"group": "rx1-nobody", "user": "rx1-0001@contoso.example"}, "group"),
        ("team.archived", "rx1-nobody", {"team": "rx1-nobody"}, "team"),
    ],
)
def test_a_wish_inside_something_that_nobody_knows_is_blocked_and_says_so(folder, other, kind, key, properties, needed):
    told = failures(other(desired=wishing(kind, key, **properties)), folder)
    (why,) = told.values()
    assert f"it needs the {needed} rx1-nobody, which is neither wished for nor known here" in why


def test_channels_may_go_into_teams_that_are_there(folder, other):
    ours = {"permissions": ("Channel.Create", "Channel.ReadBasic.All"), "builds_on": "teams.provision"}
    wish = wishing("channel", "rx1-ward-7/Night", team="rx1-ward-7", displayName="Night")
    assert failures(other(desired=wish, **ours), folder) == {}
    (why,) = failures(other(desired=wish, **{**ours, "builds_on": ""}), folder / "without").values()
    assert "there is no team rx1-ward-7" in why


def test_a_declared_permission_that_nothing_needs_is_told():
    calls = [("POST", "v1.0", "/users/1/assignLicense"), ("GET", "v1.0", "/users/1")]
    rich = replace(find_recipe("licenses.assign"), permissions=("LicenseAssignment.ReadWrite.All", "Sites.Read.All"))
    assert judge_permissions(rich, calls) == "declared and not needed here: Sites.Read.All"
    with pytest.raises(Undeclared, match="DELETE /users/1 needs"):
        judge_permissions(rich, [("DELETE", "v1.0", "/users/1")])


def test_a_plan_that_depends_on_something_else_is_noticed(folder, other):
    usual = find_recipe("licenses.assign")
    calls = iter(range(100))

    def moody(inputs, options):
        first, *rest = usual.desired(inputs, options)
        yield from rest if next(calls) % 2 else [first, *rest]

    assert "two plans" in failures(other(desired=moody), folder)["plans the same again"]


def test_a_difference_that_never_goes_away_is_noticed(folder, monkeypatch):
    diff = UserLicenses.diff

    def never_content(self, wanted, reading):
        for change in diff(self, wanted, reading):
            yield structs.replace(change, action=Action.UPDATE) if change.action is Action.NOOP else change

    monkeypatch.setattr(UserLicenses, "diff", never_content)
    told = failures(find_recipe("licenses.assign"), folder)
    assert told, "a recipe that never converges passed"


def test_a_starter_file_that_asks_for_nothing_proves_nothing(folder, other):
    empty = other(desired=lambda inputs, options: iter(()))
    assert "an empty list is refused" in failures(empty, folder)["plans something, and sends no write for it"]


def test_trials_that_stand_on_a_failure_are_not_tried(folder, other):
    empty = other(desired=lambda inputs, options: iter(()))
    assert len(list(run_trials(empty, folder))) == 1


def test_an_input_that_is_wrong_is_a_failure_in_words(tmp_path, folder):
    bad = tmp_path / "bad.csv"
    bad.write_text("upn,sku,org\nnobody@contoso.example,SPE_E3,RX1\n", encoding="utf-8")
    (trial,) = run_trials(
        find_recipe("licenses.assign"), folder, asked=Asked(recipe="licenses.assign", inputs=(str(bad),))
    )
    assert (trial.passed, "nobody@contoso.example is not a user" in trial.told) == (False, True)


# --- the commands ---


def test_recipe_test_says_how_each_trial_ended(graphkit, tmp_path):
    result = graphkit("recipe", "test", "licenses.assign", "--steps", 1, "--keep", tmp_path / "kept", "-o", "json")
    assert result.code == 0, result.stderr
    assert {row["passed"] for row in result.json} <= {True, None}
    assert (tmp_path / "kept" / "usual" / "a.run").exists()
    assert graphkit("recipe", "test", "licenses.assign", "--keep", tmp_path / "kept").code == 5


def test_recipe_test_with_an_input_that_cannot_be_planned_exits_1(graphkit, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_text("upn,sku,org\nrx1-0001@contoso.example,NONE,RX1\n", encoding="utf-8")
    result = graphkit("recipe", "test", "licenses.assign", "-i", bad)
    assert (result.code, "FAILED" in result.stderr) == (1, True)


def test_recipe_test_reads_the_input_as_plan_would(graphkit, tmp_path):
    (tmp_path / "people.txt").write_text('{"who": "rx1-0031@contoso.example"}\n', encoding="utf-8")
    (tmp_path / "map.yaml").write_text(
        "rows: people.csv\ncolumns: {upn: who, org: =RX1, sku: '{product}'}\n", encoding="utf-8"
    )
    told = graphkit("recipe", "test", "licenses.assign", "--steps", 1, "-i", tmp_path / "people.txt", "--input-format",
                    "jsonl", "--map", tmp_path / "map.yaml", "--set", "product=SPE_E3")  # fmt: skip
    assert told.code == 0, told.stderr


def test_the_break_glass_accounts_of_the_real_tenant_are_no_part_of_a_trial(graphkit, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "rescue@infirmary.example")
    _, page = next(iter(recipes.template_of(find("identity.conditional-access"))))
    (tmp_path / "policies.yaml").write_text(page, encoding="utf-8")
    told = graphkit("recipe", "test", "identity.conditional-access", "--steps", 1, "-i", tmp_path / "policies.yaml")
    assert told.code == 0, told.stderr


def test_a_report_is_tried_too(graphkit):
    assert graphkit("recipe", "test", "reports.licenses", "-o", "none").code == 0


def test_recipe_new_writes_a_recipe_that_passes_its_trials(graphkit, tmp_path, folder, monkeypatch):
    result = graphkit("recipe", "new", "groups.by-org", tmp_path / "new", "-o", "json")
    assert result.code == 0
    assert all(each["written"] for each in result.json)
    monkeypatch.syspath_prepend(str(tmp_path / "new"))
    points = [SimpleNamespace(value="our_recipes"), SimpleNamespace(value="recipes")]
    monkeypatch.setattr(recipes, "entry_points", lambda **_: points)
    try:
        assert "groups.by-org" in {each["name"] for each in graphkit("recipe", "list", "-o", "json").json}
        assert failures(find_recipe("groups.by-org"), folder, steps=1) == {}
        started = graphkit("recipe", "template", "groups.by-org", tmp_path / "start", "-o", "json").json
        assert {each["path"].rpartition(".")[2] for each in started} == {"csv", "txt"}
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "our_recipes"]:
            del sys.modules[name]


def test_recipe_new_goes_into_the_bundle_that_is_there(tmp_path):
    registered = '[project.entry-points."graphkit.recipes"]\nx = "theirs"\n'
    (tmp_path / "pyproject.toml").write_text(registered, encoding="utf-8")
    paths = {path.relative_to(tmp_path).as_posix() for path, _ in scaffold("teams.tidy-up", tmp_path)}
    assert "theirs/teams/tidy_up.py" in paths
    assert "pyproject.toml" not in paths


@pytest.mark.parametrize("name", ["tidy", "Teams.tidy", "teams.tidy.up", "teams.", "../x.y"])
def test_recipe_new_refuses_what_is_no_name(graphkit, tmp_path, name):
    assert graphkit("recipe", "new", name, tmp_path).code == 5
    assert list(tmp_path.glob("**/*.py")) == []


def test_recipe_new_refuses_a_project_without_a_bundle(graphkit, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    told = graphkit("recipe", "new", "teams.tidy", tmp_path)
    assert (told.code, "registers no bundle" in told.stderr) == (5, True)
