"""Does an object hold what a wish names? For kinds of Intune, with hundreds of properties that mean "not configured".

A wish speaks of the properties that it names; whatever else the object holds stays as it is. At rest is what says
nothing: null, empty, false, the member of an enumeration that stands for "not configured", what the service fills in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from .check import is_annotation
from .edm import is_guid, moment
from .model import EnumType, Property, Schema, StructuredType, Version, schema

RESTING = frozenset(
    {
        *("notConfigured", "userDefined", "deviceDefault", "none", "notSet", "unavailable", "unspecified", "unknown"),
        *("notDefined", "undefined", "default", "noRestriction"),
    }
)
"""First members of enumerations that ask for nothing (v1.0 metadata: the value of a property that is never null)."""
NEVER = "0001-01-01T00:00:00Z"
_TYPE = "@odata.type"


def unmet(wanted: Mapping[str, Any], live: Mapping[str, Any], type_name: str, version: Version = "v1.0") -> list[str]:
    """The names of ``wanted`` whose values ``live`` does not hold, in the order of ``wanted``."""
    known = schema(version)
    kind = _kind(known, wanted, type_name)
    return [name for name in wanted if not is_annotation(name) and not _met(known, kind, name, wanted, live)]


def write(
    names: Iterable[str],
    wanted: Mapping[str, Any],
    live: Mapping[str, Any],
    type_name: str,
    version: Version = "v1.0",
) -> dict[str, Any]:
    """What a PATCH carries for ``names``: objects keep of ``live`` what ``wanted`` does not name."""
    known = schema(version)
    kind = _kind(known, wanted, type_name)
    return {name: _written(known, kind.properties.get(name), wanted[name], live.get(name)) for name in names}


def without_nulls(value: Any) -> Any:
    """``value`` as a create sends it: what is null is left out at any depth."""
    if isinstance(value, Mapping):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(item) for item in value if item is not None] if isinstance(value, list) else value


def rests(known: Schema, found: Property | None, value: Any) -> bool:
    """Does ``value`` ask for nothing?"""
    if value is None or value is False or value in ("", [], {}, NEVER, "PT0S"):
        return True
    if found is None:
        return False
    if value == found.default or value in found.void:
        return True
    if isinstance(value, Mapping):
        kind = _kind(known, value, found.type) if _is_object(known, found) else None
        inner = kind.properties if kind else {}
        return all(is_annotation(name) or rests(known, inner.get(name), item) for name, item in value.items())
    if isinstance(value, str) and found.type in known:
        kind_of = known.type(found.type)
        return isinstance(kind_of, EnumType) and value in RESTING and value == kind_of.members[0]
    return value == 0 and isinstance(value, int) and not found.nullable


def _met(known: Schema, kind: StructuredType, name: str, wanted: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    return _same(known, kind.properties.get(name), wanted[name], live.get(name))


def _same(known: Schema, found: Property | None, wanted: Any, live: Any) -> bool:
    if rests(known, found, wanted):
        # The zero of a number and the first of an enumeration are what many a service shows for null.
        return rests(known, found, live) or (wanted is None and _is_zero(known, found, live))
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and _same_object(known, found, wanted, live)
    if isinstance(wanted, list):
        return isinstance(live, list) and _same_list(known, found, wanted, live)
    return bool(_plain(known, found, wanted) == _plain(known, found, live))


def _is_zero(known: Schema, found: Property | None, live: Any) -> bool:
    kind = known.type(found.type) if found and found.type in known else None
    return bool(live == 0) or (isinstance(kind, EnumType) and bool(live == kind.members[0]))


def _same_object(known: Schema, found: Property | None, wanted: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    if found is None or not _is_object(known, found):
        names = {name for name in (*wanted, *live) if not is_annotation(name)}
        return all(_same(known, None, wanted.get(name), live.get(name)) for name in names)
    kind, other = _kind(known, wanted, found.type), _kind(known, live, found.type)
    named = [name for name in wanted if not is_annotation(name)]
    return kind.name == other.name and all(_met(known, kind, name, wanted, live) for name in named)


def _same_list(known: Schema, found: Property | None, wanted: list[Any], live: list[Any]) -> bool:
    if len(wanted) != len(live):
        return False
    if found is None or not found.order_free:
        return all(_same(known, found, mine, theirs) for mine, theirs in zip(wanted, live, strict=True))
    left = list(live)
    for mine in sorted(wanted, key=_json):
        match = next((theirs for theirs in left if _same(known, found, mine, theirs)), None)
        if match is None:
            return False
        left.remove(match)
    return True


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _plain(known: Schema, found: Property | None, value: Any) -> Any:
    """One form of a simple value."""
    if not isinstance(value, str):
        return value
    kind = known.type(found.type) if found and found.type in known else None
    if isinstance(kind, EnumType):
        return kind.spell(value) or value
    if found and found.type == "DateTimeOffset" and (when := moment(value)):
        return when
    if found and found.type == "TimeOfDay" and "." in value:
        return value.rstrip("0").rstrip(".")
    return value.lower() if is_guid(value) else value


def _written(known: Schema, found: Property | None, wanted: Any, live: Any) -> Any:
    if wanted is None and found is not None:
        return None if found.nullable and not found.collection else _resting_value(known, found)
    if isinstance(wanted, Mapping) and isinstance(live, Mapping) and found and _is_object(known, found):
        kind, other = _kind(known, wanted, found.type), _kind(known, live, found.type)
        kept = {name: item for name, item in live.items() if not is_annotation(name)} if kind.name == other.name else {}
        told = {_TYPE: wanted[_TYPE]} if _TYPE in wanted else {}
        named = {
            name: _written(known, kind.properties.get(name), item, kept.get(name))
            for name, item in wanted.items()
            if not is_annotation(name)
        }
        return {**told, **kept, **named}
    return [without_nulls(item) for item in wanted] if isinstance(wanted, list) else wanted


def _resting_value(known: Schema, found: Property) -> Any:
    """What stands for nothing where null may not."""
    if found.collection:
        return []
    if found.type in known and isinstance(kind := known.type(found.type), EnumType):
        return kind.members[0]
    zeros = {"Boolean": False, "String": "", "DateTimeOffset": NEVER, "Duration": "PT0S"}
    return found.default if found.default is not None else zeros.get(found.type, 0)


def _is_object(known: Schema, found: Property) -> bool:
    return found.type in known and not isinstance(known.type(found.type), EnumType)


def _kind(known: Schema, body: Mapping[str, Any], declared: str) -> StructuredType:
    given = str(body.get(_TYPE, "")).removeprefix("#").removeprefix("microsoft.graph.")
    return known.structured(given if given in known.concrete(declared) else declared)
