"""Types of Microsoft Graph as graphkit knows them, read from the tables in this folder.

A table is JSON: ``source``, ``date`` and ``version`` of the metadata, the ``roots`` it was asked for, ``enums`` and
``types``. ``v1.0.json`` is generated (``tools/schema.py``), and so is what beta adds to the kinds of Intune,
``beta-intune.json`` (``tools/schema_beta.py``); ``beta.json`` is kept by hand and says what beta adds to the others.
A property is written as text: ``String``, ``String!`` (never null), ``[riskLevel]!`` (a collection), followed after a
space by ``computed`` or ``immutable`` where the metadata says so. Names of ``Edm.`` types begin with a capital letter,
those of Graph's own types with a small one. What the metadata leaves out comes from :mod:`.facts`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, Literal

import msgspec

from .facts import FACTS, ORDER_FREE, Fact

Version = Literal["v1.0", "beta"]
Table = dict[str, Any]

SENTINEL = "unknownFutureValue"
"""Stands for "a value newer than you"; never written (concepts/best-practices-concept.md, evolvable enumerations)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """One property of a type, or a relation (navigation property).

    ``default`` is what the service fills in (``None``: not known) and ``void`` lists values that mean nothing is set.
    ``order_free``: a set in spite of being a list. ``reference``: only the ``id`` of the object is written.
    ``beta``: v1.0 does not have it. ``reason`` says why a ``read_only`` property is one.
    """

    name: str
    type: str
    collection: bool = False
    nullable: bool = True
    relation: bool = False
    beta: bool = False
    read_only: bool = False
    immutable: bool = False
    required: bool = False
    order_free: bool = False
    reference: bool = False
    default: Any = None
    void: tuple[Any, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EnumType:
    """``members`` may be written; an ``open`` enum may gain more of them later; ``flags`` combine with commas."""

    name: str
    members: tuple[str, ...]
    flags: bool = False
    open: bool = False

    def spell(self, value: str) -> str | None:
        """``value`` in the spelling and order of the metadata, ``None`` if it is not of this enum."""
        known = {member.casefold(): member for member in self.members}
        parts = [part.strip() for part in value.split(",")] if self.flags else [value]
        found = {known.get(part.casefold()) for part in parts}
        return None if None in found else ",".join(member for member in self.members if member in found)


@dataclass(frozen=True, slots=True, kw_only=True)
class StructuredType:
    """``properties`` include inherited ones; ``ancestors`` run from the base upwards.

    An ``open`` type takes properties that the metadata does not name: directory and schema extensions. ``noise``
    gives the names that exports carry with null although no metadata knows them, each with the reason.
    """

    name: str
    properties: Mapping[str, Property]
    ancestors: tuple[str, ...] = ()
    abstract: bool = False
    open: bool = False
    beta: bool = False
    noise: Mapping[str, str] = field(default_factory=dict)


class EntityType(StructuredType):
    """Has an ``id`` and an address of its own."""

    __slots__ = ()


class ComplexType(StructuredType):
    """Lives inside another object only."""

    __slots__ = ()


class Schema:
    """The kinds of one API version that graphkit writes. Get it from :func:`schema`."""

    def __init__(self, table: Table) -> None:
        self.version: str = table["version"]
        self.source: str = table["source"]
        self.date: str = table["date"]
        self.roots: frozenset[str] = frozenset(table["roots"])
        self.intune: frozenset[str] = frozenset(table.get("intune", ()))
        """Types to which the generated table of Intune adds something."""
        self._enums: Table = table["enums"]
        self._types: Table = table["types"]
        self._built: dict[str, EntityType | ComplexType | EnumType] = {}
        self._concrete: dict[str, list[str]] = {}
        for name in sorted(self._types):
            if not self._types[name].get("abstract"):
                for kind in (name, *self._ancestors(name)):
                    self._concrete.setdefault(kind, []).append(name)

    def __contains__(self, name: str) -> bool:
        return short(name) in self._types or short(name) in self._enums

    def type(self, name: str) -> EntityType | ComplexType | EnumType:
        """The type by its name, with or without ``#microsoft.graph.``. Raises ``KeyError`` if the table lacks it."""
        name = short(name)
        if name not in self._built:
            self._built[name] = self._enum(name) if name in self._enums else self._structured(name)
        return self._built[name]

    def structured(self, name: str) -> StructuredType:
        """Like :meth:`type`, for entities and complex types only."""
        found = self.type(name)
        if isinstance(found, EnumType):
            raise KeyError(name)
        return found

    def concrete(self, name: str) -> list[str]:
        """The names that an ``@odata.type`` may give where ``name`` is declared, in alphabetical order."""
        return self._concrete.get(short(name), [])

    def _ancestors(self, name: str) -> tuple[str, ...]:
        base = self._types[name].get("base")
        return (base, *self._ancestors(base)) if base else ()

    def _enum(self, name: str) -> EnumType:
        row = self._enums[name]
        members = tuple(member for member in row["members"] if member != SENTINEL)
        return EnumType(name, members, flags=row.get("flags", False), open=SENTINEL in row["members"])

    def _structured(self, name: str) -> EntityType | ComplexType:
        row = self._types[name]
        ancestors = self._ancestors(name)
        line = (*reversed(ancestors), name)
        properties = {found.name: found for kind in line for found in self._own_properties(kind, line)}
        make = EntityType if row["kind"] == "entity" else ComplexType
        return make(
            name=name,
            properties=properties,
            ancestors=ancestors,
            abstract=row.get("abstract", False),
            open=any(self._types[kind].get("opentype") for kind in line),
            beta=row.get("beta", False),
            noise={noise: fact.source for fact in _facts(line, "noise") for noise in fact.properties.split()},
        )

    def _own_properties(self, name: str, line: tuple[str, ...]) -> Iterator[Property]:
        row = self._types[name]
        beta = row.get("beta_properties", ())
        for group in ("properties", "relations"):
            for item, text in row.get(group, {}).items():
                yield _property(item, text, line, relation=group == "relations", beta=item in beta)


def short(name: str) -> str:
    """``#microsoft.graph.user`` and ``user`` are the same name."""
    return name.removeprefix("#").removeprefix("microsoft.graph.")


def _property(name: str, text: str, line: tuple[str, ...], *, relation: bool, beta: bool) -> Property:
    declared, _, mark = text.partition(" ")
    kind = declared.removesuffix("!")
    collection = kind.startswith("[")
    kind = kind.strip("[]")
    facts = [fact for fact in _facts(line) if name in fact.properties.split()]
    by_mark: dict[str, Fact] = {fact.mark: fact for fact in facts if fact.mark != "default_of_type"}
    for fact in _facts(line, "default_of_type"):
        if kind in fact.properties.split() and not declared.startswith("["):
            by_mark.setdefault("default", fact)
    return Property(
        name=name,
        type=kind,
        collection=collection,
        nullable=not declared.endswith("!"),
        relation=relation,
        beta=beta,
        read_only=mark == "computed" or "read_only" in by_mark,
        immutable=mark == "immutable" or "immutable" in by_mark,
        required="required" in by_mark,
        order_free=any(name in ORDER_FREE.get(kind, "").split() for kind in line),
        reference="reference" in by_mark,
        default=by_mark["default"].value if "default" in by_mark else None,
        void=tuple(fact.value for fact in facts if fact.mark == "void"),
        reason=by_mark["read_only"].source if "read_only" in by_mark else "",
    )


def _facts(line: tuple[str, ...], mark: str = "") -> Iterator[Fact]:
    by_type = _facts_by_type()
    return (fact for kind in line for fact in by_type.get(kind, ()) if mark in ("", fact.mark))


@functools.cache
def _facts_by_type() -> dict[str, list[Fact]]:
    by_type: dict[str, list[Fact]] = {}
    for fact in FACTS:
        by_type.setdefault(fact.type, []).append(fact)
    return by_type


@functools.cache
def schema(version: Version = "v1.0") -> Schema:
    """The kinds of ``version``; beta is v1.0 and what beta adds. Read once, on first use."""
    table = _load("v1.0.json")
    if version == "beta":
        intune = _load("beta-intune.json")
        table = _with_beta(_with_beta(table, intune) | {"intune": tuple(intune["types"])}, _load("beta.json"))
    return Schema(table)


def _load(name: str) -> Table:
    table: Table = msgspec.json.decode(resources.files(__package__).joinpath(name).read_bytes())
    return table


def _with_beta(table: Table, additions: Table) -> Table:
    types = dict(table["types"])
    for name, added in additions["types"].items():
        base = types.get(name, {"kind": added.get("kind"), "base": added.get("base"), "beta": True, "properties": {}})
        types[name] = {
            **base,
            "properties": {**base["properties"], **added["properties"]},
            "relations": {**base.get("relations", {}), **added.get("relations", {})},
            "beta_properties": base.get("beta_properties", frozenset()) | frozenset(added["properties"]),
        }
    roots = [*table["roots"], *additions.get("roots", ())]
    return {**table, **additions, "roots": roots, "types": types, "enums": table["enums"] | additions["enums"]}
