"""Models, manual and starter files tell the same story of every recipe and report."""

import json
from pathlib import Path

import pytest

from graphkit.inputs.described import describe, is_table
from graphkit.jobs.describing import description_of, sample_of, schema_of
from graphkit.jobs.manual import BEGIN, END, with_reference
from graphkit.recipe import Recipe, everything

PAGES = Path(__file__).parents[2] / "docs" / "recipes"
ALL = {each.name: each for each in everything()}
RECIPES = [name for name, each in ALL.items() if isinstance(each, Recipe)]

everyone = pytest.mark.parametrize("name", ALL)
recipes = pytest.mark.parametrize("name", RECIPES)


@everyone
def test_a_page_holds_what_its_recipe_says_of_itself(name):
    page = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    assert page == with_reference(page, description_of(ALL[name])), "run python tools/recipe_pages.py"


def test_no_page_is_left_over():
    assert {path.stem for path in PAGES.glob("*.md")} == set(ALL)


@everyone
def test_every_field_of_a_model_is_described(name):
    for model in ALL[name].models:
        for field in describe(model):
            assert field.meaning, f"{name}: {model.__name__}.{field.path}"


NEVER_WRITTEN = {
    *("group.reference", "leaver", "mfaWave", "mover", "scheduled", "team.review", "workforce"),
    *("license.reclaim", "license.reclaim.person", "license.scope"),
}
"""Kinds that only stand in a plan."""


@everyone
def test_an_optional_field_with_a_default_shows_it(name):
    for model in ALL[name].models:
        for field in describe(model):
            assert not (field.required and field.default), field


@recipes
def test_the_starter_file_asks_for_something_and_every_kind_has_a_cost(name):
    found = description_of(ALL[name])
    assert found.writes
    assert {each.kind for each in found.writes} == set(sample_of(ALL[name])) - NEVER_WRITTEN
    for each in found.writes:
        assert each.first, each
        assert each.bucket, each
        assert 0 < each.seconds_full <= each.seconds_single, each


def test_what_only_the_tenant_can_spell_out_is_described_by_what_it_comes_to():
    writes = {each.kind: (each.first, each.undo) for each in description_of(ALL["people.leavers"]).writes}
    assert writes["user"] == ("PATCH /users/{id}", "R")
    assert writes["user.deletion"] == ("DELETE /users/{id}", "C")
    assert writes["managedDevice.retirement"][1] == "X"
    assert {"group.handover", "group.member", "group.owner", "user.license"} <= writes.keys()


@everyone
def test_the_schema_is_json_and_names_every_field_at_the_top(name):
    schema = json.loads(json.dumps(schema_of(ALL[name])))
    listed = [schema] if "$ref" in schema else schema.get("anyOf", [])
    named = [each["$ref"].rpartition("/")[2] for each in listed]
    for model, reference in zip(ALL[name].models, named, strict=True):
        assert set(schema["$defs"][reference]["properties"]) == set(model.model_fields)


def test_the_written_part_keeps_what_stands_around_it():
    found = description_of(ALL["licenses.assign"])
    page = with_reference("# Title\n\nBefore.\n", found) + "\nAfter.\n"
    assert page.startswith("# Title\n\nBefore.\n\n" + BEGIN)
    renewed = with_reference(page.replace("usageLocation", "location"), found)
    assert renewed == page
    assert renewed.endswith(END + "\n\nAfter.\n")
    with pytest.raises(ValueError, match="has no end"):
        with_reference(page.replace(END, ""), found)


def test_what_holds_models_is_a_document_and_what_holds_texts_a_table():
    pools, member = ALL["licenses.pools"].models
    assert (is_table(pools), is_table(member)) == (False, True)


def test_recipe_show_tells_input_writes_rails_and_permissions(graphkit):
    told = graphkit("recipe", "show", "licenses.pools").stdout
    for part in ("pools[].cap", "group.member", "20", "cap: blocked", "LicenseAssignment.ReadWrite.All", "undo:"):
        assert part in told
    assert "options, besides those of every recipe: --org, --mode, --adopt\n" in told
    shown = graphkit("recipe", "show", "licenses.pools", "-o", "json").json
    assert shown["input"][0]["fields"][0]["path"] == "mode"
    assert shown["options"] == ["--org", "--mode", "--adopt"]


def test_recipe_schema_is_printed(graphkit):
    assert graphkit("recipe", "schema", "licences.assign").json["$schema"].endswith("2020-12/schema")


def test_a_report_without_a_starter_file_says_so(graphkit, tmp_path):
    told = graphkit("recipe", "template", "reports.licenses", tmp_path)
    assert (told.code, "needs no input" in told.stderr) == (5, True)
