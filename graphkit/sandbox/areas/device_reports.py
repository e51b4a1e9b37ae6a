"""Reports on devices: jobs that export them as a zipped CSV.

learn.microsoft.com/intune/intune-service/fundamentals/reports-export-graph-apis (the page's example is followed to the
letter) and api-reference/v1.0/api/intune-reporting-devicemanagementexportjob-*.md.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.areas.intune_policies import NEVER
from graphkit.sandbox.areas.intune_words import absent, no_route, read, refuse
from graphkit.sandbox.call import Call, Json, Refusal, Reply
from graphkit.sandbox.downloads import download, link
from graphkit.sandbox.ids import instant
from graphkit.sandbox.memory.pending import work
from graphkit.sandbox.permissions import DEVICE_REPORTS, DEVICE_REPORTS_WRITE
from graphkit.sandbox.query.listing import Kind, entity
from graphkit.sandbox.router import Routes
from graphkit.sandbox.seeding.devices import last_check_in

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

routes = Routes()

JOBS = "/deviceManagement/reports/exportJobs"
JOB_KIND = Kind(JOBS[1:], "deviceManagementExportJob")
_PAGE = "intune-reporting-devicemanagementexportjob"
LIFETIME_S = 6 * 3600
REPORTS = frozenset(["Devices", "DevicesWithInventory"])
"""These two know no localizationType, "due to legacy compatibility": their headings are those of the admin centre."""
_OTHER_REPORTS = """
    ActiveMalware AllAppsList AppInstallStatusAggregate ComanagedDeviceWorkloads
    ComanagementEligibilityTenantAttachedDevices DefenderAgents DetectedAppsAggregate DeviceCompliance
    DeviceFailuresByFeatureUpdatePolicy DeviceInstallStatusByApp DeviceNonCompliance
    DeviceRunStatesByProactiveRemediation FeatureUpdateDeviceState FeatureUpdatePolicyFailuresAggregate
    FirewallStatus GPAnalyticsSettingMigrationReadiness MAMAppConfigurationStatus MAMAppProtectionStatus Malware
    QualityUpdateDeviceErrorsByPolicy QualityUpdateDeviceStatusByPolicy UnhealthyDefenderAgents
    UserInstallStatusAggregateByApp
"""
OTHER_REPORTS = frozenset(_OTHER_REPORTS.split())
COMPLIANCE = {
    "compliant": "Compliant",
    "noncompliant": "Noncompliant",
    "inGracePeriod": "In grace period",
    "error": "Error",
    "unknown": "Not evaluated",
}
_WORDS = {"mdm": "Intune", "company": "Corporate", "personal": "Personal"}
COLUMNS: dict[str, tuple[str, str]] = {
    # name in "select", lower case: heading, property
    "deviceid": ("Device ID", "id"),
    "devicename": ("Device name", "deviceName"),
    "createddate": ("Enrollment date", "enrolledDateTime"),
    "lastcontact": ("Last check-in", "lastSyncDateTime"),
    "referenceid": ("Azure AD Device ID", "azureADDeviceId"),
    "osversion": ("OS version", "osVersion"),
    "serialnumber": ("Serial number", "serialNumber"),
    "manufacturer": ("Manufacturer", "manufacturer"),
    "model": ("Model", "model"),
    "storagetotal": ("Total storage", "totalStorageSpaceInBytes"),
    "storagefree": ("Free storage", "freeStorageSpaceInBytes"),
    "userid": ("UserId", "userId"),
    "upn": ("Primary user UPN", "userPrincipalName"),
    "useremail": ("Primary user email address", "emailAddress"),
    "username": ("Primary user display name", "userDisplayName"),
    "compliantstate": ("Compliance", "complianceState"),
    "compliancestate": ("Compliance", "complianceState"),
    "managementagent": ("Managed by", "managementAgent"),
    "ownertype": ("Ownership", "managedDeviceOwnerType"),
    "ownership": ("Ownership", "managedDeviceOwnerType"),
    "encryptionstatusstring": ("Encrypted", "isEncrypted"),
    "os": ("OS", "operatingSystem"),
}
_FILTERS = {
    ("ownertype", "1"): ("managedDeviceOwnerType", "company"),
    ("ownertype", "2"): ("managedDeviceOwnerType", "personal"),
    ("devicetype", "1"): ("operatingSystem", "Windows"),
}
_CLAUSE = re.compile(r"\(*\s*(\w+)\s+eq\s+'(\w+)'\s*\)*")


@routes.get(JOBS, DEVICE_REPORTS, page=f"{_PAGE}-list")
def list_jobs(call: Call) -> Reply:
    """Documented, and not there: microsoftgraph/microsoft-graph-docs#20380."""
    raise no_route(call, "~/singleton/navigation/navigation")


