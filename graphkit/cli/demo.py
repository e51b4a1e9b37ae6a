"""``graphkit demo``: the whole job on a simulated tenant, with the very commands that an administrator would type.

One bad row is explained, one throttle ridden out, one answer lost and looked up, one crash survived; at the end every
plan is empty.
"""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from graphkit.cli.text import quoted
from graphkit.errors import GraphkitError, UsageError

USERS = 8000
STAFF_PER_ORG = 2000
ORGS = ("RX1", "RX2", "RX3")
DOMAIN = "contoso.example"

FAULTS: tuple[dict[str, Any], ...] = (
    {"name": "throttle", "method": "PATCH", "path": "/groups/*", "nth": 250, "times": 1, "action": "throttle",
     "retry_after": "12"},
    {"name": "crash", "method": "PATCH", "path": "/groups/*", "nth": 200, "times": 1, "action": "kill"},
    {"name": "lost answer", "method": "PUT", "path": "/groups/*/team", "nth": 3, "times": 1, "action": "commit-then",
     "status": 504},
)  # fmt: skip
"""What goes wrong, and when: the process dies right after the 200th write to a group was committed, the 250th is
throttled, the third team is made but its answer never arrives."""

POOLS = """\
pools:
  - {org: RX1, sku: SPE_E3, cap: 2500, members_from: {csv: staff.csv, match: {org: RX1}}}
  - {org: RX2, sku: SPE_E3, cap: 2500, members_from: {csv: staff.csv, match: {org: RX2}}}
  - {org: RX3, sku: SPE_F1, cap: 2500, members_from: {csv: staff.csv, match: {org: RX3}}}
"""

POLICIES = """\
named_locations:
  - {key: office, name: Head office, ip_ranges: [203.0.113.0/24], trusted: true}
  - {key: uk, name: United Kingdom, countries: [GB]}
policies:
  - key: mfa-all
    name: Require MFA for everyone
    state: report
    include: {users: [All]}
    exclude: {groups: [Break glass]}
    apps: {include: [All]}
    conditions: {clientAppTypes: [all], locations: {includeLocations: [All], excludeLocations: [office]}}
    grant: {operator: OR, builtInControls: [mfa]}
  - key: block-legacy
    name: Block legacy authentication
    state: on
    include: {users: [All]}
    exclude: {groups: [Break glass]}
    apps: {include: [All]}
    conditions: {clientAppTypes: [exchangeActiveSync, other]}
    grant: {operator: OR, builtInControls: [block]}
"""

COMPLIANCE = """\
policies:
  - key: windows-floor
    platform: windows10
    os_floor: 10.0.22631.4000
    bitlocker: true
    secure_boot: true
    grace_hours: 72
    assign: {include: [All devices]}
"""

RECIPES = (
    ("licenses.pools", "pools.yaml"),
    ("teams.provision", "teams.csv"),
    ("identity.conditional-access", "policies.yaml"),
    ("devices.compliance", "compliance.yaml"),
)


@click.command("demo")
@click.option(
    "--keep",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Keep everything in this folder (must not exist yet).",
)
def command(keep: Path | None) -> None:
    """The whole job on a simulated tenant: no account, no network."""
    folder = keep or Path(tempfile.mkdtemp(prefix="graphkit-demo-"))
    if keep:
        try:
            keep.mkdir(parents=True)
        except FileExistsError:
            raise UsageError(f"{keep} exists already", hint="name a new folder") from None
    Demo(folder).run()


class DemoFailed(GraphkitError):
    """The demonstration did not end as it must. That is a defect: please report it."""

    code = "demo-failed"


