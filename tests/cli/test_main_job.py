"""From a YAML file to a proved result, through the public door."""

import contextlib
import csv
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from graphkit.cli import progress
from graphkit.engine.runfile import RunFile
from graphkit.errors import AuthError, Parked

COUNTS = {"create": 1, "update": 0, "add": 46, "remove": 0, "delete": 0, "noop": 0, "blocked": 0}
ALL_DONE = {"done": 47, "already": 0, "failed": 0, "skipped": 0, "unknown": 0}


# --- plan ---


def test_a_plan_is_one_object_with_its_contract_and_writes_nothing(simulated, tenant, pools, tmp_path):
    run = tmp_path / "a.run"
    result = simulated("plan", "licenses.pools", "-i", pools(), "--out", run, "-o", "json")
    assert result.code == 0
    plan = result.json
    assert {"run", "recipe", "tenant", "changes", "cost", "format", "status", "blocked"} <= plan.keys()
    assert (plan["run"], plan["recipe"], plan["status"], plan["format"]) == (str(run), "licenses.pools", "ready", 1)
    assert plan["changes"] == COUNTS
    assert all(row.keys() == {"bucket", "requests", "seconds"} for row in plan["cost"])
    assert "items" not in plan
    assert tenant.log() == []


def test_a_full_plan_lists_each_change_with_the_row_that_asked_for_it(simulated, pools, tmp_path):
    plan = simulated("plan", "licenses.pools", "-i", pools(), "--full", "-o", "json").json
    assert plan["changes"] == COUNTS
    assert len(plan["items"]) == 47
    member = plan["items"][-1]
    assert (member["action"], member["kind"], member["row"]) == ("add", "group.member", 46)
    assert member["file"] == str(tmp_path / "rx1.csv")


def test_a_plan_for_people_counts_kinds_costs_and_names_the_next_command(simulated, tenant, pools, tmp_path):
    run = tmp_path / "a.run"
    result = simulated("plan", "licenses.pools", "-i", pools(), "--out", run)
    for expected in ("Contoso Health (contoso.example): ready", "group.member", "identity.app_tenant.writes", f"{run}"):
        assert expected in result.stdout
    assert f"graphkit apply {run} -t simulated --state {tenant.path} --virtual-time" in result.stdout


@pytest.mark.parametrize(("applied", "code"), [(False, 2), (True, 0)])
def test_the_detailed_exit_code_tells_changes_from_none(simulated, pools, planned, applied, code):
    if applied:
        assert simulated("apply", planned, "--yes").code == 0
    assert simulated("plan", "licenses.pools", "-i", pools(), "--detailed-exitcode").code == code


def test_a_blocked_plan_exits_6_is_kept_and_cannot_be_applied(simulated, tenant, pools, tmp_path):
    run = tmp_path / "a.run"
    result = simulated("plan", "licenses.pools", "-i", pools(51), "--out", run, "-o", "json")
    assert (result.code, result.json["status"]) == (6, "blocked")
    assert "rx1-0051@contoso.example" in result.json["blocked"][0]
    assert "! blocked:" in simulated("show", run).stdout
    refused = simulated("apply", run, "--yes", "-o", "json")
    assert (refused.code, refused.json["error"]["code"]) == (6, "blocked")
    assert refused.json["error"]["reasons"] == result.json["blocked"]
    assert tenant.log() == []


def test_limits_are_on_by_default_and_raised_by_flags_of_plan(simulated, pools):
    limited = simulated("plan", "licenses.pools", "-i", pools(), "--max-changes", 10, "-o", "json")
    assert limited.code == 6
    assert "--max-changes 47" in limited.json["blocked"][0]


def test_only_the_organisation_named_is_planned(simulated, pools):
    result = simulated("plan", "licenses.pools", "-i", pools(), "--org", "RX2", "-o", "json")
    assert (result.code, result.json["status"]) == (0, "empty")


