"""Compliance policies."""

from __future__ import annotations

import pytest

COMPLIANCE = "/deviceManagement/deviceCompliancePolicies"
BLOCK = [{"ruleName": "PasswordRequired", "scheduledActionConfigurations": [
    {"actionType": "block", "gracePeriodHours": 72, "notificationTemplateId": ""}]}]  # fmt: skip


def compliance(**changes):
    return {"@odata.type": "#microsoft.graph.windows10CompliancePolicy", "displayName": "Floor",
            "osMinimumVersion": "10.0.22631.4000", "scheduledActionsForRule": BLOCK, **changes}  # fmt: skip


def test_a_compliance_policy_hides_its_actions_unless_expanded(graph):
    """microsoftgraph/microsoft-graph-docs#7746"""
    made = graph("POST", COMPLIANCE, compliance())
    assert made.status == 201
    graph.clock.at += 5
    path = f"{COMPLIANCE}/{made.json['id']}"
    assert "scheduledActionsForRule" not in graph("GET", path).json
    expand = "?$expand=assignments,scheduledActionsForRule($expand=scheduledActionConfigurations)"
    shown = graph("GET", path + expand).json
    assert shown["scheduledActionsForRule"][0]["scheduledActionConfigurations"][0]["gracePeriodHours"] == 72
    assert shown["assignments"] == []
    assert graph("GET", f"{path}/scheduledActionsForRule").code == "No method match route template"


@pytest.mark.parametrize(
    "changes",
    [
        {"scheduledActionsForRule": []},
        {"scheduledActionsForRule": BLOCK * 2},
        {"displayName": None},
        {"@odata.type": "#microsoft.graph.deviceCompliancePolicy"},
        {"@odata.type": "#microsoft.graph.user"},
        {"validOperatingSystemBuildRanges": []},
        {"bitLockerEnabled": "yes"},
        {"passwordRequiredType": "sometimes"},
    ],
)
def test_a_compliance_policy_that_breaks_a_rule_is_refused(graph, changes):
    assert graph("POST", COMPLIANCE, compliance(**changes)).status == 400


def test_build_ranges_are_beta_only(graph):
    ranges = [{"description": "23H2", "lowestVersion": "10.0.22631.4000", "highestVersion": "10.0.22631.9999"}]
    made = graph("POST", COMPLIANCE, compliance(validOperatingSystemBuildRanges=ranges), version="beta")
    assert made.json["validOperatingSystemBuildRanges"] == ranges
    graph.clock.at += 5
    assert "validOperatingSystemBuildRanges" not in graph("GET", f"{COMPLIANCE}/{made.json['id']}").json


def test_a_change_must_keep_the_platform(graph):
    made = graph("POST", COMPLIANCE, compliance()).json
    graph.clock.at += 5
    path = f"{COMPLIANCE}/{made['id']}"
    told = graph("PATCH", path, {"@odata.type": "#microsoft.graph.iosCompliancePolicy", "osMinimumVersion": "17"})
    assert "platform" in told.message
    changed = graph("PATCH", path, {"@odata.type": made["@odata.type"], "bitLockerEnabled": True})
    assert (changed.status, changed.json["bitLockerEnabled"], changed.json["version"]) == (200, True, 2)


def test_assign_replaces_the_whole_set_and_ignores_a_second_entry_for_a_target(graph):
    """microsoft/Intune-PowerShell-SDK#70, MG-Cloudflow/Intune-Toolkit#57"""
    key = graph("POST", COMPLIANCE, compliance()).json["id"]
    graph.clock.at += 5
    group = {"@odata.type": "#microsoft.graph.groupAssignmentTarget", "groupId": graph.user(1)}
    excluded = {**group, "@odata.type": "#microsoft.graph.exclusionGroupAssignmentTarget"}
    everyone = {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"}
    path = f"{COMPLIANCE}/{key}"
    assert graph("POST", f"{path}/assign", {"assignments": [{"target": everyone}]}).status == 200
    graph("POST", f"{path}/assign", {"assignments": [{"target": group}, {"target": excluded}]})
    assert [a["target"] for a in graph("GET", f"{path}/assignments").json["value"]] == [group]
    assert (
        graph("POST", f"{path}/assign", {"assignments": [{"target": {"@odata.type": "#microsoft.graph.x"}}]}).status
        == 400
    )
