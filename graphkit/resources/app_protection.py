"""App protection policies. What wipes an organisation's data from a device is confirmed by typing the tenant's domain.

https://learn.microsoft.com/graph/api/resources/intune-mam-managedappprotection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from graphkit.engine.change import Change
from graphkit.engine.resource import PlanView
from graphkit.errors import ServiceError
from graphkit.resources.intune_policies import IntunePolicies, body_of

WIPE = "wipe"


class AppProtections(IntunePolicies):
    """Base of the kinds that protect apps; their apps and assignments are kinds of their own."""

    async def guard(self, view: PlanView) -> list[str]:
        wiping = {change.key: names for change in view.changes(self.kind) if (names := list(self._wiping(change)))}
        if not wiping:
            return []
        typed = self.context.options.confirm.strip().lower()
        domains = await self._domains()
        if typed and typed in domains:
            return []
        advice = f"--confirm {domains[0] if domains else 'with the domain of the tenant'} allows it"
        return [
            f"{key}: {', '.join(names)} would wipe the organisation's data from devices: {advice}"
            for key, names in sorted(wiping.items())
        ]

    def _wiping(self, change: Change) -> Iterable[str]:
        """The names by which this change makes a policy wipe, or wipe otherwise."""
        if not change.action.writes or change.after is None:
            return ()
        names = list(body_of(change.after)) if change.before is None else self.changed(change.before, change.after)
        return wipes({name: change.after[name] for name in names})

    async def _domains(self) -> list[str]:
        """Those of the tenant, the default one first; none if they may not be read."""
        try:
            answer = await self.context.client.get("/organization?$select=verifiedDomains")
        except ServiceError:
            return []
        (tenant, *_) = answer.get("value") or [{}]
        domains = sorted(tenant.get("verifiedDomains") or (), key=lambda each: not each.get("isDefault"))
        return [str(each["name"]).lower() for each in domains]


def wipes(body: Mapping[str, Any]) -> Iterator[str]:
    """Actions that are to wipe, and the versions or days from which something wipes."""
    for name, value in body.items():
        if value == WIPE or ("Wipe" in name and value):
            yield name
