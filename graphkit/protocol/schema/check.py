"""Is a body what Microsoft Graph would take? Decided offline, every problem at once."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .edm import PRIMITIVES
from .model import ComplexType, EnumType, Property, Schema, StructuredType, Version, schema, short

# Names that directory objects take beyond their own: directory extensions with a plain value, and schema extensions
# (named after a verified domain, or ext and eight characters) with an object (concepts/extensibility-overview.md).
_DIRECTORY_EXTENSION = re.compile(r"extension_[0-9a-f]{32}_\w+")
_SCHEMA_EXTENSION = re.compile(r"[a-z0-9]+_\w+")
_BIND = "@odata.bind"


@dataclass(frozen=True, slots=True)
class SchemaProblem:
    """``path`` inside the body (``conditions.users.includeUsers[0]``), empty for the body itself.

    Codes: ``unknown-property``, ``unknown-type``, ``beta-only``, ``wrong-type``, ``wrong-value``, ``null``, ``missing``
    and ``relation`` (an object written where only a reference is taken).
    """

    path: str
    code: str
    message: str


def validate(body: Any, type_name: str, version: Version = "v1.0", *, partial: bool = False) -> list[SchemaProblem]:
    """Everything wrong with ``body`` as a ``type_name``, in the order of the body; empty if nothing is.

    ``partial``: an update, in which nothing is required but inside the items of a list
    (api/conditionalaccesspolicy-update.md sends one condition of many). Annotations (``@odata.*``) are let pass;
    read-only properties too, so clean an export first (:func:`.clean`). Raises ``KeyError`` for an unknown
    ``type_name``.
    """
    known = schema(version)
    known.structured(type_name)
    return list(_object(known, body, type_name, "", partial))


def is_annotation(key: str) -> bool:
    """Control information and links to actions (``@odata.id``, ``x@odata.type``, ``#microsoft.graph.restore``)."""
    return key.startswith("#") or ("@" in key and not key.endswith(_BIND))


def _object(known: Schema, value: Any, declared: str, path: str, partial: bool) -> Iterator[SchemaProblem]:
    if not isinstance(value, Mapping):
        yield SchemaProblem(path, "wrong-type", f"{_shown(value)} is not an object ({declared})")
        return
    problem = _type_problem(known, value, declared, path)
    if problem:
        yield problem
        return
    kind = known.structured(value.get("@odata.type", declared))
    for key, item in value.items():
        where = f"{path}.{key}" if path else key
        if key.endswith(_BIND):
            yield from _bound(kind, key, item, where)
        elif not is_annotation(key):
            yield from _member(known, kind, key, item, where, partial)
    if not partial:
        yield from _missing(kind, value, path)


def _type_problem(known: Schema, value: Mapping[str, Any], declared: str, path: str) -> SchemaProblem | None:
    given = value.get("@odata.type")
    where = f"{path}.@odata.type" if path else "@odata.type"
    allowed = known.concrete(declared)
    if given is None:
        if not known.structured(declared).abstract:
            return None
        return SchemaProblem(where, "missing", f"@odata.type must say which: {_listed('#microsoft.graph.', allowed)}")
    if isinstance(given, str) and short(given) in allowed:
        return None
    if isinstance(given, str) and known.version != "beta" and short(given) in schema("beta").concrete(declared):
        return SchemaProblem(where, "beta-only", f"{short(given)} is known to beta only")
    nearest = _nearest(short(str(given)), allowed)
    return SchemaProblem(
        where, "unknown-type", f"{given} is not a {declared}{nearest or '; use ' + _listed('', allowed)}"
    )


def _member(
    known: Schema, kind: StructuredType, key: str, value: Any, path: str, partial: bool
) -> Iterator[SchemaProblem]:
    found = kind.properties.get(key)
    if found is None:
        if not (kind.open and _is_extension(kind, key, value)):
            yield _unknown(known, kind, key, path)
    elif found.relation and found.type not in known:
        yield SchemaProblem(path, "relation", f"{key} cannot be written here; refer to it with {key}{_BIND}")
    elif value is None:
        if not found.nullable:
            yield SchemaProblem(path, "null", f"{key} must not be null")
    elif not found.collection:
        yield from _value(known, found, value, path, partial)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _value(known, found, item, f"{path}[{index}]", partial=False)
    else:
        yield SchemaProblem(path, "wrong-type", f"{_shown(value)} is not a list of {found.type}")


def _is_extension(kind: StructuredType, key: str, value: Any) -> bool:
    if isinstance(kind, ComplexType) or _DIRECTORY_EXTENSION.fullmatch(key):
        return True  # an open complex type, such as custom security attributes, has no names of its own
    return isinstance(value, Mapping) and _SCHEMA_EXTENSION.fullmatch(key) is not None


def _unknown(known: Schema, kind: StructuredType, key: str, path: str) -> SchemaProblem:
    if known.version != "beta":
        beta = schema("beta")
        if kind.name in beta and key in beta.structured(kind.name).properties:
            return SchemaProblem(path, "beta-only", f"{key} of {kind.name} is known to beta only")
    return SchemaProblem(path, "unknown-property", f"{kind.name} has no property {key}{_nearest(key, kind.properties)}")


def _value(known: Schema, found: Property, value: Any, path: str, partial: bool) -> Iterator[SchemaProblem]:
    primitive = PRIMITIVES.get(found.type)
    if primitive:
        fits, advice = primitive
        if not fits(value):
            yield SchemaProblem(path, "wrong-type", f"{_shown(value)} is not of type {found.type}: write {advice}")
        return
    if found.type not in known:  # Edm.Stream and the like have no form in a JSON body
        return
    kind = known.type(found.type)
    if isinstance(kind, EnumType):
        if not isinstance(value, str):
            yield SchemaProblem(path, "wrong-type", f"{_shown(value)} is not text; use {_listed('', kind.members)}")
        elif not _is_spelt(kind, value):
            yield _new_in_beta(known, kind, value, path) or _wrong_value(kind, value, path)
    elif found.reference:
        yield from _reference(value, found, path)
    else:
        yield from _object(known, value, found.type, path, partial)


def _is_spelt(kind: EnumType, value: str) -> bool:
    parts = [part.strip() for part in value.split(",")] if kind.flags else [value]
    return all(part in kind.members for part in parts)


def _new_in_beta(known: Schema, kind: EnumType, value: str, path: str) -> SchemaProblem | None:
    grown = schema("beta").type(kind.name)
    if known.version == "beta" or not isinstance(grown, EnumType) or not _is_spelt(grown, value):
        return None
    return SchemaProblem(path, "beta-only", f"{value} of {kind.name} is known to beta only")


def _wrong_value(kind: EnumType, value: str, path: str) -> SchemaProblem:
    combined = ", or several joined by commas" if kind.flags else ""
    nearest = _nearest(value, kind.members)
    return SchemaProblem(
        path, "wrong-value", f"{value} is not a {kind.name}{nearest}; use {_listed('', kind.members)}{combined}"
    )


def _reference(value: Any, found: Property, path: str) -> Iterator[SchemaProblem]:
    if not isinstance(value, Mapping):
        yield SchemaProblem(path, "wrong-type", f"{_shown(value)} is not a reference: write an object with an id")
    elif not isinstance(value.get("id"), str):
        yield SchemaProblem(f"{path}.id", "missing", f"{found.name} needs the id of the {found.type}")


def _bound(kind: StructuredType, key: str, value: Any, path: str) -> Iterator[SchemaProblem]:
    name = key.removesuffix(_BIND)
    found = kind.properties.get(name)
    if found is None or not found.relation:
        relations = [name for name, item in kind.properties.items() if item.relation]
        yield SchemaProblem(path, "unknown-property", f"{kind.name} has no relation {name}{_nearest(name, relations)}")
    elif not (isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))):
        yield SchemaProblem(path, "wrong-type", f"{_shown(value)} is not an address, nor a list of addresses")


def _missing(kind: StructuredType, value: Mapping[str, Any], path: str) -> Iterator[SchemaProblem]:
    for name, found in kind.properties.items():
        if found.required and not found.read_only and value.get(name) is None and f"{name}{_BIND}" not in value:
            if name in value and not found.nullable:
                continue  # named already, as a null
            where = f"{path}.{name}" if path else name
            yield SchemaProblem(where, "missing", f"{kind.name} needs {name}")


def _nearest(name: str, names: Iterable[str]) -> str:
    by_fold = {known.casefold(): known for known in names}
    close = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=0.7)
    return f"; did you mean {by_fold[close[0]]}?" if close else ""


def _listed(prefix: str, names: Iterable[str]) -> str:
    return ", ".join(f"{prefix}{name}" for name in names)


def _shown(value: Any) -> str:
    """A value for a message, never a whole document."""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
