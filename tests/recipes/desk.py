"""What the tests of temporary access passes share: a desk at which they are handed out."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from staff import PAGE, Office

METHOD = "/policies/authenticationMethodsPolicy/authenticationMethodConfigurations/temporaryAccessPass"
TYPE = "#microsoft.graph.temporaryAccessPassAuthenticationMethodConfiguration"
PASSES = 'access_passes: {starts_at: "08:00+01:00", lifetime_minutes: 480}\n'
POSTED = "temporaryAccessPassMethods"


@dataclass
class Desk(Office):
    """An office whose page asks for passes, in a tenant that allows them."""

    stored: Any = None
    planned: list[Path] = field(default_factory=list)

    @property
    def told(self) -> Path:
        return self.folder / "passes.csv"

    @property
    def handed(self) -> list[dict[str, str]]:
        """The rows of the file, by name: they come in the order of the answers."""
        with self.told.open(encoding="utf-8", newline="") as file:
            return sorted(csv.DictReader(file), key=lambda each: each["userPrincipalName"])

    def allow(self, **rules: Any) -> None:
        """The tenant's policy for passes."""
        body = {"@odata.type": TYPE, "state": "enabled", **rules}
        self.line("graph", "patch", METHOD, "--body", json.dumps(body), "--yes")

    def line(self, *arguments: Any, code: int = 0) -> Any:
        result = self.simulated(*arguments)
        assert result.code == code, result.stdout + result.stderr
        return result

    def employ(self, rows: Any) -> None:
        """Accounts without passes: a pass for one that is new is refused until all replicas know it."""
        self.page, page = PAGE, self.page
        self.line("apply", self.recipe, *self.given(rows), "--yes")
        self.page = page

    def outcome(self, run: Path, key: str) -> dict[str, Any]:
        """What became of somebody's pass."""
        items = self.line("show", run, "-o", "json").json["items"]
        return next(each["outcome"] for each in items if (each["kind"], each["key"]) == ("user.accessPass", key))

    def prepare(self, rows: Any, *more: Any) -> Path:
        """The run file of a plan that is ready."""
        run = self.folder / f"plan-{len(self.planned)}.run"
        self.planned.append(run)
        self.line("plan", self.recipe, *self.given(rows), *more, "--out", run, "-o", "none")
        return run

    def carry_out(self, verb: str, run: Path, *more: Any, code: int = 0) -> Any:
        return self.line(verb, run, "--tap-out", self.told, "--yes", "-o", "json", *more, code=code)

    def die(self, run: Path, **rule: Any) -> None:
        """Apply in a process of its own, which dies as ``rule`` says."""
        self.spoil(action="kill", **rule)
        command = [sys.executable, "-m", "graphkit", "apply", run, "--tap-out", self.told, "--yes", *self.stored.flags]
        self.expect_killed(command)
        self.spoil()

    def expect_killed(self, command: list[Any]) -> None:
        ended = subprocess.run([str(each) for each in command], cwd=self.folder, capture_output=True, check=False)
        assert ended.returncode == -signal.SIGKILL, ended.stderr

    def spoil(self, **rule: Any) -> None:
        """From now on this fault, or none."""
        with closing(self.stored.look()) as tenant:
            tenant.faults.clear()
            if rule:
                tenant.faults.add({"method": "POST", "path": f"*/{POSTED}", **rule})

    def held(self) -> dict[str, dict[str, Any]]:
        """Everybody's pass by userPrincipalName, as the tenant has it."""
        with closing(self.stored.look()) as tenant:
            users = {each["id"]: each for each in tenant.state.table("temporaryAccessPasses").objects.values()}
            return {tenant.state.get("users", key)["userPrincipalName"]: each for key, each in users.items()}

    def issued(self) -> int:
        """How often a pass was made."""
        return sum(entry.method == "POST" and entry.path.endswith(POSTED) for entry in self.stored.log())

    def everything_written(self) -> dict[Path, bytes]:
        """Whatever lies in the folder, the hand-out apart."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and path != self.told)
        return {path: path.read_bytes() for path in files}


def upn(number: int) -> str:
    return f"rx1-{number:04}@contoso.example"
