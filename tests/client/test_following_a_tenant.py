"""Snapshots of the simulated tenant, whose replicas lag and whose delta links live seven days."""

from __future__ import annotations

import random

import pytest

from graphkit.client.snapshot import DeltaSnapshot
from graphkit.clock import VirtualClock
from graphkit.errors import ServiceError
from graphkit.sandbox import SandboxTransport, Seed, SimulatedTenant

USERS, GROUPS = "/users/delta", "/groups/delta"
SELECT = {"$select": "id,userPrincipalName,department"}
SETTLED = 1800
A_WEEK = 8 * 86400


def far_end(users=150):
    return SandboxTransport(SimulatedTenant(VirtualClock(), seed=Seed(organisations=3, users=users), latency_s=0.05))


class Told:
    """What somebody knows who believes each change that is announced, and notices one told twice or missed."""

    def __init__(self, snapshot):
        self.snapshot = snapshot
        self.objects, self.related = {}, {}

    async def round(self, graph, path, **how):
        count = 0
        async for page in self.snapshot.follow(graph, path, **how):
            for change in page:
                count += 1
                self._believe(change)
        assert {item["id"]: item for item in self.snapshot.each(path)} == self.objects
        for key in self.objects:
            assert set(self.snapshot.related(path, key, "members")) == self.related.get(key, set())
        return count

    def _believe(self, change):
        assert change, "a change of nothing"
        assert change.before == self.objects.get(change.id), "missed or told twice"
        if change.after is None:
            self.objects.pop(change.id)
            self.related.pop(change.id, None)
            return
        self.objects[change.id] = change.after
        members = self.related.setdefault(change.id, set())
        added, removed = set(change.added.get("members", ())), set(change.removed.get("members", ()))
        assert not added & members, "added twice"
        assert removed <= members, "removed twice"
        members |= added
        members -= removed


def test_a_snapshot_follows_the_people_of_a_tenant(reading):
    async def use(graph):
        with DeltaSnapshot() as snapshot:
            told = Told(snapshot)
            assert await told.round(graph, USERS, params=SELECT) == 152
            assert await told.round(graph, USERS, params=SELECT) == 0
            one, two = list(told.objects)[:2]
            await graph.update(f"/users/{one}", {"department": "Wards"})
            await graph.delete(f"/users/{two}")
            await graph.clock.sleep(SETTLED)
            assert await told.round(graph, USERS, params=SELECT) == 2
            assert told.objects[one]["department"] == "Wards"
            assert two not in told.objects
            return await told.round(graph, USERS, params=SELECT)

    assert reading(far_end(), use)[0] == 0


def test_a_link_that_has_outlived_its_week_misses_nothing(reading):
    async def use(graph):
        with DeltaSnapshot() as snapshot:
            told = Told(snapshot)
            await told.round(graph, USERS, params=SELECT)
            one, two = list(told.objects)[:2]
            await graph.update(f"/users/{one}", {"department": "Wards"})
            await graph.delete(f"/users/{two}")
            await graph.clock.sleep(A_WEEK)
            return await told.round(graph, USERS, params=SELECT)

    assert reading(far_end(), use)[0] == 2


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_to_groups_is_told_once(reading, seed):
    """Groups come, change, lose and gain members and go, while replicas lag and links grow too old."""
    chance = random.Random(seed)

    async def use(graph):
        people = [user["id"] async for user in graph.list("/users", params={"$select": "id"})]
        with DeltaSnapshot() as snapshot:
            told = Told(snapshot)
            for _ in range(12):
                for _ in range(chance.randint(1, 12)):
                    await happen(graph, people, chance)
                await graph.clock.sleep(chance.choice([0, 1, 30, 600, A_WEEK]))
                await told.round(graph, GROUPS)
            await graph.clock.sleep(SETTLED)
            await told.round(graph, GROUPS)
            groups = {group["id"]: group["displayName"] async for group in graph.list("/groups").proved()}
            assert {key: group["displayName"] for key, group in told.objects.items()} == groups
            for key in groups:
                listed = {member["id"] async for member in graph.list(f"/groups/{key}/members").proved()}
                assert told.related[key] == listed
            return len(groups)

    assert reading(far_end(60), use)[0]


async def happen(graph, people, chance):
    groups = [group["id"] async for group in graph.list("/groups", params={"$select": "id"})]
    try:
        match chance.choice(["come", "come", "rename", "join", "join", "join", "leave", "go"]):
            case "come":
                name = f"g{chance.getrandbits(32):08x}"
                await graph.create(
                    "/groups",
                    {"displayName": name, "mailNickname": name, "mailEnabled": False, "securityEnabled": True},
                )
            case "rename":
                await graph.update(
                    f"/groups/{chance.choice(groups)}", {"displayName": f"n{chance.getrandbits(32):08x}"}
                )
            case "join":
                who = {"@odata.id": f"{graph.cloud.graph_root}/v1.0/directoryObjects/{chance.choice(people)}"}
                await graph.write("POST", f"/groups/{chance.choice(groups)}/members/$ref", who)
            case "leave":
                group = chance.choice(groups)
                members = [member["id"] async for member in graph.list(f"/groups/{group}/members")]
                await graph.delete(f"/groups/{group}/members/{chance.choice(members)}/$ref")
            case "go":
                await graph.delete(f"/groups/{chance.choice(groups)}")
    except (ServiceError, IndexError):
        return  # a replica that lags, nobody there, or a member already
