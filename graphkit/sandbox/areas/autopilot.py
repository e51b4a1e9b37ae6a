"""Windows Autopilot: devices are imported now, registered later and seen later still.

api-reference/v1.0/api/intune-enrollment-*windowsautopilotdeviceidentity-*.md. The states and the order of things are
those that the public import scripts wait for; error codes from oofhours.com/2019/07/07 and
learn.microsoft.com/troubleshoot/mem/intune/device-enrollment/error-806-808-import-autopilot-csv. In earnest an import
takes minutes (5 to 15 in the admin centre), here ``intune_s``, and its devices are listed ``intune_s`` after that.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.areas.intune_policies import NEVER, defaults
from graphkit.sandbox.areas.intune_words import find, no_route, read, refuse
from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.ids import instant
from graphkit.sandbox.memory.pending import work
from graphkit.sandbox.permissions import ENROLMENT, ENROLMENT_WRITE
from graphkit.sandbox.query.listing import Kind, entity, listing
from graphkit.sandbox.router import Routes

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

routes = Routes()

IMPORTED = "/deviceManagement/importedWindowsAutopilotDeviceIdentities"
DEVICES = "/deviceManagement/windowsAutopilotDeviceIdentities"
_IMPORT_PAGE = "intune-enrollment-importedwindowsautopilotdeviceidentity"
_PAGE = "intune-enrollment-windowsautopilotdeviceidentity"
IMPORT_KIND = Kind(IMPORTED[1:], "importedWindowsAutopilotDeviceIdentity", page=1000, max_page=1000)
DEVICE_KIND = Kind(DEVICES[1:], "windowsAutopilotDeviceIdentity", page=1000, max_page=1000)
REGISTERED = "windowsAutopilotDeviceIdentities"
WAITING = "autopilotWaiting"
"""Registered, but not yet listed."""
SYNC_S = 5.0

BAD_HASH = (802, "InvalidZtdHardwareHash")
NO_SERIAL = (803, "MissingZtdSerialNumberAndProductKey")
ALREADY_ASSIGNED = (806, "ZtdDeviceAlreadyAssigned")
CHANGEABLE = ("userPrincipalName", "addressableUserName", "groupTag", "displayName")


# -- importing ------------------------------------------------------------------------------------------------------


def _import(call: Call, entry: Any) -> Json:
    """What is answered of the new entry: its state is unknown, and the hash is never shown (MSEndpointMgr/Intune#71).

    Keys are not unique: the same device may be sent again, and fails later.
    """
    body, _ = read(call, entry, IMPORT_KIND.type)
    body.pop("state", None)
    item = {
        **defaults(IMPORT_KIND.type),
        **body,
        "id": call.tenant.new_id(),
        "state": _state("pending"),
        "hardwareIdentifier": None,
        "_hash": body.get("hardwareIdentifier") or "",
    }
    call.tenant.state.put("autopilotImports", item)
    call.tenant.later(call.now + call.tenant.intune_s, "autopilot-import", item["id"])
    return {**item, "state": _state("unknown")}


def _state(status: str, code: int = 0, name: str = "", registration: str = "") -> Json:
    return {
        "deviceImportStatus": status,
        "deviceRegistrationId": registration,
        "deviceErrorCode": code,
        "deviceErrorName": name,
    }


@routes.post(IMPORTED, ENROLMENT_WRITE, page=f"{_IMPORT_PAGE}-create")
def import_one(call: Call) -> Reply:
    return entity(call, IMPORT_KIND, _import(call, call.json), status=201)


@routes.post(IMPORTED + "/import", ENROLMENT_WRITE, page=f"{_IMPORT_PAGE}-import")
def import_many(call: Call) -> Reply:
    entries = call.json.get("importedWindowsAutopilotDeviceIdentities")
    if not isinstance(entries, list) or not entries:
        raise refuse(call)
    made = [_import(call, entry) for entry in entries]
    shown = [{name: value for name, value in item.items() if name[0] != "_"} for item in made]
    return Reply(200, {"@odata.context": call.context(f"Collection({IMPORT_KIND.type})"), "value": shown})


@routes.get(IMPORTED, ENROLMENT, page=f"{_IMPORT_PAGE}-list")
def list_imports(call: Call) -> Reply:
    return listing(call, IMPORT_KIND, call.tenant.state.table("autopilotImports").in_order())


def _found_import(call: Call) -> Json:
    return find(call, "autopilotImports", call.params["identity"])


@routes.get(IMPORTED + "/{identity}", ENROLMENT, page=f"{_IMPORT_PAGE}-get")
def get_import(call: Call) -> Reply:
    return entity(call, IMPORT_KIND, _found_import(call))


@routes.patch(IMPORTED + "/{identity}", ENROLMENT_WRITE, page=f"{_IMPORT_PAGE}-update")
def update_import(call: Call) -> Reply:
    """Documented, and not there: microsoftgraph/microsoft-graph-docs-contrib#7499."""
    raise no_route(call, "~/singleton/navigation/key")


@routes.delete(IMPORTED + "/{identity}", ENROLMENT_WRITE, page=f"{_IMPORT_PAGE}-delete")
def delete_import(call: Call) -> Reply:
    """Tidies up; the device itself stays registered."""
    call.tenant.state.delete("autopilotImports", _found_import(call)["id"])
    return Reply(204)


@work("autopilot-import")
def _register(tenant: SimulatedTenant, due: float, arguments: Any) -> None:
    item = tenant.state.get("autopilotImports", arguments[0])
    if item is None:
        return
    error = _error(tenant, item)
    if error:
        tenant.state.put("autopilotImports", {**item, "state": _state("error", *error)})
        return
    key = tenant.new_id()
    tenant.state.put("autopilotImports", {**item, "state": _state("complete", name="None", registration=key)})
    tenant.state.put(WAITING, _registered(tenant, item, key))
    tenant.later(due + tenant.intune_s, "autopilot-appear", key)


def _error(tenant: SimulatedTenant, item: Json) -> tuple[int, str] | None:
    serial = item["serialNumber"] or ""
    if not serial:
        return NO_SERIAL
    # Public examples of hardware hashes begin so: "OA" for OEM activation. Their 4,000 characters are not asked for.
    if base64.b64decode(item["_hash"])[:2] != b"OA":
        return BAD_HASH
    if any(tenant.state.table(name).find("serialNumber", serial) for name in (WAITING, REGISTERED)):
        return ALREADY_ASSIGNED
    return None


def _registered(tenant: SimulatedTenant, item: Json, key: str) -> Json:
    """The device, which is enrolled already if Intune manages one of this serial number."""
    managed = next(iter(tenant.state.table("managedDevices").find("serialNumber", item["serialNumber"])), None)
    device = {
        **defaults(DEVICE_KIND.type),
        "id": key,
        "serialNumber": item["serialNumber"],
        "groupTag": item["groupTag"] or "",
        "productKey": item["productKey"] or "",
        "userPrincipalName": item["assignedUserPrincipalName"] or "",
        "enrollmentState": "enrolled" if managed else "notContacted",
        "lastContactedDateTime": NEVER,
        "managedDeviceId": managed["id"] if managed else "",
        "azureActiveDirectoryDeviceId": managed["azureADDeviceId"] if managed else tenant.new_id(),
    }
    if managed:
        return {**device, "manufacturer": managed["manufacturer"], "model": managed["model"]}
    return device


@work("autopilot-appear")
def _appear(tenant: SimulatedTenant, due: float, arguments: Any) -> None:
    """It is listed, and Entra has an object for it that dynamic groups can be made by."""
    device = tenant.state.get(WAITING, arguments[0])
    if device is None:
        return
    tenant.state.delete(WAITING, device["id"])
    tenant.state.put(REGISTERED, device)
    if tenant.state.table("devices").find("deviceId", device["azureActiveDirectoryDeviceId"]):
        return
    entra = {
        "id": tenant.new_id(),
        "deviceId": device["azureActiveDirectoryDeviceId"],
        "displayName": device["serialNumber"],
        "accountEnabled": True,
        "operatingSystem": "Windows",
        "trustType": "AzureAd",
        "profileType": "RegisteredDevice",
        "physicalIds": [f"[ZTDId]:{device['id']}", f"[OrderId]:{device['groupTag']}"],
        "createdDateTime": instant(due),
    }
    tenant.state.put("devices", entra)


@routes.post(
    "/deviceManagement/windowsAutopilotSettings/sync",
    ENROLMENT_WRITE,
    page="intune-enrollment-windowsautopilotsettings-sync",
    beta_only=True,
)
def sync(call: Call) -> Reply:
    """Devices that wait to be listed are, soon. In earnest it is refused more often than every ten minutes."""
    for key in call.tenant.state.table(WAITING).objects:
        call.tenant.later(call.now + SYNC_S, "autopilot-appear", key)
    return Reply(204)


# -- registered devices ----------------------------------------------------------------------------------------------


@routes.get(DEVICES, ENROLMENT, page=f"{_PAGE}-list")
def list_devices(call: Call) -> Reply:
    return listing(call, DEVICE_KIND, call.tenant.state.table(REGISTERED).in_order())


def _found(call: Call) -> Json:
    return find(call, REGISTERED, call.params["identity"])


@routes.get(DEVICES + "/{identity}", ENROLMENT, page=f"{_PAGE}-get")
def get_device(call: Call) -> Reply:
    return entity(call, DEVICE_KIND, _found(call))


@routes.delete(DEVICES + "/{identity}", ENROLMENT_WRITE, page=f"{_PAGE}-delete")
def delete_device(call: Call) -> Reply:
    call.tenant.state.delete(REGISTERED, _found(call)["id"])
    return Reply(204)


def _change(call: Call, changes: Json) -> Reply:
    upn = changes.get("userPrincipalName")
    if upn and not call.tenant.state.table("users").find("userPrincipalName", upn):
        raise refuse(call)
    call.tenant.state.put(REGISTERED, {**_found(call), **changes})
    return Reply(204)


@routes.post(DEVICES + "/{identity}/updateDeviceProperties", ENROLMENT_WRITE, page=f"{_PAGE}-updatedeviceproperties")
def update_properties(call: Call) -> Reply:
    return _change(call, _parameters(call, CHANGEABLE))


@routes.post(DEVICES + "/{identity}/assignUserToDevice", ENROLMENT_WRITE, page=f"{_PAGE}-assignusertodevice")
def assign_user(call: Call) -> Reply:
    changes = _parameters(call, ("userPrincipalName", "addressableUserName"))
    if not changes.get("userPrincipalName"):
        raise refuse(call)
    return _change(call, changes)


@routes.post(DEVICES + "/{identity}/unassignUserFromDevice", ENROLMENT_WRITE, page=f"{_PAGE}-unassignuserfromdevice")
def unassign_user(call: Call) -> Reply:
    return _change(call, {"userPrincipalName": "", "addressableUserName": ""})


def _parameters(call: Call, names: tuple[str, ...]) -> Json:
    body = {name: value for name, value in call.json.items() if "@" not in name}
    if any(name not in names or not isinstance(value, str | None) for name, value in body.items()):
        raise refuse(call)
    return {name: value for name, value in body.items() if value is not None}
