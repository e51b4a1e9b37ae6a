"""A listing that outlives its page tokens, proves its end and goes nowhere else."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc

import httpx
import pytest

from graphkit.client.seen import FEW, Seen
from graphkit.errors import IncompleteList, ResyncRequired, ServiceError, UntrustedDestination

ROOT = "https://graph.microsoft.com/v1.0"


async def collect(items):
    return [item["id"] async for item in items]


class Pages:
    """``/users`` in pages of ten under ``$skiptoken``; ``fail`` maps a page to the refusals it still has to give."""

    def __init__(self, count=95, fail=None, told=None):
        self.ids = [f"u{number:03}" for number in range(count)]
        self.fail = fail or {}
        self.told = told or []
        self.asked = []

    def __call__(self, request):
        if "$count=true&$top=1&" in request.path:
            self.asked.append("count")
            number = self.told.pop(0) if self.told else len(self.ids)
            return number if isinstance(number, tuple) else (200, {"@odata.count": number, "value": []})
        page = int(request.path.rpartition("skiptoken=")[2]) if "skiptoken" in request.path else 0
        self.asked.append(page)
        if self.fail.get(page):
            return self.fail[page].pop(0)
        found = {"value": [{"id": each} for each in self.ids[10 * page : 10 * page + 10]]}
        if "$count=true" in request.path:
            found["@odata.count"] = len(self.ids)
        if 10 * page + 10 < len(self.ids):
            found["@odata.nextLink"] = f"{ROOT}/users?$skiptoken={page + 1}"
        return 200, found


def refusal(status, code):
    return status, {"error": {"code": code, "message": "The specified page token value has expired."}}


EXPIRED = refusal(400, "Directory_ExpiredPageToken")


@pytest.mark.parametrize(
    "gone",
    [
        EXPIRED,
        refusal(410, "Directory_ExpiredPageToken"),
        refusal(410, ""),
        refusal(404, "SyncStateNotFound"),
        (400, {"error": {"code": "invalidRequest", "innerError": {"code": "resyncRequired"}}}),
        *(
            refusal(400, code)
            for code in (
                "syncStateInvalid",
                "resyncApplyDifferences",
                "resyncUploadDifferences",
                "resyncChangesApplyDifferences",
                "resyncChangesUploadDifferences",
            )
        ),
    ],
)
def test_an_expired_page_token_begins_anew_and_tells_nothing_twice(scripted, gone):
    """They never expire, say the maintainers (msgraph-sdk-javascript issue 1463); they do (msgraph-sdk-dotnet 2254)."""
    pages = Pages(fail={7: [gone]})
    _, graph = scripted(pages)
    listing = graph.list("/users")
    assert asyncio.run(collect(listing)) == pages.ids
    assert pages.asked == [*range(8), *range(10)]
    assert (listing.restarts, listing.complete) == (1, True)


def test_it_begins_anew_twice_but_not_for_ever(scripted):
    pages = Pages(fail={7: [EXPIRED] * 2})
    _, graph = scripted(pages)
    assert asyncio.run(collect(graph.list("/users"))) == pages.ids
    pages = Pages(fail={7: [EXPIRED] * 3})
    _, graph = scripted(pages)
    listing = graph.list("/users")
    with pytest.raises(IncompleteList, match="expired 3 times"):
        asyncio.run(collect(listing))
    assert not listing.complete
    assert listing.read == 70


def test_what_is_added_meanwhile_is_told_by_the_new_walk(scripted):
    pages = Pages(fail={7: [EXPIRED]})

    def answer(request):
        if pages.asked and pages.asked[-1] == 7 and "u-new" not in pages.ids:
            pages.ids.insert(0, "u-new")
        return pages(request)

    _, graph = scripted(answer)
    assert sorted(asyncio.run(collect(graph.list("/users")))) == sorted(pages.ids)


def test_without_ids_nothing_is_told_twice_either(scripted):
    def answer(request):
        if "skiptoken" in request.path:
            return EXPIRED
        return 200, {"value": [{"name": "a"}], "@odata.nextLink": f"{ROOT}/x?$skiptoken=1"}

    _, graph = scripted(answer)
    with pytest.raises(IncompleteList, match="no id"):
        asyncio.run(collect_names(graph.list("/x")))


async def collect_names(items):
    return [item["name"] async for item in items]


def test_a_first_page_that_is_gone_is_a_refusal(scripted):
    _, graph = scripted(lambda request: refusal(410, "Gone"))
    with pytest.raises(ServiceError):
        asyncio.run(collect(graph.list("/users")))


def test_a_token_that_comes_twice_with_other_pages_is_no_circle(scripted):
    """Seen in a walk of some 3,700 members: maester365/maester issue 1112."""
    answers = [(["1"], "a"), (["2"], "b"), (["3"], "a"), (["4"], "c"), (["5"], None)]

    def answer(request):
        ids, token = answers.pop(0)
        link = {"@odata.nextLink": f"{ROOT}/users?$skiptoken={token}"} if token else {}
        return 200, {"value": [{"id": each} for each in ids], **link}

    _, graph = scripted(answer)
    assert asyncio.run(collect(graph.list("/users"))) == ["1", "2", "3", "4", "5"]


def test_an_object_from_long_ago_is_still_known(scripted):
    def answer(request):
        page = int(request.path.rpartition("=")[2]) if "skiptoken" in request.path else 0
        ids = [f"{page}-{number}" for number in range(999)] + ["again"]
        link = {"@odata.nextLink": f"{ROOT}/users?$skiptoken={page + 1}"} if page < 80 else {}
        return 200, {"value": [{"id": each} for each in ids], **link}

    _, graph = scripted(answer)
    assert asyncio.run(collect(graph.list("/users"))).count("again") == 1


# -- completeness ------------------------------------------------------------------------------------------------------


def test_a_listing_is_complete_once_its_last_page_is_read(scripted):
    _, graph = scripted(Pages())
    listing = graph.list("/users")
    assert not listing.complete

    async def main():
        async for _ in listing:
            assert not listing.complete

    asyncio.run(main())
    assert (listing.complete, listing.read, listing.counted) == (True, 95, None)


def test_a_second_reading_that_breaks_off_takes_back_what_the_first_proved(scripted):
    pages = Pages()
    _, graph = scripted(pages)
    listing = graph.list("/users")
    asyncio.run(collect(listing))
    assert (listing.complete, listing.read) == (True, 95)
    pages.fail = {3: [refusal(403, "Forbidden")]}
    with pytest.raises(IncompleteList):
        asyncio.run(collect(listing))
    assert (listing.complete, listing.read, listing.restarts) == (False, 30, 0)


def test_objects_without_a_name_run_in_no_circle_either(scripted):
    def answer(request):
        assert len(chain.requests) < 20
        items = [{"name": "a"}, {"id": "u1"}]
        return 200, {"value": items, "@odata.nextLink": f"{ROOT}/x?$skiptoken={len(chain.requests) % 3}"}

    chain, graph = scripted(answer)
    with pytest.raises(IncompleteList, match="circle"):
        asyncio.run(collect_all(graph.list("/x")))


def test_objects_with_and_without_an_id_are_both_told_and_only_the_former_once(scripted):
    answers = [[{"id": "u1"}, {"name": "a"}], [{"name": "b"}, {"id": "u1"}, {"id": "u2"}]]

    def answer(request):
        items = answers.pop(0)
        return 200, {"value": items, **({"@odata.nextLink": f"{ROOT}/x?$skiptoken=1"} if answers else {})}

    _, graph = scripted(answer)
    found = asyncio.run(collect_all(graph.list("/x")))
    assert found == [{"id": "u1"}, {"name": "a"}, {"name": "b"}, {"id": "u2"}]


async def collect_all(items):
    return [item async for item in items]


@pytest.mark.parametrize(
    ("told", "complete"),
    [
        ([95], True),
        ([90], True),  # some were added after the count
        ([100, 95], True),  # some were removed after it
        ([100, 94], True),
        ([100, 100], False),  # cut short
        ([96, 120], False),
        ([100, 96], False),
        ([(400, {"error": {"code": "Request_BadRequest"}})], True),  # not counted here
        ([(200, {"value": []})], True),
        ([100, (400, {})], False),
    ],
)
def test_a_proved_listing_is_held_against_the_count(scripted, told, complete):
    """Get-Mg... -All returned 2,000 of 19,000 devices (msgraph-sdk-powershell issue 2534)."""
    pages = Pages(told=told)
    _, graph = scripted(pages)
    listing = graph.list("/users").proved()
    if complete:
        assert asyncio.run(collect(listing)) == pages.ids
    else:
        with pytest.raises(IncompleteList, match="counts"):
            asyncio.run(collect(listing))
    assert listing.complete is complete
    assert pages.asked[0] == "count"


def test_a_count_that_was_asked_for_is_held_against_the_listing(scripted):
    """The first page tells it, and only the first (microsoft-graph-docs issue 22341)."""

    def answer(request):
        status, found = pages(request)
        if pages.asked[-1] == 4:
            del found["@odata.nextLink"]
        return status, found

    pages = Pages()
    _, graph = scripted(answer)
    listing = graph.list("/users", params={"$count": True}, headers={"ConsistencyLevel": "eventual"})
    with pytest.raises(IncompleteList, match="counts 95 objects and gave 50"):
        asyncio.run(collect(listing))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/users", "/users?$count=true&$top=1&$select=id"),
        ("/users?$select=x&$filter=a%20eq%20b", "/users?$filter=a%20eq%20b&$count=true&$top=1&$select=id"),
        ("/users?filter=a%20eq%20b", "/users?filter=a%20eq%20b&$count=true&$top=1&$select=id"),
        ("/users?$search=%22displayName:x%22", "/users?$search=%22displayName:x%22&$count=true&$top=1&$select=id"),
    ],
)
def test_what_is_counted_is_what_is_listed(scripted, path, expected):
    chain, graph = scripted(Pages())
    asyncio.run(collect(graph.list(path, headers={"Prefer": "x"}, version="beta").proved()))
    first = chain.requests[0]
    assert (first.path, first.version) == (expected, "beta")
    assert first.headers == {"Prefer": "x", "ConsistencyLevel": "eventual"}


def test_a_part_is_not_counted(scripted):
    pages = Pages()
    _, graph = scripted(pages)
    listing = graph.list("/users", params={"$skip": 5}).proved()
    asyncio.run(collect(listing))
    assert "count" not in pages.asked
    assert listing.complete


def test_a_count_that_fails_is_no_proof(scripted):
    _, graph = scripted(Pages(told=[(403, {"error": {"code": "Authorization_RequestDenied"}})]))
    with pytest.raises(ServiceError):
        asyncio.run(collect(graph.list("/users").proved()))


@pytest.mark.parametrize("way", ["pages", "objects", "delta"])
def test_a_page_that_is_done_with_is_gone_when_the_next_is_asked_for(scripted, way):
    """Two of them at a time take twice the memory and, out of the processor's reach, nearly twice the time."""
    alive = []

    def answer(request):
        page = int(request.path.rpartition("=")[2]) if "skiptoken" in request.path else 0
        alive.append([row["id"] for row in map(rows_of, gc.get_objects()) if row and len(row["id"]) == 2])
        value = [{"id": f"{page}{each}", "licenses": [{}]} for each in "abc"]
        kind = "deltaLink" if page == 3 else "nextLink"
        link = {f"@odata.{kind}": f"{ROOT}/users?$skiptoken={page + 1}"} if page < 3 or way == "delta" else {}
        return 200, json.dumps({"value": value, **link}).encode()

    _, graph = scripted(answer)
    assert asyncio.run(told(graph, way)) == 12
    assert [len(each) for each in alive] == ([0, 0, 0, 0] if way != "objects" else [0, 1, 1, 1])


