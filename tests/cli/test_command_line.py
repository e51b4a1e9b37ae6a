"""Global options, usage errors, exit codes, and what is imported when."""

import io
import json
import os
import subprocess
import sys

import click
import pytest

from graphkit import __version__
from graphkit.cli import app, plan, usage
from graphkit.cli.failure import PROBLEMS_SHOWN, as_graphkit_error, explain, tell_error
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import asked_for
from graphkit.cli.text import Duration
from graphkit.engine.resource import PlanOptions
from graphkit.errors import AuthError, GraphkitError, InputErrors, InputProblem, OutcomeUnknown

HEAVY = {"httpx", "pydantic", "azure", "msgraph", "msal", "rich", "jinja2", "aiohttp", "yaml", "msgspec", "uvicorn"}


def every_error(base=GraphkitError):
    return [base, *(error for each in base.__subclasses__() for error in every_error(each))]


def child(*arguments, code="", **how):
    command = ["-c", code] if code else ["-m", "graphkit", *arguments]
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, **how)


# --- what is imported when ---

REPORT = "import sys; from graphkit.__main__ import main; code = main({}); print(code, *sys.modules, file=sys.stderr)"


def imported_by(*arguments):
    told = child(code=REPORT.format(list(arguments))).stderr.split()
    assert told[0] == "0"
    return {name.partition(".")[0] for name in told[1:]}, set(told[1:])


def test_the_version_is_answered_before_anything_is_imported(graphkit):
    assert graphkit("--version").stdout == f"graphkit {__version__}\n"
    packages, modules = imported_by("--version")
    assert not packages & (HEAVY | {"click"})
    assert {name for name in modules if name.startswith("graphkit")} == {"graphkit", "graphkit.__main__"}


def test_help_is_answered_without_any_library():
    packages, modules = imported_by("--help")
    assert not packages & (HEAVY | {"click"})
    assert not modules & {f"graphkit.cli.{verb}" for verb in usage.COMMANDS}


@pytest.mark.parametrize("arguments", [(), ("-h",), ("--help",), ("-q", "--help")])
def test_help_is_the_same_page_however_it_is_asked_for(graphkit, arguments):
    result = graphkit(*arguments)
    assert (result.code, result.stdout) == (0, usage.page() + "\n")


def test_help_names_every_global_option_and_fits_a_terminal():
    for option in app.root.params:
        assert any(", ".join(option.opts) in spelling for spelling in usage.OPTIONS), option.opts
    assert max(map(len, usage.page().splitlines())) <= 88


def test_every_verb_of_the_help_page_exists():
    for verb in usage.COMMANDS:
        assert app.root.get_command(None, verb).name == verb


def test_the_exit_codes_of_all_errors_are_explained():
    assert {error.exit_code for error in every_error()} <= usage.EXIT_CODES.keys()


# --- global options ---


@pytest.mark.parametrize(
    "arguments",
    [
        ("-o", "json", "recipe", "list"),
        ("recipe", "-o", "json", "list"),
        ("recipe", "list", "-o", "json"),
        ("recipe", "list", "--output=json"),
    ],
)
def test_global_options_stand_before_or_after_the_command(graphkit, arguments):
    assert "licenses.pools" in {recipe["name"] for recipe in graphkit(*arguments).json}


def test_help_of_a_verb_is_about_the_verb_and_says_where_the_rest_is(graphkit):
    told = graphkit("plan", "--help").stdout
    assert "--skip-invalid" in told
    assert "--log-format" not in told
    assert "graphkit --help" in told


@pytest.mark.parametrize(
    ("query", "output", "expected"),
    [
        ("[?name=='licenses.pools'].name | [0]", (), "licenses.pools\n"),
        ("[?name=='licenses.pools'].name", ("-o", "json"), '[\n  "licenses.pools"\n]\n'),
        ("[?name=='licenses.pools'].{n: name}", (), "n\nlicenses.pools\n"),
        ("[?name=='licenses.pools'].{n: name}", ("-o", "csv"), "n\r\nlicenses.pools\r\n"),
        ("[?name=='licenses.pools'].{n: name}", ("-o", "yaml"), "- n: licenses.pools\n"),
        ("[?name=='licenses.pools'].{n: name}", ("-o", "jsonl"), '{"n": "licenses.pools"}\n'),
        ("[?name=='licenses.pools'].{n: name}", ("-o", "none"), ""),
        ("length(@) > `0`", (), "true\n"),
    ],
)
def test_a_query_is_applied_before_the_format(graphkit, query, output, expected):
    assert graphkit("recipe", "list", "--query", query, *output).stdout == expected


