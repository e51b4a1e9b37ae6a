"""The query options of a read: ``$select $filter $top $orderby $expand $count $search`` and paging."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, quote

from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request
from graphkit.sandbox.filter import Filter, parse_filter
from graphkit.sandbox.schema import as_seen, find_type
from graphkit.sandbox.state import InOrder

_KNOWN = {"$select", "$filter", "$top", "$orderby", "$expand", "$count", "$search", "$skiptoken", "$skip", "$format"}


@dataclass(slots=True)
class Query:
    """Query options by lower-case name, ``$`` included."""

    options: dict[str, str] = field(default_factory=dict)
    text: str = ""

    def get(self, name: str) -> str:
        return self.options.get(name, "")

    @property
    def select(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.get("$select").split(",") if part.strip())


NO_QUERY = Query()


@lru_cache(maxsize=1024)
def parse_query(text: str) -> Query:
    """Raises :class:`Refusal` for an option that does not exist."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        key = name.lower()
        if "$" + key in _KNOWN:
            key = "$" + key  # the dollar sign may be left out: concepts/query-parameters.md
        if key.startswith("$") and key not in _KNOWN:
            raise bad_request(f"The query parameter '{name}' is not supported.", "BadRequest")
        options[key] = value
    return Query(options, text)


Derive = Callable[[Call, Json], Any]
Expand = Callable[[Call, Json], Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of object is shown.

    ``default_select`` is what an answer holds without ``$select`` (everything, if ``None``); ``derived`` are
    properties worked out when asked for; ``expands`` the navigation properties that ``$expand`` may name.
    ``advanced`` marks directory objects, where some queries need ``ConsistencyLevel: eventual``.
    """

    name: str
    type: str
    default_select: tuple[str, ...] | None = None
    derived: dict[str, Derive] = field(default_factory=dict)
    expands: dict[str, Expand] = field(default_factory=dict)
    page: int = 100
    max_page: int = 999
    advanced: bool = False
    show_type: bool = False
    indexed: frozenset[str] = frozenset()


def empties(kind: Kind, version: str) -> dict[str, Any]:
    return _empties(kind.type, version)


@lru_cache(maxsize=64)
def _empties(type_name: str, version: str) -> dict[str, Any]:
    """``property -> what it is when never set``: ``[]`` for collections, else null."""
    found = find_type(type_name, version)
    properties = found.properties if found else {}
    return {name: () if kind.startswith("*") else None for name, kind in properties.items()}


def shape(call: Call, kind: Kind) -> Callable[[Json], Json]:
    """A function that shows an object as this call's ``$select`` and ``$expand`` ask."""
    select = call.query.select
    expand = _expansions(call, kind)
    if select:
        known = empties(kind, call.version)
        for name in select:
            if name.partition("/")[0] not in known and name != "*":
                raise bad_request(
                    f"Parsing OData Select and Expand failed: Could not find a property named '{name}' on type "
                    f"'microsoft.graph.{kind.type}'.",
                    "BadRequest",
                )
    names = tuple(name.partition("/")[0] for name in select if name != "*") or kind.default_select
    show = _by_names(call, kind, names) if names is not None else _whole(kind, call.version)
    if not expand:
        return show

    def with_expansions(item: Json) -> Json:
        shown = show(item)
        for name, run in expand:
            shown[name] = run(call, item)
        return shown

    return with_expansions


def _by_names(call: Call, kind: Kind, names: tuple[str, ...]) -> Callable[[Json], Json]:
    known = empties(kind, call.version)
    plain = [(name, known.get(name)) for name in names if name not in kind.derived]
    derived = [(name, kind.derived[name]) for name in names if name in kind.derived]

    def show(item: Json) -> Json:
        shown = {name: item.get(name, empty) for name, empty in plain}
        for name, derive in derived:
            shown[name] = derive(call, item)
        return shown

    return show


def _whole(kind: Kind, version: str) -> Callable[[Json], Json]:
    hidden = frozenset(kind.expands)

    def show(item: Json) -> Json:
        kept = {n: v for n, v in item.items() if not n.startswith("_") and n not in hidden}
        return as_seen(kept, kind.type, version) if version == "v1.0" else kept

    return show


def _expansions(call: Call, kind: Kind) -> list[tuple[str, Expand]]:
    wanted = []
    for part in _split_expand(call.query.get("$expand")):
        name = part.partition("(")[0].strip()
        if name not in kind.expands and name in empties(kind, call.version):
            raise Refusal(501, "NotModelled", f"The simulated tenant does not model $expand={name} on {kind.name}.")
        if name not in kind.expands:
            raise bad_request(
                f"Parsing OData Select and Expand failed: Could not find a property named '{name}' on type "
                f"'microsoft.graph.{kind.type}'.",
                "BadRequest",
            )
        wanted.append((name, kind.expands[name]))
    return wanted


def _split_expand(text: str) -> Iterator[str]:
    depth, start = 0, 0
    for at, mark in enumerate(text):
        depth += (mark == "(") - (mark == ")")
        if mark == "," and depth == 0:
            yield text[start:at]
            start = at + 1
    if text[start:].strip():
        yield text[start:]


def entity(call: Call, kind: Kind, item: Json, *, status: int = 200) -> Reply:
    """One object as an answer."""
    if call.method == "GET" and call.tenant.replication.lagging(call.now):
        item = call.tenant.replication.as_seen(item, call.now, call.replica)
    shown = shape(call, kind)(item)
    chosen = call.query.get("$select")
    context = f"{kind.name}({chosen})/$entity" if chosen else f"{kind.name}/$entity"
    return Reply(status, {"@odata.context": call.context(context), **shown})


def _check_advanced(call: Call, kind: Kind, wanted: Filter | None) -> None:
    """Some queries need ``ConsistencyLevel: eventual``, most of them ``$count=true`` too (aad-advanced-queries.md)."""
    if not kind.advanced:
        return
    query = call.query
    counted = query.get("$count").lower() == "true"
    eventual = call.headers.get("consistencylevel", "").lower() == "eventual"
    advanced = bool(wanted and (wanted.advanced or query.get("$orderby")))
    if (advanced and not (eventual and counted)) or ((query.get("$search") or counted) and not eventual):
        raise bad_request(
            "Unsupported or invalid query filter clause specified: this query needs the header "
            "'ConsistencyLevel: eventual' and $count=true.",
            "Request_UnsupportedQuery",
        )


def _page_size(call: Call, kind: Kind) -> int:
    text = call.query.get("$top")
    if not text:
        return kind.page
    if not text.isdigit() or int(text) == 0:
        raise bad_request(f"Invalid page size specified: '{text}'. Must be between 1 and {kind.max_page} inclusive.")
    if int(text) > kind.max_page:
        raise bad_request(f"Invalid page size specified: '{text}'. Must be between 1 and {kind.max_page} inclusive.")
    return int(text)


def _start(call: Call) -> int:
    token = call.query.get("$skiptoken")
    if not token:
        return 0
    try:
        return int(base64.urlsafe_b64decode(token.encode() + b"==").decode().removeprefix("position:"))
    except (ValueError, binascii.Error) as error:
        raise bad_request("The specified page token value is invalid.", "Directory_ExpiredPageToken") from error


def _next_link(call: Call, position: int) -> str:
    token = base64.urlsafe_b64encode(f"position:{position}".encode()).decode().rstrip("=")
    kept = "&".join(
        f"{quote(name, safe='$')}={quote(value, safe='')}"
        for name, value in call.query.options.items()
        if name != "$skiptoken"
    )
    return f"{call.root}{call.path}?{kept + '&' if kept else ''}$skiptoken={token}"


def listing(call: Call, kind: Kind, items: Sequence[Json | None], *, pages: bool = True) -> Reply:
    """A page of ``items``; ``None`` among them holds the place of something deleted or not to be seen yet."""
    text = call.query.get("$filter")
    wanted = parse_filter(text) if text else None
    _check_filter(call, kind, wanted)
    _check_advanced(call, kind, wanted)
    show = shape(call, kind)
    tests = _tests(call, kind, wanted)
    if call.tenant.replication.lagging(call.now):
        items = _Seen(call, items)
    order = call.query.get("$orderby")
    if order:
        items = _ordered(call, kind, [item for item in items if item is not None], order)
    found: Json = {"@odata.context": call.context(kind.name)}
    if call.query.get("$count").lower() == "true" and not call.query.get("$skiptoken"):
        found["@odata.count"] = _count(items, tests)
    page, position = _page(items, tests, _start(call), _page_size(call, kind) if pages else 1 << 62)
    if position is not None:
        found["@odata.nextLink"] = _next_link(call, position)
    found["value"] = [show(item) for item in page]
    return Reply(200, found)


class _Seen(Sequence[Json | None]):
    """Objects as the replica that answers a call holds them."""

    def __init__(self, call: Call, items: Sequence[Json | None]) -> None:
        self._call = call
        self._items = items

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, position: Any) -> Any:
        item = self._items[position]
        return item and self._call.tenant.replication.as_seen(item, self._call.now, self._call.replica)


