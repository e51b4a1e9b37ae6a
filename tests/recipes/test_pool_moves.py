"""licenses.pools, through the command line: moves between pools, add-ons, and caps of the registry."""

import pytest

from graphkit.sandbox.seeding.skus import PRODUCTS

SKUS = ("SPE_E3", "SPE_F1", "MCOMEETADV")


def upn(number, org=1):
    return f"rx{org}-{number:04}@contoso.example"


@pytest.fixture
def tenant(tenant):
    return tenant.seed(users=60, licensed=0, skus=SKUS)


@pytest.fixture
def pools(tmp_path):
    """``pools({"RX1": range(1, 4)}, mode=...)``: one pool an organisation; ``more`` are further keys of each entry."""

    def write(people, *, mode="authoritative", more="", sku="SPE_E3"):
        lines = [f"mode: {mode}", "pools:"]
        for org, numbers in people.items():
            (tmp_path / f"{org}.csv").write_text("\n".join(["upn", *map(upn, numbers), ""]), encoding="utf-8")
            lines.append(f"  - {{org: {org}, sku: {sku}, cap: 50, members_from: {org}.csv{more}}}")
        path = tmp_path / "pools.yaml"
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
        return path

    return write


def apply(simulated, path, *more):
    return simulated("apply", "licenses.pools", "-i", path, "--yes", "-o", "json", *more)


def plan(simulated, path):
    return simulated("plan", "licenses.pools", "-i", path, "-o", "json", "--full")


def test_who_moves_is_added_before_being_removed_and_undone_likewise(simulated, tenant, pools, tmp_path):
    assert apply(simulated, pools({"RX1": [1, 2], "RX2": [3]})).code == 0
    before = len(tenant.log())
    # RX1 comes first by name: its removals would, too, if they did not wait.
    path = pools({"RX1": [1], "RX2": [2, 3]})
    run = tmp_path / "move.run"
    assert apply(simulated, path, "--out", run).json["outcomes"]["done"] == 2
    assert [entry.method for entry in tenant.log()[before:]] == ["PATCH", "DELETE"]
    assert plan(simulated, path).json["status"] == "empty"
    before = len(tenant.log())
    assert simulated("undo", run, "--yes", "-o", "json").code == 0
    assert [entry.method for entry in tenant.log()[before:]] == ["PATCH", "DELETE"]


def test_who_could_not_be_added_stays_where_they_are(simulated, tenant, pools):
    assert apply(simulated, pools({"RX1": [1, 2], "RX2": [3]})).code == 0
    with tenant.changed() as here:
        here.faults.add({"method": "PATCH", "path": "/groups/*", "action": "forbid"})
    before = len(tenant.log())
    moved = apply(simulated, pools({"RX1": [1], "RX2": [2, 3]}))
    assert moved.code == 3
    assert (moved.json["outcomes"]["failed"], moved.json["outcomes"]["skipped"]) == (1, 1)
    assert tenant.log()[before:] == []


def test_an_add_on_sits_in_the_group_of_what_it_needs(simulated, tenant, pools):
    path = pools({"RX1": [1, 2]}, more=", addons: [MCOMEETADV]")
    assert apply(simulated, path).json["outcomes"]["done"] == 5
    assert len([entry for entry in tenant.log() if entry.path.endswith("/assignLicense")]) == 1
    with tenant.changed() as here:
        (group,) = [each for each in here.state.table("groups").in_order() if each.get("uniqueName")]
    assert {each["skuId"] for each in group["assignedLicenses"]} == {
        PRODUCTS["SPE_E3"].id,
        PRODUCTS["MCOMEETADV"].id,
    }
    assert plan(simulated, path).json["status"] == "empty"


def test_an_add_on_by_itself_is_blocked_with_advice(simulated, tenant, pools):
    items = plan(simulated, pools({"RX1": [1]}, sku="MCOMEETADV")).json["items"]
    (blocked,) = [item for item in items if item["action"] == "blocked"]
    assert blocked["note"].startswith("MCOMEETADV needs MCOIMP or MCOSTANDARD with it")
    assert "addons" in blocked["note"]


def test_seats_of_an_add_on_are_counted_too(simulated, tenant, pools):
    tenant.seed(users=60, licensed=0, skus=SKUS, seats={"MCOMEETADV": 1})
    refused = plan(simulated, pools({"RX1": [1, 2]}, more=", addons: [MCOMEETADV]"))
    assert refused.code == 6
    assert refused.json["blocked"][0].startswith("MCOMEETADV: 2 seats needed, 1 free")


def test_a_pool_stays_below_the_cap_of_the_registry(simulated, tenant, pools, tmp_path, monkeypatch):
    registry = tmp_path / "orgs.csv"
    registry.write_text("code,domain,caps\nRX1,contoso.example,SPE_E3=2\n", encoding="utf-8")
    monkeypatch.setenv("GRAPHKIT_ORGS", str(registry))
    assert plan(simulated, pools({"RX1": [1, 2]})).json["status"] == "ready"
    refused = plan(simulated, pools({"RX1": [1, 2, 3]}))
    assert refused.code == 6
    assert "RX1: 3 seats of SPE_E3 wanted, its cap in the registry is 2" in refused.json["blocked"][0]
