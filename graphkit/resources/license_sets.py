"""All that one plan wants of one user's licences, looked at together: adds and removals travel in one write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import Context
from graphkit.resources.seats import waits
from graphkit.resources.service_plans import obstacle
from graphkit.resources.skus import Skus

HOLDING = ("Active", "ActiveWithError")
"""States of an assignment that has given the licence (resources/licenseassignmentstate.md)."""
STAGED = "user.license.set"
SOME = 10_000
"""So many different sets are remembered."""


def states_of(user: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The assignments of a user. Not every tenant tells the source of a licence; then it counts as direct."""
    states = user.get("licenseAssignmentStates")
    return list(user.get("assignedLicenses") or [] if states is None else states)


def holding(user: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those of them that have given the licence."""
    return [state for state in states_of(user) if state.get("state", "Active") in HOLDING]


class LicenseSets:
    """Staged by user: what is held, and what is wanted (key, SKU, plans off, gone, why not, file and place)."""

    def __init__(self, context: Context, skus: Skus) -> None:
        self._snapshot = context.snapshot
        self._skus = skus
        self._obstacles = lru_cache(SOME)(self._work_out)
        self._swaps: set[tuple[str, str]] = set()
        self._waits: dict[str, int] = {}
        self._scattered = False
        """Some wishes do not begin with the name of their user, so that those of one user may not stand together."""

    def stage(self, items: Sequence[tuple[Desired, Mapping[str, Any], str]]) -> list[tuple[Desired, Origin]]:
        """Add (wish, its user, why it cannot be written) to the users' sets; ids are in the wishes by now.

        Returns the wishes for a SKU that the user's set has already, each with the first place that asks for it.
        """
        for item, user, _ in items:
            # Not by id: wishes come by name, and what is staged in that order is staged sooner.
            item.rails["set"] = name = str(user.get("userPrincipalName") or user["id"]).lower()
            self._scattered = self._scattered or not item.key.startswith(f"{name}/")
        wishes = [item for item, _, _ in items]
        sets = dict(self._of(wishes if self._scattered else wishes[:1]))
        twice = []
        for item, user, why in items:
            properties, origin = item.properties, item.origin
            mine = sets.setdefault(item.rails["set"], {"held": _held(user), "wanted": []})
            if places := [Origin(*place) for _, sku, *_, place in mine["wanted"] if sku == properties["skuId"]]:
                twice.append((item, min(places, key=in_order)))
            place = (origin.file, origin.place)
            for _, sku, _, gone, *_ in mine["wanted"]:
                if gone is not item.absent:
                    self._swaps.add((sku, properties["skuId"]) if gone else (properties["skuId"], sku))
            mine["wanted"].append((item.key, properties["skuId"], properties["disabledPlans"], item.absent, why, place))
        self._snapshot.put(STAGED, sets.items())
        self._judge_whole(wishes, sets)
        return twice

    def _judge_whole(self, items: Sequence[Desired], sets: Mapping[str, Any]) -> None:
        """Wishes come by key, so that all of a user are known by now, unless a chunk begins or ends among them."""
        cut = {item.rails["set"] for item in (*items[:1], *items[-1:])}
        told = {user: self._told(mine) for user, mine in sets.items() if user not in cut}
        for item in items:
            if item.rails["set"] in told:
                item.rails["told"] = told[item.rails["set"]][item.key]

    def turns(self) -> int:
        """Who only loses licences comes first; then who swaps them, before those who wait for what that frees; last who
        only gets some. To be asked once all is staged."""
        self._waits = waits(self._swaps)
        return 3 + max(self._waits.values(), default=0)

    def turns_of(self, items: Sequence[Desired]) -> list[int]:
        sets = self._of(items)
        return [self._turn(sets.get(item.rails.get("set", ""))) for item in items]

    def obstacles(self, items: Sequence[Desired]) -> list[str]:
        """Why these cannot be written, one text each. Who also loses something gets all of it or nothing."""
        sets = self._of([item for item in items if self._scattered or "told" not in item.rails])
        told = {user: self._told(mine) for user, mine in sets.items()}
        return [
            told[name].get(item.key, "") if (name := item.rails["set"]) in told else item.rails["told"]
            for item in items
        ]

    def _turn(self, mine: Mapping[str, Any] | None) -> int:
        wanted = mine["wanted"] if mine else ()
        gets = [sku for _, sku, _, gone, *_ in wanted if not gone]
        if len(gets) == len(wanted):
            return 2 + max(self._waits.values(), default=0)
        return 1 + max(self._waits.get(sku, 0) for sku in gets) if gets else 0

    def _of(self, items: Sequence[Desired]) -> Mapping[str, Any]:
        return self._snapshot.get(STAGED, [item.rails["set"] for item in items if "set" in item.rails])

    def _told(self, mine: Mapping[str, Any]) -> dict[str, str]:
        wanted = mine["wanted"]
        asked = [(sku, off, gone, bool(why)) for _, sku, off, gone, why, _ in wanted]
        found = self._obstacles(msgspec.json.encode((mine["held"], asked)))
        if any(gone for _, _, _, gone, *_ in wanted):
            why = next((why for *_, why, _ in wanted if why), found[0])
            return {key: why for key, *_ in wanted}
        return {key: why or other for (key, *_, why, _), other in zip(wanted, found, strict=True)}

    def _work_out(self, asked: bytes) -> Sequence[str]:
        """What stands against each of the wishes (SKU, plans off, gone, left out) of somebody who holds this, in JSON.

        Thousands hold and want the same.
        """
        before, wanted = msgspec.json.decode(asked)
        was, will = self._skus.plans_on(before), self._skus.plans_on(_after(before, wanted))
        if any(gone for _, _, gone, _ in wanted):
            return [obstacle(was, will)] * len(wanted)
        alone = [self._skus.plans_on([{"skuId": sku, "disabledPlans": off}]) for sku, off, _, _ in wanted]
        return [obstacle(was, will, each) for each in alone]


def in_order(origin: Origin) -> tuple[str, Any]:
    return origin.file, origin.place


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
    for sku, off, gone, left_out in wanted:
        name = sku.lower()
        if gone:
            direct.pop(name, None)
        elif name in direct:
            direct[name] = {**direct[name], "disabledPlans": [*direct[name]["disabledPlans"], *off]}
        elif name not in given and not left_out:
            direct[name] = {"skuId": sku, "disabledPlans": off, "direct": True}
    return [*direct.values(), *inherited]
