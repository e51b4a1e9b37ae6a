"""reports.licenses: what was bought, who holds it, who uses it, and what the next order must be."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from graphkit.engine.resource import Context
from graphkit.inputs.types import Day, InputModel, TextList
from graphkit.recipe import Inputs, Report
from graphkit.reports.findings import Cell, Findings, Section
from graphkit.resources.sign_ins import day_of, idle_days, users_with_sign_ins
from graphkit.resources.user_licenses import HOLDING

SELECT = ("userPrincipalName", "accountEnabled", "licenseAssignmentStates")
COUNTED = ("assigned", "active", "idle", "unknown", "error")
SEAT, ERROR = "report.seat", "report.error"
"""Kinds under which the evidence is staged."""
MONTH_DAYS = 30.44
SETTLING_S = 3600.0
"""How long after a change the service's own count may lag behind (an assumption)."""


class Settings(InputModel):
    """What counts as idle, and until when the seats must last."""

    idle_days: int = Field(default=90, ge=1, description="days without a successful sign-in after which a seat is idle")
    skus: TextList = Field(default=(), description="only these SKUs, by part number or id; default: all")
    true_up: Day | None = Field(default=None, description="the day of the next order, for the forecast")
    monthly_growth: float = Field(default=0.0, ge=-50, le=100, description="per cent by which seats grow in a month")


@dataclass(slots=True)
class Product:
    """One subscribed SKU, and what was counted of it: by organisation, each user once."""

    sku_id: str
    name: str
    for_company: bool
    bought: int
    consumed: int
    by_org: dict[str, Counter[str]] = field(default_factory=dict)
    settling: int = 0

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Product:
        units = raw.get("prepaidUnits") or {}
        return cls(
            sku_id=str(raw["skuId"]).lower(),
            name=str(raw["skuPartNumber"]),
            for_company=raw.get("appliesTo") == "Company",
            # In its grace period a subscription counts under "warning"; its seats can still be assigned
            # (https://learn.microsoft.com/graph/api/resources/licenseunitsdetail).
            bought=int(units.get("enabled") or 0) + int(units.get("warning") or 0),
            consumed=int(raw.get("consumedUnits") or 0),
        )

    def total(self, what: str) -> int:
        return sum(counts[what] for counts in self.by_org.values())

    def differences(self) -> Iterator[tuple[str, int]]:
        """Why the service's count is not that of the users, and by how many units; they add up."""
        left = self.consumed - self.total("assigned")
        if left and self.for_company:
            yield "a licence of the company, which nobody is assigned", left
            return
        settling = min(abs(left), self.settling) * (1 if left > 0 else -1)
        if settling:
            yield "assigned or removed in the last hour: the service is still counting", settling
        if left != settling:
            yield "not explained by the users that were read", left - settling


async def build(context: Context, inputs: Inputs) -> Findings:
    """Counts in memory, the evidence on disk: a row per seat that is idle or in error."""
    settings = inputs.settings(Settings)
    products = await _products(context, settings, inputs)
    notes = [] if context.orgs else ["no registry of organisations is set (GRAPHKIT_ORGS): nobody's is known"]
    async for page in users_with_sign_ins(context.client, (*SELECT, *context.orgs.select), notes):
        _take_in(context, settings, products, page)
    if context.options.org:
        notes.append("the table of products, the differences and the totals are the whole tenant's")
    in_order = sorted(products.values(), key=lambda product: product.name)
    return Findings(
        sections=_sections(context, settings, in_order),
        totals={
            "consumed_units": sum(product.consumed for product in in_order),
            **{what: sum(product.total(what) for product in in_order) for what in COUNTED},
            "difference": sum(product.consumed - product.total("assigned") for product in in_order),
        },
        notes=tuple(notes),
    )


async def _products(context: Context, settings: Settings, inputs: Inputs) -> dict[str, Product]:
    """By SKU id; what was asked for and is not subscribed is a problem of the input."""
    products = [Product.of(raw) async for raw in context.client.list("/subscribedSkus")]
    wanted = {name.lower() for name in settings.skus}
    for name in sorted(wanted - {each for product in products for each in (product.sku_id, product.name.lower())}):
        inputs.problems.add("settings", "skus", "unknown-sku", f"{name} is not among the tenant's subscriptions")
    return {each.sku_id: each for each in products if not wanted or wanted & {each.sku_id, each.name.lower()}}


