"""Random faults against every recipe, judged by what the tenant holds and has logged in the end.

By hand, for as long as you like: ``python tests/engine/chaos.py 1 400 [kill]``: seeds from and to, with ``kill`` in
child processes that die at some write.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from graphkit import settings
from graphkit.clock import VirtualClock, run
from graphkit.engine.resource import PlanOptions
from graphkit.engine.runfile import RunFile
from graphkit.errors import GraphkitError
from graphkit.jobs import Asked, apply, plan
from graphkit.recipe import Recipe, everything, find_recipe, template_of
from graphkit.sandbox import Seed, SimulatedTenant, load_scenario, stored_time
from graphkit.session import open_session
from graphkit.trials.world import Subject, started
from graphkit.trials.world import World as Trial

TWO = "rx1-0001@contoso.example;rx1-0002@contoso.example"
UPNS = [f"rx1-{number:04}@contoso.example" for number in range(1, 41)]
PLACES = """
  - {key: office, name: Head office, ip_ranges: [203.0.113.0/24], trusted: true}
  - {key: uk, name: United Kingdom, countries: [GB]}
"""


def _policy(number: int) -> str:
    return (
        f"  - {{key: p{number}, state: report, include: {{users: [All]}}, exclude: {{groups: [Break glass]}},"
        " apps: {include: [All]}, grant: {operator: OR, builtInControls: [mfa]},"
        " conditions: {locations: {includeLocations: [All], excludeLocations: [office]}}}\n"
    )


def _compliance(number: int) -> str:
    return (
        f"  - {{key: win-{number}, platform: windows10, os_floor: 10.0.22631.4000, bitlocker: true,"
        " secure_boot: true, grace_hours: 72,"
        " assign: {include: [All devices], exclude: []}}\n"
    )


INPUTS = {
    "licenses.pools": {
        "input.yaml": "pools:\n  - {org: RX1, sku: SPE_E3, cap: 50, members_from: m.csv}\n"
        "  - {org: RX1, sku: EMS, cap: 50, members_from: m.csv}\n",
        "m.csv": "\n".join(["upn", *UPNS]) + "\n",
    },
    "licenses.assign": {
        "input.csv": "\n".join(["upn,sku,disabled_plans,org", *(f"{upn},EMS,,RX1" for upn in UPNS[10:22])]) + "\n",
    },
    "teams.provision": {
        "input.csv": "team_key,org,display_name,visibility,owners,channels\n"
        + "".join(f"ward-{n},RX1,Ward {n},Private,{TWO},Rotas;Handover\n" for n in range(1, 5)),
    },
    "identity.conditional-access": {
        "input.yaml": f"named_locations:{PLACES}policies:\n" + "".join(_policy(n) for n in range(4)),
    },
    "devices.compliance": {"input.yaml": "policies:\n" + "".join(_compliance(n) for n in range(4))},
}
LATER = " later"
"""What follows the name of a recipe whose input was changed after it had been applied once: updates and removals."""


def _changed(recipe: str) -> dict[str, str]:
    files = dict(INPUTS[recipe])
    match recipe:
        case "licenses.pools":
            first, *rest = files["input.yaml"].splitlines(keepends=True)
            renamed = [line.replace("cap: 50", "cap: 50, group: New name", 1) for line in rest]
            files["input.yaml"] = "".join(["mode: authoritative\n", first, *renamed])
            files["m.csv"] = "\n".join(["upn", *UPNS[4:]]) + "\n"
        case "licenses.assign":
            files["input.csv"] = files["input.csv"].replace(",EMS,,", ",EMS,INTUNE_A,")
        case "teams.provision":
            files["input.csv"] = files["input.csv"].replace(",Ward ", ",New ward ").replace("Handover", "Handover;More")
        case "identity.conditional-access":
            files["input.yaml"] = (
                files["input.yaml"].replace("[mfa]", "[mfa, compliantDevice]").replace("[GB]", "[GB, IE]")
            )
        case _:
            files["input.yaml"] = (
                files["input.yaml"].replace("22631.4000", "22631.5000").replace("hours: 72", "hours: 24")
            )
    return files


SEED = Seed(organisations=1, users=40, licensed=10)
MADE_ID = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|19:[0-9a-f]+@thread.tacv2|(?<=/roleScopeTags/)[0-9]+"
)
SEEDED: dict[str, set[str]] = {}
"""The ids that were there before a recipe was first applied: they are the same in every copy."""
OF_THE_MOMENT = (
    "DateTime",
    "securityIdentifier",
    "webUrl",
    "lastUpdated",
    "lastMembershipUpdated",
    "version",
    "@odata.etag",
)
REJECTED = (400, 403, 404, 409, 412, 423)
FAILED = (500, 502, 503, 504, 509)
RETRY_AFTER = (None, "0", "0.249", "3", "-1", "soon", "Wed, 21 Oct 2015 07:28:00 GMT", "40", "86400")

STARTER = " starter"
"""What follows the name of a recipe that is tried with its starter file, on the tenant of the trials."""
STARTERS = [
    each.name + STARTER
    for each in everything()
    if isinstance(each, Recipe) and each.trial is not None and each.name not in INPUTS
]
HANDED = [*INPUTS, *(recipe + LATER for recipe in INPUTS)]
"""Those with inputs of their own."""
KINDS = [*HANDED, *STARTERS]


class Watched(httpx.AsyncBaseTransport):
    """A wire that keeps, in ``path``, every byte that leaves for another place than the chosen cloud."""

    def __init__(self, inner: httpx.AsyncBaseTransport, path: Path) -> None:
        self._inner = inner
        self._path = path

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if (request.url.scheme, request.url.netloc) != ("https", b"graph.microsoft.com"):
            with self._path.open("ab") as file:
                file.write(str(request.url).encode() + b"".join(map(b"".join, request.headers.raw)))
                file.write(await request.aread())
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@dataclass
class World:
    """One folder: a tenant in a file, the input of one recipe, and its runs.

    ``fired`` counts the faults that came to something, ``killed`` the processes that died.
    """

    folder: Path
    recipe: str
    fired: int = 0
    killed: int = 0

    @property
    def state(self) -> Path:
        return self.folder / "tenant.sqlite"

    @property
    def settings(self) -> settings.Settings:
        flags = {
            "target": "simulated",
            "state": str(self.state),
            "virtual_time": True,
            "runs_dir": str(self.folder / "runs"),
        }
        return settings.load(flags, env={}, cwd=self.folder)

    @property
    def subject(self) -> Subject | None:
        """For a recipe that is tried with its starter file."""
        if not self.recipe.endswith(STARTER):
            return None
        recipe = find_recipe(self.recipe.removesuffix(STARTER))
        inputs = tuple(str(self.folder / "input" / name) for name, _ in template_of(recipe))
        beta = "allow_beta" in recipe.options
        options = replace(recipe.trial or PlanOptions(), accept_impact=True, allow_beta=beta)
        return Subject.of(recipe, inputs[: 1 + len(recipe.given_with)], options)

    def prepare(self) -> None:
        if self.recipe.endswith(STARTER):
            self._prepare_starter(find_recipe(self.recipe.removesuffix(STARTER)))
            return
        SimulatedTenant.open(self.state, VirtualClock(), seed=SEED).close()
        recipe = self.recipe.removesuffix(LATER)
        self._write(INPUTS[recipe])
        if recipe != self.recipe:
            self.plan("first.run")
            self.apply("first.run")
            settle(self)
            self._write(_changed(recipe))

    def _prepare_starter(self, recipe: Recipe) -> None:
        subject = started(recipe, self.folder / "input")
        first = started(find_recipe(recipe.builds_on), self.folder / "first") if recipe.builds_on else None
        Trial.new(self.folder / "made", subject, first).state.rename(self.state)

    def _write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.folder / name).write_text(text, encoding="utf-8")

    def tenant(self) -> SimulatedTenant:
        return SimulatedTenant.open(self.state, VirtualClock(stored_time(self.state) or 0.0))

    def watched(self, wire: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        return Watched(wire, self.folder / "foreign.bin")

    @property
    def foreign(self) -> int:
        """Bytes that went elsewhere than to the cloud's own address, those of processes that were killed too."""
        path = self.folder / "foreign.bin"
        return path.stat().st_size if path.exists() else 0

    def faults(self, rules: list[dict]) -> None:
        """These from now on; what the ones before did is counted."""
        tenant = self.tenant()
        self.fired += sum(rule.fired for rule in tenant.faults.rules)
        tenant.faults.clear()
        tenant.faults.extend(rules)
        tenant.close()

    def asked(self, out: Path) -> Asked:
        if self.subject is not None:
            return self.subject.asked(out)
        recipe = self.recipe.removesuffix(LATER)
        (given,) = [name for name in INPUTS[recipe] if name.startswith("input.")]
        return Asked(
            recipe=recipe,
            inputs=(str(self.folder / given),),
            options=PlanOptions(break_glass=("break-glass-1@contoso.example", "Break glass"), max_changes=1_000_000),
            out=out,
        )

    def plan(self, name: str):
        async def job():
            async with open_session(self.settings, around=self.watched) as session:
                return await plan(session, self.asked(self.folder / name), runs_dir=self.folder)

        return run(job(), virtual=True)

    def apply(self, name: str, *, deadline_s: float | None = None, **how):
        with RunFile.open(self.folder / name) as file:
            resume = file.header()["status"] not in ("ready", "empty")

        async def job():
            async with open_session(self.settings, around=self.watched) as session:
                deadline = None if deadline_s is None else session.clock.now() + deadline_s
                return await apply(session, self.folder / name, resume=resume, deadline=deadline, **how)

        return run(job(), virtual=True)

    def lines(self, name: str) -> list[str]:
        with RunFile.open(self.folder / name) as file:
            return [change.line().replace(str(self.folder), ".") for change in file.changes()]

    def picture(self) -> tuple[str, list[str]]:
        """(what the tenant holds, every write that it committed), ids given by the server and times apart."""
        tenant = self.tenant()
        try:
            objects = {kind: dict(table.objects) for kind, table in tenant.state.tables.items()}
            names = {
                key: f"<{kind} {item.get('uniqueName') or item.get('displayName') or item.get('skuPartNumber')}"
                f" {item.get('description') or ''}>"
                for kind, items in objects.items()
                for key, item in items.items()
                if kind not in ("users", "teams", "roleScopeTags")  # a tag's id is a number
            }

            tags = {key: item["displayName"] for key, item in objects.get("roleScopeTags", {}).items()}
            seeded = SEEDED.get(self.recipe, set())

            def named(text: str) -> str:
                for key, name in names.items():
                    text = text.replace(key, json.dumps(name)[1:-1])
                return MADE_ID.sub(lambda found: found[0] if found[0] in seeded else "<id>", text)

            held = {
                kind: sorted(
                    json.dumps(_timeless(json.loads(named(json.dumps(_tagged(kind, item, tags))))), sort_keys=True)
                    for item in items.values()
                )
                for kind, items in objects.items()
            }
            links = {
                name: sorted(named(f"{source} {target}") for source, targets in each.items() for target in targets)
                for name, each in tenant.state.links.items()
            }
            return (
                json.dumps([held, links], sort_keys=True, indent=1),
                [named(f"{entry.method} {entry.path}") for entry in tenant.log],
            )
        finally:
            tenant.close()

    def creations(self) -> Counter[str]:
        """How often the tenant made a new object, by the request that asked for it."""
        tenant = self.tenant()
        try:
            seeded = SEEDED.get(self.recipe, set())
            return Counter(
                MADE_ID.sub(lambda found: found[0] if found[0] in seeded else "<id>", f"{entry.method} {entry.path}")
                for entry in tenant.log
                if entry.status == 201 or entry.path.endswith("/import")
            )
        finally:
            tenant.close()


