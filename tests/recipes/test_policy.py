"""teams.policy through the command line, on a simulated tenant kept in a file."""

from __future__ import annotations

import json

import pytest
from office import STARTERS, Office, example, upn

from graphkit.resources.naming_policy import NamingPolicy

CONFIRMED = ("--confirm", "contoso.example")
UNIFIED = "62375ab9-6b52-47ed-826b-58e47e0e304b"
FIVE = """naming: "ORG-[GroupName]"
blocked_words: [payroll, ceo]
creators_group: Break glass
guests: false
expiry_days: 365
"""


@pytest.fixture
def office(simulated, tenant, tmp_path):
    tenant.seed(organisations=1, users=20, licensed=10)
    return Office(tmp_path, simulated, tenant)


def policy(office, text=FIVE):
    return office.write("policy.yaml", text)


def settings(office):
    (found,) = office.graph("get", "/groupSettings")["value"]
    return {row["name"]: row["value"] for row in found["values"]}


def writes(office):
    return [line for line in office.writes() if "/groupSettings" in line or "/groupLifecycle" in line]


def test_one_of_five_values_changed_is_one_patch_that_changes_that_value(office):
    plan, code, _ = office.make("teams.policy", policy(office), flags=CONFIRMED)
    assert (code, plan["kinds"]) == (0, {"groupLifecyclePolicy": {"create": 1}, "groupSetting": {"create": 1}})
    before, done = settings(office), len(writes(office))
    assert before["EnableGroupCreation"] == "false"
    assert before["CustomBlockedWordsList"] == "payroll,ceo"

    plan, code, _ = office.make("teams.policy", policy(office, FIVE.replace("guests: false", "guests: true")),
                                flags=CONFIRMED)  # fmt: skip
    assert (code, plan["kinds"]["groupSetting"], plan["changes"]["noop"]) == (0, {"update": 1}, 1)
    assert next(each for each in plan["items"] if each["action"] == "update")["note"] == "changes AllowToAddGuests"
    (line,) = writes(office)[done:]
    assert line.startswith("PATCH /groupSettings/")
    assert settings(office) == {**before, "AllowToAddGuests": "true"}

    code, plan = office.plan("teams.policy", office.folder / "policy.yaml", flags=CONFIRMED)
    assert (code, plan["status"]) == (0, "empty")


def test_what_is_not_mentioned_stays_as_it_is(office):
    office.make("teams.policy", policy(office), flags=CONFIRMED)
    before = settings(office)
    _, code, _ = office.make("teams.policy", policy(office, "naming: ''\n"), flags=CONFIRMED)
    assert (code, settings(office)) == (0, {**before, "PrefixSuffixNamingRequirement": ""})


def test_what_is_in_force_by_default_is_no_change(office):
    text = 'naming: ""\nblocked_words: []\ncreators_group: ""\nguests: true\n'
    code, plan = office.plan("teams.policy", policy(office, text))
    assert (code, plan["status"]) == (0, "empty")


@pytest.mark.parametrize("flags", [(), ("--confirm", "fabrikam.example")], ids=["nothing typed", "another domain"])
def test_nothing_is_changed_for_the_whole_tenant_unless_its_domain_was_typed(office, flags):
    code, plan = office.plan("teams.policy", policy(office), flags=flags)
    assert (code, plan["status"]) == (6, "blocked")
    assert any("--confirm contoso.example allows it" in reason for reason in plan["blocked"])
    assert office.apply()[0] == 6
    assert writes(office) == []


def test_the_names_in_breach_are_counted(office):
    for name in ("ORG-Rotas", "Rotas", "ORG-Payroll team"):
        body = {
            "displayName": name, "mailNickname": name.replace(" ", ""), "mailEnabled": True,
            "securityEnabled": False, "groupTypes": ["Unified"],
        }  # fmt: skip
        office.graph("post", "/groups", body)
    _, plan = office.plan("teams.policy", policy(office), flags=CONFIRMED)
    (remark,) = plan["remarks"]
    assert remark.startswith("2 of 3 Microsoft 365 groups have names that this policy does not allow")
    assert "such as ORG-Payroll team, Rotas" in remark


