"""``graphkit recipe``: which recipes there are, what each takes, and inputs to start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from graphkit import recipe as recipes
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Group
from graphkit.cli.starter import put
from graphkit.reports import text


@click.group("recipe", cls=Group)
def command() -> None:
    """The recipes, and starter inputs for them."""


@command.command("list")
@click.pass_obj
def list_recipes(invocation: Invocation) -> None:
    """Every recipe with its summary."""
    found = recipes.all_recipes()
    rows = [{"name": each.name, "summary": each.summary} for each in found]
    invocation.output.emit(rows, lambda: text.pairs({each.name: each.summary for each in found}))


@command.command("show")
@click.argument("name")
@click.pass_obj
def show(invocation: Invocation, /, name: str) -> None:
    """What the recipe NAME takes and which permissions it needs."""
    found = recipes.find_recipe(name)
    facts = {
        "name": found.name,
        "summary": found.summary,
        "permissions": [*recipes.BASE_PERMISSIONS, *found.permissions],
        "input": dict(found.columns)
        or {name: each.description or "" for model in found.models for name, each in model.model_fields.items()},
        "template": found.template,
    }
    invocation.output.emit(facts, lambda: _shown(facts))


def _shown(facts: dict[str, Any]) -> Iterator[str]:
    yield f"{facts['name']}: {facts['summary']}"
    yield ""
    yield "input"
    yield from (f"  {line}" for line in text.pairs(facts["input"]))
    yield ""
    yield f"permissions: {', '.join(facts['permissions'])}"
    yield f"start with:  graphkit recipe template {facts['name']} DIR"


@command.command("template")
@click.argument("name")
@click.argument("folder", default=".", metavar="[DIR]")
@click.pass_obj
def template(invocation: Invocation, /, name: str, folder: str) -> None:
    """Write starter inputs for the recipe NAME into DIR; what is there already stays."""
    files = recipes.template_of(recipes.find_recipe(name))
    written = [put(Path(folder) / file, content) for file, content in files]
    invocation.output.emit([each.to_json() for each in written], lambda: [str(each) for each in written])
