"""The query options of a read: ``$select $filter $top $orderby $expand $count $search`` and paging."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from typing import Any
from urllib.parse import parse_qsl, quote

from graphkit.sandbox.call import Call, Json, Refusal, Reply, bad_request
from graphkit.sandbox.memory.state import InOrder, Places
from graphkit.sandbox.query.advanced import can_search, check_filter, check_order, check_search, is_counted, is_eventual
from graphkit.sandbox.query.filter import Filter, parse_filter
from graphkit.sandbox.query.paths import resolve
from graphkit.sandbox.query.search import parse_search
from graphkit.sandbox.query.shape import Derive, Expand, Kind, empties, selected, shape

__all__ = [
    "NO_QUERY",
    "Derive",
    "Expand",
    "Kind",
    "Query",
    "candidates",
    "empties",
    "entity",
    "listing",
    "matching",
    "next_link",
    "parse_query",
    "position",
    "shape",
    "without_token",
]

_KNOWN = {
    "$select", "$filter", "$top", "$orderby", "$expand", "$count", "$search", "$skiptoken", "$skip", "$format",
    "$deltatoken",
}  # fmt: skip

Items = Sequence[Json | None]
Test = Callable[[Json], Any]


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
    """Raises :class:`Refusal` for an option that does not exist, or is there twice."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        key = name.lower()
        if "$" + key in _KNOWN:
            key = "$" + key  # the dollar sign may be left out: concepts/query-parameters.md
        if key.startswith("$") and key not in _KNOWN:
            raise bad_request(f"The query parameter '{name}' is not supported.", "BadRequest")
        if key in options and key in _KNOWN:
            raise bad_request(
                f"Query option '{key}' was specified more than once, but it must be specified at most once.",
                "BadRequest",
            )
        options[key] = value
    return Query(options, text)


def entity(call: Call, kind: Kind, item: Json, *, status: int = 200) -> Reply:
    """One object as an answer."""
    if call.method == "GET" and call.tenant.replication.lagging(call.now):
        item = call.tenant.replication.as_seen(item, call.now, call.replica)
    shown = shape(call, kind)(item)
    return Reply(status, {"@odata.context": call.context(_context(call, kind) + "/$entity"), **shown})


def _context(call: Call, kind: Kind) -> str:
    chosen = ",".join(selected(call, kind))
    return f"{kind.name}({chosen})" if chosen else kind.name


# -- listing -----------------------------------------------------------------------------------------------------


def listing(call: Call, kind: Kind, items: Items, *, pages: bool = True) -> Reply:
    """A page of ``items``; ``None`` among them holds the place of something deleted or not to be seen yet."""
    tests = _tests(call, kind, counted=is_counted(call))
    show = shape(call, kind)
    size = _page_size(call, kind) if pages else 1 << 62
    if call.query.get("$orderby"):
        items = _ordered(call, kind, items)
    found: Json = {"@odata.context": call.context(_context(call, kind))}
    if is_counted(call) and not call.query.get("$skiptoken") and (is_eventual(call) or not kind.advanced):
        # Without the header a count is "silently ignored": concepts/aad-advanced-queries.md
        found["@odata.count"] = _count(call, items, tests)
    page, following = _page(_matches(call, items, tests, _start(call)), _skip(call, kind), size)
    if following is not None:
        found["@odata.nextLink"] = next_link(call, following)
    found["value"] = [show(item) for item in page]
    return Reply(200, found)


def matching(call: Call, kind: Kind, items: Items) -> int:
    """How many match: the answer of ``/$count``."""
    if kind.advanced and not is_eventual(call):
        raise bad_request("$count is not currently supported.", "Request_BadRequest")
    return _count(call, items, _tests(call, kind, counted=True))


def _walk(items: Items, start: int) -> Iterator[tuple[int, Json | None]]:
    if isinstance(items, (InOrder, Places)):
        return items.walk(start)
    return ((place, items[place]) for place in range(start, len(items)))


