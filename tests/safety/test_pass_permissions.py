"""What passes need is asked for only where somebody asks for passes: through the command line."""

from __future__ import annotations

import pytest

from graphkit.recipe import BASE_PERMISSIONS, find_recipe

PASSES = ("UserAuthMethod-TAP.ReadWrite.All", "Policy.Read.AuthenticationMethod", "RoleManagement.Read.Directory")
JOINERS = (*BASE_PERMISSIONS, *find_recipe("people.joiners").permissions)
PAGE = "usage_location: GB\ndomain: contoso.example\n"
WITH = 'access_passes: {starts_at: "08:00Z", lifetime_minutes: 60}\n'
ROW = "employee_id,first_name,last_name,org,start_date\n{},Alex,Example,RX1,2026-01-05\n"


@pytest.fixture
def plan(graphkit, served_tenant, tmp_path, monkeypatch):
    def run(page, *permissions, employee="90001"):
        monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", served_tenant.token(*permissions))
        (tmp_path / "people.csv").write_text(ROW.format(employee), encoding="utf-8")
        (tmp_path / "people.yaml").write_text(page, encoding="utf-8")
        given = ("-i", tmp_path / "people.csv", "-i", tmp_path / "people.yaml", "--as-of", "2026-01-05")
        result = graphkit("plan", "people.joiners", *given, "-t", served_tenant.address, "-o", "json", "--full")
        assert result.stdout, result.stderr
        return result.json

    return run


def test_a_plan_without_passes_misses_no_permission_for_them(plan):
    assert plan(PAGE, *JOINERS)["warnings"] == []


def test_a_plan_with_passes_names_what_it_lacks_and_what_could_not_be_looked_up(plan):
    found = plan(PAGE + WITH, *JOINERS)
    named = [warning.split()[0] for warning in found["warnings"] if "(user.accessPass)" in warning]
    assert named == sorted(PASSES)
    assert any("could not be read: the service answered 403" in remark for remark in found["remarks"])


@pytest.mark.parametrize(("lacks", "action"), [("RoleManagement.Read.Directory", "blocked"), ("", "create")])
def test_an_account_that_is_there_gets_none_while_nobody_can_tell_whether_it_holds_a_role(plan, lacks, action):
    found = plan(PAGE + WITH, *({*JOINERS, *PASSES} - {lacks}), employee="RX100001")
    (line,) = (item for item in found["items"] if item["kind"] == "user.accessPass")
    assert (line["action"], "--allow-privileged allows it" in line["note"]) == (action, bool(lacks))


def test_with_all_the_policy_is_looked_up(plan):
    found = plan(PAGE + WITH, *JOINERS, *PASSES)
    assert found["warnings"] == []
    assert found["blocked"] == [
        "temporary access passes are not enabled in this tenant: identity.auth-methods can enable them"
    ]


def test_what_a_page_may_ask_for_is_neither_missing_nor_too_much(graphkit, served_tenant, monkeypatch):
    def compared(*permissions):
        monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", served_tenant.token(*permissions))
        told = graphkit("auth", "permissions", "people.joiners", "-t", served_tenant.address, "-o", "json").json[0]
        return told["ifAskedFor"], told["missing"], told["excess"]

    assert compared(*JOINERS) == (sorted(PASSES), [], [])
    assert compared(*JOINERS, *PASSES) == (sorted(PASSES), [], [])
    checks = graphkit("doctor", "-t", served_tenant.address, "-o", "json").json["checks"]
    (beyond,) = (check["found"] for check in checks if check["name"] == "permissions that no recipe needs")
    assert beyond == "none"


def test_the_recipe_lists_them_apart(graphkit):
    shown = graphkit("recipe", "show", "people.joiners").stdout
    assert f"only if the input asks for what needs them: {', '.join(PASSES)}" in shown
    told = graphkit("recipe", "show", "people.joiners", "-o", "json").json
    assert told["permissionsIfAskedFor"] == list(PASSES)
    assert not set(PASSES) & set(told["permissions"])
