"""The long proofs behind docs/reliability.md: ``make prove``, or ``python tools/prove.py [--seed N] [--only PART]``.

Kills at every step of every recipe, every fault on every kind of request, random faults and kills by a printed seed,
and a soak of 100,000 writes of which one in twenty goes wrong. Prints a table; exits 1 unless every column that must be
0 is.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engine"))

from chaos import KINDS, World, case, undisturbed
from matrix import POINTS, Tally, fault_case, fault_cases, kill_case, steps_of

from graphkit.clock import VirtualClock
from graphkit.errors import GraphkitError
from graphkit.sandbox import Seed, SimulatedTenant
from graphkit.sandbox.seeding.skus import PRODUCTS

DAY_OF_WRITING = 20261126
SOAK_WRITES = 100_000
SOAK_FAULTS = (
    {"action": "commit-then", "status": 504},
    {"action": "commit-then", "failure": "reset"},
    {"action": "answer", "status": 500},
    {"action": "throttle", "retry_after": "1"},
    {"action": "reset"},
)
MIXED = 0.05
WIDTH = len(str(SOAK_WRITES))


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seed", type=int, default=DAY_OF_WRITING, help="of everything that is left to the dice")
    options.add_argument("--only", action="append", choices=list(PARTS), help="this part; repeatable")
    options.add_argument("--random", type=int, default=200, help="random cases of each sort")
    given = options.parse_args()
    print(f"seed {given.seed}, begun {datetime.now(UTC):%Y-%m-%d %H:%M} UTC", flush=True)
    table: dict[str, tuple[Tally, float]] = {}
    with _folder() as root:
        normal = {recipe: undisturbed(recipe, root / recipe) for recipe in KINDS}
        for name in given.only or PARTS:
            begun = time.monotonic()
            tally = PARTS[name](normal, root, random.Random(f"{given.seed}/{name}"), given.random)
            table[name] = (tally, time.monotonic() - begun)
            print(f"{name}: {tally.cases} cases, {'sound' if tally.sound else 'BROKEN'}", flush=True)
            for line in tally.told:
                print(f"  {line}", flush=True)
    print("\n".join(_table(table)))
    return 0 if all(tally.sound for tally, _ in table.values()) else 1


def _table(table: dict[str, tuple[Tally, float]]) -> Iterator[str]:
    heads = ("proof", "cases", "faults injected", "runs killed", "items lost", "duplicates", "beyond the plan")
    yield f"| {' | '.join(heads)} | other ends | took |"
    yield "|---" * (len(heads) + 2) + "|"
    for name, (tally, took) in table.items():
        cells = (tally.cases, tally.faults, tally.kills, tally.lost, tally.duplicates, tally.beyond, tally.different)
        yield f"| {name} | " + " | ".join(f"{cell:,}" for cell in cells) + f" | {took / 60:.0f} min |"


@contextmanager
def _folder() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


# -- the parts -------------------------------------------------------------------------------------------------------


def kills(normal: dict, root: Path, dice: random.Random, _: int) -> Tally:
    """Once at each step, at each of the points."""
    total = Tally()
    for recipe, usual in normal.items():
        steps = steps_of(usual, recipe, root / "count")
        print(f"  {recipe}: {steps.writes} writes, {steps.flushes} transactions", flush=True)
        for kill in steps.kills(dice):
            total.add(kill_case(usual, recipe, root / "case", [kill]))
    return total


def several_kills(normal: dict, root: Path, dice: random.Random, count: int) -> Tally:
    """Two or three times, the later ones during the resume."""
    total = Tally()
    for _ in range(count):
        recipe = dice.choice(sorted(normal))
        chosen = [(dice.choice(POINTS), dice.randint(1, 12)) for _ in range(dice.randint(2, 3))]
        total.add(kill_case(normal[recipe], recipe, root / "case", chosen))
    return total


def single_faults(normal: dict, root: Path, dice: random.Random, _: int) -> Tally:
    """Each fault on each kind of request."""
    total = Tally()
    for recipe, usual in normal.items():
        for name, rule in fault_cases(usual):
            total.add(fault_case(usual, recipe, root / "case", name, [rule]))
    return total


def pairs_of_faults(normal: dict, root: Path, dice: random.Random, count: int) -> Tally:
    """Two at once."""
    total = Tally()
    for _ in range(count):
        recipe = dice.choice(sorted(normal))
        (one, first), (other, second) = dice.sample(list(fault_cases(normal[recipe])), 2)
        total.add(fault_case(normal[recipe], recipe, root / "case", f"{one} and {other}", [first, second]))
    return total


def random_faults(normal: dict, root: Path, dice: random.Random, count: int) -> Tally:
    return _chaos(normal, root, dice, count, kill=False)


def random_kills(normal: dict, root: Path, dice: random.Random, count: int) -> Tally:
    return _chaos(normal, root, dice, count // 4, kill=True)


def _chaos(normal: dict, root: Path, dice: random.Random, count: int, *, kill: bool) -> Tally:
    """Up to three legs under up to three rules each, deadlines among them; plans under faults too."""
    total = Tally()
    for _ in range(count):
        seed = dice.randrange(10**9)
        total.cases += 1
        total.kills += kill
        said = StringIO()
        try:
            with redirect_stderr(said):
                case(seed, normal, root / "case", kill=kill)
        except (Exception, ExceptionGroup) as error:
            total.different += 1
            total.told.append(f"seed {seed}: {error!r}\n{said.getvalue()[-2000:]}")
        finally:
            shutil.rmtree(root / "case", ignore_errors=True)
    return total


def soak(normal: dict, root: Path, dice: random.Random, _: int) -> Tally:
    """Direct licences for 100,000 people, a write each, with one answer in twenty gone wrong."""
    world = Soak(root / "soak")
    tally = Tally(cases=1)
    sizes: list[int] = []
    world.plan("a.run")
    share = MIXED / len(SOAK_FAULTS)
    world.faults([{**rule, "method": "POST", "path": "/users/*", "probability": share} for rule in SOAK_FAULTS])
    tracemalloc.start()
    for _ in range(20):
        with suppress(GraphkitError):
            summary = world.apply("a.run", observer=_measuring(sizes))
            if summary.apply_exit_code == 0:
                break
    tracemalloc.stop()
    tenant = world.tenant()
    tally.faults = sum(rule.fired for rule in tenant.faults.rules)
    given = tenant.consumed[PRODUCTS["EMS"].id]
    tenant.close()
    tally.lost = SOAK_WRITES - summary.outcomes["done"]
    tally.beyond = abs(SOAK_WRITES - given)
    early, late = sizes[len(sizes) // 4], sizes[-len(sizes) // 10]
    print(f"  memory of ours: {early / 1e6:.1f} MB after a quarter, {late / 1e6:.1f} MB near the end", flush=True)
    return tally


class Soak(World):
    """A tenant of 100,000 without a licence, and a row for each."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        super().__init__(folder, "licenses.assign")
        seed = Seed(organisations=1, users=SOAK_WRITES, licensed=0, seats={"EMS": SOAK_WRITES * 2})
        SimulatedTenant.open(self.state, VirtualClock(), seed=seed).close()
        rows = (f"rx1-{number:0{WIDTH}}@contoso.example,EMS,,RX1" for number in range(1, SOAK_WRITES + 1))
        self._write({"input.csv": "\n".join(["upn,sku,disabled_plans,org", *rows, ""])})


def _measuring(sizes: list[int]) -> Callable[[object], None]:
    """Every 5,000 outcomes: the bytes that graphkit holds, those of the tenant in the same process apart."""
    seen = 0

    def observe(_: object) -> None:
        nonlocal seen
        seen += 1
        if seen % 5000 == 0:
            traced = tracemalloc.take_snapshot().filter_traces(
                [tracemalloc.Filter(True, "*/graphkit/*"), tracemalloc.Filter(False, "*/graphkit/sandbox/*")]
            )
            sizes.append(sum(line.size for line in traced.statistics("filename")))

    return observe


PARTS: dict[str, Callable[[dict, Path, random.Random, int], Tally]] = {
    "a kill at each step": kills,
    "several kills": several_kills,
    "each fault on each request": single_faults,
    "two faults at once": pairs_of_faults,
    "random faults": random_faults,
    "random kills": random_kills,
    "soak": soak,
}

if __name__ == "__main__":
    sys.exit(main())
