"""``graphkit recipe``: which recipes there are, what each takes, and inputs to start from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphkit import recipe as recipes
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Group, asked_for, trial_options
from graphkit.cli.output import to_json, write
from graphkit.cli.starter import input_lines, put, starters
from graphkit.errors import UsageError
from graphkit.reports import text

if TYPE_CHECKING:
    from graphkit.jobs.describing import Description, Writes


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
    yield from input_lines(found)
    if found.writes:
        yield ""
        yield "writes"
        cells = [[row.kind, row.first, str(row.per_write), row.bucket, _time(row), row.undo] for row in found.writes]
        headings = ["kind", "its write", "per write", "quota bucket", "1,000 take", "undo"]
        yield from (f"  {line}" for line in text.table(headings, cells))
        yield "  undo: R can be taken back, C within 30 days, X cannot"
    if found.options:
        yield ""
        yield f"options, besides those of every recipe: {', '.join(found.options)}"
    yield ""
    yield "rails"
    yield from (f"  {rail}" for rail in found.rails)
    yield ""
    yield f"permissions: {', '.join((*recipes.BASE_PERMISSIONS, *found.permissions))}"
    if found.if_asked:
        yield f"  only if the input asks for what needs them: {', '.join(found.if_asked)}"
    if found.template:
        yield f"start with:  graphkit recipe template {found.name} DIR"


def _time(row: Writes) -> str:
    """With full writes, and with one change in each."""
    least, most = text.duration(row.seconds_full), text.duration(row.seconds_single)
    return least if least == most else f"{least} to {most}"


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
    found = recipes.find(name)
    written = [put(Path(folder) / file, content) for file, content in starters(found)]
    if not written:
        raise UsageError(f"{found.name} needs no input", hint=f"graphkit recipe show {found.name}")
    invocation.output.emit([each.to_json() for each in written], lambda: [str(each) for each in written])


@command.command("new")
@click.argument("name")
@click.argument("folder", default=".", metavar="[DIR]")
@click.pass_obj
def new(invocation: Invocation, /, name: str, folder: str) -> None:
    """Write a recipe NAME (family.name) to start from: module, starter file, test and page; what is there stays."""
    from graphkit.cli.scaffold import scaffold

    written = [put(path, content) for path, content in scaffold(name, Path(folder))]
    invocation.output.emit([each.to_json() for each in written], lambda: [str(each) for each in written])


@command.command("test")
@click.argument("name")
@click.option("--steps", type=click.IntRange(1), default=12, show_default=True, metavar="N",
              help="Break the run off at N of its writes at most.")  # fmt: skip
@click.option("--keep", metavar="DIR", help="Keep runs and tenants in this folder, which must not exist yet.")
@trial_options
@click.pass_obj
def test(invocation: Invocation, /, name: str, steps: int, keep: str | None, **given: Any) -> int:
    """What must hold of any recipe, tried with NAME's starter file (or the input given) on a simulated tenant.

    It is planned twice, applied, planned again, broken off at every write and resumed, carried out under faults, held
    to the permissions that it declares, and undone. With -i, give what the input needs (--allow-beta ...), too.
    """
    from graphkit.trials import run_trials

    found = recipes.find(name)
    if "-" in given["inputs"]:
        raise UsageError("standard input can be read once, and a trial reads its input often", hint="give a file")
    asked = asked_for(invocation, name, given) if given["inputs"] or given["map_file"] else None
    rows = []
    with _folder(keep) as folder:
        for trial in run_trials(found, folder, asked=asked, steps=steps):
            invocation.say(f"{VERDICTS[trial.passed]:<7} {trial.name}{': ' if trial.told else ''}{trial.told}")
            rows.append({"trial": trial.name, "passed": trial.passed, "told": trial.told})
    invocation.output.emit(rows, lambda: [_verdict(rows)])
    return 1 if any(row["passed"] is False for row in rows) else 0


VERDICTS = {True: "ok", False: "FAILED", None: "left out"}


def _verdict(rows: list[dict[str, Any]]) -> str:
    counts = {passed: sum(row["passed"] is passed for row in rows) for passed in VERDICTS}
    return f"{counts[True]} ok, {counts[False]} failed, {counts[None]} left out"


@contextmanager
def _folder(keep: str | None) -> Iterator[Path]:
    if keep is None:
        from graphkit.trials import scratch

        with scratch() as folder:
            yield Path(folder)
        return
    if Path(keep).exists():
        raise UsageError(f"{keep} exists already", hint="name a new folder")
    yield Path(keep)
