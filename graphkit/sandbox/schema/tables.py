"""The types, enumerations and path segments of Microsoft Graph, read when first asked for.

``data/schema.json`` is generated from the v1.0 CSDL, ``data/beta.json`` (what beta adds) from Microsoft's SDK: their
heads name source and date, ``data/generate.py`` and ``data/generate_beta.py`` made them.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

from graphkit.sandbox.call import Json
from graphkit.sandbox.schema.facts import OBSERVED_IN_BETA


class Type(NamedTuple):
    """A type with everything it inherits; ``properties`` maps names to types (see ``data/generate.py``)."""

    name: str
    properties: dict[str, str]
    open: bool


@cache
def _table(name: str) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(files("graphkit.sandbox").joinpath("data", name).read_bytes())
    return found


def v1() -> dict[str, Any]:
    return _table("schema.json")


def beta() -> dict[str, Any]:
    return _table("beta.json")


def _own(name: str, *, with_beta: bool) -> Json | None:
    found: Json | None = v1()["types"].get(name)
    return found if found is not None or not with_beta else beta()["types"].get(name)


@cache
def find_type(name: str, version: str = "v1.0") -> Type | None:
    """The flattened type, or ``None`` if this version does not know it."""
    in_beta = version == "beta"
    own = _own(name, with_beta=in_beta)
    if own is None:
        return None
    base = find_type(own["base"], version) if own.get("base") else None
    properties = {**(base.properties if base else {}), **own["properties"]}
    if in_beta:
        properties.update(beta()["added"].get(name, {}))
        properties.update(OBSERVED_IN_BETA.get(name, {}))
    # Directory objects and teams are open in CSDL for schema extensions only; the service refuses unknown names.
    is_open = bool(own.get("open")) and not descends_from(name, "entity")
    return Type(name, properties, is_open)


@cache
def find_enum(name: str, version: str = "v1.0") -> Json | None:
    """``members`` and ``flags``; beta has members that v1.0 lacks."""
    found: Json | None = (beta()["enums"].get(name) if version == "beta" else None) or v1()["enums"].get(name)
    return found


@cache
def descends_from(name: str, ancestor: str) -> bool:
    own = _own(name, with_beta=True) or {}
    return name == ancestor or (bool(own.get("base")) and descends_from(own["base"], ancestor))


def first_value(declared: str) -> str | None:
    """The first member of an enumeration that cannot be null; ``None`` for any other type."""
    enum = find_enum(declared[:-1]) if declared.endswith("!") else None
    return str(enum["members"][0]) if enum else None


def collections_at_the_root() -> list[str]:
    """What every path of v1.0 begins with."""
    return sorted(name for name in v1()["segments"][""] if name != ":base")


def is_real_path(names: list[str]) -> str:
    """Empty if v1.0 has a path of these segments, else the segment at which it ends."""
    table: dict[str, dict[str, str]] = v1()["segments"]
    current = ""
    for index, name in enumerate(names):
        found = _segment(table, current, name.removeprefix("microsoft.graph."))
        if found is not None:
            current = found
        elif index and current.endswith("*"):
            current = current[:-1]  # a key
        elif index and (name.startswith("$") or name.startswith("microsoft.graph.")):
            continue
        else:
            return name
    return ""


def _segment(table: dict[str, dict[str, str]], current: str, name: str) -> str | None:
    owner: str | None = current
    while owner is not None:
        row = table.get(owner, {})
        for known, target in row.items():
            if known.lower() == name.lower() and known != ":base":
                return target
        base = row.get(":base")
        owner = base if base is not None and not owner.endswith("*") else None
    return None
