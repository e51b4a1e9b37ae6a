from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench import Bench, bench, counts

from graphkit.clock import run
from graphkit.errors import InputErrors
from graphkit.sandbox.areas.licensing import state_of
from graphkit.sandbox.seeding.skus import PLANS, PRODUCTS

E3, EMS = PRODUCTS["SPE_E3"].id, PRODUCTS["EMS"].id
TEAMS, INTUNE = PLANS["TEAMS1"].id, PLANS["INTUNE_A"].id
GROUP = "0c4a5bd2-3b2c-4a5e-9d52-52a0a1d0f3aa"


def upn(number: int, org: int = 1) -> str:
    return f"rx{org}-{number:04}@contoso.example"


def rows(*lines: str) -> str:
    return "\n".join(["upn,sku,disabled_plans,org", *lines]) + "\n"


def on_tenant(folder: Path, test: Any, **seed: Any) -> None:
    async def go() -> None:
        async with bench(folder, **seed) as here:
            await test(here)

    run(go(), virtual=True)


def give(here: Bench, name: str, *disabled: str, sku: str = E3, group: str | None = None) -> None:
    here.change_user(name, licenseAssignmentStates=[state_of(sku, group, disabled, 0.0)])


def held(here: Bench, name: str) -> dict[str, list[str]]:
    return {each["skuId"]: sorted(each["disabledPlans"]) for each in here.user(name)["licenseAssignmentStates"]}


def test_six_users_on_four_free_units_block_the_plan_and_nothing_is_written(tmp_path):
    async def check(here: Bench) -> None:
        with await here.plan("licenses.assign", rows(*(f"{upn(n)},SPE_E3,,RX1" for n in range(1, 7)))) as planned:
            header = planned.header()
        short = "SPE_E3: 6 seats needed, 4 free (CountViolation)"
        assert header["status"] == "blocked"
        assert header["blocked"] == [f"{short}; asked for by {here.input()} rows 2-7"]
        assert here.writes() == []

    on_tenant(tmp_path, check, seats={"SPE_E3": 4})


def test_four_users_on_four_free_units_are_licensed(tmp_path):
    async def check(here: Bench) -> None:
        with await here.plan("licenses.assign", rows(*(f"{upn(n)},SPE_E3,,RX1" for n in range(1, 5)))) as planned:
            assert await here.apply(planned) == {"done": 4}

    on_tenant(tmp_path, check, seats={"SPE_E3": 4})


def test_whoever_holds_the_licence_takes_no_further_seat(tmp_path):
    async def check(here: Bench) -> None:
        give(here, upn(1))
        here.tenant.consumed[E3] += 1
        with await here.plan("licenses.assign", rows(f"{upn(1)},SPE_E3,,RX1")) as planned:
            assert planned.header()["status"] == "empty"

    on_tenant(tmp_path, check, seats={"SPE_E3": 1})


def test_all_licences_of_a_user_are_one_write_and_a_second_plan_is_empty(tmp_path):
    text = rows(f"{upn(1)},SPE_E3,TEAMS1,RX1", f"{upn(1).upper()},{EMS},,RX1", f"{upn(2)},spe_e3,,RX1")

    async def check(here: Bench) -> None:
        with await here.plan("licenses.assign", text) as planned:
            assert {change.key for change in planned.changes()} == {
                f"{upn(1)}/SPE_E3",
                f"{upn(1)}/EMS",
                f"{upn(2)}/SPE_E3",
            }
            assert await here.apply(planned) == {"done": 3}
        assert len(here.writes()) == 2
        assert held(here, upn(1)) == {E3: [TEAMS], EMS: []}
        with await here.plan("licenses.assign", text) as again:
            assert counts(again) == {"noop": 3}
            assert again.header()["status"] == "empty"

    on_tenant(tmp_path, check)


@pytest.mark.parametrize(
    ("off_before", "wished", "action", "off_after"),
    [
        ([TEAMS], "", "noop", [TEAMS]),
        ([TEAMS], "TEAMS1", "noop", [TEAMS]),
        ([TEAMS, INTUNE], "TEAMS1", "noop", [TEAMS, INTUNE]),
        ([TEAMS], "INTUNE_A", "update", [TEAMS, INTUNE]),
        ([], f"{TEAMS};INTUNE_A", "update", [TEAMS, INTUNE]),
    ],
)
def test_plans_that_are_off_stay_off(tmp_path, off_before, wished, action, off_after):
    async def check(here: Bench) -> None:
        give(here, upn(1), *off_before)
        with await here.plan("licenses.assign", rows(f"{upn(1)},SPE_E3,{wished},RX1")) as planned:
            assert counts(planned) == {action: 1}
            await here.apply(planned)
        assert held(here, upn(1)) == {E3: sorted(off_after)}

    on_tenant(tmp_path, check)


