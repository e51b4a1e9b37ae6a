"""A small simulated tenant kept in a file, and the jobs run against it on virtual time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from graphkit import settings
from graphkit.clock import VirtualClock, run
from graphkit.engine.apply import Progress
from graphkit.engine.resource import PlanOptions
from graphkit.jobs import Asked, Summary, apply, plan, undo
from graphkit.sandbox import Seed, SimulatedTenant, stored_time
from graphkit.session import open_session

DOMAIN = "contoso.example"


class World:
    """One folder with a tenant, a pools.yaml and as many runs as a test wants."""

    def __init__(self, folder: Path, users: int = 90) -> None:
        self.folder = folder
        self.state = folder / "tenant.sqlite"
        SimulatedTenant.open(self.state, VirtualClock(), seed=Seed(organisations=1, users=users, licensed=0)).close()
        self.write_pool(45)
        self.took = 0.0
        """Seconds that the last apply lasted."""

    def write_pool(self, members: int, *, cap: int = 50, mode: str = "additive", first: int = 1) -> None:
        names = [f"rx1-{number:04}@{DOMAIN}" for number in range(first, first + members)]
        (self.folder / "rx1.csv").write_text("\n".join(["upn", *names]) + "\n", encoding="utf-8")
        text = f"mode: {mode}\npools:\n  - {{org: RX1, sku: SPE_E3, cap: {cap}, members_from: rx1.csv}}\n"
        (self.folder / "pools.yaml").write_text(text, encoding="utf-8")

    def change(self, what: Callable[[SimulatedTenant], None]) -> None:
        """Do something to the tenant behind graphkit's back."""
        tenant = SimulatedTenant.open(self.state, VirtualClock(stored_time(self.state) or 0.0))
        what(tenant)
        tenant.close()

    def fault(self, **rule: object) -> None:
        self.change(lambda tenant: tenant.faults.add(rule))

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """One call of somebody else."""
        answers = []

        async def call() -> None:
            tenant = SimulatedTenant.open(self.state, VirtualClock(stored_time(self.state) or 0.0), throttling=False)
            headers = {"authorization": "Bearer other", "content-type": "application/json"}
            answer = tenant.handle(method, f"https://graph.microsoft.com/v1.0{path}", headers, body)
            answers.append((answer.status, answer.body))
            tenant.close()

        run(call(), virtual=True)
        return answers[0]

    def plan(self, name: str = "a.run", **options: object) -> Summary:
        async def job() -> Summary:
            async with open_session(self.settings) as session:
                asked = Asked(
                    recipe="licenses.pools",
                    inputs=(str(self.folder / "pools.yaml"),),
                    options=PlanOptions(**options),
                    out=self.folder / name,
                )
                return await plan(session, asked, runs_dir=self.folder)

        return run(job(), virtual=True)

    def undo(self, name: str = "a.run") -> Summary:
        """Plan it, as ``undo.run``."""

        async def job() -> Summary:
            async with open_session(self.settings) as session:
                out, options = self.folder / "undo.run", PlanOptions(max_removals=100, max_deletes=100)
                return await undo(session, self.folder / name, runs_dir=self.folder, options=options, out=out)

        return run(job(), virtual=True)

    def apply(
        self,
        name: str = "a.run",
        *,
        resume: bool = False,
        deadline_s: float | None = None,
        observer: Callable[[Progress], None] = lambda _: None,
        **how: object,
    ) -> Summary:
        async def job() -> Summary:
            async with open_session(self.settings) as session:
                deadline = None if deadline_s is None else session.clock.now() + deadline_s
                begun = session.clock.now()
                summary = await apply(
                    session, self.folder / name, resume=resume, deadline=deadline, observer=observer, **how
                )
                self.took = session.clock.now() - begun
                return summary

        return run(job(), virtual=True)

    @property
    def settings(self) -> settings.Settings:
        flags = {"target": "simulated", "state": str(self.state), "virtual_time": True}
        return settings.load(flags, env={}, cwd=self.folder)

    def writes(self) -> list[tuple[str, str]]:
        """(method, path) of every write that the tenant committed."""
        found: list[tuple[str, str]] = []
        self.change(lambda tenant: found.extend((entry.method, entry.path) for entry in tenant.log))
        return found


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)
