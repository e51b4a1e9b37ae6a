"""``$filter``: a small language compiled to a function of an object.

Known forms: ``eq ne gt ge lt le``, ``in (..)``, ``startswith endswith contains``, ``any(x:x ..)``, ``isof``,
``/$count``, ``and or not`` and parentheses (concepts/aad-advanced-queries.md). Strings compare without regard to
case, as the directory does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from graphkit.sandbox.call import Refusal, bad_request

Test = Callable[[Any], Any]

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')"
    r"|(?P<moment>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?)"
    r"|(?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_][\w.]*(?:/[$\w.]+)*)"
    r"|(?P<mark>[(),:/]))"
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a is not None and a > b,
    "ge": lambda a, b: a is not None and a >= b,
    "lt": lambda a, b: a is not None and a < b,
    "le": lambda a, b: a is not None and a <= b,
}
_FUNCTIONS: dict[str, Callable[[Any, Any], bool]] = {
    "startswith": lambda a, b: isinstance(a, str) and a.startswith(b),
    "endswith": lambda a, b: isinstance(a, str) and a.endswith(b),
    "contains": lambda a, b: isinstance(a, str) and b in a,
}


class Filter(NamedTuple):
    """``lookups``: an equality or ``in`` that the whole filter amounts to, for indexes: ``(property, values)``."""

    test: Test
    properties: frozenset[str]
    advanced: bool
    lookup: tuple[str, tuple[str, ...]] | None


@lru_cache(maxsize=512)
def parse_filter(text: str) -> Filter:
    """Raises :class:`Refusal` (400 BadRequest) for what is not a filter."""
    return _Parser(text).parse()


def _fold(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _read(path: list[str]) -> Callable[[Any], Any]:
    if len(path) == 1:
        name = path[0]
        return lambda item: _fold(item.get(name) if isinstance(item, dict) else None)

    def walk(item: Any) -> Any:
        for part in path:
            if part == "$count":
                return len(item or ())
            item = item.get(part) if isinstance(item, dict) else None
        return _fold(item)

    return walk


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._split(text)
        self.at = 0
        self.variable = ""
        self.properties: set[str] = set()
        self.advanced = False

    def _split(self, text: str) -> list[tuple[str, str]]:
        tokens: list[tuple[str, str]] = []
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                raise self._wrong(f"Syntax error at position {at}")
            tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            at = found.end()
        return tokens

    def _wrong(self, why: str) -> Refusal:
        return bad_request(f"Invalid filter clause: {why} in '{self.text}'.", "BadRequest")

    def parse(self) -> Filter:
        test = self._either()
        if self.at < len(self.tokens):
            raise self._wrong(f"Syntax error near '{self.tokens[self.at][1]}'")
        return Filter(test, frozenset(self.properties), self.advanced, self._lookup())

    def _lookup(self) -> tuple[str, tuple[str, ...]] | None:
        tokens = self.tokens
        if len(tokens) == 3 and tokens[0][0] == "name" and tokens[1][1].lower() == "eq":
            found = [tokens[2]]
        elif len(tokens) > 4 and tokens[0][0] == "name" and tokens[1][1].lower() == "in":
            found = [token for token in tokens[2:] if token[0] != "mark"]
        else:
            return None
        values = tuple(_fold(self._literal(*token)) for token in found if token[0] in ("string", "guid"))
        return (tokens[0][1], values) if len(values) == len(found) else None

    def _peek(self) -> str:
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def _take(self, expected: str = "") -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise self._wrong("Unexpected end")
        token = self.tokens[self.at]
        if expected and token[1].lower() != expected:
            raise self._wrong(f"'{expected}' expected near '{token[1]}'")
        self.at += 1
        return token

    def _either(self) -> Test:
        test = self._both()
        while self._peek().lower() == "or":
            self._take()
            test = _or(test, self._both())
        return test

    def _both(self) -> Test:
        test = self._one()
        while self._peek().lower() == "and":
            self._take()
            test = _and(test, self._one())
        return test

    def _one(self) -> Test:
        word = self._peek().lower()
        if word == "not":
            self._take()
            self.advanced = True
            inner = self._one()
            return lambda item: not inner(item)
        if word == "(":
            self._take()
            inner = self._either()
            self._take(")")
            return inner
        if word in _FUNCTIONS:
            return self._function(word)
        if word == "isof":
            return self._is_of()
        return self._comparison()

    def _function(self, word: str) -> Test:
        self._take()
        self.advanced |= word != "startswith"
        self._take("(")
        read = self._path()
        self._take(",")
        value = self._value()
        self._take(")")
        call = _FUNCTIONS[word]
        return lambda item: call(read(item), value)

    def _is_of(self) -> Test:
        self._take()
        self._take("(")
        wanted = "#" + str(self._literal(*self._take()))
        self._take(")")
        return lambda item: item.get("@odata.type") == wanted

    def _path(self, name: str = "") -> Callable[[Any], Any]:
        if not name:
            kind, name = self._take()
            if kind != "name":
                raise self._wrong(f"A property was expected near '{name}'")
        # A cast to a derived type (concepts/query-parameters.md) picks properties, which have one name here anyway.
        parts = [part for part in name.split("/") if not part.startswith("microsoft.graph.")]
        if self.variable and parts[0] == self.variable:
            return _read(parts[1:]) if len(parts) > 1 else _fold
        self.properties.add(parts[0])
        self.advanced |= parts[-1] == "$count"
        return _read(parts)

    def _comparison(self) -> Test:
        kind, name = self._take()
        if kind != "name":
            raise self._wrong(f"A property was expected near '{name}'")
        if name.lower().endswith(("/any", "/all")) and self._peek() == "(":
            return self._lambda(name)
        read = self._path(name)
        operator = self._take()[1].lower()
        if operator == "in":
            values = self._list()
            return lambda item: read(item) in values
        if operator not in _COMPARE:
            raise self._wrong(f"Unknown operator '{operator}'")
        self.advanced |= operator == "ne"
        compare = _COMPARE[operator]
        value = self._value()
        return lambda item: compare(read(item), value)

    def _lambda(self, name: str) -> Test:
        collection, _, quantifier = name.rpartition("/")
        self._take("(")
        self.properties.add(collection.split("/")[0])
        read = _read(collection.split("/"))
        if self._peek() == ")":
            self._take()
            return lambda item: bool(read(item))
        outer, self.variable = self.variable, self._take()[1]
        self._take(":")
        inner = self._either()
        self._take(")")
        self.variable = outer
        combine = any if quantifier.lower() == "any" else all
        return lambda item: combine(inner(part) for part in read(item) or ())

    def _list(self) -> list[Any]:
        self._take("(")
        values = [self._value()]
        while self._peek() == ",":
            self._take()
            values.append(self._value())
        self._take(")")
        return values

    def _value(self) -> Any:
        return _fold(self._literal(*self._take()))

    def _literal(self, kind: str, text: str) -> Any:
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind in ("guid", "moment"):
            return text
        words = {"true": True, "false": False, "null": None}
        if text.lower() in words:
            return words[text.lower()]
        raise self._wrong(f"A value was expected near '{text}'")


def _or(left: Test, right: Test) -> Test:
    return lambda item: left(item) or right(item)


def _and(left: Test, right: Test) -> Test:
    return lambda item: left(item) and right(item)
