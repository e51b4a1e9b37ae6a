"""Throttling by workload, with the figures of https://learn.microsoft.com/graph/throttling-limits.

Every limit is a token bucket on the tenant's clock. A refused call is charged too ("throttled requests still count
against the usage", concepts/throttling.md), which is what makes hammering useless.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from graphkit.sandbox.call import Call, Refusal
from graphkit.sandbox.ids import guid

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Limit(NamedTuple):
    """``quota`` per ``window_s`` seconds; ``scope`` is ``app`` (of this tenant), ``tenant`` or ``team``."""

    name: str
    scope: str
    quota: float
    window_s: float
    unit: str = "requests"
    retry_after: bool = True


# includes/throttling-identity-and-access.md; the resource units are those of a tenant of more than 500 users (L),
# 50 to 500 (M) and fewer (S).
IDENTITY_UNITS = {"S": 3500.0, "M": 5000.0, "L": 8000.0}
IDENTITY = (
    Limit("identity.units", "app", 8000, 10, "units"),
    Limit("identity.writes", "app", 3000, 150, "writes"),
    Limit("identity.tenant-writes", "tenant", 18000, 300, "writes"),
)
# No Retry-After, and reads count too.
CONDITIONAL_ACCESS = (Limit("conditional-access", "tenant", 1, 1, retry_after=False),)
_INTUNE_READS = (Limit("intune.any", "app", 1000, 20), Limit("intune.tenant-any", "tenant", 2000, 20))
_INTUNE_WRITES = (Limit("intune.writes", "app", 100, 20), Limit("intune.tenant-writes", "tenant", 200, 20))
_DEVICE_READS = (Limit("devices.any", "app", 2000, 20), Limit("devices.tenant-any", "tenant", 4000, 20))
_DEVICE_WRITES = (Limit("devices.writes", "app", 200, 20), Limit("devices.tenant-writes", "tenant", 400, 20))

# https://learn.microsoft.com/graph/throttling-limits#microsoft-teams-service-limits: requests a second for an app in
# a tenant, and for one team (0 = no figure). The first row that fits counts.
TEAMS: tuple[tuple[str, str, float, float, float], ...] = (
    ("GET", "/teams/{}", 30, 4, 1),
    ("POST", "/teams", 10, 0, 1),
    ("PUT", "/groups/{}/team", 6, 0, 1),
    ("PATCH", "/teams/{}", 30, 4, 1),
    ("GET", "/teams/{}/channels", 60, 4, 1),
    ("POST", "/teams/{}/channels", 10, 4, 1),
    ("GET", "/teams/{}/members", 60, 4, 1),
    ("POST", "/teams/{}/members", 30, 4, 60),
    ("POST", "/teams/{}/members/add", 10, 4, 60),
    ("GET", "", 30, 1, 1),
    ("DELETE", "", 15, 1, 1),
    ("", "", 30, 1, 1),
)
TEAMS_SUSTAINED = 0.83
"""About 83 % of each Teams figure is also enforced over a longer window; its length is not published, 60 s here."""

# Resource units by method and path, before the modifiers for $select, $expand and $top.
_UNITS = {
    ("GET", "/applications"): 2,
    ("POST", "/directoryObjects/getByIds"): 5,
    ("GET", "/groups/{}/members"): 3,
    ("GET", "/groups/{}/transitiveMembers"): 5,
    ("GET", "/users/{}/licenseDetails"): 2,
    ("GET", "/users/{}/memberOf"): 2,
    ("GET", "/users/{}/transitiveMemberOf"): 2,
    ("GET", "/servicePrincipals/{}/appRoleAssignments"): 2,
    ("GET", "/subscribedSkus"): 3,
    ("GET", "/users"): 2,
}
_READ_POSTS = frozenset({"/directoryObjects/getByIds"})
_IDENTITY_ROOTS = frozenset(
    [
        "applications",
        "directoryObjects",
        "directoryRoles",
        "directoryRoleTemplates",
        "domains",
        "groups",
        "organization",
        "servicePrincipals",
        "subscribedSkus",
        "users",
    ]
)


class Tariff(NamedTuple):
    """What a call of one route is charged: the limits it counts in, resource units and writes."""

    limits: tuple[Limit, ...]
    units: int
    writes: int


@lru_cache(maxsize=512)
def tariff(method: str, template: str) -> Tariff:
    plain = re.sub(r"\{\w+\}", "{}", template).replace("(uniqueName)", "").replace("(appId)", "")
    root = plain.split("/")[1]
    writes = int(method in WRITES and plain not in _READ_POSTS)
    if root == "teams" or plain == "/groups/{}/team":
        return Tariff(_teams(method, plain), 1, writes)
    if root == "deviceManagement":
        return Tariff(_intune(plain, bool(writes)), 1, writes)
    if plain.startswith(("/identity/conditionalAccess/policies", "/identity/conditionalAccess/namedLocations")):
        return Tariff(CONDITIONAL_ACCESS, 1, writes)
    if root in _IDENTITY_ROOTS:
        return Tariff(IDENTITY if writes else IDENTITY[:1], _UNITS.get((method, plain), 1), writes)
    return Tariff((), 1, writes)


def _teams(method: str, plain: str) -> tuple[Limit, ...]:
    row = next(r for r in TEAMS if r[0] in (method, "") and r[1] in (plain, ""))
    name = f"teams.{method} {row[1] or 'other'}"
    limits = [
        Limit(name, "app", row[2], 1),
        Limit(f"{name} sustained", "app", row[2] * TEAMS_SUSTAINED * 60, 60),
    ]
    if row[3] and "{}" in plain:
        limits.append(Limit(name, "team", row[3], row[4]))
    return tuple(limits)


def _intune(plain: str, writes: bool) -> tuple[Limit, ...]:
    if plain.startswith("/deviceManagement/managedDevices"):
        return _DEVICE_READS + (_DEVICE_WRITES if writes else ())
    return _INTUNE_READS + (_INTUNE_WRITES if writes else ())


@dataclass(slots=True)
class Bucket:
    """Tokens left; negative while refused calls pile up, down to 0.8 of the quota below nothing."""

    limit: Limit
    tokens: float
    at: float

    def charge(self, cost: float, now: float) -> bool:
        rate = self.limit.quota / self.limit.window_s
        self.tokens = min(self.limit.quota, self.tokens + (now - self.at) * rate)
        self.at = now
        admitted = self.tokens >= cost or self.tokens >= self.limit.quota
        self.tokens = max(self.tokens - cost, -0.8 * self.limit.quota)
        return admitted

    @property
    def share(self) -> float:
        return 1 - self.tokens / self.limit.quota

    def wait_s(self, cost: float) -> int:
        missing = min(cost, self.limit.quota) - self.tokens
        return max(1, math.ceil(missing * self.limit.window_s / self.limit.quota))


class Throttle:
    """All buckets of one tenant. ``users`` decides the tenant's size, and with it the quota of resource units."""

    def __init__(self, tenant_id: str, users: int) -> None:
        self._tenant_id = tenant_id
        size = "S" if users < 50 else "M" if users <= 500 else "L"
        self._units = IDENTITY_UNITS[size]
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self.refused = 0

    def charge(self, call: Call, template: str, headers: dict[str, str]) -> None:
        """Count a call in every limit that it matches. Raises :class:`Refusal` (429) if one is exhausted."""
        due = tariff(call.method, template)
        if not due.limits:
            return
        units = self._cost(call, due)
        refused: tuple[Bucket, float] | None = None
        for limit in due.limits:
            cost = float(units if limit.unit == "units" else 1)
            bucket = self._bucket(limit, call)
            if not bucket.charge(cost, call.now):
                if refused is None or bucket.wait_s(cost) > refused[0].wait_s(refused[1]):
                    refused = (bucket, cost)
            elif limit.unit == "units" and bucket.share > 0.8:
                headers["x-ms-throttle-limit-percentage"] = f"{bucket.share:.2f}"
        if due.limits[0].unit == "units":
            headers["x-ms-resource-unit"] = str(units)
        if refused:
            self.refused += 1
            raise self._refusal(call, *refused)

    @staticmethod
    def _cost(call: Call, due: Tariff) -> int:
        query = call.query
        if not query.text:
            return due.units
        if call.path.lower() == "/directoryobjects/getbyids" and query.get("$select"):
            return 2
        top = query.get("$top")
        less = bool(query.get("$select")) + (top.isdigit() and int(top) < 20)
        return max(1, due.units - less + bool(query.get("$expand")))

    def _bucket(self, limit: Limit, call: Call) -> Bucket:
        if limit.scope == "tenant":
            owner = ""
        elif limit.scope == "team":
            owner = f"{call.app}/{call.params.get('team') or call.params.get('group', '')}"
        else:
            owner = call.app
        found = self._buckets.get((limit.name + limit.scope, owner))
        if found is None:
            if limit.unit == "units":
                limit = limit._replace(quota=self._units)
            found = self._buckets[limit.name + limit.scope, owner] = Bucket(limit, limit.quota, call.now)
        return found

    def _refusal(self, call: Call, bucket: Bucket, cost: float) -> Refusal:
        limit = bucket.limit
        scope = "Tenant" if limit.scope == "tenant" else "Tenant_Application"
        access = "Write" if limit.unit == "writes" else "ReadWrite"
        headers = {"x-ms-throttle-scope": f"{scope}/{access}/{guid('app', call.app)}/{self._tenant_id}"}
        headers["x-ms-throttle-information"] = (
            "WriteLimitExceeded" if limit.unit == "writes" else "ResourceUnitLimitExceeded"
        )
        headers["x-ms-throttle-limit-percentage"] = f"{bucket.share:.2f}"
        if limit.retry_after:
            headers["Retry-After"] = str(bucket.wait_s(cost))
        return Refusal(429, "TooManyRequests", "Too many requests.", headers)
