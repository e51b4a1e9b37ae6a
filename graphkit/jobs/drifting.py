"""Drift: does the tenant still hold what the inputs ask for? A plan that is read and never carried out."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from graphkit.engine.change import Action, Change
from graphkit.engine.runfile import RunFile
from graphkit.errors import GraphkitError
from graphkit.jobs.asked import Asked
from graphkit.jobs.planning import Say, plan
from graphkit.jobs.summary import Summary
from graphkit.reports.text import differences
from graphkit.session import Session

if TYPE_CHECKING:
    from graphkit.jobs.acceptance import Acceptance


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One object that is not as the input wants it.

    ``action`` is what would put it right. ``history`` says what earlier runs know of the object: one that a run made
    and that is gone was taken away by somebody, others were never made. ``accepted`` is the entry that lets it be.
    """

    recipe: str
    action: str
    kind: str
    key: str
    note: str
    history: str
    accepted: Acceptance | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "recipe": self.recipe,
            "action": self.action,
            "kind": self.kind,
            "key": self.key,
            "note": self.note,
            "history": self.history,
            "accepted": self.accepted.model_dump(mode="json") if self.accepted else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What one recipe's inputs and the tenant differ in. ``run`` holds the plan that would put it right."""

    summary: Summary
    findings: Sequence[Finding]

    @property
    def open(self) -> Sequence[Finding]:
        """Those that nobody has accepted."""
        return [finding for finding in self.findings if not finding.accepted]


async def drift(
    session: Session,
    asked: Asked,
    *,
    runs_dir: Path,
    accepted: Sequence[Acceptance] = (),
    say: Say = lambda _: None,
) -> Drift:
    """Plan, and read the plan as a list of differences. Sends no write; without a difference no run file is left.

    An acceptance counts up to its last day, both by the session's clock. Raises what ``plan`` raises.
    """
    summary = await plan(session, asked, runs_dir=runs_dir, say=say)
    today = datetime.fromtimestamp(session.clock.now(), UTC).date()
    valid = [each for each in accepted if today <= each.until]
    with RunFile.open(summary.run) as run:
        differing = [change for change in run.changes() if change.action is not Action.NOOP]
        tenant = str(run.header()["tenant"])
    known = _histories(runs_dir, tenant, summary.run, differing)
    findings = [_finding(summary.recipe, change, known, valid) for change in differing]
    if not (findings or summary.blocked):
        summary.run.unlink()
    return Drift(summary=summary, findings=findings)


def _finding(recipe: str, change: Change, known: Mapping[_Name, _Event], valid: Sequence[Acceptance]) -> Finding:
    differing = differences(change) if change.action is Action.UPDATE else ()
    return Finding(
        recipe=recipe,
        action=change.action.value,
        kind=change.kind,
        key=change.key,
        note=change.note or ", ".join(name for name, _, _ in differing),
        history=_history(change, known.get(_Name(change.kind, change.key))),
        accepted=next((each for each in valid if each.covers(recipe, change)), None),
    )


class _Name(NamedTuple):
    kind: str
    key: str


class _Event(NamedTuple):
    at: float
    action: str
    run: str
    undoes: bool = False


def _histories(runs_dir: Path, tenant: str, own: Path, changes: Sequence[Change]) -> dict[_Name, _Event]:
    """The last thing that runs of this machine did to each object. A file that cannot be read says nothing."""
    wanted = {_Name(change.kind, change.key) for change in changes}
    found: dict[_Name, _Event] = {}
    for path in sorted(runs_dir.glob("*.run")) if wanted else ():
        if path == own:
            continue
        try:
            with RunFile.open(path) as run:
                header = run.header()
                if header.get("tenant") != tenant:
                    continue
                for kind, key, action, at in run.written():
                    name = _Name(kind, key)
                    if name in wanted and at >= found.get(name, _Event(0.0, "", "")).at:
                        found[name] = _Event(at, action, path.name, "undoes" in header)
        except (GraphkitError, OSError, sqlite3.Error, msgspec.DecodeError):
            continue
    return found


def _history(change: Change, last: _Event | None) -> str:
    """Somebody else's doing, or simply not done yet?"""
    adds = change.action in (Action.CREATE, Action.ADD)
    if last is None:
        return "no run of this machine made it" if adds else ""
    day = datetime.fromtimestamp(last.at, UTC).date()
    if adds and last.action in ("create", "add", "update"):
        return f"made by {last.run} on {day}, and taken away since by somebody else"
    if adds:
        return f"taken away by {last.run} on {day}"
    if last.undoes:
        return f"set back by {last.run} on {day}"
    return f"last written by {last.run} on {day}; since then it was changed, or the input was"