def test_a_licence_from_a_group_is_held_already(tmp_path):
    async def check(here: Bench) -> None:
        give(here, upn(1), TEAMS, group=GROUP)
        with await here.plan("licenses.assign", rows(f"{upn(1)},SPE_E3,TEAMS1,RX1")) as planned:
            assert counts(planned) == {"noop": 1}

    on_tenant(tmp_path, check)


def test_plans_of_a_licence_from_a_group_are_the_groups_to_turn_off(tmp_path):
    async def check(here: Bench) -> None:
        give(here, upn(1), group=GROUP)
        with await here.plan("licenses.assign", rows(f"{upn(1)},SPE_E3,TEAMS1,RX1")) as planned:
            (change,) = planned.changes()
        assert change.action == "blocked"
        assert "through a group" in change.note

    on_tenant(tmp_path, check)


def test_a_user_without_usage_location_is_blocked_alone_and_told_what_to_do(tmp_path):
    async def check(here: Bench) -> None:
        here.change_user(upn(1), usageLocation=None)
        with await here.plan("licenses.assign", rows(f"{upn(1)},SPE_E3,,RX1", f"{upn(2)},SPE_E3,,RX1")) as planned:
            blocked, added = planned.changes()
            assert (blocked.action, added.action) == ("blocked", "add")
            assert "usageLocation" in blocked.note
            assert "plan again" in blocked.note
            assert await here.apply(planned) == {"done": 1, "skipped": 1}

    on_tenant(tmp_path, check)


@pytest.mark.parametrize("licences", [("SPE_E3",), ("SPE_E3", "EMS")])
@pytest.mark.parametrize("mode", ["steady", "alternate"])
def test_a_location_that_replicas_do_not_show_yet_is_waited_for(tmp_path, licences, mode):
    text = "upn,sku,disabled_plans,org,usage_location\n" + "".join(f"{upn(1)},{sku},,RX1,GB\n" for sku in licences)

    async def check(here: Bench) -> None:
        here.change_user(upn(1), usageLocation=None)
        here.tenant.keep()
        lag = {"method": "PATCH", "path": "/users/*", "action": "lag", "seconds": 30, "replicas": 3, "mode": mode}
        here.tenant.faults.add(lag)
        with await here.plan("licenses.assign", text) as planned:
            assert await here.apply(planned) == {"done": 1 + len(licences)}
        assert len(held(here, upn(1))) == len(licences)

    on_tenant(tmp_path, check)


def test_everything_wrong_with_the_input_is_told_at_once(tmp_path):
    text = rows(
        f"{upn(1)},SPE_E3,,RX1",
        f"{upn(2)},NO_SUCH_SKU,,RX1",
        "rx1-9999@contoso.example,SPE_E3,,RX1",
        f"{upn(1)},SPE_E3,,RX1",
        f"{upn(1)},{E3},,RX1",
        f"{upn(3)},EMS,NO_SUCH_PLAN,RX1",
        f"{upn(4)},SPE_E3,,rx 1",
        "rx1-9998@contoso.example,NO_SUCH_SKU,,RX1",
    )

    async def check(here: Bench) -> None:
        with pytest.raises(InputErrors) as raised:
            await here.plan("licenses.assign", text)
        assert [(problem.where, problem.code) for problem in raised.value.problems] == [
            (3, "unknown-sku"),
            (4, "unknown-user"),
            (5, "duplicate-key"),
            (6, "duplicate-license"),
            (7, "unknown-sku"),
            (8, "invalid-value"),
            (9, "unknown-sku"),
            (9, "unknown-user"),
        ]

    on_tenant(tmp_path, check)


def test_invalid_rows_can_be_left_out_and_the_rest_planned(tmp_path):
    text = rows(f"{upn(1)},SPE_E3,,RX1", f"{upn(1)},{E3},,RX1", f"{upn(2)},NO_SUCH_SKU,,RX1")

    async def check(here: Bench) -> None:
        with await here.plan("licenses.assign", text, skip_invalid=True) as planned:
            assert [change.key for change in planned.changes()] == [f"{upn(1)}/SPE_E3"]

    on_tenant(tmp_path, check)


