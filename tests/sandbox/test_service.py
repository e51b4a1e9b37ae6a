"""What cuts across all services: batches, quotas, replication, faults, the log, the state file, the ways in."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import textwrap

import httpx
import pytest

from graphkit.clock import RealClock, VirtualClock, run
from graphkit.sandbox import SandboxTransport, Seed, SimulatedTenant, serve, stored_time
from graphkit.sandbox.faults import check_rule

BATCH = "/$batch"
SMALL = Seed(organisations=2, users=120, seats={"SPE_E3": 60})
PATCH = {"method": "PATCH", "headers": {"Content-Type": "application/json"}, "body": {"jobTitle": "x"}}
MAIL = {"Authorization": "Bearer sandbox"}
REVOKE = "/users/rx1-0001@contoso.example/revokeSignInSessions"


def patches(graph, count=20):
    return [{"id": str(n), "url": f"/users/{graph.user(n)}", **PATCH} for n in range(1, count + 1)]


# -- batches: concepts/json-batching.md --


def test_a_batch_answers_each_item_by_id_in_an_order_of_its_own(graph):
    told = graph("POST", BATCH, {"requests": patches(graph)})
    ids = [answer["id"] for answer in told.json["responses"]]
    assert told.status == 200
    assert sorted(ids, key=int) == [str(n) for n in range(1, 21)]
    assert ids != sorted(ids, key=int)
    assert {answer["status"] for answer in told.json["responses"]} == {204}
    assert len(graph.tenant.log) == 20


@pytest.mark.parametrize(
    "requests",
    [
        [],
        None,
        [{"id": "1", "method": "GET", "url": "/users"}] * 2,
        [{"id": "A", "method": "GET", "url": "/users"}, {"id": "a", "method": "GET", "url": "/users"}],
        [{"id": 1, "method": "GET", "url": "/users"}],
        [{"id": "1", "url": "/users"}],
        [{"id": "1", "method": "GET"}],
        [{"id": str(n), "method": "GET", "url": "/organization"} for n in range(21)],
        [{"id": "1", "method": "GET", "url": "/users", "dependsOn": ["9"]}],
    ],
)
def test_a_malformed_envelope_is_refused_whole(graph, requests):
    assert graph("POST", BATCH, {"requests": requests}).status == 400


@pytest.mark.parametrize(
    ("item", "status"),
    [
        ({"method": "GET", "url": "organization"}, 200),
        ({"method": "GET", "url": "https://graph.microsoft.com/v1.0/organization"}, 400),
        ({"method": "POST", "url": "/$batch", "headers": {"Content-Type": "application/json"}, "body": {}}, 400),
        ({"method": "PATCH", "url": "/users/rx1-0001@contoso.example", "body": {"jobTitle": "x"}}, 400),
        ({"method": "GET", "url": "/users/$count", "headers": {"ConsistencyLevel": "eventual"}}, 200),
        ({"method": "GET", "url": "/users/$count"}, 400),
        ({"method": "POST", "url": REVOKE}, 400),
        ({"method": "POST", "url": REVOKE, "headers": {"Content-Type": "application/json"}}, 400),
        ({"method": "POST", "url": REVOKE, "headers": {"Content-Type": "application/json"}, "body": {}}, 200),
    ],
)
def test_an_item_is_judged_by_itself(graph, item, status):
    told = graph("POST", BATCH, {"requests": [{"id": "1", **item}]}, ConsistencyLevel="eventual")
    assert told.json["responses"][0]["status"] == status


def test_a_number_is_text_inside_a_batch_too(graph):
    count = {"id": "1", "method": "GET", "url": "/users/$count", "headers": {"ConsistencyLevel": "eventual"}}
    (answer,) = graph("POST", BATCH, {"requests": [count]}).json["responses"]
    assert (answer["headers"]["Content-Type"], answer["body"]) == ("text/plain", "122")


def test_what_depends_on_a_failure_fails_with_424(graph):
    requests = [
        {"id": "1", "method": "GET", "url": "/users/absent@contoso.example"},
        {"id": "2", "method": "GET", "url": "/organization", "dependsOn": ["1"]},
        {"id": "3", "method": "GET", "url": "/organization", "dependsOn": ["2"]},
        {"id": "4", "method": "GET", "url": "/organization"},
    ]
    told = graph("POST", BATCH, {"requests": requests}).json["responses"]
    assert {answer["id"]: answer["status"] for answer in told} == {"1": 404, "2": 424, "3": 424, "4": 200}


# -- quotas: https://learn.microsoft.com/graph/throttling-limits --


@pytest.fixture
def limited(graph, clock):
    graph.tenant = SimulatedTenant(clock, seed=SMALL)
    return graph


def test_3000_identity_writes_in_150_seconds_and_no_more(limited):
    body = {"requests": patches(limited)}
    statuses = [a["status"] for _ in range(151) for a in limited("POST", BATCH, body).json["responses"]]
    assert (statuses.count(204), statuses.count(429)) == (3000, 20)
    refused = limited("PATCH", f"/users/{limited.user(1)}", {"jobTitle": "y"})
    assert refused.status == 429
    assert refused.code == "TooManyRequests"
    assert refused.headers["x-ms-throttle-scope"].startswith("Tenant_Application/Write/")
    limited.clock.at += int(refused.headers["Retry-After"])
    assert limited("PATCH", f"/users/{limited.user(1)}", {"jobTitle": "y"}).status == 204


def test_refused_calls_are_charged_too(limited):
    for _ in range(151):
        limited("POST", BATCH, {"requests": patches(limited)})
    first = limited("PATCH", f"/users/{limited.user(1)}", {"jobTitle": "y"}).headers["Retry-After"]
    for _ in range(20):
        limited("POST", BATCH, {"requests": patches(limited)})
    assert int(limited("PATCH", f"/users/{limited.user(1)}", {"jobTitle": "y"}).headers["Retry-After"]) > int(first)


@pytest.mark.parametrize(
    ("path", "units"),
    [
        ("/users", "2"),
        ("/users?$select=id&$top=999", "1"),
        ("/groups/{group}/members?$select=id&$top=999", "2"),
        ("/groups/{group}/transitiveMembers", "5"),
        ("/groups/{group}?$expand=members", "2"),
        ("/users/rx1-0001@contoso.example", "1"),
        ("/subscribedSkus", "3"),
    ],
)
def test_resource_units_are_told(limited, path, units):
    group = limited.group()
    assert limited("GET", path.format(group=group)).headers["x-ms-resource-unit"] == units


def test_nearing_the_limit_is_told_before_it_is_reached(limited):
    told = [limited("GET", "/groups?$top=20") for _ in range(4700)]  # 5,000 units in a tenant of 50 to 500 users
    assert "x-ms-throttle-limit-percentage" not in told[3000].headers
    assert 0.9 < float(told[-1].headers["x-ms-throttle-limit-percentage"]) < 1


def test_conditional_access_allows_one_a_second_and_does_not_say_when(limited):
    path = "/identity/conditionalAccess/policies"
    assert limited("GET", path).status == 200
    refused = limited("GET", path)
    assert (refused.status, "Retry-After" in refused.headers) == (429, False)
    limited.clock.at += 2.5
    assert limited("GET", path).status == 200


def test_another_app_has_its_own_quota_but_shares_the_tenants(limited):
    body = {"requests": patches(limited)}
    for _ in range(151):
        limited("POST", BATCH, body)
    assert limited("PATCH", f"/users/{limited.user(1)}", {"jobTitle": "z"}, Authorization="Bearer other").status == 204
    assert limited("GET", "/identity/conditionalAccess/policies").status == 200
    assert limited("GET", "/identity/conditionalAccess/policies", Authorization="Bearer other").status == 429


def test_six_teams_a_second(limited):
    told = [limited("PUT", f"/groups/{n}/team", {}).status for n in range(7)]
    assert told == [404] * 6 + [429]


# -- replication --


def test_a_new_object_is_seen_and_missed_and_seen_again_then_stays(clock, graph):
    graph.tenant = SimulatedTenant(clock, seed=SMALL, throttling=False, replication_s=10)
    body = {"displayName": "A", "mailEnabled": False, "mailNickname": "a", "securityEnabled": True}
    key = graph("POST", "/groups", body).json["id"]
    seen = []
    for _ in range(100):
        seen.append(graph("GET", f"/groups/{key}").status)
        clock.at += 0.1
    assert {200, 404} == set(seen)
    assert 404 in seen[seen.index(200) :]
    assert {graph("GET", f"/groups/{key}").status for _ in range(20)} == {200}


def test_a_lag_of_nothing_is_allowed(clock, graph):
    graph.tenant = SimulatedTenant(clock, seed=SMALL, replication_s=0)
    body = {"displayName": "A", "mailEnabled": False, "mailNickname": "a", "securityEnabled": True}
    key = graph("POST", "/groups", body).json["id"]
    assert {graph("GET", f"/groups/{key}").status for _ in range(20)} == {200}


# -- faults --


def test_a_write_can_be_committed_and_denied(graph):
    graph.tenant.faults.add({"method": "PATCH", "path": "/users/*", "nth": 2, "action": "commit-then", "status": 504})
    told = [graph("PATCH", f"/users/{graph.user(n)}", {"jobTitle": "x"}).status for n in (1, 2, 3)]
    assert told == [204, 504, 204]
    assert [(entry.status, entry.faulted) for entry in graph.tenant.log] == [(204, False), (504, True), (204, False)]
    assert graph("GET", f"/users/{graph.user(2)}").json["jobTitle"] == "x"


@pytest.mark.parametrize("retry_after", [2, "2.5", "Mon, 05 Jan 2026 10:00:00 GMT", "0", "-1", "86400", None])
def test_throttling_comes_in_any_form(graph, retry_after):
    graph.tenant.faults.add({"path": "/users/*", "times": 1, "action": "throttle", "retry_after": retry_after})
    told = graph("PATCH", f"/users/{graph.user(1)}", {"jobTitle": "x"})
    assert told.status == 429
    assert told.headers.get("Retry-After") == (None if retry_after is None else str(retry_after))
    assert len(graph.tenant.log) == 0
    assert graph("PATCH", f"/users/{graph.user(1)}", {"jobTitle": "x"}).status == 204


def test_faults_strike_single_items_of_a_batch(graph):
    graph.tenant.faults.add({"method": "PATCH", "path": "/users/*", "nth": [1, 3], "action": "answer", "status": 500})
    told = graph("POST", BATCH, {"requests": patches(graph, 4)}).json["responses"]
    assert {answer["id"]: answer["status"] for answer in told} == {"1": 500, "2": 204, "3": 500, "4": 204}


def test_a_batch_can_fail_after_some_of_its_items(graph):
    graph.tenant.faults.add({"path": "/$batch", "times": 1, "action": "commit-then", "items": 7, "status": 503})
    assert graph("POST", BATCH, {"requests": patches(graph)}).status == 503
    assert len(graph.tenant.log) == 7
    assert graph("POST", BATCH, {"requests": patches(graph)}).status == 200


def test_chance_falls_the_same_way_every_time(clock):
    def struck():
        tenant = SimulatedTenant(clock, seed=SMALL, throttling=False)
        tenant.faults.add({"probability": 0.3, "action": "answer", "status": 502})
        url = "https://graph.microsoft.com/v1.0/organization"
        return [tenant.handle("GET", url, MAIL).status for _ in range(50)]

    assert struck() == struck()
    assert 5 < struck().count(502) < 25


@pytest.mark.parametrize(
    "rule", [[], {"path": "/users"}, {"action": "explode"}, {"action": "delay", "sometimes": 1},
             {"action": "commit-then", "failure": "polite"}]
)  # fmt: skip
def test_what_is_not_a_rule_is_refused(rule):
    with pytest.raises(ValueError, match=r"fault rule|action|failure"):
        check_rule(rule)


# -- the state file --


def test_a_tenant_outlives_its_process(tmp_path, clock, graph):
    path = tmp_path / "tenant.db"
    assert stored_time(path) is None
    graph.tenant = SimulatedTenant.open(path, clock, seed=SMALL, throttling=False)
    kept, gone, user = graph.group("Kept"), graph.group("Gone"), graph.user(1)
    graph("POST", f"/groups/{kept}/members/$ref", {"@odata.id": graph.link(user)})
    graph("DELETE", f"/groups/{gone}")
    graph("DELETE", f"/users/{graph.user(2)}")
    sku = {
        "addLicenses": [{"skuId": "efccb6f7-5641-4e0e-bd10-b4976e1bf68e", "disabledPlans": []}],
        "removeLicenses": [],
    }
    graph("POST", f"/groups/{kept}/assignLicense", sku)
    graph.tenant.faults.add({"path": "/groups*", "nth": 2, "action": "answer", "status": 500})
    before, position = list(graph.tenant.log), clock.at
    graph("GET", f"/groups/{kept}")
    graph.tenant.close()

    assert stored_time(path) == position
    graph.tenant = SimulatedTenant.open(path, clock, throttling=False)
    clock.at += 10
    assert list(graph.tenant.log) == before
    assert graph("GET", f"/groups/{kept}").status == 500  # the second that matched, over both lives
    states = graph("GET", f"/users/{user}?$select=licenseAssignmentStates").json["licenseAssignmentStates"]
    assert [state["assignedByGroup"] for state in states if state["assignedByGroup"]] == [kept]
    assert graph("GET", f"/groups/{gone}").status == 404
    assert graph("GET", f"/users/{graph.user(2)}").status == 404
    assert [m["id"] for m in graph("GET", f"/groups/{kept}/members").json["value"]] == [user]
    graph.tenant.close()


def test_two_processes_never_write_one_state_file(tmp_path, clock, graph):
    path = tmp_path / "tenant.db"
    graph.tenant = first = SimulatedTenant.open(path, clock, seed=SMALL)
    graph.tenant = second = SimulatedTenant.open(path, clock)
    graph.group("Second")
    graph.tenant = first
    with pytest.raises(RuntimeError, match="another process"):
        graph.group("First")
    first.close()
    second.close()


KILLED = """
    import sys
    from graphkit.sandbox import Seed, SimulatedTenant
    class Clock:
        def now(self): return 1767603600.0
    tenant = SimulatedTenant.open(sys.argv[1], Clock(), seed=Seed(organisations=1, users=3))
    tenant.faults.add({"method": "PATCH", "nth": 2, "action": "kill", "when": sys.argv[2]})
    for number in (1, 2, 3):
        tenant.handle("PATCH", f"https://graph.microsoft.com/v1.0/users/rx1-000{number}@contoso.example",
                      {"Authorization": "Bearer x", "Content-Type": "application/json"}, b'{"jobTitle": "x"}')
