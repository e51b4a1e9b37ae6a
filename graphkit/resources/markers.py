"""The key that graphkit plants in an object which has none of its own: the last line of its description.

``[gk:devices.compliance/win-floor]`` names recipe and key; whatever stands above it is the administrator's.
"""

from __future__ import annotations

import re

_MARKER = re.compile(r"\[gk:([a-z.-]+)/([^\]]+)\]")


def marker(recipe: str, key: str) -> str:
    return f"[gk:{recipe}/{key}]"


def marked_key(recipe: str, description: str | None) -> str:
    """The key under which ``recipe`` keeps the object; empty if it is not one of its own."""
    lines = (description or "").rstrip().splitlines()
    found = _MARKER.fullmatch(lines[-1].strip()) if lines else None
    return found[2] if found and found[1] == recipe else ""
