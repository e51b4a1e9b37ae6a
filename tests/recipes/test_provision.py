from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench import Bench, bench, counts

from graphkit.clock import run
from graphkit.engine.runfile import RunFile
from graphkit.errors import InputErrors

HEADER = "team_key,org,display_name,description,visibility,owners,channels"
UNLICENSED = "rx1-0015@contoso.example"


def upn(number: int, org: int = 1) -> str:
    return f"rx{org}-{number:04}@contoso.example"


TWO = f"{upn(1)};{upn(2)}"


def row(key: str, *, name: str = "", visibility: str = "Private", owners: str = TWO, channels: str = "") -> str:
    return f"{key},RX1,{name or key},,{visibility},{owners},{channels}"


def rows(*lines: str, header: str = HEADER) -> str:
    return "\n".join([header, *lines]) + "\n"


def on_tenant(folder: Path, test: Any, **seed: Any) -> Any:
    """Ten of each organisation's people hold SPE_E3, which brings Teams."""

    async def go() -> Any:
        async with bench(folder, **{"licensed": 10, **seed}) as here:
            return await test(here)

    return run(go(), virtual=True)


def kinds(planned: RunFile) -> dict[str, dict[str, int]]:
    return planned.counts_by_kind()


def teams(here: Bench) -> dict[str, str]:
    """mailNickname of each team's group, with its id."""
    groups = here.tenant.state.table("groups").objects
    return {groups[each]["mailNickname"]: each for each in here.tenant.state.table("teams").objects}


def channels(here: Bench, team: str) -> list[str]:
    linked = here.tenant.state.linked("channels", teams(here)[team])
    return sorted(here.tenant.state.table("channels").objects[each]["displayName"] for each in linked)


def owners(here: Bench, team: str) -> set[str]:
    return set(here.tenant.state.linked("owners", teams(here)[team]))


def row_results(planned: RunFile) -> list[tuple[str, str, str]]:
    found = planned.input_results(tables=True)
    return [(each.action, each.result.status.value, each.result.error) for each in found]


async def provision(here: Bench, text: str) -> dict[str, int]:
    with await here.plan("teams.provision", text) as planned:
        outcomes = await here.apply(planned)
    await replicas(here)
    return outcomes


async def replicas(here: Bench) -> None:
    """Until all of them show what was written."""
    await here.client.clock.sleep(10)


def test_two_new_one_that_differs_and_one_unlicensed_owner_are_two_creates_one_update_and_one_block(tmp_path):
    there = row("ward-3", visibility="Private")
    text = rows(
        row("ward-1", channels="Rotas;Handover"),
        row("ward-2"),
        row("ward-3", visibility="Public"),
        row("ward-4", owners=f"{UNLICENSED};{upn(1)}"),
    )

    async def check(here: Bench) -> None:
        await provision(here, rows(there))
        with await here.plan("teams.provision", text, allow_public=True) as planned:
            assert kinds(planned)["group"] == {"create": 2, "update": 1, "blocked": 1}
            assert kinds(planned)["team"] == {"create": 2, "noop": 1, "blocked": 1}
            assert kinds(planned)["channel"] == {"create": 2}
            outcomes = await here.apply(planned)
            assert outcomes["skipped"] == 4
            assert "failed" not in outcomes
            reason = f"{UNLICENSED} is its first owner and holds no Teams licence"
            assert row_results(planned) == [
                ("create", "done", ""), ("create", "done", ""), ("update", "done", ""), ("blocked", "skipped", reason),
            ]  # fmt: skip
        await replicas(here)
        assert set(teams(here)) == {"rx1-ward-1", "rx1-ward-2", "rx1-ward-3"}
        assert channels(here, "rx1-ward-1") == ["General", "Handover", "Rotas"]
        assert owners(here, "rx1-ward-1") == {here.user(upn(1))["id"], here.user(upn(2))["id"]}
        with await here.plan("teams.provision", text, allow_public=True) as again:
            assert set(counts(again)) == {"noop", "blocked"}
            assert again.header()["status"] == "empty"

    on_tenant(tmp_path, check)


