"""devices.compliance: who would not comply is counted before anything is written, as an administrator sees it."""

from __future__ import annotations

import pytest
from bench import bench

from graphkit.clock import run

FILE = """max_impact_pct: {most}
policies:
  - key: win-floor
    platform: windows10
    os_floor: {floor}
    bitlocker: false
    secure_boot: false
    grace_hours: 0
    assign: {{include: [{include}]}}
"""


@pytest.fixture
def fleet(tenant):
    """``fleet("10.0.22631.900", ...)``: devices of RX1 with these builds, and one of RX2 that is new enough."""

    def make(*builds):
        tenant.seed(users=10, devices=0)
        looked = tenant.look()
        for number, build in enumerate((*builds, "10.0.26100.1")):
            code = "RX2" if number == len(builds) else "RX1"
            device = {
                "id": f"00000000-0000-4000-8000-{number:012}",
                "deviceName": f"{code}-WS-{number:04}",
                "operatingSystem": "Windows",
                "osVersion": build,
                "isEncrypted": True,
                "azureADDeviceId": f"00000000-0000-4000-9000-{number:012}",
                "userId": "",
            }
            looked.state.put("managedDevices", device)
        looked._commit(looked.clock.now())
        looked.close()

    return make


def plan(simulated, tmp_path, *flags, floor="10.0.22631.4000", most=10, include="All devices"):
    path = tmp_path / "compliance.yaml"
    path.write_text(FILE.format(floor=floor, most=most, include=include), encoding="utf-8")
    out = tmp_path / f"{len(list(tmp_path.glob('*.run')))}.run"
    result = simulated("plan", "devices.compliance", "-i", path, "--out", out, "-o", "json", *flags)
    lines = simulated("show", out, "-o", "jsonl").lines
    (policy,) = [line for line in lines if line["kind"] == "deviceCompliancePolicy"]
    return result, policy["note"]


def test_builds_are_compared_as_numbers(simulated, fleet, tmp_path):
    fleet("10.0.22631.900", "10.0.22631.10000", "10.0.22631.4000")
    result, note = plan(simulated, tmp_path, most=50)
    assert result.code == 0
    assert note == "1 of 4 devices would not comply (1 below the floor): RX1 1 of 3"


def test_an_organisation_above_the_limit_stops_the_plan_unless_the_impact_is_accepted(simulated, fleet, tmp_path):
    fleet("10.0.22631.900", "10.0.22631.10000")
    result, _ = plan(simulated, tmp_path)
    assert (result.code, result.json["status"]) == (6, "blocked")
    assert "RX1 1 of 2 (50 %)" in result.json["blocked"][0]
    assert "RX2" not in result.json["blocked"][0]
    accepted, _ = plan(simulated, tmp_path, "--accept-impact")
    assert (accepted.code, accepted.json["status"]) == (0, "ready")


def test_what_a_device_has_not_told_counts_as_not_compliant(simulated, fleet, tmp_path):
    fleet("", "10.0.22631.10000")
    result, note = plan(simulated, tmp_path)
    assert result.code == 6
    assert "1 of unknown build" in note


def test_only_devices_that_the_assignments_reach_are_counted(simulated, fleet, tmp_path):
    fleet("10.0.22631.900")
    result, note = plan(simulated, tmp_path, include="All users")
    assert (result.code, note) == (0, "")


def test_an_inventory_that_cannot_be_read_stops_a_plan_that_has_a_limit(tmp_path):
    async def check() -> None:
        async with bench(tmp_path) as here:
            path = "/deviceManagement/managedDevices"
            here.tenant.faults.add({"method": "GET", "path": path, "action": "answer", "status": 403})
            text = FILE.format(floor="10.0.22631.4000", most=10, include="All devices")
            with await here.plan("devices.compliance", text, suffix="yaml") as planned:
                assert "could not be counted" in planned.header()["blocked"][0]
            with await here.plan("devices.compliance", text, suffix="yaml", accept_impact=True) as planned:
                assert planned.header()["status"] == "ready"

    run(check(), virtual=True)
