"""What two tenants hold, compared without what must differ: ids and times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from graphkit.sandbox.call import Json
from graphkit.sandbox.state import State

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAMES = ("userPrincipalName", "uniqueName", "appId", "skuId", "mailNickname", "displayName")
"""What names an object for people, the best first."""
GUID_LENGTH = 36
_APART = ("id", "subscriptionIds")


class Difference(NamedTuple):
    """``only`` is ``a`` or ``b`` for what the other lacks, empty for what both have with other ``properties``."""

    kind: str
    name: str
    only: str
    properties: tuple[str, ...]


def differences(a: State, b: State) -> Iterator[Difference]:
    """Objects and links, sorted by kind and name."""
    ours, theirs = _contents(a), _contents(b)
    for kind, name in sorted(ours.keys() | theirs.keys()):
        left, right = ours.get((kind, name)), theirs.get((kind, name))
        if left is None or right is None:
            yield Difference(kind, name, "b" if left is None else "a", ())
        elif left != right:
            names = left.keys() | right.keys()
            yield Difference(kind, name, "", tuple(sorted(n for n in names if left.get(n) != right.get(n))))


def _contents(state: State) -> dict[tuple[str, str], Json]:
    named = _names(state)
    by_id = {key: name for (key, _), name in named.items()}
    found: dict[tuple[str, str], Json] = {}
    for kind, table in state.tables.items():
        for key, item in table.objects.items():
            shown = {name: _plain(value, by_id) for name, value in item.items() if not _differs_anyhow(name)}
            found[kind, named[key, kind]] = shown
    for link, sources in state.links.items():
        for source, targets in sources.items():
            for target in targets:
                found[f"{link} (link)", f"{by_id.get(source, source)} > {by_id.get(target, target)}"] = {}
    return found


def _names(state: State) -> dict[tuple[str, str], str]:
    """A name for each object by id and kind; a number tells those of one name apart, in the order of their making."""
    named: dict[tuple[str, str], str] = {}
    for kind, table in state.tables.items():
        counts: dict[str, int] = {}
        for key in table.order:
            item = table.objects.get(key)
            if item is None or (key, kind) in named:
                continue
            name = str(next((item[each] for each in _NAMES if item.get(each)), "unnamed"))
            counts[name] = counts.get(name, 0) + 1
            named[key, kind] = name if counts[name] == 1 else f"{name} #{counts[name]}"
    return named


def _differs_anyhow(name: str) -> bool:
    return name in _APART or name.startswith("_") or name.endswith(("DateTime", "Timestamp"))


def _plain(value: Any, named: dict[str, str]) -> Any:
    """A value with the ids in it replaced by the names of what they stand for; unknown ones stay."""
    if isinstance(value, dict):
        return {name: _plain(each, named) for name, each in value.items() if not _differs_anyhow(name)}
    if isinstance(value, list):
        return [_plain(each, named) for each in value]
    if isinstance(value, str) and len(value) >= GUID_LENGTH:
        return _GUID.sub(lambda found: named.get(found[0].lower(), found[0]), value)
    return value
