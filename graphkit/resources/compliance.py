"""Device compliance policies of Intune, known by the marker in their description.

Names are not unique there and a repeated POST makes a second policy, so after a lost answer the marker is looked for.
What happens to a device that does not comply is made with the policy and afterwards changed by an action of its own
(https://learn.microsoft.com/graph/api/resources/intune-deviceconfig-devicecompliancepolicy).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, canonical, present, unknown
from graphkit.engine.resource import Context, Resource
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import query, segment
from graphkit.protocol.schema import Version, validate
from graphkit.resources.markers import marked_key, marker
from graphkit.resources.os_builds import meets_floor
from graphkit.resources.reading import read_each, read_list
from graphkit.resources.recycling import deletion

RECIPE = "devices.compliance"
KIND = "deviceCompliancePolicy"
PATH = "/deviceManagement/deviceCompliancePolicies"
COMPARED = (
    "osMinimumVersion",
    "validOperatingSystemBuildRanges",
    "bitLockerEnabled",
    "secureBootEnabled",
    "defenderEnabled",
)
"""What a policy asks of a device, as far as graphkit keeps it. Any other setting stays as it is."""
# A plain GET leaves the actions out (microsoftgraph/microsoft-graph-docs#7746).
_ACTIONS = query(expand="scheduledActionsForRule($expand=scheduledActionConfigurations)")
_RULE = "PasswordRequired"
"""The rule that every policy's actions stand under, whatever the policy asks for (v1.0 metadata)."""
_NO_TEMPLATE = ("", "00000000-0000-0000-0000-000000000000")


