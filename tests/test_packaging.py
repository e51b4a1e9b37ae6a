"""Both packages and their data files reach whoever installs graphkit, however it is installed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from graphkit import recipe

ROOT = Path(__file__).parent.parent
ALL = {
    f"{path.parent.name}.{path.stem.replace('_', '-')}"
    for path in (ROOT / "recipes").glob("*/*.py")
    if "\nRECIPE = Recipe(" in path.read_text(encoding="utf-8")
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    return zipfile.ZipFile(next(iter(WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"]))))


def test_the_wheel_holds_every_file_of_both_packages(wheel):
    packed = set(wheel.namelist())
    for package in ("graphkit", "recipes"):
        for path in (ROOT / package).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert path.relative_to(ROOT).as_posix() in packed


def test_the_wheel_registers_the_command_and_the_bundle(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    text = wheel.read(name).decode()
    assert "graphkit = graphkit.__main__:main" in text
    assert "[graphkit.recipes]\ngraphkit = recipes" in text


def test_every_recipe_of_the_bundle_is_found():
    assert {each.name for each in recipe.all_recipes()} == ALL


def test_a_bare_checkout_without_metadata_finds_the_same_recipes(monkeypatch):
    monkeypatch.setattr(recipe, "entry_points", lambda **_: ())
    assert {each.name for each in recipe.all_recipes()} == ALL
    assert recipe.find_recipe("licenses.pools").name == "licenses.pools"


def test_licences_may_be_spelt_as_in_british_english():
    assert recipe.find_recipe("licences.pools") is recipe.find_recipe("licenses.pools")


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_recipe_has_its_page_and_its_starter_file(name):
    assert (ROOT / "docs" / "recipes" / f"{name}.md").is_file()
    found = recipe.find_recipe(name)
    assert found.template in dict(recipe.template_of(found))
    assert found.permissions
    assert found.models or found.columns


def test_the_readme_names_every_recipe_and_report():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs" / "recipes").glob("*.md"):
        assert f"(docs/recipes/{page.name})" in text, page.name
