"""The triggers: what ``azure.functions`` hands over, in the handlers' own terms, and back.

Nothing is decided here. Names, routes and keys of the functions are part of the interface (docs/azure-functions.md).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import azure.functions as func

from graphkit import log
from graphkit.functions import drift, http
from graphkit.functions.answer import Answer
from graphkit.functions.deployment import Deployment
from graphkit.functions.queue import POISON, QUEUE
from graphkit.functions.work import give_up, work
from graphkit.settings import load

STORAGE = "AzureWebJobsStorage"

# The library leaves its constructor without types.
runs = func.Blueprint()  # type: ignore[no-untyped-call]
messages = func.Blueprint()  # type: ignore[no-untyped-call]
timers = func.Blueprint()  # type: ignore[no-untyped-call]


def _deployment() -> Deployment:
    deployment = Deployment.open()
    # The worker's own handlers carry the logs to Application Insights; what they carry is redacted.
    log.guard(deployment.settings.log_level, deployment.settings.secrets)
    return deployment


def _answer(handler: Callable[[Deployment], Answer]) -> func.HttpResponse:
    answer = http.answering(lambda: handler(_deployment()))
    body = json.dumps(answer.body, ensure_ascii=False, indent=2)
    return func.HttpResponse(
        body, status_code=answer.status, headers=dict(answer.headers), mimetype="application/json", charset="utf-8"
    )


@runs.function_name("start")
@runs.route("runs/{recipe}", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
def start(req: func.HttpRequest) -> func.HttpResponse:
    recipe, body = req.route_params["recipe"], req.get_body()
    return _answer(lambda deployment: http.start(deployment, recipe, body, req.headers))


@runs.function_name("show")
@runs.route("runs/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
def show(req: func.HttpRequest) -> func.HttpResponse:
    return _answer(lambda deployment: http.show(deployment, req.route_params["id"], req.headers))


@runs.function_name("approve")
@runs.route("runs/{id}/approve", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
def approve(req: func.HttpRequest) -> func.HttpResponse:
    run, body = req.route_params["id"], req.get_body()
    return _answer(lambda deployment: http.approve(deployment, run, body, req.headers))


@runs.function_name("cancel")
@runs.route("runs/{id}/cancel", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
def cancel(req: func.HttpRequest) -> func.HttpResponse:
    return _answer(lambda deployment: http.cancel(deployment, req.route_params["id"], req.headers))


@messages.function_name("work")
@messages.queue_trigger("message", QUEUE, STORAGE)
def work_on(message: func.QueueMessage) -> None:
    work(_deployment(), _text(message))


@messages.function_name("poison")
@messages.queue_trigger("message", POISON, STORAGE)
def give_up_on(message: func.QueueMessage) -> None:
    give_up(_deployment(), _text(message))


@timers.function_name("drift")
@timers.timer_trigger("timer", load({}).functions_drift_schedule)
def look_for_drift(timer: func.TimerRequest) -> None:
    if timer.past_due:
        logging.getLogger("graphkit.functions").info("the timer is late")
    drift.detect(_deployment())


def _text(message: func.QueueMessage) -> str:
    return message.get_body().decode("utf-8", "replace")