class CompliancePolicies(Resource):
    """``properties``: @odata.type, displayName, settings, actions (for the create) and, if it is not v1.0, api.

    The key is the one in the marker. The name is set once: one that an administrator gives later stays. ``resolve``
    puts what it found into ``rails["live"]``; without that all is read anew.
    """

    kind = KIND
    rank = 0
    refuses_twins = False

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        problems = []
        live = await self._live(items)
        for item in items:
            matches = live[api(item.properties)].get(item.key, [])
            item.rails["live"] = matches[0] if matches else None
            item.blocked = item.blocked or _not_ours(matches, item.properties["@odata.type"])
            if matches and not item.blocked:
                self.context.object_ids[KIND, item.key] = matches[0]["id"]
            problems += _refused(item)
        return problems

    async def _live(self, items: Sequence[Desired]) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Version of the API to key to the policies that carry its marker. Raises if a list breaks off."""
        found: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for version in sorted({api(item.properties) for item in items}):
            by_key = found[version] = {}
            async for policy in self.context.client.list(PATH, version=version):
                if key := marked_key(RECIPE, policy.get("description")):
                    by_key.setdefault(key, []).append(policy)
        return found

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        if all("live" in item.rails for item in items):
            return [present(item.rails["live"]) if item.rails["live"] else ABSENT for item in items]
        known = await _fetch(self.context, [(item.key, api(item.properties)) for item in items])
        return [
            reading if (KIND, item.key) in self.context.object_ids else await self._search(item)
            for item, reading in zip(items, known, strict=True)
        ]

    async def _search(self, item: Desired) -> Reading:
        """By the marker, for no id is known."""
        everything = await read_list(self.context.client, PATH, api(item.properties))
        policies = everything.value["value"] if everything.value else []
        matches = [policy for policy in policies if marked_key(RECIPE, policy.get("description")) == item.key]
        if not everything.known or not matches:
            return everything if not everything.known else ABSENT
        return present(matches[0]) if len(matches) == 1 else unknown(_not_ours(matches, ""))

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        before = self.before_image(reading)
        after = dict(wanted.properties)
        line = Change(kind=KIND, key=wanted.key, action=Action.CREATE, after=after, origin=wanted.origin)
        if before is not None:
            line.before = before
            line.after = {name: after[name] for name in (*COMPARED, "@odata.type", "api") if name in after}
            line.action = Action.UPDATE if _changed(after, before) else Action.NOOP
            line.note = _lowered(before, after)
        return [line]

    def before_image(self, reading: Reading) -> dict[str, Any] | None:
        if reading.value is None:
            return None
        fixed = {name: reading.value.get(name) for name in ("id", "@odata.type")}
        return {**fixed, **{name: _settled_form(reading.value.get(name)) for name in COMPARED}}

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        if change.action is Action.CREATE:
            return [("POST", PATH)]
        return [("DELETE" if change.action is Action.DELETE else "PATCH", f"{PATH}/{{id}}")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after, before = change.after or {}, change.before or {}
        if change.action is Action.DELETE:
            return deletion(f"{PATH}/{segment(before['id'])}", api(before))
        if change.action is Action.CREATE:
            return Request(
                method="POST",
                path=PATH,
                body=msgspec.json.encode(_body(change.key, after)),
                version=api(after),
                idempotency=Idempotency.KEYED,
                target=f"{KIND}:{change.key}",
            )
        changed = {name: after[name] for name in _changed(after, before)}
        return Request(
            method="PATCH",
            path=f"{PATH}/{segment(before['id'])}",
            # The type is sent again, for it decides which settings there are.
            body=msgspec.json.encode({"@odata.type": after["@odata.type"], **changed}),
            version=api(after),
            idempotency=Idempotency.CONVERGENT,
        )


class ScheduledActions(Resource):
    """``properties``: policy (key of a ``deviceCompliancePolicy``), actions and, if it is not v1.0, api.

    The block action is ours to set; any other that is there stays, and a wished notification is added if none is sent
    from its template yet.
    """

    kind = "deviceCompliancePolicy.actions"
    rank = 1
    goes_with = frozenset({KIND})

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        wanted = [(item.properties["policy"], api(item.properties)) for item in items]
        policies = await _fetch(self.context, wanted, _ACTIONS)
        return [_actions_of(key, policy) for (key, _), policy in zip(wanted, policies, strict=True)]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin)
        line.needs = needs_policy(self.context, wanted.properties["policy"])
        line.before = self.before_image(reading)
        if line.before is None:
            line.action = Action.NOOP if line.needs else Action.BLOCKED
            line.note = "made with the policy" if line.needs else "the policy is no longer there"
            return [line]
        live = line.before["actions"]
        merged = wanted.properties["actions"]
        if not wanted.properties.get("exact"):
            merged = _merged(live, merged)
        line.after = {**wanted.properties, "actions": merged}
        line.action = Action.NOOP if merged == live else Action.UPDATE
        return [line]

    def left_as_written(self, change: Change, reading: Reading) -> bool:
        return self.settled(exactly(change), reading)

    def inverse(self, change: Change, object_id: str) -> Change:
        return exactly(super().inverse(change, object_id))

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("POST", f"{PATH}/{{id}}/scheduleActionsForRules")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after = change.after or {}
        policy = self.context.object_id(KIND, after["policy"])
        return Request(
            method="POST",
            path=f"{PATH}/{segment(policy)}/scheduleActionsForRules",
            body=msgspec.json.encode({"deviceComplianceScheduledActionForRules": _rules(after["actions"])}),
            version=api(after),
            idempotency=Idempotency.CONVERGENT,
        )


async def _fetch(context: Context, wanted: Sequence[tuple[str, str]], query: str = "") -> list[Reading]:
    """Policies by (key, version of the API): absent where no id is known, or nothing has it any more."""
    found: dict[tuple[str, str], Reading] = {}
    for version in sorted({version for _, version in wanted}):
        known = {pair: context.object_ids.get((KIND, pair[0])) for pair in wanted if pair[1] == version}
        paths = {pair: f"{PATH}/{segment(object_id)}{query}" for pair, object_id in known.items() if object_id}
        readings = await read_each(context.client, list(paths.values()), version)
        found.update(zip(paths, readings, strict=True))
    return [found.get(pair, ABSENT) for pair in wanted]


def needs_policy(context: Context, key: str) -> tuple[tuple[str, str], ...]:
    """What belongs to a policy waits for it only if it is not there yet."""
    return () if (KIND, key) in context.object_ids else ((KIND, key),)


def exactly(change: Change) -> Change:
    """The set as it stands there, and nothing merged into it of what is live."""
    return replace(change, after={**(change.after or {}), "exact": True})


def api(properties: Mapping[str, Any]) -> str:
    """The version of Graph that an object is read and written through."""
    return str(properties.get("api") or "v1.0")


def scheduled_action(action: str, *, hours: int = 0, template: str = "") -> dict[str, Any]:
    """What happens to a device that does not comply, after how many hours; a notification has its template's id."""
    return {
        "actionType": action,
        "gracePeriodHours": hours,
        "notificationTemplateId": template,
        "notificationMessageCCList": [],
    }


