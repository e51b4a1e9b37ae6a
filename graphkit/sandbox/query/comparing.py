"""How a filter compares: values read from objects, literals read from text, and which of them OData lets meet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from graphkit.sandbox.ids import instant
from graphkit.sandbox.query.paths import Place

Read = Callable[[Any], Any]


def _ordered(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """Nothing is above or below null, nor what is of another kind."""
    return lambda a, b: a is not None and isinstance(a, str) == isinstance(b, str) and compare(a, b)


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": _ordered(lambda a, b: a > b),
    "ge": _ordered(lambda a, b: a >= b),
    "lt": _ordered(lambda a, b: a < b),
    "le": _ordered(lambda a, b: a <= b),
}
FUNCTIONS: dict[str, Callable[[Any, Any], bool]] = {
    "startswith": lambda a, b: isinstance(a, str) and a.startswith(b),
    "endswith": lambda a, b: isinstance(a, str) and a.endswith(b),
    "contains": lambda a, b: isinstance(a, str) and b in a,
}
_OPERATOR_KINDS = {"eq": "Equal", "ne": "NotEqual", "gt": "GreaterThan", "ge": "GreaterThanOrEqual", "lt": "LessThan",
                   "le": "LessThanOrEqual", "in": "Equal"}  # fmt: skip
_LITERALS = {"string": "String", "guid": "Guid", "moment": "DateTimeOffset", "number": "Int32", "boolean": "Boolean"}
_NUMBERS = frozenset({"Byte", "Decimal", "Double", "Int16", "Int32", "Int64", "Single"})
_WORDS: dict[str, tuple[str, Any]] = {"true": ("boolean", True), "false": ("boolean", False), "null": ("null", None)}


def fold(value: Any) -> Any:
    """Case does not count in the directory."""
    return value.lower() if isinstance(value, str) else value


def reader(path: tuple[str, ...]) -> Read:
    """A function that follows a path down from an object. Nothing on the way is no error: it reads null."""
    if not path:
        return fold
    if len(path) == 1:
        name = path[0]
        return lambda item: fold(item.get(name) if isinstance(item, dict) else None)

    def walk(item: Any) -> Any:
        for part in path:
            if part == "$count":
                return len(item or ())
            item = item.get(part) if isinstance(item, dict) else None
        return fold(item)

    return walk


def literal(kind: str, text: str) -> tuple[str, Any] | None:
    """The kind and the value of a token; ``None`` if it is no literal."""
    if kind == "string":
        return kind, text[1:-1].replace("''", "'")
    if kind == "number":
        return kind, float(text) if "." in text else int(text)
    if kind == "moment":
        return kind, _moment(text)
    return (kind, text) if kind == "guid" else _WORDS.get(text.lower())


def _moment(text: str) -> str:
    """An instant as it is stored, so that text compares as time does. A date stays one: it sorts before its hours."""
    if "T" not in text:
        return text
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return text
    return instant((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())


def clash(place: Place, operator: str, kind: str) -> str:
    """What OData says of comparing ``place`` with a literal of this kind; empty if they go together."""
    if operator not in _OPERATOR_KINDS or _fits(place.declared, kind):
        return ""
    held = f"Collection(Edm.{place.element})" if place.collection else f"Edm.{place.element}"
    return (
        f"A binary operator with incompatible types was detected. Found operand types '{held}' and "
        f"'Edm.{_LITERALS[kind]}' for operator kind '{_OPERATOR_KINDS[operator]}'."
    )  # msgraph-sdk-dotnet#2306


def _fits(declared: str, kind: str) -> bool:
    """Enumerations take their names as text; what is not declared takes anything."""
    plain = declared.strip(">!")
    if kind == "null" or not plain:
        return True
    if plain.startswith("*"):
        return plain[1:] not in (*_LITERALS.values(), *_NUMBERS)
    if plain in _NUMBERS:
        return kind == "number"
    if plain in ("DateTimeOffset", "Date"):
        return kind == "moment"
    return plain not in _LITERALS.values() or _LITERALS[kind] == plain
