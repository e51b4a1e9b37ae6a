"""What runs take from which quotas: the plain value that a tally carries from those that run to whoever asks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec


class Use(msgspec.Struct, frozen=True):
    """One bucket in use, of one app in one tenant.

    ``used`` is the part of the published quota taken in its last window, ``waiting`` the number of requests that wait
    for it, ``stopped_until`` seconds since the epoch, 0 if the service did not stop it.
    """

    bucket: str
    used: float
    waiting: int = 0
    stopped_until: float = 0.0
    tenant: str = ""
    app: str = ""


def together(uses: Iterable[Use]) -> Sequence[Use]:
    """Those of several processes added up, the fullest first."""
    found: dict[tuple[str, str, str], Use] = {}
    for use in uses:
        key = (use.tenant, use.app, use.bucket)
        known = found.get(key)
        found[key] = use if known is None else _sum(known, use)
    return sorted(found.values(), key=lambda use: (-use.used, use.tenant, use.app, use.bucket))


def _sum(one: Use, other: Use) -> Use:
    return Use(
        one.bucket,
        one.used + other.used,
        one.waiting + other.waiting,
        max(one.stopped_until, other.stopped_until),
        one.tenant,
        one.app,
    )