def rows_of(thing):
    return thing if type(thing) is dict and "licenses" in thing and isinstance(thing.get("id"), str) else None


async def told(graph, way):
    """How many, each page and each object forgotten at once (of objects the last is the listing's own)."""
    if way == "objects":
        return len([None async for _ in graph.list("/users")])
    count = 0
    async for page in graph.pages("/users") if way == "pages" else graph.delta("/users/delta").pages():
        count += len(page)
        del page
    return count


def test_a_listing_can_be_read_again(scripted):
    pages = Pages()
    _, graph = scripted(pages)
    listing = graph.list("/users")
    assert asyncio.run(collect(listing)) == asyncio.run(collect(listing)) == pages.ids
    assert listing.read == 95


# -- the memory of it --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 20_000, FEW, FEW + 1, 4 * FEW])
def test_what_was_seen_is_remembered_through_all_growth(count):
    seen, texts = Seen(), [f"id {number}" for number in range(count)]
    for begin in range(0, count, 999):
        assert all(seen.add_all(texts[begin : begin + 999]))
    assert not any(seen.add_all(texts))
    assert len(seen) == count
    assert seen.add("another")


@pytest.mark.parametrize("before", [0, FEW])
def test_each_of_a_page_is_new_once(before):
    seen = Seen()
    seen.add_all([f"before {number}" for number in range(before)])
    assert seen.add_all(["a", "b", "a", "c", "b"]) == [True, True, False, True, False]
    assert seen.add_all(["c", "d"]) == [False, True]


