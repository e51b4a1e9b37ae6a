"""Nothing is written to a tenant before somebody has said so: with ``--yes``, or at the terminal."""

from __future__ import annotations

import sys

import click

from graphkit.cli.invocation import tell
from graphkit.errors import GraphkitError, UsageError
from graphkit.jobs import Summary
from graphkit.reports import text


class Declined(GraphkitError):
    """The person at the terminal said no."""

    code = "declined"


def require_answerable(*, yes: bool) -> None:
    """Raises ``UsageError`` where nobody could be asked; before anything is done."""
    if not yes and not sys.stdin.isatty():
        raise UsageError("nothing was done: there is no terminal to ask at", hint="add --yes if this is what you want")


def ask_for(summary: Summary, *, yes: bool) -> None:
    """Show what a plan comes to and ask, if it would write anything. Raises ``Declined``."""
    if yes or not summary.writes:
        return
    for line in text.summary(summary.plan_json()):
        tell(line)
    what = f"Apply {summary.writes:,} change" + ("" if summary.writes == 1 else "s") + " to"
    if any(summary.outcomes.values()):
        tell(f"so far: {text.counted(summary.outcomes)}")
        what = "Go on with the rest in"
    ask(f"{what} {summary.tenant.get('name') or summary.tenant.get('id')}?", hint=f"kept: {summary.run}")


def ask(question: str, *, hint: str = "") -> None:
    """Raises ``Declined`` unless the answer is yes."""
    if not click.confirm(text.printable(question), err=True):
        raise Declined("nothing was done", hint=hint)
