"""How much a run may still change, counted at the wire."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import msgspec

from graphkit.errors import Blocked
from graphkit.protocol.message import READ_METHODS, Effect, Request

READING_POSTS = frozenset(
    {
        "getbyids",
        "getavailableextensionproperties",
        "checkmembergroups",
        "checkmemberobjects",
        "getmembergroups",
        "getmemberobjects",
        "validateproperties",
        "evaluate",
        "exportjobs",
    }
)
"""Last segments of POSTs that change nothing, lower case. ``evaluate`` is what-if of conditional access; a job of
``exportjobs`` writes a report into a file that the service drops after hours."""

_ACTIONS = frozenset(
    {
        "assign",
        "assignlicense",
        "reprocesslicenseassignment",
        "archive",
        "unarchive",
        "restore",
        "revokesigninsessions",
        "changepassword",
        "scheduleactionsforrules",
        "sync",
        "renew",
    }
)
"""Last segments of POSTs that change an object rather than create one, lower case."""

_UNLIMITED = sys.maxsize
_UPDATE, _REMOVAL, _DELETION = Effect(updates=1), Effect(removals=1), Effect(deletions=1)


@dataclass(slots=True, kw_only=True)
class WriteBudget:
    """What remains of the plan's allowance. The engine stores it in the run file, so that it outlives a kill."""

    creates: int = 0
    updates: int = 0
    removals: int = 0
    deletions: int = 0
    members: int = 0
    writes_allowed: bool = True

    @classmethod
    def read_only(cls) -> WriteBudget:
        """Nothing may be written, whatever a request declares."""
        return cls(writes_allowed=False)

    @classmethod
    def unlimited(cls) -> WriteBudget:
        return cls(
            creates=_UNLIMITED, updates=_UNLIMITED, removals=_UNLIMITED, deletions=_UNLIMITED, members=_UNLIMITED
        )

    def allow(self, effect: Effect) -> None:
        """So much, and no more: what was left of an earlier run is gone."""
        self.allow_nothing()
        self.writes_allowed = True
        self._add(effect, 1)

    def allow_nothing(self) -> None:
        """From now on nothing may be written."""
        self.creates = self.updates = self.removals = self.deletions = self.members = 0
        self.writes_allowed = False

    def spend(self, effect: Effect) -> None:
        """Take ``effect`` off what remains. Raises ``Blocked``, and takes nothing, if any part would go below zero."""
        if not self.writes_allowed:
            raise Blocked(["this is a read-only run, and the request would write"], hint="use apply to write")
        if (
            effect.creates > self.creates
            or effect.updates > self.updates
            or effect.removals > self.removals
            or effect.deletions > self.deletions
            or effect.members > self.members
        ):
            raise self._overdraft(effect)
        self._add(effect, -1)

    def refund(self, effect: Effect) -> None:
        """Give ``effect`` back: it was proved that the request was not executed."""
        self._add(effect, 1)

    def _add(self, effect: Effect, sign: int) -> None:
        self.creates += sign * effect.creates
        self.updates += sign * effect.updates
        self.removals += sign * effect.removals
        self.deletions += sign * effect.deletions
        self.members += sign * effect.members

    def _overdraft(self, effect: Effect) -> Blocked:
        columns = ("creates", "updates", "removals", "deletions", "members")
        exceeded = [
            f"{name}: {getattr(effect, name)} wanted, {getattr(self, name)} left of what the plan allows"
            for name in columns
            if getattr(effect, name) > getattr(self, name)
        ]
        return Blocked(exceeded, hint="the plan declared fewer changes than were about to be sent; plan again")


def is_read(request: Request) -> bool:
    """Does it leave the tenant as it was? GET, and the POSTs that only ask."""
    return request.method in READ_METHODS or (request.method == "POST" and _last_segment(request.path) in READING_POSTS)


def effect_of(request: Request) -> Effect:
    """What a write declares to do or, if it declares nothing, what its method and path say."""
    if request.effect is not None:
        return request.effect
    match request.method:
        case "DELETE":
            return _REMOVAL if "/members/" in request.path or request.path.endswith("/$ref") else _DELETION
        case "POST":
            return _effect_of_post(request)
        case _:
            members = _bound_members(request)
            return Effect(updates=1, members=members) if members else _UPDATE


def _effect_of_post(request: Request) -> Effect:
    last = _last_segment(request.path)
    if last in {"$ref", "members"}:
        return Effect(members=1)
    if request.path.endswith("/members/add"):
        return Effect(members=_count(request.body, "values"))
    if request.path.endswith("/members/remove"):
        return Effect(removals=_count(request.body, "values"))
    if last in _ACTIONS:
        return Effect(updates=1)
    return Effect(creates=1, members=_bound_members(request))


def _bound_members(request: Request) -> int:
    return _count(request.body, "members@odata.bind") if request.body and b"members@odata.bind" in request.body else 0


def _count(body: bytes | None, key: str) -> int:
    try:
        document = msgspec.json.decode(body or b"")
    except msgspec.DecodeError:
        return 1
    listed = document.get(key) if isinstance(document, dict) else None
    return len(listed) if isinstance(listed, list) else 1


def _last_segment(path: str) -> str:
    return path.partition("?")[0].rpartition("/")[2].rpartition(".")[2].lower()
