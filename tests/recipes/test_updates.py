"""devices.updates, as an administrator runs it."""

from __future__ import annotations

import pytest
from bench import bench, counts

from graphkit.clock import run

PROFILES = "/deviceManagement/windowsQualityUpdateProfiles"
EXPEDITE = """allow_beta: true
expedite: {release: 2025-10-14, reboot_days: 1}
assign: {include: [Wards, Clinics, Offices]}
"""


def test_one_release_to_three_groups_is_one_profile_with_three_targets(simulated, tenant, tmp_path):
    for name in ("Wards", "Clinics", "Offices"):
        body = f'{{"displayName": "{name}", "mailEnabled": false, "mailNickname": "{name}", "securityEnabled": true}}'
        assert simulated("graph", "post", "/groups", "--body", body, "--yes").code == 0
    path = tmp_path / "updates.yaml"
    path.write_text(EXPEDITE, encoding="utf-8")
    made = simulated("apply", "devices.updates", "-i", path, "--yes", "-o", "json")
    assert (made.code, made.json["outcomes"]["done"]) == (0, 2)
    looked = tenant.look()
    (profile,) = looked.state.table("windowsQualityUpdateProfiles").objects.values()
    looked.close()
    assert len(profile["assignments"]) == 3
    assert profile["expeditedUpdateSettings"]["daysUntilForcedReboot"] == 1
    assert simulated("plan", "devices.updates", "-i", path, "-o", "json").json["status"] == "empty"


def test_a_release_that_another_profile_expedites_is_blocked(tmp_path):
    async def check() -> None:
        async with bench(tmp_path) as here:
            settings = {"qualityUpdateRelease": "2025-10-14T00:00:00Z", "daysUntilForcedReboot": 0}
            body = {"displayName": "By hand", "expeditedUpdateSettings": settings}
            await here.client.create(PROFILES, body, version="beta")
            with await here.plan("devices.updates", EXPEDITE.partition("assign")[0], suffix="yaml") as planned:
                assert counts(planned) == {"blocked": 1}
                assert "By hand" in next(planned.changes()).note

    run(check(), virtual=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("expedite: {release: 2025-10-14, reboot_days: 1}\n", "--allow-beta"),
        ("allow_beta: true\nexpedite: {release: 2025-10-14, reboot_days: 3}\n", "2"),
        ("allow_beta: true\nupdates: [{name: neither}]\n", "either feature or expedite"),
        ("allow_beta: true\nfeature: {version: W, rollout: {start: 2026-02-01, end: 2026-01-01}}\n", "ends before"),
    ],
)
def test_what_is_wrong_is_told_before_any_request(graphkit, tmp_path, text, said):
    path = tmp_path / "updates.yaml"
    path.write_text(text, encoding="utf-8")
    told = graphkit("validate", "devices.updates", "-i", path)
    assert told.code == 5
    assert said in told.stderr


def test_the_same_release_twice_is_an_error(graphkit, tmp_path):
    entry = "  - expedite: {release: 2025-10-14, reboot_days: 1}\n"
    path = tmp_path / "updates.yaml"
    path.write_text(f"allow_beta: true\nupdates:\n{entry}{entry}", encoding="utf-8")
    told = graphkit("validate", "devices.updates", "-i", path, "-o", "json")
    assert [error["code"] for error in told.json["errors"]] == ["duplicate-key"]


def test_the_starter_file_is_applied_and_a_second_plan_is_empty(simulated, tmp_path):
    assert simulated("recipe", "template", "devices.updates", tmp_path).code == 0
    starter = tmp_path / "updates.yaml"
    assert simulated("apply", "devices.updates", "-i", starter, "--yes").code == 0
    assert simulated("plan", "devices.updates", "-i", starter, "-o", "json").json["status"] == "empty"
