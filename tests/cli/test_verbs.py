"""The verbs around the main job: init, recipe, auth, runs, graph, doctor, sim."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import closing

import pytest

from graphkit.recipe import all_recipes
from graphkit.settings import load

RECIPES = [recipe.name for recipe in all_recipes()]


# --- init and recipe ---


def test_init_writes_settings_and_starter_inputs_that_are_valid_as_they_are(graphkit, tmp_path):
    folder = tmp_path / "new"
    result = graphkit("init", folder, "-o", "json")
    assert result.code == 0
    assert all(each["written"] for each in result.json)
    assert {"graphkit.toml", ".env", ".gitignore", *RECIPES} == {path.name for path in folder.iterdir()}
    checked = graphkit("validate", "licenses.pools", "-i", folder / "licenses.pools" / "pools.yaml", "-o", "json")
    assert (checked.code, checked.json["errors"]) == (0, [])


def files_below(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_init_and_template_write_the_same(graphkit, tmp_path):
    graphkit("init", tmp_path / "all")
    for name in RECIPES:
        graphkit("recipe", "template", name, tmp_path / name)
        assert files_below(tmp_path / "all" / name) == files_below(tmp_path / name)


def test_init_leaves_alone_what_is_there(graphkit, tmp_path):
    (tmp_path / ".env").write_text("GRAPHKIT_CLOUD=china\n")
    told = graphkit("init", tmp_path).stdout
    assert f"{tmp_path / '.env'} is there already and was left alone" in told
    assert (tmp_path / ".env").read_text() == "GRAPHKIT_CLOUD=china\n"


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
def test_the_file_for_secrets_is_private_from_the_start(graphkit, tmp_path):
    graphkit("init", tmp_path)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


def test_what_init_writes_is_accepted_when_every_comment_sign_is_taken_off(graphkit, tmp_path):
    graphkit("init", tmp_path)
    for name in ("graphkit.toml", ".env"):
        path = tmp_path / name
        path.write_text(re.sub(r"(?m)^#(?=\S)", "", path.read_text()))
    settings = load({}, env={}, cwd=tmp_path)
    assert settings.origin("quota_share") == "graphkit.toml quota_share"


@pytest.mark.parametrize("name", RECIPES)
def test_each_recipe_can_be_shown_and_started_from_its_template(graphkit, tmp_path, name):
    shown = graphkit("recipe", "show", name, "-o", "json").json
    assert shown["input"]
    assert "User.Read.All" in shown["permissions"]
    assert name in graphkit("recipe", "show", name).stdout
    written = graphkit("recipe", "template", name, tmp_path / "t", "-o", "json").json
    assert str(tmp_path / "t" / shown["template"]) in {each["path"] for each in written}
    columns = tmp_path / "t" / f"{shown['template'].partition('.')[0]}.columns.txt"
    assert columns.exists() == shown["template"].endswith(".csv")


def test_the_british_spelling_is_understood(graphkit):
    assert graphkit("recipe", "show", "licences.pools", "-o", "json").json["name"] == "licenses.pools"


# --- auth ---


def test_status_says_what_is_missing_and_exits_4(graphkit):
    result = graphkit("auth", "status", "-o", "json")
    assert (result.code, result.json["method"]) == (4, "")
    assert "no way to authenticate" in result.json["problem"]


def test_status_never_shows_the_secret(graphkit, monkeypatch):
    for name, value in {"TENANT_ID": "contoso.example", "CLIENT_ID": "app", "CLIENT_SECRET": "hush-hush"}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    result = graphkit("auth", "status")
    assert (result.code, "client-secret" in result.stdout) == (0, True)
    assert "hush-hush" not in result.stdout + result.stderr


def test_logging_out_when_nobody_is_signed_in_is_no_error(graphkit):
    assert graphkit("auth", "logout", "-o", "json").json == {"forgotten": 0}


def test_signing_in_to_the_simulated_tenant_is_refused_in_one_line(simulated):
    result = simulated("auth", "login")
    assert (result.code, "has no sign-in" in result.stderr) == (4, True)


def test_permissions_are_compared_for_each_recipe_named(simulated):
    rows = simulated("auth", "permissions", "licenses.pools", "licenses.assign", "-o", "json").json
    assert [row["recipe"] for row in rows] == ["licenses.pools", "licenses.assign"]
    assert "Group.ReadWrite.All" in rows[0]["required"]
    shown = simulated("auth", "permissions", "licenses.pools").stdout
    for heading in ("licenses.pools", "  required: ", "  granted: ", "  missing: ", "  excess: "):
        assert heading in shown


# --- runs ---


def test_a_damaged_run_is_listed_as_damaged_and_hides_no_other(simulated, pools, tmp_path, monkeypatch):
    runs = tmp_path / "runs"
    monkeypatch.setenv("GRAPHKIT_RUNS_DIR", str(runs))
    simulated("apply", "licenses.pools", "-i", pools(), "--yes")
    simulated("plan", "licenses.pools", "-i", pools())
    whole = next(runs.glob("*.run")).read_bytes()
    (runs / "x-cut.run").write_bytes(whole[: len(whole) // 3])
    (runs / "y-empty.run").write_bytes(b"")
    (runs / "z-foreign.run").write_bytes(b"hello" * 1000)
    rows = simulated("runs", "list", "-o", "json").json
    assert [row["status"] for row in rows] == ["finished", "empty", "damaged", "damaged", "damaged"]
    assert all(row["problem"] for row in rows[2:])
    assert rows[0]["changes"] == 47
    told = simulated("runs", "list").stdout
    assert "Contoso Health" in told
    assert "x-cut.run" in told


def test_an_absent_runs_folder_is_an_empty_list(graphkit):
    assert graphkit("runs", "list", "-o", "json").json == []
    told = graphkit("runs", "list")
    assert (told.stdout, "no runs in " in told.stderr) == ("", True)


# --- graph ---

SOMEBODY = "/users/rx1-0001@contoso.example"


def test_get_prints_what_the_service_said(simulated):
    result = simulated("graph", "get", f"{SOMEBODY}?$select=department,officeLocation", "-o", "json")
    assert result.json["officeLocation"] == "RX1"


def test_get_takes_an_address_as_people_paste_it(simulated):
    for path in ("users?$filter=department eq 'Nursing'&$top=1", "https://graph.microsoft.com/v1.0/users?$top=1"):
        assert len(simulated("graph", "get", path, "-o", "json").json["value"]) == 1


def test_get_refuses_an_address_outside_the_cloud(simulated):
    result = simulated("graph", "get", "https://graph.example/v1.0/users", "-o", "json")
    assert (result.code, result.json["error"]["code"]) == (1, "untrusted-destination")


def test_get_all_follows_every_page(simulated):
    for output in ("json", "jsonl"):
        result = simulated("graph", "get", "/users?$top=50&$select=id", "--all", "-o", output)
        assert len(result.json if output == "json" else result.lines) == 182


def test_get_for_people_is_a_table(simulated):
    told = simulated("graph", "get", "/users?$top=2&$select=userPrincipalName").stdout.splitlines()
    assert told == ["userPrincipalName", "rx1-0001@contoso.example", "rx1-0002@contoso.example"]


def test_a_refusal_names_the_service_code_and_the_request(simulated):
    error = simulated("graph", "get", "/users/nobody@contoso.example", "-o", "json").json["error"]
    assert (error["status"], error["serviceCode"]) == (404, "Request_ResourceNotFound")
    assert error["requestId"]


def test_a_write_is_sent_once_it_is_confirmed(simulated, tenant):
    asked = ("graph", "patch", SOMEBODY, "--body", '{"department": "Estates"}')
    assert simulated(*asked).code == 5
    assert simulated(*asked, stdin="n\n", terminal=True).code == 1
    assert tenant.log() == []
    shown = simulated(*asked, stdin="y\n", terminal=True)
    assert (shown.code, f"Send PATCH {SOMEBODY} to simulated?" in shown.stderr) == (0, True)
    assert simulated(*asked, "--yes").code == 0
    assert [entry.method for entry in tenant.log()] == ["PATCH", "PATCH"]


def test_a_post_answers_with_the_object_and_a_delete_with_nothing(simulated, tmp_path):
    body = tmp_path / "group.json"
    group = {"displayName": "Ward 1", "mailNickname": "ward-1", "mailEnabled": False, "securityEnabled": True}
    body.write_text(json.dumps(group))
    made = simulated("graph", "post", "/groups", "--body", f"@{body}", "--yes", "-o", "json").json
    assert made["displayName"] == "Ward 1"
    gone = simulated("graph", "delete", f"/groups/{made['id']}", "--yes", "-o", "json")
    assert (gone.code, gone.stdout) == (0, "")


def test_a_post_that_only_reads_needs_no_confirmation(simulated, tenant):
    with closing(tenant.look()) as stored:
        body = json.dumps({"ids": [stored.seed.id_of("user", "rx1-0001@contoso.example")], "types": ["user"]})
    result = simulated("graph", "post", "/directoryObjects/getByIds", "--body", "-", "-o", "json", stdin=body)
    assert (result.code, len(result.json["value"])) == (0, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        ("patch", SOMEBODY, "--body", "{department: Estates}"),
        ("patch", SOMEBODY, "--body", "@gone.json"),
        ("batch", "gone.json"),
    ],
)
def test_a_body_that_cannot_be_read_is_never_sent(simulated, tenant, arguments):
    result = simulated("graph", *arguments, "--yes")
    assert (result.code, tenant.log()) == (5, [])


def test_an_answer_that_got_lost_is_reported_as_unknown(simulated, tenant):
    stored = tenant.look()
    stored.faults.add({"method": "PATCH", "path": "/users/*", "times": 1, "action": "commit-then", "status": 504})
    stored.close()
    result = simulated("graph", "patch", SOMEBODY, "--body", '{"department": "Estates"}', "--yes", "-o", "json")
    assert (result.code, result.json["error"]["code"]) == (1, "outcome-unknown")
    assert "look whether" in result.json["error"]["hint"]
    assert len(tenant.log()) == 1


def test_a_batch_of_any_length_is_answered_one_by_one(simulated, tenant, tmp_path):
    path = tmp_path / "batch.json"
    requests = [{"id": str(n), "method": "GET", "url": f"/users/rx1-{n:04}@contoso.example"} for n in range(1, 31)]
    change = {"id": "w", "method": "PATCH", "url": SOMEBODY, "body": {"department": "Estates"}}
    path.write_text(json.dumps({"requests": [*requests, change]}))
    assert simulated("graph", "batch", path).code == 5
    result = simulated("graph", "batch", path, "--yes", "-o", "json")
    assert result.code == 0
    assert [answer["status"] for answer in result.json["responses"]] == [200] * 30 + [204]


def test_a_batch_of_which_some_are_refused_exits_3(simulated, tmp_path):
    path = tmp_path / "batch.json"
    path.write_text(json.dumps({"requests": [{"id": "1", "method": "GET", "url": "/users/nobody@contoso.example"}]}))
    result = simulated("graph", "batch", path, "-o", "json")
    assert (result.code, result.json["responses"][0]["status"]) == (3, 404)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"requests": [{"id": "1"}]}', '{"requests": [{"dependsOn": ["1"]}]}']
)
def test_a_file_that_is_no_batch_is_refused(simulated, tmp_path, text):
    path = tmp_path / "batch.json"
    path.write_text(text)
    assert simulated("graph", "batch", path, "--yes").code == 5


# --- doctor ---


def test_doctor_finds_nothing_wrong_with_the_simulated_tenant(simulated):
    result = simulated("doctor", "-o", "json")
    assert result.code == 0
    checks = {check["name"]: check for check in result.json["checks"]}
    assert {"python", "packages", "target", "proxy", "certificates", "runs folder", "token", "tenant"} <= checks.keys()
    assert "Contoso Health" in checks["tenant"]["found"]


def test_doctor_says_what_to_do_and_exits_with_the_code_of_the_failure(graphkit):
    result = graphkit("doctor")
    assert result.code == 4
    assert "fail  token: no way to authenticate is configured" in result.stdout
    assert "-> set AZURE_TENANT_ID" in result.stdout


def test_doctor_shows_origins_and_never_a_secret(graphkit, monkeypatch):
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hush-hush")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hush-hush@proxy.example:3128")
    monkeypatch.setenv("GRAPHKIT_QUOTA_SHARE", "0.5")
    told = graphkit("doctor").stdout
    assert "setting quota_share: 0.5 (environment GRAPHKIT_QUOTA_SHARE)" in told
    assert "setting client_secret: (set, not shown)" in told
    assert "proxy: http://<...>@proxy.example:3128" in told
    assert "hush-hush" not in told


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
def test_doctor_warns_of_a_runs_folder_that_others_can_read(simulated, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir(mode=0o755)
    monkeypatch.setenv("GRAPHKIT_RUNS_DIR", str(tmp_path / "runs"))
    checks = {check["name"]: check for check in simulated("doctor", "-o", "json").json["checks"]}
    assert checks["runs folder"]["state"] == "warn"
    assert "chmod 700" in checks["runs folder"]["advice"]


# --- sim ---


@pytest.fixture
def server(tmp_path):
    command = [sys.executable, "-m", "graphkit", "sim", "serve", "--port", "0", "--users", "30", "-o", "jsonl"]
    with subprocess.Popen(
        [*command, "--state", "tenant.db"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        yield process
        process.kill()


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C cannot be sent to one process there")
def test_the_served_tenant_prints_its_environment_works_with_it_and_stops_cleanly(
    graphkit, server, tmp_path, monkeypatch
):
    announced = json.loads(server.stdout.readline())
    for name, value in announced["environment"].items():
        monkeypatch.setenv(name, value)
    assert announced["environment"]["GRAPHKIT_GRAPH_URL"] == announced["address"]
    assert len(graphkit("graph", "get", "/users?$select=id", "--all", "-o", "json").json) == 32
    server.send_signal(signal.SIGINT)
    _, told = server.communicate(timeout=20)
    assert (server.returncode, told) == (0, "stopped\n")
    assert (tmp_path / "tenant.db").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [(("--host", "0.0.0.0"), "loopback"), (("--virtual-time",), "real time"), (("--port", "70000"), "70000")],
)
def test_the_tenant_is_never_served_where_others_could_reach_it(graphkit, flags, told):
    result = graphkit("sim", "serve", *flags)
    assert (result.code, told in result.stderr) == (5, True)


# --- demo ---


def test_the_demonstration_writes_into_no_folder_that_is_there(graphkit, tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    result = graphkit("demo", "--keep", kept)
    assert (result.code, "exists already" in result.stderr) == (5, True)
    assert list(kept.iterdir()) == []
