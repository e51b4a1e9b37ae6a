"""``graphkit record``: run a command and keep what it says to Graph, in pseudonyms; or look for leaks in that."""

from __future__ import annotations

from pathlib import Path

import click

from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Command
from graphkit.errors import GraphkitError, UsageError


class CassetteLeaks(GraphkitError):
    """Something in a cassette looks like a person's, a tenant's or a secret."""

    code = "cassette-leaks"


@click.command("record", cls=Command)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.option("--check", is_flag=True, help="Run nothing: look for leaks in FILE and in the inputs beside it.")
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="FIELD=KIND",
    help="For fields of your own: keep, remove, text, phone or date; * is allowed in FIELD. Repeatable.",
)
@click.pass_obj
def command(
    invocation: Invocation, /, file: Path, arguments: tuple[str, ...], check: bool, rules: tuple[str, ...]
) -> int:
    """Run COMMAND (one of graphkit's) and record in FILE what it says to Graph, in pseudonyms.

    The inputs are written beside it, in the same pseudonyms: FILE without its suffix, and .inputs.
    """
    if check == bool(arguments):
        raise UsageError(
            "give either a command to record or --check", hint="graphkit record FILE -- plan RECIPE -i FILE"
        )
    if not check:
        return _record(invocation, file, arguments, rules)
    _check(invocation, file)
    return 0


def _record(invocation: Invocation, file: Path, arguments: tuple[str, ...], rules: tuple[str, ...]) -> int:
    from graphkit.cli.app import run
    from graphkit.recording import Recorder, shared

    if arguments[0] == "record":
        raise UsageError("a recording of a recording holds nothing")
    rules = rules or invocation.settings.record_rules
    recorder = Recorder(file, rules=rules)
    with shared(file, recorder=recorder):
        code = run(arguments, Invocation(given={**invocation.given, "record": str(file)}))
    if file.exists():
        invocation.say(f"recorded in {file}; before it is shared: graphkit record --check {file}")
    else:
        invocation.say("nothing was said to Graph, so nothing was recorded")
    return code


def _check(invocation: Invocation, file: Path) -> None:
    from graphkit.recording import read
    from graphkit.recording.check import findings

    count = len(read(file).operations)
    found = list(findings(file))
    facts = {"operations": count, "findings": [finding._asdict() for finding in found]}
    if not found:
        invocation.output.emit(facts, lambda: [f"{count} operations, nothing that looks like a leak"])
        return
    invocation.facts = facts
    for each in found:
        invocation.say(f"{each.file}:{each.line}: {each.what}: {each.shown}")
    raise CassetteLeaks(
        f"{len(found)} places in {file} and its inputs look like leaks",
        hint="record anew, with --rule FIELD=remove or text where a field needs one; do not share these files",
    )
