"""devices.org-scope, as an administrator runs it."""

from __future__ import annotations

from collections import Counter

import pytest
from bench import bench, counts

from graphkit.clock import run

ROWS = """org,name,admin_group,device_prefix
RX1,Northern,RX1 admins,RX1-
RX2,Southern,RX2 admins,RX2-
RX3,Western,RX3 admins,
"""


def test_three_organisations_are_three_tags_six_groups_three_assignments_and_again_nothing(simulated, tenant, tmp_path):
    path = tmp_path / "scope.csv"
    path.write_text(ROWS, encoding="utf-8")
    planned = simulated("plan", "devices.org-scope", "-i", path, "--allow-beta", "-o", "json")
    kinds = {kind: sum(actions.values()) for kind, actions in planned.json["kinds"].items()}
    assert kinds == {"group": 6, "intuneRoleAssignment": 3, "roleScopeTag": 3, "roleScopeTag.assignment": 3}
    assert planned.json["changes"]["create"] == 12
    done = simulated("apply", "devices.org-scope", "-i", path, "--allow-beta", "--yes", "-o", "json")
    assert (done.code, done.json["outcomes"]["done"]) == (0, 15), done.stderr
    written = Counter(entry.path for entry in tenant.log() if entry.method == "POST")
    assert (written["/deviceManagement/roleScopeTags"], written["/deviceManagement/roleAssignments"]) == (3, 3)
    again = simulated("plan", "devices.org-scope", "-i", path, "--allow-beta", "-o", "json")
    assert again.json["status"] == "empty"
    looked = tenant.look()
    tags = {tag["displayName"]: tag for tag in looked.state.table("roleScopeTags").objects.values()}
    assignments = list(looked.state.table("intuneRoleAssignments").objects.values())
    looked.close()
    assert tags["Default"]["assignments"] == []
    assert all(len(tags[name]["assignments"]) == 1 for name in ("Northern", "Southern", "Western"))
    assert sorted(each["roleScopeTagIds"] for each in assignments) == [["1"], ["2"], ["3"]]


def test_devices_of_a_prefix_are_members_of_the_organisations_group(tmp_path):
    async def check() -> None:
        async with bench(tmp_path, devices=6) as here:
            with await here.plan("devices.org-scope", ROWS, allow_beta=True) as planned:
                await here.apply(planned, allow_beta=True)
            await here.client.clock.sleep(3600)
            group = await here.client.get("/groups(uniqueName='rx1.intune.devices')")
            members = [each async for each in here.client.list(f"/groups/{group['id']}/members")]
            assert members
            assert all(each["displayName"].startswith("RX1-") for each in members)

    run(check(), virtual=True)


def test_the_default_tag_is_never_touched(tmp_path):
    async def check() -> None:
        async with bench(tmp_path) as here:
            text = "org,name,admin_group\nRX1,Default,RX1 admins\n"
            with await here.plan("devices.org-scope", text, allow_beta=True) as planned:
                assert counts(planned) == {"create": 2, "blocked": 3}
                assert "never touched" in next(planned.changes("roleScopeTag")).note

    run(check(), virtual=True)


def test_an_administrative_unit_is_made_where_it_is_asked_for(tmp_path):
    text = "org,name,admin_group,administrative_unit\nRX1,Northern,RX1 admins,yes\n"

    async def check() -> None:
        async with bench(tmp_path) as here:
            with await here.plan("devices.org-scope", text, allow_beta=True) as planned:
                assert await here.apply(planned, allow_beta=True) == {"done": 6}
            with await here.plan("devices.org-scope", text, allow_beta=True) as again:
                assert again.header()["status"] == "empty"

    run(check(), virtual=True)


@pytest.mark.parametrize(
    ("text", "flags", "said"),
    [
        (ROWS, (), "--allow-beta"),
        ("org,name,admin_group\nrx1,N,A\n", ("--allow-beta",), "organisation code"),
        ('org,name,admin_group,device_prefix\nRX1,N,A,"a""b"\n', ("--allow-beta",), "device_prefix"),
    ],
)
def test_a_wrong_row_is_named(graphkit, tmp_path, text, flags, said):
    path = tmp_path / "scope.csv"
    path.write_text(text, encoding="utf-8")
    told = graphkit("validate", "devices.org-scope", "-i", path, *flags)
    assert told.code == 5
    assert "row 2" in told.stderr
    assert said in told.stderr


def test_a_role_that_intune_does_not_have_is_named(simulated, tmp_path):
    path = tmp_path / "scope.csv"
    path.write_text("org,name,admin_group,role\nRX1,N,A,Cleaner\n", encoding="utf-8")
    told = simulated("plan", "devices.org-scope", "-i", path, "--allow-beta")
    assert (told.code, "no role of Intune is called Cleaner" in told.stderr) == (5, True)
