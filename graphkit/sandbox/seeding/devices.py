"""The seeded Windows devices: ``RX1-WS-0001`` ..., worked out when asked for, like the staff who use them.

Shapes and empty values are those of a published answer of the service; builds are real ones
(learn.microsoft.com/windows/release-health/windows11-release-information and release-information). When a device last
checked in depends on the time of asking, so it is not kept here: see :func:`last_check_in`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.call import Json
from graphkit.sandbox.ids import SEEDED_AT, instant
from graphkit.sandbox.seeding.population import Ids, Population, Shares

if TYPE_CHECKING:
    from graphkit.sandbox.seeding.seed import Seed

NEVER = "0001-01-01T00:00:00Z"
FOR_EVER = "9999-12-31T23:59:59Z"

BUILDS: tuple[tuple[str, int], ...] = (
    # of 128: months behind, as fleets are
    ("10.0.19045.6456", 10), ("10.0.19045.6332", 5), ("10.0.19045.5965", 6), ("10.0.19045.5011", 3),
    ("10.0.19045.4529", 2), ("10.0.19045.3930", 2),
    ("10.0.22631.6060", 20), ("10.0.22631.5909", 10), ("10.0.22631.5472", 6), ("10.0.22631.4317", 4),
    ("10.0.22631.3737", 2), ("10.0.22631.3007", 2),
    ("10.0.26100.6899", 24), ("10.0.26100.6584", 14), ("10.0.26100.4349", 6), ("10.0.26100.2033", 3),
    ("10.0.26200.6899", 9),
)  # fmt: skip
_BUILD = tuple(build for build, weight in BUILDS for _ in range(weight))
_STATE = ("noncompliant",) * 6 + ("inGracePeriod",) * 3 + ("error",) + ("compliant",) * 54
MODELS = (
    ("Dell Inc.", "Latitude 5440"), ("Dell Inc.", "OptiPlex 7010"), ("HP", "HP EliteBook 840 G9"),
    ("HP", "HP ProDesk 400 G7"), ("LENOVO", "21HD003AUK"), ("LENOVO", "20W0009UUK"),
    ("Microsoft Corporation", "Surface Laptop 5"), ("Microsoft Corporation", "Surface Pro 9"),
)  # fmt: skip
STALE_OF_64 = 5
ESCROWED_OF_100 = 95

_PLAIN: Json = {
    "id": "", "userId": "", "deviceName": "", "managedDeviceOwnerType": "company", "enrolledDateTime": SEEDED_AT,
    "lastSyncDateTime": NEVER, "operatingSystem": "Windows", "complianceState": "compliant", "jailBroken": "Unknown",
    "managementAgent": "mdm", "osVersion": "", "easActivated": False, "easDeviceId": "",
    "easActivationDateTime": NEVER, "azureADRegistered": True, "deviceEnrollmentType": "windowsAzureADJoin",
    "activationLockBypassCode": None, "emailAddress": "", "azureADDeviceId": "",
    "deviceRegistrationState": "registered", "deviceCategoryDisplayName": "Unknown", "isSupervised": False,
    "exchangeLastSuccessfulSyncDateTime": NEVER, "exchangeAccessState": "none", "exchangeAccessStateReason": "none",
    "remoteAssistanceSessionUrl": None, "remoteAssistanceSessionErrorDetails": None, "isEncrypted": True,
    "userPrincipalName": "", "model": "", "manufacturer": "", "imei": "",
    "complianceGracePeriodExpirationDateTime": FOR_EVER, "serialNumber": "", "phoneNumber": "",
    "androidSecurityPatchLevel": "", "userDisplayName": "", "configurationManagerClientEnabledFeatures": None,
    "wiFiMacAddress": "", "deviceHealthAttestationState": None, "subscriberCarrier": "", "meid": "",
    "totalStorageSpaceInBytes": 255_466_668_032, "freeStorageSpaceInBytes": 0, "managedDeviceName": "",
    "partnerReportedThreatState": "unknown", "requireUserEnrollmentApproval": None,
    "managementCertificateExpirationDate": FOR_EVER, "iccid": None, "udid": None, "notes": None,
    "ethernetMacAddress": None, "physicalMemoryInBytes": 0, "enrollmentProfileName": "",
    "managementState": "managed", "deviceActionResults": [],
}  # fmt: skip


class Fleet(Population):
    """The devices that the organisations share, one for each of their people in turn."""

    def __init__(self, seed: Seed) -> None:
        self.shares = Shares(seed.codes, seed.devices if seed.codes else 0)
        self._staff = seed.staff
        self._domain = seed.domain
        self._ids = Ids(seed.tenant_id, "managedDevice")
        self.entra_ids = Ids(seed.tenant_id, "entraDevice")
        digest = hashlib.sha256(f"{seed.tenant_id}/traits".encode()).digest()
        self._salt = int.from_bytes(digest[:8], "big")
        self._name = re.compile(rf"(\w+)-ws-(\d{{{self.shares.digits},}})")
        self._places = {code: place for place, code in enumerate(seed.codes)}
        self._same = (seed.tenant_id, seed.codes, seed.devices, seed.users, seed.domain)
        self.joined = JoinedDevices(self, Ids(seed.tenant_id, "device"))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fleet) and self._same == other._same

    def __len__(self) -> int:
        return self.shares.total

    def key(self, position: int) -> str:
        return self._ids.key(position)

    def position(self, key: str) -> int | None:
        return self._known(self._ids.position(key))

    def _known(self, position: int | None) -> int | None:
        return position if position is not None and position < self.shares.total else None

    def traits(self, position: int) -> int:
        """64 bits that look random: the bits of a device's fate (Vigna's splitmix64)."""
        mixed = (position * 0x9E3779B97F4A7C15 + self._salt) & 0xFFFFFFFFFFFFFFFF
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        return mixed ^ (mixed >> 31)

    def at(self, position: int) -> Json:
        code, number = self.shares.split(position)
        fate = self.traits(position)
        name = f"{code}-WS-{number:0{self.shares.digits}}"
        device = _PLAIN.copy()
        device["id"] = self._ids.key(position)
        device["deviceName"] = name
        device["managedDeviceName"] = f"{name}_Windows_1/8/2024_9:00 AM"
        device["azureADDeviceId"] = self.entra_ids.key(position)
        device["serialNumber"] = f"{code}{number:07}"
        device["manufacturer"], device["model"] = MODELS[fate >> 40 & 7]
        device["freeStorageSpaceInBytes"] = (fate >> 43 & 0xFF) << 29
        device["isEncrypted"] = is_encrypted(fate)
        device["_beat"] = beat(fate)
        if fate >> 13 & 127:
            device["osVersion"] = _BUILD[fate & 127]
            device["complianceState"] = "noncompliant" if device["_beat"] < 0 else _STATE[fate >> 20 & 63]
        else:
            device["complianceState"] = "unknown"  # it enrolled and never told what it is
        user = self.user_of(position) if fate >> 30 & 15 else None
        if user is None:
            device["deviceEnrollmentType"] = "windowsBulkAzureDomainJoin"  # shared: nobody's
            return device
        upn, shown, user_id = user
        device["userId"], device["userPrincipalName"], device["emailAddress"] = user_id, upn, upn
        device["userDisplayName"] = shown
        if not fate >> 34 & 31:
            device["managedDeviceOwnerType"], device["deviceEnrollmentType"] = "personal", "userEnrollment"
        return device

    def user_of(self, position: int) -> tuple[str, str, str] | None:
        """User principal name, display name and id of whose turn it is."""
        staff = self._staff
        code, number = self.shares.split(position)
        people = staff.shares.of(self._places[code])
        if not people:
            return None
        number = (number - 1) % people + 1
        padded = f"{number:0{staff.shares.digits}}"
        user = staff.shares.join(code, number)
        return f"{code.lower()}-{padded}@{self._domain}", f"{code} Staff {padded}", staff.key(user or 0)

    def of_user(self, user_id: str) -> list[int]:
        """The positions of one person's devices."""
        found = self._staff.position(user_id)
        if found is None:
            return []
        code, number = self._staff.shares.split(found)
        place = self._places[code]
        numbers = range(number, self.shares.of(place) + 1, self._staff.shares.of(place))
        positions = [self.shares.join(code, n) for n in numbers]
        return [at for at in positions if at is not None and self.traits(at) >> 30 & 15]

    def find(self, name: str, value: str) -> int | None:
        if name == "deviceName":
            found = self._name.fullmatch(value)
            return self.shares.join(found[1], int(found[2])) if found else None
        if name == "serialNumber" and value[-7:].isdigit():
            return self.shares.join(value[:-7], int(value[-7:]))
        if name == "azureADDeviceId":
            return self._known(self.entra_ids.position(value))
        return None


