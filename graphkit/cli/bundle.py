"""``graphkit bundle``: a file for support, shown before it is written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from graphkit.cli.consent import ask, require_answerable
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Command
from graphkit.engine.runfile import RunFile, create_private


@click.command("bundle", cls=Command)
@click.argument("runs", nargs=-1, metavar="[RUN...]")
@click.option("--out", default="graphkit-support.zip", show_default=True, metavar="FILE", help="The archive to write.")
@click.option("--preview", is_flag=True, help="Only show what would be in it.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
@click.pass_obj
def command(invocation: Invocation, /, runs: Sequence[str], out: str, preview: bool, yes: bool) -> None:
    """Versions, settings and the course of the run files RUN in one archive: counts, codes, times and request ids.

    No secret, no name, no key and no message of the service is in it. All of it is shown first.
    """
    from graphkit.reports.bundle import bundle, zipped

    if not preview:
        require_answerable(yes=yes)
    with ExitStack() as stack:
        files = bundle(invocation.settings, [stack.enter_context(RunFile.open(Path(run))) for run in runs])
    if preview:
        invocation.output.emit(files, lambda: _shown(files))
        return
    if not yes:
        for line in _shown(files):
            invocation.say(line)
        ask(f"Write this to {out}?")
    path = Path(out)
    create_private(path)
    path.write_bytes(zipped(files))
    facts = {"file": str(path), "bytes": os.path.getsize(path), "holds": list(files)}
    invocation.output.emit(facts, lambda: [f"{path}: {', '.join(files)}"])


def _shown(files: dict[str, Any]) -> Iterator[str]:
    from graphkit.reports.bundle import shown

    for name, content in files.items():
        yield f"--- {name}"
        yield from shown(content).splitlines()
