"""devices.autopilot, as an administrator runs it."""

from __future__ import annotations

import base64
import csv

import pytest
from bench import bench, counts

from graphkit.clock import run

HEADER = "Device Serial Number,Windows Product ID,Hardware Hash,Group Tag,Assigned User"
IMPORTS = "/deviceManagement/importedWindowsAutopilotDeviceIdentities"


def hashed(number):
    return base64.b64encode(b"OA" + bytes([number]) * 6).decode()


def row(number, tag="RX1-Wards", user="", hash_=None):
    return f"SN-{number},,{hashed(number) if hash_ is None else hash_},{tag},{user}"


def file(*rows):
    return "\n".join((HEADER, *rows, ""))


def test_three_new_and_one_tag_changed_are_three_imports_and_one_update(simulated, tenant, tmp_path):
    path = tmp_path / "devices.csv"
    looked = tenant.look()
    there = {"id": "00000000-0000-4000-8000-000000000001", "serialNumber": "SN-1", "groupTag": "RX1-Old"}
    looked.state.put("windowsAutopilotDeviceIdentities", {**there, "userPrincipalName": ""})
    looked._commit(looked.clock.now())
    looked.close()
    before = len(tenant.log())
    path.write_text(file(row(1), row(2), row(3), row(4, user="rx1-0001@contoso.example")), encoding="utf-8")
    planned = simulated("plan", "devices.autopilot", "-i", path, "--out", tmp_path / "a.run", "-o", "json")
    assert {name: count for name, count in planned.json["changes"].items() if count} == {"create": 3, "update": 1}
    done = simulated("apply", tmp_path / "a.run", "--yes", "-o", "json")
    assert (done.code, done.json["outcomes"]["done"]) == (0, 4)
    written = [entry.path.rpartition("/")[2] for entry in tenant.log()[before:]]
    assert sorted(written) == ["import", "updateDeviceProperties"]
    again = simulated("plan", "devices.autopilot", "-i", path, "-o", "json")
    assert again.json["status"] == "empty"
    with (tmp_path / "a.results.csv").open(encoding="utf-8-sig", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [each["gk_status"] for each in rows] == ["done"] * 4
    assert all(each["gk_object_id"] for each in rows)


def test_an_import_that_fails_in_its_own_time_ends_as_failed_in_the_services_words(tmp_path):
    bad = base64.b64encode(b"no hash").decode()

    async def check() -> None:
        async with bench(tmp_path) as here:
            with await here.plan("devices.autopilot", file(row(1), row(2, hash_=bad))) as planned:
                assert await here.apply(planned) == {"done": 1, "failed": 1}
                (failed,) = [line for line in planned.changes() if line.key == "SN-2"]
                result = planned.outcome(failed.seq)
                assert (result.code, "InvalidZtdHardwareHash" in result.error) == ("802", True)

    run(check(), virtual=True)


@pytest.mark.parametrize("failure", ["timeout", "reset"])
def test_after_a_lost_answer_the_import_is_found_and_not_sent_again(tmp_path, failure):
    async def check() -> None:
        async with bench(tmp_path) as here:
            path = f"{IMPORTS}/import"
            here.tenant.faults.add(
                {"method": "POST", "path": path, "nth": 1, "action": "commit-then", "failure": failure}
            )
            with await here.plan("devices.autopilot", file(row(1), row(2))) as planned:
                assert await here.apply(planned) == {"done": 2}
            assert here.writes() == [f"POST {path}"]

    run(check(), virtual=True)


def test_waiting_for_the_effect_waits_until_the_devices_are_listed(simulated, tmp_path):
    path = tmp_path / "devices.csv"
    path.write_text(file(row(1), row(2)), encoding="utf-8")
    done = simulated("apply", "devices.autopilot", "-i", path, "--yes", "--wait", "effective", "-o", "json")
    assert (done.code, done.json["effective"]["yes"]) == (0, 2)
    listed = simulated("graph", "get", "/deviceManagement/windowsAutopilotDeviceIdentities", "-o", "json")
    assert len(listed.json["value"]) == 2


def test_many_devices_are_imported_in_chunks(tmp_path):
    rows = [f"S{number:04},,{hashed(1)},RX1," for number in range(450)]

    async def check() -> None:
        async with bench(tmp_path) as here:
            with await here.plan("devices.autopilot", file(*rows)) as planned:
                assert await here.apply(planned) == {"done": 450}
            assert len(here.writes()) == 3
            with await here.plan("devices.autopilot", file(*rows)) as again:
                assert again.header()["status"] == "empty"

    run(check(), virtual=True)


def test_a_device_that_is_not_listed_yet_counts_as_there_and_cannot_be_changed(tmp_path):
    async def check() -> None:
        async with bench(tmp_path) as here:
            with await here.plan("devices.autopilot", file(row(1))) as planned:
                await here.apply(planned)
            with await here.plan("devices.autopilot", file(row(1, tag="RX1-New"))) as planned:
                assert counts(planned) == {"blocked": 1}
            await here.client.clock.sleep(600)
            with await here.plan("devices.autopilot", file(row(1, tag="RX1-New"))) as planned:
                assert await here.apply(planned) == {"done": 1}
            with await here.plan("devices.autopilot", file(row(1, tag="RX1-New"))) as again:
                assert again.header()["status"] == "empty"

    run(check(), virtual=True)


def test_a_device_that_is_not_registered_needs_its_hash(tmp_path):
    async def check() -> None:
        async with bench(tmp_path) as here:
            with await here.plan("devices.autopilot", file(row(1, hash_=""))) as planned:
                assert counts(planned) == {"blocked": 1}

    run(check(), virtual=True)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (row(1, tag="wards"), "organisation's code"),
        (row(1, tag=""), "group_tag"),
        (row(1, hash_="%%%"), "not base64"),
        (row(1, user="nobody"), "not a user principal name"),
    ],
)
def test_a_wrong_row_is_named(graphkit, tmp_path, line, said):
    path = tmp_path / "devices.csv"
    path.write_text(file(line), encoding="utf-8")
    told = graphkit("validate", "devices.autopilot", "-i", path)
    assert told.code == 5
    assert "row 2" in told.stderr
    assert said in told.stderr


def test_rows_of_other_organisations_rest(simulated, tmp_path):
    path = tmp_path / "devices.csv"
    path.write_text(file(row(1), row(2, tag="RX2-Wards")), encoding="utf-8")
    told = simulated("plan", "devices.autopilot", "-i", path, "--org", "RX2", "-o", "json")
    assert told.json["changes"]["create"] == 1


def test_the_starter_file_is_applied_and_a_second_plan_is_empty(simulated, tmp_path):
    assert simulated("recipe", "template", "devices.autopilot", tmp_path).code == 0
    starter = tmp_path / "autopilot.csv"
    assert simulated("apply", "devices.autopilot", "-i", starter, "--yes").code == 0
    assert simulated("plan", "devices.autopilot", "-i", starter, "-o", "json").json["status"] == "empty"
