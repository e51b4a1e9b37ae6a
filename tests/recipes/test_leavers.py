"""people.leavers, through the command line."""

import json

import pytest
from staff import Office, employee, lines, row

LAST_DAY = "2026-01-05"


@pytest.fixture
def tenant(tenant):
    return tenant.seed(users=1500, licensed=30, devices=1500, teams_for_all=True)


@pytest.fixture
def office(simulated, tmp_path):
    """On the last day of those who leave."""
    return Office(simulated, tmp_path, "people.leavers", page="retire_devices: true\n", day=LAST_DAY)


def staff(leaving=(), **more):
    """The 500 people of RX1; ``leaving`` are numbers of those whose last day has come, ``more`` what else they have."""
    return [
        row(
            employee(number),
            "Alex",
            f"Example{number}",
            **({"end_date": LAST_DAY, **more} if number in leaving else {}),
        )
        for number in range(1, 501)
    ]


def upn(number):
    return f"rx1-{number:04}@contoso.example"


def account(office, number):
    return office.graph(f"/users/{upn(number)}?$select=id,accountEnabled,assignedLicenses")


def unified(office, name, *owners):
    root = "https://graph.microsoft.com/v1.0/users/"
    bound = [f"{root}{account(office, number)['id']}" for number in owners]
    return office.group(
        name,
        mailEnabled=True,
        securityEnabled=False,
        groupTypes=["Unified"],
        **{"owners@odata.bind": bound, "members@odata.bind": bound},
    )


def provisioned(office, owner):
    """A team with one owner."""
    path = office.folder / "teams.csv"
    path.write_text(
        f"team_key,org,display_name,visibility,owners\nward-7,RX1,RX1 Ward 7,Private,{upn(owner)}\n", encoding="utf-8"
    )
    assert office.simulated("apply", "teams.provision", "-i", path, "--yes", "-o", "none").code == 0
    return office.graph("/groups?$filter=uniqueName eq 'rx1-ward-7'&$select=id")["value"][0]["id"]


def with_device(office):
    """Somebody who has a device."""
    return next(n for n in range(1, 30) if office.graph(f"/users/{upn(n)}/managedDevices")["value"])


def owners(office, group):
    return {each["userPrincipalName"] for each in office.graph(f"/groups/{group}/owners")["value"]}


def writes(tenant, since=0):
    return [f"{entry.method} {entry.path}" for entry in tenant.log()[since:]]


def test_ten_leave_the_only_owner_hands_over_first_and_undo_enables_all_ten(office, tenant):
    team = provisioned(office, 3)
    rows = staff(range(1, 11), manager_employee_id=employee(100))
    before = len(tenant.log())
    plan = office.plan(rows)
    (handover,) = lines(plan, "group.handover").values()
    assert handover["note"] == f"RX1 Ward 7: in place of {upn(3)}, its only owner"
    assert office.apply(rows).code == 0
    assert not any(account(office, number)["accountEnabled"] for number in range(1, 11))
    assert owners(office, team) == {upn(3), upn(100)}
    assert sum(path.endswith("/revokeSignInSessions") for path in writes(tenant, before)) == 10
    assert office.plan(rows).json["status"] == "empty"
    undone = office.simulated("undo", office.runs[0], "--yes", "-o", "json")
    assert undone.code == 0, undone.stderr
    assert all(account(office, number)["accountEnabled"] for number in range(1, 11))
    assert owners(office, team) == {upn(3)}


def test_more_than_two_per_cent_of_an_organisation_are_too_many(office, tenant):
    rows = staff(range(1, 12))
    plan = office.plan(rows)
    assert plan.code == 6
    assert "RX1: 11 of 500 people would leave (2.2 %, 2 % allowed)" in plan.json["blocked"][0]
    assert office.plan(rows, "--accept-impact").json["status"] == "ready"
    assert tenant.log() == []


def test_a_truncated_file_is_stopped(office):
    assert office.plan(staff([1])).json["status"] == "ready"
    plan = office.plan(staff([1])[:300])
    assert (plan.code, "the people of RX1 in the input: 300 listed, and 500" in plan.json["blocked"][0]) == (6, True)


def test_the_next_stage_stands_in_the_plan_with_its_day(office):
    rows = staff([1])
    rows[1]["end_date"] = "2026-02-01"
    scheduled = {key: item["note"] for key, item in lines(office.plan(rows), "scheduled").items()}
    assert scheduled == {
        employee(1): "out of all groups, licences released, devices retired on 2026-01-12",
        employee(2): "disabled, signed out, ownership handed over on 2026-02-01",
    }


