"""Which teams nobody uses, and which have no owner: found by looking, and handed on as wishes.

What is known of a team's use comes from the activity report. A team of which that says nothing is not idle: it is
unknown, and counted as such.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from graphkit.engine.change import Action, Change, Desired, Reading, present
from graphkit.engine.plan import chunked
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import InputErrors, InputProblem
from graphkit.protocol.odata import query, segment
from graphkit.resources.reading import read_each
from graphkit.resources.team_names import EVERY_TEAM
from graphkit.resources.usage_reports import CONCEALED, PERIODS, day_of, period_for, usage_report
from graphkit.resources.users import Users

REPORT = "getTeamsTeamActivityDetail"
SEEN = "team.activity"
"""Under this name the snapshot knows the report: the id of a team with the day of its last activity, or nothing."""
SELECT = "id,displayName,mailNickname,uniqueName,createdDateTime"


@dataclass(slots=True)
class Team:
    """One team under review. ``idle_since`` is a day, or None if it is in use or nobody knows."""

    group: dict[str, Any]
    idle_since: date | None = None
    owned: bool = True

    @property
    def id(self) -> str:
        return str(self.group["id"])

    @property
    def names(self) -> set[str]:
        found = (self.group.get(name) for name in ("id", "displayName", "mailNickname", "uniqueName"))
        return {str(name).casefold() for name in found if name}

    @property
    def note(self) -> str:
        told = [f"not used since {self.idle_since}" if self.idle_since else "", "" if self.owned else "has no owner"]
        return f"{self.group.get('displayName')}: {', '.join(filter(None, told))}"


@dataclass(slots=True)
class Tally:
    """What was found, for the summary."""

    counts: Counter[str] = field(default_factory=Counter)
    known: int = 0
    reported: int = 0

    def __str__(self) -> str:
        parts = ("idle", "without an owner", "excluded", "of unknown activity", "archived already")
        told = [f"{self.counts[part]:,} {part}" for part in parts if self.counts[part] or part in parts[:2]]
        return f"{self.counts['teams']:,} teams, {', '.join(told)}"


class TeamReviews(Resource):
    """``properties`` of the one wish of an input: inactive_days, action (report or archive), exclude, owner_fallback.

    ``expand`` turns it into wishes for teams: of this kind, which write nothing, to report; else ``team.member`` and
    ``team.archived``.
    """

    kind = "team.review"
    leads_to: ClassVar = {"team.member": Action.ADD, "team.archived": Action.UPDATE}

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._tally = Tally()

    async def expand(self, view: PlanView) -> AsyncIterator[Sequence[Desired]]:
        for asked in list(view.wanted(self.kind)):
            await self._check_fallback(asked)
            refreshed = await self._load_report(asked.properties["inactive_days"])
            excluded = {name.casefold(): False for name in asked.properties["exclude"]}
            for groups in chunked(await self._teams()):
                teams = await self._reviewed([Team(each) for each in groups], asked, refreshed, excluded)
                yield [wish for team in teams for wish in self._wishes(team, asked)]
            if not self.context.options.org:  # the names may be those of another organisation's teams
                _raise_unmatched(asked, excluded)

    async def _check_fallback(self, asked: Desired) -> None:
        name = asked.properties["owner_fallback"]
        if not name:
            return
        user = (await Users(self.context).find([name]))[name]
        why = f"could not be looked up: {user.why}" if user.why else "is not a user of this tenant"
        if user.value is None or not user.value.get("accountEnabled"):
            message = f"{name} {'is disabled' if user.value else why}"
            raise InputErrors([InputProblem(asked.origin.file, "owner_fallback", "unknown-user", message)])

    async def _load_report(self, days: int) -> date | None:
        """Stage when each team was last used; returns the day up to which the report knows anything."""
        refreshed = None
        async with usage_report(self.context.client, REPORT, period_for(days)) as rows:
            for chunk in chunked(rows):
                self._tally.reported += len(chunk)
                refreshed = day_of(chunk[0], "Report Refresh Date") or refreshed
                days_seen = ((row.get("Team Id", "").lower(), day_of(row, "Last Activity Date")) for row in chunk)
                self.context.snapshot.put(SEEN, ((key, day.isoformat() if day else "") for key, day in days_seen))
        return refreshed

    async def _teams(self) -> list[dict[str, Any]]:
        listing = self.context.client.list(f"/groups{query({'$filter': EVERY_TEAM, '$select': SELECT})}")
        prefix = f"{self.context.options.org.lower()}-" if self.context.options.org else ""
        found = [group async for group in listing]
        return [each for each in found if str(each.get("uniqueName") or each["mailNickname"]).startswith(prefix)]

    async def _reviewed(
        self, teams: list[Team], asked: Desired, refreshed: date | None, excluded: dict[str, bool]
    ) -> list[Team]:
        """Those about which there is something to say."""
        counts = self._tally.counts
        counts["teams"] += len(teams)
        kept = [team for team in teams if not _is_excluded(team, excluded)]
        counts["excluded"] += len(teams) - len(kept)
        seen = self.context.snapshot.get(SEEN, [team.id.lower() for team in kept])
        self._tally.known += len(seen)
        for team in kept:
            self._judge(team, seen.get(team.id.lower()), asked.properties["inactive_days"], refreshed)
        await self._find_owners(kept)
        kept = [team for team in kept if team.idle_since or not team.owned]
        return await self._still_active(kept)

    def _judge(self, team: Team, seen: str | None, days: int, refreshed: date | None) -> None:
        """Idle is what the report shows unused for so long, up to the day that it knows; a young team is not."""
        if seen is None or refreshed is None or (not seen and days > PERIODS[-1]):
            self._tally.counts["of unknown activity"] += 1
            return
        made = date.fromisoformat(str(team.group["createdDateTime"])[:10])
        last = max(date.fromisoformat(seen), made) if seen else made
        if last <= min(refreshed, self._today()) - timedelta(days=days):
            team.idle_since = last

    def _today(self) -> date:
        given = self.context.options.as_of
        return date.fromisoformat(given) if given else datetime.fromtimestamp(self.context.clock.now(), UTC).date()

    async def _find_owners(self, teams: list[Team]) -> None:
        """An unread list proves nothing."""
        paths = [f"/groups/{segment(team.id)}/owners?$select=id&$top=1" for team in teams]
        for team, owners in zip(teams, await read_each(self.context.client, paths), strict=True):
            team.owned = not (owners.value is not None and not owners.value.get("value"))

    async def _still_active(self, teams: list[Team]) -> list[Team]:
        """Without those that are archived already: whatever they lack, nobody needs it."""
        paths = [f"/teams/{segment(team.id)}?$select=id,isArchived" for team in teams]
        found = await read_each(self.context.client, paths)
        archived = [bool((reading.value or {}).get("isArchived")) for reading in found]
        self._tally.counts["archived already"] += sum(archived)
        active = [team for team, done in zip(teams, archived, strict=True) if not done]
        self._tally.counts["idle"] += sum(team.idle_since is not None for team in active)
        self._tally.counts["without an owner"] += sum(not team.owned for team in active)
        return active

    def _wishes(self, team: Team, asked: Desired) -> Iterator[Desired]:
        """Whoever is to be archived needs an owner first (https://learn.microsoft.com/graph/api/team-archive)."""
        for kind in ("team", "group"):
            self.context.object_ids[kind, team.id] = team.id
        fallback, origin = asked.properties["owner_fallback"], asked.origin
        if asked.properties["action"] != "archive":
            yield Desired(kind=self.kind, key=team.id, origin=origin, properties={"note": team.note})
            return
        owner = f"{team.id}/{fallback.lower()}"
        if not team.owned and fallback:
            properties = {"team": team.id, "user": fallback, "roles": ["owner"]}
            yield Desired(kind="team.member", key=owner, origin=origin, properties=properties)
        elif not team.owned:
            yield Desired(kind=self.kind, key=team.id, origin=origin, properties={"note": team.note})
        if team.idle_since:
            yield Desired(
                kind="team.archived",
                key=team.id,
                origin=origin,
                properties={"team": team.id},
                needs=() if team.owned else (("team.member", owner),),
                rails={"note": team.note},
                blocked="" if team.owned or fallback else f"{team.note}; name an owner_fallback",
            )

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        return [present({})] * len(items)

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        """Nothing but what there is to say."""
        note = wanted.properties.get("note") or str(self._tally)
        yield Change(kind=self.kind, key=wanted.key, action=Action.NOOP, note=note, origin=wanted.origin)

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return []

    async def guard(self, view: PlanView) -> list[str]:
        """A report that speaks of other teams only proves nothing about ours."""
        nobody = self._tally.reported and self._tally.counts["teams"] and not self._tally.known
        return [CONCEALED] if nobody else []


def _is_excluded(team: Team, excluded: dict[str, bool]) -> bool:
    named = team.names & set(excluded)
    excluded.update(dict.fromkeys(named, True))
    return bool(named)


def _raise_unmatched(asked: Desired, excluded: dict[str, bool]) -> None:
    """A name that protects nothing is a mistake."""
    names = [name for name in asked.properties["exclude"] if not excluded[name.casefold()]]
    problems = [
        InputProblem(asked.origin.file, "exclude", "unknown-team", f"no team is called {name}") for name in names
    ]
    if problems:
        raise InputErrors(problems)
