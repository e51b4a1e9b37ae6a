"""What a partner's tenant may do here, and ours there: cross-tenant access settings.

https://learn.microsoft.com/graph/api/resources/crosstenantaccesspolicy-overview. A partner is known by its tenantId and
has no name of its own. What a partner's configuration leaves null it takes from the default; graphkit writes all of
the settings that the input names, so that a later change of the default does not change the partner.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from graphkit.engine.change import Action, Change, Desired, Reading
from graphkit.engine.resource import Resource
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import segment
from graphkit.resources.reading import read_each

PATH = "/policies/crossTenantAccessPolicy"
ACCESS = ("b2bCollaborationInbound", "b2bCollaborationOutbound", "b2bDirectConnectInbound", "b2bDirectConnectOutbound")
TRUST = "inboundTrust"


def access(allowed: bool) -> dict[str, Any]:
    """One direction, open or closed to everybody (resources/crosstenantaccesspolicyb2bsetting)."""
    word = "allowed" if allowed else "blocked"
    return {
        "usersAndGroups": {"accessType": word, "targets": [{"target": "AllUsers", "targetType": "user"}]},
        "applications": {"accessType": word, "targets": [{"target": "AllApplications", "targetType": "application"}]},
    }


class _Settings(Resource):
    """``properties``: the settings of ``ACCESS`` and ``inboundTrust`` as Graph has them."""

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        after = {name: wanted.properties[name] for name in (*ACCESS, TRUST) if name in wanted.properties}
        before = self.before_image(reading)
        action = Action.CREATE
        if before is not None:
            action = Action.UPDATE if self.differing(after, before) else Action.NOOP
        note = wanted.rails.get("note", "")
        return [
            Change(
                kind=self.kind, key=wanted.key, action=action, before=before, after=after, note=note,
                origin=wanted.origin,
            )
        ]  # fmt: skip

    def before_image(self, reading: Reading) -> dict[str, Any] | None:
        return None if reading.value is None else {name: reading.value.get(name) for name in (*ACCESS, TRUST)}

    async def identify(self, change: Change, response: Response) -> str:
        return change.key  # neither has an id of its own

    @staticmethod
    def differing(after: Mapping[str, Any], before: Mapping[str, Any]) -> list[str]:
        """The settings that differ. Of the trust only what the input names counts; lists of targets have no order."""
        return [name for name in after if not _same(after[name], before.get(name))]

    def body(self, change: Change) -> dict[str, Any]:
        """The whole of each setting that differs: of a part the service would have to guess the rest."""
        after, before = change.after or {}, change.before or {}
        names = self.differing(after, before)
        return {name: {**(before.get(name) or {}), **after[name]} if after[name] else None for name in names}


class CrossTenantPartners(_Settings):
    """The key is the partner's tenantId in lower case."""

    kind = "crossTenantPartner"
    rank = 1

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        return await read_each(self.context.client, [f"{PATH}/partners/{segment(item.key)}" for item in items])

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        if wanted.properties:
            return super().diff(wanted, reading)
        before = self.before_image(reading)
        action = Action.NOOP if before is None else Action.DELETE
        return [Change(kind=self.kind, key=wanted.key, action=action, before=before, origin=wanted.origin)]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        match change.action:
            case Action.CREATE:
                return [("POST", f"{PATH}/partners")]
            case Action.DELETE:
                return [("DELETE", f"{PATH}/partners/{{id}}")]
        return [("PATCH", f"{PATH}/partners/{{id}}")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        path = f"{PATH}/partners/{segment(change.key)}"
        match change.action:
            case Action.CREATE:
                # A second one of the same tenantId is refused, so that a lost answer is looked up.
                after = change.after or {}
                settings = {name: after[name] for name in (*ACCESS, TRUST) if name in after}
                body = msgspec.json.encode({"tenantId": change.key, **settings})
                return Request(
                    method="POST", path=f"{PATH}/partners", body=body, idempotency=Idempotency.KEYED, target=path
                )
            case Action.DELETE:
                return Request(method="DELETE", path=path, idempotency=Idempotency.CONVERGENT)
        body = msgspec.json.encode(self.body(change))
        return Request(method="PATCH", path=path, body=body, idempotency=Idempotency.CONVERGENT)


class CrossTenantDefaults(_Settings):
    """What counts for every tenant that is no partner. There is one, and it is always there; its key is ``default``."""

    kind = "crossTenantDefault"
    path: ClassVar[str] = f"{PATH}/default"

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        return await read_each(self.context.client, [self.path for _ in items])

    def tenant_wide(self, change: Change) -> str:
        return "what every tenant that is no partner may do"

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("PATCH", self.path)]

    def request(self, pack: Sequence[Change]) -> Request:
        body = msgspec.json.encode(self.body(pack[0]))
        return Request(method="PATCH", path=self.path, body=body, idempotency=Idempotency.CONVERGENT)


def _same(wanted: Any, found: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(_same(value, found.get(name)) for name, value in wanted.items())
    if isinstance(wanted, list):
        plain = [msgspec.json.encode(item, order="deterministic") for item in wanted]
        return sorted(plain) == sorted(msgspec.json.encode(item, order="deterministic") for item in found or ())
    return bool(wanted == found)
