"""The rails that every plan meets, and every write again: on the simulated tenant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, bench, counts

from graphkit.clock import run
from graphkit.engine.change import Action, Change, Desired, Origin
from graphkit.engine.plan import Planner
from graphkit.engine.resource import Context, PlanOptions, Resource
from graphkit.engine.runfile import RunFile
from graphkit.engine.sizes import Sizes
from graphkit.engine.snapshot import Snapshot
from graphkit.errors import Blocked
from graphkit.protocol.message import Request
from graphkit.safety.sentry import Sentry

ACCOUNT, GROUP = "break-glass-1@contoso.example", "Break glass"
POOL = "mode: {mode}\npools:\n  - {{org: RX1, sku: SPE_E3, cap: 50, members_from: members.csv{more}}}\n"


def upn(number: int) -> str:
    return f"rx1-{number:04}@contoso.example"


def on_tenant(folder: Path, test: Any, **seed: Any) -> None:
    async def go() -> None:
        async with bench(folder, **seed) as here:
            await test(here)

    run(go(), virtual=True)


async def pool(here: Bench, *members: str, mode: str = "authoritative", more: str = "", **options: Any) -> RunFile:
    (here.folder / "members.csv").write_text("\n".join(["upn", *members, ""]), encoding="utf-8")
    return await here.plan("licenses.pools", POOL.format(mode=mode, more=more), suffix="yaml", **options)


async def made(here: Bench, *members: str) -> str:
    with await pool(here, *members) as planned:
        assert "failed" not in await here.apply(planned)
    groups = here.tenant.state.table("groups").objects.values()
    return next(str(each["id"]) for each in groups if each.get("uniqueName") == "RX1.SPE_E3.pool")


def notes(planned: RunFile) -> list[str]:
    return [change.note for change in planned.changes() if change.action is Action.BLOCKED]


def give_role(here: Bench, name: str) -> None:
    here.tenant.state.link("roleMembers", "fe930be7-5e62-47db-91af-98c3a49a38b1", here.user(name)["id"])


# -- accounts that no run harms --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"protected": ("RX1-0002@*",)}, "which is protected (rx1-0002@* in the setting protected)"),
        ({"break_glass": (upn(2),)}, f"break-glass {upn(2)}, which no run does"),
        ({"protected": (upn(2),), "allow_privileged": True}, "is protected"),
        ({}, ""),
    ],
)
def test_a_protected_member_is_left_where_it_is_and_the_others_go(tmp_path, options, said):
    async def check(here: Bench) -> None:
        await made(here, upn(1), upn(2), upn(3))
        with await pool(here, upn(1), **options) as planned:
            assert counts(planned).get("blocked", 0) == (1 if said else 0)
            assert all(said in note for note in notes(planned))
            outcomes = await here.apply(planned, **options)
        assert outcomes.get("skipped", 0) == (1 if said else 0)
        assert here.writes()[-1].startswith("DELETE")

    on_tenant(tmp_path, check)


def test_whoever_holds_a_directory_role_is_protected_unless_somebody_says_otherwise(tmp_path):
    async def check(here: Bench) -> None:
        await made(here, upn(1), upn(2))
        give_role(here, upn(2))
        with await pool(here, upn(1)) as planned:
            (note,) = notes(planned)
        assert "who holds a directory role: --allow-privileged allows it" in note
        with await pool(here, upn(1), allow_privileged=True) as planned:
            assert counts(planned)["remove"] == 1

    on_tenant(tmp_path, check)


@pytest.mark.parametrize(("status", "blocked"), [(403, 0), (400, 1)])
def test_roles_that_may_not_be_read_are_warned_of_and_those_that_cannot_be_count(tmp_path, status, blocked):
    async def check(here: Bench) -> None:
        await made(here, upn(1), upn(2))
        rule = {"method": "GET", "path": "/roleManagement/*", "action": "answer", "status": status}
        here.tenant.faults.add(rule)
        with await pool(here, upn(1)) as planned:
            assert counts(planned).get("blocked", 0) == blocked

    on_tenant(tmp_path, check)


# -- power -----------------------------------------------------------------------------------------------------------


def test_a_row_that_adds_somebody_to_a_group_that_may_hold_roles_is_blocked_and_named(tmp_path):
    async def check(here: Bench) -> None:
        key = await made(here, upn(1))
        group = here.tenant.state.get("groups", key)
        assert group is not None
        here.tenant.state.put("groups", {**group, "isAssignableToRole": True})
        with await pool(here, upn(1), upn(2), mode="additive") as planned:
            (note,) = notes(planned)
            assert note == "RX1 SPE_E3 is a group that may hold directory roles: --allow-privileged allows it"
        with await pool(here, upn(1), upn(2), mode="additive", allow_privileged=True) as planned:
            assert counts(planned)["add"] == 1

    on_tenant(tmp_path, check)


# -- again at the wire -----------------------------------------------------------------------------------------------

HARMFUL = {
    "disable": ("PATCH", "/users/{bg}", {"accountEnabled": False}),
    "delete": ("DELETE", "/users/{bg}", None),
    "by its name": ("DELETE", f"/users/{ACCOUNT}", None),
    "in brackets": ("DELETE", "/users('{bg}')", None),
    "licences": ("POST", "/users/{bg}/assignLicense", {"addLicenses": [], "removeLicenses": ["x"]}),
    "typed action": ("POST", "/users/{bg}/microsoft.graph.assignLicense", {"removeLicenses": ["x"]}),
    "membership": ("DELETE", "/groups/{group}/members/{bg}/$ref", None),
    "group": ("DELETE", "/groups/{group}", None),
    "method": ("DELETE", "/users/{bg}/authentication/phoneMethods/1", None),
    "a pass": ("POST", "/users/{bg}/authentication/temporaryAccessPassMethods", {}),
    "object": ("DELETE", "/directoryObjects/{bg}", None),
    "absolute": ("DELETE", "https://graph.microsoft.com/v1.0/users/{bg}", None),
}


def replaced(path: str, here: Bench) -> str:
    group = next(e["id"] for e in here.tenant.state.table("groups").objects.values() if e["displayName"] == GROUP)
    return path.format(bg=here.user(ACCOUNT)["id"], group=group)


async def refused(here: Bench, method: str, path: str, body: Any, **options: Any) -> str:
    """What stops a raw request while a run is applied; nothing may have been written."""
    context = Context(here.client, here.client.clock, Snapshot(), PlanOptions(**options))
    here.chain.sentry = Sentry(context)
    content = None if body is None else json.dumps(body).encode()
    before = len(here.tenant.log)
    try:
        with pytest.raises(Blocked) as told:
            await here.client.send(Request(method=method, path=replaced(path, here), body=content))
    finally:
        here.chain.sentry = None
        context.snapshot.close()
    assert len(here.tenant.log) == before
    return told.value.message


@pytest.mark.parametrize("name", HARMFUL)
def test_no_request_harms_an_emergency_account_whatever_makes_it(tmp_path, name):
    async def check(here: Bench) -> None:
        method, path, body = HARMFUL[name]
        said = await refused(here, method, path, body, break_glass=(ACCOUNT,), allow_privileged=True)
        assert "break-glass" in said

    on_tenant(tmp_path, check)


POWER = {
    "assignment": ("POST", "/roleManagement/directory/roleAssignments", {"principalId": "x", "roleDefinitionId": "y"}),
    "role member": (
        "POST",
        "/directoryRoles/r/members/$ref",
        {"@odata.id": "https://graph.microsoft.com/v1.0/users/x"},
    ),
    "role by template": ("DELETE", "/directoryRoles(roleTemplateId='r')/members/x/$ref", None),
    "secret": ("POST", "/applications/x/addPassword", {}),
    "key": ("POST", "/servicePrincipals(appId='x')/addKey", {}),
    "credentials in a patch": ("PATCH", "/applications/x", {"keyCredentials": []}),
    "federation": ("POST", "/applications/x/federatedIdentityCredentials", {}),
    "app role": ("POST", "/servicePrincipals/x/appRoleAssignments", {}),
    "app role seen from there": ("POST", "/servicePrincipals/x/appRoleAssignedTo", {}),
    "consent": ("POST", "/oauth2PermissionGrants", {}),
    "new group": ("POST", "/groups", {"isAssignableToRole": True}),
    "member": ("POST", "/groups/{group}/members/$ref", {"@odata.id": "https://graph.microsoft.com/v1.0/users/x"}),
    "owner": ("POST", "/groups/{group}/owners/$ref", {"@odata.id": "https://graph.microsoft.com/v1.0/users/x"}),
    "group itself": ("PATCH", "/groups/{group}", {"description": "x"}),
    "team of it": (
        "POST",
        "/teams/{group}/members",
        {"user@odata.bind": "https://graph.microsoft.com/v1.0/users('x')"},
    ),
    "account of a holder": ("PATCH", "/users/{bg}", {"jobTitle": "x"}),
    "pass for a holder": ("POST", "/users/{bg}/authentication/temporaryAccessPassMethods", {}),
}


@pytest.mark.parametrize("name", POWER)
def test_no_request_gives_power_away_unless_somebody_says_so(tmp_path, name):
    async def check(here: Bench) -> None:
        method, path, body = POWER[name]
        assert "--allow-privileged allows it" in await refused(here, method, path, body)

    on_tenant(tmp_path, check)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/users/rx1-0001@contoso.example", {"jobTitle": "Nurse"}),
        ("POST", "/groups", {"displayName": "x", "mailEnabled": False, "mailNickname": "x", "securityEnabled": True}),
    ],
)
def test_an_ordinary_write_is_left_alone(tmp_path, method, path, body):
    async def check(here: Bench) -> None:
        context = Context(here.client, here.client.clock, Snapshot(), PlanOptions(break_glass=(ACCOUNT,)))
        here.chain.sentry = Sentry(context)
        answer = await here.client.send(Request(method=method, path=path, body=json.dumps(body).encode()))
        assert answer.ok
        context.snapshot.close()

    on_tenant(tmp_path, check)


# -- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("there", "gone", "allowed"), [(30, 10, True), (30, 11, False)])
def test_of_a_kind_ten_or_five_per_cent_may_go_whichever_is_more(tmp_path, there, gone, allowed):
    async def check(here: Bench) -> None:
        everybody = [upn(number) for number in range(1, there + 1)]
        await made(here, *everybody)
        with await pool(here, *everybody[gone:]) as planned:
            reasons = planned.header()["blocked"]
        assert (reasons == []) is allowed
        if not allowed:
            assert reasons == ["11 of group.member would be removed, 10 allowed; --max-removals 11 allows them"]
            with await pool(here, *everybody[gone:], max_removals=10) as planned:
                assert planned.header()["blocked"] == reasons
            with await pool(here, *everybody[gone:], max_removals=11) as planned:
                assert planned.header()["blocked"] == []
            # What was allowed once is allowed for that number: a later plan with more is refused again.
            with await pool(here, *everybody[gone + 1 :], max_removals=11) as planned:
                assert "12 of group.member would be removed" in planned.header()["blocked"][0]

    on_tenant(tmp_path, check, users=80, organisations=1)


NOBODY = """\
mode: authoritative
pools:
  - {org: RX1, sku: SPE_E3, cap: 50, members_from: {filter: "department eq 'None'"}}
  - {org: RX1, sku: SPE_F1, cap: 50, members_from: {filter: "userPrincipalName eq 'rx1-0003@contoso.example'"}}
