"""Policies of which a device may have one only, such as update rings: whom do two of them reach?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from graphkit.engine.change import Desired
from graphkit.engine.resource import Context
from graphkit.resources.audience import Audience, find_audience, inventory

SHOWN = 3


@dataclass(slots=True)
class Overlap:
    """Two policies, and what is in both: names of some devices, and how many there are."""

    first: str
    second: str
    names: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, name: str) -> None:
        self.count += 1
        if len(self.names) < SHOWN:
            self.names.append(name)

    def told(self) -> str:
        more = f" and {self.count - len(self.names):,} more" if self.count > len(self.names) else ""
        return f"{', '.join(self.names)}{more} would be in both {self.first} and {self.second}"


async def find_overlaps(context: Context, items: Sequence[Desired]) -> list[Overlap]:
    """Of assignments before their names are resolved. Raises what stops a list: unknown proves nothing."""
    audiences = {
        item.key: await find_audience(context, item.properties["include"], item.properties["exclude"]) for item in items
    }
    pairs = {pair: Overlap(*pair) for pair in combinations(sorted(audiences), 2)}
    for overlap in pairs.values():
        for name in _members_of_both(audiences[overlap.first], audiences[overlap.second]):
            overlap.add(name)
    async for page in inventory(context):
        for device in page:
            within = [key for key in sorted(audiences) if audiences[key].reaches(device)]
            for pair in combinations(within, 2):
                if not _is_counted(device, audiences[pair[0]], audiences[pair[1]]):
                    pairs[pair].add(str(device.get("deviceName") or device.get("id")))
    for (first, second), overlap in pairs.items():
        if not overlap.count and audiences[first].everybody and audiences[second].everybody:
            overlap.add("everybody")
    return [overlap for overlap in pairs.values() if overlap.count]


def _members_of_both(one: Audience, other: Audience) -> Iterator[str]:
    """Ids of users and devices that two policies name, whether Intune manages anything of theirs or not."""
    yield from sorted((one.included - one.excluded) & (other.included - other.excluded))


def _is_counted(device: dict[str, object], one: Audience, other: Audience) -> bool:
    own = {str(device.get("azureADDeviceId") or ""), str(device.get("userId") or "")}
    return bool(own & set(_members_of_both(one, other)))
