"""Windows Autopilot: devices by serial number. An import is accepted now, carried out in minutes and shown later still.

https://learn.microsoft.com/graph/api/intune-enrollment-importedwindowsautopilotdeviceidentity-import: the answer tells
no result, which is polled for. A device that was imported and is not listed yet counts as there, or it would be
imported again and refused (806, ZtdDeviceAlreadyAssigned).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from graphkit.engine.change import (
    ABSENT,
    EFFECTIVE,
    PENDING,
    Action,
    Change,
    Desired,
    Pace,
    Reading,
    Undo,
    Verdict,
    present,
    unknown,
)
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import AuthError, GraphkitError, InputProblem, ServiceError, Stopped
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import segment
from graphkit.resources.reading import read_each, read_list

IMPORTS = "/deviceManagement/importedWindowsAutopilotDeviceIdentities"
DEVICES = "/deviceManagement/windowsAutopilotDeviceIdentities"
CHUNK = 200
"""Devices in one import: about a megabyte of hardware hashes. The admin centre takes 500 in one file
(learn.microsoft.com/autopilot/add-devices); what the API takes is told nowhere."""
POLLS_S = (10.0, 20.0, 30.0)
"""Seconds before each look at how an import goes; the last again and again."""
PATIENCE_S = 1800.0
"""How long an import is waited for: it takes up to 15 minutes (learn.microsoft.com/autopilot/add-devices)."""
RUNNING = ("unknown", "pending", "partial")
CHANGEABLE = ("groupTag", "userPrincipalName")


class AutopilotDevices(Resource):
    """``properties``: groupTag and userPrincipalName where wished; productKey, hardwareIdentifier for a new one.

    The key is the serial number as it is written.
    """

    kind = "autopilotDevice"
    pack_limit = CHUNK
    visibility_s = 120.0
    in_flight = 4
    pace = Pace.LATER
    undo = Undo.IRREVERSIBLE
    """A registration can be deleted only once it is listed, much later; and its import goes on telling of it."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._states: dict[str, dict[str, Any]] = {}

    async def gather(self, view: PlanView) -> None:
        """Every device and every import, once. Raises if a list breaks off: absence would be a guess."""
        await self._stage(self.context.client.pages(DEVICES), _device)
        await self._stage(self.context.client.pages(IMPORTS), _imported)
        self.context.snapshot.mark_complete(self.kind)

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        found = self.context.snapshot.get(self.kind, [item.key for item in items])
        self.context.object_ids.update({(self.kind, key): device["id"] for key, device in found.items()})
        return []

    async def _stage(self, pages: AsyncIterator[list[dict[str, Any]]], form: Any) -> None:
        async for page in pages:
            known = self.context.snapshot.get(self.kind, [str(each.get("serialNumber")) for each in page])
            new = ((str(each.get("serialNumber")), form(each)) for each in page)
            self.context.snapshot.put(
                self.kind, ((serial, value) for serial, value in new if value and serial not in known)
            )

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        keys = [item.key for item in items]
        if self.context.snapshot.is_complete(self.kind):
            found = self.context.snapshot.get(self.kind, keys)
            return [present(found[key]) if key in found else ABSENT for key in keys]
        known = {
            key: self.context.object_ids[self.kind, key] for key in keys if (self.kind, key) in self.context.object_ids
        }
        paths = [f"{DEVICES}/{segment(each)}" for each in known.values()]
        readings = dict(zip(known, await read_each(self.context.client, paths), strict=True))
        listed = {key: present(_device(each.value)) for key, each in readings.items() if each.value}
        failed = {key: each for key, each in readings.items() if not each.known}
        # What was imported a moment ago has its id and is not listed yet.
        rest = [key for key in keys if key not in listed and key not in failed]
        anew = dict(zip(rest, await self._read_anew(rest), strict=True)) if rest else {}
        return [{**listed, **failed, **anew}[key] for key in keys]

    async def _read_anew(self, serials: Sequence[str]) -> list[Reading]:
        """Neither collection can be filtered by exactly one serial number, so both are read whole."""
        devices, imports = [await read_list(self.context.client, path) for path in (DEVICES, IMPORTS)]
        if not (devices.known and imports.known):
            return [unknown(devices.why or imports.why) for _ in serials]
        found = {str(each["serialNumber"]): _imported(each) for each in (imports.value or {}).get("value", ())}
        found |= {str(each["serialNumber"]): _device(each) for each in (devices.value or {}).get("value", ())}
        values = (found.get(serial) for serial in serials)
        return [present(value) if value else ABSENT for value in values]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.CREATE, origin=wanted.origin)
        line.after = dict(wanted.properties)
        line.before = self.before_image(reading)
        if line.before is not None:
            # What a new device alone needs is not kept beside one that is there: 4,000 characters of hash each.
            line.after = {name: line.after[name] for name in CHANGEABLE if name in line.after}
            line.action = Action.UPDATE if _changed(line.before, line.after) else Action.NOOP
            if line.action is Action.UPDATE and not line.before.get("listed", True):
                line.action, line.before, line.after = Action.BLOCKED, None, None
                line.note = "it was imported and is not listed yet, so that it cannot be changed: plan again later"
        elif not line.after.get("hardwareIdentifier"):
            line.action, line.after = Action.BLOCKED, None
            line.note = "it is not registered, and without its hardware hash it cannot be imported"
        return [line]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        paths = {
            Action.CREATE: ("POST", f"{IMPORTS}/import"),
            Action.DELETE: ("DELETE", f"{DEVICES}/{{id}}"),
        }
        return [paths.get(change.action, ("POST", f"{DEVICES}/{{id}}/updateDeviceProperties"))]

    def pack_key(self, change: Change) -> str:
        return "import" if change.action is Action.CREATE else change.key

    def request(self, pack: Sequence[Change]) -> Request:
        if pack[0].action is Action.CREATE:
            entries = [_entry(change.key, change.after or {}) for change in pack]
            return Request(
                method="POST",
                path=f"{IMPORTS}/import",
                body=msgspec.json.encode({"importedWindowsAutopilotDeviceIdentities": entries}),
                idempotency=Idempotency.KEYED,
                target=f"{self.kind}:{pack[0].key}",
            )
        (change,) = pack
        before = change.before or {}
        path = f"{DEVICES}/{segment(str(before['id']))}"
        if change.action is Action.DELETE:
            return Request(method="DELETE", path=path, idempotency=Idempotency.CONVERGENT)
        after = change.after or {}
        return Request(
            method="POST",
            path=f"{path}/updateDeviceProperties",
            body=msgspec.json.encode({name: after[name] for name in _changed(before, after)}),
            idempotency=Idempotency.CONVERGENT,
        )

    async def identify(self, change: Change, response: Response) -> str:
        """The id under which the device is registered, once the import is over."""
        if change.action is not Action.CREATE:
            return str((change.before or {}).get("id") or "")
        if change.key not in self._states:
            body = response.json() if response.body else {}
            await self._poll([str(each["id"]) for each in body.get("value", ())])
        return _registered(self._states.get(change.key, {}))

    async def effective(self, changes: Sequence[Change]) -> Sequence[Verdict]:
        """An imported device is listed a while after its import is over."""
        ids = [self.context.object_ids.get((self.kind, change.key), "") for change in changes]
        readings = await read_each(self.context.client, [f"{DEVICES}/{segment(each)}" for each in ids if each])
        listed = {each: bool(reading.value) for each, reading in zip(filter(None, ids), readings, strict=True)}
        return [EFFECTIVE if listed.get(each) else PENDING for each in ids]

    async def look(self, pack: Sequence[Change]) -> Sequence[Reading]:
        """What is under way is waited for, so that it is neither taken for absent nor sent again."""
        self.context.snapshot.forget(self.kind)
        if pack[0].action is Action.CREATE:
            imports = await read_list(self.context.client, IMPORTS)
            serials = {change.key for change in pack}
            running = [
                str(each["id"])
                for each in (imports.value or {}).get("value", ())
                if each["serialNumber"] in serials and _status(each) in RUNNING
            ]
            await self._poll(running)
        return await self._read_anew([change.key for change in pack])

    async def _poll(self, ids: Sequence[str]) -> None:
        """Until all of these imports are over, or patience is."""
        left, waited, turn = set(ids), 0.0, 0
        while left and waited < PATIENCE_S:
            wait = POLLS_S[min(turn, len(POLLS_S) - 1)]
            await self.context.clock.sleep(wait)
            waited, turn = waited + wait, turn + 1
            for each in await self._imports_of(left):
                self._states[str(each["serialNumber"])] = each
                if _status(each) not in RUNNING:
                    left.discard(str(each["id"]))

    async def _imports_of(self, ids: set[str]) -> list[dict[str, Any]]:
        """Those of them that can be read now; the others are asked for again."""
        try:
            return [each async for each in self.context.client.list(IMPORTS) if each["id"] in ids]
        except (AuthError, Stopped):
            raise
        except GraphkitError:
            return []


