"""Canary secrets and people, looked for in every byte that a command writes where others may read it."""

from __future__ import annotations

import re

import pytest

TOKEN = "canary-token-0123456789abcdef"
SECRET = "canary~secret~0123456789"
PASSWORD = "canary-password-0123456789"
LEVELS = ("debug", "info", "warning", "error")
PEOPLE = re.compile(rb"rx1-\d{4}@|break-glass-\d@|RX1 Staff|canary-person|07700900123|7700900123", re.I)


@pytest.fixture
def secrets(monkeypatch):
    monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", TOKEN)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PASSWORD", PASSWORD)
    monkeypatch.setenv("HTTPS_PROXY", f"http://somebody:{PASSWORD}@proxy.contoso.example:3128")
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "break-glass-1@contoso.example")


def pools(folder, *people):
    (folder / "rx1.csv").write_text("\n".join(["upn", *people, ""]), encoding="utf-8")
    path = folder / "pools.yaml"
    path.write_text("pools:\n  - {org: RX1, sku: SPE_E3, cap: 30, members_from: rx1.csv}\n", encoding="utf-8")
    return path


def written(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("level", LEVELS)
def test_no_log_of_any_level_holds_a_secret_or_a_person(simulated, tenant, tmp_path, monkeypatch, secrets, level, form):
    monkeypatch.setenv("GRAPHKIT_LOG_LEVEL", level)
    log = tmp_path / "a.log"
    flags = ("--log-file", log, "--log-format", form)
    people = [f"rx1-{number:04}@contoso.example" for number in range(1, 12)]
    given = pools(tmp_path, *people)
    there = tenant.look()
    message = "canary-person@contoso.example, +44 7700900123, Bearer canary-token-0123456789abcdef"
    for path in ("/users/*", "/groups/*", "/$batch"):
        there.faults.add({"path": path, "action": "answer", "status": 503, "message": message, "times": 2})
    there.close()
    said = [simulated("plan", "licenses.pools", "-i", given, "--out", tmp_path / "a.run", *flags)]
    said.append(simulated("apply", tmp_path / "a.run", "--yes", *flags))
    said.append(simulated("show", tmp_path / "a.run", *flags))
    said.append(simulated("graph", "get", "/users/canary-person@contoso.example", *flags))
    said.append(simulated("graph", "get", "/users?$filter=mobilePhone eq '+44 7700900123'", *flags))
    said.append(simulated("apply", tmp_path / "a.run", "--yes", *flags))
    said.append(simulated("plan", "licenses.pools", "-i", pools(tmp_path, "canary-person@contoso.example"), *flags))
    assert [each.code for each in said] == [0, 0, 0, 1, said[4].code, 5, 5]
    logged = log.read_bytes()
    assert bool(logged) or level in ("warning", "error")
    assert not PEOPLE.search(logged), PEOPLE.search(logged)
    for secret in (TOKEN, SECRET, PASSWORD):
        assert secret.encode() not in logged


@pytest.mark.parametrize("verbose", [(), ("-v",), ("-v", "-v")])
def test_no_byte_of_a_run_holds_a_secret(simulated, tmp_path, monkeypatch, secrets, verbose):
    kept = tmp_path / "kept"
    monkeypatch.setenv("GRAPHKIT_RUNS_DIR", str(kept / "runs"))
    monkeypatch.setenv("GRAPHKIT_CACHE_DIR", str(kept / "cache"))
    flags = ("--log-file", kept / "log" / "a.log", *verbose)
    given = pools(tmp_path, "rx1-0001@contoso.example")
    planned = simulated("plan", "licenses.pools", "-i", given, "-o", "json", "--html", kept / "plan.html", *flags)
    run = planned.json["run"]
    said = [planned, simulated("apply", run, "--yes", "--html", kept / "done.html", *flags)]
    said += [simulated(*verb, *verbose) for verb in (("doctor",), ("auth", "status"), ("runs", "list"), ("show", run))]
    said += [simulated("graph", "get", "/nowhere", *verbose), simulated("plan", "no.such", "-i", given, *verbose)]
    everything = {**written(kept), **{n: (each.stdout + each.stderr).encode() for n, each in enumerate(said)}}
    for place, content in everything.items():
        for secret in (TOKEN, SECRET, PASSWORD):
            assert secret.encode() not in content, place


def test_a_defect_shows_its_traceback_without_a_secret(simulated, tmp_path, monkeypatch, secrets):
    from graphkit import jobs

    def broken(*_, **__):
        headers = {"Authorization": f"Bearer {TOKEN}", "client_secret": SECRET}
        raise RuntimeError(f"unforeseen: {headers} for canary-person@contoso.example")

    monkeypatch.setattr(jobs, "plan", broken)
    result = simulated("plan", "licenses.pools", "-i", pools(tmp_path, "rx1-0001@contoso.example"))
    assert result.code == 1
    for secret in (TOKEN, SECRET):
        assert secret not in result.stdout + result.stderr
