"""Who is in a team, as it was read: the team's own members, and those of its group whom Teams does not show yet.

What is written to the group reaches the team later, up to 24 hours
(https://learn.microsoft.com/microsoftteams/office-365-groups); what is written to the team is in the group at once.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from graphkit.engine.change import ABSENT, Desired, Reading, present, unknown
from graphkit.engine.resource import Context
from graphkit.protocol.odata import segment
from graphkit.resources.members import Looks
from graphkit.resources.reading import read_list

PEOPLE, WANTED = "team.people", "team.wanted"
"""What the snapshot holds under ``<team>/<user id>``: who is there, and who is wished for."""


class TeamPeople:
    """Lists each team once, until it is looked at anew."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._unread: dict[str, str] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._looks: defaultdict[str, Looks] = defaultdict(Looks)

    async def read(self, items: Sequence[Desired]) -> list[Reading]:
        teams = sorted({item.properties["team"] for item in items})
        await asyncio.gather(*(self._list(team) for team in teams))
        pairs = [pair_of(item.properties) for item in items]
        seen = self._context.snapshot.get(PEOPLE, pairs)
        return [self._reading(item, seen.get(pair)) for item, pair in zip(items, pairs, strict=True)]

    async def look(self, team: str, items: Sequence[Desired]) -> list[Reading]:
        """Read again. One list at a time, which serves all who asked before it was begun."""
        looks = self._looks[team]
        own = looks.begun + 1
        async with looks.turn:
            if looks.begun < own:
                looks.begun += 1
                self._context.snapshot.forget(PEOPLE, team)
            return await self.read(items)

    def everybody(self, team: str) -> Iterator[dict[str, Any]]:
        """Who is in a team, if its list was read to the end."""
        if self._context.snapshot.is_complete(PEOPLE, team):
            for _, person in self._context.snapshot.each(PEOPLE, f"{team}/"):
                yield person

    def owners(self, team: str) -> set[str]:
        return {person["userId"] for person in self.everybody(team) if "owner" in person["roles"]}

    def missing(self, team: str) -> int:
        """How many of those wished for are not there."""
        pairs = [pair for pair, _ in self._context.snapshot.each(WANTED, f"{team}/")]
        return len(pairs) - len(self._context.snapshot.get(PEOPLE, pairs))

    def _reading(self, item: Desired, person: dict[str, Any] | None) -> Reading:
        if person is None:
            why = self._unread.get(item.properties["team"])
            return unknown(why) if why else ABSENT
        named = {name: item.properties[name] for name in ("team", "teamId", "user")}
        return present({**named, **person})

    async def _list(self, team: str) -> None:
        """The team, then its group for those whom Teams does not show yet."""
        async with self._turns[team]:
            if self._context.snapshot.is_complete(PEOPLE, team):
                return
            self._unread.pop(team, None)
            team_id = segment(self._context.object_ids["team", team])
            here, there = await asyncio.gather(
                read_list(self._context.client, f"/teams/{team_id}/members?$top=999"),
                read_list(self._context.client, f"/groups/{team_id}/members?$select=id&$top=999"),
            )
            if here.value is None or there.value is None:
                self._unread[team] = here.why or there.why or "the team is not there"
                return
            people: dict[str, dict[str, Any]] = {each["id"]: {} for each in there.value["value"]}
            people.update({each["userId"]: each for each in here.value["value"] if each.get("userId")})
            self._context.snapshot.put(PEOPLE, (_person(team, *each) for each in people.items()))
            self._context.snapshot.mark_complete(PEOPLE, team)


def pair_of(properties: dict[str, Any]) -> str:
    return f"{properties['team']}/{properties['userId']}"


def _person(team: str, user_id: str, member: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """``id`` is that of the membership, which the team alone has."""
    roles = sorted(role for role in member.get("roles") or () if role)
    return f"{team}/{user_id}", {"userId": user_id, "id": str(member.get("id") or ""), "roles": roles}
