"""Where the parts meet: a real, a simulated or a loopback tenant behind one client."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from graphkit import __version__
from graphkit.auth.app_roles import GRAPH_APP_ID
from graphkit.auth.methods import identities
from graphkit.auth.permissions import (
    Permissions,
    compare,
    granted,
    is_delegated,
    names_of_assignments,
    tenant_id,
    together,
)
from graphkit.clock import VIRTUAL_EPOCH, Clock, RealClock, VirtualClock
from graphkit.errors import ServiceError, UsageError, WrongTenant
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.clouds import CLOUDS, Cloud
from graphkit.protocol.odata import keyed
from graphkit.settings import Settings, Target, load

if TYPE_CHECKING:
    import httpx

    from graphkit.client import GraphClient
    from graphkit.protocol.identity import TokenSource
    from graphkit.recording import Recorder
    from graphkit.sandbox import SimulatedTenant
    from graphkit.transport.chain import Chain
    from graphkit.transport.tally_file import FileTally
    from graphkit.transport.use import Use

Around = Callable[["httpx.AsyncBaseTransport"], "httpx.AsyncBaseTransport"]

TENANT_SIZE = "L"
"""More than 500 users: nothing tells the size for certain, and a small tenant says so in its throttling headers."""
LATENCY_S = 0.05
"""How long the simulated tenant takes to answer, on its own clock."""
BETWEEN_S = 10.0
"""What passes between two commands where time jumps; without it the second would read replicas that still lag."""


TOLD_EVERY_S = 1.0
"""How often a process tells what it takes from which quotas. What is over sooner never touches the disk."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who is on the other side. ``id`` is ``unknown tenant at <address>`` where the service does not say."""

    id: str
    name: str = ""
    domain: str = ""

    @property
    def shown(self) -> str:
        return " ".join(part for part in (self.name, f"({self.domain})" if self.domain else "", self.id) if part)

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "name": self.name, "domain": self.domain}


@dataclass(slots=True)
class Session:
    """One connection, until its context ends. ``budget`` says what may still be written: nothing, at first.

    ``grants`` holds for each app what it was granted; ``None`` where nobody can tell. ``recorder`` is who listens.
    """

    settings: Settings
    target: Target
    cloud: Cloud
    clock: Clock
    client: GraphClient
    chain: Chain
    budget: WriteBudget
    tenant: Tenant
    grants: Mapping[str, frozenset[str] | None]
    recorder: Recorder | None = None

    @property
    def throttled(self) -> int:
        """Answers 429 so far."""
        return self.chain.throttled

    def call_itself(self, run: str) -> None:
        """Name the run in the User-Agent of every request, so that the tenant's own logs can be laid beside it."""
        self.chain.user_agent = f"graphkit/{__version__} (run {run})"

    @property
    def apps(self) -> list[str]:
        """The names of the identities, sorted: what a run is bound to."""
        return sorted(self.grants)

    def permissions(self, required: Iterable[str]) -> Permissions:
        """What the recipe needs against what the token gives; of several apps each must have it.

        The simulated tenant and a replay permit everything.
        """
        return together(list(self._compared(frozenset(required)).values()))

    def lacking(self, required: Iterable[str]) -> dict[str, list[str]]:
        """What is missing, and for which apps."""
        found: dict[str, list[str]] = {}
        for app, compared in self._compared(frozenset(required)).items():
            for name in compared.missing:
                found.setdefault(name, []).append(app)
        return dict(sorted(found.items()))

    def _compared(self, required: frozenset[str]) -> dict[str, Permissions]:
        everything = self.target.kind in ("simulated", "replay")
        return {app: compare(required, required if everything else self.grants[app]) for app in self.apps}


@asynccontextmanager
async def connect(**flags: Any) -> AsyncIterator[GraphClient]:
    """A client for your own code: ``async with connect(target="simulated") as graph: await graph.get("/users")``.

    ``flags`` are settings by name (``cloud``, ``target``, ``state`` ...); the rest comes from the environment, ``.env``
    and ``graphkit.toml`` as on the command line. Writes are batched, paced and repeated like any other request, and are
    not limited. Raises what :func:`open_session` raises.
    """
    async with open_session(load(flags)) as session:
        session.chain.budget = WriteBudget.unlimited()
        yield session.client


