"""Reports: the tenant as it is. Nothing is written, every format holds the same rows, and the numbers add up."""

import csv
import stat
from contextlib import closing

import pytest

from graphkit.sandbox.seeding.activity import set_last_seen

ORGS = """\
code,name,domain,attribute,caps,status
RX1,Royal Infirmary,,companyName=RX1,SPE_E3=20,open
RX2,Westgate,,companyName,,open
RX3,Old Mill,,companyName,,closed
"""


@pytest.fixture
def registry(tmp_path, monkeypatch):
    path = tmp_path / "orgs.csv"
    path.write_text(ORGS, encoding="utf-8")
    monkeypatch.setenv("GRAPHKIT_ORGS", str(path))
    return path


def upn(number, org="rx1"):
    return f"{org}-{number:04}@contoso.example"


def seen(tenant, days):
    """Say when people were last here: name to days, or None for never."""
    with tenant.changed() as changed:
        for name, ago in days.items():
            set_last_seen(changed, changed.seed.id_of("user", name), ago)


def section(result, name):
    return next(each["rows"] for each in result.json["sections"] if each["name"] == name)


def product(result, sku="SPE_E3"):
    return next(row for row in section(result, "products") if row["sku"] == sku)


# --- the command ---


def test_each_report_is_listed_and_has_its_own_verb(graphkit):
    assert "reports.licenses" in {each["name"] for each in graphkit("recipe", "list", "-o", "json").json}
    assert "AuditLog.Read.All" in graphkit("report", "licenses", "--help").stdout


def test_a_report_is_no_recipe_and_a_recipe_no_report(graphkit):
    planned = graphkit("plan", "reports.licenses", "-i", "x.csv")
    assert (planned.code, "graphkit report licenses" in planned.stderr) == (5, True)
    assert graphkit("report", "nothing").code == 5


def test_a_report_sends_no_write(simulated, tenant):
    assert simulated("report", "licenses").code == 0
    assert tenant.log() == []


def test_the_permissions_of_a_report_can_be_asked_for(simulated):
    (row,) = simulated("auth", "permissions", "reports.licenses", "-o", "json").json
    assert "AuditLog.Read.All" in row["required"]


def test_every_format_holds_the_same_rows(simulated):
    whole = simulated("report", "licences", "-o", "json")
    lines = simulated("report", "licenses", "-o", "jsonl").lines
    for each in whole.json["sections"]:
        told = [dict(line) for line in lines if line["section"] == each["name"]]
        assert [{name: line[name] for name in each["columns"]} for line in told] == each["rows"]
    table = list(csv.DictReader(simulated("report", "licenses", "-o", "csv").stdout.splitlines()))
    assert [row["sku"] for row in table] == [row["sku"] for row in section(whole, "products")]
    assert simulated("report", "licenses", "-o", "yaml").stdout.startswith("format: 1")
    assert simulated("report", "licenses", "--query", "totals.assigned").stdout.strip() == "60"


def test_what_is_long_is_cut_for_people_only(simulated, tenant):
    tenant.seed(users=180, licensed=60)
    seen(tenant, {upn(number): 200 for number in range(1, 61)})
    told = simulated("report", "licenses").stdout
    assert "more; -o json, -o jsonl and --out-dir have all" in told
    assert len(section(simulated("report", "licenses", "-o", "json"), "idle")) >= 60


def test_a_page_for_the_browser(simulated, tmp_path):
    page = tmp_path / "report.html"
    assert simulated("report", "licenses", "--html", page, "-o", "none").code == 0
    text = page.read_text(encoding="utf-8")
    assert "<h2>Products</h2>" in text
    assert "SPE_E3" in text


def test_evidence_is_divided_by_organisation_and_never_written_over(simulated, tenant, registry, tmp_path):
    seen(tenant, {upn(1): 200, upn(1, "rx2"): 200})
    folder = tmp_path / "evidence"
    told = simulated("report", "licenses", "--out-dir", folder, "-o", "none")
    assert told.code == 0, told.stderr
    with open(folder / "RX1" / "idle.csv", encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["org"] for row in rows} == {"RX1"}
    assert upn(1) in {row["upn"] for row in rows}
    assert (folder / "products.csv").exists()
    assert stat.S_IMODE((folder / "products.csv").stat().st_mode) & 0o077 == 0
    again = simulated("report", "licenses", "--out-dir", folder)
    assert (again.code, "is there already" in again.stderr) == (5, True)


