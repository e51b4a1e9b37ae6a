"""Temporary access passes: a passcode with which somebody signs in to register what lasts.

https://learn.microsoft.com/graph/api/authentication-post-temporaryaccesspassmethods. A person has one pass; a new one
takes the place of the old. The answer to the POST tells the passcode, and nothing tells it again: it goes to
``Context.handout`` before the change counts as done, and nowhere else. A pass whose answer got lost is therefore of no
use to anybody. If this run issued it, another is issued in its place, which the hand-out says; anybody else's stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, Undo, present
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import AuthError, GraphkitError, InputProblem, ServiceError, Stopped, UsageError
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import segment
from graphkit.protocol.touch import ISSUES_ACCESS, Touch
from graphkit.resources.accounts import NAMED
from graphkit.resources.pass_policy import objections_to
from graphkit.resources.people import People
from graphkit.resources.reading import read_each
from graphkit.resources.recycling import deletion
from graphkit.resources.registration import registrations
from graphkit.resources.users import Users

PATH = "/users/{id}/authentication/temporaryAccessPassMethods"
REGISTERED = "user.accessPass.registered"
"""Kind of the snapshot: who has registered for multifactor authentication, by id."""
SOON_S = 60.0
"""A start no further off than this is no start in the future any more when the service reads it."""
ENDED = "Expired"
"""methodUsabilityReason of a pass that is over (resources/temporaryaccesspassauthenticationmethod)."""
_STATES = {
    "EnabledByPolicy": "which is good now",
    "NotYetValid": "which is good from {start} on",
    "OneTimeUsed": "which has been used",
    "DisabledByPolicy": "which the tenant's policy does not let anybody use",
}
REPLACES = "in place of one that this run had issued and whose answer got lost"


class AccessPasses(Resource):
    """``properties``: person (employee id, key of a ``user`` that the same plan may make) or user (userPrincipalName),
    startsAt (instant; empty: at once), lifetimeInMinutes, isUsableOnce. ``resolve`` adds userId and userPrincipalName.

    Whoever has a pass that is not over keeps it. ``rails`` may hold ``unless_registered`` (none for those who have
    registered for multifactor authentication).
    """

    kind = "user.accessPass"
    rank = 7
    visibility_s = 120.0
    goes_with = frozenset({"user"})
    tells_once = ("person", "userPrincipalName", "pass", "startsAt", "lifetimeInMinutes", "isUsableOnce", "id", "note")

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._people = People(context)
        self._users = Users(context)
        self._unread = ""
        self._looked_for: set[str] = set()
        self._lost: set[str] = set()

    # -- planning --------------------------------------------------------------------------------------------------

    async def gather(self, view: PlanView) -> None:
        people = registered = 0
        for wish in view.wanted(self.kind):
            people += "person" in wish.properties
            registered += bool(wish.rails.get("unless_registered"))
        await self._people.load(people)
        await self._users.load(view.wanted_count(self.kind) - people)
        if registered:
            await self._load_registered()

    async def _load_registered(self) -> None:
        try:
            async for page in registrations(self.context.client):
                known = ((str(person["id"]), 1) for person in page if person.get("isMfaRegistered"))
                self.context.snapshot.put(REGISTERED, known)
        except (AuthError, Stopped):
            raise
        except GraphkitError as error:
            self._unread = f"whether they have registered already could not be read: {error.message}"

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        by_id = [item for item in items if "person" in item.properties]
        found, problems = await self._users.resolve([item for item in items if "person" not in item.properties])
        for item, user in [*found, *await self._known(by_id)]:
            item.properties.update(userId=user["id"], userPrincipalName=str(user["userPrincipalName"]))
        asked = [item for item in items if item.rails.get("unless_registered") and "userId" in item.properties]
        registered = self.context.snapshot.get(REGISTERED, [item.properties["userId"] for item in asked])
        for item in asked:
            item.blocked = item.blocked or self._unread
            item.rails["registered"] = item.properties["userId"] in registered
        return problems

    async def _known(self, items: Sequence[Desired]) -> list[tuple[Desired, Mapping[str, Any]]]:
        """Those who have an account already; the others get it before, by a name that is known by now."""
        readings = await self._people.find([item.properties["person"] for item in items])
        names = self.context.snapshot.get(NAMED, [item.properties["person"].lower() for item in items])
        found: list[tuple[Desired, Mapping[str, Any]]] = []
        for item in items:
            person = item.properties["person"]
            item.blocked = item.blocked or readings[person].why
            item.properties["userPrincipalName"] = names.get(person.lower(), "")
            if user := readings[person].value:
                found.append((item, user))
        return found

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        """Who gets none anyway is not asked for."""
        ids = ["" if item.rails.get("registered") else self._user_id(item.properties) for item in items]
        asked = list(dict.fromkeys(each for each in ids if each))
        paths = [PATH.format(id=segment(each)) for each in asked]
        found = dict(zip(asked, await read_each(self.context.client, paths), strict=True))
        return [_pass_in(found[each]) if each else ABSENT for each in ids]

    def _user_id(self, properties: Mapping[str, Any]) -> str:
        """Empty as long as the account is still to be made."""
        return str(properties.get("userId") or self.context.object_ids.get(("user", properties.get("person", "")), ""))

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        names = ("person", "user", "userId", "userPrincipalName", "startsAt", "lifetimeInMinutes", "isUsableOnce")
        after = {name: wanted.properties[name] for name in names if name in wanted.properties}
        people = [("user", after["person"])] if "person" in after else []
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, after=after, origin=wanted.origin)
        line.needs = (*people, *wanted.needs)
        if reading.value is not None:
            line.note = f"there is a pass already, {_state_of(reading.value)}"
        elif wanted.rails.get("registered"):
            line.note = "has registered for multifactor authentication already"
        else:
            line.action = Action.CREATE
            line.note = (
                f"good from {after['startsAt']} on" if after["startsAt"] else "good from the moment it is issued"
            )
        return [line]

    async def guard(self, view: PlanView) -> list[str]:
        """What the tenant's policy does not allow would be refused one by one."""
        kinds: set[tuple[int, bool]] = set()
        count = 0
        for change in view.changes(self.kind):
            if change.action is Action.CREATE and change.after:
                count += 1
                kinds.add((change.after["lifetimeInMinutes"], change.after["isUsableOnce"]))
        if not count:
            return []
        passes = f"{count:,} temporary access pass{'' if count == 1 else 'es'}"
        self.context.remarks.append(f"{passes} to hand over: apply with --tap-out FILE, where each is written once")
        return await objections_to(sorted(kinds), self.context)

    def touches(self, change: Change) -> Touch:
        image = change.after or change.before or {}
        user = image.get("userId") or image.get("userPrincipalName")
        harm = ISSUES_ACCESS if change.action is Action.CREATE else "takes a sign-in method from"
        return Touch(users=(str(user).lower(),) if user else (), account=True, harm=harm)

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("POST", PATH) if change.action is Action.CREATE else ("DELETE", f"{PATH}/{{id}}")]

    # -- carrying out ----------------------------------------------------------------------------------------------

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        image = change.after or change.before or {}
        path = PATH.format(id=segment(self._user_id(image)))
        if change.action is not Action.CREATE:
            return deletion(f"{path}/{segment(image['id'])}")
        body = {name: image[name] for name in ("lifetimeInMinutes", "isUsableOnce")}
        if start := self._start(image):
            body["startDateTime"] = start
        return Request(method="POST", path=path, body=msgspec.json.encode(body), idempotency=Idempotency.KEYED)

    def _start(self, image: Mapping[str, Any]) -> str:
        """A moment that is past by now means at once."""
        starts = str(image["startsAt"])
        return starts if starts and _seconds(starts) > self.context.clock.now() + SOON_S else ""

    async def clear_the_way(self, pack: Sequence[Change]) -> None:
        if pack[0].action is Action.CREATE and self.context.handout is None:
            raise UsageError("a pass is told once, and no file was named for it", hint="--tap-out FILE")

    async def identify(self, change: Change, response: Response) -> str:
        """The passcode is on the disk before the run says that the pass is there."""
        if change.action is not Action.CREATE or self.context.handout is None:
            return await super().identify(change, response)
        told = response.json()
        passcode, object_id = (str(told.get(name) or "") for name in ("temporaryAccessPass", "id"))
        if not (passcode and object_id):
            message = (
                "the service issued a pass and did not tell it, so that nobody can use it: graphkit resume tries anew"
            )
            raise ServiceError(message, status=response.status)
        after = change.after or {}
        self.context.handout.add(
            {
                "person": str(after.get("person") or ""),
                "userPrincipalName": str(after.get("userPrincipalName") or ""),
                "pass": passcode,
                "startsAt": str(told.get("startDateTime") or after["startsAt"]),
                "lifetimeInMinutes": str(told.get("lifetimeInMinutes") or after["lifetimeInMinutes"]),
                "isUsableOnce": str(bool(told.get("isUsableOnce", after["isUsableOnce"]))).lower(),
                "id": object_id,
                "note": REPLACES if change.key in self._lost else "",
            }
        )
        return object_id

    async def look(self, pack: Sequence[Change]) -> Sequence[Reading]:
        """Asked only of what this run may have sent: a pass like the one wished for is then its own."""
        self._looked_for.update(change.key for change in pack)
        return await super().look(pack)

    def settled(self, change: Change, reading: Reading) -> bool:
        """A pass that is there and whose passcode nobody has is not what was wished for."""
        if change.action is not Action.CREATE:
            return super().settled(change, reading)
        held = self.context.handout
        return reading.value is not None and held is not None and held.holds(str(reading.value["id"]))

    def unchanged(self, change: Change, reading: Reading) -> bool:
        if change.action is not Action.CREATE:
            return super().unchanged(change, reading)
        if reading.value is not None and not self._is_lost(change, reading.value):
            return False
        if reading.value is not None:
            self._lost.add(change.key)
        return reading.known

    def _is_lost(self, change: Change, found: Mapping[str, Any]) -> bool:
        """Is it the one that this run asked for, whose answer never came?"""
        after = change.after or {}
        alike = all(found.get(name) == after[name] for name in ("lifetimeInMinutes", "isUsableOnce"))
        starts = self._start(after)
        on_time = not starts or _seconds(str(found.get("startDateTime"))) == _seconds(starts)
        return change.key in self._looked_for and alike and on_time

    # -- taking back -----------------------------------------------------------------------------------------------

    def left_as_written(self, change: Change, reading: Reading) -> bool:
        """Another pass than the one that the run issued is somebody else's business."""
        made = self.context.object_ids.get((self.kind, change.key))
        return reading.value is not None and str(reading.value["id"]) == made

    def inverse(self, change: Change, object_id: str) -> Change:
        return replace(super().inverse(change, object_id), undo=Undo.IRREVERSIBLE)


def _pass_in(found: Reading) -> Reading:
    """The one pass of a person; one that is over is none."""
    if found.value is None:
        return found
    held = (each for each in found.value.get("value") or () if each.get("methodUsabilityReason") != ENDED)
    there = next(held, None)
    return ABSENT if there is None else present(there)


def _state_of(found: Mapping[str, Any]) -> str:
    words = _STATES.get(str(found.get("methodUsabilityReason")), "of which the service does not say whether it is good")
    return words.format(start=found.get("startDateTime"))


def _seconds(instant: str) -> float:
    """Since the epoch; 0 for what is no instant."""
    try:
        moment = datetime.fromisoformat(instant)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
