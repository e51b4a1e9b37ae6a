"""A folder with a tenant in a file and the command line in it: what the tests of the Teams recipes share."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from graphkit.sandbox import SimulatedTenant

ROOT = Path(__file__).parents[2]
STARTERS = ROOT / "recipes" / "teams"
PAGES = ROOT / "docs" / "recipes"
ROSTERS = ROOT.parent / "shared" / "data" / "rosters" / "uk-25-users"


def upn(number: int, org: int = 1) -> str:
    return f"rx{org}-{number:04}@contoso.example"


class Office:
    """``simulated`` and ``tenant`` are the fixtures of those names."""

    def __init__(self, folder: Path, simulated: Any, tenant: Any) -> None:
        self.folder = folder
        self.line = simulated
        self.stored = tenant

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def plan(self, recipe: str, *inputs: Path, run: str = "a.run", flags: tuple[str, ...] = ()) -> tuple[int, Any]:
        """The exit code, and the plan as JSON (errors included)."""
        given = [argument for path in inputs for argument in ("-i", path)]
        (self.folder / run).unlink(missing_ok=True)
        result = self.line("plan", recipe, *given, "--out", self.folder / run, "-o", "json", "--full", *flags)
        assert result.stdout, result.stderr
        return result.code, result.json

    def apply(self, run: str = "a.run", verb: str = "apply") -> tuple[int, Any]:
        result = self.line(verb, self.folder / run, "--yes", "-o", "json")
        assert result.stdout, result.stderr
        return result.code, result.json

    def make(self, recipe: str, *inputs: Path, flags: tuple[str, ...] = ()) -> tuple[Any, int, Any]:
        """Plan and apply: (plan, exit code, outcomes)."""
        code, planned = self.plan(recipe, *inputs, flags=flags)
        assert code == 0, planned
        return (planned, *self.apply())

    def kill(self, run: str = "a.run", **rule: Any) -> None:
        """Apply in a process of its own that dies at the write which ``rule`` describes."""
        with self.tenant() as tenant:
            tenant.faults.add({**rule, "action": "kill"})
        command = [sys.executable, "-m", "graphkit", "apply", str(self.folder / run), "--yes", *self.stored.flags]
        ended = subprocess.run(command, cwd=self.folder, capture_output=True, check=False)
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        with self.tenant() as tenant:
            tenant.faults.clear()

    @contextmanager
    def tenant(self) -> Iterator[SimulatedTenant]:
        tenant = self.stored.look()
        try:
            yield tenant
        finally:
            tenant.close()

    @contextmanager
    def changed(self) -> Iterator[SimulatedTenant]:
        """What is done to the state within is kept, though it is no write of anybody."""
        with self.tenant() as tenant:
            yield tenant
            tenant._commit(tenant.clock.now())

    def look(self, ask: Callable[[SimulatedTenant], Any]) -> Any:
        with self.tenant() as tenant:
            return ask(tenant)

    def graph(self, method: str, path: str, body: Any = None) -> Any:
        """Something that an administrator does by hand."""
        import json

        told = ("--body", json.dumps(body)) if body is not None else ()
        result = self.line("graph", method, path, *told, "-o", "json", *(() if method == "get" else ("--yes",)))
        assert result.code == 0, result.stderr
        return result.json if result.stdout.strip() else None

    def writes(self) -> list[str]:
        return [f"{entry.method} {entry.path}" for entry in self.stored.log()]

    def results(self, run: str = "a.run") -> list[dict[str, str]]:
        with (self.folder / run).with_suffix(".results.csv").open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    def team(self, nickname: str) -> str:
        """The id of a team by its mailNickname."""
        return str(self.look(lambda tenant: tenant.state.table("groups").find("mailNickname", nickname)[0]["id"]))


def example(page: str, language: str) -> str:
    """The first block of that language below "Worked example" on a recipe's page."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8").partition("## Worked example")[2]
    return text.partition(f"```{language}\n")[2].partition("```")[0]