NAMES = [
    ("GRP-[GroupName]", "GRP-Rotas", "GRP-Rotas", True),
    ("GRP-[GroupName]", "Rotas", "GRP-Rotas", False),
    ("GRP-[GroupName]", "GRP-Rotas", "Rotas", False),
    ("GRP [GroupName]", "GRP Rotas", "GRPRotas", True),
    ("[GroupName]_[Department]", "Rotas_Nursing", "Rotas_Nursing", True),
    ("[GroupName]_[Department]", "Rotas", "Rotas", False),
    ("[GroupName] (x)", "Rotas (x)", "Rotasx", True),
    ("", "The CEO office", "TheOffice", False),
    ("", "Ceosphere", "Ceosphere", True),
    ("CEO-[GroupName]", "CEO-Rotas", "CEO-Rotas", True),
]


@pytest.mark.parametrize(("requirement", "name", "alias", "allowed"), NAMES)
def test_a_name_is_held_against_the_policy(requirement, name, alias, allowed):
    assert NamingPolicy(requirement, ("ceo",)).allows(name, alias) is allowed


@pytest.mark.parametrize("kind", ["groupSettings", "groupLifecyclePolicies"])
def test_a_settings_object_is_made_once_though_the_run_is_killed(office, kind):
    assert office.plan("teams.policy", policy(office), flags=CONFIRMED)[0] == 0
    office.kill(method="POST", path=f"/{kind}", when="after")
    code, ended = office.apply(verb="resume")
    assert (code, ended["outcomes"]["failed"]) == (0, 0)
    assert len(writes(office)) == 2


def test_a_setting_that_somebody_changed_since_is_not_overwritten(office):
    office.make("teams.policy", policy(office), flags=CONFIRMED)
    assert office.plan("teams.policy", policy(office, "guests: true\n"), flags=CONFIRMED)[0] == 0
    (found,) = office.graph("get", "/groupSettings")["value"]
    values = [{**row, "value": "true" if row["name"] == "EnableMIPLabels" else row["value"]} for row in found["values"]]
    office.graph("patch", f"/groupSettings/{found['id']}", {"values": values})
    code, _ = office.apply()
    assert (code, settings(office)["EnableMIPLabels"], settings(office)["AllowToAddGuests"]) == (3, "true", "false")


BAD = {
    "naming: GRP\n": "holds [GroupName] once",
    "blocked_words: [two words]\n": "'two words' is not one word",
    "creators_group: Nobody at all\n": "no group is called Nobody at all",
    "expiry_days: 5\n": "expiry_days",
    "expiry_groups: All\n": "expiry_days: is needed",
    "{}\n": "says nothing",
    "names: x\n": "names",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_wrong_with_the_file_is_told_and_nothing_is_written(office, text):
    code, told = office.plan("teams.policy", policy(office, text), flags=CONFIRMED)
    assert code == 5
    assert any(BAD[text] in f"{each['path']}: {each['message']}" for each in told["error"]["errors"])


def test_whom_to_tell_and_which_groups_expire(office):
    text = f"expiry_days: 180\nexpiry_groups: Selected\nexpiry_mail: [{upn(1)}, {upn(2)}]\n"
    _, code, _ = office.make("teams.policy", policy(office, text), flags=CONFIRMED)
    (found,) = office.graph("get", "/groupLifecyclePolicies")["value"]
    assert (code, found["groupLifetimeInDays"], found["managedGroupTypes"]) == (0, 180, "Selected")
    assert found["alternateNotificationEmails"] == f"{upn(1)};{upn(2)}"
    plan, code, _ = office.make("teams.policy", policy(office, "expiry_days: 365\n"), flags=CONFIRMED)
    assert (code, plan["kinds"]["groupLifecyclePolicy"]) == (0, {"update": 1})
    (found,) = office.graph("get", "/groupLifecyclePolicies")["value"]
    assert (found["groupLifetimeInDays"], found["managedGroupTypes"]) == (365, "Selected")


def test_the_starter_file_is_valid(simulated):
    result = simulated("validate", "teams.policy", "-i", STARTERS / "policy.yaml", "-o", "json")
    assert (result.code, result.json["errors"]) == (0, [])


def test_the_worked_example_of_the_page_is_true(office):
    path = office.write("policy.yaml", example("teams.policy", "yaml"))
    plan, code, _ = office.make("teams.policy", path, flags=CONFIRMED)
    told = json.loads(example("teams.policy", "json"))
    assert (code, plan["kinds"]) == (0, told["kinds"])
    assert {name: settings(office)[name] for name in told["values"]} == told["values"]
