"""What compliance policies of Intune have beyond other policies: what happens to a device that does not comply.

That is made with the policy and afterwards changed by an action of its own
(https://learn.microsoft.com/graph/api/resources/intune-deviceconfig-devicecompliancepolicy).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from graphkit.engine.change import Action, Change, Desired, Reading, canonical, present, unknown
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import InputProblem, ServiceError
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import query, segment
from graphkit.resources.audience import find_audience
from graphkit.resources.impact import SHOWN_ORGS, Impact, count_impact
from graphkit.resources.intune import AUTHORITATIVE, BY_KIND
from graphkit.resources.intune_policies import IntunePolicies, fetch_policies, needs_policy
from graphkit.resources.os_builds import meets_floor
from graphkit.resources.references import find_groups, find_templates
from graphkit.resources.users import GUID

ENDPOINT = BY_KIND["deviceCompliancePolicy"]
KIND = ENDPOINT.kind
PATH = ENDPOINT.path
RULES = "scheduledActionsForRule"
# A plain GET leaves the actions out (microsoftgraph/microsoft-graph-docs#7746).
WITH_ACTIONS = query(expand="scheduledActionsForRule($expand=scheduledActionConfigurations)")
_RULE = "PasswordRequired"
"""The rule that every policy's actions stand under, whatever the policy asks for (v1.0 metadata)."""
_NO_TEMPLATE = ("", "00000000-0000-0000-0000-000000000000")


class CompliancePolicies(IntunePolicies):
    """The create carries the actions, exactly one of which blocks; afterwards they are a kind of their own.

    ``rails["impact"]``: what is asked of the devices (floors, encrypted, include, exclude) and ``max_pct``, the share
    of an organisation's devices above which the plan stops.
    """

    kind = KIND
    endpoint = ENDPOINT

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._impacts: dict[str, Impact] = {}
        self._not_counted = ""

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        await name_notices(self.context, items, lambda item: _listed(item.properties.get(RULES)))
        return await super().resolve(items)

    async def gather(self, view: PlanView) -> None:
        try:
            for item in view.wanted(KIND):
                if asked := item.rails.get("impact"):
                    audience = await find_audience(self.context, asked["include"], asked["exclude"])
                    kind = str(item.properties["@odata.type"]).rpartition(".")[2]
                    self._impacts[item.key] = Impact(kind, asked["floors"], asked["encrypted"], audience)
            if self._impacts:
                await count_impact(self.context, self._impacts.values())
        except ServiceError as error:
            self._impacts.clear()
            self._not_counted = f"its impact could not be counted: {error.message}"

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        (line,) = super().diff(wanted, reading)
        if line.action.writes and "impact" in wanted.rails:
            told = self._impacts[wanted.key].told() if wanted.key in self._impacts else self._not_counted
            line.note = "; ".join(part for part in (line.note, told) if part)
        return [line]

    async def guard(self, view: PlanView) -> list[str]:
        written = {change.key for change in view.changes(KIND) if change.action.writes}
        asked = [item for item in view.wanted(KIND) if item.key in written and "impact" in item.rails]
        return [] if self.context.options.accept_impact else [why for item in asked for why in self._too_many(item)]

    def _too_many(self, item: Desired) -> Iterator[str]:
        most = item.rails["impact"]["max_pct"]
        if most is None:
            return
        if self._not_counted:
            yield f"{item.key}: {self._not_counted}; --accept-impact goes on without knowing"
        elif item.key in self._impacts and (above := list(self._impacts[item.key].above(most))):
            shown = ", ".join(above[:SHOWN_ORGS]) + (" ..." if len(above) > SHOWN_ORGS else "")
            yield f"{item.key}: more than {most:g} % of devices would not comply in {shown}: --accept-impact allows it"

    def note(self, line: Change) -> str:
        return _lowered(line.before or {}, line.after or {})


