"""licenses.assign, through the command line: what is taken, swapped, freed for others, capped, and told beforehand."""

import pytest

from graphkit.engine.run import wishes
from graphkit.sandbox.areas.licensing import set_states, state_of
from graphkit.sandbox.seeding.skus import PLANS, PRODUCTS

E3, E5, F3, EMS = (PRODUCTS[name].id for name in ("SPE_E3", "SPE_E5", "SPE_F1", "EMS"))
SKUS = ("SPE_E3", "SPE_E5", "SPE_F1", "EMS", "MCOMEETADV", "ENTERPRISEPACK")
GROUP = "0c4a5bd2-3b2c-4a5e-9d52-52a0a1d0f3aa"


def upn(number, org=1):
    return f"rx{org}-{number:04}@contoso.example"


@pytest.fixture
def tenant(tenant):
    return tenant.seed(users=60, licensed=0, skus=SKUS)


@pytest.fixture
def give(tenant):
    """``give(1, E3)``: a licence that somebody has already, directly unless ``group`` says otherwise."""

    def say(number, *skus, group=None, off=()):
        with tenant.changed() as held:
            user = held.state.get("users", held.seed.id_of("user", upn(number)))
            old = user.get("licenseAssignmentStates") or []
            set_states(held, user, [*old, *(state_of(sku, group, off, 0.0) for sku in skus)])

    return say


@pytest.fixture
def held(tenant):
    def look(number):
        tenant_now = tenant.look()
        try:
            user = tenant_now.state.get("users", tenant_now.seed.id_of("user", upn(number)))
            return {each["skuId"]: each["disabledPlans"] for each in user.get("licenseAssignmentStates") or []}
        finally:
            tenant_now.close()

    return look


@pytest.fixture
def rows(tmp_path):
    def write(*lines, columns="upn,sku,org,action"):
        path = tmp_path / "assign.csv"
        path.write_text("\n".join([columns, *lines, ""]), encoding="utf-8")
        return path

    return write


def plan(simulated, path, *more):
    return simulated("plan", "licenses.assign", "-i", path, "-o", "json", "--full", *more)


def apply(simulated, path, *more):
    return simulated("apply", "licenses.assign", "-i", path, "--yes", "-o", "json", *more)


def test_a_swap_is_one_write_and_so_is_its_undo(simulated, tenant, give, held, rows, tmp_path):
    off = [PLANS["TEAMS1"].id]
    give(1, F3, off=off)
    path = rows(f"{upn(1)},SPE_F1,RX1,Remove", f"{upn(1)},SPE_E3,RX1,Add")
    run = tmp_path / "swap.run"
    assert apply(simulated, path, "--out", run).json["outcomes"]["done"] == 2
    assert held(1) == {E3: []}
    assert plan(simulated, path).json["status"] == "empty"
    undone = simulated("undo", run, "--yes", "-o", "json")
    assert (undone.code, held(1)) == (0, {F3: off})
    there, back = tenant.log()
    assert (there.path, back.path) == (there.path, there.path)


def test_a_canary_of_one_does_not_begin_a_swap_by_half(simulated, tenant, give, held, rows):
    give(1, F3)
    path = rows(f"{upn(1)},SPE_F1,RX1,Remove", f"{upn(1)},SPE_E3,RX1,Add", f"{upn(2)},EMS,RX1,Add")
    assert apply(simulated, path, "--canary", "1").json["outcomes"]["done"] == 3
    assert len(tenant.log()) == 2
    assert (held(1), held(2)) == ({E3: []}, {EMS: []})


def test_who_was_changed_since_the_plan_loses_nothing(simulated, tenant, give, held, rows, tmp_path):
    give(1, F3, EMS)
    path = rows(f"{upn(1)},SPE_F1,RX1,Remove", f"{upn(1)},SPE_E3,RX1,Add")
    run = tmp_path / "a.run"
    assert simulated("plan", "licenses.assign", "-i", path, "--out", run, "-o", "none").code == 0
    with tenant.changed() as here:
        user = here.state.get("users", here.seed.id_of("user", upn(1)))
        off = [PLANS["TEAMS1"].id]
        set_states(here, user, [state_of(F3, None, off, 0.0), state_of(EMS, None, (), 0.0)])
    applied = simulated("apply", run, "--yes", "-o", "json")
    assert applied.code == 3
    assert held(1) == {F3: off, EMS: []}


