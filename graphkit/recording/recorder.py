"""What is said at the wire, kept in memory until it can be written in pseudonyms.

Nothing that was said ever touches the disk as it was: neither is there a raw file, nor is the key of the pseudonyms
kept. A recorder that dies leaves no cassette behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import msgspec

from graphkit.errors import UsageError
from graphkit.protocol import batch, envelope
from graphkit.protocol.message import Request, Response
from graphkit.recording import cassette, known
from graphkit.recording.addresses import is_graph
from graphkit.recording.cassette import FORMAT, Header, Operation
from graphkit.recording.inputs import Given, write_inputs, write_settings
from graphkit.recording.player import Player
from graphkit.recording.pseudonyms import Pseudonyms
from graphkit.recording.redaction import REMOVED, Redaction, read_rules

_AUTH = 401
"""Renewing a token is no part of a conversation: a replay has none to renew."""


@dataclass(frozen=True, slots=True)
class Said:
    """One operation as it was said. Neither the headers of the request nor those of the answer are here that are not
    written anyway.
    """

    at: float
    ms: int
    method: str
    address: str
    body: bytes
    answer: Response | None
    lost: str = ""


class Source(Protocol):
    """An input as it was opened; ``files()`` are those of a folder, the other kinds have a ``path`` alone."""

    @property
    def path(self) -> Path | None: ...

    @property
    def format(self) -> str: ...

    def files(self) -> list[Path]: ...


class Recorder:
    """Collects one conversation, of as many commands as one process holds, for the file ``path``.

    With a ``player`` it goes on with a cassette: what that knows already is not asked again, its words stay as they
    are. Raises ``UsageError`` if the file exists and is not to be replaced or gone on with.
    """

    def __init__(
        self,
        path: Path,
        *,
        rules: Iterable[str] = (),
        replace: bool = False,
        known_already: cassette.Cassette | None = None,
    ) -> None:
        if path.exists() and not (replace or known_already):
            raise UsageError(
                f"{path} exists already, and a cassette cannot be gone on with: its key was not kept",
                hint="name a new file, or delete this one to record it anew",
            )
        self.path = path
        self.player = Player(known_already) if known_already else None
        self._before = known_already.operations if known_already else []
        self._header = known_already.header if known_already else None
        self._rules = read_rules(rules)
        self._said: list[Said] = []
        self._inputs: dict[Path, Given] = {}
        self._break_glass: tuple[str, ...] = ()
        self._roots: set[str] = set()
        self._shift = 0.0
        self._end = 0.0
        self._started: float | None = known_already.header.started if known_already else None

    def begin(self, root: str, now: float, break_glass: Sequence[str] = ()) -> None:
        """A session begins: ``root`` is the server that stands for Graph, ``now`` the time."""
        self._roots.add(root)
        if self._started is None:
            self._started = now
        # On virtual time each session may begin where the first one did.
        self._shift = max(0.0, self._end - now)
        self._break_glass = tuple(break_glass) or self._break_glass

    def add_inputs(self, sources: Iterable[Source]) -> None:
        """What a run was planned from. Standard input has no place to be written beside: it is left out."""
        for source in sources:
            alone = [source.path] if source.path else []
            for path in source.files() or alone:
                if path.is_file():
                    form = "json" if source.format == "folder" else source.format
                    self._inputs.setdefault(path.resolve(), Given(path, form))

    def hear(
        self, request: Request, response: Response | None, at: float, ms: int, *, root: str, lost: str = ""
    ) -> None:
        """One exchange at the wire; a ``$batch`` is taken apart. ``response`` is ``None`` if it got lost."""
        if self._started is None:
            self.begin(root, at)
        self._roots.add(root)
        if request.method == "POST" and request.path.partition("?")[0].lower() == "/$batch":
            for part, answer in _parts(request, response, root):
                self._keep(part, answer, at, ms, lost or ("" if answer else "no answer in the batch"))
        else:
            self._keep(request, response, at, ms, lost)

    def _keep(self, request: Request, response: Response | None, at: float, ms: int, lost: str) -> None:
        if response is not None and response.status == _AUTH:
            return
        address = request.path if "://" in request.path else f"/{request.version}{request.path}"
        at += self._shift
        self._end = max(self._end, at + ms / 1000)
        offset = at - (self._started or at)
        self._said.append(Said(offset, ms, request.method, address, request.body or b"", response, lost))

    def save(self) -> None:
        """Write the cassette, and the inputs beside it, as far as the conversation has come."""
        if not self._said:
            return
        redaction = self._redaction()
        documents = [(each, *_decoded(each)) for each in self._said]
        for said, body, answer in documents:
            redaction.learn(body)
            redaction.learn(answer)
            redaction.learn(said.address)
        for given in self._inputs.values():
            redaction.learn(given.values())
        redaction.learn(list(self._break_glass))
        operations = [_operation(redaction, *each) for each in documents]
        header = self._header or Header(FORMAT, round(self._started or 0.0, 3))
        cassette.write(self.path, header, [*self._before, *operations])
        if self._before:
            return  # whoever goes on with a cassette plans from the inputs that lie beside it
        folder = cassette.inputs_of(self.path)
        write_inputs(folder, list(self._inputs.values()), redaction)
        write_settings(folder, self._break_glass, redaction)

    def _redaction(self) -> Redaction:
        if not hasattr(self, "_pseudonyms"):
            self._pseudonyms = Pseudonyms(
                kept={*known.WORDS, *(word.lower() for word in known.names("word"))}, guids=known.names("guid")
            )
            for operation in self._before:
                keep_as_it_is(self._pseudonyms, operation)
        return Redaction(self._pseudonyms, rules=self._rules, roots=self._roots)


def keep_as_it_is(pseudonyms: Pseudonyms, operation: Operation) -> None:
    """What stands in a cassette already is a pseudonym."""
    import re

    text = msgspec.json.encode(operation).decode()
    pseudonyms.kept.update(word.lower() for word in re.findall(r"[^\W_]+", text))
    pseudonyms.guids.update(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", text.lower()))


class RecordingTransport(httpx.AsyncBaseTransport):
    """Hands every call on to ``inner`` and tells ``recorder`` what was said; what is not Graph's passes unheard.

    ``now`` is the clock at the far end. What the recorder's player knows is answered by it and not handed on.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, recorder: Recorder, now: Callable[[], float]) -> None:
        self._inner = inner
        self._recorder = recorder
        self._now = now

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not is_graph(request.url.path):
            return await self._inner.handle_async_request(request)
        body = await request.aread()
        root, asked = as_asked(request, body)
        player, at = self._recorder.player, self._now()
        if player is not None and player.knows(asked, root):
            return as_httpx(player.answer(asked, root), request)
        try:
            response = await self._inner.handle_async_request(request)
            content = await response.aread()
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            if not isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)):
                self._recorder.hear(asked, None, at, self._ms(at), root=root, lost=type(error).__name__)
            raise
        finally:
            await _closed(locals().get("response"))
        headers = {name.lower(): value for name, value in response.headers.items()}
        answer = Response(response.status_code, headers, content)
        self._recorder.hear(asked, answer, at, self._ms(at), root=root)
        return as_httpx(answer, request)

    def _ms(self, since: float) -> int:
        return round((self._now() - since) * 1000)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _closed(response: httpx.Response | None) -> None:
    if response is not None:
        await response.aclose()