def _matches(call: Call, items: Items, tests: list[Test], start: int) -> Iterator[tuple[int, Json]]:
    """What stands there from ``start`` on, as the replica that answers sees it, if it passes."""
    replication = call.tenant.replication
    places = ((place, item) for place, item in _walk(items, start) if item is not None)
    if replication.lagging(call.now):
        known = ((place, item) for place, item in places if replication.visible(item, call.now, call.replica))
        places = ((place, _seen(call, item)) for place, item in known)
    if not tests:
        return places
    return ((place, item) for place, item in places if all(test(item) for test in tests))


def _seen(call: Call, item: Json) -> Json:
    """As it was before, where that is all that the replica knows; what it is called in a mixed list stays."""
    seen = call.tenant.replication.as_seen(item, call.now, call.replica)
    return {"@odata.type": item["@odata.type"], **seen} if "@odata.type" in item else seen


def _count(call: Call, items: Items, tests: list[Test]) -> int:
    if not call.tenant.replication.lagging(call.now):
        if not tests and isinstance(items, InOrder):
            return items.present
        if isinstance(items, Places) and items.exact:
            return items.unchanged + sum(1 for item in items.changed() if all(test(item) for test in tests))
    return sum(1 for _ in _matches(call, items, tests, 0))


def candidates(call: Call, kind: str) -> Items:
    """What ``$filter`` could match: as few objects as it is easy to tell, else all."""
    table = call.tenant.state.table(kind)
    text = call.query.get("$filter")
    wanted = parse_filter(text) if text else None
    for hint in wanted.hints if wanted else ():
        if hint.beginnings or hint.name not in ("id", *table.indexes):
            places = table.starting(hint.name, hint.values, hint.beginnings)
            if places is not None:
                places.exact = bool(wanted and wanted.whole) and not call.query.get("$search")
                return places
        elif hint.name == "id":
            return [table.objects.get(value) for value in dict.fromkeys(hint.values)]
        else:
            return [item for value in dict.fromkeys(hint.values) for item in table.find(hint.name, value)]
    return table.in_order()


# -- tests and order ---------------------------------------------------------------------------------------------


def _tests(call: Call, kind: Kind, *, counted: bool) -> list[Test]:
    """What an object must pass. Raises :class:`Refusal` for a query that is not to be had."""
    tests: list[Test] = []
    text, search = call.query.get("$filter"), call.query.get("$search")
    if search:
        if kind.advanced:
            check_search(call)
        tests.append(parse_search(search, _speller(kind, call.version)))
    if text:
        wanted = parse_filter(text, kind.types, call.version)
        if kind.advanced:
            check_filter(call, kind.types, wanted, counted=counted, relation=kind.relation)
        tests.append(_filter_test(call, kind, wanted))
    if kind.advanced and call.query.get("$expand") and tests and is_eventual(call):
        raise Refusal(400, "Request_UnsupportedQuery", "$expand is not supported with advanced queries.")  # assumption
    return tests


@cache
def _cached_speller(types: tuple[str, ...], advanced: bool, version: str) -> Callable[[str], str]:
    return partial(_searchable, types, advanced, version)


def _speller(kind: Kind, version: str) -> Callable[[str], str]:
    return _cached_speller(kind.types, kind.advanced, version)


def _searchable(types: tuple[str, ...], advanced: bool, version: str, name: str) -> str:
    """A property as declared, if it can be searched."""
    wrong = ""
    for type_name in types:
        place = resolve(type_name, version, name)
        if not isinstance(place, str) and (not advanced or can_search(type_name, place.text)):
            return place.text
        wrong = wrong or (place if isinstance(place, str) else f"The property '{name}' is not searchable.")
    raise bad_request(f"Invalid search clause: {wrong}", "BadRequest")


def _filter_test(call: Call, kind: Kind, wanted: Filter) -> Test:
    """The filter as a test, with what must be worked out for it."""
    derived: dict[str, Derive] = {}
    for name in wanted.properties:
        if name in kind.derived or name in kind.expands:
            derived[name] = kind.derived.get(name) or kind.expands[name]
        elif _is_navigation(kind, call.version, name):
            raise Refusal(501, "NotModelled", f"The simulated tenant does not model $filter by {name} on {kind.name}.")
    if not derived:
        return wanted.test
    return lambda item: wanted.test({**item, **{name: derive(call, item) for name, derive in derived.items()}})


