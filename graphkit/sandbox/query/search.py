"""``$search`` on directory objects: ``"displayName:word" OR ("mail:word" AND "description:word")``.

concepts/search-query-parameter.md: displayName and description are searched word by word, in any order; any other
property is compared from its beginning. Nothing is searched for in the middle of a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from graphkit.sandbox.call import Refusal, bad_request

Test = Callable[[dict[str, Any]], Any]

TOKENISED = frozenset({"displayName", "description"})
_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(AND|OR)\b|([()]))')
_PART = re.compile(r"\d+|[^\W\d_]+|[^\w\s]|_")
_SYMBOLS = re.compile(r"[^\w\s]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BESIDE = re.compile(r"[^\W\d_]+(?:[^\w\s]+[^\W\d_]+)+")


def words(text: str) -> set[str]:
    """The tokens of a text: words, which end where capitals begin anew, numbers, symbols."""
    return {word.lower() for part in _PART.findall(text) for word in _HUMP.split(part)}


def findable(text: str) -> set[str]:
    """The same, and what only symbols part as one word: ``helloworld`` finds ``hello-world``."""
    return words(text) | {re.sub(r"[^\w]", "", found).lower() for found in _BESIDE.findall(text)}


@lru_cache(maxsize=256)
def parse_search(text: str, spell: Callable[[str], str]) -> Test:
    """A test of objects. ``spell`` gives a property's declared name; raises :class:`Refusal` if it is none."""
    return _Parser(text, spell).parse()


class _Parser:
    def __init__(self, text: str, spell: Callable[[str], str]) -> None:
        self.text = text
        self.spell = spell
        self.tokens = list(self._split(text))
        self.at = 0

    def _split(self, text: str) -> Iterator[tuple[str, str]]:
        at = 0
        while text[at:].strip():
            found = _TOKEN.match(text, at)
            if found is None:
                at += len(text[at:]) - len(text[at:].lstrip())
                raise self._wrong(f"character '{text[at]}' is not valid at position {at}")
            yield ("clause", found[1]) if found[1] is not None else ("mark", found[2] or found[3])
            at = found.end()

    def _wrong(self, why: str) -> Refusal:
        return bad_request(f"Syntax error: {why} in '{self.text}'.", "BadRequest")

    def parse(self) -> Test:
        test = self._either()
        if self.at < len(self.tokens):
            raise self._wrong(f"'{self.tokens[self.at][1]}' was not expected")
        return test

    def _peek(self) -> str:
        kind, value = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        return value if kind == "mark" else ""

    def _either(self) -> Test:
        tests = [self._both()]
        while self._peek() == "OR":
            self.at += 1
            tests.append(self._both())
        return tests[0] if len(tests) == 1 else lambda item: any(test(item) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._peek() == "AND":
            self.at += 1
            tests.append(self._one())
        return tests[0] if len(tests) == 1 else lambda item: all(test(item) for test in tests)

    def _one(self) -> Test:
        if self.at >= len(self.tokens):
            raise self._wrong("unexpected end")
        kind, value = self.tokens[self.at]
        self.at += 1
        if kind == "clause":
            return self._clause(value)
        if value != "(":
            raise self._wrong(f"'{value}' was not expected")
        test = self._either()
        if self._peek() != ")":
            raise self._wrong("a closing parenthesis is missing")
        self.at += 1
        return test

    def _clause(self, text: str) -> Test:
        name, colon, wanted = text.partition(":")
        if not colon:
            raise self._wrong("a clause names a property and what to search in it")
        name, wanted = self.spell(name.strip()), re.sub(r"\\(.)", r"\1", wanted)
        if name not in TOKENISED:
            beginning = wanted.lower()
            return lambda item: _begins(item.get(name), beginning)
        asked = words(wanted)
        return lambda item: _has(str(item.get(name) or ""), asked)


def _begins(value: Any, beginning: str) -> bool:
    values = value if isinstance(value, list) else [value]
    return any(isinstance(each, str) and each.lower().startswith(beginning) for each in values)


def _has(text: str, asked: set[str]) -> bool:
    """Every word asked for is the beginning of a word there: ``Guthr`` finds Guthrie, as in the page's example."""
    squeezed = _SYMBOLS.sub("", text).lower()
    if not all(each in squeezed or not each.isalnum() for each in asked):
        return False  # most objects of a large tenant end here, where it costs little
    held = findable(text)
    return all(any(word.startswith(each) for word in held) for each in asked)
