"""All that one plan wants of one user's licences, looked at together: adds and removals travel in one write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphkit.engine.change import Desired
from graphkit.engine.resource import Context
from graphkit.resources.service_plans import obstacle
from graphkit.resources.skus import Skus

HOLDING = ("Active", "ActiveWithError")
"""States of an assignment that has given the licence (resources/licenseassignmentstate.md)."""
STAGED = "user.license.set"
TAKES, SWAPS, GIVES = range(3)
"""The turns of users in a plan: who only loses licences, who swaps them, who only gets some."""


def states_of(user: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The assignments of a user. Not every tenant tells the source of a licence; then it counts as direct."""
    states = user.get("licenseAssignmentStates")
    return list(user.get("assignedLicenses") or [] if states is None else states)


def holding(user: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of them that have given the licence."""
    return [state for state in states_of(user) if state.get("state", "Active") in HOLDING]


class LicenseSets:
    """Staged by user id: what is held, and what is wanted (key, SKU, plans off, gone, why not)."""

    def __init__(self, context: Context, skus: Skus) -> None:
        self._snapshot = context.snapshot
        self._skus = skus

    def stage(self, items: Iterable[tuple[Desired, Mapping[str, Any], str]]) -> None:
        """Add (wish, its user, why it cannot be written) to the users' sets; ids are in the wishes by now."""
        found = list(items)
        ids = sorted({item.properties["userId"] for item, _, _ in found})
        sets: dict[str, Any] = dict(self._snapshot.get(STAGED, ids))
        for item, user, why in found:
            mine = sets.setdefault(item.properties["userId"], {"held": _held(user), "wanted": []})
            properties = item.properties
            mine["wanted"].append([item.key, properties["skuId"], properties["disabledPlans"], item.absent, why])
        self._snapshot.put(STAGED, sets.items())

    def turns(self, items: Sequence[Desired]) -> list[int]:
        sets = self._of(items)
        return [_turn(sets.get(item.properties["userId"])) for item in items]

    def obstacles(self, items: Sequence[Desired]) -> list[str]:
        """Why these cannot be written, one text each. Who also loses something gets all of it or nothing."""
        sets = self._of(items)
        told = {user: self._told(mine) for user, mine in sets.items()}
        return [told.get(item.properties["userId"], {}).get(item.key, "") for item in items]

    def _of(self, items: Sequence[Desired]) -> Mapping[str, Any]:
        return self._snapshot.get(STAGED, sorted({item.properties["userId"] for item in items}))

    def _told(self, mine: Mapping[str, Any]) -> dict[str, str]:
        before, wanted = mine["held"], mine["wanted"]
        after = _after(before, wanted)
        was, will = self._skus.plans_on(before), self._skus.plans_on(after)
        if any(gone for _, _, _, gone, _ in wanted):
            why = next((why for *_, why in wanted if why), "") or obstacle(was, will)
            return {key: why for key, *_ in wanted}
        told = {}
        for key, sku, off, _, why in wanted:
            alone = self._skus.plans_on([{"skuId": sku, "disabledPlans": off}])
            told[key] = why or obstacle(was, will, alone)
        return told


def _held(user: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "skuId": str(state.get("skuId")).lower(),
            "disabledPlans": list(state.get("disabledPlans") or ()),
            "direct": not state.get("assignedByGroup"),
        }
        for state in holding(user)
    ]


def _after(held: Iterable[Mapping[str, Any]], wanted: Iterable[Sequence[Any]]) -> list[Mapping[str, Any]]:
    direct = {state["skuId"]: state for state in held if state["direct"]}
    inherited = [state for state in held if not state["direct"]]
    given = {state["skuId"] for state in inherited}
    for _, sku, off, gone, why in wanted:
        name = sku.lower()
        if gone:
            direct.pop(name, None)
        elif name in direct:
            direct[name] = {**direct[name], "disabledPlans": [*direct[name]["disabledPlans"], *off]}
        elif name not in given and not why:
            direct[name] = {"skuId": sku, "disabledPlans": off, "direct": True}
    return [*direct.values(), *inherited]


def _turn(mine: Mapping[str, Any] | None) -> int:
    ways = {gone for _, _, _, gone, _ in mine["wanted"]} if mine else {False}
    return SWAPS if len(ways) == 2 else TAKES if True in ways else GIVES
