"""``graphkit undo``: take back what a run did."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from graphkit import jobs
from graphkit.cli.apply import carry_out, check_target
from graphkit.cli.consent import ask_for
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Command, undo_options
from graphkit.cli.plan import show_plan
from graphkit.engine.resource import PlanOptions
from graphkit.errors import Blocked
from graphkit.reports import text


@click.command("undo", cls=Command)
@click.argument("run")
@undo_options
@click.pass_obj
def command(invocation: Invocation, /, run: str, **given: Any) -> int:
    """Plan what takes back what the run file RUN did, show it, and carry it out once somebody has said so.

    Where there is no terminal to ask at, --yes carries it out; without it the plan is kept, and apply goes on with it.
    """
    path = Path(run)
    check_target(invocation, path)
    names = {field.name for field in fields(PlanOptions)}
    options = PlanOptions(
        **{name: value for name, value in given.items() if name in names}, break_glass=invocation.settings.break_glass
    )
    summary = invocation.in_session(
        lambda session: jobs.undo(
            session,
            path,
            runs_dir=invocation.settings.runs_dir,
            only=given["only"],
            options=options,
            out=Path(given["out"]) if given["out"] else None,
            say=invocation.say,
        )
    )
    if summary.status == "blocked":
        raise Blocked(summary.blocked, hint=f"undo again with what is named; kept for reading: {summary.run}")
    if not given["yes"] and not sys.stdin.isatty():
        show_plan(invocation, summary, full=True)
        return 0
    if given["yes"]:
        invocation.say("\n".join(text.summary(summary.plan_json())))
    ask_for(summary, yes=given["yes"])
    return carry_out(invocation, summary.run, given)