def _tagged(kind, item, tags):
    """Scope tags by name: their ids are numbers, given in the order in which they were made."""
    if kind == "roleScopeTags":
        shown = [{**each, "id": ""} for each in item.get("assignments", [])]  # it begins with the tag's
        return {**item, "id": item["displayName"], "assignments": shown}
    given = item.get("roleScopeTagIds")
    return {**item, "roleScopeTagIds": [tags.get(each, each) for each in given]} if given else item


def _timeless(value):
    if isinstance(value, dict):
        return {
            name: _timeless(inner)
            for name, inner in value.items()
            if not any(name.endswith(part) for part in OF_THE_MOMENT) and not name.startswith("_")
        }
    if isinstance(value, list):
        return sorted((_timeless(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


# -- faults ----------------------------------------------------------------------------------------------------------


def random_rule(dice: random.Random, *, reads: bool) -> dict:
    paths = ["*", "/groups*", "/groups/*", "/$batch", "/teams/*", "/identity/*", "/deviceManagement/*", "/users/*"]
    rule = {"path": dice.choice(paths), "method": dice.choice(["*", "PATCH", "POST", "PUT", "GET"])}
    match dice.randrange(3):
        case 0:
            rule["nth"] = sorted(dice.sample(range(1, 9), dice.randint(1, 4)))
        case 1:
            rule["probability"] = dice.choice([0.1, 0.3, 0.7])
    rule["times"] = dice.choice([1, 2, 3, 5, 12, 30])
    rule["action"] = dice.choice(["commit-then", "commit-then", "answer", "throttle", "delay", "reset"])
    match rule["action"]:
        case "commit-then":
            if dice.random() < 0.5:
                rule["failure"] = dice.choice(["timeout", "reset"])
            else:
                rule["status"] = dice.choice(FAILED)
            if rule["path"] == "/$batch":
                rule["items"] = dice.randint(0, 4)
        case "answer":
            # A 404 to a read is a proof, and none is told here that is not true.
            refusals = REJECTED if rule["method"] not in ("*", "GET") else (403, 500)
            rule["status"] = dice.choice([*FAILED, *refusals])
        case "throttle":
            stated = dice.choice(RETRY_AFTER)
            if stated is not None:
                rule["retry_after"] = stated
        case "delay":
            rule["seconds"] = dice.choice([0.5, 5, 30, 200])
    if dice.random() < 0.3 and rule.get("status", 500) in FAILED:
        rule["headers"] = {"Retry-After": dice.choice(["1", "7.5"])}
    if rule["action"] in ("throttle", "reset", "delay"):
        rule.pop("headers", None)
    return rule


# -- one case --------------------------------------------------------------------------------------------------------


@dataclass
class Undisturbed:
    """What a run without faults leaves behind; ``before`` are the writes that the tenant had committed until then."""

    folder: Path
    before: int
    picture: tuple[str, list[str]]
    creations: Counter[str]
    lines: list[str]


class Usual(dict[str, "Undisturbed"]):
    """How each recipe ends if nothing goes wrong, found out when it is asked for."""

    def __init__(self, folder: Path, kinds: list[str]) -> None:
        super().__init__()
        self._folder = folder
        self.kinds = kinds

    def __missing__(self, recipe: str) -> Undisturbed:
        self[recipe] = undisturbed(recipe, self._folder / recipe)
        return self[recipe]


def undisturbed(recipe: str, folder: Path) -> Undisturbed:
    folder.mkdir(parents=True)
    world = World(folder, recipe)
    world.prepare()
    tenant = SimulatedTenant(VirtualClock(), seed=SEED) if world.subject is None else world.tenant()
    SEEDED[recipe] = {
        found
        for table in tenant.state.tables.values()
        for found in MADE_ID.findall(json.dumps(list(table.objects.values())))
    }
    tenant.close()
    fresh = folder.with_name(folder.name + "-fresh")
    shutil.copytree(folder, fresh)
    before = len(world.picture()[1])
    world.plan("a.run")
    summary = world.apply("a.run")
    assert summary.apply_exit_code == 0, summary
    _judge_converged(world)
    return Undisturbed(fresh, before, world.picture(), world.creations(), world.lines("a.run"))


def _judge_converged(world: World) -> None:
    before = len(world.picture()[1])
    settle(world)
    again = world.plan("again.run")
    assert again.writes == 0, [line for line in world.lines("again.run") if '"noop"' not in line]
    world.apply("again.run")
    assert len(world.picture()[1]) == before, "a second apply wrote something"


def settle(world: World) -> None:
    """Replicas, licences and teams have their time."""
    tenant = world.tenant()
    tenant.state.set_meta("now", (stored_time(world.state) or 0.0) + 300)
    tenant.close()


def case(seed: int, normal: dict[str, Undisturbed], folder: Path, *, kill: bool = False, recipe: str = "") -> World:
    """The world as it was left.

    Raises ``AssertionError`` if a promise is broken; what is printed then is what is needed to see it again.
    """
    dice = random.Random(seed)
    recipe = recipe or dice.choice(sorted(normal))
    usual = normal[recipe]
    shutil.copytree(usual.folder, folder)
    world = World(folder, recipe)
    told = [f"seed {seed}, {recipe}"]
    try:
        planned = _plan_under_faults(world, dice, told, usual) if dice.random() < 0.3 else world.plan("a.run")
        assert planned.status == "ready", planned
        for _ in range(dice.randint(1, 3)):
            rules = [random_rule(dice, reads=True) for _ in range(dice.randint(1, 3))]
            if kill:
                path, method = dice.choice([("*", "PATCH"), ("*", "POST"), ("*", "PUT"), ("*", "*")])
                when = dice.choice(["before", "after"])
                rules.insert(
                    0, {"action": "kill", "when": when, "method": method, "path": path, "nth": dice.randint(1, 8)}
                )
                if dice.random() < 0.5:
                    del rules[1:]
            world.faults(rules)
            deadline = dice.choice([None, None, None, 0.5, 3.0, 40.0])
            told.append(f"{rules} deadline {deadline}")
            told.append(_leg(world, deadline, child=kill))
        world.faults([])
        summary = None
        for _ in range(4):
            try:
                summary = world.apply("a.run")
            except GraphkitError as error:
                told.append(f"resumed: {error!r}")
                continue
            told.append(f"resumed: {summary.outcomes}")
            if summary.apply_exit_code == 0:
                break
        assert summary is not None, "never finished"
        _judge(world, usual, summary)
    except BaseException:
        print("\n".join(told), file=sys.stderr)
        raise
    return world


def scenario_case(name: str, recipe: str, normal: dict[str, Undisturbed], folder: Path) -> None:
    """A plan is carried out under a scenario that comes with the package, and once more when all is well again."""
    usual = normal[recipe]
    shutil.copytree(usual.folder, folder)
    world = World(folder, recipe)
    assert world.plan("a.run").status == "ready"
    world.faults(load_scenario(name))
    told = _leg(world, None, child=False)
    world.faults([])
    settle(world)
    summary = world.apply("a.run")
    assert summary.apply_exit_code == 0, (told, summary.outcomes, _bad(world))
    _judge(world, usual, summary)


def _plan_under_faults(world: World, dice: random.Random, told: list[str], usual: Undisturbed):
    before = len(world.picture()[1])
    rules = [{**random_rule(dice, reads=True), "method": "GET"} for _ in range(2)]
    rules = [rule for rule in rules if rule.get("status") not in (400, 404, 409, 412, 423)]
    world.faults(rules)
    told.append(f"while planning: {rules}")
    try:
        world.plan("bad.run")
        may = set(usual.lines)
        writes = [line for line in world.lines("bad.run") if json.loads(line)["action"] not in ("noop", "blocked")]
        strange = [line for line in writes if line not in may]
        assert not strange, ("what could not be read was planned", strange)
        for line in world.lines("bad.run"):
            change = json.loads(line)
            assert change["action"] != "blocked" or change["note"], line
    except GraphkitError as error:
        told.append(f"planning ended: {error!r} {getattr(error, 'problems', '')}")
    assert len(world.picture()[1]) == before, "a plan wrote"
    world.faults([])
    return world.plan("a.run")


def _leg(world: World, deadline: float | None, *, child: bool) -> str:
    if child:
        command = [sys.executable, __file__, "leg", str(world.folder), world.recipe, str(deadline or "")]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode in (0, -9), done.stderr[-3000:]
        world.killed += done.returncode == -9
        return f"child ended {done.returncode} {done.stdout.strip()}"
    try:
        return str(world.apply("a.run", deadline_s=deadline).outcomes)
    except GraphkitError as error:
        return repr(error)


def _judge(world: World, usual: Undisturbed, summary) -> None:
    _judge_converged(world)
    held, log = world.picture()
    outcomes = summary.outcomes
    planned = sum(summary.changes.values())
    assert sum(outcomes.values()) == planned, (outcomes, summary.changes)
    assert summary.apply_exit_code == 0, (outcomes, _bad(world))
    usual_held, usual_log = usual.picture
    assert held == usual_held, _difference(usual_held, held)
    assert set(log) <= set(usual_log), ("writes beyond the plan", sorted(set(log) - set(usual_log)))
    twins = world.creations() - usual.creations
    assert not twins, ("a duplicate creation", twins)
    assert not world.foreign, "something left for another place"
    with RunFile.open(world.folder / "a.run") as file:
        assert file.finished()
    before = len(log)
    world.apply("a.run")
    assert len(world.picture()[1]) == before, "resuming a finished run wrote"


def _bad(world: World) -> list[str]:
    with RunFile.open(world.folder / "a.run") as file:
        return [
            f"{change.kind} {change.key}: {result}"
            for change, result in file.results()
            if result is None or result.status not in ("done", "already")
        ]


def _difference(left: str, right: str) -> str:
    import difflib

    changed = difflib.unified_diff(left.splitlines(), right.splitlines(), lineterm="", n=0)
    return "\n".join(line[:700] for line in list(changed)[:8])


def _print_plans(folder: Path) -> None:
    """The plan lines and the digest of every recipe, with inputs named from within their folder."""
    for recipe in INPUTS:
        world = World(folder / recipe, recipe)
        world.folder.mkdir(parents=True)
        os.chdir(world.folder)
        world.prepare()
        World(Path(), recipe).plan("p.run")
        print("\n".join(world.lines("p.run")))
        with RunFile.open(world.folder / "p.run") as file:
            print(file.digest())


def main(arguments: list[str]) -> None:
    if arguments[0] == "leg":
        world = World(Path(arguments[1]), arguments[2])
        try:
            print(world.apply("a.run", deadline_s=float(arguments[3]) if arguments[3] else None).outcomes)
        except GraphkitError as error:
            print(repr(error))
        return
    if arguments[0] == "plan":
        _print_plans(Path(arguments[1]))
        return
    first, last = int(arguments[0]), int(arguments[1])
    kill = "kill" in arguments
    root = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    bad = 0
    try:
        normal = {recipe: undisturbed(recipe, root / recipe) for recipe in KINDS}
        for seed in range(first, last):
            try:
                case(seed, normal, root / "case", kill=kill)
            except (Exception, ExceptionGroup) as error:
                import traceback

                bad += 1
                text = "".join(traceback.format_exception(error))
                print(f"FAILED seed {seed}: {text[-2500:]}\n{'-' * 80}", flush=True)
            finally:
                shutil.rmtree(root / "case", ignore_errors=True)
        print(f"{last - first} cases, {bad} bad", flush=True)
    finally:
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])
