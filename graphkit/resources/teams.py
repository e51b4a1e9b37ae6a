"""Teams made from groups.

``PUT /groups/{id}/team`` can be repeated, whereas ``POST /teams`` makes another team each time. It answers 404 while
replicas do not know a group under 15 minutes old (https://learn.microsoft.com/graph/api/team-put-teams), and 409 if the
team is there: then it is read back. A team has the id of its group
(https://learn.microsoft.com/graph/teams-create-group-and-team).

A team from a template can only be had from ``POST /teams``; with ``group@odata.bind`` that too makes the team of a
group which is known by a name of ours, so that what became of a lost request can be looked up
(https://learn.microsoft.com/graph/api/team-post, "Create a team from group").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from graphkit.engine.change import ABSENT, Action, Change, Desired, Pace, Reading
from graphkit.engine.resource import Resource
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import segment
from graphkit.resources.operations import ended
from graphkit.resources.reading import read_each

TEAMS_PLAN = {"id": "57ff2da0-773e-42df-b2af-ffb7a2317929", "name": "Teams"}
"""The service plan TEAMS1 (https://learn.microsoft.com/entra/identity/users/licensing-service-plan-reference)."""
OWNERS_AT_LEAST = 2
"""Fewer, and one leaver orphans the team (https://learn.microsoft.com/microsoftteams/assign-roles-permissions)."""

FEW_OWNERS = "only one owner: name a second, or the team is orphaned when they leave"
ARCHIVED = "team.is-archived"
"""Under this name the snapshot knows the teams that are archived, by their keys."""


class Teams(Resource):
    """``properties``: group (key of a ``group``), which is the key of the team too; template, if it has one.

    ``rails`` may hold ``owners``, how many it is to have: too few are remarked upon.
    """

    kind = "team"
    rank = 2
    visibility_s = 900.0
    pace = Pace.LATER
    goes_with = frozenset({"group"})

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        ids = {item.key: self.context.object_ids.get(("group", item.properties["group"]), "") for item in items}
        ask = [key for key, group_id in ids.items() if group_id]
        paths = [f"/teams/{segment(ids[key])}?$select=id,isArchived" for key in ask]
        found = dict(zip(ask, await read_each(self.context.client, paths), strict=True))
        for key, reading in found.items():
            if reading.value:
                self.context.object_ids[self.kind, key] = ids[key]
                if reading.value.get("isArchived"):
                    self.context.snapshot.put(ARCHIVED, [(key, 1)])
        return [found.get(item.key, ABSENT) for item in items]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        if "isArchived" in wanted.properties:
            yield self._kept(wanted, reading)
            return
        has_few = wanted.rails.get("owners", OWNERS_AT_LEAST) < OWNERS_AT_LEAST
        yield Change(
            kind=self.kind,
            key=wanted.key,
            action=Action.CREATE if reading.value is None else Action.NOOP,
            before=self.before_image(reading),
            after=dict(wanted.properties),
            needs=(("group", wanted.properties["group"]), *wanted.needs),
            note=FEW_OWNERS if has_few else "",
            origin=wanted.origin,
        )

    def _kept(self, wanted: Desired, reading: Reading) -> Change:
        """A team that is to be archived, or active again."""
        before = self.before_image(reading)
        same = bool((before or {}).get("isArchived")) == wanted.properties["isArchived"]
        action = Action.NOOP if before and same else Action.UPDATE if before else Action.BLOCKED
        line = Change(kind=self.kind, key=wanted.key, action=action, before=before, origin=wanted.origin)
        line.after = {name: wanted.properties[name] for name in ("group", "isArchived")}
        return line

    def before_image(self, reading: Reading) -> dict[str, Any] | None:
        if reading.value is None:
            return None
        archived = {"isArchived": True} if reading.value.get("isArchived") else {}
        return {"id": str(reading.value["id"]), **archived}

    def inverse(self, change: Change, object_id: str) -> Change:
        """A team cannot be taken from its group, and the group was there before: the team is archived."""
        archived = change.action is Action.CREATE
        after = {"group": (change.after or {})["group"], "isArchived": archived}
        note = "a team cannot be taken from its group: archived instead" if archived else ""
        return replace(change, action=Action.UPDATE, before=None, after=after, needs=(), note=note, seq=0)

    def settles_late(self, change: Change) -> bool:
        """What ``POST /teams`` has begun shows only when it is done."""
        return bool((change.after or {}).get("template"))

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        if change.action is Action.UPDATE:
            return [("POST", f"/teams/{{id}}/{_verb(change)}")]
        return [("POST", "/teams") if (change.after or {}).get("template") else ("PUT", "/groups/{id}/team")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        group_id = self._group_id(change)
        if change.action is Action.UPDATE:
            path = f"/teams/{segment(group_id)}/{_verb(change)}"
            return Request(method="POST", path=path, body=b"{}", idempotency=Idempotency.CONVERGENT)
        template = (change.after or {}).get("template")
        return Request(
            method="POST" if template else "PUT",
            path="/teams" if template else f"/groups/{segment(group_id)}/team",
            body=self._from_template(template, group_id) if template else b"{}",
            idempotency=Idempotency.KEYED,
            target=f"teams/{group_id}",
        )

    def _from_template(self, template: str, group_id: str) -> bytes:
        root = f"{self.context.client.cloud.graph_root}/v1.0"
        return msgspec.json.encode(
            {
                "template@odata.bind": f"{root}/teamsTemplates('{segment(template)}')",
                "group@odata.bind": f"{root}/groups('{segment(group_id)}')",
            }
        )

    async def answers(self, pack: Sequence[Change], response: Response) -> Sequence[Response]:
        return [await ended(self.context, response, self.visibility_s)]

    async def identify(self, change: Change, response: Response) -> str:
        """The documented answer shows no id, and needs none. Work that has not ended yet has made nothing so far."""
        return "" if response.status == 202 else self._group_id(change)

    def _group_id(self, change: Change) -> str:
        return self.context.object_id("group", (change.after or {})["group"])


def _verb(change: Change) -> str:
    """https://learn.microsoft.com/graph/api/team-archive, team-unarchive: accepted with 202, done later."""
    return "archive" if (change.after or {})["isArchived"] else "unarchive"
