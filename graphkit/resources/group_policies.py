"""The settings of administrative templates (ADMX), which are kept below their policy. Beta only.

https://learn.microsoft.com/graph/api/intune-grouppolicy-grouppolicyconfiguration-updatedefinitionvalues adds, changes
and takes out in one request. A setting is known by the definition that it binds to, what it shows by its presentation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, canonical, present, unknown
from graphkit.engine.resource import Resource, as_desired
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.intune import AUTHORITATIVE, BY_KIND
from graphkit.resources.intune_policies import name_the_tenant, needs_policy
from graphkit.resources.reading import list_below, read_list

ENDPOINT = BY_KIND["groupPolicyConfiguration"]
DEFINITIONS = "/beta/deviceManagement/groupPolicyDefinitions"
SHOWN = ("@odata.type", "value", "values")

Value = dict[str, Any]


class GroupPolicyValues(Resource):
    """``properties``: policy (key) and values: definition, enabled, presentations. What is there besides stays."""

    kind = f"{ENDPOINT.kind}.values"
    goes_with: ClassVar[frozenset[str]] = frozenset({ENDPOINT.kind})
    rank = 1

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        await name_the_tenant(self.context, items)
        return []

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        keys = [item.properties["policy"] for item in items]
        path = ENDPOINT.path + "/{}/definitionValues?$expand=definition($select=id)"
        lists = await list_below(self.context, ENDPOINT.kind, keys, path, "beta")
        return await asyncio.gather(*(self._values_of(key, lists[key]) for key in keys))

    async def _values_of(self, key: str, listed: Reading) -> Reading:
        name = (ENDPOINT.kind, key)
        if listed == ABSENT and name in self.context.object_ids and name not in self.context.created:
            return unknown("its policy is not there, or not shown")
        if listed.value is None or not listed.value["value"]:
            return listed if listed.value is None else ABSENT
        below = f"{ENDPOINT.path}/{segment(self.context.object_ids[name])}/definitionValues"
        values = []
        for value in listed.value["value"]:
            path = f"{below}/{segment(str(value['id']))}/presentationValues?$expand=presentation"
            shown = await read_list(self.context.client, path, "beta")
            if shown.value is None:
                return unknown(f"what a setting shows could not be read: {shown.why}")
            values.append(
                {"id": str(value["id"]), **plain_value({**value, "presentationValues": shown.value["value"]})}
            )
        return present({"policy": key, "values": _in_order(values)})

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin)
        line.needs = needs_policy(self.context, ENDPOINT.kind, wanted.properties["policy"])
        line.before, line.after = self.before_image(reading), dict(wanted.properties)
        added, updated, deleted = _difference(line.after, line.before)
        if deleted:
            line.action = Action.REMOVE
        elif updated:
            line.action = Action.UPDATE
        elif added:
            line.action = Action.ADD
        return [line]

    def settled(self, change: Change, reading: Reading) -> bool:
        return reading.known and all(each.action is Action.NOOP for each in self.diff(as_desired(change), reading))

    def unchanged(self, change: Change, reading: Reading) -> bool:
        """The set as a whole, whatever is done to it."""
        return self.before_image(reading) == change.before

    def inverse(self, change: Change, object_id: str) -> Change:
        """The settings as they were, as a whole."""
        after = {**(change.after or {}), "values": _without_ids(change.before), "mode": AUTHORITATIVE}
        return replace(change, action=Action.UPDATE, before=None, after=after, needs=(), note="", seq=0)

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("POST", f"{ENDPOINT.path}/{{id}}/updateDefinitionValues")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after = change.after or {}
        added, updated, deleted = _difference(after, change.before)
        policy = self.context.object_id(ENDPOINT.kind, after["policy"])
        body = {
            "added": [self._sent(value) for value in added],
            "updated": [self._sent(value) for value in updated],
            "deletedIds": deleted,
        }
        return Request(
            method="POST",
            path=f"{ENDPOINT.path}/{segment(policy)}/updateDefinitionValues",
            body=msgspec.json.encode(body),
            version="beta",
            # A setting that was added is not to be added again before somebody has looked.
            idempotency=Idempotency.KEYED,
        )

    def _sent(self, value: Value) -> dict[str, Any]:
        definition = f"{self.context.client.cloud.graph_root}{DEFINITIONS}('{value['definition']}')"
        shown = [
            {
                **{name: each[name] for name in SHOWN if name in each},
                "presentation@odata.bind": f"{definition}/presentations('{each['presentation']}')",
            }
            for each in value["presentations"]
        ]
        own = {"id": value["id"]} if "id" in value else {}
        return {**own, "enabled": value["enabled"], "definition@odata.bind": definition, "presentationValues": shown}


def plain_value(value: Mapping[str, Any]) -> Value:
    """A definitionValue, exported or told by the service, in one form. Raises ``ValueError`` without its definition."""
    presentations = [
        {"presentation": _reference(each, "presentation"), **{name: each[name] for name in SHOWN if name in each}}
        for each in value.get("presentationValues") or ()
    ]
    return {
        "definition": _reference(value, "definition"),
        "enabled": str(value.get("enabled")).lower() == "true",
        "presentations": sorted(presentations, key=canonical),
    }


def _reference(item: Mapping[str, Any], name: str) -> str:
    bound = str(item.get(f"{name}@odata.bind") or "").rstrip("')").rpartition("'")[2].rpartition("/")[2]
    key = bound or (item.get(name) or {}).get("id") or ""
    if not key:
        raise ValueError(f"does not say which {name} it is for")
    return str(key).lower()


def _difference(
    after: Mapping[str, Any], before: Mapping[str, Any] | None
) -> tuple[list[Value], list[Value], list[str]]:
    """(added, updated, ids of those deleted)."""
    live = {value["definition"]: value for value in (before or {}).get("values", ())}
    wanted = {value["definition"]: value for value in after["values"]}
    added = [value for key, value in wanted.items() if key not in live]
    updated = [
        {**value, "id": live[key]["id"]}
        for key, value in wanted.items()
        if key in live and value != {name: item for name, item in live[key].items() if name != "id"}
    ]
    gone = [value["id"] for key, value in live.items() if key not in wanted]
    return added, updated, gone if after.get("mode") == AUTHORITATIVE else []


def _in_order(values: Iterable[Value]) -> list[Value]:
    return sorted(values, key=lambda value: str(value["definition"]))


def _without_ids(before: Mapping[str, Any] | None) -> list[Value]:
    return [{name: item for name, item in value.items() if name != "id"} for value in (before or {}).get("values", ())]
