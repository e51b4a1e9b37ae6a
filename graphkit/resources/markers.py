"""The key that graphkit plants in an object which has none of its own: the last line of its description.

``[gk:devices.compliance/win-floor]`` names recipe and key; whatever stands above it is the administrator's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MARKER = re.compile(r"\[gk:([a-z.-]+)/([^\]]+)\]")


def marker(recipe: str, key: str) -> str:
    return f"[gk:{recipe}/{key}]"


def found_marker(description: str | None) -> str:
    """The marker in its last line, whichever recipe's; empty if there is none."""
    lines = _lines(description)
    return lines[-1].strip() if lines and _MARKER.fullmatch(lines[-1].strip()) else ""


def without_marker(description: str | None) -> str:
    """The administrator's text."""
    lines = _lines(description)
    return "\n".join(lines[:-1] if found_marker(description) else lines).rstrip()


def with_marker(text: str | None, mark: str) -> str:
    """The administrator's text and below it the marker."""
    return f"{without_marker(text)}\n{mark}".lstrip("\n")


def marker_key(name: str) -> str:
    """A name as a key: the brackets that end a marker are others, and it stays on one line."""
    return " ".join(name.translate({ord("["): "(", ord("]"): ")"}).split())


def _lines(description: str | None) -> Sequence[str]:
    return (description or "").rstrip().splitlines()