def test_seats_that_a_plan_frees_are_taken_once_they_are_free(simulated, tenant, give, held, rows, tmp_path):
    tenant.seed(users=60, licensed=0, skus=SKUS, seats={"SPE_E3": 2})
    give(8, E3)
    give(9, E3)
    # Whoever comes first in the alphabet gets what others give up.
    path = rows(
        f"{upn(1)},SPE_E3,RX1,Add",
        f"{upn(2)},SPE_E3,RX1,add",
        f"{upn(8)},SPE_E3,RX1,Remove",
        f"{upn(9)},SPE_E3,RX1,Remove",
        f"{upn(9)},SPE_F1,RX1,Add",
    )
    planned = plan(simulated, path).json
    assert planned["status"] == "ready"
    assert [item["key"].split("@")[0] for item in planned["items"]] == [
        "rx1-0008",
        "rx1-0009",
        "rx1-0009",
        "rx1-0001",
        "rx1-0002",
    ]
    run = tmp_path / "a.run"
    assert apply(simulated, path, "--out", run).json["outcomes"]["done"] == 5
    assert [held(number) for number in (1, 2, 8, 9)] == [{E3: []}, {E3: []}, {}, {F3: []}]
    assert plan(simulated, path).json["status"] == "empty"
    assert simulated("undo", run, "--yes", "-o", "json").code == 0
    assert [held(number) for number in (1, 2, 8, 9)] == [{}, {}, {E3: []}, {E3: []}]


def test_who_moves_up_takes_the_seat_of_who_moved_up_before(simulated, tenant, give, held, rows, tmp_path):
    tenant.seed(users=60, licensed=0, skus=SKUS, seats={"SPE_F1": 2, "SPE_E3": 2, "SPE_E5": 2})
    for number, sku in ((1, F3), (2, F3), (8, E3), (9, E3)):
        give(number, sku)
    path = rows(
        *(f"{upn(number)},SPE_F1,RX1,Remove\n{upn(number)},SPE_E3,RX1,Add" for number in (1, 2)),
        *(f"{upn(number)},SPE_E3,RX1,Remove\n{upn(number)},SPE_E5,RX1,Add" for number in (8, 9)),
        f"{upn(3)},SPE_F1,RX1,Add",
    )
    run = tmp_path / "up.run"
    applied = apply(simulated, path, "--out", run)
    assert (applied.code, applied.json["outcomes"]["done"]) == (0, 9)
    assert [held(number) for number in (1, 2, 3, 8, 9)] == [{E3: []}, {E3: []}, {F3: []}, {E5: []}, {E5: []}]
    assert plan(simulated, path).json["status"] == "empty"
    assert simulated("undo", run, "--yes", "-o", "json").code == 0
    assert [held(number) for number in (1, 2, 3, 8, 9)] == [{F3: []}, {F3: []}, {}, {E3: []}, {E3: []}]


def test_who_would_take_each_others_seats_and_has_none_to_begin_with_is_told(simulated, tenant, give, rows):
    tenant.seed(users=60, licensed=0, skus=SKUS, seats={"SPE_E3": 1, "SPE_E5": 1})
    give(1, E3)
    give(2, E5)
    there = [f"{upn(1)},SPE_E3,RX1,Remove", f"{upn(1)},SPE_E5,RX1,Add"]
    back = [f"{upn(2)},SPE_E5,RX1,Remove", f"{upn(2)},SPE_E3,RX1,Add"]
    planned = plan(simulated, rows(*there, *back))
    assert planned.code == 6
    (reason,) = planned.json["blocked"]
    assert reason.startswith("SPE_E5: 1 seats needed, 0 free")
    assert tenant.log() == []


