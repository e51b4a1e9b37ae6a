"""A rule: which calls it fits, which of these are due, and what it remembers between them."""

from __future__ import annotations

import fnmatch
import hashlib
import random
import re
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from graphkit.sandbox.batch import is_batch
from graphkit.sandbox.call import Json
from graphkit.sandbox.ids import guid
from graphkit.sandbox.login.bearer import app_of
from graphkit.sandbox.throttle.table import workload

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import Incoming, SimulatedTenant

NEVER = float("inf")


class Asked:
    """A call as rules see it. ``path`` is without version and query; what is rarely asked is worked out when it is."""

    def __init__(self, tenant: SimulatedTenant, incoming: Incoming, *, login: bool = False) -> None:
        self.tenant = tenant
        self.incoming = incoming
        self.login = login
        self.now = tenant.clock.now()
        self.path = unquote(incoming.path)
        self.lower = self.path.lower()

    @property
    def batch(self) -> bool:
        """Whether it is the envelope of a batch."""
        return not self.incoming.inside_batch and is_batch(self.incoming.path)

    @cached_property
    def workload(self) -> str:
        return "login" if self.login else workload(self.path)

    @cached_property
    def app(self) -> str:
        if self.login:
            return str((self.incoming.body or {}).get("client_id", "")).lower()
        return app_of(self.incoming.headers.get("authorization", "")).lower()


@dataclass
class Rule:
    """A rule, when it was ``loaded``, and how often it ``matched`` a call and ``fired``. Where the clock could not be
    read then (virtual time stands still outside its loop), the first call that it sees is when.
    """

    spec: Json
    loaded: float | None = None
    matched: int = 0
    fired: int = 0
    memory: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        methods = self.spec.get("method", "*")
        self._methods = {each.upper() for each in ([methods] if isinstance(methods, str) else methods)}
        self._path = re.compile(fnmatch.translate(str(self.spec.get("path", "*")).lower())).match
        self._workload = self.spec.get("workload")
        self._in_batch = self.spec.get("in_batch")
        self._from, self._until = 0.0, NEVER
        if self.loaded is not None:
            self.begin(self.loaded)
        app = str(self.spec.get("app", "")).lower()
        # An opaque token is named by its text: the app that it stands for has an id of the tenant's making.
        self._apps = {app, guid("token", str(self.spec.get("app", "")))} if app else None

    def begin(self, now: float) -> None:
        self.loaded = now
        self._from = self._moment("from", now, 0.0)
        self._until = self._moment("until", now, NEVER)

    def _moment(self, key: str, loaded: float, default: float) -> float:
        value = self.spec.get(key)
        if value is None:
            return default
        return moment(value) if isinstance(value, str) else loaded + float(value)

    def fits(self, asked: Asked) -> bool:
        if self.loaded is None:
            self.begin(asked.now)
        return (
            ("*" in self._methods or asked.incoming.method in self._methods)
            and self._path(asked.lower) is not None
            and self._from <= asked.now < self._until
            and self._in_batch in (None, asked.incoming.inside_batch)
            and (self._workload is None or self._serves(asked))
            and (self._apps is None or asked.app in self._apps)
        )

    def _serves(self, asked: Asked) -> bool:
        if self._workload == "graph":
            return not asked.login
        return asked.batch if self._workload == "batch" else self._workload == asked.workload

    @property
    def selective(self) -> bool:
        """Whether it says which of the matching calls it means."""
        return "nth" in self.spec or "probability" in self.spec

    def due(self, seed: str) -> bool:
        """Whether this matching call, just counted, is one to spoil."""
        if self.fired >= self.spec.get("times", NEVER):
            return False
        nth = self.spec.get("nth")
        if isinstance(nth, dict):
            past = self.matched - int(nth["from"])
            return past >= 0 and past % int(nth.get("every", 1)) == 0
        if nth is not None:
            return self.matched in (nth if isinstance(nth, list) else [nth])
        chance = self.spec.get("probability")
        return chance is None or _share(f"{seed}/{self.matched}") < float(chance)

    # -- kept in the state file ----------------------------------------------------------------------------------

    def stored(self) -> bytes:
        return msgspec.json.encode({"rule": self.spec, "loaded": self.loaded, "memory": self.memory})

    @classmethod
    def read(cls, stored: bytes, matched: int, fired: int) -> Rule:
        kept = msgspec.json.decode(stored)
        return cls(kept["rule"], kept["loaded"], matched, fired, kept["memory"])


def moment(text: str) -> float:
    """Epoch seconds of an ISO 8601 time. Raises ``ValueError`` for one without a zone, too."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return found.timestamp()


def dice(seed: str) -> random.Random:
    return random.Random(seed)


def _share(seed: str) -> float:
    """A number from 0 to below 1 that falls the same way every time: cheaper than a generator for each call."""
    digest = hashlib.blake2b(seed.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def shown(value: Any) -> str:
    return msgspec.json.encode(value).decode()
