"""What passes between whoever keeps a token and whoever asks an authority for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Grant:
    """What an authority answered: the token, and the seconds it lasts from now."""

    value: str = field(repr=False)
    lifetime: float


Fetch = Callable[[str, bool], Grant]
"""``(claims, renew) -> Grant``; blocks, so it is called in a thread. Raises ``AuthError``."""
