"""One organisation's pool, as files, for every test of a verb."""

import pytest


@pytest.fixture
def tenant(tenant):
    """Large enough for a pool of 50."""
    return tenant.seed(users=180)


@pytest.fixture
def pools(tmp_path):
    """``pools(45, cap=50)`` writes pools.yaml and its CSV; ``extra`` are further lines of the CSV."""

    def write(people=45, *, cap=50, extra=()):
        rows = [f"rx1-{number:04}@contoso.example" for number in range(1, people + 1)]
        (tmp_path / "rx1.csv").write_text("\n".join(["upn", *rows, *extra, ""]), encoding="utf-8")
        path = tmp_path / "pools.yaml"
        path.write_text(f"pools:\n  - {{org: RX1, sku: SPE_E3, cap: {cap}, members_from: rx1.csv}}\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def planned(simulated, pools, tmp_path):
    """The path of a plan that is ready to be applied."""
    run = tmp_path / "a.run"
    result = simulated("plan", "licenses.pools", "-i", pools(), "--out", run, "-o", "none")
    assert result.code == 0, result.stderr
    return run