def test_after_seven_days_groups_licences_and_devices_go_and_ownership_before_them(office, tenant):
    who = with_device(office)
    team, pool = unified(office, "ward-7", who), office.group("pool")
    link = {"@odata.id": f"https://graph.microsoft.com/v1.0/directoryObjects/{account(office, who)['id']}"}
    office.post(f"/groups/{pool}/members/$ref", link)
    rows = staff([who], manager_employee_id=employee(100))
    office.day = "2026-01-12"
    before = len(tenant.log())
    plan = office.plan(rows)
    retirements = lines(plan, "managedDevice.retirement")
    assert {item["action"] for item in retirements.values()} == {"blocked"}
    result = office.apply(rows, "--allow-irreversible")
    assert (result.code, result.json["outcomes"]["failed"]) == (0, 0)
    assert office.members(team) == {account(office, 100)["id"]}
    assert office.members(pool) == set()
    assert owners(office, team) == {upn(100)}
    assert account(office, who)["assignedLicenses"] == []
    done = writes(tenant, before)
    handed, disabled = (
        next(n for n, path in enumerate(done) if part in path) for part in ("owners/$ref", "PATCH /users")
    )
    gone = [n for n, path in enumerate(done) if path.startswith("DELETE")]
    assert len(gone) == 3
    assert min(gone) > max(handed, disabled)
    assert any(path.endswith("/retire") for path in done)
    assert office.plan(rows, "--allow-irreversible").json["status"] == "empty"


def test_the_only_owner_without_a_successor_keeps_what_hangs_on_the_account(office):
    team = unified(office, "ward-7", 3)
    rows = staff([3])
    office.day = "2026-02-20"
    result = office.apply(rows, "--allow-irreversible", "--max-deletes", "1")
    assert result.code == 3
    assert (account(office, 3)["accountEnabled"], owners(office, team)) == (False, {upn(3)})
    note = lines(office.plan(rows, "--max-deletes", "1"), "leaver")[employee(3)]["note"]
    assert "alone owns ward-7" in note
    office.page = f"owner_fallback: {upn(200)}\n"
    assert office.apply(rows, "--allow-irreversible", "--max-deletes", "1").code == 0
    assert (account(office, 3), owners(office, team)) == (None, {upn(200)})


def test_who_leaves_too_is_no_successor(office):
    unified(office, "ward-7", 3)
    rows = staff([3], manager_employee_id=employee(4))
    rows[3]["end_date"] = LAST_DAY
    assert "nobody to give it to" in lines(office.plan(rows), "leaver")[employee(3)]["note"]


def test_another_owner_who_stays_is_enough(office):
    unified(office, "ward-7", 3, 4)
    assert lines(office.plan(staff([3])), "group.handover") == {}
    assert "nobody to give it to" in lines(office.plan(staff([3, 4])), "leaver")[employee(3)]["note"]


def test_after_thirty_days_the_account_is_deleted_if_deletions_are_allowed_and_comes_back(office, tenant):
    pool = office.group("pool")
    alex = account(office, 3)["id"]
    office.post(f"/groups/{pool}/members/$ref", {"@odata.id": f"https://graph.microsoft.com/v1.0/users/{alex}"})
    rows, office.day = staff([3]), "2026-02-04"
    plan = office.plan(rows, "--allow-irreversible")
    assert (plan.code, "1 deletions planned, 0 allowed" in plan.json["blocked"][0]) == (6, True)
    office.page = "retire_devices: no\n"
    assert office.apply(rows, "--max-deletes", "1").code == 0
    assert account(office, 3) is None
    assert office.plan(rows).json["status"] == "empty"
    undone = office.simulated("undo", office.runs[0], "--yes", "-o", "json")
    assert (account(office, 3)["id"], account(office, 3)["accountEnabled"]) == (alex, False)
    assert office.members(pool) == {alex}
    assert undone.code == 3  # what was changed before it was deleted could not be seen then
    assert office.simulated("undo", office.runs[0], "--yes", "-o", "json").code == 0
    assert account(office, 3)["accountEnabled"] is True


def test_a_protected_account_is_left_alone(office, monkeypatch):
    monkeypatch.setenv("GRAPHKIT_PROTECTED", upn(3))
    result = office.apply(staff([3, 4]))
    assert (result.code, account(office, 3)["accountEnabled"], account(office, 4)["accountEnabled"]) == (3, True, False)


def test_the_fence_leaves_other_organisations_alone(office):
    plan = office.plan([*staff([3]), row(employee(1, "RX2"), org="RX2", end_date=LAST_DAY)], "--org", "RX1")
    assert set(lines(plan, "user")) == {employee(3)}


def test_what_cannot_be_read_releases_nothing(office):
    rules = office.folder / "faults.json"
    rule = {"method": "GET", "path": "/users/*/memberOf/microsoft.graph.group", "action": "answer", "status": 403}
    rules.write_text(json.dumps([rule]), encoding="utf-8")
    assert office.simulated("sim", "faults", "load", rules).code == 0
    office.day = "2026-01-12"
    plan = office.plan(staff([3]), "--allow-irreversible")
    assert "could not be read" in lines(plan, "leaver")[employee(3)]["note"]
    written = {item["kind"] for item in plan.json["items"] if item["action"] not in ("noop", "blocked")}
    assert written == {"user", "user.sessions"}


def test_what_a_directory_on_premises_masters_is_left_to_it(office, tenant):
    tenant.seed(users=1500, synced=1)
    plan = office.plan(staff([500]))
    assert "on premises" in lines(plan, "user")[employee(500)]["note"]
    assert lines(plan, "user.sessions")[employee(500)]["action"] == "blocked"
