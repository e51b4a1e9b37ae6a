"""No plan, and no write of a run, locks an emergency account out: on the simulated tenant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench import Bench, bench, counts

from graphkit.clock import run
from graphkit.engine.resource import PlanOptions
from graphkit.errors import Blocked
from graphkit.protocol.message import Request
from graphkit.safety.sentry import Sentry

POLICIES = "/identity/conditionalAccess/policies"
ACCOUNT, GROUP = "break-glass-1@contoso.example", "Break glass"
ANYBODY = "rx1-0001@contoso.example"
FILE = """\
policies:
  - key: mfa
    state: report
    include: {{users: [All]}}
    exclude: {{groups: [Break glass], users: [break-glass-1@contoso.example]}}
    apps: {{include: [All]}}
    grant: {{operator: OR, builtInControls: [{control}]}}
"""


def on_tenant(folder: Path, test: Any, **seed: Any) -> None:
    async def go() -> None:
        async with bench(folder, **seed) as here:
            await test(here)

    run(go(), virtual=True)


async def plan(here: Bench, control: str = "mfa", **options: Any) -> Any:
    return await here.plan(
        "identity.conditional-access",
        FILE.format(control=control),
        suffix="yaml",
        **{"break_glass": (ACCOUNT, GROUP), **options},
    )


def users(**named: list[str]) -> dict[str, Any]:
    return {"includeUsers": [], "excludeUsers": [], "includeGroups": [], "excludeGroups": [], **named}


def foreign(here: Bench, name: str, users: dict[str, Any], *controls: str, state: str = "enabled") -> str:
    """A policy that somebody else made."""
    key = here.tenant.seed.id_of("policy", name)
    here.tenant.state.put(
        "policies",
        {
            "id": key,
            "displayName": name,
            "state": state,
            "createdDateTime": "2024-01-08T09:00:00Z",
            "modifiedDateTime": None,
            "conditions": {
                "users": users,
                "applications": {"includeApplications": ["All"], "excludeApplications": []},
                "clientAppTypes": ["all"],
                **dict.fromkeys(("platforms", "locations", "devices", "clientApplications")),
                **{name: [] for name in ("signInRiskLevels", "userRiskLevels", "insiderRiskLevels")},
            },
            "grantControls": {
                "operator": "OR",
                "builtInControls": list(controls or ("block",)),
                "customAuthenticationFactors": [],
                "termsOfUse": [],
                "authenticationStrength": None,
            },
            "sessionControls": None,
        },
    )
    return key


def group(here: Bench, name: str = GROUP) -> str:
    return next(
        each["id"] for each in here.tenant.state.table("groups").objects.values() if each["displayName"] == name
    )


def blocked(planned: Any) -> list[str]:
    return list(planned.header()["blocked"])


# -- what is there already counts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("named", "controls", "state", "said"),
    [
        ({"includeUsers": ["All"]}, ("block",), "enabled", "includes all users and blocks"),
        ({"includeUsers": ["All"]}, ("compliantDevice",), "enabled", "asks for a compliant device"),
        ({"includeUsers": ["All"]}, ("mfa",), "enabled", "nothing registered"),
        ({"includeRoles": ["62e90394-69f5-4237-9190-012177145e10"]}, ("block",), "enabled", "which it holds"),
        ({"includeUsers": ["All"]}, ("block",), "enabledForReportingButNotEnforced", ""),
        ({"includeUsers": ["All"]}, ("block",), "disabled", ""),
        ({"includeUsers": ["GuestsOrExternalUsers"]}, ("block",), "enabled", ""),
    ],
)
def test_a_policy_of_somebody_else_that_locks_out_stops_the_plan(tmp_path, named, controls, state, said):
    async def check(here: Bench) -> None:
        foreign(here, "Theirs", users(**named), *controls, state=state)
        with await plan(here) as planned:
            reasons = blocked(planned)
        assert bool(reasons) == bool(said)
        for reason in reasons:
            assert "policy Theirs would lock out break-glass break-glass-" in reason
            assert said in reason
            assert "exclude it there" in reason
        assert len(reasons) == (2 if said else 0)

    on_tenant(tmp_path, check)


RULED = {"groupTypes": ["DynamicMembership"], "membershipRule": 'user.department -eq "Nursing"'}
HIDDEN = {"groupTypes": ["Unified"], "mailEnabled": True, "securityEnabled": False, "visibility": "HiddenMembership"}


@pytest.mark.parametrize("kind", [RULED, HIDDEN])
def test_a_policy_for_a_group_of_which_nobody_can_tell_is_taken_to_be_for_the_accounts(tmp_path, kind):
    """A rule may take them in at any time; and hidden membership is no part of what one reads of an account."""

    async def check(here: Bench) -> None:
        rule = {
            **here.tenant.state.table("groups").objects[group(here)],
            "id": here.tenant.seed.id_of("group", "Ruled"),
            "displayName": "Ruled",
            "isAssignableToRole": None,
            **kind,
        }
        here.tenant.state.put("groups", rule)
        foreign(here, "Theirs", users(includeGroups=[rule["id"]]))
        with await plan(here) as planned:
            assert all("may take it in at any time or whose membership is hidden" in each for each in blocked(planned))
            assert len(blocked(planned)) == 2
        foreign(here, "Theirs", users(includeGroups=[rule["id"]], excludeGroups=[group(here)]))
        with await plan(here) as planned:
            assert blocked(planned) == []

    on_tenant(tmp_path, check)


def test_roles_that_cannot_be_read_count_as_a_lock_out(tmp_path):
    async def check(here: Bench) -> None:
        here.tenant.faults.add({"method": "GET", "path": "/roleManagement/*", "action": "answer", "status": 400})
        with await plan(here) as planned:
            assert all("directory roles could not be read" in reason for reason in blocked(planned))
            assert len(blocked(planned)) == 2

    on_tenant(tmp_path, check)


def test_a_run_that_mends_a_lock_out_may_pass_through_it(tmp_path):
    async def check(here: Bench) -> None:
        key = foreign(here, "mfa", users(includeUsers=["All"]))
        with await plan(here, adopt=True) as planned:
            assert blocked(planned) == []
            assert counts(planned) == {"update": 1}
            assert await here.apply(planned, break_glass=(ACCOUNT, GROUP)) == {"done": 1}
        assert here.tenant.state.get("policies", key)["conditions"]["users"]["excludeGroups"] == [group(here)]

    on_tenant(tmp_path, check)


def test_a_declared_group_that_shows_nobody_counts_as_locked_out(tmp_path):
    async def check(here: Bench) -> None:
        table = here.tenant.state.table("groups").objects
        hidden = {
            **table[group(here)],
            "id": here.tenant.seed.id_of("group", "Unseen"),
            "displayName": "Unseen",
            **HIDDEN,
        }
        here.tenant.state.put("groups", hidden)
        with await plan(here, break_glass=(ACCOUNT, "Unseen")) as planned:
            assert any("Member.Read.Hidden" in reason for reason in blocked(planned))

    on_tenant(tmp_path, check)


# -- memberships -----------------------------------------------------------------------------------------------------

POOL = "mode: {mode}\npools:\n  - {{org: RX1, sku: SPE_E3, cap: 50, members_from: members.csv}}\n"


async def pool(here: Bench, *members: str, mode: str = "additive", **options: Any) -> Any:
    (here.folder / "members.csv").write_text("\n".join(["upn", *members, ""]), encoding="utf-8")
    text = POOL.format(mode=mode)
    return await here.plan("licenses.pools", text, suffix="yaml", **{"break_glass": (ACCOUNT, GROUP), **options})


async def made(here: Bench, *members: str) -> str:
    """The pool with these members, and its id."""
    with await pool(here, *members, break_glass=()) as planned:
        await here.apply(planned)
    return group(here, "RX1 SPE_E3")


def test_to_join_a_group_that_a_blocking_policy_names_is_refused(tmp_path):
    async def check(here: Bench) -> None:
        key = await made(here, ANYBODY)
        foreign(here, "Pool only", users(includeGroups=[key]))
        with await pool(here, ANYBODY, ACCOUNT) as planned:
            (reason,) = blocked(planned)
        assert "policy Pool only would lock out break-glass break-glass-1@contoso.example" in reason
        assert f"includes the group {key}, which it is in and blocks (after add group.member" in reason
        with await pool(here, ANYBODY, "rx1-0002@contoso.example") as planned:
            assert blocked(planned) == []

    on_tenant(tmp_path, check)


def test_to_leave_a_group_that_a_policy_leaves_out_is_refused_twice_over(tmp_path):
    """The removal is left alone because the account is protected; were it not, the proof would stop the plan."""

    async def check(here: Bench) -> None:
        key = await made(here, ANYBODY, ACCOUNT)
        foreign(here, "All but the pool", users(includeUsers=["All"], excludeGroups=[key, group(here)]))
        with await pool(here, ANYBODY, mode="authoritative", break_glass=(ACCOUNT,)) as planned:
            assert counts(planned)["blocked"] == 1
            (change,) = [each for each in planned.changes() if each.action.value == "blocked"]
        assert "break-glass break-glass-1@contoso.example, which no run does" in change.note

    on_tenant(tmp_path, check)


def test_without_the_right_to_read_policies_other_recipes_are_warned_and_go_on(tmp_path):
    async def check(here: Bench) -> None:
        here.tenant.faults.add({"method": "GET", "path": POLICIES, "action": "answer", "status": 403})
        with await pool(here, ANYBODY, ACCOUNT) as planned:
            assert blocked(planned) == []
        with await plan(here) as planned:
            assert counts(planned) == {"blocked": 1}

    on_tenant(tmp_path, check)


def test_policies_that_cannot_be_read_stop_a_plan_that_moves_an_emergency_account(tmp_path):
    async def check(here: Bench) -> None:
        here.tenant.faults.add({"method": "GET", "path": POLICIES, "action": "answer", "status": 400})
        with await pool(here, ANYBODY) as planned:
            assert blocked(planned) == []
        with await pool(here, ANYBODY, ACCOUNT) as planned:
            (reason,) = blocked(planned)
        assert "conditional access policies could not be read" in reason
        assert "counts as locked out" in reason

    on_tenant(tmp_path, check)


# -- again at the wire -----------------------------------------------------------------------------------------------


def test_what_changed_since_the_plan_stops_the_run_before_its_write(tmp_path):
    async def check(here: Bench) -> None:
        with await plan(here) as planned:
            assert blocked(planned) == []
            foreign(here, "Theirs", users(includeUsers=["All"]))
            with pytest.raises(Blocked) as told:
                await here.apply(planned, break_glass=(ACCOUNT, GROUP))
        assert here.writes() == []
        assert any("policy Theirs would lock out" in reason for reason in told.value.reasons)
        assert "resume" in told.value.hint

    on_tenant(tmp_path, check)


def test_an_account_that_left_its_excluded_group_since_the_plan_stops_the_run(tmp_path):
    async def check(here: Bench) -> None:
        text = FILE.format(control="block").replace(", users: [break-glass-1@contoso.example]", "")
        options = {"break_glass": (ACCOUNT,)}
        planned = await here.plan("identity.conditional-access", text, suffix="yaml", **options)
        with planned:
            assert blocked(planned) == []
            here.tenant.state.unlink("members", group(here), here.user(ACCOUNT)["id"])
            await here.client.clock.sleep(here.tenant.replication.window_s)
            with pytest.raises(Blocked):
                await here.apply(planned, **options)
        assert here.writes() == []

    on_tenant(tmp_path, check)


@pytest.mark.parametrize("address", ["{}", "https://graph.microsoft.com/v1.0{}"])
@pytest.mark.parametrize("spelt", [str.lower, str.upper])
def test_a_raw_request_is_judged_like_any_other(tmp_path, address, spelt):
    async def check(here: Bench) -> None:
        with await plan(here) as planned:
            await here.apply(planned, break_glass=(ACCOUNT, GROUP))
            key = next(iter(here.tenant.state.table("policies").objects))
            before = len(here.writes())

            here.chain.sentry = Sentry(here._context(planned, PlanOptions(break_glass=(ACCOUNT, GROUP))))
            bodies = [
                {"state": "enabled", "conditions": {"users": {"excludeGroups": [], "excludeUsers": []}}},
                {"state": "enabled", "grantControls": {"operator": "OR", "builtInControls": ["block"]}, "conditions": {
                    "users": {"includeUsers": ["All"], "excludeUsers": None, "excludeGroups": None}}},
            ]  # fmt: skip
            for body in bodies:
                path = address.format(f"{POLICIES}/{spelt(key)}")
                with pytest.raises(Blocked):
                    await here.client.send(Request(method="PATCH", path=path, body=json.dumps(body).encode()))
        assert len(here.writes()) == before

    on_tenant(tmp_path, check)
