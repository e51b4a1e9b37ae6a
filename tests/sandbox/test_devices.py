"""Seeded devices, what can be done to them, and the reports on them."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections import Counter
from datetime import datetime

import pytest

from graphkit.sandbox import Seed, SimulatedTenant
from graphkit.sandbox.seeding.devices import BUILDS, last_check_in

DEVICES = "/deviceManagement/managedDevices"
KEYS = "/informationProtection/bitlocker/recoveryKeys"
JOBS = "/deviceManagement/reports/exportJobs"
FLEET = Seed(organisations=2, users=600, devices=1500)
NOBODY = "00000000-0000-0000-0000-00000000dead"


@pytest.fixture
def tenant(clock):
    return SimulatedTenant(clock, seed=FLEET, throttling=False, replication_s=0)


@pytest.fixture
def client(graph, clock):
    """``client(tenant)`` speaks to another tenant."""
    return lambda tenant: type(graph)(tenant, clock)


def device(graph, number=1, org=1):
    return graph.tenant.seed.id_of("managedDevice", f"RX{org}-WS-{number:04}")


def pages(graph, path):
    """Every page of a listing."""
    found = []
    while path:
        told = graph("GET", path)
        assert told.status == 200, told.json
        found.append(told.json)
        path = told.json.get("@odata.nextLink")
    return found


def every(graph, path=DEVICES):
    return [item for page in pages(graph, path) for item in page["value"]]


# -- reading ------------------------------------------------------------------------------------------------------


def test_a_page_holds_a_thousand_and_counts_itself_only(graph):
    """The count of a page is no total: a published answer to $top=1 counts 1 and has a next page."""
    first, second = pages(graph, DEVICES)
    assert [first["@odata.count"], second["@odata.count"]] == [1000, 500]
    assert [len(first["value"]), len(second["value"])] == [1000, 500]
    assert pages(graph, f"{DEVICES}?$top=600")[0]["@odata.count"] == 600


def test_devices_are_alike_at_every_look_and_different_from_each_other(graph, clock, client):
    other = client(SimulatedTenant(clock, seed=FLEET, throttling=False, replication_s=0))
    shown = every(graph)
    assert shown == every(other)
    for name in ("id", "deviceName", "serialNumber", "azureADDeviceId"):
        assert len({item[name] for item in shown}) == 1500
    assert graph("GET", f"{DEVICES}/{shown[700]['id']}").json["deviceName"] == shown[700]["deviceName"]
    assert shown[0]["deviceName"] == "RX1-WS-0001"


def test_builds_are_real_ones_in_their_shares_and_some_devices_never_told(graph):
    found = Counter(item["osVersion"] for item in every(graph))
    assert set(found) == {build for build, _ in BUILDS} | {""}
    assert found["10.0.26100.6899"] > found["10.0.19045.3930"] * 3
    assert {item["complianceState"] for item in every(graph) if not item["osVersion"]} == {"unknown"}


def test_a_device_belongs_to_somebody_of_its_organisation(graph):
    owned = [item for item in every(graph) if item["userId"]]
    assert 0.9 < len(owned) / 1500 < 0.97
    for item in owned[:20]:
        user = graph("GET", f"/users/{item['userId']}?$select=userPrincipalName,companyName").json
        assert user["userPrincipalName"] == item["userPrincipalName"]
        assert item["deviceName"].startswith(user["companyName"])
    theirs = [item["id"] for item in owned if item["userId"] == owned[5]["userId"]]
    assert [item["id"] for item in every(graph, f"/users/{owned[5]['userId']}/managedDevices")] == theirs


def test_most_check_in_every_eight_hours_and_some_have_been_silent_for_weeks(graph):
    before = {item["id"]: item["lastSyncDateTime"] for item in every(graph)}
    stale = {key for key, at in before.items() if at < "2025-12-22"}
    assert 0.04 < len(stale) / 1500 < 0.12
    assert min(before.values()) > "2025-11"
    graph.clock.at += 8 * 3600
    after = {item["id"]: item["lastSyncDateTime"] for item in every(graph)}
    assert {key for key in before if after[key] == before[key]} == stale


@pytest.mark.parametrize("day", range(0, 400, 13))
def test_the_silent_are_always_silent_for_more_than_two_weeks(day):
    now = 1_700_000_000 + day * 86400
    for silence in (-1, -20):
        age = now - datetime.fromisoformat(last_check_in(silence, now)).timestamp()
        assert 14 * 86400 < age < 90 * 86400


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("operatingSystem eq 'Windows'", lambda item: True),
        ("complianceState eq 'noncompliant'", lambda item: item["complianceState"] == "noncompliant"),
        ("contains(osVersion,'10.0.22631')", lambda item: item["osVersion"].startswith("10.0.22631")),
        ("startswith(deviceName,'RX2-')", lambda item: item["deviceName"].startswith("RX2-")),
        ("lastSyncDateTime lt 2025-12-22T00:00:00Z", lambda item: item["lastSyncDateTime"] < "2025-12-22"),
        ("deviceName eq 'rx1-ws-0007'", lambda item: item["deviceName"] == "RX1-WS-0007"),
        ("serialNumber eq 'RX20000003'", lambda item: item["serialNumber"] == "RX20000003"),
        (
            "userPrincipalName eq 'rx1-0004@contoso.example'",
            lambda item: item["userPrincipalName"] == "rx1-0004@contoso.example",
        ),
    ],
)
def test_devices_are_found_by_what_can_be_filtered_by(graph, text, holds):
    wanted = [item["id"] for item in every(graph) if holds(item)]
    assert wanted
    assert [item["id"] for item in every(graph, f"{DEVICES}?$select=id&$filter={text}")] == wanted


@pytest.mark.parametrize("text", [f"userId eq '{NOBODY}'", "deviceEnrollmentType eq 'unknown'", "isEncrypted eq false"])
def test_any_other_filter_is_passed_over_in_silence(graph, text):
    """microsoftgraph/microsoft-graph-explorer-v4#3125: all devices come, whatever the filter says."""
    assert len(every(graph, f"{DEVICES}?$filter={text}")) == 1500