def _entry(serial: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@odata.type": "#microsoft.graph.importedWindowsAutopilotDeviceIdentity",
        "serialNumber": serial,
        "productKey": properties.get("productKey") or "",
        "hardwareIdentifier": properties["hardwareIdentifier"],
        "groupTag": properties.get("groupTag") or "",
        "assignedUserPrincipalName": properties.get("userPrincipalName") or "",
    }


def _device(live: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": str(live["id"]), **{name: live.get(name) or "" for name in CHANGEABLE}}


def _imported(live: Mapping[str, Any]) -> dict[str, Any] | None:
    """The device that an import has made and that is not listed yet; none if it failed or is under way."""
    key = (live.get("state") or {}).get("deviceRegistrationId")
    if _status(live) != "complete" or not key:
        return None
    user = live.get("assignedUserPrincipalName") or ""
    return {"id": str(key), "groupTag": live.get("groupTag") or "", "userPrincipalName": user, "listed": False}


def _status(live: Mapping[str, Any]) -> str:
    return str((live.get("state") or {}).get("deviceImportStatus") or "unknown")


def _registered(live: Mapping[str, Any]) -> str:
    state = live.get("state") or {}
    if _status(live) == "error":
        name = str(state.get("deviceErrorName") or "no reason was given")
        code = f"{state.get('deviceErrorCode') or 'error'}"
        raise ServiceError(f"the import failed: {name}", status=200, service_code=code, service_message=name)
    return str(state.get("deviceRegistrationId") or "") if _status(live) == "complete" else ""


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [
        name
        for name in CHANGEABLE
        if name in after and str(before.get(name) or "").casefold() != str(after[name] or "").casefold()
    ]
