"""BitLocker recovery keys that were handed in: ids and devices only, never a key.

https://learn.microsoft.com/graph/api/bitlocker-list-recoverykeys. A device whose key nobody holds is lost once it asks
for it; so a policy that turns encryption on waits until almost all have handed theirs in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphkit.engine.resource import Context
from graphkit.resources.audience import Audience, inventory

KEYS = "/informationProtection/bitlocker/recoveryKeys"
LEAST_PERCENT = 95
SHOWN = 20


@dataclass(slots=True)
class Escrow:
    """Of the Windows devices that a policy reaches: how many there are, and the names of those without a key."""

    audience: Audience
    total: int = 0
    without: list[str] = field(default_factory=list)
    missing: int = 0

    def count(self, device: Mapping[str, Any], held: frozenset[str]) -> None:
        if str(device.get("operatingSystem")).lower() != "windows" or not self.audience.reaches(device):
            return
        self.total += 1
        if str(device.get("azureADDeviceId")).lower() in held:
            return
        self.missing += 1
        if len(self.without) < SHOWN:
            unencrypted = "" if device.get("isEncrypted") else " (not encrypted)"
            self.without.append(f"{device.get('deviceName')}{unencrypted}")

    def too_few(self) -> str:
        """Why the plan must wait; empty if enough keys are held."""
        if not self.missing or 100 * (self.total - self.missing) >= LEAST_PERCENT * self.total:
            return ""
        more = f" and {self.missing - len(self.without):,} more" if self.missing > len(self.without) else ""
        return (
            f"{self.missing:,} of {self.total:,} devices have handed in no recovery key ({LEAST_PERCENT} % must have): "
            f"{', '.join(sorted(self.without))}{more}; --accept-impact goes on all the same"
        )


async def count_escrow(context: Context, asked: Sequence[Escrow]) -> None:
    """Fill the counts. Raises if a list breaks off."""
    held = frozenset([str(key["deviceId"]).lower() async for key in context.client.list(f"{KEYS}?$select=id,deviceId")])
    async for page in inventory(context):
        for device in page:
            for escrow in asked:
                escrow.count(device, held)
