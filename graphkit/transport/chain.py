"""Where the stages are put together, outermost first: guard > retry > governor > batcher > auth > wire.

With several identities there is one governor, batcher and auth for each, and the fleet above them chooses.
"""

from __future__ import annotations

import random
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, BinaryIO

import httpx

from graphkit.clock import Clock
from graphkit.errors import UsageError
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.clouds import Cloud
from graphkit.protocol.identity import TokenSource
from graphkit.protocol.message import Answer, BatchStage, Request, Response
from graphkit.protocol.quota import Bucket
from graphkit.transport.auth import Auth
from graphkit.transport.batcher import SLOTS, Batcher
from graphkit.transport.counters import MakeMeter
from graphkit.transport.download import Downloads
from graphkit.transport.fleet import Fleet, Ship
from graphkit.transport.governor import PARK_AFTER, Governor
from graphkit.transport.guard import Guard, Sentry
from graphkit.transport.meter import Meter
from graphkit.transport.retry import Hook, Retry
from graphkit.transport.tally import SCOPES, TalliedMeter, Tally
from graphkit.transport.wire import Timeouts, Wire


class Chain:
    """The whole transport as one stage. ``budget`` may be replaced, as when a plan turns into its application."""

    def __init__(
        self,
        guard: Guard,
        retry: Retry,
        fleet: Fleet,
        governor: Governor | Fleet,
        wire: Wire,
        downloads: Downloads | None = None,
    ) -> None:
        self._guard = guard
        self._retry = retry
        self._fleet = fleet
        self.governor = governor
        self._wire = wire
        self._downloads = downloads

    @property
    def budget(self) -> WriteBudget:
        return self._guard.budget

    @budget.setter
    def budget(self, budget: WriteBudget) -> None:
        self._guard.budget = budget

    @property
    def user_agent(self) -> str:
        return self._wire.user_agent

    @user_agent.setter
    def user_agent(self, name: str) -> None:
        self._wire.user_agent = name

    @property
    def throttled(self) -> int:
        """Answers 429 so far, inner ones of batches included."""
        return self.governor.throttled

    @property
    def sentry(self) -> Sentry | None:
        """What looks at each write just before it leaves, if anything does."""
        return self._guard.sentry

    @sentry.setter
    def sentry(self, sentry: Sentry | None) -> None:
        self._guard.sentry = sentry

    @property
    def deadline(self) -> float:
        """A reading of the clock's ``monotonic`` after which nothing is sent; infinite if there is none.

        What could not be sent before it raises ``DeadlineReached`` at once instead of waiting.
        """
        return self.governor.deadline

    @deadline.setter
    def deadline(self, at: float) -> None:
        self.governor.deadline = self._retry.deadline = at

    def send(self, request: Request) -> Coroutine[Any, Any, Response]:
        # Handed on as it is: each coroutine around a coroutine is paid for at every turn.
        return self._guard.send(request)

    def batch(self, requests: Sequence[Request]) -> Coroutine[Any, Any, list[Answer]]:
        return self._guard.batch(requests)

    async def download(self, link: str, into: BinaryIO) -> None:
        """The file behind a pre-authenticated link; see :class:`Downloads`."""
        if self._downloads is None:
            raise UsageError("this chain ends where no file can be fetched")
        await self._downloads.fetch(link, into, user_agent=self.user_agent)

    async def aclose(self) -> None:
        """Cancel what is under way and close the connections."""
        await self._fleet.aclose()
        await self._wire.aclose()


def build_chain(
    wire: httpx.AsyncBaseTransport,
    *,
    cloud: Cloud,
    source: TokenSource | Sequence[TokenSource],
    clock: Clock,
    budget: WriteBudget,
    user_agent: str = "graphkit",
    quota_share: float = 0.7,
    tenant_size: str = "S",
    limits: Mapping[str, float] | None = None,
    slots: int = SLOTS,
    timeouts: Timeouts | None = None,
    hooks: Sequence[Hook] = (),
    park_after: float = PARK_AFTER,
    seed: int | None = None,
    tally: Tally | None = None,
) -> Chain:
    """A chain that ends at ``wire``: the network (``make_wire``), a recorder, or the simulated tenant.

    ``quota_share`` is the part of each published quota to use, ``limits`` overrides quotas by bucket id, ``slots`` is
    the number of calls in flight per workload, and ``seed`` makes the jitter repeatable. Several sources are so many
    identities side by side. With a ``tally`` the budget is shared with others who hold it.
    """
    chance = random.Random(seed)  # noqa: S311 - spreads retries, protects nothing
    edge = Wire(wire, graph_root=cloud.graph_root, user_agent=user_agent, timeouts=timeouts)
    tenant_wide: dict[str, Meter] = {}

    def ship(source: TokenSource) -> Ship:
        auth = Auth(edge, source, clock)
        batcher = Batcher(auth, slots=slots, late=lambda: clock.monotonic() > governor.deadline)
        governor = Governor(
            batcher,
            clock,
            share=quota_share,
            size=tenant_size,
            limits=limits,
            chance=chance,
            park_after=park_after,
            make_meter=_meters(source.name, tenant_wide, tally, clock),
            recall=batcher.recall,
        )
        return Ship(source.name, governor, batcher, auth)

    ships = [ship(each) for each in (source if isinstance(source, Sequence) else (source,))]
    fleet, first = Fleet(ships), ships[0]
    several = len(ships) > 1
    following: BatchStage = fleet if several else first.governor
    renew = fleet.renew if several else first.auth.renew
    retry = Retry(following, clock, renew=renew, hooks=hooks, chance=chance, park_after=park_after)
    guard = Guard(retry, graph_root=cloud.graph_root, budget=budget)
    downloads = Downloads(wire, cloud=cloud, clock=clock, timeouts=timeouts)
    return Chain(guard, retry, fleet, fleet if several else first.governor, edge, downloads)


def _meters(app: str, tenant_wide: dict[str, Meter], tally: Tally | None, clock: Clock) -> MakeMeter:
    """Counters of one app; those of the whole tenant are the same for all."""

    def make(key: str, bucket: Bucket, share: float) -> Meter:
        own = not bucket.scope.startswith("tenant")
        if not own and key in tenant_wide:
            return tenant_wide[key]
        if tally is None or bucket.scope not in SCOPES or not bucket.quota:
            meter = Meter(key, bucket, share)
        else:
            owner = app if own else ""
            meter = TalliedMeter(key, bucket, share, tally=tally, now=clock.monotonic, owner=owner)
        return meter if own else tenant_wide.setdefault(key, meter)

    return make
