"""Bodies without what only a server writes, and in one form where the service knows no difference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from .check import is_annotation
from .edm import is_guid, moment
from .meet import rests
from .model import EnumType, Property, Schema, StructuredType, Version, schema, short

_BIND = "@odata.bind"
_TYPE = "@odata.type"
_ABSENT: tuple[Any, ...] = (None, [], {})


def clean(body: Mapping[str, Any], type_name: str, version: Version = "v1.0") -> dict[str, Any]:
    """``body`` as one would write it to create the object: an export without what the server put there.

    Leaves out read-only properties, annotations, relations that are never written inline, and names that only beta
    or only the service knows **if they say nothing** (empty, or the default). One that says something stays, since
    without it a policy would mean something else; :func:`.validate` then names it ``beta-only``. Objects that are
    referred to shrink to their ``id``, enum values get the spelling of the metadata, and ``@odata.type`` stays (or is
    added) where it tells one derived type from another.
    """
    known = schema(version)
    kind = _kind(known, body, type_name)
    told = kind.name if known.roots.intersection(kind.ancestors) else None
    return _clean_object(known, body, kind, told)


def canonical(body: Mapping[str, Any], type_name: str, version: Version = "v1.0") -> dict[str, Any]:
    """``clean(body)`` in one form: equal forms mean the same to the service.

    Null, absent, an empty list and an empty object are one; so are a default and its absence. Lists that are sets
    (:data:`.facts.ORDER_FREE`) are sorted and single; keys are sorted; GUIDs are in lower case and times in UTC.
    Idempotent.
    """
    known = schema(version)
    return _canonical_object(known, clean(body, type_name, version), _kind(known, body, type_name))


def arranged(body: Mapping[str, Any], type_name: str, version: Version = "v1.0") -> dict[str, Any]:
    """``clean(body)`` in one order: names are sorted, and so are lists that are sets.

    Nothing is left out, for to name a property as empty is to ask for that.
    """
    known = schema(version)
    return _arranged_object(known, clean(body, type_name, version), _kind(known, body, type_name))


def equal(left: Mapping[str, Any], right: Mapping[str, Any], type_name: str, version: Version = "v1.0") -> bool:
    """Do the two bodies mean the same to the service?"""
    return canonical(left, type_name, version) == canonical(right, type_name, version)


def _kind(known: Schema, body: Mapping[str, Any], declared: str) -> StructuredType:
    """The type that the body claims, if the declared place takes it; else the declared one."""
    given = body.get(_TYPE)
    fits = isinstance(given, str) and short(given) in known.concrete(declared)
    return known.structured(given if isinstance(given, str) and fits else declared)


# -- cleaning


def _clean_object(known: Schema, body: Mapping[str, Any], kind: StructuredType, told: str | None) -> dict[str, Any]:
    cleaned: dict[str, Any] = {_TYPE: f"#microsoft.graph.{told}"} if told else {}
    given = body.get(_TYPE)
    if not told and given is not None and not _is_known(known, given):
        cleaned[_TYPE] = given  # wrong, and validate is to say so
    for key, value in body.items():
        found = kind.properties.get(key)
        if is_annotation(key) or (found is None and _is_noise(kind, key, value)):
            continue
        if found is None:
            cleaned[key] = value
        elif not found.read_only and not (found.relation and found.type not in known):
            cleaned[key] = _clean_value(known, found, value)
    return cleaned


def _clean_value(known: Schema, found: Property, value: Any) -> Any:
    if isinstance(value, list):
        return [_clean_value(known, found, item) for item in value]
    if found.type not in known:
        return value
    kind = known.type(found.type)
    if isinstance(kind, EnumType):
        return (kind.spell(value) or value) if isinstance(value, str) else value
    if not isinstance(value, Mapping):
        return value
    if found.reference and "id" in value:
        return {"id": value["id"]}
    actual = _kind(known, value, found.type)
    return _clean_object(known, value, actual, actual.name if actual.name != found.type else None)


def _is_known(known: Schema, given: Any) -> bool:
    return isinstance(given, str) and given in known


def _is_noise(kind: StructuredType, key: str, value: Any) -> bool:
    """May a name that this version does not know be dropped without a loss?"""
    beta = schema("beta")
    found = beta.structured(kind.name).properties.get(key) if kind.name in beta else None
    if found is not None and (found.read_only or value == found.default):
        return True
    if found is not None and kind.name in beta.intune and rests(beta, found, value):
        return True
    # Exports of Intune run ahead of the models: what is null and new there asks for nothing.
    return _says_nothing(value) and (found is not None or key in kind.noise or kind.name in beta.intune)


def _says_nothing(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(is_annotation(key) or _says_nothing(item) for key, item in value.items())
    return value is None or value == []


# -- one order


def _arranged_object(known: Schema, body: Mapping[str, Any], kind: StructuredType) -> dict[str, Any]:
    return {key: _arranged(known, kind.properties.get(key), body[key]) for key in sorted(body)}


def _arranged(known: Schema, found: Property | None, value: Any) -> Any:
    if isinstance(value, list):
        items = [_arranged(known, found, item) for item in value]
        return _as_set(items) if found is not None and found.order_free else items
    if not isinstance(value, Mapping):
        return value
    if found is None or found.type not in known or isinstance(known.type(found.type), EnumType):
        return {key: _arranged(known, None, value[key]) for key in sorted(value)}
    return _arranged_object(known, value, _kind(known, value, found.type))


# -- one form


def _canonical_object(known: Schema, body: Mapping[str, Any], kind: StructuredType) -> dict[str, Any]:
    return dict(sorted(_canonical_items(known, body, kind)))


def _canonical_items(known: Schema, body: Mapping[str, Any], kind: StructuredType) -> Iterator[tuple[str, Any]]:
    for key, value in body.items():
        name = key.removesuffix(_BIND)
        found = kind.properties.get(name)
        if name != key:
            form = _canonical_bind(found, value)
            key = name if isinstance(form, dict) else key
        elif found is None:
            form = _plain(value)
        else:
            form = _canonical_value(known, found, value)
            if form == found.default or form in found.void:
                continue
        if form not in _ABSENT:
            yield key, form


def _canonical_bind(found: Property | None, value: Any) -> Any:
    """``x@odata.bind: ".../policies/ID"`` says the same as ``x: {"id": "ID"}`` where only the id counts."""
    if found is not None and found.reference and isinstance(value, str):
        return {"id": _plain(value.rstrip("/").rpartition("/")[2].rpartition("('")[2].removesuffix("')"))}
    return sorted(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else value


def _canonical_value(known: Schema, found: Property, value: Any) -> Any:
    if isinstance(value, list):
        items = [_canonical_value(known, found, item) for item in value if item is not None]
        return _as_set(items) if found.order_free else items
    if isinstance(value, Mapping):
        if found.type not in known or isinstance(known.type(found.type), EnumType):
            return _plain(value)
        return _canonical_object(known, value, _kind(known, value, found.type))
    if found.type == "DateTimeOffset" and isinstance(value, str) and (when := moment(value)):
        return when.isoformat().replace("+00:00", "Z")
    return _plain(value)


def _as_set(items: list[Any]) -> list[Any]:
    """Sorted by their JSON, each once."""
    by_json = {msgspec.json.encode(item, order="sorted"): item for item in items}
    return [by_json[key] for key in sorted(by_json)]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        items = ((key, _plain(item)) for key, item in value.items())
        return dict(sorted((key, item) for key, item in items if item not in _ABSENT))
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value.lower() if is_guid(value) else value
