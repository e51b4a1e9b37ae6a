"""Options that several commands share, and the classes that let global options stand before or after the command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from graphkit.cli.output import FORMATS, compile_query
from graphkit.cli.text import Destination, Duration, WaitFor

if TYPE_CHECKING:
    from graphkit.cli.invocation import Invocation
    from graphkit.jobs import Asked

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[Any], Any]

LOG_FORMATS = ("text", "json")


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    if value:
        ctx.find_root().obj.given[param.name] = value
    return value


def _remember_query(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    if value:
        compile_query(value)  # a typing error is told before anything is done
    return _remember(ctx, param, value)


def global_options() -> list[click.Parameter]:
    """Fresh copies for one command, explained in ``usage``.

    Eager, so that the format is known when another option is refused; hidden, since they are the same everywhere.
    """

    def option(*names: str, callback: Any = _remember, **how: Any) -> click.Option:
        return click.Option(names, callback=callback, expose_value=False, is_eager=True, hidden=True, **how)

    return [
        option("-t", "--target"),
        option("--state"),
        option("--virtual-time", is_flag=True),
        option("--config"),
        option("-o", "--output", type=click.Choice(FORMATS)),
        option("--query", callback=_remember_query),
        option("-v", "--verbose", count=True),
        option("-q", "--quiet", is_flag=True),
        option("--log-format", type=click.Choice(LOG_FORMATS)),
        option("--log-file"),
    ]


class Command(click.Command):
    """A command that takes the global options too."""

    def __init__(self, *given: Any, **how: Any) -> None:
        super().__init__(*given, **how)
        self.params += global_options()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        formatter.write_paragraph()
        formatter.write_text("Global options, before or after the command: graphkit --help")


class Group(click.Group):
    """A command with subcommands; global options may stand anywhere."""

    command_class = Command

    def __init__(self, *given: Any, **how: Any) -> None:
        super().__init__(*given, **how)
        self.no_args_is_help = False
        self.params += global_options()


def _named_values(ctx: click.Context, param: click.Parameter, value: Sequence[str]) -> dict[str, str]:
    pairs = [item.partition("=") for item in value]
    wrong = next((name for name, equals, _ in pairs if not (name and equals)), None)
    if wrong is not None:
        raise click.BadParameter(f"{wrong!r} is not of the form NAME=VALUE", ctx, param)
    return {name: text for name, _, text in pairs}


def _day(ctx: click.Context, param: click.Parameter, value: str) -> str:
    from datetime import date

    try:
        return date.fromisoformat(value).isoformat() if value else ""
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a day such as 2026-03-31", ctx, param) from error


_INPUT: tuple[Decorator, ...] = (
    click.option("-i", "--input", "inputs", multiple=True, metavar="FILE|DIR|-", help="What is wanted. Repeatable."),
    click.option("--input-format", metavar="FORMAT", help="csv, tsv, xlsx, jsonl, json or yaml; needed for -."),
    click.option("--map", "map_file", metavar="FILE", help="How local files become the recipe's columns."),
    click.option(
        "--set", "values", multiple=True, callback=_named_values, metavar="NAME=VALUE", help="A value for the map."
    ),
)

_CHOICES: tuple[Decorator, ...] = (
    click.option("--org", default="", metavar="CODE", help="Only what belongs to this organisation."),
    click.option("--mode", default="", type=click.Choice(["", "additive", "authoritative"]), metavar="MODE",
                 help="additive: never remove; authoritative: remove what is not listed."),
    click.option("--adopt", is_flag=True, help="Take over objects of that name that no run made."),
    click.option("--promote", multiple=True, metavar="KEY", help="Turn this report-only policy on. Repeatable."),
    click.option("--add-break-glass", is_flag=True, help="Exclude the break-glass accounts where a policy does not."),
    click.option("--bind", default="", metavar="FILE", help="Which names and ids of the input are which ones here."),
    click.option("--create-groups", is_flag=True, help="Create groups that the input names and the tenant lacks."),
    click.option("--accept-impact", is_flag=True, help="Go on although more are affected than the input allows."),
    click.option("--transfer", is_flag=True, help="Allow people to move to another organisation."),
    click.option("--allow-public", is_flag=True, help="Allow public teams."),
    click.option("--allow-beta", is_flag=True, help="Allow what only Graph beta can do."),
    click.option("--allow-irreversible", is_flag=True, help="Allow what cannot be undone."),
    click.option("--allow-privileged", is_flag=True,
                 help="Allow writes to groups and accounts that hold directory roles."),
    click.option("--skip-invalid", is_flag=True, help="Leave invalid rows out and plan the rest."),
    click.option("--as-of", default="", callback=_day, metavar="DATE",
                 help="Plan dated inputs for this day (YYYY-MM-DD); default: today."),
    click.option("--confirm", default="", metavar="DOMAIN", help="The tenant's domain, for what binds all of it."),
)  # fmt: skip

_LIMITS: tuple[Decorator, ...] = (
    click.option("--max-changes", type=click.IntRange(0), default=10_000, show_default=True, metavar="N",
                 help="Block the plan above so many changes."),
    click.option("--max-removals", type=click.IntRange(0), metavar="N",
                 help="The same for removals; default: the higher of 10 and 5 % of the kind."),
    click.option("--max-deletes", type=click.IntRange(0), default=0, show_default=True, metavar="N",
                 help="The same for deletions."),
)  # fmt: skip

_UNDOING: tuple[Decorator, ...] = (
    click.option("--only", multiple=True, metavar="KEY", help="Only this object, and what is below it. Repeatable."),
    click.option("--allow-irreversible", is_flag=True, help="Allow what could not be undone in turn."),
    click.option("--allow-privileged", is_flag=True,
                 help="Allow writes to groups and accounts that hold directory roles."),
    click.option("--confirm", default="", metavar="DOMAIN", help="The tenant's domain, for what binds all of it."),
)  # fmt: skip

_KEEPING: tuple[Decorator, ...] = (
    click.option("--out", metavar="FILE", help="The run file; default: a new one in the runs folder."),
)

_APPLYING: tuple[Decorator, ...] = (
    click.option("-y", "--yes", is_flag=True, help="Do not ask. Needed where there is no terminal."),
    click.option("--deadline", type=Duration(), metavar="TIME", help="Stop after so long (90s, 30m, 6h); resumable."),
    click.option("--canary", type=click.IntRange(0), default=0, metavar="N",
                 help="Send N changes first, read them back, and go on only if none failed."),
    click.option("--max-failures", type=click.IntRange(0, 100), default=5, show_default=True, metavar="PERCENT",
                 help="Stop when more of the last 200 outcomes failed; resumable."),
    click.option("--wait", type=WaitFor(), metavar="effective[=TIME]",
                 help="Wait until what was accepted is effective, 30m at most unless said otherwise."),
    click.option("--results", type=Destination(), metavar="FILE",
                 help="The input rows with their outcomes; default: beside the run file."),
    click.option("--html", type=Destination(), metavar="FILE", help="Write a report for the browser, too."),
)  # fmt: skip

_TELLING: tuple[Decorator, ...] = (
    click.option("--tap-out", metavar="FILE",
                 help="A file for the temporary access passes that the plan issues: new, or begun by this run."),
)  # fmt: skip

_LOWER: tuple[Decorator, ...] = tuple(
    click.option(name, type=click.IntRange(0), metavar="N", help="Go on only if the plan keeps to this lower limit.")
    for name in ("--max-changes", "--max-removals", "--max-deletes")
)


def _with_all(function: F, *groups: tuple[Decorator, ...]) -> F:
    for option in reversed([option for group in groups for option in group]):
        function = option(function)
    return function


def input_options(function: F) -> F:
    """What ``validate`` needs: the inputs, and the choices that decide what counts as valid."""
    return _with_all(function, _INPUT, _CHOICES)


def trial_options(function: F) -> F:
    """What is tried, within which limits; a trial keeps its runs where it pleases."""
    return _with_all(function, _INPUT, _CHOICES, _LIMITS)


def plan_options(function: F) -> F:
    """Whatever changes what will be written. Stored in the run."""
    return _with_all(function, _INPUT, _CHOICES, _LIMITS, _KEEPING)


def undo_options(function: F) -> F:
    """What is to be undone, within which limits, and how that is carried out."""
    return _with_all(function, _UNDOING, _LIMITS, _KEEPING, _APPLYING)


def apply_options(function: F) -> F:
    """How a plan is carried out."""
    return _with_all(function, _APPLYING, _TELLING)


def resume_options(function: F) -> F:
    """How a run that was begun is carried on."""
    return _with_all(function, _APPLYING, _TELLING, _LOWER)


def report_options(function: F) -> F:
    """What a report takes: settings and rows, whom it is about, and where it goes."""
    further = (
        click.option("--org", default="", metavar="CODE", help="Only what belongs to this organisation."),
        click.option("--as-of", default="", callback=_day, metavar="DATE", help="Report as of this day (YYYY-MM-DD)."),
        click.option("--html", type=Destination(), metavar="FILE", help="Write a page for the browser, too."),
        click.option("--out-dir", metavar="DIR", help="Write each table as CSV, too; evidence by organisation."),
    )
    given = click.option("--set", "values", multiple=True, callback=_named_values, metavar="NAME=VALUE",
                         help="A setting of the report; goes before those of the file.")  # fmt: skip
    return _with_all(function, (*_INPUT[:2], given), further)


def asked_for(invocation: Invocation, recipe: str, given: dict[str, Any]) -> Asked:
    """The options of a command line as what a job is asked for. Raises ``UsageError`` before anybody signs in."""
    import sys
    from dataclasses import fields
    from pathlib import Path

    from graphkit.engine.resource import PlanOptions
    from graphkit.jobs import Asked
    from graphkit.recipe import find_recipe

    find_recipe(recipe)
    names = {field.name for field in fields(PlanOptions)}
    options = {name: value for name, value in given.items() if name in names}
    inputs = tuple(given["inputs"])
    return Asked(
        recipe=recipe,
        inputs=inputs,
        options=PlanOptions(**options, break_glass=invocation.settings.break_glass),
        input_format=given["input_format"],
        map_file=given["map_file"],
        values=given["values"],
        out=Path(given["out"]) if given.get("out") else None,
        stdin=sys.stdin.buffer if "-" in inputs else None,
        orgs_file=invocation.settings.orgs_file,
    )
