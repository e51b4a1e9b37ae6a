"""Named locations: IP ranges and countries that policies refer to.

https://learn.microsoft.com/graph/api/conditionalaccessroot-post-namedlocations. A compliant network location (beta) is
made by the service itself, under its own name (https://learn.microsoft.com/graph/api/resources/
compliantnetworknamedlocation): one that is there is found, and whether one can be created is the service's to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from graphkit.engine.change import Action, Change, Reading, present
from graphkit.engine.resource import PlanView
from graphkit.protocol.message import NOTHING, Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.break_glass import NOTHING_DECLARED
from graphkit.resources.named import NamedObjects, version_of


class NamedLocations(NamedObjects):
    """``properties`` as Graph has them, ``@odata.type`` included, which cannot be changed later."""

    kind = "namedLocation"
    rank = 0
    path = "/identity/conditionalAccess/namedLocations"
    noun = "named location"
    type_name = "namedLocation"
    compared = (
        "ipRanges",
        "isTrusted",
        "countriesAndRegions",
        "includeUnknownCountriesAndRegions",
        "countryLookupMethod",
        "compliantNetworkType",
    )

    async def clear_the_way(self, pack: Sequence[Change]) -> None:
        """A trusted location cannot be deleted, so that one that was comes back without the trust."""
        (change,) = pack
        if not (change.before or change.after or {}).get("isTrusted"):
            return
        if change.action is Action.DELETE:
            await self._send(self._trust(change, trusted=False))
        elif self._is_back(change):
            await self._send(super().request(pack))
            self.context.created.setdefault((self.kind, change.key), self.context.clock.now())

    async def _send(self, request: Request) -> None:
        request.effect = NOTHING
        await self.context.client.send(request)

    @staticmethod
    def _is_back(change: Change) -> bool:
        return change.action is Action.CREATE and "id" in (change.after or {})

    def _trust(self, change: Change, *, trusted: bool) -> Request:
        live = change.before or change.after or {}
        body = {"@odata.type": live["@odata.type"], "isTrusted": trusted}
        return Request(
            method="PATCH",
            path=f"{self.path}/{segment(live['id'])}",
            body=msgspec.json.encode(body),
            version=version_of(live),
            idempotency=Idempotency.CONVERGENT,
        )

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        if self._is_back(change) and (change.after or {}).get("isTrusted"):
            return self._trust(change, trusted=True)
        return super().request(pack)

    def unchanged(self, change: Change, reading: Reading) -> bool:
        """Of what is deleted the trust may have gone already."""
        if change.action is Action.DELETE and reading.value and change.before:
            live = {**reading.value, "isTrusted": change.before.get("isTrusted")}
            return super().unchanged(change, present(live))
        return super().unchanged(change, reading)

    async def guard(self, view: PlanView) -> list[str]:
        """Live policies change their meaning with the locations; policies in the same plan bring their own proof."""
        alone = not view.wanted_count("conditionalAccessPolicy")
        return [NOTHING_DECLARED] if alone and not self.context.options.break_glass else []
