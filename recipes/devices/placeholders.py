"""Placeholders that authors of templates leave for others to fill in."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_PLACEHOLDER = re.compile(
    r"^\$[A-Za-z]\w*"  # $EnterpriseDomain, as a whole or at the beginning
    r"|##[\w .-]+##"
    r"|<<[\w .-]+>>"
    r"|^<[A-Za-z][\w .-]*>$"
    r"|\{\{\s*(?:tenant|organi[sz]ation)[\w. -]*\}\}"
    r"|\b(?:REPLACE|INSERT|CHANGE)[-_ ](?:ME|WITH|HERE|YOUR)\b[\w -]*",
    re.IGNORECASE,
)
# %OrganizationId% and %TenantId% are not among them: they mean the tenant's own id, and are filled in when planning.
_PROSE = frozenset({"displayName", "description", "name"})


def fill(value: Any, bind: Mapping[str, str]) -> Any:
    """``value`` with each placeholder that ``bind`` knows replaced, at any depth."""
    if isinstance(value, Mapping):
        return {name: inner if name in _PROSE else fill(inner, bind) for name, inner in value.items()}
    if isinstance(value, list):
        return [fill(item, bind) for item in value]
    if isinstance(value, str) and len(value) < _LONGEST:
        return _PLACEHOLDER.sub(lambda found: bind.get(found[0], found[0]), value)
    return value


def unfilled(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, placeholder) of those that are left."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            if name not in _PROSE and "@" not in name:
                yield from unfilled(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from unfilled(item, f"{path}[{index}]")
    elif isinstance(value, str) and len(value) < _LONGEST:
        yield from ((path, found[0]) for found in _PLACEHOLDER.finditer(value))


_LONGEST = 400
"""Longer text is content (XML, scripts, certificates), in which such marks mean something else."""
