"""Objects of one kind: by id, by indexed property, and in the order of their making."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from heapq import merge
from itertools import chain, islice
from typing import Any

from graphkit.sandbox.call import Json
from graphkit.sandbox.seeding.population import Population


class Table:
    """All objects of one kind, in the order of their making; the places of what was deleted are kept, so that page
    tokens stay true. With a ``population`` those come first; only what was changed of them is held.
    """

    __slots__ = ("_order", "_places", "indexes", "objects", "population")

    def __init__(self, indexed: tuple[str, ...], population: Population | None = None) -> None:
        self.population = population
        self.objects: MutableMapping[str, Json] = {} if population is None else _Layered(population)
        self.indexes: dict[str, dict[str, dict[str, None]]] = {name: {} for name in indexed}
        self._order: list[str] = []
        self._places: dict[str, int] = {}

    def put(self, item: Json) -> None:
        key = item["id"]
        old = self.objects.get(key)
        if old is None:
            self.hold_place(key)
        self.objects[key] = item
        for name, index in self.indexes.items():
            before, after = old.get(name) if old else None, item.get(name)
            if before != after or self.population is not None:
                self._unindex(index, before, key)
                if after:
                    index.setdefault(after.lower(), {})[key] = None

    def drop(self, key: str) -> None:
        old = self.objects.pop(key, None)
        for name, index in self.indexes.items():
            self._unindex(index, old.get(name) if old else None, key)

    def hold_place(self, key: str) -> None:
        """Give an object a place, whether it is there or was deleted. Who comes back comes back to the old one."""
        if key not in self._places and (self.population is None or self.population.position(key) is None):
            self._places[key] = len(self._order)
            self._order.append(key)

    @staticmethod
    def _unindex(index: dict[str, dict[str, None]], value: str | None, key: str) -> None:
        if value and value.lower() in index:
            index[value.lower()].pop(key, None)

    def find(self, name: str, value: str) -> list[Json]:
        wanted = value.lower()
        found = [self.objects[key] for key in self.indexes[name].get(wanted, ())]
        if isinstance(self.objects, _Layered):
            found += self.objects.unchanged(name, wanted)
        return found

    def held(self) -> Iterator[str]:
        """The ids of what is held: everything, but for the members of a population that nobody has changed."""
        objects = self.objects
        return iter([*objects.deleted(), *objects.own] if isinstance(objects, _Layered) else objects)

    def in_order(self) -> InOrder:
        return InOrder(self)

    def starting(self, name: str, values: tuple[str, ...], beginnings: tuple[str, ...]) -> Places | None:
        """Where those may stand whose property is one of ``values`` or begins with one of ``beginnings`` (lower case),
        and perhaps some others; ``None`` if all would have to be looked at.
        """
        if self.population is None:
            return None
        ranges: list[range] = []
        for whole, texts in ((True, values), (False, beginnings)):
            for text in texts:
                found = self.population.starting(name, text, whole=whole)
                if found is None:
                    return None
                ranges += found
        strays = (self._place(key) for key in self._strays(name, values, beginnings))
        return Places(self, _apart(ranges), sorted(strays))

    def _strays(self, name: str, values: tuple[str, ...], beginnings: tuple[str, ...]) -> Iterable[str]:
        """What is held by itself may stand anywhere."""
        index = self.indexes.get(name)
        if index is None:
            return self.held()
        found = (keys for value, keys in index.items() if value in values or value.startswith(beginnings))
        return (key for keys in found for key in keys)

    def _place(self, key: str) -> int:
        position = self.population.position(key) if self.population is not None else None
        return position if position is not None else len(self.population or ()) + self._places[key]


def _apart(ranges: list[range]) -> list[range]:
    """In order, and none within another or over its edge."""
    found: list[range] = []
    for each in sorted(ranges, key=lambda each: each.start):
        if found and each.start <= found[-1].stop:
            found[-1] = range(found[-1].start, max(each.stop, found[-1].stop))
        else:
            found.append(each)
    return found


class _Layered(MutableMapping[str, Json]):
    """A population, and over it its changed members and what was added. ``away`` are the positions of the former,
    deleted ones included."""

    def __init__(self, population: Population) -> None:
        self._population = population
        self._away: set[int] = set()
        self.own: dict[str, Json] = {}

    def __getitem__(self, key: str) -> Json:
        found = self.own.get(key)
        if found is not None:
            return found
        position = self._population.position(key)
        if position is None or position in self._away:
            raise KeyError(key)
        return self._population.at(position)

    def at(self, position: int) -> Json | None:
        if position in self._away:
            return self.own.get(self._population.key(position))
        return self._population.at(position)

    def __setitem__(self, key: str, item: Json) -> None:
        position = self._population.position(key)
        if position is not None:
            self._away.add(position)
        self.own[key] = item

    def __delitem__(self, key: str) -> None:
        position = self._population.position(key)
        if self.own.pop(key, None) is None and (position is None or position in self._away):
            raise KeyError(key)
        if position is not None:
            self._away.add(position)

    def __len__(self) -> int:
        return len(self._population) - len(self._away) + len(self.own)

    def __iter__(self) -> Iterator[str]:
        yield from (self._population.key(at) for at in range(len(self._population)) if at not in self._away)
        yield from self.own

    def unchanged_in(self, ranges: list[range]) -> int:
        """How many of these positions, which are apart, hold what they held at the beginning."""
        size = sum(map(len, ranges))
        if len(self._away) > size:
            return sum(place not in self._away for each in ranges for place in each)
        starts = [each.start for each in ranges]
        within = (place in ranges[bisect_right(starts, place) - 1] for place in self._away) if ranges else ()
        return size - sum(within)

    def deleted(self) -> list[str]:
        keys = (self._population.key(position) for position in self._away)
        return [key for key in keys if key not in self.own]

    def unchanged(self, name: str, value: str) -> list[Json]:
        position = self._population.find(name, value)
        return [] if position is None or position in self._away else [self._population.at(position)]


class InOrder(Sequence[Json | None]):
    """All places of a table, in the order of creation; ``None`` where something was deleted. Copies nothing."""

    def __init__(self, table: Table) -> None:
        self._objects = table.objects
        self._order = table._order
        self._seeded = len(table.population) if table.population is not None else 0

    def __len__(self) -> int:
        return self._seeded + len(self._order)

    def __getitem__(self, position: Any) -> Any:
        if position < self._seeded:
            return self._objects.at(position)  # type: ignore[attr-defined]  # a population makes them layered
        return self._objects.get(self._order[position - self._seeded])

    def __iter__(self) -> Iterator[Json | None]:
        return (item for _, item in self.walk(0))

    def walk(self, start: int) -> Iterator[tuple[int, Json | None]]:
        """Each place from ``start`` on, and what stands there."""
        return ((place, self[place]) for place in range(start, len(self)))

    @property
    def present(self) -> int:
        """How many places are taken by something that is still there."""
        return len(self._objects)


class Places(Sequence[Json | None]):
    """Some places of a table, in order: ranges of them, and single ones besides.

    The ranges are of a population and apart; whatever of it was changed since stands among the single ones, if it is
    meant at all. ``exact``: what is unchanged in the ranges is meant for certain.
    """

    exact = False

    def __init__(self, table: Table, ranges: list[range], singles: list[int]) -> None:
        self._all = table.in_order()
        self._objects = table.objects
        self._ranges = ranges
        self._singles = singles

    def __len__(self) -> int:
        return sum(1 for _ in self._places(0))

    def __getitem__(self, index: Any) -> Any:
        return self._all[next(islice(self._places(0), index, None))]

    def __iter__(self) -> Iterator[Json | None]:
        return (item for _, item in self.walk(0))

    def walk(self, start: int) -> Iterator[tuple[int, Json | None]]:
        return ((place, self._all[place]) for place in self._places(start))

    @property
    def unchanged(self) -> int:
        return self._objects.unchanged_in(self._ranges) if isinstance(self._objects, _Layered) else 0

    def changed(self) -> Iterator[Json]:
        """What was added or changed since the beginning, and may be meant."""
        return (item for place in self._singles if (item := self._all[place]) is not None)

    def _places(self, start: int) -> Iterator[int]:
        ranges = chain.from_iterable(range(max(each.start, start), each.stop) for each in self._ranges)
        singles = [single for single in self._singles if single >= start]
        last = -1
        for place in merge(ranges, singles) if singles else ranges:
            if place > last:
                yield place
            last = max(last, place)
