"""What each key of a rule may hold, and the words in which a wrong one is refused."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from graphkit.sandbox.faults.rules import moment, shown
from graphkit.sandbox.throttle.table import table

WORKLOADS = ("graph", "login", "batch", *dict.fromkeys(section.workload for section in table().sections))
"""Whose call it is: Graph's or the login service's, the envelope of a batch, or by the service that answers."""
Check = Callable[[Any], bool]
Kind = tuple[str, Check]
"""What a value must be, in words, and whether it is."""


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _counts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_count(each) for each in value)


def _moment(value: Any) -> bool:
    if not isinstance(value, str):
        return _number(value) and value >= 0
    try:
        moment(value)
    except ValueError:
        return False
    return True


def _retry_after(value: Any) -> bool:
    if isinstance(value, dict):
        return set(value) == {"date"} and _number(value["date"])
    return value is None or isinstance(value, str) or _number(value)


def _headers(value: Any) -> bool:
    return isinstance(value, dict) and all(
        each is None or isinstance(each, str) or _number(each) for each in value.values()
    )


def _methods(value: Any) -> bool:
    texts = [value] if isinstance(value, str) else value
    return isinstance(texts, list) and bool(texts) and all(isinstance(each, str) and each for each in texts)


def _nth(value: Any) -> bool:
    if isinstance(value, dict):
        return "from" in value and set(value) <= {"from", "every"} and all(map(_count, value.values()))
    return _count(value) or _counts(value)


def _workload(value: Any) -> bool:
    return value in WORKLOADS


def one_of(*words: str) -> Kind:
    return f"one of {', '.join(words)}", lambda value: isinstance(value, str) and value in words


TEXT: Kind = ("text", lambda value: isinstance(value, str) and bool(value))
FLAG: Kind = ("true or false", lambda value: isinstance(value, bool))
SECONDS: Kind = ("a number of seconds, 0 or more", lambda value: _number(value) and value >= 0)
NUMBER: Kind = ("a number", _number)
COUNT: Kind = ("a whole number, 1 or more", _count)
WHOLE: Kind = ("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))
STATUS: Kind = ("an HTTP status from 200 to 599", lambda value: _count(value) and 200 <= value <= 599)
STATUSES: Kind = (
    "an HTTP status or a list of them",
    lambda value: _count(value) or _counts(value),
)
HEADERS: Kind = ("an object of names and texts; null drops a header", _headers)
RETRY_AFTER: Kind = ('text, a number, null, or {"date": seconds from now}', _retry_after)
ITEMS: Kind = (
    "a whole number of items, or a list of their places from 1",
    lambda value: _count(value) or _counts(value),
)
ANYTHING: Kind = ("anything", lambda value: True)
OBJECT: Kind = ("an object", lambda value: isinstance(value, dict))

MATCHING: dict[str, Kind] = {
    "name": TEXT,
    "action": TEXT,
    "method": ("a method or a list of them", _methods),
    "path": TEXT,
    "workload": (f"one of {', '.join(WORKLOADS)}", _workload),
    "in_batch": FLAG,
    "app": TEXT,
    "nth": ('a whole number from 1, a list of them, or {"from": number, "every": number}', _nth),
    "probability": ("a number from 0 to 1", lambda value: _number(value) and 0 <= value <= 1),
    "times": COUNT,
    "from": ("seconds since the rule was loaded, or a time with its zone", _moment),
    "until": ("seconds since the rule was loaded, or a time with its zone", _moment),
}
"""Keys of every rule."""


def where(spec: Any, number: int) -> str:
    """How messages name a rule."""
    name = spec.get("name") if isinstance(spec, dict) else None
    return f"fault rule {number}" + (f" ({name})" if isinstance(name, str) and name else "")


def check_keys(spec: dict[str, Any], keys: dict[str, Kind], required: Collection[str], rule: str) -> None:
    """Raises ``ValueError``, naming the rule, for an unknown key, a wrong value or a missing key."""
    known = MATCHING | keys
    for key, value in spec.items():
        if key not in known:
            raise ValueError(
                f"{rule}: unknown key {key!r} for the action {spec['action']!r}; known are {', '.join(sorted(known))}"
            )
        words, fits = known[key]
        if not fits(value):
            raise ValueError(f"{rule}: {key!r} is {words}, not {shown(value)}")
    missing = [key for key in required if key not in spec]
    if missing:
        raise ValueError(f"{rule}: the action {spec['action']!r} needs {', '.join(map(repr, missing))}")
    if "nth" in spec and "probability" in spec:
        raise ValueError(f"{rule}: 'nth' and 'probability' exclude each other")
