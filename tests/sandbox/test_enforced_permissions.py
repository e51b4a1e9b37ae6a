"""What a token may do: the permissions of each operation, and the recipes' own declarations held against them."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from served import served

from graphkit import recipe
from graphkit.clock import RealClock
from graphkit.engine.resource import PlanOptions
from graphkit.sandbox import Seed, SimulatedTenant
from graphkit.sandbox.areas import ROUTES
from graphkit.sandbox.permissions import APP_ROLES
from graphkit.sandbox.seeding.activity import set_last_seen

NEEDS = {f"{route.method} {route.template}": route.needs for route in ROUTES}
IN_BETA = {f"{route.method} {route.template}" for route in ROUTES if route.beta_only}


@pytest.fixture
def bearer(graph):
    """``bearer("User.Read.All")`` is the header of an app with these permissions."""

    def issue(*roles):
        signer = graph.tenant.login.signer
        claims = {"iss": signer.issuer, "exp": graph.clock.at + 9_999, "idtyp": "app", "appid": "a", "roles": roles}
        return {"Authorization": f"Bearer {signer.sign(claims)}"}

    return issue


def test_every_operation_says_what_it_needs():
    assert [name for name, needs in NEEDS.items() if not needs] == []


def test_every_permission_is_a_real_one():
    named = {name for needs in NEEDS.values() for need in needs for name in need}
    assert named <= set(APP_ROLES)
    assert len(set(APP_ROLES.values())) == len(APP_ROLES)


@pytest.mark.parametrize("route", sorted(NEEDS))
def test_an_operation_is_refused_without_and_never_with_its_permissions(graph, bearer, route):
    method, template = route.split()
    path = re.sub(r"\((\w+)\)/\{\w+\}", r"(\1='x')", template)
    body = {} if method in ("POST", "PATCH", "PUT") else None
    version = "beta" if route in IN_BETA else "v1.0"
    without = graph(method, path, body, version, **bearer(*(set(APP_ROLES) - set(NEEDS[route][0]))))
    assert (without.status, without.code) == (403, "Authorization_RequestDenied")
    assert graph(method, path, body, version, **bearer(*(need[0] for need in NEEDS[route]))).status != 403
    assert len(graph.tenant.log) == 0 or method != "GET"


def test_what_an_app_lacks_is_refused_item_by_item_inside_a_batch(graph, bearer):
    items = [
        {"id": "1", "method": "GET", "url": "/users?$top=1"},
        {"id": "2", "method": "GET", "url": "/subscribedSkus"},
    ]
    told = graph("POST", "/$batch", {"requests": items}, **bearer("User.Read.All"))
    assert {item["id"]: item["status"] for item in told.json["responses"]} == {"1": 200, "2": 403}


def test_members_by_patch_need_no_more_than_members_one_by_one(graph, bearer):
    group = graph.group()
    body = {"members@odata.bind": [graph.link(graph.user(1))]}
    assert graph("PATCH", f"/groups/{group}", body, **bearer("GroupMember.ReadWrite.All")).status == 204
    assert graph("PATCH", f"/groups/{group}", {"description": "x"}, **bearer("GroupMember.ReadWrite.All")).status == 403


@pytest.mark.parametrize("token", ["simulated", "a.b.c"])
def test_a_token_that_we_did_not_issue_may_do_everything(graph, token):
    assert graph("GET", "/subscribedSkus", Authorization=f"Bearer {token}").status == 200


def test_what_an_app_holds_can_be_read_in_the_directory(graph):
    graph.tenant.login.apps[graph.tenant.seed.app_id].roles = frozenset({"User.Read.All"})
    path = f"/servicePrincipals(appId='{graph.tenant.seed.app_id}')/appRoleAssignments"
    held = [row["appRoleId"] for row in graph("GET", path).json["value"]]
    assert held == [APP_ROLES["User.Read.All"]]


# -- the recipes --

DECLARED = {each.name: each for each in recipe.all_recipes()}


@pytest.fixture
def tenant_at_once():
    """Served, without the waits that only cost time here."""
    wall = RealClock()
    seed = Seed(organisations=1, users=60)
    waits = {"replication_s": 0, "licensing_s": 0, "team_window_s": 0, "team_s": 0, "intune_s": 0}
    tenant = SimulatedTenant(wall, seed=seed, throttling=False, **waits)
    with served(tenant) as address:
        yield tenant, address


def token_of(tenant, roles):
    signer = tenant.login.signer
    ends = tenant.clock.now() + 3600
    claims = {"iss": signer.issuer, "tid": tenant.tenant_id, "exp": ends, "idtyp": "app", "appid": "a", "roles": roles}
    return signer.sign(claims)


def flags_of(options):
    """What the starter file needs to be planned, as the command line takes it."""
    stated = {field.name: getattr(options, field.name) for field in fields(options)}
    usual = {field.name: getattr(PlanOptions(), field.name) for field in fields(options)}
    flags = []
    for name, value in {**stated, "confirm": "contoso.example"}.items():
        if value != usual[name]:
            flags += [f"--{name.replace('_', '-')}", *([] if value is True else [value])]
    return flags


def let_age(tenant, path):
    """Teams that nobody uses, one of them without an owner, and a file that asks to act on them."""
    state = tenant.state
    for key in list(state.table("teams").objects):
        state.put("teams", {**state.get("teams", key), "createdDateTime": "2020-01-01T00:00:00Z"})
        state.put("groups", {**state.get("groups", key), "createdDateTime": "2020-01-01T00:00:00Z"})
        set_last_seen(tenant, key, 400)
    for relation in ("owners", "teamOwners"):
        for owner in list(state.linked(relation, key)):
            state.unlink(relation, key, owner)
    path.write_text(path.read_text(encoding="utf-8").replace("action: report ", "action: archive "), encoding="utf-8")


@pytest.mark.parametrize("name", sorted(DECLARED))
def test_a_recipe_does_its_whole_work_with_the_permissions_that_it_declares(
    graphkit, tenant_at_once, tmp_path, monkeypatch, name
):
    tenant, address = tenant_at_once
    monkeypatch.setenv("GRAPHKIT_GRAPH_URL", address)
    (tmp_path / "graphkit.toml").write_text("[limits]\ntime_scale = 50\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRAPHKIT_BREAK_GLASS", "break-glass-1@contoso.example,Break glass")

    def start(recipe_name):
        """The starter file of a recipe, and a token with what that declares."""
        declared = (*recipe.base_permissions(("declared",)), *DECLARED[recipe_name].permissions)
        monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", token_of(tenant, declared))
        for file, content in recipe.template_of(DECLARED[recipe_name]):
            (tmp_path / file).write_text(content, encoding="utf-8")
        return tmp_path / DECLARED[recipe_name].template

    found = DECLARED[name]
    if first := found.builds_on:
        made = graphkit("apply", first, "-i", start(first), "--yes", "--out", tmp_path / "first.run")
        assert made.code == 0, made.stdout + made.stderr
    source, before = start(name), len(tenant.log)
    if name == "teams.cleanup":
        let_age(tenant, source)
    flags = flags_of(found.trial or PlanOptions())
    beside = [part for file in found.given_with for part in ("-i", tmp_path / file)]
    asked = ("plan", name, "-i", source, *beside, "-o", "json", *flags)
    planned = graphkit(*asked, "--out", tmp_path / "a.run")
    assert planned.code == 0, planned.stdout + planned.stderr
    applied = graphkit("apply", tmp_path / "a.run", "--yes", "-o", "json")
    assert applied.code == 0, applied.stdout + applied.stderr
    assert len(tenant.log) > before
    again = graphkit(*asked, "--out", tmp_path / "b.run")
    assert again.code == 0, again.stdout + again.stderr
