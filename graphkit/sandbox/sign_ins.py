"""``signInActivity``: when people were last here, as the user resource tells it.

resources/signinactivity.md and api/user-list.md of microsoft-graph-docs-contrib. A failed attempt moves
``lastSignInDateTime`` only; successes are recorded since December 2023 and were not filled in backwards.
"""

from __future__ import annotations

import zlib

from graphkit.sandbox.call import Call, Json, Refusal
from graphkit.sandbox.ids import guid, instant
from graphkit.sandbox.permissions import AUDIT
from graphkit.sandbox.seeding.activity import DAY, last_seen_at

FIRST_SUCCESS = 1_701_388_800.0
"""2023-12-01: before, only attempts were recorded."""
PAGE = 500
_IDLE_DAYS = 14
_GUESSED_AT = 25
"""One in so many of the idle has had their password tried by somebody since (an assumption, not a statistic)."""


def sign_in_activity(call: Call, user: Json) -> Json | None:
    """``None`` for who was never here."""
    at = last_seen_at(user["id"], call.tenant, call.now)
    if at is None:
        return None
    interactive = _failed_at(call, user, at) or at - _dice(user, "interactive") % DAY
    return {
        **_event("lastSignIn", user, interactive),
        **_event("lastNonInteractiveSignIn", user, at),
        **_event("lastSuccessfulSignIn", user, at if at >= FIRST_SUCCESS else None),
    }


def _failed_at(call: Call, user: Json, at: float) -> float | None:
    """When somebody last failed to sign in as one of the idle, if anybody has tried."""
    idle = int(call.now - at) // DAY
    if idle <= _IDLE_DAYS or _dice(user, "failed") % _GUESSED_AT:
        return None
    return at + (idle - 1 - _dice(user, "failed when") % 7) * DAY


def _event(name: str, user: Json, at: float | None) -> Json:
    """An event's time and the id of the request that it was."""
    if at is None:
        return {f"{name}DateTime": None, f"{name}RequestId": None}
    when = instant(at)
    return {f"{name}DateTime": when, f"{name}RequestId": guid("sign-in", user["id"], name, when)}


def _dice(user: Json, question: str) -> int:
    return zlib.crc32(f"{question}/{user['id']}".encode())


def asks(call: Call) -> bool:
    """Whether a call reads or filters by sign-in activity."""
    text = call.query.get("$select") + call.query.get("$filter")
    return "signinactivity" in text.lower()


def check_access(call: Call) -> None:
    """A permission of its own, and Entra ID P1 (api/user-list.md); the codes as published clients know them."""
    if call.permissions is not None and call.permissions.isdisjoint(AUDIT):
        raise Refusal(
            403,
            "Authentication_MSGraphPermissionMissing",
            "The principal does not have required Microsoft Graph permission(s): AuditLog.Read.All to call this API. "
            "For more information about Microsoft Graph permissions, please visit "
            "https://learn.microsoft.com/graph/permissions-overview.",
        )
    skus = call.tenant.state.table("subscribedSkus").objects.values()
    if not any(plan["servicePlanName"].startswith("AAD_PREMIUM") for sku in skus for plan in sku["servicePlans"]):
        raise Refusal(
            403,
            "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
            "Neither tenant is B2C or tenant doesn't have premium license",
        )
