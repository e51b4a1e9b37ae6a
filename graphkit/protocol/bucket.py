"""One published limit as a value, and which requests it counts."""

from __future__ import annotations

from dataclasses import dataclass

LIMITS = "https://learn.microsoft.com/graph/throttling-limits"

WRITES = "POST PUT PATCH DELETE"


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit: ``quota`` of ``unit`` in any ``window_s`` seconds. A quota of 0 means no published limit.

    ``scope`` is ``app`` (over all tenants), ``tenant`` (over all apps), ``app+tenant``, ``app+resource``,
    ``tenant+resource``, ``user`` or ``user+tenant``. ``split``: each object that an address names first has a counter
    of its own.

    ``methods`` is a list with spaces between, or ``*``. ``shapes`` are those of :mod:`graphkit.protocol.routes`;
    ``/x/**`` is ``/x`` and all below it, ``/x~`` whatever begins so. ``when`` limits the row to requests of that kind:
    ``csv``, ``json`` or ``signInActivity``. A ``default`` counts only what no other row of its scope does.

    ``sustained`` is the part of the quota that holds in the long run. ``retry_after`` False: its 429 states no wait.
    ``headroom`` stretches the window, for limits so tight that network jitter would break them.
    """

    id: str
    title: str
    quota: float
    window_s: float
    scope: str = "app+tenant"
    unit: str = "requests"
    split: bool = False
    methods: str = "*"
    shapes: tuple[str, ...] = ("/**",)
    when: str = ""
    default: bool = False
    sustained: float = 1.0
    retry_after: bool = True
    headroom: float = 1.0
    source: str = LIMITS

    @property
    def delegated(self) -> bool:
        """Does it count signed-in people only?"""
        return self.scope.startswith("user")

    def counts(self, method: str, shape: str) -> bool:
        """Whether a request of that method and shape is counted here, its query left aside."""
        if self.methods != "*" and method not in self.methods.split():
            return False
        return any(_fits(pattern, shape) for pattern in self.shapes)


def _fits(pattern: str, shape: str) -> bool:
    if pattern.endswith("/**"):
        root = pattern[:-3]
        return shape == root or shape.startswith(root + "/")
    return shape.startswith(pattern[:-1]) if pattern.endswith("~") else shape == pattern
