"""A tenant to plan against and to write to, on virtual time: what the tests of recipes share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from graphkit.client import GraphClient
from graphkit.clock import VirtualClock
from graphkit.engine.apply import Applier
from graphkit.engine.change import Action
from graphkit.engine.plan import Planner
from graphkit.engine.resource import Context, PlanOptions
from graphkit.engine.runfile import RunFile
from graphkit.engine.snapshot import Snapshot
from graphkit.inputs.problems import Problems
from graphkit.inputs.source import open_source
from graphkit.jobs.heeded import refuse_idle
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.clouds import CLOUDS
from graphkit.protocol.identity import Token
from graphkit.recipe import Inputs, find_recipe
from graphkit.resources import ResourceTable
from graphkit.safety.sentry import Sentry
from graphkit.safety.standard import standard_rails
from graphkit.safety.states import KIND
from graphkit.sandbox import SandboxTransport, Seed, SimulatedTenant
from graphkit.transport.chain import Chain, build_chain


class OneToken:
    name = "bench"

    async def token(self, *, claims: str = "", renew: bool = False) -> Token:
        return Token("bench", 1e12)


class Bench:
    def __init__(
        self, tenant: SimulatedTenant, folder: Path, chain: Chain, clock: VirtualClock, budget: WriteBudget
    ) -> None:
        self.chain = chain
        self.tenant = tenant
        self.folder = folder
        self.client = GraphClient(chain, cloud=CLOUDS["global"], clock=clock)
        self.budget = budget
        self.runs = 0
        self.ours: set[str] = set()

    def writes(self) -> list[str]:
        return [f"{entry.method} {entry.path}" for entry in self.tenant.log]

    def input(self, suffix: str = "csv") -> Path:
        return self.folder / f"input.{suffix}"

    def user(self, upn: str) -> dict[str, Any]:
        found = self.tenant.state.get("users", self.tenant.seed.id_of("user", upn))
        assert found is not None
        return found

    def change_user(self, upn: str, **properties: Any) -> None:
        self.tenant.state.put("users", {**self.user(upn), **properties})

    async def plan(self, recipe: str, text: str, *, suffix: str = "csv", **options: Any) -> RunFile:
        self.runs += 1
        await self.client.clock.sleep(self.tenant.replication.window_s)  # as it passes between any two commands
        path = self.input(suffix)
        path.write_text(text, encoding="utf-8")
        chosen = PlanOptions(**options)
        refuse_idle(find_recipe(recipe), chosen)
        problems = Problems()
        source = open_source(str(path), problems)
        assert source is not None
        run = RunFile.create(self.folder / f"{self.runs}.run", {"recipe": recipe})
        context = self._context(run, chosen)
        try:
            planner = Planner(run, ResourceTable(context), context, standard_rails(context))
            wishes = find_recipe(recipe).desired(Inputs([source], problems), chosen)
            await planner.plan(wishes, problems.found, quota_share=1.0)
        except BaseException:
            run.close()
            raise
        finally:
            context.snapshot.close()
        return run

    async def apply(self, run: RunFile, **options: Any) -> dict[str, int]:
        """Outcomes per status, those that occur."""
        context = self._context(run, PlanOptions(**options))
        self.chain.sentry = Sentry(context, {str((c.before or {}).get("id")) for c in run.changes(KIND)})
        try:
            await Applier(run, ResourceTable(context), context, self.budget).apply()
        finally:
            self.chain.sentry = None
            for kind in run.counts_by_kind():
                self.ours |= run.written_ids(kind)
            context.snapshot.close()
        return {status: count for status, count in run.outcome_counts().items() if count}

    def _context(self, run: RunFile, options: PlanOptions) -> Context:
        return Context(
            self.client, self.client.clock, Snapshot(), options, run.object_ids(), run.created(), frozenset(self.ours)
        )


def counts(run: RunFile) -> dict[str, int]:
    """Changes per action, those that occur."""
    return {Action(action).value: count for action, count in run.counts().items() if count}


@asynccontextmanager
async def bench(folder: Path, **seed: Any) -> AsyncIterator[Bench]:
    clock = VirtualClock()
    tenant = SimulatedTenant(clock, seed=Seed(**{"organisations": 2, "users": 40, "licensed": 0, **seed}))
    budget = WriteBudget.unlimited()
    chain = build_chain(
        wire=SandboxTransport(tenant), cloud=CLOUDS["global"], source=OneToken(), clock=clock, budget=budget, seed=1
    )
    try:
        yield Bench(tenant, folder, chain, clock, budget)
    finally:
        await chain.aclose()
        tenant.close()
        assert tenant.not_modelled == []
