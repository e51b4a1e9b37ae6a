"""Undo: from a run that was carried out to a run file that takes it back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from graphkit.engine.change import Change
from graphkit.engine.resource import Context, PlanOptions
from graphkit.engine.runfile import RunFile
from graphkit.engine.snapshot import Snapshot
from graphkit.engine.undo import UndoPlanner
from graphkit.errors import RunFileError, UsageError
from graphkit.jobs.applying import BEGUN
from graphkit.jobs.permitted import check_base, check_take_over
from graphkit.jobs.place import check_place
from graphkit.jobs.planning import Say, check_permissions, declared, header_of, new_name
from graphkit.jobs.summary import Summary, summarise
from graphkit.recipe import find_recipe
from graphkit.resources import ResourceTable
from graphkit.safety.standard import standard_rails
from graphkit.session import Session


async def undo(
    session: Session,
    path: Path,
    *,
    runs_dir: Path,
    only: Sequence[str] = (),
    options: PlanOptions | None = None,
    out: Path | None = None,
    say: Say = lambda _: None,
) -> Summary:
    """Plan what takes back what the run in ``path`` did. Sends no write; :func:`graphkit.jobs.apply` carries it out.

    ``only`` names keys, each standing for what is below it too (``<key>/...``); ``options`` gives limits and
    permissions, the organisation is that of the run. What somebody changed since is left alone, as ``blocked``. Raises
    ``WrongTenant`` where the run was not applied, ``RunFileError`` if it was not applied at all or is being applied,
    ``UsageError`` for a key that it did not touch.
    """
    with RunFile.open(path, write=True) as source:  # nobody goes on with it meanwhile
        source.verify()
        before = source.header()
        check_place(session, source)
        if before["status"] not in BEGUN:
            raise RunFileError(f"{path} has not been applied, so there is nothing to undo")
        recipe = find_recipe(before["recipe"])
        check_take_over(session, recipe)
        warnings = [*check_permissions(session, recipe), *check_base(session, recipe)]
        kept = {name: before["options"][name] for name in ("org", "as_of", "break_glass")}
        asked = declared(session, replace(options or PlanOptions(), **kept))
        target = out or new_name(runs_dir, f"undo-{recipe.name}", session.clock.now())
        session.call_itself(target.stem)
        header = header_of(session, recipe, asked)
        # Bound to the very run, down to its plan.
        run = RunFile.create(target, {**header, "undoes": str(path), "inputs": {path.name: before["digest"]}})
        try:
            with run:
                say(f"planning the undo of {path.name} in {session.tenant.shown}")
                await _fill(session, source, run, asked, only, warnings)
                run.set_header(warnings=warnings)
                return summarise(run)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


async def _fill(
    session: Session, source: RunFile, run: RunFile, options: PlanOptions, only: Sequence[str], warnings: list[str]
) -> None:
    with closing(Snapshot()) as snapshot:
        context = Context(session.client, session.clock, snapshot, options, source.object_ids())
        context.domain = session.tenant.domain
        rails = standard_rails(context)
        planner = UndoPlanner(source, run, ResourceTable(context), context, rails)
        share = session.settings.quota_share
        found = await planner.plan(_chosen(only), quota_share=share, apps=len(session.apps))
        warnings += [warning for rail in rails for warning in rail.warnings()]
    if only and not found:
        raise UsageError(
            f"{source.path.name} did nothing to {', '.join(only)}", hint=f"graphkit show {source.path} lists its keys"
        )


def _chosen(only: Sequence[str]) -> Callable[[Change], bool]:
    below = tuple(f"{key}/" for key in only)
    return lambda change: not only or change.key in only or change.key.startswith(below)
