"""``graphkit report``: the tenant as it is, or how a run ended. Nothing is written to the tenant."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from graphkit import jobs
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Command, Group, report_options
from graphkit.cli.output import Output, to_json, write, write_rows
from graphkit.cli.show import show_run
from graphkit.cli.text import Destination
from graphkit.engine.resource import PlanOptions
from graphkit.jobs import Asked
from graphkit.recipe import Report, all_reports, find_report
from graphkit.reports.findings import Findings, lines
from graphkit.session import Session


class Reports(Group):
    """``run``, and every report of every bundle, each loaded when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return ["run", *(each.name.removeprefix("reports.") for each in all_reports())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or _command_for(find_report(cmd_name))


@click.group("report", cls=Reports)
def command() -> None:
    """The tenant as it is, or how a run ended. Nothing is written to the tenant."""


@command.command("run")
@click.argument("run")
@click.option("--html", type=Destination(), metavar="FILE", help="Write a page for the browser, too.")
@click.pass_obj
def report_run(invocation: Invocation, /, run: str, html: str | None) -> None:
    """How the run in the file RUN ended, or what it would do; the same as graphkit show RUN."""
    show_run(invocation, run, html)


def _command_for(found: Report) -> click.Command:
    """The verb of one report; they all take the same options."""

    def callback(**given: Any) -> None:
        invocation: Invocation = click.get_current_context().obj
        asked = _asked_for(invocation, found, given)
        html, folder = given["html"], given["out_dir"]
        invocation.in_session(lambda session: _report(invocation, session, asked, html, folder))

    told = f"{found.summary}. Needs {', '.join(found.permissions)}."
    return click.command(found.name.removeprefix("reports."), cls=Command, help=told)(report_options(callback))


def _asked_for(invocation: Invocation, found: Report, given: dict[str, Any]) -> Asked:
    settings = invocation.settings
    return Asked(
        recipe=found.name,
        inputs=given["inputs"],
        options=PlanOptions(org=given["org"], as_of=given["as_of"], break_glass=settings.break_glass),
        input_format=given["input_format"],
        values=given["values"],
        stdin=sys.stdin.buffer if "-" in given["inputs"] else None,
        orgs_file=settings.orgs_file,
        for_report=True,
    )


async def _report(
    invocation: Invocation, session: Session, asked: Asked, html: str | None, out_dir: str | None
) -> None:
    async with jobs.report(session, asked) as found:
        if html:
            from graphkit.reports.html import write_findings

            write_findings(Path(html), found.facts, found.findings)
        if out_dir:
            from graphkit.reports.evidence import write_evidence

            for path in write_evidence(Path(out_dir), found.findings):
                invocation.say(f"wrote {path}")
        _print(invocation, found.facts, found.findings)


def _print(invocation: Invocation, facts: Mapping[str, Any], findings: Findings) -> None:
    output = invocation.output
    first, *others = findings.sections
    if output.is_table:
        output.emit(facts, lambda: lines(facts, findings))
    elif output.streams:
        for section in findings.sections:
            for item in section.items():
                output.row({"section": section.name, **item})
    elif output.format == "csv" and not invocation.given.get("query"):
        write_rows(first.columns, first.items())
        if others:
            invocation.say(f"the other tables ({', '.join(each.name for each in others)}) need --out-dir or -o json")
    else:
        _print_object(output, facts, findings)


def _print_object(output: Output, facts: Mapping[str, Any], findings: Findings) -> None:
    """One object; as JSON a row at a time, however many there are."""
    if output.format == "json" and not output.queried:
        write(f"{to_json(facts, indent=2).removesuffix(chr(10) + '}')},\n")
        for piece in _json_sections(findings):
            write(piece)
        return
    sections = [
        {"name": each.name, "title": each.title, "columns": list(each.columns), "rows": list(each.items())}
        for each in findings.sections
    ]
    output.emit({**facts, "sections": sections})


def _json_sections(findings: Findings) -> Iterator[str]:
    yield '  "sections": ['
    for place, section in enumerate(findings.sections):
        yield "," if place else ""
        head = to_json({"name": section.name, "title": section.title, "columns": list(section.columns)})
        yield f'\n    {head.removesuffix("}")}, "rows": ['
        for number, item in enumerate(section.items()):
            yield f"{',' if number else ''}\n      {to_json(item)}"
        yield "\n    ]}"
    yield "\n  ]\n}\n"
