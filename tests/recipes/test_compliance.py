from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench import Bench, bench, counts

from graphkit.clock import run
from graphkit.engine.change import Desired, Origin
from graphkit.engine.resource import Context
from graphkit.engine.snapshot import Snapshot
from graphkit.errors import InputErrors
from graphkit.resources.compliance import CompliancePolicies, rules_for, scheduled_action

POLICIES = "/deviceManagement/deviceCompliancePolicies"
TEMPLATE = "4f1c8a52-6c2b-4f0e-9b67-0b1f6a3c5d11"
INCLUDED = "#microsoft.graph.groupAssignmentTarget"
EXCLUDED = "#microsoft.graph.exclusionGroupAssignmentTarget"
ALL_DEVICES = {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"}


def policy(assign: str = "{include: [All devices], exclude: [Kiosks]}", **settings: str) -> str:
    chosen = {
        "key": "win-floor",
        "platform": "windows10",
        "os_floor": "10.0.22631.4000",
        "bitlocker": "true",
        "secure_boot": "true",
        "grace_hours": "72",
        "assign": assign,
        **settings,
    }
    return "  - " + "\n    ".join(f"{name}: {value}" for name, value in chosen.items() if value) + "\n"


def file(*policies: str, head: str = "") -> str:
    return f"{head}policies:\n" + "".join(policies or [policy()])


def on_tenant(folder: Path, test: Any) -> None:
    async def go() -> None:
        async with bench(folder) as here:
            await test(here)

    run(go(), virtual=True)


async def group(here: Bench, name: str) -> str:
    body = {"displayName": name, "mailEnabled": False, "mailNickname": name, "securityEnabled": True}
    made = await here.client.create("/groups", body)
    await here.client.clock.sleep(30)
    return str(made["id"])


async def plan(here: Bench, text: str, **options: Any) -> Any:
    return await here.plan("devices.compliance", text, suffix="yaml", **options)


async def applied(here: Bench, text: str, **options: Any) -> dict[str, int]:
    with await plan(here, text, **options) as planned:
        outcomes = await here.apply(planned)
    await here.client.clock.sleep(30)
    return outcomes


def live(here: Bench) -> dict[str, Any]:
    (found,) = here.tenant.state.table("deviceCompliancePolicies").objects.values()
    return found


def targets(here: Bench) -> list[dict[str, Any]]:
    """As kept for beta, without what says that there is no filter."""
    kept = [each["target"] for each in live(here)["assignments"]]
    return [{name: value for name, value in target.items() if value not in (None, "none")} for target in kept]


def actions(here: Bench) -> dict[str, int]:
    (rule,) = live(here)["scheduledActionsForRule"]
    return {each["actionType"]: each["gracePeriodHours"] for each in rule["scheduledActionConfigurations"]}


def test_a_policy_is_made_with_its_block_action_and_assigned_and_a_second_plan_is_empty(tmp_path):
    async def check(here: Bench) -> None:
        kiosks = await group(here, "Kiosks")
        with await plan(here, file(policy(org="RX1"))) as planned:
            assert planned.counts_by_kind() == {
                "deviceCompliancePolicy": {"create": 1},
                "deviceCompliancePolicy.actions": {"noop": 1},
                "deviceCompliancePolicy.assignment": {"add": 1},
            }
            assert await here.apply(planned) == {"done": 2, "already": 1}
        found = live(here)
        assert found["displayName"] == "RX1 win-floor"
        assert found["description"] == "[gk:devices.compliance/win-floor]"
        assert found["osMinimumVersion"] == "10.0.22631.4000"
        assert (found["bitLockerEnabled"], found["secureBootEnabled"]) == (True, True)
        assert actions(here) == {"block": 72}
        assert targets(here) == [ALL_DEVICES, {"@odata.type": EXCLUDED, "groupId": kiosks}]
        await here.client.clock.sleep(30)
        with await plan(here, file(policy(org="RX1"))) as again:
            assert again.header()["status"] == "empty"

    on_tenant(tmp_path, check)


def test_what_differs_is_patched_with_its_type_and_nothing_else(tmp_path):
    async def check(here: Bench) -> None:
        await group(here, "Kiosks")
        await applied(here, file())
        here.tenant.state.put(
            "deviceCompliancePolicies",
            {
                **live(here),
                "displayName": "Ours now",
                "description": "Agreed with the board.\n[gk:devices.compliance/win-floor]",
                "tpmRequired": True,
            },
        )
        with await plan(here, file(policy(os_floor="10.0.22631.3900", bitlocker="false"))) as planned:
            change = next(planned.changes("deviceCompliancePolicy"))
            assert change.note == "lowers the floor from 10.0.22631.4000"
            assert await here.apply(planned) == {"done": 1, "already": 2}
        found = live(here)
        assert (found["osMinimumVersion"], found["bitLockerEnabled"]) == ("10.0.22631.3900", False)
        assert found["secureBootEnabled"] is True
        assert (found["displayName"], found["tpmRequired"]) == ("Ours now", True)
        assert found["description"].startswith("Agreed with the board.")
        assert here.writes()[-1].startswith("PATCH ")

    on_tenant(tmp_path, check)


def test_grace_changes_by_its_own_action_and_other_actions_stay(tmp_path):
    async def check(here: Bench) -> None:
        await group(here, "Kiosks")
        await applied(here, file())
        (rule,) = live(here)["scheduledActionsForRule"]
        retire = {"id": "r", "actionType": "retire", "gracePeriodHours": 720, "notificationTemplateId": ""}
        rule = {**rule, "scheduledActionConfigurations": [*rule["scheduledActionConfigurations"], retire]}
        here.tenant.state.put("deviceCompliancePolicies", {**live(here), "scheduledActionsForRule": [rule]})
        text = file(policy(grace_hours="24", notify_template=TEMPLATE))
        assert await applied(here, text) == {"done": 1, "already": 2}
        assert here.writes()[-1].endswith("/scheduleActionsForRules")
        assert actions(here) == {"block": 24, "retire": 720, "notification": 0}
        with await plan(here, text) as again:
            assert again.header()["status"] == "empty"

    on_tenant(tmp_path, check)


def test_a_policy_that_is_gone_at_apply_fails_in_each_of_its_parts(tmp_path):
    async def check(here: Bench) -> None:
        await group(here, "Kiosks")
        await applied(here, file(policy(assign="{}")))
        with await plan(here, file(policy(bitlocker="false", grace_hours="1"))) as planned:
            await here.client.delete(f"{POLICIES}/{live(here)['id']}")
            before = len(here.writes())
            assert await here.apply(planned) == {"failed": 3}
        assert here.writes()[before:] == []

    on_tenant(tmp_path, check)


def test_assignments_made_elsewhere_stay_when_ours_are_added(tmp_path):
    async def check(here: Bench) -> None:
        kiosks, wards = await group(here, "Kiosks"), await group(here, "Wards")
        await applied(here, file(policy(assign="{}")))
        foreign = {"@odata.type": INCLUDED, "groupId": wards}
        await here.client.action(f"{POLICIES}/{live(here)['id']}/assign", {"assignments": [{"target": foreign}]})
        with await plan(here, file()) as planned:
            change = next(planned.changes("deviceCompliancePolicy.assignment"))
            assert "the 1 there already stay" in change.note
            assert await here.apply(planned) == {"done": 1, "already": 2}
        ours = [ALL_DEVICES, {"@odata.type": EXCLUDED, "groupId": kiosks}]
        assert sorted(map(str, targets(here))) == sorted(map(str, [foreign, *ours]))
        with await plan(here, file()) as again:
            assert again.header()["status"] == "empty"
        with await plan(here, file(policy(assign="{include: [Wards]}"))) as fewer:
            assert fewer.header()["status"] == "empty"

    on_tenant(tmp_path, check)


def test_a_set_that_changed_since_the_plan_is_refused_alone(tmp_path):
    async def check(here: Bench) -> None:
        await group(here, "Kiosks")
        wards = await group(here, "Wards")
        await applied(here, file(policy(assign="{}")))
        foreign = [{"target": {"@odata.type": INCLUDED, "groupId": wards}}]
        with await plan(here, file(policy(bitlocker="false"))) as planned:
            await here.client.action(f"{POLICIES}/{live(here)['id']}/assign", {"assignments": foreign})
            assert await here.apply(planned) == {"done": 1, "failed": 1, "already": 1}
        assert [target["groupId"] for target in targets(here)] == [wards]
        assert live(here)["bitLockerEnabled"] is False

    on_tenant(tmp_path, check)


def test_a_policy_that_a_replica_does_not_show_is_not_taken_for_one_without_assignments(tmp_path):
    async def check(here: Bench) -> None:
        await group(here, "Kiosks")
        await applied(here, file(policy(assign="{}")))
        with await plan(here, file()) as planned:
            here.tenant.faults.add(
                {"method": "GET", "path": f"{POLICIES}/*/assignments", "action": "answer", "status": 404}
            )
            assert await here.apply(planned) == {"failed": 1, "already": 2}
        assert targets(here) == []

    on_tenant(tmp_path, check)


def test_a_group_that_is_included_elsewhere_and_excluded_here_is_blocked(tmp_path):
    async def check(here: Bench) -> None:
        kiosks = await group(here, "Kiosks")
        await applied(here, file(policy(assign="{include: [Kiosks]}")))
        with await plan(here, file(policy(assign="{exclude: [Kiosks]}"))) as planned:
            change = next(planned.changes("deviceCompliancePolicy.assignment"))
        assert change.action == "blocked"
        assert kiosks in change.note

    on_tenant(tmp_path, check)


def test_beta_keeps_the_filters_of_assignments_made_elsewhere(tmp_path):
    async def check(here: Bench) -> None:
        await group(here, "Kiosks")
        await applied(here, file(policy(assign="{}")))
        filtered = {
            **ALL_DEVICES,
            "deviceAndAppManagementAssignmentFilterId": TEMPLATE,
            "deviceAndAppManagementAssignmentFilterType": "include",
        }
        here.tenant.state.put("assignmentFilters", {"id": TEMPLATE, "displayName": "Wards"})
        path = f"{POLICIES}/{live(here)['id']}/assign"
        await here.client.action(path, {"assignments": [{"target": filtered}]}, version="beta")
        await applied(here, file(), allow_beta=True)
        assert filtered in targets(here)
        assert len(targets(here)) == 2
        with await plan(here, file(), allow_beta=True) as again:
            assert again.header()["status"] == "empty"

    on_tenant(tmp_path, check)


@pytest.mark.parametrize("failure", ["timeout", "reset"])
def test_after_a_lost_answer_the_policy_is_found_by_its_marker(tmp_path, failure):
    async def check(here: Bench) -> None:
        await group(here, "Kiosks")
        here.tenant.faults.add(
            {"method": "POST", "path": POLICIES, "nth": 1, "action": "commit-then", "failure": failure}
        )
        assert await applied(here, file()) == {"done": 2, "already": 1}
        assert len([each for each in here.writes() if each == f"POST {POLICIES}"]) == 1
        assert len(targets(here)) == 2

    on_tenant(tmp_path, check)


def test_two_policies_with_one_marker_are_blocked_with_what_hangs_on_them(tmp_path):
    async def check(here: Bench) -> None:
        await group(here, "Kiosks")
        await applied(here, file())
        twin = {**live(here), "id": "00000000-0000-4000-8000-000000000001"}
        here.tenant.state.put("deviceCompliancePolicies", twin)
        with await plan(here, file()) as planned:
            assert counts(planned) == {"blocked": 3}
            assert all(twin["id"] in change.note for change in planned.changes())

    on_tenant(tmp_path, check)


def test_several_branches_become_ranges_where_beta_is_allowed(tmp_path):
    floors = '{"10.0.22631": 4000, "10.0.19045": 4529}'

    async def check(here: Bench) -> None:
        await group(here, "Kiosks")
        text = file(policy(os_floor=floors, defender="true"), head="allow_beta: true\n")
        assert await applied(here, text) == {"done": 2, "already": 1}
        found = live(here)
        assert [
            (each["lowestVersion"], each["highestVersion"]) for each in found["validOperatingSystemBuildRanges"]
        ] == [
            ("10.0.19045.4529", "10.0.19045.65535"),
            ("10.0.22631.4000", "10.0.22631.65535"),
        ]
        assert (found["osMinimumVersion"], found["defenderEnabled"]) == (None, True)
        with await plan(here, text) as again:
            assert again.header()["status"] == "empty"
        assert await applied(here, file(policy(defender="true")), allow_beta=True) == {"done": 1, "already": 2}
        assert live(here)["osMinimumVersion"] == "10.0.22631.4000"
        assert live(here)["validOperatingSystemBuildRanges"] == []

    on_tenant(tmp_path, check)


def test_one_branch_alone_is_a_plain_floor(tmp_path):
    async def check(here: Bench) -> None:
        await applied(here, file(policy(os_floor='{"10.0.22631": 4000}', assign="{}")))
        assert live(here)["osMinimumVersion"] == "10.0.22631.4000"

    on_tenant(tmp_path, check)


def test_everything_wrong_with_the_input_is_told_at_once(tmp_path):
    text = file(
        policy(os_floor='{"10.0.22631": 4000, "10.0.19045": 4529}', defender="true"),
        policy(key="second", assign="{include: [Nobody, Twins]}"),
        policy(key="third", assign="{include: [Kiosks], exclude: [Kiosks]}"),
        policy(key="third", assign="{}"),
    )

    async def check(here: Bench) -> None:
        await group(here, "Kiosks")
        for nickname in ("one", "two"):
            here.tenant.state.put("groups", {"id": f"{nickname}-id", "displayName": "Twins", "_created": 0.0})
        with pytest.raises(InputErrors) as raised:
            await plan(here, text)
        assert [(problem.where, problem.code) for problem in raised.value.problems] == [
            ("policies[0].defender", "needs-beta"),
            ("policies[0].os_floor", "needs-beta"),
            ("policies[1]", "unknown-group"),
            ("policies[1]", "unknown-group"),
            ("policies[2]", "contradiction"),
            ("policies[3]", "duplicate-key"),
        ]
        said = " ".join(problem.message for problem in raised.value.problems)
        for words in ("allow_beta: true", "--allow-beta", "no group is called Nobody", "2 groups are called Twins"):
            assert words in said
        assert "POST " + POLICIES not in here.writes()

    on_tenant(tmp_path, check)


def test_what_another_organisation_would_need_beta_for_stops_nobody_else(tmp_path):
    text = file(policy(org="RX1", assign="{}"), policy(org="RX2", key="second", defender="true", assign="{}"))

    async def check(here: Bench) -> None:
        with pytest.raises(InputErrors):
            await plan(here, text)
        with await plan(here, text, org="RX1") as planned:
            assert [change.key for change in planned.changes("deviceCompliancePolicy")] == ["win-floor"]

    on_tenant(tmp_path, check)


@pytest.mark.parametrize(
    ("wrong", "where", "said"),
    [
        ({"platform": "BeOS"}, "policies[0].platform", "supported: windows10"),
        ({"os_floor": "10.0.22631"}, "policies[0].os_floor", "four numbers"),
        ({"os_floor": '{"10.0.22631": 1, "10.00.22631": 2}'}, "policies[0].os_floor", "twice"),
        ({"os_floor": "{}"}, "policies[0].os_floor", "no branch"),
        ({"os_flor": "10.0.22631.1"}, "policies[0].os_flor", "not a known key"),
        ({"bitlocker": ""}, "policies[0].bitlocker", "missing"),
        ({"grace_hours": "-1"}, "policies[0].grace_hours", "greater than or equal to 0"),
        ({"notify_template": "Reminder"}, "policies[0].notify_template", "not the id"),
        ({"assign": "{exclude: [All devices]}"}, "policies[0].assign", "cannot be excluded"),
        ({"key": "a/b"}, "policies[0].key", "pattern"),
    ],
)
def test_a_wrong_entry_is_named_by_its_path(tmp_path, wrong, where, said):
    async def check(here: Bench) -> None:
        with pytest.raises(InputErrors) as raised:
            await plan(here, file(policy(**wrong)))
        (problem,) = raised.value.problems
        assert problem.where == where
        assert said in problem.message

    on_tenant(tmp_path, check)


def test_a_body_that_graph_would_not_take_is_refused_before_anything_is_sent(tmp_path):
    properties = {
        "@odata.type": "#microsoft.graph.windows10CompliancePolicy",
        "displayName": "win-floor",
        "tpmRequired": True,
        "bitlockerEnabled": True,
        "scheduledActionsForRule": rules_for([scheduled_action("block")]),
        "recipe": "devices.compliance",
    }

    async def check(here: Bench) -> None:
        wish = Desired(
            kind="deviceCompliancePolicy", key="win-floor", origin=Origin("a.yaml", "x"), properties=properties
        )
        context = Context(here.client, here.client.clock, Snapshot())
        problems = await CompliancePolicies(context).resolve([wish])
        context.snapshot.close()
        assert [(problem.code, problem.message.partition(":")[0]) for problem in problems] == [
            ("beta-only", "tpmRequired"),
            ("unknown-property", "bitlockerEnabled"),
        ]

    on_tenant(tmp_path, check)


def test_the_fence_leaves_other_organisations_and_the_whole_tenants_policies_alone(tmp_path):
    async def check(here: Bench) -> None:
        text = file(*(policy(key=key, org=org, assign="{}") for key, org in (("a", "RX1"), ("b", "RX2"), ("c", ""))))
        with await plan(here, text, org="RX2") as planned:
            assert {change.key for change in planned.changes()} == {"b"}

    on_tenant(tmp_path, check)


def test_the_starter_file_makes_a_policy_through_the_command_line_and_a_second_plan_is_empty(
    simulated, tenant, tmp_path
):
    assert simulated("recipe", "template", "devices.compliance", tmp_path).code == 0
    starter, planned = tmp_path / "compliance.yaml", tmp_path / "a.run"
    assert simulated("validate", "devices.compliance", "-i", starter).code == 0
    assert simulated("plan", "devices.compliance", "-i", starter, "--out", planned).code == 0
    assert tenant.log() == []
    assert simulated("apply", planned, "--yes").code == 0
    assert [entry.path.rpartition("/")[2] for entry in tenant.log()] == ["deviceCompliancePolicies", "assign"]
    again = simulated("plan", "devices.compliance", "-i", starter, "-o", "json")
    assert (again.code, again.json["status"]) == (0, "empty")


def test_the_command_line_asks_for_consent_to_beta_with_exit_5(simulated, tenant, tmp_path):
    path = tmp_path / "compliance.yaml"
    path.write_text(file(policy(defender="true", assign="{}")), encoding="utf-8")
    refused = simulated("plan", "devices.compliance", "-i", path)
    assert refused.code == 5
    assert "policies[0].defender" in refused.stderr
    assert "--allow-beta" in refused.stderr
    allowed = simulated("apply", "devices.compliance", "-i", path, "--allow-beta", "--yes", "-o", "json")
    assert (allowed.code, allowed.json["outcomes"]["failed"]) == (0, 0)
    assert len(tenant.log()) == 1