def _page(
    items: Sequence[Json | None], tests: list[Callable[[Json], Any]], start: int, size: int
) -> tuple[list[Json], int | None]:
    """The page that begins at ``start`` and where the next one begins, if there is one."""
    page: list[Json] = []
    for position in range(start, len(items)):
        item = items[position]
        if item is None or (tests and not all(test(item) for test in tests)):
            continue
        if len(page) == size:
            return page, position
        page.append(item)
    return page, None


def _count(items: Sequence[Json | None], tests: list[Callable[[Json], Any]]) -> int:
    if not tests and isinstance(items, InOrder):
        return items.present
    return sum(1 for item in items if item is not None and all(test(item) for test in tests))


def candidates(call: Call, kind: str) -> Sequence[Json | None]:
    """What ``$filter`` could match: a few objects if it asks for equality with something indexed, else all."""
    table = call.tenant.state.table(kind)
    text = call.query.get("$filter")
    lookup = parse_filter(text).lookup if text else None
    if lookup is None:
        return table.in_order()
    name, values = lookup
    if name == "id":
        return [table.objects.get(value) for value in values]
    if name in table.indexes:
        return [item for value in values for item in table.find(name, value)]
    return table.in_order()


def _check_filter(call: Call, kind: Kind, wanted: Filter | None) -> None:
    known = empties(kind, call.version)
    for name in wanted.properties if wanted else ():
        if name not in known:
            raise bad_request(
                f"Invalid filter clause: Could not find a property named '{name}' on type "
                f"'microsoft.graph.{kind.type}'.",
                "BadRequest",
            )


