"""Listings against the simulated tenant, by the whole chain on virtual time."""

from __future__ import annotations

import pytest

from graphkit.clock import VirtualClock
from graphkit.sandbox import SandboxTransport, Seed, SimulatedTenant

PARAMS = {"$select": "id,userPrincipalName"}


def far_end():
    """A tenant with a history of its own: its limits remember what was asked, and virtual time begins anew."""
    return SandboxTransport(SimulatedTenant(VirtualClock(), seed=Seed(organisations=4, users=400), latency_s=0.2))


async def names(listing):
    return sorted([user["userPrincipalName"] async for user in listing])


def test_the_parts_of_a_tenant_are_the_whole_of_it(reading):
    async def one(graph):
        return await names(graph.list("/users", params=PARAMS, page_size=5).proved())

    async def many(graph):
        listing = graph.list_partitioned("/users", params=PARAMS, page_size=5)
        return await names(listing), listing

    whole, slow = reading(far_end(), one)
    (parts, listing), quick = reading(far_end(), many)
    assert parts == whole
    assert len(whole) == 402
    assert (listing.complete, listing.counted, listing.ranges > 8) == (True, 402, True)
    assert quick < slow / 2


@pytest.mark.parametrize("path", ["/groups", "/servicePrincipals", "/groups/{group}/members"])
def test_every_directory_collection_can_be_proved(reading, path):
    async def use(graph):
        group = await graph.create("/groups", {**GROUP, "mailNickname": "wards"})
        await graph.clock.sleep(600)
        for listing in (
            graph.list(path.format(group=group["id"])).proved(),
            graph.list_partitioned(path.format(group=group["id"])),
        ):
            found = [item async for item in listing]
            assert (listing.complete, listing.counted) == (True, len(found))
        return True

    assert reading(far_end(), use)[0]


GROUP = {"displayName": "Wards", "mailEnabled": False, "securityEnabled": True}


def test_collections_that_do_not_count_are_complete_at_their_last_page(reading):
    async def use(graph):
        listing = graph.list("/subscribedSkus").proved()
        return [sku async for sku in listing], listing.complete

    (skus, complete), _ = reading(far_end(), use)
    assert skus
    assert complete
