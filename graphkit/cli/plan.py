"""``graphkit plan``: what would change, kept as a run file. Sends no write."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from graphkit import jobs
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Command, asked_for, plan_options
from graphkit.cli.running import command_line, items_of, opened, write_report
from graphkit.cli.text import Destination
from graphkit.reports import text

BLOCKED = 6
CHANGES = 2


@click.command("plan", cls=Command)
@click.argument("recipe")
@plan_options
@click.option("--full", is_flag=True, help="Print each change, not only their number.")
@click.option("--html", type=Destination(), metavar="FILE", help="Write the plan as a page for the browser, too.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 if there is something to change.")
@click.pass_obj
def command(invocation: Invocation, /, recipe: str, html: str | None, detailed_exitcode: bool, **given: Any) -> int:
    """Plan RECIPE for the inputs against the tenant; nothing is written there."""
    asked = asked_for(invocation, recipe, given)
    runs_dir = invocation.settings.runs_dir
    summary = invocation.in_session(lambda session: jobs.plan(session, asked, runs_dir=runs_dir, say=invocation.say))
    write_report(summary.run, html)
    show_plan(invocation, summary, full=given["full"])
    if summary.status == "blocked":
        return BLOCKED
    return CHANGES if detailed_exitcode and summary.status == "ready" else 0


def show_plan(invocation: Invocation, summary: jobs.Summary, *, full: bool) -> None:
    """The plan's object on standard output, or its summary for people."""
    facts, output = summary.plan_json(), invocation.output
    if not full:
        output.emit(facts, lambda: _lines(invocation, summary, ()))
        return
    with opened(summary.run) as run:
        if output.is_table:
            output.emit(facts, lambda: _lines(invocation, summary, run.results()))
        else:
            output.emit_long(facts, "items", items_of(run))


def _lines(invocation: Invocation, summary: jobs.Summary, changes: text.Lines) -> Iterator[str]:
    yield from text.plan_lines(changes)
    yield from text.summary(summary.plan_json())
    yield from next_step(invocation, summary)


def next_step(invocation: Invocation, summary: jobs.Summary) -> Iterator[str]:
    """Where the plan is, and the command that carries it out."""
    yield f"run file: {text.printable(str(summary.run))}"
    if summary.status == "ready":
        told = " --tap-out FILE" if jobs.handed_out(summary.kinds) else ""
        yield f"to apply: {text.printable(command_line(invocation, 'apply', summary.run))}{told}"
