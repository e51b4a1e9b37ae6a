"""The sign-in log, what policies did or would have done, and what-if."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import pytest

from graphkit.sandbox.seeding.activity import last_seen, last_seen_at, set_last_seen
from graphkit.sandbox.seeding.credentials import set_methods

SIGN_INS = "/auditLogs/signIns"
CA = "/identity/conditionalAccess/policies"
EVALUATE = "/identity/conditionalAccess/evaluate"
LOCATIONS = "/identity/conditionalAccess/namedLocations"
IN_FULL = {"Prefer": "include-unknown-enum-members"}
EXCHANGE = "00000002-0000-0ff1-ce00-000000000000"
DAY = 86_400


@pytest.fixture
def policy(graph):
    def make(name="P", state="enabledForReportingButNotEnforced", controls=("mfa",), **conditions):
        everyone = {"users": {"includeUsers": ["All"]}, "applications": {"includeApplications": ["All"]}}
        body = {
            "displayName": name,
            "state": state,
            "conditions": {**everyone, **conditions},
            "grantControls": {"operator": "OR", "builtInControls": list(controls)},
        }
        made = graph("POST", CA, body)
        assert made.status == 201, made.json
        return made.json["id"]

    return make


@pytest.fixture
def results(graph):
    """``results(policy)`` counts what a policy did in the sign-ins of the week that follows."""

    def count(key, **headers):
        graph.clock.at += 8 * DAY
        rows = graph("GET", SIGN_INS, **(headers or IN_FULL)).json["value"]
        applied = [each for row in rows for each in row["appliedConditionalAccessPolicies"]]
        return Counter(each["result"] for each in applied if each["id"] == key)

    return count


def test_the_log_has_a_week_of_sign_ins_newest_first(graph):
    rows = graph("GET", SIGN_INS).json["value"]
    times = [row["createdDateTime"] for row in rows]
    assert 300 < len(rows) < 840
    assert times == sorted(times, reverse=True)
    assert times[-1] >= "2025-12-29"
    assert times[0] < "2026-01-05"
    assert len({row["id"] for row in rows}) == len(rows)
    assert graph("GET", f"{SIGN_INS}/{rows[3]['id']}").json["createdDateTime"] == times[3]
    assert graph("GET", f"{SIGN_INS}/none").status == 404


def test_the_newest_sign_in_is_when_the_user_was_last_here(graph):
    times = {}
    for row in graph("GET", SIGN_INS).json["value"]:
        times.setdefault(row["userId"], row["createdDateTime"])
    for key, time in times.items():
        at = last_seen_at(key, graph.tenant, graph.clock.at)
        assert datetime.fromisoformat(time).timestamp() == at
        assert last_seen(key, graph.tenant) < 7


@pytest.mark.parametrize(("days", "found"), [(0, True), (8, False), (None, False)])
def test_who_was_not_here_did_not_sign_in(graph, days, found):
    set_last_seen(graph.tenant, graph.user(1), days)
    rows = graph("GET", f"{SIGN_INS}?$filter=userId eq '{graph.user(1)}'").json["value"]
    assert bool(rows) is found
    assert {row["userId"] for row in rows} <= {graph.user(1)}


def test_the_log_pages_and_filters_by_time(graph):
    everything = graph("GET", SIGN_INS).json["value"]
    since = "2026-01-02T00:00:00Z"
    later = graph("GET", f"{SIGN_INS}?$filter=createdDateTime ge {since}&$top=1000").json["value"]
    assert later == [row for row in everything if row["createdDateTime"] >= since]
    first = graph("GET", f"{SIGN_INS}?$top=100").json
    second = graph("GET", first["@odata.nextLink"]).json
    assert first["value"] + second["value"] == everything[:200]


def test_a_policy_says_nothing_of_sign_ins_before_it(graph, policy):
    policy()
    rows = graph("GET", SIGN_INS).json["value"]
    assert {len(row["appliedConditionalAccessPolicies"]) for row in rows} == {0}


def test_report_only_tells_what_would_have_been(policy, results):
    found = results(policy())
    assert set(found) == {"reportOnlySuccess", "reportOnlyInterrupted"}


@pytest.mark.parametrize(
    ("state", "controls", "conditions", "expected"),
    [
        ("disabled", ["block"], {}, {"notEnabled"}),
        ("enabled", ["block"], {}, {"failure"}),
        ("enabledForReportingButNotEnforced", ["block"], {}, {"reportOnlyFailure"}),
        ("enabledForReportingButNotEnforced", ["compliantDevice"], {}, {"reportOnlySuccess", "reportOnlyFailure"}),
        ("enabledForReportingButNotEnforced", ["block"], {"signInRiskLevels": ["high"]}, {"reportOnlyNotApplied"}),
        ("enabled", ["block"], {"signInRiskLevels": ["high"]}, {"notApplied"}),
        (
            "enabledForReportingButNotEnforced",
            ["block"],
            {"clientAppTypes": ["exchangeActiveSync", "other"]},
            {"reportOnlyFailure", "reportOnlyNotApplied"},
        ),
    ],
)
def test_a_result_follows_from_state_conditions_and_controls(policy, results, state, controls, conditions, expected):
    assert set(results(policy(state=state, controls=controls, **conditions))) == expected


def test_report_only_results_are_told_in_full_to_whoever_prefers_it(policy, results):
    """appliedconditionalaccesspolicy.md: an evolvable enumeration"""
    assert set(results(policy(), Prefer="respond-async")) == {"unknownFutureValue"}


def test_who_may_not_read_policies_sees_none_applied(graph, policy):
    policy()
    graph.clock.at += 8 * DAY
    signer = graph.tenant.login.signer
    claims = {"iss": signer.issuer, "exp": graph.clock.at + 999, "idtyp": "app", "appid": "a"}
    counts = []
    for roles in (["AuditLog.Read.All"], ["AuditLog.Read.All", "Policy.Read.All"]):
        token = {"Authorization": f"Bearer {signer.sign({**claims, 'roles': roles})}"}
        rows = graph("GET", f"{SIGN_INS}?$top=1", **token).json["value"]
        counts.append(len(rows[0]["appliedConditionalAccessPolicies"]))
    assert counts == [0, 1]


def test_the_log_can_be_asked_for_what_would_fail(graph, policy):
    policy(controls=["block"], users={"includeUsers": [graph.user(1)]})
    set_last_seen(graph.tenant, graph.user(1), 0)
    graph.clock.at += 8 * DAY
    question = "appliedConditionalAccessPolicies/any(p:p/result eq 'reportOnlyFailure')"
    rows = graph("GET", f"{SIGN_INS}?$filter={question}", **IN_FULL).json["value"]
    assert {row["userId"] for row in rows} == {graph.user(1)}


def test_who_has_registered_nothing_fails_an_enforced_demand_for_mfa(graph, policy, results):
    for number in (1, 2):
        set_last_seen(graph.tenant, graph.user(number), 0)
    set_methods(graph.tenant, graph.user(1))
    set_methods(graph.tenant, graph.user(2), "fido2")
    found = results(policy(state="enabled", users={"includeUsers": [graph.user(1)]}))
    assert set(found) == {"failure", "notApplied"}
    assert set(results(policy(state="enabled", users={"includeUsers": [graph.user(2)]}))) == {"success", "notApplied"}


# -- what-if --


@pytest.fixture
def ask(graph):
    """``ask(country="GB")`` names the policies that would apply to the first user, and why the others would not."""

    def evaluate(app=EXCHANGE, only=False, context=None, **conditions):
        body = {
            "signInIdentity": {"@odata.type": "#microsoft.graph.userSignIn", "userId": graph.user(1)},
            "signInContext": context
            or {"@odata.type": "#microsoft.graph.applicationContext", "includeApplications": [app]},
            "signInConditions": conditions,
            "appliedPoliciesOnly": only,
        }
        told = graph("POST", EVALUATE, body)
        assert told.status == 200, told.json
        return {each["displayName"]: each["analysisReasons"] for each in told.json["value"]}

    return evaluate


def test_conditions_are_judged_one_by_one(graph, policy, ask):
    group = graph.group()
    network = {"@odata.type": "#microsoft.graph.iPv4CidrRange", "cidrAddress": "203.0.113.0/24"}
    kind = {"@odata.type": "#microsoft.graph.ipNamedLocation", "displayName": "Office", "isTrusted": True}
    graph("POST", LOCATIONS, {**kind, "ipRanges": [network]})
    policy("everyone")
    policy("group", users={"includeGroups": [group]})
    policy("office", applications={"includeApplications": ["Office365"]})
    policy("untrusted", locations={"includeLocations": ["All"], "excludeLocations": ["AllTrusted"]})
    policy("phones", platforms={"includePlatforms": ["iOS", "android"]})
    policy("legacy", clientAppTypes=["other"])
    policy("risky", signInRiskLevels=["high"])
    policy("off", state="disabled")
    policy("registration", applications={"includeUserActions": ["urn:user:registersecurityinfo"]})
    assert ask(ipAddress="203.0.113.7", devicePlatform="windows", clientAppType="browser") == {
        "everyone": "notSet",
        "group": "users",
        "office": "notSet",
        "untrusted": "location",
        "phones": "devicePlatform",
        "legacy": "clientApps",
        "risky": "signInRisk",
        "off": "policyNotEnabled",
        "registration": "application",
    }
    graph("POST", f"/groups/{group}/members/$ref", {"@odata.id": graph.link(graph.user(1))})
    answer = ask(only=True, ipAddress="192.0.2.7", devicePlatform="iOS", signInRiskLevel="high")
    assert list(answer) == ["everyone", "group", "office", "untrusted", "phones", "risky"]
    action = {"@odata.type": "#microsoft.graph.userActionContext", "userAction": "registerSecurityInformation"}
    assert list(ask(only=True, context=action)) == ["registration"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"signInIdentity": {"servicePrincipalId": "x"}, "signInContext": {}, "signInConditions": {}}, 501),
        ({"signInIdentity": {"userId": "x"}, "signInContext": {}, "signInConditions": {}}, 400),
    ],
)
def test_what_if_needs_a_user(graph, body, status):
    assert graph("POST", EVALUATE, body).status == status