def test_a_plan_lands_in_the_runs_folder_when_no_file_is_named(simulated, pools, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_RUNS_DIR", str(tmp_path / "runs"))
    plan = simulated("plan", "licenses.pools", "-i", pools(), "-o", "json").json
    assert [str(path) for path in (tmp_path / "runs").glob("*.run")] == [plan["run"]]


def test_standard_input_is_an_input_like_any_other(simulated, pools, tmp_path, monkeypatch):
    text = pools().read_text()
    monkeypatch.chdir(tmp_path)
    result = simulated("plan", "licenses.pools", "-i", "-", "--input-format", "yaml", "-o", "json", stdin=text)
    assert result.json["changes"] == COUNTS


# --- bad input ---


def test_every_input_error_is_told_at_once_as_json(simulated, tenant, pools):
    bad = ("rx1-0001@contoso.example", "nobody@contoso.example", "no upn")
    result = simulated("plan", "licenses.pools", "-i", pools(extra=bad), "-o", "json")
    assert (result.code, result.json["error"]["code"]) == (5, "invalid-input")
    assert [error["row"] for error in result.json["error"]["errors"]] == [47, 48, 49]
    assert result.stderr.count("\n") == 1  # what is planned for whom
    assert tenant.log() == []


def test_every_input_error_is_a_line_on_standard_error(simulated, pools):
    result = simulated("plan", "licenses.pools", "-i", pools(extra=("no upn", "nor this")), "-q")
    assert (result.code, result.stdout) == (5, "")
    assert "rx1.csv: row 47" in result.stderr
    assert "rx1.csv: row 48" in result.stderr
    assert "error: 2 problems in the input; nothing was written" in result.stderr


def test_a_refused_plan_leaves_no_file(simulated, pools, tmp_path):
    simulated("plan", "licenses.pools", "-i", pools(extra=("no upn",)), "--out", tmp_path / "a.run")
    assert list(tmp_path.glob("a.run*")) == []


def test_invalid_rows_can_be_left_out_and_the_run_says_so(simulated, pools, tmp_path):
    run = tmp_path / "a.run"
    path = pools(extra=("no upn",))
    plan = simulated("plan", "licenses.pools", "-i", path, "--out", run, "--skip-invalid")
    assert (plan.code, "! input rows left out as invalid: 1" in plan.stdout) == (0, True)
    ended = simulated("apply", run, "--yes")
    assert (ended.code, "left out as invalid: 1; the results file names them" in ended.stdout) == (3, True)
    rows = csv.DictReader((tmp_path / "a.results.csv").read_text(encoding="utf-8-sig").splitlines())
    assert [row["gk_status"] for row in rows if row["upn"] == "no upn"] == ["skipped"]


def test_validate_counts_and_lists_without_a_tenant(graphkit, pools):
    good, bad = graphkit("validate", "licenses.pools", "-i", pools(), "-o", "json"), pools(extra=("no upn",))
    assert (good.code, good.json["valid"], good.json["errors"]) == (0, 46, [])
    found = graphkit("validate", "licenses.pools", "-i", bad, "-o", "json")
    assert (found.code, found.json["valid"]) == (5, 46)
    assert [{"file", "row", "message"} <= error.keys() for error in found.json["errors"]] == [True]
    told = graphkit("validate", "licenses.pools", "-i", bad)
    assert "row 47" in told.stderr
    assert told.stdout == "46 valid, 1 errors\n"


# --- apply ---


def test_applying_a_plan_ends_with_every_item_accounted_for(simulated, tenant, planned, tmp_path):
    result = simulated("apply", planned, "--yes", "-o", "json")
    assert result.code == 0
    assert {"run", "outcomes", "throttled"} <= result.json.keys()
    assert result.json["outcomes"] == ALL_DONE
    assert len(tenant.log()) == 5  # the group, its licence, 20 + 20 + 5 members
    assert (tmp_path / "a.results.csv").read_bytes().count(b"\r\n") == 46


def test_after_applying_a_second_plan_is_empty_and_the_plan_is_consumed(simulated, tenant, pools, planned):
    simulated("apply", planned, "--yes")
    again = simulated("plan", "licenses.pools", "-i", pools(), "-o", "json").json
    assert (again["status"], again["changes"]["noop"]) == ("empty", 47)
    twice = simulated("apply", planned, "--yes")
    assert twice.code == 5
    assert "has been applied already" in twice.stderr
    assert len(tenant.log()) == 5


def test_plan_and_apply_in_one(simulated, tenant, pools, tmp_path):
    result = simulated("apply", "licenses.pools", "-i", pools(), "--out", tmp_path / "a.run", "--yes", "-o", "json")
    assert (result.code, result.json["outcomes"]) == (0, ALL_DONE)
    assert (tmp_path / "a.run").exists()


def test_plan_and_apply_in_one_stops_at_a_rail(simulated, tenant, pools):
    result = simulated("apply", "licenses.pools", "-i", pools(51), "--yes")
    assert (result.code, tenant.log()) == (6, [])


@pytest.mark.parametrize("form", ["run", "recipe"])
def test_nothing_is_sent_without_a_terminal_and_without_yes(simulated, tenant, pools, planned, form):
    asked = (planned,) if form == "run" else ("licenses.pools", "-i", pools())
    result = simulated("apply", *asked)
    assert (result.code, tenant.log()) == (5, [])
    assert "nothing was done" in result.stderr
    assert "--yes" in result.stderr


@pytest.mark.parametrize(("answer", "code", "writes"), [("y\n", 0, 5), ("n\n", 1, 0), ("\n", 1, 0)])
def test_at_a_terminal_the_plan_is_shown_and_a_person_decides(simulated, tenant, planned, answer, code, writes):
    result = simulated("apply", planned, stdin=answer, terminal=True)
    assert (result.code, len(tenant.log())) == (code, writes)
    assert "Apply 47 changes to Contoso Health?" in result.stderr
    assert "identity.app_tenant.writes" in result.stderr


def test_what_was_decided_when_planning_is_refused_when_applying(simulated, tenant, planned):
    result = simulated("apply", planned, "--yes", "--adopt", "--org", "RX1")
    assert (result.code, tenant.log()) == (5, [])
    assert "--org, --adopt" in result.stderr or "--adopt, --org" in result.stderr


@pytest.mark.parametrize("verb", ["apply", "resume"])
def test_a_limit_can_be_lowered_when_applying_and_never_raised(simulated, tenant, planned, verb):
    if verb == "resume":
        assert simulated("apply", planned, "--yes", "--deadline", "0.3s").code == 7
    before = len(tenant.log())
    raised = simulated(verb, planned, "--yes", "--max-changes", 100_000)
    assert (raised.code, len(tenant.log())) == (5, before)
    assert "only a lower limit can be set now" in raised.stderr
    blocked = simulated(verb, planned, "--yes", "--max-changes", 46)
    assert (blocked.code, len(tenant.log())) == (6, before)
    assert "47 changes planned, 46 allowed" in blocked.stderr
    assert simulated(verb, planned, "--yes", "--max-changes", 47).code == 0


def test_a_run_is_refused_by_another_target_before_anyone_signs_in(graphkit, planned):
    result = graphkit("apply", planned, "--yes", "-o", "json")
    assert (result.code, result.json["error"]["code"]) == (4, "wrong-tenant")
    assert result.json["error"]["hint"] == "add -t simulated"


def test_a_run_is_refused_by_another_tenant(graphkit, simulated, tenant, planned):
    tenant.seed(users=180, domain="fabrikam.example")
    result = simulated("apply", planned, "--yes")
    assert (result.code, tenant.log()) == (4, [])


def test_a_plan_that_was_changed_is_refused(simulated, tenant, planned):
    with closing(sqlite3.connect(planned)) as db, db:
        db.execute("UPDATE change SET line = replace(line, 'rx1-0001', 'rx1-0002')")
    db.close()
    for verb in ("apply", "show"):
        result = simulated(verb, planned, *(("--yes",) if verb == "apply" else ()))
        assert result.code == 5
        assert "was changed after it was planned" in result.stderr
    assert tenant.log() == []


def test_an_account_gone_since_planning_fails_alone(simulated, tenant, planned, tmp_path):
    assert simulated("graph", "delete", "/users/rx1-0007@contoso.example", "--yes").code == 0
    result = simulated("apply", planned, "--yes", "-o", "json")
    assert result.code == 3
    assert result.json["outcomes"]["failed"] == 1
    told = simulated("show", planned).stdout
    assert "failed: add group.member RX1.SPE_E3.pool/rx1-0007@contoso.example" in told
    assert "rx1.csv row 8" in told
    assert "request-id" in told


# --- stopping and going on ---


def test_a_deadline_stops_the_run_says_how_to_go_on_and_resume_ends_it(simulated, tenant, planned):
    stopped = simulated("apply", planned, "--yes", "--deadline", "0s")
    assert stopped.code == 7
    assert f"hint: graphkit resume {planned} -t simulated --state {tenant.path} --virtual-time" in stopped.stderr
    again = simulated("apply", planned, "--yes")
    assert (again.code, "resume" in again.stderr) == (5, True)
    resumed = simulated("resume", planned, "--yes", "-o", "json")
    assert (resumed.code, resumed.json["outcomes"]) == (0, ALL_DONE)
    assert len(tenant.log()) == 5


def test_a_run_that_would_wait_past_its_deadline_stops_at_once_and_says_what_is_left(
    simulated, tenant, planned, tmp_path
):
    """One write in ten seconds: of five, three fit into half a minute."""
    config = tmp_path / "slow.toml"
    config.write_text('[limits]\n"identity.app_tenant.writes" = 21\n', encoding="utf-8")
    stopped = simulated("apply", planned, "--yes", "--deadline", "30s", "--config", config)
    told = stopped.stderr.splitlines()
    assert stopped.code == 7
    assert told[-2].startswith("error: the deadline comes before there is room for more (directory writes); ")
    assert told[-2].endswith(" changes are left")
    assert told[-1].startswith(f"hint: graphkit resume {planned} ")
    assert 0 < len(tenant.log()) < 5
    written = [entry.at for entry in tenant.log()]
    assert max(written) - min(written) < 30
    resumed = simulated("resume", planned, "--yes", "-o", "json")
    assert (resumed.code, resumed.json["outcomes"]) == (0, ALL_DONE)
    assert len(tenant.log()) == 5


def test_planning_takes_from_the_time_that_a_deadline_gives(simulated, pools):
    stopped = simulated("apply", "licenses.pools", "-i", pools(), "--yes", "--deadline", "0.1s", "-o", "json")
    assert (stopped.code, stopped.json["outcomes"]["done"]) == (7, 0)
    assert stopped.json["error"]["code"] == "deadline"
    assert simulated("resume", stopped.json["run"], "--yes", "-o", "json").json["outcomes"] == ALL_DONE


def test_at_a_terminal_a_person_decides_whether_to_go_on(simulated, tenant, planned):
    simulated("apply", planned, "--yes", "--deadline", "1s")
    begun = len(tenant.log())
    assert 0 < begun < 5
    result = simulated("resume", planned, stdin="n\n", terminal=True)
    assert (result.code, len(tenant.log())) == (1, begun)
    assert "so far: " in result.stderr
    assert "Go on with the rest in Contoso Health?" in result.stderr


def test_a_run_that_stopped_early_tells_as_json_what_is_known_of_it(simulated, planned, monkeypatch):
    stopped = simulated("apply", planned, "--yes", "--deadline", "0s", "-o", "json")
    assert stopped.json["run"] == str(planned)
    assert stopped.json["outcomes"]["done"] == 0
    assert stopped.json["error"]["code"] == "deadline"


def press_ctrl_c(monkeypatch, times, number=signal.SIGINT):
    """With every outcome from the first one on, as often as said."""
    presses = iter(range(times))
    told = progress.Meter.update

    def update(meter, how_far):
        told(meter, how_far)
        if how_far.done and next(presses, None) is not None:
            signal.raise_signal(number)

    monkeypatch.setattr(progress.Meter, "update", update)


@pytest.mark.parametrize("times", [1, 9])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_was_done_and_exits_130(simulated, tenant, planned, monkeypatch, times, number):
    press_ctrl_c(monkeypatch, times, number)
    result = simulated("apply", planned, "--yes")
    assert result.code == 130
    assert "stopping: what is under way may end" in result.stderr
    assert f"hint: graphkit resume {planned}" in result.stderr
    assert "Traceback" not in result.stderr
    with RunFile.open(planned) as run:
        run.verify()
        assert run.header()["status"] == "interrupted"
    monkeypatch.undo()
    assert simulated("resume", planned, "--yes").code == 0
    assert len(tenant.log()) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_was_ignored_from_the_start_stops_nothing(simulated, tenant, planned, monkeypatch, number):
    press_ctrl_c(monkeypatch, 9, number)
    usual = signal.signal(number, signal.SIG_IGN)
    try:
        assert simulated("apply", planned, "--yes").code == 0
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, usual)
    assert len(tenant.log()) == 5


