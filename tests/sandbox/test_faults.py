"""Fault rules: which calls they mean, and what becomes of these. Faults of the wire are in test_wire_faults.py."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from email.utils import parsedate_to_datetime

import httpx
import pytest

from graphkit.clock import VirtualClock, run
from graphkit.sandbox import App, SandboxTransport, Seed, SimulatedTenant
from graphkit.sandbox.faults import ACTIONS, check_rule

SMALL = Seed(organisations=2, users=120, seats={"SPE_E3": 60})
TITLE = {"jobTitle": "x"}
GROUP = {"displayName": "A", "mailEnabled": False, "mailNickname": "a", "securityEnabled": True}
ORGANISATION = "/organization"
TOKEN = "/oauth2/v2.0/token"


@pytest.fixture
def faults(graph):
    """``faults(rule, ...)`` puts rules in force."""

    def add(*rules):
        graph.tenant.faults.extend(rules)
        return graph.tenant.faults.rules

    return add


def statuses(graph, count, method="GET", path=ORGANISATION, body=None, **headers):
    return [graph(method, path, body, **headers).status for _ in range(count)]


# -- which calls --


@pytest.mark.parametrize(
    ("keys", "struck"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"times": 2}, [1, 2]),
        ({"nth": 3}, [3]),
        ({"nth": [2, 5]}, [2, 5]),
        ({"nth": {"from": 4}}, [4, 5, 6]),
        ({"nth": {"from": 2, "every": 2}}, [2, 4, 6]),
        ({"nth": {"from": 2, "every": 2}, "times": 2}, [2, 4]),
        ({"probability": 0}, []),
        ({"probability": 1}, [1, 2, 3, 4, 5, 6]),
    ],
)
def test_of_the_calls_that_match_these_are_struck(graph, faults, keys, struck):
    faults({"action": "answer", "status": 500, **keys})
    told = statuses(graph, 6)
    assert [number for number, status in enumerate(told, 1) if status == 500] == struck


@pytest.mark.parametrize(
    ("keys", "call", "fits"),
    [
        ({"method": "get"}, ("GET", ORGANISATION), True),
        ({"method": ["POST", "PATCH"]}, ("GET", ORGANISATION), False),
        ({"method": ["POST", "GET"]}, ("GET", ORGANISATION), True),
        ({"path": "/Groups*"}, ("GET", "/groups?$top=5"), True),
        ({"path": "/groups/*"}, ("GET", "/groups"), False),
        ({"path": "/users/*@*"}, ("GET", "/users/rx1-0001%40contoso.example"), True),
        ({"path": "/users", "method": "GET"}, ("GET", "/beta/users"), False),
        ({"workload": "identity"}, ("GET", ORGANISATION), True),
        ({"workload": "identity"}, ("GET", "/deviceManagement/deviceCompliancePolicies"), False),
        ({"workload": "intune"}, ("GET", "/deviceManagement/deviceCompliancePolicies"), True),
        ({"workload": "teams"}, ("PUT", "/groups/x/team"), True),
        ({"workload": "conditional-access"}, ("GET", "/identity/conditionalAccess/policies"), True),
        ({"workload": "graph"}, ("GET", ORGANISATION), True),
        ({"workload": "login"}, ("GET", ORGANISATION), False),
        ({"in_batch": True}, ("GET", ORGANISATION), False),
        ({"in_batch": False}, ("GET", ORGANISATION), True),
    ],
)
def test_a_rule_fits_what_it_says(graph, faults, keys, call, fits):
    faults({"action": "answer", "status": 418, **keys})
    assert (graph(*call).status == 418) is fits


def test_a_batch_its_items_and_calls_by_themselves_are_told_apart(graph, faults):
    rules = faults(*({"workload": "batch", "action": "delay"}, {"in_batch": True, "action": "delay"},
                     {"in_batch": False, "action": "delay"}, {"workload": "graph", "action": "delay"}))  # fmt: skip
    items = [{"id": str(n), "method": "GET", "url": ORGANISATION} for n in range(3)]
    graph("POST", "/$batch", {"requests": items})
    graph("GET", ORGANISATION)
    assert [rule.matched for rule in rules] == [1, 3, 2, 5]


def test_an_app_is_meant_by_its_id_or_its_opaque_token(graph, faults):
    faults({"app": "night-run", "action": "answer", "status": 500})
    assert statuses(graph, 1, Authorization="Bearer night-run") == [500]
    assert statuses(graph, 1, Authorization="Bearer other") == [200]


def test_an_app_that_has_signed_in_is_meant_by_its_id_at_the_login_too(graph, faults):
    app_id = "11111111-2222-3333-4444-555555555555"
    graph.tenant.login.register(App(app_id, "Second", frozenset({"Organization.Read.All"}), {"s": float("inf")}))
    assert signed_in(graph, app_id)[0] == 200
    faults({"app": app_id.upper(), "action": "answer", "aadsts": 7000222, "workload": "login"},
           {"app": app_id, "action": "answer", "status": 503})  # fmt: skip
    status, document = signed_in(graph, app_id)
    assert (status, document["error"], document["error_codes"]) == (401, "invalid_client", [7000222])
    assert document["error_description"].startswith("AADSTS7000222: The provided client secret keys")
    assert signed_in(graph, graph.tenant.seed.app_id)[0] == 200


def signed_in(graph, app_id):
    app = graph.tenant.login.apps[app_id]
    secret = next(iter(app.secrets))
    form = f"client_id={app_id}&client_secret={secret}&grant_type=client_credentials"
    form += "&scope=https%3A%2F%2Fgraph.microsoft.com%2F.default"
    url = f"https://login.microsoftonline.com/{graph.tenant.tenant_id}{TOKEN}"
    answer = graph.tenant.handle("POST", url, {"Content-Type": "application/x-www-form-urlencoded"}, form.encode())
    return answer.status, json.loads(answer.body)


def test_a_window_of_time_begins_when_the_rule_was_loaded(graph, faults, clock):
    (rule,) = faults({"from": 60, "until": 120, "action": "answer", "status": 500})
    told = []
    for _ in range(4):
        told += statuses(graph, 1)
        clock.at += 59.9
    assert told == [200, 200, 500, 200]
    assert rule.matched == 1  # outside the window calls are not even counted


def test_a_window_can_be_told_in_absolute_time(graph, faults, clock):
    faults({"from": "2026-01-05T09:10:00Z", "until": "2026-01-05T10:20:00+01:00", "action": "answer", "status": 500})
    told = []
    for _ in range(3):
        told += statuses(graph, 1)
        clock.at += 600
    assert told == [200, 500, 200]


def test_on_virtual_time_a_window_begins_with_the_first_call():
    async def main():
        async with httpx.AsyncClient(
            transport=SandboxTransport(tenant), headers={"Authorization": "Bearer x"}
        ) as client:
            await tenant.clock.sleep(500)
            told = [(await client.get("https://graph.microsoft.com/v1.0/organization")).status_code]
            await tenant.clock.sleep(61)
            return [*told, (await client.get("https://graph.microsoft.com/v1.0/organization")).status_code]

    tenant = SimulatedTenant(VirtualClock(), seed=SMALL)
    tenant.faults.add({"until": 60, "action": "answer", "status": 500})  # there is no time yet
    assert run(main(), virtual=True) == [500, 200]


def test_counts_windows_and_memories_outlive_the_process(tmp_path, clock, graph, faults):
    graph.tenant = SimulatedTenant.open(tmp_path / "a.db", clock, seed=SMALL, throttling=False)
    graph.tenant.faults.extend(
        [
            {"path": "/groups", "nth": 2, "action": "answer", "status": 500},
            {"path": "/users", "until": 60, "action": "answer", "status": 500},
            {"path": "/domains", "action": "forbid", "seconds": 60},
        ]
    )
    told = [graph("GET", path).status for path in ("/groups", "/users", "/domains")]
    graph.tenant.close()
    clock.at += 59
    graph.tenant = SimulatedTenant.open(tmp_path / "a.db", clock, throttling=False)
    told += [graph("GET", path).status for path in ("/groups", "/users", "/domains")]
    clock.at += 2
    told += [graph("GET", path).status for path in ("/groups", "/users", "/domains")]
    assert told == [200, 500, 403, 500, 500, 403, 200, 200, 200]
    graph.tenant.close()


# -- outcomes and changes --


def test_of_outcomes_the_first_due_strikes_and_changes_add_up(graph, faults):
    rules = faults(
        {"action": "delay", "seconds": 3},
        {"nth": 2, "action": "answer", "status": 502},
        {"action": "answer", "status": 503, "nth": [2, 3]},
        {"action": "delay", "seconds": 4},
        {"action": "alter", "headers": {"x-more": "1"}},
    )
    told = [graph.tenant.handle("GET", "https://x.example/v1.0/organization", {"Authorization": "x"}) for _ in range(3)]
    assert [(answer.status, answer.delay_s) for answer in told] == [(200, 7), (502, 7), (503, 7)]
    assert ["x-more" in answer.headers for answer in told] == [True, False, False]
    assert [(rule.matched, rule.fired) for rule in rules] == [(3, 3), (3, 1), (3, 1), (3, 3), (3, 1)]


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({"status": 409, "code": "Directory_ConcurrencyViolation", "message": "Wait."},
         (409, "Directory_ConcurrencyViolation", "Wait.")),
        ({"status": 504}, (504, "UnknownError", "")),
        ({"status": 503}, (503, "ServiceUnavailable", "The service is temporarily unavailable.")),
        ({"status": 423}, (423, "Locked", "The resource that is being accessed is locked.")),
        ({"status": 412, "message": ""}, (412, "ConditionNotMet", "")),
        ({"status": 429}, (429, "TooManyRequests", "Please retry again later.")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("action", ["answer", "commit-then", "answer-then-commit"])
def test_an_error_has_a_code_and_a_message(graph, faults, action, rule, wanted):
    faults({"action": action, **rule})
    told = graph("PATCH", f"/users/{graph.user(1)}", TITLE)
    assert (told.status, told.code, told.message) == wanted
    assert "request-id" in told.json["error"]["innerError"]


def test_a_404_is_worded_by_the_service_that_is_asked(graph, faults):
    faults({"action": "answer", "status": 404})
    assert graph("GET", ORGANISATION).code == "Request_ResourceNotFound"
    assert graph("GET", "/teams/x").code == "NotFound"


def test_a_401_comes_with_its_challenge(graph, faults):
    faults({"action": "answer", "status": 401})
    told = graph("GET", ORGANISATION)
    assert (told.code, told.headers["WWW-Authenticate"][:6]) == ("InvalidAuthenticationToken", "Bearer")


@pytest.mark.parametrize(
    ("keys", "wanted"),
    [
        ({"retry_after": 7}, ("Retry-After", "7")),
        ({"retry_after": 2.128}, ("Retry-After", "2.128")),
        ({"retry_after": "0"}, ("Retry-After", "0")),
        ({"retry_after": -5}, ("Retry-After", "-5")),
        ({"retry_after": 99999999999}, ("Retry-After", "99999999999")),
        ({"headers": {"retry-after": 3}}, ("retry-after", "3")),
        ({"retry_after": None}, None),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 509])
def test_a_wait_is_told_in_any_form_or_not_at_all(graph, faults, status, keys, wanted):
    faults({"action": "throttle", "status": status, **keys})
    told = graph("GET", ORGANISATION)
    assert told.status == status
    found = next((item for item in told.headers.items() if item[0].lower() == "retry-after"), None)
    assert found == wanted


def test_a_wait_can_be_a_date_by_the_tenants_clock(graph, faults, clock):
    faults({"action": "throttle", "retry_after": {"date": 90}})
    assert parsedate_to_datetime(graph("GET", ORGANISATION).headers["Retry-After"]).timestamp() == clock.at + 90


# -- alter --


def test_a_true_answer_gets_other_headers_and_keeps_its_body(graph, faults):
    faults({"action": "alter", "retry_after": 30, "headers": {"REQUEST-ID": None, "x-new": 1}, "status": 202})
    told = graph("GET", ORGANISATION)
    assert (told.status, told.headers["Retry-After"], told.headers["x-new"]) == (202, "30", "1")
    assert told.json["value"][0]["id"] == graph.tenant.tenant_id


def test_the_log_says_what_an_altered_answer_said(graph, faults):
    faults({"method": "PATCH", "action": "alter", "status": 202, "retry_after": "5"})
    assert graph("PATCH", f"/users/{graph.user(1)}", TITLE).status == 202
    assert [(entry.status, entry.faulted) for entry in graph.tenant.log] == [(202, True)]


@pytest.mark.parametrize(
    ("patch", "wanted"),
    [
        ({"jobTitle": "Other", "brandNew": {"a": 1}}, {"jobTitle": "Other", "brandNew": {"a": 1}}),
        ({"jobTitle": None}, {}),
        ({"onPremisesExtensionAttributes": {"extensionAttribute1": "x"}},
         {"jobTitle": None, "onPremisesExtensionAttributes": {"extensionAttribute1": "x"}}),
    ],
)  # fmt: skip
def test_a_body_can_be_merged_into(graph, faults, patch, wanted):
    faults({"method": "GET", "action": "alter", "merge": patch})
    told = graph("GET", f"/users/{graph.user(1)}?$select=jobTitle").json
    assert {name: value for name, value in told.items() if "@" not in name} == wanted


@pytest.mark.parametrize("status", [502, 503])
def test_what_exists_already_can_be_told_as_an_outage(graph, faults, status):
    graph.group()
    faults({"method": "POST", "action": "alter", "if_status": [400, 409], "status": status, "code": "BadGateway"})
    assert graph("POST", "/users", {"displayName": "A"}).code == "BadGateway"
    assert graph("POST", "/groups", {**GROUP, "mailNickname": "b"}).status == 201
    assert [entry.status for entry in graph.tenant.log] == [201, 201]


# -- commits and answers that do not go together --


@pytest.mark.parametrize("failure", ["timeout", "reset", "goaway"])
def test_a_commit_without_an_answer_is_logged_as_told_nothing(graph, faults, failure):
    faults({"method": "PATCH", "action": "commit-then", "failure": failure})
    assert graph("PATCH", f"/users/{graph.user(1)}", TITLE).failure == failure
    assert [(entry.status, entry.faulted) for entry in graph.tenant.log] == [(0, True)]


def test_what_the_service_refuses_is_refused_and_not_committed(graph, faults):
    faults({"method": "PATCH", "action": "commit-then", "status": 504})
    assert graph("PATCH", "/users/absent@contoso.example", TITLE).status == 404
    assert len(graph.tenant.log) == 0


def test_an_error_now_and_the_write_later(graph, faults, clock):
    faults({"method": "POST", "path": "/groups", "nth": 1, "action": "answer-then-commit", "after": 30})
    told = graph("POST", "/groups", GROUP, client_request_id="one")
    assert (told.status, len(graph.tenant.log)) == (504, 0)
    clock.at += 29
    assert graph("GET", "/groups?$filter=mailNickname eq 'a'").json["value"] == []
    clock.at += 1.5
    (found,) = graph("GET", "/groups?$filter=mailNickname eq 'a'").json["value"]
    (entry,) = graph.tenant.log
    assert (entry.object_id, entry.status, entry.faulted) == (found["id"], 504, True)
    assert (entry.at, entry.client_request_id) == (clock.at - 0.5, "one")


def test_a_late_write_may_come_to_nothing_and_the_log_says_so(graph, faults, clock):
    faults({"method": "PATCH", "nth": 1, "action": "answer-then-commit", "failure": "reset", "after": 5})
    user = graph.user(1)
    assert graph("PATCH", f"/users/{user}", TITLE).failure
    assert graph("DELETE", f"/users/{user}").status == 204
    clock.at += 6
    graph("GET", ORGANISATION)
    told = [(entry.method, entry.kind, entry.object_id, entry.status) for entry in graph.tenant.log]
    assert told == [("DELETE", "users", user, 204), ("PATCH", "refused", "Request_ResourceNotFound", 0)]
    assert graph("GET", f"/users/{user}").status == 404


def test_a_call_that_the_service_would_refuse_is_not_put_off(graph, faults):
    faults({"action": "answer-then-commit"})
    assert graph("GET", "/notThere").status in (400, 501)
    assert graph("PATCH", f"/users/{graph.user(1)}", TITLE, Authorization="").status == 401


def test_a_late_write_is_charged_once(clock, graph):
    graph.tenant = SimulatedTenant(clock, seed=SMALL)
    graph.tenant.faults.add({"method": "PATCH", "action": "answer-then-commit", "after": 1})
    path = f"/users/{graph.user(1)}"
    told = [graph("PATCH", path, {"jobTitle": str(number)}).status for number in range(3001)]
    assert (told.count(504), told.count(429)) == (3000, 1)
    clock.at += 1
    graph("GET", ORGANISATION)
    assert len(graph.tenant.log) == 3000


def test_a_late_write_outlives_the_process(tmp_path, clock, graph):
    graph.tenant = SimulatedTenant.open(tmp_path / "a.db", clock, seed=SMALL, throttling=False, replication_s=0)
    graph.tenant.faults.add({"method": "POST", "action": "answer-then-commit", "after": 60})
    assert graph("POST", "/groups", GROUP).status == 504
    graph.tenant.close()
    clock.at += 61
    graph.tenant = SimulatedTenant.open(tmp_path / "a.db", clock, throttling=False, replication_s=0)
    assert len(graph("GET", "/groups?$filter=mailNickname eq 'a'").json["value"]) == 1
    assert [entry.status for entry in graph.tenant.log] == [504]
    graph.tenant.close()
    assert b"Bearer" not in (tmp_path / "a.db").read_bytes()


def test_what_a_late_write_puts_off_is_done_later_still(graph, faults, clock):
    group = graph.group()
    faults({"path": "/groups/*/assignLicense", "action": "answer-then-commit", "after": 10})
    sku = {
        "addLicenses": [{"skuId": "05e9a617-0261-4cee-bb44-138d3ef5d965", "disabledPlans": []}],
        "removeLicenses": [],
    }
    assert graph("POST", f"/groups/{group}/assignLicense", sku).status == 504
    clock.at += 11
    graph("GET", ORGANISATION)
    entry = graph.tenant.log[-1]
    assert (entry.kind, entry.at, entry.effective) == ("groups", clock.at - 1, 0)
    clock.at += 10
    graph("GET", ORGANISATION)
    assert graph.tenant.log[-1].effective == entry.at + graph.tenant.licensing_s


# -- replicas --


def seen(graph, path, count):
    return [graph("GET", path).status for _ in range(count)]


def test_a_new_object_is_seen_unseen_and_seen_again(graph, faults, clock):
    faults({"method": "POST", "action": "lag", "seconds": 600, "mode": "alternate"})
    path = f"/groups/{graph('POST', '/groups', GROUP).json['id']}"
    assert seen(graph, path, 5) == [200, 404, 200, 404, 200]
    clock.at += 599
    assert set(seen(graph, path, 4)) == {200, 404}
    clock.at += 2
    assert seen(graph, path, 5) == [200] * 5


@pytest.mark.parametrize(("replicas", "shares"), [(1, (0.5, 0.8)), (2, (0.2, 0.5)), (3, (0, 0))])
def test_a_new_object_is_missing_at_some_replicas_of_three(graph, faults, clock, replicas, shares):
    faults({"method": "POST", "action": "lag", "seconds": 60, "replicas": replicas})
    path = f"/groups/{graph('POST', '/groups', GROUP).json['id']}"
    clock.at += 30  # beyond the usual window
    share = seen(graph, path, 200).count(200) / 200
    assert shares[0] <= share <= shares[1]
    clock.at += 31
    assert set(seen(graph, path, 20)) == {200}


def test_lists_lag_as_objects_do(graph, faults):
    faults({"method": "POST", "action": "lag", "replicas": 3})
    graph("POST", "/groups", GROUP)
    assert {len(graph("GET", "/groups?$filter=mailNickname eq 'a'").json["value"]) for _ in range(20)} == {0}


def test_a_change_lags_and_shows_what_was(graph, faults, clock):
    user = graph.user(1)
    graph("PATCH", f"/users/{user}", {"jobTitle": "before"})
    clock.at += 10
    faults({"method": "PATCH", "action": "lag", "seconds": 300, "replicas": 2})
    graph("PATCH", f"/users/{user}", {"jobTitle": "after"})
    clock.at += 290
    told = [graph("GET", f"/users/{user}?$select=jobTitle").json["jobTitle"] for _ in range(60)]
    assert set(told) == {"before", "after"}
    assert told.count("before") > told.count("after")
    clock.at += 11
    assert {graph("GET", f"/users/{user}?$select=jobTitle").json["jobTitle"] for _ in range(20)} == {"after"}


def test_what_is_changed_later_without_a_fault_has_the_usual_lag(graph, faults, clock):
    faults({"method": "POST", "times": 1, "action": "lag", "seconds": 60, "replicas": 3})
    group = graph("POST", "/groups", GROUP).json["id"]
    clock.at += 61
    graph("PATCH", f"/groups/{group}", {"description": "new"})
    clock.at += 3
    assert {graph("GET", f"/groups/{group}").json["description"] for _ in range(10)} == {"new"}


def test_without_replication_a_rule_can_have_its_lag_all_the_same(clock, graph):
    graph.tenant = SimulatedTenant(clock, seed=SMALL, throttling=False, replication_s=0)
    graph.tenant.faults.add({"method": "PATCH", "action": "lag", "seconds": 30, "replicas": 3})
    graph("PATCH", f"/users/{graph.user(1)}", {"jobTitle": "after"})
    path = f"/users/{graph.user(1)}?$select=jobTitle"
    assert graph("GET", path).json["jobTitle"] != "after"
    clock.at += 31
    assert graph("GET", path).json["jobTitle"] == "after"


def test_a_member_lags_too(graph, faults, clock):
    group, user, replication = graph.group(), graph.user(1), graph.tenant.replication
    faults({"path": "/groups/*/members/$ref", "action": "lag", "seconds": 120, "replicas": 2})
    graph("POST", f"/groups/{group}/members/$ref", {"@odata.id": graph.link(user)})
    clock.at += 119
    assert [user in replication.linked("members", group, clock.at, replica) for replica in range(3)] == [
        False,
        False,
        True,
    ]
    clock.at += 2
    assert all(user in replication.linked("members", group, clock.at, replica) for replica in range(3))


def test_the_log_tells_when_a_lagging_write_is_everywhere(graph, faults, clock):
    faults({"method": "POST", "times": 1, "action": "lag", "seconds": 600})
    graph("POST", "/groups", GROUP)
    graph("POST", "/groups", {**GROUP, "mailNickname": "b"})
    usual = graph.tenant.replication.window_s
    assert [entry.visible - entry.at for entry in graph.tenant.log] == [600, usual]


def test_a_lag_outlives_the_process(tmp_path, clock, graph):
    graph.tenant = SimulatedTenant.open(tmp_path / "a.db", clock, seed=SMALL, throttling=False)
    graph.tenant.faults.add({"method": "POST", "action": "lag", "seconds": 60, "replicas": 3})
    group = graph("POST", "/groups", GROUP).json["id"]
    graph.tenant.close()
    clock.at += 30
    graph.tenant = SimulatedTenant.open(tmp_path / "a.db", clock, throttling=False)
    assert graph("GET", f"/groups/{group}").status == 404
    assert graph("GET", "/groups?$filter=mailNickname eq 'a'").json["value"] == []
    clock.at += 31
    assert graph("GET", f"/groups/{group}").status == 200
    graph.tenant.close()


# -- two writes at once --


def test_two_writes_to_one_object_clash(graph, faults, clock):
    faults({"action": "concurrency", "ms": 200})
    one, other = (f"/users/{graph.user(number)}" for number in (1, 2))
    told = [graph("PATCH", path, TITLE) for path in (one, other, one)]
    assert [answer.status for answer in told] == [204, 204, 409]
    assert told[2].code == "Directory_ConcurrencyViolation"
    clock.at += 0.25
    assert graph("PATCH", one, TITLE).status == 204
    assert statuses(graph, 3, path=one) == [200] * 3
    assert len(graph.tenant.log) == 3


def test_members_of_one_group_are_writes_to_it(graph, faults):
    group, other = graph.group("A"), graph.group("B")
    faults({"action": "concurrency", "ms": 200})
    members = [(group, 1), (other, 2), (group, 3)]
    told = [
        graph("POST", f"/groups/{key}/members/$ref", {"@odata.id": graph.link(graph.user(number))}).status
        for key, number in members
    ]
    assert told == [204, 204, 409]


# -- refusals that last --


def test_a_permission_on_its_way_is_refused_until_it_is_there(graph, faults, clock):
    faults({"method": "PATCH", "nth": 2, "action": "forbid", "seconds": 60})
    path, told = f"/users/{graph.user(1)}", []
    for _ in range(6):
        told.append(graph("PATCH", path, TITLE).status)
        clock.at += 21
    assert told == [204, 403, 403, 403, 204, 204]


def sign(graph):
    return "Bearer " + signed_in(graph, graph.tenant.seed.app_id)[1]["access_token"]


def test_a_challenge_is_met_by_a_newer_token_of_the_same_app(graph, faults, clock):
    faults({"nth": 3, "action": "challenge"})
    old = sign(graph)
    assert statuses(graph, 5, Authorization=old) == [200, 200, 401, 401, 401]
    told = graph("GET", ORGANISATION, Authorization=old)
    assert 'error="insufficient_claims"' in told.headers["WWW-Authenticate"]
    assert 'claims="ey' in told.headers["WWW-Authenticate"]
    assert statuses(graph, 2, Authorization="Bearer somebody-else") == [200, 200]
    new = sign(graph)  # within the same second
    assert statuses(graph, 3, Authorization=new) == [200] * 3
    assert statuses(graph, 1, Authorization=old) == [401]


def test_each_app_is_challenged_once_unless_the_rule_chooses_calls(graph, faults):
    faults({"path": ORGANISATION, "action": "challenge"})
    assert statuses(graph, 2, Authorization=sign(graph)) == [401, 401]
    assert statuses(graph, 3, Authorization=sign(graph)) == [200] * 3


def test_a_challenge_that_nothing_meets(graph, faults):
    faults({"probability": 1, "action": "challenge"})
    assert [graph("GET", ORGANISATION, Authorization=sign(graph)).status for _ in range(4)] == [401] * 4


def test_the_token_endpoint_refuses_in_its_own_words(graph, faults):
    app = graph.tenant.seed.app_id
    faults(
        {"path": TOKEN, "nth": 1, "action": "answer", "aadsts": 90033},
        {"path": TOKEN, "nth": 2, "action": "throttle", "retry_after": "60"},
        {"path": TOKEN, "nth": 3, "action": "answer", "status": 502},
        {"path": TOKEN, "nth": 4, "action": "answer", "status": 400},
    )
    told = [signed_in(graph, app) for _ in range(5)]
    assert [status for status, _ in told] == [503, 429, 502, 400, 200]
    assert [document.get("error") for _, document in told] == [
        "temporarily_unavailable", "temporarily_unavailable", "temporarily_unavailable", "invalid_request", None,
    ]  # fmt: skip


# -- death --


KILLED = """
    import sys
    from graphkit.sandbox import Seed, SimulatedTenant
    class Clock:
        def now(self): return 1767603600.0
    tenant = SimulatedTenant.open(sys.argv[1], Clock(), seed=Seed(organisations=1, users=4))
    tenant.faults.add({"method": "PATCH", "nth": 2, "action": "kill", "when": sys.argv[2]})
    for number in (1, 2, 3):
        answer = tenant.handle("PATCH", f"https://graph.microsoft.com/v1.0/users/rx1-000{number}@contoso.example",
                               {"Authorization": "Bearer x", "Content-Type": "application/json"}, b'{"jobTitle": "x"}')
        print(answer.status, flush=True)