def test_a_query_that_cannot_be_read_is_refused_before_anything_is_done(simulated, pools, tmp_path):
    result = simulated("plan", "licenses.pools", "-i", pools(), "--out", tmp_path / "a.run", "--query", "[?")
    assert result.code == 5
    assert not (tmp_path / "a.run").exists()


def test_quiet_says_nothing_but_the_answer(simulated, pools):
    assert simulated("plan", "licenses.pools", "-i", pools(), "-q").stderr == ""


def test_logs_go_where_they_are_asked_to(simulated, pools, tmp_path):
    log = tmp_path / "log.jsonl"
    simulated("plan", "licenses.pools", "-i", pools(), "-v", "--log-format", "json", "--log-file", log)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"ts", "event"} <= line.keys() for line in lines)


def test_every_request_is_logged_when_asked_for_without_its_query_and_its_body(simulated, pools, tmp_path):
    run, log = tmp_path / "a.run", tmp_path / "log.jsonl"
    flags = ("-v", "--log-format", "json", "--log-file", log)
    simulated("plan", "licenses.pools", "-i", pools(), "--out", run)
    simulated("apply", run, "--yes", *flags)
    simulated("graph", "get", "/users?$filter=displayName eq 'Canary'", *flags)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    sent = [line for line in lines if line["event"] == "request-sent"]
    assert "GET /v1.0/users 200" in {f"{line['method']} {line['path']} {line['status']}" for line in sent}
    assert 204 in {line["status"] for line in sent if line["method"] == "PATCH"}
    assert not any(line["path"].endswith("$batch") for line in sent), "each in a batch has a line of its own"
    assert all(line["bucket"] == "identity" and line["ms"] >= 0 for line in sent)
    assert "Canary" not in log.read_text()
    assert "mailNickname" not in log.read_text()


# --- usage ---


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("plan",),
        ("runs",),
        ("plan", "licenses.pools"),
        ("plan", "licenses.pools", "--nonsense"),
        ("plan", "no.such-recipe", "-i", "x.yaml"),
        ("plan", "licenses.pools", "-i", "x.yaml", "--mode", "nonsense"),
        ("plan", "licenses.pools", "-i", "x.yaml", "--max-changes", "-1"),
        ("plan", "licenses.pools", "-i", "x.yaml", "--set", "nonsense"),
        ("plan", "licenses.pools", "-i", "there-is-none.yaml"),
        ("-o", "nonsense", "recipe", "list"),
        ("apply", "there-is-none.run", "--yes"),
        ("apply", "there-is-none.run", "--yes", "--deadline", "soon"),
        ("resume", "there-is-none.run", "--yes"),
        ("show", "there-is-none.run"),
        ("-t", "https://graph.example", "plan", "licenses.pools", "-i", "x.yaml"),
        ("--config", "there-is-none.toml", "doctor"),
    ],
)
def test_usage_errors_exit_5_and_never_show_a_traceback(simulated, arguments):
    result = simulated(*arguments)
    assert result.code == 5
    assert result.stdout == ""
    assert "error: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("spelling", [("-o", "json"), ("-ojson",), ("--output=json",), ("--output", "json")])
def test_usage_errors_are_json_where_json_was_asked_for(graphkit, spelling):
    result = graphkit("plan", "--nonsense", *spelling)
    assert result.code == 5
    assert result.json["error"]["code"] == "usage"
    assert result.json["error"]["hint"] == "graphkit plan --help"
    assert result.stderr == ""


def test_no_sign_in_is_one_clear_line_and_exit_4(graphkit, pools):
    result = graphkit("plan", "licenses.pools", "-i", pools())
    assert result.code == 4
    assert result.stderr.splitlines()[0] == "error: no way to authenticate is configured"


