"""Faults: rules that make single calls go wrong, the same way every time.

A rule is a plain JSON object::

    {"method": "PATCH", "path": "/groups/*", "nth": 2, "times": 1, "action": "throttle", "retry_after": "2.5"}

Which calls: ``method`` and ``path`` (a glob over the path without version and query; ``/$batch`` is the batch
itself), then ``nth`` (a number or a list, 1 = the first call that matches), or ``probability``, or all; at most
``times`` times. What happens, by ``action``:

==============  =====================================================================================================
``commit-then`` the write is executed; then ``status`` (default 503, with ``headers``) is told instead, or with
                ``failure`` ``timeout``, ``reset`` or ``goaway`` nothing is. For ``/$batch``, ``items`` says how many
                were executed.
``answer``      nothing is executed; ``status``, ``headers`` and ``body`` are told
``throttle``    nothing is executed; 429, with ``retry_after`` in any form, or without the header if it is absent
``kill``        the process dies at once: ``when`` ``before`` or ``after`` (default) the commit
``delay``       the call is executed and its answer arrives ``seconds`` later
==============  =====================================================================================================

The actions of the wire (``reset``, ``truncate`` ...) are in ``mishaps.py``.
"""

from __future__ import annotations

import fnmatch
import os
import random
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from graphkit.sandbox import mishaps
from graphkit.sandbox.call import Json, Refusal, Reply
from graphkit.sandbox.mishaps import FAILURES, WIRE_ACTIONS, WIRE_KEYS
from graphkit.sandbox.state import State

ACTIONS = frozenset({"commit-then", "answer", "throttle", "kill", "delay"}) | set(WIRE_ACTIONS)
KEYS = WIRE_KEYS | frozenset(
    [
        "name",
        "method",
        "path",
        "nth",
        "probability",
        "times",
        "action",
        "status",
        "headers",
        "body",
        "failure",
        "items",
        "retry_after",
        "when",
        "seconds",
    ]
)


@dataclass(slots=True)
class Rule:
    """A rule and how often it ``matched`` a call and ``fired``."""

    spec: Json
    matched: int = 0
    fired: int = 0

    def fits(self, method: str, path: str) -> bool:
        wanted = str(self.spec.get("method", "*")).upper()
        glob = str(self.spec.get("path", "*")).lower()
        return wanted in ("*", method) and fnmatch.fnmatchcase(path.lower(), glob)

    def due(self, seed: int, position: int) -> bool:
        """Whether this matching call, just counted, is one to spoil."""
        if self.fired >= self.spec.get("times", 1 << 62):
            return False
        nth = self.spec.get("nth")
        if nth is not None:
            return self.matched in (nth if isinstance(nth, list) else [nth])
        chance = self.spec.get("probability")
        if chance is None:
            return True
        return random.Random(f"{seed}/{position}/{self.matched}").random() < float(chance)


def check_rule(spec: Any) -> Json:
    """Raises ``ValueError`` with the reason for what is not a rule."""
    if not isinstance(spec, dict):
        raise ValueError(f"a fault rule is a JSON object, not {spec!r}")
    unknown = sorted(set(spec) - KEYS)
    if unknown:
        raise ValueError(f"unknown key in fault rule: {', '.join(unknown)}; known are {', '.join(sorted(KEYS))}")
    if spec.get("action") not in ACTIONS:
        raise ValueError(f"a fault rule needs an action, one of {', '.join(sorted(ACTIONS))}")
    if spec.get("failure") not in (None, *FAILURES):
        raise ValueError(f"failure is one of {', '.join(FAILURES)}")
    if spec["action"] in WIRE_ACTIONS:
        mishaps.check_wire(spec)
    return spec