class ScheduledActions(Resource):
    """``properties``: policy (key of a ``deviceCompliancePolicy``), actions and, if it is not v1.0, api.

    The block action is ours to set; any other that is there stays, and a wished notification is added if none is sent
    from its template yet.
    """

    kind = "deviceCompliancePolicy.actions"
    goes_with: ClassVar[frozenset[str]] = frozenset({KIND})
    rank = 1

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        await name_notices(self.context, items, lambda item: item.properties["actions"])
        return []

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        policies = await fetch_policies(self.context, ENDPOINT, items, WITH_ACTIONS, key="policy")
        return [_actions_of(item.properties["policy"], policy) for item, policy in zip(items, policies, strict=True)]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin)
        line.needs = needs_policy(self.context, KIND, wanted.properties["policy"])
        line.before = self.before_image(reading)
        if line.before is None:
            line.action = Action.NOOP if line.needs else Action.BLOCKED
            line.note = "made with the policy" if line.needs else "the policy is no longer there"
            return [line]
        live = line.before["actions"]
        own = wanted.properties["actions"]
        merged = _in_order(own) if wanted.properties.get("mode") == AUTHORITATIVE else _merged(live, own)
        line.after = {**wanted.properties, "actions": merged}
        line.action = Action.NOOP if merged == live else Action.UPDATE
        return [line]

    def inverse(self, change: Change, object_id: str) -> Change:
        """The set as it was, as a whole."""
        before = {"actions": (change.before or {}).get("actions", [])}
        after = {**(change.after or {}), **before, "mode": AUTHORITATIVE}
        return replace(change, action=Action.UPDATE, before=None, after=after, needs=(), note="", seq=0)

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("POST", f"{PATH}/{{id}}/scheduleActionsForRules")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after = change.after or {}
        policy = self.context.object_id(KIND, after["policy"])
        return Request(
            method="POST",
            path=f"{PATH}/{segment(policy)}/scheduleActionsForRules",
            body=msgspec.json.encode({"deviceComplianceScheduledActionForRules": rules_for(after["actions"])}),
            version=ENDPOINT.version(after),
            idempotency=Idempotency.CONVERGENT,
        )


def scheduled_action(action: str, *, hours: int = 0, template: str = "") -> dict[str, Any]:
    """What happens to a device that does not comply, after how many hours; a notification has its template's id."""
    return {
        "actionType": action,
        "gracePeriodHours": hours,
        "notificationTemplateId": template,
        "notificationMessageCCList": [],
    }


def rules_for(actions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"ruleName": _RULE, "scheduledActionConfigurations": list(actions)}]


async def name_notices(
    context: Context, items: Sequence[Desired], actions_of: Callable[[Desired], Iterable[dict[str, Any]]]
) -> None:
    """Ids in the place of message templates and groups that notifications name; what names none is blocked."""
    by_item = [(item, list(actions_of(item))) for item in items]
    actions = [action for _, each in by_item for action in each]
    templates = {str(each["notificationTemplateId"]) for each in actions if each.get("notificationTemplateId")}
    groups = {name for each in actions for name in each.get("notificationMessageCCList") or ()}
    ids, reasons = await find_templates(context, (name for name in templates if not GUID.fullmatch(name)))
    group_ids, group_reasons = await find_groups(context, (name for name in groups if not GUID.fullmatch(name)))
    reasons |= group_reasons
    for item, own in by_item:
        for action in own:
            copied = action.get("notificationMessageCCList") or []
            template = str(action.get("notificationTemplateId") or "")
            if why := next((reasons[name] for name in (template, *copied) if name in reasons), ""):
                item.blocked = item.blocked or f"missing binding: {why}"
            action["notificationTemplateId"] = ids.get(template, template)
            action["notificationMessageCCList"] = sorted(group_ids.get(name, name) for name in copied)


def _listed(rules: Any) -> Iterator[dict[str, Any]]:
    """The actions themselves, as a body holds them."""
    for rule in rules or ():
        yield from rule.get("scheduledActionConfigurations") or ()


def actions_in(rules: Any) -> list[dict[str, Any]]:
    """The actions of a body's scheduledActionsForRule, whatever stands there."""
    listed = rules if isinstance(rules, list) else []
    inner = (rule.get("scheduledActionConfigurations") for rule in listed if isinstance(rule, dict))
    actions = (each for each in inner if isinstance(each, list))
    return [_plain_action(action) for each in actions for action in each if isinstance(action, dict)]


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
        "actionType": action.get("actionType"),
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
