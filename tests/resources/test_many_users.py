"""How people are found: one by one, or all at once in parallel ranges."""

from __future__ import annotations

import pytest

from graphkit.client import GraphClient
from graphkit.clock import VirtualClock, run
from graphkit.engine.resource import Context
from graphkit.engine.snapshot import Snapshot
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.clouds import CLOUDS
from graphkit.protocol.identity import Token
from graphkit.resources.users import PAGE, Users, seconds_for_all
from graphkit.sandbox import SandboxTransport, Seed, SimulatedTenant
from graphkit.transport.chain import build_chain

PEOPLE = 21 * PAGE
LATENCY_S = 0.2


class Token1:
    name = "app"

    async def token(self, *, claims="", renew=False):
        return Token("app", 1e12)


@pytest.fixture
def tenant():
    made = SimulatedTenant(VirtualClock(), seed=Seed(organisations=30, users=PEOPLE), latency_s=LATENCY_S)
    yield made
    made.close()


def using(tenant, work):
    """What ``work(users, clock)`` returns, by the whole chain."""

    async def main():
        clock, cloud = VirtualClock(), CLOUDS["global"]
        chain = build_chain(
            SandboxTransport(tenant),
            cloud=cloud,
            source=Token1(),
            clock=clock,
            budget=WriteBudget.read_only(),
            tenant_size="L",
        )
        snapshot = Snapshot()
        context = Context(client=GraphClient(chain, cloud=cloud, clock=clock), clock=clock, snapshot=snapshot)
        try:
            return await work(Users(context), clock)
        finally:
            snapshot.close()
            await chain.aclose()

    return run(main(), virtual=True)


def test_all_people_of_a_large_tenant_are_read_side_by_side(tenant):
    async def work(users, clock):
        begun = clock.monotonic()
        await users.load(PEOPLE)
        took = clock.monotonic() - begun
        found = await users.find(["rx1-0001@contoso.example", "RX30-0699@contoso.example", "nobody@contoso.example"])
        return took, [reading.value is not None for reading in found.values()], [r.known for r in found.values()]

    took, there, known = using(tenant, work)
    assert (there, known) == ([True, True, False], [True, True, True])
    assert took < 22 * LATENCY_S, "one page after the other takes at least as many waits as there are pages"


def test_whoever_came_after_the_seed_is_among_them(tenant):
    seed = tenant.seed
    moved = tenant.state.get("users", seed.id_of("user", "rx2-0005@contoso.example"))
    tenant.state.put("users", {**moved, "userPrincipalName": "zz-moved@contoso.example"})
    tenant.state.delete("users", seed.id_of("user", "rx2-0006@contoso.example"))

    async def work(users, clock):
        await users.load(PEOPLE)
        names = ["zz-moved@contoso.example", "rx2-0005@contoso.example", "rx2-0006@contoso.example"]
        return [reading.value is not None for reading in (await users.find(names)).values()]

    assert using(tenant, work) == [True, False, False]


@pytest.mark.parametrize(
    ("people", "wanted", "all_of_them"),
    [(1_200_000, 60_100, True), (1_200_000, 60_000, False), (10_000, 4_100, True), (10_000, 4_000, False)],
)
def test_all_are_read_where_that_is_sooner_than_to_ask_for_each(people, wanted, all_of_them):
    assert (wanted / 800 >= seconds_for_all(people)) is all_of_them
