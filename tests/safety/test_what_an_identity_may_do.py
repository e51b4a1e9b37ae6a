"""Too much power stops a run, too little turns a rail off and says so: through the command line."""

from __future__ import annotations

import pytest

POOLS = ("Group.ReadWrite.All", "LicenseAssignment.ReadWrite.All", "User.Read.All", "Organization.Read.All")
BASE = ("Organization.Read.All", "User.Read.All", "GroupMember.Read.All")
SAFE = ("Policy.Read.All", "RoleManagement.Read.Directory")
TAKE_OVER = "RoleManagement.ReadWrite.Directory"
POLICIES = "policies:\n  - {key: p, state: report, include: {users: [All]}, exclude: {groups: [Break glass]}, " \
    "apps: {include: [All]}, grant: {operator: OR, builtInControls: [mfa]}}\n"  # fmt: skip
ACCESS = ("Policy.Read.All", "Policy.ReadWrite.ConditionalAccess", "Application.Read.All", "Group.Read.All")


@pytest.fixture
def plan(graphkit, served_tenant, tmp_path, monkeypatch):
    """``plan(*permissions)`` plans a pool, or what ``recipe`` and ``text`` say."""

    def run(*permissions, recipe="licenses.pools", text="", **more):
        monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", served_tenant.token(*permissions, **more))
        (tmp_path / "rx1.csv").write_text("upn\nrx1-0001@contoso.example\n", encoding="utf-8")
        path = tmp_path / "input.yaml"
        pools = "pools:\n  - {org: RX1, sku: SPE_E3, cap: 5, members_from: rx1.csv}\n"
        path.write_text(text or pools, encoding="utf-8")
        flags = ("-t", served_tenant.address, "-o", "json", "--out", tmp_path / "a.run")
        return graphkit("plan", recipe, "-i", path, *flags)

    return run


@pytest.mark.parametrize("how", ["roles", "scp"])
def test_permissions_to_take_a_tenant_over_stop_the_plan_unless_they_are_named(plan, monkeypatch, tmp_path, how):
    more = {"scp": " ".join((*POOLS, TAKE_OVER))} if how == "scp" else {}
    permissions = () if more else (*POOLS, TAKE_OVER)
    result = plan(*permissions, **more)
    assert result.code == 6
    assert TAKE_OVER in result.json["error"]["reasons"][0]
    assert "GRAPHKIT_TAKE_OVER" in result.json["error"]["hint"]
    assert not (tmp_path / "a.run").exists()
    monkeypatch.setenv("GRAPHKIT_TAKE_OVER", TAKE_OVER.lower())
    assert plan(*permissions, **more).code == 0


def test_an_identity_that_has_grown_since_the_plan_is_stopped_at_the_apply(
    graphkit, plan, served_tenant, tmp_path, monkeypatch
):
    assert plan(*POOLS).code == 0
    monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", served_tenant.token(*POOLS, "Application.ReadWrite.All"))
    result = graphkit("apply", tmp_path / "a.run", "--yes", "-t", served_tenant.address, "-o", "json")
    assert (result.code, len(served_tenant.tenant.log)) == (6, 0)


@pytest.mark.parametrize(("lacks", "said"), [("Policy.Read.All", "locked out"), (SAFE[1], "not protected")])
def test_a_rail_without_its_permission_is_off_and_says_so(plan, monkeypatch, lacks, said):
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "Break glass")
    result = plan(*({*POOLS, *SAFE} - {lacks}))
    assert result.code == 0, result.stderr
    assert any(lacks in warning and said in warning for warning in result.json["warnings"])
    assert plan(*POOLS, *SAFE).json.get("warnings", []) == []


@pytest.mark.parametrize("lacks", ["Organization.Read.All", "User.Read.All", *SAFE])
def test_the_identity_family_does_without_no_rail(plan, monkeypatch, lacks):
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "Break glass")
    result = plan(*({*BASE, *SAFE, *ACCESS} - {lacks}), recipe="identity.conditional-access", text=POLICIES)
    assert (result.code, result.json["error"]["code"]) == (4, "missing-permission")
    assert lacks in result.json["error"]["message"]


def test_doctor_names_what_no_recipe_needs(graphkit, served_tenant, monkeypatch):
    def told(*permissions):
        monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", served_tenant.token(*permissions))
        checks = graphkit("doctor", "-t", served_tenant.address, "-o", "json").json["checks"]
        return {check["name"]: (check["state"], check["found"]) for check in checks}

    assert told(*BASE, "Mail.Send")["permissions that no recipe needs"] == ("warn", "Mail.Send")
    assert told(*BASE, TAKE_OVER)["permissions to take over the tenant"] == ("warn", TAKE_OVER)
    assert told(*BASE)["permissions that no recipe needs"] == ("ok", "none")
