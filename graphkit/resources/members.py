"""Members of groups that graphkit keeps.

Twenty are added by one ``PATCH /groups/{id}`` with ``members@odata.bind``: one write, all or nothing
(https://learn.microsoft.com/graph/api/group-post-members). They are removed one by one.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from graphkit.engine.change import ABSENT, Action, Change, Desired, Origin, Pace, Reading, Verdict, present, unknown
from graphkit.engine.forecast import Alternative
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import GraphkitError, InputProblem, ServiceError, Stopped
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import segment
from graphkit.resources.group_references import NOBODY_SHOWN, shows_nobody
from graphkit.resources.license_effects import effects_on_members
from graphkit.resources.people import People
from graphkit.resources.seats import over_org_caps
from graphkit.resources.skus import Sku, Skus
from graphkit.resources.users import Users

PAGE = 999
IDENTITY = ("group", "user", "person", "userId")
WANTED, JOINS = "group.member.wanted", "group.member.joins"
"""Kinds of the snapshot where members not wanted are removed: who is, and to which groups somebody comes."""
WORTH_A_LINE = 200
"""People from whom on the two ways to license them are told apart in a plan."""


class Members(Resource):
    """``properties``: group (key of a ``group``), user (userPrincipalName or id), or in its place person (employee id,
    key of a ``user`` that the same plan may make). ``resolve`` adds userId.

    The key is ``<group>/<user>``. ``rails`` of the group may hold ``cap`` (members allowed, those already there
    included), ``sku`` and ``addons`` (whose seats the members take), ``org`` (whose cap in the registry counts) and
    ``authoritative`` (members not wanted are removed); those of the member ``signs_in`` (leave out disabled accounts).
    Whoever moves from one group to another is removed once they have been added.
    """

    kind = "group.member"
    rank = 1
    pack_limit = 20
    visibility_s = 120.0
    goes_with = frozenset({"group", "user"})
    # Where the group gives licences.
    pace = Pace.PERHAPS_LATER
    # The service itself refuses to add a member twice, and that answer is read back.
    rechecked = False

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._users = Users(context)
        self._people = People(context)
        self._unread: dict[str, str] = {}
        self._looks: defaultdict[str, Looks] = defaultdict(Looks)
        self._authoritative = False
        self._skus = Skus(context)
        self._gives: dict[str, list[Sku]] = {}
        """The SKUs that a group hands to its members."""
        self._taken: Counter[tuple[str, str]] = Counter()
        """Seats that a plan takes, by group and part number."""

    async def gather(self, view: PlanView) -> None:
        self._authoritative = any(group.rails.get("authoritative") for group in view.wanted("group"))
        if names := {key: given for key, group in _groups(view) if (given := _given(group))}:
            await self._skus.load()
            self._gives = {key: list(filter(None, map(self._skus.find, given))) for key, given in names.items()}
        await self._users.load(view.wanted_count(self.kind))

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        found, problems = await self._users.resolve([item for item in items if "person" not in item.properties])
        for item, user in [*found, *await self._known([item for item in items if "person" in item.properties])]:
            item.rails["holds"] = [held.get("skuId") for held in user.get("assignedLicenses") or ()]
            if item.rails.get("signs_in") and user.get("accountEnabled") is False:
                item.blocked = item.blocked or "the account is disabled: nobody signs in with it"
        if self._authoritative:
            self.context.snapshot.put(WANTED, ((self._pair(item), 1) for item in items if not item.absent))
            self._note_joins(
                item for item in items if not (item.absent or item.blocked) and "userId" in item.properties
            )
        return problems

    async def _known(self, items: Sequence[Desired]) -> list[tuple[Desired, dict[str, Any]]]:
        """People by employee id, those who have an account already; the others get it before."""
        readings = await self._people.find([item.properties["person"] for item in items])
        found = []
        for item in items:
            reading = readings[item.properties["person"]]
            if reading.value:
                item.properties["userId"] = reading.value["id"]
                found.append((item, reading.value))
            elif not reading.known:
                item.blocked = item.blocked or reading.why
        return found

    def _note_joins(self, items: Iterable[Desired]) -> None:
        """Which groups somebody is to be in, by their id: before a removal those adds are carried out."""
        keys: defaultdict[str, list[str]] = defaultdict(list)
        for item in items:
            keys[item.properties["userId"]].append(item.key)
        known = self.context.snapshot.get(JOINS, list(keys))
        self.context.snapshot.put(JOINS, ((user, [*known.get(user, ()), *mine]) for user, mine in keys.items()))

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        """Who was seen in a group already need not be looked for in its list, nor anybody in one yet to be made."""
        groups = [item.properties["group"] for item in items]
        there = {group for group in set(groups) if ("group", group) in self.context.object_ids}
        pairs = [self._pair(item) if group in there else "" for item, group in zip(items, groups, strict=True)]
        snapshot = self.context.snapshot
        sought = [pair for pair in pairs if pair]
        seen = snapshot.get(self.kind, sought)
        missing = {group for group, pair in zip(groups, pairs, strict=True) if pair not in seen}
        if unlisted := sorted(group for group in missing if not snapshot.is_complete(self.kind, group)):
            for group in unlisted:
                await self._list(group)
            seen = snapshot.get(self.kind, sought)
        return [self._reading(item, pair in seen) for item, pair in zip(items, pairs, strict=True)]

    def _user_id(self, properties: Mapping[str, Any]) -> str:
        """Empty as long as the account is still to be made."""
        return str(properties.get("userId") or self.context.object_ids.get(("user", properties.get("person", "")), ""))

    def _pair(self, item: Desired) -> str:
        user_id = self._user_id(item.properties)
        return f"{item.properties['group']}/{user_id}" if user_id else item.key

    def _reading(self, item: Desired, there: bool) -> Reading:
        if there:
            return present({"id": self._user_id(item.properties)})
        why = self._unread.get(item.properties["group"])
        return unknown(why) if why else ABSENT

    async def _list(self, group: str) -> None:
        """Bring all members of a group. A list that breaks off proves nothing."""
        snapshot = self.context.snapshot
        self._unread.pop(group, None)
        group_id = self.context.object_ids.get(("group", group))
        if group_id:
            path = f"/groups/{segment(group_id)}/members"
            count = 0
            try:
                async for page in self.context.client.pages(path, params={"$select": "id", "$top": str(PAGE)}):
                    snapshot.put(self.kind, ((f"{group}/{member['id']}", 1) for member in page))
                    count += len(page)
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
            if shows_nobody(self.context, group, count):
                self._unread[group] = NOBODY_SHOWN
                return
        snapshot.mark_complete(self.kind, group)

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        after = {name: wanted.properties[name] for name in IDENTITY if name in wanted.properties}
        action = Action.ADD if reading.value is None else Action.NOOP
        people = [("user", after["person"])] if "userId" not in after else []
        needs = (("group", after["group"]), *people, *wanted.needs)
        return [Change(kind=self.kind, key=wanted.key, action=action, after=after, needs=needs, origin=wanted.origin)]

    async def extras(self, view: PlanView) -> Iterable[Change]:
        found: list[Change] = []
        for group in view.wanted("group"):
            if group.rails.get("authoritative") and self.context.snapshot.is_complete(self.kind, group.key):
                found += self._unwanted(group)
        # They are known by id alone, and whoever reads the plan wants to know who they are.
        names = await self._users.names([(line.before or {})["userId"] for line in found])
        for line in found:
            line.note = names.get((line.before or {})["userId"], "")
        return found

    def _unwanted(self, group: Desired) -> Iterator[Change]:
        pairs = [pair for pair, _ in self.context.snapshot.each(self.kind, f"{group.key}/")]
        wanted = self.context.snapshot.get(WANTED, pairs)
        leaving = {pair: pair.rsplit("/", 1)[1] for pair in pairs if pair not in wanted}
        joins = self.context.snapshot.get(JOINS, list(leaving.values()))
        for pair, user_id in leaving.items():
            before = {"group": group.key, "user": user_id, "userId": user_id}
            line = Change(kind=self.kind, key=pair, action=Action.REMOVE, before=before, origin=group.origin)
            line.needs = tuple((self.kind, key) for key in joins.get(user_id, ()))
            yield line

    def alternative(self, view: PlanView) -> Alternative | None:
        """Licences by group against licences one by one: twenty people to a write, or one."""
        pools = [group.key for group in view.wanted("group") if group.rails.get("sku")]
        added = [view.counts_within(self.kind, pool)[Action.ADD] for pool in pools]
        people = sum(added)
        if people < WORTH_A_LINE:
            return None
        return Alternative(
            chosen="licences by group",
            route=("PATCH", "/groups/{id}"),
            writes=sum(math.ceil(count / self.pack_limit) for count in added),
            other="one by one",
            other_route=("POST", "/users/{id}/assignLicense"),
            other_writes=people,
        )

    def tally(self, items: Sequence[Desired]) -> None:
        for item in items:
            for sku in self._seats(item):
                self._taken[item.properties["group"], sku] += 1

    def _seats(self, wanted: Desired) -> list[str]:
        """The SKUs of which a member takes a seat. Whoever holds one already takes no further seat."""
        holds = wanted.rails.get("holds", ())
        given = () if wanted.absent else self._gives.get(wanted.properties["group"], ())
        return [sku.part_number for sku in given if sku.sku_id not in holds]

    async def guard(self, view: PlanView) -> list[str]:
        groups = dict(_groups(view))
        return [*self._over_cap(view, groups), *await self._short_of_seats(view, groups)]

    def _over_cap(self, view: PlanView, groups: dict[str, Desired]) -> Iterator[str]:
        over = {}
        for key, cap in ((key, group.rails.get("cap")) for key, group in groups.items()):
            if cap is None:
                continue
            planned = view.counts_within(self.kind, key)
            there = self.context.snapshot.count(self.kind, f"{key}/")
            members = there + planned[Action.ADD] - planned[Action.REMOVE]
            # A pool that is too full already and gets nobody new is no reason to stop.
            if members > cap and planned[Action.ADD]:
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
        """Seats of a SKU are one pool for the whole plan."""
        needed: Counter[str] = Counter()
        more: Counter[tuple[str, str]] = Counter()
        for (group, sku), count in self._taken.items():
            if group in groups:  # and was not left out as invalid
                needed[sku] += count
                more[str(groups[group].rails.get("org", "")), sku] += count

        def demand() -> Iterator[tuple[str, Origin]]:
            for wanted in view.wanted(self.kind):
                if wanted.properties["group"] in groups:
                    yield from ((sku, wanted.origin) for sku in self._seats(wanted))

        reasons = self._skus.shortages(needed, demand)
        if self.context.orgs:
            reasons += await over_org_caps(self.context, self._skus, more)
        return reasons

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        if change.action is Action.REMOVE:
            return [("DELETE", "/groups/{id}/members/{member}/$ref")]
        return [("PATCH", "/groups/{id}")]

    def pack_key(self, change: Change) -> str:
        return change.key if change.action is Action.REMOVE else f"add {change.key.rsplit('/', 1)[0]}"

    def pack_size(self, change: Change) -> int:
        return 1 if change.action is Action.REMOVE else self.pack_limit

    def request(self, pack: Sequence[Change]) -> Request:
        properties = [change.after or change.before or {} for change in pack]
        group_id = self.context.object_id("group", properties[0]["group"])
        if pack[0].action is Action.REMOVE:
            member = segment(self._user_id(properties[0]))
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
            body=msgspec.json.encode({"members@odata.bind": [root + self._user_id(each) for each in properties]}),
            idempotency=Idempotency.CONVERGENT,
            commutative=True,
        )

    async def identify(self, change: Change, response: Response) -> str:
        return self._user_id(change.after or change.before or {})

    async def effective(self, changes: Sequence[Change]) -> Sequence[Verdict]:
        return await effects_on_members(self.context, [self._with_ids(change) for change in changes])

    def _with_ids(self, change: Change) -> Change:
        """Of people whose accounts were made on the way the ids are known by now."""
        image = change.after or change.before or {}
        known = {**image, "userId": self._user_id(image)}
        return replace(change, after=known) if change.after else replace(change, before=known)

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


def _groups(view: PlanView) -> Iterator[tuple[str, Desired]]:
    """Those that members may be wanted in, by key."""
    return ((group.key, group) for kind in ("group", "group.reference") for group in view.wanted(kind))


def _given(group: Desired) -> list[str]:
    """The SKUs that a group hands to its members, as the wish names them."""
    return [name for name in (group.rails.get("sku"), *group.rails.get("addons", ())) if name]


def _group_of(key: str) -> str:
    return key.rpartition("/")[0]


def _by_place(origin: Origin) -> tuple[str, Any]:
    return (origin.file, origin.place)
