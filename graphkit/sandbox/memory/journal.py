"""What has changed since the tenant's birth, in order: what delta queries tell.

A change's place in the journal of its kind is its sequence number. For each object the journal knows the last change of
each property, and for each of its links the last change of that link.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping

from graphkit.sandbox.call import Json

TRACKED: Mapping[str, str] = {
    "users": "users",
    "deletedUsers": "users",
    "groups": "groups",
    "deletedGroups": "groups",
}
"""Whose journal a table writes in."""
RELATIONS: Mapping[str, str] = {"members": "groups", "owners": "groups", "manager": "users"}
"""The links that are told, and whose they are."""
REMOVED = "@removed"
"""Stands for an object's going, among the names of what changed."""


class Journal:
    """All changes of one kind."""

    def __init__(self) -> None:
        self._keys: list[str] = []
        self._times = array("d")
        self._last: dict[str, int] = {}
        self._properties: dict[str, dict[str, int]] = {}
        self._links: dict[str, dict[str, dict[str, int]]] = {}

    def note(self, key: str, at: float, names: Iterable[str], links: Mapping[str, Iterable[str]]) -> int:
        """One change: of these properties, and of links to these targets by relation. Its number is returned."""
        self._keys.append(key)
        self._times.append(at)
        number = len(self._keys)
        self._last[key] = number
        properties = self._properties.setdefault(key, {})
        properties.update(dict.fromkeys([*names, *links], number))
        for relation, targets in links.items():
            self._links.setdefault(relation, {}).setdefault(key, {}).update(dict.fromkeys(targets, number))
        return number

    @property
    def end(self) -> int:
        """The number of the last change."""
        return len(self._keys)

    def settled(self, at: float) -> int:
        """The number of the last change that was made by then."""
        return bisect_right(self._times, at)

    def since(self, number: int) -> Iterator[tuple[int, str]]:
        """The objects that have changed after that, each once, by their last change: ``(its number, id)``."""
        for index in range(number, len(self._keys)):
            key = self._keys[index]
            if self._last[key] == index + 1:
                yield index + 1, key

    def changed(self, key: str, number: int) -> frozenset[str]:
        """The properties and relations of an object that have changed after that."""
        return frozenset(name for name, last in self._properties.get(key, {}).items() if last > number)

    def targets(self, relation: str, key: str, number: int) -> list[str]:
        """Where an object's links of one relation have changed after that."""
        return [target for target, last in self._links.get(relation, {}).get(key, {}).items() if last > number]


def differing(before: Json | None, after: Json | None) -> set[str]:
    """The names of what an object was given or lost, but for what is private to the tenant."""
    if after is None:
        return {REMOVED}
    old = before or {}
    return {name for name in old.keys() | after.keys() if not name.startswith("_") and old.get(name) != after.get(name)}
