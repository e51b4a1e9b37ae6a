"""Is a body what Microsoft Graph would take? Told in the words of the library that the service reads bodies with."""

from __future__ import annotations

from functools import cache
from typing import Any

from graphkit.sandbox.call import Json, Refusal, bad_request
from graphkit.sandbox.schema.edm import PRIMITIVES, is_guid
from graphkit.sandbox.schema.facts import IMMUTABLE, READ_ONLY, REQUIRED
from graphkit.sandbox.schema.tables import Type, descends_from, find_enum, find_type, first_value, is_real_path

__all__ = [
    "Type",
    "as_seen",
    "check",
    "check_changeable",
    "check_required",
    "check_writable",
    "descends_from",
    "find_enum",
    "find_type",
    "first_value",
    "is_guid",
    "is_real_path",
    "settable",
    "type_of",
]


def type_of(body: Json, expected: str, version: str) -> Type:
    """The type that a body claims by ``@odata.type``, which must descend from the one expected here."""
    name = _short(body.get("@odata.type") or expected)
    found = find_type(name, version)
    if found is None or not descends_from(name, expected):
        raise bad_request(
            f"A type named 'microsoft.graph.{name}' could not be resolved by the model. "
            "When a model is available, each type name must resolve to a valid type.",
            "BadRequest",
        )
    return found


def check(body: Json, expected: str, version: str, *, code: str = "Request_BadRequest") -> Type:
    """Refuses unknown properties, wrong types and wrong enumeration values, at any depth."""
    found = type_of(body, expected, version)
    for name, value in body.items():
        if "@" in name:
            continue  # annotations and binds: the latter are the handler's business
        declared = found.properties.get(name)
        if declared is not None:
            _check_value(name, value, declared, version, code)
        elif not found.open or name.startswith("#"):
            raise bad_request(
                f"The property '{name}' does not exist on type 'microsoft.graph.{found.name}'. Make sure to only use "
                "property names that are defined by the type or mark the type as open type.",
                code,
            )
    return found


def as_seen(item: Json, type_name: str, version: str) -> Json:
    """An object as one version shows it: v1.0 keeps quiet about what only beta knows."""
    found = find_type(_short(item.get("@odata.type") or type_name), version) or find_type(type_name, version)
    if found is None or found.open:
        return item
    shown: Json = {}
    for name, value in item.items():
        declared = found.properties.get(name)
        if declared is not None:
            shown[name] = _value_seen(value, declared.strip("*>!"), version)
        elif name == "@odata.type":
            shown[name] = f"#microsoft.graph.{found.name}"
    return shown


def _value_seen(value: Any, kind: str, version: str) -> Any:
    if isinstance(value, dict):
        return as_seen(value, kind, version)
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return [as_seen(item, kind, version) for item in value]
    return value


def check_writable(body: Json, found: Type, *, code: str = "Request_BadRequest") -> None:
    """Refuses properties that only the service may set."""
    wrong = _facts("read-only", found.name).intersection(body)
    if wrong:
        raise bad_request(f"Property '{min(wrong)}' is read-only and cannot be set.", code)


def settable(body: Json, found: Type) -> Json:
    """The body without what only the service may set, for services that ignore it (OData 4.01, Core.Computed)."""
    kept = _facts("read-only", found.name)
    return {name: value for name, value in body.items() if name not in kept}


def check_changeable(body: Json, found: Type, *, code: str = "Request_BadRequest") -> None:
    """Refuses, in a change, what only the service may set and what can be set at creation only."""
    check_writable(body, found, code=code)
    wrong = _facts("immutable", found.name).intersection(body)
    if wrong:
        raise bad_request(f"Property '{min(wrong)}' cannot be changed after creation.", code)


