"""What a request costs, in which buckets, and how soon a number of them can be done.

One table (:mod:`graphkit.protocol.quota_table`) for the governor, which paces, and for the plan, which forecasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from graphkit.errors import UsageError
from graphkit.protocol.message import READ_METHODS
from graphkit.protocol.quota_table import INTUNE_AREAS, RESOURCE_UNITS, TEAMS_ROWS, Bucket, buckets
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
    ("POST", "/directoryobjects/getbyids"): 5,
    ("GET", "/domains/*/domainnamereferences"): 4,
    ("GET", "/groups/*/members"): 3,
    ("GET", "/groups/*/transitivemembers"): 5,
    ("POST", "/users/*/ismemberof"): 4,
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
_ASKING = ("getbyids", "ismemberof", "checkmembergroups", "checkmemberobjects", "getmembergroups", "getmemberobjects")

_GLOBAL = Charge("global.app")
_WRITES = (
    Charge("identity.tenant.writes"),
    Charge("identity.app.writes"),
    Charge("identity.app_tenant.writes"),
)
_TEAMS_BY_SHAPE = {(method, shape): name for name, (method, shape, *_) in TEAMS_ROWS.items() if shape}
_AREAS = {name: area for area, (_, names) in INTUNE_AREAS.items() for name in names}
_CHANNELS = "/teams/*/channels/*"


def charges(method: str, path: str, version: str = "v1.0") -> tuple[Charge, ...]:
    """Everything that one request is counted against, the widest bucket first and the most specific last.

    Both API versions draw on the same buckets; ``version`` is there for the rows that differ.
    """
    route = parse(path)
    match route.workload:
        case "identity":
            return _identity(method, route.shape, _query_flags(route.query))
        case "teams":
            return _teams(method, route)
        case "conditional-access":
            return _CONDITIONAL_ACCESS
        case "intune":
            return _intune(method, route.shape)
        case "reports":
            return _REPORTS
        case _:
            return _OTHER


_CONDITIONAL_ACCESS = (_GLOBAL, Charge("identity_protection_ca.tenant"))
_REPORTS = (_GLOBAL, Charge("identity_reports.app_tenant"))
_OTHER = (_GLOBAL, Charge("other"))
_SELECT, _EXPAND, _SMALL_TOP, _SIGN_IN = 1, 2, 4, 8


def _query_flags(query: str) -> int:
    if not query:
        return 0
    query = query.replace("%24", "$")
    flags = _SELECT if "$select=" in query else 0
    if "$expand=" in query:
        flags |= _EXPAND
    if "signInActivity" in query:
        flags |= _SIGN_IN
    _, top, rest = query.partition("$top=")
    digits = rest.partition("&")[0]
    if top and digits.isdecimal() and int(digits) < 20:
        flags |= _SMALL_TOP
    return flags


@lru_cache(maxsize=2048)
def _identity(method: str, shape: str, flags: int) -> tuple[Charge, ...]:
    units = _resource_units(method, shape, flags)
    costs = [_GLOBAL]
    if method not in READ_METHODS and not shape.endswith(_ASKING):
        costs += _WRITES
    costs += [Charge("identity.app.ru", "", units), Charge("identity.app_tenant.ru", "", units)]
    if flags & _SIGN_IN and method == "GET" and shape.startswith("/users"):
        costs.append(Charge("identity_reports.signInActivity.app_tenant"))
    return tuple(costs)


def _resource_units(method: str, shape: str, flags: int) -> float:
    if shape == "/directoryobjects/getbyids" and flags & _SELECT:
        return 2.0
    units = _UNITS.get((method, shape), 1)
    units += bool(flags & _EXPAND) - bool(flags & _SELECT) - bool(flags & _SMALL_TOP)
    return float(max(1, units))


def _teams(method: str, route: Route) -> tuple[Charge, ...]:
    partition = ""
    if len(route.parts) > 1:
        # A channel's counter is its own; anything else is counted for the team or chat.
        channel = route.shape.startswith(_CHANNELS)
        partition = f"{route.parts[1]}/{route.parts[3]}" if channel else route.parts[1]
    return _teams_row(method, route.shape, partition)


@lru_cache(maxsize=4096)
def _teams_row(method: str, shape: str, partition: str) -> tuple[Charge, ...]:
    name = _TEAMS_BY_SHAPE.get((method, shape)) or _teams_default(method)
    costs = (_GLOBAL, Charge(f"teams.{name}.app"), Charge(f"teams.{name}.app_tenant"))
    per_object = TEAMS_ROWS[name][4] is not None
    if name.startswith("default_"):
        per_object = shape.startswith((_CHANNELS, "/chats/*"))
    return (*costs, Charge(f"teams.{name}.resource", partition)) if per_object else costs


def _teams_default(method: str) -> str:
    if method in READ_METHODS:
        return "default_get"
    return "default_delete" if method == "DELETE" else "default_write"


@lru_cache(maxsize=512)
def _intune(method: str, shape: str) -> tuple[Charge, ...]:
    collection = shape.split("/")[2] if shape.count("/") > 1 else ""
    area = _AREAS.get(collection, "unlisted")
    kinds = ("any",) if method in READ_METHODS else ("any", "writes")
    scopes = ("app_tenant",) if area == "unlisted" else ("tenant", "app_tenant")
    return (_GLOBAL, *(Charge(f"intune.{area}.{scope}.{kind}") for kind in kinds for scope in scopes))


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
            raise UsageError(f"there is no quota bucket {name!r}", hint="graphkit/protocol/quota_table.py lists them")
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
        if bucket is None or bucket.quota <= 0 or (bucket.scope == "app+resource" and not partition):
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