def test_a_new_group_is_created_with_its_owners_so_that_they_cost_no_write_of_their_own(tmp_path):
    async def check(here: Bench) -> None:
        outcomes = await provision(here, rows(row("ward-1")))
        assert outcomes == {"done": 2, "already": 2}
        assert [line.split()[0] for line in here.writes()] == ["PATCH", "PUT"]

    on_tenant(tmp_path, check)


def test_owners_past_the_twentieth_follow_one_by_one(tmp_path):
    many = ";".join(upn(number) for number in range(1, 24))

    async def check(here: Bench) -> None:
        assert await provision(here, rows(row("ward-1", owners=many))) == {"done": 5, "already": 20}
        assert len(owners(here, "rx1-ward-1")) == 23

    on_tenant(tmp_path, check, users=60, licensed=30)


def test_an_owner_is_added_to_a_team_that_is_there(tmp_path):
    async def check(here: Bench) -> None:
        await provision(here, rows(row("ward-1", owners=upn(1))))
        with await here.plan("teams.provision", rows(row("ward-1"))) as planned:
            assert counts(planned) == {"noop": 3, "add": 1}
            assert await here.apply(planned) == {"already": 3, "done": 1}
        assert len(owners(here, "rx1-ward-1")) == 2

    on_tenant(tmp_path, check)


@pytest.mark.parametrize(
    "fault",
    [
        {"method": "PUT", "path": "/groups/*/team", "nth": 2, "times": 1, "action": "commit-then", "status": 404},
        {"method": "PUT", "path": "/groups/*/team", "nth": 2, "times": 1, "action": "commit-then", "status": 504},
        {"method": "PUT", "path": "/groups/*/team", "nth": 2, "times": 1, "action": "commit-then", "failure": "reset"},
        {"method": "PATCH", "path": "/groups*", "nth": 1, "times": 1, "action": "commit-then", "status": 503},
        {"method": "POST", "path": "/teams/*/channels", "nth": 1, "times": 1, "action": "commit-then", "status": 502},
        {"method": "PUT", "path": "/groups/*/team", "nth": 3, "times": 2, "action": "throttle", "retry_after": "4"},
        {"method": "POST", "path": "/teams/*/channels", "times": 12, "action": "throttle", "retry_after": "3"},
        {"method": "PATCH", "path": "/groups(*", "times": 8, "action": "answer", "status": 503},
    ],
    ids=[
        "team 404",
        "team 504",
        "team reset",
        "group 503",
        "channel 502",
        "throttled",
        "throttled again and again",
        "group 503 again and again",
    ],
)
def test_a_write_that_was_executed_and_denied_leaves_one_object(tmp_path, fault):
    text = rows(row("ward-1", channels="Rotas"), row("ward-2", channels="Rotas"))

    async def check(here: Bench) -> None:
        here.tenant.faults.add(fault)
        outcomes = await provision(here, text)
        assert set(outcomes) == {"done", "already"}
        groups = [
            each for each in here.tenant.state.table("groups").objects.values() if "Unified" in each["groupTypes"]
        ]
        assert len(groups) == len(teams(here)) == 2
        assert channels(here, "rx1-ward-1") == channels(here, "rx1-ward-2") == ["General", "Rotas"]
        with await here.plan("teams.provision", text) as again:
            assert set(counts(again)) == {"noop"}

    on_tenant(tmp_path, check)


def test_a_team_waits_for_its_group_to_be_known_for_up_to_fifteen_minutes(tmp_path):
    async def check(here: Bench) -> None:
        here.tenant.team_window_s = 800.0
        before = here.tenant.clock.now()
        outcomes = await provision(here, rows(row("ward-1", channels="Rotas")))
        assert set(outcomes) == {"done", "already"}
        assert here.tenant.clock.now() - before > 800

    on_tenant(tmp_path, check)


