"""What licences ask of each other, by the plans that are enabled. Nothing here knows a tenant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from graphkit.sandbox.call import Json
from graphkit.sandbox.ids import instant
from graphkit.sandbox.seeding.skus import EXCLUSIVE, PLANS, PRODUCTS, REQUIRES

ACTIVE = frozenset({"Active", "ActiveWithError"})
"""States in which a licence works and takes a seat; in the second its latest change could not be carried out."""
NO_ERROR = "None"

_NAMES = {product.id: {PLANS[name].id: name for name in product.plans} for product in PRODUCTS.values()}
_REQUIRING = frozenset(REQUIRES)


def state_of(sku: str, group: str | None, disabled: Iterable[str], now: float, error: str = NO_ERROR) -> Json:
    """resources/licenseassignmentstate.md; ``group`` is ``None`` for what is assigned directly."""
    return {
        "skuId": sku,
        "assignedByGroup": group,
        "disabledPlans": list(disabled),
        "state": "Active" if error == NO_ERROR else "Error",
        "error": error,
        "lastUpdatedDateTime": instant(now),
    }


def states_of(user: Json) -> list[Json]:
    return user.get("licenseAssignmentStates") or []


def active_skus(user: Json) -> frozenset[str]:
    states = user.get("licenseAssignmentStates")
    return frozenset(s["skuId"] for s in states if s["state"] in ACTIVE) if states else frozenset()


@lru_cache(maxsize=1024)
def _plans(sku: str, disabled: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name for key, name in _NAMES.get(sku, {}).items() if key not in disabled)


def enabled_plans(states: Iterable[Json]) -> frozenset[str]:
    """The names of all plans that the active ones among these turn on."""
    found = [_plans(s["skuId"], tuple(s["disabledPlans"])) for s in states if s["state"] in ACTIVE]
    return frozenset().union(*found)


def clash(plans: frozenset[str]) -> tuple[str, str] | None:
    """Two plans that one user cannot hold together."""
    for pair in EXCLUSIVE:
        if pair <= plans:
            first, second = sorted(pair)
            return first, second
    return None


def lacking(plans: frozenset[str]) -> Mapping[str, frozenset[str]]:
    """Plans without any of their prerequisites, and what those would be."""
    asking = plans & _REQUIRING
    return {name: REQUIRES[name] for name in sorted(asking) if REQUIRES[name].isdisjoint(plans)} if asking else {}


def clash_told(pair: tuple[str, str]) -> str:
    """licensing-groups-resolve-problems.md: the words of the audit log, with ids where it has them."""
    first, second = (PLANS[name].id for name in pair)
    return f"License assignment failed because service plans {first}, {second} are mutually exclusive."


def lack_told(missing: Mapping[str, frozenset[str]]) -> str:
    name = next(iter(missing))
    wanted = ", ".join(sorted(PLANS[each].id for each in missing[name]))
    return f"License assignment failed because service plan {PLANS[name].id} depends on the service plan(s) {wanted}."
