"""Managed devices: read, retire, wipe and the like. No policy changes what they report.

api-reference/v1.0/api/intune-devices-manageddevice-*.md; which properties ``$filter`` takes is in their descriptions
in the CSDL of v1.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.areas import users
from graphkit.sandbox.areas.intune_words import find, read
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.ids import guid, instant
from graphkit.sandbox.memory.pending import work
from graphkit.sandbox.permissions import DEVICE_ACTIONS, MANAGED_DEVICES, MANAGED_DEVICES_WRITE
from graphkit.sandbox.query.filter import parse_filter
from graphkit.sandbox.query.listing import Derive, Kind, Query, candidates, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.schema.check import find_type
from graphkit.sandbox.seeding.devices import last_check_in

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

routes = Routes()

ROOT = "/deviceManagement/managedDevices"
ONE = ROOT + "/{device}"
PAGE = 1000
_SLUG = "intune-devices-manageddevice"
_FILTERABLE = """
    azureADDeviceId complianceGracePeriodExpirationDateTime complianceState deviceCategoryDisplayName deviceName
    emailAddress enrolledDateTime exchangeAccessState imei jailBroken lastSyncDateTime managementAgent managementState
    manufacturer model operatingSystem osVersion phoneNumber serialNumber userPrincipalName
"""
FILTERABLE = frozenset(_FILTERABLE.split())
ONLY_WHEN_CHOSEN: Json = {"physicalMemoryInBytes": 17_179_869_184, "notes": None, "ethernetMacAddress": None}
"""Told of one device, by ``$select``; a list shows nothing for them (descriptions in the CSDL)."""


def _last_sync(call: Call, device: Json) -> str:
    """The later of the usual beat and what an administrator asked for."""
    asked: str = device.get("_synced", "")
    return max(asked, last_check_in(device["_beat"], call.now)) if "_beat" in device else asked


BETA: dict[str, Derive] = {
    "aadRegistered": lambda _, device: device["azureADRegistered"],
    "azureActiveDirectoryDeviceId": lambda _, device: device["azureADDeviceId"],
    "ownerType": lambda _, device: device["managedDeviceOwnerType"],
    "roleScopeTagIds": lambda _, __: ["0"],
}
"""Second names of what v1.0 has; the rest of what beta adds is shown empty."""


def _kind(version: str) -> Kind:
    """A list shows everything that this version has; naming it all is quicker than looking at each."""
    found = find_type("managedDevice", version)
    properties = found.properties if found else {}
    shown = tuple(name for name, kind in properties.items() if not kind.startswith(">"))
    derived = {"lastSyncDateTime": _last_sync, **(BETA if version == "beta" else {})}
    return Kind(ROOT.lstrip("/"), "managedDevice", shown, derived, page=PAGE, max_page=PAGE)


KINDS = {version: _kind(version) for version in ("v1.0", "beta")}
STATE_KIND = Kind(f"{ROOT.lstrip('/')}/deviceCompliancePolicyStates", "deviceCompliancePolicyState")


@routes.get(ROOT, MANAGED_DEVICES, page=f"{_SLUG}-list")
def list_devices(call: Call) -> Reply:
    call.query = _heeded(call.query)
    return _page(call, _narrowed(call))


def _page(call: Call, items: Sequence[Json | None]) -> Reply:
    """``@odata.count`` is there unasked, and it is the number on this page: a published answer to ``$top=1`` has a
    count of 1 and a next page; microsoftgraph/msgraph-sdk-powershell#1819 shows it without ``$count``.
    """
    found = listing(call, KINDS[call.version], items)
    found.body["@odata.count"] = len(found.body["value"])
    return found


def _heeded(query: Query) -> Query:
    """A filter by anything else is not refused but passed over: all devices come (microsoftgraph/
    microsoft-graph-explorer-v4#3125 of userId, microsoft-graph-docs#19909 of deviceEnrollmentType, #16027).
    """
    text = query.get("$filter")
    if not text or parse_filter(text).properties <= FILTERABLE:
        return query
    return Query({name: value for name, value in query.options.items() if name != "$filter"}, query.text)


def _narrowed(call: Call) -> Sequence[Json | None]:
    """As few devices as the filter can be answered with."""
    text = call.query.get("$filter")
    names = parse_filter(text).equal("userPrincipalName") if text else None
    if names is None:
        return candidates(call, "managedDevices")
    people = call.tenant.state.table("users")
    found = [user for name in names for user in people.find("userPrincipalName", name)]
    return [device for user in found for device in devices_of(call, user["id"])]


def devices_of(call: Call, user_id: str) -> list[Json]:
    """What one person uses. Devices change hands only by PATCH, which is not modelled, so the seed knows."""
    fleet = call.tenant.seed.fleet
    table = call.tenant.state.table("managedDevices").objects
    found = [table.get(fleet.key(position)) for position in fleet.of_user(user_id)]
    return [device for device in found if device is not None]


@routes.get("/users/{user}/managedDevices", MANAGED_DEVICES, page="user-list-manageddevices")
def list_devices_of_user(call: Call) -> Reply:
    return _page(call, list(devices_of(call, users.find(call)["id"])))


def _found(call: Call) -> Json:
    return find(call, "managedDevices", call.params["device"])


@routes.get(ONE, MANAGED_DEVICES, page=f"{_SLUG}-get")
def get_device(call: Call) -> Reply:
    device = _found(call)
    chosen = {name: value for name, value in ONLY_WHEN_CHOSEN.items() if name in call.query.select}
    kept = {name: device[f"_{name}"] for name in chosen if f"_{name}" in device}
    return entity(call, KINDS[call.version], {**device, **chosen, **kept})


@routes.patch(ONE, MANAGED_DEVICES_WRITE, page=f"{_SLUG}-update")
def update_device(call: Call) -> Reply:
    """Only what an administrator may say of a device; what the device says itself is passed over."""
    device = _found(call)
    body, _ = read(call, call.json, "managedDevice")
    body.pop("managementState", None)
    if "notes" in body:
        body["_notes"] = body.pop("notes")
    if "ownerType" in body:  # beta's name for it
        body["managedDeviceOwnerType"] = body.pop("ownerType")
    changed = {**device, **body}
    call.tenant.state.put("managedDevices", changed)
    return entity(call, KINDS[call.version], changed)


@routes.delete(ONE, MANAGED_DEVICES_WRITE, page=f"{_SLUG}-delete")
def delete_device(call: Call) -> Reply:
    call.tenant.state.delete("managedDevices", _found(call)["id"])
    return Reply(204)


@routes.get(
    ONE + "/deviceCompliancePolicyStates",
    MANAGED_DEVICES,
    page="intune-deviceconfig-devicecompliancepolicystate-list",
)
def list_policy_states(call: Call) -> Reply:
    """The built-in policy only, whose verdict is the device's own."""
    device = _found(call)
    states = {"noncompliant": "nonCompliant", "inGracePeriod": "nonCompliant", "unknown": "notAssigned"}
    state: Json = {
        "id": guid(device["id"], "default-policy"),
        "displayName": "Default Device Compliance Policy",
        "platformType": "windows10AndLater",
        "state": states.get(device["complianceState"], device["complianceState"]),
        "settingCount": 3,
        "settingStates": [],
        "version": 1,
    }
    return listing(call, STATE_KIND, [state])


@routes.get("/deviceManagement/managedDeviceOverview", MANAGED_DEVICES, page=f"{_SLUG}overview-get")
def get_overview(call: Call) -> Reply:
    count = len(call.tenant.state.table("managedDevices").objects)
    names = ("android", "ios", "macOS", "windowsMobile", "unknown", "androidDedicated", "androidDeviceAdmin")
    overview = {
        "id": guid(call.tenant.tenant_id, "managedDeviceOverview"),
        "enrolledDeviceCount": count,
        "mdmEnrolledCount": count,
        "dualEnrolledDeviceCount": 0,
        "deviceOperatingSystemSummary": {**{f"{name}Count": 0 for name in names}, "windowsCount": count},
        "deviceExchangeAccessStateSummary": {
            f"{name}DeviceCount": 0 for name in ("allowed", "blocked", "quarantined", "unknown", "unavailable")
        },
    }
    context = call.context("deviceManagement/managedDeviceOverview/$entity")
    return Reply(200, {"@odata.context": context, **overview})


# -- actions: accepted now, done when the device next checks in ------------------------------------------------------


def _act(call: Call, name: str, state: str = "", **more: Any) -> Reply:
    """204, and a pending entry among deviceActionResults; who never checks in never obeys."""
    device = _found(call)
    now = instant(call.now)
    result = {"actionName": name, "actionState": "pending", "startDateTime": now, "lastUpdatedDateTime": now}
    kept = [entry for entry in device["deviceActionResults"] if entry["actionName"] != name]
    changed = {**device, "deviceActionResults": [*kept, result]}
    if state:
        changed["managementState"] = state
    call.tenant.state.put("managedDevices", changed)
    if device["_beat"] >= 0:
        call.tenant.later(call.now + call.tenant.intune_s, "device-action", device["id"], name, more)
    return Reply(204)


@work("device-action")
def _obey(tenant: SimulatedTenant, due: float, arguments: Any) -> None:
    """A retired device is gone, a wiped one too unless it keeps its enrolment; the rest just report."""
    key, name, more = arguments
    device = tenant.state.get("managedDevices", key)
    if device is None:
        return
    if name == "retire" or (name == "wipe" and not more.get("keepEnrollmentData")):
        tenant.state.delete("managedDevices", key)
        return
    done = {"actionState": "done", "lastUpdatedDateTime": instant(due)}
    results = [{**entry, **done} if entry["actionName"] == name else entry for entry in device["deviceActionResults"]]
    changed = {**device, "deviceActionResults": results, "_synced": instant(due)}
    if name == "wipe":
        changed["managementState"] = "managed"
    tenant.state.put("managedDevices", changed)


@routes.post(ONE + "/retire", DEVICE_ACTIONS, page=f"{_SLUG}-retire")
def retire(call: Call) -> Reply:
    return _act(call, "retire", "retirePending")


@routes.post(ONE + "/wipe", (*DEVICE_ACTIONS, *MANAGED_DEVICES_WRITE), page=f"{_SLUG}-wipe")
def wipe(call: Call) -> Reply:
    body = call.body if isinstance(call.body, dict) else {}
    return _act(call, "wipe", "wipePending", keepEnrollmentData=bool(body.get("keepEnrollmentData")))


@routes.post(ONE + "/syncDevice", DEVICE_ACTIONS, page=f"{_SLUG}-syncdevice")
def sync(call: Call) -> Reply:
    return _act(call, "syncDevice")


@routes.post(ONE + "/rebootNow", DEVICE_ACTIONS, page=f"{_SLUG}-rebootnow")
def reboot(call: Call) -> Reply:
    return _act(call, "rebootNow")
