"""App protection policies. What wipes an organisation's data from a device is confirmed by typing the tenant's domain.

https://learn.microsoft.com/graph/api/resources/intune-mam-managedappprotection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from graphkit.engine.change import Action, Change, Desired, Reading
from graphkit.engine.resource import Context, PlanView
from graphkit.errors import ServiceError
from graphkit.resources.intune_policies import IntunePolicies, body_of

WIPE = "wipe"
USUAL = "P90D"
"""Days offline until data is wiped, unless an administrator chooses others; nobody has decided anything by them.
(learn.microsoft.com/intune/intune-service/apps/app-protection-policy-settings-ios, conditional launch)."""
NOTHING = (None, "", "PT0S", "0000-00-00", USUAL)
"""Among them the patch level that published frameworks write for none (observed)."""


class AppProtections(IntunePolicies):
    """Base of the kinds that protect apps; their apps and assignments are kinds of their own.

    What would wipe stops the plan; of a published set (``rails["published"]``) it stops that policy alone.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._domains: list[str] = []

    async def gather(self, view: PlanView) -> None:
        """The tenant's domains, the default one first; none if they may not be read."""
        try:
            answer = await self.context.client.get("/organization?$select=verifiedDomains")
        except ServiceError:
            return
        (tenant, *_) = answer.get("value") or [{}]
        domains = sorted(tenant.get("verifiedDomains") or (), key=lambda each: not each.get("isDefault"))
        self._domains = [str(each["name"]).lower() for each in domains]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        (line,) = super().diff(wanted, reading)
        if wanted.rails.get("published") and (why := self._unconfirmed(line)):
            line.action, line.note, line.before, line.after, line.needs = Action.BLOCKED, why, None, None, ()
        return [line]

    async def guard(self, view: PlanView) -> list[str]:
        told = {change.key: self._unconfirmed(change) for change in view.changes(self.kind)}
        return [f"{key}: {why}" for key, why in sorted(told.items()) if why]

    def _unconfirmed(self, change: Change) -> str:
        names = list(self._wiping(change))
        typed = self.context.options.confirm.strip().lower()
        if not names or (typed and typed in self._domains):
            return ""
        advice = f"--confirm {self._domains[0] if self._domains else 'with the domain of the tenant'} allows it"
        return f"{', '.join(names)} would wipe the organisation's data from devices: {advice}"

    def _wiping(self, change: Change) -> Iterable[str]:
        """The names by which this change makes a policy wipe, or wipe otherwise."""
        if not change.action.writes or change.after is None:
            return ()
        names = list(body_of(change.after)) if change.before is None else self.changed(change.before, change.after)
        return wipes({name: change.after[name] for name in names})


def wipes(body: Mapping[str, Any]) -> Iterator[str]:
    """Actions that are to wipe, and the versions or days from which something wipes."""
    for name, value in body.items():
        if value == WIPE or ("Wipe" in name and value not in NOTHING):
            yield name