def _take_in(context: Context, settings: Settings, products: dict[str, Product], page: list[dict[str, Any]]) -> None:
    """Count a page of users, and stage what is evidence by organisation, person and SKU."""
    now, only = context.clock.now(), context.options.org
    seats: list[tuple[str, Any]] = []
    errors: list[tuple[str, Any]] = []
    for user in page:
        org, name = context.orgs.of(user), str(user.get("userPrincipalName") or user["id"])
        days = idle_days(user, day_of(context))
        for sku_id, states in _by_sku(user).items():
            product = products.get(sku_id)
            if product is None:
                continue
            use = _count(product, states, org, days, settings, now)
            key = f"{org}/{name.lower()}/{product.name}"
            if only in ("", org) and use == "idle":
                seats.append((key, [org, name, product.name, days, _source(states), bool(user.get("accountEnabled"))]))
            if only in ("", org) and (error := _error(states)):
                errors.append((key, [org, name, product.name, error, _source(states)]))
    context.snapshot.put(SEAT, seats)
    context.snapshot.put(ERROR, errors)


def _by_sku(user: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for state in user.get("licenseAssignmentStates") or ():
        found.setdefault(str(state.get("skuId")).lower(), []).append(state)
    return found


def _count(
    product: Product, states: Sequence[Mapping[str, Any]], org: str, days: int | None, settings: Settings, now: float
) -> str:
    """Count one person's seat of a product once, from however many sources; returns how it is used, if there is one."""
    counts = product.by_org.setdefault(org, Counter())
    if _error(states):
        counts["error"] += 1
    if any(now - _instant(state.get("lastUpdatedDateTime")) < SETTLING_S for state in states):
        product.settling += 1
    if not any(state.get("state") in HOLDING for state in states):
        counts["waiting"] += bool(_error(states))
        return ""
    use = "unknown" if days is None else "idle" if days >= settings.idle_days else "active"
    counts["assigned"] += 1
    counts[use] += 1
    return use


def _error(states: Sequence[Mapping[str, Any]]) -> str:
    told = sorted({str(state.get("error")) for state in states if state.get("error") not in (None, "", "None")})
    return ", ".join(told)


def _source(states: Sequence[Mapping[str, Any]]) -> str:
    groups = {bool(state.get("assignedByGroup")) for state in states}
    return "direct and group" if len(groups) > 1 else "group" if True in groups else "direct"


def _instant(text: object) -> float:
    return datetime.fromisoformat(str(text)).timestamp() if text else 0.0


def _sections(context: Context, settings: Settings, products: Sequence[Product]) -> tuple[Section, ...]:
    months, only = _months(context, settings), context.options.org
    by_org: list[list[Cell]] = [
        [org, product.name, *(counts[what] for what in COUNTED)]
        for product in products
        for org, counts in product.by_org.items()
        if only in ("", org)
    ]
    by_org.sort(key=lambda row: (str(row[0]), str(row[1])))
    differences: list[list[Cell]] = [
        [product.name, why, units] for product in products for why, units in product.differences()
    ]
    rows = [_product_row(product, settings, months) for product in products]
    snapshot = context.snapshot
    return (
        Section(name="products", title="Products", columns=PRODUCT_COLUMNS, rows=lambda: rows),
        Section(
            name="organisations",
            title="By organisation",
            columns=("org", "sku", *COUNTED),
            rows=lambda: by_org,
            org="org",
        ),
        Section(
            name="differences",
            title="Where the service counts otherwise",
            columns=("sku", "why", "units"),
            rows=lambda: differences,
        ),
        Section(
            name="idle",
            title=f"Idle for {settings.idle_days} days or more",
            columns=("org", "upn", "sku", "idle_days", "source", "enabled"),
            rows=lambda: (row for _, row in snapshot.each(SEAT)),
            org="org",
        ),
        Section(
            name="errors",
            title="Assignments in error",
            columns=("org", "upn", "sku", "error", "source"),
            rows=lambda: (row for _, row in snapshot.each(ERROR)),
            org="org",
        ),
    )


PRODUCT_COLUMNS = ("sku", "bought", "consumed", *COUNTED, "free", "forecast", "to_buy", "to_buy_if_reclaimed")


def _product_row(product: Product, settings: Settings, months: float) -> list[Cell]:
    """The forecast lets the seats that are taken, and those that an error withholds, grow until the next order."""
    counts = [product.total(what) for what in COUNTED]
    taken = product.consumed + product.total("waiting")
    forecast = math.ceil(round(taken * (1 + settings.monthly_growth / 100) ** months, 6))
    return [
        product.name,
        product.bought,
        product.consumed,
        *counts,
        product.bought - product.consumed,
        forecast,
        max(0, forecast - product.bought),
        max(0, forecast - product.total("idle") - product.bought),
    ]


def _months(context: Context, settings: Settings) -> float:
    if settings.true_up is None:
        return 0.0
    today = datetime.fromtimestamp(day_of(context), UTC).date()
    return max(0.0, (settings.true_up - today).days / MONTH_DAYS)


REPORT = Report(
    name="reports.licenses",
    summary="Licences bought, assigned, active, idle and in error, per product and organisation; what to order next",
    permissions=("LicenseAssignment.Read.All", "AuditLog.Read.All"),
    build=build,
    models=(Settings,),
)
