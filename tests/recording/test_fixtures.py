"""The fixtures as a recipe's author meets them: in a folder of their own, with nothing but pytest and graphkit."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from served import served

from graphkit import jobs, recording
from graphkit.cli import apply, graph, plan
from graphkit.clock import RealClock
from graphkit.recipe import all_recipes
from graphkit.sandbox import Seed, SimulatedTenant

pytest_plugins = "pytester"

# pytester takes out of sys.modules what a run inside brings in: of a module that came half from here, half from there,
# there would be two classes of one name.
LOADED = (jobs, apply, graph, plan, all_recipes())

ROOT = Path(__file__).parents[2]
CASSETTES = ROOT / "tests" / "cassettes"

ORGANISATION = """
    def test_who(graph_cassette):
        found = graph_cassette.run("graph", "get", "/organization", "-o", "json")
        assert found.code == 0, found.stderr
"""


@pytest.fixture
def run(pytester):
    """``run("--graph-cassette=once", passed=1)``"""

    def run_inside(*arguments, **outcomes):
        result = pytester.runpytest_inprocess("-p", "graphkit.testing", "-p", "no:cacheprovider", *arguments)
        result.assert_outcomes(**outcomes)
        return result

    return run_inside


@pytest.fixture
def service(monkeypatch):
    """A tenant behind HTTP, and the settings that lead to it."""
    with served(SimulatedTenant(RealClock(), seed=Seed(users=30))) as address:
        monkeypatch.setenv("GRAPHKIT_GRAPH_URL", address)
        monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", "any")
        yield address


def copied(pytester, name, test):
    """One of the project's cassettes as that of ``test``."""
    target = pytester.path / "cassettes" / f"{test}.jsonl"
    target.parent.mkdir(exist_ok=True)
    shutil.copy(CASSETTES / f"{name}.jsonl", target)
    shutil.copytree(recording.inputs_of(CASSETTES / f"{name}.jsonl"), recording.inputs_of(target))
    return target


# --- the page ---


def examples():
    text = (ROOT / "docs" / "testing-recipes.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.S)


def test_the_page_shows_three_tests_of_five_lines():
    tests = [example[example.index("def test_") :].strip() for example in examples()]
    assert [len(test.splitlines()) for test in tests] == [5, 5, 5]


def test_what_the_page_shows_runs(pytester, run):
    copied(pytester, "licenses.pools", "test_pools_as_they_were_recorded")
    pytester.makepyfile("\n\n".join(examples()))
    run(passed=3)


def test_every_mode_is_in_the_manual():
    from graphkit.testing import MODES

    text = (ROOT / "docs" / "testing-recipes.md").read_text(encoding="utf-8")
    table = text.partition("`pytest --graph-cassette=MODE`")[2].partition("While recording")[0]
    assert tuple(re.findall(r"(?m)^\| `(\w+)`", table)) == MODES


# --- the plug-in ---


def test_it_is_registered_under_the_name_of_its_module():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"graphkit.testing": "graphkit.testing"}