@dataclass(slots=True)
class Demo:
    """One demonstration in one folder."""

    folder: Path
    started: float = field(default_factory=time.perf_counter)

    def run(self) -> None:
        self._tell(f"A simulated tenant: {len(ORGS)} organisations, {USERS:,} users, in {self.folder}")
        self._make_tenant()
        self._write_inputs()
        self._explain_bad_rows()
        self._license_staff()
        for recipe, source in RECIPES[1:]:
            self._change(recipe, source)
        self._prove_converged()
        self._tell_what_went_wrong()
        self._summarise()

    def _make_tenant(self) -> None:
        from graphkit.clock import VIRTUAL_EPOCH, VirtualClock
        from graphkit.sandbox import Seed, SimulatedTenant

        tenant = SimulatedTenant.open(self.state, VirtualClock(VIRTUAL_EPOCH), seed=Seed(users=USERS))
        for fault in FAULTS:
            tenant.faults.add(fault)
        tenant.close()

    def _write_inputs(self) -> None:
        with (self.folder / "staff.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("employee_id", "upn", "org", "job_title"))
            writer.writerows(_staff())
        with (self.folder / "teams.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("team_key", "org", "display_name", "visibility", "owners", "channels"))
            writer.writerows(_teams())
        for name, text in (("pools.yaml", POOLS), ("policies.yaml", POLICIES), ("compliance.yaml", COMPLIANCE)):
            (self.folder / name).write_text(text, encoding="utf-8")
        safety = f'[safety]\nbreak_glass = ["break-glass-1@{DOMAIN}", "break-glass-2@{DOMAIN}"]\n'
        (self.folder / "graphkit.toml").write_text(safety, encoding="utf-8")

    def _explain_bad_rows(self) -> None:
        self._tell("A plan that finds bad rows says so, all at once, and writes nothing")
        code, answer = self._graphkit("plan", "licenses.pools", "-i", "pools.yaml", "--out", "refused.run")
        problems = answer["error"]["errors"]
        self._expect(code == 5 and len(problems) == 3, f"exit {code}, {len(problems)} problems")
        for problem in problems:
            self._say(f"{Path(problem['file']).name} row {problem['row']}: {problem['message']}")

    def _license_staff(self) -> None:
        self._tell("The sound rows are planned, and applied until the process is killed")
        planned = self._plan("licenses.pools", "pools.yaml", "pools.run", "--skip-invalid")
        died = self._child("apply", "pools.run", "--yes")
        self._expect(died != 0, "the process was to be killed")
        self._say("killed in the middle of its writes; what was sent is in the run file's journal")
        code, answer = self._graphkit("resume", "pools.run", "--yes")
        # Three input rows were left out, and the exit code says so.
        self._expect(code == 3 and answer["leftOut"] == 3, f"resume ended with {code}")
        self._outcome(planned, answer)

    def _change(self, recipe: str, source: str) -> None:
        run = f"{source.partition('.')[0]}.run"
        planned = self._plan(recipe, source, run)
        code, answer = self._graphkit("apply", run, "--yes")
        self._expect(code == 0, f"apply of {recipe} ended with {code}")
        self._outcome(planned, answer)

    def _plan(self, recipe: str, source: str, run: str, *flags: str) -> dict[str, Any]:
        self._tell(f"{recipe} from {source}")
        code, answer = self._graphkit("plan", recipe, "-i", source, "--out", run, *flags)
        self._expect(code == 0, f"plan of {recipe} ended with {code}: {answer.get('error') or answer['blocked']}")
        counts = ", ".join(f"{count:,} {action}" for action, count in answer["changes"].items() if count)
        slowest = max(answer["cost"], key=lambda row: row["seconds"])
        pace = f"{slowest['seconds']:,.0f} s at the pace of {slowest['bucket']}"
        self._say(f"planned: {counts}; earliest finish {pace}")
        return answer

    def _outcome(self, planned: dict[str, Any], answer: dict[str, Any]) -> None:
        ended = {status: count for status, count in answer["outcomes"].items() if count}
        self._expect(sum(ended.values()) == sum(planned["changes"].values()), f"items lost: {ended}")
        self._expect(not ended.get("failed") and not ended.get("unknown"), f"not all went well: {ended}")
        shown = ", ".join(f"{count:,} {status}" for status, count in ended.items())
        throttled = f"; throttled {answer['throttled']} time(s)" if answer["throttled"] else ""
        left_out = f"; {answer['leftOut']} rows left out as invalid" if answer["leftOut"] else ""
        self._say(f"ended: {shown}{left_out}{throttled}")

    def _prove_converged(self) -> None:
        self._tell("Planned again: nothing is left to do")
        for recipe, source in RECIPES:
            flags = ("--skip-invalid",) if recipe == "licenses.pools" else ()
            code, answer = self._graphkit("plan", recipe, "-i", source, "--out", f"again-{recipe}.run", *flags)
            writes = sum(count for action, count in answer["changes"].items() if action not in ("noop", "blocked"))
            self._expect(code == 0 and writes == 0, f"{recipe} would still write {writes}")
            self._say(f"{recipe}: 0 changes, {answer['changes']['noop']:,} as wished")

    def _tell_what_went_wrong(self) -> None:
        """From the tenant's own books: which faults struck, and whether anything was made twice."""
        from graphkit.clock import VirtualClock
        from graphkit.sandbox import SimulatedTenant

        tenant = SimulatedTenant.open(self.state, VirtualClock())
        struck = {rule.spec["name"]: rule.fired for rule in tenant.faults.rules}
        made = [entry.path for entry in tenant.log if entry.method == "PUT" or "uniqueName" in entry.path]
        writes = len(tenant.log)
        tenant.close()
        self._tell("What the tenant's own log says")
        self._say(", ".join(f"{name}: {count}" for name, count in struck.items()))
        twice = len(made) - len(set(made))
        self._say(f"{writes:,} writes committed; of {len(made)} groups and teams made, {twice} twice")
        self._expect(all(struck.values()), f"not every fault struck: {struck}")
        self._expect(not twice, "something was made twice")

    def _summarise(self) -> None:
        self._tell(f"Done in {time.perf_counter() - self.started:.1f} s")
        for label, name in (("run file", "pools.run"), ("results", "pools.results.csv"), ("tenant", "tenant.sqlite")):
            self._say(f"{label + ':':10} {self.folder / name}")
        # After "make demo" the command is in .venv only.
        program = "graphkit" if shutil.which("graphkit") else sys.argv[0]
        self._say(f"look inside: {program} show {quoted(self.folder / 'pools.run')}")

    @property
    def state(self) -> Path:
        return self.folder / "tenant.sqlite"

    def _arguments(self, arguments: Sequence[str]) -> list[str]:
        """The command line as an administrator would type it in the folder, made to run from anywhere."""
        files = {"-i", "--out"}
        own = [
            str(self.folder / word) if before in files or word.endswith(".run") else word
            for before, word in zip(["", *arguments], arguments, strict=False)
        ]
        place = ("--config", str(self.folder / "graphkit.toml"), "--state", str(self.state))
        return [*place, "--target", "simulated", "--virtual-time", "-o", "json", "--quiet", *own]

    def _graphkit(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        """Run a command in this process: (exit code, its JSON)."""
        from graphkit.__main__ import main

        out, told = io.StringIO(), io.StringIO()
        self._say(f"$ graphkit {' '.join(arguments)}")
        with redirect_stdout(out), redirect_stderr(told):
            code = main(self._arguments(arguments))
        try:
            return code, json.loads(out.getvalue())
        except ValueError:
            raise DemoFailed(f"graphkit {' '.join(arguments)} ended with {code}: {told.getvalue()[-2000:]}") from None

    def _child(self, *arguments: str) -> int:
        """Run a command in a process of its own, which may die."""
        self._say(f"$ graphkit {' '.join(arguments)}")
        command = [sys.executable, "-m", "graphkit", *self._arguments(arguments)]
        return subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603 - ourselves

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise DemoFailed(f"the demonstration went wrong: {otherwise}", hint=f"everything is in {self.folder}")

    def _tell(self, text: str) -> None:
        seconds = time.perf_counter() - self.started
        click.echo(f"\n{click.style(f'[{seconds:4.1f} s]', dim=True)} {click.style(text, bold=True)}")

    def _say(self, text: str) -> None:
        click.echo(f"         {text}")


def _staff() -> Iterator[tuple[str, str, str, str]]:
    """6,000 rows; three of them are bad."""
    for org in ORGS:
        for number in range(1, STAFF_PER_ORG + 1):
            upn = f"{org.lower()}-{number:04}@{DOMAIN}"
            if org == "RX2" and number == 700:
                upn = f"rx2-0700-left@{DOMAIN}"
            if org == "RX2" and number == 1200:
                upn = "rx2-1200 at contoso"
            if org == "RX3" and number == 15:
                upn = f"rx3-0014@{DOMAIN}"
            yield f"{org}{number:05}", upn, org, "Nurse" if number % 3 else "Therapist"


def _teams() -> Iterator[tuple[str, str, str, str, str, str]]:
    for org in ORGS:
        owners = f"{org.lower()}-0001@{DOMAIN};{org.lower()}-0002@{DOMAIN}"
        for ward in range(1, 5):
            name = f"{org} Ward {ward}"
            yield f"ward-{ward}", org, name, "Private", owners, "Handover;Rota"