def _body(key: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    """The create, which must carry exactly one block action (microsoftgraph/microsoft-graph-docs#7746)."""
    ours = {name: value for name, value in properties.items() if name not in ("api", "actions", "id")}
    return {**ours, "description": marker(RECIPE, key), "scheduledActionsForRule": _rules(properties["actions"])}


def _refused(item: Desired) -> list[InputProblem]:
    """What Graph would not take, by its own metadata."""
    version: Version = "beta" if api(item.properties) == "beta" else "v1.0"
    return [
        InputProblem(item.origin.file, item.origin.place, found.code, f"{found.path}: {found.message}")
        for found in validate(_body(item.key, item.properties), KIND, version)
    ]


def _rules(actions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"ruleName": _RULE, "scheduledActionConfigurations": list(actions)}]


def _not_ours(matches: Sequence[Mapping[str, Any]], odata_type: str) -> str:
    """Why what carries the marker cannot be taken for the policy that is meant."""
    if len(matches) > 1:
        ids = ", ".join(sorted(str(policy["id"]) for policy in matches))
        return f"{len(matches)} policies carry this key in their description ({ids}): remove the line from all but one"
    live = str(matches[0].get("@odata.type") or odata_type) if matches else odata_type
    if live != odata_type:
        return f"the live policy {matches[0]['id']} is for another platform ({live}), which cannot be changed"
    return ""


def _changed(after: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
    return [name for name in COMPARED if name in after and _settled_form(after[name]) != before[name]]


def _settled_form(value: Any) -> Any:
    """Null, false and empty are one; of a list of ranges, the bounds in order."""
    if isinstance(value, list):
        ranges = ({"lowestVersion": each["lowestVersion"], "highestVersion": each["highestVersion"]} for each in value)
        return _in_order(ranges) or None
    return value or None


def _lowered(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """A floor that sinks lets devices in again that were kept out: worth a word."""
    old, new = before.get("osMinimumVersion"), after.get("osMinimumVersion")
    try:
        return f"lowers the floor from {old}" if old and new and not meets_floor(new, old) else ""
    except ValueError:
        return ""  # an administrator may have written a floor of fewer numbers


def _actions_of(key: str, policy: Reading) -> Reading:
    if policy.value is None:
        return policy
    rules = policy.value.get("scheduledActionsForRule")
    if rules is None:
        return unknown("the service did not tell its scheduled actions")
    actions = [action for rule in rules for action in rule.get("scheduledActionConfigurations") or ()]
    return present({"policy": key, "actions": _in_order(_plain_action(action) for action in actions)})


def _plain_action(action: Mapping[str, Any]) -> dict[str, Any]:
    template = action.get("notificationTemplateId") or ""
    return {
        "actionType": action["actionType"],
        "gracePeriodHours": int(action.get("gracePeriodHours") or 0),
        "notificationTemplateId": "" if template in _NO_TEMPLATE else template,
        "notificationMessageCCList": sorted(action.get("notificationMessageCCList") or ()),
    }


def _merged(live: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    there = {(action["actionType"], action["notificationTemplateId"]) for action in live}
    kept = [action for action in live if action["actionType"] != "block"]
    new = [
        action
        for action in own
        if action["actionType"] == "block" or (action["actionType"], action["notificationTemplateId"]) not in there
    ]
    return _in_order([*kept, *new])


def _in_order(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(items, key=canonical)
