"""reports.patching: every device in one bucket, and only what is known and recent counts as compliant."""

import csv
from collections import Counter
from contextlib import closing

import pytest

FLOORS = "10.0.19045: 6332\n  10.0.22631: 5909\n  10.0.26100: 6584\n"
STATES = ("compliant", "below", "no_floor", "stale", "unknown", "other_system")


@pytest.fixture
def tenant(tenant):
    return tenant.seed(users=300, devices=300)


@pytest.fixture
def settings(tmp_path):
    def write(text=f"floors:\n  {FLOORS}"):
        path = tmp_path / "patching.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def report(line, path, *more):
    result = line("report", "patching", "-i", path, *more, "-o", "json")
    assert result.code == 0, result.stderr
    return result.json


def section(told, name):
    return next(each["rows"] for each in told["sections"] if each["name"] == name)


def put(tenant, name, **properties):
    """Change what one seeded device tells."""
    with tenant.changed() as changed:
        table = changed.state.table("managedDevices")
        device = next(each for each in table.in_order() if each and each["deviceName"] == name)
        changed.state.put("managedDevices", {**device, **properties})


@pytest.mark.parametrize("source", ["devices", "export"])
def test_the_buckets_add_up_to_the_devices(simulated, settings, source):
    told = report(simulated, settings(), "--set", f"source={source}")
    totals = told["totals"]
    assert totals["devices"] == 300 == sum(totals[state] for state in STATES)
    for row in section(told, "organisations"):
        assert row["devices"] == sum(row[state] for state in STATES)
    for row in section(told, "builds"):
        assert row["devices"] == sum(row[state] for state in STATES[:-1])
    assert sum(row["devices"] for row in section(told, "builds")) == 300 - totals["other_system"]
    states = Counter(row["state"] for row in section(told, "devices"))
    assert states == {state: totals[state] for state in STATES[1:-1] if totals[state]}
    assert totals["stale"] > 0 < totals["unknown"]


def test_both_sources_tell_the_same(simulated, tenant, settings):
    one = report(simulated, settings())
    other = report(simulated, settings(), "--set", "source=export")
    assert one["totals"] == other["totals"]
    rows = [[{**row, "last_seen": ""} for row in section(told, "devices")] for told in (one, other)]
    assert [(row["device"], row["state"], row["build"]) for row in rows[0]] == [
        (row["device"], row["state"], row["build"]) for row in rows[1]
    ]
    assert [f"{entry.method} {entry.path}" for entry in tenant.log()] == ["POST /deviceManagement/reports/exportJobs"]


def test_unknown_and_stale_never_count_as_compliant(simulated, tenant, settings):
    newest = {"osVersion": "10.0.26100.9999", "_beat": 0, "operatingSystem": "Windows"}
    put(tenant, "RX1-WS-0001", **newest)
    put(tenant, "RX1-WS-0002", **{**newest, "osVersion": ""})
    put(tenant, "RX1-WS-0003", **{**newest, "osVersion": "10.0"})
    put(tenant, "RX1-WS-0004", **{**newest, "_beat": -1})
    put(tenant, "RX1-WS-0005", **{**newest, "osVersion": "10.0.28000.1"})
    put(tenant, "RX1-WS-0006", **{**newest, "operatingSystem": "iOS", "osVersion": "18.1"})
    put(tenant, "RX1-WS-0007", **{**newest, "osVersion": "10.0.26100.6583"})
    told = {row["device"]: row["state"] for row in section(report(simulated, settings()), "devices")}
    assert "RX1-WS-0001" not in told
    assert (told["RX1-WS-0002"], told["RX1-WS-0003"]) == ("unknown", "unknown")
    assert told["RX1-WS-0004"] in ("stale", "unknown")
    assert told["RX1-WS-0005"] == "no_floor"
    assert "RX1-WS-0006" not in told
    assert told["RX1-WS-0007"] == "below"
    strict = report(simulated, settings(), "--set", "stale_days=1")
    assert strict["totals"]["stale"] >= report(simulated, settings())["totals"]["stale"]


