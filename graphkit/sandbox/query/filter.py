"""``$filter``: a small language compiled to a function of an object.

Known forms: ``eq ne gt ge lt le``, ``in (..)``, ``startswith endswith contains``, ``any(x:x ..)``, ``isof``,
``/$count``, ``and or not`` and parentheses (concepts/filter-query-parameter.md). Strings compare without regard to
case, as the directory does. What a directory object may be asked for is judged elsewhere, by a filter's clauses.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from graphkit.sandbox.call import Refusal, bad_request
from graphkit.sandbox.query.comparing import COMPARE, FUNCTIONS, clash, fold, literal, reader
from graphkit.sandbox.query.paths import Place, resolve

Test = Callable[[Any], Any]

_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')"
    r"|(?P<moment>\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?)"
    r"|(?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    r"|(?P<number>-?\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_][\w.]*(?:/[$\w.]+)*)"
    r"|(?P<mark>[(),:/]))"
)


class Clause(NamedTuple):
    """One comparison. ``path`` leads from the object to what is compared, range variables left out; ``null`` says
    that it is compared with null, ``inside`` that it stands in a lambda.
    """

    path: str
    operator: str
    null: bool = False
    inside: bool = False


class Hint(NamedTuple):
    """What every match has in ``name``: one of ``values``, or one of ``beginnings`` at its front, all lower case."""

    name: str
    values: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()

    def test(self) -> Test:
        """Whether an object has it."""
        read = reader(tuple(self.name.split("/")))
        values, beginnings = frozenset(self.values), self.beginnings

        def has(item: Any) -> bool:
            found = read(item)
            return found in values or (isinstance(found, str) and found.startswith(beginnings))

        return has


class Filter(NamedTuple):
    """``negated``: something in it is. Each of ``hints`` is for indexes; the test is to be made all the same.

    ``whole``: it says no more than its one hint does. ``alternatives``: the most that stand beside each other, and
    ``longest`` the most characters of a text that something is to equal.
    """

    test: Test
    clauses: tuple[Clause, ...]
    negated: bool
    hints: tuple[Hint, ...]
    whole: bool = False
    alternatives: int = 1
    longest: int = 0

    def equal(self, name: str) -> tuple[str, ...] | None:
        """The values (lower case) of which every match has one in ``name``, if the filter says so."""
        return next((hint.values for hint in self.hints if hint.name == name and not hint.beginnings), None)

    @property
    def properties(self) -> frozenset[str]:
        return frozenset(clause.path.split("/")[0] for clause in self.clauses)


@lru_cache(maxsize=512)
def parse_filter(text: str, types: tuple[str, ...] = (), version: str = "v1.0") -> Filter:
    """Raises :class:`Refusal` (400 BadRequest) for what is not a filter, or names what none of these types has."""
    return _Parser(text, types, version).parse()


class _Range(NamedTuple):
    """A lambda's variable: what it ranges over, and the type of one of those."""

    name: str
    over: str
    element: str


class _Part(NamedTuple):
    """``alternatives``: how many, if it is a choice."""

    test: Test
    hints: tuple[Hint, ...] = ()
    whole: bool = False
    alternatives: int = 1


