"""Members of groups that graphkit keeps.

Twenty are added by one ``PATCH /groups/{id}`` with ``members@odata.bind``: one write, all or nothing
(https://learn.microsoft.com/graph/api/group-post-members). They are removed one by one.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Origin, Pace, Reading, Verdict, present, unknown
from graphkit.engine.forecast import Alternative
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import GraphkitError, InputProblem, ServiceError, Stopped
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import segment
from graphkit.resources.license_effects import effects_on_members
from graphkit.resources.skus import Skus
from graphkit.resources.users import Users

PAGE = 999
WORTH_A_LINE = 200
"""People from whom on the two ways to license them are told apart in a plan."""


class Members(Resource):
    """``properties``: group (key of a ``group``), user (userPrincipalName or id). ``resolve`` adds userId.

    The key is ``<group>/<user>``. ``rails`` of the group may hold ``cap`` (members allowed, those already there
    included), ``sku`` (whose seats the members take) and ``authoritative`` (members not wanted are removed); those of
    the member ``signs_in`` (leave out disabled accounts).
    """

    kind = "group.member"
    rank = 1
    pack_limit = 20
    visibility_s = 120.0
    goes_with = frozenset({"group"})
    # Where the group gives licences.
    pace = Pace.PERHAPS_LATER
    # The service itself refuses to add a member twice, and that answer is read back.
    rechecked = False

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._users = Users(context)
        self._unread: dict[str, str] = {}
        self._looks: defaultdict[str, Looks] = defaultdict(Looks)

    async def gather(self, view: PlanView) -> None:
        await self._users.load(view.wanted_count(self.kind))

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        found, problems = await self._users.resolve(items)
        for item, user in found:
            item.rails["holds"] = [held.get("skuId") for held in user.get("assignedLicenses") or ()]
            if item.rails.get("signs_in") and user.get("accountEnabled") is False:
                item.blocked = item.blocked or "the account is disabled: nobody signs in with it"
        self.context.snapshot.put("group.member.wanted", ((_pair(item), 1) for item in items if not item.absent))
        return problems

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        for group in sorted({item.properties["group"] for item in items}):
            await self._list(group)
        pairs = [_pair(item) for item in items]
        seen = self.context.snapshot.get(self.kind, pairs)
        return [self._reading(item, pair in seen) for item, pair in zip(items, pairs, strict=True)]

    def _reading(self, item: Desired, there: bool) -> Reading:
        if there:
            return present({"id": item.properties["userId"]})
        why = self._unread.get(item.properties["group"])
        return unknown(why) if why else ABSENT

    async def _list(self, group: str) -> None:
        """Bring all members of a group, once. A list that breaks off proves nothing."""
        snapshot = self.context.snapshot
        if snapshot.is_complete(self.kind, group):
            return
        self._unread.pop(group, None)
        group_id = self.context.object_ids.get(("group", group))
        if group_id:
            path = f"/groups/{segment(group_id)}/members"
            try:
                async for page in self.context.client.pages(path, params={"$select": "id", "$top": str(PAGE)}):
                    snapshot.put(self.kind, ((f"{group}/{member['id']}", 1) for member in page))
            except Stopped:
                raise
            except ServiceError as error:
                new = ("group", group) in self.context.created
                if not (new and error.status == 404):
                    self._unread[group] = error.message
                    return
            except GraphkitError as error:
                self._unread[group] = error.message
                return
        snapshot.mark_complete(self.kind, group)

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        after = {name: wanted.properties[name] for name in ("group", "user", "userId")}
        action = Action.ADD if reading.value is None else Action.NOOP
        needs = (("group", after["group"]),)
        yield Change(kind=self.kind, key=wanted.key, action=action, after=after, needs=needs, origin=wanted.origin)

    async def extras(self, view: PlanView) -> Iterable[Change]:
        found: list[Change] = []
        for group in view.wanted("group"):
            if group.rails.get("authoritative") and self.context.snapshot.is_complete(self.kind, group.key):
                found += self._unwanted(group)
        return found

    def _unwanted(self, group: Desired) -> Iterator[Change]:
        pairs = [pair for pair, _ in self.context.snapshot.each(self.kind, f"{group.key}/")]
        wanted = self.context.snapshot.get("group.member.wanted", pairs)
        for pair in pairs:
            if pair not in wanted:
                user_id = pair.rsplit("/", 1)[1]
                before = {"group": group.key, "user": user_id, "userId": user_id}
                yield Change(kind=self.kind, key=pair, action=Action.REMOVE, before=before, origin=group.origin)

    def alternative(self, view: PlanView) -> Alternative | None:
        """Licences by group against licences one by one: twenty people to a write, or one."""
        pools = {group.key for group in view.wanted("group") if group.rails.get("sku")}
        added = Counter(_group_of(key) for key, action in view.actions(self.kind) if action is Action.ADD)
        added = Counter({group: count for group, count in added.items() if group in pools})
        people = sum(added.values())
        if people < WORTH_A_LINE:
            return None
        return Alternative(
            chosen="licences by group",
            route=("PATCH", "/groups/{id}"),
            writes=sum(math.ceil(count / self.pack_limit) for count in added.values()),
            other="one by one",
            other_route=("POST", "/users/{id}/assignLicense"),
            other_writes=people,
        )

    async def guard(self, view: PlanView) -> list[str]:
        groups = {group.key: group for group in view.wanted("group")}
        return [*self._over_cap(view, groups), *await self._short_of_seats(view, groups)]

    def _over_cap(self, view: PlanView, groups: dict[str, Desired]) -> Iterator[str]:
        tally: Counter[tuple[str, Action]] = Counter(
            (_group_of(key), action) for key, action in view.actions(self.kind)
        )
        over = {}
        for key, group in groups.items():
            cap = group.rails.get("cap")
            there = self.context.snapshot.count(self.kind, f"{key}/")
            members = there + tally[key, Action.ADD] - tally[key, Action.REMOVE]
            # A pool that is too full already and gets nobody new is no reason to stop.
            if cap is not None and members > cap and tally[key, Action.ADD]:
                over[key] = members
        added = self._added(view, over)
        for key, members in over.items():
            cap, in_order = groups[key].rails["cap"], sorted(added[key])
            place = max(0, len(in_order) - (members - cap))
            (file, row), first = in_order[place]
            yield (
                f"{key}: {members} members wanted, cap is {cap}; "
                f"number {members - len(in_order) + place + 1} is {first.rpartition('/')[2]} ({file} row {row})"
            )

    def _added(self, view: PlanView, groups: Collection[str]) -> dict[str, list[tuple[tuple[str, Any], str]]]:
        """Who is added to these groups, with the place that asked for it; the plan is read once for all of them."""
        added: dict[str, list[tuple[tuple[str, Any], str]]] = {key: [] for key in groups}
        for change in view.changes(self.kind) if groups else ():
            if change.action is Action.ADD and (key := _group_of(change.key)) in added:
                added[key].append((_by_place(change.origin), change.key))
        return added

    async def _short_of_seats(self, view: PlanView, groups: dict[str, Desired]) -> list[str]:
        """Seats of a SKU are one pool for the whole plan. Whoever holds the SKU already takes no further seat."""
        skus = Skus(self.context)
        await skus.load()

        def demand() -> Iterator[tuple[str, Origin]]:
            for wanted in view.wanted(self.kind):
                group = groups.get(wanted.properties["group"])
                sku = skus.find(group.rails.get("sku", "")) if group else None
                if sku and not wanted.absent and sku.sku_id not in wanted.rails.get("holds", ()):
                    yield sku.part_number, wanted.origin

        return skus.shortages(demand)

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        if change.action is Action.REMOVE:
            return [("DELETE", "/groups/{id}/members/{member}/$ref")]
        return [("PATCH", "/groups/{id}")]

    def pack_key(self, change: Change) -> str:
        return change.key if change.action is Action.REMOVE else f"add {change.key.rsplit('/', 1)[0]}"

    def request(self, pack: Sequence[Change]) -> Request:
        properties = [change.after or change.before or {} for change in pack]
        group_id = self.context.object_id("group", properties[0]["group"])
        if pack[0].action is Action.REMOVE:
            member = segment(properties[0]["userId"])
            return Request(
                method="DELETE",
                path=f"/groups/{segment(group_id)}/members/{member}/$ref",
                idempotency=Idempotency.CONVERGENT,
                commutative=True,
            )
        root = f"{self.context.client.cloud.graph_root}/v1.0/directoryObjects/"
        return Request(
            method="PATCH",
            path=f"/groups/{segment(group_id)}",
            body=msgspec.json.encode({"members@odata.bind": [root + each["userId"] for each in properties]}),
            idempotency=Idempotency.CONVERGENT,
            commutative=True,
        )

    async def identify(self, change: Change, response: Response) -> str:
        return str((change.after or change.before or {})["userId"])

    async def effective(self, changes: Sequence[Change]) -> Sequence[Verdict]:
        return await effects_on_members(self.context, changes)

    async def look(self, pack: Sequence[Change]) -> Sequence[Reading]:
        (group,) = {(change.after or change.before or {})["group"] for change in pack}
        looks = self._looks[group]
        own = looks.begun + 1
        # One list at a time, which serves all who asked before it was begun: two at once would mix in the snapshot.
        async with looks.turn:
            if looks.begun < own:
                looks.begun += 1
                self.context.snapshot.forget(self.kind, group)
            return await super().look(pack)


@dataclass(slots=True)
class Looks:
    """How often the members of one group were listed anew, and whose turn it is."""

    begun: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


def _pair(item: Desired) -> str:
    return f"{item.properties['group']}/{item.properties['userId']}" if "userId" in item.properties else item.key


def _group_of(key: str) -> str:
    return key.rpartition("/")[0]


def _by_place(origin: Origin) -> tuple[str, Any]:
    return (origin.file, origin.place)
