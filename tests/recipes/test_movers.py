"""people.movers, through the command line."""

import json

import pytest
from staff import Office, employee, lines, row

PAGE = """\
departments:
  Nursing: {groups: ['{org}.nurses']}
  Pharmacy: {groups: ['{org}.pharmacy']}
overlap_days: 14
"""


@pytest.fixture
def office(simulated, tmp_path):
    return Office(simulated, tmp_path, "people.movers", page=PAGE)


@pytest.fixture
def groups(office):
    """The groups of two departments; account 1 is a nurse."""
    found = {name: office.group(f"RX1.{name}") for name in ("nurses", "pharmacy")}
    patch(office, 1, {"department": "Nursing"})
    join(office, found["nurses"], 1)
    return found


def upn(number):
    return f"rx1-{number:04}@contoso.example"


def account(office, number):
    select = "id,department,jobTitle,companyName,givenName,mobilePhone"
    return office.graph(f"/users/{upn(number)}?$select={select}")


def patch(office, number, body):
    done = office.simulated("graph", "patch", f"/users/{upn(number)}", "--body", json.dumps(body), "--yes")
    assert done.code == 0, done.stderr


def join(office, group, number):
    link = f"https://graph.microsoft.com/v1.0/users/{account(office, number)['id']}"
    office.post(f"/groups/{group}/members/$ref", {"@odata.id": link})


def moved(department="Pharmacy", **more):
    """Account 1 as HR has it, names apart, which are as they were."""
    return [row(employee(1), "RX1", "Staff", department=department, **more)]


def settled(office):
    """Names as in the file, so that a move changes nothing else."""
    patch(office, 1, {"givenName": "RX1", "surname": "Staff"})


def test_a_new_department_is_one_patch_one_membership_and_one_removal_that_waits(office, groups, tenant):
    settled(office)
    rows = moved(moved_on="2026-01-19")
    plan = office.plan(rows)
    changes = {action: count for action, count in plan.json["changes"].items() if count and action != "noop"}
    assert changes == {"update": 1, "add": 1}
    assert [item["note"] for item in lines(plan, "scheduled").values()] == ["leaves RX1.nurses on 2026-02-02"]
    before = len(tenant.log())
    assert office.apply(rows).json["outcomes"]["done"] == 2
    assert [entry.method for entry in tenant.log()[before:]] == ["PATCH", "PATCH"]
    assert account(office, 1)["department"] == "Pharmacy"
    alex = account(office, 1)["id"]
    assert (office.members(groups["nurses"]), office.members(groups["pharmacy"])) == ({alex}, {alex})
    assert office.plan(rows).json["status"] == "empty"


def test_the_old_group_goes_once_the_overlap_is_over(office, groups):
    rows = moved(moved_on="2026-01-19")
    office.apply(rows)
    office.day = "2026-02-02"
    assert office.plan(rows).json["changes"]["remove"] == 1
    assert office.apply(rows).code == 0
    assert office.members(groups["nurses"]) == set()
    assert office.plan(rows).json["status"] == "empty"
    undone = office.simulated("undo", office.runs[1], "--yes", "-o", "json")
    assert (undone.code, len(office.members(groups["nurses"]))) == (0, 1)


def test_a_removal_that_is_due_waits_until_the_new_groups_are_there(office, groups):
    office.day = "2026-03-01"
    rows = moved(moved_on="2026-01-19")
    plan = office.plan(rows)
    assert (plan.json["changes"]["add"], plan.json["changes"]["remove"]) == (1, 0)
    (note,) = (item["note"] for item in lines(plan, "scheduled").values())
    assert note == "leaves RX1.nurses by the next plan, once the new ones are there"
    office.apply(rows)
    assert office.plan(rows).json["changes"]["remove"] == 1


def test_without_the_day_of_the_move_nothing_is_taken(office, groups):
    office.apply(moved())
    office.day = "2026-12-31"
    plan = office.plan(moved())
    assert (plan.json["status"], plan.json["changes"]["remove"]) == ("empty", 0)
    assert "moved_on, which the file does not give" in str(lines(plan, "scheduled"))


def test_another_organisation_needs_transfer_and_blocks_all_of_that_person(office, groups):
    office.group("RX2.pharmacy")
    rows = [row(employee(1), "RX1", "Staff", org="RX2", department="Pharmacy", moved_on="2026-01-19")]
    plan = office.plan(rows)
    note = lines(plan, "user.profile")[employee(1)]["note"]
    assert note == "it belongs to RX1 and would move to RX2: --transfer allows it"
    assert not {"update", "add", "remove"} & {action for action, count in plan.json["changes"].items() if count}
    assert office.apply(rows, "--transfer").code == 0
    assert account(office, 1)["companyName"] == "RX2"


def test_pools_add_before_they_remove(office, tenant):
    old, new = office.group("RX1.SPE_F1.pool"), office.group("RX1.SPE_E3.pool")
    join(office, old, 1)
    rows = moved("", moved_on="2026-01-01", licence_profile="SPE_E3")
    office.page = "profiles:\n  nurse: {skus: [SPE_F1]}\n"
    office.apply(rows)
    assert (len(office.members(old)), len(office.members(new))) == (1, 1)
    assert office.apply(rows).code == 0
    assert (len(office.members(old)), len(office.members(new))) == (0, 1)


def test_what_the_file_does_not_say_is_left_alone(office):
    patch(office, 1, {"jobTitle": "Matron", "mobilePhone": "+44 7700 900000"})
    office.page = "overlap_days: 14\n"
    office.apply(moved("Estates"))
    kept = account(office, 1)
    assert (kept["jobTitle"], kept["mobilePhone"], kept["department"]) == ("Matron", "+44 7700 900000", "Estates")


def test_undo_sets_back_what_was_there_nothing_included(office):
    patch(office, 1, {"department": None})
    office.page = "overlap_days: 1\n"
    office.apply(moved("Estates"))
    assert office.simulated("undo", office.runs[0], "--yes", "-o", "json").code == 0
    assert (account(office, 1)["department"], account(office, 1)["givenName"]) == (None, None)


def test_who_has_no_account_is_blocked_alone(office, groups):
    plan = office.plan([*moved(), row("90001", department="Pharmacy")])
    assert "people.joiners makes it" in lines(plan, "user.profile")["90001"]["note"]
    assert lines(plan, "group.member")["RX1.pharmacy/90001"]["action"] == "blocked"
    assert plan.json["changes"]["add"] == 1


def test_of_a_group_that_cannot_be_read_nobody_is_taken(office, groups):
    office.apply(moved(moved_on="2026-01-19"))
    rules = office.folder / "faults.json"
    path = f"/groups/{groups['nurses']}/members"
    rules.write_text(json.dumps({"rules": [{"path": path, "action": "forbid", "seconds": 999}]}), encoding="utf-8")
    assert office.simulated("sim", "faults", "load", rules).code == 0
    office.day = "2026-02-02"
    plan = office.plan(moved(moved_on="2026-01-19"))
    assert plan.json["changes"]["remove"] == 0
    assert "its members could not be read" in lines(plan, "group.reference")["RX1.nurses"]["note"]


def test_what_a_directory_on_premises_masters_is_left_to_it(office, tenant):
    tenant.seed(users=60, synced=20)
    office.page = "overlap_days: 1\n"
    assert "on premises" in lines(office.plan(moved("Estates")), "user.profile")[employee(1)]["note"]
