"""``graphkit show``: what a run would do, or did."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Command
from graphkit.cli.output import write_rows
from graphkit.cli.running import BEGUN, facts_of, items_of, opened
from graphkit.cli.text import Destination
from graphkit.engine.runfile import RunFile
from graphkit.jobs import summarise
from graphkit.reports import text

COLUMNS = (
    "action", "kind", "key", "before", "after", "note", "file", "place",
    "status", "object_id", "code", "message", "request_id", "effective",
)  # fmt: skip


@click.command("show", cls=Command)
@click.argument("run")
@click.option("--html", type=Destination(), metavar="FILE", help="Write a page for the browser, too.")
@click.pass_obj
def command(invocation: Invocation, /, run: str, html: str | None) -> None:
    """What the run file RUN would do, or did. Asks no tenant.

    As JSON: the plan's object with its items; as JSON lines: the plan's own lines, which its digest covers.
    """
    show_run(invocation, run, html)


def show_run(invocation: Invocation, run: str, html: str | None) -> None:
    """Print the run, and write the page if one is asked for."""
    output = invocation.output
    with opened(Path(run)) as file:
        facts = facts_of(summarise(file))
        if html:
            from graphkit.reports.html import write_html

            write_html(Path(html), facts, file.results())
        if output.is_table:
            output.emit(facts, lambda: _lines(file, facts))
        elif output.streams:
            for change in file.changes():
                output.line(change.line())
        elif output.format == "csv" and not invocation.given.get("query"):
            write_rows(COLUMNS, (_flat(item) for item in items_of(file)))
        else:
            output.emit_long(facts, "items", items_of(file))


def _flat(item: dict[str, Any]) -> dict[str, Any]:
    place = item.get("row", item.get("path"))
    return {**item, "place": place, **item.get("outcome", {})}


def _lines(file: RunFile, facts: dict[str, Any]) -> Iterator[str]:
    yield from text.plan_lines(file.results())
    yield from text.summary(facts)
    if facts["status"] in BEGUN:
        yield from text.outcome_lines(facts, file.results())