class JoinedDevices(Population):
    """The same machines as Entra knows them; they stay there when Intune lets go of them."""

    def __init__(self, fleet: Fleet, ids: Ids) -> None:
        self._fleet = fleet
        self._ids = ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JoinedDevices) and self._fleet == other._fleet

    def __len__(self) -> int:
        return len(self._fleet)

    def key(self, position: int) -> str:
        return self._ids.key(position)

    def position(self, key: str) -> int | None:
        found = self._ids.position(key)
        return found if found is not None and found < len(self) else None

    def at(self, position: int) -> Json:
        managed = self._fleet.at(position)
        return {
            "id": self._ids.key(position),
            "deviceId": managed["azureADDeviceId"],
            "displayName": managed["deviceName"],
            "accountEnabled": True,
            "operatingSystem": "Windows",
            "operatingSystemVersion": managed["osVersion"] or None,
            "manufacturer": managed["manufacturer"],
            "model": managed["model"],
            "isManaged": True,
            "isCompliant": managed["complianceState"] in ("compliant", "inGracePeriod"),
            "trustType": "AzureAd" if managed["managedDeviceOwnerType"] == "company" else "Workplace",
            "deviceOwnership": managed["managedDeviceOwnerType"].title(),
            "managementType": "MDM",
            "profileType": "RegisteredDevice",
            "registrationDateTime": SEEDED_AT,
            "createdDateTime": SEEDED_AT,
        }

    def find(self, name: str, value: str) -> int | None:
        return self._fleet.find({"deviceId": "azureADDeviceId", "displayName": "deviceName"}.get(name, name), value)


