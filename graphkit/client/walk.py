"""Following a collection to its last page, and proving that it was the last."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import msgspec

from graphkit.client.refusal import service_error
from graphkit.errors import AuthError, GraphkitError, IncompleteList, Stopped
from graphkit.protocol.message import Request, Response, Stage

REMEMBERED = 50_000
"""Ids kept to tell repeated items. Repeats come from neighbouring pages, and a million ids would fill the memory."""


class _Page(msgspec.Struct):
    value: list[dict[str, Any]]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")


_decoder = msgspec.json.Decoder(_Page)


async def walk(chain: Stage, first: Request) -> AsyncIterator[list[dict[str, Any]]]:
    """Each page as a list of objects, none twice; links are followed byte for byte with the headers of the first.

    Raises ``ServiceError`` if the first page is refused, and ``IncompleteList`` if the walk breaks off later, runs in a
    circle, or meets a page that cannot be read. An empty page is no end.
    """
    request, links = first, set[str]()
    recent = _Recent()
    while True:
        response = await _fetch(chain, request, bool(links))
        page = _read(request, response)
        yield [item for item in page.value if recent.is_new(item.get("id"))]
        if not page.next_link:
            return
        if page.next_link in links:
            raise _broken(first, "its pages run in a circle", "report it to Microsoft with the time of day")
        links.add(page.next_link)
        # ConsistencyLevel is not carried by the link (microsoft-graph-docs-contrib concepts/paging.md).
        request = Request(method="GET", path=page.next_link, headers=first.headers, version=first.version)


async def _fetch(chain: Stage, request: Request, under_way: bool) -> Response:
    try:
        response = await chain.send(request)
        if not response.ok:
            raise service_error(request, response)
    except (AuthError, Stopped):
        raise
    except GraphkitError as error:
        if not under_way:
            raise
        raise _broken(request, error.message, error.hint) from error
    return response


def _read(request: Request, response: Response) -> _Page:
    try:
        return _decoder.decode(response.body)
    except msgspec.DecodeError as error:
        reason = f"a page is not a list of objects ({error})"
        raise _broken(request, reason, "check that the address is a collection") from error


def _broken(request: Request, reason: str, hint: str) -> IncompleteList:
    path = request.path.partition("?")[0]
    return IncompleteList(f"GET {path}: the listing is incomplete: {reason}", hint=hint)


class _Recent:
    """The last ids seen. Items without an id are all new."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._order: deque[str] = deque()

    def is_new(self, item_id: Any) -> bool:
        if not isinstance(item_id, str):
            return True
        if item_id in self._known:
            return False
        self._known.add(item_id)
        self._order.append(item_id)
        if len(self._order) > REMEMBERED:
            self._known.discard(self._order.popleft())
        return True