def test_it_loads_nothing_of_graphkit_until_a_test_asks():
    code = (
        "import sys, graphkit.testing\n"
        "heavy = {'httpx', 'pydantic', 'msgspec', 'click', 'asyncio', 'rich', 'azure'} & set(sys.modules)\n"
        "own = {name for name in sys.modules if name.startswith('graphkit.')}\n"
        "assert not heavy - {'asyncio'} and own == {'graphkit.testing'}, (heavy, own)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_without_pytest_graphkit_works_as_before():
    code = (
        "import sys\nsys.modules['pytest'] = sys.modules['_pytest'] = sys.modules['respx'] = None\n"
        "from graphkit.__main__ import main\nimport graphkit, graphkit.recording\n"
        "sys.exit(main(['sim', 'endpoints', '-o', 'none']))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_the_mark_is_registered_and_a_mode_that_does_not_exist_is_refused(pytester):
    for arguments, code in ((["--markers"], 0), (["--graph-cassette=some"], pytest.ExitCode.USAGE_ERROR)):
        result = pytester.runpytest_inprocess("-p", "graphkit.testing", *arguments)
        assert result.ret == code
        assert "graph_cassette(path)" in result.stdout.str() or code


# --- the simulated tenant ---


def test_a_tenant_runs_commands_and_clients_and_tells_its_writes(pytester, run):
    pytester.makepyfile(
        """
        def test_it(graph_tenant):
            graph_tenant.seed(users=12, organisations=2)
            eventual = {"ConsistencyLevel": "eventual"}
            assert graph_tenant.use(lambda graph: graph.get("/users/$count", headers=eventual)) == 14
            name = "rx1-0001@contoso.example"
            change = ("graph", "patch", f"/users/{name}", "--body", '{"jobTitle": "x"}', "--yes")
            assert graph_tenant.run(*change).code == 0
            assert [entry.method for entry in graph_tenant.writes] == ["PATCH"]
            with graph_tenant.opened() as tenant:
                assert tenant.seed.users == 12
        """
    )
    run(passed=1)


def test_faults_strike_and_are_counted(pytester, run):
    pytester.makepyfile(
        """
        def test_it(graph_tenant, graph_faults):
            graph_faults(method="GET", path="/me", action="throttle", retry_after="5")
            graph_faults.load("flaky-network")
            assert graph_faults.fired[0] == 0
            graph_tenant.run("graph", "get", "/me")
            assert graph_faults.fired[0] >= 1
        """
    )
    run(passed=1)


# --- cassettes: modes ---


def test_without_a_cassette_a_replay_fails_and_says_how_to_record(pytester, run):
    pytester.makepyfile(ORGANISATION)
    result = run(errors=1)
    assert "there is no cassette" in result.stdout.str()
    assert "--graph-cassette=once" in result.stdout.str()


def test_once_records_what_is_missing_and_replays_what_is_there(pytester, run, service, monkeypatch):
    pytester.makepyfile(ORGANISATION)
    run("--graph-cassette=once", passed=1)
    before = (pytester.path / "cassettes" / "test_who.jsonl").read_bytes()
    monkeypatch.setenv("GRAPHKIT_GRAPH_URL", "http://127.0.0.1:9")  # nobody is there
    for mode in ("once", "none"):
        run(f"--graph-cassette={mode}", passed=1)
    assert (pytester.path / "cassettes" / "test_who.jsonl").read_bytes() == before


def test_all_records_anew(pytester, run, service):
    pytester.makepyfile(ORGANISATION)
    run("--graph-cassette=once", passed=1)
    before = (pytester.path / "cassettes" / "test_who.jsonl").read_bytes()
    run("--graph-cassette=all", passed=1)
    assert (pytester.path / "cassettes" / "test_who.jsonl").read_bytes() != before


def test_new_replays_what_is_known_and_adds_the_rest(pytester, run, service):
    pytester.makepyfile(ORGANISATION)
    run("--graph-cassette=once", passed=1)
    path = pytester.path / "cassettes" / "test_who.jsonl"
    before = path.read_text().splitlines()
    more = '        assert graph_cassette.run("graph", "get", "/subscribedSkus", "-o", "none").code == 0\n'
    pytester.makepyfile(ORGANISATION + more)
    run("--graph-cassette=none", failed=1)
    run("--graph-cassette=new", passed=1)
    after = path.read_text().splitlines()
    assert after[: len(before)] == before
    assert [line for line in after[len(before) :] if "subscribedSkus" in line]
    run("--graph-cassette=none", passed=1)


# --- cassettes: doors ---


def test_a_transport_and_a_router_record_what_others_say_and_replay_it(pytester, run, service, monkeypatch):
    pytester.makepyfile(
        f"""
        import asyncio, httpx

        async def ask(**how):
            async with httpx.AsyncClient(headers={{"authorization": "Bearer any"}}, **how) as client:
                return (await client.get("{service}/v1.0/subscribedSkus")).json()["value"]

        def test_a_transport(graph_cassette):
            assert asyncio.run(ask(transport=graph_cassette.transport))

        def test_a_router(graph_cassette, respx_mock):
            graph_cassette.mount(respx_mock)
            assert asyncio.run(ask())

        def test_a_client(graph_cassette):
            assert graph_cassette.use(lambda graph: graph.get("/subscribedSkus"))["value"]
        """
    )
    run("--graph-cassette=once", passed=3)
    monkeypatch.setenv("GRAPHKIT_GRAPH_URL", "http://127.0.0.1:9")
    run(passed=3)
    for path in (pytester.path / "cassettes").glob("*.jsonl"):
        assert "any" not in path.read_text().replace("Company", "")


def test_inputs_are_the_originals_while_recording_and_their_twins_in_a_replay(pytester, run, service):
    pytester.makepyfile(
        """
        def test_it(graph_cassette):
            given = graph_cassette.input("members.csv")
            upn = given.read_text().split()[1]
            assert graph_cassette.run("graph", "get", f"/users/{upn}", "-o", "none").code == 0
        """
    )
    (pytester.path / "members.csv").write_text("upn\nrx1-0001@contoso.example\n")
    run("--graph-cassette=once", passed=1)
    run(passed=1)
    twin = pytester.path / "cassettes" / "test_it.inputs" / "members.csv"
    assert "contoso" not in twin.read_text()


# --- cassettes: what fails a test ---


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("graph_cassette.run('graph', 'get', '/me/manager')", "has no answer for"),
        (
            "graph_cassette.run('plan', 'licenses.pools', '-i', graph_cassette.input('pools.yaml'))",
            "that nobody asked for",
        ),
    ],
    ids=["unmatched", "unused write"],
)
def test_what_was_not_recorded_and_what_was_left_out_fail_a_test_that_noticed_neither(pytester, run, body, said):
    copied(pytester, "licenses.pools", "test_it")
    pytester.makepyfile(f"def test_it(graph_cassette):\n    {body}")
    assert said in run(failed=1).stdout.str()


def test_an_input_that_is_not_there_is_told_with_those_that_are(pytester, run):
    copied(pytester, "licenses.pools", "test_it")
    pytester.makepyfile("def test_it(graph_cassette):\n    graph_cassette.input('people.csv')")
    assert "members.csv, staff.csv" in run(failed=1).stdout.str()


def test_credentials_of_whoever_runs_the_tests_reach_no_replay(pytester, run, monkeypatch):
    copied(pytester, "licenses.pools", "test_it")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "secret")
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "somebody@contoso.example")
    pytester.makepyfile(
        """
        import os

        def test_it(graph_cassette):
            assert not [name for name in os.environ if name.startswith("AZURE_") or name == "GRAPHKIT_BREAK_GLASS"]
            pools = graph_cassette.input("pools.yaml")
            assert graph_cassette.run("apply", "licenses.pools", "-i", pools, "--yes").code == 0
        """
    )
    run(passed=1)
