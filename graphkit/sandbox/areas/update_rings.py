"""Update rings (windowsUpdateForBusinessConfiguration): ranges, and the dates that pausing sets.

The ranges and the 35 days are in the descriptions of the properties in the CSDL of v1.0. They give 30 days for the
deferral of feature updates too, but the admin centre takes 365 (learn.microsoft.com/intune/intune-service/protect/
windows-update-settings), so 365 it is.
"""

from __future__ import annotations

from graphkit.sandbox.areas.intune_words import refuse
from graphkit.sandbox.call import Call, Json, Refusal
from graphkit.sandbox.ids import instant

PAUSE_S = 35 * 86400
NEVER = "0001-01-01T00:00:00Z"
RANGES: dict[str, range | tuple[int, ...]] = {
    "deadlineForFeatureUpdatesInDays": range(31),
    "deadlineForQualityUpdatesInDays": range(31),
    "deadlineGracePeriodInDays": range(8),
    "engagedRestartDeadlineInDays": range(2, 31),
    "engagedRestartSnoozeScheduleInDays": range(1, 4),
    "engagedRestartTransitionScheduleInDays": range(31),
    "featureUpdatesDeferralPeriodInDays": range(366),
    "featureUpdatesRollbackWindowInDays": range(2, 61),
    "qualityUpdatesDeferralPeriodInDays": range(31),
    "scheduleImminentRestartWarningInMinutes": (15, 30, 60),
    "scheduleRestartWarningInHours": (2, 4, 8, 12, 24),
}


def rules(call: Call, ring: Json, before: Json | None) -> Json:
    for name, allowed in RANGES.items():
        value = ring.get(name)
        if value is not None and value not in allowed:
            raise refuse(call)
    for kind in ("quality", "feature"):
        if ring.get(f"{kind}UpdatesWillBeRolledBack"):
            raise Refusal(501, "NotModelled", "The simulated tenant does not model the rollback of updates.")
        ring = _paused(call, ring, before, f"{kind}Updates")
    if before is None and ring.get("featureUpdatesRollbackWindowInDays") is None:
        ring = {**ring, "featureUpdatesRollbackWindowInDays": 10}  # the admin centre's own default
    return ring


def _paused(call: Call, ring: Json, before: Json | None, kind: str) -> Json:
    """A pause begins when the flag is set and ends by itself after 35 days; what the client says of dates is lost."""
    is_paused = bool(ring.get(f"{kind}Paused"))
    start, end = f"{kind}PauseStartDate", f"{kind}PauseExpiryDateTime"
    if is_paused and before is not None and before.get(f"{kind}Paused"):
        return {**ring, start: before[start], end: before[end]}
    if is_paused:
        return {**ring, start: instant(call.now)[:10], end: instant(call.now + PAUSE_S)}
    return {**ring, start: None, end: NEVER}
