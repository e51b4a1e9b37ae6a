"""Devices as Entra knows them (read only), and the BitLocker keys that they have handed in.

api-reference/v1.0/api/device-list.md, device-get.md, bitlocker-list-recoverykeys.md, bitlockerrecoverykey-get.md.
Reading a key is audited in earnest; there are no audit logs here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request, not_found
from graphkit.sandbox.permissions import DEVICES, RECOVERY_KEYS
from graphkit.sandbox.query.filter import parse_filter
from graphkit.sandbox.query.listing import Kind, candidates, entity, listing
from graphkit.sandbox.router import Routes
from graphkit.sandbox.seeding.devices import RecoveryKeys
from graphkit.sandbox.seeding.population import Ids

routes = Routes()

KEYS = "/informationProtection/bitlocker/recoveryKeys"
DEVICE_KIND = Kind("devices", "device", advanced=True)
KEY_KIND = Kind(KEYS[1:], "bitlockerRecoveryKey", ("id", "createdDateTime", "volumeType", "deviceId"), page=1000)


def _visible(call: Call, device: Json | None, key: str) -> Json:
    if device is None or not call.tenant.replication.visible(device, call.now, call.replica):
        raise not_found(key)
    return device


@routes.get("/devices", DEVICES, page="device-list")
def list_devices(call: Call) -> Reply:
    return listing(call, DEVICE_KIND, candidates(call, "devices"))


@routes.get("/devices/{device}", DEVICES, page="device-get")
def get_device(call: Call) -> Reply:
    key = call.params["device"]
    return entity(call, DEVICE_KIND, _visible(call, call.tenant.state.get("devices", key.lower()), key))


@routes.get("/devices(deviceId)/{key}", DEVICES, page="device-get")
def get_device_by_device_id(call: Call) -> Reply:
    key = call.params["key"]
    found = next(iter(call.tenant.state.table("devices").find("deviceId", key)), None)
    return entity(call, DEVICE_KIND, _visible(call, found, key))


def _keys(call: Call) -> RecoveryKeys:
    return RecoveryKeys(call.tenant.seed.fleet, Ids(call.tenant.tenant_id, "recoveryKey"))


@routes.get(KEYS, RECOVERY_KEYS, page="bitlocker-list-recoverykeys")
def list_keys(call: Call) -> Reply:
    """Never the key itself; ``$top`` is not supported, ``$filter`` by deviceId only."""
    if "key" in call.query.select or call.query.get("$top"):
        raise bad_request("The query is not supported.", "BadRequest")
    text = call.query.get("$filter")
    wanted = parse_filter(text).equal("deviceId") if text else None
    if text and wanted is None:
        raise bad_request("Only equality of deviceId is supported in $filter.", "BadRequest")
    found: Sequence[Json | None] = _keys(call)
    if wanted:
        found = [key for value in wanted for key in _keys(call).of_device(value)]
    return listing(call, KEY_KIND, found)


@routes.get(KEYS + "/{key}", RECOVERY_KEYS, page="bitlockerrecoverykey-get")
def get_key(call: Call) -> Reply:
    """``$select=key`` tells it, to those who may read more than the basics."""
    found = _keys(call).get(call.params["key"])
    if found is None:
        raise not_found(call.params["key"])
    if "key" in call.query.select:
        if call.permissions is not None and "BitlockerKey.Read.All" not in call.permissions:
            raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        found = {**found, "key": _password(found["id"])}
    return entity(call, KEY_KIND, found)


def _password(key: str) -> str:
    """Eight blocks of six digits, each divisible by 11 (learn.microsoft.com/windows/security BitLocker overview)."""
    digest = hashlib.sha256(key.encode()).digest()
    blocks = (int.from_bytes(digest[at : at + 2], "big") * 11 for at in range(0, 16, 2))
    return "-".join(f"{block:06}" for block in blocks)
