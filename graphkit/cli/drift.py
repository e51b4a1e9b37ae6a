"""``graphkit drift``: does the tenant still hold what the inputs ask for? Sends no write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from graphkit import jobs
from graphkit.cli.invocation import Invocation
from graphkit.cli.options import Command, asked_for, input_options
from graphkit.cli.running import command_line
from graphkit.cli.text import Destination
from graphkit.errors import UsageError
from graphkit.jobs import Asked, Drift
from graphkit.jobs.summary import FORMAT
from graphkit.recipe import find_recipe
from graphkit.reports import text
from graphkit.session import Session

if TYPE_CHECKING:
    from graphkit.jobs.acceptance import Acceptance

BLOCKED = 6
DRIFT = 2
SIGNS = {action.value: sign for action, sign in text.SIGNS.items()}


@click.command("drift", cls=Command)
@click.argument("recipes", nargs=-1, metavar="[RECIPE...]")
@click.option("--all", "every", is_flag=True, help="Every recipe that graphkit.toml [drift] names.")
@click.option("--accept", metavar="FILE", help="Differences that are accepted, each with owner, reason and last day.")
@click.option("--junit", type=Destination(), metavar="FILE", help="Write the differences as JUnit XML, too.")
@input_options
@click.pass_obj
def command(
    invocation: Invocation,
    /,
    recipes: Sequence[str],
    every: bool,
    accept: str | None,
    junit: str | None,
    **given: Any,
) -> int:
    """Compare the tenant with the inputs of RECIPE, given with -i or named by graphkit.toml [drift].

    Exits 2 if anything differs that the file of --accept does not name.
    """
    accepted = _accepted(accept)
    asked = list(_asked(invocation, recipes, every, given))

    async def compare(session: Session) -> tuple[list[Drift], float]:
        runs_dir = invocation.settings.runs_dir
        found = [
            await jobs.drift(session, each, runs_dir=runs_dir, accepted=accepted, say=invocation.say) for each in asked
        ]
        return found, session.clock.now()

    found, now = invocation.in_session(compare)
    facts = _facts(found, accepted, now)
    if junit:
        from graphkit.reports.junit import write_junit

        write_junit(Path(junit), {d.summary.recipe: [each.to_json() for each in d.findings] for d in found})
    invocation.output.emit(facts, lambda: _shown(invocation, found, facts))
    if facts["status"] == "drift":
        return DRIFT
    return BLOCKED if any(each.summary.blocked for each in found) else 0


def _accepted(path: str | None) -> Sequence[Acceptance]:
    if path is None:
        return ()
    from graphkit.jobs.acceptance import read_acceptances

    return read_acceptances(Path(path))


def _asked(invocation: Invocation, recipes: Sequence[str], every: bool, given: dict[str, Any]) -> Iterator[Asked]:
    watched = invocation.settings.drift
    if given["inputs"] or given["map_file"]:
        if every or len(recipes) != 1:
            raise UsageError("-i and --map are the inputs of one recipe", hint="name one recipe, or give no inputs")
        yield asked_for(invocation, recipes[0], given)
        return
    names = [find_recipe(name).name for name in recipes] or (list(watched) if every else [])
    if not names:
        hint = 'name them under [drift] in graphkit.toml, such as "licenses.pools" = ["pools.yaml"]'
        raise UsageError("no recipe to compare" if every else "name a recipe, or give --all", hint=hint)
    for name in names:
        if name not in watched:
            hint = f'give them with -i, or write "{name}" = ["FILE"] under [drift] in graphkit.toml'
            raise UsageError(f"no inputs for {name}", hint=hint)
        yield asked_for(invocation, name, {**_heeded(invocation, name, names, given), "inputs": watched[name]})


def _heeded(invocation: Invocation, recipe: str, others: Sequence[str], given: dict[str, Any]) -> dict[str, Any]:
    """Of several recipes each takes what means something to it; what means nothing to any is refused, as ever."""
    elsewhere = {option for name in others for option in find_recipe(name).options}
    idle = elsewhere - set(find_recipe(recipe).options)
    for option in sorted(idle):
        if given[option]:
            invocation.say(f"{recipe} is compared without {jobs.flag_of(option)}, which it does not use")
    return {name: value for name, value in given.items() if name not in idle}


def _facts(found: Sequence[Drift], accepted: Sequence[Acceptance], now: float) -> dict[str, Any]:
    findings = [finding.to_json() for drift in found for finding in drift.findings]
    today = datetime.fromtimestamp(now, UTC).date()
    used = {id(finding.accepted) for drift in found for finding in drift.findings}
    left = [finding for finding in findings if not finding["accepted"]]
    return {
        "format": FORMAT,
        "status": "drift" if left else "none",
        "open": len(left),
        "accepted": len(findings) - len(left),
        "expired": [str(each) for each in accepted if each.until < today],
        "unused": [str(each) for each in accepted if each.until >= today and id(each) not in used],
        "recipes": [
            {
                "recipe": drift.summary.recipe,
                "run": str(drift.summary.run) if drift.summary.run.exists() else "",
                "blocked": drift.summary.blocked,
                "warnings": drift.summary.warnings,
            }
            for drift in found
        ],
        "findings": findings,
    }


def _shown(invocation: Invocation, found: Sequence[Drift], facts: dict[str, Any]) -> Iterator[str]:
    for drift in found:
        yield text.printable(f"{drift.summary.recipe}: {len(drift.open):,} differ")
        for finding in drift.findings:
            yield from _one(finding.to_json())
        if drift.summary.status == "ready" and drift.open:
            yield f"  to put it right: {text.printable(command_line(invocation, 'apply', drift.summary.run))}"
        yield from (f"  ! blocked: {text.printable(reason)}" for reason in drift.summary.blocked)
    if facts["accepted"]:
        yield f"accepted: {facts['accepted']:,}"
    yield from (f"! no longer accepted: {text.printable(each)}" for each in facts["expired"])
    yield from (f"accepted, but does not differ: {text.printable(each)}" for each in facts["unused"])


def _one(finding: dict[str, Any]) -> Iterator[str]:
    sign = "=" if finding["accepted"] else SIGNS[finding["action"]]
    told = [f"{finding['kind']} {finding['key']}", finding["note"], finding["history"]]
    if finding["accepted"]:
        told.append(f"accepted by {finding['accepted']['owner']} until {finding['accepted']['until']}")
    yield f"  {sign} " + "  ".join(text.printable(part) for part in told if part)
