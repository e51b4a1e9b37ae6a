from __future__ import annotations

import asyncio

from graphkit.clock import VirtualClock, run
from graphkit.engine.change import Action, Change
from graphkit.engine.resource import Context
from graphkit.engine.snapshot import Snapshot
from graphkit.resources.members import Members


class TwoPages:
    """A client that shows a group's two members, one page a second."""

    def __init__(self, clock):
        self._clock = clock
        self.lists = 0

    async def pages(self, path, params):
        self.lists += 1
        for member in ("a", "b"):
            await self._clock.sleep(1)
            yield [{"id": member}]


def change(user):
    return Change(
        kind="group.member", key=f"g/{user}", action=Action.ADD, after={"group": "g", "user": user, "userId": user}
    )


def test_looks_at_one_group_at_a_time_never_lose_a_page_and_share_a_list():
    async def check():
        clock = VirtualClock()
        client = TwoPages(clock)
        members = Members(Context(client, clock, Snapshot(), object_ids={("group", "g"): "g"}))

        async def look(after_s):
            await clock.sleep(after_s)
            return [reading.value for reading in await members.look([change("a"), change("b"), change("c")])]

        seen = await asyncio.gather(look(0), look(0.5), look(1.5), look(1.7))
        assert seen == [[{"id": "a"}, {"id": "b"}, None]] * 4
        assert client.lists == 2, "those who came while the first was under way share the second"

    run(check(), virtual=True)
