"""From a pool file to a converged tenant, whatever happens on the way."""

from __future__ import annotations

import asyncio
import csv
import json

import pytest

from graphkit import clock
from graphkit.engine import apply
from graphkit.engine.runfile import RunFile
from graphkit.errors import Blocked, DeadlineReached, InputErrors, RunFileError, WrongTenant
from graphkit.jobs import Manner

GROUP = "/groups(uniqueName='RX1.SPE_E3.pool')"
ANY_FAILURES = Manner(failed_share=1.0)
ALL_WELL = {"done": 47, "already": 0, "failed": 0, "skipped": 0, "unknown": 0}


def members(world):
    _, body = world.ask("GET", f"/groups/{group_id(world)}/members?$select=id&$top=999")
    return [each["id"] for each in json.loads(body)["value"]]


def group_id(world):
    return json.loads(world.ask("GET", GROUP)[1])["id"]


def user_id(world, number):
    return json.loads(world.ask("GET", f"/users/rx1-{number:04}@contoso.example")[1])["id"]


def results(world, name="a"):
    with (world.folder / f"{name}.results.csv").open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_forty_five_users_take_three_writes_and_a_second_plan_is_empty(world):
    assert world.plan().changes == {
        "create": 1, "update": 0, "add": 46, "remove": 0, "delete": 0, "noop": 0, "blocked": 0,
    }  # fmt: skip
    assert world.apply().outcomes == ALL_WELL
    own = [method for method, _ in world.writes()]
    assert own.count("PATCH") == 1 + 3
    assert own.count("POST") == 1
    assert len(members(world)) == 45
    again = world.plan("b.run")
    assert (again.status, again.writes, again.changes["noop"]) == ("empty", 0, 47)


def test_a_second_apply_of_an_empty_plan_writes_nothing(world):
    world.plan()
    world.apply()
    before = len(world.writes())
    world.plan("b.run")
    assert world.apply("b.run").outcomes["already"] == 47
    assert len(world.writes()) == before


def test_a_plan_writes_nothing(world):
    world.plan()
    assert world.writes() == []


def test_one_over_the_cap_stops_the_plan_and_names_the_row(world):
    world.write_pool(51)
    summary = world.plan()
    assert summary.status == "blocked"
    assert "51 members wanted, cap is 50" in summary.blocked[0]
    assert "number 51 is rx1-0051@contoso.example" in summary.blocked[0]
    assert "row 52" in summary.blocked[0]
    with pytest.raises(Blocked):
        world.apply()
    assert world.writes() == []


def test_the_cap_counts_members_who_are_there_already(world):
    world.write_pool(10)
    world.plan()
    world.apply()
    world.write_pool(5, first=11, cap=14)
    assert "15 members wanted, cap is 14" in world.plan("b.run").blocked[0]


def test_a_pool_that_is_too_full_already_stops_only_a_plan_that_adds(world):
    world.write_pool(20)
    world.plan()
    world.apply()
    world.write_pool(20, cap=10)
    assert world.plan("b.run").status == "empty"
    world.write_pool(21, cap=10)
    assert "number 21 is rx1-0021@contoso.example" in world.plan("c.run").blocked[0]


