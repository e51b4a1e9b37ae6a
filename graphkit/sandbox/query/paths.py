"""Names of properties as callers write them, in any case (``assignedLicenses/any(a:a/skuid eq ..)`` is understood:
microsoft-graph-docs#7855), brought to their declared spelling and type.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from graphkit.sandbox.schema.edm import PRIMITIVES
from graphkit.sandbox.schema.tables import find_type


class Place(NamedTuple):
    """A path from a type down. ``declared`` is the type at its end, as in the tables; empty where that is unknown."""

    parts: tuple[str, ...]
    declared: str = ""

    @property
    def text(self) -> str:
        return "/".join(self.parts)

    @property
    def collection(self) -> bool:
        return self.declared.strip(">").startswith("*")

    @property
    def element(self) -> str:
        """The type at the end, or of what the collection at the end holds."""
        return self.declared.strip("*>!")


@cache
def resolve(type_name: str, version: str, path: str) -> Place | str:
    """The place that ``path`` names, or what is wrong with it in the words of the OData library."""
    place, owner = Place(()), type_name
    for part in path.split("/"):
        if part.lower().startswith("microsoft.graph."):
            owner = part[len("microsoft.graph.") :]
            continue
        if part.lower() == "$count":
            return Place((*place.parts, "$count"), "Int64")
        if place.collection:
            return (
                f"The parent value for a property access of a property '{part}' is not a single value. Property access "
                "can only be applied to a single value."
            )
        found, name = find_type(owner, version), _spellings(owner, version).get(part.lower(), "")
        if not name and (owner in PRIMITIVES or (found is not None and not found.open)):
            full = f"Edm.{owner}" if owner in PRIMITIVES else f"microsoft.graph.{owner}"
            return f"Could not find a property named '{part}' on type '{full}'."
        place = Place((*place.parts, name or part), found.properties[name] if found is not None and name else "")
        owner = place.element
    return place


@cache
def _spellings(type_name: str, version: str) -> dict[str, str]:
    found = find_type(type_name, version)
    return {name.lower(): name for name in (found.properties if found else ())}
