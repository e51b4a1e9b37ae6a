"""Compliance policies with their scheduled actions. Whether a device complies does not follow from them here.

api-reference/v1.0/api/intune-deviceconfig-*compliancepolicy*.md; the rules that CSDL does not tell are from
microsoftgraph/microsoft-graph-docs#7746, #4103 and #4104.
"""

from __future__ import annotations

from typing import Any

from graphkit.sandbox.areas.intune_policies import Collection, Policies, counted
from graphkit.sandbox.areas.intune_words import MODEL, no_route, refuse, seen
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.permissions import INTUNE, INTUNE_WRITE
from graphkit.sandbox.schema.check import check

ONE = "/deviceManagement/deviceCompliancePolicies/{policy}"
ACTIONS = "deviceComplianceScheduledActionForRule"


def _shown(call: Call, policy: Json) -> list[Json]:
    return [seen(call, action, ACTIONS) for action in policy.get("scheduledActionsForRule") or []]


def _with_actions(call: Call, policy: Json, before: Json | None) -> Json:
    if before is not None:
        return policy
    return {**policy, "scheduledActionsForRule": _read_actions(call, policy.get("scheduledActionsForRule"))}


def _read_actions(call: Call, rules: Any) -> list[Json]:
    """The scheduled actions of a body, with ids. Exactly one of them must block."""
    configurations = [item for rule in rules or [] for item in rule.get("scheduledActionConfigurations") or []]
    if sum(1 for item in configurations if item.get("actionType") == "block") != 1:
        raise refuse(call, "Compliance policy must have one and only one block scheduled action.")
    return [
        {
            "id": call.tenant.new_id(),
            "ruleName": rule.get("ruleName"),
            "scheduledActionConfigurations": [
                _read_configuration(call, item) for item in rule.get("scheduledActionConfigurations") or []
            ],
        }
        for rule in rules
    ]


def _read_configuration(call: Call, item: Json) -> Json:
    return {
        "id": call.tenant.new_id(),
        "gracePeriodHours": 0,
        "notificationTemplateId": "",
        "notificationMessageCCList": [],
        **{name: value for name, value in item.items() if "@" not in name and name != "id"},
    }


POLICIES = Policies(
    Collection(
        "/deviceManagement/deviceCompliancePolicies",
        "deviceCompliancePolicy",
        "intune-deviceconfig-devicecompliancepolicy",
        assignment="deviceCompliancePolicyAssignment",
        version=counted,
        rule=_with_actions,
        expands={"scheduledActionsForRule": _shown},
    )
)
routes = POLICIES.routes()


@routes.post(
    ONE + "/scheduleActionsForRules",
    INTUNE_WRITE,
    page="intune-deviceconfig-devicecompliancepolicy-scheduleactionsforrules",
)
def schedule_actions(call: Call) -> Reply:
    policy = POLICIES.find(call)
    rules = call.json.get("deviceComplianceScheduledActionForRules")
    for rule in rules if isinstance(rules, list) else []:
        check(rule, ACTIONS, call.version, code=MODEL)
    actions = _read_actions(call, rules)
    call.tenant.state.put("deviceCompliancePolicies", {**policy, "scheduledActionsForRule": actions})
    return Reply(204)


@routes.get(
    ONE + "/scheduledActionsForRule",
    INTUNE,
    page="intune-deviceconfig-devicecompliancescheduledactionforrule-list",
)
def get_scheduled_actions(call: Call) -> Reply:
    """Not a path of its own, whatever the documentation says: microsoftgraph/microsoft-graph-docs#4104."""
    raise no_route(call, "~/singleton/navigation/key/navigation")
