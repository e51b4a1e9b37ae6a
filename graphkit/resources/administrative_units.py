"""Administrative units, known by the marker in their description. Who is in one is for others to say.

https://learn.microsoft.com/graph/api/resources/administrativeunit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, Undo, present, unknown
from graphkit.engine.resource import Resource
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.markers import found_marker, marker, with_marker
from graphkit.resources.reading import read_list

PATH = "/directory/administrativeUnits"


class AdministrativeUnits(Resource):
    """``properties``: displayName and recipe. A name that is given later stays."""

    kind = "administrativeUnit"
    rank = 0
    undo = Undo.WINDOW
    refuses_twins = False

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        everything = await read_list(self.context.client, PATH)
        return [self._reading(item, everything) for item in items]

    def _reading(self, item: Desired, everything: Reading) -> Reading:
        if not everything.known:
            return everything
        own, name = marker(item.properties["recipe"], item.key), item.properties["displayName"]
        listed = (everything.value or {}).get("value", ())
        marked = [each for each in listed if found_marker(each.get("description")) == own]
        matches = marked or [each for each in listed if each.get("displayName") == name]
        if len(matches) > 1:
            ids = ", ".join(sorted(str(each["id"]) for each in matches))
            return unknown(f"{len(matches)} administrative units are meant by {name} ({ids}): rename all but one")
        return present({"id": str(matches[0]["id"])}) if matches else ABSENT

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.CREATE, origin=wanted.origin, undo=self.undo)
        line.after, line.before = dict(wanted.properties), self.before_image(reading)
        line.action = Action.CREATE if line.before is None else Action.NOOP
        return [line]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("DELETE", f"{PATH}/{{id}}") if change.action is Action.DELETE else ("POST", PATH)]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        if change.action is Action.DELETE:
            path = f"{PATH}/{segment(str((change.before or {})['id']))}"
            return Request(method="DELETE", path=path, idempotency=Idempotency.CONVERGENT)
        after = change.after or {}
        body = {
            "displayName": after["displayName"],
            "description": with_marker("", marker(after["recipe"], change.key)),
        }
        return Request(
            method="POST",
            path=PATH,
            body=msgspec.json.encode(body),
            idempotency=Idempotency.KEYED,
            target=f"{self.kind}:{change.key}",
        )
