"""Licences that the tenant has bought: subscribedSkus."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphkit.engine.change import Origin
from graphkit.engine.resource import Context

SHOWN_ROWS = 12
"""How many rows, or ranges of rows, a message names."""


@dataclass(frozen=True, slots=True)
class Sku:
    """One subscribed SKU. ``free`` is ``None`` where the service does not tell how many were bought."""

    sku_id: str
    part_number: str
    free: int | None
    plans: Mapping[str, str]
    """Service plans: lower-case name and id, each to the id."""
    names: Mapping[str, str]
    """Service plans: lower-case id to name."""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Sku:
        prepaid = raw.get("prepaidUnits")
        free = None
        if isinstance(prepaid, dict) and prepaid.get("enabled") is not None:
            # In its grace period a subscription counts under "warning" and its seats can still be assigned
            # (api-reference/v1.0/resources/licenseunitsdetail.md).
            bought = int(prepaid["enabled"]) + int(prepaid.get("warning") or 0)
            free = max(0, bought - int(raw.get("consumedUnits") or 0))
        plans: dict[str, str] = {}
        names: dict[str, str] = {}
        for plan in raw.get("servicePlans") or ():
            plans[str(plan["servicePlanId"]).lower()] = plans[str(plan["servicePlanName"]).lower()] = plan[
                "servicePlanId"
            ]
            names[str(plan["servicePlanId"]).lower()] = str(plan["servicePlanName"])
        return cls(str(raw["skuId"]), str(raw["skuPartNumber"]), free, plans, names)

    def plans_on(self, disabled: Iterable[str] = ()) -> set[str]:
        """The names of the service plans that are left with these (ids) turned off."""
        off = {plan.lower() for plan in disabled}
        return {name for plan, name in self.names.items() if plan not in off}

    def plan_ids(self, names: Iterable[str]) -> tuple[list[str], list[str]]:
        """(ids, sorted; names that this SKU does not have)."""
        names = list(names)
        if not names:
            return [], []
        missing = [name for name in names if name.lower() not in self.plans]
        return sorted({self.plans[name.lower()] for name in names if name.lower() in self.plans}), missing


class Skus:
    """All subscribed SKUs, read once."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._by_name: dict[str, Sku] = {}

    async def load(self) -> None:
        if self._by_name:
            return
        async for raw in self._context.client.list("/subscribedSkus"):
            sku = Sku.of(raw)
            self._by_name[sku.sku_id.lower()] = self._by_name[sku.part_number.lower()] = sku

    def find(self, name: str) -> Sku | None:
        """By part number or id, in any case."""
        return self._by_name.get(name.lower())

    def name_of(self, sku_id: str) -> str:
        """The part number; empty for a SKU that was not read."""
        sku = self.find(sku_id)
        return sku.part_number if sku else ""

    def resolve(self, properties: dict[str, Any]) -> str:
        """Put skuId and the ids of disabledPlans (names or ids, sorted then) beside ``sku``; returns what is wrong."""
        name = properties["sku"]
        sku = self.find(name)
        if sku is None:
            return f"sku: {name} is not among the tenant's subscriptions ({', '.join(self.part_numbers)})"
        plans, missing = sku.plan_ids(properties.get("disabledPlans") or [])
        properties["skuId"] = sku.sku_id
        properties["disabledPlans"] = plans
        return f"disabled_plans: {sku.part_number} has no plan {', '.join(missing)}" if missing else ""

    def plans_on(self, held: Iterable[Mapping[str, Any]]) -> set[str]:
        """The names of the service plans that these licences (skuId, disabledPlans) turn on, all together."""
        found: set[str] = set()
        for license_ in held:
            sku = self.find(str(license_.get("skuId")))
            found |= sku.plans_on(license_.get("disabledPlans") or ()) if sku else set()
        return found

    def shortages(
        self,
        needed: Mapping[str, int],
        demand: Callable[[], Iterable[tuple[str, Origin]]],
        freed: Mapping[str, int] | None = None,
    ) -> list[str]:
        """A reason for each SKU that has fewer free units than a plan takes.

        ``needed`` counts the seats that are taken, ``freed`` those that the plan itself frees, each before the add that
        takes it; both by part number.

        ``demand`` gives a (SKU, input row) pair for each seat taken; it is walked where seats are short, to name all
        the rows: who would go without is not ours to choose.
        """
        reasons = []
        for name, count in sorted(needed.items()):
            sku = self.find(name)
            own = (freed or {}).get(name, 0)
            if sku and sku.free is not None and count > sku.free + own:
                rows = rows_shown(origin for each, origin in demand() if each == name)
                also = f" and {own:,} freed by the plan in time" if own else ""
                short = f"{count:,} seats needed, {sku.free:,} free{also} (CountViolation)"
                reasons.append(f"{sku.part_number}: {short}; asked for by {rows}")
        return reasons

    def grant(self, held: Iterable[Mapping[str, Any]], plan_id: str) -> bool:
        """Does one of these ``assignedLicenses`` of a user bring a service plan that is not switched off in it?"""
        for license_ in held:
            sku = self.find(str(license_.get("skuId")))
            disabled = {str(plan).lower() for plan in license_.get("disabledPlans") or ()}
            if sku and plan_id in sku.plans and plan_id not in disabled:
                return True
        return False

    @property
    def part_numbers(self) -> list[str]:
        return sorted({sku.part_number for sku in self._by_name.values()})


def rows_shown(origins: Iterable[Origin]) -> str:
    """``staff.csv rows 2-7, 9``, file by file; no more than a reader takes in."""
    places: dict[str, set[int | str]] = {}
    for origin in origins:
        places.setdefault(origin.file, set()).add(origin.place)
    return "; ".join(f"{file} {_places_shown(places[file])}" for file in sorted(places))


def _places_shown(places: set[int | str]) -> str:
    rows = sorted(place for place in places if isinstance(place, int))
    parts = [*_ranges(rows), *sorted(place for place in places if isinstance(place, str))]
    more = f" and {len(parts) - SHOWN_ROWS:,} more" if len(parts) > SHOWN_ROWS else ""
    word = "" if not rows else "row " if len(places) == 1 else "rows "
    return word + ", ".join(parts[:SHOWN_ROWS]) + more


def _ranges(rows: list[int]) -> Iterator[str]:
    """Of 2, 3, 4, 9: ``2-4``, ``9``."""
    start = 0
    for index, row in enumerate(rows):
        if index + 1 == len(rows) or rows[index + 1] != row + 1:
            yield f"{rows[start]}-{row}" if start < index else f"{row}"
            start = index + 1
