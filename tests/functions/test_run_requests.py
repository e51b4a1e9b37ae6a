"""What the HTTP functions accept, refuse and answer."""

from __future__ import annotations

import json

import pytest
from triggered import pool_request, signed_in

MOST = 256 * 1024


def test_a_run_is_accepted_with_its_address_and_one_message(app):
    reply = app.start(pool_request())
    assert reply.status == 202
    assert reply.body["status"] == "queued"
    assert reply.headers["Location"] == f"/api/runs/{reply.run}" == reply.body["links"]["self"]
    assert [json.loads(text) for text, _ in app.queue.messages] == [{"run": reply.run, "slice": 0}]


def test_the_request_plans_nothing_and_asks_no_tenant(app, tenant):
    before = tenant.path.read_bytes()
    app.start(pool_request())
    assert tenant.path.read_bytes() == before


def test_the_same_request_twice_is_the_same_run_and_one_message(app):
    first, second = app.start(pool_request()), app.start(pool_request())
    assert (first.run, first.status) == (second.run, second.status)
    assert len(app.queue.messages) == 1


@pytest.mark.parametrize(
    "other",
    [
        pool_request(44),
        pool_request(cap=51),
        pool_request(options={"mode": "authoritative"}),
        pool_request(label="the second wave"),
    ],
)
def test_another_input_option_or_label_is_another_run(app, other):
    assert app.start(pool_request()).run != app.start(other).run


def test_the_order_of_a_body_and_the_spelling_of_the_recipe_make_no_difference(app):
    body = pool_request(label="x")
    turned = {name: body[name] for name in reversed(body)}
    turned["inputs"] = dict(reversed(body["inputs"].items()))
    assert app.start(body).run == app.start(turned, recipe="licences.pools").run


def test_a_request_whose_message_was_not_put_is_put_when_it_comes_again(app, monkeypatch):
    def fail(*_, **__):
        raise ConnectionError("the queue is away")

    with monkeypatch.context() as patch:
        patch.setattr(app.queue, "send", fail)
        with pytest.raises(ConnectionError):
            app.start(pool_request())
    assert app.start(pool_request()).status == 202
    assert len(app.queue.messages) == 1


@pytest.mark.parametrize("recipe", ["teams.provision", "no.such", "../../etc", "licenses.pools.x", ""])
def test_a_recipe_that_the_setting_does_not_list_is_refused(app, recipe):
    reply = app.start(pool_request(), recipe=recipe)
    assert (reply.status, reply.error["code"]) == (403, "refused")
    assert not app.queue.messages


def test_without_a_list_no_recipe_runs(make_app):
    assert make_app(GRAPHKIT_FUNCTIONS_RECIPES="").start(pool_request()).status == 403


def test_a_body_over_256_kb_is_refused_and_one_of_just_that_is_not(app):
    body = json.dumps(pool_request(label=""), ensure_ascii=True)
    room = MOST - len(body)
    assert app.start((body + " " * room).encode()).status == 202
    reply = app.start((body + " " * (room + 1)).encode())
    assert (reply.status, reply.error["message"]) == (413, "the body has 262,145 bytes, and 262,144 are accepted")


REFUSED = [
    (b"", "not as it should be"),
    (b"[]", "not as it should be"),
    (b"\xff\xfe", "not as it should be"),
    (b"[" * 100_000, "not as it should be"),
    ({}, "inputs"),
    ({"inputs": {}}, "there is no input"),
    ({"inputs": {"pools.yaml": 1}}, "not as it should be"),
    ({**pool_request(), "token": "x"}, "unknown field `token`"),
    ({**pool_request(), "code": "import os"}, "unknown field `code`"),
    ({**pool_request(), "graph_url": "https://graph.example"}, "unknown field `graph_url`"),
    ({**pool_request(), "target": "simulated"}, "unknown field `target`"),
    (pool_request(options={"allow_irreversible": True}), "unknown field `allow_irreversible`"),
    (pool_request(options={"allow_privileged": True}), "unknown field `allow_privileged`"),
    (pool_request(options={"break_glass": []}), "unknown field `break_glass`"),
    (pool_request(options={"max_deletes": 5}), "unknown field `max_deletes`"),
    (pool_request(options={"bind": "names.yaml"}), "unknown field `bind`"),
    (pool_request(options={"mode": "furious"}), "furious"),
    (pool_request(options={"as_of": "tomorrow"}), "as_of"),
    (pool_request(options={"create_groups": True, "promote": ["mfa"]}), "does not use --promote, --create-groups"),
    (pool_request(set={"domain": "contoso.example"}), "there is none"),
    (pool_request(options={"max_changes": -1}), "below 0"),
    (pool_request(label="x" * 65), "label"),
    (pool_request(map="map.yaml"), "map"),
    *(
        ({"inputs": {name: "x"}}, "is no file name")
        for name in ("../x.csv", "/etc/x.csv", "a/b.csv", "x.run", ".env", "x", "a\\b.csv", "x.csv\n", "CON:.csv")
    ),
    ({"inputs": {"a.csv": "x", "A.csv": "x"}}, "differ in case only"),
]


@pytest.mark.parametrize(("body", "message"), REFUSED)
def test_a_body_that_holds_anything_else_is_refused(app, body, message):
    reply = app.start(body)
    assert reply.status == 400
    assert message in reply.error["message"]
    assert not app.queue.messages


