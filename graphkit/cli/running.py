"""What plan, show, apply and resume have in common: a run file, read and printed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graphkit.cli.invocation import Invocation
from graphkit.cli.text import quoted
from graphkit.engine.change import Change, Result
from graphkit.engine.runfile import RunFile
from graphkit.jobs import Summary, summarise

BEGUN = ("applying", "interrupted", "finished")


@contextmanager
def opened(path: Path) -> Iterator[RunFile]:
    """A run file for reading. Raises ``RunFileError`` unless it holds a whole plan as it was made."""
    with RunFile.open(path) as run:
        run.verify()
        yield run


def facts_of(summary: Summary) -> dict[str, Any]:
    """The object of ``plan -o json``; once applying has begun, with the outcomes."""
    facts = summary.plan_json()
    if summary.status in BEGUN:
        facts |= {"outcomes": summary.outcomes, "effective": summary.effects}
    return facts


def items_of(run: RunFile) -> Iterator[dict[str, Any]]:
    """Every plan line as an object, with its ``outcome`` if there is one."""
    return (item_of(change, result) for change, result in run.results())


def item_of(change: Change, result: Result | None) -> dict[str, Any]:
    item = {
        "action": change.action.value,
        "kind": change.kind,
        "key": change.key,
        "before": change.before,
        "after": change.after,
        "note": change.note,
        "file": change.origin.file,
        "row" if isinstance(change.origin.place, int) else "path": change.origin.place,
    }
    if result:
        item["outcome"] = {
            "status": result.status.value,
            "object_id": result.object_id,
            "code": result.code,
            "message": result.error,
            "request_id": result.request_id,
            "effective": result.effective,
        }
    return item


def command_line(invocation: Invocation, verb: str, path: Path) -> str:
    """What to type to go on with this run on the same target."""
    return f"graphkit {verb} {quoted(path)} {invocation.target_flags()}".rstrip()


def write_report(path: Path, html: str | None) -> None:
    """The run as a page, if one was asked for."""
    if html:
        from graphkit.reports.html import write_html

        with RunFile.open(path) as run:
            write_html(Path(html), facts_of(summarise(run)), run.results())