class _Parser:
    def __init__(self, text: str, types: tuple[str, ...], version: str) -> None:
        self.text = text
        self.types = types
        self.version = version
        self.tokens = self._split(text)
        self.at = 0
        self.range = _Range("", "", "")
        self.clauses: list[Clause] = []
        self.negated = False
        self.alternatives = 1
        self.longest = 0

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
        part = self._either()
        if self.at < len(self.tokens):
            raise self._wrong(f"Syntax error near '{self.tokens[self.at][1]}'")
        told = (tuple(self.clauses), self.negated, part.hints, part.whole, self.alternatives, self.longest)
        return Filter(part.test, *told)

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

    def _either(self) -> _Part:
        part = self._both()
        while self._peek().lower() == "or":
            self._take()
            part = _either_of(part, self._both())
        self.alternatives = max(self.alternatives, part.alternatives)
        return part

    def _both(self) -> _Part:
        part = self._one()
        while self._peek().lower() == "and":
            self._take()
            other = self._one()
            part = _Part(_and(part.test, other.test), part.hints + other.hints)
        return part

    def _one(self) -> _Part:
        word = self._peek().lower()
        if word == "not":
            self._take()
            self.negated = True
            inner = self._one().test
            return _Part(lambda item: not inner(item))
        if word == "(":
            self._take()
            part = self._either()
            self._take(")")
            return part
        if word in FUNCTIONS:
            return self._function(word)
        if word == "isof":
            return self._is_of()
        return self._comparison()

    def _function(self, word: str) -> _Part:
        self._take()
        self._take("(")
        place = self._place(self._name())
        self._take(",")
        kind, value = self._value(place, word)
        self._take(")")
        if kind != "string":
            raise self._wrong(f"No function signature for the function with name '{word}' matches the arguments")
        self._note(place, word)
        read, call = reader(place.parts), FUNCTIONS[word]
        begins = word == "startswith" and not self.range.name
        hints = (Hint(place.text, beginnings=(value,)),) if begins else ()
        return _Part(lambda item: call(read(item), value), hints, whole=begins)

    def _is_of(self) -> _Part:
        self._take()
        self._take("(")
        wanted = f"#{self._literal()[1]}"
        self._take(")")
        return _Part(lambda item: item.get("@odata.type") == wanted)

    def _name(self) -> str:
        kind, name = self._take()
        if kind != "name":
            raise self._wrong(f"A property was expected near '{name}'")
        return name

    def _place(self, name: str) -> Place:
        """Where a name leads, from the object or from the variable of the lambda that it stands in."""
        first, _, rest = name.partition("/")
        if self.range.name and first == self.range.name:
            over = (self.range.element,) if self.range.element else ()
            return self._resolved(over, rest) if rest else Place((), self.range.element)
        if self.range.name:
            raise self._wrong(f"'{name}' does not begin with the range variable '{self.range.name}'")
        return self._resolved(self.types, name)

    def _resolved(self, types: tuple[str, ...], path: str) -> Place:
        if not types:
            return Place(tuple(path.split("/")))
        places = [resolve(type_name, self.version, path) for type_name in types]
        found = next((place for place in places if not isinstance(place, str)), None)
        if found is None:
            raise bad_request(f"Invalid filter clause: {places[0]}", "BadRequest")
        return found

    def _note(self, place: Place, operator: str, *, null: bool = False) -> None:
        path = "/".join(part for part in (self.range.over, place.text) if part)
        self.clauses.append(Clause(path, operator, null, bool(self.range.name)))

    def _comparison(self) -> _Part:
        name = self._name()
        if name.lower().endswith(("/any", "/all")) and self._peek() == "(":
            return self._lambda(name)
        place = self._place(name)
        operator = self._take()[1].lower()
        read = reader(place.parts)
        if operator == "in":
            values = self._list(place)
            self._note(place, operator, null=None in values)
            hints = self._equality(place, values)
            return _Part(lambda item: read(item) in values, hints, whole=bool(hints), alternatives=len(values))
        if operator not in COMPARE:
            raise self._wrong(f"Unknown operator '{operator}'")
        value = self._value(place, operator)[1]
        self._note(place, operator, null=value is None)
        compare, hints = COMPARE[operator], self._equality(place, [value], operator)
        return _Part(lambda item: compare(read(item), value), hints, whole=bool(hints))

    def _equality(self, place: Place, values: list[Any], operator: str = "eq") -> tuple[Hint, ...]:
        if operator != "eq" or self.range.name or not all(isinstance(value, str) for value in values):
            return ()
        return (Hint(place.text, tuple(values)),)

    def _lambda(self, name: str) -> _Part:
        collection, _, quantifier = name.rpartition("/")
        quantifier = quantifier.lower()
        place = self._place(collection)
        read = reader(place.parts)
        self._take("(")
        if self._peek() == ")":
            self._take()
            self._note(place, quantifier)
            return _Part(lambda item: bool(read(item)))
        outer, self.range = self.range, _Range(self._take()[1], place.text, place.element)
        self._take(":")
        if quantifier == "all":
            self._note(Place(()), "all")
        inner = self._either().test
        self._take(")")
        self.range = outer
        combine = any if quantifier == "any" else all
        return _Part(lambda item: combine(inner(part) for part in read(item) or ()))

    def _list(self, place: Place) -> list[Any]:
        self._take("(")
        values = [self._value(place, "in")[1]]
        while self._peek() == ",":
            self._take()
            values.append(self._value(place, "in")[1])
        self._take(")")
        return values

    def _value(self, place: Place, operator: str) -> tuple[str, Any]:
        kind, value = self._literal()
        wrong = clash(place, operator, kind)
        if wrong:
            raise bad_request(f"Invalid filter clause: {wrong}", "BadRequest")
        if operator in ("eq", "in") and isinstance(value, str):
            self.longest = max(self.longest, len(value))
        return kind, fold(value)

    def _literal(self) -> tuple[str, Any]:
        token = self._take()
        found = literal(*token)
        if found is None:
            raise self._wrong(f"A value was expected near '{token[1]}'")
        return found


def _either_of(left: _Part, right: _Part) -> _Part:
    hints = _shared(left.hints, right.hints)
    count = left.alternatives + right.alternatives
    if left.whole and right.whole and hints:
        # A list of alternatives is one look at the property, not one each.
        return _Part(hints[0].test(), hints, whole=True, alternatives=count)
    first, second = left.test, right.test
    return _Part(lambda item: first(item) or second(item), hints, alternatives=count)


def _and(left: Test, right: Test) -> Test:
    return lambda item: left(item) and right(item)


def _shared(left: tuple[Hint, ...], right: tuple[Hint, ...]) -> tuple[Hint, ...]:
    """Two alternatives narrow the search together where they speak of one property."""
    pairs = ((a, b) for a in left for b in right if a.name == b.name)
    return tuple(Hint(a.name, a.values + b.values, a.beginnings + b.beginnings) for a, b in pairs)
