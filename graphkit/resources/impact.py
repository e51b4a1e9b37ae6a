"""Who would not comply: devices below a floor, by organisation, counted before anything is written.

What a device has not told counts as not compliant. One pass over the inventory serves all policies of a plan.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphkit.engine.resource import Context
from graphkit.resources.audience import Audience, inventory, org_of

_SYSTEMS = {
    "windows": ("windows",),
    "macOS": ("macos", "mac os x"),
    "ios": ("ios", "ipados"),
    "android": ("android",),
    "aosp": ("android",),
}
SHOWN_ORGS = 5


@dataclass(slots=True)
class Count:
    """Devices of one organisation that a policy reaches, and why some would not comply."""

    total: int = 0
    below: int = 0
    unencrypted: int = 0
    unknown: int = 0
    failing: int = 0

    @property
    def percent(self) -> float:
        return 100 * self.failing / self.total if self.total else 0.0


@dataclass(slots=True)
class Impact:
    """What is asked of the devices of one policy, and the counts, by organisation."""

    type_name: str
    floors: Sequence[str]
    encrypted: bool
    audience: Audience
    orgs: dict[str, Count] = field(default_factory=dict)

    def count(self, device: Mapping[str, Any]) -> None:
        if not self.audience.reaches(device) or not self._is_of_platform(device):
            return
        count = self.orgs.setdefault(org_of(device), Count())
        count.total += 1
        version = str(device.get("osVersion") or "")
        below = bool(version) and bool(self.floors) and not meets(version, self.floors)
        unknown = not version and bool(self.floors)
        unencrypted = self.encrypted and not device.get("isEncrypted")
        count.below += below
        count.unknown += unknown
        count.unencrypted += unencrypted
        count.failing += below or unknown or unencrypted

    def _is_of_platform(self, device: Mapping[str, Any]) -> bool:
        systems = next((names for head, names in _SYSTEMS.items() if self.type_name.startswith(head)), ())
        return str(device.get("operatingSystem") or "").lower() in systems

    def told(self) -> str:
        """One line for the plan."""
        total, failing = (sum(getattr(each, name) for each in self.orgs.values()) for name in ("total", "failing"))
        if not failing:
            return f"all {total:,} devices comply" if total else ""
        reasons = {"below the floor": "below", "of unknown build": "unknown", "not encrypted": "unencrypted"}
        counts = {words: sum(getattr(each, name) for each in self.orgs.values()) for words, name in reasons.items()}
        why = ", ".join(f"{count:,} {words}" for words, count in counts.items() if count)
        return f"{failing:,} of {total:,} devices would not comply ({why}): {'; '.join(self._orgs())}"

    def _orgs(self) -> Iterator[str]:
        failing = sorted(
            (org for org, count in self.orgs.items() if count.failing), key=lambda org: (-self.orgs[org].failing, org)
        )
        for org in failing[:SHOWN_ORGS]:
            yield f"{org} {self.orgs[org].failing:,} of {self.orgs[org].total:,}"
        if len(failing) > SHOWN_ORGS:
            yield f"and {len(failing) - SHOWN_ORGS} more"

    def above(self, percent: float) -> Iterator[str]:
        """The organisations in which more than ``percent`` would not comply."""
        for org, count in sorted(self.orgs.items()):
            if count.percent > percent:
                yield f"{org} {count.failing:,} of {count.total:,} ({count.percent:.0f} %)"


async def count_impact(context: Context, impacts: Iterable[Impact]) -> None:
    """Fill the counts. Raises if the inventory cannot be read to its end."""
    asked = list(impacts)
    async for page in inventory(context):
        for device in page:
            for impact in asked:
                impact.count(device)


def meets(version: str, floors: Sequence[str]) -> bool:
    """Is a version at or above its floor, by numbers? With several floors, that of its own branch."""
    own = _numbers(version)
    if len(floors) == 1:
        return own >= _numbers(floors[0])
    return any(_numbers(floor)[:3] == own[:3] and own >= _numbers(floor) for floor in floors)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))
