"""Policies of the settings catalog. Rules that block are tried in audit first: a ladder of two rungs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

from msgspec.structs import replace

from graphkit.engine.change import Change, Desired, Reading
from graphkit.resources.intune import BY_KIND
from graphkit.resources.intune_policies import IntunePolicies
from graphkit.resources.ladder import days_since
from graphkit.resources.secrets import MASK, masked, secret_values

BLOCK, AUDIT = "_block", "_audit"
SINCE = "lastModifiedDateTime"


class SettingsCatalogPolicies(IntunePolicies):
    """``rails["ladder"]``: ``days`` that a rule only audits, and ``promote`` (asked for with ``--promote``)."""

    kind = "deviceManagementConfigurationPolicy"
    endpoint = BY_KIND[kind]

    async def told(self, item: Desired, live: dict[str, Any]) -> dict[str, Any]:
        """Where the wish holds a mask, so does what is compared with it: a secret that is there stays."""
        if not any(each["value"] == MASK for each in secret_values(item.properties.get("settings"))):
            return live
        shown = deepcopy(live)
        masked(shown)
        return shown

    async def _image(self, item: Desired, reading: Reading) -> Reading:
        found = await super()._image(item, reading)
        if found.value is not None and reading.value is not None and "ladder" in item.rails:
            item.rails[SINCE] = str(reading.value.get(SINCE) or "")
        return found

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        ladder = wanted.rails.get("ladder")
        if ladder is None:
            return super().diff(wanted, reading)
        live = dict(_choices((reading.value or {}).get("settings") or []))
        day = days_since(wanted.rails.get(SINCE, ""), self.context.clock.now())
        promoted = ladder["promote"] and day >= ladder["days"]
        settings, held = _on_their_rung(wanted.properties["settings"], live, promote=promoted)
        note = wanted.rails.get("note", "")
        if held and live:
            note = _joined(note, f"{held} rules await promotion, day {day} of {ladder['days']}")
        elif held:
            note = _joined(note, f"{held} rules audit first, for at least {ladder['days']} days")
        properties = {**wanted.properties, "settings": settings}
        return super().diff(replace(wanted, properties=properties, rails={**wanted.rails, "note": note}), reading)


def _choices(value: Any) -> Iterator[tuple[str, str]]:
    """(definition, choice) of every choice at any depth."""
    if isinstance(value, list):
        for item in value:
            yield from _choices(item)
    elif isinstance(value, Mapping):
        choice = value.get("choiceSettingValue")
        if isinstance(choice, Mapping):
            yield str(value.get("settingDefinitionId")), str(choice.get("value"))
        for inner in value.values():
            yield from _choices(inner)


def _on_their_rung(value: Any, live: Mapping[str, str], *, promote: bool) -> tuple[Any, int]:
    """``value`` with each rule as far as it may go today, and how many are held at audit."""
    if isinstance(value, list):
        items = [_on_their_rung(item, live, promote=promote) for item in value]
        return [item for item, _ in items], sum(held for _, held in items)
    if not isinstance(value, Mapping):
        return value, 0
    choice = value.get("choiceSettingValue")
    if isinstance(choice, Mapping) and str(choice.get("value")).endswith(BLOCK):
        now = live.get(str(value.get("settingDefinitionId")), "")
        if now.endswith(BLOCK) or (now.endswith(AUDIT) and promote):
            return value, 0
        audited = str(choice["value"]).removesuffix(BLOCK) + AUDIT
        return {**value, "choiceSettingValue": {**choice, "value": audited}}, 1
    pairs = {name: _on_their_rung(inner, live, promote=promote) for name, inner in value.items()}
    return {name: inner for name, (inner, _) in pairs.items()}, sum(held for _, held in pairs.values())


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
