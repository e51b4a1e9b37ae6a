"""Channels of teams, known by their names: standard, private and shared.

A channel's name is unique within its team, so a repeated ``POST /teams/{id}/channels`` is refused
(https://learn.microsoft.com/graph/api/channel-post). Every team has its General from the start. A private or shared
channel has members of its own and begins with an owner; a shared one is made after the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, Undo, present
from graphkit.engine.resource import Context, PlanView, Resource
from graphkit.errors import InputProblem
from graphkit.protocol.message import Idempotency, Request, Response
from graphkit.protocol.odata import segment
from graphkit.resources.operations import ended
from graphkit.resources.owners import user_link
from graphkit.resources.reading import list_below
from graphkit.resources.recycling import deletion
from graphkit.resources.team_names import TeamNames
from graphkit.resources.teams import ARCHIVED
from graphkit.resources.users import Users

STANDARD = "standard"
HIDDEN = "unknownFutureValue"
"""How ``shared`` is shown to those who did not ask for newer values (https://learn.microsoft.com/graph/api/resources/
channel). No other value is hidden so far."""
CLOSED = "the team is archived, and takes no channel until it is reopened"


class Channels(Resource):
    """``properties``: team (key of a ``team``; where no team is wished for, the uniqueName or id of one that is there),
    displayName, and membershipType if it is not standard.

    ``user`` (userPrincipalName) owns a private or shared channel; ``resolve`` adds userId. The key is
    ``<team>/<displayName>``. Names compare without regard to case. Channels that are not wished for are left alone.
    """

    kind = "channel"
    rank = 4
    visibility_s = 300.0
    goes_with = frozenset({"team"})
    # Kept for 30 days, in which its name stays taken; an owner can restore it in Teams, an app cannot through Graph.
    undo = Undo.WINDOW
    # The service itself refuses a name that is taken, and that answer is read back.
    rechecked = False

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._users = Users(context)
        self._teams = TeamNames(context)
        self._with_teams = True

    async def gather(self, view: PlanView) -> None:
        self._with_teams = view.wanted_count("team") > 0

    async def resolve(self, items: Sequence[Desired]) -> list[InputProblem]:
        unknown = [] if self._with_teams else await self._teams.find(items)
        _, problems = await self._users.resolve([each for each in items if "user" in each.properties], column="owners")
        return [*unknown, *problems]

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        teams = [item.properties["team"] for item in items]
        path = "/teams/{}/channels?$select=id,displayName,membershipType"
        channels = await list_below(self.context, "team", teams, path)
        names = [item.properties["displayName"] for item in items]
        return [_of_name(channels[team], name) for team, name in zip(teams, names, strict=True)]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        after = dict(wanted.properties)
        team, kind = after["team"], after.get("membershipType", STANDARD)
        change = Change(
            kind=self.kind,
            key=wanted.key,
            action=Action.NOOP,
            before=self.before_image(reading),
            after=after,
            needs=(("team", team), *wanted.needs),
            origin=wanted.origin,
        )
        if reading.value is None:
            change.action, change.note = Action.CREATE, ""
            if self.context.snapshot.get(ARCHIVED, [team]) and ("team.active", team) not in wanted.needs:
                change.action, change.note = Action.BLOCKED, CLOSED
        elif reading.value["membershipType"] not in (kind, HIDDEN if kind == "shared" else kind):
            change.action = Action.BLOCKED
            change.note = f"it is there as a {reading.value['membershipType']} channel, and no channel changes its kind"
        return [change]

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        if change.action is Action.DELETE:
            return [("DELETE", "/teams/{id}/channels/{channel}")]
        return [("POST", "/teams/{id}/channels")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        properties = change.after or change.before or {}
        team_id = self.context.object_id("team", properties["team"])
        path = f"/teams/{segment(team_id)}/channels"
        if change.action is Action.DELETE:
            return deletion(f"{path}/{segment(properties['id'])}")
        return Request(
            method="POST",
            path=path,
            body=msgspec.json.encode(self._body(properties)),
            idempotency=Idempotency.KEYED,
            target=f"teams/{team_id}",
        )

    def _body(self, properties: dict[str, Any]) -> dict[str, Any]:
        kind = properties.get("membershipType", STANDARD)
        body = {"displayName": properties["displayName"], "membershipType": kind}
        if kind == STANDARD:
            return body
        owner = {
            "@odata.type": "#microsoft.graph.aadUserConversationMember",
            "user@odata.bind": user_link(self.context, properties["userId"]),
            "roles": ["owner"],
        }
        return {**body, "members": [owner]}

    async def answers(self, pack: Sequence[Change], response: Response) -> Sequence[Response]:
        return [await ended(self.context, response, self.visibility_s)]

    async def identify(self, change: Change, response: Response) -> str:
        """An operation names what it has made; one that says nothing leaves it to be read."""
        body = response.json() if response.body else {}
        if response.status == 201 or change.action is not Action.CREATE:
            return await super().identify(change, response)
        if not body.get("targetResourceId"):
            (reading,) = await self.look([change])
            return str((reading.value or {}).get("id") or "")
        return str(body["targetResourceId"])


def _of_name(channels: Reading, name: str) -> Reading:
    if channels.value is None:
        return channels
    for channel in channels.value["value"]:
        if str(channel.get("displayName")).casefold() == name.casefold():
            return present({"id": channel["id"], "membershipType": channel.get("membershipType") or STANDARD})
    return ABSENT
