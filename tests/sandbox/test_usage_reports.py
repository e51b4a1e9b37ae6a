"""Usage reports: a redirect, a file that says who is idle, and names that can be concealed."""

from __future__ import annotations

import csv
import io

import pytest

from graphkit.sandbox.seeding.activity import last_seen, set_last_seen

ACTIVE = "/reports/getOffice365ActiveUserDetail"
TEAMS = "/reports/getTeamsTeamActivityDetail"
DAY = 86_400


@pytest.fixture
def report(graph):
    """``report(path)`` asks, follows the redirect without a token, and reads the file."""

    def read(path):
        told = graph("GET", path)
        assert told.status == 302, told.json
        answer = graph.tenant.handle("GET", told.headers["Location"], {})
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/octet-stream"
        return list(csv.DictReader(io.StringIO(answer.body.decode("utf-8-sig"), newline="")))

    return read


def test_the_file_begins_with_a_mark_and_the_columns_of_the_page(graph):
    """reportroot-getoffice365activeuserdetail.md"""
    told = graph("GET", f"{ACTIVE}(period='D7')")
    body = graph.tenant.handle("GET", told.headers["Location"], {}).body
    columns = body.decode("utf-8-sig").splitlines()[0].split(",")
    assert body.startswith(b"\xef\xbb\xbf")
    assert len(columns) == 24
    assert (columns[0], columns[16], columns[-1]) == (
        "Report Refresh Date",
        "Teams Last Activity Date",
        "Assigned Products",
    )


def test_an_address_is_good_for_some_minutes(graph):
    address = graph("GET", f"{ACTIVE}(period='D7')").headers["Location"]
    assert address.startswith("https://graph.microsoft.com/downloads/usageReports/")
    graph.clock.at += 299
    assert graph.tenant.handle("GET", address, {}).status == 200
    assert graph.tenant.handle("GET", address.replace("D7", "D30"), {}).status == 403
    graph.clock.at += 2
    assert graph.tenant.handle("GET", address, {}).status == 403


def test_a_client_that_keeps_its_token_on_the_redirect_is_served(graph):
    """In earnest the host changes and the token stays behind; here it does not."""
    address = graph("GET", f"{ACTIVE}(period='D7')").headers["Location"]
    assert graph.tenant.handle("GET", address, {"Authorization": "Bearer mine"}).status == 200


def test_a_fault_can_befall_a_download(graph):
    graph.tenant.faults.extend([{"path": "/downloads/usageReports/*", "nth": 1, "action": "answer", "status": 503}])
    address = graph("GET", f"{ACTIVE}(period='D7')").headers["Location"]
    assert [graph.tenant.handle("GET", address, {}).status for _ in range(2)] == [503, 200]


def test_everybody_has_a_row_and_reports_lag_two_days(report):
    rows = report(f"{ACTIVE}(period='D30')")
    assert len(rows) == 122
    assert {row["Report Refresh Date"] for row in rows} == {"2026-01-03"}
    assert max(row["Exchange Last Activity Date"] for row in rows) <= "2026-01-03"


def test_who_is_idle_for_sign_ins_is_idle_here(graph, report):
    set_last_seen(graph.tenant, graph.user(1), 100)
    set_last_seen(graph.tenant, graph.user(2), None)
    rows = {row["User Principal Name"]: row for row in report(f"{ACTIVE}(period='D180')")}
    assert rows["rx1-0001@contoso.example"]["Teams Last Activity Date"] == "2025-09-26"
    assert rows["rx1-0002@contoso.example"]["Teams Last Activity Date"] == ""
    assert last_seen(graph.user(1), graph.tenant) == 100


def test_services_are_those_of_the_licences(graph, report):
    skus = {sku["skuPartNumber"]: sku["skuId"] for sku in graph("GET", "/subscribedSkus").json["value"]}
    body = {"addLicenses": [{"skuId": skus["EMS"], "disabledPlans": []}], "removeLicenses": [skus["SPE_E3"]]}
    assert graph("POST", f"/users/{graph.user(1)}/assignLicense", body).status == 200
    rows = {row["User Principal Name"]: row for row in report(f"{ACTIVE}(period='D7')")}
    licensed, ems, none = (rows[f"rx1-00{number}@contoso.example"] for number in ("02", "01", "60"))
    assert (licensed["Has Teams License"], licensed["Assigned Products"]) == ("True", "SPE_E3")
    assert licensed["Teams License Assign Date"] == "2024-01-08"
    assert (ems["Has Exchange License"], ems["Has Teams License"], ems["Assigned Products"]) == (
        "False",
        "False",
        "EMS",
    )
    assert (none["Has Exchange License"], none["Assigned Products"]) == ("False", "")


