"""Limits on every plan, on by default. A resource's own rails are its ``guard``, what needs the tenant a ``Rail``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from graphkit.engine.change import Action, Change, Desired
from graphkit.engine.resource import PlanOptions, PlanView, Resource
from graphkit.engine.runfile import RunFile
from graphkit.protocol.touch import Touch

REMOVALS_AT_LEAST = 10
REMOVALS_SHARE = 0.05


class Rail(Protocol):
    """Judges a plan in the making; on at every door.

    ``judge`` gets each change that would write, in plan order and in chunks, with whom it concerns, and says why single
    ones are left alone, by their place in the chunk. ``reasons`` says why the whole plan must not be applied;
    ``warnings`` what could not be judged.
    """

    async def judge(self, changes: Sequence[tuple[Change, Touch]]) -> Mapping[int, str]: ...

    async def reasons(self, view: PlanView) -> Iterable[str]: ...

    def warnings(self) -> Iterable[str]: ...


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


def outside(item: Desired, org: str, orgs_of: Mapping[str, str]) -> str:
    """Why a wish is beyond ``--org``; empty if it is not.

    Its organisation is what ``rails["org"]`` says, else that of the object it belongs to (``orgs_of``, by key).
    """
    owner = next((item.properties[name] for name in ("group", "team") if name in item.properties), "")
    own = str(item.rails.get("org") or orgs_of.get(str(owner), ""))
    return f"it belongs to {own}, and --org {org} keeps to {org}" if org and own and own != org else ""


def unconfirmed(run: RunFile, resources: Mapping[str, Resource], options: PlanOptions, domain: str) -> Iterator[str]:
    """What binds the whole tenant has to be confirmed by typing the tenant's domain."""
    if domain and options.confirm.strip().lower() == domain.lower():
        return
    bound: dict[str, None] = {}
    for kind in run.counts_by_kind():
        if type(resources[kind]).tenant_wide is not Resource.tenant_wide:
            texts = (resources[kind].tenant_wide(change) for change in run.changes(kind) if change.action.writes)
            bound.update(dict.fromkeys(text for text in texts if text))
    if bound:
        said = f"{options.confirm} is another: " if options.confirm and domain else ""
        name = domain or "the tenant's domain, which could not be read (Organization.Read.All)"
        yield f"{', '.join(bound)} would change for the whole tenant: {said}--confirm {name} allows it"
