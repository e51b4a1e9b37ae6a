"""Intune: compliance policies with their scheduled actions and assignments.

api-reference/v1.0/api/intune-deviceconfig-*compliancepolicy*.md; the rules that CSDL does not tell are from
microsoftgraph/microsoft-graph-docs#7746, #4103, #4104 and microsoft/Intune-PowerShell-SDK#70.
"""

from __future__ import annotations

from typing import Any

from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request
from graphkit.sandbox.ids import instant
from graphkit.sandbox.permissions import INTUNE, INTUNE_WRITE
from graphkit.sandbox.query import Kind, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema import check, check_writable, find_type, first_value, is_guid

routes = Routes()

ROOT = "/deviceManagement/deviceCompliancePolicies"


def _assignments(_: Call, policy: Json) -> list[Json]:
    return list(policy.get("assignments") or [])


def _scheduled_actions(_: Call, policy: Json) -> list[Json]:
    return list(policy.get("scheduledActionsForRule") or [])


POLICY_KIND = Kind(
    "deviceManagement/deviceCompliancePolicies",
    "deviceCompliancePolicy",
    expands={"assignments": _assignments, "scheduledActionsForRule": _scheduled_actions},
    page=1000,
    max_page=1000,
)
ASSIGNMENT_KIND = Kind("deviceManagement/deviceCompliancePolicies/assignments", "deviceCompliancePolicyAssignment")


def _refuse(message: str) -> Refusal:
    return bad_request(message, "BadRequest")


def find(call: Call) -> Json:
    key = call.params["policy"]
    policy = call.tenant.state.get("compliancePolicies", key)
    if policy is None or not call.tenant.replication.visible(policy, call.now, call.replica):
        raise Refusal(404, "ResourceNotFound", f"Entity with id '{key}' was not found.")
    return policy


def _defaults(type_name: str, version: str) -> Json:
    """What the service fills in: false and the first enumeration value for what cannot be null, else null and []."""
    found = find_type(type_name, version)
    filled: Json = {}
    for name, kind in (found.properties if found else {}).items():
        if not kind.startswith(">"):
            filled[name] = False if kind == "Boolean!" else [] if kind.startswith("*") else first_value(kind)
    return filled


@routes.get(ROOT, INTUNE, page="intune-deviceconfig-devicecompliancepolicy-list")
def list_policies(call: Call) -> Reply:
    return listing(call, POLICY_KIND, call.tenant.state.table("compliancePolicies").in_order())


@routes.get(ROOT + "/{policy}", INTUNE, page="intune-deviceconfig-devicecompliancepolicy-get")
def get_policy(call: Call) -> Reply:
    return entity(call, POLICY_KIND, find(call))


@routes.post(ROOT, INTUNE_WRITE, page="intune-deviceconfig-windows10compliancepolicy-create")
def create_policy(call: Call) -> Reply:
    """displayName is not unique, so a repeated POST makes a second policy."""
    body = call.json
    found = check(body, "deviceCompliancePolicy", call.version, code="BadRequest")
    check_writable(body, found, code="BadRequest")
    if found.name == "deviceCompliancePolicy":
        raise _refuse("Cannot create an abstract class.")
    if not body.get("displayName"):
        raise _refuse("The displayName of a compliance policy is required.")
    actions = _read_actions(call, body.get("scheduledActionsForRule"))
    policy = {
        **_defaults(found.name, call.version),
        **{name: value for name, value in body.items() if "@" not in name},
        "@odata.type": f"#microsoft.graph.{found.name}",
        "id": call.tenant.new_id(),
        "createdDateTime": instant(call.now),
        "lastModifiedDateTime": instant(call.now),
        "version": 1,
        "scheduledActionsForRule": actions,
        "assignments": [],
        "_created": call.now,
    }
    call.tenant.state.put("compliancePolicies", policy)
    call.tenant.replication.created(call.now)
    return entity(call, POLICY_KIND, policy, status=201)


def _read_actions(call: Call, rules: Any) -> list[Json]:
    """The scheduled actions of a body, with ids. Exactly one of them must block."""
    configurations = [item for rule in rules or [] for item in rule.get("scheduledActionConfigurations") or []]
    if sum(1 for item in configurations if item.get("actionType") == "block") != 1:
        raise _refuse("Compliance policy must have one and only one block scheduled action.")
    return [
        {
            "id": call.tenant.new_id(),
            "ruleName": rule.get("ruleName"),
            "scheduledActionConfigurations": [
                {
                    "id": call.tenant.new_id(),
                    "gracePeriodHours": 0,
                    "notificationTemplateId": "",
                    "notificationMessageCCList": [],
                    **{name: value for name, value in item.items() if "@" not in name and name != "id"},
                }
                for item in rule.get("scheduledActionConfigurations") or []
            ],
        }
        for rule in rules
    ]


