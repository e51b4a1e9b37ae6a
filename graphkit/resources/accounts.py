"""Accounts of people, known by employee id: made, brought back, enabled, disabled, deleted.

https://learn.microsoft.com/graph/api/user-post-users. The initial password is made for each request, sent and
forgotten; nobody is told, for the account begins with a temporary access pass or a reset. A deleted account stays
restorable for 30 days (https://learn.microsoft.com/graph/api/user-delete).
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, Undo
from graphkit.engine.resource import Context, PlanView, Resource, touched
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import segment
from graphkit.protocol.touch import Touch
from graphkit.resources.domains import verified_domains
from graphkit.resources.people import ELSEWHERE, SYNCED, People
from graphkit.resources.reading import read_each
from graphkit.resources.recycling import deletion, restoring

RESERVED, NAMED = "person.reserved", "person.named"
"""Kinds of the snapshot: names that this plan gives away, to the employee id; and the name that a new account gets, by
employee id in lower case."""
MOST_TRIED = 99
PASSWORD_LENGTH = 24
_CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "!#%*+-=?@_")


class Accounts(Resource):
    """``properties``: employeeId (which is the key), userPrincipalName, accountEnabled and what the account says of the
    person. ``resolve`` adds the id of one that waits in the recycle bin.

    ``rails`` may hold ``made_of_names`` (the name is ours to choose: if it is taken, the next number), ``state_free``
    (whether it is enabled is left alone once it is there) and ``must_exist`` (none is made).
    """

    kind = "user"
    visibility_s = 120.0
    undo = Undo.WINDOW

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._people = People(context)
        self._domains: list[str] | None = None

    async def gather(self, view: PlanView) -> None:
        """Names that the input gives go before those that are made here."""
        await self._people.load(view.wanted_count(self.kind))
        given = (wish for wish in view.wanted(self.kind) if _may_be_made(wish) and not wish.rails.get("made_of_names"))
        self.context.snapshot.put(RESERVED, ((_upn(wish), wish.key) for wish in given))

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        readings = await self._people.find([item.key for item in items])
        new = []
        for item in items:
            reading = readings[item.key]
            item.rails["seen"] = [reading.value, reading.why]
            if reading.known and reading.value is None and _may_be_made(item) and not item.blocked:
                new.append(item)
        if new:
            await self._people.load_deleted()
            self._domains = await verified_domains(self.context) if self._domains is None else self._domains
        deleted = self._people.deleted([item.key for item in new])
        for item in new:
            if item.key in deleted:
                await self._bring_back(item, deleted[item.key])
            else:
                await self._name(item)
        self.context.snapshot.put(NAMED, ((item.key.lower(), item.properties["userPrincipalName"]) for item in new))
        return []

    async def _bring_back(self, item: Desired, deleted: Sequence[dict[str, Any]]) -> None:
        found = deleted[0]
        upn = str(found["userPrincipalName"]).removeprefix(str(found["id"]).replace("-", ""))
        item.properties = {"id": found["id"], "employeeId": item.properties["employeeId"], "userPrincipalName": upn}
        item.rails["note"] = f"restored from the recycle bin, where it is since {str(found['deletedDateTime'])[:10]}"
        if len(deleted) > 1:
            item.rails["note"] += f"; {len(deleted) - 1} older ones of this employee id stay there"
        holder = await self._people.holder_of(upn)
        if holder.value or not holder.known:
            taken = f"belongs to {holder.value['id']} now" if holder.value else f"could not be looked up: {holder.why}"
            item.blocked = item.blocked or f"it waits in the recycle bin as {upn}, a name that {taken}"

    async def _name(self, item: Desired) -> None:
        """The name that it gets, or why it gets none."""
        first = item.properties["userPrincipalName"]
        domain = first.partition("@")[2].lower()
        if self._domains and domain not in self._domains:
            item.blocked = item.blocked or f"{domain} is not a domain of this tenant ({', '.join(self._domains)})"
            return
        free = await self._first_free(first, item.key)
        if free == first.lower():
            return
        shown = f"{first} is taken"
        if not free:
            item.blocked = item.blocked or f"{shown}, and so are the next {MOST_TRIED}: give a upn"
        elif item.rails.get("made_of_names"):
            item.properties.update(userPrincipalName=free, mailNickname=free.partition("@")[0])
            item.rails["note"] = f"{shown}: {free} instead"
        else:
            item.blocked = item.blocked or f"{shown}: {free} is free"

    async def _first_free(self, upn: str, key: str) -> str:
        """Reserves it too, unless it was; whoever cannot be looked up counts as there."""
        local, _, domain = upn.lower().partition("@")
        for number in range(1, MOST_TRIED + 2):
            name = f"{local}{number if number > 1 else ''}@{domain}"
            reserved = self.context.snapshot.get(RESERVED, [name]).get(name, key)
            if reserved == key and await self._people.holder_of(name) == ABSENT:
                self.context.snapshot.put(RESERVED, [(name, key)])
                return name
        return ""

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        """What ``resolve`` saw, else what is there now: by id where it is known."""
        found: dict[int, Reading] = {}
        for place, item in enumerate(items):
            if "seen" in item.rails:
                value, why = item.rails["seen"]
                found[place] = Reading(value=value, why=why)
        ask = [place for place in range(len(items)) if place not in found]
        known = [place for place in ask if items[place].properties.get("id")]
        select = "id,userPrincipalName,accountEnabled,employeeId"
        paths = [f"/users/{segment(items[place].properties['id'])}?$select={select}" for place in known]
        found.update(zip(known, await read_each(self.context.client, paths), strict=True))
        others = [place for place in ask if place not in found]
        found.update(zip(others, await self._people.ask([items[place].key for place in others]), strict=True))
        return [found[place] for place in range(len(items))]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin, needs=wanted.needs)
        line.note = str(wanted.rails.get("note", ""))
        enabled = wanted.properties.get("accountEnabled")
        line.before = self.before_image(reading)
        if line.before is None and wanted.rails.get("must_exist"):
            line.note = "there is no account with this employee id"
        elif line.before is None:
            line.action, line.after = Action.CREATE, dict(wanted.properties)
        elif enabled not in (None, line.before["accountEnabled"]) and not wanted.rails.get("state_free"):
            line.action = Action.UPDATE
            line.after = {"id": line.before["id"], "accountEnabled": enabled}
        return [_unless_synced(line, reading)]

    def removal(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        for line in super().removal(wanted, reading):
            if reading.value is not None:
                line.action, line.undo = Action.DELETE, self.undo
                line.before = {"id": reading.value["id"], "userPrincipalName": reading.value.get("userPrincipalName")}
            yield _unless_synced(line, reading)

    def before_image(self, reading: Reading) -> dict[str, Any] | None:
        if reading.value is None:
            return None
        return {"id": str(reading.value["id"]), "accountEnabled": reading.value.get("accountEnabled")}

    def touches(self, change: Change) -> Touch:
        image = {**(change.before or {}), **(change.after or {})}
        user = image.get("id")
        return replace(touched(change, self.context), account=True, users=(str(user).lower(),) if user else ())

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        if change.action is Action.CREATE:
            back = "id" in (change.after or {})
            return [("POST", "/directory/deletedItems/{id}/restore" if back else "/users")]
        return [("DELETE" if change.action is Action.DELETE else "PATCH", "/users/{id}")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        before, after = change.before or {}, change.after or {}
        if change.action is Action.DELETE:
            return deletion(f"/users/{segment(before['id'])}")
        if change.action is Action.CREATE and "id" in after:
            return restoring("/directory/deletedItems", after["id"], target=f"user:{change.key}")
        if change.action is Action.CREATE:
            profile = {"password": new_password(), "forceChangePasswordNextSignIn": True}
            return Request(
                method="POST",
                path="/users",
                body=msgspec.json.encode({**after, "passwordProfile": profile}),
                idempotency=Idempotency.KEYED,
                target=f"user:{change.key}",
            )
        return Request(
            method="PATCH",
            path=f"/users/{segment(after['id'])}",
            body=msgspec.json.encode({"accountEnabled": after["accountEnabled"]}),
            idempotency=Idempotency.CONVERGENT,
        )

    async def identify(self, change: Change, response: Response) -> str:
        """What comes back out of the recycle bin keeps its id."""
        return str((change.after or {}).get("id") or "") or await super().identify(change, response)


class Deletions(Accounts):
    """The accounts of leavers, deleted after all else: the key is the employee id, the wish always ``absent``."""

    kind = "user.deletion"
    rank = 8


def new_password() -> str:
    """One that nobody knows: characters of all four classes, in no order that could be told."""
    letters = [secrets.choice(each) for each in _CLASSES]
    letters += [secrets.choice("".join(_CLASSES)) for _ in range(PASSWORD_LENGTH - len(letters))]
    secrets.SystemRandom().shuffle(letters)
    return "".join(letters)


def _unless_synced(line: Change, reading: Reading) -> Change:
    """Only an account that is at home here can be written here."""
    if line.action.writes and (reading.value or {}).get(SYNCED):
        return Change(kind=line.kind, key=line.key, action=Action.BLOCKED, note=ELSEWHERE, origin=line.origin)
    return line


def _may_be_made(wish: Desired) -> bool:
    return not (wish.absent or wish.rails.get("must_exist"))


def _upn(wish: Desired) -> str:
    return str(wish.properties["userPrincipalName"]).lower()
