"""The long proofs behind docs/reliability.md: ``make prove``, or ``python tools/prove.py [--seed N] [--only PART]``.

Kills at every step of every recipe, every fault on every kind of request, random faults and kills by a printed seed,
lists whose links lead elsewhere, plans and undos and foreign hands in any order, and a soak of 100,000 writes of which
one in twenty goes wrong. Prints a table; exits 1 unless every column that must be 0 is.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "engine"))

from chaos import KINDS, Undisturbed, case, undisturbed
from machine import explore
from matrix import LINKS, POINTS, Tally, fault_case, fault_cases, kill_case, link_case, steps_of

DAY_OF_WRITING = 20261126
SOAK_WRITES = 100_000
FLAT = 1.1
"""How much more memory the whole soak may take than its first quarter."""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seed", type=int, default=DAY_OF_WRITING, help="of everything that is left to the dice")
    options.add_argument("--only", action="append", choices=list(PARTS), help="this part; repeatable")
    options.add_argument("--random", type=int, default=200, help="random cases of each sort")
    options.add_argument("--sample", type=int, help="so many of the steps and faults of a recipe, by the dice")
    options.add_argument("--soak", type=int, default=SOAK_WRITES, help="writes of the soak")
    given = options.parse_args()
    print(f"seed {given.seed}, begun {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {vars(given)}", flush=True)
    table: dict[str, tuple[Tally, float]] = {}
    with _folder() as root:
        normal = {} if given.only == ["soak"] else {recipe: undisturbed(recipe, root / recipe) for recipe in KINDS}
        for name in given.only or PARTS:
            begun = time.monotonic()
            tally = PARTS[name](Proof(normal, root, random.Random(f"{given.seed}/{name}"), given))
            table[name] = (tally, time.monotonic() - begun)
            print(f"{name}: {tally.cases} cases, {'sound' if tally.sound else 'BROKEN'}", flush=True)
            for line in tally.told:
                print(f"  {line}", flush=True)
    print("\n".join(_table(table)))
    return 0 if all(tally.sound for tally, _ in table.values()) else 1


def _table(table: dict[str, tuple[Tally, float]]) -> Iterator[str]:
    heads = ("proof", "cases", "faults injected", "runs killed", "items lost", "duplicates", "beyond the plan")
    yield f"| {' | '.join(heads)} | foreign bytes | other ends | took |"
    yield "|---" * (len(heads) + 3) + "|"
    for name, (tally, took) in table.items():
        cells = (tally.cases, tally.faults, tally.kills, tally.lost, tally.duplicates, tally.beyond)
        cells += (tally.foreign, tally.different)
        yield f"| {name} | " + " | ".join(f"{cell:,}" for cell in cells) + f" | {took / 60:.0f} min |"


@contextmanager
def _folder() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


# -- the parts -------------------------------------------------------------------------------------------------------

T = TypeVar("T")


@dataclass(frozen=True)
class Proof:
    """What a part is given: how each recipe ends undisturbed, a folder, its dice, and what the command line said."""

    normal: dict[str, Undisturbed]
    root: Path
    dice: random.Random
    given: argparse.Namespace

    @property
    def case(self) -> Path:
        return self.root / "case"

    def some(self, every: Iterable[T]) -> list[T]:
        found = list(every)
        return found if self.given.sample is None else self.dice.sample(found, min(self.given.sample, len(found)))


def kills(proof: Proof) -> Tally:
    """Once at each step, at each of the points."""
    total = Tally()
    for recipe, usual in proof.normal.items():
        steps = steps_of(usual, recipe, proof.root / "count")
        print(f"  {recipe}: {steps.writes} writes, {steps.flushes} transactions", flush=True)
        for kill in proof.some(steps.kills(proof.dice)):
            total.add(kill_case(usual, recipe, proof.case, [kill]))
    return total


def several_kills(proof: Proof) -> Tally:
    """Two or three times, the later ones during the resume."""
    total, dice = Tally(), proof.dice
    for _ in range(proof.given.random):
        recipe = dice.choice(sorted(proof.normal))
        chosen = [(dice.choice(POINTS), dice.randint(1, 12)) for _ in range(dice.randint(2, 3))]
        total.add(kill_case(proof.normal[recipe], recipe, proof.case, chosen))
    return total


def single_faults(proof: Proof) -> Tally:
    """Each fault on each kind of request."""
    total = Tally()
    for recipe, usual in proof.normal.items():
        print(f"  {recipe}", flush=True)
        for name, rule in proof.some(fault_cases(usual)):
            total.add(fault_case(usual, recipe, proof.case, name, [rule]))
    return total


def pairs_of_faults(proof: Proof) -> Tally:
    """Two at once."""
    total = Tally()
    for _ in range(proof.given.random):
        recipe = proof.dice.choice(sorted(proof.normal))
        usual = proof.normal[recipe]
        (one, first), (other, second) = proof.dice.sample(list(fault_cases(usual)), 2)
        total.add(fault_case(usual, recipe, proof.case, f"{one} and {other}", [first, second]))
    return total


def hostile_links(proof: Proof) -> Tally:
    """Every list of a plan and of a run leads elsewhere, in each way that the simulated tenant knows."""
    total = Tally()
    for recipe, usual in proof.normal.items():
        for link in LINKS:
            total.add(link_case(usual, recipe, proof.case, link))
    return total


def any_order(proof: Proof) -> Tally:
    """The machine of ``tests/engine/test_machine.py``, for longer: what it finds is told by Hypothesis itself."""
    return explore(proof.given.random, proof.given.seed)


def random_faults(proof: Proof) -> Tally:
    return _chaos(proof, proof.given.random, kill=False)


def random_kills(proof: Proof) -> Tally:
    return _chaos(proof, proof.given.random // 4, kill=True)


def _chaos(proof: Proof, count: int, *, kill: bool) -> Tally:
    """Up to three legs under up to three rules each, deadlines among them; plans under faults too."""
    total = Tally()
    for _ in range(count):
        seed = proof.dice.randrange(10**9)
        total.cases += 1
        said = StringIO()
        try:
            with redirect_stderr(said):
                world = case(seed, proof.normal, proof.case, kill=kill)
            total.faults += world.fired
            total.kills += world.killed
        except (Exception, ExceptionGroup) as error:
            total.different += 1
            total.told.append(f"seed {seed}: {error!r}\n{said.getvalue()[-2000:]}")
        finally:
            shutil.rmtree(proof.case, ignore_errors=True)
    return total


def soak(proof: Proof) -> Tally:
    """A licence for each of 100,000 people, with one answer in twenty gone wrong: the totals exact, the memory flat."""
    command = [sys.executable, str(Path(__file__).with_name("soak.py")), str(proof.given.soak), str(proof.given.seed)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    print(f"  {found}", flush=True)
    quarter, *_, end = found["resident"]
    return Tally(
        cases=1,
        faults=found["faults"],
        lost=proof.given.soak - found["outcomes"]["done"],
        beyond=abs(proof.given.soak - found["seats"]),
        told=[f"memory went from {quarter:.0f} MB after a quarter to {end:.0f} MB"],
        different=int(end > quarter * FLAT),
    )


PARTS: dict[str, Callable[[Proof], Tally]] = {
    "a kill at each step": kills,
    "several kills": several_kills,
    "each fault on each request": single_faults,
    "two faults at once": pairs_of_faults,
    "links that lead elsewhere": hostile_links,
    "any order": any_order,
    "random faults": random_faults,
    "random kills": random_kills,
    "soak": soak,
}

if __name__ == "__main__":
    sys.exit(main())
