"""Licences given to a user directly.

One ``POST /users/{id}/assignLicense`` carries all that a user gets; adding a SKU that is held replaces its
disabledPlans, so those are read, merged and written (https://learn.microsoft.com/graph/api/user-assignlicense).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from graphkit.engine.change import ABSENT, Action, Change, Desired, Origin, Reading, present
from graphkit.engine.forecast import Alternative
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.license_sets import HOLDING, LicenseSets, holding, in_order
from graphkit.resources.members import WORTH_A_LINE, Members
from graphkit.resources.reading import read_each
from graphkit.resources.seats import Freed, over_org_caps
from graphkit.resources.skus import Skus
from graphkit.resources.user_locations import WANTED as LOCATED
from graphkit.resources.user_locations import UserLocations
from graphkit.resources.users import Users

SELECT = "id,assignedLicenses,licenseAssignmentStates"
IDENTITY = ("user", "userId", "sku", "skuId")
WRITTEN = (*IDENTITY, "disabledPlans")
__all__ = ["HOLDING", "UserLicenses"]


@dataclass(slots=True)
class Asked:
    """What the lines of a plan come to.

    ``needed`` counts the adds of each product, ``people`` who gets some, ``more`` what an organisation gets of a SKU,
    less what it gives. ``takes``: something is taken from somebody.
    """

    needed: Counter[str] = field(default_factory=Counter)
    more: Counter[tuple[str, str]] = field(default_factory=Counter)
    people: int = 0
    takes: bool = False


class UserLicenses(Resource):
    """``properties``: user (userPrincipalName), sku (part number or id), disabledPlans (names or ids).

    The key is ``<user>/<part number>``. ``resolve`` adds userId and skuId, puts the part number into sku, and turns
    disabledPlans into sorted ids. What it saw travels in ``rails``: held (of this SKU, or None); without it all is read
    anew. ``rails`` may hold ``org``, whose cap in the registry counts.

    Removals free seats for those who come after: who only loses licences comes first in a plan, then who swaps them,
    whoever frees what another takes before that one, and an add that needs a freed seat waits for the removal.
    """

    kind = "user.license"
    # After the user's location.
    rank = 1
    # More than any user holds: in practice all the licences of a user are one write.
    pack_limit = 100
    swaps = True

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._users = Users(context, also=("licenseAssignmentStates",))
        self._skus = Skus(context)
        self._sets = LicenseSets(context, self._skus)
        self._freed = Freed()
        self._locates = False
        self._takes = False
        self._turn = 0
        self._asked: Asked | None = None
        self._capped: dict[str, tuple[str, str]] = {}
        """Organisation and SKU of lines that count against a cap, by key."""

    async def gather(self, view: PlanView) -> None:
        self._locates = bool(view.wanted_count(UserLocations.kind))
        await self._skus.load()
        await self._users.load(view.wanted_count(self.kind))

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        found, problems = await self._users.resolve(items)
        for item in items:
            if message := self._skus.resolve(item.properties):
                problems.append(InputProblem(item.origin.file, item.origin.place, "unknown-sku", message))
        sound = [(item, user) for item, user in found if "skuId" in item.properties]
        ids = [item.properties["userId"] for item, _ in sound] if self._locates else []
        located = self.context.snapshot.get(LOCATED, ids)
        staged = []
        for item, user in sound:
            self._takes = self._takes or item.absent
            item.properties["sku"] = self._skus.name_of(item.properties["skuId"])
            item.rails["held"] = _held(user, item.properties["skuId"])
            item.rails["locate"] = item.properties["userId"] in located
            there = bool(user.get("usageLocation")) or item.rails["locate"]
            staged.append((item, user, item.blocked or _obstacle(item, located=there)))
        return problems + [_wanted_twice(item, first) for item, first in self._sets.stage(staged)]

    def turns(self) -> int:
        return self._sets.turns() if self._takes else 1

    def in_turn(self, items: Sequence[Desired], turn: int) -> Sequence[Desired]:
        if turn != self._turn:
            self._turn = turn
            self._freed.next_turn()
        if not self._takes:
            return items
        return [item for item, own in zip(items, self._sets.turns_of(items), strict=True) if own == turn]

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        planned = [item for item in items if "held" in item.rails]
        for item, why in zip(planned, self._sets.obstacles(planned) if planned else (), strict=True):
            item.rails["why"] = why
        ask = sorted({item.properties["userId"] for item in items if "held" not in item.rails})
        paths = [f"/users/{segment(user)}?$select={SELECT}" for user in ask]
        users = dict(zip(ask, await read_each(self.context.client, paths), strict=True))
        return [_reading(item, users) for item in items]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        after = {name: wanted.properties[name] for name in WRITTEN}
        line = Change(kind=self.kind, key=_key(wanted), action=Action.ADD, after=after, origin=wanted.origin)
        line.before = self.before_image(reading)
        if line.before is not None:
            exact = wanted.properties.get("exact")
            merged = sorted({*([] if exact else line.before["disabledPlans"]), *after["disabledPlans"]})
            line.action = Action.NOOP if merged == line.before["disabledPlans"] else Action.UPDATE
            after["disabledPlans"] = merged
            after.update({"exact": True} if exact else {})
        if line.action.writes and (why := wanted.rails.get("why", "")):
            return [_blocked(line, why)]
        if line.action is Action.ADD:
            line.needs = (*wanted.needs, *self._seat_for(line, locate=wanted.rails.get("locate", False)))
            self._count(wanted, line)
        return [line]

    def _seat_for(self, line: Change, *, locate: bool) -> Iterator[tuple[str, str]]:
        """Where the user is to get a location first, that; and the removal that frees the seat, if it takes one."""
        properties = line.after or {}
        if locate:
            yield ("user.location", properties["user"].lower())
        sku = self._skus.find(properties["skuId"])
        if sku and (key := self._freed.take(sku.part_number, sku.free)):
            yield (self.kind, key)

    def _count(self, wanted: Desired, line: Change) -> None:
        org, sku = str(wanted.rails.get("org", "")), wanted.properties["sku"]
        if self.context.orgs.cap(org, sku) is not None:
            self._capped[line.key] = (org, sku)

    def removal(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        """Only what was given directly can be taken directly; the plans that are off come back as they were."""
        for line in super().removal(wanted, reading):
            line.key = _key(wanted)
            if line.before is not None and reading.value:
                line.before["disabledPlans"] = reading.value.get("disabledPlans", [])
                if reading.value.get("also"):
                    # It is held through a group besides, so that no seat comes free.
                    line.before["also"] = True
                if why := wanted.rails.get("why", ""):
                    yield _blocked(line, why)
                    continue
                if not line.before.get("also"):
                    self._freed.give(wanted.properties["sku"], line.key)
                self._count(wanted, line)
            yield line

    def unchanged(self, change: Change, reading: Reading) -> bool:
        """What is taken is given back with exactly the plans that were off, so these must be as the plan saw them."""
        if change.action is not Action.REMOVE or reading.value is None:
            return super().unchanged(change, reading)
        return bool(reading.value["disabledPlans"] == (change.before or {}).get("disabledPlans"))

    def left_as_written(self, change: Change, reading: Reading) -> bool:
        """With exactly these plans turned off; the merge of a wish with what is there would hide a difference."""
        return self.settled(_exactly(change), reading)

    def inverse(self, change: Change, object_id: str) -> Change:
        back = super().inverse(change, "")
        return _exactly(back) if back.action is Action.UPDATE else back

    def alternative(self, view: PlanView) -> Alternative | None:
        """Licences one by one against a group for each product, into which twenty people go with one write."""
        asked = self._asked or self._ask(view)
        if asked.people < WORTH_A_LINE:
            return None
        return Alternative(
            chosen="licences one by one",
            route=("POST", "/users/{id}/assignLicense"),
            writes=asked.people,
            other="by group, with licenses.pools",
            other_route=("PATCH", "/groups/{id}"),
            # For each group, one write makes it and another gives it its licence.
            other_writes=sum(math.ceil(count / Members.pack_limit) + 2 for count in asked.needed.values()),
        )

    async def guard(self, view: PlanView) -> list[str]:
        """Seats of a SKU are one pool for the whole plan; whoever holds it takes no further one."""
        self._asked = asked = self._ask(view)
        waiting = filter(_waits_for_a_seat, view.changes(self.kind) if asked.takes else ())
        freed = Counter(_product_of(change.key) for change in waiting)

        def demand() -> Iterator[tuple[str, Origin]]:
            for change in view.changes(self.kind):
                if change.action is Action.ADD:
                    yield _product_of(change.key), change.origin

        short = self._skus.shortages(asked.needed, demand, freed)
        return [*short, *await over_org_caps(self.context, self._skus, asked.more)]

    def _ask(self, view: PlanView) -> Asked:
        asked, last = Asked(), ""
        for key, action in view.actions(self.kind):
            if action is Action.ADD:
                user, _, product = key.rpartition("/")
                asked.needed[product] += 1
                asked.people += user != last  # all of one user stand together
                last = user
            elif action is Action.REMOVE:
                asked.takes = True
            if key in self._capped:
                asked.more[self._capped[key]] += {Action.ADD: 1, Action.REMOVE: -1}.get(action, 0)
        return asked

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("POST", "/users/{id}/assignLicense")]

    def pack_key(self, change: Change) -> str:
        return change.key.rsplit("/", 1)[0]

    def divisible(self, pack: Sequence[Change]) -> bool:
        """A swap in parts could take what is not given back (https://learn.microsoft.com/graph/api/user-assignlicense)."""
        return len({change.action is Action.REMOVE for change in pack}) == 1

    def request(self, pack: Sequence[Change]) -> Request:
        licences = [change.after for change in pack if change.after]
        removed = [change.before["skuId"] for change in pack if change.before and change.action is Action.REMOVE]
        body = {
            "addLicenses": [{"skuId": each["skuId"], "disabledPlans": each["disabledPlans"]} for each in licences],
            "removeLicenses": removed,
        }
        return Request(
            method="POST",
            path=f"/users/{segment((pack[0].after or pack[0].before or {})['userId'])}/assignLicense",
            body=msgspec.json.encode(body),
            idempotency=Idempotency.CONVERGENT,
        )


def _wanted_twice(item: Desired, first: Origin) -> InputProblem:
    """A SKU asked for by its part number and again by its id; of two rows the later is reported."""
    first, later = sorted([first, item.origin], key=in_order)
    name = f"{item.properties['user']}, {item.properties['sku']}"
    message = f"{name} is there twice, first in {first.file} row {first.place}"
    return InputProblem(later.file, later.place, "duplicate-license", message)


def _exactly(change: Change) -> Change:
    """Plans that the user has turned off besides are turned on again."""
    return replace(change, after={**change.after, "exact": True}) if change.after else change


def _reading(item: Desired, users: dict[str, Reading]) -> Reading:
    if "held" in item.rails:
        held = item.rails["held"]
    else:
        user = users[item.properties["userId"]]
        if user.value is None:
            return user
        held = _held(user.value, item.properties["skuId"])
    return present({**{name: item.properties[name] for name in IDENTITY}, **held}) if held else ABSENT


def _held(user: dict[str, Any], sku_id: str) -> dict[str, Any] | None:
    """How a user holds a SKU: directly (disabledPlans, sorted), else through groups (inherited besides), else None.

    A plan that a group gives stays on whatever a direct licence says, so only the direct one can be changed here;
    ``also`` says that there is a group besides.
    """
    mine = [state for state in holding(user) if str(state.get("skuId")).lower() == sku_id.lower()]
    if not mine:
        return None
    direct = [state for state in mine if not state.get("assignedByGroup")]
    off = set.intersection(*(set(state.get("disabledPlans") or ()) for state in direct or mine))
    found: dict[str, Any] = {"disabledPlans": sorted(off)}
    if len(direct) < len(mine):
        found["also" if direct else "inherited"] = True
    return found


def _key(wanted: Desired) -> str:
    return f"{wanted.properties['user'].lower()}/{wanted.properties['sku']}"


def _product_of(key: str) -> str:
    return key.rpartition("/")[2]


def _waits_for_a_seat(change: Change) -> bool:
    """Does it get one that the plan itself frees?"""
    return change.action is Action.ADD and any(kind == UserLicenses.kind for kind, _ in change.needs)


def _blocked(line: Change, why: str) -> Change:
    return Change(kind=line.kind, key=line.key, action=Action.BLOCKED, note=why, origin=line.origin)


def _obstacle(wanted: Desired, *, located: bool) -> str:
    """Why this one licence cannot be written, and what to do about it."""
    user, sku, held = wanted.properties["user"], wanted.properties["sku"], wanted.rails["held"]
    if wanted.absent:
        inherited = bool(held and held.get("inherited"))
        return f"{user} holds {sku} through a group: take them out of that group" if inherited else ""
    if held and held.get("inherited") and not set(wanted.properties["disabledPlans"]) <= set(held["disabledPlans"]):
        return (
            f"{user} holds {sku} through a group, whose plans a direct licence cannot turn off: "
            "set disabled_plans on that group's licence"
        )
    if held is None and not located:
        return (
            f"{user} has no usageLocation, without which no licence can be assigned: "
            "give the two-letter country code (GB, for example) in usage_location, or set it, then plan again"
        )
    return ""
