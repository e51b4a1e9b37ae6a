"""What a request costs, in which buckets, and how soon a number of them can be done.

One table (:mod:`graphkit.protocol.quota_table`) for the governor, which paces, and for the plan, which forecasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from graphkit.errors import UsageError
from graphkit.protocol.bucket import WRITES, Bucket
from graphkit.protocol.quota_table import EVERYTHING, OTHER, RESOURCE_UNITS, buckets, by_workload
from graphkit.protocol.routes import Route, parse, workload

__all__ = ["Bucket", "Charge", "charges", "forecast", "table", "workload"]


class Charge(NamedTuple):
    """``amount`` taken from a bucket; ``partition`` names the team or channel where each has a counter of its own."""

    bucket: str
    partition: str = ""
    amount: float = 1.0

    @property
    def key(self) -> str:
        """The counter charged: the bucket's id, with the partition after a bar."""
        return f"{self.bucket}|{self.partition}" if self.partition else self.bucket


# [throttling-identity-and-access] resource units where they are not 1; /me stands for /users/{id}.
_UNITS = {
    ("GET", "/applications"): 2,
    ("GET", "/applications/*/extensionproperties"): 2,
    ("GET", "/contracts"): 3,
    ("GET", "/domains/*/domainnamereferences"): 4,
    ("GET", "/groups/*/members"): 3,
    ("GET", "/groups/*/transitivemembers"): 5,
    ("POST", "/users/*/checkmembergroups"): 4,
    ("POST", "/users/*/checkmemberobjects"): 4,
    ("POST", "/users/*/getmembergroups"): 2,
    ("POST", "/users/*/getmemberobjects"): 2,
    ("GET", "/users/*/licensedetails"): 2,
    ("GET", "/users/*/memberof"): 2,
    ("GET", "/users/*/ownedobjects"): 2,
    ("GET", "/users/*/transitivememberof"): 2,
    ("GET", "/oauth2permissiongrants"): 2,
    ("GET", "/oauth2permissiongrants/*"): 2,
    ("GET", "/serviceprincipals/*/approleassignments"): 2,
    ("GET", "/subscribedskus"): 3,
    ("GET", "/users"): 2,
}
# Below any collection or object: getByIds and getObjectsById for 5, or 2 with $select; isMemberOf for 4. What else only
# asks costs no write either.
_BY_IDS = ("/getbyids", "/getobjectsbyid")
_IS_MEMBER_OF = "/ismemberof"
_ASKING = (
    *_BY_IDS, _IS_MEMBER_OF, "/checkmembergroups", "/checkmemberobjects", "/getmembergroups", "/getmemberobjects",
)  # fmt: skip

_CHANNEL, _PRIMARY_CHANNEL, _CHAT = "/teams/*/channels/*", "/teams/*/primarychannel", "/users/*/chats/*"
_SELECT, _EXPAND, _SMALL_TOP, _SIGN_IN, _JSON, _DELEGATED = 1, 2, 4, 8, 16, 32
_BREADTH = {
    "app": 0,
    "tenant": 1,
    "app+tenant": 2,
    "app+resource": 3,
    "tenant+resource": 3,
    "user+tenant": 4,
    "user": 4,
}


def charges(method: str, path: str, version: str = "v1.0", *, delegated: bool = False) -> tuple[Charge, ...]:
    """Everything that one request is counted against, the widest bucket first and the most specific last.

    Both API versions draw on the same buckets; ``version`` is there for the rows that differ. ``delegated``: for a
    signed-in person, who has limits besides those of the app. Requests that are charged alike mostly get the very same
    tuple, by which a caller may know them again.
    """
    route = parse(path)
    flags = _flags(route.query) if route.query else 0
    if delegated:
        flags |= _DELEGATED
    due = _due(route.workload, method, route.shape, flags)
    return _split(route, method, flags) if due.split else due.charges


def _flags(query: str) -> int:
    query = query.replace("%24", "$")
    flags = _SELECT if "$select=" in query else 0
    if "$expand=" in query:
        flags |= _EXPAND
    if "signInActivity" in query:
        flags |= _SIGN_IN
    if "$format=" in query and "json" in query.partition("$format=")[2].partition("&")[0]:
        flags |= _JSON
    _, top, rest = query.partition("$top=")
    digits = rest.partition("&")[0]
    if top and digits.isdecimal() and int(digits) < 20:
        flags |= _SMALL_TOP
    return flags


class _Due(NamedTuple):
    """``split``: some of the charges have a counter for each object, and lack its name still."""

    charges: tuple[Charge, ...]
    split: frozenset[str] = frozenset()


@lru_cache(maxsize=4096)
def _due(workload: str, method: str, shape: str, flags: int) -> _Due:
    rows = _rows(workload, method, shape, flags)
    if not rows:
        return _Due((Charge(EVERYTHING.id), Charge(OTHER.id, _unlisted(shape))))
    units = _resource_units(method, shape, flags)
    costs = [Charge(row.id, "", units if row.unit == "resource_units" else 1.0) for row in rows]
    return _Due((Charge(EVERYTHING.id), *costs), frozenset(row.id for row in rows if row.split))