def test_the_fence_leaves_rows_of_other_organisations_alone(tmp_path):
    async def check(here: Bench) -> None:
        text = rows(f"{upn(1)},SPE_E3,,RX1", f"{upn(1, org=2)},SPE_E3,,RX2")
        with await here.plan("licenses.assign", text, org="RX2") as planned:
            assert [change.key for change in planned.changes()] == [f"{upn(1, org=2)}/SPE_E3"]

    on_tenant(tmp_path, check)


def test_a_lost_answer_ends_as_done_without_a_second_seat(tmp_path):
    async def check(here: Bench) -> None:
        here.tenant.faults.add(
            {"path": "/users/*/assignLicense", "nth": 1, "action": "commit-then", "failure": "reset"}
        )
        with await here.plan("licenses.assign", rows(f"{upn(1)},SPE_E3,,RX1")) as planned:
            assert await here.apply(planned) == {"done": 1}
        assert held(here, upn(1)) == {E3: []}
        assert here.tenant.consumed[E3] == 1

    on_tenant(tmp_path, check)


def test_what_the_service_refuses_is_one_rows_failure(tmp_path):
    async def check(here: Bench) -> None:
        # Where a product may not be used is not told beforehand; EMS in the same write can be.
        with await here.plan("licenses.assign", rows(f"{upn(1)},ENTERPRISEPACK,,RX1", f"{upn(1)},EMS,,RX1")) as planned:
            assert await here.apply(planned) == {"done": 1, "failed": 1}
            ((change, result),) = [(c, r) for c, r in planned.results() if r and r.status == "failed"]
        assert change.key.endswith("/ENTERPRISEPACK")
        assert "usage location GB" in result.error

    on_tenant(tmp_path, check, prohibited={"ENTERPRISEPACK": ("GB",)})


def test_a_licence_that_changed_since_the_plan_is_refused_alone(tmp_path):
    async def check(here: Bench) -> None:
        give(here, upn(1), TEAMS)
        text = rows(f"{upn(1)},SPE_E3,INTUNE_A,RX1", f"{upn(2)},SPE_E3,,RX1")
        with await here.plan("licenses.assign", text) as planned:
            give(here, upn(1))
            assert await here.apply(planned) == {"done": 1, "failed": 1}
        assert held(here, upn(1)) == {E3: []}

    on_tenant(tmp_path, check)


def test_the_command_line_blocks_a_plan_that_is_short_of_seats_with_exit_6(simulated, tenant, tmp_path):
    tenant.seed(users=60, licensed=0, seats={"SPE_E3": 4})
    path = tmp_path / "assign.csv"
    path.write_text(rows(*(f"{upn(n)},SPE_E3,,RX1" for n in range(1, 7))), encoding="utf-8")
    planned = simulated("plan", "licenses.assign", "-i", path, "--out", tmp_path / "a.run", "-o", "json")
    assert planned.code == 6
    assert planned.json["status"] == "blocked"
    (reason,) = planned.json["blocked"]
    assert reason.startswith("SPE_E3: 6 seats needed, 4 free (CountViolation)")
    assert "rows 2-7" in reason
    assert simulated("apply", tmp_path / "a.run", "--yes").code == 6
    assert tenant.log() == []


def test_the_command_line_names_every_wrong_row_with_exit_5(simulated, tenant, tmp_path):
    path = tmp_path / "assign.csv"
    text = rows(f"{upn(1)},NO_SUCH_SKU,,RX1", "rx1-9999@contoso.example,SPE_E3,,RX1", "nobody,SPE_E3,,RX1")
    path.write_text(text, encoding="utf-8")
    refused = simulated("plan", "licenses.assign", "-i", path)
    assert refused.code == 5
    assert all(f"row {number}" in refused.stderr for number in (2, 3, 4))
    assert tenant.log() == []


def test_the_starter_file_plans_and_applies_as_it_is(simulated, tenant, tmp_path):
    tenant.seed(users=60, licensed=0)
    assert simulated("recipe", "template", "licenses.assign", tmp_path).code == 0
    applied = simulated("apply", "licenses.assign", "-i", tmp_path / "assign.csv", "--yes", "-o", "json")
    assert applied.code == 0
    assert applied.json["outcomes"]["done"] == 3
    assert len(tenant.log()) == 2
