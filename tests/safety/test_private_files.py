"""Whatever is written lies open to nobody else, and goes nowhere else: through the command line."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def pools(tmp_path):
    (tmp_path / "rx1.csv").write_text("upn\nrx1-0001@contoso.example\n", encoding="utf-8")
    path = tmp_path / "pools.yaml"
    path.write_text("pools:\n  - {org: RX1, sku: SPE_E3, cap: 5, members_from: rx1.csv}\n", encoding="utf-8")
    return path


def files_below(folder: Path):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_with_the_widest_umask_every_file_is_private_all_the_same(simulated, pools, tmp_path, open_umask, monkeypatch):
    runs, cache = tmp_path / "kept" / "runs", tmp_path / "kept" / "cache"
    monkeypatch.setenv("GRAPHKIT_RUNS_DIR", str(runs))
    monkeypatch.setenv("GRAPHKIT_CACHE_DIR", str(cache))
    log = tmp_path / "kept" / "log" / "a.log"
    flags = ("-v", "-v", "--log-file", log)
    plan = simulated("plan", "licenses.pools", "-i", pools, "-o", "json", "--html", runs / "plan.html", *flags)
    assert plan.code == 0, plan.stderr
    assert simulated("apply", plan.json["run"], "--yes", "--html", runs / "a.html", *flags).code == 0
    written = files_below(tmp_path / "kept")
    assert {path.suffix for path in written} >= {".run", ".csv", ".html", ".log"}
    open_ones = [path for path in written if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert open_ones == []
    assert stat.S_IMODE(runs.stat().st_mode) & 0o077 == 0


def test_the_runs_folder_is_private_although_the_run_file_is_elsewhere(simulated, pools, tmp_path, monkeypatch):
    runs = tmp_path / "kept" / "runs"
    monkeypatch.setenv("GRAPHKIT_RUNS_DIR", str(runs))
    done = simulated("apply", "licenses.pools", "-i", pools, "--out", tmp_path / "a.run", "--yes")
    assert done.code == 0, done.stderr
    assert [oct(stat.S_IMODE(path.stat().st_mode)) for path in (runs.parent, runs)] == ["0o700", "0o700"]


def test_a_link_laid_in_the_way_of_a_run_file_is_not_followed(simulated, pools, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "a.run").symlink_to(elsewhere)
    result = simulated("plan", "licenses.pools", "-i", pools, "--out", tmp_path / "a.run", "-o", "json")
    assert (result.code, result.json["error"]["code"]) == (5, "run-file")
    assert not elsewhere.exists()


@pytest.mark.parametrize("name", ["a.results.csv", "a.html"])
def test_a_link_laid_in_the_way_of_a_report_is_not_followed(simulated, tenant, pools, tmp_path, name):
    assert simulated("plan", "licenses.pools", "-i", pools, "--out", tmp_path / "a.run").code == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious", encoding="utf-8")
    (tmp_path / f"{name}.{os.getpid()}.part").symlink_to(elsewhere)
    result = simulated("apply", tmp_path / "a.run", "--yes", "--html", tmp_path / "a.html", "-o", "json")
    assert result.code == 1
    assert "symbolic link" in result.json["error"]["message"] + result.stderr
    assert elsewhere.read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (lambda path: path.chmod(0o666), "may be written by others"),
        (lambda path: path.chmod(0o620), "may be written by others"),
        (lambda path: path.rename(path.with_name("real")) and path.symlink_to("real"), "symbolic link"),
    ],
)
@pytest.mark.parametrize("verb", ["apply", "show", "resume"])
def test_a_run_file_that_somebody_else_may_have_written_is_refused(
    simulated, tenant, pools, tmp_path, tamper, said, verb
):
    path = tmp_path / "a.run"
    assert simulated("plan", "licenses.pools", "-i", pools, "--out", path).code == 0
    tamper(path)
    result = simulated(verb, path, *(["--yes"] if verb != "show" else []), "-o", "json")
    assert (result.code, result.json["error"]["code"]) == (5, "run-file")
    assert said in result.json["error"]["message"]
    assert "plan again" in result.json["error"]["hint"]
    assert tenant.log() == []


def test_a_folder_in_which_anybody_may_replace_files_is_remarked_upon(simulated, pools, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()

    def warned(mode: int, name: str) -> bool:
        shared.chmod(mode)
        result = simulated("plan", "licenses.pools", "-i", pools, "--out", shared / name, "-o", "json")
        return any("anybody on this machine may replace" in warning for warning in result.json["warnings"])

    assert [warned(0o777, "a"), warned(0o1777, "b"), warned(0o770, "c")] == [True, False, False]


def test_an_older_report_that_lay_open_is_private_once_it_is_written_anew(simulated, pools, tmp_path):
    part = tmp_path / "plan.html.part"
    part.touch(mode=0o666)
    part.chmod(0o666)
    simulated("plan", "licenses.pools", "-i", pools, "--out", tmp_path / "a.run", "--html", tmp_path / "plan.html")
    assert stat.S_IMODE((tmp_path / "plan.html").stat().st_mode) == 0o600
