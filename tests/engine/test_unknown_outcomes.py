"""Answers that got lost: look, longer than replicas lag and more than once; then adopt, send again, or say so."""

from __future__ import annotations

import json
import math

import pytest
from chaos import World, settle

from graphkit.clock import run
from graphkit.engine.change import Status
from graphkit.engine.runfile import RunFile
from graphkit.protocol.message import Effect, Idempotency, Request
from graphkit.resources.members import Members
from graphkit.resources.named_locations import NamedLocations
from graphkit.session import open_session

POOLS, TEAMS = "licenses.pools", "teams.provision"
ACCESS, DEVICES = "identity.conditional-access", "devices.compliance"
LOCATIONS = "/identity/conditionalAccess/namedLocations"
POLICIES = "/identity/conditionalAccess/policies"
COMPLIANCE = "/deviceManagement/deviceCompliancePolicies"

CREATES = {
    "a group with its owners": (TEAMS, "PATCH", "/groups(*"),
    "a team": (TEAMS, "PUT", "/groups/*/team"),
    "a channel": (TEAMS, "POST", "/teams/*/channels"),
    "a named location": (ACCESS, "POST", LOCATIONS),
    "a conditional access policy": (ACCESS, "POST", POLICIES),
    "a compliance policy": (DEVICES, "POST", COMPLIANCE),
}
LOST = [{"failure": "timeout"}, {"failure": "reset"}, {"status": 502}, {"status": 504}]


@pytest.fixture
def world(tmp_path):
    def planned(recipe):
        made = World(tmp_path, recipe)
        made.prepare()
        assert made.plan("a.run").status == "ready"
        return made

    return planned


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """How many writes of each recipe the tenant has in its log if nothing goes wrong."""
    found = {}

    def writes(recipe):
        if recipe not in found:
            undisturbed = World(tmp_path_factory.mktemp("usual"), recipe)
            undisturbed.prepare()
            undisturbed.plan("a.run")
            assert undisturbed.apply("a.run").apply_exit_code == 0
            found[recipe] = sorted(undisturbed.picture()[1])
        return found[recipe]

    return writes


def outcomes(world):
    with RunFile.open(world.folder / "a.run") as file:
        return {(change.kind, change.key): result for change, result in file.results()}


@pytest.mark.parametrize("what", CREATES)
@pytest.mark.parametrize("how", LOST, ids=lambda how: str(*how.values()))
def test_what_was_executed_is_adopted_and_never_made_twice(world, usual, what, how):
    recipe, method, path = CREATES[what]
    tenant = world(recipe)
    tenant.faults([{"method": method, "path": path, "action": "commit-then", "times": 2, **how}])
    assert tenant.apply("a.run").apply_exit_code == 0
    assert sorted(tenant.picture()[1]) == usual(recipe)


@pytest.mark.parametrize("what", CREATES)
def test_what_was_not_executed_is_looked_for_and_sent_again(world, usual, what):
    recipe, method, path = CREATES[what]
    tenant = world(recipe)
    tenant.faults([{"method": method, "path": path, "action": "answer", "status": 504, "times": 2}])
    assert tenant.apply("a.run").apply_exit_code == 0
    assert sorted(tenant.picture()[1]) == usual(recipe)


@pytest.mark.parametrize(("recipe", "path"), [(ACCESS, POLICIES), (ACCESS, LOCATIONS), (DEVICES, COMPLIANCE)])
@pytest.mark.parametrize("unseen", [[1], [1, 2, 3], [2, 3], [1, 2, 3, 4]])
def test_replicas_that_show_it_late_or_go_backwards_lead_to_no_second_one(world, usual, recipe, path, unseen):
    """What the service would take twice is looked for until every replica must show it."""
    tenant = world(recipe)
    hidden = {"method": "GET", "path": path, "action": "answer", "status": 200, "body": {"value": []}}
    # The first read of the list is the plan's own, to see that nothing has changed.
    tenant.faults(
        [
            {"method": "POST", "path": path, "action": "commit-then", "failure": "timeout", "times": 1},
            {**hidden, "nth": [each + 1 for each in unseen]},
        ]
    )
    tenant.apply("a.run")
    writes = tenant.picture()[1]
    assert writes.count(f"POST {path}") <= usual(recipe).count(f"POST {path}")
    tenant.faults([])
    for _ in range(2):
        tenant.apply("a.run")
    assert sorted(tenant.picture()[1]) == usual(recipe)


def test_what_cannot_be_looked_up_is_unknown_until_it_can_be(world, usual):
    tenant = world(DEVICES)
    tenant.faults(
        [
            {"method": "POST", "path": COMPLIANCE, "action": "commit-then", "failure": "timeout", "times": 1},
            {"method": "GET", "path": f"{COMPLIANCE}*", "action": "answer", "status": 403, "nth": [*range(5, 200)]},
        ]
    )
    summary = tenant.apply("a.run")
    assert summary.outcomes["unknown"] >= 1
    assert summary.apply_exit_code == 3
    lost = next(result for result in outcomes(tenant).values() if result.status is Status.UNKNOWN)
    assert lost.error.startswith("looked, but ")
    tenant.faults([])
    assert tenant.apply("a.run").apply_exit_code == 0
    assert sorted(tenant.picture()[1]) == usual(DEVICES)