def test_a_million_ids_fit_beside_a_small_process():
    seen = Seen()
    tracemalloc.start()
    for begin in range(0, 1_000_000, 10_000):
        seen.add_all([str(number) for number in range(begin, begin + 10_000)])
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert taken <= 23 * len(seen)


# -- links that lead elsewhere -----------------------------------------------------------------------------------------

HOSTILE = [
    "https://evil.example/v1.0/users?$skiptoken=1",
    "https://graph.microsoft.com@evil.example/v1.0/users",
    "https://graph.microsoft.com.evil.example/v1.0/users",
    "http://graph.microsoft.com/v1.0/users",
    "https://graph.microsoft.com:444/v1.0/users",
    "https://graph.microsoft.us/v1.0/users",
    "https://graph.microsoft.com./v1.0/users",
    "https://gr\u0430ph.microsoft.com/v1.0/users",
    "https://xn--grph-43d.microsoft.com/v1.0/users",
    "https://graph.microsoft.com\\@evil.example/v1.0/users",
    "//evil.example/v1.0/users",
    "HTTPS://GRAPH.MICROSOFT.COM/v1.0/users",
    "https://graph.microsoft.com%2f@evil.example/",
    "ftp://graph.microsoft.com/v1.0/users",
]


class Hostile:
    """Answers the first request with a link of its own choice; nothing else must arrive."""

    def __init__(self, field, link):
        self.field, self.link = field, link
        self.urls = []

    def __call__(self, request):
        self.urls.append(str(request.url))
        return httpx.Response(200, json={"value": [{"id": "u1"}], self.field: self.link})