def test_more_adds_than_free_and_freed_seats_block_the_plan(simulated, tenant, give, rows):
    tenant.seed(users=60, licensed=0, skus=SKUS, seats={"SPE_E3": 1})
    give(8, E3)
    path = rows(f"{upn(1)},SPE_E3,RX1,Add", f"{upn(2)},SPE_E3,RX1,Add", f"{upn(8)},SPE_E3,RX1,Remove")
    planned = plan(simulated, path)
    assert planned.code == 6
    (reason,) = planned.json["blocked"]
    assert reason.startswith("SPE_E3: 2 seats needed, 0 free and 1 freed by the plan in time (CountViolation)")
    assert tenant.log() == []


def test_a_seat_that_is_held_through_a_group_besides_does_not_come_free(simulated, tenant, give, rows):
    tenant.seed(users=60, licensed=0, skus=SKUS, seats={"SPE_E3": 1})
    give(8, E3)
    give(8, E3, group=GROUP)
    path = rows(f"{upn(1)},SPE_E3,RX1,Add", f"{upn(8)},SPE_E3,RX1,Remove")
    assert plan(simulated, path).code == 6


def test_without_the_removal_the_add_that_waits_for_it_is_skipped(simulated, tenant, give, held, rows):
    tenant.seed(users=60, licensed=0, skus=SKUS, seats={"SPE_E3": 1})
    give(8, E3)
    with tenant.changed() as here:
        key = here.seed.id_of("user", upn(8))
        here.faults.add({"path": f"/users/{key}/assignLicense", "action": "forbid"})
    path = rows(f"{upn(1)},SPE_E3,RX1,Add", f"{upn(8)},SPE_E3,RX1,Remove")
    applied = apply(simulated, path)
    assert applied.code == 3
    assert {name: count for name, count in applied.json["outcomes"].items() if count} == {"failed": 1, "skipped": 1}
    assert held(1) == {}


def test_a_swap_that_is_refused_takes_nothing(simulated, tenant, give, held, rows):
    tenant.seed(users=60, licensed=0, skus=SKUS, prohibited={"SPE_E5": ("GB",)})
    give(1, E3)
    applied = apply(simulated, rows(f"{upn(1)},SPE_E3,RX1,Remove", f"{upn(1)},SPE_E5,RX1,Add"))
    assert applied.json["outcomes"]["failed"] == 2
    assert held(1) == {E3: []}
    assert tenant.log() == []


@pytest.mark.parametrize(
    ("has", "lines", "told"),
    [
        ((F3,), ["ENTERPRISEPACK,RX1,Add"], "SHAREPOINTDESKLESS and SHAREPOINTENTERPRISE cannot be held together"),
        ((), ["SPE_E3,RX1,Add", "SPE_F1,RX1,Add"], "SHAREPOINTDESKLESS and SHAREPOINTENTERPRISE cannot be held"),
        ((), ["MCOMEETADV,RX1,Add"], "MCOMEETADV needs MCOIMP or MCOSTANDARD with it"),
        ((E3, PRODUCTS["MCOMEETADV"].id), ["SPE_E3,RX1,Remove"], "MCOMEETADV needs MCOIMP or MCOSTANDARD with it"),
        ((F3,), ["SPE_F1,RX1,Remove", "SPE_E3,RX1,Add", "MCOMEETADV,RX1,Add"], ""),
        ((E3,), ["MCOMEETADV,RX1,Add"], ""),
    ],
)
def test_what_plans_ask_of_each_other_is_told_without_asking(simulated, tenant, give, rows, has, lines, told):
    give(1, *has)
    items = plan(simulated, rows(*(f"{upn(1)},{line}" for line in lines))).json["items"]
    assert {item["action"] for item in items} == ({"blocked"} if told else {"add", "remove"} & _ways(lines))
    assert all(told in item["note"] for item in items)
    assert tenant.log() == []


def _ways(lines):
    return {line.rpartition(",")[2].lower() for line in lines}