def test_what_may_have_been_sent_is_not_called_unsent_for_want_of_a_last_reading(world):
    """It is read once more before it is sent again; until then nothing tells whether the first one is still to come."""
    tenant = world(DEVICES)
    tenant.faults(
        [
            {"method": "POST", "path": COMPLIANCE, "action": "answer", "status": 504, "times": 1},
            {"method": "GET", "path": f"{COMPLIANCE}*", "action": "answer", "status": 403, "nth": 13},
        ]
    )
    tenant.apply("a.run")
    result = outcomes(tenant)["deviceCompliancePolicy", "win-0"]
    assert (result.status, result.code) == (Status.UNKNOWN, "outcome-unknown")
    assert result.error.startswith(f"looked, but GET {COMPLIANCE}: 403")
    tenant.faults([])
    assert tenant.apply("a.run").apply_exit_code == 0


def test_what_has_no_key_to_be_looked_up_by_is_left_to_a_person_and_never_sent_again(world, monkeypatch):
    request = NamedLocations.request

    def keyless(resource, pack):
        sent = request(resource, pack)
        sent.idempotency = Idempotency.ONCE
        return sent

    monkeypatch.setattr(NamedLocations, "request", keyless)
    tenant = world(ACCESS)
    tenant.faults([{"method": "POST", "path": LOCATIONS, "action": "answer", "status": 504, "times": 1}])
    for _ in range(2):
        summary = tenant.apply("a.run")
        assert summary.outcomes["unknown"] == 1
        lost = next(result for result in outcomes(tenant).values() if result.status is Status.UNKNOWN)
        assert "nothing tells whether it is still to come: a person must look" in lost.error
    assert tenant.picture()[1].count(f"POST {LOCATIONS}") == 1


def test_a_service_whose_every_answer_gets_lost_is_given_up(world):
    tenant = world(DEVICES)
    tenant.faults([{"method": "POST", "path": COMPLIANCE, "action": "answer", "status": 504}])
    summary = tenant.apply("a.run")
    assert summary.outcomes["unknown"] == 4
    assert {result.status for (kind, _), result in outcomes(tenant).items() if kind == "deviceCompliancePolicy"} == {
        Status.UNKNOWN
    }
    tenant.faults([])
    assert tenant.apply("a.run").apply_exit_code == 0


# -- many at once ----------------------------------------------------------------------------------------------------


@pytest.fixture
def sizes(monkeypatch):
    """How many people each write that was prepared has carried."""
    found = []
    request = Members.request

    def counted(resource, pack):
        found.append(len(pack))
        return request(resource, pack)

    monkeypatch.setattr(Members, "request", counted)
    return found


def delete_user(world, number):
    tenant = world.tenant()
    key = tenant.seed.id_of("user", f"rx1-{number:04}@contoso.example")
    tenant.state.delete("users", key)
    tenant.state.file.execute("BEGIN")
    tenant.state.write_changes()
    tenant.state.file.execute("COMMIT")
    tenant.close()


@pytest.mark.parametrize("number", [1, 7, 20])
def test_one_bad_member_of_twenty_is_found_by_halving(world, sizes, number):
    tenant = world(POOLS)
    delete_user(tenant, number)
    summary = tenant.apply("a.run")
    # Once in either pool.
    assert (summary.outcomes["failed"], summary.outcomes["unknown"]) == (2, 0)
    bad = [key for (kind, key), result in outcomes(tenant).items() if result.status is Status.FAILED]
    assert {key.rpartition("/")[2] for key in bad} == {f"rx1-{number:04}@contoso.example"}
    # Two packs of twenty in each pool, of which one is halved down to the one.
    assert len(sizes) <= 2 * (2 + 2 * math.ceil(math.log2(20)))
    assert max(sizes) == 20
    assert sizes.count(1) >= 2


def test_of_twenty_of_whom_some_are_there_already_only_the_others_are_sent(tmp_path, sizes):
    tenant = World(tmp_path, POOLS)
    tenant.prepare()
    people = tmp_path / "m.csv"
    everybody = people.read_text(encoding="utf-8").splitlines(keepends=True)
    people.write_text("".join(everybody[:21]), encoding="utf-8")
    tenant.plan("first.run")
    tenant.apply("first.run")
    settle(tenant)
    people.write_text("".join(everybody), encoding="utf-8")
    tenant.plan("a.run")
    add_by_hand(tenant, "RX1.SPE_E3.pool", range(25, 30))
    sizes.clear()
    summary = tenant.apply("a.run")
    assert (summary.outcomes["done"], summary.outcomes["failed"]) == (35, 0)
    assert sorted(sizes) == [15, 20, 20]


def add_by_hand(world, group, numbers):
    tenant = world.tenant()
    ids = [tenant.seed.id_of("user", f"rx1-{number:04}@contoso.example") for number in numbers]
    tenant.close()
    links = [f"https://graph.microsoft.com/v1.0/directoryObjects/{each}" for each in ids]

    async def call():
        async with open_session(world.settings) as session:
            session.budget.allow(Effect(updates=1, members=len(ids)))
            body = json.dumps({"members@odata.bind": links}).encode()
            request = Request(method="PATCH", path=f"/groups(uniqueName='{group}')", body=body)
            assert (await session.client.send(request)).ok

    run(call(), virtual=True)


def test_a_bulk_write_that_was_lost_is_read_back_and_only_what_is_missing_is_sent(world, sizes, usual):
    tenant = world(POOLS)
    tenant.faults([{"path": "/$batch", "nth": [3, 4, 5], "action": "commit-then", "items": 1, "failure": "reset"}])
    summary = tenant.apply("a.run")
    assert summary.apply_exit_code == 0
    adds = [line for line in tenant.picture()[1] if line.startswith("PATCH /groups/<")]
    assert len(adds) == len([line for line in usual(POOLS) if line.startswith("PATCH /groups/<")])
