"""What two tenants hold, compared without what must differ: ids and times."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from graphkit.sandbox.call import Json
from graphkit.sandbox.memory.state import State, Table

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAMES = (
    "userPrincipalName",
    "uniqueName",
    "appId",
    "skuId",
    "mailNickname",
    "displayName",
    "name",
    "deviceName",
    "serialNumber",
)
"""What names an object for people, the best first."""
UNNAMED = "unnamed"
GUID_LENGTH = 36
_APART = (
    *("id", "securityIdentifier", "subscriptionIds", "webUrl", "internalId", "methodId"),
    *("version", "deviceId", "azureActiveDirectoryDeviceId", "roleScopeTagIds", "membershipRuleProcessingStatus"),
)
"""What the service makes up: ids of its own, numbers in the order of making, how far it has come."""


class Difference(NamedTuple):
    """``only`` is ``a`` or ``b`` for what the other lacks, empty for what both have with other ``properties``."""

    kind: str
    name: str
    only: str
    properties: tuple[str, ...]


def differences(a: State, b: State) -> Iterator[Difference]:
    """Objects and links, sorted by kind and name. Members of equal populations that neither has touched are equal."""
    keys = {kind: _worth_a_look(a.table(kind), b.table(kind)) for kind in a.tables.keys() | b.tables.keys()}
    ours, theirs = _contents(a, keys), _contents(b, keys)
    for kind, name in sorted(ours.keys() | theirs.keys()):
        left, right = ours.get((kind, name)), theirs.get((kind, name))
        if left is None or right is None:
            yield Difference(kind, name, "b" if left is None else "a", ())
        elif left != right:
            names = left.keys() | right.keys()
            yield Difference(kind, name, "", tuple(sorted(n for n in names if left.get(n) != right.get(n))))


Keys = dict[str, "dict[str, None] | None"]


def _worth_a_look(a: Table, b: Table) -> dict[str, None] | None:
    """The ids to be compared; ``None`` for all that either holds."""
    if a.population is None or a.population != b.population:
        return None
    return dict.fromkeys([*a.held(), *b.held()])


def _contents(state: State, keys: Keys) -> dict[tuple[str, str], Json]:
    named = _names(state, keys)
    by_id = _ById(state, _by_key((key, name) for (key, _), name in named.items()))
    found: dict[tuple[str, str], Json] = {}
    for key, kind in named:
        item = state.table(kind).objects[key]
        shown = {name: _plain(value, by_id) for name, value in item.items() if not _differs_anyhow(name)}
        found[kind, named[key, kind]] = shown
    for link, sources in state.links.items():
        for source, targets in sources.items():
            for target in targets:
                found[f"{link} (link)", f"{by_id(source)} > {by_id(target)}"] = {}
    return found


def _names(state: State, keys: Keys) -> dict[tuple[str, str], str]:
    """A name for each object by id and kind; a number tells those of one name apart, by what they hold."""
    alike: dict[tuple[str, str], list[str]] = {}
    for kind in keys:
        objects = state.table(kind).objects
        wanted = keys[kind]
        for key in objects if wanted is None else wanted:
            item = objects.get(key)
            if item is not None:
                alike.setdefault((kind, _name(item)), []).append(key)
    by_id = _ById(state, _by_key((key, name) for (_, name), twins in alike.items() for key in twins))
    named: dict[tuple[str, str], str] = {}
    for (kind, name), twins in alike.items():
        if len(twins) > 1:
            twins.sort(key=_Content(state, kind, by_id))
        for number, key in enumerate(twins, 1):
            named[key, kind] = name if number == 1 else f"{name} #{number}"
    return named


def _by_key(names: Iterable[tuple[str, str]]) -> dict[str, str]:
    """One name for each id: a team has that of its group, whose id it bears and which alone has a name."""
    found: dict[str, str] = {}
    for key, name in names:
        if key not in found or found[key].startswith(UNNAMED):
            found[key] = name
    return found


class _Content:
    """What tells twins apart, whichever was made first: their properties, and what links to them."""

    def __init__(self, state: State, kind: str, by_id: _ById) -> None:
        self._state = state
        self._kind = kind
        self._by_id = by_id

    def __call__(self, key: str) -> str:
        item = self._state.table(self._kind).objects[key]
        shown = {name: _plain(value, self._by_id) for name, value in item.items() if not _differs_anyhow(name)}
        linked = [
            f"{link} {self._by_id(source)}"
            for link, sources in self._state.backlinks.items()
            for source in sources.get(key, ())
        ]
        return json.dumps([shown, sorted(linked)], sort_keys=True)


def _name(item: Json) -> str:
    return str(next((item[each] for each in _NAMES if item.get(each)), UNNAMED))


class _ById:
    """``by_id(key)`` is the name of the object of that id, or the id itself if there is none."""

    def __init__(self, state: State, named: dict[str, str]) -> None:
        self._named = named
        self._populated = [table.objects for table in state.tables.values() if table.population is not None]

    def __call__(self, key: str) -> str:
        name = self._named.get(key)
        if name is None:
            item = next((found for objects in self._populated if (found := objects.get(key))), None)
            name = self._named[key] = _name(item) if item else key
        return name


def _differs_anyhow(name: str) -> bool:
    return name in _APART or name.startswith("_") or name.endswith(("DateTime", "Timestamp"))


def _plain(value: Any, by_id: _ById) -> Any:
    """A value with the ids in it replaced by the names of what they stand for; unknown ones stay."""
    if isinstance(value, dict):
        return {name: _plain(each, by_id) for name, each in value.items() if not _differs_anyhow(name)}
    if isinstance(value, list):
        return [_plain(each, by_id) for each in value]
    if isinstance(value, str) and len(value) >= GUID_LENGTH:
        return _GUID.sub(lambda found: by_id(found[0].lower()), value)
    return value