def test_a_wrong_setting_is_told_with_its_place(simulated, tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("idle_days: 30\nskus: [NONE]\n", encoding="utf-8")
    told = simulated("report", "licenses", "-i", path)
    assert (told.code, "none is not among the tenant's subscriptions" in told.stderr) == (5, True)
    assert simulated("report", "licenses", "--set", "idle_days=soon").code == 5
    path.write_text("idle: 30\n", encoding="utf-8")
    told = simulated("report", "licenses", "-i", path, "--set", "idle_days=5")
    assert (told.code, "idle: is not a known key here" in told.stderr) == (5, True)


def test_report_run_is_show(simulated, planned):
    assert simulated("report", "run", planned, "-o", "json").json == simulated("show", planned, "-o", "json").json


# --- reports.licenses ---


def test_the_seats_that_were_counted_are_those_that_the_service_counts(simulated):
    result = simulated("report", "licenses", "-o", "json")
    for row in section(result, "products"):
        assert row["assigned"] == row["active"] + row["idle"] + row["unknown"]
        differences = [each["units"] for each in section(result, "differences") if each["sku"] == row["sku"]]
        assert row["consumed"] - row["assigned"] == sum(differences)
    assert result.json["totals"]["consumed_units"] == 60
    assert result.json["totals"]["difference"] == 0


def test_a_product_for_the_company_is_itemised(simulated, tenant):
    tenant.seed(users=30, skus=("SPE_E3",), licensed=5)
    with closing(tenant.look()) as look:
        sku = dict(next(iter(look.state.table("subscribedSkus").objects.values())))
        other = {**sku, "id": sku["id"][:-4] + "0000", "skuId": sku["skuId"][:-4] + "0000"}
        look.state.put("subscribedSkus", {**other, "skuPartNumber": "RIGHTS", "appliesTo": "Company"})
        look.consumed[other["skuId"]] = 3
        raw = product_in_memory(look, other["skuId"])
    assert list(raw.differences()) == [("a licence of the company, which nobody is assigned", 3)]


def product_in_memory(look, sku_id):
    from recipes.reports.licenses import Product

    sku = next(each for each in look.state.table("subscribedSkus").objects.values() if each["skuId"] == sku_id)
    return Product.of({**sku, "consumedUnits": look.consumed[sku_id]})


def test_unknown_is_not_idle(simulated, tenant):
    before = product(simulated("report", "licenses", "-o", "json"))
    seen(tenant, {upn(number): 10 for number in range(1, 6)})
    seen(tenant, {upn(1): None, upn(2): 200, upn(3): 91, upn(4): 89})
    result = simulated("report", "licenses", "-o", "json")
    idle = {row["upn"] for row in section(result, "idle")}
    assert {upn(2), upn(3)} <= idle
    assert not {upn(1), upn(4), upn(5)} & idle
    assert product(result)["assigned"] == before["assigned"]
    assert product(result)["unknown"] >= 1


def test_people_are_counted_in_the_organisation_that_the_registry_gives_them(simulated, registry):
    rows = section(simulated("report", "licenses", "-o", "json"), "organisations")
    assert {row["org"]: row["assigned"] for row in rows} == {"RX1": 20, "RX2": 20, "RX3": 20}
    one = simulated("report", "licenses", "--org", "RX2", "-o", "json")
    assert [row["org"] for row in section(one, "organisations")] == ["RX2"]
    assert product(one)["assigned"] == 60
    wrong = simulated("report", "licenses", "--org", "RX9")
    assert (wrong.code, "RX9" in wrong.stderr) == (5, True)


def test_without_a_registry_nobodys_organisation_is_known(simulated):
    result = simulated("report", "licenses", "-o", "json")
    assert {row["org"] for row in section(result, "organisations")} == {""}
    assert any("no registry" in note for note in result.json["notes"])


def test_the_forecast_grows_until_the_next_order(simulated, tenant):
    tenant.seed(users=60, seats={"SPE_E3": 62})
    grown = simulated("report", "licenses", "--set", "true_up=2099-01-01", "--set", "monthly_growth=0.1", "-o", "json")
    still = product(simulated("report", "licenses", "-o", "json"))
    assert (still["forecast"], still["to_buy"], still["free"]) == (60, 0, 2)
    assert product(grown)["to_buy"] == product(grown)["forecast"] - 62 > 0
    assert product(grown)["to_buy_if_reclaimed"] == max(0, product(grown)["to_buy"] - product(grown)["idle"])


def test_where_sign_ins_cannot_be_read_everybody_is_unknown(simulated, tenant):
    tenant.seed(users=30, skus=("ENTERPRISEPACK",), licensed=5)
    result = simulated("report", "licenses", "-o", "json")
    assert result.code == 0
    row = product(result, "ENTERPRISEPACK")
    assert (row["idle"], row["active"], row["unknown"]) == (0, 0, 15)
    assert any("sign-ins cannot be read" in note for note in result.json["notes"])


def test_the_report_counts_the_days_as_the_plan_does_that_takes_licences_back(simulated, tmp_path):
    policy = tmp_path / "reclaim.yaml"
    policy.write_text("idle_days: 90\nskus: [SPE_E3]\nmin_age_days: 0\n", encoding="utf-8")
    found = {}
    for day in ("2026-01-05", "2026-02-05", "2026-03-20"):
        report = simulated("report", "licenses", "--as-of", day, "-o", "json")
        asked = ("licenses.reclaim", "-i", policy, "--as-of", day, "--max-removals", "60", "--full", "-o", "json")
        plan = simulated("plan", *asked).json
        taken = {each["key"].split("/")[0]: each["note"] for each in plan["items"] if each["kind"] == "user.license"}
        idle = {row["upn"]: row["idle_days"] for row in section(report, "idle")}
        assert {name: f"idle for {days} days" for name, days in idle.items()} == {
            name: note.split(";")[0] for name, note in taken.items()
        }
        found[day] = len(idle)
    assert found["2026-01-05"] < found["2026-02-05"] <= found["2026-03-20"]
