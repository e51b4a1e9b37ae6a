"""Many changes, few writes: neighbours in the plan that fit into one request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from graphkit.engine.change import Change, Result
from graphkit.engine.resource import Resource

Pack = list[Change]
Ended = tuple[Change, Result]


def packs(changes: Iterable[Change], resources: Mapping[str, Resource]) -> Iterator[Pack]:
    """Neighbours of one kind and ``pack_key``, up to the kind's ``pack_size``."""
    pack: Pack = []
    key = ("", "")
    limit = 0
    for change in changes:
        resource = resources[change.kind]
        own = (change.kind, resource.pack_key(change))
        if pack and (own != key or len(pack) >= limit):
            yield pack
            pack = []
        if not pack:
            key, limit = own, resource.pack_size(change)
        pack.append(change)
    if pack:
        yield pack
