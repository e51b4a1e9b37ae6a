"""Many changes, few writes: neighbours in the plan that fit into one request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from graphkit.engine.change import Change, Result, Status
from graphkit.engine.resource import Resource

Pack = list[Change]
Ended = tuple[Change, Result]
NOT_ALONE = "what it goes with cannot be written as planned, and it is not written alone; plan again"


def not_alone(change: Change) -> Ended:
    """The end of a change that was left out because what it goes with cannot be written."""
    return change, Result(status=Status.SKIPPED, code="needs-failed", error=NOT_ALONE)


def opening(changes: Iterable[Change], resources: Mapping[str, Resource], count: int) -> Pack:
    """The first so many changes, and what belongs to the last of them: no swap is begun by half."""
    first: Pack = []
    for change in changes:
        resource = resources[change.kind]
        begun = first and resource.swaps and change.kind == first[-1].kind
        if len(first) >= count and not (begun and resource.pack_key(change) == resource.pack_key(first[-1])):
            break
        first.append(change)
    return first


def packs(changes: Iterable[Change], resources: Mapping[str, Resource]) -> Iterator[Pack]:
    """Neighbours of one kind and ``pack_key``, up to the kind's ``pack_size``."""
    pack: Pack = []
    packing = Packing(resources)
    for change in changes:
        if packing.begins(change) and pack:
            yield pack
            pack = []
        pack.append(change)
    if pack:
        yield pack


class Packing:
    """Told of the changes that write, one after the other, it tells where a new write begins."""

    def __init__(self, resources: Mapping[str, Resource]) -> None:
        self._resources = resources
        self._kind = self._key = ""
        self._room = 0

    def begins(self, change: Change) -> bool:
        resource = self._resources[change.kind]
        key = resource.pack_key(change)
        fits = self._room > 0 and key == self._key and change.kind == self._kind
        if not fits:
            self._kind, self._key, self._room = change.kind, key, resource.pack_size(change)
        self._room -= 1
        return not fits
