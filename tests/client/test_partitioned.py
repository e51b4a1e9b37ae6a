"""Reading a collection in parallel parts: nothing is lost, nothing comes twice, and it is faster."""

from __future__ import annotations

import asyncio
import random
import uuid

import pytest

from graphkit.clock import VirtualClock
from graphkit.errors import IncompleteList, ServiceError

SIZE = 10


def staff(count, organisations=3):
    return [f"rx{n % organisations + 1}-{n // organisations:05}@contoso.example" for n in range(count)]


def scattered(count, seed=1):
    chance = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789'.-_!#^~"
    return ["".join(chance.choices(letters, k=8)) + f".{number}@contoso.example" for number in range(count)]


def lopsided(count):
    return [*staff(count - 40, 1), *scattered(40)]


async def read(listing):
    pages = [page async for page in listing.pages()]
    return sorted(item["userPrincipalName"] for page in pages for item in page)


@pytest.mark.parametrize(
    "names",
    [
        staff(900),
        staff(900, organisations=12),
        scattered(900),
        lopsided(900),
        [f"{uuid.UUID(int=random.Random(n).getrandbits(128))}@contoso.example" for n in range(900)],
    ],
    ids=["three prefixes", "twelve prefixes", "every character", "nearly all alike", "uniform"],
)
def test_the_parts_are_the_whole_and_come_once(reading, collection, names):
    async def use(graph):
        listing = graph.list_partitioned("/users", page_size=SIZE)
        return await read(listing), listing

    (found, listing), _ = reading(collection(names), use)
    assert found == sorted(names)
    assert (listing.complete, listing.read, listing.counted) == (True, 900, 900)
    assert listing.ranges > 8