class RecoveryKeys(Sequence[Json | None]):
    """Keys of encrypted system drives, for all but a few of them; ``None`` where none was handed in."""

    def __init__(self, fleet: Fleet, ids: Ids) -> None:
        self._fleet = fleet
        self._ids = ids

    def __len__(self) -> int:
        return len(self._fleet)

    def __getitem__(self, position: Any) -> Any:
        fate = self._fleet.traits(position)
        if not is_encrypted(fate) or fate >> 52 & 0xFFF >= ESCROWED_OF_100 * 4096 // 100:
            return None
        return {
            "id": self._ids.key(position),
            "createdDateTime": SEEDED_AT,
            "volumeType": "operatingSystemVolume",
            "deviceId": self._fleet.entra_ids.key(position),
        }

    def get(self, key: str) -> Json | None:
        position = self._ids.position(key)
        found: Json | None = self[position] if position is not None and position < len(self) else None
        return found

    def of_device(self, entra_id: str) -> list[Json | None]:
        position = self._fleet.find("azureADDeviceId", entra_id)
        return [] if position is None else [self[position]]


def is_encrypted(fate: int) -> bool:
    return bool(fate >> 26 & 15)


def beat(fate: int) -> int:
    """The minute of its eight hours at which a device checks in; below zero, how many days it is silent too long."""
    if fate >> 7 & 63 < STALE_OF_64:
        return -1 - (fate >> 45) % 20
    return (fate >> 45) % 480


def last_check_in(its_beat: int, now: float) -> str:
    """Every eight hours (learn.microsoft.com/intune/intune-service/configuration/device-profile-troubleshoot); who is
    silent has been since before the last month began."""
    minute = int(now // 60)
    if its_beat < 0:
        return _silent(its_beat, minute // 1440)
    return _checked_in((minute - its_beat) // 480 * 480 + its_beat)


@lru_cache(maxsize=4096)
def _checked_in(minute: int) -> str:
    return instant(minute * 60)


@lru_cache(maxsize=256)
def _silent(its_beat: int, day: int) -> str:
    today = datetime.fromtimestamp(day * 86400, UTC)
    last_month = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    return instant((last_month + timedelta(days=its_beat)).timestamp())
