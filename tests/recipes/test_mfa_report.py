"""reports.mfa, through the command line."""

import json

import pytest

from graphkit.sandbox.seeding.credentials import set_methods
from graphkit.sandbox.seeding.seed import GLOBAL_ADMINISTRATOR

ORGS = "code,name,domain,attribute,caps,status\nRX1,One,,companyName,,open\nRX2,Two,,companyName,,open\n"
PUSH, PHONE = "microsoftAuthenticatorPush", "mobilePhone"


def upn(number, org="rx1"):
    return f"{org}-{number:04}@contoso.example"


@pytest.fixture
def tenant(tenant, tmp_path, monkeypatch):
    """Two organisations of ten; nobody has registered anything."""
    path = tmp_path / "orgs.csv"
    path.write_text(ORGS, encoding="utf-8")
    monkeypatch.setenv("GRAPHKIT_ORGS", str(path))
    made = tenant.seed(organisations=2, users=20, licensed=0)
    register(made, {upn(number, org): () for org in ("rx1", "rx2") for number in range(1, 11)})
    return made


def register(tenant, methods):
    with tenant.changed() as changed:
        for name, registered in methods.items():
            set_methods(changed, changed.seed.id_of("user", name), *registered)


def change(tenant, name, **properties):
    with tenant.changed() as changed:
        user = changed.state.get("users", changed.seed.id_of("user", name))
        changed.state.put("users", {**user, **properties})


def appoint(tenant, *names):
    with tenant.changed() as changed:
        for name in names:
            changed.state.link("roleMembers", GLOBAL_ADMINISTRATOR, changed.seed.id_of("user", name))


def report(simulated, *more):
    result = simulated("report", "mfa", *more, "-o", "json")
    assert result.code == 0, result.stderr
    return result.json


def section(found, name):
    return next(each["rows"] for each in found["sections"] if each["name"] == name)


def organisation(found, code="RX1"):
    return next(row for row in section(found, "organisations") if row["org"] == code)


def test_disabled_and_guest_accounts_leave_the_denominator_but_are_counted(simulated, tenant):
    register(tenant, {upn(number): (PUSH,) for number in range(1, 7)})
    change(tenant, upn(1), accountEnabled=False)
    change(tenant, upn(2), userType="Guest")
    change(tenant, upn(10), userType="Guest", accountEnabled=False)
    row = organisation(report(simulated))
    assert (row["people"], row["disabled"], row["guests"]) == (7, 1, 2)
    assert (row["capable"], row["not_registered"], row["capable_pct"]) == (4, 3, 57.1)


def test_the_numbers_of_every_organisation_add_up(simulated, tenant):
    register(tenant, {upn(1): (PUSH,), upn(2): (PHONE,), upn(3, "rx2"): (PUSH, PHONE)})
    found = report(simulated)
    for row in section(found, "organisations"):
        parts = ("capable", "not_capable", "not_registered", "unknown")
        assert row["people"] == sum(row[part] for part in parts)
        assert row["registered"] == row["capable"] + row["not_capable"]
    everybody = ("people", "disabled", "guests", "skipped")
    everyone = simulated("graph", "get", "/users?$select=id", "--all", "-o", "json").json
    assert sum(found["totals"][part] for part in everybody) == len(everyone)


def test_methods_are_counted_by_organisation_and_phones_alone_apart(simulated, tenant):
    register(tenant, {upn(1): (PUSH, PHONE), upn(2): (PHONE,), upn(1, "rx2"): (PUSH,)})
    found = report(simulated)
    assert {(row["org"], row["method"]): row["people"] for row in section(found, "methods")} == {
        ("RX1", PUSH): 1,
        ("RX1", PHONE): 2,
        ("RX2", PUSH): 1,
    }
    assert organisation(found)["phone_only"] == 1


def test_what_the_policy_does_not_allow_makes_nobody_capable(simulated, tenant):
    register(tenant, {upn(1): ("hardwareOneTimePasscode",)})
    row = organisation(report(simulated))
    assert (row["registered"], row["capable"], row["not_capable"]) == (1, 0, 1)


def test_administrators_without_a_second_factor_are_named_guests_among_them_disabled_ones_not(simulated, tenant):
    register(tenant, {upn(1): (PUSH,)})
    appoint(tenant, upn(1), upn(2), upn(3), upn(4))
    change(tenant, upn(3), userType="Guest")
    change(tenant, upn(4), accountEnabled=False)
    found = report(simulated, "--org", "RX1")
    assert {row["upn"]: row["guest"] for row in section(found, "privileged")} == {upn(2): False, upn(3): True}
    assert found["totals"]["privileged_gaps"] == 2


def test_accounts_that_nobody_signs_in_with_can_be_left_out(simulated, tenant):
    row = organisation(report(simulated, "--set", "skip=RX1-000*;svc-*"))
    assert (row["people"], row["skipped"]) == (1, 9)


def test_the_fence_shows_one_organisation(simulated, tenant):
    found = report(simulated, "--org", "RX2")
    assert [row["org"] for row in section(found, "organisations")] == ["RX2"]
    assert {row["org"] for row in section(found, "gaps")} == {"RX2"}


def test_who_is_not_in_the_report_is_unknown(simulated, tenant, tmp_path):
    rules = tmp_path / "faults.json"
    path = "/reports/authenticationMethods/userRegistrationDetails"
    rule = {"path": path, "action": "answer", "status": 200, "body": {"value": []}}
    rules.write_text(json.dumps({"rules": [rule]}), encoding="utf-8")
    loaded = simulated("sim", "faults", "load", rules)
    assert loaded.code == 0, loaded.stderr
    row = organisation(report(simulated))
    assert (row["unknown"], row["not_registered"]) == (10, 0)


def test_without_the_permission_there_is_no_report(simulated, tenant, tmp_path):
    rules = tmp_path / "faults.json"
    rules.write_text('{"rules": [{"path": "/reports/authenticationMethods/*", "action": "forbid", "seconds": 999}]}')
    assert simulated("sim", "faults", "load", rules).code == 0
    assert simulated("report", "mfa").code != 0