def test_it_takes_a_fraction_of_the_time(reading, collection):
    names = staff(20_000, organisations=40)

    async def in_one_piece(graph):
        return await read(graph.list("/users", page_size=50))

    async def in_parts(graph):
        return await read(graph.list_partitioned("/users", page_size=50))

    one, slow = reading(collection(names), in_one_piece)
    many, quick = reading(collection(names), in_parts)
    assert one == many
    assert quick < slow / 5


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"path": "/users", "page_size": 100}, "few pages"),
        ({"path": "/users", "params": {"$orderby": "displayName"}, "page_size": SIZE}, "an order of the whole"),
        ({"path": "/users", "params": {"$search": '"displayName:x"'}, "page_size": SIZE}, "a search"),
        ({"path": "/groups/g1/members", "page_size": SIZE}, "a collection that is not known to be divisible"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_divided_is_read_in_one_piece(reading, collection, how, why):
    async def use(graph):
        listing = graph.list_partitioned(**how)
        return await read(listing), listing

    (found, listing), _ = reading(collection(staff(900)), use)
    assert len(found) == 900, why
    assert (listing.ranges, listing.complete) == (0, True)


@pytest.mark.parametrize("status", [400, 501])
def test_a_filter_that_the_service_does_not_take_costs_nothing_but_time(reading, collection, status):
    end = collection(staff(900))
    end.refuse = lambda path: status if "startswith" in path and "$count" not in path else None

    async def use(graph):
        listing = graph.list_partitioned("/users", page_size=SIZE)
        return await read(listing), listing.complete

    (found, complete), _ = reading(end, use)
    assert (found, complete) == (sorted(staff(900)), True)


def test_without_counts_it_is_read_in_one_piece(reading, collection):
    end = collection(staff(900))
    end.counts = lambda number, rule: None

    async def use(graph):
        listing = graph.list_partitioned("/users", page_size=SIZE)
        return await read(listing), listing

    (found, listing), _ = reading(end, use)
    assert (found, listing.ranges, listing.counted, listing.complete) == (sorted(staff(900)), 0, None, True)


def test_a_name_of_unheard_of_characters_is_not_lost(reading, collection):
    names = [*staff(900), "€uro@contoso.example", "rx1-00€@contoso.example", "rx2"]

    async def use(graph):
        return await read(graph.list_partitioned("/users", page_size=SIZE))

    found, _ = reading(collection(names), use)
    assert found == sorted(names)


def test_a_part_whose_parts_do_not_add_up_stays_whole(reading, collection):
    names = [*staff(900, 1), *(f"rx1-€{number}@contoso.example" for number in range(50)), *scattered(300)]

    async def use(graph):
        listing = graph.list_partitioned("/users", page_size=SIZE)
        return await read(listing), listing.ranges

    end = collection(names)
    (found, ranges), _ = reading(end, use)
    assert found == sorted(names)
    assert ranges > 3
    assert not any("skiptoken" in each and "filter" not in each for each in end.operations), "read once more"


def test_somebody_renamed_from_part_to_part_is_not_lost(reading, collection):
    """From the part that is read last to one that has been read by then: the count tells, and all is read once more."""
    names = [f"{letter}{number:04}@contoso.example" for letter in "bcm" for number in range(300)]
    end = collection([*names, "z@contoso.example"])

    def rename(path):
        if "skiptoken=20" in path and "z@contoso.example" in end.names:
            end.names.remove("z@contoso.example")
            end.names.insert(0, "a@contoso.example")

    end.seen = rename

    async def use(graph):
        listing = graph.list_partitioned("/users", page_size=SIZE)
        return await read(listing), listing.complete

    (found, complete), _ = reading(end, use)
    assert found == ["a@contoso.example", *names]
    assert complete
    assert any("skiptoken" in each and "filter" not in each for each in end.operations)


def test_a_service_that_gives_less_than_it_counts_is_not_believed(reading, collection):
    end = collection(staff(900))
    end.counts = lambda number, rule: number if rule else number + 5

    async def use(graph):
        listing = graph.list_partitioned("/users", page_size=SIZE)
        with pytest.raises(IncompleteList, match="counts 905 objects and gave 900"):
            await read(listing)
        return listing.complete

    complete, _ = reading(end, use)
    assert not complete


def test_whoever_leaves_meanwhile_is_not_missing(reading, collection):
    end = collection(staff(900))
    gone = []

    def leave(path):
        if "skiptoken" in path and len(gone) < 30:
            gone.append(end.names.pop())

    end.seen = leave

    async def use(graph):
        listing = graph.list_partitioned("/users", page_size=SIZE)
        found = await read(listing)
        return set(found), listing.complete

    (found, complete), _ = reading(end, use)
    assert found >= set(end.names)
    assert complete


@pytest.mark.parametrize("status", [403, 404, 400])
def test_one_part_that_fails_ends_all(reading, collection, status):
    end = collection(staff(900))
    end.refuse = lambda path: status if "skiptoken=20" in path else None

    async def use(graph):
        with pytest.raises(IncompleteList):
            await read(graph.list_partitioned("/users", page_size=SIZE))
        return sum("skiptoken" in each for each in end.operations)

    further_pages, _ = reading(end, use)
    assert 0 < further_pages < 40  # of 60


@pytest.mark.parametrize("counts", ["are refused", "are told"])
def test_a_refusal_at_once_is_a_refusal(reading, collection, counts):
    end = collection(staff(900))
    end.refuse = lambda path: 403 if counts == "are refused" or "$count" not in path else None

    async def use(graph):
        with pytest.raises(ServiceError) as caught:
            await read(graph.list_partitioned("/users", page_size=SIZE))
        return caught.value.status

    assert reading(end, use)[0] == 403


def test_a_part_that_is_refused_after_others_were_read_leaves_the_listing_incomplete(reading, collection):
    end, listed = collection(staff(900)), []

    def refuse(path):
        listed.append("$count" not in path)
        return 403 if sum(listed) > 12 and "skiptoken" not in path and listed[-1] else None

    end.refuse = refuse

    async def use(graph):
        listing = graph.list_partitioned("/users", page_size=SIZE)
        with pytest.raises(IncompleteList):
            await read(listing)
        return listing.complete, listing.read

    (complete, number), _ = reading(end, use)
    assert not complete
    assert 0 < number < 900


def test_whoever_reads_slowly_holds_up_the_service(reading, collection):
    end = collection(staff(3000))

    async def use(graph):
        taken = 0
        async for page in graph.list_partitioned("/users", page_size=SIZE).pages():
            taken += bool(page)
            await VirtualClock().sleep(5)
            assert sum("skiptoken" in each for each in end.operations) <= taken + 2
            if taken > 40:
                break

    reading(end, use)


def test_whoever_stops_early_leaves_nothing_running(reading, collection):
    async def use(graph):
        async for user in graph.list_partitioned("/users", page_size=SIZE):
            return user["id"]
        return None

    found, _ = reading(collection(staff(900)), use)
    assert found


def test_a_filter_of_ones_own_narrows_each_part(reading, collection):
    end = collection(staff(900))

    async def use(graph):
        params = {"$filter": "accountEnabled eq true", "$select": "userPrincipalName"}
        return await read(graph.list_partitioned("/users", params=params, page_size=SIZE))

    found, _ = reading(end, use)
    assert set(found) == set(staff(900))
    parts = [each for each in end.operations if "startswith" in each]
    assert parts
    assert all("(accountEnabled%20eq%20true)%20and%20(startswith" in each for each in parts if "skiptoken" not in each)
    assert all("$select=userPrincipalName,id" in each for each in parts if "$count" not in each and "skip" not in each)


def test_a_query_in_the_path_is_a_query(reading, collection):
    async def use(graph):
        return await read(graph.list_partitioned("/users?$top=10&select=id,userPrincipalName"))

    end = collection(staff(300))
    found, _ = reading(end, use)
    assert len(found) == 300
    assert any("$top=10&$select=id,userPrincipalName" in each for each in end.operations)


def test_an_expired_token_of_one_part_restarts_that_part(reading, collection):
    end, expired = collection(staff(900)), []

    def refuse(path):
        if "skiptoken=20" in path and len(expired) < 3:
            expired.append(path)
            return 410
        return None

    end.refuse = refuse

    async def use(graph):
        listing = graph.list_partitioned("/users", page_size=SIZE)
        return await read(listing), listing.restarts

    (found, restarts), _ = reading(end, use)
    assert (found, restarts) == (sorted(staff(900)), 3)


def test_the_headers_of_the_first_request_go_with_all_of_them(scripted):
    def answer(request):
        counted = {"@odata.count": 2} if "$count" in request.path else {}
        link = {"@odata.nextLink": "https://graph.microsoft.com/v1.0/users?$skiptoken=1"}
        first = "skiptoken" not in request.path
        return 200, {"value": [{"id": "u1" if first else "u2"}], **counted, **(link if first else {})}

    chain, graph = scripted(answer)

    async def main():
        return [item["id"] async for item in graph.list_partitioned("/users", headers={"Prefer": "x"})]

    assert asyncio.run(main()) == ["u1", "u2"]
    assert len(chain.requests) == 3
    assert {request.headers.get("Prefer") for request in chain.requests} == {"x"}
