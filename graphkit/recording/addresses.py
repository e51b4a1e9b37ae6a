"""Addresses of Microsoft Graph: the names in them stay, the keys and literals do not.

Also what makes two addresses one: escapes, the order of the options, and which server stands for Graph.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, unquote_plus

from graphkit.protocol.clouds import CLOUDS, VERSIONS
from graphkit.recording import known

if TYPE_CHECKING:
    from graphkit.recording.redaction import Redaction

ROOT = CLOUDS["global"].graph_root
"""Under which everything is recorded, whatever server it was; a player puts the server that is asked in its place."""

_SEGMENT_SAFE = "-._~@!$,:=*()'"
_QUERY_SAFE = "-._~@!$,:*/()'"
_OPTIONS = frozenset({"count", "expand", "filter", "format", "orderby", "search", "select", "skip", "top", "apply"})
_TOKENS = frozenset({"skiptoken", "deltatoken"})
_CALL = re.compile(r"(?P<name>[\w.]*)\((?P<arguments>.*)\)", re.S)
_ARGUMENT = re.compile(r"(?:(?P<name>\w+)=)?(?P<value>'(?:[^']|'')*'|[^,']+)")
_SIMPLE = re.compile(r"\d+|true|false|json|minimal|full|none", re.I)
_EXPRESSION = re.compile(
    r"""(?P<literal>'(?:[^']|'')*')
    | (?P<phrase>"[^"]*")
    | (?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})
    | (?P<time>\d{4}-\d\d-\d\d(?:T[\d:.]+Z?)?)
    | (?P<variable>\b(?P<bound>\w+):(?P=bound)\b)
    | (?P<path>[A-Za-z_@$][\w.@/$]*)
    | (?P<rest>.)""",
    re.X | re.S,
)
_OPERATORS = frozenset(
    {
        *("eq", "ne", "gt", "ge", "lt", "le", "in", "and", "or", "not", "has", "asc", "desc", "true", "false", "null"),
        *("startswith", "endswith", "contains", "tolower", "toupper", "any", "all", "length", "isof", "cast"),
    }
)


def is_graph(path: str) -> bool:
    """Does this path of a server begin with a version of Graph?"""
    return path.lstrip("/").partition("/")[0] in VERSIONS


def canonical(address: str) -> str:
    """One spelling for one request: unescaped and escaped again, options by name; the server is left out."""
    address = re.sub(r"^https?://[^/]+", "", address.partition("#")[0])
    path, _, query = address.partition("?")
    # msgraph-sdk writes two slashes after the version, which the service takes for one.
    parts = re.sub("/{2,}", "/", path).split("/")
    path = "/".join(quote(unquote(part), safe=_SEGMENT_SAFE) for part in parts)
    options = sorted((_option(name), unquote_plus(value)) for name, _, value in _pairs(query))
    return path + (
        "?" + "&".join(f"{name}={quote(value, safe=_QUERY_SAFE)}" for name, value in options) if options else ""
    )


def _pairs(query: str) -> list[tuple[str, str, str]]:
    return [pair.partition("=") for pair in query.split("&") if pair]


def _option(name: str) -> str:
    """With its ``$``, which may be left out (concepts/query-parameters.md)."""
    plain = unquote(name)
    return f"${plain}" if plain.lower() in _OPTIONS | _TOKENS else plain


class Addresses:
    """Redacts addresses with what ``redaction`` knows of values. ``roots`` are the servers that stand for Graph."""

    def __init__(self, redaction: Redaction, roots: Iterable[str]) -> None:
        self._redaction = redaction
        self.roots = {ROOT, *roots}

    def url(self, url: str) -> str:
        """Any address in a body or header."""
        match = re.match(r"(?P<origin>https?://[^/?#]+)(?P<rest>.*)", url, re.S)
        if match is None:
            return self._redaction.text(url.partition("://")[2])
        if match["origin"] in self.roots and is_graph(match["rest"]):
            return ROOT + self.request(match["rest"])
        scheme, _, host = match["origin"].partition("://")
        # Whatever comes after the path of somebody else's address may sign it.
        path = re.split(r"[?#]", match["rest"])[0]
        name, colon, port = host.rpartition("@")[2].partition(":")
        shown = self._redaction.domain(name) if "." in name else self._redaction.pseudonyms.word(name)
        made = "/".join(self._redaction.text(unquote(part)) for part in path.split("/"))
        return f"{scheme}://{shown}{colon}{port}{made}"

    def request(self, address: str) -> str:
        """A path with its options, version first."""
        path, _, query = address.partition("#")[0].partition("?")
        _, version, *segments = path.split("/")
        made = "/".join(["", version, *(self._segment(unquote(each)) for each in segments)])
        options = [f"{_option(name)}={self._option(name, value)}" for name, _, value in _pairs(query)]
        return made + ("?" + "&".join(options) if options else "")

    def _segment(self, segment: str) -> str:
        if segment in known.names("path") or segment.startswith(("$", "microsoft.graph.")) or segment in ("me", ""):
            return quote(segment, safe=_SEGMENT_SAFE)
        call = _CALL.fullmatch(segment)
        if call and (call["name"].removeprefix("microsoft.graph.") in known.names("path") or not call["name"]):
            made = _ARGUMENT.sub(self._argument, call["arguments"])
            return quote(f"{call['name']}({made})", safe=_SEGMENT_SAFE)
        return quote(self._redaction.value(segment, "id"), safe=_SEGMENT_SAFE)

    def _argument(self, match: re.Match[str]) -> str:
        name, value = match["name"] or "", match["value"]
        inner = self._quoted(value, name) if value.startswith("'") else self._redaction.value(value, name or "id")
        return f"{name}={inner}" if name else inner

    def _quoted(self, literal: str, field: str) -> str:
        value = self._redaction.value(literal[1:-1].replace("''", "'"), field)
        return "'" + value.replace("'", "''") + "'"

    def _option(self, name: str, value: str) -> str:
        plain, text = _option(name).lstrip("$").lower(), unquote_plus(value)
        if plain in _OPTIONS:
            made = self.expression(text)
        elif plain in _TOKENS or not _SIMPLE.fullmatch(text):
            made = self._redaction.pseudonyms.opaque(text)
        else:
            made = text
        return quote(made, safe=_QUERY_SAFE)

    def expression(self, text: str) -> str:
        """``$filter`` and its kin: properties, operators, numbers and times stay.

        A literal is replaced as a value of the property that it is compared with.
        """
        field = ""
        bound: dict[str, str] = {}
        made = []
        for match in _EXPRESSION.finditer(text):
            kind, found = match.lastgroup, match[0]
            if kind == "bound" or kind == "variable":
                bound[match["bound"]] = field
            elif kind == "path":
                first, last = found.partition("/")[0], found.rpartition("/")[2]
                if found.lower() not in _OPERATORS and last.lower() not in ("any", "all"):
                    field = bound.get(found, last) if found in bound else last
                elif last.lower() in ("any", "all"):
                    field = found.split("/")[-2] if "/" in found else field
                found = "/".join(self._redaction.property(part) for part in found.split("/")) if first else found
            elif kind == "literal":
                found = self._quoted(found, field)
            elif kind == "phrase":
                found = self._phrase(found)
            elif kind == "guid":
                found = self._redaction.pseudonyms.guid(found)
            made.append(found)
        return "".join(made)

    def _phrase(self, phrase: str) -> str:
        """Of ``$search``: ``"displayName:words"``."""
        name, colon, words = phrase[1:-1].partition(":")
        if not colon:
            return f'"{self._redaction.text(name)}"'
        return f'"{self._redaction.property(name)}:{self._redaction.text(words)}"'
