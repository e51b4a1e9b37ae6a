"""A plan says which way it takes, and what the other one would cost."""

import pytest

from graphkit.engine.forecast import Alternative, weighed

MILLION = Alternative(
    chosen="licences by group",
    route=("PATCH", "/groups/{id}"),
    writes=60_000,
    other="one by one",
    other_route=("POST", "/users/{id}/assignLicense"),
    other_writes=1_200_000,
)


def test_two_ways_for_a_million_people_are_told_apart():
    told = weighed(MILLION, 1.0)
    assert told == "licences by group: 60,000 writes, 50 min at least; one by one: 1,200,000 writes, 16.7 h"


@pytest.fixture
def tenant(tenant):
    return tenant.seed(users=900)


def everybody(count):
    return [f"rx1-{number:04}@contoso.example" for number in range(1, count + 1)]


def test_a_pool_is_laid_beside_licences_one_by_one(simulated, tmp_path):
    (tmp_path / "m.csv").write_text("\n".join(["upn", *everybody(250)]) + "\n")
    pools = tmp_path / "pools.yaml"
    pools.write_text("pools:\n  - {org: RX1, sku: EMS, cap: 300, members_from: m.csv}\n")
    planned = simulated("plan", "licenses.pools", "-i", pools, "-o", "json").json
    (remark,) = planned["remarks"]
    assert remark.startswith("licences by group: 13 writes")
    assert "one by one: 250 writes" in remark
    assert f"note: {remark}" in simulated("plan", "licenses.pools", "-i", pools).stdout


def test_licences_one_by_one_are_laid_beside_a_pool(simulated, tmp_path):
    rows = tmp_path / "assign.csv"
    rows.write_text("\n".join(["upn,sku,org", *(f"{upn},EMS,RX1" for upn in everybody(250))]) + "\n")
    (remark,) = simulated("plan", "licenses.assign", "-i", rows, "-o", "json").json["remarks"]
    assert remark.startswith("licences one by one: 250 writes")
    assert "by group, with licenses.pools: 15 writes" in remark


def test_a_few_people_are_not_worth_a_line(simulated, tmp_path):
    rows = tmp_path / "assign.csv"
    rows.write_text("\n".join(["upn,sku,org", *(f"{upn},EMS,RX1" for upn in everybody(20))]) + "\n")
    assert simulated("plan", "licenses.assign", "-i", rows, "-o", "json").json["remarks"] == []