def test_a_team_that_stays_unknown_fails_with_its_channels_and_the_other_goes_on(tmp_path):
    text = rows(row("ward-1", channels="Rotas"), row("ward-2"))

    async def check(here: Bench) -> None:
        await provision(here, rows(row("ward-2")))
        here.tenant.team_window_s = 5000.0
        outcomes = await provision(here, text)
        assert outcomes["failed"] == 1
        assert outcomes["skipped"] == 1
        assert set(teams(here)) == {"rx1-ward-2"}

    on_tenant(tmp_path, check)


@pytest.mark.parametrize(
    ("line", "options", "reason"),
    [
        (row("ward-1", owners=""), {}, "no owner"),
        (row("ward-1", visibility="Public"), {}, "visibility is Public, which needs --allow-public"),
        (
            row("ward-1", owners="", visibility="Public"),
            {},
            "no owner; visibility is Public, which needs --allow-public",
        ),
        (row("ward-1", owners=UNLICENSED), {}, f"{UNLICENSED} is its first owner and holds no Teams licence"),
    ],
)
def test_a_blocked_row_blocks_all_its_objects_and_no_other_row(tmp_path, line, options, reason):
    text = rows(f"{line}Rotas", row("ward-2"))

    async def check(here: Bench) -> None:
        with await here.plan("teams.provision", text, **options) as planned:
            lines = [change for change in planned.changes() if "ward-1" in change.key]
            assert {change.action.value for change in lines} == {"blocked"}
            assert {change.note for change in lines} == {reason}
            assert planned.header()["status"] == "ready"
            await here.apply(planned)
            assert row_results(planned) == [("blocked", "skipped", reason), ("create", "done", "")]
        assert set(teams(here)) == {"rx1-ward-2"}

    on_tenant(tmp_path, check)


def test_a_licence_whose_teams_plan_is_switched_off_is_none(tmp_path):
    async def check(here: Bench) -> None:
        states = here.user(upn(1))["licenseAssignmentStates"]
        here.change_user(
            upn(1),
            licenseAssignmentStates=[
                {**each, "disabledPlans": ["57ff2da0-773e-42df-b2af-ffb7a2317929"]} for each in states
            ],
        )
        with await here.plan("teams.provision", rows(row("ward-1"), row("ward-2", owners=upn(2)))) as planned:
            assert kinds(planned)["team"] == {"blocked": 1, "create": 1}

    on_tenant(tmp_path, check)


def test_a_single_owner_is_remarked_upon(tmp_path):
    async def check(here: Bench) -> None:
        with await here.plan("teams.provision", rows(row("ward-1", owners=upn(1)), row("ward-2"))) as planned:
            notes = {change.key: change.note for change in planned.changes("team")}
        assert notes["rx1-ward-1"].startswith("only one owner")
        assert notes["rx1-ward-2"] == ""

    on_tenant(tmp_path, check)


def test_a_security_group_of_that_name_is_not_taken_for_the_team(tmp_path):
    async def check(here: Bench) -> None:
        body = {"displayName": "x", "mailEnabled": False, "mailNickname": "x", "securityEnabled": True}
        await here.client.create("/groups", {**body, "uniqueName": "rx1-ward-1"})
        await replicas(here)
        with await here.plan("teams.provision", rows(row("ward-1", channels="Rotas"))) as planned:
            assert counts(planned) == {"blocked": 5}
            assert "is not a Microsoft 365 group" in next(planned.changes("team")).note

    on_tenant(tmp_path, check)


def test_general_is_there_from_the_start_and_channels_compare_without_case(tmp_path):
    async def check(here: Bench) -> None:
        await provision(here, rows(row("ward-1", channels="general;Rotas")))
        assert channels(here, "rx1-ward-1") == ["General", "Rotas"]
        with await here.plan("teams.provision", rows(row("ward-1", channels="ROTAS"))) as planned:
            assert set(counts(planned)) == {"noop"}

    on_tenant(tmp_path, check)