class Faults:
    """The rules in force, in order; the first one due wins. Counts live in the state file."""

    def __init__(self, state: State, seed: int) -> None:
        self._state = state
        self._seed = seed
        self.rules: list[Rule] = []

    def load(self) -> None:
        if self._state.file is not None:
            rows = self._state.file.execute("SELECT rule, matched, fired FROM faults ORDER BY position")
            self.rules = [Rule(msgspec.json.decode(rule), matched, fired) for rule, matched, fired in rows]

    def add(self, spec: Json) -> None:
        """Add one rule. Raises ``ValueError``."""
        self.rules.append(Rule(check_rule(spec)))
        self._save()

    def extend(self, specs: Iterable[Json]) -> None:
        """Add several, all or none: a scenario file is a JSON array of rules."""
        self.rules += [Rule(check_rule(spec)) for spec in specs]
        self._save()

    def clear(self) -> None:
        self.rules.clear()
        self._save()

    def match(self, method: str, path: str, *, connected: bool = False) -> Json | None:
        """Count a call against every rule that fits; the rule that spoils it, if any. ``connected``: on a connection
        that those which count connections let pass.
        """
        return self._first_due(
            lambda rule: rule.fits(method, path) and not (connected and mishaps.counts_connections(rule.spec))
        )

    def refuses_connection(self) -> bool:
        """Count a connection, for a way in that has some."""
        return self._first_due(lambda rule: mishaps.counts_connections(rule.spec)) is not None

    def _first_due(self, fits: Callable[[Rule], bool]) -> Json | None:
        chosen: Json | None = None
        counted = False
        for position, rule in enumerate(self.rules):
            if not fits(rule):
                continue
            counted = True
            rule.matched += 1
            if chosen is None and rule.due(self._seed, position):
                rule.fired += 1
                chosen = rule.spec
        if counted:
            self._save()  # at once: a kill must not forget that it has struck
        return chosen

    def _save(self) -> None:
        if self._state.file is None:
            return
        self._state.file.execute("DELETE FROM faults")
        self._state.file.executemany(
            "INSERT INTO faults VALUES (?, ?, ?, ?)",
            [(at, msgspec.json.encode(r.spec), r.matched, r.fired) for at, r in enumerate(self.rules)],
        )


def instead(spec: Json) -> Reply | None:
    """The answer of a rule that executes nothing; ``None`` if the call is to be executed."""
    action = spec["action"]
    if action == "kill" and spec.get("when") == "before":
        die()
    if action in WIRE_ACTIONS:
        return None if mishaps.is_executed(spec) else mishaps.instead_of_executing(spec)
    if action == "throttle":
        headers = dict(spec.get("headers", {}))
        if spec.get("retry_after") is not None:
            headers["Retry-After"] = str(spec["retry_after"])
        raise Refusal(429, "TooManyRequests", "Too many requests.", headers)
    if action == "answer":
        return _told(spec, 500)
    return None


def afterwards(spec: Json, reply: Reply) -> Reply:
    """What is told once the call has been executed and committed."""
    action = spec["action"]
    if action == "kill":
        die()
    if action == "delay":
        reply.delay_s += float(spec.get("seconds", 1))
        return reply
    if action in WIRE_ACTIONS:
        return mishaps.after_executing(spec, reply)
    if spec.get("failure"):
        return Reply(0, failure=mishaps.failure_of(spec))
    return _told(spec, 503)


def _told(spec: Json, default: int) -> Reply:
    status = int(spec.get("status", default))
    headers = {str(name): str(value) for name, value in spec.get("headers", {}).items()}
    if "body" in spec or status < 400:
        return Reply(status, spec.get("body"), headers)
    raise Refusal(status, "ServiceUnavailable" if status == 503 else "UnknownError", "A fault was injected.", headers)


def outcome(spec: Json | None, status: int) -> tuple[int, bool]:
    """What the caller of a committed write is told (0: nothing), and whether a rule has a hand in it."""
    if spec is None or spec["action"] not in {"commit-then", "kill", *WIRE_ACTIONS}:
        return status, False
    if spec["action"] in WIRE_ACTIONS:
        return 0 if mishaps.mishap_of(spec).silent else status, True
    silent = spec["action"] == "kill" or spec.get("failure")
    return 0 if silent else int(spec.get("status", 503)), True


def die() -> None:
    """As ``kill -9``: nothing is flushed, nobody is told."""
    if hasattr(signal, "SIGKILL"):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(137)
