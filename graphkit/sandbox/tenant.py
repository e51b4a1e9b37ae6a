"""The simulated tenant: one request in, one answer out, nothing else done and nothing waited for."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

import msgspec

from graphkit.sandbox import batch, downloads, permissions
from graphkit.sandbox.areas import ROUTER, team_sync
from graphkit.sandbox.areas.dynamic_groups import people_changed
from graphkit.sandbox.areas.service_principals import restore_grants
from graphkit.sandbox.call import Answer, Call, Refusal, Reply, bad_request
from graphkit.sandbox.faults import NOTHING, Asked, Faults, Foreseen, Strikes, die
from graphkit.sandbox.ids import instant, random_guid
from graphkit.sandbox.login.bearer import unauthorised
from graphkit.sandbox.login.service import Login
from graphkit.sandbox.memory.log import Entry, WriteLog
from graphkit.sandbox.memory.pending import Pending
from graphkit.sandbox.memory.recycling import expire_later
from graphkit.sandbox.memory.replication import REPLICAS, Replication
from graphkit.sandbox.memory.state import State
from graphkit.sandbox.query.listing import NO_QUERY, parse_query
from graphkit.sandbox.rules.licenses import LicenseBook
from graphkit.sandbox.seeding import seed
from graphkit.sandbox.seeding.seed import Seed
from graphkit.sandbox.throttle.buckets import WRITES, Throttle

VERSIONS = {"v1.0": "v1.0", "beta": "beta"}
FORMAT = 2


class Clock(Protocol):
    """Time, as the tenant needs it: epoch seconds, and waiting (only its transports wait)."""

    def now(self) -> float: ...

    async def sleep(self, seconds: float) -> None: ...


@dataclass(slots=True)
class Incoming:
    """A request as it came in. ``path`` is relative to the version; ``body`` is decoded JSON, or bytes."""

    method: str
    version: str
    path: str
    query: str
    headers: dict[str, str]
    body: Any
    base: str
    inside_batch: bool = False
    told: tuple[int, bool] | None = None
    """What the log says that the caller was told, if that is decided already."""
    foreseen: Foreseen | None = None
    connected: bool = False
    """Whether it came over a connection, which rules may count."""

    def inner(self, method: str, path: str, headers: dict[str, str]) -> Incoming:
        return Incoming(
            method, self.version, path, "", headers, None, self.base, inside_batch=True, connected=self.connected
        )


class SimulatedTenant:
    """A Microsoft 365 tenant that answers Microsoft Graph.

    ``clock`` tells the time; ``latency_s`` is waited by the transports before each answer; ``throttling`` turns the
    published limits on; ``replication_s`` is how long a new object may stay invisible to some replicas,
    ``licensing_s`` how long group licensing takes, ``team_window_s`` how long a new group cannot become a team
    (documented: up to 900), ``team_s`` how long an operation of Teams works (making, cloning, archiving),
    ``team_sync_s`` how long a change of a group's members takes to reach its team (documented: 24 hours and more),
    ``dynamic_s`` how long dynamic groups take to notice a change, ``intune_s`` how long an Autopilot import, an
    exported report and a device's obedience take, ``token_s`` how long an access token lasts (none given: as long as
    the service's). ``other_load`` is the share of the tenant-wide quotas that other apps use up,
    ``quota_scale`` multiplies all quotas.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        seed: Seed | None = None,
        latency_s: float = 0.0,
        throttling: bool = True,
        replication_s: float = 2.0,
        licensing_s: float = 5.0,
        team_window_s: float = 20.0,
        team_s: float = 10.0,
        team_sync_s: float = 60.0,
        dynamic_s: float = 30.0,
        intune_s: float = 60.0,
        token_s: float | None = None,
        other_load: float = 0.0,
        quota_scale: float = 1.0,
        state: State | None = None,
    ) -> None:
        self.clock = clock
        self.state = state or State()
        self.seed = self._agree_on_seed(seed)
        self.latency_s = latency_s
        self.throttling = throttling
        self.licensing_s = licensing_s
        self.team_window_s = team_window_s
        self.team_s = team_s
        self.team_sync_s = team_sync_s
        self.dynamic_s = dynamic_s
        self.intune_s = intune_s
        self.replication = Replication(self.state, replication_s)
        self.throttle = Throttle(self.seed.tenant_id, self.seed.users, other_load=other_load, quota_scale=quota_scale)
        self.faults = Faults(self, self.seed.dice)
        self.log = WriteLog(self.state)
        self.not_modelled: list[str] = []
        self.pending = Pending(self.state)
        self._load()
        self.state.watch = partial(team_sync.noticed, self)
        self.login = Login(self, token_s=token_s)
        restore_grants(self)

    @classmethod
    def open(cls, path: Path | str, clock: Clock, *, seed: Seed | None = None, **options: Any) -> SimulatedTenant:
        """The tenant kept in the file ``path``, created if absent; a given ``seed`` counts at creation only.

        Its time goes on from :func:`stored_time`: the clock should begin there. Raises ``ValueError`` for a file that
        holds no tenant, or one of another version.
        """
        try:
            state = State(Path(path))
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{path} is not a simulated tenant: {error}") from error
        try:
            return cls(clock, seed=seed, state=state, **options)
        except BaseException:
            state.close()
            raise

    def _agree_on_seed(self, wanted: Seed | None) -> Seed:
        stored = self.state.meta("seed")
        if stored is not None:
            if self.state.meta("format") != FORMAT:
                raise ValueError("the state file was made by another version of the simulated tenant; seed a new one")
            return msgspec.json.decode(stored, type=Seed)
        chosen = wanted or Seed()
        self.state.set_meta("seed", msgspec.json.encode(chosen))
        self.state.set_meta("format", FORMAT)
        return chosen

    def _load(self) -> None:
        seed.plant(self.state, self.seed)
        self.state.forget_changes()
        self.state.load()
        self.pending.load()
        self.faults.load()
        self.log.load()
        self.replication.load()
        # After a reopening the dice fall anew, but the same way each time.
        self.dice = random.Random(f"{self.seed.dice}/{len(self.log)}")
        self._doomed = False
        self.licenses = LicenseBook(self.state, self.seed)
        self.consumed = self.licenses.consumed

    @property
    def tenant_id(self) -> str:
        return self.seed.tenant_id

    def close(self) -> None:
        self.state.close()

    def new_id(self) -> str:
        return random_guid(self.dice)

    def later(self, due: float, name: str, *arguments: Any) -> None:
        """Put off work that is registered under ``name`` until the time ``due``."""
        self.pending.add(due, name, arguments, self.log.next)

    # -- one request ---------------------------------------------------------------------------------------------

    def foresee(self, method: str, url: str, headers: dict[str, str]) -> Foreseen:
        """What befalls a request before its body is read, for a way in that has connections. It is to hand what it got
        to :meth:`handle`.
        """
        incoming = self._incoming(method, url, headers)
        if not self.faults.rules:
            return Foreseen()
        return self.faults.foresee(Asked(self, incoming, login=self.login.answers(urlsplit(url).path)))

    @staticmethod
    def _incoming(method: str, url: str, headers: dict[str, str]) -> Incoming:
        names = {name.lower(): value for name, value in headers.items()}
        parts = urlsplit(url)
        _, version, path = _split(parts.path)
        return Incoming(method.upper(), version, path, parts.query, names, None, f"{parts.scheme}://{parts.netloc}")

    def handle(
        self, method: str, url: str, headers: dict[str, str], body: bytes = b"", *, fate: Foreseen | None = None
    ) -> Answer:
        """Answer one HTTP request. Header names may be in any case; the answer's are as Graph writes them."""
        if self._doomed:  # the last answer was to be the last, and nobody has ended the process since
            die()
        incoming = self._incoming(method, url, headers)
        incoming.foreseen, incoming.connected = fate, fate is not None
        names, path = incoming.headers, urlsplit(url).path
        try:
            if self.login.answers(path):
                return self._pack(self._at_login(incoming, path, body), names)
            if downloads.answers(path):
                return self._pack(self._download(incoming, path), names)
            if incoming.version not in VERSIONS:
                raise bad_request(f"Invalid version: {incoming.version}", "BadRequest")
            incoming.body = _decode(body, names)
            reply = self.execute(incoming)
        except Refusal as refusal:
            reply = self.refused(refusal, incoming)
        return self._pack(reply, names)

    def execute(self, incoming: Incoming) -> Reply:
        """One operation, single or inside a batch, with everything that may befall it. Never raises a Refusal."""
        try:
            if not incoming.headers.get("authorization"):
                raise unauthorised("Access token is empty.")
            return self._with_faults(incoming, lambda strikes: self._serve(incoming, strikes))
        except Refusal as refusal:
            return self.refused(refusal, incoming)

    def _at_login(self, incoming: Incoming, path: str, body: bytes) -> Reply:
        """A request of the login service. Faults know it as ``/oauth2/v2.0/token`` and the like."""

        incoming.body = dict(parse_qsl(body.decode("utf-8", "replace")))

        def answer(_: object) -> Reply:
            return self.login.answer(incoming.method, incoming.base, path, incoming.headers, body, incoming.query)

        return self._with_faults(incoming, answer, login=True)

    def _download(self, incoming: Incoming, path: str) -> Reply:
        """A file behind a pre-authenticated link; faults know it by its path."""
        incoming.path = path

        def answer(_: object) -> Reply:
            return downloads.answer(self, incoming.method, path, incoming.query, incoming.headers)

        return self._with_faults(incoming, answer)

    def _with_faults(self, incoming: Incoming, serve: Callable[[Strikes], Reply], *, login: bool = False) -> Reply:
        if not self.faults.rules:
            return serve(NOTHING)
        strikes = self.faults.match(Asked(self, incoming, login=login))
        told = strikes.before()
        if told is not None:
            return strikes.delayed(told)
        try:
            reply = serve(strikes)
        except Refusal as refusal:
            return strikes.after(self.refused(refusal, incoming), refused=True)
        return strikes.after(reply)

    def _serve(self, incoming: Incoming, strikes: Strikes) -> Reply:
        if not incoming.inside_batch and batch.is_batch(incoming.path):
            if incoming.method != "POST":
                raise Refusal(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
            self.login.caller(incoming.headers["authorization"], incoming.base)
            return batch.run(self, incoming, strikes)
        now = self.clock.now()
        self._settle(now)
        return self._operate(self._call(incoming, now), strikes, incoming.told)

    def _settle(self, now: float) -> None:
        """Do what was put off and is due by now, each at its own time."""
        for due, settled in self.pending.settle(self, now):
            for write in settled:
                self.log.took_effect(write, due)
            self._commit(due)

    def put_off_call(self, due: float, name: str, kept: dict[str, Any]) -> None:
        """Put off a call that was told otherwise. No write in the log is its cause."""
        self.pending.add(due, name, (kept["path"], kept), 0)
        self._commit(self.clock.now())

    def execute_late(self, kept: dict[str, Any], due: float) -> None:
        """A call that was told otherwise long ago. The log says if it is refused."""
        self._commit(due)
        told = (kept.pop("told"), True)
        app, held = kept.pop("app", ""), kept.pop("permissions", None)
        incoming = Incoming(**kept, told=told)
        if batch.is_batch(incoming.path):
            batch.run(self, incoming, NOTHING)
            return
        call = self._new_call(incoming, due, app, None if held is None else frozenset(held))
        route, call.params = ROUTER.find(call.method, call.path, call.version)
        try:
            route.handler(call)
        except Refusal as refusal:
            self.state.forget_changes()
            self._log(call, ("refused", refusal.code), told, due, due)
        else:
            self._commit(due, call, told)

    def _call(self, incoming: Incoming, now: float) -> Call:
        caller = self.login.caller(incoming.headers["authorization"], incoming.base)
        return self._new_call(incoming, now, caller.app, caller.permissions)

    def _new_call(self, incoming: Incoming, now: float, app: str, held: frozenset[str] | None) -> Call:
        self.replication.turn += 1
        return Call(
            tenant=self,
            method=incoming.method,
            version=incoming.version,
            path=incoming.path,
            query=parse_query(incoming.query) if incoming.query else NO_QUERY,
            headers=incoming.headers,
            body=incoming.body,
            base=incoming.base,
            app=app,
            permissions=held,
            now=now,
            replica=self.dice.randrange(REPLICAS),
        )

    def _operate(self, call: Call, strikes: Strikes, decided: tuple[int, bool] | None) -> Reply:
        route, call.params = ROUTER.find(call.method, call.path, call.version)
        headers: dict[str, str] = {}
        permissions.check(call, route.template, route.needs)
        try:
            if self.throttling:
                self.throttle.charge(call, route.template, headers)
            told = strikes.at_the_door(call) if strikes else None
            if told is not None:
                return told
            reply = route.handler(call)
            if strikes:
                strikes.executed(call, reply)
        except Refusal as refusal:
            self.state.forget_changes()
            refusal.headers = {**headers, **refusal.headers}
            raise
        reply.headers.update(headers)
        if call.method in WRITES:
            self._commit(call.now, call, decided or strikes.told(reply.status))
        return reply

    def keep(self) -> None:
        """Commit what was put into ``state`` by hand, for tests and demonstrations; no write is logged."""
        self._commit(self.clock.now())

    def _commit(self, now: float, call: Call | None = None, told: tuple[int, bool] = (0, False)) -> None:
        """Everything that was changed, in one transaction, before anybody is told."""
        state = self.state
        people_changed(self, now)
        if state.touched or state.touched_links:
            expire_later(self, now)
            state.note_changes(now)
            self.replication.committed(now)
        elif not self.pending.changed:
            return
        if call is not None:
            self._note(call, told)
        self._store()

    def _note(self, call: Call, told: tuple[int, bool]) -> None:
        effective = 0.0 if self.pending.put_off(self.log.next) else call.now
        self._log(call, _subject(self.state, call), told, self.replication.arrival(call.now), effective)

    def _log(
        self, call: Call, subject: tuple[str, str], told: tuple[int, bool], visible: float, effective: float
    ) -> None:
        request_id = call.headers.get("client-request-id", "")
        what = (0, call.now, call.method, call.path, *subject, request_id, *told, visible, effective)
        self.log.append(Entry._make(what))

    def _store(self) -> None:
        file = self.state.file
        if file is None:
            self.state.forget_changes()
            self.pending.write_changes()
            return
        with file:  # commits at its end, rolls back if anything is raised
            file.execute("BEGIN")
            self.state.write_changes()
            self.pending.write_changes()
            self.log.write_changes()
            self.state.set_meta("now", self.clock.now())

    # -- answers -------------------------------------------------------------------------------------------------

    def refused(self, refusal: Refusal, incoming: Incoming) -> Reply:
        """An error as Graph words it (concepts/errors.md)."""
        if refusal.code == "NotModelled":
            self.not_modelled.append(f"{incoming.method} /{incoming.version}{incoming.path}")
        request_id = random_guid(self.dice)
        inner = {
            **refusal.inner,
            "date": instant(self.clock.now())[:-1],
            "request-id": request_id,
            "client-request-id": incoming.headers.get("client-request-id", request_id),
        }
        error: dict[str, Any] = {"code": refusal.code, "message": refusal.message, "innerError": inner}
        if refusal.details:
            error["details"] = refusal.details
        return Reply(refusal.status, {"error": error}, {"request-id": request_id, **refusal.headers})

    def _pack(self, reply: Reply, asked: dict[str, str]) -> Answer:
        if reply.bare:
            return Answer(reply.status, reply.headers, str(reply.body).encode(), reply.delay_s, reply.failure)
        request_id = reply.headers.get("request-id") or random_guid(self.dice)
        headers = {
            "Date": formatdate(self.clock.now(), usegmt=True),
            "request-id": request_id,
            "client-request-id": asked.get("client-request-id", request_id),
            **reply.headers,
        }
        body = b""
        if isinstance(reply.body, bytes):
            body = reply.body
        elif isinstance(reply.body, str):
            body = reply.body.encode()
            headers.setdefault("Content-Type", "text/plain")
        elif reply.body is not None:
            body = msgspec.json.encode(reply.body)
            headers["OData-Version"] = "4.0"
            headers.setdefault(
                "Content-Type",
                "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
            )
        self._doomed = reply.last
        return Answer(reply.status, headers, body, reply.delay_s, reply.failure, reply.last)


def _split(path: str) -> tuple[str, str, str]:
    head, _, rest = path.lstrip("/").partition("/")
    return "", head, "/" + rest


def _decode(body: bytes, headers: dict[str, str]) -> Any:
    if not body:
        return None
    if "json" not in headers.get("content-type", "json"):
        return body
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise bad_request(
            "Unable to read JSON request payload. Please ensure Content-Type header is set and "
            "payload is of valid JSON format.",
            "BadRequest",
        ) from error


def _subject(state: State, call: Call) -> tuple[str, str]:
    """What a write changed: the first object, or the one whose links changed, or the one that it will change."""
    if state.touched:
        return next(iter(state.touched))
    if state.touched_links:
        name, source, _ = next(iter(state.touched_links))
        return _SOURCES.get(name, "groups"), source
    return call.path.strip("/").partition("/")[0], next(iter(call.params.values()), "")


_SOURCES = {
    "teamMembers": "teams",
    "teamOwners": "teams",
    "channelMembers": "channels",
    "channelOwners": "channels",
}
"""Whose links these are, if not a group's."""