def test_all_input_errors_come_at_once_and_leave_no_run_file(world):
    rows = ["upn", "rx1-0001@contoso.example", "nobody@contoso.example", "no address", "rx1-0001@contoso.example"]
    (world.folder / "rx1.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    with pytest.raises(InputErrors) as caught:
        world.plan()
    assert [problem.where for problem in caught.value.problems] == [3, 4, 5]
    assert not list(world.folder.glob("*.run*"))


def test_invalid_rows_can_be_left_out_and_are_accounted_for(world):
    rows = ["upn", "rx1-0001@contoso.example", "nobody@contoso.example", "no address", "rx1-0001@contoso.example"]
    (world.folder / "rx1.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert world.plan(skip_invalid=True).changes["add"] == 2
    summary = world.apply()
    assert (summary.left_out, summary.apply_exit_code) == (3, 3)
    assert [row["gk_status"] for row in results(world)] == ["done", "skipped", "skipped", "skipped"]
    assert [row["upn"] for row in results(world)] == rows[1:]
    assert "is not a user of this tenant" in results(world)[1]["gk_error"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rx1.csv", None),
        ("rx1.csv", ""),
        ("rx1.csv", "name\nx\n"),
        ("rx1.csv", f"upn{',' * 1000}\nrx1-0001@contoso.example\n"),
        ("rx1.csv", 'upn\nrx1-0001@contoso.example\n"rx1-0002@contoso.example\nrx1-0003@contoso.example\n'),
        ("pools.yaml", "pools: ["),
        ("pools.yaml", "pools:\n  - {org: RX1, sku: SPE_E3, cap: many, members_from: rx1.csv}\n"),
        ("pools.yaml", "pools:\n  - {org: RX1, sku: SPE_E9, cap: 50, members_from: rx1.csv}\n"),
    ],
)
def test_what_hides_other_rows_cannot_be_left_out(world, name, text):
    (world.folder / name).unlink() if text is None else (world.folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputErrors) as caught:
        world.plan(skip_invalid=True)
    assert "not what could not be read" in caught.value.hint
    assert not list(world.folder.glob("*.run*"))


def test_a_workbook_that_cannot_be_read_cannot_be_left_out(world):
    (world.folder / "rx2.xlsx").write_bytes(b"no workbook")
    with (world.folder / "pools.yaml").open("a", encoding="utf-8") as pools:
        pools.write("  - {org: RX2, sku: SPE_E3, cap: 50, members_from: rx2.xlsx}\n")
    with pytest.raises(InputErrors) as caught:
        world.plan(skip_invalid=True)
    assert [(problem.file.rpartition("/")[2], problem.hides_others) for problem in caught.value.problems] == [
        ("rx2.xlsx", True)
    ]


def test_a_list_of_nobody_is_refused(world):
    (world.folder / "rx1.csv").write_text("upn\n", encoding="utf-8")
    for options in ({}, {"skip_invalid": True}):
        with pytest.raises(InputErrors) as caught:
            world.plan(**options)
        (problem,) = caught.value.problems
        assert (problem.code, problem.file.rpartition("/")[2]) == ("no-rows", "rx1.csv")
        assert "an empty list is refused" in problem.message


def test_an_organisation_that_the_input_does_not_know_is_named(world):
    summary = world.plan(org="RX9")
    assert summary.status == "empty"
    assert any("--org RX9" in warning for warning in summary.warnings)


def test_nobody_is_removed_while_rows_are_left_out(world):
    world.plan()
    world.apply()
    world.write_pool(44, mode="authoritative")
    with (world.folder / "rx1.csv").open("a", encoding="utf-8") as rows:
        rows.write("rx1-0045 at contoso\n")
    (reason,) = world.plan("b.run", skip_invalid=True).blocked
    assert "1 would be removed for not being listed, while 1 invalid rows are left out" in reason
    assert world.plan("c.run", skip_invalid=True, mode="additive").status == "empty"


def test_a_row_that_is_there_twice_keeps_nobody_from_being_removed(world):
    world.plan()
    world.apply()
    world.write_pool(44, mode="authoritative")
    with (world.folder / "rx1.csv").open("a", encoding="utf-8") as rows:
        rows.write("rx1-0044@contoso.example\n")
    assert world.plan("b.run", skip_invalid=True).changes["remove"] == 1


def test_an_unknown_sku_is_an_input_error(world):
    pools = (world.folder / "pools.yaml").read_text(encoding="utf-8").replace("SPE_E3", "SPE_E9")
    (world.folder / "pools.yaml").write_text(pools, encoding="utf-8")
    with pytest.raises(InputErrors, match="problem") as caught:
        world.plan()
    assert "SPE_E9 is not among the tenant's subscriptions" in caught.value.problems[0].message


@pytest.mark.parametrize(
    "fault",
    [
        {"method": "PATCH", "path": "/groups*", "nth": 1, "action": "commit-then", "status": 504},
        {"method": "PATCH", "path": "/groups*", "nth": 1, "action": "commit-then", "failure": "timeout"},
        {"method": "PATCH", "path": "/groups/*", "nth": 2, "action": "commit-then", "status": 500},
        {"method": "PATCH", "path": "/groups/*", "nth": 2, "action": "commit-then", "failure": "reset"},
        {"method": "POST", "path": "/groups/*/assignLicense", "nth": 1, "action": "commit-then", "status": 502},
        {"method": "PATCH", "path": "/groups/*", "nth": 1, "action": "throttle", "retry_after": "30"},
        {"method": "PATCH", "path": "/groups/*", "nth": [1, 2, 3], "action": "throttle", "retry_after": "0.249"},
        {"method": "POST", "path": "/groups/*/assignLicense", "nth": 1, "action": "throttle"},
        {"method": "PATCH", "path": "/groups/*", "nth": 1, "action": "reset"},
        {"path": "/$batch", "nth": 1, "action": "answer", "status": 503, "headers": {"retry-after": "5"}},
        {"path": "/$batch", "nth": 2, "action": "commit-then", "status": 504, "items": 1},
        {"method": "GET", "path": "/groups/*/members", "nth": 1, "action": "throttle", "retry_after": "1"},
    ],
    ids=lambda fault: f"{fault.get('method', '*')} {fault['path']} {fault['action']} {fault.get('status', '')}",
)
def test_one_fault_of_any_kind_changes_nothing_about_the_end(world, fault):
    world.plan()
    world.fault(times=3, **fault)
    assert world.apply().outcomes == ALL_WELL
    world.change(lambda tenant: tenant.faults.clear())
    assert len(members(world)) == len(set(members(world))) == 45
    creations = [path for method, path in world.writes() if method == "PATCH" and "uniqueName" in path]
    assert len(creations) <= 2
    assert world.plan("b.run").status == "empty"


@pytest.mark.parametrize("reads", range(6))
def test_members_added_by_a_lost_batch_are_done_whatever_the_replicas_show(world, reads):
    """A look after the batch may show some of the members and miss others: which, the tenant's dice decide."""
    world.plan()
    world.fault(path="/$batch", nth=2, action="commit-then", status=504, items=1, times=3)
    for _ in range(reads):
        world.ask("PATCH", f"/users/{user_id(world, 90)}", b'{"jobTitle": "Nurse"}')
    assert world.apply().outcomes == ALL_WELL


def test_one_person_gone_since_the_plan_fails_alone_with_the_service_s_own_words(world):
    world.plan()
    world.ask("DELETE", f"/users/{user_id(world, 7)}")
    summary = world.apply()
    assert summary.outcomes == {"done": 46, "already": 0, "failed": 1, "skipped": 0, "unknown": 0}
    assert summary.apply_exit_code == 3
    (bad,) = [row for row in results(world) if row["gk_status"] == "failed"]
    assert bad["upn"] == "rx1-0007@contoso.example"
    assert bad["gk_error_code"]
    assert bad["gk_error"]
    assert bad["gk_request_id"]


def test_people_added_by_somebody_else_meanwhile_are_already_there(world):
    world.write_pool(20)
    world.plan()
    world.apply()
    world.write_pool(40)
    world.plan("b.run")
    reference = f"https://graph.microsoft.com/v1.0/directoryObjects/{user_id(world, 25)}"
    world.ask("POST", f"/groups/{group_id(world)}/members/$ref", json.dumps({"@odata.id": reference}).encode())
    outcomes = world.apply("b.run").outcomes
    assert (outcomes["done"], outcomes["already"], outcomes["failed"]) == (19, 23, 0)


def test_a_group_changed_since_the_plan_is_refused_alone(world):
    world.plan()
    world.apply()
    pools = (world.folder / "pools.yaml").read_text(encoding="utf-8").replace("cap: 50", "cap: 50, group: New name")
    (world.folder / "pools.yaml").write_text(pools, encoding="utf-8")
    assert world.plan("b.run").changes["update"] == 1
    world.ask("PATCH", f"/groups/{group_id(world)}", b'{"displayName": "Changed by hand"}')
    assert world.apply("b.run").outcomes["failed"] == 1
    with RunFile.open(world.folder / "b.run") as run:
        (code,) = [result.code for _, result in run.results() if result and result.status == "failed"]
    assert code == "changed-since-plan"


def test_absent_rows_never_imply_removal_unless_the_file_is_authoritative(world):
    world.plan()
    world.apply()
    world.write_pool(40)
    assert world.plan("b.run").writes == 0
    world.write_pool(40, mode="authoritative")
    assert world.plan("c.run").changes["remove"] == 5
    assert world.apply("c.run").outcomes["done"] == 5
    assert len(members(world)) == 40


def test_many_removals_need_a_number(world):
    world.plan()
    world.apply()
    world.write_pool(34, mode="authoritative")
    summary = world.plan("b.run")
    assert summary.blocked == ["11 of group.member would be removed, 10 allowed; --max-removals 11 allows them"]
    assert world.plan("c.run", max_removals=11).status == "ready"


def test_a_member_list_that_breaks_off_plans_no_removal(world):
    world.plan()
    world.apply()
    world.write_pool(40, mode="authoritative")
    world.fault(method="GET", path="/groups/*/members", action="answer", status=403)
    summary = world.plan("b.run")
    assert (summary.changes["remove"], summary.changes["add"], summary.changes["blocked"]) == (0, 0, 40)


def test_too_many_changes_need_a_number(world):
    summary = world.plan(max_changes=46)
    assert summary.blocked == ["47 changes planned, 46 allowed; raise it with --max-changes 47"]


def test_a_plan_is_applied_once(world):
    world.plan()
    world.apply()
    with pytest.raises(RunFileError, match="has been applied already"):
        world.apply()


def test_a_plan_that_was_not_begun_cannot_be_resumed(world):
    world.plan()
    with pytest.raises(RunFileError, match="has not been applied yet"):
        world.apply(resume=True)


def test_a_plan_is_for_one_tenant(world, tmp_path_factory):
    world.plan()
    other = type(world)(tmp_path_factory.mktemp("other"))
    other.state.unlink()
    from graphkit.clock import VirtualClock
    from graphkit.sandbox import Seed, SimulatedTenant

    SimulatedTenant.open(other.state, VirtualClock(), seed=Seed(users=9, domain="fabrikam.example")).close()
    (other.folder / "a.run").write_bytes((world.folder / "a.run").read_bytes())
    with pytest.raises(WrongTenant):
        other.apply()
    assert other.writes() == []


def test_a_plan_expires(world):
    world.plan()
    with RunFile.open(world.folder / "a.run", write=True) as run:
        run.set_header(expires=0.0)
    with pytest.raises(RunFileError, match="older than 24 hours"):
        world.apply()


def test_a_deadline_stops_cleanly_and_the_rest_is_resumed(world):
    world.plan()
    with pytest.raises(DeadlineReached) as caught:
        world.apply(deadline_s=0.0)
    assert "graphkit resume" in caught.value.hint
    assert world.apply(resume=True).outcomes == ALL_WELL


def test_failed_items_are_tried_again_by_resume(world):
    world.plan()
    world.fault(method="POST", path="/groups/*/assignLicense", times=1, action="answer", status=403)
    assert world.apply().outcomes["failed"] == 1
    assert world.apply(resume=True).outcomes == ALL_WELL


def test_what_needs_something_that_failed_is_skipped_and_says_so(world):
    world.plan()
    world.fault(method="PATCH", path="/groups(*", action="answer", status=403)
    assert world.apply().outcomes == {"done": 0, "already": 0, "failed": 1, "skipped": 46, "unknown": 0}
    world.change(lambda tenant: tenant.faults.clear())
    assert world.apply(resume=True).outcomes == ALL_WELL


def test_a_new_group_is_waited_for_once_and_not_again_by_every_half_of_a_pack(world):
    world.plan()
    world.fault(method="PATCH", path="/groups/*", action="answer", status=404)
    assert world.apply(manner=ANY_FAILURES).outcomes == {
        "done": 2, "already": 0, "failed": 45, "skipped": 0, "unknown": 0,
    }  # fmt: skip
    assert 100 < world.took < 200
    assert world.apply(resume=True, manner=ANY_FAILURES).outcomes["failed"] == 45
    assert world.took < 150


def test_a_group_accepted_but_not_shown_is_looked_for_by_resume_and_not_made_again(world):
    world.plan()
    world.fault(method="PATCH", path="/groups(*", action="commit-then", status=204)
    world.fault(method="GET", path="/groups(*", action="answer", status=404)
    assert world.apply().outcomes == {"done": 0, "already": 0, "failed": 0, "skipped": 46, "unknown": 1}
    world.change(lambda tenant: tenant.faults.clear())
    assert world.apply(resume=True).outcomes == ALL_WELL
    assert [path for method, path in world.writes() if "uniqueName" in path] == [GROUP]
    assert len(members(world)) == 45


def test_how_much_there_is_to_do_is_told_before_anything_is_done(world):
    world.plan()
    told = []
    world.apply(observer=told.append)
    assert (told[0].done, told[0].total) == (0, 47)


def test_the_same_inputs_give_the_same_bytes(world):
    world.plan("a.run")
    world.plan("b.run")
    lines = []
    for name in ("a.run", "b.run"):
        with RunFile.open(world.folder / name) as run:
            lines.append([change.line() for change in run.changes()])
    assert lines[0] == lines[1]


def test_no_more_is_held_in_memory_than_the_window_allows():
    async def main():
        window, held, most = apply._Window(), [], 0

        async def settle(size):
            await clock.VirtualClock().sleep(1)
            window.leave(size)
            held.remove(size)

        async with asyncio.TaskGroup() as tasks:
            for size in [20] * 500 + [1] * 3000 + [20] * 10:
                await window.enter(size)
                held.append(size)
                assert len(held) <= apply.WINDOW
                assert sum(held) <= apply.WINDOW_CHANGES
                most = max(most, sum(held))
                tasks.create_task(settle(size))
        return most

    assert clock.run(main(), virtual=True) > apply.WINDOW_CHANGES - 20


def test_a_directory_that_shrank_suspiciously_stops_the_plan_until_somebody_believes_it(world):
    rule = "{filter: \"startswith(userPrincipalName,'rx1-')\"}"
    pools = f"pools:\n  - {{org: RX1, sku: SPE_E3, cap: 90, members_from: {rule}}}\n"
    (world.folder / "pools.yaml").write_text(pools, encoding="utf-8")
    assert world.plan().status == "ready"
    fewer = pools.replace("'rx1-'", "'rx1-000'")
    (world.folder / "pools.yaml").write_text(fewer, encoding="utf-8")
    assert world.plan("b.run").status == "ready", "another filter is another list"
    for number in range(10, 60):
        world.ask("DELETE", f"/users/{user_id(world, number)}")
    (world.folder / "pools.yaml").write_text(pools, encoding="utf-8")
    for name in ("c.run", "d.run"):
        (reason,) = world.plan(name).blocked
        assert "40 listed, and 90 when last looked at" in reason
        assert "--accept-impact goes on" in reason
    with pytest.raises(Blocked):
        world.apply("c.run")
    assert world.plan("e.run", accept_impact=True).status == "ready"
    assert world.plan("f.run").status == "ready"