"""


@pytest.mark.parametrize(
    ("when", "told", "logged"),
    [("before", "204\n", [204]), ("after", "204\n", [204, 0]), ("answered", "204\n204\n", [204, 204])],
)
def test_the_process_dies_before_after_or_once_it_has_answered(tmp_path, clock, when, told, logged):
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "a.db"), when]
    ended = subprocess.run(command, check=False, timeout=30, capture_output=True, text=True)
    assert (ended.returncode in (-9, 137), ended.stdout) == (True, told), ended.stderr
    tenant = SimulatedTenant.open(tmp_path / "a.db", clock)
    assert [entry.status for entry in tenant.log] == logged
    tenant.close()


ANSWERED = """
    import asyncio, sys
    import httpx
    from graphkit.sandbox import SandboxTransport, Seed, SimulatedTenant
    class Clock:
        def now(self): return 1767603600.0
        async def sleep(self, seconds): await asyncio.sleep(0)
    async def main():
        tenant = SimulatedTenant(Clock(), seed=Seed(organisations=1, users=4))
        tenant.faults.add({"action": "kill", "when": "answered"})
        async with httpx.AsyncClient(transport=SandboxTransport(tenant), headers={"Authorization": "x"}) as client:
            answer = await client.get("https://graph.microsoft.com/v1.0/organization")
            print(answer.status_code, flush=True)
            await asyncio.sleep(0.01)
            print("alive", flush=True)
    asyncio.run(main())