def test_after_one_interrupt_whatever_was_sent_has_its_outcome(simulated, tenant, planned, monkeypatch):
    press_ctrl_c(monkeypatch, 1)
    assert simulated("apply", planned, "--yes").code == 130
    sent = len(tenant.log())
    with RunFile.open(planned) as run:
        assert run.unsettled() == {}
        assert 0 < run.outcome_counts()["done"] < 47
    assert 0 < sent < 5


def test_a_run_that_the_service_parked_exits_7(simulated, planned, monkeypatch):
    def park(*_):
        raise Parked("the service closed directory writes for 3600 s", seconds=3600)

    monkeypatch.setattr(progress.Meter, "update", park)
    result = simulated("apply", planned, "--yes")
    assert result.code == 7
    assert f"graphkit resume {planned}" in result.stderr


def test_a_service_that_asks_for_a_day_is_left_alone_and_the_run_says_when_to_come_back(simulated, tenant, planned):
    with contextlib.closing(tenant.look()) as there:
        there.faults.add({"method": "PATCH", "nth": 1, "action": "throttle", "retry_after": "86400"})
    stopped = simulated("apply", planned, "--yes", "-o", "json")
    error = stopped.json["error"]
    assert (stopped.code, error["code"]) == (7, "parked")
    assert (error["seconds"], error["until"][:10]) == (86_400, "2026-01-06")
    assert " until 2026-01-06 09:" in error["message"]
    assert error["message"].endswith(" changes are left")
    assert error["hint"].startswith(f"graphkit resume {planned} ")
    assert simulated("resume", planned, "--yes", "-o", "json").json["outcomes"] == ALL_DONE
    assert len(tenant.log()) == 5


