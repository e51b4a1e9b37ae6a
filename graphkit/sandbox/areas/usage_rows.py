"""The rows of usage reports, worked out from ``seeding/activity.py``: who is idle there is idle here.

Columns are those of the pages. Assumptions, where the pages show no row: the last activity is told whatever the period
(it may be older), products are named by their part numbers joined by ``+``, and figures follow from the dice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from graphkit.sandbox.areas.licensing import states_of
from graphkit.sandbox.call import Json
from graphkit.sandbox.ids import guid
from graphkit.sandbox.memory.recycling import name_of
from graphkit.sandbox.seeding.activity import DAY, last_seen_at, team_last_seen_at, was_here

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

ACTIVE_USERS = (
    "Report Refresh Date,User Principal Name,Display Name,Is Deleted,Deleted Date,Has Exchange License,"
    "Has OneDrive License,Has SharePoint License,Has Skype For Business License,Has Yammer License,Has Teams License,"
    "Exchange Last Activity Date,OneDrive Last Activity Date,SharePoint Last Activity Date,"
    "Skype For Business Last Activity Date,Yammer Last Activity Date,Teams Last Activity Date,"
    "Exchange License Assign Date,OneDrive License Assign Date,SharePoint License Assign Date,"
    "Skype For Business License Assign Date,Yammer License Assign Date,Teams License Assign Date,Assigned Products"
)
TEAMS_USERS = (
    "Report Refresh Date,Tenant Display Name,Shared Channel Tenant Display Names,User Id,User Principal Name,"
    "Last Activity Date,Is Deleted,Deleted Date,Assigned Products,Team Chat Message Count,Private Chat Message Count,"
    "Call Count,Meeting Count,Post Messages,Reply Messages,Urgent Messages,Meetings Organized Count,"
    "Meetings Attended Count,Ad Hoc Meetings Organized Count,Ad Hoc Meetings Attended Count,"
    "Scheduled One-time Meetings Organized Count,Scheduled One-time Meetings Attended Count,"
    "Scheduled Recurring Meetings Organized Count,Scheduled Recurring Meetings Attended Count,Audio Duration,"
    "Video Duration,Screen Share Duration,Audio Duration In Seconds,Video Duration In Seconds,"
    "Screen Share Duration In Seconds,Has Other Action,Is Licensed,Report Period"
)
TEAMS = (
    "Report Refresh Date,Team Name,Team Id,Team Type,Last Activity Date,Report Period,Active Users,Active Channels,"
    "Guests,Reactions,Meetings Organized,Post Messages,Reply Messages,Channel Messages,Urgent Messages,Mentions,"
    "Active Shared Channels,Active External Users"
)
MAILBOXES = (
    "Report Refresh Date,User Principal Name,Display Name,Is Deleted,Deleted Date,Created Date,Last Activity Date,"
    "Item Count,Storage Used (Byte),Issue Warning Quota (Byte),Prohibit Send Quota (Byte),"
    "Prohibit Send/Receive Quota (Byte),Deleted Item Count,Deleted Item Size (Byte),Deleted Item Quota (Byte),"
    "Has Archive,Report Period"
)
_GIB = 1 << 30
# What a service plan gives, by how its name begins (licensing-service-plan-reference), in the order of the columns.
_SERVICES = (
    ("EXCHANGE_S_", "exchange"),
    ("SHAREPOINT", "onedrive"),
    ("SHAREPOINT", "sharepoint"),
    ("MCO", "skype"),
    ("YAMMER", "yammer"),
    ("TEAMS", "teams"),
)
_NO_MAILBOX = "EXCHANGE_S_FOUNDATION"


class Asked(NamedTuple):
    """What a report is to cover: the last ``days`` before ``refreshed``, or the one ``day``."""

    tenant: SimulatedTenant
    now: float
    refreshed: date
    days: int
    day: date | None
    concealed: bool

    def name(self, text: object) -> str:
        """A name as the report tells it: concealed if the setting says so (adminreportsettings.md), else quoted."""
        plain = str(text or "")
        if self.concealed:
            return hashlib.sha256(f"{self.tenant.tenant_id}/{plain}".encode()).hexdigest()[:32].upper()
        return f'"{plain.replace(chr(34), chr(34) * 2)}"' if any(mark in plain for mark in ',"\r\n') else plain

    def key(self, object_id: str) -> str:
        return guid(self.tenant.tenant_id, "concealed", object_id) if self.concealed else object_id

    def last(self, at: float | None) -> str:
        """The day of a last activity, as far as the report knows it."""
        return "" if at is None else min(_day_of(at // DAY), self.day or self.refreshed).isoformat()

    def covers(self, user_id: str) -> bool:
        """A report of one day has those who were active on it (the pages)."""
        if self.day is None:
            return True
        return was_here(user_id, self.tenant, _begin(self.day), self.now)

    def active(self, at: float | None) -> bool:
        return at is not None and (self.refreshed - _day_of(at // DAY)).days < self.days


@lru_cache(maxsize=2048)
def _day_of(number: float) -> date:
    return datetime.fromtimestamp(number * DAY, UTC).date()


class _Held(NamedTuple):
    """What a user's licences amount to, in the order of ``_SERVICES``: when each service was given, or ``""``."""

    given: tuple[str, ...]
    products: str


