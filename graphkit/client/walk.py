"""Following a collection to its last page, and proving that it was the last.

Links are followed byte for byte with the headers of the first request. An empty page is no end, a page whose token is
too old sends the walk back to the first page, and a link that leads elsewhere is not followed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import compress
from typing import Any

import msgspec

from graphkit.client.refusal import service_error
from graphkit.client.seen import Seen
from graphkit.errors import AuthError, GraphkitError, IncompleteList, Stopped, UntrustedDestination
from graphkit.protocol.message import Request, Response, Stage

MOST_RESTARTS = 2
"""How often a walk goes back to its first page: whatever is too slow three times will be so again."""

NEXT_LINK, DELTA_LINK = "@odata.nextLink", "@odata.deltaLink"

# Seen when a page or delta token is too old or its state is gone: microsoftgraph/microsoft-graph-docs-contrib
# concepts/delta-query-overview.md and driveitem-delta.md; msgraph-sdk-dotnet issue 2254; microsoft-graph-docs 2350.
_TOO_OLD = frozenset(
    {
        "directory_expiredpagetoken",
        "syncstatenotfound",
        "syncstateinvalid",
        "resyncrequired",
        "resyncapplydifferences",
        "resyncuploaddifferences",
        "resyncchangesapplydifferences",
        "resyncchangesuploaddifferences",
    }
)


class Page(msgspec.Struct):
    value: list[Any]
    next_link: str | None = msgspec.field(default=None, name=NEXT_LINK)
    delta_link: str | None = msgspec.field(default=None, name=DELTA_LINK)
    count: int | None = msgspec.field(default=None, name="@odata.count")


class TooOld(Exception):
    """The token in a link has expired; the collection has to be read from its first page."""


class Walk:
    """One way through a collection. No object is told twice that ``seen`` holds already.

    ``counted`` is what the service said of the whole on the first page, if it was asked with ``$count=true``.
    """

    def __init__(self, chain: Stage, first: Request, seen: Seen) -> None:
        self._chain = chain
        self._first = first
        self._seen = seen
        self._nameless = False
        self.counted: int | None = None
        self.restarts = 0

    async def pages(self) -> AsyncIterator[list[dict[str, Any]]]:
        """Raises ``ServiceError`` if the first page is refused, ``UntrustedDestination`` for a link that leads
        elsewhere, and ``IncompleteList`` if the walk breaks off, runs in a circle or meets what is no page."""
        request, links, repeated = self._first, Seen(), False
        while True:
            try:
                page = await fetch(self._chain, request, "" if request is self._first else NEXT_LINK)
            except TooOld:
                self._start_again()
                request, links, repeated = self._first, Seen(), False
                continue
            if self.counted is None:
                self.counted = page.count
            fresh = self._fresh(page.value)
            yield fresh
            link, empty = page.next_link, not fresh
            del page, fresh  # or they would stand in memory beside the next
            if not link:
                return
            # Tokens have been seen to come twice with different pages (maester365/maester issue 1112): a link is a
            # circle only once it has led to nothing new.
            if repeated and (self._nameless or empty):
                raise broken(self._first, "its pages run in a circle", "report it to Microsoft with the time of day")
            repeated = not links.add(link)
            request = following(self._first, link)

    def _fresh(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        ids = [item_id for item in items if isinstance(item_id := item.get("id"), str)]
        new = self._seen.add_all(ids)
        if len(ids) < len(items):
            self._nameless = True
            told = iter(new)
            return [item for item in items if not isinstance(item.get("id"), str) or next(told)]
        return items if all(new) else list(compress(items, new))

    def _start_again(self) -> None:
        if self._nameless:
            raise broken(self._first, "a page token expired, and its objects have no id to know them by", _AGAIN)
        if self.restarts >= MOST_RESTARTS:
            raise broken(self._first, f"its page tokens expired {self.restarts + 1} times", _AGAIN)
        self.restarts += 1


_AGAIN = "list it again, with fewer properties or a filter"


async def fetch(chain: Stage, request: Request, link: str) -> Page:
    """One page. ``link`` names where its address came from, if a page said it: its token may be too old (``TooOld``),
    and it may lead elsewhere. What fails on the way from page to page leaves the listing incomplete."""
    try:
        response = await chain.send(request)
        if link and too_old(response):
            raise TooOld
        if not response.ok:
            raise service_error(request, response)
    except (AuthError, Stopped):
        raise
    except UntrustedDestination as error:
        if not link:
            raise
        raise UntrustedDestination(f"{link}: {error.message}", hint=error.hint) from error
    except GraphkitError as error:
        if link != NEXT_LINK:
            raise
        raise broken(request, error.message, error.hint) from error
    try:
        return page_of(response)
    except ValueError as error:
        reason = f"a page is not a list of objects ({error})"
        raise broken(request, reason, "check that the address is a collection") from error


def page_of(response: Response) -> Page:
    """Raises ``ValueError`` if it is none."""
    # Not as a list of dicts: each would be copied.
    page = msgspec.convert(response.json(), Page)
    if not {dict}.issuperset(map(type, page.value)):
        raise ValueError("not all of them are objects")
    return page


def following(first: Request, link: str) -> Request:
    """The request for a further page. ConsistencyLevel is not carried by the link, so the headers come along
    (microsoft-graph-docs-contrib concepts/paging.md)."""
    return Request(method="GET", path=link, headers=first.headers, version=first.version)


def too_old(response: Response) -> bool:
    """Does the service say that a link's token is no longer good?"""
    if response.status == 410:
        return True
    if not 400 <= response.status < 500:
        return False
    problem = response.error
    return any(code.lower() in _TOO_OLD for code in (problem.code, *problem.inner_codes))


def broken(request: Request, reason: str, hint: str) -> IncompleteList:
    path = request.path.partition("?")[0]
    return IncompleteList(f"GET {path}: the listing is incomplete: {reason}", hint=hint)
