"""What the login service says when it says no, and the one look at the time that all proofs share."""

from __future__ import annotations

from graphkit.sandbox.call import Json

LEEWAY_S = 300.0
"""How far a client's clock may be off (learn.microsoft.com/entra/identity-platform/certificate-credentials)."""


class LoginRefusal(Exception):
    """The login service says no: an OAuth 2.0 ``error`` and the service's own ``AADSTS`` code and message."""

    def __init__(
        self, error: str, code: int, message: str, status: int = 400, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.error = error
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers or {}


def check_times(claims: Json, now: float) -> None:
    begins, ends = float(claims.get("nbf", 0)), float(claims.get("exp", 0))
    if not begins - LEEWAY_S <= now <= ends + LEEWAY_S:
        raise LoginRefusal("invalid_client", 700024, "Client assertion is not within its valid time range.", 401)
