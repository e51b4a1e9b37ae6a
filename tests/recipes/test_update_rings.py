"""devices.update-rings, as an administrator runs it."""

from __future__ import annotations

import pytest
from bench import bench

from graphkit.clock import run
from graphkit.errors import InputErrors

RINGS = """rings:
  - {{name: Test, quality_deferral: 0, quality_deadline: 1, assign: {{include: [Test]}}}}
  - {{name: Pilot, quality_deferral: 2, quality_deadline: 2, feature_deadline: 7, assign: {{include: [Pilot]}}}}
  - {{name: Early, quality_deferral: 4, quality_deadline: {deadline}, grace: 2, active_hours: 8-17}}
  - name: Everybody
    quality_deferral: 7
    quality_deadline: 3
    assign: {{include: [All devices], exclude: [Test, Pilot]}}
"""


@pytest.fixture
def groups(simulated):
    def make(*names):
        for name in names:
            body = (
                f'{{"displayName": "{name}", "mailEnabled": false, "mailNickname": "{name}", "securityEnabled": true}}'
            )
            assert simulated("graph", "post", "/groups", "--body", body, "--yes").code == 0

    return make


def test_four_rings_are_made_and_one_deadline_from_7_to_3_is_one_update(simulated, tenant, tmp_path, groups):
    groups("Test", "Pilot")
    path = tmp_path / "rings.yaml"
    path.write_text(RINGS.format(deadline=7), encoding="utf-8")
    made = simulated("apply", "devices.update-rings", "-i", path, "--yes", "-o", "json")
    assert (made.code, made.json["outcomes"]["done"]) == (0, 7)
    path.write_text(RINGS.format(deadline=3), encoding="utf-8")
    planned = simulated("plan", "devices.update-rings", "-i", path, "-o", "json")
    assert {name: count for name, count in planned.json["changes"].items() if count} == {"noop": 6, "update": 1}
    assert simulated("apply", "devices.update-rings", "-i", path, "--yes").code == 0
    assert tenant.log()[-1].method == "PATCH"
    assert simulated("plan", "devices.update-rings", "-i", path, "-o", "json").json["status"] == "empty"
    looked = tenant.look()
    kept = {each["displayName"]: each for each in looked.state.table("deviceConfigurations").objects.values()}
    looked.close()
    assert kept["Early"]["deadlineForQualityUpdatesInDays"] == 3
    assert kept["Early"]["installationSchedule"]["activeHoursEnd"].startswith("17:00:00")


def test_a_ring_that_is_slow_is_warned_of(graphkit, tmp_path):
    path = tmp_path / "rings.yaml"
    path.write_text("rings: [{name: Slow, quality_deferral: 10, deadline: 5}]\n", encoding="utf-8")
    told = graphkit("validate", "devices.update-rings", "-i", path, "-o", "json")
    assert told.code == 0
    assert "15 days" in told.json["warnings"][0]


def two(first, second):
    return f"rings:\n  - {{name: A, assign: {first}}}\n  - {{name: B, assign: {second}}}\n"


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("{include: [All devices]}", "{include: [All users]}", "RX1-WS-"),
        ("{include: [All devices]}", "{include: [Wards]}", "RX1-WS-"),
        ("{include: [Wards]}", "{include: [Wards]}", "A and B"),
    ],
)
def test_a_device_in_two_rings_is_an_error_that_names_it(tmp_path, first, second, said):
    async def check() -> None:
        async with bench(tmp_path, devices=20) as here:
            body = {"displayName": "Wards", "mailEnabled": False, "mailNickname": "w", "securityEnabled": True}
            made = await here.client.create("/groups", body)
            user = here.tenant.seed.id_of("user", "rx1-0001@contoso.example")
            link = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{user}"}
            await here.client.clock.sleep(30)
            await here.client.action(f"/groups/{made['id']}/members/$ref", link)
            with pytest.raises(InputErrors) as raised:
                await here.plan("devices.update-rings", two(first, second), suffix="yaml")
            (problem,) = raised.value.problems
            assert (problem.where, problem.code) == ("rings[1]", "in-two-policies")
            assert said in problem.message
            apart = two(first, second.replace("}", ", exclude: [Wards]}"))
            if first == "{include: [Wards]}":
                others = apart.replace("B, assign: {include: [Wards]", "B, assign: {include: [All users]")
                with await here.plan("devices.update-rings", others, suffix="yaml") as planned:
                    assert planned.header()["status"] == "ready"

    run(check(), virtual=True)


@pytest.mark.parametrize(
    ("ring", "path", "said"),
    [
        ("{name: A, quality_deferral: 31}", "rings[0].quality_deferral", "30"),
        ("{name: A, active_hours: early}", "rings[0].active_hours", "such as 8-17"),
        (
            "{name: A, settings: {userPauseAcess: disabled}}",
            "rings[0].settings.userPauseAcess",
            "did you mean userPauseAccess",
        ),
    ],
)
def test_a_wrong_ring_is_named_by_its_path(simulated, tmp_path, ring, path, said):
    file = tmp_path / "rings.yaml"
    file.write_text(f"rings: [{ring}]\n", encoding="utf-8")
    told = simulated("validate", "devices.update-rings", "-i", file)
    assert told.code == 5
    assert path in told.stderr
    assert said in told.stderr
