"""How objects are shown: ``$select``, ``$expand`` and what an answer holds without them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from graphkit.sandbox.call import Call, Json, Refusal, bad_request
from graphkit.sandbox.query.paths import resolve
from graphkit.sandbox.schema.check import as_seen, find_type

Derive = Callable[[Call, Json], Any]
Expand = Callable[[Call, Json], Any]
MAX_EXPANDED = 20
"""Directory objects: "typically returns a maximum of 20 items" (concepts/query-parameters.md)."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of object is shown and asked for.

    ``default_select`` is what an answer holds without ``$select`` (everything, if ``None``); ``derived`` are
    properties worked out when asked for; ``expands`` the navigation properties that ``$expand`` may name.
    ``advanced`` marks directory objects, where some queries need ``ConsistencyLevel: eventual``; ``relation`` lists of
    what an object is connected to, where all filters do. Pages hold ``page_cap`` objects at most, whatever is asked
    for; ``always`` is shown besides what is selected. ``variants``, by ``@odata.type``, are for a list of objects of
    several kinds: each says its type and is shown as its own kind.
    """

    name: str
    type: str
    default_select: tuple[str, ...] | None = None
    derived: dict[str, Derive] = field(default_factory=dict)
    expands: dict[str, Expand] = field(default_factory=dict)
    page: int = 100
    max_page: int = 999
    page_cap: int = 999
    always: tuple[str, ...] = ()
    advanced: bool = False
    relation: bool = False
    show_type: bool = False
    indexed: frozenset[str] = frozenset()
    variants: dict[str, Kind] = field(default_factory=dict)

    @property
    def types(self) -> tuple[str, ...]:
        return (self.type, *(variant.type for variant in self.variants.values()))


class Expansion(NamedTuple):
    """One navigation property of ``$expand``, and the options in its parentheses by lower-case name."""

    name: str
    options: dict[str, str]


def empties(kind: Kind, version: str) -> dict[str, Any]:
    """``property -> what it is when never set``: ``[]`` for collections, else null."""
    known: dict[str, Any] = {}
    for type_name in kind.types:
        known = {**known, **_empties(type_name, version)}
    return known


@lru_cache(maxsize=64)
def _empties(type_name: str, version: str) -> dict[str, Any]:
    found = find_type(type_name, version)
    properties = found.properties if found else {}
    return {name: () if kind.lstrip(">").startswith("*") else None for name, kind in properties.items()}


def selected(call: Call, kind: Kind) -> tuple[str, ...]:
    """The properties that ``$select`` names, spelt as declared. Raises :class:`Refusal` for what there is not."""
    names = [_spelt(call, kind, name) for name in call.query.select if name != "*"]
    return tuple(dict.fromkeys(names))


def _spelt(call: Call, kind: Kind, path: str) -> str:
    wrong = ""
    for type_name in kind.types:
        place = resolve(type_name, call.version, path)
        if not isinstance(place, str):
            return place.parts[0]
        wrong = wrong or place
    raise bad_request(f"Parsing OData Select and Expand failed: {wrong}", "BadRequest")


def shape(call: Call, kind: Kind) -> Callable[[Json], Json]:
    """A function that shows an object as this call's ``$select`` and ``$expand`` ask."""
    chosen = selected(call, kind)
    expand = _expansions(call, kind)
    show = _of_variants(call, kind, chosen) if kind.variants else _selected(call, kind, chosen)
    if not expand:
        return show

    def with_expansions(item: Json) -> Json:
        shown = show(item)
        for name, run in expand:
            shown[name] = run(call, item)
        return shown

    return with_expansions


def _selected(call: Call, kind: Kind, chosen: tuple[str, ...]) -> Callable[[Json], Json]:
    """What ``$select`` asks for, as far as this kind has it."""
    if not chosen:
        default = kind.default_select
        return _by_names(call, kind, default) if default is not None else _whole(kind, call.version)
    known = empties(kind, call.version)
    names = dict.fromkeys([*(name for name in chosen if name in known), *kind.always])
    return _by_names(call, kind, tuple(names))


def _of_variants(call: Call, kind: Kind, chosen: tuple[str, ...]) -> Callable[[Json], Json]:
    shows = {told: _selected(call, variant, chosen) for told, variant in kind.variants.items()}
    return lambda item: {"@odata.type": item["@odata.type"], **shows[item["@odata.type"]](item)}


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


# -- $expand -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def expansions(text: str) -> tuple[Expansion, ...]:
    """``manager($levels=max;$select=id),memberOf`` taken apart."""
    found = []
    for part in _split(text, ","):
        name, _, rest = part.strip().partition("(")
        options = (option.partition("=") for option in _split(rest.removesuffix(")"), ";"))
        found.append(Expansion(name.strip(), {key.strip().lower(): value for key, _, value in options}))
    return tuple(found)


def expand_options(call: Call, name: str) -> dict[str, str]:
    """What stands in the parentheses behind one name of this call's ``$expand``."""
    asked = (each for each in expansions(call.query.get("$expand")) if each.name.lower() == name.lower())
    return next((each.options for each in asked), {})


def _expansions(call: Call, kind: Kind) -> list[tuple[str, Expand]]:
    asked = expansions(call.query.get("$expand"))
    if kind.advanced and len(asked) > 1:
        # microsoft-graph-docs#96: "specific entities may still have limits, and for users it is still limited to" one
        raise bad_request(
            f"The result of parsing $expand contained at least {len(asked)} items, but the maximum allowed is 1.",
            "BadRequest",
        )
    return [_expansion(call, kind, each) for each in asked]


def _expansion(call: Call, kind: Kind, asked: Expansion) -> tuple[str, Expand]:
    name = next((known for known in kind.expands if known.lower() == asked.name.lower()), "")
    if not name:
        known = _spelt(call, kind, asked.name)
        raise Refusal(501, "NotModelled", f"The simulated tenant does not model $expand={known} on {kind.name}.")
    run = kind.expands[name]
    inner = tuple(part.strip() for part in asked.options.get("$select", "").split(",") if part.strip())
    if not inner:
        return name, run
    return name, lambda call, item: _narrowed(run(call, item), inner, name)


def _narrowed(value: Any, names: tuple[str, ...], own: str) -> Any:
    """Expanded objects with the selected properties only, down a chain of the same name (managers of managers)."""
    if isinstance(value, list):
        return [_narrowed(item, names, own) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {"@odata.type": value["@odata.type"]} if "@odata.type" in value else {}
    kept.update({name: value.get(name) for name in names})
    return {**kept, own: _narrowed(value[own], names, own)} if own in value else kept


def _split(text: str, separator: str) -> Iterator[str]:
    """The parts between separators that stand in no parentheses."""
    depth, start = 0, 0
    for at, mark in enumerate(text):
        depth += (mark == "(") - (mark == ")")
        if mark == separator and depth == 0:
            yield text[start:at]
            start = at + 1
    if text[start:].strip():
        yield text[start:]