"""


@pytest.mark.parametrize(("when", "committed"), [("before", 1), ("after", 2)])
def test_a_killed_client_loses_nothing_that_was_accepted(tmp_path, clock, when, committed):
    path = tmp_path / "tenant.db"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(path), when]
    assert subprocess.run(command, check=False, timeout=30).returncode in (-9, 137)
    tenant = SimulatedTenant.open(path, clock)
    assert len(tenant.log) == committed
    assert tenant.log[-1].faulted is (when == "after")
    url = f"https://graph.microsoft.com/v1.0/users/rx1-000{committed}@contoso.example"
    assert json.loads(tenant.handle("GET", url, MAIL).body)["jobTitle"] == "x"
    assert tenant.handle("PATCH", url, {**MAIL, "Content-Type": "application/json"}, b"{}").status == 204
    tenant.close()


# -- the ways in --


def test_httpx_speaks_to_it_in_virtual_time():
    async def main():
        clock = VirtualClock()
        tenant = SimulatedTenant(clock, seed=SMALL, latency_s=2.0)
        tenant.faults.extend(
            [
                {"path": "/organization", "nth": 2, "action": "commit-then", "failure": "timeout"},
                {"path": "/organization", "nth": 3, "action": "reset"},
                {"path": "/organization", "nth": 4, "action": "delay", "seconds": 3600},
            ]
        )
        began = clock.now()
        async with httpx.AsyncClient(transport=SandboxTransport(tenant), headers=MAIL, timeout=None) as client:
            url = "https://graph.microsoft.com/v1.0/organization"
            assert (await client.get(url)).json()["value"][0]["id"] == tenant.tenant_id
            assert clock.now() - began == 2.0
            with pytest.raises(httpx.ReadTimeout):
                await client.get(url)
            with pytest.raises(httpx.ReadError):
                await client.get(url)
            assert (await client.get(url)).status_code == 200
        return clock.now() - began

    assert run(main(), virtual=True) == 3608.0


def test_it_is_served_on_loopback():
    async def main():
        tenant = SimulatedTenant(RealClock(), seed=SMALL, replication_s=0)
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        server = asyncio.create_task(serve(tenant, on_ready=ready.set_result))
        async with httpx.AsyncClient(base_url=await ready, headers=MAIL, trust_env=False) as client:
            page = await client.get("/v1.0/users?$top=50&$select=id")
            assert page.json()["@odata.nextLink"].startswith(await ready)
            assert len((await client.get(page.json()["@odata.nextLink"])).json()["value"]) == 50
            user = page.json()["value"][0]["id"]
            assert (await client.patch(f"/v1.0/users/{user}", json={"jobTitle": "x"})).status_code == 204
            batch = {"requests": [{"id": "1", "method": "GET", "url": f"/users/{user}?$select=jobTitle"}]}
            answers = (await client.post("/v1.0/$batch", json=batch)).json()["responses"]
            assert answers[0]["body"]["jobTitle"] == "x"
            assert (await client.get("/v1.0/users", headers={"Authorization": ""})).status_code == 401
            tenant.faults.add({"path": "/organization", "times": 1, "action": "reset"})
            with pytest.raises(httpx.ReadError):
                await client.get("/v1.0/organization")
            assert (await client.get("/v1.0/organization")).status_code == 200
        server.cancel()
        with pytest.raises(asyncio.CancelledError):
            await server

    run(main())


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.org", "::"])
def test_no_address_that_others_can_reach_is_served(tenant, host):
    with pytest.raises(ValueError, match="loopback"):
        run(serve(tenant, host))