def as_asked(request: httpx.Request, body: bytes) -> tuple[str, Request]:
    """(the server, the request as a plain value) of a call whose path begins with a version of Graph."""
    root = f"{request.url.scheme}://{request.url.netloc.decode('ascii')}"
    target = request.extensions.get("target", request.url.raw_path).decode("ascii")
    _, version, path = target.split("/", 2) if target.count("/") > 1 else ("", target.lstrip("/"), "")
    return root, Request(method=request.method, path=f"/{path}", body=body or None, version=version)


_NOT_OURS = frozenset({"connection", "content-encoding", "content-length", "transfer-encoding"})


def as_httpx(answer: Response, request: httpx.Request) -> httpx.Response:
    """The body is decoded by now, and has another length."""
    headers = {name: value for name, value in answer.headers.items() if name not in _NOT_OURS}
    return httpx.Response(answer.status, headers=headers, content=answer.body, request=request)


def _parts(request: Request, response: Response | None, root: str) -> list[tuple[Request, Response | None]]:
    """Each operation of a ``$batch`` with its own answer; one that was never begun, for another failed, is left out."""
    try:
        parts = envelope.read(request.body or b"", version=request.version, graph_root=root)
    except ValueError:
        return []  # the client's own mistake, which a replay tells it anew
    if response is None:
        return [(part.request, None) for part in parts]
    if not response.ok:
        return [(part.request, response) for part in parts]
    answers = _inner_answers(response.body, [part.id for part in parts])
    pairs = zip(parts, answers, strict=True)
    return [(part.request, answer) for part, answer in pairs if not (part.after and answer and answer.status == 424)]


