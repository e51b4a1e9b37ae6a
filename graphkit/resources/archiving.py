"""Whether a team is archived.

``POST /teams/{id}/archive`` and ``unarchive`` answer 202 and go on; an archived team takes no new channel, so that it
is reopened before and archived after everything else (https://learn.microsoft.com/graph/api/team-archive).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from graphkit.engine.change import Action, Change, Desired, Reading, present
from graphkit.engine.resource import Resource
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import segment
from graphkit.resources.operations import ended
from graphkit.resources.reading import read_each

PATIENCE_S = 600.0


class _Archiving(Resource):
    """``properties``: team (key of a ``team``). The key is the team's."""

    archived: ClassVar[bool]
    visibility_s = 900.0
    goes_with = frozenset({"team"})

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        """A team that is still to be made will not be archived."""
        ids = [self.context.object_ids.get(("team", item.properties["team"]), "") for item in items]
        asked = [team_id for team_id in ids if team_id]
        paths = [f"/teams/{segment(team_id)}?$select=id,isArchived" for team_id in asked]
        found = iter(await read_each(self.context.client, paths))
        states = [_state(next(found)) if team_id else present({"archived": False}) for team_id in ids]
        return [_of(state, item.properties["team"]) for item, state in zip(items, states, strict=True)]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        """What is undone is the other way round: that wish says so itself."""
        before, archived = self.before_image(reading) or {}, wanted.properties.get("archived", self.archived)
        yield Change(
            kind=self.kind,
            key=wanted.key,
            action=Action.NOOP if before.get("archived") is archived else Action.UPDATE,
            before=before,
            after={"team": wanted.properties["team"], "archived": archived},
            needs=tuple(dict.fromkeys((("team", wanted.properties["team"]), *wanted.needs))),
            note=str(wanted.rails.get("note", "")),
            origin=wanted.origin,
        )

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        return [("POST", f"/teams/{{id}}/{self._verb(change)}")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        team_id = self.context.object_id("team", (change.after or {})["team"])
        return Request(
            method="POST",
            path=f"/teams/{segment(team_id)}/{self._verb(change)}",
            body=b"{}",
            idempotency=Idempotency.CONVERGENT,
            target=f"teams/{team_id}",
        )

    def _verb(self, change: Change) -> str:
        return "archive" if (change.after or {}).get("archived", self.archived) else "unarchive"

    async def answers(self, pack: Sequence[Change], response: Response) -> Sequence[Response]:
        return [await ended(self.context, response, PATIENCE_S)]

    async def identify(self, change: Change, response: Response) -> str:
        return self.context.object_id("team", (change.after or {})["team"])


class ArchivedTeams(_Archiving):
    """Teams that are to be archived, after all else that is wished of them."""

    kind = "team.archived"
    rank = 6
    archived = True


class ActiveTeams(_Archiving):
    """Teams that are not to be archived: reopened before anything else is done in them."""

    kind = "team.active"
    rank = 3
    archived = False


def _of(state: Reading, team: str) -> Reading:
    return present({**state.value, "team": team}) if state.value else state


def _state(team: Reading) -> Reading:
    if not team.known:
        return team
    return present({"archived": bool((team.value or {}).get("isArchived"))})
