"""devices.hardening, as an administrator runs it."""

from __future__ import annotations

import pytest
from bench import bench, counts

from graphkit.clock import run

DAY = 86_400
TWO_WITHOUT = "00000000-0000-4000-8000-000000000000"
ONE_WITHOUT = "00000000-0000-4000-8000-000000000001"
"""Tenants of whose 20 seeded devices so many have handed in no recovery key."""
BITLOCKER = """policies:
  - key: disks
    bitlocker: {require: true}
    firewall: {domain: true, public: true, block_inbound: true}
    smartscreen: {block_override: true}
    assign: {include: [All devices]}
"""
RULES = """allow_beta: true
policies:
  - key: rules
    asr: {mode: audit, rules: {blockwin32apicallsfromofficemacros: block}}
"""


def test_of_20_devices_2_without_a_recovery_key_are_listed_and_stop_the_plan(simulated, tenant, tmp_path):
    tenant.seed(organisations=2, users=20, licensed=0, devices=20, tenant_id=TWO_WITHOUT)
    path = tmp_path / "hardening.yaml"
    path.write_text(BITLOCKER, encoding="utf-8")
    told = simulated("plan", "devices.hardening", "-i", path, "-o", "json")
    assert (told.code, told.json["status"]) == (6, "blocked")
    (why,) = told.json["blocked"]
    assert "2 of 20 devices" in why
    assert why.count("RX1-WS-") + why.count("RX2-WS-") == 2
    assert simulated("plan", "devices.hardening", "-i", path, "--accept-impact").code == 0
    assert tenant.log() == []


def test_enough_keys_held_it_is_applied_and_a_second_plan_is_empty(simulated, tenant, tmp_path):
    tenant.seed(organisations=2, users=20, licensed=0, devices=20, tenant_id=ONE_WITHOUT)
    path = tmp_path / "hardening.yaml"
    path.write_text(BITLOCKER, encoding="utf-8")
    done = simulated("apply", "devices.hardening", "-i", path, "--yes", "-o", "json")
    assert (done.code, done.json["outcomes"]["done"]) == (0, 2)
    looked = tenant.look()
    (profile,) = looked.state.table("deviceConfigurations").objects.values()
    looked.close()
    assert profile["bitLockerEncryptDevice"] is True
    assert profile["firewallProfileDomain"]["firewallEnabled"] == "allowed"
    assert profile["firewallProfilePrivate"] is None
    assert profile["smartScreenEnableInShell"] is True
    assert simulated("plan", "devices.hardening", "-i", path, "-o", "json").json["status"] == "empty"


def test_a_rule_that_is_to_block_audits_first_and_is_promoted_after_its_days(tmp_path):
    async def check() -> None:
        async with bench(tmp_path) as here:

            async def plan(**options):
                return await here.plan("devices.hardening", RULES, suffix="yaml", **options)

            def modes():
                (policy,) = here.tenant.state.table("configurationPolicies").objects.values()
                (setting,) = policy["settings"]
                (group,) = setting["settingInstance"]["groupSettingCollectionValue"]
                chosen = [each["choiceSettingValue"]["value"].rpartition("_")[2] for each in group["children"]]
                return {mode: chosen.count(mode) for mode in set(chosen)}

            with await plan() as planned:
                assert "1 rules audit first" in next(planned.changes()).note
                await here.apply(planned)
            assert modes() == {"audit": 16}
            with await plan(promote=("rules",)) as early:
                assert early.header()["status"] == "empty"
                assert "day 0 of 7" in next(early.changes()).note
            await here.client.clock.sleep(8 * DAY)
            with await plan() as unasked:
                assert unasked.header()["status"] == "empty"
            with await plan(promote=("rules",)) as planned:
                assert counts(planned) == {"update": 1}
                assert await here.apply(planned, promote=("rules",)) == {"done": 1}
            assert modes() == {"audit": 15, "block": 1}
            with await plan() as again:
                assert again.header()["status"] == "empty"

    run(check(), virtual=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (RULES.partition("\n")[2], "--allow-beta"),
        (RULES.replace("blockwin32apicallsfromofficemacros", "blockmacros"), "no rule that is known: blockmacros"),
        ("policies: [{key: a, settings: {smartScreenEnabelInShell: true}}]\n", "did you mean smartScreenEnableInShell"),
    ],
)
def test_what_is_wrong_is_told_before_any_request(graphkit, tmp_path, text, said):
    path = tmp_path / "hardening.yaml"
    path.write_text(text, encoding="utf-8")
    told = graphkit("validate", "devices.hardening", "-i", path)
    assert told.code == 5
    assert said in told.stderr


def test_the_starter_file_is_applied_and_a_second_plan_is_empty(simulated, tmp_path):
    assert simulated("recipe", "template", "devices.hardening", tmp_path).code == 0
    starter = tmp_path / "hardening.yaml"
    assert simulated("apply", "devices.hardening", "-i", starter, "--yes").code == 0
    assert simulated("plan", "devices.hardening", "-i", starter, "-o", "json").json["status"] == "empty"
