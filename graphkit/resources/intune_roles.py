"""Who administers which devices of Intune: assignments of its roles, with scope tags. Known by their marker.

https://learn.microsoft.com/graph/api/resources/intune-rbac-deviceandappmanagementroleassignment; scope tags beta only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, present, unknown
from graphkit.engine.resource import Context, Resource
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.markers import found_marker, marker, with_marker
from graphkit.resources.reading import read_list
from graphkit.resources.references import find_intune_roles

PATH = "/deviceManagement/roleAssignments"
ROLES = "/beta/deviceManagement/roleDefinitions"
COMPARED = ("members", "resourceScopes", "roleScopeTagIds")
VERSION = "beta"


class IntuneRoleAssignments(Resource):
    """``properties``: displayName, role (name or id), recipe; members and resourceScopes (keys of ``group``) and
    roleScopeTagIds (keys of ``roleScopeTag``), which this plan makes or finds. ``resolve`` adds roleId.
    """

    kind = "intuneRoleAssignment"
    rank = 1
    refuses_twins = False

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._list: Reading | None = None

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        ids, reasons = await find_intune_roles(self.context, (item.properties["role"] for item in items))
        problems = []
        for item in items:
            role = item.properties["role"]
            item.properties["roleId"] = ids.get(role, "")
            if role in reasons:
                problems.append(InputProblem(item.origin.file, item.origin.place, "unknown-role", reasons[role]))
        self._list = await read_list(self.context.client, PATH, VERSION)
        return problems

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        everything, self._list = self._list, None
        if everything is None:
            everything = await read_list(self.context.client, PATH, VERSION)
        return [self._reading(item, everything) for item in items]

    def _reading(self, item: Desired, everything: Reading) -> Reading:
        if not everything.known:
            return everything
        own = marker(item.properties["recipe"], item.key)
        listed = (everything.value or {}).get("value", ())
        matches = [each for each in listed if found_marker(each.get("description")) == own]
        if len(matches) > 1:
            ids = ", ".join(sorted(str(each["id"]) for each in matches))
            return unknown(f"{len(matches)} role assignments carry this key in their description ({ids})")
        if not matches:
            return ABSENT
        lists = {name: sorted(map(str, matches[0].get(name) or ())) for name in COMPARED}
        return present({"id": str(matches[0]["id"]), **lists})

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.CREATE, origin=wanted.origin, needs=wanted.needs)
        line.after, line.before = dict(wanted.properties), self.before_image(reading)
        if line.before is not None:
            line.action = Action.UPDATE if self._missing(line.before, line.after) else Action.NOOP
        return [line]

    def _missing(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
        """What is wished and not there; whoever was added by others stays."""
        wanted = self._bound(after)
        merged = {name: sorted({*before[name], *wanted[name]}) for name in COMPARED}
        return {name: ids for name, ids in merged.items() if ids != before[name]}

    def _bound(self, after: Mapping[str, Any]) -> dict[str, list[str]]:
        """Ids for keys; a key whose object is still to be made stands for itself, and is not there."""
        kinds = {"members": "group", "resourceScopes": "group", "roleScopeTagIds": "roleScopeTag"}
        return {
            name: sorted(self.context.object_ids.get((kind, key), f"{kind}:{key}") for key in after.get(name, ()))
            for name, kind in kinds.items()
        }

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        verbs = {Action.CREATE: ("POST", PATH), Action.DELETE: ("DELETE", f"{PATH}/{{id}}")}
        return [verbs.get(change.action, ("PATCH", f"{PATH}/{{id}}"))]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after, before = change.after or {}, change.before or {}
        if change.action is Action.CREATE:
            role = f"{self.context.client.cloud.graph_root}{ROLES}('{after['roleId']}')"
            body = {
                "@odata.type": "#microsoft.graph.deviceAndAppManagementRoleAssignment",
                "displayName": after["displayName"],
                "description": with_marker("", marker(after["recipe"], change.key)),
                **self._bound(after),
                "roleDefinition@odata.bind": role,
            }
            return Request(
                method="POST",
                path=PATH,
                body=msgspec.json.encode(body),
                version=VERSION,
                idempotency=Idempotency.KEYED,
                target=f"{self.kind}:{change.key}",
            )
        path = f"{PATH}/{segment(str(before['id']))}"
        if change.action is Action.DELETE:
            return Request(method="DELETE", path=path, version=VERSION, idempotency=Idempotency.CONVERGENT)
        return Request(
            method="PATCH",
            path=path,
            body=msgspec.json.encode(self._missing(before, after)),
            version=VERSION,
            idempotency=Idempotency.CONVERGENT,
        )
