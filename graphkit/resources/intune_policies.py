"""Policies of Intune, whatever their kind: known by the marker in their description, else by their name.

Names are not unique there and a repeated POST makes a second policy, so after a lost answer the marker is looked for.
A policy that no marker names is changed only with ``--adopt``; one that holds what is wished already is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, present, unknown
from graphkit.engine.resource import Context, Resource
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.protocol.schema import Version, unmet, validate, without_nulls, write
from graphkit.resources.intune import Endpoint
from graphkit.resources.markers import found_marker, marker, with_marker, without_marker
from graphkit.resources.reading import read_each, read_list
from graphkit.resources.references import find_scope_tags
from graphkit.resources.secrets import sealed

OURS = ("api", "once", "recipe")
"""What a wish holds beside the body. ``once``: names that count for the create alone."""
TYPE = "@odata.type"
MARK = "marker"
TAGS = "roleScopeTagIds"
TENANT = re.compile("%(?:OrganizationId|TenantId)%", re.IGNORECASE)
"""What exporters write for the id of whatever tenant a policy is for."""


class IntunePolicies(Resource):
    """``properties``: the body as Graph has it, ``recipe`` and, if it is not v1.0, ``api``; see ``OURS``.

    The key is the one in the marker. ``resolve`` puts what it found into ``rails["live"]``; without that all is read
    anew. What the body does not name stays as it is.
    """

    endpoint: ClassVar[Endpoint]
    rank = 0
    refuses_twins = False

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        await name_the_tenant(self.context, items)
        live = {version: await self._listed(version) for version in self._versions(items)}
        problems: list[InputProblem] = []
        for item in items:
            match, why = self._match(item, live[self.endpoint.version(item.properties)])
            item.rails["live"] = match
            item.blocked = item.blocked or why
            if match and not item.blocked:
                self.context.object_ids[self.kind, item.key] = str(match["id"])
            problems += self._refused(item)
        await name_tags(self.context, items)
        await self._read_whole([item for item in items if item.rails["live"] and self.endpoint.expand])
        return problems

    def _versions(self, items: Iterable[Desired]) -> list[Version]:
        return sorted({self.endpoint.version(item.properties) for item in items})

    async def _listed(self, version: Version) -> list[dict[str, Any]]:
        """Every policy there is. Raises if the list breaks off."""
        return [policy async for policy in self.context.client.list(self.endpoint.path, version=version)]

    async def _read_whole(self, items: Sequence[Desired]) -> None:
        readings = await fetch_policies(self.context, self.endpoint, items, self.endpoint.detail)
        for item, reading in zip(items, readings, strict=True):
            if reading.value is None:
                item.blocked = item.blocked or f"it could not be read: {reading.why or 'it is not shown any more'}"
            else:
                item.rails["live"] = reading.value

    def _match(self, item: Desired, policies: Sequence[dict[str, Any]]) -> tuple[dict[str, Any] | None, str]:
        """The live policy that is meant, or why none can be taken for it."""
        own = marker(item.properties["recipe"], item.key)
        marked = [policy for policy in policies if found_marker(policy.get("description")) == own]
        if len(marked) > 1:
            return None, f"{len(marked)} policies carry this key in their description ({_ids(marked)}): " + (
                "remove the line from all but one"
            )
        name = item.properties.get(self.endpoint.name)
        called = [policy for policy in policies if policy.get(self.endpoint.name) == name and self._is(policy, item)]
        if not marked and len(called) > 1:
            return None, f"{len(called)} policies are called {name} ({_ids(called)}): rename all but one"
        found = next(iter(marked or called), None)
        if found and not self._is(found, item):
            why = f"the live policy {found['id']} is for another platform ({found.get(TYPE)}), which cannot be changed"
            return None, why
        return found, ""

    def _is(self, policy: Mapping[str, Any], item: Desired) -> bool:
        """Of the type that is wished? A list of one type alone does not say it."""
        wanted = item.properties.get(TYPE)
        return wanted is None or policy.get(TYPE, wanted) == wanted

    def _refused(self, item: Desired) -> list[InputProblem]:
        """What Graph would not take, by its own metadata."""
        body = without_nulls(body_of(item.properties))
        found = validate(body, self.kind, self.endpoint.version(item.properties))
        return [
            InputProblem(item.origin.file, item.origin.place, each.code, f"{each.path}: {each.message}")
            for each in found
        ]

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        if all("live" in item.rails for item in items):
            found = [present(item.rails["live"]) if item.rails["live"] else ABSENT for item in items]
        else:
            known = await fetch_policies(self.context, self.endpoint, items, self.endpoint.detail)
            found = [
                reading if (self.kind, item.key) in self.context.object_ids else await self._search(item)
                for item, reading in zip(items, known, strict=True)
            ]
        return [await self._image(item, reading) for item, reading in zip(items, found, strict=True)]

    async def _search(self, item: Desired) -> Reading:
        """By the marker, for no id is known."""
        version = self.endpoint.version(item.properties)
        everything = await read_list(self.context.client, self.endpoint.path, version)
        if not everything.known:
            return everything
        policies = (everything.value or {}).get("value", ())
        own = marker(item.properties["recipe"], item.key)
        matches = [policy for policy in policies if found_marker(policy.get("description")) == own]
        if len(matches) > 1:
            return unknown(f"{len(matches)} policies carry this key in their description ({_ids(matches)})")
        if not matches:
            return ABSENT
        path = f"{self.endpoint.path}/{segment(str(matches[0]['id']))}{self.endpoint.detail}"
        return (
            (await read_each(self.context.client, [path], version))[0] if self.endpoint.expand else present(matches[0])
        )

    async def _image(self, item: Desired, reading: Reading) -> Reading:
        """What of a live policy is compared and kept: its id, its marker, its text, what the wish names."""
        if reading.value is None:
            return reading
        live = await self.told(item, reading.value)
        kept = {name: live.get(name) for name in self._compared(item.properties)}
        description = live.get("description")
        image = {
            "id": str(live["id"]),
            MARK: found_marker(description),
            **kept,
            "description": without_marker(description),
        }
        return present({**image, TYPE: live[TYPE]} if TYPE in live else image)

    async def told(self, item: Desired, live: dict[str, Any]) -> dict[str, Any]:
        """``live`` with what the service tells only when asked for it."""
        return live

    def _compared(self, properties: Mapping[str, Any]) -> list[str]:
        whole = ("roleScopeTagIds",) if self.endpoint.sealed else ()
        return [name for name in dict.fromkeys((*whole, *body_of(properties))) if name not in _once(properties)]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.CREATE, origin=wanted.origin, needs=wanted.needs)
        line.after = dict(wanted.properties)
        line.note = wanted.rails.get("note", "")
        line.before = self.before_image(reading)
        if line.before is None:
            return [_without_secrets(line, body_of(line.after))]
        changed = self.changed(line.before, line.after)
        mine = line.before[MARK] == marker(line.after["recipe"], line.key)
        written = {name: line.after[name] for name in changed}
        if not mine and (changed or self.context.options.adopt):
            return [_without_secrets(self._taken_over(line, changed), written)]
        line.action = Action.UPDATE if changed else Action.NOOP
        line.note = self.note(line) or line.note
        return [_without_secrets(line, written)]

    def _taken_over(self, line: Change, changed: Sequence[str]) -> Change:
        before = line.before or {}
        if self.context.options.adopt:
            line.action, line.note = Action.UPDATE, f"taken over{' from ' + before[MARK] if before[MARK] else ''}"
            return line
        whose = f"{before[MARK]} keeps" if before[MARK] else "no run made from here"
        name = (line.after or {}).get(self.endpoint.name)
        line.note = (
            f"a policy called {name} is there ({before['id']}) that {whose}, and it differs in {', '.join(changed)}: "
            "--adopt takes it over"
        )
        line.action, line.before, line.needs = Action.BLOCKED, None, ()
        return line

    def note(self, line: Change) -> str:
        """What a reader of the plan should know of this change."""
        return ""

    def changed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
        """The names that differ."""
        names = {name: after[name] for name in self._compared(after) if name in after and name != TYPE}
        if "description" in names:
            names["description"] = without_marker(names["description"])
        told = {TYPE: after[TYPE]} if TYPE in after else {}
        return unmet({**told, **names}, before, self.kind, self.endpoint.version(after))

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        one = f"{self.endpoint.path}/{{id}}"
        verbs = {Action.CREATE: ("POST", self.endpoint.path), Action.DELETE: ("DELETE", one)}
        return [verbs.get(change.action, ("PATCH", one))]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after, before = change.after or {}, change.before or {}
        version = self.endpoint.version(after or before)
        if change.action is Action.CREATE:
            return Request(
                method="POST",
                path=self.endpoint.path,
                body=msgspec.json.encode(self.created(change.key, after)),
                version=version,
                idempotency=Idempotency.KEYED,
                target=f"{self.kind}:{change.key}",
            )
        path = f"{self.endpoint.path}/{segment(before['id'])}"
        if change.action is Action.DELETE:
            return Request(method="DELETE", path=path, version=version, idempotency=Idempotency.CONVERGENT)
        method, body = self._update(change)
        return Request(
            method=method,
            path=path,
            body=msgspec.json.encode(body),
            version=version,
            idempotency=Idempotency.CONVERGENT,
        )

    def created(self, key: str, properties: Mapping[str, Any]) -> dict[str, Any]:
        """The body of the POST."""
        body: dict[str, Any] = without_nulls(body_of(properties))
        return {**body, "description": with_marker(body.get("description"), marker(properties["recipe"], key))}

    def _update(self, change: Change) -> tuple[str, dict[str, Any]]:
        """The type is sent again, for it decides which settings there are (microsoft-graph-docs#5517)."""
        after, before = change.after or {}, change.before or {}
        own = marker(after["recipe"], change.key)
        changed = self.changed(before, after)
        told = {TYPE: after[TYPE]} if TYPE in after else {}
        text = after["description"] if "description" in changed else before["description"]
        described = {"description": with_marker(text, own)}
        if set(self.endpoint.sealed).intersection(changed):
            kept = {name: value for name, value in before.items() if name not in ("id", MARK, TYPE)}
            return "PUT", {**told, **without_nulls({**kept, **body_of(after)}), **described}
        part = write(changed, {**told, **body_of(after)}, before, self.kind, self.endpoint.version(after))
        if "description" in part or before[MARK] != own:
            part.update(described)
        return "PATCH", {**told, **part}


async def name_the_tenant(context: Context, items: Sequence[Desired]) -> None:
    """Put the tenant's own id where an export says only that it is meant."""
    texts = {id(item): msgspec.json.encode(item.properties).decode() for item in items}
    named = [item for item in items if TENANT.search(texts[id(item)])]
    if named:
        answer = await context.client.get("/organization?$select=id")
        (tenant, *_) = answer["value"]
        for item in named:
            item.properties = msgspec.json.decode(TENANT.sub(str(tenant["id"]), texts[id(item)]))


async def fetch_policies(
    context: Context, endpoint: Endpoint, items: Sequence[Desired], query: str = "", *, key: str = ""
) -> list[Reading]:
    """Policies one by one: absent where no id is known, or nothing has it any more.

    ``key`` names the property that holds the policy's key, where the items are something that belongs to one.
    """
    ids = [context.object_ids.get((endpoint.kind, item.properties[key] if key else item.key)) for item in items]
    found: dict[tuple[str, str], Reading] = {}
    for version in sorted({endpoint.version(item.properties) for item in items}):
        of_version = {
            object_id
            for object_id, item in zip(ids, items, strict=True)
            if endpoint.version(item.properties) == version
        }
        known = sorted(each for each in of_version if each)
        readings = await read_each(
            context.client, [f"{endpoint.path}/{segment(each)}{query}" for each in known], version
        )
        found.update({(version, each): reading for each, reading in zip(known, readings, strict=True)})
    return [
        found[endpoint.version(item.properties), object_id] if object_id else ABSENT
        for object_id, item in zip(ids, items, strict=True)
    ]


async def name_tags(context: Context, items: Sequence[Desired]) -> None:
    """Numbers in the place of scope tags that are given by name; what names none is blocked."""
    named = {tag for item in items for tag in item.properties.get(TAGS) or () if not tag.isdigit()}
    if not named:
        return
    if context.options.allow_beta:
        ids, reasons = await find_scope_tags(context, named)
    else:
        ids, reasons = {}, dict.fromkeys(named, "needs beta: scope tags have names in Graph's beta only (--allow-beta)")
    for item in items:
        tags = item.properties.get(TAGS) or ()
        if why := next((reasons[tag] for tag in tags if tag in reasons), ""):
            item.blocked = item.blocked or (why if why.startswith("needs") else f"missing binding: {why}")
        elif set(tags) & named:
            item.properties[TAGS] = [ids.get(tag, tag) for tag in tags]


def body_of(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a wish that Graph is to see."""
    return {name: value for name, value in properties.items() if name not in OURS}


def needs_policy(context: Context, kind: str, key: str) -> tuple[tuple[str, str], ...]:
    """What belongs to a policy waits for it only if it is not there yet."""
    return () if (kind, key) in context.object_ids else ((kind, key),)


def _without_secrets(line: Change, written: Mapping[str, Any]) -> Change:
    """Blocked, if a mask would be written in the place of a secret."""
    where = next(sealed(written), "") if line.action.writes else ""
    if where:
        line.note = f"secret by reference: {where} is a reference that counts in its own policy alone: give the value"
        line.action, line.before, line.after, line.needs = Action.BLOCKED, None, None, ()
    return line


def _once(properties: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(properties.get("once", ()))


def _ids(policies: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(sorted(str(policy["id"]) for policy in policies))
