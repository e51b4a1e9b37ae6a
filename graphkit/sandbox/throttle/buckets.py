"""Throttling: a token bucket on the tenant's clock for every limit of :mod:`graphkit.sandbox.throttle.table`.

A refused call is charged too ("throttled requests still count against the usage", concepts/throttling.md), which is
what makes hammering useless. Headers are those that the service of the workload documents: the ``x-ms-`` ones are the
directory's alone (includes/throttling-identity-and-access.md), ``Retry-After`` is everybody's but for the sections that
say otherwise.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from graphkit.sandbox.call import Call, Refusal
from graphkit.sandbox.throttle.table import CHEAPER_WITH_SELECT, WRITES, Limit, Row, Tariff, plain, tariff

__all__ = ["WRITES", "Bucket", "Throttle", "tariff"]

REMEMBERED = 100_000
CROWDED = 0.8
"""From this share of a limit on, answers tell how much of it is used; 1.8 is the most (80 % of calls refused)."""


class Bucket:
    """Tokens left; negative while refused calls pile up, down to 0.8 of the quota below nothing."""

    __slots__ = ("_at", "_floor", "_rate", "limit", "quota", "tokens")

    def __init__(self, limit: Limit, quota: float, now: float) -> None:
        self.limit = limit
        self.quota = quota
        self.tokens = quota
        self._rate = quota / limit.window_s
        self._floor = -CROWDED * quota
        self._at = now

    def charge(self, cost: float, now: float) -> bool:
        quota = self.quota
        tokens = self.tokens + (now - self._at) * self._rate
        if tokens > quota:
            tokens = quota
        self._at = now
        admitted = tokens >= cost or tokens >= quota
        tokens -= cost
        self.tokens = tokens if tokens > self._floor else self._floor
        return admitted

    @property
    def share(self) -> float:
        return 1 - self.tokens / self.quota

    def wait_s(self, cost: float) -> int:
        missing = min(cost, self.quota) - self.tokens
        return max(1, math.ceil(missing / self._rate))


class _Line(NamedTuple):
    """The buckets of one tariff for one caller and resource."""

    tariff: Tariff
    buckets: tuple[Bucket, ...]
    directory: bool


class Throttle:
    """All buckets of one tenant. ``users`` decides its size, and with it the quota of resource units.

    ``other_load`` is the share of what all apps have together that other apps use up, 0 to 1; ``quota_scale``
    multiplies every quota. Raises ``ValueError`` for a value out of range.
    """

    def __init__(self, tenant_id: str, users: int, *, other_load: float = 0.0, quota_scale: float = 1.0) -> None:
        if not 0 <= other_load < 1:
            raise ValueError(f"other_load is a share from 0 to below 1, not {other_load}")
        if quota_scale <= 0:
            raise ValueError(f"quota_scale is above 0, not {quota_scale}")
        self._tenant_id = tenant_id
        self._size = 0 if users < 50 else 1 if users <= 500 else 2
        self._left = 1 - other_load
        self._scale = quota_scale
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._lines: dict[tuple[str, str, str, str, str], _Line] = {}
        self.refused = 0

    def charge(self, call: Call, template: str, headers: dict[str, str]) -> None:
        """Count a call in every limit that it matches. Raises :class:`Refusal` (429) if one is exhausted."""
        line = self._line(call, template)
        units = self._cost(call, line.tariff) if line.directory else 1
        refused: Bucket | None = None
        wait, share = 0, CROWDED
        for bucket in line.buckets:
            cost = units if bucket.limit.unit == "units" else 1
            if not bucket.charge(cost, call.now):
                needed = bucket.wait_s(cost)
                if needed > wait:
                    refused, wait = bucket, needed
            elif line.directory and bucket.share > share and bucket.limit.scope == "app+tenant":
                share = bucket.share
        if line.directory:
            headers["x-ms-resource-unit"] = str(units)
            if share > CROWDED:
                headers["x-ms-throttle-limit-percentage"] = f"{share:.2f}"
        if refused is not None:
            self.refused += 1
            raise self._refusal(call, refused, wait, line.directory)

    @staticmethod
    def _cost(call: Call, due: Tariff) -> int:
        query = call.query
        if not query.text:
            return due.units
        chosen = bool(query.get("$select"))
        if chosen and due.units == 5 and CHEAPER_WITH_SELECT.fullmatch(call.path.lower()):
            return 2
        top = query.get("$top")
        few = top.isdigit() and int(top) < 20
        return max(1, due.units - chosen - few + bool(query.get("$expand")))

    # -- which buckets -------------------------------------------------------------------------------------------

    def _line(self, call: Call, template: str) -> _Line:
        due = tariff(call.method, template)
        resource = _resource(call) if due.apart else ""
        key = (call.method, template, call.app, resource, call.query.text if due.asks else "")
        found = self._lines.get(key)
        if found is None:
            if len(self._lines) > REMEMBERED:
                self._lines.clear()
            found = self._lines[key] = self._make_line(call, due)
        return found

    def _make_line(self, call: Call, due: Tariff) -> _Line:
        query = call.query.text.lower().replace("%2f", "/")
        limits = [limit for row in due.rows if _asked(row, query) for limit in row.limits]
        buckets = tuple(self._bucket(limit, call) for limit in limits)
        return _Line(due, buckets, due.workload == "identity")

    def _bucket(self, limit: Limit, call: Call) -> Bucket:
        owner = _owner(limit.scope, call)
        found = self._buckets.get((limit.name, owner))
        if found is None:
            left = self._left if limit.scope.startswith("tenant") else 1.0
            quota = round(limit.quotas[min(self._size, len(limit.quotas) - 1)] * self._scale * left, 6)
            found = self._buckets[limit.name, owner] = Bucket(limit, quota, call.now)
        return found

    # -- what is told --------------------------------------------------------------------------------------------

    def _refusal(self, call: Call, bucket: Bucket, wait: int, directory: bool) -> Refusal:
        limit = bucket.limit
        headers: dict[str, str] = {}
        if directory:
            scope = {"tenant": "Tenant", "app": "Application"}.get(limit.scope, "Tenant_Application")
            write = limit.unit == "writes"
            access = "Write" if write else "ReadWrite"
            headers["x-ms-throttle-scope"] = f"{scope}/{access}/{call.app}/{self._tenant_id}"
            headers["x-ms-throttle-information"] = "WriteLimitExceeded" if write else "ResourceUnitLimitExceeded"
            headers["x-ms-throttle-limit-percentage"] = f"{bucket.share:.2f}"
        if limit.retry_after:
            headers["Retry-After"] = str(wait)
        return too_many(headers)


def too_many(headers: dict[str, str]) -> Refusal:
    """429 as concepts/throttling.md shows it."""
    inner = {"code": "429", "message": "Please retry after", "status": "429"}
    return Refusal(429, "TooManyRequests", "Please retry again later.", headers, inner)


def _asked(row: Row, query: str) -> bool:
    """Whether the row's condition on the query holds."""
    if row.query.startswith("!"):
        return row.query[1:] not in query
    return row.query in query


def _resource(call: Call) -> str:
    return "/".join(call.params.values()) or call.path


def _owner(scope: str, call: Call) -> str:
    """Whose counter it is."""
    apps, _, rest = scope.partition("+")
    owner = call.app if apps == "app" else ""
    keys = [*call.params.values()]
    match rest.removeprefix("tenant").removeprefix("+"):
        case "":
            return owner
        case "report":
            return f"{owner}/{plain(call.path.partition('(')[0])}"
        case "channel":
            return "/".join([owner, *keys[:2]])
        case _:
            return "/".join([owner, *keys[:1]])
