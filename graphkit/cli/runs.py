"""``graphkit runs``: the runs on this machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Group
from graphkit.engine.runfile import RunFile
from graphkit.errors import GraphkitError
from graphkit.jobs import summarise
from graphkit.reports import text


@click.group("runs", cls=Group)
def command() -> None:
    """The runs on this machine."""


@command.command("list")
@click.pass_obj
def list_runs(invocation: Invocation, /) -> None:
    """Every run file in the runs folder, oldest first. A damaged one is listed as damaged."""
    folder = invocation.settings.runs_dir
    rows = [described(path) for path in sorted(folder.glob("*.run"))]
    invocation.say(f"{'the runs' if rows else 'no runs'} in {folder}")
    invocation.output.emit(rows, lambda: _shown(rows) if rows else ())


def _shown(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    columns = ("created", "recipe", "tenant", "status", "changes", "not_well", "run")
    return text.table(
        [name.replace("_", " ") for name in columns],
        [[Path(str(row[name])).name if name == "run" else row[name] for name in columns] for row in rows],
    )


def described(path: Path) -> dict[str, Any]:
    """One row of the list. Never raises for what is wrong with the file."""
    empty = {
        "run": str(path),
        "created": "",
        "recipe": "",
        "tenant": "",
        "status": "damaged",
        "changes": 0,
        "not_well": 0,
    }
    try:
        with RunFile.open(path) as run:
            found = summarise(run)
            created = float(run.header()["created"])
    except (GraphkitError, sqlite3.Error, msgspec.MsgspecError, OSError, LookupError, ValueError) as error:
        return {**empty, "problem": str(error)}
    return {
        **empty,
        "created": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%d %H:%M"),
        "recipe": found.recipe,
        "tenant": found.tenant.get("name") or found.tenant.get("id", ""),
        "status": found.status,
        "changes": found.writes,
        "not_well": sum(found.outcomes[status] for status in text.ENDED_BADLY),
        "problem": "",
    }