@pytest.mark.parametrize("chunk", [1, 2, 3, 1000])
def test_two_wishes_of_one_user_meet_though_a_chunk_ends_between_them(simulated, rows, monkeypatch, chunk):
    monkeypatch.setattr(wishes, "CHUNK", chunk)
    path = rows(*(f"{upn(number)},SPE_E3,RX1,Add" for number in range(1, 7)), f"{upn(3)},SPE_F1,RX1,Add")
    items = plan(simulated, path).json["items"]
    blocked = {item["key"] for item in items if item["action"] == "blocked"}
    assert (len(items), blocked) == (7, {f"{upn(3)}/SPE_E3", f"{upn(3)}/SPE_F1"})


def test_nothing_is_taken_from_whoever_cannot_get_the_other(simulated, tenant, give, rows):
    give(1, F3)
    with tenant.changed() as here:
        user = here.state.get("users", here.seed.id_of("user", upn(1)))
        here.state.put("users", {**user, "usageLocation": None})
    items = plan(simulated, rows(f"{upn(1)},SPE_F1,RX1,Remove", f"{upn(1)},SPE_E3,RX1,Add")).json["items"]
    assert [item["action"] for item in items] == ["blocked", "blocked"]
    assert all("usageLocation" in item["note"] for item in items)


def test_a_licence_from_a_group_is_not_taken_directly(simulated, give, rows):
    give(1, E3, group=GROUP)
    (item,) = plan(simulated, rows(f"{upn(1)},SPE_E3,RX1,Remove")).json["items"]
    assert item["action"] == "blocked"
    assert "take them out of that group" in item["note"]


def test_what_is_not_held_need_not_be_taken(simulated, rows):
    assert plan(simulated, rows(f"{upn(1)},SPE_E3,RX1,Remove")).json["status"] == "empty"


def test_a_location_that_is_asked_for_is_set_before_the_licence(simulated, tenant, held, rows):
    with tenant.changed() as here:
        user = here.state.get("users", here.seed.id_of("user", upn(1)))
        here.state.put("users", {**user, "usageLocation": None})
    path = rows(
        f"{upn(1)},SPE_E3,RX1,GB", f"{upn(1)},EMS,RX1,GB", f"{upn(2)},EMS,RX1,", columns="upn,sku,org,usage_location"
    )
    assert apply(simulated, path).json["outcomes"]["done"] == 4
    assert [entry.method for entry in tenant.log() if entry.path.startswith("/users/")].count("PATCH") == 1
    assert held(1) == {E3: [], EMS: []}
    assert plan(simulated, path).json["status"] == "empty"


def test_two_locations_for_one_user_are_an_input_error(simulated, rows):
    path = rows(f"{upn(1)},SPE_E3,RX1,GB", f"{upn(1)},EMS,RX1,IE", columns="upn,sku,org,usage_location")
    refused = plan(simulated, path)
    assert refused.code == 5
    assert '"row": 3' in refused.stdout
    assert "IE here, GB in" in refused.stdout


def test_an_organisation_gets_no_more_than_the_registry_allows(simulated, tenant, give, rows, tmp_path, monkeypatch):
    registry = tmp_path / "orgs.csv"
    registry.write_text("code,attribute,caps\nRX1,companyName=RX1,SPE_E3=2\nRX2,companyName=RX2,\n", encoding="utf-8")
    monkeypatch.setenv("GRAPHKIT_ORGS", str(registry))
    with tenant.changed() as here:
        for number in (1, 2, 3):
            user = here.state.get("users", here.seed.id_of("user", upn(number)))
            here.state.put("users", {**user, "companyName": "RX1"})
    give(1, E3)
    two = rows(f"{upn(2)},SPE_E3,RX1,Add", f"{upn(3)},SPE_E3,RX1,Add", f"{upn(1, 2)},SPE_E3,RX2,Add")
    blocked = plan(simulated, two)
    assert blocked.code == 6
    assert blocked.json["blocked"] == ["RX1: 3 seats of SPE_E3 wanted, its cap in the registry is 2 (1 held, 2 more)"]
    swapped = rows(f"{upn(2)},SPE_E3,RX1,Add", f"{upn(3)},SPE_E3,RX1,Add", f"{upn(1)},SPE_E3,RX1,Remove")
    assert plan(simulated, swapped).json["status"] == "ready"