def test_who_was_deleted_is_told_so(graph, report):
    assert graph("DELETE", f"/users/{graph.user(1)}").status == 204
    row = next(r for r in report(f"{ACTIVE}(period='D7')") if r["User Principal Name"] == "rx1-0001@contoso.example")
    assert (row["Is Deleted"], row["Deleted Date"]) == ("True", "2026-01-05")


def test_a_report_of_a_day_has_who_was_active_on_it(graph, report):
    set_last_seen(graph.tenant, graph.user(1), 3)
    set_last_seen(graph.tenant, graph.user(2), 4)
    set_last_seen(graph.tenant, graph.user(3), None)
    names = {row["User Principal Name"] for row in report(f"{ACTIVE}(date=2026-01-01)")}
    assert "rx1-0001@contoso.example" in names
    assert names.isdisjoint({"rx1-0002@contoso.example", "rx1-0003@contoso.example"})
    assert 0 < len(names) < 122


@pytest.mark.parametrize(
    "asked",
    [
        "(period='D8')",
        "(period='2026-01-01')",
        "(date=2025-11-01)",
        "(date=2027-01-01)",
        "(date=yesterday)",
        "(days=2026-01-01)",
    ],
)
def test_what_a_report_does_not_cover_is_refused(graph, asked):
    assert graph("GET", ACTIVE + asked).status == 400


def test_names_are_concealed_when_the_setting_says_so(graph, report):
    """resources/adminreportsettings.md: users, groups and sites, in all reports"""
    assert graph("GET", "/admin/reportSettings").json["displayConcealedNames"] is False
    assert graph("PATCH", "/admin/reportSettings", {"displayConcealedNames": True}).status == 204
    first, again = report(f"{ACTIVE}(period='D7')"), report(f"{ACTIVE}(period='D30')")
    assert [row["User Principal Name"] for row in first] == [row["User Principal Name"] for row in again]
    assert all(len(row["User Principal Name"]) == 32 and "@" not in row["User Principal Name"] for row in first)
    assert graph.user(1) not in str(report("/reports/getTeamsUserActivityUserDetail(period='D7')"))
    assert graph("PATCH", "/admin/reportSettings", {}).status == 400


def test_teams_say_when_they_were_last_used(graph, report):
    made = {}
    for name in ("Busy, but quiet", "Idle"):
        key = graph.unified(name.partition(",")[0], **{"displayName": name})
        graph("POST", f"/groups/{key}/owners/$ref", {"@odata.id": graph.link(graph.user(1))})
        graph.clock.at += 30
        assert graph("PUT", f"/groups/{key}/team", {}).status == 201
        made[name] = key
    graph.clock.at += 200 * DAY
    set_last_seen(graph.tenant, made["Busy, but quiet"], 3)
    set_last_seen(graph.tenant, made["Idle"], 120)
    rows = {row["Team Name"]: row for row in report(f"{TEAMS}(period='D90')")}
    assert set(rows) == set(made)
    assert rows["Busy, but quiet"]["Last Activity Date"] == "2026-07-21"
    assert rows["Idle"]["Last Activity Date"] == "2026-03-26"
    assert rows["Idle"]["Team Id"] == made["Idle"]
    assert {rows["Idle"][name] for name in ("Active Users", "Channel Messages")} == {"0"}


@pytest.mark.parametrize(
    ("name", "column"),
    [("getTeamsUserActivityUserDetail", "Private Chat Message Count"), ("getMailboxUsageDetail", "Item Count")],
)
def test_reports_of_a_service_have_who_is_licensed_for_it(graph, report, name, column):
    rows = report(f"/reports/{name}(period='D7')")
    assert len(rows) == 40
    assert {row["Report Period"] for row in rows} == {"7"}
    assert all(row[column].isdigit() for row in rows)


def test_json_is_not_modelled(graph):
    told = graph("GET", f"{ACTIVE}(period='D7')?$format=application/json", version="beta")
    assert (told.status, told.code) == (501, "NotModelled")
