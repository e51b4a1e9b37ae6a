"""graphkit runs export, diff, purge; graphkit bundle."""

import json
import os
import zipfile

import pytest

from graphkit.engine.runfile import RunFile


def test_a_copy_is_whole_and_private(graphkit, planned, tmp_path):
    copy = tmp_path / "copies" / "b.run"
    assert graphkit("runs", "export", planned, copy).code == 0
    assert graphkit("show", copy, "-o", "jsonl").stdout == graphkit("show", planned, "-o", "jsonl").stdout
    if os.name == "posix":
        assert copy.stat().st_mode & 0o777 == 0o600


def test_a_run_that_is_being_applied_can_be_copied(graphkit, planned, tmp_path):
    with RunFile.open(planned, write=True):
        assert graphkit("runs", "export", planned, tmp_path / "b.run").code == 0
    assert graphkit("show", tmp_path / "b.run").code == 0


def test_a_copy_overwrites_nothing(graphkit, planned, tmp_path):
    (tmp_path / "b.run").write_text("mine")
    result = graphkit("runs", "export", planned, tmp_path / "b.run")
    assert (result.code, (tmp_path / "b.run").read_text()) == (5, "mine")


def test_two_plans_are_compared_line_by_line(simulated, pools, planned, tmp_path):
    other = tmp_path / "b.run"
    simulated("plan", "licenses.pools", "-i", pools(47), "--out", other, "-o", "none")
    assert simulated("runs", "diff", planned, planned).code == 0
    result = simulated("runs", "diff", planned, other, "-o", "json")
    assert result.code == 2
    assert [(row["plan"], row["action"], row["key"][-24:]) for row in result.json] == [
        ("second", "add", "rx1-0046@contoso.example"),
        ("second", "add", "rx1-0047@contoso.example"),
    ]


@pytest.fixture
def runs(simulated, pools, tmp_path, monkeypatch):
    """The runs folder with one plan in it."""
    folder = tmp_path / "runs"
    monkeypatch.setenv("GRAPHKIT_RUNS_DIR", str(folder))
    assert simulated("plan", "licenses.pools", "-i", pools(), "-o", "none").code == 0
    return folder


def age(path, days):
    with RunFile.open(path, write=True) as run:
        run.set_header(created=run.header()["created"] - days * 86400)


def test_only_what_is_old_enough_is_purged(graphkit, runs):
    (path,) = runs.glob("*.run")
    graphkit("runs", "purge", "--older-than", "100000d", "--yes")
    assert path.exists()
    age(path, 200_000)
    results = path.with_suffix(".results.csv")
    results.write_text("personal")
    graphkit("runs", "purge", "--older-than", "100000d", "--yes")
    assert not path.exists()
    assert not results.exists()


def test_what_could_still_be_resumed_is_kept_unless_asked(graphkit, runs):
    (path,) = runs.glob("*.run")
    age(path, 200_000)
    with RunFile.open(path, write=True) as run:
        run.set_header(status="interrupted")
    graphkit("runs", "purge", "--older-than", "100000d", "--yes")
    assert path.exists()
    graphkit("runs", "purge", "--older-than", "100000d", "--unfinished", "--yes")
    assert not path.exists()


def test_a_run_in_use_is_kept_and_named(graphkit, runs):
    (path,) = runs.glob("*.run")
    age(path, 200_000)
    with RunFile.open(path, write=True):
        result = graphkit("runs", "purge", "--older-than", "100000d", "--yes", "-o", "json")
    assert path.exists()
    assert "in use" in result.json[0]["state"]


def test_nothing_is_purged_where_nobody_can_be_asked(graphkit, runs):
    assert graphkit("runs", "purge", "--older-than", "1s").code == 5


@pytest.fixture
def failed(simulated, pools, tmp_path):
    """A run with a failure in it, whose service text names a person."""
    run = tmp_path / "f.run"
    pools(45, extra=["nobody@contoso.example"])
    simulated("plan", "licenses.pools", "-i", tmp_path / "pools.yaml", "--skip-invalid", "--out", run, "-o", "none")
    simulated("apply", run, "--yes", "-o", "none")
    return run


def test_a_bundle_is_shown_before_it_is_written(graphkit, failed, tmp_path):
    shown = graphkit("bundle", failed, "--preview", "-o", "json").json
    archive = tmp_path / "support.zip"
    assert graphkit("bundle", failed, "--out", archive, "--yes").code == 0
    with zipfile.ZipFile(archive) as found:
        assert {name: json.loads(found.read(name)) for name in found.namelist()} == shown
    assert sum(line["count"] for line in shown["run-1.json"]["changes"]) == 47


def test_a_bundle_holds_no_secret_no_person_and_no_object(graphkit, failed, tmp_path, monkeypatch):
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "canary-secret")
    monkeypatch.setenv("AZURE_TENANT_ID", "canary-tenant")
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "canary-person@contoso.example")
    archive = tmp_path / "support.zip"
    assert graphkit("bundle", failed, "--out", archive, "--yes").code == 0
    with zipfile.ZipFile(archive) as found:
        text = "".join(found.read(name).decode() for name in found.namelist())
    for canary in ("canary", "contoso", "rx1-00", "RX1", str(tmp_path), "pools.yaml"):
        assert canary not in text, canary


def test_a_bundle_is_not_written_where_nobody_can_be_asked(graphkit, planned, tmp_path):
    assert graphkit("bundle", planned, "--out", tmp_path / "s.zip").code == 5
    assert not (tmp_path / "s.zip").exists()
