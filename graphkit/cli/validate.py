"""``graphkit validate``: everything that can be checked without the tenant."""

from __future__ import annotations

from typing import Any

import click

from graphkit import jobs
from graphkit.cli.failure import tell_error
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Command, asked_for, input_options
from graphkit.errors import InputErrors


@click.command("validate", cls=Command)
@click.argument("recipe")
@input_options
@click.option("--fix", is_flag=True, help="Write a corrected copy of each table beside it: NAME.fixed.csv.")
@click.pass_obj
def command(invocation: Invocation, /, recipe: str, fix: bool, **given: Any) -> int:
    """Check the inputs of RECIPE without asking the tenant; every error at once."""
    found = jobs.validate(asked_for(invocation, recipe, given), fix=fix)
    for copy in found.fixed:
        invocation.say(f"wrote {copy.path}: {copy.rows:,} rows, {copy.cells:,} cells put right")
    for warning in found.warnings:
        invocation.say(f"warning: {warning}")
    if found.errors and invocation.output.is_table:
        tell_error(InputErrors(found.errors))
    invocation.output.emit(found.to_json(), lambda: [f"{found.valid:,} valid, {len(found.errors):,} errors"])
    return found.exit_code