"""


def test_whoever_shares_the_process_has_the_answer_before_it_dies():
    command = [sys.executable, "-c", textwrap.dedent(ANSWERED)]
    ended = subprocess.run(command, check=False, timeout=30, capture_output=True, text=True)
    assert (ended.returncode in (-9, 137), ended.stdout) == (True, "200\n"), ended.stderr


# -- what is no rule --


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ([], "fault rule 1 is a JSON object, not []"),
        ({"path": "/users"}, "fault rule 1 needs an action, one of alter, answer"),
        ({"action": "explode"}, "needs an action"),
        ({"action": "delay", "sometimes": 1}, "unknown key 'sometimes' for the action 'delay'; known are action, app"),
        ({"action": "delay", "status": 500}, "unknown key 'status' for the action 'delay'"),
        ({"action": "kill", "when": "later"}, "'when' is one of before, after, answered, not \"later\""),
        ({"action": "answer", "failure": "goaway"}, "'failure' is one of timeout, reset"),
        ({"action": "answer", "status": "500"}, "'status' is an HTTP status"),
        ({"action": "answer", "aadsts": 1}, "aadsts 1 is not known; known are 7000215"),
        ({"action": "throttle", "retry_after": {"in": 3}}, "'retry_after' is text, a number"),
        ({"action": "throttle", "nth": 0}, "'nth' is a whole number from 1"),
        ({"action": "throttle", "nth": {"every": 2}}, "'nth' is"),
        ({"action": "throttle", "nth": 1, "probability": 0.5}, "'nth' and 'probability' exclude each other"),
        ({"action": "throttle", "probability": 2}, "'probability' is a number from 0 to 1"),
        ({"action": "throttle", "workload": "mail"}, "'workload' is one of graph, login, batch, teams"),
        ({"action": "throttle", "until": "2026-01-05T09:00:00"}, "'until' is seconds since"),
        ({"action": "throttle", "method": []}, "'method' is a method or a list of them"),
        ({"action": "lag", "replicas": 4}, "'replicas' is a whole number from 1 to 3"),
        ({"action": "page"}, "the action 'page' needs 'mode'"),
        ({"action": "page", "mode": "loop", "length": 3}, "'length' is for the mode 'cycle' only"),
        ({"action": "batch", "mode": "drop", "status": 500}, "'status' is for the mode 'fail' only"),
        ({"action": "alter"}, "alter changes nothing"),
        ({"action": "alter", "body": 1, "merge": {}}, "body and merge exclude each other"),
        ({"action": "concurrency"}, "needs 'ms'"),
        ({"action": "concurrency", "ms": 0}, "'ms' is a number of milliseconds above 0"),
    ],
)
def test_what_is_no_rule_is_refused_in_clear_words(rule, words):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the words are looked at below
        check_rule(rule)
    assert words in str(caught.value)
    assert str(caught.value).startswith("fault rule 1")


def test_the_rule_is_named_by_its_place_and_name_and_none_is_added(graph, faults):
    with pytest.raises(ValueError, match=r"^fault rule 2 \(crash\): unknown key 'then'"):
        faults({"action": "reset"}, {"name": "crash", "action": "kill", "then": 1})
    assert graph.tenant.faults.rules == []


def test_every_action_is_described():
    import graphkit.sandbox.faults as package

    assert [name for name in ACTIONS if f"``{name}``" not in package.__doc__] == []


def test_nothing_is_said_of_a_reset(graph, faults):
    faults({"action": "reset"})
    assert graph("GET", ORGANISATION).failure == "reset"
