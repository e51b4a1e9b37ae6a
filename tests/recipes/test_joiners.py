"""people.joiners, through the command line."""

import json

import pytest
from staff import PAGE, Office, employee, lines, row

NURSES = "profiles:\n  nurse: {skus: [SPE_F1], groups: ['{org}.nurses']}\n"


@pytest.fixture
def office(simulated, tmp_path):
    return Office(simulated, tmp_path, "people.joiners")


def delete(office, upn, employee_id):
    """Somebody of that employee id worked here until lately."""
    user = {
        "accountEnabled": True,
        "displayName": "Kim Sample",
        "mailNickname": upn.partition("@")[0],
        "userPrincipalName": upn,
        "employeeId": employee_id,
        "passwordProfile": {"password": "Not-a-secret-2026"},
    }
    made = office.post("/users", user)
    assert office.simulated("graph", "delete", f"/users/{made['id']}", "--yes").code == 0
    return made["id"]


def test_of_three_one_has_a_name_that_is_taken_and_one_waits_in_the_recycle_bin(office):
    waiting = delete(office, "kim.sample@contoso.example", "90003")
    rows = [row("90001"), row("90002"), row("90003", "Kim", "Sample")]
    plan = office.plan(rows)
    users = lines(plan, "user")
    assert plan.json["changes"]["create"] == 3
    assert users["90002"]["note"] == "alex.example@contoso.example is taken: alex.example2@contoso.example instead"
    assert users["90003"]["note"].startswith("restored from the recycle bin")
    assert office.apply(rows).json["outcomes"]["done"] == 3
    assert office.user("90003")["id"] == waiting
    assert {office.user(each)["userPrincipalName"] for each in ("90001", "90002")} == {
        "alex.example@contoso.example",
        "alex.example2@contoso.example",
    }
    assert office.plan(rows).json["status"] == "empty"


def test_a_name_of_the_file_that_is_taken_is_blocked_with_the_next_free_one(office):
    plan = office.plan([row("90001", upn="rx1-0001@contoso.example"), row("90002")])
    assert lines(plan, "user")["90001"]["note"] == (
        "rx1-0001@contoso.example is taken: rx1-00012@contoso.example is free"
    )
    assert (plan.json["changes"]["create"], plan.json["changes"]["blocked"]) == (1, 1)


def test_a_name_at_a_domain_that_is_not_the_tenants_is_blocked_before_the_service_refuses_it(office):
    plan = office.plan([row("90001", upn="alex@elsewhere.example"), row("90002")])
    assert lines(plan, "user")["90001"]["note"] == (
        "elsewhere.example is not a domain of this tenant (contoso.example, contoso.onmicrosoft.example)"
    )
    assert (plan.json["changes"]["create"], plan.json["changes"]["blocked"]) == (1, 1)


def test_within_one_organisation_a_manager_of_another_who_is_still_to_come_holds_up_nobody_else(office):
    rows = [row("90001", manager_employee_id="90002"), row("90002", "Kim", "Sample", org="RX2"), row("90003")]
    unfenced = office.plan(rows)
    assert (unfenced.json["changes"]["create"], unfenced.json["changes"]["blocked"]) == (3, 0)
    fenced = office.plan(rows, "--org", "RX1")
    assert (fenced.json["changes"]["create"], fenced.json["changes"]["blocked"]) == (2, 1)
    assert lines(fenced, "user.manager")["90001"]["note"] == (
        "manager_employee_id: 90002 not found, neither in the tenant nor among those of --org RX1"
    )


def test_accented_names_are_spelt_out_and_others_need_a_upn(office):
    rows = [row("90001", "Zoë-Ann", "Ø'Brień"), row("90002", "花", "山")]
    plan = office.plan(rows)
    assert "give a upn" in lines(plan, "user")["90002"]["note"]
    office.apply(rows)
    assert office.user("90001")["userPrincipalName"] == "zoe-ann.obrien@contoso.example"


def test_the_password_is_nowhere_but_in_the_request(office, tenant, monkeypatch):
    sent = []
    from graphkit.resources import accounts

    monkeypatch.setattr(accounts, "new_password", lambda made=accounts.new_password: sent.append(made()) or sent[-1])
    result = office.apply([row("90001"), row("90002", "Kim")])
    assert (result.code, len(sent) >= 2) == (0, True)
    for path in [path for path in office.folder.rglob("*") if path.is_file() and not path.name.startswith("tenant")]:
        kept = path.read_bytes()
        assert not [word for word in sent if word.encode() in kept], path
    assert not [word for word in sent if word in result.stdout + result.stderr]


@pytest.mark.parametrize("fault", [{"action": "commit-then", "status": 504}, {"action": "answer", "status": 504}])
def test_a_create_whose_answer_was_lost_is_looked_for_and_repeated_with_another_password(office, monkeypatch, fault):
    from graphkit.resources import accounts

    made = []
    monkeypatch.setattr(accounts, "new_password", lambda real=accounts.new_password: made.append(real()) or made[-1])
    rules = office.folder / "faults.json"
    rule = {"method": "POST", "path": "/users", "times": 1, **fault}
    rules.write_text(json.dumps({"rules": [rule]}), encoding="utf-8")
    assert office.simulated("sim", "faults", "load", rules).code == 0
    result = office.apply([row("90001")])
    assert (result.code, result.json["outcomes"]["done"]) == (0, 1)
    found = office.graph("/users?$filter=startsWith(userPrincipalName,'alex.example')&$select=id")["value"]
    assert len(found) == 1
    assert len(set(made)) == len(made)


