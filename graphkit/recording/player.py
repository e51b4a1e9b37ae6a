"""From a request to the recorded response: no network, no clock, no files.

A request is matched by method, path, options in any order, and body in one form; the first answer that was recorded for
it is given first. Two things depend on the order in which a client works, which may follow names, and pseudonyms have
another order than names:

* which references travel together (``members@odata.bind`` and the like, alone in its body). Such a list is taken apart
  as a ``$batch`` is.
* which of the writes to one address meets a refusal that passes (throttled, not there yet). It meets whoever comes
  first; and what was asked several times, until something had come about, may be asked once more: the last answer
  holds, unless it tells of a write that was done.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any

import msgspec

from graphkit.errors import GraphkitError
from graphkit.protocol import envelope
from graphkit.protocol.message import READ_METHODS, Request, Response
from graphkit.recording.addresses import ROOT, canonical
from graphkit.recording.cassette import Cassette, Operation, comparable
from graphkit.recording.redaction import REMOVED, hidden

Key = tuple[str, str, bytes]
Place = tuple[str, str]
"""A method and an address."""


_HINT = "is the input the one that lies beside the cassette? If the program has changed, record anew"


class Unmatched(GraphkitError):
    """A replay was asked for something that the cassette does not hold."""

    code = "not-recorded"


class Lost(Exception):
    """The answer got lost when this was recorded, and gets lost again."""


class Player:
    """Plays one cassette, once.

    ``unmatched`` lists what was asked in vain; ``now`` is the time of the recording, as far as it was played, and
    ``pause_s`` how long the last answer took then.
    """

    def __init__(self, cassette: Cassette) -> None:
        self.now = cassette.header.started
        self.pause_s = 0.0
        self.unmatched: list[str] = []
        self._started = cassette.header.started
        self._operations = cassette.operations
        # How much of each operation is still to be asked for: each of its references, or itself.
        self._left = {id(each): _size(each) for each in cassette.operations}
        self._exact: dict[Key, deque[Operation]] = {}
        self._carried: dict[tuple[Place, str, str], deque[Operation]] = {}
        self._passing: dict[Place, deque[Operation]] = {}
        self._holding: dict[Key, Operation] = {}
        for operation in reversed(cassette.operations):
            self._offer(operation)
        self._find_polls()

    def _offer(self, operation: Operation) -> None:
        """Last operation first: a refusal passes if what was refused was taken, or met something else, later."""
        key, place = _key_of(operation), (operation.method, canonical(operation.address))
        name, references = _references(operation.body)
        done = 200 <= operation.status < 300
        settled = key in self._exact or (
            references and all((place, name, each) in self._carried for each in references)
        )
        if operation.is_write and not done and settled:
            self._passing.setdefault(place, deque()).appendleft(operation)
            self._left[id(operation)] = 0  # whether it is met again depends on the pace
            return
        self._exact.setdefault(key, deque()).appendleft(operation)
        for reference in references if done else ():
            self._carried.setdefault((place, name, reference), deque()).appendleft(operation)

    def _find_polls(self) -> None:
        asked = Counter(map(_key_of, self._operations))
        for operation in self._operations:
            key, done = _key_of(operation), 200 <= operation.status < 300
            if asked[key] > 1 and not (operation.is_write and done):
                self._holding[key] = operation
            else:
                self._holding.pop(key, None)

    def answer(self, request: Request, root: str = ROOT) -> Response:
        """``root`` is the server that was asked: links in the answer lead there.

        Raises :class:`Unmatched`, or :class:`Lost` where the answer got lost when it was recorded.
        """
        if request.method == "POST" and request.path.partition("?")[0].lower() == "/$batch":
            return self._batch(request, root)
        operation = self._find(request, root)
        if operation.lost:
            raise Lost(operation.lost)
        return _response(operation, root)

    def knows(self, request: Request, root: str = ROOT) -> bool:
        """Is there an answer left for it?"""
        return self._exactly(_key(request, root)) is not None

    def raise_if_unmatched(self) -> None:
        """Raises :class:`Unmatched` with the first that was asked in vain, and how many there were."""
        if self.unmatched:
            more = f", nor for {len(self.unmatched) - 1} further requests" if len(self.unmatched) > 1 else ""
            raise Unmatched(f"the cassette has no answer (left) for {self.unmatched[0]}{more}", hint=_HINT)

    @property
    def unused(self) -> list[str]:
        """The writes that were recorded and not asked for."""
        left = (each for each in self._operations if self._left[id(each)] and each.is_write)
        return [f"{each.method} {each.address}" for each in left]

    def _batch(self, request: Request, root: str) -> Response:
        version = request.version
        try:
            parts = envelope.read(request.body or b"", version=version, graph_root=root)
        except ValueError as error:
            return _refusal(400, "BadRequest", str(error))
        answers: dict[str, Response | None] = {}
        longest = 0.0
        for part in parts:
            before = [answers.get(parent) for parent in part.after]
            if any(answer is None or answer.status >= 400 for answer in before):
                answers[part.id.lower()] = _refusal(424, "FailedDependency", "A request that this depends on failed.")
                continue
            try:
                answers[part.id.lower()] = self.answer(part.request, root)
            except Lost:
                answers[part.id.lower()] = None
            longest = max(longest, self.pause_s)
        self.pause_s = longest
        told = [(part.id, answer) for part in parts if (answer := answers[part.id.lower()]) is not None]
        return Response(200, {"content-type": "application/json"}, envelope.write(told))

    def _find(self, request: Request, root: str) -> Operation:
        found = self._exactly(_key(request, root))
        carriers = [] if found else self._carriers(request, root)
        place = (request.method, canonical(_full(request)))
        if (found or carriers) and (refusals := self._passing.get(place)):
            found = refusals.popleft()
        elif found:
            self._left[id(found)] = 0
        elif carriers:
            found = carriers[0]
            self._give_out(request, root, carriers)
        elif holding := self._holding.get(_key(request, root)):
            found = holding
        else:
            told = f"{request.method} {place[1]}"
            self.unmatched.append(told)
            raise Unmatched(f"the cassette has no answer (left) for {told}", hint=_HINT)
        self.pause_s = found.ms / 1000
        self.now = max(self.now, self._started + found.at + self.pause_s)
        return found

    def _exactly(self, key: Key) -> Operation | None:
        """The next operation that is this request, and of which nothing was given out yet."""
        queue = self._exact.get(key)
        while queue and not self._is_whole(queue[0]):
            queue.popleft()
        return queue[0] if queue else None

    def _is_whole(self, operation: Operation) -> bool:
        return self._left[id(operation)] == _size(operation)

    def _carriers(self, request: Request, root: str) -> list[Operation]:
        """For each reference of the request the operation that carried it; none if one of them is not left."""
        name, references = _references(comparable(_decoded(request), root))
        place = (request.method, canonical(_full(request)))
        found = [self._carrier((place, name, reference)) for reference in references]
        return [each for each in found if each] if all(found) else []

    def _give_out(self, request: Request, root: str, carriers: list[Operation]) -> None:
        name, references = _references(comparable(_decoded(request), root))
        place = (request.method, canonical(_full(request)))
        for reference, carrier in zip(references, carriers, strict=True):
            self._carried[place, name, reference].popleft()
            self._left[id(carrier)] -= 1

    def _carrier(self, key: tuple[Place, str, str]) -> Operation | None:
        queue = self._carried.get(key)
        while queue and not self._left[id(queue[0])]:
            queue.popleft()
        return queue[0] if queue else None


def _size(operation: Operation) -> int:
    return len(_references(operation.body)[1]) or 1


def _references(body: Any) -> tuple[str, list[str]]:
    """The one property of a body that is nothing but a list of links, and the links."""
    if isinstance(body, dict) and len(body) == 1:
        ((name, value),) = body.items()
        if name.endswith("@odata.bind") and isinstance(value, list):
            return name, [str(each) for each in value]
    return "", []


def _key_of(operation: Operation) -> Key:
    return operation.method, canonical(operation.address), msgspec.json.encode(comparable(operation.body))


def _key(request: Request, root: str) -> Key:
    body = comparable(hidden(_decoded(request)), root)
    return request.method, canonical(_full(request)), msgspec.json.encode(body)


def _full(request: Request) -> str:
    return request.path if "://" in request.path else f"/{request.version}{request.path}"


def _decoded(request: Request) -> Any:
    if not request.body:
        return None
    try:
        # A POST without a body carries an empty object inside a $batch.
        return msgspec.json.decode(request.body) or None
    except msgspec.DecodeError:
        return {"unreadable": REMOVED}


def _response(operation: Operation, root: str) -> Response:
    headers = {name: value.replace(ROOT, root) for name, value in operation.headers.items()}
    if operation.text:
        return Response(operation.status, headers, operation.text.encode())
    if operation.answer is None:
        return Response(operation.status, headers)
    body = msgspec.json.encode(operation.answer).replace(f'"{ROOT}/'.encode(), f'"{root}/'.encode())
    headers.setdefault("content-type", "application/json")
    return Response(operation.status, headers, body)


def _refusal(status: int, code: str, message: str) -> Response:
    body = msgspec.json.encode({"error": {"code": code, "message": message}})
    return Response(status, {"content-type": "application/json"}, body)


def reads_of(operations: Iterable[Operation]) -> Iterable[Operation]:
    """What was read before anything was written."""
    for operation in operations:
        if operation.is_write:
            return
        if operation.method in READ_METHODS:
            yield operation
