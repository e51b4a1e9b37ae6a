"""Two ways into a team: by the team itself, or by its group.

A team admits four adding calls a minute, of 200 people each; its group takes 20 people a call at the pace of directory
writes (learn.microsoft.com/graph/throttling-limits), and Teams follows later.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphkit.protocol import quota

BY_TEAM, BY_GROUP = 200, 20
"""People in one call."""
PER_TEAM = "teams.bulk_add_members.resource"
SHOWN = 5
LATER = "through the team's group; Teams shows it later, within 24 hours as a rule"
THERE = "in the team's group already; Teams shows it later"


@dataclass(frozen=True, slots=True)
class Route:
    """How so many people come into one team, and how long either way takes at the full quota, in seconds."""

    people: int
    by_group: bool
    team_s: float
    group_s: float

    @classmethod
    def choose(cls, people: int) -> Route:
        """The team, at once effective, for what it admits within a minute; else whichever is sooner done."""
        calls = math.ceil(people / BY_TEAM)
        team_s = _seconds("POST", "/teams/{id}/members/add", calls)
        group_s = _seconds("PATCH", "/groups/{id}", math.ceil(people / BY_GROUP))
        at_once = calls <= quota.table()[PER_TEAM].quota
        return cls(people, not at_once and group_s < team_s, team_s, group_s)


def told(routes: Mapping[str, Route]) -> Iterator[str]:
    """What a reader of the plan should know about the teams that are filled through their groups."""
    taken = sorted((route.people, team) for team, route in routes.items() if route.by_group)[::-1]
    for people, team in taken[:SHOWN]:
        route = routes[team]
        yield (
            f"{team}: {people:,} people are added through its group, which takes {_shown(route.group_s)} instead of "
            f"{_shown(route.team_s)} (a team admits 4 adding calls a minute); Teams shows them later, within 24 hours"
        )
    if len(taken) > SHOWN:
        yield f"so it is for {len(taken) - SHOWN:,} more teams"


def _seconds(method: str, path: str, calls: int) -> float:
    totals = {charge.key: charge.amount * calls for charge in quota.charges(method, path)}
    return max((row["seconds"] for row in quota.forecast(totals, 1.0)), default=0.0)


def _shown(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
