"""The function app in this process: requests and messages as Microsoft's library makes them, a queue in memory."""

from __future__ import annotations

import base64
import json
from collections import deque
from dataclasses import dataclass, field

import azure.functions as func
from azure.functions.timer import TimerRequest

from graphkit.functions import app as triggers
from graphkit.functions.deployment import Deployment
from graphkit.functions.queue import Message
from graphkit.functions.store import Run
from graphkit.settings import Settings

MONDAY = 1767603600.0  # 2026-01-05 09:00 UTC, where virtual time begins


@dataclass
class MemoryQueue:
    """What was put and not taken yet: (text, delay)."""

    messages: deque = field(default_factory=deque)

    def send(self, message: Message, *, delay: float = 0.0) -> None:
        self.messages.append((message.text(), delay))


def handler(function):
    """What the decorators of the library have wrapped."""
    return function.build().get_user_function()


@dataclass
class App:
    """The function app with its settings; every trigger goes through the functions that the host would call."""

    settings: Settings
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    now: float = MONDAY

    @property
    def deployment(self) -> Deployment:
        return Deployment(self.settings, self.queue, lambda: self.now)

    def call(self, function, method, path, body=b"", headers=(), **route):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = func.HttpRequest(
            method, f"https://app.example/api/{path}", body=content, headers=dict(headers), route_params=route
        )
        answer = handler(function)(request)
        assert answer.mimetype == "application/json"
        return Reply(answer.status_code, json.loads(answer.get_body()), dict(answer.headers))

    def start(self, body, recipe="licenses.pools", headers=()):
        return self.call(triggers.start, "POST", f"runs/{recipe}", body, headers, recipe=recipe)

    def show(self, run, headers=()):
        return self.call(triggers.show, "GET", f"runs/{run}", headers=headers, id=run)

    def approve(self, run, body=b"", headers=()):
        return self.call(triggers.approve, "POST", f"runs/{run}/approve", body, headers, id=run)

    def cancel(self, run, headers=()):
        return self.call(triggers.cancel, "POST", f"runs/{run}/cancel", headers=headers, id=run)

    def tick(self, *, late=False):
        handler(triggers.look_for_drift)(TimerRequest(past_due=late))

    def take(self, text=None):
        """One message to the queue's function: the oldest, or ``text``."""
        text = self.queue.messages.popleft()[0] if text is None else text
        handler(triggers.work_on)(func.QueueMessage(body=text.encode()))
        return text

    def take_all(self):
        while self.queue.messages:
            self.take()

    def poison(self, text):
        handler(triggers.give_up_on)(func.QueueMessage(body=text.encode()))

    def run(self, run_id) -> Run:
        return self.deployment.runs.find(run_id)


@dataclass(frozen=True)
class Reply:
    status: int
    body: dict
    headers: dict

    @property
    def run(self) -> str:
        return self.body["run"]

    @property
    def error(self) -> dict:
        return self.body["error"]


def pool_request(people=45, *, cap=50, **more):
    """A request for ``licenses.pools``: the documents of the command line's tests."""
    rows = [f"rx1-{number:04}@contoso.example" for number in range(1, people + 1)]
    pools = f"pools:\n  - {{org: RX1, sku: SPE_E3, cap: {cap}, members_from: rx1.csv}}\n"
    return {"inputs": {"pools.yaml": pools, "rx1.csv": "\n".join(["upn", *rows, ""])}, **more}


def signed_in(*roles, who="11111111-1111-4111-8111-111111111111", role_typ="roles"):
    """The header that App Service makes of a token."""
    claims = [{"typ": "http://schemas.microsoft.com/identity/claims/objectidentifier", "val": who}]
    claims += [{"typ": role_typ, "val": role} for role in roles]
    principal = {"auth_typ": "aad", "name_typ": "name", "role_typ": role_typ, "claims": claims}
    return {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(json.dumps(principal).encode()).decode()}


def files_of(folder):
    """Every file below a folder, by its path in there."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
