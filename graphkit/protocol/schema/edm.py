"""The primitive types of OData, as JSON carries them (OData JSON Format 4.01, section 7.1)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any

_GUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
# OData durations have days and smaller units only.
_DURATION = re.compile(r"-?P(?=.)(?:\d+D)?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,12})?)?(?:Z|[+-]\d\d:\d\d)")
_BITS = {"Byte": (0, 8), "SByte": (1, 7), "Int16": (1, 15), "Int32": (1, 31), "Int64": (1, 63)}


def is_guid(value: Any) -> bool:
    return isinstance(value, str) and _GUID.fullmatch(value) is not None


def moment(value: str) -> datetime | None:
    """A DateTimeOffset as UTC; ``None`` if it is not one. Graph writes seven digits of a second."""
    if not _MOMENT.fullmatch(value):
        return None
    try:
        return datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _is_moment(value: Any) -> bool:
    return isinstance(value, str) and moment(value) is not None


def _parses(parse: Callable[[str], object], pattern: str) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        try:
            return isinstance(value, str) and re.fullmatch(pattern, value) is not None and parse(value) is not None
        except ValueError:
            return False

    return check


def _is_whole(kind: str) -> Callable[[Any], bool]:
    signed, bits = _BITS[kind]

    def check(value: Any) -> bool:
        return type(value) is int and -signed * 2**bits <= value < 2**bits

    return check


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) or value in ("INF", "-INF", "NaN")


def _is_binary(value: Any) -> bool:
    try:
        standard = value.replace("-", "+").replace("_", "/") if isinstance(value, str) else "?"
        return base64.b64decode(standard, validate=True) is not None
    except binascii.Error:
        return False


# Name: the test, and what to write instead of a wrong value.
PRIMITIVES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "String": (lambda value: isinstance(value, str), "text; put it in quotes"),
    "Boolean": (lambda value: isinstance(value, bool), "true or false"),
    "Guid": (is_guid, "a GUID such as 00000000-0000-0000-0000-000000000000"),
    "DateTimeOffset": (_is_moment, 'a date and time with zone as text, such as "2026-01-31T08:00:00Z"'),
    "Date": (_parses(date.fromisoformat, r"\d{4}-\d\d-\d\d"), 'a date as text, such as "2026-01-31"'),
    "TimeOfDay": (
        _parses(time.fromisoformat, r"\d\d:\d\d(:\d\d(\.\d{1,7}0*)?)?"),
        'a time as text, such as "08:00:00"',
    ),
    "Duration": (
        lambda value: isinstance(value, str) and bool(_DURATION.fullmatch(value)),
        'a duration such as "PT8H"',
    ),
    "Binary": (_is_binary, "base64 text"),
    "Double": (_is_number, "a number"),
    "Single": (_is_number, "a number"),
    "Decimal": (_is_number, "a number"),
    **{kind: (_is_whole(kind), f"a whole number ({kind})") for kind in _BITS},
}
