"""Reading a large collection in parallel ranges, whose union is the whole.

One page leads to the next, so that a listing of a million users takes as many round trips as it has pages, one after
another. But ``$filter=startswith(userPrincipalName,'a')`` is a listing of its own, and so is every other beginning.

1. The service counts the whole, and each range. A range that is large is split by the next character. The ranges stand
   for what they were split from only if they count for at least as much; else it is read in one piece.
2. The ranges are walked side by side. Several small ones are one walk.
3. If fewer came than the service counts, before and after, or if it refuses such a filter, the whole is walked once
   more in one piece, and only what had not come yet is told.

Ranges by ``ge`` and ``lt`` would be simpler, but the directory does not take them for names
(microsoftgraph/microsoft-graph-docs issue 5774).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from graphkit.client.listing import Listing, Page, as_number, counting
from graphkit.client.walk import broken
from graphkit.errors import ServiceError
from graphkit.protocol.message import Request, Stage
from graphkit.protocol.odata import literal, query
from graphkit.protocol.routes import parse

PARALLEL = 8
"""Walks at a time: as many calls as the transport has in flight for one service."""

SMALLEST = 5
"""Pages that are not worth dividing."""

DEEPEST = 16
"""Characters of the longest beginning: names that have so many in common are read in one piece."""

MOST_CLAUSES = 10
"""Beginnings in one filter; the directory takes 15 alternatives (microsoft-graph-docs-contrib issue 1238)."""

_NAMES = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class Range:
    """What a filter of alternatives selects, and how many the service counts there.

    ``beginning`` is what the values have in common; ``None`` if the range is not to be divided further.
    """

    clauses: tuple[str, ...]
    size: int
    beginning: str | None = None


@dataclass(frozen=True, slots=True)
class Scheme:
    """By which property a collection is divided, and the characters that its values are made of, in any case.

    Every object has the property, and ``startswith`` is supported for it without advanced query parameters.
    """

    property: str
    characters: str

    def parts(self, beginning: str) -> list[Range]:
        """Everything that begins like this, by the next character; also what ends there. Sizes are not known yet."""
        names = [beginning + each for each in self.characters]
        found = [
            Range((f"startswith({self.property},{literal(name)})",), 0, name if len(name) < DEEPEST else None)
            for name in names
        ]
        return [*found, Range((f"{self.property} eq {literal(beginning)}",), 0)] if beginning else found


# api-reference/v1.0/resources/{user,group,device,serviceprincipal}.md of microsoft-graph-docs-contrib. A character that
# is missing here costs the parallel reading of what begins with it, never an object.
SCHEMES: Mapping[str, Scheme] = {
    "/users": Scheme("userPrincipalName", _NAMES + "'.-_!#^~@"),
    "/groups": Scheme("mailNickname", _NAMES + "!#$%&'*+-./=?^_`{|}~"),
    "/devices": Scheme("deviceId", "0123456789abcdef-"),
    "/serviceprincipals": Scheme("appId", "0123456789abcdef-"),
}

# What shapes the whole answer cannot be had in parts.
_NOT_IN_PARTS = frozenset({"$orderby", "$search", "$skip", "$skiptoken", "$apply"})
_NO_SUCH_FILTER = frozenset({400, 501})

Params = Mapping[str, str | int | bool]


class PartitionedListing(Listing):
    """A listing whose pages come from several ranges at a time, in no order, and whose objects always have their id.

    ``complete`` means as much as after :meth:`proved`: the counts were compared. Collections that are small, or that
    cannot be divided, are read in one piece. ``ranges`` is the number of walks that the whole was divided into, 0 if it
    was not.
    """

    def __init__(self, chain: Stage, first: Request, params: Params, page_size: int) -> None:
        self._params = with_id(params)
        self._path = first.path
        self._page_size = page_size
        self._scheme = SCHEMES.get(parse(first.path).shape)
        self.ranges = 0
        super().__init__(chain, replace(first, path=first.path + query(self._params)))

    async def pages(self) -> AsyncGenerator[Page, None]:
        """As :meth:`Listing.pages`."""
        self._begin()
        self.counted = await self._count()
        ranges = await self._divide()
        self.ranges = len(ranges)
        if ranges:
            try:
                async with aclosing(self._side_by_side(ranges)) as pages:
                    async for page in pages:
                        yield page
            except ServiceError as refused:
                self._bear(refused)
                ranges = []
        if not ranges or not await self._agrees():
            async for page in self._walk(self._first):
                yield page
        await self._finish()

    def _bear(self, refused: ServiceError) -> None:
        """A filter that the service does not take is no reason to give up; anything else is."""
        if refused.status in _NO_SUCH_FILTER:
            return
        if not self.read:
            raise refused
        raise broken(self._first, refused.message, refused.hint) from refused

    # -- dividing ----------------------------------------------------------------------------------------------------

    async def _divide(self) -> list[Range]:
        """Ranges that stand for the whole; none if it has to be read in one piece."""
        if self._scheme is None or self.counted is None or self.counted <= SMALLEST * self._page_size:
            return []
        if not _NOT_IN_PARTS.isdisjoint(name.lower() for name in self._params):
            return []
        largest = max(SMALLEST * self._page_size, self.counted // (4 * PARALLEL))
        large, done = [Range((), self.counted, "")], list[Range]()
        while large:
            parts = await self._split(self._scheme, large)
            large = [part for part in parts if part.size > largest and part.beginning is not None]
            done += [part for part in parts if part.size <= largest or part.beginning is None]
        if not all(part.clauses for part in done):
            return []
        return merged(done, largest, 1 if _compound(str(self._params.get("$filter", ""))) else MOST_CLAUSES)

    async def _split(self, scheme: Scheme, parents: Sequence[Range]) -> list[Range]:
        """Each by its next character, or as it was where the parts do not count for the whole of it."""
        parts = [scheme.parts(parent.beginning or "") for parent in parents]
        sizes = await asyncio.gather(*(self._sizes([part.clauses for part in each]) for each in parts))
        found: list[Range] = []
        for parent, each, counted in zip(parents, parts, sizes, strict=True):
            total = -1 if counted is None else sum(counted)
            if total < parent.size and not await self._shrunk(parent, total):
                found.append(replace(parent, beginning=None))
            else:
                found += [replace(part, size=size) for part, size in zip(each, counted or (), strict=True)]
        return found

    async def _shrunk(self, parent: Range, total: int) -> bool:
        """Were objects removed between the counts, so that its parts do account for it?"""
        now = await self._sizes([parent.clauses])
        return now is not None and 0 <= now[0] <= total

    async def _sizes(self, ranges: Iterable[tuple[str, ...]]) -> list[int] | None:
        """What the service counts for each; ``None`` if it does not say."""
        requests = [counting(self._narrowed(clauses)) for clauses in ranges]
        answers = await asyncio.gather(*(self._chain.send(request) for request in requests if request))
        sizes = [as_number(answer.body) if answer.ok else None for answer in answers]
        known = [size for size in sizes if size is not None]
        return known if len(known) == len(sizes) else None

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _side_by_side(self, ranges: Iterable[Range]) -> AsyncGenerator[Page, None]:
        """The pages of all ranges as they come; whoever takes them slowly holds up the walks."""
        waiting = deque(sorted(ranges, key=lambda each: -each.size))
        ready: asyncio.Queue[Page | Exception | None] = asyncio.Queue(2)
        workers = [asyncio.create_task(self._work(waiting, ready)) for _ in range(min(PARALLEL, len(waiting)))]
        busy = len(workers)
        try:
            while busy:
                page = await ready.get()
                if isinstance(page, Exception):
                    raise page
                if page is None:
                    busy -= 1
                else:
                    yield page
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, waiting: deque[Range], ready: asyncio.Queue[Page | Exception | None]) -> None:
        try:
            while waiting:
                async for page in self._walk(self._narrowed(waiting.popleft().clauses)):
                    await ready.put(page)
            await ready.put(None)
        except Exception as error:  # whoever waits for pages must hear of it, whatever it is
            await ready.put(error)

    def _narrowed(self, clauses: Iterable[str]) -> Request:
        """The listing of what these alternatives select."""
        within, own = " or ".join(clauses), self._params.get("$filter")
        narrowed = f"({own}) and ({within})" if own and within else own or within
        params = {**self._params, "$filter": narrowed} if narrowed else self._params
        return replace(self._first, path=self._path + query(params))


def merged(ranges: Iterable[Range], largest: int, clauses: int) -> list[Range]:
    """Small ranges as one, so that the empty ones cost no walk of their own."""
    found: list[Range] = []
    for each in sorted(ranges, key=lambda each: each.size):
        last = found[-1] if found else None
        if last and len(last.clauses) < clauses and last.size + each.size <= largest:
            found[-1] = Range(last.clauses + each.clauses, last.size + each.size)
        else:
            found.append(each)
    return found


def with_id(params: Params) -> Params:
    """Without their ids nobody could tell whether an object came already."""
    selected = str(params.get("$select", ""))
    if not selected or "id" in selected.split(","):
        return params
    return {**params, "$select": f"{selected},id"}


def _compound(rule: str) -> bool:
    """Would it be too deep with alternatives beside it? The directory takes three levels
    (microsoftgraph/microsoft-graph-docs issue 3641)."""
    return " or " in rule or " and " in rule or " in " in rule
