"""``graphkit sim``: the tenant's own commands."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys

import pytest


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


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process there")
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


def test_faults_are_loaded_listed_and_cleared(sim, tmp_path):
    rules = [{"method": "PATCH", "nth": 2, "action": "kill"}, {"action": "throttle", "retry_after": "3"}]
    (tmp_path / "monday.json").write_text(json.dumps(rules))
    assert sim("faults", "load", tmp_path / "monday.json").code == 0
    listed = sim("faults", "list", "-o", "json").json
    assert listed == [{"matched": 0, "fired": 0, **rule} for rule in rules]
    assert sim("faults", "clear").code == 0
    assert sim("faults", "list", "-o", "json").json == []


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
    file = sqlite3.connect(tmp_path / "a.db")
    with file:
        file.execute("UPDATE meta SET value = 1 WHERE key = 'format'")
    file.close()
    result = sim("log")
    assert (result.code, "another version" in result.stderr) == (5, True)


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