def test_who_starts_later_is_disabled_until_then_and_not_enabled_again_much_later(office):
    rows = [row("90001", start_date="2026-02-02")]
    plan = office.plan(rows)
    assert lines(plan, "scheduled")["90001"]["note"] == "the account is enabled on 2026-02-02"
    assert office.apply(rows).code == 0
    assert office.user("90001")["accountEnabled"] is False
    office.day = "2026-02-20"
    assert office.plan(rows).json["status"] == "empty"
    office.day = "2026-02-03"
    assert office.apply(rows).json["outcomes"]["done"] == 1
    assert office.user("90001")["accountEnabled"] is True


def test_the_manager_may_be_in_the_same_file_or_in_the_tenant(office):
    rows = [row("90001", manager_employee_id="90002"), row("90002", "Kim", manager_employee_id=employee(1))]
    assert office.apply(rows).json["outcomes"]["done"] == 4
    kim = office.user("90002")["id"]
    assert office.graph(f"/users/{office.user('90001')['id']}/manager")["id"] == kim
    assert office.graph(f"/users/{kim}/manager")["userPrincipalName"] == "rx1-0001@contoso.example"
    assert office.plan(rows).json["status"] == "empty"


def test_a_manager_whom_nobody_knows_is_an_error_with_its_row(office):
    result = office.plan([row("90001", manager_employee_id="00917")])
    (error,) = result.json["error"]["errors"]
    assert (result.code, error["row"], error["message"]) == (5, 2, "manager_employee_id: 00917 not found")


def test_pools_and_groups_follow_the_account(office):
    office.page = PAGE + NURSES
    pool, nurses = office.group("RX1.SPE_F1.pool"), office.group("RX1.nurses")
    rows = [row("90001", licence_profile="nurse"), row("90002", "Kim", licence_profile="SPE_F1")]
    assert office.apply(rows).json["outcomes"]["done"] == 5
    alex, kim = (office.user(each)["id"] for each in ("90001", "90002"))
    assert office.members(pool) == {alex, kim}
    assert office.members(nurses) == {alex}
    assert office.plan(rows).json["status"] == "empty"


def test_a_pool_that_is_not_there_blocks_the_membership_alone(office):
    plan = office.plan([row("90001", licence_profile="SPE_E3")])
    assert plan.json["changes"]["create"] == 1
    assert (
        "RX1.SPE_E3.pool: make it first (licenses.pools)"
        in lines(plan, "group.member")["RX1.SPE_E3.pool/90001"]["note"]
    )


def test_seats_are_counted_for_the_whole_plan(office, tenant):
    tenant.seed(users=30, licensed=0, seats={"SPE_F1": 1})
    office.group("RX1.SPE_F1.pool")
    plan = office.plan([row("90001", licence_profile="SPE_F1"), row("90002", "Kim", licence_profile="SPE_F1")])
    assert (plan.code, "2 seats needed, 1 free" in plan.json["blocked"][0]) == (6, True)


def test_an_employee_id_of_two_accounts_is_blocked(office):
    twin = office.graph("/users/rx1-0002@contoso.example?$select=id")["id"]
    body = f'{{"employeeId": "{employee(1)}"}}'
    assert office.simulated("graph", "patch", f"/users/{twin}", "--body", body, "--yes").code == 0
    note = lines(office.plan([row(employee(1))]), "user")[employee(1)]["note"]
    assert "2 accounts have the employee id" in note


def test_undo_deletes_whom_the_run_made(office):
    office.apply([row("90001", manager_employee_id=employee(1))])
    undone = office.simulated("undo", office.runs[0], "--yes", "--max-deletes", "1", "-o", "json")
    assert (undone.code, office.user("90001")) == (0, None)


def test_without_a_usage_location_nobody_is_made(office):
    office.page = "domain: contoso.example\n"
    assert "usage_location" in lines(office.plan([row("90001")]), "user")["90001"]["note"]


def test_many_people_are_looked_for_in_one_list(office, tenant):
    tenant.seed(users=600)
    rows = [row(employee(number), "Alex", f"Example{number}") for number in range(1, 202)]
    alex, kim = (office.user(employee(number))["id"] for number in (1, 2))
    for each in rows[1:]:
        each["manager_employee_id"] = employee(1)
    with tenant.changed() as changed:
        changed.state.link("manager", kim, alex)
        changed.state.link("manager", changed.seed.id_of("user", "rx1-0003@contoso.example"), kim)
    office.apply(rows)
    plan = office.plan([*rows, row("90001", "RX1", "0001", upn="rx1-0001@contoso.example")])
    assert plan.json["changes"]["noop"] == 201 + 200
    assert "is taken" in lines(plan, "user")["90001"]["note"]