def test_only_the_organisation_asked_for_is_planned(tmp_path):
    other = f"ward-9,RX2,Ward 9,,Private,{upn(1, 2)};{upn(2, 2)},"

    async def check(here: Bench) -> None:
        with await here.plan("teams.provision", rows(row("ward-1"), other), org="RX2") as planned:
            assert [change.key for change in planned.changes("team")] == ["rx2-ward-9"]

    on_tenant(tmp_path, check)


LONG = "w" * 64


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (rows(row("ward-1", owners=f"{upn(1)};nobody@contoso.example")),
         "row 2, owners: nobody@contoso.example is not a user of this tenant"),
        (rows(row("Ward 1"), row("ward--1")), "row 3, rx1-ward-1: already in row 2"),
        (rows(row("***")), "row 2, team_key: '***' holds no letter or digit"),
        (rows(row(LONG)), f"row 2, team_key: rx1-{LONG} would have more than 64 characters"),
        (rows(row("a", name="n" * 101)), "row 2, display_name"),
        (rows(row("a", visibility="Secret")), "row 2, visibility"),
        (rows(row("a", owners=";".join(upn(n) for n in range(101)))), "row 2, owners"),
        (rows(row("a", owners="someone")), "row 2, owners"),
        (rows(row("a", channels="a/b")), "a/b: a channel's name may not hold /"),
        (rows(row("a", channels="a..b")), "may not hold .."),
        (rows(row("a", channels="_a")), "may not begin with _ or . nor end with ."),
        (rows(row("a", channels="a.")), "may not begin with _ or . nor end with ."),
        (rows(row("a", channels="c" * 51)), "at most 50 characters"),
        (rows(row("a", channels="Rotas;rotas")), "row 2, channels: 'Rotas;rotas': a channel is there twice: Rotas"),
        (rows(row("a", channels="a:secret")), "a:secret: a channel is standard, private or shared, not secret"),
        (rows(row("a", channels=";".join(f"c{n}:private" for n in range(31)))), "at most 30 private channels"),
        (rows(f"{row('a')},clasroom", header=f"{HEADER},template"), "clasroom is no template; base templates are"),
        (rows(f"{row('a')},maybe", header=f"{HEADER},archive"), "row 2, archive"),
        (rows("a,RX1,A,Private", header="team_key,org,display_name,visibility"), "missing columns: owners"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_row_and_nothing_is_written(tmp_path, text, told):
    async def check(here: Bench) -> None:
        with pytest.raises(InputErrors) as caught:
            await here.plan("teams.provision", text)
        assert [told in str(problem) for problem in caught.value.problems] == [True]
        assert here.writes() == []

    on_tenant(tmp_path, check)


def test_invalid_rows_are_left_out_on_request_and_named_in_the_results(tmp_path):
    text = rows(row("ward-1", owners=f"{upn(1)};nobody@contoso.example"), row("ward-2"))

    async def check(here: Bench) -> None:
        with await here.plan("teams.provision", text, skip_invalid=True) as planned:
            await here.apply(planned)
            told = "owners: nobody@contoso.example is not a user of this tenant"
            assert row_results(planned) == [("blocked", "skipped", told), ("create", "done", "")]
        assert set(teams(here)) == {"rx1-ward-2"}

    on_tenant(tmp_path, check)


def test_columns_that_may_be_left_out_may_be_empty(tmp_path):
    async def check(here: Bench) -> None:
        with await here.plan("teams.provision", rows(f"{row('a')},,", header=f"{HEADER},template,archive")) as planned:
            assert kinds(planned)["team"] == {"create": 1}

    on_tenant(tmp_path, check)


@pytest.mark.parametrize(
    ("key", "name"),
    [("11001", "rx1-11001"), ("Ward 7 (North)", "rx1-ward-7-north"), ("Café_Été", "rx1-cafe-ete"), ("A.1", "rx1-a-1")],
)
def test_the_unique_name_is_restricted_ascii(tmp_path, key, name):
    async def check(here: Bench) -> None:
        with await here.plan("teams.provision", rows(row(key))) as planned:
            group = next(planned.changes("group"))
        assert group.key == name == group.after["mailNickname"] == group.after["uniqueName"]

    on_tenant(tmp_path, check)
