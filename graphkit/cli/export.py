"""``graphkit export``: the tenant's policies as clean files. Nothing is written to the tenant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from graphkit import jobs
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Command
from graphkit.reports import text


@click.command("export", cls=Command)
@click.argument("kinds", nargs=-1, metavar="[KIND...]")
@click.argument("folder", metavar="DIR")
@click.option(
    "--format",
    "form",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="How the files are written.",
)
@click.option("--allow-beta", is_flag=True, help="Read through Graph's beta, too.")
@click.pass_obj
def command(
    invocation: Invocation, /, kinds: Sequence[str], folder: str, form: Any, allow_beta: bool
) -> None:  # fmt: skip
    """Write the tenant's policies of each KIND below DIR, one file a policy; without KIND, of all.

    KIND is conditional-access, named-locations, compliance, configuration, update-rings, app-protection,
    settings-catalog (beta), updates (beta) or assignment-filters (beta).
    """

    async def work(session: Any) -> dict[str, Any]:
        return await jobs.export(session, kinds, Path(folder), form=form, allow_beta=allow_beta, say=invocation.say)

    facts = invocation.in_session(work)
    invocation.output.emit(facts, lambda: _shown(facts))


def _shown(facts: dict[str, Any]) -> Iterator[str]:
    yield from text.pairs({kind: f"{count:,}" for kind, count in facts["kinds"].items()})
    counts = (f"{len(facts[name]):,} {name}" for name in ("added", "changed", "removed", "same"))
    yield f"{text.printable(facts['folder'])}: {', '.join(counts)}"
    for secret in facts["secrets"]:
        yield text.printable(f"not exported: {secret['file']}: {secret['path']} is a secret")
    yield from (text.printable(f"note: {note}") for note in facts["notes"])
