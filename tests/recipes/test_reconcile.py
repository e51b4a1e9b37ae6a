"""licenses.reconcile, through the command line."""

import pytest

from graphkit.sandbox.areas.licensing import set_states, state_of
from graphkit.sandbox.seeding.skus import PRODUCTS

E3, F3, EMS, AUDIO = (PRODUCTS[name].id for name in ("SPE_E3", "SPE_F1", "EMS", "MCOMEETADV"))
ELSEWHERE = "0c4a5bd2-3b2c-4a5e-9d52-52a0a1d0f3aa"


def upn(number):
    return f"rx1-{number:04}@contoso.example"


def failed(sku, group, error, state="Error"):
    return {**state_of(sku, group, (), 0.0, error), "state": state}


@pytest.fixture
def tenant(tenant):
    return tenant.seed(users=60, licensed=0, skus=("SPE_E3", "SPE_F1", "EMS", "MCOMEETADV"))


@pytest.fixture
def pool(simulated, tenant, tmp_path):
    """A pool of six; returns the id of its group."""
    (tmp_path / "m.csv").write_text("\n".join(["upn", *map(upn, range(1, 7)), ""]), encoding="utf-8")
    path = tmp_path / "pools.yaml"
    path.write_text("pools:\n  - {org: RX1, sku: SPE_E3, cap: 9, members_from: m.csv}\n", encoding="utf-8")
    assert simulated("apply", "licenses.pools", "-i", path, "--yes").code == 0
    simulated("plan", "licenses.pools", "-i", path)  # time passes
    with tenant.changed() as here:
        (group,) = [each for each in here.state.table("groups").in_order() if each.get("uniqueName")]
    return group["id"]


@pytest.fixture
def put(tenant):
    """``put(1, state, ..., usageLocation="IN")``: what a user's licences look like."""

    def say(number, *states, **properties):
        with tenant.changed() as here:
            user = here.state.get("users", here.seed.id_of("user", upn(number)))
            set_states(here, {**user, **properties}, list(states))

    return say


def states(tenant, number):
    with tenant.changed() as here:
        user = here.state.get("users", here.seed.id_of("user", upn(number)))
        return [(each["skuId"], each["state"], each["error"]) for each in user["licenseAssignmentStates"]]


