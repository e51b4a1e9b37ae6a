"""Groups that people who moved are still in, and when they leave them: after the new ones are there, not at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from graphkit.engine.change import ABSENT, Action, Change, Desired, Origin, Reading
from graphkit.engine.plan import chunked
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import AuthError, GraphkitError, Stopped
from graphkit.protocol.odata import keyed, segment
from graphkit.resources.group_references import NOBODY_SHOWN, UNREAD, note_hidden, shows_nobody
from graphkit.resources.people import People
from graphkit.resources.reading import read_each
from graphkit.resources.scheduled import scheduled

MEMBERS = "group.member"
MOVING, PERSON_OF = "mover", "mover.of"
"""Kinds of the snapshot: what is wished of a person, by employee id; employee ids by the account's id."""
PAGE = 999


class Movers(Resource):
    """``properties``: groups (uniqueNames of all that the person is to be in), moved_on (YYYY-MM-DD or empty) and
    overlap_days. The key is the employee id.

    ``expand`` looks at every ``group.reference`` of the plan for people of the input who do not belong there. Nothing
    is written for the kind itself.
    """

    kind = "mover"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._people = People(context)

    async def expand(self, view: PlanView) -> AsyncIterator[Sequence[Desired]]:
        await self._people.load(view.wanted_count(self.kind))
        for chunk in chunked(view.wanted(self.kind)):
            await self._stage(chunk)
        groups = [wish.key for wish in view.wanted("group.reference")]
        await self._list(groups)
        for group in groups:
            members = (pair.rpartition("/")[2] for pair, _ in list(self.context.snapshot.each(MEMBERS, f"{group}/")))
            for some in chunked(members):
                yield list(self._leaving(group, some))

    async def _stage(self, chunk: Sequence[Desired]) -> None:
        found = await self._people.find([wish.key for wish in chunk])
        there = [(wish, user) for wish in chunk if (user := found[wish.key].value)]
        self.context.snapshot.put(PERSON_OF, ((str(user["id"]), wish.key) for wish, user in there))
        self.context.snapshot.put(
            MOVING,
            (
                (wish.key, [wish.origin.file, wish.origin.place, wish.rails.get("org", ""), wish.properties])
                for wish, _ in there
            ),
        )

    async def _list(self, groups: Sequence[str]) -> None:
        """The members of all groups; of one that cannot be read to its end nobody is taken out."""
        paths = [f"{keyed('groups', 'uniqueName', group)}?$select=id,visibility" for group in groups]
        readings = await read_each(self.context.client, paths)
        note_hidden(self.context, groups, readings)
        for group, reading in zip(groups, readings, strict=True):
            if reading.value is None:
                continue
            self.context.object_ids["group", group] = str(reading.value["id"])
            if why := await self._unread(group, str(reading.value["id"])):
                self.context.snapshot.forget(MEMBERS, group)
                self.context.snapshot.put(UNREAD, [(group, why)])
            else:
                self.context.snapshot.mark_complete(MEMBERS, group)

    async def _unread(self, group: str, group_id: str) -> str:
        """Bring the members of a group, or say why not."""
        path, count = f"/groups/{segment(group_id)}/members", 0
        try:
            async for page in self.context.client.pages(path, params={"$select": "id", "$top": str(PAGE)}):
                self.context.snapshot.put(MEMBERS, ((f"{group}/{member['id']}", 1) for member in page))
                count += len(page)
        except (AuthError, Stopped):
            raise
        except GraphkitError as error:
            return error.message
        return NOBODY_SHOWN if shows_nobody(self.context, group, count) else ""

    def _leaving(self, group: str, members: Sequence[str]) -> Iterator[Desired]:
        people = self.context.snapshot.get(PERSON_OF, members)
        wishes = self.context.snapshot.get(MOVING, sorted(set(people.values())))
        for user_id, person in people.items():
            file, place, org, properties = wishes[person]
            if group not in properties["groups"]:
                yield self._leaves(group, user_id, person, org, properties, Origin(file, place))

    def _leaves(
        self, group: str, user_id: str, person: str, org: str, properties: Mapping[str, Any], origin: Origin
    ) -> Desired:
        """Now, or what it waits for."""
        today, overlap = date.fromisoformat(self.context.options.as_of), timedelta(days=properties["overlap_days"])
        key = f"{person}/{group}"

        def waits(note: str) -> Desired:
            return Desired(kind="scheduled", key=key, origin=origin, rails={"note": note})

        if not properties["moved_on"]:
            return waits(
                f"leaves {group} {properties['overlap_days']} days after moved_on, which the file does not give"
            )
        day = date.fromisoformat(properties["moved_on"]) + overlap
        if day > today:
            return scheduled(key, origin, day, f"leaves {group}")
        wanted = [f"{each}/{user_id}" for each in properties["groups"]]
        if len(self.context.snapshot.get(MEMBERS, wanted)) < len(wanted):
            return waits(f"leaves {group} by the next plan, once the new ones are there")
        return Desired(
            kind=MEMBERS,
            key=f"{group}/{person}",
            origin=origin,
            properties={"group": group, "person": person},
            needs=(("user.profile", person),),
            rails={"org": org},
            absent=True,
        )

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        return [ABSENT for _ in items]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        return [Change(kind=self.kind, key=wanted.key, action=Action.NOOP, origin=wanted.origin)]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return []