class _Licences:
    """What licences amount to, remembered for those that many users share."""

    def __init__(self, tenant: SimulatedTenant) -> None:
        self._skus = {sku["skuId"]: sku for sku in tenant.state.table("subscribedSkus").objects.values()}
        self._seen: dict[tuple[tuple[str, str, int], ...], _Held] = {}

    def of(self, user: Json) -> _Held:
        held = [state for state in states_of(user) if state["state"].startswith("Active")]
        key = tuple((s["skuId"], s["lastUpdatedDateTime"], hash(tuple(s["disabledPlans"]))) for s in held)
        found = self._seen.get(key)
        if found is None:
            found = self._seen[key] = self._read(held)
        return found

    def _read(self, held: list[Json]) -> _Held:
        given = dict.fromkeys((service for _, service in _SERVICES), "")
        products = []
        for state in held:
            sku = self._skus.get(state["skuId"])
            if sku is None:
                continue
            products.append(sku["skuPartNumber"])
            for plan in sku["servicePlans"]:
                if plan["servicePlanId"] in state["disabledPlans"] or plan["servicePlanName"] == _NO_MAILBOX:
                    continue
                for prefix, service in _SERVICES:
                    if plan["servicePlanName"].startswith(prefix):
                        given[service] = given[service] or state["lastUpdatedDateTime"][:10]
        return _Held(tuple(given.values()), "+".join(products))


def _people(asked: Asked) -> Iterator[tuple[Json, str, str]]:
    """Everybody whom the report covers, and whether and when they were deleted."""
    for user in asked.tenant.state.table("users").in_order():
        if user is not None and asked.covers(user["id"]):
            yield user, "False", ""
    for user in asked.tenant.state.table("deletedUsers").objects.values():
        if asked.covers(user["id"]):
            yield {**user, "userPrincipalName": name_of(user)}, "True", user["deletedDateTime"][:10]


def active_users(asked: Asked) -> Iterator[tuple[str, ...]]:
    licences = _Licences(asked.tenant)
    refreshed = asked.refreshed.isoformat()
    for user, deleted, when in _people(asked):
        given, products = licences.of(user)
        last = asked.last(last_seen_at(user["id"], asked.tenant, asked.now))
        yield (
            refreshed,
            asked.name(user.get("userPrincipalName")),
            asked.name(user.get("displayName")),
            deleted,
            when,
            *["True" if day else "False" for day in given],
            *[last if day else "" for day in given],
            *given,
            products,
        )


def teams_users(asked: Asked) -> Iterator[tuple[str, ...]]:
    licences = _Licences(asked.tenant)
    refreshed = asked.refreshed.isoformat()
    for user, deleted, when in _people(asked):
        given, products = licences.of(user)
        if not given[-1]:
            continue
        at = last_seen_at(user["id"], asked.tenant, asked.now)
        yield (
            refreshed,
            "",
            "",
            asked.key(user["id"]),
            asked.name(user.get("userPrincipalName")),
            asked.last(at),
            deleted,
            when,
            products,
            *_figures(user["id"], asked, at, 15),
            *_durations(user["id"], asked, at),
            "Yes" if asked.active(at) else "No",
            "Yes",
            str(asked.days),
        )


def _figures(key: str, asked: Asked, at: float | None, count: int) -> list[str]:
    """So many figures, which grow with the period; nothing for whoever was not active in it."""
    if not asked.active(at):
        return ["0"] * count
    dice = hashlib.sha256(f"figures/{key}".encode()).digest()
    return [str(dice[place] % 8 * asked.days // 7) for place in range(count)]


def _durations(key: str, asked: Asked, at: float | None) -> list[str]:
    """Audio, video and shared screen: as ISO 8601, then in seconds."""
    minutes = [int(figure) * 6 for figure in _figures(f"{key}/minutes", asked, at, 3)]
    return [*(f"PT{each // 60}H{each % 60}M0S" for each in minutes), *(str(each * 60) for each in minutes)]


def teams(asked: Asked) -> Iterator[tuple[str, ...]]:
    state = asked.tenant.state
    for team in state.table("teams").objects.values():
        group = state.get("groups", team["id"]) or {}
        at = team_last_seen_at(team, asked.tenant, asked.now)
        if asked.day is not None and at // DAY * DAY != _begin(asked.day):
            continue
        yield (
            asked.refreshed.isoformat(),
            asked.name(group.get("displayName")),
            asked.key(team["id"]),
            str(group.get("visibility") or "Private"),
            asked.last(at),
            str(asked.days),
            *_figures(team["id"], asked, at, 12),
        )


def _begin(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()


def mailboxes(asked: Asked) -> Iterator[tuple[str, ...]]:
    licences = _Licences(asked.tenant)
    for user, deleted, when in _people(asked):
        given, _ = licences.of(user)
        if not given[0]:
            continue
        at = last_seen_at(user["id"], asked.tenant, asked.now)
        size = int(guid(user["id"], "mailbox")[:8], 16)
        yield (
            asked.refreshed.isoformat(),
            asked.name(user.get("userPrincipalName")),
            asked.name(user.get("displayName")),
            deleted,
            when,
            given[0],
            asked.last(at),
            str(size // 80_000),
            str(size * 4),
            *[str(figure * _GIB) for figure in (98, 99, 100)],
            str(size // 900_000),
            str(size // 3),
            str(30 * _GIB),
            "False",
            str(asked.days),
        )
