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

import msgspec

from graphkit.client.listing import Listing, Page, counting, number_in
from graphkit.client.walk import broken
from graphkit.errors import ServiceError
from graphkit.protocol.batch import MAX_ITEMS
from graphkit.protocol.message import Request, Stage
from graphkit.protocol.odata import literal, query
from graphkit.protocol.routes import parse

PARALLEL = 8
"""Walks at a time: as many calls as the transport has in flight for one service."""

WORTH_IT = 20
"""Pages of a collection that is divided: finding the parts takes some round trips too."""

SMALLEST = 5
"""Pages of a part that is not divided further."""

DEEPEST = 16
"""Characters of the longest beginning: names that have so many in common are read in one piece."""

MOST_CLAUSES = 14
"""Alternatives in one filter; the directory takes 15 alternatives (microsoft-graph-docs-contrib issue 1238)."""

_LETTERS = ("abcdef", "ghijkl", "mnopqr", "stuvwxyz")
_DIGITS = ("01234", "56789")


@dataclass(frozen=True, slots=True)
class Range:
    """What begins with any of ``beginnings`` or is ``exactly`` one of these, and how many the service counts there."""

    beginnings: tuple[str, ...] = ()
    exactly: tuple[str, ...] = ()
    size: int = 0

    def clauses(self, name: str) -> list[str]:
        """Of a filter, alternatives to one another. The range of all has none."""
        return [
            *(f"startswith({name},{literal(each)})" for each in self.beginnings if each),
            *(f"{name} eq {literal(each)}" for each in self.exactly),
        ]

    def parts(self, characters: Sequence[str]) -> list[Range]:
        """Its alternatives one by one or, if it is but one, the alternatives of its next character, some together."""
        if len(self.beginnings) + len(self.exactly) > 1:
            return [Range((each,)) for each in self.beginnings] + [Range((), (each,)) for each in self.exactly]
        if not self.beginnings or len(self.beginnings[0]) >= DEEPEST:
            return []
        (beginning,) = self.beginnings
        found = [Range(tuple(beginning + each for each in group)) for group in characters]
        return [*found, Range((), (beginning,))] if beginning else found


@dataclass(frozen=True, slots=True)
class Scheme:
    """By which property a collection is divided, and the characters that its values are made of, in any case, in groups
    that are counted together.

    Every object has the property, and ``startswith`` is supported for it without advanced query parameters.
    """

    property: str
    characters: tuple[str, ...]


# api-reference/v1.0/resources/{user,group,device}.md and concepts/includes/filter-directory-objects.md of
# microsoft-graph-docs-contrib; that deviceId needs no advanced query parameters is an assumption. A character that is
# missing here, or a filter that is refused, costs the parallel reading, never an object.
SCHEMES: Mapping[str, Scheme] = {
    "/users": Scheme("userPrincipalName", (*_LETTERS, *_DIGITS, "'.-_", "!#^~@")),
    "/groups": Scheme("mailNickname", (*_LETTERS, *_DIGITS, "'.-_", "!#$%&*", "+/=?^", "`{|}~")),
    "/devices": Scheme("deviceId", (*_DIGITS, "abcdef", "-")),
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
        super().__init__(chain, msgspec.structs.replace(first, path=first.path + query(self._params)))

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
        if self._scheme is None or self.counted is None or self.counted <= WORTH_IT * self._page_size:
            return []
        if not _NOT_IN_PARTS.isdisjoint(name.lower() for name in self._params):
            return []
        rule = str(self._params.get("$filter", ""))
        characters = [*"".join(self._scheme.characters)] if _compound(rule) else self._scheme.characters
        largest = max(SMALLEST * self._page_size, self.counted // (4 * PARALLEL))
        found = await self._divided(Range(("",), size=self.counted), characters, largest)
        return merged(found, largest, 1 if _compound(rule) else MOST_CLAUSES) if len(found) > 1 else []

    async def _divided(self, whole: Range, characters: Sequence[str], largest: int) -> list[Range]:
        """In parts that are not too large, or as it was where its parts do not count for all of it."""
        if whole.size <= largest or not (parts := whole.parts(characters)):
            return [whole]
        counted = await self._sizes(parts)
        if counted is None or not await self._accounted(whole, sum(part.size for part in counted)):
            return [whole]
        found = await asyncio.gather(*(self._divided(part, characters, largest) for part in counted))
        return [part for each in found for part in each]

    async def _accounted(self, whole: Range, total: int) -> bool:
        if total >= whole.size:
            return True
        # Perhaps something was removed between the counts.
        now = await self._sizes([whole])
        return now is not None and now[0].size <= total

    async def _sizes(self, ranges: Sequence[Range]) -> list[Range] | None:
        """With what the service counts for each; ``None`` if it does not say."""
        requests = [counting(self._narrowed(each)) for each in ranges]
        answers = await asyncio.gather(*(self._chain.send(request) for request in requests if request))
        sizes = [number_in(answer) if answer.ok else None for answer in answers]
        if None in sizes:
            return None
        return [replace(each, size=size or 0) for each, size in zip(ranges, sizes, strict=True)]

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _side_by_side(self, ranges: Sequence[Range]) -> AsyncGenerator[Page, None]:
        """The pages of all ranges as they come; whoever takes them slowly holds up the walks."""
        ready: asyncio.Queue[Page | Exception | None] = asyncio.Queue(2)
        full = deque(sorted((each for each in ranges if each.size), key=lambda each: -each.size))
        empty = deque(each for each in ranges if not each.size)
        shares = [full] * min(PARALLEL, len(full)) + [empty] * min(MAX_ITEMS, len(empty))
        workers = [asyncio.create_task(self._work(share, ready)) for share in shares]
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
                async for page in self._walk(self._narrowed(waiting.popleft())):
                    await ready.put(page)
            await ready.put(None)
        except Exception as error:  # whoever waits for pages must hear of it, whatever it is
            await ready.put(error)

    def _narrowed(self, part: Range) -> Request:
        """The listing of that part only."""
        within = " or ".join(part.clauses(self._scheme.property)) if self._scheme else ""
        own = self._params.get("$filter")
        narrowed = f"({own}) and ({within})" if own and within else own or within
        params = {**self._params, "$filter": narrowed} if narrowed else self._params
        return msgspec.structs.replace(self._first, path=self._path + query(params))


def merged(ranges: Iterable[Range], largest: int, clauses: int) -> list[Range]:
    """Small ranges as one, so that the many empty ones cost few walks."""
    found: list[Range] = []
    for each in sorted(ranges, key=lambda each: each.size):
        last = found[-1] if found else Range()
        both = Range(last.beginnings + each.beginnings, last.exactly + each.exactly, last.size + each.size)
        if found and len(both.beginnings) + len(both.exactly) <= clauses and both.size <= largest:
            found[-1] = both
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
