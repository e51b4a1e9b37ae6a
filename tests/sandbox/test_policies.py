"""Conditional access and compliance policies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from graphkit.sandbox import Seed, SimulatedTenant

CA = "/identity/conditionalAccess/policies"
LOCATIONS = "/identity/conditionalAccess/namedLocations"
COMPLIANCE = "/deviceManagement/deviceCompliancePolicies"
NOBODY = "00000000-0000-0000-0000-00000000dead"
BASELINE = Path(__file__).parents[3] / "shared/data/conditional-access-baseline"


def policy(**changes):
    body = {
        "displayName": "Require MFA",
        "state": "enabledForReportingButNotEnforced",
        "conditions": {"users": {"includeUsers": ["All"]}, "applications": {"includeApplications": ["All"]}},
        "grantControls": {"operator": "OR", "builtInControls": ["mfa"]},
    }
    return {name: value for name, value in {**body, **changes}.items() if value != "absent"}


def conditions(**changes):
    return {"conditions": {**policy()["conditions"], **changes}}


def test_a_policy_is_made_read_changed_and_deleted(graph):
    made = graph("POST", CA, policy())
    assert made.status == 201
    assert made.json["conditions"]["clientAppTypes"] == ["all"]
    graph.clock.at += 5
    path = f"{CA}/{made.json['id']}"
    assert graph("PATCH", path, {"state": "enabled"}).status == 204
    assert graph("GET", path).json["state"] == "enabled"
    assert graph("DELETE", path).status == 204
    assert graph("GET", CA).json["value"] == []


def test_names_repeat_so_a_repeated_create_makes_a_second_policy(graph):
    assert {graph("POST", CA, policy()).status for _ in range(2)} == {201}
    graph.clock.at += 5
    assert len(graph("GET", CA).json["value"]) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"displayName": "absent"},
        {"state": "absent"},
        {"state": "perhaps"},
        {"unheardOf": 1},
        {"grantControls": "absent"},
        {"grantControls": {"operator": "XOR", "builtInControls": ["mfa"]}},
        {"grantControls": {"operator": "OR", "builtInControls": ["hope"]}},
        {"grantControls": {"operator": "OR", "builtInControls": ["block", "mfa"]}},
        {"grantControls": {"operator": "OR", "builtInControls": [], "authenticationStrength": {"id": NOBODY}}},
        {"grantControls": {"operator": "OR", "builtInControls": [], "termsOfUse": [NOBODY]}},
        conditions(users={}),
        conditions(applications={}),
        conditions(users={"includeUsers": [NOBODY]}),
        conditions(users={"includeUsers": ["All"], "excludeGroups": [NOBODY]}),
        conditions(applications={"includeApplications": [NOBODY]}),
        conditions(locations={"includeLocations": [NOBODY]}),
        conditions(platforms={"includePlatforms": ["toaster"]}),
        conditions(agents={"includeAgentUsers": ["All"]}),
        {"createdDateTime": "2026-01-01T00:00:00Z"},
    ],
)
def test_a_policy_that_breaks_a_rule_is_refused(graph, changes):
    """conditionalaccessroot-post-policies.md"""
    told = graph("POST", CA, policy(**changes))
    assert (told.status, told.code) == (400, "BadRequest")


def test_security_defaults_forbid_enabled_policies_only(clock, graph):
    """ "Security Defaults is enabled in the tenant ..." (community); report-only is accepted."""
    tenant = SimulatedTenant(clock, seed=Seed(users=0, organisations=0, security_defaults=True), throttling=False)
    graph.tenant = tenant
    assert graph("POST", CA, policy()).status == 201
    assert "Security Defaults" in graph("POST", CA, policy(state="enabled")).message


def test_beta_knows_agents_and_v1_does_not_show_them(graph):
    made = graph("POST", CA, policy(**conditions(agents={"includeAgentUsers": ["All"]})), version="beta")
    assert made.status == 201
    graph.clock.at += 5
    path = f"{CA}/{made.json['id']}"
    assert "agents" in graph("GET", path, version="beta").json["conditions"]
    assert "agents" not in graph("GET", path).json["conditions"]


def test_a_location_is_made_before_the_policy_that_names_it(graph):
    network = {"@odata.type": "#microsoft.graph.iPv4CidrRange", "cidrAddress": "203.0.113.0/24"}
    kind = "#microsoft.graph.ipNamedLocation"
    location = {"@odata.type": kind, "displayName": "Office", "isTrusted": True, "ipRanges": [network]}
    made = graph("POST", LOCATIONS, location)
    assert made.status == 201
    graph.clock.at += 5
    key = made.json["id"]
    for kind, found in (("ip", 1), ("country", 0)):
        told = graph("GET", f"{LOCATIONS}?$filter=isof('microsoft.graph.{kind}NamedLocation')")
        assert len(told.json["value"]) == found
    where = {"includeLocations": ["All"], "excludeLocations": [key]}
    assert graph("POST", CA, policy(**conditions(locations=where))).status == 201
    assert "Set isTrusted to false" in graph("DELETE", f"{LOCATIONS}/{key}").message
    assert graph("PATCH", f"{LOCATIONS}/{key}", {"isTrusted": False}).status == 204
    assert "is used by" in graph("DELETE", f"{LOCATIONS}/{key}").message


@pytest.mark.parametrize(
    "body",
    [
        {"displayName": "untyped"},
        {"@odata.type": "#microsoft.graph.ipNamedLocation", "displayName": "empty", "ipRanges": []},
        {"@odata.type": "#microsoft.graph.countryNamedLocation", "displayName": "x", "countriesAndRegions": ["gb"]},
        {"@odata.type": "#microsoft.graph.compliantNetworkNamedLocation", "displayName": "beta only"},
    ],
)
def test_a_location_that_breaks_a_rule_is_refused(graph, body):
    assert graph("POST", LOCATIONS, body).status == 400


def decoded(path: Path):
    raw = path.read_bytes()
    return json.loads(raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"))


def without_annotations(value):
    if isinstance(value, list):
        return [without_annotations(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {n: v for n, v in value.items() if v is not None and "#" not in n and ("@" not in n or n == "@odata.type")}
    return {name: without_annotations(inner) for name, inner in kept.items()}


def bound(graph, found, groups, locations):
    left_out = {"id", "templateId", "createdDateTime", "modifiedDateTime"}
    body = {name: value for name, value in without_annotations(found).items() if name not in left_out}
    users = body["conditions"].get("users", {})
    for side in ("includeGroups", "excludeGroups"):
        for key in set(users.get(side, [])) - groups.keys():
            groups[key] = graph.group(f"g{len(groups)}")
        users[side] = [groups[key] for key in users.get(side, [])]
    where = body["conditions"].get("locations", {})
    for side in where.keys() & {"includeLocations", "excludeLocations"}:
        where[side] = [locations.get(key, key) for key in where[side]]
    strength = (body.get("grantControls") or {}).get("authenticationStrength")
    if strength:
        body["grantControls"]["authenticationStrength"] = {"id": strength["id"]}
    return {**body, "state": "enabledForReportingButNotEnforced"}


@pytest.mark.skipif(not BASELINE.exists(), reason="the published baseline is not on this machine")
def test_the_published_baseline_of_36_policies_is_accepted_once_bound(graph):
    locations: dict[str, str] = {}
    for path in (BASELINE / "NamedLocations").glob("*.json"):
        found = decoded(path)
        body = {n: v for n, v in without_annotations(found).items() if not n.endswith("DateTime") and n != "id"}
        locations[found["id"]] = graph("POST", LOCATIONS, body, version="beta").json["id"]
    graph.clock.at += 5
    groups: dict[str, str] = {}
    told = [
        graph("POST", CA, bound(graph, decoded(path), groups, locations), version="beta")
        for path in sorted((BASELINE / "ConditionalAccess").glob("*.json"))
    ]
    assert [t.json for t in told if t.status != 201] == []
    assert len(told) == 36


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
