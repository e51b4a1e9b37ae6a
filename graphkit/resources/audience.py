"""Which devices a policy's assignments reach: worked out from the groups' members and the inventory of Intune."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from graphkit.engine.resource import Context
from graphkit.protocol.odata import query, segment
from graphkit.resources.references import find_groups

INVENTORY = "/deviceManagement/managedDevices"
COLUMNS = "id,deviceName,operatingSystem,osVersion,isEncrypted,azureADDeviceId,userId,serialNumber"
_ORG = re.compile(r"([A-Z0-9]{1,9})-")
NO_ORG = "(none)"


@dataclass(slots=True)
class Audience:
    """``everybody``: all devices, or (``users``) all that have one. Members by Entra's device id and by user id."""

    devices: bool = False
    users: bool = False
    included: set[str] = field(default_factory=set)
    excluded: set[str] = field(default_factory=set)

    @property
    def everybody(self) -> bool:
        return self.devices or self.users

    def reaches(self, device: Mapping[str, Any]) -> bool:
        own = {str(device.get("azureADDeviceId") or ""), str(device.get("userId") or "")} - {""}
        if own & self.excluded:
            return False
        return self.devices or (self.users and bool(device.get("userId"))) or bool(own & self.included)


async def find_audience(context: Context, include: Iterable[Any], exclude: Iterable[Any]) -> Audience:
    """Of assignments as an input names them. Raises what stops a list; a group that is not found has no members."""
    found = Audience()
    for name in map(_name, include):
        if name.lower() == "all devices":
            found.devices = True
        elif name.lower() == "all users":
            found.users = True
        else:
            found.included |= await _members(context, name)
    for name in map(_name, exclude):
        found.excluded |= await _members(context, name)
    return found


def _name(entry: Any) -> str:
    return entry if isinstance(entry, str) else str(entry["name"])


async def _members(context: Context, name: str) -> set[str]:
    """Devices and users of a group, those of groups within it too; what is assigned to a user reaches the devices."""
    # A group that the same plan makes has no members yet.
    ids, _ = await find_groups(context, [] if name.startswith("group:") else [name])
    found: set[str] = set()
    for group in ids.values():
        path = f"/groups/{segment(group)}/transitiveMembers{query(select='id,deviceId')}"
        # Not cast to either: devices could be had so only from an index that lags (reading.of_type).
        async for member in context.client.list(path):
            found.add(str(member.get("deviceId") or member["id"]))
    return found


async def inventory(context: Context, columns: str = COLUMNS) -> AsyncIterator[list[dict[str, Any]]]:
    """Every device that Intune manages, page by page. Raises if the list breaks off."""
    async for page in context.client.pages(f"{INVENTORY}{query(select=columns)}"):
        yield page


def org_of(device: Mapping[str, Any]) -> str:
    """The organisation whose code stands before the first hyphen of the device's name."""
    found = _ORG.match(str(device.get("deviceName") or "").upper())
    return found[1] if found else NO_ORG