def _inner_answers(body: bytes, ids: Sequence[str]) -> list[Response | None]:
    """In the order of ``ids``; ours are numbers, others' may be anything."""
    try:
        document = msgspec.json.decode(body)
        by_id = {str(each["id"]).lower(): str(place) for place, each in enumerate(document["responses"])}
        for place, each in enumerate(document["responses"]):
            each["id"] = str(place)
        found = batch.decode(msgspec.json.encode(document), len(document["responses"]))
    except (msgspec.DecodeError, ValueError, LookupError, TypeError):
        return [None for _ in ids]
    return [found[int(by_id[each.lower()])] if each.lower() in by_id else None for each in ids]


def _decoded(said: Said) -> tuple[Any, Any]:
    """(body, answer) as JSON values; ``None`` where there is none, or it is not JSON."""
    return _json(said.body) or None, _json(said.answer.body) if said.answer else None


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body) if body else None
    except msgspec.DecodeError:
        return None


def _operation(redaction: Redaction, said: Said, body: Any, answer: Any) -> Operation:
    address = said.address
    if "://" in address:
        address = "/" + address.split("/", 3)[3]
    operation = Operation(
        method=said.method,
        address=redaction.addresses.request(address),
        status=said.answer.status if said.answer else 0,
        at=round(max(0.0, said.at), 3),
        ms=said.ms,
        body=cassette.comparable(redaction.document(body)) if body is not None else None,
        lost=said.lost,
    )
    if said.body and body is None and _json(said.body) is None:
        operation.body = {"unreadable": REMOVED}
    if said.answer is not None:
        operation.headers = _headers(redaction, said.answer.headers)
        _put_answer(operation, redaction, said.answer, answer)
    return operation


def _put_answer(operation: Operation, redaction: Redaction, said: Response, answer: Any) -> None:
    if isinstance(answer, dict | list):
        operation.answer = redaction.document(answer)
        return
    kind = said.headers.get("content-type", "")
    text = said.body.decode("utf-8", "replace")
    if text.removeprefix("\ufeff").strip().isdecimal() and len(text) < 12:  # a count
        operation.text = text
    elif kind.startswith("text/csv") or (kind.startswith("application/octet-stream") and "," in text[:200]):
        from graphkit.recording.inputs import csv_text

        operation.text = csv_text(text, redaction)
    elif said.body:
        operation.size = len(said.body)


def _headers(redaction: Redaction, headers: Mapping[str, str]) -> dict[str, str]:
    found = {name: value for name, value in headers.items() if name in known.KEPT_HEADERS}
    if "location" in headers:
        found["location"] = _location(redaction, headers["location"])
    if "request-id" in headers:
        found["request-id"] = redaction.text(headers["request-id"])
    return found


def _location(redaction: Redaction, address: str) -> str:
    """Some are relative: of an operation of Teams (concepts/teams-changenotifications... api/team-post.md)."""
    if "://" in address:
        return redaction.addresses.url(address)
    version = "" if is_graph(address) else "/v1.0"
    return redaction.addresses.request(f"{version}/{address.lstrip('/')}").removeprefix(version)
