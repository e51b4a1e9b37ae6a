"""``graphkit sim``: the tenant's own commands."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from email.utils import parsedate_to_datetime

import httpx
import pytest

from graphkit.clock import RealClock, StillClock
from graphkit.sandbox import SimulatedTenant
from graphkit.sandbox.areas import ROUTES

interruptible = pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process there")


@pytest.fixture
def secure_server(tmp_path):
    command = [sys.executable, "-m", "graphkit", "sim", "serve", "--port", "0", "--users", "30", "-o", "jsonl"]
    with subprocess.Popen(
        [*command, "--https", "--ca-folder", "ca"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as process:
        yield process
        process.kill()


@interruptible
@pytest.mark.parametrize("method", ["client-secret", "certificate"])
def test_what_serve_prints_is_all_that_signing_in_over_https_needs(graphkit, secure_server, monkeypatch, method):
    announced = json.loads(secure_server.stdout.readline())
    for name, value in announced["environment"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GRAPHKIT_AUTH", method)
    assert announced["address"].startswith("https://127.0.0.1:")
    found = graphkit("graph", "get", "/users?$select=id", "--all", "-o", "json")
    assert found.code == 0, found.stdout + found.stderr
    assert len(found.json) == 32
    secure_server.send_signal(signal.SIGINT)
    _, told = secure_server.communicate(timeout=20)
    assert (secure_server.returncode, told) == (0, "stopped\n")


@pytest.fixture
def served(tmp_path):
    """``served(*flags)`` starts ``graphkit sim serve`` and gives what it printed, and the process."""
    started = []

    def start(*flags):
        command = [sys.executable, "-m", "graphkit", "sim", "serve", "--port", "0", "--users", "30", "-o", "jsonl"]
        process = subprocess.Popen(
            [*command, *map(str, flags)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
        started.append(process)
        line = process.stdout.readline()
        return (json.loads(line) if line else process.stderr.read()), process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ask(told, path):
    address = told["address"] if path[0] == "/" else ""
    headers = {"Authorization": "Bearer simulated", "X-IDENTITY-HEADER": told["environment"]["IDENTITY_HEADER"]}
    return httpx.get(f"{address}{path}", headers=headers, trust_env=False, timeout=20)


def test_serve_prints_what_app_service_would_set(served):
    told, _ = served()
    endpoint = told["environment"]["IDENTITY_ENDPOINT"]
    answer = ask(told, f"{endpoint}?api-version=2019-08-01&resource=https://graph.microsoft.com")
    assert answer.status_code == 200, answer.text
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert httpx.get(f"{told['address']}/v1.0/users", headers=headers, trust_env=False).status_code == 200


def test_a_served_tenant_fails_as_its_scenarios_say(served, tmp_path):
    (tmp_path / "down.json").write_text('[{"path": "/organization", "times": 1, "action": "html"}]')
    (tmp_path / "cut.json").write_text('{"path": "/users", "times": 1, "action": "truncate"}')
    told, _ = served("--faults", "down.json", "--faults", tmp_path / "cut.json")
    assert [ask(told, "/v1.0/organization").status_code for _ in range(2)] == [502, 200]
    with pytest.raises(httpx.RemoteProtocolError):
        ask(told, "/v1.0/users")


@interruptible
def test_a_kept_tenant_that_is_served_again_goes_on_with_its_faults(served, tmp_path):
    (tmp_path / "down.json").write_text('[{"path": "/organization", "nth": 1, "action": "html"}]')
    for expected in (502, 200):
        told, process = served("--faults", "down.json", "--state", tmp_path / "a.db")
        assert ask(told, "/v1.0/organization").status_code == expected
        process.send_signal(signal.SIGINT)
        process.wait(20)


def test_a_server_told_to_die_once_it_has_answered_does(served, tmp_path):
    (tmp_path / "last.json").write_text('{"path": "/organization", "nth": 2, "action": "kill", "when": "answered"}')
    told, process = served("--faults", "last.json")
    assert [ask(told, "/v1.0/organization").status_code for _ in range(2)] == [200, 200]
    assert process.wait(20) in (-9, 137)


def test_other_apps_take_their_share_of_what_all_have(served):
    told, _ = served("--other-load", "0.9", "--faults", "half-done")
    path = "/v1.0/identity/conditionalAccess/policies"
    assert ask(told, path).status_code == 200
    assert ask(told, path).status_code == 429  # one in ten seconds is left


@pytest.mark.parametrize("scenario", ["no-such", "wrong.json"])
def test_a_scenario_that_is_none_is_told_before_anything_is_served(graphkit, tmp_path, monkeypatch, scenario):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wrong.json").write_text('[{"action": "dance"}]')
    result = graphkit("sim", "serve", "--port", "0", "--users", "5", "--faults", scenario)
    assert (result.code, scenario in result.stderr) == (5, True)


def test_time_passes_as_fast_as_asked_but_not_for_tokens(served, tmp_path):
    (tmp_path / "slow.json").write_text('[{"path": "/organization", "action": "delay", "seconds": 3600}]')
    told, _ = served("--time-scale", "36000", "--faults", "slow.json", "--latency", "1000")
    began = parsedate_to_datetime(ask(told, "/v1.0/organization").headers["Date"])
    ended = parsedate_to_datetime(ask(told, "/v1.0/organization").headers["Date"])
    assert (ended - began).total_seconds() >= 3600
    endpoint = told["environment"]["IDENTITY_ENDPOINT"]
    token = ask(told, f"{endpoint}?api-version=2019-08-01&resource=https://graph.microsoft.com").json()
    assert 86_000 < int(token["expires_on"]) - RealClock().now() <= 86_400


@interruptible
def test_in_the_background_of_a_script_it_is_kill_that_stops_the_server(served, tmp_path):
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell does for what stands before an &
    try:
        told, process = served()
    finally:
        signal.signal(signal.SIGINT, usual)
    process.send_signal(signal.SIGINT)
    assert ask(told, "/v1.0/organization").status_code == 200
    process.terminate()
    assert (process.wait(20), process.stderr.read()) == (0, "stopped\n")


@interruptible
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_kill_let_an_answer_go_out(served, tmp_path, number):
    (tmp_path / "slow.json").write_text('[{"path": "/organization", "action": "delay", "seconds": 1}]')
    told, process = served("--faults", "slow.json", "--state", tmp_path / "a.db")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(ask, told, "/v1.0/organization")
        # Its count is in the file before the answer is: then the request is in hand.
        while not fired(tmp_path / "a.db"):
            assert process.poll() is None
        process.send_signal(number)
        assert answer.result().status_code == 200
    assert (process.wait(20), process.stderr.read()) == (0, "stopped\n")


def fired(path):
    with closing(sqlite3.connect(path)) as file:
        return file.execute("SELECT fired FROM faults").fetchone()[0]


@pytest.mark.parametrize("flags", [("--https",), ("--ca-folder", "ca")])
def test_https_and_its_folder_belong_together(graphkit, flags):
    result = graphkit("sim", "serve", *flags)
    assert (result.code, "--ca-folder" in result.stderr) == (5, True)


# -- kept tenants --


@pytest.fixture
def sim(graphkit, tmp_path):
    """``sim("log")`` runs ``graphkit sim log`` on a tenant of 12 in a file."""

    def run(*arguments, state="a.db"):
        return graphkit("sim", *arguments, "--state", tmp_path / state)

    assert run("seed", "--users", "12", "--organisations", "2").code == 0
    return run


def change(graphkit, path, number=1, title="x"):
    body = json.dumps({"jobTitle": title})
    user = f"/users/rx1-{number:04}@contoso.example"
    flags = ("-t", "simulated", "--virtual-time", "--state", path)
    return graphkit("graph", "patch", user, "--body", "-", "--yes", *flags, stdin=body)


def test_a_tenant_is_seeded_as_asked_and_never_over_another(graphkit, sim, tmp_path):
    found = graphkit("graph", "get", "/users", "--all", "-o", "json", "-t", "simulated", "--state", tmp_path / "a.db")
    assert sorted(user["userPrincipalName"][:3] for user in found.json) == ["bre"] * 2 + ["rx1"] * 6 + ["rx2"] * 6
    again = sim("seed")
    assert (again.code, "exists already" in again.stderr) == (5, True)


def test_a_tenant_in_use_has_groups_devices_and_policies(graphkit, sim, tmp_path):
    bought = ("--sku", "SPE_E3=60", "--sku", "EMS=9")
    made = sim("seed", "--users", "60", "--devices", "30", "--groups", "2", "--policies", *bought, state="b.db")
    assert made.code == 0, made.stderr
    flags = ("--all", "-o", "json", "-t", "simulated", "--state", tmp_path / "b.db", "--virtual-time")

    def names(path, name="displayName"):
        return [item[name] for item in graphkit("graph", "get", path, *flags).json]

    assert [name for name in names("/groups") if "Ward" in name] == [
        f"RX{org} Ward {number}" for org in (1, 2, 3) for number in (1, 2)
    ]
    assert len(names("/deviceManagement/managedDevices", "deviceName")) == 30
    assert names("/identity/conditionalAccess/policies") == ["Require MFA for everyone", "Block legacy authentication"]
    assert names("/deviceManagement/deviceCompliancePolicies") == ["Windows floor"]
    units = {
        sku["skuPartNumber"]: sku["prepaidUnits"]["enabled"]
        for sku in graphkit("graph", "get", "/subscribedSkus", *flags).json
    }
    assert units == {"SPE_E3": 60, "EMS": 9}


@pytest.mark.parametrize("wrong", [("--sku", "SPE_E3"), ("--sku", "NONE=5")])
def test_a_product_that_is_none_is_refused_by_name(sim, tmp_path, wrong):
    result = sim("seed", *wrong, state="c.db")
    assert (result.code, wrong[1].partition("=")[0] in result.stderr) == (5, True)
    assert not (tmp_path / "c.db").exists()


def test_every_endpoint_is_listed_with_its_source(graphkit):
    found = graphkit("sim", "endpoints", "-o", "json").json
    assert len(found) == len(ROUTES)
    assert {
        "method": "POST",
        "path": "/users/{user}/revokeSignInSessions",
        "version": "v1.0, beta",
        "permissions": [["User.RevokeSessions.All", "User.ReadWrite.All", "Directory.ReadWrite.All"]],
        "source": "https://learn.microsoft.com/graph/api/user-revokesigninsessions?view=graph-rest-1.0",
    } in found


def test_the_list_of_endpoints_for_people_has_the_least_permission_and_the_whole_address(graphkit):
    lines = graphkit("sim", "endpoints").stdout.splitlines()
    assert next(line.split() for line in lines if "revokeSignInSessions" in line)[-2:] == [
        "User.RevokeSessions.All",
        "https://learn.microsoft.com/graph/api/user-revokesigninsessions?view=graph-rest-1.0",
    ]


def test_faults_are_loaded_listed_and_cleared(sim, tmp_path):
    rules = [{"method": "PATCH", "nth": 2, "action": "kill"}, {"action": "throttle", "retry_after": "3"}]
    (tmp_path / "monday.json").write_text(json.dumps(rules))
    assert sim("faults", "load", tmp_path / "monday.json").code == 0
    listed = sim("faults", "list", "-o", "json").json
    assert listed == [{"matched": 0, "fired": 0, **rule} for rule in rules]
    assert sim("faults", "clear").code == 0
    assert sim("faults", "list", "-o", "json").json == []


def test_a_scenario_that_comes_with_the_package_is_loaded_by_its_name(sim, graphkit):
    listed = graphkit("sim", "faults", "scenarios", "-o", "json").json
    assert "monday-morning" in {each["name"] for each in listed}
    assert "monday-morning: The first hour of the week" in graphkit("sim", "faults", "scenarios").stdout
    assert sim("faults", "load", "half-done").code == 0
    assert sim("faults", "load", "throttled-day").code == 0
    told = sim("faults", "list", "-o", "json").json
    assert [rule["action"] for rule in told] == ["commit-then"] * 3 + ["throttle"]
    wrong = sim("faults", "load", "tuesday")
    assert (wrong.code, "known are ambiguous-creates" in wrong.stderr) == (5, True)


@pytest.mark.parametrize("text", ["[{}]", "{", '[{"action": "kill"}, {"action": "dance"}]'])
def test_a_scenario_that_is_wrong_changes_nothing(sim, tmp_path, text):
    (tmp_path / "wrong.json").write_text(text)
    result = sim("faults", "load", tmp_path / "wrong.json")
    assert (result.code, "wrong.json" in result.stderr) == (5, True)
    assert sim("faults", "list", "-o", "json").json == []


def test_the_log_tells_each_committed_write(graphkit, sim, tmp_path):
    assert sim("log", "-o", "jsonl").stdout == ""
    assert change(graphkit, tmp_path / "a.db").code == 0
    (entry,) = sim("log", "-o", "jsonl").lines
    assert (entry["method"], entry["status"], entry["faulted"]) == ("PATCH", 204, False)
    assert entry["path"] == "/users/rx1-0001@contoso.example"
    assert entry["at"].endswith("Z")


def test_two_tenants_are_compared_without_ids_and_times(graphkit, sim, tmp_path):
    assert sim("seed", "--users", "12", "--organisations", "2", "--domain", "contoso.example", state="b.db").code == 0
    a, b = tmp_path / "a.db", tmp_path / "b.db"
    same = graphkit("sim", "diff", a, b, "--detailed-exitcode")
    assert (same.code, same.stdout) == (0, "they hold the same\n")
    assert change(graphkit, a).code == 0
    assert graphkit("sim", "diff", a, b).code == 0
    told = graphkit("sim", "diff", a, b, "--detailed-exitcode")
    assert (told.code, told.stdout) == (2, "~ users: rx1-0001@contoso.example (jobTitle)\n")
    assert change(graphkit, b).code == 0
    assert graphkit("sim", "diff", a, b, "--detailed-exitcode").code == 0


def test_what_only_one_tenant_has_is_named_with_its_links(graphkit, sim, tmp_path):
    assert sim("seed", "--users", "13", "--organisations", "2", state="b.db").code == 0
    found = graphkit("sim", "diff", tmp_path / "a.db", tmp_path / "b.db", "-o", "json").json
    assert found == [{"kind": "users", "name": "rx1-0007@contoso.example", "only": "b", "properties": []}]


@pytest.mark.parametrize("verb", [("log",), ("faults", "list"), ("faults", "clear")])
def test_a_tenant_that_is_not_there_is_not_made_by_looking(graphkit, tmp_path, verb):
    result = graphkit("sim", *verb, "--state", tmp_path / "none.db")
    assert (result.code, "no such tenant" in result.stderr) == (5, True)
    assert not (tmp_path / "none.db").exists()
    assert graphkit("sim", *verb).code == 5


def test_a_file_that_is_no_tenant_is_told_so(graphkit, tmp_path):
    (tmp_path / "x.db").write_text("no database, but long enough to be looked at as one" * 20)
    result = graphkit("sim", "log", "--state", tmp_path / "x.db")
    assert (result.code, "is not a simulated tenant" in result.stderr) == (5, True)
    asked = graphkit("graph", "get", "/users", "-t", "simulated", "--state", tmp_path / "x.db")
    assert (asked.code, "is not a simulated tenant" in asked.stderr) == (5, True)


def test_a_tenant_of_another_version_is_told_so(sim, tmp_path):
    with closing(sqlite3.connect(tmp_path / "a.db")) as file, file:
        file.execute("UPDATE meta SET value = 1 WHERE key = 'format'")
    result = sim("log")
    assert (result.code, "another version" in result.stderr) == (5, True)


def test_a_tenant_that_cannot_be_read_is_let_go(sim, tmp_path):
    with closing(sqlite3.connect(tmp_path / "a.db")) as file, file:
        file.execute("ALTER TABLE faults RENAME COLUMN rule TO other")
    with pytest.raises(sqlite3.OperationalError) as caught:
        SimulatedTenant.open(tmp_path / "a.db", StillClock(0.0))
    assert "no such column" in str(caught.value)
    assert not list(tmp_path.glob("a.db-*"))  # what SQLite keeps beside an open file


def test_the_log_tells_when_what_was_accepted_had_been_done_and_could_be_seen(graphkit, sim, tmp_path):
    group = {"displayName": "Pool", "mailEnabled": False, "mailNickname": "pool", "securityEnabled": True}
    flags = ("--yes", "-t", "simulated", "--state", tmp_path / "a.db", "--virtual-time")
    made = graphkit("graph", "post", "/groups", "--body", "-", *flags, "-o", "json", stdin=json.dumps(group)).json
    ems = {"addLicenses": [{"skuId": "efccb6f7-5641-4e0e-bd10-b4976e1bf68e"}], "removeLicenses": []}
    path = f"/groups/{made['id']}/assignLicense"
    assert graphkit("graph", "post", path, "--body", "-", *flags, stdin=json.dumps(ems)).code == 0
    created, licensed = sim("log", "-o", "jsonl").lines
    assert created["at"] == created["effective"] < created["visible"]
    assert licensed["effective"] is None
    assert graphkit("graph", "get", "/organization", *flags[1:]).code == 0
    _, licensed = sim("log", "-o", "jsonl").lines
    assert licensed["effective"] > licensed["at"]
