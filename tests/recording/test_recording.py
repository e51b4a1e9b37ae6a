"""``graphkit record``, and what comes of it: a cassette, inputs beside it, a replay."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from graphkit import recording
from graphkit.engine.runfile import RunFile
from graphkit.recording import Player, Recorder, RecordingTransport, ReplayTransport
from graphkit.recording.check import findings

ROOT = "https://graph.microsoft.com"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiJhYmNkZWYifQ.c2lnbmF0dXJlLXNpZ25hdHVyZQ"
PEOPLE = 25


@pytest.fixture
def folder(tmp_path):
    """A pool of 25, more than one write takes, planned from two files."""
    rows = [f"rx1-{number:04}@contoso.example" for number in range(1, PEOPLE + 1)]
    (tmp_path / "members.csv").write_text("\n".join(["upn", *rows, ""]), encoding="utf-8")
    pool = "{org: RX1, sku: SPE_E3, cap: 50, group: Night staff, members_from: members.csv}"
    (tmp_path / "pools.yaml").write_text(f"pools:\n  # for Anna\n  - {pool}\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def recorded(simulated, tenant, folder):
    """The cassette of a pool that was planned and applied."""
    tenant.seed(users=90)
    cassette = folder / "c.jsonl"
    words = ("apply", "licenses.pools", "-i", folder / "pools.yaml", "--yes", "--out", folder / "real.run")
    result = simulated("record", cassette, "-o", "none", "--", *words, *simulated.flags)
    assert result.code == 0, result.stderr
    return cassette


@pytest.fixture
def simulated(graphkit, tenant):
    """The flags of the tenant stand before or after the command that is recorded."""

    class Simulated:
        flags = tenant.flags

        def __call__(self, *words):
            return graphkit(*words)

    return Simulated()


def replay(graphkit, cassette, out, *words):
    inputs = recording.inputs_of(cassette)
    words = words or ("apply", "licenses.pools", "-i", inputs / "pools.yaml", "--yes", "--out", out)
    return graphkit("-t", f"replay:{cassette}", "-o", "json", *words)


def lines(cassette):
    return [json.loads(line) for line in cassette.read_text(encoding="utf-8").splitlines()]


def changes(run):
    with RunFile.open(run) as opened:
        return [
            (change.kind, change.action.value, result.status.value if result else "")
            for change, result in opened.results()
        ]


# --- what is written ---


def test_there_is_one_line_for_each_operation_and_none_for_an_envelope(recorded):
    header, *operations = lines(recorded)
    assert header == {"cassette": 1, "started": header["started"]}
    assert not [each for each in operations if "$batch" in each["address"]]
    assert len([each for each in operations if re.match(r"/v1.0/users/[^/?]+@", each["address"])]) == PEOPLE
    assert {"GET", "PATCH", "POST"} == {each["method"] for each in operations}


def test_neither_cassette_nor_inputs_hold_a_word_of_the_tenant(recorded, tenant):
    beside = sorted(recording.inputs_of(recorded).iterdir())
    assert [path.name for path in beside] == ["members.csv", "pools.yaml"]
    text = "".join(path.read_text(encoding="utf-8") for path in (recorded, *beside)).lower()
    with closing(tenant.look()) as there:
        words = ("rx1", "contoso", "night", "staff sp", "health", "anna", there.tenant_id, "simulated", "bearer")
    for word in words:
        assert not re.search(rf"\b{word}\b", text), word
    assert "spe_e3" in text  # what is Microsoft's stays


def test_the_inputs_are_those_of_the_recording_in_the_same_words(recorded):
    beside = recording.inputs_of(recorded)
    rows = (beside / "members.csv").read_text(encoding="utf-8").split()
    assert rows[0] == "upn"
    assert len(set(rows)) == PEOPLE + 1
    addresses = " ".join(each["address"] for each in lines(recorded)[1:])
    assert all(row in addresses for row in rows[1:])
    text = (beside / "pools.yaml").read_text(encoding="utf-8")
    assert re.search(r"\{org: [A-Z]{2}\d, sku: SPE_E3, cap: 50, group: \w{5} \w{5}, members_from: members\.csv\}", text)
    assert "#" not in text


def test_the_key_is_new_each_time_and_stands_nowhere(simulated, folder):
    words = ("graph", "get", "/organization", "-o", "none", "-t", "simulated", "--virtual-time")
    for name in ("a.jsonl", "b.jsonl"):
        assert simulated("record", folder / name, "--", *words).code == 0
    (one,), (two,) = (
        [line["answer"]["value"][0] for line in lines(folder / name)[1:2]] for name in ("a.jsonl", "b.jsonl")
    )
    assert one["id"] != two["id"]


def test_a_cassette_is_never_written_over(graphkit, recorded):
    result = graphkit("record", recorded, "--", "graph", "get", "/me", "-t", "simulated")
    assert result.code == 5
    assert "exists already" in result.stderr


def test_the_variable_records_what_any_command_says(graphkit, tenant, folder, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_RECORD", str(folder / "v.jsonl"))
    assert graphkit("graph", "get", "/users?$top=2", "-o", "none", *tenant.flags).code == 0
    assert any("/v1.0/users?$top=2" in line.get("address", "") for line in lines(folder / "v.jsonl"))


def test_a_refused_command_leaves_its_code_and_a_recording_of_nothing_leaves_no_file(graphkit, folder):
    result = graphkit("record", folder / "n.jsonl", "--", "plan", "no.such.recipe", "-i", "x")
    assert result.code == 5
    assert not (folder / "n.jsonl").exists()
    assert "nothing was recorded" in result.stderr


@pytest.mark.parametrize("words", [(), ("--check", "--", "plan")])
def test_a_command_or_check_is_asked_for_not_both_nor_neither(graphkit, folder, words):
    assert graphkit("record", folder / "x.jsonl", *words).code == 5


def test_a_rule_for_a_field_of_ones_own_is_heeded(graphkit, tenant, folder):
    cassette = folder / "r.jsonl"
    address = "/users?$top=1&$select=department,officeLocation,companyName"
    rules = ("--rule", "depart*=keep", "--rule", "officeLocation=remove")
    result = graphkit("record", cassette, *rules, "--", "graph", "get", address, "-o", "json", *tenant.flags)
    (user,), (said,) = lines(cassette)[-1]["answer"]["value"], result.json["value"]
    assert user["department"] == said["department"]
    assert user["officeLocation"] == "<removed>"
    assert user["companyName"] != said["companyName"]


def test_a_replay_is_not_recorded(graphkit, recorded, folder):
    result = graphkit("record", folder / "x.jsonl", "--", "graph", "get", "/me", "-t", f"replay:{recorded}")
    assert result.code == 5
    assert "a replay is not recorded" in result.stderr


# --- what is heard at the wire ---


def heard(tmp_path, *answers, send):
    """The cassette of what ``send(client)`` says to a service that gives ``answers`` in order."""
    left = list(answers)

    def answer(request):
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async def main():
        recorder = Recorder(tmp_path / "h.jsonl")
        clock = iter(range(1_700_000_000, 1_700_001_000))
        transport = RecordingTransport(httpx.MockTransport(answer), recorder, lambda: next(clock))
        async with httpx.AsyncClient(transport=transport) as client:
            await send(client)
        recorder.save()

    asyncio.run(main())
    return lines(tmp_path / "h.jsonl")[1:]


def test_headers_of_requests_and_cookies_are_never_written(tmp_path):
    async def send(client):
        await client.get(
            f"{ROOT}/v1.0/me", headers={"authorization": f"Bearer {JWT}", "cookie": "a=b", "x-own": "Anna"}
        )

    answer = httpx.Response(200, json={"id": "1"}, headers={"set-cookie": "s=t", "x-ms-ags-diagnostic": "{}"})
    (line,) = heard(tmp_path, answer, send=send)
    assert set(line) == {"method", "address", "status", "at", "ms", "headers", "answer"}
    assert set(line["headers"]) == {"content-type"}


def test_secrets_in_bodies_are_removed_on_both_ways(tmp_path):
    async def send(client):
        await client.post(f"{ROOT}/v1.0/users", json={"passwordProfile": {"password": "Winter-2026"}})

    (line,) = heard(tmp_path, httpx.Response(200, json={"secretText": "abc", "description": f"see {JWT}"}), send=send)
    assert line["body"] == {"passwordProfile": {"password": "<removed>"}}
    assert line["answer"]["secretText"] == "<removed>"
    assert "eyJ" not in line["answer"]["description"]


def test_an_envelope_of_somebody_else_is_taken_apart_whatever_its_ids_and_order(tmp_path):
    items = [
        {"id": "one", "method": "GET", "url": "/me"},
        {
            "id": "two",
            "method": "POST",
            "url": "/groups",
            "body": {"x": 1},
            "headers": {"content-type": "application/json"},
        },
        {"id": "three", "method": "GET", "url": "/me/manager", "dependsOn": ["two"]},
        {"id": "four", "method": "GET", "url": "/organization"},
    ]
    answers = [
        {"id": "three", "status": 424, "headers": {}},
        {"id": "two", "status": 400, "headers": {}, "body": {"error": {"code": "BadRequest", "message": "No"}}},
        {"id": "one", "status": 200, "headers": {}, "body": {"id": "1"}},
    ]

    async def send(client):
        await client.post(f"{ROOT}/v1.0/$batch", json={"requests": items})

    made = heard(tmp_path, httpx.Response(200, json={"responses": answers}), send=send)
    assert [(each["method"], each["address"], each["status"], each.get("lost", "")) for each in made] == [
        ("GET", "/v1.0/me", 200, ""),
        ("POST", "/v1.0/groups", 400, ""),
        ("GET", "/v1.0/organization", 0, "no answer in the batch"),
    ]


def test_what_never_reached_the_service_and_renewals_of_tokens_are_no_part_of_it(tmp_path):
    async def send(client):
        for _ in range(4):
            try:
                await client.get(f"{ROOT}/v1.0/me")
            except httpx.TransportError:
                continue
        await client.get("https://login.microsoftonline.com/common/discovery")

    last = httpx.Response(200, json={})
    answers = (
        httpx.ConnectError("no"),
        httpx.Response(401),
        httpx.ReadTimeout("?"),
        httpx.Response(200, json={}),
        last,
    )
    made = heard(tmp_path, *answers, send=send)
    assert [(each["status"], each.get("lost", "")) for each in made] == [(0, "ReadTimeout"), (200, "")]


def test_a_recorder_that_dies_leaves_nothing_behind(tmp_path):
    async def send(client):
        await client.get(f"{ROOT}/v1.0/me")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        heard(tmp_path, httpx.Response(200, json={"displayName": "Anna"}), send=send)
    assert list(tmp_path.glob("*.jsonl*")) == []


def test_pages_are_followed_in_a_replay_and_tables_and_counts_come_back(tmp_path):
    page = {"@odata.nextLink": f"{ROOT}/v1.0/users?$skiptoken=QW5uYSBTbWl0aA", "value": [{"displayName": "Anna"}]}
    table = httpx.Response(
        200, text="userPrincipalName,isActive\nanna@contoso.com,true\n", headers={"content-type": "text/csv"}
    )
    count = httpx.Response(200, text="\ufeff62", headers={"content-type": "text/plain"})

    async def send(client):
        found = (await client.get(f"{ROOT}/v1.0/users")).json()
        await client.get(found["@odata.nextLink"])
        await client.get(f"{ROOT}/v1.0/reports/getTeamsUserActivityUserDetail(period='D7')")
        await client.get(f"{ROOT}/v1.0/users/$count")

    made = heard(
        tmp_path, httpx.Response(200, json=page), httpx.Response(200, json={"value": []}), table, count, send=send
    )
    assert "QW5u" not in json.dumps(made)
    client = httpx.Client(transport=ReplayTransport(Player(recording.read(tmp_path / "h.jsonl"))), base_url=ROOT)
    link = client.get("/v1.0/users").json()["@odata.nextLink"]
    assert client.get(link).json() == {"value": []}
    assert re.fullmatch(
        r"userPrincipalName,isActive\n\w{4}@\w+\.\w+\.example,\w+\n", client.get(made[2]["address"]).text
    )
    assert client.get("/v1.0/users/$count").text.endswith("62")


# --- replay ---


def test_a_replay_gives_the_run_file_lines_of_the_recording(graphkit, recorded, folder):
    result = replay(graphkit, recorded, folder / "played.run")
    assert result.code == 0, result.stderr
    assert result.json["outcomes"] == {"done": 27, "already": 0, "failed": 0, "skipped": 0, "unknown": 0}
    assert sorted(changes(folder / "played.run")) == sorted(changes(folder / "real.run"))


def test_two_replays_give_the_same_bytes(graphkit, recorded, folder):
    listed = []
    for name in ("one.run", "two.run"):
        assert replay(graphkit, recorded, folder / name).code == 0
        listed.append(graphkit("show", folder / name, "-o", "jsonl").stdout)
    assert listed[0] == listed[1]
    assert listed[0].count("\n") >= 27


def test_plan_and_apply_may_be_commands_of_their_own(graphkit, recorded, folder):
    inputs = recording.inputs_of(recorded)
    run = folder / "p.run"
    assert (
        replay(graphkit, recorded, run, "plan", "licenses.pools", "-i", inputs / "pools.yaml", "--out", run).code == 0
    )
    assert replay(graphkit, recorded, run, "apply", run, "--yes").code == 0


def test_a_replay_happens_when_the_recording_did(graphkit, recorded, folder):
    assert replay(graphkit, recorded, folder / "t.run").code == 0
    with RunFile.open(folder / "t.run") as run:
        assert abs(run.header()["expires"] - 24 * 3600 - recording.read(recorded).header.started) < 60


def test_a_replay_touches_neither_network_nor_credentials(graphkit, recorded, folder, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a replay has no business there")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("graphkit.auth.source.make_token_sources", refuse)
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PATH"):
        monkeypatch.setenv(name, "not-there")
    assert replay(graphkit, recorded, folder / "g.run").code == 0


def test_another_input_is_not_answered(graphkit, recorded, folder):
    other = folder / "other.yaml"
    other.write_text("pools:\n  - {org: RX7, sku: SPE_E3, cap: 5, members_from: members.csv}\n", encoding="utf-8")
    result = replay(
        graphkit, recorded, folder / "o.run", "plan", "licenses.pools", "-i", other, "--out", folder / "o.run"
    )
    assert result.code == 1
    assert result.json["error"]["code"] == "not-recorded"


@pytest.mark.parametrize(
    ("content", "said"), [("", "is not a cassette"), ('{"cassette":9,"started":0}', "has format 9")]
)
def test_what_is_no_cassette_is_told(graphkit, folder, content, said):
    path = folder / "bad.jsonl"
    path.write_text(content, encoding="utf-8")
    result = graphkit("-t", f"replay:{path}", "graph", "get", "/me")
    assert result.code == 5
    assert said in result.stderr
    assert "No such file" in graphkit("-t", f"replay:{folder / 'absent.jsonl'}", "graph", "get", "/me").stderr


def test_a_cassette_seeds_a_tenant_on_which_the_same_plan_is_made(graphkit, recorded, folder):
    state, inputs = folder / "seeded.db", recording.inputs_of(recorded)
    made = graphkit("sim", "seed", "--state", state, "--from", recorded, "-o", "json")
    assert made.code == 0, made.stderr
    assert made.json["users"] == PEOPLE
    flags = ("-t", "simulated", "--state", state, "--virtual-time", "-o", "json")
    words = ("apply", "licenses.pools", "-i", inputs / "pools.yaml", "--yes", "--out")
    assert graphkit(*flags, *words, folder / "sim.run").json["outcomes"]["done"] == 27
    assert replay(graphkit, recorded, folder / "played.run").code == 0
    simulated, played = ([(c[0], c[1]) for c in changes(folder / name)] for name in ("sim.run", "played.run"))
    assert simulated == played
    again = graphkit(*flags, "plan", *words[1:4], "--out", folder / "again.run").json
    assert again["status"] == "empty"


def test_a_seed_from_a_cassette_takes_no_other_options(graphkit, recorded, folder):
    result = graphkit("sim", "seed", "--state", folder / "s.db", "--from", recorded, "--users", 5)
    assert result.code == 5
    assert "--users" in result.stderr


# --- looking for leaks ---


@pytest.mark.parametrize(
    ("leak", "what"),
    [
        (JWT, "a token (JWT)"),
        ("Bearer abcdefgh12345678", "a bearer token"),
        ("anna.smith@contoso.com", "an address outside .example"),
        ("+44 20 7946 0123", "a telephone number"),
        ("3f2504e0-4f89-41d3-9a0c-0305e82c3301", "an id that is no pseudonym"),
        ("3f2504e04f8941d39a0c0305e82c3301", "an id that is no pseudonym"),
        ('"password": "Winter-2026"', "a secret by its name"),
        ("-----BEGIN CERTIFICATE-----", "a private key or certificate"),
        ("abc8Q~defghijklmnopqrstuvwxyz0123456789", "a client secret"),
        ("https://x.blob.core.windows.net/a?sv=1&sig=abcdefghijklmnopqrstuvwxyz", "a signature"),
        ("Ab1" * 80, "key material"),
    ],
)
def test_what_looks_like_a_leak_is_found_in_cassette_and_inputs_and_not_repeated(graphkit, recorded, leak, what):
    assert graphkit("record", "--check", recorded).code == 0
    (recording.inputs_of(recorded) / "members.csv").write_text(f"upn\n{leak}\n", encoding="utf-8")
    assert what in {each.what for each in findings(recorded)}
    result = graphkit("record", "--check", recorded, "-o", "json")
    assert result.code == 1
    assert result.json["error"]["code"] == "cassette-leaks"
    assert result.json["findings"][0]["line"] == 2
    assert leak not in result.stdout
    assert "members.csv:2" in graphkit("record", "--check", recorded).stderr


def test_the_check_reads_the_cassette_itself(recorded):
    text = recorded.read_text(encoding="utf-8")
    Path(recorded).write_text(text.replace(".example", ".com"), encoding="utf-8")
    assert {each.what for each in findings(recorded)} == {"an address outside .example"}


@pytest.mark.parametrize(
    ("recipe", "file"),
    [
        ("devices.compliance", "compliance.yaml"),
        ("identity.conditional-access", "conditional_access.yaml"),
        ("licenses.assign", "assign.csv"),
        ("teams.provision", "provision.csv"),
    ],
)
def test_what_a_recipe_ships_to_begin_with_is_recorded_and_replayed(
    graphkit, tenant, folder, monkeypatch, recipe, file
):
    monkeypatch.chdir(folder)
    assert graphkit("recipe", "template", recipe).code == 0
    cassette, inputs = folder / "c.jsonl", folder / "c.inputs"
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "break-glass-1@contoso.example")
    words = ("-o", "json", "apply", recipe, "-i", file, "--yes", *tenant.flags)
    recorded = graphkit("record", cassette, "--", *words)
    monkeypatch.delenv("GRAPHKIT_BREAK_GLASS")
    config = ("--config", inputs / "graphkit.toml")
    played = graphkit("-t", f"replay:{cassette}", "-o", "json", *config, "apply", recipe, "-i", inputs / file, "--yes")
    assert recorded.json["outcomes"]["done"] > 0
    assert played.json["outcomes"] == recorded.json["outcomes"], played.stderr
    assert list(findings(cassette)) == []
