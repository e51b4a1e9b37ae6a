"""Licences that the tenant has bought: subscribedSkus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from graphkit.engine.resource import Context


@dataclass(frozen=True, slots=True)
class Sku:
    """One subscribed SKU. ``free`` is ``None`` where the service does not tell how many were bought."""

    sku_id: str
    part_number: str
    free: int | None
    plans: Mapping[str, str]
    """Service plans: lower-case name and id, each to the id."""

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
        for plan in raw.get("servicePlans") or ():
            plans[str(plan["servicePlanId"]).lower()] = plans[str(plan["servicePlanName"]).lower()] = plan[
                "servicePlanId"
            ]
        return cls(str(raw["skuId"]), str(raw["skuPartNumber"]), free, plans)

    def plan_ids(self, names: Iterable[str]) -> tuple[list[str], list[str]]:
        """(ids, sorted; names that this SKU does not have)."""
        names = list(names)
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

    @property
    def part_numbers(self) -> list[str]:
        return sorted({sku.part_number for sku in self._by_name.values()})
