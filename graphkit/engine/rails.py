"""Limits on the whole plan, on by default. A resource's own rails are its ``guard``."""

from __future__ import annotations

from graphkit.engine.change import Action
from graphkit.engine.resource import PlanOptions
from graphkit.engine.runfile import RunFile

REMOVALS_AT_LEAST = 10
REMOVALS_SHARE = 0.05


def broken_rails(run: RunFile, options: PlanOptions) -> list[str]:
    """One line per limit that the plan would pass, with the number to allow it."""
    counts = run.counts()
    reasons = []
    writes = sum(count for action, count in counts.items() if Action(action).writes)
    if writes > options.max_changes:
        reasons.append(
            f"{writes:,} changes planned, {options.max_changes:,} allowed; raise it with --max-changes {writes}"
        )
    if counts[Action.DELETE] > options.max_deletes:
        deletes = counts[Action.DELETE]
        reasons.append(
            f"{deletes:,} deletions planned, {options.max_deletes:,} allowed; --max-deletes {deletes} allows them"
        )
    for kind, actions in run.counts_by_kind().items():
        removals = actions.get(Action.REMOVE, 0)
        allowed = allowed_removals(actions, options)
        if removals > allowed:
            reasons.append(
                f"{removals:,} of {kind} would be removed, {allowed:,} allowed; --max-removals {removals} allows them"
            )
    return reasons


def allowed_removals(actions: dict[str, int], options: PlanOptions) -> int:
    """What was asked for, else the higher of 10 and 5 % of the objects of that kind that are there."""
    if options.max_removals is not None:
        return options.max_removals
    there = sum(actions.get(action, 0) for action in (Action.NOOP, Action.UPDATE, Action.REMOVE))
    return max(REMOVALS_AT_LEAST, int(there * REMOVALS_SHARE))
