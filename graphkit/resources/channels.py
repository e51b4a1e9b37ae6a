"""Standard channels of teams, known by their names.

A channel's name is unique within its team, so a repeated ``POST /teams/{id}/channels`` is refused
(https://learn.microsoft.com/graph/api/channel-post). Every team has its General from the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from graphkit.engine.change import ABSENT, Action, Change, Desired, Reading, Undo, present
from graphkit.engine.resource import Resource
from graphkit.protocol.message import Idempotency, Request
from graphkit.protocol.odata import segment
from graphkit.resources.reading import list_below
from graphkit.resources.recycling import deletion


class Channels(Resource):
    """``properties``: team (key of a ``team``), displayName. The key is ``<team>/<displayName>``.

    Names compare without regard to case. Channels that are not wished for are left alone.
    """

    kind = "channel"
    rank = 3
    visibility_s = 300.0
    goes_with = frozenset({"team"})
    # Kept for 30 days, in which its name stays taken; an owner can restore it in Teams, an app cannot through Graph.
    undo = Undo.WINDOW
    # The service itself refuses a name that is taken, and that answer is read back.
    rechecked = False

    async def read(self, items: Sequence[Desired]) -> Sequence[Reading]:
        teams = [item.properties["team"] for item in items]
        channels = await list_below(self.context, "team", teams, "/teams/{}/channels?$select=id,displayName")
        names = [item.properties["displayName"] for item in items]
        return [_of_name(channels[team], name) for team, name in zip(teams, names, strict=True)]

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        yield Change(
            kind=self.kind,
            key=wanted.key,
            action=Action.CREATE if reading.value is None else Action.NOOP,
            before=self.before_image(reading),
            after={name: wanted.properties[name] for name in ("team", "displayName")},
            needs=(("team", wanted.properties["team"]),),
            origin=wanted.origin,
        )

    def routes(self, change: Change) -> Iterable[tuple[str, str]]:
        if change.action is Action.DELETE:
            return [("DELETE", "/teams/{id}/channels/{channel}")]
        return [("POST", "/teams/{id}/channels")]

    def request(self, pack: Sequence[Change]) -> Request:
        (change,) = pack
        after = change.after or change.before or {}
        team_id = self.context.object_id("team", after["team"])
        if change.action is Action.DELETE:
            return deletion(f"/teams/{segment(team_id)}/channels/{segment(after['id'])}")
        return Request(
            method="POST",
            path=f"/teams/{segment(team_id)}/channels",
            body=msgspec.json.encode({"displayName": after["displayName"], "membershipType": "standard"}),
            idempotency=Idempotency.KEYED,
            target=f"teams/{team_id}",
        )


def _of_name(channels: Reading, name: str) -> Reading:
    if channels.value is None:
        return channels
    for channel in channels.value["value"]:
        if str(channel.get("displayName")).casefold() == name.casefold():
            return present({"id": channel["id"]})
    return ABSENT
