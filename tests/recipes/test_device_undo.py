"""What the device recipes do can be taken back: the tenant is then as it was before the run."""

from __future__ import annotations

import base64
import json

import pytest
from bench import bench

from graphkit.clock import run
from graphkit.engine.resource import Context
from graphkit.engine.snapshot import Snapshot
from graphkit.resources.autopilot import DEVICES, AutopilotDevices

TABLES = (
    *("deviceConfigurations", "deviceCompliancePolicies", "configurationPolicies", "groupPolicyConfigurations"),
    *("iosManagedAppProtections", "windowsQualityUpdateProfiles", "intuneRoleAssignments", "roleScopeTags", "groups"),
    "windowsAutopilotDeviceIdentities",
)
KEPT_BY_THE_SERVICE = ("lastModifiedDateTime", "version")


@pytest.fixture
def state(tenant):
    """What the tenant holds, without what the service counts up at each change."""

    def look():
        looked = tenant.look()
        found = {name: dict(looked.state.table(name).objects.items()) for name in TABLES}
        looked.close()
        return {
            f"{name}/{key}": {n: plain(v) for n, v in item.items() if n not in KEPT_BY_THE_SERVICE and n[0] != "_"}
            for name, items in found.items()
            for key, item in items.items()
            if item is not None
        }

    return look


def plain(value):
    """Without the ids of what stands within, which are new at each writing."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items() if name != "id"}
    return [plain(item) for item in value] if isinstance(value, list) else value


def applied(simulated, tmp_path, recipe, text, name, *flags):
    path = tmp_path / f"{recipe}.{name.partition('.')[2]}"
    path.write_text(text, encoding="utf-8")
    out = (tmp_path / name).with_suffix(".run")
    assert simulated("plan", recipe, "-i", path, "--out", out, *flags, "-o", "none").code == 0
    done = simulated("apply", out, "--yes", "-o", "json")
    assert done.code == 0, done.stdout + done.stderr
    return out


def taken_back(simulated, out, *flags):
    done = simulated("undo", out, "--yes", "--max-deletes", "20", "--max-removals", "20", "-o", "json", *flags)
    assert done.code == 0, done.stdout + done.stderr
    return done.json


RING = {
    "@odata.type": "#microsoft.graph.windowsUpdateForBusinessConfiguration",
    "displayName": "Ring",
    "description": "Ours",
    "automaticUpdateMode": "autoInstallAtMaintenanceTime",
    "qualityUpdatesDeferralPeriodInDays": 7,
    "assignments": [{"target": {"@odata.type": "#microsoft.graph.allDevicesAssignmentTarget"}}],
}
COMPLIANCE = """policies:
  - {{key: a, platform: windows10, os_floor: 10.0.22631.{number}, bitlocker: {flag}, secure_boot: true,
      grace_hours: {number}, assign: {{include: [{whom}]}}}}
"""
PROTECTION = """policies:
  - {{key: a, platform: iOS, pin: {{required: true, length: {length}}}, apps: [com.a, {app}]}}
"""
RULES = "allow_beta: true\npolicies:\n  - {{key: a, asr: {{mode: {mode}}}, smartscreen: {{enabled: {flag}}}}}\n"

CASES = {
    "devices.policies": (json.dumps(RING), json.dumps(
        {**RING, "description": "Theirs", "qualityUpdatesDeferralPeriodInDays": 3,
         "assignments": [{"target": {"@odata.type": "#microsoft.graph.allLicensedUsersAssignmentTarget"}}]})),
    "devices.compliance": (
        COMPLIANCE.format(number=1, flag="true", whom="All devices"),
        COMPLIANCE.format(number=2, flag="false", whom="All users"),
    ),
    "devices.app-protection": (PROTECTION.format(length=4, app="com.b"), PROTECTION.format(length=6, app="com.c")),
    "devices.hardening": (RULES.format(mode="off", flag="true"), RULES.format(mode="audit", flag="false")),
}  # fmt: skip
SUFFIX = {"devices.policies": "json"}


@pytest.mark.parametrize("recipe", CASES)
def test_a_run_that_made_and_one_that_changed_are_taken_back(simulated, state, tmp_path, recipe):
    first, second = CASES[recipe]
    suffix = SUFFIX.get(recipe, "yaml")
    empty = state()
    made = applied(simulated, tmp_path, recipe, first, f"made.{suffix}")
    there = state()
    changed = applied(simulated, tmp_path, recipe, second, f"changed.{suffix}")
    assert state() != there
    taken_back(simulated, changed)
    assert differences(state(), there) == {}
    taken_back(simulated, made)
    assert differences(state(), empty) == {}


def differences(found, wanted):
    """By object, the properties that are not as they were."""
    told = {}
    for key in {*found, *wanted}:
        mine, theirs = found.get(key), wanted.get(key)
        if mine is None or theirs is None:
            told[key] = "gone" if mine is None else "left over"
        elif names := {
            name: (mine.get(name), theirs.get(name)) for name in {*mine, *theirs} if mine.get(name) != theirs.get(name)
        }:
            told[key] = names
    return told


def test_organisations_scopes_are_taken_back(simulated, state, tmp_path):
    empty = state()
    rows = "org,name,admin_group\nRX1,Northern,RX1 admins\n"
    made = applied(simulated, tmp_path, "devices.org-scope", rows, "made.csv", "--allow-beta")
    assert state() != empty
    taken_back(simulated, made)
    assert differences(state(), empty) == {}


def test_imported_devices_are_taken_back(tmp_path):
    """Once they are listed: until then the service knows no device to delete."""
    hashed = base64.b64encode(b"OA" + b"1" * 6).decode()
    text = f"Device Serial Number,Hardware Hash,Group Tag\nSN-1,{hashed},RX1\n"

    async def check() -> None:
        async with bench(tmp_path) as here:
            with await here.plan("devices.autopilot", text) as planned:
                await here.apply(planned)
                (line,) = planned.changes()
                object_id = planned.outcome(line.seq).object_id
            await here.client.clock.sleep(600)
            assert (await here.client.get(f"{DEVICES}/{object_id}"))["serialNumber"] == "SN-1"
            context = Context(here.client, here.client.clock, Snapshot())
            resource = AutopilotDevices(context)
            back = resource.inverse(line, object_id)
            assert back.action == "delete"
            assert (await here.client.send(resource.request([back]))).status == 204
            context.snapshot.close()
            assert here.tenant.state.get("windowsAutopilotDeviceIdentities", object_id) is None

    run(check(), virtual=True)
