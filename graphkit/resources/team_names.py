"""Which team an input means: by id, by the key that teams.provision knows it by, or by its name."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from graphkit.engine.change import Desired, Reading
from graphkit.engine.resource import Context
from graphkit.errors import InputProblem
from graphkit.protocol.odata import keyed, query, segment
from graphkit.resources.reading import read_each
from graphkit.resources.users import GUID

SELECT = "id,displayName,mailNickname,uniqueName,groupTypes,resourceProvisioningOptions"
EVERY_TEAM = "resourceProvisioningOptions/Any(x:x eq 'Team')"
"""How teams are found among groups (https://learn.microsoft.com/graph/teams-list-all-teams)."""
DYNAMIC = "its members follow a rule, and cannot be changed one by one"
_WITH_ORG = re.compile(r"[a-z0-9]{1,9}-(.+)")


async def every_team(context: Context) -> list[dict[str, Any]]:
    """The groups of all teams, to the last one. Raises ``ServiceError``."""
    listing = context.client.list(f"/groups{query({'$filter': EVERY_TEAM, '$select': SELECT})}")
    return [group async for group in listing]


class TeamNames:
    """Looks up each ``team`` once; ``Context.object_ids`` has its id under ("team", name) and ("group", name)."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._reasons: dict[str, str] = {}
        self._rule_bound: set[str] = set()
        self._by_name: dict[str, set[str]] | None = None

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        """``properties["team"]`` of each: put teamId beside it, or say why there is none. ``rails["loose"]`` says that
        the name may also be a team's displayName, or lack the organisation's code."""
        problems = await self.find(items)
        for item in items:
            name = item.properties["team"]
            if name not in self._reasons:
                item.properties["teamId"] = self._context.object_id("team", name)
            if name in self._rule_bound:
                item.blocked = DYNAMIC
        return problems

    async def find(self, items: Sequence[Desired]) -> list[InputProblem]:
        """The ids alone, and why there is none."""
        known = self._context.object_ids
        loose = {item.properties["team"]: item.rails.get("loose", "") for item in items}
        await self._find({name: text for name, text in loose.items() if ("team", name) not in known})
        why = ((item.origin, self._reasons.get(item.properties["team"])) for item in items)
        return [InputProblem(origin.file, origin.place, "unknown-team", reason) for origin, reason in why if reason]

    async def _find(self, names: dict[str, str]) -> None:
        ask = [name for name in names if name not in self._reasons]
        readings = await read_each(self._context.client, [_path(name) for name in ask])
        for name, reading in zip(ask, readings, strict=True):
            if reading.known and reading.value is None and names[name]:
                reading = await self._among_all(name, names[name])
            self._note(name, names[name] or name, reading)

    def _note(self, name: str, shown: str, reading: Reading) -> None:
        group = reading.value
        if not reading.known:
            self._reasons[name] = f"team {shown} could not be looked up: {reading.why}"
        elif group is None:
            self._reasons[name] = f"there is no team {shown}"
        elif "Team" not in (group.get("resourceProvisioningOptions") or ()):
            self._reasons[name] = f"{shown} is a group without a team"
        else:
            for kind in ("team", "group"):
                self._context.object_ids[kind, name] = str(group["id"])
            if "DynamicMembership" in (group.get("groupTypes") or ()):
                self._rule_bound.add(name)

    async def _among_all(self, name: str, text: str) -> Reading:
        """A name counts only if it belongs to exactly one team."""
        if self._by_name is None:
            self._by_name = _index(await every_team(self._context))
        found = sorted(self._by_name.get(name, set()) | self._by_name.get(text.casefold(), set()))
        if len(found) > 1:
            return Reading(why=f"{len(found)} teams are called so ({', '.join(found)}): give the id of the one")
        (reading,) = await read_each(self._context.client, [_path(found[0])]) if found else (Reading(),)
        return reading


def _path(name: str) -> str:
    where = f"/groups/{segment(name)}" if GUID.fullmatch(name) else keyed("groups", "uniqueName", name)
    return f"{where}?$select={SELECT}"


def _index(groups: Iterable[dict[str, Any]]) -> dict[str, set[str]]:
    by_name: defaultdict[str, set[str]] = defaultdict(set)
    for group in groups:
        for name in (group.get("displayName"), group.get("mailNickname"), group.get("uniqueName")):
            if not name:
                continue
            by_name[name.casefold()].add(group["id"])
            if name is not group.get("displayName") and (parts := _WITH_ORG.fullmatch(name.casefold())):
                by_name[parts[1]].add(group["id"])
    return by_name
