"""When people were last here: one answer for sign-in activity, usage reports and the sign-in log alike.

Worked out from the id, so that nothing is kept for a million people and every reader agrees. The answer is in days
before the tenant's today and does not age: whoever is idle stays as idle as they are, on whatever date a tenant begins.
"""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import TYPE_CHECKING

from graphkit.sandbox.call import Json

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

DAY = 86_400

# Per mille of the seeded people, and the days ago between which they were last here (an assumption, not a statistic).
_SHARES: tuple[tuple[int, int, int], ...] = ((880, 0, 13), (60, 91, 399), (30, 15, 89))


def last_seen(user_id: str, tenant: SimulatedTenant) -> int | None:
    """How many whole days ago; ``None`` for never.

    88 % were here within the last 14 days, 6 % between 91 and 400 days ago, 3 % between 15 and 90, and 3 % never.
    Whoever was made since the tenant's birth has not been here. :func:`set_last_seen` says otherwise for one user.
    """
    said = tenant.state.get("activity", user_id)
    if said is not None:
        return None if said["daysAgo"] is None else int(said["daysAgo"])
    users = tenant.state.table("users")
    if users.population is None or users.population.position(user_id) is None:
        user = users.objects.get(user_id)
        if user is None or "_created" in user:
            return None
    return _by_chance(user_id)


def last_seen_at(user_id: str, tenant: SimulatedTenant, now: float) -> float | None:
    """The same as an instant (epoch seconds), at a time of day of the user's own; the same all day long."""
    days = last_seen(user_id, tenant)
    if days is None:
        return None
    yesterday = now // DAY * DAY - DAY
    return yesterday - days * DAY + _dice(user_id, "time of day") % DAY


def was_here(user_id: str, tenant: SimulatedTenant, day: float, now: float) -> bool:
    """Whether a user did anything on the day that begins at ``day``: on their last one, and on most before it."""
    last = last_seen_at(user_id, tenant, now)
    if last is None or last < day:
        return False
    return last < day + DAY or _dice(user_id, f"day {day:.0f}") % 10 < 7


def team_last_seen_at(team: Json, tenant: SimulatedTenant, now: float) -> float:
    """When anything last happened in a team: of seven teams, six are used from day to day, one never since it was
    made. :func:`set_last_seen` knows teams too.
    """
    made = datetime.fromisoformat(team["createdDateTime"]).timestamp()
    said = tenant.state.get("activity", team["id"])
    today = now // DAY * DAY
    if said is not None:
        return made if said["daysAgo"] is None else float(today - said["daysAgo"] * DAY)
    dice = _dice(team["id"], "team")
    return max(made, today - dice // 7 % 7 * DAY) if dice % 7 else made


def set_last_seen(tenant: SimulatedTenant, object_id: str, days: int | None) -> None:
    """Say when one user or team was last here (``None``: never), for tests and demonstrations."""
    tenant.state.put("activity", {"id": object_id, "daysAgo": days})


def _by_chance(user_id: str) -> int | None:
    dice = _dice(user_id, "last seen")
    share, rest = dice % 1000, dice // 1000
    for size, first, last in _SHARES:
        if share < size:
            spread, part = last - first + 1, rest % 1000
            # Whoever works is mostly here every day; the idle are idle for any time.
            return spread * part**3 // 1000**3 if first == 0 else first + rest % spread
        share -= size
    return None


def _dice(user_id: str, question: str) -> int:
    return zlib.crc32(f"{question}/{user_id}".encode())
