"""devices.app-protection, as an administrator runs it."""

from __future__ import annotations

import pytest

FILE = """policies:
  - key: ios-staff
    platform: iOS
    pin: {{required: true, length: {length}}}
    {more}
    apps: [com.microsoft.skype.teams]
"""


@pytest.fixture
def write(tmp_path):
    def put(length=4, more="settings: {}"):
        path = tmp_path / "app.yaml"
        path.write_text(FILE.format(length=length, more=more), encoding="utf-8")
        return path

    return put


def test_a_pin_from_4_to_6_is_one_patch(simulated, tenant, write):
    made = simulated("apply", "devices.app-protection", "-i", write(), "--yes", "-o", "json")
    assert (made.code, made.json["outcomes"]["done"]) == (0, 2)
    before = len(tenant.log())
    done = simulated("apply", "devices.app-protection", "-i", write(6), "--yes", "-o", "json")
    assert (done.code, done.json["outcomes"]["done"]) == (0, 1)
    (entry,) = tenant.log()[before:]
    assert entry.method == "PATCH"
    assert simulated("plan", "devices.app-protection", "-i", write(6), "-o", "json").json["status"] == "empty"


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ("access: {wipe_offline_days: 30}", "periodOfflineBeforeWipeIsEnforced"),
        ("settings: {appActionIfMaximumPinRetriesExceeded: wipe}", "appActionIfMaximumPinRetriesExceeded"),
    ],
)
def test_what_wipes_needs_the_domain_typed(simulated, write, more, name):
    path = write(more=more)
    told = simulated("plan", "devices.app-protection", "-i", path, "--allow-beta", "-o", "json")
    assert (told.code, told.json["status"]) == (6, "blocked")
    assert name in told.json["blocked"][0]
    assert "--confirm contoso.example" in told.json["blocked"][0]
    wrong = simulated("plan", "devices.app-protection", "-i", path, "--allow-beta", "--confirm", "fabrikam.example")
    assert wrong.code == 6
    flags = ("--allow-beta", "--confirm", "contoso.example")
    assert simulated("apply", "devices.app-protection", "-i", path, *flags, "--yes").code == 0
    again = simulated("plan", "devices.app-protection", "-i", path, "--allow-beta", "-o", "json")
    assert again.json["status"] == "empty"


def test_the_starter_file_is_applied_and_a_second_plan_is_empty(simulated, tenant, tmp_path):
    assert simulated("recipe", "template", "devices.app-protection", tmp_path).code == 0
    starter = tmp_path / "app_protection.yaml"
    assert simulated("apply", "devices.app-protection", "-i", starter, "--yes").code == 0
    assert [entry.path.rpartition("/")[2] for entry in tenant.log()][1:] == ["targetApps", "assign"]
    assert simulated("plan", "devices.app-protection", "-i", starter, "-o", "json").json["status"] == "empty"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("settings: {faceIdBlockd: true}", "did you mean faceIdBlocked"),
        ("settings: {appActionIfMaximumPinRetriesExceeded: wipe}", "--allow-beta"),
        ("data: {send_to: everywhere}", "managedApps"),
    ],
)
def test_what_is_wrong_is_told_before_any_request(graphkit, write, more, said):
    told = graphkit("validate", "devices.app-protection", "-i", write(more=more))
    assert told.code == 5
    assert said in told.stderr
