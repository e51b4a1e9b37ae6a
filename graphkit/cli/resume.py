"""``graphkit resume``: go on with a run that was begun. The same code path as apply."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from graphkit.cli.apply import carry_out, check_tap_out, manner_of
from graphkit.cli.consent import ask_for, require_answerable
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Command, resume_options
from graphkit.cli.running import opened
from graphkit.jobs import check_limits, summarise


@click.command("resume", cls=Command)
@click.argument("run")
@resume_options
@click.pass_obj
def command(invocation: Invocation, /, run: str, **given: Any) -> int:
    """Go on with the run in the file RUN; what failed is tried again, what is done is never done twice."""
    require_answerable(yes=given["yes"])
    path = Path(run)
    with opened(path) as file:
        summary = summarise(file)
        check_limits(file, manner_of(given).limits)
    check_tap_out(summary, given, resume=True)
    ask_for(summary, yes=given["yes"])
    return carry_out(invocation, path, given, resume=True)