def _rows(workload: str, method: str, shape: str, flags: int) -> list[Bucket]:
    """Every limit that counts this request; a default only where no other of its scope does."""
    asks = method == "POST" and workload == "identity" and shape.endswith(_ASKING)
    fitting = [
        row
        for row in by_workload().get(workload, ())
        if row.counts(method, shape) and _meant(row, flags) and not (asks and row.methods == WRITES)
    ]
    figured = {row.scope for row in fitting if not row.default}
    counted = [row for row in fitting if not (row.default and row.scope in figured)]
    return sorted(counted, key=lambda row: _BREADTH[row.scope])


def _meant(row: Bucket, flags: int) -> bool:
    if row.delegated and not flags & _DELEGATED:
        return False
    match row.when:
        case "signInActivity":
            return bool(flags & _SIGN_IN)
        case "json":
            return bool(flags & _JSON)
        case "csv":
            return not flags & _JSON
    return True


def _unlisted(shape: str) -> str:
    """A name for a service without published limits, so that a 429 of one does not stop the others."""
    first, _, third = (*shape.split("/")[1:4], "", "")[:3]
    return third if first in {"users", "groups"} and third else first


def _resource_units(method: str, shape: str, flags: int) -> float:
    if method == "POST" and shape.endswith(_BY_IDS):
        return 2.0 if flags & _SELECT else 5.0
    units = 4 if method == "POST" and shape.endswith(_IS_MEMBER_OF) else _UNITS.get((method, shape), 1)
    units += bool(flags & _EXPAND) - bool(flags & _SELECT) - bool(flags & _SMALL_TOP)
    return float(max(1, units))


def _split(route: Route, method: str, flags: int) -> tuple[Charge, ...]:
    parts, shape = route.parts, route.shape
    if len(parts) < 2:
        partition = ""
    elif shape.startswith(_CHANNEL):
        # A channel's counter is its own; anything else is counted for the team, chat, user or report.
        partition = f"{parts[1]}/{parts[3]}"
    elif shape.startswith(_PRIMARY_CHANNEL):
        partition = f"{parts[1]}/{parts[2]}"
    else:
        partition = parts[3] if shape.startswith(_CHAT) else parts[1]
    return _split_due(route.workload, method, shape, flags, partition)


@lru_cache(maxsize=4096)
def _split_due(workload: str, method: str, shape: str, flags: int, partition: str) -> tuple[Charge, ...]:
    due = _due(workload, method, shape, flags)
    return tuple(
        Charge(cost.bucket, partition, cost.amount) if cost.bucket in due.split else cost for cost in due.charges
    )


def table(size: str = "S", limits: Mapping[str, float] | None = None) -> dict[str, Bucket]:
    """Every bucket by id, for a tenant of ``size`` S, M or L, with ``limits`` (bucket id to quota) in place of ours.

    Raises ``UsageError`` for a size or a bucket that does not exist, or a quota that is not positive.
    """
    known = buckets()
    if size not in RESOURCE_UNITS:
        raise UsageError(f"tenant size {size!r} is not one of S, M, L")
    units = known["identity.app_tenant.ru"]
    known[units.id] = replace(units, quota=RESOURCE_UNITS[size])
    for name, quota in (limits or {}).items():
        if name not in known:
            raise UsageError(f"there is no quota bucket {name!r}", hint="graphkit quota lists them")
        if quota <= 0:
            raise UsageError(f"the quota of {name} must be above zero, not {quota}")
        known[name] = replace(known[name], quota=quota)
    return known


def forecast(
    totals: Mapping[str, float],
    share: float,
    *,
    size: str = "S",
    limits: Mapping[str, float] | None = None,
    apps: int = 1,
) -> list[dict[str, Any]]:
    """The earliest finish for each bucket, the slowest first: rows of ``bucket``, ``requests`` and ``seconds``.

    ``totals`` maps a charge's ``key`` to the amount wanted; ``share`` is the part of each quota that may be used,
    ``apps`` is how many identities share the work. Where teams or channels have counters of their own, the row is that
    of the busiest. Buckets without limit have no row.
    """
    known = table(size, limits)
    rows: dict[str, dict[str, Any]] = {}
    for key, amount in totals.items():
        name, _, partition = key.partition("|")
        bucket = known.get(name)
        if bucket is None or bucket.quota <= 0 or (bucket.split and not partition):
            continue
        row = rows.setdefault(name, {"bucket": name, "requests": 0.0, "seconds": 0.0})
        row["requests"] += amount
        own = amount if bucket.scope.startswith("tenant") else amount / apps
        row["seconds"] = max(row["seconds"], seconds(bucket, own, share))
    for row in rows.values():
        row["requests"] = round(row["requests"])
        row["seconds"] = round(row["seconds"], 1)
    return sorted(rows.values(), key=lambda row: (-row["seconds"], row["bucket"]))


def seconds(bucket: Bucket, amount: float, share: float) -> float:
    """How long ``amount`` takes at ``share`` of the bucket's sustained pace."""
    return amount * bucket.window_s * bucket.headroom / (bucket.quota * share * bucket.sustained)