def test_an_overview_counts_them(graph):
    assert graph("GET", "/deviceManagement/managedDeviceOverview").json["enrolledDeviceCount"] == 1500


def test_what_a_policy_says_of_a_device_is_the_devices_own_state(graph):
    for item in every(graph)[:30]:
        (state,) = graph("GET", f"{DEVICES}/{item['id']}/deviceCompliancePolicyStates").json["value"]
        assert (state["state"] == "compliant") == (item["complianceState"] == "compliant")


def test_entra_knows_them_by_another_id(graph):
    managed = graph("GET", f"{DEVICES}/{device(graph)}").json
    by_device_id = graph("GET", f"/devices(deviceId='{managed['azureADDeviceId']}')").json
    assert by_device_id["displayName"] == "RX1-WS-0001"
    assert (
        graph("GET", f"/devices/{by_device_id['id']}?$select=deviceId").json["deviceId"] == managed["azureADDeviceId"]
    )
    (found,) = graph("GET", f"/devices?$filter=deviceId eq '{managed['azureADDeviceId']}'").json["value"]
    assert found["id"] == by_device_id["id"]


# -- doing --------------------------------------------------------------------------------------------------------


def checking_in(graph, *, silent=False):
    return next(item["id"] for item in every(graph) if (item["lastSyncDateTime"] < "2025-12-22") is silent)


@pytest.mark.parametrize(("action", "state"), [("retire", "retirePending"), ("wipe", "wipePending")])
def test_a_device_leaves_when_it_next_checks_in(graph, action, state):
    key = checking_in(graph)
    assert graph("POST", f"{DEVICES}/{key}/{action}").status == 204
    shown = graph("GET", f"{DEVICES}/{key}").json
    assert (shown["managementState"], shown["deviceActionResults"][0]["actionState"]) == (state, "pending")
    graph.clock.at += graph.tenant.intune_s
    assert graph("GET", f"{DEVICES}/{key}").status == 404
    assert graph("GET", "/deviceManagement/managedDeviceOverview").json["enrolledDeviceCount"] == 1499


def test_a_silent_device_never_obeys(graph):
    key = checking_in(graph, silent=True)
    graph("POST", f"{DEVICES}/{key}/retire")
    graph.clock.at += 7 * 86400
    assert graph("GET", f"{DEVICES}/{key}").json["managementState"] == "retirePending"


@pytest.mark.parametrize(
    ("action", "body"), [("syncDevice", None), ("rebootNow", None), ("wipe", {"keepEnrollmentData": True})]
)
def test_other_actions_are_done_and_the_device_stays(graph, action, body):
    key = checking_in(graph)
    graph("POST", f"{DEVICES}/{key}/{action}", body)
    graph.clock.at += graph.tenant.intune_s
    shown = graph("GET", f"{DEVICES}/{key}").json
    assert shown["deviceActionResults"][0]["actionState"] == "done"
    assert shown["managementState"] == "managed"
    assert shown["lastSyncDateTime"] == "2026-01-05T09:01:00Z"


def test_only_what_an_administrator_says_of_a_device_can_be_changed(graph):
    key = device(graph)
    body = {"notes": "spare", "managedDeviceOwnerType": "personal", "serialNumber": "x", "managementState": "unhealthy"}
    assert graph("PATCH", f"{DEVICES}/{key}", body).status == 200
    shown = graph("GET", f"{DEVICES}/{key}").json
    assert (shown["managedDeviceOwnerType"], shown["serialNumber"]) == ("personal", "RX10000001")
    assert (shown["managementState"], shown["notes"]) == ("managed", None)
    assert graph("GET", f"{DEVICES}/{key}?$select=notes").json["notes"] == "spare"
    assert graph("DELETE", f"{DEVICES}/{key}").status == 204
    assert len(every(graph)) == 1499


