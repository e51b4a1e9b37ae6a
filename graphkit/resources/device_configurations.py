"""Device configuration profiles. Custom settings whose values may be secret are told masked, and asked for one by one.

https://learn.microsoft.com/graph/api/intune-deviceconfig-deviceconfiguration-getomasettingplaintextvalue. A value of
the tenant that is not the one wished is never kept: neither in a plan nor in a message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from graphkit.engine.change import Change, Desired
from graphkit.engine.resource import Context, PlanView
from graphkit.errors import ServiceError
from graphkit.protocol.odata import literal, segment
from graphkit.resources.audience import find_audience
from graphkit.resources.escrow import Escrow, count_escrow
from graphkit.resources.intune import BY_KIND
from graphkit.resources.intune_policies import IntunePolicies
from graphkit.resources.secrets import MASK

OTHER = "**** (another value)"
UNTOLD = "values that the service masks are not compared: v1.0 does not tell how to ask for them, --allow-beta does"


class DeviceConfigurations(IntunePolicies):
    """Of a custom profile each setting that was masked is compared by its true value, where that can be had.

    ``rails["escrow"]`` (include, exclude) of a policy that turns BitLocker on: whose recovery keys must be held.
    """

    kind = "deviceConfiguration"
    endpoint = BY_KIND["deviceConfiguration"]

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._untold: set[str] = set()
        self._escrows: dict[str, Escrow] = {}
        self._not_counted = ""

    async def gather(self, view: PlanView) -> None:
        try:
            for item in view.wanted(self.kind):
                if asked := item.rails.get("escrow"):
                    self._escrows[item.key] = Escrow(await find_audience(self.context, **asked))
            if self._escrows:
                await count_escrow(self.context, list(self._escrows.values()))
        except ServiceError as error:
            self._not_counted = f"whose recovery keys are held could not be read: {error.message}"

    async def guard(self, view: PlanView) -> list[str]:
        if self.context.options.accept_impact:
            return []
        asked = {item.key for item in view.wanted(self.kind) if "escrow" in item.rails}
        written = [change.key for change in view.changes(self.kind) if change.action.writes and change.key in asked]
        told = {key: self._not_counted or self._escrows[key].too_few() for key in written}
        return [f"{key}: {why}" for key, why in sorted(told.items()) if why]

    async def told(self, item: Desired, live: dict[str, Any]) -> dict[str, Any]:
        wanted = {each.get("omaUri"): each for each in item.properties.get("omaSettings") or ()}
        settings: Sequence[dict[str, Any]] = live.get("omaSettings") or ()
        if not wanted or not any(each.get("value") == MASK for each in settings):
            return live
        told = [self._setting(item, live, wanted.get(each.get("omaUri"), {}), each) for each in settings]
        return {**live, "omaSettings": list(await asyncio.gather(*told))}

    async def _setting(
        self, item: Desired, live: Mapping[str, Any], wanted: Mapping[str, Any], setting: dict[str, Any]
    ) -> dict[str, Any]:
        if setting.get("value") != MASK or wanted.get("value") in (None, MASK):
            return setting
        reference = setting.get("secretReferenceValueId")
        if not reference:
            self._untold.add(item.key)
            return {**setting, "value": wanted["value"]}
        path = f"{self.endpoint.path}/{segment(str(live['id']))}/getOmaSettingPlainTextValue"
        try:
            answer = await self.context.client.get(
                f"{path}(secretReferenceValueId={literal(reference)})", version=self.endpoint.version(item.properties)
            )
        except ServiceError:
            return {**setting, "value": OTHER}
        shown = {name: value for name, value in setting.items() if name != "secretReferenceValueId"}
        return {**shown, "value": wanted["value"] if answer.get("value") == wanted["value"] else OTHER}

    def note(self, line: Change) -> str:
        return UNTOLD if line.key in self._untold else ""