def test_every_input_error_is_told_at_once_and_nothing_is_kept(app):
    body = pool_request(2)
    body["inputs"]["rx1.csv"] += "not an address\nrx1-0001@contoso.example\n"
    reply = app.start(body)
    assert (reply.status, reply.error["code"]) == (422, "invalid-input")
    assert [(each["file"], each["row"]) for each in reply.error["errors"]] == [("rx1.csv", 4), ("rx1.csv", 5)]
    assert not app.queue.messages
    assert not list((app.settings.runs_dir / "functions").iterdir())


def test_invalid_rows_may_be_left_out_as_at_the_prompt(app):
    body = pool_request(2, options={"skip_invalid": True})
    body["inputs"]["rx1.csv"] += "not an address\n"
    run = app.start(body).run
    app.take()
    shown = app.show(run).body
    assert (shown["status"], shown["plan"]["leftOut"]) == ("planned", 1)


@pytest.mark.parametrize("path", ["../request.json", "../../../secret.csv", "/etc/passwd", "inputs/../../state.json"])
def test_an_input_cannot_name_a_file_outside_of_what_was_sent(app, path, tmp_path):
    (tmp_path / "secret.csv").write_text("upn\nrx1-0001@contoso.example\n")
    body = pool_request()
    body["inputs"]["pools.yaml"] = body["inputs"]["pools.yaml"].replace("rx1.csv", path)
    reply = app.start(body)
    assert reply.status == 422
    assert "file-outside" in {each["code"] for each in reply.error["errors"]}


def test_a_map_brings_local_files_into_the_shape_of_a_recipe(make_app):
    app = make_app(GRAPHKIT_FUNCTIONS_RECIPES="licenses.assign")
    people = "Name,Where\nrx1-0001,RX1\nrx1-0002,RX1\n"
    columns = 'columns: {upn: "{Name}@{domain}", sku: =EMS, org: Where}'
    mapping = f"rows: people.csv\n{columns}\nvalues: {{domain: contoso.example}}\n"
    reply = app.start({"inputs": {"people.csv": people, "m.yaml": mapping}, "map": "m.yaml"}, recipe="licenses.assign")
    assert reply.status == 202, reply.body
    app.take()
    assert app.show(reply.run).body["plan"]["changes"]["add"] == 2


@pytest.mark.parametrize("run", ["0" * 32, "..", "../x", "0" * 31, "F" * 32, ""])
def test_what_is_no_run_is_not_found(app, run):
    assert [reply.status for reply in (app.show(run), app.approve(run), app.cancel(run))] == [404, 404, 404]


# -- who calls


def test_a_key_alone_is_enough_where_sign_in_is_off(app):
    assert app.start(pool_request()).status == 202


def test_whoever_is_signed_in_needs_the_role_of_the_action(app):
    run = app.start(pool_request(), headers=signed_in("Runs.Start")).run
    app.take()
    actions = {
        "Runs.Start": lambda headers: app.start(pool_request(), headers=headers),
        "Runs.Read": lambda headers: app.show(run, headers),
        "Runs.Approve": lambda headers: app.approve(run, headers=headers),
        "Runs.Cancel": lambda headers: app.cancel(run, headers),
    }
    for role, act in actions.items():
        others = signed_in(*(set(actions) - {role}))
        assert (act(others).status, act(signed_in(role)).status // 100) == (403, 2), role


def test_a_role_may_come_under_the_long_name_that_the_platform_maps_it_to(app):
    long = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
    assert app.start(pool_request(), headers=signed_in("Runs.Start", role_typ=long)).status == 202


def test_where_sign_in_is_on_a_caller_of_whom_nothing_is_known_is_refused(make_app):
    app = make_app(WEBSITE_AUTH_ENABLED="True")
    assert app.start(pool_request()).status == 401
    assert app.start(pool_request(), headers=signed_in("Runs.Start")).status == 202


@pytest.mark.parametrize("header", ["x", "e30", "W10=", "bm8="])
def test_a_principal_that_cannot_be_read_is_refused(app, header):
    assert app.start(pool_request(), headers={"x-ms-client-principal": header}).status in (401, 403)


def test_who_approved_is_kept_as_an_object_id(app, planned):
    app.approve(planned, headers=signed_in("Runs.Approve", who="22222222-2222-4222-8222-222222222222"))
    assert app.run(planned).approval(1).by == "22222222-2222-4222-8222-222222222222"


def test_the_registry_of_the_settings_counts_here_too(make_app, tmp_path):
    """A caller can name no file outside the request; whoever runs the app can."""
    registry = tmp_path / "orgs.csv"
    registry.write_text("code,domain,caps\nRX1,contoso.example,SPE_E3=2\n", encoding="utf-8")
    app = make_app(GRAPHKIT_ORGS=str(registry))
    run = app.start(pool_request(45)).run
    app.take()
    shown = app.show(run).body
    assert shown["status"] == "blocked"
    assert "its cap in the registry is 2" in shown["plan"]["blocked"][0]
    registry.write_text("code\nRX2\n", encoding="utf-8")
    reply = app.start(pool_request(44))
    assert reply.status == 422
    assert "is not in the registry of organisations" in str(reply.error)
