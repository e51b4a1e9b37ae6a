"""The apps that an app protection policy is for.

``POST .../targetApps`` REPLACES the list, and answers nothing
(https://learn.microsoft.com/graph/api/intune-mam-managedappprotection-targetapps); so the list is read and merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, canonical, present, unknown
from graphkit.engine.resource import Resource, as_desired
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.intune import AUTHORITATIVE, Endpoint
from graphkit.resources.intune_policies import fetch_policies, needs_policy

IDENTIFIERS: Mapping[str, tuple[str, str]] = {
    "iosManagedAppProtection": ("#microsoft.graph.iosMobileAppIdentifier", "bundleId"),
    "androidManagedAppProtection": ("#microsoft.graph.androidMobileAppIdentifier", "packageId"),
    "windowsManagedAppProtection": ("#microsoft.graph.windowsAppIdentifier", "windowsAppId"),
}
"""Kind of a policy to the type of its apps' identifier and the property that holds it."""

Identifier = dict[str, str]


class ManagedApps(Resource):
    """``properties``: policy (key), apps (identifiers) and, if it is not v1.0, api. Apps that are there stay."""

    endpoint: ClassVar[Endpoint]
    goes_with: ClassVar[frozenset[str]] = frozenset()
    rank = 1

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        policies = await fetch_policies(self.context, self.endpoint, items, self.endpoint.detail, key="policy")
        return [self._list_of(item.properties["policy"], each) for item, each in zip(items, policies, strict=True)]

    def _list_of(self, key: str, policy: Reading) -> Reading:
        """No apps are the same as no list: a new policy has none."""
        name = (self.endpoint.kind, key)
        if policy == ABSENT and name in self.context.object_ids and name not in self.context.created:
            return unknown("its policy is not there, or not shown")
        apps = identifiers((policy.value or {}).get("apps") or ())
        return policy if policy.value is None else present({"policy": key, "apps": apps}) if apps else ABSENT

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin)
        line.needs = needs_policy(self.context, self.endpoint.kind, wanted.properties["policy"])
        line.before = self.before_image(reading)
        live = line.before["apps"] if line.before else []
        whole = wanted.properties.get("mode") == AUTHORITATIVE
        merged = _in_order([*(() if whole else live), *wanted.properties["apps"]])
        line.after = {**wanted.properties, "apps": merged}
        line.action = (
            Action.NOOP if merged == live else Action.REMOVE if any(app not in merged for app in live) else Action.ADD
        )
        return [line]

    def unchanged(self, change: Change, reading: Reading) -> bool:
        """The set as a whole, whatever is done to it."""
        return self.before_image(reading) == change.before

    def inverse(self, change: Change, object_id: str) -> Change:
        """The set as it was, as a whole."""
        before = {"apps": (change.before or {}).get("apps", [])}
        after = {**(change.after or {}), **before, "mode": AUTHORITATIVE}
        return replace(change, action=Action.UPDATE, before=None, after=after, needs=(), note="", seq=0)

    def settled(self, change: Change, reading: Reading) -> bool:
        return reading.known and all(each.action is Action.NOOP for each in self.diff(as_desired(change), reading))

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("POST", f"{self.endpoint.path}/{{id}}/targetApps")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after = change.after or {}
        policy = self.context.object_id(self.endpoint.kind, after["policy"])
        apps = [{"mobileAppIdentifier": app} for app in after["apps"]]
        return Request(
            method="POST",
            path=f"{self.endpoint.path}/{segment(policy)}/targetApps",
            body=msgspec.json.encode({"apps": apps}),
            version=self.endpoint.version(after),
            idempotency=Idempotency.CONVERGENT,
        )


def identifier(kind: str, app: str) -> Identifier:
    """An app by its bundle or package, as a policy of this kind names it."""
    type_name, name = IDENTIFIERS[kind]
    return {"@odata.type": type_name, name: app}


def identifiers(apps: Iterable[Mapping[str, Any]]) -> list[Identifier]:
    """Those of apps as Graph tells them, in one form."""
    found = (app.get("mobileAppIdentifier") or {} for app in apps)
    return _in_order({name: value for name, value in each.items() if value is not None} for each in found)


def _in_order(apps: Iterable[Identifier]) -> list[Identifier]:
    unique = {canonical(app): app for app in apps}
    return [unique[text] for text in sorted(unique)]
