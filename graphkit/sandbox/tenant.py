"""The simulated tenant: one request in, one answer out, nothing else done and nothing waited for."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import msgspec

from graphkit.sandbox import batch, faults, permissions, seed
from graphkit.sandbox.areas import ROUTER
from graphkit.sandbox.areas.licensing import count_seats
from graphkit.sandbox.call import Answer, Call, Refusal, Reply, bad_request
from graphkit.sandbox.faults import Faults
from graphkit.sandbox.ids import instant, random_guid
from graphkit.sandbox.log import Entry, WriteLog
from graphkit.sandbox.login import Login
from graphkit.sandbox.pending import Pending
from graphkit.sandbox.query import NO_QUERY, parse_query
from graphkit.sandbox.recycling import expire_later
from graphkit.sandbox.replication import REPLICAS, Replication
from graphkit.sandbox.seed import Seed
from graphkit.sandbox.state import State
from graphkit.sandbox.throttle import WRITES, Throttle
from graphkit.sandbox.tokens import unauthorised

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

    def inner(self, method: str, path: str, headers: dict[str, str]) -> Incoming:
        return Incoming(method, self.version, path, "", headers, None, self.base, inside_batch=True)


class SimulatedTenant:
    """A Microsoft 365 tenant that answers Microsoft Graph.

    ``clock`` tells the time; ``latency_s`` is waited by the transports before each answer; ``throttling`` turns the
    published limits on; ``replication_s`` is how long a new object may stay invisible to some replicas,
    ``licensing_s`` how long group licensing takes, ``team_window_s`` how long a new group cannot become a team
    (documented: up to 900), ``team_s`` how long ``POST /teams`` works, ``token_s`` how long an access token lasts.
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
        token_s: float = 3600.0,
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
        self.replication = Replication(self.state, replication_s)
        self.throttle = Throttle(self.seed.tenant_id, self.seed.users)
        self.faults = Faults(self.state, self.seed.dice)
        self.log = WriteLog(self.state)
        self.pending = Pending(self.state)
        self._load()
        self.login = Login(self, token_s=token_s)

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
        except ValueError:
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
        # After a reopening the dice fall anew, but the same way each time.
        self.dice = random.Random(f"{self.seed.dice}/{len(self.log)}")
        self.consumed = count_seats(self.state, self.seed)

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

    def handle(self, method: str, url: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        """Answer one HTTP request. Header names may be in any case; the answer's are as Graph writes them."""
        names = {name.lower(): value for name, value in headers.items()}
        parts = urlsplit(url)
        _, version, path = _split(parts.path)
        incoming = Incoming(method.upper(), version, path, parts.query, names, None, f"{parts.scheme}://{parts.netloc}")
        try:
            if self.login.answers(parts.path):
                return self._pack(self._at_login(incoming, parts.path, body), names)
            if version not in VERSIONS:
                raise bad_request(f"Invalid version: {version}", "BadRequest")
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
            return self._with_faults(incoming, lambda fault: self._serve(incoming, fault))
        except Refusal as refusal:
            return self.refused(refusal, incoming)

    def _at_login(self, incoming: Incoming, path: str, body: bytes) -> Reply:
        """A request of the login service. Faults know it as ``/oauth2/v2.0/token`` and the like."""

        def answer(_: object) -> Reply:
            return self.login.answer(incoming.method, incoming.base, path, incoming.headers, body)

        return self._with_faults(incoming, answer)

    def _with_faults(self, incoming: Incoming, serve: Callable[[dict[str, Any] | None], Reply]) -> Reply:
        spec = self.faults.match(incoming.method, unquote(incoming.path)) if self.faults.rules else None
        if spec is None:
            return serve(None)
        told = faults.instead(spec)
        if told is not None:
            return told
        reply = serve(spec)
        return faults.afterwards(spec, reply)

    def _serve(self, incoming: Incoming, fault: dict[str, Any] | None) -> Reply:
        if not incoming.inside_batch and batch.is_batch(incoming.path):
            if incoming.method != "POST":
                raise Refusal(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.")
            return batch.run(self, incoming, items=fault.get("items") if fault else None)
        now = self.clock.now()
        self._settle(now)
        return self._operate(self._call(incoming, now), fault)

    def _settle(self, now: float) -> None:
        """Do what was put off and is due by now, each at its own time."""
        for due, settled in self.pending.settle(self, now):
            if settled:
                self.log.took_effect(settled, due)
            self._commit(due)

    def _call(self, incoming: Incoming, now: float) -> Call:
        caller = self.login.signer.caller(incoming.headers["authorization"], now)
        return Call(
            tenant=self,
            method=incoming.method,
            version=incoming.version,
            path=incoming.path,
            query=parse_query(incoming.query) if incoming.query else NO_QUERY,
            headers=incoming.headers,
            body=incoming.body,
            base=incoming.base,
            app=caller.app,
            permissions=caller.permissions,
            now=now,
            replica=self.dice.randrange(REPLICAS),
        )

    def _operate(self, call: Call, fault: dict[str, Any] | None) -> Reply:
        route, call.params = ROUTER.find(call.method, call.path, call.version)
        headers: dict[str, str] = {}
        permissions.check(call, route.template, route.needs)
        try:
            if self.throttling:
                self.throttle.charge(call, route.template, headers)
            reply = route.handler(call)
        except Refusal as refusal:
            self.state.forget_changes()
            refusal.headers = {**headers, **refusal.headers}
            raise
        reply.headers.update(headers)
        if call.method in WRITES:
            self._commit(call.now, call, _told(reply, fault))
        return reply

    def _commit(self, now: float, call: Call | None = None, told: tuple[int, bool] = (0, False)) -> None:
        """Everything that was changed, in one transaction, before anybody is told."""
        state = self.state
        if state.touched or state.touched_links:
            expire_later(self, now)
            state.note_changes(now)
            self.replication.committed(now)
        elif not self.pending.changed:
            return
        if call is not None:
            self._note(call, *told)
        self._store()

    def _note(self, call: Call, status: int, faulted: bool) -> None:
        now = call.now
        kind, object_id = _subject(self.state, call)
        request_id = call.headers.get("client-request-id", "")
        visible = now + self.replication.window_s
        effective = 0.0 if self.pending.put_off(self.log.next) else now
        entry = Entry(0, now, call.method, call.path, kind, object_id, request_id, status, faulted, visible, effective)
        self.log.append(entry)

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
        request_id = random_guid(self.dice)
        inner = {
            "date": instant(self.clock.now())[:-1],
            "request-id": request_id,
            "client-request-id": incoming.headers.get("client-request-id", request_id),
        }
        error: dict[str, Any] = {"code": refusal.code, "message": refusal.message, "innerError": inner}
        if refusal.details:
            error["details"] = refusal.details
        return Reply(refusal.status, {"error": error}, {"request-id": request_id, **refusal.headers})

    def _pack(self, reply: Reply, asked: dict[str, str]) -> Answer:
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
        return Answer(reply.status, headers, body, reply.delay_s, reply.failure)


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
        _, source, _ = next(iter(state.touched_links))
        return "groups", source
    return call.path.strip("/").partition("/")[0], next(iter(call.params.values()), "")


def _told(reply: Reply, fault: dict[str, Any] | None) -> tuple[int, bool]:
    if fault is None or fault["action"] not in ("commit-then", "kill"):
        return reply.status, False
    silent = fault["action"] == "kill" or fault.get("failure")
    return 0 if silent else int(fault.get("status", 503)), True
