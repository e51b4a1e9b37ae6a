"""Managed devices, retired: company data and management go, at the next check-in; what is personal stays.

https://learn.microsoft.com/graph/api/intune-devices-manageddevice-retire
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from graphkit.engine.change import Action, Change, Desired, Reading, Undo
from graphkit.engine.resource import Resource
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import segment
from graphkit.protocol.touch import Touch
from graphkit.resources.reading import read_each

ROOT = "/deviceManagement/managedDevices"
SELECT = "id,deviceName,managementState"
ON_ITS_WAY = frozenset({"retirePending", "retireIssued", "wipePending", "wipeIssued", "deletePending"})
"""States of a device that is going already (resources/intune-devices-managementstate)."""


class Retirements(Resource):
    """``properties``: device (id), deviceName and userId. The key is ``<user>/<name of the device>``.

    It cannot be taken back, so that it needs ``--allow-irreversible``.
    """

    kind = "managedDevice.retirement"
    rank = 3
    undo = Undo.IRREVERSIBLE

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        paths = [f"{ROOT}/{segment(item.properties['device'])}?$select={SELECT}" for item in items]
        return await read_each(self.context.client, paths)

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin, needs=wanted.needs)
        line.before = self.before_image(reading)
        line.after = dict(wanted.properties)
        if line.before is None or line.before["managementState"] in ON_ITS_WAY:
            line.note = "gone, or on its way"
        elif self.context.options.allow_irreversible:
            line.action, line.undo = Action.UPDATE, self.undo
        else:
            line.action, line.before, line.after = Action.BLOCKED, None, None
            line.note = "a device that was retired does not come back by itself: --allow-irreversible allows it"
        return [line]

    def before_image(self, reading: Reading) -> dict[str, Any] | None:
        return {"managementState": reading.value.get("managementState")} if reading.value else None

    def touches(self, change: Change) -> Touch:
        return Touch(users=(str((change.after or {})["userId"]).lower(),), harm="retires a device of")

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("POST", f"{ROOT}/{{id}}/retire")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        return Request(
            method="POST",
            path=f"{ROOT}/{segment((change.after or {})['device'])}/retire",
            idempotency=Idempotency.CONVERGENT,
        )

    async def identify(self, change: Change, response: Response) -> str:
        return str((change.after or {})["device"])