@asynccontextmanager
async def open_session(settings: Settings, *, around: Around = lambda wire: wire) -> AsyncIterator[Session]:
    """Everything between a recipe and the wire, assembled and asked who is there.

    ``around`` may put something of its own round the wire: a recorder, a trial.
    Raises ``AuthError`` if no token can be had, ``ServiceError`` if the tenant refuses to say who it is.
    """
    from graphkit.client import GraphClient
    from graphkit.client.kept import snapshot_path
    from graphkit.transport.chain import build_chain
    from graphkit.transport.wire import Timeouts

    target = settings.target
    cloud = cloud_of(target)
    async with (
        _far_end(settings, target) as (wire, clock, sources, tally),
        _heard(settings, wire, clock) as (wire, recorder),
    ):
        budget = WriteBudget.read_only()
        chain = build_chain(
            around(wire),
            cloud=cloud,
            source=sources,
            tally=tally if target.kind != "simulated" else None,
            clock=clock,
            budget=budget,
            user_agent=f"graphkit/{__version__}",
            quota_share=settings.quota_share,
            tenant_size=TENANT_SIZE,
            limits={name: limit for name, limit in settings.limits.items() if name != "time_scale"},
            timeouts=Timeouts(
                connect=settings.connect_timeout,
                pool=settings.pool_timeout,
                write=settings.write_timeout,
                read=settings.read_timeout,
            ),
        )
        try:
            client = GraphClient(chain, cloud=cloud, clock=clock)
            tenant = await _who_is_there(client, sources, target)
            if target.kind not in ("simulated", "replay"):
                client.snapshot_file = snapshot_path(settings.cache_dir, f"{target} {tenant.id}", sources[0].name)
            tally.open(f"{target} {settings.time_scale:g} {tenant.id}")
            grants = {source.name: await _granted(client, source, settings) for source in sources}
            chain.governor.delegated = await _signed_in(sources[0], settings)
            async with _told(chain, clock, tally, tenant.id, sources[0].name):
                yield Session(settings, target, cloud, clock, client, chain, budget, tenant, grants, recorder)
        finally:
            await chain.aclose()


def uses_now(settings: Settings) -> Sequence[Use]:
    """What the runs on this machine take from which quotas at this moment."""
    from graphkit.transport.tally_file import uses_in

    return uses_in(settings.runs_dir, RealClock().now())


@asynccontextmanager
async def _told(chain: Chain, clock: Clock, tally: FileTally, tenant: str, app: str) -> AsyncIterator[None]:
    """While the context lasts, others may see what this process takes. On virtual time there are no others."""
    from graphkit.transport import telemetry

    if not isinstance(clock, RealClock):
        yield
        return

    async def keep_telling() -> None:
        wall = RealClock()
        while True:
            await wall.sleep(TOLD_EVERY_S)
            tally.tell(chain.governor.uses(tenant, app))

    telemetry.watch(chain.governor)
    telling = asyncio.create_task(keep_telling())
    try:
        yield
    finally:
        telling.cancel()
        with suppress(asyncio.CancelledError):
            await telling
        tally.tell(())
        telemetry.unwatch(chain.governor)


@asynccontextmanager
async def _heard(
    settings: Settings, wire: httpx.AsyncBaseTransport, clock: Clock
) -> AsyncIterator[tuple[httpx.AsyncBaseTransport, Recorder | None]]:
    """The wire with a recorder before it, if the settings name a file; what was said is written when the session ends,
    however it ends.
    """
    if settings.record is None:
        yield wire, None
        return
    from graphkit.recording import RecordingTransport, recorder_for

    recorder = recorder_for(settings.record, settings.record_rules)
    recorder.begin(cloud_of(settings.target).graph_root, clock.now(), settings.break_glass)
    try:
        yield RecordingTransport(wire, recorder, clock.now), recorder
    finally:
        recorder.save()


def cloud_of(target: Target) -> Cloud:
    """The record that decides every host. A loopback target keeps the global record's names, at its own address."""
    if target.kind == "cloud":
        return CLOUDS[target.name]
    if target.kind == "loopback":
        return replace(CLOUDS["global"], graph_root=target.url, download_hosts=())
    return CLOUDS["global"]


