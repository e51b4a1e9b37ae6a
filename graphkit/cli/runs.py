"""``graphkit runs``: the runs on this machine, listed, copied, compared and purged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec.structs import replace

from graphkit.cli.consent import ask, require_answerable
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Group
from graphkit.cli.running import opened
from graphkit.cli.text import Duration
from graphkit.clock import RealClock
from graphkit.engine.change import Change, Origin
from graphkit.engine.lock import FileLock
from graphkit.engine.runfile import RunFile
from graphkit.errors import GraphkitError
from graphkit.jobs import summarise
from graphkit.reports import text

MINUTE = "%Y-%m-%d %H:%M"


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


@command.command("export")
@click.argument("run")
@click.argument("file")
@click.pass_obj
def export(invocation: Invocation, /, run: str, file: str) -> None:
    """Copy RUN, even while it is being applied, to FILE: whole, and readable by you alone."""
    with RunFile.open(Path(run)) as found:
        found.copy(Path(file))
    invocation.output.emit({"run": run, "copy": file}, lambda: [f"{run} copied to {file}"])


@command.command("diff")
@click.argument("first")
@click.argument("second")
@click.pass_obj
def diff(invocation: Invocation, /, first: str, second: str) -> int:
    """What the plan of SECOND does that the plan of FIRST did not, and the other way round. Exits 2 if they differ."""
    with opened(Path(first)) as one, opened(Path(second)) as other:
        rows = list(differing_lines(one, other))
    shown = [[SIGNS_OF_DIFF[row["plan"]], row["action"], row["kind"], row["key"]] for row in rows]
    invocation.output.emit(
        rows, lambda: text.table(["", "action", "kind", "key"], shown) if rows else ["no difference"]
    )
    return 2 if rows else 0


@command.command("purge")
@click.option("--older-than", type=Duration(), required=True, metavar="TIME", help="Age of the run, such as 90d.")
@click.option("--unfinished", is_flag=True, help="Those, too, that stopped midway.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Needed where there is no terminal.")
@click.pass_obj
def purge(invocation: Invocation, /, older_than: float, unfinished: bool, yes: bool) -> None:
    """Delete old runs with their results: they hold personal data. A run that stopped midway is kept."""
    require_answerable(yes=yes)
    folder = invocation.settings.runs_dir
    limit = RealClock().now() - older_than
    old = [path for path in sorted(folder.glob("*.run")) if _may_go(path, limit, unfinished=unfinished)]
    if old and not yes:
        ask(f"Delete {len(old):,} run file{'' if len(old) == 1 else 's'} with their results?", hint=f"kept: {folder}")
    rows = [row for path in old for row in _purged(path)]
    invocation.output.emit(
        rows, lambda: text.table(["file", "state"], [[Path(row["file"]).name, row["state"]] for row in rows])
    )


def _may_go(path: Path, limit: float, *, unfinished: bool) -> bool:
    """Old enough, by its own word or else by the file's; and nothing that waits to be resumed."""
    row = described(path)
    if row["status"] == "damaged":
        return path.stat().st_mtime < limit
    begun = datetime.strptime(row["created"], MINUTE).replace(tzinfo=UTC).timestamp()
    return begun < limit and (unfinished or row["status"] not in ("applying", "interrupted"))


def _purged(path: Path) -> Iterator[dict[str, str]]:
    """The run, locked first so that nobody is applying it, and what was written beside it."""
    try:
        lock = FileLock.beside(path)
    except GraphkitError as error:
        yield {"file": str(path), "state": error.message}
        return
    try:
        for each in (path, path.with_suffix(".results.csv")):
            if each.exists():
                each.unlink()
                yield {"file": str(each), "state": "deleted"}
    except OSError as error:
        yield {"file": str(path), "state": f"kept: {error.strerror}"}
    finally:
        lock.release()


SIGNS_OF_DIFF = {"first": "-", "second": "+"}


def differing_lines(first: RunFile, second: RunFile) -> Iterator[dict[str, str]]:
    """The plan lines that only one of two runs has, kind by kind; from which input row they come does not count."""
    lines = {_without_origin(change): ("first", change) for change in first.changes()}
    for change in second.changes():
        line = _without_origin(change)
        if lines.pop(line, None) is None:
            lines[line] = ("second", change)
    found = sorted(lines.values(), key=lambda each: (each[1].kind, each[1].key, each[0]))
    for plan, change in found:
        yield {"plan": plan, "action": change.action.value, "kind": change.kind, "key": change.key, "note": change.note}


def _without_origin(change: Change) -> str:
    return replace(change, origin=Origin("", "")).line()


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
        "created": datetime.fromtimestamp(created, UTC).strftime(MINUTE),
        "recipe": found.recipe,
        "tenant": found.tenant.get("name") or found.tenant.get("id", ""),
        "status": found.status,
        "changes": found.writes,
        "not_well": sum(found.outcomes[status] for status in text.ENDED_BADLY),
        "problem": "",
    }
