"""Where the stages are put together, outermost first: guard > retry > governor > batcher > auth > wire."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import httpx

from graphkit.clock import Clock
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.clouds import Cloud
from graphkit.protocol.identity import TokenSource
from graphkit.protocol.message import Request, Response
from graphkit.transport.auth import Auth
from graphkit.transport.batcher import SLOTS, Batcher
from graphkit.transport.governor import PARK_AFTER, Governor
from graphkit.transport.guard import Guard
from graphkit.transport.retry import Hook, Retry
from graphkit.transport.wire import Timeouts, Wire


class Chain:
    """The whole transport as one stage. ``budget`` may be replaced, as when a plan turns into its application."""

    def __init__(self, guard: Guard, retry: Retry, governor: Governor, batcher: Batcher, wire: Wire) -> None:
        self._guard = guard
        self._retry = retry
        self.governor = governor
        self._batcher = batcher
        self._wire = wire

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
    def deadline(self) -> float:
        """A reading of the clock's ``monotonic`` after which nothing is sent; infinite if there is none.

        What could not be sent before it raises ``DeadlineReached`` at once instead of waiting.
        """
        return self.governor.deadline

    @deadline.setter
    def deadline(self, at: float) -> None:
        self.governor.deadline = self._retry.deadline = at

    async def send(self, request: Request) -> Response:
        return await self._guard.send(request)

    async def aclose(self) -> None:
        """Cancel what is under way and close the connections."""
        await self._batcher.aclose()
        await self.governor.aclose()
        await self._wire.aclose()


def build_chain(
    wire: httpx.AsyncBaseTransport,
    *,
    cloud: Cloud,
    source: TokenSource,
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
) -> Chain:
    """A chain that ends at ``wire``: the network (``make_wire``), a recorder, or the simulated tenant.

    ``quota_share`` is the part of each published quota to use, ``limits`` overrides quotas by bucket id, ``slots`` is
    the number of calls in flight per workload, and ``seed`` makes the jitter repeatable.
    """
    chance = random.Random(seed)  # noqa: S311 - spreads retries, protects nothing
    edge = Wire(wire, graph_root=cloud.graph_root, user_agent=user_agent, timeouts=timeouts)
    auth = Auth(edge, source, clock)
    batcher = Batcher(auth, slots=slots)
    governor = Governor(
        batcher,
        clock,
        share=quota_share,
        size=tenant_size,
        limits=limits,
        chance=chance,
        park_after=park_after,
        recall=batcher.recall,
    )
    retry = Retry(governor, clock, renew=auth.renew, hooks=hooks, chance=chance, park_after=park_after)
    return Chain(Guard(retry, graph_root=cloud.graph_root, budget=budget), retry, governor, batcher, edge)