def _tests(call: Call, kind: Kind, wanted: Filter | None) -> list[Callable[[Json], Any]]:
    tests: list[Callable[[Json], Any]] = []
    if call.tenant.replication.lagging(call.now):
        tests.append(lambda item: call.tenant.replication.visible(item, call.now, call.replica))
    if wanted:
        used = [(name, kind.derived[name]) for name in wanted.properties if name in kind.derived]
        if used:
            tests.append(lambda item: wanted.test({**item, **{name: derive(call, item) for name, derive in used}}))
        else:
            tests.append(wanted.test)
    text = call.query.get("$search")
    if text:
        tests.append(_search(text))
    return tests


def _search(text: str) -> Callable[[Json], Any]:
    """``"displayName:word"``, one or more; every one must match."""
    clauses = re.findall(r'"(\w+):([^"]*)"', text)
    if not clauses:
        raise bad_request(f"Syntax error: invalid $search '{text}'.", "BadRequest")
    return lambda item: all(word.lower() in str(item.get(name) or "").lower() for name, word in clauses)


def _ordered(call: Call, kind: Kind, items: list[Json], text: str) -> list[Json | None]:
    found: list[Json] = items
    for clause in reversed(text.split(",")):
        name, _, direction = clause.strip().partition(" ")
        if name not in empties(kind, call.version):
            raise bad_request(f"Could not find a property named '{name}'.", "BadRequest")
        found = sorted(found, key=lambda item: str(item.get(name) or "").lower(), reverse=direction.strip() == "desc")
    return list(found)


def matching(call: Call, kind: Kind, items: Sequence[Json | None]) -> int:
    """How many match: the answer of ``/$count``."""
    if kind.advanced and call.headers.get("consistencylevel", "").lower() != "eventual":
        raise bad_request("$count is not currently supported.", "Request_BadRequest")
    text = call.query.get("$filter")
    wanted = parse_filter(text) if text else None
    _check_filter(call, kind, wanted)
    tests = _tests(call, kind, wanted)
    return _count(items, tests)
