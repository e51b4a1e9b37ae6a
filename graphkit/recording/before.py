"""What a tenant held before a recorded conversation changed it, as far as the conversation tells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from graphkit.recording.cassette import Cassette, Operation
from graphkit.recording.player import reads_of

Json = dict[str, Any]

_COLLECTIONS = (
    ("users", re.compile(r"/users(?:/delta|/[^/]+)?")),
    ("groups", re.compile(r"/groups(?:/delta|/[^/]+|\([^/]+\))?")),
    ("policies", re.compile(r"/identity/conditionalAccess/policies(?:/[^/]+)?")),
    ("locations", re.compile(r"/identity/conditionalAccess/namedLocations(?:/[^/]+)?")),
    ("servicePrincipals", re.compile(r"/servicePrincipals(?:/[^/]+|\([^/]+\))?")),
    ("subscribedSkus", re.compile(r"/subscribedSkus")),
    ("organization", re.compile(r"/organization(?:/[^/]+)?")),
)
_RELATION = re.compile(
    r"/groups/(?P<group>[^/]+)/(?P<name>members|owners|transitiveMembers)(?:/microsoft\.graph\.user)?"
)
_MEMBER_OF = re.compile(r"/users/(?P<user>[^/]+)/(?:transitiveM|m)emberOf(?:/microsoft\.graph\.group)?")
_KINDS = {"#microsoft.graph.user": "users", "#microsoft.graph.group": "groups"}


@dataclass(slots=True)
class Before:
    """``objects`` by collection and key (the id; of an application its appId); ``links`` are (relation, group, id)."""

    objects: dict[str, dict[str, Json]] = field(default_factory=dict)
    links: set[tuple[str, str, str]] = field(default_factory=set)


def what_was_there(cassette: Cassette) -> Before:
    """From the reads before the first write. What several of them tell of one object is put together."""
    before = Before()
    nested: set[tuple[str, str, str]] = set()
    for operation in reads_of(cassette.operations):
        if operation.status == 200 and isinstance(operation.answer, dict):
            _take(before, nested, operation)
    told = {(relation, group) for relation, group, _ in before.links}
    # Where only the whole depth was read, its members are taken for direct ones.
    before.links |= {link for link in nested if link[:2] not in told}
    return before


def _take(before: Before, nested: set[tuple[str, str, str]], operation: Operation) -> None:
    path = unquote(operation.address.partition("?")[0].split("/", 2)[2])
    items = _items(operation.answer)
    if match := _RELATION.fullmatch(f"/{path}"):
        deep = match["name"] == "transitiveMembers"
        for item in items:
            link = ("members" if deep else match["name"], match["group"], str(item.get("id")))
            (nested if deep else before.links).add(link)
            kind = _KINDS.get(str(item.get("@odata.type")), "users")
            _merge(before, kind, item)
        return
    if match := _MEMBER_OF.fullmatch(f"/{path}"):
        for item in items:
            nested.add(("members", str(item.get("id")), match["user"]))
            _merge(before, "groups", item)
        return
    for name, pattern in _COLLECTIONS:
        if pattern.fullmatch(f"/{path}"):
            for item in items:
                _merge(before, name, item)


def _items(answer: Mapping[str, Any]) -> Iterable[Json]:
    found = answer.get("value", [answer])
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _merge(before: Before, kind: str, item: Json) -> None:
    key = item.get("appId") if kind == "servicePrincipals" else item.get("id")
    if key and "@removed" not in item:
        plain = {name: value for name, value in item.items() if not name.startswith("@odata") or name == "@odata.type"}
        before.objects.setdefault(kind, {}).setdefault(str(key), {}).update(plain)
