"""``graphkit recipe``: which recipes there are, what each takes, and inputs to start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from graphkit import recipe as recipes
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Group
from graphkit.cli.output import to_json, write
from graphkit.cli.starter import put
from graphkit.errors import UsageError
from graphkit.reports import text

if TYPE_CHECKING:
    from graphkit.inputs.described import Described
    from graphkit.jobs.describing import Description, Writes

WIDEST = 100
"""Characters of a description."""


@click.group("recipe", cls=Group)
def command() -> None:
    """The recipes, and starter inputs for them."""


@command.command("list")
@click.pass_obj
def list_recipes(invocation: Invocation) -> None:
    """Every recipe and report with its summary."""
    found = recipes.everything()
    rows = [{"name": each.name, "summary": each.summary} for each in found]
    invocation.output.emit(rows, lambda: text.pairs({each.name: each.summary for each in found}))


@command.command("show")
@click.argument("name")
@click.pass_obj
def show(invocation: Invocation, /, name: str) -> None:
    """What NAME takes, which permissions it needs, what it writes, and what that costs."""
    from graphkit.jobs.describing import description_of

    found = description_of(recipes.find(name))
    invocation.output.emit(found.to_json(), lambda: _shown(found))


def _shown(found: Description) -> Iterator[str]:
    yield f"{found.name}: {found.summary}"
    yield from _input(found)
    if found.writes:
        yield ""
        yield "writes"
        cells = [[row.kind, row.first, str(row.per_write), row.bucket, _time(row), row.undo] for row in found.writes]
        headings = ["kind", "a new one", "per write", "quota bucket", "1,000 take", "undo"]
        yield from (f"  {line}" for line in text.table(headings, cells))
        yield "  undo: R can be taken back, C within 30 days, X cannot"
    yield ""
    yield "rails"
    yield from (f"  {rail}" for rail in found.rails)
    yield ""
    yield f"permissions: {', '.join((*recipes.BASE_PERMISSIONS, *found.permissions))}"
    if found.template:
        yield f"start with:  graphkit recipe template {found.name} DIR"


def _input(found: Description) -> Iterator[str]:
    for title, rows in found.inputs:
        yield ""
        yield title
        cells = [[row.path, row.kind, _need(row), row.meaning] for row in rows]
        yield from (f"  {line}" for line in text.table(["name", "holds", "", "meaning"], cells, widest=WIDEST))


def _time(row: Writes) -> str:
    """With full writes, and with one change in each."""
    least, most = text.duration(row.seconds_full), text.duration(row.seconds_single)
    return least if least == most else f"{least} to {most}"


def _need(row: Described) -> str:
    return "required" if row.required else f"default {row.default}" if row.default else ""


@command.command("schema")
@click.argument("name")
def schema(name: str) -> None:
    """JSON Schema of the input of NAME, for editors and other checkers."""
    from graphkit.jobs.describing import schema_of

    write(to_json(schema_of(recipes.find(name)), indent=2) + "\n")


@command.command("template")
@click.argument("name")
@click.argument("folder", default=".", metavar="[DIR]")
@click.pass_obj
def template(invocation: Invocation, /, name: str, folder: str) -> None:
    """Write starter inputs for the recipe NAME into DIR; what is there already stays."""
    written = [put(Path(folder) / file, content) for file, content in _starters(recipes.find(name))]
    invocation.output.emit([each.to_json() for each in written], lambda: [str(each) for each in written])


def _starters(found: recipes.Recipe | recipes.Report) -> Iterator[tuple[str, str]]:
    """The starter files; a table takes no comments, so that a file beside it says what its columns hold."""
    files = dict(recipes.template_of(found))
    if not files:
        raise UsageError(f"{found.name} needs no input", hint=f"graphkit recipe show {found.name}")
    yield from files.items()
    if found.template.endswith(".csv"):
        from graphkit.jobs.describing import description_of

        name = Path(found.template).stem
        yield f"{name}.columns.txt", "".join(f"{line}\n" for line in _input(description_of(found)))