@pytest.fixture
def everywhere(tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text("all: true\n", encoding="utf-8")
    return path


@pytest.fixture
def five(pool, put):
    """Five errors, two of which another try fixes."""
    put(1, failed(E3, pool, "CountViolation"))
    put(2, failed(E3, pool, "CountViolation"))
    put(3, state_of(F3, None, (), 0.0), failed(E3, pool, "MutuallyExclusiveViolation"))
    put(4, state_of(AUDIO, None, (), 0.0), failed(E3, ELSEWHERE, "DependencyViolation", "ActiveWithError"))
    put(5, failed(E3, pool, "ProhibitedInUsageLocationViolation"), usageLocation="IN")
    return pool


def plan(simulated, *paths):
    given = [part for path in paths for part in ("-i", path)]
    return simulated("plan", "licenses.reconcile", *given, "-o", "json", "--full")


def apply(simulated, *paths):
    given = [part for path in paths for part in ("-i", path)]
    return simulated("apply", "licenses.reconcile", *given, "--yes", "-o", "json")


def advice(result):
    return {item["key"].partition("@")[0]: item["note"] for item in result.json["items"] if item["action"] == "blocked"}


def test_of_five_errors_two_are_processed_again_and_three_get_advice(simulated, tenant, five, everywhere):
    planned = plan(simulated, everywhere)
    assert (planned.json["changes"]["update"], planned.json["changes"]["blocked"]) == (2, 3)
    told = advice(planned)
    assert told["rx1-0003"].startswith("MutuallyExclusiveViolation: SHAREPOINTDESKLESS and SHAREPOINTENTERPRISE cannot")
    assert told["rx1-0004"].startswith("DependencyViolation: MCOMEETADV, which they hold besides, needs it")
    assert told["rx1-0005"].startswith("ProhibitedInUsageLocationViolation: the product may not be used in IN")
    before = len(tenant.log())
    applied = apply(simulated, everywhere)
    assert (applied.code, applied.json["outcomes"]["done"], applied.json["outcomes"]["skipped"]) == (3, 2, 3)
    writes = [entry.path.rpartition("/")[2] for entry in tenant.log()[before:]]
    assert writes == ["reprocessLicenseAssignment"] * 2
    again = plan(simulated, everywhere)
    assert (again.json["status"], again.json["changes"]["blocked"]) == ("empty", 3)
    assert states(tenant, 1) == states(tenant, 2) == [(E3, "Active", "None")]


def test_seats_go_to_the_first_by_name_and_the_rest_is_advised(simulated, tenant, pool, put, everywhere):
    for number in (1, 2, 3):
        put(number, failed(E3, pool, "CountViolation"))
    with tenant.changed() as here:
        (sku,) = [each for each in here.state.table("subscribedSkus").objects.values() if each["skuId"] == E3]
        units = {**sku["prepaidUnits"], "enabled": here.consumed[E3] + 2}
        here.state.put("subscribedSkus", {**sku, "prepaidUnits": units})
    planned = plan(simulated, everywhere)
    assert planned.json["changes"]["update"] == 2
    assert advice(planned) == {
        "rx1-0003": "CountViolation: SPE_E3 has no free seat: buy more, or take some back (licenses.reclaim)"
    }


def test_what_another_licence_of_the_group_holds_back_follows_it(simulated, pool, put, everywhere):
    put(1, failed(EMS, pool, "Other"), failed(E3, pool, "CountViolation"))
    put(2, failed(EMS, pool, "Other"), failed(E3, pool, "UniquenessViolation"))
    planned = plan(simulated, everywhere)
    assert planned.json["changes"]["update"] == 2
    assert [item["key"] for item in planned.json["items"] if item["action"] == "blocked"] == [
        f"{upn(2)}/EMS/{pool}",
        f"{upn(2)}/SPE_E3/{pool}",
    ]
    assert advice(planned)["rx1-0002"].startswith("UniquenessViolation: an address of theirs")


def test_both_errors_of_a_user_are_one_write(simulated, tenant, pool, put, everywhere):
    put(1, failed(EMS, pool, "Other"), failed(E3, pool, "CountViolation"))
    before = len(tenant.log())
    assert apply(simulated, everywhere).json["outcomes"]["done"] == 2
    assert len(tenant.log()) == before + 1


def test_once_the_conflict_is_gone_another_try_helps(simulated, pool, put, everywhere):
    put(3, failed(E3, pool, "MutuallyExclusiveViolation"))
    put(4, state_of(E3, None, (), 0.0), failed(AUDIO, pool, "DependencyViolation"))
    assert plan(simulated, everywhere).json["changes"]["update"] == 2


def test_what_was_given_directly_is_not_processed_again(simulated, put, everywhere):
    put(1, failed(E3, None, "CountViolation"))
    assert "assign it again (licenses.assign)" in advice(plan(simulated, everywhere))["rx1-0001"]


def test_the_file_of_the_pools_says_where_to_look(simulated, tmp_path, five):
    planned = plan(simulated, tmp_path / "pools.yaml")
    # The one that comes from another group is not this pool's.
    assert (planned.json["changes"]["update"], planned.json["changes"]["blocked"]) == (2, 2)
    assert f"{upn(1)}/SPE_E3/RX1.SPE_E3.pool" in {item["key"] for item in planned.json["items"]}


def test_a_pool_that_is_not_there_could_not_be_looked_at(simulated, tmp_path):
    (tmp_path / "pools.yaml").write_text("pools:\n  - {org: RX9, sku: EMS, cap: 9, members_from: m.csv}\n")
    told = [item["note"] for item in plan(simulated, tmp_path / "pools.yaml").json["items"]]
    assert told == ["it could not be looked at: there is no such pool"]


def test_rows_of_assign_are_looked_at_and_what_is_missing_is_added(simulated, tenant, tmp_path, five):
    path = tmp_path / "assign.csv"
    path.write_text("\n".join(["upn,sku,org", f"{upn(1)},SPE_E3,RX1", f"{upn(9)},EMS,RX1", ""]), encoding="utf-8")
    planned = plan(simulated, path)
    changes = {(item["kind"], item["key"].partition("@")[0]): item["action"] for item in planned.json["items"]}
    assert changes["user.licenseError", "rx1-0001"] == "update"
    assert changes["user.license", "rx1-0009"] == "add"
    assert ("user.license", "rx1-0001") not in changes
    assert ("user.licenseError", "rx1-0002") not in changes


def test_a_scope_has_to_say_where(simulated, tmp_path):
    (tmp_path / "x.yaml").write_text("skus: [SPE_E3]\n")
    refused = plan(simulated, tmp_path / "x.yaml")
    assert (refused.code, "either all: true or pools" in refused.stdout) == (5, True)


def test_an_undo_says_that_processing_cannot_be_taken_back(simulated, five, everywhere, tmp_path):
    run = tmp_path / "a.run"
    simulated("apply", "licenses.reconcile", "-i", everywhere, "--out", run, "--yes")
    undone = simulated("undo", run, "--yes", "-o", "json")
    outcomes = {name: count for name, count in undone.json["outcomes"].items() if count}
    assert (undone.code, outcomes) == (3, {"skipped": 2})


def test_the_starter_file_is_planned_as_it_is(simulated, tmp_path, five):
    assert simulated("recipe", "template", "licenses.reconcile", tmp_path).code == 0
    assert plan(simulated, tmp_path / "reconcile.yaml").json["changes"]["update"] == 2
