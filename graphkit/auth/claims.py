"""Reading a token that happens to be a JWT.

Tokens for Microsoft Graph are opaque to clients (MicrosoftDocs/entra-docs docs/identity-platform/access-tokens.md):
nothing here decides whether a token is good, and an unreadable one is no error.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any


def read_claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, unverified; empty if ``token`` is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}


def expiry(token: str) -> float | None:
    """Seconds since the epoch at which the token ends, if it says so."""
    value = read_claims(token).get("exp")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
