"""Validate and plan: from inputs to a sealed run file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphkit.engine.change import Desired
from graphkit.engine.ledger import Ledger
from graphkit.engine.plan import Planner, chunked, in_input_order
from graphkit.engine.resource import Context, PlanOptions
from graphkit.engine.runfile import RunFile
from graphkit.engine.sizes import Sizes
from graphkit.engine.snapshot import Snapshot
from graphkit.errors import InputProblem, MissingPermission, UsageError
from graphkit.jobs.asked import Asked
from graphkit.jobs.permitted import check_base, check_take_over
from graphkit.jobs.summary import Summary, Validated, summarise
from graphkit.jobs.timing import nothing_sent_after
from graphkit.private import is_open_to_all
from graphkit.recipe import Inputs, Recipe, Report, find_recipe
from graphkit.resources import ResourceTable
from graphkit.safety.standard import standard_rails
from graphkit.session import Session

if TYPE_CHECKING:
    from graphkit.inputs.fixing import Fixed

EXPIRES_AFTER_H = 24
"""How long a plan may wait for its first apply."""

Say = Callable[[str], None]


def validate(asked: Asked, *, fix: bool = False) -> Validated:
    """Everything that can be checked without the tenant. Sends nothing.

    With ``fix``, a corrected copy of each table is written beside it. Raises ``UsageError`` where that cannot be.
    """
    recipe = find_recipe(asked.recipe)
    problems = asked.problems()
    inputs = asked.open(problems)
    seen: dict[bytes, int | str] = {}
    places: set[tuple[str, int | str]] = set()
    inputs.unasked.keep = lambda rows: places.update((row.file, row.place) for row in rows)
    for chunk in chunked(recipe.desired(inputs, asked.options)):
        for item in chunk:
            name = hashlib.blake2b(f"{item.kind} {item.key}".encode(), digest_size=16).digest()
            if name in seen:
                message = f"{item.key} is there twice, first at {seen[name]}"
                problems.add(item.origin.file, item.origin.place, "duplicate-key", message)
            seen.setdefault(name, item.origin.place)
            places.add((item.origin.file, item.origin.place))
    inputs.unasked.flush()
    if not (seen or problems.found):
        _remark_on_nothing(inputs, asked.options.org)
    errors = tuple(sorted(dict.fromkeys(problems.found), key=in_input_order))
    bad = {(error.file, error.where) for error in errors}
    fixed = _fixed(asked, inputs) if fix else ()
    return Validated(valid=len(places - bad), errors=errors, warnings=tuple(problems.warnings), fixed=fixed)


def _fixed(asked: Asked, inputs: Inputs) -> tuple[Fixed, ...]:
    from graphkit.inputs.fixing import write_fixed

    if asked.map_file:
        raise UsageError(
            "--fix does not go with --map: the map's own files are put right one by one", hint="leave --map out"
        )
    if not inputs.tables:
        raise UsageError("--fix puts tables right, and no table was read")
    written = (write_fixed(source, model) for source, model in inputs.tables.values())
    return tuple(each for each in written if each is not None)


async def plan(
    session: Session, asked: Asked, *, runs_dir: Path, say: Say = lambda _: None, deadline: float | None = None
) -> Summary:
    """Plan against the tenant that ``session`` is connected to. Sends no write.

    ``deadline`` is a time of ``session.clock``. Raises ``InputErrors`` with everything wrong at once,
    ``DeadlineReached`` if the plan was not complete in time, and leaves no run file behind then; a plan that a rail
    stops is kept, with status ``blocked``.
    """
    recipe = find_recipe(asked.recipe)
    check_take_over(session, recipe)
    warnings = [*check_permissions(session, recipe), *check_base(session, recipe)]
    problems = asked.problems()
    today = datetime.fromtimestamp(session.clock.now(), UTC).date().isoformat()
    options = declared(session, replace(asked.options, as_of=asked.options.as_of or today))
    asked = replace(asked, orgs_file=asked.orgs_file or session.settings.orgs_file)
    inputs = asked.open(problems)
    path = asked.out or new_name(runs_dir, recipe.name, session.clock.now())
    session.call_itself(path.stem)
    run = RunFile.create(path, header_of(session, recipe, options))
    if is_open_to_all(path.parent):
        problems.warn(f"{path.parent}: anybody on this machine may replace the run file there; chmod o-w it")
    try:
        with run:
            say(f"planning {recipe.name} for {session.tenant.shown}")
            with nothing_sent_after(session, deadline):
                await _fill(session, run, _staged(run, recipe, inputs, options), inputs, options)
            warnings += lacking_for(session, recipe, run)
            run.set_header(warnings=[*warnings, *problems.warnings])
            if session.recorder:
                session.recorder.add_inputs(problems.opened.values())
            return summarise(run)
    except BaseException:
        # An unfinished plan is of no use to anyone and may hold personal data.
        path.unlink(missing_ok=True)
        raise


def _staged(run: RunFile, recipe: Recipe, inputs: Inputs, options: PlanOptions) -> Iterator[Desired]:
    """The recipe's wishes; rows that asked for nothing sound are kept too, so that the results name them."""
    wanted = 0
    inputs.unasked.keep = run.stage_inputs
    run.given = inputs.problems.opened
    for wish in recipe.desired(inputs, options):
        wanted += 1
        inputs.unasked.wished(wish.origin)
        yield wish
    inputs.unasked.flush()
    if not (wanted or inputs.problems.found):
        _remark_on_nothing(inputs, options.org)
    if inputs.problems.total > len(inputs.problems.found):
        # More than are kept: rows would be left out that no result names.
        inputs.problems.raise_if_any()
    run.stage_inputs(inputs.rejected)
    # By now every file is known: those that a document or a map names, and what stands beside a folder, too.
    run.set_header(inputs={name: source.sha256() for name, source in inputs.problems.opened.items()})


