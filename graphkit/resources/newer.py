"""Parts of a live object that the service knows and this version of graphkit does not.

Graph grows: a property appears on objects that are years old, with a value that nobody gave them. Such a part is left
as it is, and the plan says so; to take it out as something that nobody wished for would be a change that nobody meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphkit.protocol.schema import StructuredType, Version, schema

_OURS = frozenset({"id", "since", "api", "@odata.type"})


def newer(version: Version, kind: StructuredType, live: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    """Where such parts are, as in ``conditions.time``, but for what the input itself asks for."""
    for name, value in live.items():
        inner = _inner(version, kind, name, value)
        if _is_newer(kind, name, wanted):
            yield name
        elif inner is not None:
            for below in newer(version, inner, value, _below(wanted, name)):
                yield f"{name}.{below}"


def familiar(
    version: Version, kind: StructuredType, live: Mapping[str, Any], wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """The rest. An object of nothing but such parts is none."""
    found: dict[str, Any] = {}
    for name, value in live.items():
        inner = _inner(version, kind, name, value)
        if _is_newer(kind, name, wanted):
            continue
        found[name] = value if inner is None else familiar(version, inner, value, _below(wanted, name)) or None
    return found


def _is_newer(kind: StructuredType, name: str, wanted: Mapping[str, Any]) -> bool:
    return name not in kind.properties and name not in _OURS and name not in wanted


def _inner(version: Version, kind: StructuredType, name: str, value: Any) -> StructuredType | None:
    """The type of an object below."""
    found, known = kind.properties.get(name), schema(version)
    if found is None or found.reference or found.type not in known or not isinstance(value, Mapping):
        return None
    return known.structured(value.get("@odata.type", found.type))


def _below(wanted: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = wanted.get(name)
    return value if isinstance(value, Mapping) else {}
