"""The primitive types of OData as JSON carries them, read as strictly as the service's own library reads them.

OData JSON Format 4.01, 7.1, and OData/odata.net: a DateTimeOffset without its zone is not one (issue #2113), Binary
is read by ``Convert.FromBase64String``, which knows no URL-safe alphabet and skips white space, a Duration has days
and smaller units only.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any

_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)(?:\.\d{1,12})?(?:Z|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"-?P(?=[\dT])(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")
_TIME = re.compile(r"(\d\d:\d\d(?::\d\d)?)(?:\.\d{1,12})?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def is_guid(text: object) -> bool:
    return isinstance(text, str) and _GUID.fullmatch(text) is not None


def _by(pattern: re.Pattern[str], parse: Callable[[str], object] | None = None) -> Callable[[Any], bool]:
    """Text of this form which ``parse`` takes too: 30 February has the form of a date."""

    def fits(value: Any) -> bool:
        found = pattern.fullmatch(value) if isinstance(value, str) else None
        if found is None or parse is None:
            return found is not None
        try:
            parse(found[1] if pattern.groups else found[0])
        except ValueError:
            return False
        return True

    return fits


def _whole(bits: int, *, signed: bool = True) -> Callable[[Any], bool]:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    return lambda value: type(value) is int and low <= value < high


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) or (isinstance(value, str) and value in ("INF", "-INF", "NaN"))


def _is_binary(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


PRIMITIVES: dict[str, Callable[[Any], bool]] = {
    "String": lambda value: isinstance(value, str),
    "Boolean": lambda value: isinstance(value, bool),
    "Guid": is_guid,
    "DateTimeOffset": _by(_MOMENT, datetime.fromisoformat),
    "Date": _by(_DATE, date.fromisoformat),
    "TimeOfDay": _by(_TIME, time.fromisoformat),
    "Duration": _by(_DURATION),
    "Binary": _is_binary,
    "Byte": _whole(8, signed=False),
    "SByte": _whole(8),
    "Int16": _whole(16),
    "Int32": _whole(32),
    "Int64": _whole(64),
    "Double": _is_number,
    "Single": _is_number,
    # Exact amounts may come as text, so that no client rounds them (the header IEEE754Compatible of OData).
    "Decimal": lambda value: _is_number(value) or (isinstance(value, str) and value.replace(".", "", 1).isdigit()),
}
"""Name of a type, and whether a JSON value is one."""