@routes.post(JOBS, DEVICE_REPORTS_WRITE, page=f"{_PAGE}-create")
def create_job(call: Call) -> Reply:
    body, _ = read(call, _as_written(call.json), "deviceManagementExportJob")
    name = body.get("reportName")
    if name in OTHER_REPORTS or body.get("format", "csv") != "csv":
        raise Refusal(501, "NotModelled", f"The simulated tenant does not model the report {name} in this format.")
    if name not in REPORTS or any(column.lower() not in COLUMNS for column in body.get("select") or ()):
        raise refuse(call)
    _filter(body.get("filter"))
    job = {
        "id": f"{name}_{call.tenant.new_id()}",
        "reportName": name,
        "filter": body.get("filter") or "",
        "select": body.get("select") or [],
        "format": "csv",
        "snapshotId": None,
        "localizationType": body.get("localizationType", "localizedValuesAsAdditionalColumn"),
        "status": "notStarted",
        "url": None,
        "requestDateTime": instant(call.now),
        "expirationDateTime": NEVER,
    }
    call.tenant.state.put("exportJobs", {**job, "_at": call.now})
    call.tenant.later(call.now + call.tenant.intune_s / 4, "export-job", job["id"], call.base)
    return entity(call, JOB_KIND, job, status=201)


def _as_written(body: Json) -> Json:
    """The page's own example writes the values of localizationType with a capital letter."""
    value = body.get("localizationType")
    return {**body, "localizationType": value[0].lower() + value[1:]} if isinstance(value, str) and value else body


def _filter(text: str | None) -> tuple[str, str] | None:
    """What a filter asks of a device: one clause, of a few that are modelled."""
    if not text:
        return None
    found = _CLAUSE.fullmatch(text.strip())
    wanted = _FILTERS.get((found[1].lower(), found[2])) if found else None
    if wanted is None:
        raise Refusal(501, "NotModelled", f"The simulated tenant does not model the report filter {text}.")
    return wanted


@work("export-job")
def _export(tenant: SimulatedTenant, due: float, arguments: Any) -> None:
    key, base = arguments
    job = tenant.state.get("exportJobs", key)
    if job is None:
        return
    end = due + LIFETIME_S
    url = link(tenant, base, "deviceReports", f"{key}.zip", end)
    done = {"status": "completed", "url": url, "expirationDateTime": instant(end)}
    tenant.state.put("exportJobs", {**job, **done})


@routes.get(JOBS + "/{job}", DEVICE_REPORTS, page=f"{_PAGE}-get")
def get_job(call: Call) -> Reply:
    return entity(call, JOB_KIND, _found(call))


@routes.delete(JOBS + "/{job}", DEVICE_REPORTS_WRITE, page=f"{_PAGE}-delete")
def delete_job(call: Call) -> Reply:
    call.tenant.state.delete("exportJobs", _found(call)["id"])
    return Reply(204)


def _found(call: Call) -> Json:
    job = call.tenant.state.get("exportJobs", call.params["job"])  # its id begins with a name in capitals
    if job is None:
        raise absent(call)
    return job


@download("deviceReports")
def _zipped(tenant: SimulatedTenant, name: str) -> tuple[bytes, str] | None:
    job = tenant.state.get("exportJobs", name.removesuffix(".zip"))
    if job is None:
        return None
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        # A fixed date, so that equal reports are equal bytes.
        archive.writestr(zipfile.ZipInfo(f"{job['id']}.csv"), _table(tenant, job).encode("utf-8-sig"))
    return packed.getvalue(), "application/octet-stream"


def _table(tenant: SimulatedTenant, job: Json) -> str:
    chosen = [COLUMNS[name.lower()] for name in job["select"]] or list(dict.fromkeys(COLUMNS.values()))
    wanted = _filter(job["filter"])
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow([heading for heading, _ in chosen])
    for device in tenant.state.table("managedDevices").in_order():
        if device is not None and (wanted is None or device[wanted[0]] == wanted[1]):
            rows.writerow([_cell(device, name, job["_at"]) for _, name in chosen])
    return text.getvalue()


def _cell(device: Json, name: str, now: float) -> str:
    """As the admin centre writes it: times without a zone, sizes in megabytes."""
    value: Any = device[name]
    if name == "lastSyncDateTime":
        value = max(device.get("_synced", ""), last_check_in(device["_beat"], now))
    if name.endswith("DateTime"):
        return str(value).replace("T", " ").replace("Z", ".0000000")
    if name.endswith("InBytes"):
        return str(value // 1_048_576)
    if name == "complianceState":
        return COMPLIANCE[value]
    return _WORDS.get(str(value), str(value))