def test_whoever_is_turned_away_midway_is_told_what_to_do_first_and_then_how_to_go_on(simulated, planned, monkeypatch):
    def refuse(*_):
        raise AuthError("the service does not accept the access token given", hint="set a new one")

    monkeypatch.setattr(progress.Meter, "update", refuse)
    result = simulated("apply", planned, "--yes")
    assert result.code == 4
    assert f"hint: set a new one; then graphkit resume {planned}" in result.stderr


def test_resume_wants_a_run_that_was_begun(simulated, planned):
    result = simulated("resume", planned, "--yes")
    assert result.code == 5
    assert f"graphkit apply {planned}" in result.stderr


def test_a_process_killed_in_a_transaction_leaves_a_run_that_can_be_shown_and_resumed(simulated, planned):
    simulated("apply", planned, "--yes", "--deadline", "0s")
    dying = (
        "import os, sqlite3, sys; db = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "db.execute('PRAGMA cache_size=2'); db.execute('BEGIN IMMEDIATE');"
        "[db.execute('INSERT INTO intent(step, seq) VALUES (?, 1)', (step,)) for step in range(10000, 30000)];"
        "os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", dying, str(planned)], check=False)
    assert planned.with_name("a.run-journal").exists()
    assert simulated("show", planned, "-o", "json").json["status"] == "interrupted"
    assert simulated("resume", planned, "--yes", "-o", "json").json["outcomes"] == ALL_DONE