@pytest.mark.parametrize("link", HOSTILE)
@pytest.mark.parametrize(
    ("field", "use"),
    [
        ("@odata.nextLink", lambda graph: collect(graph.list("/users"))),
        ("@odata.nextLink", lambda graph: collect(graph.list_partitioned("/users"))),
        ("@odata.nextLink", lambda graph: collect(graph.delta("/users/delta"))),
        ("@odata.deltaLink", lambda graph: collect(graph.delta("/users/delta"))),
    ],
    ids=["list", "list_partitioned", "delta page", "delta link"],
)
def test_a_link_that_leads_elsewhere_is_an_error_and_nothing_is_sent(reading, link, field, use):
    service = Hostile(field, link)

    async def refused(graph):
        with pytest.raises(UntrustedDestination) as caught:
            await use(graph)
        return caught.value

    error, _ = reading(httpx.MockTransport(service), refused)
    assert {httpx.URL(url).host for url in service.urls} == {"graph.microsoft.com"}
    assert len([url for url in service.urls if "$count" not in url]) == 1
    assert field in error.message


def test_a_410_that_leads_elsewhere_is_not_followed(reading):
    """Where to begin again is known: at the beginning (concepts/delta-query-overview.md, synchronization reset)."""
    urls = []

    def service(request):
        urls.append(request.url)
        return httpx.Response(410, headers={"Location": "https://evil.example/v1.0/users/delta?$deltatoken="})

    async def refused(graph):
        with pytest.raises(ResyncRequired):
            await collect(graph.delta("/users/delta", link=f"{ROOT}/users/delta?$deltatoken=1"))

    reading(httpx.MockTransport(service), refused)
    assert [url.host for url in urls] == ["graph.microsoft.com"]


def test_a_stored_delta_link_that_leads_elsewhere_is_not_followed(reading):
    service = Hostile("@odata.deltaLink", "")

    async def refused(graph):
        with pytest.raises(UntrustedDestination, match=r"@odata\.deltaLink"):
            await collect(graph.delta("/users/delta", link="https://evil.example/v1.0/users/delta?$deltatoken=1"))

    reading(httpx.MockTransport(service), refused)
    assert service.urls == []