@routes.patch(ROOT + "/{policy}", INTUNE_WRITE, page="intune-deviceconfig-windows10compliancepolicy-update")
def update_policy(call: Call) -> Reply:
    """The platform cannot change; scheduled actions have an action of their own (scheduleActionsForRules)."""
    policy = find(call)
    own_type = policy["@odata.type"]
    body = {"@odata.type": own_type, **call.json}
    found = check(body, "deviceCompliancePolicy", call.version, code="BadRequest")
    check_writable(body, found, code="BadRequest")
    if own_type != f"#microsoft.graph.{found.name}":
        raise _refuse("The platform of a compliance policy cannot be changed once created.")
    if "scheduledActionsForRule" in body or "assignments" in body:
        raise _refuse("Navigation properties cannot be patched; use scheduleActionsForRules or assign.")
    changes = {name: value for name, value in body.items() if "@" not in name}
    changed = {
        **policy,
        **changes,
        "version": policy["version"] + 1,
        "lastModifiedDateTime": instant(call.now),
    }
    call.tenant.state.put("compliancePolicies", changed)
    return entity(call, POLICY_KIND, changed)


@routes.delete(ROOT + "/{policy}", INTUNE_WRITE, page="intune-deviceconfig-windows10compliancepolicy-delete")
def delete_policy(call: Call) -> Reply:
    call.tenant.state.delete("compliancePolicies", find(call)["id"])
    return Reply(204)


@routes.post(
    ROOT + "/{policy}/scheduleActionsForRules",
    INTUNE_WRITE,
    page="intune-deviceconfig-devicecompliancepolicy-scheduleactionsforrules",
)
def schedule_actions(call: Call) -> Reply:
    policy = find(call)
    rules = call.json.get("deviceComplianceScheduledActionForRules")
    for rule in rules if isinstance(rules, list) else []:
        check(rule, "deviceComplianceScheduledActionForRule", call.version, code="BadRequest")
    actions = _read_actions(call, rules)
    call.tenant.state.put("compliancePolicies", {**policy, "scheduledActionsForRule": actions})
    return Reply(204)


@routes.get(
    ROOT + "/{policy}/scheduledActionsForRule",
    INTUNE,
    page="intune-deviceconfig-devicecompliancescheduledactionforrule-list",
)
def get_scheduled_actions(call: Call) -> Reply:
    """Not a path of its own, whatever the documentation says: microsoftgraph/microsoft-graph-docs#4104."""
    raise _refuse("No method match route template")


@routes.get(ROOT + "/{policy}/assignments", INTUNE, page="intune-deviceconfig-devicecompliancepolicyassignment-list")
def list_assignments(call: Call) -> Reply:
    return listing(call, ASSIGNMENT_KIND, list(find(call).get("assignments") or []))


@routes.post(ROOT + "/{policy}/assign", INTUNE_WRITE, page="intune-deviceconfig-devicecompliancepolicy-assign")
def assign(call: Call) -> Reply:
    """REPLACES the set; of two entries for one target the later is ignored."""
    policy = find(call)
    entries = call.json.get("assignments")
    if not isinstance(entries, list):
        raise _refuse("The parameter 'assignments' is missing.")
    assignments: dict[str, Json] = {}
    for entry in entries:
        check(entry, "deviceCompliancePolicyAssignment", call.version, code="BadRequest")
        target = entry.get("target") or {}
        _check_target(call, target)
        key = f"{policy['id']}_{target.get('groupId') or target['@odata.type'].rpartition('.')[2]}"
        assignments.setdefault(key, {"id": key, "target": dict(target)})
    changed = {**policy, "assignments": list(assignments.values())}
    call.tenant.state.put("compliancePolicies", changed)
    return Reply(200, {"@odata.context": call.context("Collection(deviceCompliancePolicyAssignment)"),
                       "value": changed["assignments"]})  # fmt: skip


def _check_target(call: Call, target: Json) -> None:
    kind = str(target.get("@odata.type", "")).rpartition(".")[2]
    if kind in ("allDevicesAssignmentTarget", "allLicensedUsersAssignmentTarget"):
        return
    if kind not in ("groupAssignmentTarget", "exclusionGroupAssignmentTarget"):
        raise _refuse(f"'{target.get('@odata.type')}' is not an assignment target.")
    if not is_guid(target.get("groupId")):
        raise _refuse("The groupId of an assignment target must be a GUID.")
