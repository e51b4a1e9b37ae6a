"""Seats: what a plan takes of a SKU, what it frees itself, and what an organisation may hold."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping

from graphkit.engine.resource import Context
from graphkit.resources.skus import Skus

PAGE = 999


class Freed:
    """Seats that earlier lines of a plan free, for later ones to take.

    ``left`` counts the free units of a SKU at the beginning. A line frees for lines of later turns only: those of its
    own turn may have to wait for one another.
    """

    def __init__(self) -> None:
        self._left: dict[str, int] = {}
        self._now: dict[str, deque[str]] = {}
        self._later: dict[str, list[str]] = {}

    def give(self, sku: str, key: str) -> None:
        """The line with this key frees a seat once it is carried out."""
        self._later.setdefault(sku, []).append(key)

    def next_turn(self) -> None:
        for sku, keys in self._later.items():
            self._now.setdefault(sku, deque()).extend(keys)
        self._later.clear()

    def take(self, sku: str, free: int | None) -> str:
        """A seat for a line: the key of what has to be carried out before it, empty if there is a free unit or none.

        ``free`` units are there at the beginning; ``None`` if nobody says how many.
        """
        left = self._left.setdefault(sku, 0 if free is None else free)
        if free is None or left > 0:
            self._left[sku] = left - 1
            return ""
        keys = self._now.get(sku)
        return keys.popleft() if keys else ""


def waits(swaps: Iterable[tuple[str, str]]) -> dict[str, int]:
    """How many swaps, one after another, free a seat of each SKU before it is to be taken.

    ``swaps``: what is given up, and what is taken for it. Where some go from F3 to E3 and others from E3 to E5, the
    former take what the latter gave up. Where swaps go round in a circle, the order of ids says who begins.
    """
    takes: dict[str, set[str]] = {}
    for given_up, taken in swaps:
        takes.setdefault(given_up, set()).add(taken)
    found: dict[str, int] = {}
    under_way: set[str] = set()

    def wait(sku: str) -> int:
        if sku not in found:
            under_way.add(sku)
            before = sorted(takes.get(sku, set()) - under_way)
            found[sku] = max((1 + wait(other) for other in before), default=0)
            under_way.discard(sku)
        return found[sku]

    for sku in sorted(takes):
        wait(sku)
    return found


async def over_org_caps(context: Context, skus: Skus, more: Mapping[tuple[str, str], int]) -> list[str]:
    """A reason for each organisation that would hold more of a SKU than the registry allows it.

    ``more`` counts by (organisation, part number) what a plan adds, less what it takes away.
    """
    capped = {pair: cap for pair, count in more.items() if count > 0 and (cap := context.orgs.cap(*pair)) is not None}
    reasons = []
    for sku in sorted({name for _, name in capped}):
        held = await _held_by_org(context, skus, sku)
        for org, name in sorted(capped):
            there, new, cap = held[org], more[org, name], capped[org, name]
            if name == sku and there + new > cap:
                reasons.append(
                    f"{org}: {there + new:,} seats of {sku} wanted, its cap in the registry is {cap:,} "
                    f"({there:,} held, {new:,} more)"
                )
    return reasons


async def _held_by_org(context: Context, skus: Skus, sku: str) -> Counter[str]:
    found = skus.find(sku)
    held: Counter[str] = Counter()
    if found is not None:
        params = {
            "$filter": f"assignedLicenses/any(each:each/skuId eq {found.sku_id})",
            "$select": ",".join(("id", *context.orgs.select)),
            "$top": str(PAGE),
        }
        async for page in context.client.pages("/users", params=params):
            held.update(context.orgs.of(user) for user in page)
    return held
