"""``graphkit sim``: the tenant's own commands."""

from __future__ import annotations

import json
import os
import signal
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