# --- show ---


def test_the_lines_of_equal_plans_are_equal_bytes(simulated, pools, tmp_path):
    lines = []
    for name in ("a.run", "b.run"):
        simulated("plan", "licenses.pools", "-i", pools(), "--out", tmp_path / name)
        lines.append(simulated("show", tmp_path / name, "-o", "jsonl").stdout)
    assert lines[0] == lines[1]
    assert [json.loads(line)["kind"] for line in lines[0].splitlines()[:3]] == [
        "group", "group.license", "group.member",
    ]  # fmt: skip


def test_show_as_json_is_the_plan_with_its_items_and_then_their_outcomes(simulated, planned):
    before = simulated("show", planned, "-o", "json").json
    assert (before["status"], len(before["items"]), "outcomes" in before) == ("ready", 47, False)
    simulated("apply", planned, "--yes")
    after = simulated("show", planned, "-o", "json").json
    assert (after["status"], after["outcomes"]) == ("finished", ALL_DONE)
    assert {item["outcome"]["status"] for item in after["items"]} == {"done"}


def test_show_for_people_groups_by_kind_and_signs_each_change(simulated, planned):
    told = simulated("show", planned).stdout
    assert "group.member\n  + RX1.SPE_E3.pool/rx1-0001@contoso.example" in told
    assert "row 46" in told


