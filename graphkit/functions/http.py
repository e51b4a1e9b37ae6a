"""The HTTP handlers: start, show, approve, cancel. They look, store and put messages; none talks to a tenant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from graphkit import jobs
from graphkit.errors import GraphkitError, InputErrors, UsageError
from graphkit.functions.answer import Answer, Refused, answer_to
from graphkit.functions.caller import Role, authorise
from graphkit.functions.deployment import Deployment
from graphkit.functions.queue import Message
from graphkit.functions.request import RunRequest, allowed_recipe, parse
from graphkit.functions.store import Approval, Run, State

RETRY_AFTER_S = "10"


def answering(handler: Callable[[], Answer]) -> Answer:
    """What a handler answers, errors included. What nobody foresaw is raised: the host answers 500 and logs it."""
    try:
        return handler()
    except Refused as error:
        return answer_to(error, error.status)
    except InputErrors as error:
        return answer_to(error, 422)
    except GraphkitError as error:
        # Settings, the share, the queue: nothing that the caller could mend.
        return answer_to(error, 503)


def start(deployment: Deployment, recipe: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """``POST /api/runs/{recipe}``: check, keep, put one message. The same request twice is the same run."""
    authorise(headers, Role.START, deployment.settings)
    request, documents = parse(allowed_recipe(recipe, deployment.settings.functions_recipes), body)
    run = deployment.runs.find(request.id) or _new_run(deployment, request, documents)
    state = run.state()
    if state.status == "queued" or (state.status == "failed" and not state.plan_digest):
        send_once(deployment, run, state.slice)
    return _accepted(run)


def _new_run(deployment: Deployment, request: RunRequest, documents: Mapping[str, bytes]) -> Run:
    with deployment.runs.drafted(request, documents) as draft:
        try:
            asked = request.asked(draft.inputs, deployment.settings.orgs_file)
        except UsageError as error:
            raise Refused(400, error.message, hint=error.hint) from None
        found = jobs.validate(asked)
        if found.errors and (not asked.options.skip_invalid or any(error.hides_others for error in found.errors)):
            raise InputErrors(found.errors)
        return deployment.runs.keep(draft, request)


def show(deployment: Deployment, run_id: str, headers: Mapping[str, str]) -> Answer:
    """``GET /api/runs/{id}``: how far it is, and what it plans."""
    authorise(headers, Role.READ, deployment.settings)
    return Answer(200, described(_found(deployment, run_id)))


def approve(deployment: Deployment, run_id: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """``POST /api/runs/{id}/approve``: carry out the plan, or go on with what is left of it.

    The body is empty, or ``{"plan": "<digest>"}`` with the digest of the plan that the approver has seen.
    """
    by = authorise(headers, Role.APPROVE, deployment.settings)
    plan = _approved_plan(body)
    run = _found(deployment, run_id)
    state = run.state()
    if not deployment.settings.functions_apply:
        raise Refused(409, "this app plans and does not apply", hint="GRAPHKIT_FUNCTIONS_APPLY=1 lets it")
    if run.cancelled:
        raise Refused(409, "the run was cancelled", hint="start another one; another label makes it another run")
    if plan and plan != state.plan_digest:
        raise Refused(409, "the plan is not the one that was approved", hint="read the run again")
    if state.status == "applying":
        return _accepted(run)
    if not state.can_go_on:
        raise Refused(409, f"the run is {state.status}: there is nothing to approve")
    run.approve(state.slice, Approval(state.plan_digest, by, deployment.now()))
    send_once(deployment, run, state.slice)
    return _accepted(run)


def cancel(deployment: Deployment, run_id: str, headers: Mapping[str, str]) -> Answer:
    """``POST /api/runs/{id}/cancel``: nothing new is sent; what is under way may end, what was done stays done."""
    by = authorise(headers, Role.CANCEL, deployment.settings)
    run = _found(deployment, run_id)
    state = run.state()
    if state.final and not run.cancelled:
        raise Refused(409, f"the run is {state.status} already")
    run.cancel(by, deployment.now())
    if state.status != "applying":
        deployment.queue.send(Message(run.id, state.slice))
    return _accepted(run)


class _Approved(msgspec.Struct, forbid_unknown_fields=True):
    plan: str = ""


def _approved_plan(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Approved).plan if body.strip() else ""
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Refused(400, 'the body is not {"plan": "<digest>"}') from None


def send_once(deployment: Deployment, run: Run, number: int) -> None:
    """Put the message of a slice unless that was done before. Two are possible, none is not; two do no harm."""
    if not run.was_sent(number):
        deployment.queue.send(Message(run.id, number))
        run.note_sent(number)


def _found(deployment: Deployment, run_id: str) -> Run:
    run = deployment.runs.find(run_id)
    if run is None:
        raise Refused(404, "there is no such run")
    return run


def _accepted(run: Run) -> Answer:
    address = f"/api/runs/{run.id}"
    return Answer(202, described(run), {"Location": address, "Retry-After": RETRY_AFTER_S})


def described(run: Run) -> dict[str, Any]:
    """A run as callers see it."""
    request, state = run.request(), run.state()
    address = f"/api/runs/{run.id}"
    facts: dict[str, Any] = {
        "run": run.id,
        "recipe": request.recipe,
        "label": request.label,
        "drift": request.drift,
        "status": _status(run, state),
        "exitCode": state.exit_code,
        "planDigest": state.plan_digest or None,
        "plan": state.plan,
        "outcomes": state.outcomes,
        "error": state.error,
        "trouble": None if state.final else state.trouble,
        "links": {"self": address, "approve": f"{address}/approve", "cancel": f"{address}/cancel"},
    }
    if state.status == "applying":
        worker = run.worker()
        facts["progress"] = worker and {"done": worker.done, "total": worker.total, "failed": worker.failed}
    return facts


def _status(run: Run, state: State) -> str:
    return "cancelling" if run.cancelled and not state.final else state.status