def test_days_behind_count_from_the_first_build_that_is_lacking(simulated, tenant, settings):
    seen = {"_beat": 0, "operatingSystem": "Windows"}
    put(tenant, "RX1-WS-0001", osVersion="10.0.26100.1000", **seen)
    put(tenant, "RX1-WS-0002", osVersion="10.0.26100.5000", **seen)
    put(tenant, "RX1-WS-0003", osVersion="10.0.19045.1", **seen)
    text = (
        f"floors:\n  {FLOORS}released:\n  10.0.26100.4349: 2025-06-10\n  10.0.26100.6584: 2025-09-09\n"
        "  10.0.26100.6899: 2025-10-14\n"
    )
    told = report(simulated, settings(text), "--as-of", "2026-01-05")
    rows = {row["device"]: row["days_behind"] for row in section(told, "devices")}
    assert rows["RX1-WS-0001"] == 209 + 1
    assert rows["RX1-WS-0002"] == 118 + 1
    assert rows["RX1-WS-0003"] is None
    assert any("10.0.19045.6332" in note for note in told["notes"])


def test_the_last_check_in_is_shown_by_build_and_by_device(simulated, settings):
    told = report(simulated, settings())
    assert all(row["last_seen"].endswith("Z") for row in section(told, "builds") if row["compliant"])
    assert all(row["days_since_seen"] > 14 for row in section(told, "devices") if row["state"] == "stale")


def test_evidence_is_divided_by_organisation(simulated, settings, tmp_path):
    folder = tmp_path / "evidence"
    told = report(simulated, settings(), "--out-dir", folder)
    rows = []
    for org in ("RX1", "RX2", "RX3"):
        with open(folder / org / "devices.csv", encoding="utf-8-sig", newline="") as stream:
            own = list(csv.DictReader(stream))
        assert {row["org"] for row in own} == {org}
        rows += own
    assert len(rows) == len(section(told, "devices"))
    one = report(simulated, settings(), "--org", "RX2")
    assert {row["org"] for row in section(one, "organisations")} == {"RX2"}


def test_a_registry_says_which_codes_there_are(simulated, tenant, settings, tmp_path, monkeypatch):
    put(tenant, "RX1-WS-0001", deviceName="DESKTOP-1", userPrincipalName="somebody@westgate.example")
    registry = tmp_path / "orgs.csv"
    registry.write_text("code,name,domain\nRX1,Royal,contoso.example\nRX2,Westgate,westgate.example\n")
    monkeypatch.setenv("GRAPHKIT_ORGS", str(registry))
    told = report(simulated, settings())
    devices = {row["org"]: row["devices"] for row in section(told, "organisations")}
    assert devices["RX2"] == 101
    assert "DESKTOP" not in devices
    assert not any("no registry" in note for note in told["notes"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("floors: {}\n", "floors"),
        ("floors: {windows11: 5}\n", "windows11 is not a branch such as 10.0.22631"),
        ("floors: {10.0.22631: 10.0.19045.5}\n", "10.0.19045.5 is not a build of branch 10.0.22631"),
        ("floors: {10.0.22631: 5, 22631: 6}\n", "10.0.22631 is there twice"),
        ("floors: {10.0.22631: 5}\nreleased: {10.0.22631.5: soon}\n", "released"),
        ("stale_days: 3\n", "floors"),
    ],
)
def test_a_wrong_floor_is_an_input_error(simulated, settings, text, message):
    told = simulated("report", "patching", "-i", settings(text))
    assert (told.code, message in told.stderr) == (5, True), told.stderr


def test_a_report_that_is_exported_needs_no_write_budget_and_leaves_the_devices_alone(simulated, tenant, settings):
    report(simulated, settings(), "--set", "source=export")
    with closing(tenant.look()) as look:
        assert len(look.state.table("managedDevices").objects) == 300


def test_short_branches_and_whole_builds_are_understood(simulated, settings):
    long, short = (report(simulated, settings(text))["totals"] for text in (
        "floors: {10.0.26100: 6584}\n", "floors: {26100: 10.0.26100.6584}\n"))  # fmt: skip
    assert long == short
