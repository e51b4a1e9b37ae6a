"""When Microsoft 365 groups expire: one lifecycle policy for a tenant.

https://learn.microsoft.com/graph/api/resources/grouplifecyclepolicy. A second one is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, present
from graphkit.engine.resource import Resource
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.reading import differing, read_list
from graphkit.resources.recycling import deletion

PROPERTIES = ("groupLifetimeInDays", "managedGroupTypes", "alternateNotificationEmails")


class GroupExpiry(Resource):
    """``properties``: those of ``PROPERTIES`` that are wished for. A new policy is for all groups if nobody says."""

    kind = "groupLifecyclePolicy"

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        found = await read_list(self.context.client, "/groupLifecyclePolicies")
        if found.known:
            policies = (found.value or {}).get("value") or ()
            found = present({name: policies[0].get(name) for name in ("id", *PROPERTIES)}) if policies else ABSENT
        return [found] * len(items)

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        before = self.before_image(reading)
        after = dict(wanted.properties) if before else {"managedGroupTypes": "All", **wanted.properties}
        action = Action.CREATE
        if before is not None:
            action = Action.UPDATE if differing(after, before, after) else Action.NOOP
        yield Change(kind=self.kind, key=wanted.key, action=action, before=before, after=after, origin=wanted.origin)

    def tenant_wide(self, change: Change) -> str:
        return "the expiry of Microsoft 365 groups"

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        path = "/groupLifecyclePolicies"
        if change.action is Action.CREATE:
            return [("POST", path)]
        return [("DELETE" if change.action is Action.DELETE else "PATCH", f"{path}/{{id}}")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        before, after = change.before or {}, change.after or {}
        path, body = "/groupLifecyclePolicies", self._body(before, after)
        if change.action is Action.CREATE:
            return Request(method="POST", path=path, body=body, idempotency=Idempotency.KEYED)
        path += f"/{segment(before['id'])}"
        if change.action is Action.DELETE:
            return deletion(path)
        return Request(method="PATCH", path=path, body=body, idempotency=Idempotency.CONVERGENT)

    @staticmethod
    def _body(before: dict[str, Any], after: dict[str, Any]) -> bytes:
        return msgspec.json.encode({name: after[name] for name in differing(after, before, after) if name != "id"})