def _is_navigation(kind: Kind, version: str, name: str) -> bool:
    places = (resolve(type_name, version, name) for type_name in kind.types)
    known = [place for place in places if not isinstance(place, str)]
    return bool(known) and all(place.declared.startswith(">") for place in known)


def _ordered(call: Call, kind: Kind, items: Items) -> list[Json | None]:
    """All that is there, sorted: the directory does this, too, before it answers with a page."""
    found: Iterable[Json] = (item for item in items if item is not None)
    filtered = bool(call.query.get("$filter"))
    for clause in reversed(call.query.get("$orderby").split(",")):
        path, _, direction = clause.strip().partition(" ")
        name = _sortable(call, kind, path, filtered=filtered)
        if direction.strip().lower() not in ("", "asc", "desc"):
            raise bad_request(f"Syntax error in $orderby: '{clause.strip()}'.", "BadRequest")
        descending = direction.strip().lower() == "desc"
        found = sorted(found, key=lambda item: str(item.get(name) or "").lower(), reverse=descending)
    return list(found)


def _sortable(call: Call, kind: Kind, path: str, *, filtered: bool) -> str:
    wrong = ""
    for type_name in kind.types:
        place = resolve(type_name, call.version, path)
        if not isinstance(place, str):
            if kind.advanced:
                check_order(call, type_name, place.text, filtered=filtered, relation=kind.relation)
            return place.parts[0]
        wrong = wrong or place
    raise bad_request(wrong, "BadRequest")


# -- paging ------------------------------------------------------------------------------------------------------


def _page_size(call: Call, kind: Kind) -> int:
    text = call.query.get("$top")
    if not text:
        return kind.page
    if not text.isdecimal() or not 1 <= int(text) <= kind.max_page:
        raise bad_request(
            f"Invalid page size specified: '{text}'. Must be between 1 and {kind.max_page} inclusive.",
            "Request_UnsupportedQuery" if kind.advanced else "Request_BadRequest",
        )  # the code: turbot/steampipe-plugin-azuread
    return min(int(text), kind.page_cap)


def _skip(call: Call, kind: Kind) -> int:
    """Objects to be passed over on the first page, where the service lets its callers count."""
    text = call.query.get("$skip")
    if not text or call.query.get("$skiptoken"):
        return 0
    if kind.advanced:
        raise bad_request("'$skip' is not supported by the service.")  # microsoft-graph-docs#9279
    if not text.isdecimal():
        raise bad_request(f"Invalid value '{text}' for $skip query option found. The $skip query option requires a "
                          "non-negative integer value.", "BadRequest")  # fmt: skip
    return int(text)


def _start(call: Call) -> int:
    return position(call)[0]


def position(call: Call, *, again: bool = False) -> tuple[int, int]:
    """Where the page begins, and how many noughts its token has before that number; one more to go there ``again``."""
    token = call.query.get("$skiptoken")
    if not token:
        return 0, int(again)
    try:
        text = base64.urlsafe_b64decode(token.encode() + b"==").decode().removeprefix("position:")
        return int(text), len(text) - len(str(int(text))) + again
    except (ValueError, binascii.Error) as error:
        raise bad_request(
            "The specified page token value has expired and can no longer be included in your request.",
            "Directory_ExpiredPageToken",
        ) from error  # the words: microsoft-graph-docs#7855


def next_link(call: Call, position: int, noughts: int = 0) -> str:
    token = base64.urlsafe_b64encode(f"position:{'0' * noughts}{position}".encode()).decode().rstrip("=")
    kept = without_token(call.query)
    return f"{call.root}{call.path}?{kept + '&' if kept else ''}$skiptoken={token}"


def without_token(query: Query) -> str:
    """The query of the whole list."""
    return "&".join(
        f"{quote(name, safe='$')}={quote(value, safe='')}"
        for name, value in query.options.items()
        if name not in ("$skip", "$skiptoken")
    )


def _page(matches: Iterator[tuple[int, Json]], skip: int, size: int) -> tuple[list[Json], int | None]:
    """A page of what matches, and where the next one begins, if there is one."""
    page: list[Json] = []
    for place, item in matches:
        if skip:
            skip -= 1
        elif len(page) == size:
            return page, place
        else:
            page.append(item)
    return page, None
