"""What the transport asks of whoever supplies tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token. It is opaque: ``expires_on`` (seconds since the epoch, UTC) comes from the token answer."""

    value: str
    expires_on: float

    def __repr__(self) -> str:
        return f"Token(<{len(self.value)} characters>, expires_on={self.expires_on:.0f})"


class TokenSource(Protocol):
    """One identity: an app registration, a managed identity or a signed-in person."""

    @property
    def name(self) -> str:
        """The client id, or another stable name for one set of quota buckets. Never a secret."""
        ...

    async def token(self, *, claims: str = "", renew: bool = False) -> Token:
        """A token good for at least five minutes more.

        ``claims`` answers a claims challenge; ``renew`` bypasses the cache after a 401. Simultaneous callers share one
        request to the authority. Raises ``AuthError``.
        """
        ...
