"""The project's own cassettes (recorded by ``tools/cassettes.py`` from served tenants), through every door."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
from pathlib import Path

import pytest

from graphkit import clock, recording, session
from graphkit.clock import VirtualClock
from graphkit.recording.check import findings

FOLDER = Path(__file__).parents[1] / "cassettes"
NAMES = ("identity.conditional-access", "licenses.pools", "msgraph-sdk")
LOCAL = "http://127.0.0.1:9"


def test_these_are_all():
    assert tuple(sorted(path.stem for path in FOLDER.glob("*.jsonl"))) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_cassette_is_small_and_holds_nothing_that_looks_like_a_leak(name):
    path = FOLDER / f"{name}.jsonl"
    assert path.stat().st_size < 100_000
    assert list(findings(path)) == []
    text = path.read_text(encoding="utf-8").lower()
    assert not any(word in text for word in ("contoso", "rx1", "break", "handover", "office 365 e3", "$batch"))


@pytest.mark.graph_cassette("../cassettes/licenses.pools.jsonl")
def test_licences_by_group_are_planned_and_applied(graph_cassette, tmp_path):
    pools, run = graph_cassette.input("pools.yaml"), tmp_path / "a.run"
    planned = graph_cassette.run("plan", "licenses.pools", "-i", pools, "--out", run, "-o", "json")
    assert planned.json["status"] == "ready", planned.stderr
    applied = graph_cassette.run("apply", run, "--yes", "-o", "json")
    assert applied.json["outcomes"]["done"] == 34


@pytest.mark.graph_cassette("../cassettes/identity.conditional-access.jsonl")
def test_policies_and_their_locations_are_made_report_only(graph_cassette, tmp_path):
    policies, run = graph_cassette.input("policies.yaml"), tmp_path / "a.run"
    words = ("apply", "identity.conditional-access", "-i", policies, "--yes", "--out", run, "-o", "json")
    assert graph_cassette.run(*words).json["outcomes"]["done"] == 4
    made = [each for each in recording.read(graph_cassette.path).operations if each.is_write and each.status == 201]
    states = {each.body["state"] for each in made if "state" in each.body}
    assert states == {"enabledForReportingButNotEnforced"}


# --- through respx: the network's own code, up to the connection ---


class Wall(VirtualClock):
    """In the place of the real clock."""

    def __init__(self, scale=1.0):
        super().__init__()

    common = VirtualClock.now


@pytest.fixture
def over_respx(graphkit, graph_cassette, respx_mock, monkeypatch):
    """The command line with its usual wire; respx answers in the server's place, and time jumps."""
    graph_cassette.mount(respx_mock)
    run_for_real = clock.run
    monkeypatch.setattr(clock, "run", lambda main, virtual: run_for_real(main, virtual=True))
    monkeypatch.setattr(session, "RealClock", Wall)
    monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", "any")
    beside = recording.inputs_of(graph_cassette.path) / "graphkit.toml"
    config = ("--config", beside) if beside.exists() else ()
    return lambda *words: graphkit("-t", LOCAL, *config, "-o", "json", *words)


@pytest.mark.parametrize(
    ("recipe", "file", "done"),
    [
        pytest.param(
            "licenses.pools", "pools.yaml", 34, marks=pytest.mark.graph_cassette("../cassettes/licenses.pools.jsonl")
        ),
        pytest.param(
            "identity.conditional-access",
            "policies.yaml",
            4,
            marks=pytest.mark.graph_cassette("../cassettes/identity.conditional-access.jsonl"),
        ),
    ],
)
def test_respx_replays_a_recipe(over_respx, graph_cassette, recipe, file, done):
    result = over_respx("apply", recipe, "-i", graph_cassette.input(file), "--yes")
    assert result.json["outcomes"]["done"] == done, result.stdout


def _script():
    spec = importlib.util.spec_from_file_location("sdk_script", FOLDER / "sdk_script.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.filterwarnings("ignore")  # what the generated code warns about is its own affair
@pytest.mark.graph_cassette("../cassettes/msgraph-sdk.jsonl")
def test_respx_replays_a_script_on_msgraph_sdk_unmodified(graph_cassette, respx_mock):
    if os.environ.get("GRAPHKIT_FOREIGN_CLIENTS") != "required":
        pytest.importorskip("msgraph", reason="the extra sdk is not installed: pip install 'graphkit-m365[sdk]'")
    from azure.core.credentials import AccessToken
    from msgraph import GraphServiceClient

    class AnyCredential:
        async def get_token(self, *scopes, **options):
            return AccessToken("any", 2**31)

        async def close(self):
            pass

    graph_cassette.mount(respx_mock)
    project = json.loads(graph_cassette.input("project.json").read_text(encoding="utf-8"))

    async def main():
        graph = GraphServiceClient(credentials=AnyCredential(), scopes=["https://graph.microsoft.com/.default"])
        return await _script().main(graph, project)

    told = asyncio.run(main())
    assert told == {"accounts": 62, "group": told["group"], "name": project["name"], "people": 3}


@pytest.mark.parametrize(("name", "recipe", "file"), [("licenses.pools", "licenses.pools", "pools.yaml"),
                                                      ("identity.conditional-access", "identity.conditional-access",
                                                       "policies.yaml")])  # fmt: skip
def test_a_cassette_seeds_a_tenant_on_which_the_recipe_runs_too(graphkit, tmp_path, name, recipe, file):
    cassette, state = FOLDER / f"{name}.jsonl", tmp_path / "t.db"
    inputs = recording.inputs_of(cassette)
    assert graphkit("sim", "seed", "--state", state, "--from", cassette).code == 0
    config = ("--config", inputs / "graphkit.toml") if (inputs / "graphkit.toml").exists() else ()
    flags = ("-t", "simulated", "--state", state, "--virtual-time", "-o", "json", *config)
    result = graphkit(*flags, "apply", recipe, "-i", inputs / file, "--yes")
    assert result.code == 0, result.stdout + result.stderr
    words = ("-t", f"replay:{cassette}", "-o", "json", *config, "apply", recipe, "-i", inputs / file, "--yes")
    assert graphkit(*words).json["outcomes"] == result.json["outcomes"]
