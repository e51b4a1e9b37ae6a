"""The headers by which Graph asks for patience.

Source: microsoftgraph/microsoft-graph-docs-contrib includes/throttling-identity-and-access.md, concepts/throttling.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_WAIT = 7 * 86400.0
"""A week, in seconds. Whatever asks for more is a mistake, and a week is parked just the same."""


@dataclass(frozen=True, slots=True)
class ThrottleScope:
    """``x-ms-throttle-scope``: ``<Scope>/<Limit>/<ApplicationId>/<TenantId|UserId|ResourceId>``."""

    scope: str = ""
    limit: str = ""


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """How many seconds the service asks to wait; ``None`` if it does not say. Never raises, never negative.

    Seen in the wild: integers, decimals such as 0.249 (microsoftgraph/microsoft-graph-docs issue 3877), HTTP dates,
    0, negative and empty values. A date is held against the ``Date`` of the same answer, so that a clock of ours that
    is wrong makes no difference; where there is none, against ``now``, seconds since the epoch.
    """
    text = headers.get("retry-after")
    if text is None:
        return None
    seconds = _number(text)
    if seconds is None:
        until, said = _time(text), _time(headers.get("date", ""))
        seconds = None if until is None else until - (now if said is None else said)
    return None if seconds is None else min(max(0.0, seconds), LONGEST_WAIT)


def limit_percentage(headers: Mapping[str, str]) -> float | None:
    """``x-ms-throttle-limit-percentage``: 0.8 to 1.8, sent only above 0.8 of a limit; 1.0 is where refusals begin."""
    text = headers.get("x-ms-throttle-limit-percentage")
    return None if text is None else _number(text)


def resource_units(headers: Mapping[str, str]) -> float | None:
    """``x-ms-resource-unit``: what a directory call really cost, or ``None``."""
    text = headers.get("x-ms-resource-unit")
    units = None if text is None else _number(text)
    return units if units is not None and units >= 0 else None


def throttle_scope(headers: Mapping[str, str]) -> ThrottleScope:
    """Whose limit was hit (``Tenant_Application``, ``Tenant``, ``Application``) and which (``Read``, ``Write``...)."""
    parts = headers.get("x-ms-throttle-scope", "").split("/")
    return ThrottleScope(parts[0].strip(), parts[1].strip() if len(parts) > 1 else "")


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if math.isnan(value):
        return None
    return value


def _time(text: str) -> float | None:
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    try:
        return when.timestamp()
    except (OverflowError, ValueError, OSError):
        return None
