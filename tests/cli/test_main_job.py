"""From a YAML file to a proved result, through the public door."""

import pytest


@pytest.fixture
def pools(tmp_path):
    def write(people=45, cap=50):
        rows = "".join(f"rx1-{number:04}@contoso.example\n" for number in range(1, people + 1))
        (tmp_path / "rx1.csv").write_text(f"upn\n{rows}", encoding="utf-8")
        path = tmp_path / "pools.yaml"
        path.write_text(f"pools:\n  - {{org: RX1, sku: SPE_E3, cap: {cap}, members_from: rx1.csv}}\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def tenant(tenant):
    return tenant.seed(users=180)


def test_plan_apply_and_plan_again(simulated, tenant, pools, tmp_path):
    run = tmp_path / "a.run"
    planned = simulated("plan", "licenses.pools", "-i", pools(), "--out", run, "-o", "json")
    assert planned.code == 0
    assert planned.json["status"] == "ready"
    assert planned.json["changes"] == {
        "create": 1, "update": 0, "add": 46, "remove": 0, "delete": 0, "noop": 0, "blocked": 0,
    }  # fmt: skip
    assert {"run", "recipe", "tenant", "changes", "cost", "format", "status", "blocked"} <= planned.json.keys()
    assert tenant.log() == []

    applied = simulated("apply", run, "--yes", "-o", "json")
    assert applied.code == 0
    assert applied.json["outcomes"] == {"done": 47, "already": 0, "failed": 0, "skipped": 0, "unknown": 0}
    assert {"run", "outcomes", "throttled"} <= applied.json.keys()

    again = simulated("plan", "licenses.pools", "-i", pools(), "-o", "json")
    assert (again.code, again.json["status"], again.json["changes"]["noop"]) == (0, "empty", 47)
