"""Apply and resume: the same code path over one run file."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from graphkit.engine.apply import Applier, Progress
from graphkit.engine.brake import Brake
from graphkit.engine.change import Action
from graphkit.engine.claim import claimed
from graphkit.engine.course import Breaker
from graphkit.engine.effect import settle_effects
from graphkit.engine.lease import Lease
from graphkit.engine.ledger import Ledger
from graphkit.engine.rails import broken_rails
from graphkit.engine.resource import Context, Handout, total_effect
from graphkit.engine.runfile import RunFile
from graphkit.engine.snapshot import Snapshot
from graphkit.errors import Blocked, GraphkitError, RunFileError
from graphkit.jobs.handout import check_handout, handing_out
from graphkit.jobs.manner import USUAL, Manner, check_limits, planned_options
from graphkit.jobs.permitted import check_base, check_take_over
from graphkit.jobs.place import check_place
from graphkit.jobs.planning import check_permissions, declared
from graphkit.jobs.summary import Summary, summarise
from graphkit.jobs.timing import LAST_S, nothing_sent_after
from graphkit.protocol.message import Effect
from graphkit.recipe import find_recipe
from graphkit.reports.results import write_results
from graphkit.resources import ResourceTable, resource_class
from graphkit.safety.sentry import Sentry
from graphkit.safety.states import KIND
from graphkit.session import Session

FRESH = ("ready", "empty")
BEGUN = ("applying", "interrupted", "finished")


async def apply(
    session: Session,
    path: Path,
    *,
    resume: bool = False,
    retry: bool = True,
    deadline: float | None = None,
    results: Path | None = None,
    observer: Callable[[Progress], None] = lambda _: None,
    worker: str = "",
    manner: Manner = USUAL,
    brake: Brake | None = None,
    tap_out: Path | None = None,
) -> Summary:
    """Carry out a saved plan, or go on with one that was begun. Writes ``results`` (default: beside the run file).

    ``retry`` says whether a resume tries again what failed: a run that is carried out slice by slice would else spend
    each slice on its failures. ``deadline`` is a time of ``session.clock``; the run stops in time for it. ``worker``
    names this process where other hosts can reach the run file too: it then takes the run over from whoever works on
    it (:mod:`graphkit.engine.lease`) instead of locking it on this machine. ``manner`` adds caution; who pulls
    ``brake`` stops the run in an orderly way. ``tap_out`` is the file for temporary access passes, which must not be
    there unless a resume goes on with it (:mod:`graphkit.jobs.handout`); a plan that issues some needs it.

    Raises ``RunFileError`` if the plan is damaged, expired, consumed or not begun, ``InUse`` if a process of this
    machine works on it or on the same objects, ``LeaseLost`` if another worker took it over, ``WrongTenant`` if the
    session is for another tenant or app, ``UsageError`` if ``tap_out`` is missing or cannot be it, ``Blocked`` if a
    rail stopped the plan or it does not keep to a lower limit,
    and what stopped the run early (``Stopped``, ``AuthError``, ``ConnectionFailed``): then ``resume`` goes on.
    """
    with RunFile.open(path, write=True, shared=bool(worker)) as run:
        run.verify()
        header = run.header()
        _check(session, run, header, resume=resume)
        check_limits(run, manner.limits)
        manner = replace(manner, canary=manner.canary or header.get("canary", 0))
        recipe = find_recipe(header["recipe"])
        check_take_over(session, recipe)
        check_permissions(session, recipe)
        check_base(session, recipe)
        session.call_itself(path.stem)
        written = results or path.with_suffix(".results.csv")
        check_handout(run, tap_out, resume=resume, taken=(written,))
        with (
            _alone(session, run, header, worker) as others_may_send,
            handing_out(run, tap_out, resume=resume) as handout,
        ):
            run.set_header(status="applying", canary=manner.canary)
            if resume and retry:
                run.retry_failed()
            try:
                with nothing_sent_after(session, deadline) as last:
                    await _apply(session, run, manner, brake or Brake(), last, observer, others_may_send, handout)
            except BaseException as error:
                if isinstance(error, GraphkitError):
                    error.hint = error.hint or f"graphkit resume {path}{f' --tap-out {tap_out}' if tap_out else ''}"
                # What stopped the run is to be told, even if the disk takes or gives nothing more.
                with suppress(RunFileError, OSError, sqlite3.Error):
                    _close_books(session, run, written)
                raise
            _close_books(session, run, written)
        return summarise(run, throttled=session.throttled, results=written, awaited=manner.wait_s is not None)


@contextmanager
def _alone(session: Session, run: RunFile, header: dict[str, Any], worker: str) -> Iterator[bool]:
    """Hold the run and what it writes; tells whether whoever sent for it before may still be at it."""
    target = session.target
    where = f"{target} {target.state.resolve() if target.state else ''} {session.tenant.id}"
    kinds = [kind for kind, actions in run.counts_by_kind().items() if _writes(actions)]
    if worker or (target.kind == "simulated" and target.state is None):
        kinds = []  # of several hosts the lease decides; a simulated tenant without a file is this process's own
    with claimed(session.settings.runs_dir / "applying", where, kinds, org=header["options"]["org"], run=run.path):
        lease = Lease.take(run, worker or f"process {os.getpid()}", session.clock.now())
        try:
            yield bool(worker) and lease.left_open
        finally:
            with suppress(RunFileError):
                lease.release()


def _writes(actions: dict[str, int]) -> bool:
    return any(count for action, count in actions.items() if Action(action).writes)


def _close_books(session: Session, run: RunFile, results: Path) -> None:
    recorded = [kind for kind in run.counts_by_kind() if resource_class(kind).recorded]
    made = {object_id for kind in recorded for object_id in run.written_ids(kind)}
    try:
        Ledger(session.settings.runs_dir, session.tenant.id).add(made)
    finally:
        run.set_header(status="finished" if run.finished() else "interrupted")
        write_results(run, results)


async def _apply(
    session: Session,
    run: RunFile,
    manner: Manner,
    brake: Brake,
    last: float,
    observer: Callable[[Progress], None],
    others_may_send: bool,
    handout: Handout | None,
) -> None:
    options = planned_options(run)
    if reasons := broken_rails(run, options):  # counted anew from the lines, whatever the header says
        raise Blocked(reasons, hint="plan again")
    snapshot = Snapshot()
    try:
        context = Context(session.client, session.clock, snapshot, options, run.object_ids(), run.created())
        context.handout = handout
        _allow(session, run)
        # Whoever was declared since the plan was made is guarded too.
        session.chain.sentry = Sentry(replace(context, options=declared(session, options)), _mended(run))
        resources = ResourceTable(context)
        applier = Applier(
            run,
            resources,
            context,
            session.budget,
            deadline=last,
            observer=observer,
            breaker=Breaker(manner.failed_share),
            canary=manner.canary,
            brake=brake,
            others_may_send=others_may_send,
        )
        with brake.heard_by(lambda: _hurry(session)):
            await applier.apply()
            if manner.wait_s is not None:
                until = min(session.clock.now() + manner.wait_s, last)
                await settle_effects(run, resources, session.clock, until, brake)
    finally:
        session.budget.allow_nothing()
        session.chain.deadline = math.inf
        session.chain.sentry = None
        snapshot.close()


def _hurry(session: Session) -> None:
    """What waits for its quota is to wait no more; what is on the wire may be answered."""
    session.chain.deadline = min(session.chain.deadline, session.clock.monotonic() + LAST_S)


def _mended(run: RunFile) -> set[str]:
    """The policies that the run is going to change. What it makes has no id yet, and mends nothing."""
    ids = (str((change.before or {}).get("id") or "") for change in run.changes(KIND) if change.action.writes)
    return set(filter(None, ids))


def _allow(session: Session, run: RunFile) -> None:
    """Never more than the plan declared, counted across resumes."""
    planned, written = run.counts(), run.written_counts()
    effect = Effect()
    for action in Action:
        left = max(0, planned[action] - written.get(action, 0))
        each = total_effect([action])
        effect = Effect(
            creates=effect.creates + left * each.creates,
            updates=effect.updates + left * each.updates,
            removals=effect.removals + left * each.removals,
            deletions=effect.deletions + left * each.deletions,
            members=effect.members + left * each.members,
        )
    session.budget.allow(effect)


def _check(session: Session, run: RunFile, header: dict[str, Any], *, resume: bool) -> None:
    check_place(session, run)
    status = header["status"]
    if header["blocked"]:
        raise Blocked(header["blocked"], hint="change the input or the limits named, and plan again")
    if resume and status in FRESH:
        raise RunFileError(f"{run.path} has not been applied yet", hint=f"graphkit apply {run.path}")
    if not resume and status in BEGUN:
        done = "has been applied already" if status == "finished" else "was begun and not finished"
        raise RunFileError(
            f"{run.path} {done}", hint=f"graphkit resume {run.path}" if status != "finished" else "plan again"
        )
    if not resume and session.clock.now() > header["expires"]:
        raise RunFileError(f"{run.path} is older than 24 hours", hint="plan again: the tenant has moved on")
