"""What people type by mistake, where they may not write, and what a shell does to a command's streams."""

import os
import subprocess
import sys

import pytest

posix = pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (("plna",), "No such command 'plna'. (Did you mean plan?)"),
        (("zzz",), "No such command 'zzz'.\n"),
        (("plan", "licences.pool", "-i", "x"), "did you mean licenses.pools? graphkit recipe list shows all"),
        (("plan", "pools", "-i", "x"), "did you mean licenses.pools? graphkit recipe list shows all"),
        (("report", "licence"), "did you mean reports.licenses? graphkit recipe list shows all"),
        (("plan", "zzz.zzz", "-i", "x"), "hint: graphkit recipe list shows all"),
        (("plan", "licenses.pools", "--moed", "additive"), "Did you mean one of: '--mode', '--promote'?"),
    ],
)
def test_a_slip_of_the_pen_is_told_with_what_was_meant(graphkit, typed, told):
    result = graphkit(*typed)
    assert (result.code, told in result.stderr) == (5, True), result.stderr


def test_the_folder_of_a_recipe_is_taken_for_no_file(simulated, tmp_path, monkeypatch):
    """``init`` makes folders that are called like the recipes."""
    monkeypatch.chdir(tmp_path)
    simulated("init", ".", "-o", "none")
    assert "licenses.pools is a recipe, and no input was given" in simulated("apply", "licenses.pools", "--yes").stderr
    assert "licenses.pools is a folder, and no run file" in simulated("show", "licenses.pools").stderr
    for recipe, told in (
        ("licenses.pools", "the YAML or JSON file in it"),
        ("licenses.assign", "the file that holds the rows"),
    ):
        refused = simulated("plan", recipe, "-i", recipe)
        assert (refused.code, f"{recipe}: is a folder: name {told}" in refused.stderr) == (5, True)


@pytest.mark.parametrize(
    ("verb", "given"),
    [("graph", ("get", "/users")), ("sim", ("seed",)), ("sim", ("serve", "--port", "0"))],
)
def test_where_no_tenant_can_be_kept_is_said_as_it_is(graphkit, tmp_path, verb, given):
    target = ("-t", "simulated") if verb == "graph" else ()
    refused = graphkit(verb, *given, *target, "--state", tmp_path / "gone" / "a.db")
    assert (refused.code, f"there is no folder {tmp_path / 'gone'}" in refused.stderr) == (5, True)


def test_a_tenant_is_not_looked_for_in_a_folder(graphkit, tmp_path):
    refused = graphkit("graph", "get", "/users", "-t", "simulated", "--state", tmp_path)
    assert (refused.code, "is not a simulated tenant: it is a folder" in refused.stderr) == (5, True)


def test_a_runs_folder_that_cannot_be_had_is_named_with_the_way_out(simulated, pools, planned, tmp_path, monkeypatch):
    (tmp_path / "occupied").write_text("")
    monkeypatch.setenv("GRAPHKIT_RUNS_DIR", str(tmp_path / "occupied"))
    for verb in (("plan", "licenses.pools", "-i", pools()), ("apply", planned, "--yes")):
        refused = simulated(*verb)
        assert (refused.code, str(tmp_path / "occupied") in refused.stderr) == (5, True)
        assert "another folder for runs can be chosen with GRAPHKIT_RUNS_DIR" in refused.stderr


@pytest.mark.parametrize("option", ["--results", "--html"])
def test_nothing_is_sent_if_what_comes_of_it_could_not_be_written(simulated, tenant, planned, tmp_path, option):
    (tmp_path / "taken").write_text("")
    for place, why in ((tmp_path, "is a folder"), (tmp_path / "taken" / "a.out", "cannot be made")):
        refused = simulated("apply", planned, "--yes", option, place)
        assert (refused.code, why in refused.stderr) == (5, True)
    assert tenant.log() == []
    done = simulated("apply", planned, "--yes", option, tmp_path / "new" / "a.out", "-o", "json")
    assert (done.code, done.json["outcomes"]["failed"]) == (0, 0)
    assert (tmp_path / "new" / "a.out").stat().st_size


@pytest.mark.parametrize(
    "line",
    [
        ("plan", "licenses.pools", "-i", "pools.yaml", "--html"),
        ("drift", "licenses.pools", "-i", "pools.yaml", "--junit"),
        ("report", "licenses", "--html"),
        ("show", "a.run", "--html"),
    ],
)
def test_a_page_that_could_not_be_written_is_told_first(simulated, tmp_path, line):
    (tmp_path / "taken").write_text("")
    refused = simulated(*line, tmp_path / "taken" / "a.out")
    assert (refused.code, refused.stdout) == (5, "")
    assert f"the folder {tmp_path / 'taken'} cannot be made" in refused.stderr


def shell(line, tmp_path, **environment):
    command = f'"{sys.executable}" -m graphkit {line}'
    given = {**os.environ, **environment}
    return subprocess.run(["sh", "-c", command], capture_output=True, cwd=tmp_path, env=given, timeout=60, check=False)


@posix
def test_a_command_whose_streams_were_closed_does_its_work(graphkit, pools, tmp_path):
    line = "plan licenses.pools -i pools.yaml --out a.run -t simulated --virtual-time"
    pools(3)
    done = shell(f"{line} <&- >&- 2>&-", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert graphkit("show", tmp_path / "a.run", "-o", "json").json["status"] == "ready"


@posix
@pytest.mark.parametrize("line", ["recipe list -o json", "show gone.run -o json"])
def test_a_reader_that_has_gone_is_no_defect(tmp_path, line):
    ended = shell(f"{line} | true", tmp_path)
    assert b"Traceback" not in ended.stderr
    assert b"Exception" not in ended.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no such device")
@pytest.mark.parametrize("form", ["table", "json"])
def test_a_full_disk_below_standard_output_is_told(tmp_path, form):
    ended = shell(f"recipe show licenses.pools -o {form} > /dev/full", tmp_path)
    assert (ended.returncode, ended.stderr.decode()) == (1, "error: No space left on device\n")


@posix
def test_a_name_that_is_no_text_is_refused_before_anything_is_done(tmp_path):
    ended = shell("validate licenses.assign -i caf$(printf '\\351').csv", tmp_path)
    assert (ended.returncode, b"holds bytes that are no text" in ended.stderr) == (5, True)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no such file can be made")
def test_a_file_of_such_a_name_in_a_folder_hides_no_other(simulated, tmp_path):
    folder = tmp_path / "policies"
    simulated("recipe", "template", "devices.policies", folder)
    os.link(folder / "policies.json", os.path.join(os.fsencode(folder), b"caf\xe9.json"))
    told = simulated("validate", "devices.policies", "-i", folder, "-o", "json")
    (error,) = told.json["errors"]
    assert (told.code, told.json["valid"] > 0) == (5, True)
    assert "caf\\udce9.json: its name holds bytes that are no text: rename it" in error["message"]


@posix
def test_a_pipe_is_read_once_and_planned_like_a_file(simulated, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = subprocess.Popen(
        ["sh", "-c", "printf 'upn,sku,org\\nrx1-0050@contoso.example,SPE_E3,RX1\\n' > pipe"], cwd=tmp_path
    )
    found = simulated(
        "apply", "licenses.assign", "-i", tmp_path / "pipe", "--input-format", "csv", "--yes", "-o", "json"
    )
    assert (writer.wait(20), found.code) == (0, 0), found.stderr
    assert found.json["outcomes"]["done"] == 1
    with open(found.json["results"], encoding="utf-8-sig") as results:
        assert "rx1-0050@contoso.example" in results.read()
