"""``graphkit apply``: carry out a plan; or plan and apply in one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from graphkit import jobs
from graphkit.cli import progress
from graphkit.cli.consent import ask_for, require_answerable
from graphkit.cli.interrupt import braking
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Command, apply_options, asked_for, plan_options
from graphkit.cli.running import command_line, opened, write_report
from graphkit.cli.text import quoted
from graphkit.engine.runfile import RunFile
from graphkit.errors import Blocked, GraphkitError, UsageError, WrongTenant
from graphkit.jobs import Brake, Summary, summarise
from graphkit.recipe import all_recipes
from graphkit.reports import text
from graphkit.session import Session

LIMITS = ("max_changes", "max_removals", "max_deletes")
APPLYING = ("yes", "deadline", "results", "html", "canary", "max_failures", "wait", "tap_out", *LIMITS)
"""Options that a saved plan takes."""


@click.command("apply", cls=Command)
@click.argument("run_or_recipe", metavar="RUN | RECIPE -i FILE")
@plan_options
@apply_options
@click.pass_obj
def command(invocation: Invocation, /, run_or_recipe: str, **given: Any) -> int:
    """Carry out the plan in the run file RUN, or plan RECIPE for the inputs and carry that out."""
    require_answerable(yes=given["yes"])
    if given["inputs"] or given["map_file"]:
        summary = _plan(invocation, run_or_recipe, given)
    else:
        _refuse_recipe(run_or_recipe)
        _refuse_plan_options(run_or_recipe)
        with opened(Path(run_or_recipe)) as run:
            summary = summarise(run)
            jobs.check_limits(run, manner_of(given).limits)
    if summary.status == "blocked":
        raise Blocked(summary.blocked, hint="change the input or the limits named, and plan again")
    check_tap_out(summary, given)
    ask_for(summary, yes=given["yes"])
    return carry_out(invocation, summary.run, given)


def check_tap_out(summary: Summary, given: dict[str, Any], *, resume: bool = False) -> None:
    """Before anybody is asked anything. Raises ``UsageError``."""
    taken = [Path(given[name]) for name in ("results", "html") if given[name]]
    with RunFile.open(summary.run) as run:
        jobs.check_handout(run, tap_out_of(given), resume=resume, taken=taken)


def tap_out_of(given: dict[str, Any]) -> Path | None:
    """``undo`` has no such option: it issues nothing."""
    return Path(given["tap_out"]) if given.get("tap_out") else None


def _plan(invocation: Invocation, recipe: str, given: dict[str, Any]) -> Summary:
    asked = asked_for(invocation, recipe, given)
    runs_dir = invocation.settings.runs_dir

    async def plan(session: Session) -> Summary:
        begun = session.clock.now()
        summary = await jobs.plan(session, asked, runs_dir=runs_dir, say=invocation.say)
        if given["deadline"] is not None:
            given["deadline"] = max(0.0, given["deadline"] - (session.clock.now() - begun))
        return summary

    return invocation.in_session(plan)


def _refuse_recipe(name: str) -> None:
    if not Path(name).is_file() and any(recipe.name == name for recipe in all_recipes()):
        raise UsageError(f"{name} is a recipe, and no input was given", hint=f"graphkit apply {name} -i FILE")


def _refuse_plan_options(run: str) -> None:
    """A saved plan is applied as it is: what would change it is refused, not ignored."""
    context = click.get_current_context()
    named = [
        option.opts[-1]
        for option in context.command.params
        if isinstance(option, click.Option) and option.expose_value and option.name not in APPLYING
        if context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    ]
    if named:
        raise UsageError(f"{', '.join(named)}: decided when {run} was planned", hint="plan again with these options")


def carry_out(invocation: Invocation, path: Path, given: dict[str, Any], *, resume: bool = False) -> int:
    """Apply or resume the run, print how it ended, and return the exit code."""
    check_target(invocation, path)
    try:
        with braking(invocation) as brake:
            summary = invocation.in_session(
                lambda session: _apply(invocation, session, path, given, brake, resume=resume)
            )
    except BaseException:
        _remember_how_to_go_on(invocation, path, given)
        raise
    write_report(path, given["html"])
    with opened(path) as run:
        invocation.output.emit(summary.apply_json(), lambda: _ended(summary, run.results(), tap_out_of(given)))
    return summary.apply_exit_code


def check_target(invocation: Invocation, path: Path) -> None:
    """Before anybody is asked for credentials: a run is applied where it was planned, and nowhere else."""
    with RunFile.open(path) as run:
        planned = summarise(run).target
    target = invocation.settings.target
    if planned != str(target):
        raise WrongTenant(f"{path} was planned against {planned}, not {target}", hint=f"add -t {planned}")


async def _apply(
    invocation: Invocation, session: Session, path: Path, given: dict[str, Any], brake: Brake, *, resume: bool
) -> Summary:
    within, results = given["deadline"], given["results"]
    async with progress.shown(invocation, session) as meter:
        return await jobs.apply(
            session,
            path,
            resume=resume,
            deadline=None if within is None else session.clock.now() + within,
            results=Path(results) if results else None,
            observer=meter.update,
            manner=manner_of(given),
            brake=brake,
            tap_out=tap_out_of(given),
        )


def manner_of(given: dict[str, Any]) -> jobs.Manner:
    """How the command line wants the plan carried out. Limits count that were given; the others are the plan's."""
    context = click.get_current_context()
    limits = {name: given[name] for name in LIMITS if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    return jobs.Manner(
        canary=given["canary"],
        failed_share=given["max_failures"] / 100,
        wait_s=given["wait"],
        limits=jobs.Limits(**limits),
    )


def _remember_how_to_go_on(invocation: Invocation, path: Path, given: dict[str, Any]) -> None:
    """If the run was begun, what is known of it belongs beside the error, and the way on too."""
    try:
        with opened(path) as run:
            summary = summarise(run)
    except GraphkitError:
        return  # the error at hand says more than that the file cannot be read
    if summary.status == "interrupted":
        invocation.facts = summary.apply_json()
        told = f" --tap-out {quoted(tap_out)}" if (tap_out := tap_out_of(given)) else ""
        invocation.go_on = command_line(invocation, "resume", path) + told
        invocation.say(text.counted(summary.outcomes))
        write_report(path, given["html"])


def _ended(summary: Summary, lines: text.Lines, tap_out: Path | None) -> Iterator[str]:
    yield from text.outcome_lines(summary.apply_json(), lines)
    yield f"run file: {text.printable(str(summary.run))}"
    yield f"results:  {text.printable(str(summary.results))}"
    if tap_out and tap_out.exists():
        yield f"passes:   {text.printable(str(tap_out))} (nowhere else: hand them over, then delete it)"