def test_an_address_that_is_not_loopback_is_refused(graphkit, pools, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_GRAPH_URL", "http://10.0.0.1:8080")
    assert graphkit("plan", "licenses.pools", "-i", pools()).code == 5


def test_whatever_changes_what_is_written_is_a_flag_of_plan():
    flags = {option.name for option in plan.command.params}
    # The accounts that must stay reachable or unharmed are settings: no single command may leave them out.
    assert {name for name in PlanOptions.__dataclass_fields__ if name not in ("break_glass", "protected")} <= flags


@pytest.mark.parametrize(
    ("recipe", "wished"),
    [
        ("licenses.pools", {"org": "RX1", "mode": "additive", "adopt": True, "max_removals": 3}),
        ("identity.conditional-access", {"promote": ("mfa",), "bind": "b.yaml", "add_break_glass": True}),
    ],
)
def test_each_flag_of_plan_reaches_the_job(recipe, wished):
    given = {
        "inputs": ("x.yaml",),
        "input_format": None,
        "map_file": "map.yaml",
        "values": {"domain": "contoso.example"},
    }
    asked = asked_for(Invocation(), recipe, {**given, **wished, "out": "a.run"})
    assert {name: getattr(asked.options, name) for name in wished} == wished
    assert (str(asked.out), asked.map_file, asked.values) == ("a.run", "map.yaml", {"domain": "contoso.example"})


def test_the_break_glass_accounts_come_from_the_settings(monkeypatch):
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "bg-1@contoso.example, bg-2@contoso.example")
    given = {"inputs": ("pools.yaml",), "input_format": None, "map_file": None, "values": {}}
    asked = asked_for(Invocation(), "licenses.pools", given)
    assert asked.options.break_glass == ("bg-1@contoso.example", "bg-2@contoso.example")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("plan", "licenses.poolz", "-i", "pools.yaml"), "there is no recipe licenses.poolz"),
        (("plan", "licenses.pools"), "no input was given"),
        (("apply", "licenses.pools", "--yes"), "licenses.pools is a recipe, and no input was given"),
        (("apply", "gone.run", "--yes"), "gone.run is not there"),
    ],
)
def test_a_wrong_command_line_is_told_before_anybody_signs_in(graphkit, arguments, told):
    result = graphkit(*arguments)
    assert (result.code, told in result.stderr) == (5, True)


def test_output_is_the_same_bytes_whatever_the_console(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="cp437", newline="\r\n"))
    assert app.run(["recipe", "list", "--query", "[0].name && 'Zoë'", "-o", "json"]) == 0
    assert raw.getvalue() == '"Zoë"\n'.encode()


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1.5h", 5400), ("1d", 86400)])
def test_durations_are_read_as_people_write_them(text, seconds):
    assert Duration().convert(text, None, None) == seconds


# --- errors become words and exit codes in one place ---


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (AuthError("no"), "authentication", 4),
        (OutcomeUnknown("lost"), "outcome-unknown", 1),
        (KeyboardInterrupt(), "interrupted", 130),
        (click.Abort(), "interrupted", 130),
        (PermissionError(13, "Permission denied", "a.run"), "system", 1),
        (ExceptionGroup("tasks", [ExceptionGroup("more", [OSError(28, "No space left on device")])]), "system", 1),
        (KeyError("kind"), "defect", 1),
    ],
)
def test_every_error_has_a_code_and_an_exit_code(error, code, exit_code):
    known = as_graphkit_error(error)
    assert (known.code, known.exit_code) == (code, exit_code)


def test_a_defect_shows_where_it_is_without_its_secrets(capsys):
    with pytest.raises(RuntimeError) as caught:
        raise RuntimeError("Authorization: Bearer abcdefghijklmnop")
    assert explain(caught.value, Invocation()) == 1
    told = capsys.readouterr().err
    assert "test_command_line.py" in told
    assert "abcdefghijklmnop" not in told


@pytest.mark.parametrize(("verbosity", "shown"), [(0, False), (1, False), (2, True)])
def test_the_traceback_of_a_foreseen_error_is_shown_on_request_only(capsys, verbosity, shown):
    with pytest.raises(AuthError) as caught:
        raise AuthError("no token")
    assert explain(caught.value, Invocation({"verbose": verbosity})) == 4
    assert ("Traceback" in capsys.readouterr().err) is shown


def test_thousands_of_input_errors_are_capped_with_a_count(capsys):
    tell_error(InputErrors(InputProblem("a.csv", row, "x", "bad") for row in range(2, 1002)))
    lines = capsys.readouterr().err.splitlines()
    assert lines[PROBLEMS_SHOWN] == "... and 500 more; -o json lists all"
    assert len(lines) == PROBLEMS_SHOWN + 3


def test_what_outsiders_wrote_cannot_steer_the_terminal(graphkit, tmp_path):
    evil = tmp_path / "x.csv"
    evil.write_text("upn\n\x1b[2J\u202egnp.exe\u009b2J\n", encoding="utf-8")
    path = tmp_path / "pools.yaml"
    path.write_text("pools:\n  - {org: RX1, sku: SPE_E3, cap: 5, members_from: x.csv}\n", encoding="utf-8")
    for output in ("table", "json"):
        result = graphkit("validate", "licenses.pools", "-i", path, "-o", output)
        assert result.code == 5
        told = result.stdout + result.stderr
        assert not {"\x1b", "\u202e", "\u009b"} & set(told)


@pytest.mark.skipif(os.name == "nt", reason="pipes end differently there")
def test_a_reader_that_goes_away_ends_the_command_quietly():
    # The reader leaves before the first line is written.
    script = f"({sys.executable} -m graphkit recipe list; echo $? >&2) | true"
    told = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert told.stderr.split() == ["141"]
