"""The actions of every day: what is told instead, what is told after the commit, death, delays, altered answers."""

from __future__ import annotations

import os
import signal
from typing import Any

from graphkit.sandbox.call import Json, Reply
from graphkit.sandbox.doors.mishaps import FAILURES
from graphkit.sandbox.faults import checks
from graphkit.sandbox.faults.actions import Action, Struck, Told, action
from graphkit.sandbox.faults.telling import LOGIN_REFUSALS, TELLING, error, refuse, stated, tell, telling


@action("answer", TELLING | {"aadsts": checks.COUNT})
class AnswerAction(Action):
    """Nothing is executed."""

    def check(self, spec: Json) -> None:
        if "aadsts" in spec and spec["aadsts"] not in LOGIN_REFUSALS:
            raise ValueError(f"aadsts {spec['aadsts']} is not known; known are {', '.join(map(str, LOGIN_REFUSALS))}")

    def before(self, struck: Struck) -> Reply | None:
        return tell(struck, 500)


@action("throttle", telling("status", "headers", "retry_after", "code", "message"))
class ThrottleAction(AnswerAction):
    """As ``answer``, with 429."""

    def before(self, struck: Struck) -> Reply | None:
        return tell(struck, 429)


@action(
    "commit-then",
    {
        **TELLING,
        "failure": checks.one_of(*FAILURES),
        "items": ("a whole number, 0 or more", lambda value: isinstance(value, int) and value >= 0),
    },
)
class CommitThenAction(Action):
    """The call is executed, and something else is told of it. What the service itself refuses it refuses."""

    def told(self, struck: Struck, status: int) -> Told | None:
        return 0 if struck.spec.get("failure") else int(struck.spec.get("status", 503)), True

    def after(self, struck: Struck, reply: Reply, refused: bool) -> Reply:
        return reply if refused else tell(struck, 503)


@action("kill", {"when": checks.one_of("before", "after", "answered")})
class KillAction(Action):
    def before(self, struck: Struck) -> Reply | None:
        if struck.spec.get("when") == "before":
            die()
        return None

    def told(self, struck: Struck, status: int) -> Told | None:
        return None if struck.spec.get("when") == "answered" else (0, True)

    def after(self, struck: Struck, reply: Reply, refused: bool) -> Reply:
        if struck.spec.get("when") == "answered":
            reply.last = True
        elif not refused:  # there was a commit
            die()
        return reply


@action("delay", {"seconds": checks.SECONDS})
class DelayAction(Action):
    outcome = False
    always = True

    def after(self, struck: Struck, reply: Reply, refused: bool) -> Reply:
        struck.hit()
        reply.delay_s += float(struck.spec.get("seconds", 1))
        return reply


CHANGES = telling("status", "headers", "retry_after", "body", "code", "message") | {"merge": checks.OBJECT}


@action("alter", CHANGES | {"if_status": checks.STATUSES})
class AlterAction(Action):
    """The true answer with something of it changed; with ``if_status`` only if that is its status."""

    outcome = False

    def check(self, spec: Json) -> None:
        if not set(spec) & set(CHANGES):
            raise ValueError(f"alter changes nothing: it needs one of {', '.join(sorted(CHANGES))}")
        if "body" in spec and "merge" in spec:
            raise ValueError("body and merge exclude each other")

    def told(self, struck: Struck, status: int) -> Told | None:
        wanted = struck.spec.get("status")
        return (int(wanted), True) if wanted and self._means(struck, status) else None

    @staticmethod
    def _means(struck: Struck, status: int) -> bool:
        only = struck.spec.get("if_status")
        return only is None or status in (only if isinstance(only, list) else [only])

    def after(self, struck: Struck, reply: Reply, refused: bool) -> Reply:
        spec = struck.spec
        if reply.failure or not self._means(struck, reply.status):
            return reply
        struck.hit()
        if {"code", "message"} & set(spec):
            reply.body = refuse(struck, error(struck, int(spec.get("status", reply.status)))).body
        reply.status = int(spec.get("status", reply.status))
        if "body" in spec:
            reply.body = spec["body"]
        elif "merge" in spec:
            reply.body = merged(reply.body, spec["merge"])
        dropped = {name.lower() for name, value in spec.get("headers", {}).items() if value is None}
        new = stated(spec, struck.asked.now)
        dropped |= {name.lower() for name in new}
        reply.headers = {name: value for name, value in reply.headers.items() if name.lower() not in dropped} | new
        return reply


def merged(document: Any, patch: Any) -> Any:
    """JSON merge patch, RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    found = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = merged(found.get(name), value)
    return found


def die() -> None:
    """As ``kill -9``: nothing is flushed, nobody is told."""
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)
