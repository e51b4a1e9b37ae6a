"""What a job returns: plain values for tables, JSON and exit codes alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.engine.runfile import RunFile
from graphkit.errors import InputProblem

if TYPE_CHECKING:
    from graphkit.inputs.fixing import Fixed

FORMAT = 1
"""Of the JSON that commands print. Additions leave it as it is; a removal makes it 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """What ``validate`` found: how many requested items are sound, and everything that is not; and the corrected copies
    that were written."""

    valid: int
    errors: tuple[InputProblem, ...]
    warnings: tuple[str, ...] = ()
    fixed: tuple[Fixed, ...] = ()

    @property
    def exit_code(self) -> int:
        return 5 if self.errors else 0

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "valid": self.valid,
            "errors": [problem.to_json() for problem in self.errors],
            "warnings": list(self.warnings),
            "fixed": [{"path": str(each.path), "rows": each.rows, "cells": each.cells} for each in self.fixed],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One run: what it plans and, once applied, how that ended.

    ``changes`` counts per action, ``outcomes`` per status; ``cost`` holds a row per quota bucket; ``remarks`` are what
    is worth knowing about the plan; ``status`` is planning, ready, empty, blocked, applying, interrupted or finished;
    ``left_out`` counts input rows that ``--skip-invalid`` goes on without, ``digest`` names the sealed plan,
    ``throttled`` counts the answers 429 of this process. ``undoes`` is the run that this one takes back; empty for any
    other. ``effects`` counts what takes effect later: yes, no, pending; ``awaited`` says that it was waited for.
    """

    run: Path
    recipe: str
    tenant: dict[str, Any]
    target: str
    status: str
    changes: dict[str, int]
    kinds: dict[str, dict[str, int]]
    outcomes: dict[str, int]
    cost: list[dict[str, Any]]
    blocked: list[str]
    warnings: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    left_out: int = 0
    digest: str = ""
    throttled: int = 0
    results: Path | None = None
    undoes: str = ""
    effects: dict[str, int] = field(default_factory=dict)
    awaited: bool = False

    @property
    def writes(self) -> int:
        return sum(count for action, count in self.changes.items() if action not in ("noop", "blocked"))

    def plan_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "run": str(self.run),
            "recipe": self.recipe,
            "undoes": self.undoes,
            "tenant": self.tenant,
            "target": self.target,
            "status": self.status,
            "changes": self.changes,
            "kinds": self.kinds,
            "cost": self.cost,
            "blocked": self.blocked,
            "leftOut": self.left_out,
            "warnings": self.warnings,
            "remarks": self.remarks,
        }

    def apply_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "run": str(self.run),
            "recipe": self.recipe,
            "tenant": self.tenant,
            "status": self.status,
            "outcomes": self.outcomes,
            "effective": self.effects,
            "leftOut": self.left_out,
            "throttled": self.throttled,
            "results": str(self.results) if self.results else "",
        }

    @property
    def apply_exit_code(self) -> int:
        """0 when all that was asked for ended well, 3 when something did not, rows left out included.

        7 when what was waited for was not effective in time.
        """
        if self.left_out or any(self.outcomes[status] for status in ("failed", "skipped", "unknown")):
            return 3
        return 7 if self.awaited and self.effects.get("pending") else 0


def summarise(run: RunFile, *, throttled: int = 0, results: Path | None = None, awaited: bool = False) -> Summary:
    """Read a run file as it stands."""
    header = run.header()
    return Summary(
        run=run.path,
        recipe=str(header.get("recipe", "")),
        undoes=str(header.get("undoes", "")),
        tenant=dict(header.get("tenant_shown") or {}),
        target=str(header.get("target", "")),
        status=str(header.get("status", "")),  # "applying" may be what a process left behind that died
        changes=run.counts(),
        kinds=run.counts_by_kind(),
        outcomes=run.outcome_counts(),
        cost=list(header.get("cost") or []),
        blocked=list(header.get("blocked") or []),
        warnings=list(header.get("warnings") or []),
        remarks=list(header.get("remarks") or []),
        left_out=run.left_out(),
        digest=str(header.get("digest", "")),
        throttled=throttled,
        results=results,
        effects=run.effect_counts(),
        awaited=awaited,
    )
