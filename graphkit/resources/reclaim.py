"""Licences that nobody uses: who is idle, as far as anybody knows, and where their licences come from.

Unknown is not idle: whoever has no successful sign-in on record is left alone, and so is everybody while sign-ins
cannot be read (https://learn.microsoft.com/graph/api/resources/signinactivity).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from graphkit.engine.change import ABSENT, Action, Change, Desired, Origin, Reading
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import InputProblem
from graphkit.protocol.odata import segment
from graphkit.resources.license_sets import holding
from graphkit.resources.memberships import DYNAMIC
from graphkit.resources.reading import read_each
from graphkit.resources.service_plans import MAILBOX
from graphkit.resources.sign_ins import day_of, idle_days, users_with_sign_ins
from graphkit.resources.skus import Skus

DAY_S = 86_400.0
SELECT = ("userPrincipalName", "createdDateTime", "licenseAssignmentStates")
GROUP = "id,displayName,groupTypes,onPremisesSyncEnabled,assignedLicenses"
SEAT, FATE, PEOPLE = "license.reclaim.seat", "license.reclaim.fate", "license.reclaim.people"
"""Kinds under which seats are staged by user and SKU, what became of people, and who was listed."""
LEFT = ("on leave", "kept", "new", "not known to sign in")


@dataclass(slots=True)
class Seat:
    """One person's licence of one SKU, with all that it comes from."""

    user: Mapping[str, Any]
    sku: str
    sources: list[Mapping[str, Any]] = field(default_factory=list)