"""


def test_a_list_of_nobody_empties_no_group(tmp_path):
    async def check(here: Bench) -> None:
        await made(here, upn(1), upn(2))
        with await here.plan("licenses.pools", NOBODY, suffix="yaml") as planned:
            assert counts(planned).get("remove", 0) == 0

    on_tenant(tmp_path, check)


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "answer", "status": 400},
        {"action": "answer", "status": 403},
        {"action": "answer", "status": 503},
        {"action": "page", "mode": "loop"},
        {"action": "page", "mode": "foreign"},
        {"action": "truncate"},
    ],
    ids=lambda fault: "-".join(map(str, fault.values())),
)
def test_a_list_that_breaks_off_removes_nobody(tmp_path, fault):
    async def check(here: Bench) -> None:
        everybody = [upn(number) for number in range(1, 9)]
        await made(here, *everybody)
        here.tenant.faults.add({"method": "GET", "path": "/groups/*/members", "times": 1000, **fault})
        with await pool(here, *everybody[5:]) as planned:
            assert counts(planned).get("remove", 0) == 0
        here.tenant.faults.clear()
        with await pool(here, *everybody[5:]) as planned:
            assert counts(planned)["remove"] == 5

    on_tenant(tmp_path, check)


# -- organisations, the whole tenant, lists that shrink --------------------------------------------------------------


class Things(Resource):
    """A kind that binds the whole tenant."""

    kind = "thing"

    async def read(self, items):
        from graphkit.engine.change import ABSENT

        return [ABSENT for _ in items]

    def diff(self, wanted, reading):
        yield Change(kind="thing", key=wanted.key, action=Action.CREATE, after={"x": 1}, origin=wanted.origin)

    def routes(self, change):
        return [("POST", "/things")]

    def tenant_wide(self, change):
        return "the naming policy" if change.key == "naming" else ""


async def things(here: Bench, *wishes: Desired, domain: str = "contoso.example", **options: Any) -> RunFile:
    here.runs += 1
    file = RunFile.create(here.folder / f"{here.runs}.run", {"recipe": "x"})
    context = Context(here.client, here.client.clock, Snapshot(), PlanOptions(**options), domain=domain)
    await Planner(file, {"thing": Things(context)}, context).plan(iter(wishes), [], quota_share=1.0)
    context.snapshot.close()
    return file


def thing(key: str, **rails: Any) -> Desired:
    return Desired(kind="thing", key=key, origin=Origin("a.yaml", key), rails=rails)


@pytest.mark.parametrize(
    ("key", "confirm", "domain", "said"),
    [
        ("naming", "", "contoso.example", "--confirm contoso.example allows it"),
        ("naming", "fabrikam.example", "contoso.example", "fabrikam.example is another"),
        ("naming", "", "", "could not be read (Organization.Read.All)"),
        ("naming", "anything", "", "could not be read (Organization.Read.All)"),
        ("naming", "CONTOSO.example ", "contoso.example", ""),
        ("small", "", "contoso.example", ""),
    ],
)
def test_what_binds_the_whole_tenant_is_confirmed_by_typing_its_domain(tmp_path, key, confirm, domain, said):
    async def check(here: Bench) -> None:
        with await things(here, thing(key), confirm=confirm, domain=domain) as planned:
            reasons = planned.header()["blocked"]
        assert bool(reasons) == bool(said)
        assert all(said in reason and "the naming policy" in reason for reason in reasons)

    on_tenant(tmp_path, check)


def test_nothing_outside_the_organisation_is_written(tmp_path):
    async def check(here: Bench) -> None:
        wishes = thing("ours", org="RX1"), thing("theirs", org="RX2"), thing("anybody's")
        with await things(here, *wishes, org="RX1") as planned:
            assert counts(planned) == {"create": 2, "blocked": 1}
            assert notes(planned) == ["it belongs to RX2, and --org RX1 keeps to RX1"]

    on_tenant(tmp_path, check)


@pytest.mark.parametrize(
    ("before", "now", "stops"), [(100, 79, True), (100, 80, False), (19, 0, False), (20, 15, True)]
)
def test_a_list_that_lost_more_than_a_fifth_is_not_believed(tmp_path, before, now, stops):
    first = Sizes(tmp_path, "tenant")
    first.note("the users", before)
    first.keep()
    then = Sizes(tmp_path, "tenant")
    then.note("the users", now)
    assert bool(list(then.shrunk())) is stops
    other = Sizes(tmp_path, "another")
    other.note("the users", now)
    assert not list(other.shrunk())
    (kept,) = tmp_path.glob("sizes-*")
    assert kept.stat().st_mode & 0o777 == 0o600 or kept.drive
    assert "users" not in kept.read_text()
