"""When people were last here: one answer for sign-in activity, usage reports and the sign-in log alike.

Worked out from the id, so that nothing is kept for a million people and every reader agrees. The answer is in days
before the tenant's today and does not age: whoever is idle stays as idle as they are, on whatever date a tenant begins.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

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


def set_last_seen(tenant: SimulatedTenant, user_id: str, days: int | None) -> None:
    """Say when one user was last here (``None``: never), for tests and demonstrations."""
    tenant.state.put("activity", {"id": user_id, "daysAgo": days})


def _by_chance(user_id: str) -> int | None:
    dice = _dice(user_id, "last seen")
    share, rest = dice % 1000, dice // 1000
    for size, first, last in _SHARES:
        if share < size:
            return first + rest % (last - first + 1)
        share -= size
    return None


def _dice(user_id: str, question: str) -> int:
    return zlib.crc32(f"{question}/{user_id}".encode())
