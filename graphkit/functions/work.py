"""The queue's handlers: one slice of one run, and the end of those that were given up.

A message may come twice, late, or to two workers at once, and a worker may die in the middle. So a slice

1. is left alone if its number is behind that of the run: it was done, unless the run was cancelled meanwhile
2. asks the run file, not the message, what is still to do
3. ends by putting the next message *before* the run's number moves on: whoever dies in between is repeated, not lost

What was sent to the tenant is in the run file before it leaves, and the epoch in there tells a worker that it was
overtaken; both are the engine's. Faults that pass are raised, so that the host shows the message again; the others are
recorded, and that is the run's end.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import Any

from msgspec.structs import replace

from graphkit.errors import (
    AuthError,
    ConnectionFailed,
    DeadlineReached,
    GraphkitError,
    IncompleteList,
    LeaseLost,
    MissingPermission,
    OutcomeUnknown,
    Parked,
    ResyncRequired,
    RunFileError,
    ServiceError,
    Stopped,
    UsageError,
    WrongTenant,
)
from graphkit.functions import slicing
from graphkit.functions.deployment import Deployment
from graphkit.functions.queue import Message
from graphkit.functions.store import STALE_S, Approval, Run
from graphkit.jobs import Summary, handed_out
from graphkit.log import event

SCHEDULE = "schedule"
"""Who approves what the timer finds, where the settings say so."""
MOST_IDLE = 5
"""Slices on end that settle nothing before a run is given up."""
BLOCKED = 6
PARTLY_FAILED = 3

_log = logging.getLogger("graphkit.functions")


def work(deployment: Deployment, text: str) -> None:
    """One message of the queue. Raises what passes by itself: the host then shows the message again."""
    found = _understood(deployment, text)
    if found:
        _Slice(deployment, *found).go()


def give_up(deployment: Deployment, text: str) -> None:
    """One message of the poison queue: the run failed. ``approve`` goes on with it all the same, if it has a plan."""
    found = _understood(deployment, text)
    if not found:
        return
    run, number = found
    state = run.state()
    if number < state.slice or state.final:
        event(_log, "message-stale", run=run.id, step=number)
        return
    error = state.trouble or {"code": "error", "message": "the worker ended each time without saying why"}
    told = {**error, "message": f"given up after several tries: {error['message']}"}
    run.set_state(replace(state, status="failed", error=told, slice=number + 1, updated=deployment.now()))
    event(_log, "run-given-up", level=logging.ERROR, run=run.id, step=number)


def _understood(deployment: Deployment, text: str) -> tuple[Run, int] | None:
    message = Message.parse(text)
    run = deployment.runs.find(message.run) if message else None
    if message is None or run is None:
        event(_log, "message-dropped", level=logging.WARNING, reason="no run of this app" if message else "unreadable")
        return None
    return run, message.slice


class _Slice:
    """One message at work. ``number`` is the message's; ``state`` what the run's folder said when it came."""

    def __init__(self, deployment: Deployment, run: Run, number: int) -> None:
        self._deployment = deployment
        self._settings = deployment.settings
        self._run = run
        self._number = number
        self._state = run.state()

    def go(self) -> None:
        # Whoever cancelled may have seen an older number than the run has by now.
        if self._run.cancelled:
            if not self._state.final:
                self._end("cancelled")
        elif self._number < self._state.slice:
            event(_log, "message-stale", run=self._run.id, step=self._number)
        else:
            self._try()

    def _try(self) -> None:
        try:
            self._step()
        except LeaseLost:
            # Whoever took the run over has a message of their own, and speaks for the run from now on.
            event(_log, "run-taken-over", level=logging.WARNING, run=self._run.id, step=self._number)
        except slicing.Busy:
            # Perhaps it is about to die: this message is not to be the last one.
            event(_log, "run-busy", run=self._run.id, step=self._number)
            self._deployment.queue.send(Message(self._run.id, self._number), delay=STALE_S)
        except Stopped as stopped:
            self._go_on(stopped)
        except Exception as error:
            if not _passes(error):
                self._end("failed", error=_told(error))
                return
            self._save(trouble=_told(error))
            raise

    def _step(self) -> None:
        """What is next, by what is there: the plan, then what somebody approved."""
        run = self._run
        if not self._state.plan_digest:
            # Its worker may have died between publishing the plan and saying so.
            self._planned(slicing.look(run) if run.run_file.exists() else slicing.plan(self._settings, run))
        elif self._state.status == "applying" or self._approved():
            self._apply()
        else:
            event(_log, "message-stale", run=self._run.id, step=self._number)

    # -- the plan --------------------------------------------------------------------------------------------------

    def _planned(self, summary: Summary) -> None:
        plan = {name: value for name, value in summary.plan_json().items() if name != "run"}
        known: dict[str, Any] = {"plan": plan, "plan_digest": summary.digest, "outcomes": None}
        request = self._run.request()
        if request.drift:
            level = logging.INFO if summary.status == "empty" else logging.WARNING
            event(_log, "drift-checked", level=level, run=self._run.id, recipe=summary.recipe, changes=summary.writes)
        if summary.status == "empty":
            self._end("finished", exit_code=0, **known)
        elif summary.status == "blocked":
            self._end("blocked", exit_code=BLOCKED, **known)
        elif count := handed_out(summary.kinds):
            self._end("blocked", exit_code=BLOCKED, error=_untold(count).to_json(), **known)
        elif self._run.cancelled:
            self._end("cancelled", **known)
        else:
            if request.drift and self._settings.functions_drift_enforce and self._settings.functions_apply:
                self._approve_at_once(summary.digest)
            self._save(status="planned", slice=self._number + 1, trouble=None, error=None, **known)

    def _approve_at_once(self, digest: str) -> None:
        self._run.approve(self._number + 1, Approval(digest, SCHEDULE, self._deployment.now()))
        self._deployment.queue.send(Message(self._run.id, self._number + 1))

    # -- the slices ------------------------------------------------------------------------------------------------

    def _approved(self) -> bool:
        """Did somebody approve this very plan, for this slice or one that it follows?"""
        numbers = range(self._state.slice, self._number + 1)
        found = (self._run.approval(number) for number in numbers)
        return self._state.can_go_on and any(each and each.plan_digest == self._state.plan_digest for each in found)

    def _apply(self) -> None:
        if not self._settings.functions_apply:
            self._end("failed", error=UsageError("this app does not apply: GRAPHKIT_FUNCTIONS_APPLY is off").to_json())
            return
        before = slicing.look(self._run)
        goes_on = self._state.status == "applying"
        if goes_on and before.status == "finished":
            self._applied(before)  # its worker died between the run's last outcome and saying so
            return
        self._save(status="applying", error=None, trouble=None)
        begun = before.status not in ("ready", "empty")
        self._applied(slicing.apply(self._deployment, self._run, begun=begun, retry=not goes_on))

    def _applied(self, summary: Summary) -> None:
        code = summary.apply_exit_code
        status = "partly-failed" if code == PARTLY_FAILED else "finished"
        self._end(status, exit_code=code, outcomes=summary.outcomes)

    def _go_on(self, stopped: Stopped) -> None:
        """The slice is over and the run is not: the next message, later if the service asked for that."""
        if self._run.cancelled:
            self._end("cancelled", **self._outcomes())
            return
        if isinstance(stopped, DeadlineReached) and not self._run.run_file.exists():
            stopped.hint = "a plan is made in one slice: raise the host's time-out, or plan at the command line"
            self._end("failed", error=stopped.to_json())
            return
        outcomes = self._outcomes()
        if not isinstance(stopped, DeadlineReached | Parked):
            # Too many failures, a canary that died: to go on is for somebody to decide.
            self._end("failed", error=stopped.to_json(), **outcomes)
            return
        settled = sum((outcomes["outcomes"] or {}).values())
        idle = 0 if settled > self._state.settled or isinstance(stopped, Parked) else self._state.idle + 1
        if idle >= MOST_IDLE:
            self._end("failed", error=stopped.to_json(), **outcomes)
            return
        delay = stopped.seconds if isinstance(stopped, Parked) else 0.0
        self._deployment.queue.send(Message(self._run.id, self._number + 1), delay=delay)
        self._save(slice=self._number + 1, trouble=stopped.to_json(), settled=settled, idle=idle, **outcomes)

    def _outcomes(self) -> dict[str, Any]:
        return {"outcomes": slicing.look(self._run).outcomes if self._run.run_file.exists() else None}

    # -- what is kept ----------------------------------------------------------------------------------------------

    def _end(self, status: str, **known: Any) -> None:
        number = max(self._number, self._state.slice) + 1
        self._save(status=status, slice=number, trouble=None, idle=0, **{"error": None, **known})
        level = logging.INFO if status in ("finished", "cancelled") else logging.WARNING
        event(_log, "run-ended", level=level, run=self._run.id, step=self._number, outcome=status)

    def _save(self, **changes: Any) -> None:
        """Unless another worker is further by now: the next message may be done before this slice has said so."""
        self._state = replace(self._state, updated=self._deployment.now(), **changes)
        if self._run.state().slice <= self._state.slice:
            self._run.set_state(self._state)


def _untold(count: int) -> UsageError:
    """A pass is told once, to whoever applies: an app has no file that is for one person alone."""
    return UsageError(
        f"the plan issues {count:,} temporary access pass{'' if count == 1 else 'es'}, which this app does not do: "
        "it has nowhere to tell them",
        hint="leave access_passes out of the page, or plan and apply at the command line",
    )


def _passes(error: Exception) -> bool:
    """Is it worth another try without anybody changing anything? What nobody foresaw may be."""
    if isinstance(error, ServiceError):
        return error.status == 429 or error.status >= 500
    if isinstance(error, RunFileError):
        return isinstance(error.__cause__, sqlite3.OperationalError | OSError)  # the share, not the run
    if isinstance(error, WrongTenant | MissingPermission):
        return False
    may_pass = (AuthError, ConnectionFailed, IncompleteList, OutcomeUnknown, ResyncRequired)
    return isinstance(error, may_pass) or not isinstance(error, GraphkitError)


def _told(error: Exception) -> dict[str, Any]:
    """What others may read of it: of an error that nobody foresaw, its kind alone."""
    if isinstance(error, GraphkitError):
        return error.to_json()
    return {"code": "unexpected", "message": f"{type(error).__name__}: the app's log has the rest"}
