"""What came of licences that groups give, and what helps: to have them processed again, or something that people do.

A group gives all of its licences or none (https://learn.microsoft.com/entra/fundamentals/
licensing-groups-resolve-problems), so that all errors of one user and group are judged together. Pure, seats apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphkit.resources.license_sets import HOLDING, states_of
from graphkit.resources.service_plans import clashes, lacking
from graphkit.resources.skus import Skus

OTHER = "Other"
"""Said of licences that another of the same group holds back."""
LEAVING = "ActiveWithError"
"""A licence that is still there because its latest change could not be carried out."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One licence in error. ``advice`` is empty where processing it again helps."""

    sku_id: str
    group: str
    """Id of the group that gives it; empty for one that was given directly."""
    error: str
    advice: str


def error_of(state: Mapping[str, Any]) -> str:
    """Empty if nothing went wrong."""
    error = state.get("error")
    return "" if error in (None, "", "None") else str(error)


@dataclass(slots=True)
class Adviser:
    """Judges users one after another; seats that a user is to get are gone for those who follow."""

    skus: Skus
    _left: dict[str, int] = field(default_factory=dict)

    def faults(self, user: Mapping[str, Any]) -> Iterator[Fault]:
        """All that went wrong with a user's licences, group by group."""
        states = states_of(user)
        for group in sorted({str(state.get("assignedByGroup") or "") for state in states if error_of(state)}):
            own = [state for state in states if str(state.get("assignedByGroup") or "") == group]
            others = [state for state in states if state not in own and state.get("state", "Active") in HOLDING]
            yield from self._of_group(user, group, own, others)

    def _of_group(
        self,
        user: Mapping[str, Any],
        group: str,
        own: Sequence[Mapping[str, Any]],
        others: Sequence[Mapping[str, Any]],
    ) -> Iterator[Fault]:
        wrong = [state for state in own if error_of(state)]
        told = {str(state["skuId"]): self._advice(user, state, own, others) for state in wrong}
        if not group:
            told = {sku: f"it was given directly, and only licences from groups are processed again{_and(why)}"
                    for sku, why in told.items()}  # fmt: skip
        elif not any(told.values()):
            told = {**told, **self._short(wrong, others)}
        if group and (first := next((sku for sku, why in told.items() if why), "")):
            follows = f"it follows from {self.skus.name_of(first) or first} of the same group"
            told = {sku: why or f"{follows}: {told[first]}" for sku, why in told.items()}
        for state in wrong:
            yield Fault(str(state["skuId"]), group, error_of(state), told[str(state["skuId"])])

    def _short(self, wrong: Iterable[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Takes a seat of each SKU that lacked one, or says of which there is none."""
        held = {str(state["skuId"]) for state in others}
        asked = [str(each["skuId"]) for each in wrong if error_of(each) == "CountViolation"]
        asked = [sku for sku in asked if sku not in held]
        short = [sku for sku in asked if self._free(sku) < 1]
        if not short:
            self._left.update({sku: self._free(sku) - 1 for sku in asked})
        return {
            sku: f"{self.skus.name_of(sku) or sku} has no free seat: buy more, or take some back (licenses.reclaim)"
            for sku in short
        }

    def _free(self, sku: str) -> int:
        found = self.skus.find(sku)
        return self._left.get(sku, 1 if found is None or found.free is None else found.free)

    def _advice(
        self,
        user: Mapping[str, Any],
        state: Mapping[str, Any],
        own: Sequence[Mapping[str, Any]],
        others: Sequence[Mapping[str, Any]],
    ) -> str:
        error = error_of(state)
        if error == "MutuallyExclusiveViolation":
            return self._clash(state, [*others, *own])
        if error == "DependencyViolation":
            return self._dependency(state, own, others)
        if error == "ProhibitedInUsageLocationViolation":
            place = user.get("usageLocation") or "the tenant's own country, for none is set"
            return (
                f"the product may not be used in {place}: correct usageLocation if that is wrong, else take them out "
                "of the group"
            )
        if error == "UniquenessViolation":
            return "an address of theirs is somebody else's as well: make it unique in Exchange, then plan again"
        return ""

    def _clash(self, state: Mapping[str, Any], together: Sequence[Mapping[str, Any]]) -> str:
        alone = self.skus.plans_on([state])
        for pair in clashes(self.skus.plans_on(together)):
            if not alone.isdisjoint(pair):
                return (
                    f"{pair[0]} and {pair[1]} cannot be held together: turn one off in one of the licences "
                    "(disabled_plans), or take them out of one of the groups"
                )
        return ""

    def _dependency(
        self, state: Mapping[str, Any], own: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
    ) -> str:
        if state.get("state") == LEAVING:
            rest = lacking(self.skus.plans_on([*others, *(each for each in own if each is not state)]))
            name = next(iter(rest), "")
            return f"{name}, which they hold besides, needs it: take that away first, or turn it off" if name else ""
        missing = lacking(self.skus.plans_on([*others, *own]))
        for name in sorted(self.skus.plans_on([state]) & missing.keys()):
            return f"{name} needs {' or '.join(missing[name])}: give that by the same group (addons in licenses.pools)"
        return ""


def _and(why: str) -> str:
    return f"; {why}" if why else ": assign it again (licenses.assign)"