def test_show_as_csv_is_a_row_per_change(simulated, planned):
    rows = list(csv.DictReader(simulated("show", planned, "-o", "csv").stdout.splitlines()))
    assert len(rows) == 47
    assert (rows[-1]["action"], rows[-1]["place"]) == ("add", "46")


def test_show_needs_no_sign_in(graphkit, planned):
    assert graphkit("show", planned, "-o", "none").code == 0


# --- pages for the browser ---


def test_plan_apply_and_show_write_a_page(simulated, pools, planned, tmp_path):
    page = tmp_path / "page.html"
    for command in (
        ("plan", "licenses.pools", "-i", pools(), "--html", page),
        ("apply", planned, "--yes", "--html", page),
        ("show", planned, "--html", page),
    ):
        page.unlink(missing_ok=True)
        assert simulated(*command).code == 0
        assert "rx1-0001@contoso.example" in page.read_text(encoding="utf-8")


# --- several app registrations ---


@pytest.fixture
def apps(tmp_path):
    """``apps("a", "b")``: the flags for a project file that lists these."""

    def listed(*names):
        tables = [f'[[identities]]\nclient_id = "{name}"\ncertificate_path = "{name}.pem"\n' for name in names]
        (tmp_path / "apps.toml").write_text("".join(tables))
        return "--config", tmp_path / "apps.toml"

    return listed


def test_a_run_is_bound_to_the_set_of_its_apps(simulated, pools, apps, tmp_path):
    run = tmp_path / "a.run"
    plan = simulated("plan", "licenses.pools", "-i", pools(), "--out", run, "-o", "json", *apps("b", "a", "c"))
    assert plan.json["status"] == "ready"
    refused = simulated("apply", run, "--yes", *apps("b", "a"))
    assert refused.code == 4
    assert "was planned with the apps a, b, c, not a, b" in refused.stderr
    assert simulated("apply", run, "--yes", "-o", "json", *apps("c", "a", "b")).json["outcomes"] == ALL_DONE


def test_the_forecast_of_three_apps_is_a_third_of_one(simulated, pools, apps):
    def seconds(*flags):
        cost = simulated("plan", "licenses.pools", "-i", pools(), "-o", "json", *flags).json["cost"]
        return {row["bucket"]: row["seconds"] for row in cost}

    one, three = seconds(), seconds(*apps("a", "b", "c"))
    assert three["identity.app_tenant.writes"] == pytest.approx(one["identity.app_tenant.writes"] / 3, abs=0.1)
    assert three["identity.tenant.writes"] == one["identity.tenant.writes"]


def test_doctor_asks_each_app_for_its_token(simulated, apps):
    checks = simulated("doctor", "-o", "json", *apps("a", "b")).json["checks"]
    found = [check["found"] for check in checks if check["name"] == "token"]
    assert [text.partition(";")[0] for text in found] == ["for a", "for b"]
