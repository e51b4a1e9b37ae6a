"""Writing OData addresses without letting data become syntax.

No other place in the house pastes a value into a path or a filter.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, quote

from graphkit.errors import UsageError

_SEGMENT_SAFE = "-._~@!$,:="
"""Left as they are inside one path segment. Quotes and brackets are not among them: they are syntax there."""

# May be written without their $: microsoft-graph-docs-contrib concepts/query-parameters.md.
_OPTIONS = frozenset(
    {"count", "deltatoken", "expand", "filter", "format", "orderby", "search", "select", "skip", "skiptoken", "top"}
)

_QUERY_SAFE = "-._~@!$,:*/()'"


def literal(value: str) -> str:
    """A string literal for a ``$filter`` or an alternate key: quoted, inner quotes doubled; not yet percent-encoded.

    Raises ``UsageError`` on control characters.
    """
    _refuse_control(value)
    return "'" + value.replace("'", "''") + "'"


def segment(value: str) -> str:
    """One path segment, percent-encoded (a guest's ``#EXT#`` included). GUIDs come back unchanged.

    Raises ``UsageError`` if it is empty, ``.`` or ``..``, or holds control characters.
    """
    if not value or value in {".", ".."}:
        raise UsageError(f"{value!r} cannot be part of an address", hint="give the object's id")
    _refuse_control(value)
    # A leading $ would be read as a system path such as $ref or $batch.
    text = quote(value, safe=_SEGMENT_SAFE)
    return "%24" + text[1:] if text.startswith("$") else text


def path(*segments: str) -> str:
    """``path("users", upn, "assignLicense")``: every segment encoded, joined, with a leading slash."""
    return "".join("/" + segment(part) for part in segments)


def keyed(collection: str, name: str, value: str) -> str:
    """An address by alternate key: ``keyed("groups", "uniqueName", "x")`` is ``/groups(uniqueName='x')``.

    Source: learn.microsoft.com/graph/api/group-upsert.
    """
    return f"/{segment(collection)}({segment(name)}={quote(literal(value), safe=_SEGMENT_SAFE + chr(39))})"


def query(params: Mapping[str, str | int | bool] | None = None, /, **named: str | int | bool) -> str:
    """``?$select=id&$top=999`` from ``select="id", top=999`` or ``{"$select": "id"}``; empty if there is nothing.

    Named arguments get the ``$`` of OData's system options. Booleans become ``true`` and ``false``.
    """
    pairs = list((params or {}).items()) + [(f"${name}", value) for name, value in named.items()]
    if not pairs:
        return ""
    return "?" + "&".join(f"{quote(name, safe='$@.')}={quote(_text(value), safe=_QUERY_SAFE)}" for name, value in pairs)


def split(address: str) -> tuple[str, dict[str, str]]:
    """A path and its query options, decoded; their ``$``, which may be left out, is there."""
    head, _, text = address.partition("?")
    pairs = parse_qsl(text, keep_blank_values=True)
    return head, {name if name.startswith(("$", "@")) else _full_name(name): value for name, value in pairs}


def _full_name(name: str) -> str:
    return f"${name}" if name.lower() in _OPTIONS else name


def _text(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _refuse_control(value: str) -> None:
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise UsageError(f"control characters in {value!r}", hint="remove them from the input")
