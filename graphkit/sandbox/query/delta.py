"""Delta queries on directory objects: a walk over all there is, then rounds of what has changed since.

concepts/delta-query-overview.md, api/user-delta.md and api/group-delta.md of microsoft-graph-docs-contrib. All that a
client needs to go on is in the token of the link it was given; the tenant keeps nothing of it. Where a round begins,
the replicas may not have settled: what they may miss is told again in the next, as the page promises ("replays").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from graphkit.sandbox.call import Call, Json, Reply
from graphkit.sandbox.memory.journal import REMOVED, Journal
from graphkit.sandbox.memory.recycling import BINS
from graphkit.sandbox.query.delta_links import Mark, first_mark, link_to, read_mark
from graphkit.sandbox.query.shape import Kind, empties

PAGE = 100
MAX_LINKS = 1000
"""Objects of a page, and members that it tells of; the service names no figures (an assumption)."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """A kind that can be followed. ``relations`` are told as ``<name>@delta``; ``sources`` names, for what is worked
    out of a property, that property."""

    kind: Kind
    relations: tuple[str, ...]
    sources: Mapping[str, str] = field(default_factory=dict)


def changes(call: Call, tracked: Tracked) -> Reply:
    """The answer of a delta function: of its first call, or of a link that it gave."""
    names, told = tracked.kind.name, call.query
    is_first = not told.get("$skiptoken") and told.get("$deltatoken") in ("", "latest")
    mark = first_mark(call, tracked.kind, tracked.relations) if is_first else read_mark(call, tracked.kind)
    if told.get("$deltatoken") == "latest":
        value, following = list[Json](), None
    else:
        value, following = _Page(call, tracked, mark).fill()
    shown = f"({','.join(mark.select)})" if is_first and mark.select else ""
    found: Json = {"@odata.context": call.context(names + shown)}
    found.update(link_to(call, names, following, mark))
    return Reply(200, {**found, "value": value})


class _Page:
    """One page, from the place that ``mark`` names."""

    def __init__(self, call: Call, tracked: Tracked, mark: Mark) -> None:
        self._call = call
        self._tracked = tracked
        self._mark = mark
        self._journal: Journal = call.tenant.state.journals[tracked.kind.name]
        self._known = empties(tracked.kind, call.version)
        self._minimal = "return=minimal" in call.headers.get("prefer", "").lower()
        self._room = MAX_LINKS

    def fill(self) -> tuple[list[Json], Mark | None]:
        """What is told, and where the next page begins, if there is one."""
        value: list[Json] = []
        for cursor, key in self._entries():
            if len(value) == PAGE or not self._room:
                return value, msgspec.structs.replace(self._mark, cursor=cursor, after="")
            after = self._mark.after if cursor == self._mark.cursor else ""
            shown, last = self._told(key, after)
            if shown is not None:
                value.append(shown)
            if last:
                return value, msgspec.structs.replace(self._mark, cursor=cursor, after=last)
        return value, None

    def _entries(self) -> Iterator[tuple[int, str]]:
        """The ids still to be looked at, each with the cursor by which one comes back to it."""
        mark = self._mark
        if mark.changes:
            found = ((number - 1, key) for number, key in self._journal.since(mark.cursor))
            yield from ((cursor, key) for cursor, key in found if not mark.ids or key in mark.ids)
        elif mark.ids:
            yield from ((place, mark.ids[place]) for place in range(mark.cursor, len(mark.ids)))
        else:
            places = self._call.tenant.state.table(self._tracked.kind.name).in_order().walk(mark.cursor)
            yield from ((place, item["id"]) for place, item in places if item is not None)

    def _told(self, key: str, after: str) -> tuple[Json | None, str]:
        """An object as it is told, and the last of its links if more are to follow."""
        changed = self._changed(key) if self._mark.changes else None
        if changed is not None and not self._matters(changed):
            return None, ""
        item = self._seen(key)
        if item is None:
            return (self._removed(key) if changed and REMOVED in changed else None), ""
        links, last = self._links(key, after, changed)
        shown = {"id": key} if after else self._properties(item, changed)
        return {**shown, **links}, last

    def _changed(self, key: str) -> frozenset[str]:
        """What has changed of an object, and what is worked out of that."""
        names = self._journal.changed(key, self._mark.since)
        return names.union(name for name, source in self._tracked.sources.items() if source in names)

    def _matters(self, changed: frozenset[str]) -> bool:
        """With ``$select``, changes of anything else are not told; a coming or going always is."""
        return not self._mark.select or not changed.isdisjoint((*self._mark.select, "id", REMOVED))

    def _seen(self, key: str) -> Json | None:
        call = self._call
        item = call.tenant.state.get(self._tracked.kind.name, key)
        if item is None or not call.tenant.replication.visible(item, call.now, call.replica):
            return None
        return call.tenant.replication.as_seen(item, call.now, call.replica)

    def _removed(self, key: str) -> Json | None:
        state = self._call.tenant.state
        if state.get(self._tracked.kind.name, key):
            return None  # back again, which this replica does not know
        waits = state.get(BINS[self._tracked.kind.name], key)
        return {"id": key, REMOVED: {"reason": "changed" if waits else "deleted"}}

    def _properties(self, item: Json, changed: frozenset[str] | None) -> Json:
        """What was never set is left out."""
        shown: Json = {}
        for name in self._names(changed):
            if name in self._tracked.relations or name not in self._known:
                continue
            derive = self._tracked.kind.derived.get(name)
            value = derive(self._call, item) if derive else item.get(name)
            if value or value is False or name in item or (changed and name in changed):
                shown[name] = self._known[name] if value is None else value
        return {**shown, "id": item["id"]}

    def _names(self, changed: frozenset[str] | None) -> tuple[str, ...]:
        """Without ``$select`` what is shown by default, and what has changed; with ``Prefer: return=minimal`` of all
        that only what has changed."""
        chosen = self._mark.select or self._tracked.kind.default_select or ()
        if changed is None:
            return chosen
        if self._mark.select:
            return tuple(name for name in chosen if name in changed or not self._minimal)
        more = sorted(changed.intersection(self._known))
        return tuple(more if self._minimal else dict.fromkeys([*chosen, *more]))

    def _links(self, key: str, after: str, changed: frozenset[str] | None) -> tuple[Json, str]:
        """``members@delta`` and the like, as far as there is room on the page."""
        told = [name for name in self._tracked.relations if not self._mark.select or name in self._mark.select]
        pairs = [(name, target) for name in told for target in self._targets(name, key, changed)]
        left = sorted(f"{name}/{target}" for name, target in pairs)
        left = [pair for pair in left if pair > after]
        now, later = left[: self._room], left[self._room :]
        self._room -= len(now)
        found: Json = {}
        for pair in now:
            name, _, target = pair.partition("/")
            found.setdefault(f"{name}@delta", []).append(self._link(name, key, target))
        return found, now[-1] if later and now else ""

    def _targets(self, relation: str, key: str, changed: frozenset[str] | None) -> list[str]:
        if changed is None:
            return list(self._linked(relation, key))
        if "id" in changed:
            # Somebody new, or back: told as if for the first time.
            return list({**self._linked(relation, key), **dict.fromkeys(self._relinked(relation, key))})
        return self._relinked(relation, key)

    def _relinked(self, relation: str, key: str) -> list[str]:
        return self._journal.targets(relation, key, self._mark.since)

    def _linked(self, relation: str, key: str) -> dict[str, None]:
        return self._call.tenant.replication.linked(relation, key, self._call.now, self._call.replica)

    def _link(self, relation: str, key: str, target: str) -> Json:
        shown: Json = {"@odata.type": f"#microsoft.graph.{self._type_of(target)}", "id": target}
        return shown if target in self._linked(relation, key) else {**shown, REMOVED: {"reason": "deleted"}}

    def _type_of(self, key: str) -> str:
        state = self._call.tenant.state
        for table in ("users", "groups", "servicePrincipals", "devices"):
            if state.get(table, key) or (table in BINS and state.get(BINS[table], key)):
                return table.removesuffix("s")
        return "user"
