"""identity.conditional-access: whom a policy would block or prompt is told first, and may be too many."""

import json

import pytest

RECIPE = "identity.conditional-access"
DOOR = "rx1-0001@contoso.example"


@pytest.fixture
def declared(monkeypatch):
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", DOOR)


def file(tmp_path, grant="block", *, include="{users: [All]}", most=10, state="on", days=7):
    text = f"""\
promote_after_days: {days}
{f"max_impact_pct: {most}" if most is not None else ""}
policies:
  - key: p
    name: Policy
    state: {state}
    include: {include}
    exclude: {{users: [{DOOR}]}}
    apps: {{include: [All]}}
    grant: {{operator: OR, builtInControls: [{grant}]}}
"""
    path = tmp_path / "ca.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def planned(line, path, *more):
    return line("plan", RECIPE, "-i", path, *more, "-o", "json", "--full")


def note(result):
    return next(item["note"] for item in result.json["items"] if item["kind"] == "conditionalAccessPolicy")


def test_a_policy_that_would_block_too_many_stops_the_plan_and_says_how_many(simulated, tenant, tmp_path, declared):
    result = planned(simulated, file(tmp_path))
    assert result.code == 6
    assert any("more than 10 %" in why and "--accept-impact allows it" in why for why in result.json["blocked"])
    assert "blocks them where its conditions hold" in note(result)
    accepted = planned(simulated, file(tmp_path), "--accept-impact")
    assert (accepted.code, accepted.json["status"]) == (0, "ready")
    assert tenant.log() == []


def test_few_may_be_blocked_and_the_plan_says_whom_it_concerns(simulated, tmp_path, declared):
    given = file(tmp_path, include="{users: [rx1-0002@contoso.example, rx1-0003@contoso.example]}")
    result = planned(simulated, given)
    assert (result.code, result.json["status"]) == (0, "ready")
    assert "concerns 2 of " in note(result)


def test_a_second_factor_prompts_those_who_have_none(simulated, tmp_path, declared):
    told = note(planned(simulated, file(tmp_path, "mfa", most=100)))
    assert "of them have no method for it yet" in told
    assert "blocks" not in told
    nobody = planned(simulated, file(tmp_path, "mfa", most=0))
    assert nobody.code == 6
    other = planned(simulated, file(tmp_path, "compliantDevice", most=0))
    assert other.code == 0  # who has such a device nobody can tell from registrations


def test_members_of_groups_and_holders_of_roles_are_counted(simulated, tmp_path, declared):
    body = '{"displayName": "Ward", "mailEnabled": false, "securityEnabled": true, "mailNickname": "ward"}'
    group = simulated("graph", "post", "/groups", "--body", body, "--yes", "-o", "json").json["id"]
    who = simulated("graph", "get", "/users/rx1-0002@contoso.example", "-o", "json").json["id"]
    link = f'{{"@odata.id": "https://graph.microsoft.com/v1.0/directoryObjects/{who}"}}'
    added = simulated("graph", "post", f"/groups/{group}/members/$ref", "--body", link, "--yes")
    assert added.code == 0, added.stderr
    assert "concerns 1 of " in note(planned(simulated, file(tmp_path, include="{groups: [Ward]}")))
    told = note(planned(simulated, file(tmp_path, include="{roles: [Global Administrator]}", most=100)))
    assert "concerns " in told
    assert "concerns 0 of " not in told


def test_without_a_limit_nothing_is_counted_and_one_that_is_off_concerns_nobody(simulated, tmp_path, declared):
    assert "concerns" not in note(planned(simulated, file(tmp_path, most=None)))
    off = planned(simulated, file(tmp_path, state="off", most=0))
    assert (off.code, "concerns" in note(off)) == (0, False)


def test_a_promotion_says_what_the_policy_would_have_done_to_those_who_signed_in(simulated, tenant, tmp_path, declared):
    tenant.seed(users=400)
    days = 0
    given = file(tmp_path, "compliantDevice", most=None, days=days)
    assert simulated("apply", RECIPE, "-i", given, "--yes").code == 0
    with tenant.changed() as changed:
        for policy in list(changed.state.table("policies").objects.values()):
            early = {"createdDateTime": "2025-12-01T00:00:00Z", "modifiedDateTime": "2025-12-01T00:00:00Z"}
            changed.state.put("policies", {**policy, **early})
    given = file(tmp_path, "compliantDevice", most=None, days=7)
    result = planned(simulated, given, "--promote", "p")
    assert result.json["changes"]["update"] == 1, result.stdout
    assert "promoted after" in note(result)
    assert "who signed in while it reported" in note(result)
    limited = planned(simulated, file(tmp_path, "compliantDevice", most=1, days=7), "--promote", "p")
    assert limited.code == 6
    assert any("would be affected, more than 1 %" in why for why in limited.json["blocked"])
    accepted = ("--promote", "p", "--accept-impact")
    assert planned(simulated, file(tmp_path, "compliantDevice", most=1, days=7), *accepted).code == 0


def test_what_cannot_be_counted_is_not_taken_for_nothing(simulated, tmp_path, declared):
    rules = tmp_path / "rules.json"
    path = "/reports/authenticationMethods/userRegistrationDetails"
    refusal = {"name": "no leave", "method": "GET", "path": path, "action": "answer", "status": 403}
    rules.write_text(json.dumps({"rules": [refusal]}), encoding="utf-8")
    loaded = simulated("sim", "faults", "load", rules)
    assert loaded.code == 0, loaded.stderr
    result = planned(simulated, file(tmp_path, most=50))
    assert result.code == 6, result.stdout
    assert any("its impact could not be counted" in why for why in result.json["blocked"])
    assert "its impact could not be counted" in note(result)
    assert planned(simulated, file(tmp_path, most=50), "--accept-impact").code == 0