class Reclaims(Resource):
    """``properties``: idleDays, minAgeDays, skus, exclude (leave statuses), keep (patterns of names), prices (SKU to
    what a seat costs a month), currency, listed (was a list of people given).

    ``expand`` asks for the removals: ``user.license`` for what is direct, ``group.member`` for what a group gives.
    """

    kind = "license.reclaim"
    leads_to: ClassVar = {"group.member": Action.REMOVE, "user.license": Action.REMOVE}

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._skus = Skus(context)
        self._groups: dict[str, Reading] = {}
        self._left: Counter[str] = Counter()
        self._at_work: Counter[str] = Counter()
        """Idle people with a status that is not excluded, by status."""
        self._listed_here: Mapping[str, Any] = {}
        self._fates: dict[str, str] = {}
        """Of the people of one page who are listed: what was found, by name."""
        self._unread: list[str] = []

    async def expand(self, view: PlanView) -> AsyncIterator[Sequence[Desired]]:
        policies = list(view.wanted(self.kind))
        if not policies:
            return
        await self._skus.load()
        self._list(view.wanted("license.reclaim.person"))
        (policy,) = policies
        wanted = {sku.sku_id.lower() for name in policy.properties["skus"] if (sku := self._skus.find(name))}
        select = (*SELECT, *self.context.orgs.select)
        async for page in users_with_sign_ins(self.context.client, select, self._unread):
            if self._unread:
                listed = view.wanted("license.reclaim.person")
                self.context.snapshot.put(FATE, ((person.key, "not looked at: see above") for person in listed))
                return
            self._listed_here = self.context.snapshot.get(PEOPLE, [_name(user).lower() for user in page])
            self._fates = dict.fromkeys(self._listed_here, "holds none of these licences")
            idle = [seat for user in page for seat in self._idle_seats(policy, user, wanted)]
            await self._learn_groups(idle)
            yield [wish for seat in idle for wish in self._leaving(policy, seat, wanted)]
            self.context.snapshot.put(FATE, self._fates.items())

    def _list(self, people: Iterable[Desired]) -> None:
        self.context.snapshot.put(
            PEOPLE,
            (
                (
                    person.key,
                    [
                        person.properties["leaveStatus"],
                        person.properties["org"],
                        person.origin.file,
                        person.origin.place,
                    ],
                )
                for person in people
            ),
        )

    def _listed(self, user: Mapping[str, Any]) -> tuple[str, str, Origin | None]:
        """(leave status, organisation, where) that a list of people tells of somebody."""
        found = self._listed_here.get(_name(user).lower())
        return (found[0], found[1], Origin(found[2], found[3])) if found else ("", "", None)

    def _org(self, user: Mapping[str, Any]) -> str:
        return self._listed(user)[1] or self.context.orgs.of(user)

    def _idle_seats(self, policy: Desired, user: Mapping[str, Any], wanted: set[str]) -> Iterator[Seat]:
        """Those that may go; what is left alone is counted, and told of who is listed."""
        seats: dict[str, Seat] = {}
        for state in holding(user):
            if (sku := str(state.get("skuId")).lower()) in wanted:
                seats.setdefault(sku, Seat(user, sku)).sources.append(state)
        if not seats:
            return
        if self.context.options.org and self._org(user) != self.context.options.org:
            self._tell(user, "of another organisation")
            return
        days = idle_days(user, day_of(self.context))
        if days is not None and days < policy.properties["idleDays"]:
            self._tell(user, f"active {days} days ago")
            return
        why, told = self._spared(policy, user, days)
        if why:
            self._left[why] += 1
            self._tell(user, told)
        else:
            self._tell(user, f"idle for {days} days")
            if status := self._listed(user)[0]:
                self._at_work[status] += 1
            yield from seats.values()

    def _spared(self, policy: Desired, user: Mapping[str, Any], days: int | None) -> tuple[str, str]:
        """Why somebody keeps what they do not use: for the count, and in words."""
        status, name = self._listed(user)[0], _name(user).lower()
        created = user.get("createdDateTime")
        age = int(day_of(self.context) - datetime.fromisoformat(created).timestamp()) // DAY_S if created else 0
        if status.casefold() in {each.casefold() for each in policy.properties["exclude"]}:
            return "on leave", f"on leave ({status})"
        if pattern := next((each for each in policy.properties["keep"] if fnmatchcase(name, each.lower())), ""):
            return "kept", f"kept ({pattern})"
        if age < policy.properties["minAgeDays"]:
            return "new", "the account is new"
        if days is None:
            return "not known to sign in", "no successful sign-in is on record, which proves nothing"
        return "", ""

    def _tell(self, user: Mapping[str, Any], text: str) -> None:
        if _name(user).lower() in self._fates:
            self._fates[_name(user).lower()] = text

    async def _learn_groups(self, seats: Iterable[Seat]) -> None:
        givers = (state.get("assignedByGroup") for seat in seats for state in seat.sources)
        ask = sorted({str(group) for group in givers if group} - self._groups.keys())
        paths = [f"/groups/{segment(group)}?$select={GROUP}" for group in ask]
        self._groups.update(zip(ask, await read_each(self.context.client, paths), strict=True))

    def _leaving(self, policy: Desired, seat: Seat, wanted: set[str]) -> Iterator[Desired]:
        """A wish for each source of a seat; once all are gone it is free."""
        name, sku = _name(seat.user), self._skus.name_of(seat.sku)
        mailbox = self._loses_mailbox(seat.user, wanted)
        note = f"idle for {idle_days(seat.user, day_of(self.context))} days"
        rails = {"org": self._org(seat.user), "note": f"{note}; loses the mailbox" if mailbox else note}
        origin = self._listed(seat.user)[2] or policy.origin
        keys = []
        for state in seat.sources:
            group = str(state.get("assignedByGroup") or "")
            if group:
                wish = self._out_of(group, seat, wanted)
            else:
                properties = {"user": name, "sku": sku, "disabledPlans": []}
                wish = Desired(kind="user.license", key=f"{name.lower()}/{sku}", origin=origin, properties=properties)
            wish.origin, wish.absent, wish.rails = origin, True, dict(rails)
            keys.append([wish.kind, wish.key])
            if not group or self._first(group, name):
                yield wish
        record = {"org": rails["org"], "sku": sku, "keys": keys, "mailbox": mailbox}
        self.context.snapshot.put(SEAT, [(f"{name.lower()}/{sku}", record)])

    def _first(self, group: str, name: str) -> bool:
        """A group may give several of the SKUs; one is out of it once."""
        key = f"{group}/{name.lower()}"
        seen = key in self.context.snapshot.get("license.reclaim.out", [key])
        self.context.snapshot.put("license.reclaim.out", [(key, 1)])
        return not seen

    def _out_of(self, group: str, seat: Seat, wanted: set[str]) -> Desired:
        reading = self._groups[group]
        # Other than the groups that recipes make it is known by its id.
        self.context.object_ids["group", group] = group
        name = _name(seat.user)
        return Desired(
            kind="group.member",
            key=f"{group}/{name.lower()}",
            origin=Origin("", ""),
            properties={"group": group, "user": name},
            blocked=self._stays(reading, wanted),
        )

    def _stays(self, reading: Reading, wanted: set[str]) -> str:
        """Why nobody is taken out of a group that gives a licence, and what to do instead."""
        if reading.value is None:
            return f"the group that gives the licence could not be read: {reading.why or 'it is gone'}"
        group = reading.value
        name = str(group.get("displayName") or group["id"])
        if DYNAMIC in (group.get("groupTypes") or ()):
            return f"it comes from {name}, whose rule decides who is in it: change the rule, or what it looks at"
        if group.get("onPremisesSyncEnabled"):
            return f"it comes from {name}, which is kept on premises: take them out there"
        given = {str(each["skuId"]).lower() for each in group.get("assignedLicenses") or ()}
        if others := sorted(self._skus.name_of(sku) or sku for sku in given - wanted):
            return f"it comes from {name}, which also gives {', '.join(others)}: name that among skus, or keep them"
        return ""

    def _loses_mailbox(self, user: Mapping[str, Any], wanted: set[str]) -> bool:
        states = holding(user)
        rest = [state for state in states if str(state.get("skuId")).lower() not in wanted]
        return bool(MAILBOX & self._skus.plans_on(states)) and not MAILBOX & self._skus.plans_on(rest)

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        return [
            InputProblem(item.origin.file, "skus", "unknown-sku", f"{name} is not among the tenant's subscriptions")
            for item in items
            for name in (*item.properties["skus"], *item.properties["prices"])
            if self._skus.find(name) is None
        ]

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        return [ABSENT for _ in items]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        note = f"idle for {wanted.properties['idleDays']} days: {', '.join(wanted.properties['skus'])}"
        return [Change(kind=self.kind, key=wanted.key, action=Action.NOOP, note=note, origin=wanted.origin)]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return []

    async def guard(self, view: PlanView) -> list[str]:
        for policy in view.wanted(self.kind):
            self.context.remarks += [*self._savings(view, policy), *self._spared_told(policy)]
        return list(self._unread)

    def _savings(self, view: PlanView, policy: Desired) -> Iterator[str]:
        """What comes free, by organisation, once no rail keeps any of its sources."""
        gone = {
            (kind, change.key)
            for kind in self.leads_to
            for change in view.changes(kind)
            if change.action is Action.REMOVE
        }
        free: dict[str, Counter[str]] = {}
        mailboxes = set()
        for key, seat in self.context.snapshot.each(SEAT):
            if all((kind, each) in gone for kind, each in seat["keys"]):
                free.setdefault(seat["org"], Counter())[seat["sku"]] += 1
                mailboxes |= {key.partition("/")[0]} if seat["mailbox"] else set()
        prices = {str(self._skus.name_of(name)): Decimal(price) for name, price in policy.properties["prices"].items()}
        for org, seats in sorted(free.items()):
            yield _saving(org, seats, prices, policy.properties["currency"])
        if mailboxes:
            yield (
                f"{len(mailboxes):,} lose the mailbox with the licence: the service keeps it for 30 days, and it comes "
                "back with a licence that is given until then"
            )

    def _spared_told(self, policy: Desired) -> Iterator[str]:
        told = [f"{self._left[why]:,} {why}" for why in LEFT if self._left[why]]
        if told:
            yield f"left alone: {', '.join(told)}"
        if self._at_work:
            statuses = ", ".join(f"{status} ({count:,})" for status, count in sorted(self._at_work.items()))
            yield f"counted as at work, for exclude does not name their status: {statuses}"
        if not policy.properties["listed"]:
            yield "no list of people was given, so that nobody counts as on leave"


def _saving(org: str, seats: Mapping[str, int], prices: Mapping[str, Decimal], currency: str) -> str:
    counted = ", ".join(f"{count:,} {sku}" for sku, count in sorted(seats.items()))
    money = sum((prices[sku] * count for sku, count in seats.items() if sku in prices), Decimal())
    unpriced = sorted(sku for sku in seats if sku not in prices)
    saved = f", {currency} {money:,.2f} a month".replace(",  ", ", ") if len(unpriced) < len(seats) else ""
    without = f" without {', '.join(unpriced)}, which has no price" if saved and unpriced else ""
    return f"{org or 'of no known organisation'}: {counted} come free{saved}{without}"


def _name(user: Mapping[str, Any]) -> str:
    return str(user.get("userPrincipalName") or user["id"])
