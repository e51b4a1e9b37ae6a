"""The client: verbs in, decoded answers or errors out. All waiting, batching and repeating is the chain's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypedDict, Unpack

import msgspec

from graphkit.client.delta import Changes
from graphkit.client.listing import Listing
from graphkit.client.partition import PartitionedListing
from graphkit.client.refusal import service_error, unreadable
from graphkit.clock import Clock
from graphkit.errors import UsageError
from graphkit.protocol import odata
from graphkit.protocol.clouds import Cloud
from graphkit.protocol.message import Answer, Batching, Downloading, Effect, Idempotency, Request, Response, Stage
from graphkit.protocol.routes import parse
from graphkit.transport.together import singly

if TYPE_CHECKING:
    import httpx
    from msgraph import GraphServiceClient

    from graphkit.client.snapshot import DeltaSnapshot

Params = Mapping[str, str | int | bool]
Page = list[dict[str, Any]]


class WriteOptions(TypedDict, total=False):
    """How a write is meant; the fields are those of :class:`Request`."""

    idempotency: Idempotency
    effect: Effect | None
    target: str
    commutative: bool
    headers: Mapping[str, str] | None
    version: str


LARGEST_PAGE = 999
LARGEST_PAGE_WITH_SIGN_INS = 500
SERVICE_PAGE = 100
"""What most collections give unasked."""

# Where $top=999 is known to be taken [microsoft-graph-docs-contrib api-reference/v1.0 user-list.md, group-list.md...].
# Elsewhere it may be ignored, clamped or refused, so that the service's own page size is left alone.
_LARGE_PAGES = frozenset(
    {
        "/users",
        "/groups",
        "/devices",
        "/serviceprincipals",
        "/applications",
        "/groups/*/members",
        "/groups/*/owners",
        "/groups/*/transitivemembers",
        "/users/*/memberof",
        "/users/*/transitivememberof",
    }
)


class GraphClient:
    """Microsoft Graph through our chain.

    ``params`` are query options by their full name (``$select``, ``$filter``), values not yet encoded. Every method but
    ``send`` and ``batch`` raises ``ServiceError`` if the service refuses; all raise what the chain raises:
    ``ConnectionFailed``, ``OutcomeUnknown``, ``Stopped``, ``AuthError``, ``Blocked``, ``UntrustedDestination``.
    """

    def __init__(self, chain: Stage, *, cloud: Cloud, clock: Clock) -> None:
        self._chain = chain
        self.cloud = cloud
        self.clock = clock
        self.snapshot_file: Path | None = None

    def send(self, request: Request) -> Coroutine[Any, Any, Response]:
        """The final answer to one request, whatever its status."""
        return self._chain.send(request)

    async def batch(self, requests: Sequence[Request]) -> list[Answer]:
        """All of them at once, in any order on the wire; answers or exceptions in the order of ``requests``."""
        if isinstance(self._chain, Batching):
            return await self._chain.batch(requests)
        return await singly(self._chain, requests)

    async def get(
        self,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        version: str = "v1.0",
    ) -> Any:
        """One object (or a first page, or a number for ``/$count``), decoded."""
        return await self._ask(_read_request(path, params, headers, version))

    def pages(
        self,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        version: str = "v1.0",
        page_size: int | None = None,
    ) -> AsyncIterator[Page]:
        """The pages of :meth:`list`, each read when it is asked for; some may be empty."""
        return self.list(path, params=params, headers=headers, version=version, page_size=page_size).pages()

    def list(
        self,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        version: str = "v1.0",
        page_size: int | None = None,
    ) -> Listing:
        """A collection to iterate over, object by object; it says afterwards whether it is complete.

        Without ``page_size`` the largest page that the collection is known to give.
        """
        sized = _with_page_size(path, params or {}, page_size)
        return Listing(self._chain, _read_request(path, sized, headers, version))

    def list_partitioned(
        self,
        path: str,
        *,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        version: str = "v1.0",
        page_size: int | None = None,
    ) -> PartitionedListing:
        """The same, but several parts of a large collection are read at a time and come in no order. Proved by count.

        Users, groups and devices are divided; other collections, small ones and those that are ordered or searched are
        read in one piece.
        """
        head, given = odata.split(path)
        sized = _with_page_size(head, {**given, **(params or {})}, page_size)
        first = Request(method="GET", path=head, headers=dict(headers or {}), version=version)
        return PartitionedListing(self._chain, first, sized, page_size=int(sized.get("$top", SERVICE_PAGE)))

    def delta(
        self,
        path: str,
        *,
        link: str = "",
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
        version: str = "v1.0",
    ) -> Changes:
        """What changed since ``link``, the ``link`` of an earlier round; without one, all there is.

        ``path`` is a delta function such as ``/users/delta``. A link remembers the ``params`` that it began with.
        """
        if link:
            request = Request(method="GET", path=link, headers=dict(headers or {}), version=version)
        else:
            request = _read_request(path, params, headers, version)
        return Changes(self._chain, request, origin=self.cloud.graph_root, resumed=bool(link))

    def snapshot(self) -> DeltaSnapshot:
        """What was kept of this tenant by this app, in ``snapshot_file``; in memory where none is given, as for a
        simulated tenant. Raises ``UsageError`` while another process has it."""
        from graphkit.client.kept import open_kept
        from graphkit.client.snapshot import DeltaSnapshot

        return open_kept(self.snapshot_file) if self.snapshot_file else DeltaSnapshot()

    async def create(self, path: str, body: Any, **how: Unpack[WriteOptions]) -> Any:
        """POST to a collection; the object created. ``how`` as in :meth:`write`."""
        return await self.write("POST", path, body, **how)

    async def update(self, path: str, body: Any, **how: Unpack[WriteOptions]) -> Any:
        """PATCH; the object if the service returns it, else ``None``. ``how`` as in :meth:`write`."""
        return await self.write("PATCH", path, body, **how)

    async def delete(self, path: str, **how: Unpack[WriteOptions]) -> None:
        """DELETE, which repeating does not worsen. ``how`` as in :meth:`write`."""
        how.setdefault("idempotency", Idempotency.CONVERGENT)
        await self.write("DELETE", path, **how)

    async def action(self, path: str, body: Any = None, **how: Unpack[WriteOptions]) -> Any:
        """POST to an action such as ``assignLicense``. ``how`` as in :meth:`write`."""
        return await self.write("POST", path, body, **how)

    async def write(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        idempotency: Idempotency = Idempotency.ONCE,
        effect: Effect | None = None,
        target: str = "",
        commutative: bool = False,
        headers: Mapping[str, str] | None = None,
        version: str = "v1.0",
    ) -> Any:
        """Any write. ``body`` is bytes, or whatever JSON can say; the rest as in :class:`Request`."""
        request = Request(
            method=method,
            path=path,
            body=body if body is None or isinstance(body, bytes) else msgspec.json.encode(body),
            headers=dict(headers or {}),
            version=version,
            idempotency=idempotency,
            effect=effect,
            target=target,
            commutative=commutative,
        )
        return await self._ask(request)

    async def download(self, path: str, into: BinaryIO, *, version: str = "v1.0") -> None:
        """A report's file: ``path`` is that of a report that redirects to it, or the link that an export job gives.

        One link is followed, without our token and only to hosts that the cloud's record names. Raises
        ``ServiceError``, ``UntrustedDestination`` or ``ConnectionFailed``; what ``into`` holds then is of no use.
        """
        link = path
        if path.startswith("/"):
            request = Request(method="GET", path=path, version=version)
            response = await self._chain.send(request)
            link = response.headers.get("location", "")
            if response.status != 302 or not link:
                raise service_error(request, response)
        if not isinstance(self._chain, Downloading):
            raise UsageError("this client has no way to fetch a file")
        await self._chain.download(link, into)

    @cached_property
    def transport(self) -> httpx.AsyncBaseTransport:
        """For any code that speaks httpx: ``httpx.AsyncClient(transport=graph.transport)``. Closing that client leaves
        this one open."""
        from graphkit.transport.adapter import ChainTransport

        return ChainTransport(self._chain, graph_root=self.cloud.graph_root)

    @cached_property
    def sdk(self) -> GraphServiceClient:
        """msgraph-sdk's own client on this chain. Raises ``UsageError`` if the extra ``sdk`` is not installed."""
        from graphkit.client.sdk import service_client

        return service_client(self.transport, self.cloud)

    async def _ask(self, request: Request) -> Any:
        response = await self._chain.send(request)
        if not response.ok:
            raise service_error(request, response)
        try:
            return response.json()
        except ValueError as error:
            raise unreadable(request, response) from error


def _read_request(path: str, params: Params | None, headers: Mapping[str, str] | None, version: str) -> Request:
    query = odata.query(params)
    if query and "?" in path:
        query = "&" + query[1:]
    return Request(method="GET", path=path + query, headers=dict(headers or {}), version=version)


def _with_page_size(path: str, params: Params, page_size: int | None) -> Params:
    if "$top" in params or "$top=" in path:
        return params
    if page_size is None and parse(path).shape in _LARGE_PAGES:
        signs = "signInActivity" in str(params.get("$select", "")) + str(params.get("$filter", ""))
        page_size = LARGEST_PAGE_WITH_SIGN_INS if signs else LARGEST_PAGE
    return params if page_size is None else {**params, "$top": page_size}
