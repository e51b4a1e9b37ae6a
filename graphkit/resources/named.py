"""Objects that are known by their displayName alone: the kinds of conditional access.

The service lets two of them have one name and offers no place for a marker, so the name must be unique in the input and
in the tenant, and an object of that name that no run of graphkit made is changed only with ``--adopt``. What runs made
or took over is kept on this machine (:mod:`graphkit.engine.ledger`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, Undo, present, unknown
from graphkit.engine.resource import Context, Resource, as_desired
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import segment
from graphkit.protocol.schema import StructuredType, Version, canonical, schema
from graphkit.resources.newer import familiar, newer
from graphkit.resources.reading import differing, read_list
from graphkit.resources.recycling import deletion, restoring

STALE_S = 15.0
"""How old a list may be that stands for reading an object again. The service admits one request a second in all, so
that a list for each write would take half of them."""
READ_ONLY = ("id", "since")
"""What a reading holds beside the object's own properties: its id, and when it was last made or changed."""


class NamedObjects(Resource):
    """``properties``: the object as Graph has it and, if it is not v1.0, ``api``. The key is the displayName.

    A place for an id may hold ``<kind>:<key>`` while that object is still to be made.
    """

    path: ClassVar[str]
    noun: ClassVar[str]
    type_name: ClassVar[str]
    compared: ClassVar[tuple[str, ...]]
    """What is always compared, so that the input's silence about it means that it is not to be there."""
    visibility_s = 120.0
    refuses_twins = False
    in_flight = 4
    # Deleted ones can be restored for 30 days (https://learn.microsoft.com/graph/api/resources/policydeletableitem).
    undo = Undo.WINDOW
    recorded = True

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._lists: dict[Version, tuple[float, Reading]] = {}
        self._listing = asyncio.Lock()

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        lists = await self._lists_for(items)
        for item in items:
            matches = named(lists[version_of(item.properties)], item.key) or []
            if len(matches) > 1:
                item.blocked = item.blocked or self._twins(item.key, matches)
            elif matches:
                self.context.object_ids[self.kind, item.key] = str(matches[0]["id"])
        return []

    async def _lists_for(self, items: Sequence[Desired], *, anew: bool = False) -> dict[Version, Reading]:
        """All live objects as each version shows them that these items go through."""
        versions = sorted({version_of(item.properties) for item in items})
        return {version: await self.listed(version, anew=anew) for version in versions}

    async def listed(self, version: Version, *, anew: bool = False) -> Reading:
        """All live objects as ``{"value": [...]}``: begun after this call if ``anew``, else ``STALE_S`` ago at most."""
        oldest = self.context.clock.monotonic() - (0.0 if anew else STALE_S)
        async with self._listing:
            at, reading = self._lists.get(version, (-STALE_S, ABSENT))
            if version not in self._lists or at < oldest or not reading.known:
                at = self.context.clock.monotonic()
                reading = await read_list(self.context.client, self.path, version)
                self._lists[version] = (at, reading)
                if reading.known:
                    count = len((reading.value or {}).get("value", ()))
                    self.context.sizes.note(f"the {self.noun} list ({version})", count)
        return reading

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        lists = await self._lists_for(items)
        return [self._reading(item, lists[version_of(item.properties)]) for item in items]

    async def look(self, pack: Sequence[Change]) -> Sequence[Reading]:
        """Adopts only what is as it was sent; another object of that name must not be taken for absence."""
        wanted = [as_desired(change) for change in pack]
        lists = await self._lists_for(wanted, anew=True)
        readings = []
        for change, item in zip(pack, wanted, strict=True):
            reading = self._reading(item, lists[version_of(item.properties)])
            if change.action is Action.CREATE and reading.value and not self.settled(change, reading):
                other = reading.value["id"]
                reading = unknown(f"a {self.noun} of that name is there ({other}) that is not what was sent")
            readings.append(reading)
        return readings

    def _reading(self, item: Desired, everything: Reading) -> Reading:
        matches = named(everything, item.key)
        if matches is None:
            return unknown(everything.why)
        if len(matches) > 1:
            return unknown(self._twins(item.key, matches))
        return present(self._image(matches[0], version_of(item.properties))) if matches else ABSENT

    def _image(self, live: Mapping[str, Any], version: Version) -> dict[str, Any]:
        since = max(str(live.get("createdDateTime") or ""), str(live.get("modifiedDateTime") or ""))
        return {"id": str(live["id"]), **canonical(live, self.type_name, version), "since": since}

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.CREATE, origin=wanted.origin, needs=wanted.needs)
        line.after = self.bound(wanted.properties)
        line.note = wanted.rails.get("note", "")
        line.before = self.before_image(reading)
        if line.before is None:
            return [line]
        changed = self.changed(line.before, line.after)
        line.action = Action.UPDATE if changed else Action.NOOP
        if parts := list(newer(version_of(line.after), self._type_of(line.after), line.before, line.after)):
            told = f"left as it is, for this version of graphkit does not know it: {', '.join(parts)}"
            line.note = f"{line.note}; {told}" if line.note else told
        why = self._not_to_be_changed(line.before, line.after, changed) if changed else ""
        if why:
            line.action, line.note, line.before, line.needs = Action.BLOCKED, why, None, ()
        return [line]

    def changed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
        """The properties that differ; those which the input need not know stay as they are."""
        before = familiar(version_of(after), self._type_of(after), before, after)
        return differing(after, before, dict.fromkeys((*self.compared, *(name for name in after if name != "api"))))

    def _type_of(self, after: Mapping[str, Any]) -> StructuredType:
        return schema(version_of(after)).structured(after.get("@odata.type", self.type_name))

    def _not_to_be_changed(self, before: Mapping[str, Any], after: Mapping[str, Any], changed: Sequence[str]) -> str:
        if before.get("@odata.type") != after.get("@odata.type"):
            return f"the live {self.noun} {before['id']} is a {before.get('@odata.type')}: its type cannot be changed"
        if before["id"] in self.context.ours or self.context.options.adopt:
            return ""
        return (
            f"a {self.noun} of that name is there ({before['id']}) that no run made from here, and it differs in "
            f"{', '.join(changed)}: --adopt takes it over"
        )

    def before_image(self, reading: Reading) -> dict[str, Any] | None:
        if reading.value is None:
            return None
        return {name: value for name, value in reading.value.items() if name != "since"}

    def bound(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """In one form, with the ids of what has been made by now in place of ``<kind>:<key>``."""
        ids = {f"{kind}:{key}": object_id for (kind, key), object_id in self.context.object_ids.items()}
        body = {name: value for name, value in properties.items() if name not in ("api", *READ_ONLY)}
        form = canonical(_replaced(body, ids), self.type_name, version_of(properties))
        return {**form, "api": properties["api"]} if "api" in properties else form

    def inverse(self, change: Change, object_id: str) -> Change:
        """An update is taken back as a whole: what it brought in addition goes again."""
        back = super().inverse(change, object_id)
        if change.action is Action.UPDATE:
            kept = {name: value for name, value in (change.after or {}).items() if name == "api"}
            back.after = {**{name: value for name, value in (change.before or {}).items() if name != "id"}, **kept}
        return back

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        if change.action is Action.DELETE:
            return [("DELETE", f"{self.path}/{{id}}")]
        return [("POST", self.path) if change.action is Action.CREATE else ("PATCH", f"{self.path}/{{id}}")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after, before = self.bound(change.after or {}), change.before or {}
        version = version_of(change.after or change.before or {})
        if change.action is Action.DELETE:
            return deletion(f"{self.path}/{segment(before['id'])}", version)
        if change.action is Action.CREATE and "id" in (change.after or {}):
            folder, _, name = self.path.rpartition("/")
            deleted = f"{folder}/deletedItems/{name}"
            return restoring(deleted, (change.after or {})["id"], target=f"{self.kind}:{change.key}", version=version)
        if change.action is Action.CREATE:
            return Request(
                method="POST",
                path=self.path,
                body=msgspec.json.encode(self.sent({name: value for name, value in after.items() if name != "api"})),
                version=version,
                idempotency=Idempotency.KEYED,
                target=f"{self.kind}:{change.key}",
            )
        part = {name: after.get(name) for name in self.changed(before, after)}
        kind = self._type_of(after)
        known = familiar(version, kind, before, after)
        live = {name: known[name] for name in part if known.get(name) is not None}
        body = _telling(version, kind, {name: value for name, value in part.items() if value is not None}, live)
        return Request(
            method="PATCH",
            path=f"{self.path}/{segment(before['id'])}",
            body=msgspec.json.encode(self.sent(body) if "@odata.type" not in after else {**body, **_type_of(after)}),
            version=version,
            idempotency=Idempotency.CONVERGENT,
        )

    async def identify(self, change: Change, response: Response) -> str:
        """What comes back out of the recycle bin keeps its id."""
        return str((change.after or {}).get("id") or "") or await super().identify(change, response)

    def sent(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body with what the service insists on."""
        return body

    def _twins(self, name: str, matches: Sequence[Mapping[str, Any]]) -> str:
        ids = ", ".join(sorted(str(match["id"]) for match in matches))
        return f"{len(matches)} {self.noun}s are called {name} ({ids}): rename or delete all but one"


def version_of(properties: Mapping[str, Any]) -> Version:
    """The version of Graph that an object is read and written through."""
    return "beta" if properties.get("api") == "beta" else "v1.0"


def named(everything: Reading, name: str) -> list[dict[str, Any]] | None:
    """Those of a list that bear exactly this name; None if it could not be read to its end."""
    if not everything.known:
        return None
    return [each for each in (everything.value or {}).get("value", ()) if each.get("displayName") == name]


def _type_of(after: Mapping[str, Any]) -> dict[str, Any]:
    return {"@odata.type": after["@odata.type"]}


def _replaced(value: Any, by: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _replaced(inner, by) for name, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(item, by) for item in value]
    return by.get(value, value) if isinstance(value, str) else value


def _telling(
    version: Version, kind: StructuredType, wanted: Mapping[str, Any], live: Mapping[str, Any]
) -> dict[str, Any]:
    """``wanted`` for a PATCH, which leaves alone what is not named: what is to go is named too, as empty."""
    known = schema(version)
    body: dict[str, Any] = {}
    for name in sorted({*wanted, *live}):
        found = kind.properties.get(name)
        value, there = wanted.get(name), live.get(name)
        if name not in wanted:
            body[name] = None if found is None else [] if found.collection and found.default is None else found.default
        elif (
            found
            and found.type in known
            and not found.reference
            and isinstance(value, dict)
            and isinstance(there, dict)
        ):
            body[name] = _telling(version, known.structured(value.get("@odata.type", found.type)), value, there)
        else:
            body[name] = value
    return body
