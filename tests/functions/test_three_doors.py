"""The command line, the function app and the Python API: the same input gives the same run file."""

from __future__ import annotations

import json

import pytest
from triggered import App, pool_request

import graphkit
from graphkit import clock
from graphkit.engine.runfile import RunFile
from graphkit.functions import app as triggers
from graphkit.settings import load

POLICIES = """\
named_locations:
  - {key: office, name: Head office, ip_ranges: [203.0.113.0/24], trusted: true}
policies:
  - key: all-mfa
    state: report
    include: {users: [All]}
    exclude: {groups: [Break glass]}
    apps: {include: [All]}
    grant: {operator: OR, builtInControls: [mfa]}
"""
INPUTS = {
    "licenses.pools": pool_request()["inputs"],
    "identity.conditional-access": {"policies.yaml": POLICIES},
}
OPTIONS = {"licenses.pools": {"mode": "additive"}, "identity.conditional-access": {}}
BREAK_GLASS = "break-glass-1@contoso.example,Break glass"


def door(name, recipe, folder, monkeypatch):
    """A folder with the inputs of its own; the tenant of each door is seeded alike."""
    for file, text in INPUTS[recipe].items():
        (folder / file).write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    return next(iter(INPUTS[recipe]))


def by_command_line(recipe, tenant, folder, commands, monkeypatch):
    first = door("cli", recipe, folder, monkeypatch)
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", BREAK_GLASS)
    options = [part for name, value in OPTIONS[recipe].items() for part in (f"--{name}", value)]
    planned = commands("plan", recipe, "-i", first, *options, "--out", "a.run", "-o", "none", *tenant.flags)
    assert planned.code == 0, planned.stderr
    applied = commands("apply", "a.run", "--yes", "-o", "none", *tenant.flags)
    assert applied.code == 0, applied.stderr
    return folder / "a.run"


def by_functions(recipe, tenant, folder, commands, monkeypatch):
    env = {
        "GRAPHKIT_RUNS_DIR": str(folder / "share"),
        "GRAPHKIT_FUNCTIONS_RECIPES": recipe,
        "GRAPHKIT_FUNCTIONS_APPLY": "1",
        "GRAPHKIT_BREAK_GLASS": BREAK_GLASS,
    }
    flags = {"target": "simulated", "state": str(tenant.path), "virtual_time": True}
    app = App(load(flags, env=env, cwd=folder))
    monkeypatch.setattr(triggers, "_deployment", lambda: app.deployment)
    run = app.start({"inputs": INPUTS[recipe], "options": OPTIONS[recipe]}, recipe=recipe).run
    app.take_all()
    app.approve(run)
    app.take_all()
    assert app.show(run).body["exitCode"] == 0
    return app.run(run).run_file


def by_python(recipe, tenant, folder, commands, monkeypatch):
    first = door("api", recipe, folder, monkeypatch)
    flags = {"target": "simulated", "state": str(tenant.path), "virtual_time": True}
    env = {"GRAPHKIT_RUNS_DIR": str(folder), "GRAPHKIT_BREAK_GLASS": BREAK_GLASS}
    settings = graphkit.load_settings(flags, env=env, cwd=folder)
    options = graphkit.PlanOptions(**OPTIONS[recipe])
    asked = graphkit.Asked(recipe=recipe, inputs=(first,), options=options, out=folder / "b.run")

    async def session(work):
        async with graphkit.open_session(settings) as connected:
            return await work(connected)

    clock.run(session(lambda s: graphkit.plan(s, asked, runs_dir=folder)), virtual=True)
    done = clock.run(session(lambda s: graphkit.apply(s, folder / "b.run")), virtual=True)
    assert done.apply_exit_code == 0
    return folder / "b.run"


def told(path):
    """The plan's lines and their outcomes, ids that the tenant gave apart, and the digest that covers the lines."""
    with RunFile.open(path) as run:
        header = run.header()
        lines = [(change.line(), result.status.value, result.code) for change, result in run.results()]
        rows = [(row.origin, row.action, row.result.status.value) for row in run.input_results(tables=True)]
        kept = {name: header[name] for name in ("recipe", "tenant", "target", "apps", "inputs", "options", "limits")}
        return header["digest"], lines, rows, json.dumps(kept, sort_keys=True)


@pytest.mark.parametrize("recipe", sorted(INPUTS))
def test_the_three_doors_write_the_same_lines(recipe, tenant, tmp_path, graphkit, monkeypatch):
    found = []
    for through in (by_command_line, by_functions, by_python):
        folder = tmp_path / through.__name__
        folder.mkdir()
        tenant.seed(users=180)
        found.append(told(through(recipe, tenant, folder, graphkit, monkeypatch)))
    assert found[0][1]
    assert found[0] == found[1] == found[2]