def test_what_became_of_devices_survives_a_restart(clock, client, tmp_path):
    path = tmp_path / "tenant.db"
    tenant = SimulatedTenant.open(path, clock, seed=FLEET, throttling=False, replication_s=0)
    graph = client(tenant)
    retired, kept = checking_in(graph), device(graph, 9, 2)
    graph("POST", f"{DEVICES}/{retired}/retire")
    graph("PATCH", f"{DEVICES}/{kept}", {"notes": "x"})
    tenant.close()
    tenant = SimulatedTenant.open(path, clock, throttling=False, replication_s=0)
    graph = client(tenant)
    assert graph("GET", f"{DEVICES}/{retired}").json["managementState"] == "retirePending"
    clock.at += tenant.intune_s
    assert graph("GET", f"{DEVICES}/{retired}").status == 404
    assert graph("GET", f"{DEVICES}/{kept}?$select=notes").json["notes"] == "x"
    tenant.close()


# -- recovery keys ------------------------------------------------------------------------------------------------


def test_keys_are_listed_without_the_key_and_a_few_drives_have_none(graph):
    keys = every(graph, KEYS)
    encrypted = {item["azureADDeviceId"] for item in every(graph) if item["isEncrypted"]}
    assert {key["deviceId"] for key in keys} < encrypted
    assert 0.92 < len(keys) / len(encrypted) < 0.98
    assert all("key" not in key for key in keys)
    (found,) = graph("GET", f"{KEYS}?$filter=deviceId eq '{keys[3]['deviceId']}'").json["value"]
    assert found == keys[3]
    shown = graph("GET", f"{KEYS}/{found['id']}?$select=key").json["key"]
    assert re.fullmatch(r"\d{6}(-\d{6}){7}", shown)
    assert all(int(block) % 11 == 0 for block in shown.split("-"))
    assert graph("GET", f"{KEYS}?$select=key").status == 400


def test_the_key_itself_needs_more_than_the_basic_permission(graph):
    key = every(graph, KEYS)[0]["id"]
    signer = graph.tenant.login.signer
    for role, status in (("BitlockerKey.ReadBasic.All", 403), ("BitlockerKey.Read.All", 200)):
        claims = {"iss": signer.issuer, "exp": graph.clock.at + 99, "idtyp": "app", "appid": "a", "roles": [role]}
        bearer = {"Authorization": f"Bearer {signer.sign(claims)}"}
        assert graph("GET", f"{KEYS}/{key}", **bearer).status == 200
        assert graph("GET", f"{KEYS}/{key}?$select=key", **bearer).status == status


# -- exported reports ---------------------------------------------------------------------------------------------


def exported(graph, **body):
    job = graph("POST", JOBS, {"reportName": "Devices", **body})
    assert (job.status, job.json["status"], job.json["url"]) == (201, "notStarted", None)
    graph.clock.at += graph.tenant.intune_s
    done = graph("GET", f"{JOBS}('{job.json['id']}')").json
    assert done["status"] == "completed"
    return done


def fetched(graph, url, **headers):
    return graph.tenant.handle("GET", url, headers)


def test_an_export_is_a_zipped_csv_behind_a_link_that_wants_no_authorization(graph):
    done = exported(graph, select=["DeviceName", "OSVersion", "complianceState", "LastContact"])
    answer = fetched(graph, done["url"])
    assert answer.status == 200
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        (name,) = archive.namelist()
        assert name == f"{done['id']}.csv"
        rows = list(csv.DictReader(io.StringIO(archive.read(name).decode("utf-8-sig"))))
    assert list(rows[0]) == ["Device name", "OS version", "Compliance", "Last check-in"]
    assert Counter(row["OS version"] for row in rows) == Counter(item["osVersion"] for item in every(graph))


def test_a_link_is_refused_with_a_token_when_it_was_tampered_with_or_is_too_old(graph):
    url = exported(graph)["url"]
    assert fetched(graph, url, Authorization="Bearer sandbox").status == 403
    assert fetched(graph, re.sub(r"se=\d", "se=9", url)).status == 403
    assert fetched(graph, url.replace("sig=", "sig=0")).status == 403
    graph.clock.at += 6 * 3600 + 1
    assert fetched(graph, url).status == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"reportName": None}, 400),
        ({"reportName": "Nothing"}, 400),
        ({"select": ["Colour"]}, 400),
        ({"reportName": "DeviceCompliance"}, 501),
        ({"filter": "(JailBroken eq '1')"}, 501),
        ({"filter": "(OwnerType eq '1')", "localizationType": "LocalizedValuesAsAdditionalColumn"}, 201),
    ],
)
def test_a_job_is_refused_for_what_is_not_there(graph, body, status):
    assert graph("POST", JOBS, {"reportName": "Devices", **body}).status == status


def test_jobs_cannot_be_listed(graph):
    """microsoftgraph/microsoft-graph-docs#20380"""
    assert graph("GET", JOBS).code == "No method match route template"


def test_a_tenant_without_devices_has_none(clock, client):
    graph = client(SimulatedTenant(clock, throttling=False, replication_s=0))
    assert every(graph) == every(graph, KEYS) == every(graph, "/devices") == []