def check_required(body: Json, found: Type, *, code: str = "Request_BadRequest") -> None:
    """Refuses to create what lacks a property that it must have."""
    missing = [name for name in _facts("required", found.name) if body.get(name) in (None, "")]
    if missing:
        resource = found.name[0].upper() + found.name[1:]
        raise bad_request(f"A value is required for property '{min(missing)}' of resource '{resource}'.", code)


_FACTS = {"read-only": READ_ONLY, "immutable": IMMUTABLE, "required": REQUIRED}


@cache
def _facts(mark: str, name: str) -> frozenset[str]:
    """The names that are marked so on a type or on one of its ancestors."""
    rows = [names for owner, names in _FACTS[mark].items() if descends_from(name, owner)]
    return frozenset[str]().union(*rows)


def _check_value(name: str, value: Any, declared: str, version: str, code: str) -> None:
    kind = declared.strip(">!")
    if value is None:
        if declared.endswith("!") or kind.startswith("*"):
            raise _null(name, kind, declared, code)
    elif not kind.startswith("*"):
        _check_one(name, value, kind, version, code)
    elif not isinstance(value, list):
        raise _unexpected(name, value, "StartArray", code)
    else:
        for item in value:
            if item is not None:
                _check_one(name, item, kind[1:], version, code)
            elif declared.endswith("!"):
                raise _null(name, kind[1:], declared, code)


def _check_one(name: str, value: Any, kind: str, version: str, code: str) -> None:
    fits = PRIMITIVES.get(kind)
    if fits is not None:
        if not fits(value):
            if isinstance(value, (dict, list)):
                raise _unexpected(name, value, "PrimitiveValue", code)
            raise _wrong(value, kind, code)
        return
    enum = find_enum(kind, version)
    if enum is not None:
        _check_enum(value, kind, enum)
    elif find_type(kind, version) is not None:
        if not isinstance(value, dict):
            raise _unexpected(name, value, "StartObject", code)
        check(value, kind, version, code=code)


def _check_enum(value: Any, kind: str, enum: Json) -> None:
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) and enum["flags"] else [value]
    if any(part not in enum["members"] for part in parts):
        raise bad_request(
            f"Cannot convert the literal '{value}' to the expected type 'microsoft.graph.{kind}'. "
            f"Requested value '{value}' was not found.",
            "BadRequest",
        )


def _short(name: Any) -> str:
    return str(name).removeprefix("#").removeprefix("microsoft.graph.")


def _full(kind: str) -> str:
    inner = kind.removeprefix("*")
    name = f"Edm.{inner}" if inner in PRIMITIVES else f"microsoft.graph.{inner}"
    return f"Collection({name})" if kind.startswith("*") else name


def _wrong(value: Any, kind: str, code: str) -> Refusal:
    """Microsoft365DSC#5954, microsoftgraph/msgraph-sdk-python#566."""
    literal = str(value).lower() if isinstance(value, bool) else value
    return bad_request(f"Cannot convert the literal '{literal}' to the expected type '{_full(kind)}'.", code)


def _unexpected(name: str, value: Any, expected: str, code: str) -> Refusal:
    """OData/odata.net#488; seen with Intune's roleScopeTagIds, which PowerShell makes an object of."""
    read = "StartObject" if isinstance(value, dict) else "StartArray" if isinstance(value, list) else "PrimitiveValue"
    return bad_request(
        f"An unexpected '{read}' node was found for property named '{name}' when reading from the JSON reader. "
        f"A '{expected}' node was expected.",
        code,
    )


def _null(name: str, kind: str, declared: str, code: str) -> Refusal:
    """OData/odata.net, ReaderValidationUtils: a list is never null, whatever its items may be."""
    nullable = "False" if declared.endswith("!") else "True"
    full = f"{_full(kind)}[Nullable={nullable}]"
    consequence = "does not allow null values" if nullable == "False" else "cannot be null but it can have null values"
    return bad_request(
        f"A null value was found for the property named '{name}', which has the expected type '{full}'. "
        f"The expected type '{full}' {consequence}.",
        code,
    )
