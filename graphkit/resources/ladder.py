"""Steps that take days: report-only before on, audit before block."""

from __future__ import annotations

from datetime import datetime

DAY_S = 86_400


def days_since(moment: str, now: float) -> int:
    """Whole days from the service's ``moment`` to ``now`` (epoch seconds); none if the service did not say when."""
    try:
        since = datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return 0
    return max(0, int((now - since) // DAY_S))
