"""Licences in error, and having them processed again where that helps.

``POST /users/{id}/reprocessLicenseAssignment`` processes all that groups give to a user once more
(https://learn.microsoft.com/graph/api/user-reprocesslicenseassignment); it answers before that is done.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from graphkit.engine.change import ABSENT, Action, Change, Desired, Origin, Pace, Reading, Undo, present
from graphkit.engine.plan import chunked
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import keyed, segment
from graphkit.resources.license_advice import Adviser, error_of
from graphkit.resources.license_sets import states_of
from graphkit.resources.reading import read_each, read_list
from graphkit.resources.skus import Skus
from graphkit.resources.users import Users

SELECT = "id,userPrincipalName,usageLocation,assignedLicenses,licenseAssignmentStates"
PAGE = 999
STAGED = "license.scope.user"
DIRECT = "direct"
"""In place of a group's id, in the key of a licence that was given directly."""
IDENTITY = ("user", "userId", "sku", "skuId", "group")


class LicenseScopes(Resource):
    """Where to look: ``properties`` is one of everybody (true; ``skus`` narrows it), pool (uniqueName of a group) or
    user (with sku and disabledPlans). ``expand`` asks for the errors that are found there, and for the licence of a
    user that is not in error: it may be missing.
    """

    kind = "license.scope"
    leads_to: ClassVar = {"user.license": Action.ADD, "user.licenseError": Action.UPDATE}

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._skus = Skus(context)
        self._users = Users(context, also=("licenseAssignmentStates",))
        self._pools: dict[str, str] = {}
        """Ids of the pools that are looked at, to their keys."""
        self._unread: dict[str, str] = {}
        """Why a scope could not be looked at, by its key."""

    async def expand(self, view: PlanView) -> AsyncIterator[Sequence[Desired]]:
        await self._skus.load()
        await self._users.load(view.wanted_count(self.kind))
        for scopes in chunked(view.wanted(self.kind)):
            named = [scope for scope in scopes if "user" in scope.properties]
            users = await self._users.find([scope.properties["user"] for scope in named])
            yield [_wish(each) for each in named if not self._look_at_user(each, users[each.properties["user"]])]
            await self._look_at(scopes)
        # In the order of names, whatever order they came in: seats go to whoever is first.
        adviser = Adviser(self._skus)
        staged = self.context.snapshot.each(STAGED)
        for some in chunked(staged):
            yield [wish for _, found in some for wish in self._errors(adviser, found)]

    async def _look_at(self, scopes: Sequence[Desired]) -> None:
        for scope in scopes:
            if "pool" in scope.properties:
                await self._look_at_pool(scope)
            if scope.properties.get("everybody"):
                params = {"$select": SELECT, "$top": str(PAGE)}
                async for page in self.context.client.list_partitioned("/users", params=params).pages():
                    for user in page:
                        self._stage(scope, present(user), scope.properties.get("skus") or (), "")

    def _look_at_user(self, scope: Desired, reading: Reading) -> bool:
        """Is their licence in error, or can nobody tell?"""
        sku = self._skus.find(scope.properties["sku"])
        self._stage(scope, reading, [scope.properties["sku"]], "")
        states = states_of(reading.value) if reading.value else []
        wrong = (str(state["skuId"]).lower() for state in states if error_of(state))
        return not reading.known or bool(sku and sku.sku_id.lower() in wrong)

    async def _look_at_pool(self, scope: Desired) -> None:
        pool = scope.properties["pool"]
        (group,) = await read_each(self.context.client, [f"{keyed('groups', 'uniqueName', pool)}?$select=id"])
        if group.value is None:
            self._unread[scope.key] = group.why or "there is no such pool"
            return
        group_id = str(group.value["id"])
        self._pools[group_id] = pool
        members = await read_list(
            self.context.client, f"/groups/{segment(group_id)}/membersWithLicenseErrors?$select=id"
        )
        if members.value is None:
            self._unread[scope.key] = members.why or "it is gone"
            return
        paths = [f"/users/{segment(each['id'])}?$select={SELECT}" for each in members.value["value"]]
        for reading in await read_each(self.context.client, paths):
            self._stage(scope, reading, (), group_id)

    def _stage(self, scope: Desired, reading: Reading, skus: Sequence[str], group: str) -> None:
        """Keep somebody with errors, and by which of them: those of some SKUs, or of one group."""
        if reading.value is None:
            if not reading.known:
                self._unread[scope.key] = reading.why
            return
        user = reading.value
        if not any(error_of(state) for state in states_of(user)):
            return
        name = str(user["userPrincipalName"]).lower()
        known = self.context.snapshot.get(STAGED, [name]).get(name) or {
            "user": user,
            "origin": [scope.origin.file, scope.origin.place],
            "within": [],
        }
        ids = [found.sku_id.lower() for sku in skus if (found := self._skus.find(sku))]
        known["within"].append([ids, group])
        self.context.snapshot.put(STAGED, [(name, known)])

    def _errors(self, adviser: Adviser, found: Mapping[str, Any]) -> Iterator[Desired]:
        user, origin = found["user"], Origin(*found["origin"])
        name = str(user["userPrincipalName"])
        for fault in adviser.faults(user):
            if any(
                (not ids or fault.sku_id.lower() in ids) and group in ("", fault.group)
                for ids, group in found["within"]
            ):
                sku = self._skus.name_of(fault.sku_id) or fault.sku_id
                yield Desired(
                    kind="user.licenseError",
                    key=f"{name.lower()}/{sku}/{self._pools.get(fault.group, fault.group) or DIRECT}",
                    origin=origin,
                    properties={
                        "user": name,
                        "userId": user["id"],
                        "sku": sku,
                        "skuId": fault.sku_id,
                        "group": fault.group,
                    },
                    rails={"error": fault.error, "advice": fault.advice},
                )

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        return [
            InputProblem(item.origin.file, item.origin.place, "unknown-sku", f"sku: {name} is not subscribed")
            for item in items
            for name in (item.properties.get("skus") or [item.properties.get("sku", "")])
            if name and self._skus.find(name) is None
        ]

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        return [ABSENT for _ in items]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin)
        if why := self._unread.get(wanted.key, ""):
            line.action, line.note = Action.BLOCKED, f"it could not be looked at: {why}"
        return [line]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return []


