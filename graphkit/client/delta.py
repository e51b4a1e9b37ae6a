"""What changed in a collection since the last time: microsoft-graph-docs-contrib concepts/delta-query-overview.md."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from graphkit.client.seen import Seen
from graphkit.client.walk import DELTA_LINK, NEXT_LINK, TooOld, broken, fetch, following
from graphkit.errors import ResyncRequired, UntrustedDestination
from graphkit.protocol.message import Request, Stage

Page = list[dict[str, Any]]


class Changes:
    """One round of changes: iterate over the objects, or over ``pages()``; then ``link`` leads to what comes after.

    Objects come as the service tells them. One may come more than once, on one page or on several, or again in a later
    round; one with ``@removed`` is gone; ``members@delta`` and the like hold what was added, or with ``@removed`` taken
    away. :class:`~graphkit.client.snapshot.DeltaSnapshot` makes sense of all that.
    """

    def __init__(self, chain: Stage, first: Request, *, origin: str, resumed: bool) -> None:
        self._chain = chain
        self._first = first
        self._origin = origin + "/"
        self._resumed = resumed
        self.link = ""

    async def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        async with aclosing(self.pages()) as pages:
            async for page in pages:
                for item in page:
                    yield item
                del page

    async def pages(self) -> AsyncGenerator[Page, None]:
        """Keep ``link`` only after whatever came before it: it is set once the last page has been taken.

        Raises ``ResyncRequired`` if the link is too old, and otherwise what :meth:`Listing.pages` raises.
        """
        self.link = ""
        request, links, link = self._first, Seen(), DELTA_LINK if self._resumed else ""
        while True:
            try:
                page = await fetch(self._chain, request, link)
            except TooOld as error:
                raise _resync(self._first) from error
            # Before anything is made of the page: a service that points elsewhere is not believed.
            if page.delta_link and not page.delta_link.startswith(self._origin):
                where = page.delta_link.partition("?")[0][:200]
                raise UntrustedDestination(
                    f"{DELTA_LINK}: it leads to {where!r}, outside {self._origin[:-1]}; it was not kept",
                    hint="check the cloud setting, and report the address if the service itself gave it",
                )
            rest, end = page.next_link, page.delta_link
            yield page.value
            del page  # or it would stand in memory beside the next
            if not rest:
                break
            if not links.add(rest):
                raise broken(self._first, "its pages run in a circle", "report it to Microsoft with the time of day")
            request, link = following(self._first, rest), NEXT_LINK
        if not end:
            raise broken(self._first, "its last page has no delta link", "check that the address is a delta function")
        self.link = end


def _resync(first: Request) -> ResyncRequired:
    path = first.path.partition("?")[0]
    return ResyncRequired(
        f"GET {path}: the service no longer knows from when on the changes are wanted",
        hint="begin again without a link, and compare with what you had",
    )
