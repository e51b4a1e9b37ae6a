"""A collection that can be read to its end, and what is known about that end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec

from graphkit.client.refusal import service_error
from graphkit.client.seen import Seen
from graphkit.client.walk import Walk, broken
from graphkit.protocol.message import Request, Response, Stage

Page = list[dict[str, Any]]

EVENTUAL = {"ConsistencyLevel": "eventual"}
"""Counting needs it (microsoft-graph-docs-contrib concepts/aad-advanced-queries.md)."""

_COUNTED_WITH = frozenset({"filter", "search"})
_PARTS = frozenset({"skip", "skiptoken", "apply"})
_NO_COUNT_HERE = frozenset({400, 404, 405, 501})


class Listing:
    """A collection, read while it is iterated: object by object, or page by page with :meth:`pages`. No object comes
    twice, and pages may be empty.

    ``read`` is the number of objects so far, ``counted`` what the service says there are, ``restarts`` how often a page
    token expired and the walk began anew. ``complete`` is true once the last page was read and no count speaks against
    it: only then does it prove anything that an object was not among them.
    """

    def __init__(self, chain: Stage, first: Request) -> None:
        self._chain = chain
        self._first = first
        self._count_first = False
        self._seen = Seen()
        self.read = 0
        self.counted: int | None = None
        self.restarts = 0
        self.complete = False

    def proved(self) -> Listing:
        """The same listing, but the service is asked beforehand how many there are, so that a listing that it cuts
        short raises ``IncompleteList``. Where it does not count, the last page has to do.

        What absence is concluded from, a removal above all, should be read like this.
        """
        self._count_first = True
        return self

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for item in page:
                    yield item
                del page  # or it would stand in memory beside the next, here and below

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Raises ``ServiceError`` if the service refuses the first page, and ``IncompleteList`` if the walk breaks off
        after it or brings fewer objects than the service counts, before and after."""
        self._begin()
        if self._count_first:
            self.counted = await self._count()
        async for page in self._walk(self._first):
            yield page
            del page
        await self._finish()

    def _begin(self) -> None:
        self._seen = Seen()
        self.read = self.restarts = 0
        self.complete = False

    async def _walk(self, first: Request) -> AsyncIterator[Page]:
        walk, restarts = Walk(self._chain, first, self._seen), 0
        async for page in walk.pages():
            self.restarts += walk.restarts - restarts
            restarts = walk.restarts
            self.read += len(page)
            yield page
            del page
        if self.counted is None and counting(first):
            self.counted = walk.counted

    async def _finish(self) -> None:
        if not await self._agrees():
            reason = f"the service counts {self.counted} objects and gave {self.read}"
            raise broken(self._first, reason, "list it again; somebody may be changing it just now")
        self.complete = True

    async def _agrees(self) -> bool:
        """Not fewer than there were before, or than there are now: what is removed meanwhile is not missing."""
        if self.counted is None or self.read >= self.counted:
            return True
        now = await self._count()
        return now is not None and self.read >= now

    async def _count(self) -> int | None:
        return await count(self._chain, self._first)


async def count(chain: Stage, listed: Request) -> int | None:
    """How many objects a listing would bring; ``None`` if the service does not count this collection."""
    request = counting(listed)
    if request is None:
        return None
    response = await chain.send(request)
    if response.ok:
        return number_in(response)
    if response.status in _NO_COUNT_HERE:
        return None
    raise service_error(request, response)


def counting(listed: Request) -> Request | None:
    """The request that counts what another lists; ``None`` if it lists only a part.

    Not ``/$count``: nobody says in which form a bare number comes back inside a batch.
    """
    head, _, query = listed.path.partition("?")
    pairs = query.split("&")
    if any(_name(pair) in _PARTS for pair in pairs):
        return None
    kept = [pair for pair in pairs if _name(pair) in _COUNTED_WITH]
    path = f"{head}?{'&'.join([*kept, '$count=true', '$top=1', '$select=id'])}"
    return Request(method="GET", path=path, headers={**listed.headers, **EVENTUAL}, version=listed.version)


def number_in(response: Response) -> int | None:
    """The answer to :func:`counting`."""
    try:
        return _number.decode(response.body).count
    except msgspec.DecodeError:
        return None


class _Number(msgspec.Struct):
    count: int | None = msgspec.field(default=None, name="@odata.count")


_number = msgspec.json.Decoder(_Number)


def _name(pair: str) -> str:
    name = pair.partition("=")[0].lower()
    return name.removeprefix("%24").removeprefix("$")