@asynccontextmanager
async def _far_end(
    settings: Settings, target: Target
) -> AsyncIterator[tuple[httpx.AsyncBaseTransport, Clock, Sequence[TokenSource], FileTally]]:
    """The wire, the clock that counts there, who we are, and where quota is shared with other processes.

    A simulated tenant is ours alone, so that there is nothing to share, but much to tell.
    """
    if target.kind == "replay":
        yield _replayed(target, settings)
        return
    from graphkit.auth.source import make_token_sources
    from graphkit.transport.tally_file import FileTally

    cloud = cloud_of(target)
    if target.kind == "simulated":
        from graphkit.sandbox import SandboxTransport

        tenant, clock = _simulated(target)
        try:
            tally = FileTally(settings.runs_dir, clock.now)
            yield SandboxTransport(tenant), clock, make_token_sources(settings, cloud, clock), tally
        finally:
            tenant.close()
        return
    from graphkit.transport.network import make_wire

    clock = RealClock(settings.time_scale)
    sources = make_token_sources(settings, cloud, clock)
    host = cloud.graph_root.partition("://")[2]
    proxy = settings.proxy_for(host) or None
    tally = FileTally(settings.runs_dir, clock.common)
    yield make_wire(settings.wire, verify=settings.ssl_context(), proxy=proxy), clock, sources, tally


def _replayed(
    target: Target, settings: Settings
) -> tuple[httpx.AsyncBaseTransport, Clock, Sequence[TokenSource], FileTally]:
    """Neither network nor credentials: whatever the settings hold of them, nobody looks at it here."""
    from graphkit.auth.source import FixedSource
    from graphkit.protocol.identity import Token
    from graphkit.recording import ReplayTransport, player_for
    from graphkit.transport.tally_file import FileTally

    player = player_for(target.cassette)
    clock = VirtualClock(player.now)
    tally = FileTally(settings.runs_dir, clock.now)
    return ReplayTransport(player, clock.sleep), clock, [FixedSource("replay", Token("replay", math.inf))], tally


def _simulated(target: Target) -> tuple[SimulatedTenant, Clock]:
    """Raises :class:`UsageError` for a state file that holds no tenant."""
    from graphkit.sandbox import SimulatedTenant, stored_time

    try:
        stored = stored_time(target.state) if target.state else None
        epoch = stored + BETWEEN_S if stored else VIRTUAL_EPOCH
        clock: Clock = VirtualClock(epoch) if target.virtual_time else RealClock()
        if target.state:
            return SimulatedTenant.open(target.state, clock, latency_s=LATENCY_S), clock
    except ValueError as error:
        raise UsageError(str(error)) from error
    return SimulatedTenant(clock, latency_s=LATENCY_S), clock


async def _who_is_there(client: GraphClient, sources: Sequence[TokenSource], target: Target) -> Tenant:
    """``GET /organization``; a readable ``tid`` must agree with it, that of every identity."""
    claims = {source.name: tenant_id((await source.token()).value) for source in sources}
    claimed = next((found for found in claims.values() if found), "")
    if other := next((app for app, found in claims.items() if found and found != claimed), ""):
        raise WrongTenant(f"app {other} belongs to tenant {claims[other]}, the others to {claimed}")
    try:
        document = await client.get("/organization", params={"$select": "id,displayName,verifiedDomains"})
    except ServiceError:
        if target.kind != "loopback" and not claimed:
            raise
        return Tenant(claimed or f"unknown tenant at {target}")
    organization: dict[str, Any] = next(iter(document.get("value") or ()), {})
    found = str(organization.get("id") or "")
    if found and claimed and found != claimed:
        raise WrongTenant(f"the token is for tenant {claimed}, but {found} answered", hint="sign in again")
    domains = organization.get("verifiedDomains") or ()
    domain = next((str(each.get("name")) for each in domains if each.get("isDefault")), "")
    known = found or claimed or f"unknown tenant at {target}"
    return Tenant(known, str(organization.get("displayName") or ""), domain)


async def _signed_in(source: TokenSource, settings: Settings) -> bool:
    readable = is_delegated((await source.token()).value)
    return settings.auth in ("interactive", "device-code") if readable is None else readable


async def _granted(client: GraphClient, source: TokenSource, settings: Settings) -> frozenset[str] | None:
    """From the token where it can be read, else from the app's role assignments, else ``None``: nobody knows."""
    readable = granted((await source.token()).value)
    app = source.name if len(identities(settings)) > 1 else settings.client_id
    if readable is not None or settings.target.kind != "cloud" or not app:
        return readable
    try:
        path = f"{keyed('servicePrincipals', 'appId', app)}/appRoleAssignments"
        own = [assignment async for assignment in client.list(path)]
        graph = await client.get(keyed("servicePrincipals", "appId", GRAPH_APP_ID), params={"$select": "id,appRoles"})
    except ServiceError:
        return None
    return names_of_assignments(own, graph)