def _remark_on_nothing(inputs: Inputs, org: str) -> None:
    """A document without entries is an empty list, and refused; rows may be of others, or not be due yet."""
    if org:
        inputs.problems.warn(f"nothing in the input belongs to --org {org}")
    elif not inputs.unasked.read:
        name = inputs.sources[0].name if inputs.sources else ""
        inputs.problems.add(name, "", "nothing-wanted", "asks for nothing: an empty list is refused")


async def _fill(
    session: Session, run: RunFile, wishes: Iterator[Desired], inputs: Inputs, options: PlanOptions
) -> None:
    with closing(Snapshot()) as snapshot:
        ours = Ledger(session.settings.runs_dir, session.tenant.id).ids()
        sizes = Sizes(session.settings.runs_dir, _remembered_as(session))
        context = Context(session.client, session.clock, snapshot, options, ours=ours, orgs=inputs.orgs, sizes=sizes)
        context.domain = session.tenant.domain
        rails = standard_rails(context)
        planner = Planner(run, ResourceTable(context), context, rails)
        found: list[InputProblem] = inputs.problems.found
        await planner.plan(wishes, found, quota_share=session.settings.quota_share, apps=len(session.apps))
        for rail in rails:
            inputs.problems.warnings += rail.warnings()
        if not any(sizes.shrunk()) or options.accept_impact:
            sizes.keep()


def _remembered_as(session: Session) -> str:
    """The tenant by a name that no other has: simulated ones and those of test servers may share an id."""
    target = session.target
    return f"{session.tenant.id} {'' if target.kind == 'cloud' else target} {target.state or ''}".strip()


def check_permissions(session: Session, recipe: Recipe | Report) -> list[str]:
    """Warnings about what the token may not do. Raises ``MissingPermission`` where the recipe is useless without."""
    known = session.permissions(recipe.permissions)
    if not known.known:
        return ["the token does not say what it permits; missing permissions will show as refused requests"]
    if known.missing and recipe.essential:
        raise MissingPermission(
            f"{recipe.name} needs {', '.join(_named(session, recipe))}, which this identity was not granted",
            hint=f"graphkit auth permissions {recipe.name} shows all of them",
        )
    refused = "what needs it" if isinstance(recipe, Report) else "writes that need it"
    return [f"{name} was not granted; {refused} will be refused" for name in _named(session, recipe)]


def lacking_for(session: Session, recipe: Recipe, run: RunFile) -> list[str]:
    """Warnings about what only some kinds of object need, where the plan holds them."""
    needed = {name: kind for kind in run.counts_by_kind() for name in recipe.permissions_for.get(kind, ())}
    return [
        f"{name} was not granted; what needs it ({needed[name]}) will be refused" for name in session.lacking(needed)
    ]


def _named(session: Session, recipe: Recipe | Report) -> list[str]:
    """What is missing; with several apps, for which of them."""
    lacking = session.lacking(recipe.permissions)
    if len(session.apps) == 1:
        return list(lacking)
    return [f"{name} (app {', '.join(apps)})" for name, apps in lacking.items()]


def declared(session: Session, chosen: PlanOptions) -> PlanOptions:
    """The options with the accounts that the settings guard, through whichever door they came."""
    break_glass = dict.fromkeys((*chosen.break_glass, *session.settings.break_glass))
    protected = dict.fromkeys((*chosen.protected, *session.settings.protected))
    return replace(chosen, break_glass=tuple(break_glass), protected=tuple(protected))


def header_of(session: Session, recipe: Recipe, chosen: PlanOptions) -> dict[str, Any]:
    """What binds a new run, and when it was made and expires."""
    now = session.clock.now()
    options = asdict(chosen)
    limits = {name: options.pop(name) for name in ("max_changes", "max_removals", "max_deletes")}
    return {
        "recipe": recipe.name,
        "tenant": session.tenant.id,
        "tenant_shown": session.tenant.to_json(),
        "target": str(session.target),
        "apps": session.apps,
        "options": options,
        "limits": limits,
        "created": now,
        "expires": now + EXPIRES_AFTER_H * 3600,
    }


def new_name(folder: Path, recipe: str, now: float) -> Path:
    """A path that is free: ``<UTC time>-<recipe>-<6 characters>.run``."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")
    taken = 0
    while True:
        tail = hashlib.sha256(f"{stamp} {recipe} {taken}".encode()).hexdigest()[:6]
        path = folder / f"{stamp}-{recipe}-{tail}.run"
        if not path.exists():
            return path
        taken += 1