def _wish(scope: Desired) -> Desired:
    properties = {name: scope.properties[name] for name in ("user", "sku", "disabledPlans")}
    return Desired(
        kind="user.license", key=scope.key, origin=scope.origin, properties=properties, rails=dict(scope.rails)
    )


class LicenseErrors(Resource):
    """``properties``: user, userId, sku, skuId, group (its id, empty for direct). ``rails``: error, and advice where
    processing does not help.
    """

    kind = "user.licenseError"
    rank = 2
    # All errors of a user are one write.
    pack_limit = 100
    undo = Undo.IRREVERSIBLE
    pace = Pace.LATER

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        ask = sorted({item.properties["userId"] for item in items if "error" not in item.rails})
        paths = [f"/users/{segment(user)}?$select={SELECT}" for user in ask]
        found = dict(zip(ask, await read_each(self.context.client, paths), strict=True))
        return [_reading(item, found) for item in items]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        after = {**{name: wanted.properties[name] for name in IDENTITY}, "error": "None"}
        line = Change(kind=self.kind, key=wanted.key, action=Action.NOOP, after=after, origin=wanted.origin)
        if reading.value is None:
            return [line]
        error, advice = reading.value["error"], wanted.rails.get("advice", "")
        if advice:
            note = f"{error}: {advice}"
            return [Change(kind=self.kind, key=wanted.key, action=Action.BLOCKED, note=note, origin=wanted.origin)]
        line.before, line.action, line.undo = self.before_image(reading), Action.UPDATE, self.undo
        line.note = f"{error}: processed again"
        return [line]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("POST", "/users/{id}/reprocessLicenseAssignment")]

    def pack_key(self, change: Change) -> str:
        return change.key.partition("/")[0]

    def request(self, pack: Sequence[Change]) -> Request:
        user = (pack[0].after or {})["userId"]
        return Request(
            method="POST",
            path=f"/users/{segment(user)}/reprocessLicenseAssignment",
            idempotency=Idempotency.CONVERGENT,
        )

    async def identify(self, change: Change, response: Response) -> str:
        return str((change.after or {})["userId"])


def _reading(item: Desired, users: Mapping[str, Reading]) -> Reading:
    if "error" in item.rails:
        return present({"error": item.rails["error"]})
    user = users[item.properties["userId"]]
    if user.value is None:
        return user
    for state in states_of(user.value):
        mine = str(state.get("skuId")) == item.properties["skuId"]
        if mine and str(state.get("assignedByGroup") or "") == item.properties["group"] and error_of(state):
            return present({"error": error_of(state)})
    return ABSENT
