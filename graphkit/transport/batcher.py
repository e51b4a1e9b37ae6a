"""Folds single requests into ``$batch`` calls, and hands each caller the answer to its own.

One lane per API version and workload, each with slots of its own, so that a slow service holds up nobody else. A lane
flushes at the next turn of the loop while it has a free slot; while all are busy its queue grows, so that under load
the batches fill by themselves.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec.structs import replace

from graphkit.errors import OutcomeUnknown
from graphkit.log import event
from graphkit.protocol import batch
from graphkit.protocol.message import Answer, Idempotency, Request, Response, Stage
from graphkit.protocol.routes import workload

logger = logging.getLogger("graphkit.transport")

SLOTS = 8
"""Calls in flight per lane: 8 full batches saturate every published quota up to 200 ms a call."""

# The envelope itself was refused, so nothing in it was executed, and one bad item must not spoil the others.
_ENVELOPE_REFUSED = frozenset({400, 404, 405, 411, 413, 415, 501})
_NO_BATCHES_HERE = frozenset({404, 405, 501})

_Call = tuple[Sequence[Request], "asyncio.Future[list[Answer]]"]
"""What one caller gave at once, and where its answers go."""


class Recalled(Exception):
    """It was let through and is taken back before it left: the stage above sends it again in its time."""


class _EnvelopeRefused(Exception):
    """Nothing in it was executed."""


class _Lane:
    """``apart`` are those whose envelope was refused: each goes by itself, before all others."""

    __slots__ = ("apart", "busy", "due", "queue", "version")

    def __init__(self, version: str) -> None:
        self.version = version
        self.queue: deque[_Call] = deque()
        self.apart: deque[_Call] = deque()
        self.busy = 0
        self.due = False


class Batcher:
    """A lone request, a nextLink and anything too large for an envelope go bare. Once it is ``late`` nothing leaves any
    more: whatever still waits for a place on the wire is ``Recalled``.

    Raises what the following stage raises, and ``OutcomeUnknown`` for a request whose answer its batch lacks.
    """

    def __init__(self, following: Stage, *, slots: int = SLOTS, late: Callable[[], bool] = lambda: False) -> None:
        self._following = following
        self._slots = slots
        self._late = late
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._calls: dict[asyncio.Task[None], Sequence[_Call]] = {}
        self._envelopes = True
        self._closed = False

    async def send(self, request: Request) -> Response:
        (answer,) = await self._queued((request,))
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def send_batch(self, requests: Sequence[Request]) -> list[Answer]:
        """They share a lane, and an envelope. What is taken back is ``Recalled``, all of it or a part."""
        return await self._queued(requests)

    def recall(self, meant: Callable[[Request], bool]) -> None:
        """Give back what still waits for a place on the wire; its caller gets ``Recalled``."""
        for lane in self._lanes.values():
            lane.queue = _recalled(lane.queue, meant)
            lane.apart = _recalled(lane.apart, meant)

    async def aclose(self) -> None:
        """Whoever waits is cancelled, whether it is under way, about to be or in a queue; nothing more is sent."""
        self._closed = True
        for lane in self._lanes.values():
            _cancel((*lane.queue, *lane.apart))
            lane.queue.clear()
            lane.apart.clear()
        for task, calls in self._calls.items():
            # Not left to the task, which may have been cancelled before its first step.
            _cancel(calls)
            task.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    def _queued(self, requests: Sequence[Request]) -> asyncio.Future[list[Answer]]:
        loop = asyncio.get_running_loop()
        lane = self._lane(requests[0])
        answers: asyncio.Future[list[Answer]] = loop.create_future()
        if self._closed:
            answers.cancel()
            return answers
        lane.queue.append((requests, answers))
        self._schedule(lane, loop)
        return answers

    def _lane(self, request: Request) -> _Lane:
        key = (request.version, workload(request.path))
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane(request.version)
        return lane

    def _schedule(self, lane: _Lane, loop: asyncio.AbstractEventLoop) -> None:
        if not lane.due and lane.busy < self._slots:
            lane.due = True
            loop.call_soon(self._flush, lane, loop)

    def _flush(self, lane: _Lane, loop: asyncio.AbstractEventLoop) -> None:
        lane.due = False
        if self._late():
            self.recall(lambda _: True)
        while lane.busy < self._slots and (calls := self._fill(lane)):
            lane.busy += 1
            task = loop.create_task(self._deliver(lane, calls))
            self._calls[task] = calls
            task.add_done_callback(self._calls.pop)

    def _fill(self, lane: _Lane) -> list[_Call]:
        if not self._envelopes:
            lane.apart.extend(apart for call in lane.queue for apart in _taken_apart(call))
            lane.queue.clear()
        while lane.apart:
            call = lane.apart.popleft()
            if not call[1].done():
                return [call]
        calls: list[_Call] = []
        count = size = 0
        queue = lane.queue
        while queue and count < batch.MAX_ITEMS:
            requests, answers = queue[0]
            if answers.done():
                queue.popleft()
                continue
            alone = not batch.batchable(requests[0])
            count += len(requests)
            size += sum(len(request.body) for request in requests if request.body)
            if calls and (alone or count > batch.MAX_ITEMS or size > batch.MAX_BYTES):
                break
            calls.append(queue.popleft())
            if alone:
                break
        return calls

    async def _deliver(self, lane: _Lane, calls: Sequence[_Call]) -> None:
        requests = [request for given, _ in calls for request in given]
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            answers = await self._answers(lane, requests)
        except asyncio.CancelledError:
            _cancel(calls)
            raise
        except _EnvelopeRefused:
            lane.apart.extend(apart for call in calls for apart in _taken_apart(call))
            return
        except Exception as error:  # every caller of this batch must hear of it, whatever it is
            answers = [error] * len(requests)
        finally:
            lane.busy -= 1
            # Only after the answers are known: whoever hears of a refusal can still call back what is in the queue.
            if lane.queue or lane.apart:
                loop.call_soon(self._schedule, lane, loop)
        if logger.isEnabledFor(logging.INFO):
            _tell(requests, answers, loop.time() - begun)
        _hand_over(calls, answers)

    async def _answers(self, lane: _Lane, requests: Sequence[Request]) -> list[Answer]:
        if len(requests) == 1:
            return [await self._following.send(requests[0])]
        return await self._together(lane, requests)

    async def _together(self, lane: _Lane, requests: Sequence[Request]) -> list[Answer]:
        envelope = Request(
            method="POST",
            path="/$batch",
            body=batch.encode(requests),
            version=lane.version,
            idempotency=Idempotency.ONCE,
        )
        outer = await self._following.send(envelope)
        try:
            answers = batch.decode(outer.body, len(requests))
        except ValueError:
            if outer.ok:
                answers = [None] * len(requests)
            elif outer.status in _ENVELOPE_REFUSED:
                self._envelopes = self._envelopes and outer.status not in _NO_BATCHES_HERE
                raise _EnvelopeRefused from None
            else:
                answers = [replace(outer) for _ in requests]
        return [
            _missing(request, outer) if inner is None else _completed(inner, outer)
            for request, inner in zip(requests, answers, strict=True)
        ]


def _recalled(queue: deque[_Call], meant: Callable[[Request], bool]) -> deque[_Call]:
    kept: deque[_Call] = deque()
    for requests, answers in queue:
        if answers.done() or not any(map(meant, requests)):
            kept.append((requests, answers))
        else:
            answers.set_result([Recalled()] * len(requests))
    return kept


def _taken_apart(call: _Call) -> list[_Call]:
    """Each request of a call with a place of its own; the caller is answered once all of them are."""
    requests, answers = call
    if answers.done():
        return []
    if len(requests) == 1:
        return [call]
    loop = asyncio.get_running_loop()
    places: list[asyncio.Future[list[Answer]]] = [loop.create_future() for _ in requests]
    whole = asyncio.gather(*places, return_exceptions=True)

    def answer(_: object) -> None:
        if whole.cancelled() or any(place.cancelled() for place in places):
            answers.cancel()
        elif not answers.done():
            answers.set_result([answer for place in places for answer in place.result()])

    whole.add_done_callback(answer)
    answers.add_done_callback(lambda _: whole.cancel())  # for a caller who has given up nothing more is sent
    return [((request,), place) for request, place in zip(requests, places, strict=True)]


def _cancel(calls: Iterable[_Call]) -> None:
    for _, waiting in calls:
        waiting.cancel()


def _hand_over(calls: Sequence[_Call], answers: Sequence[Answer]) -> None:
    begin = 0
    for requests, waiting in calls:
        end = begin + len(requests)
        if not waiting.done():
            waiting.set_result(list(answers[begin:end]))
        begin = end


def _tell(requests: Sequence[Request], answers: Sequence[Answer], seconds: float) -> None:
    """One event for each request, whether it went bare or in an envelope; what its query asks for may name people."""
    for request, answer in zip(requests, answers, strict=True):
        head = request.path.partition("?")[0]
        if isinstance(answer, Response):
            told: dict[str, Any] = {
                "status": answer.status,
                "request_id": answer.headers.get("request-id"),
                "client_request_id": answer.client_request_id or None,
            }
        else:
            told = {"reason": type(answer).__name__}
        event(
            logger,
            "request-sent",
            method=request.method,
            path=f"/{request.version}{head}" if head.startswith("/") else head,
            bucket=workload(request.path),
            ms=round(1000 * seconds),
            **told,
        )


def _completed(inner: Response, outer: Response) -> Response:
    """With what only the envelope tells."""
    inner.client_request_id = outer.client_request_id
    inner.token_serial = outer.token_serial
    if inner.status >= 400 and "date" in outer.headers:
        inner.headers = {"date": outer.headers["date"], **inner.headers}
    return inner


def _missing(request: Request, outer: Response) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"{request.method} {request.path.partition('?')[0]}: its batch came back without an answer to it",
        request_id=outer.headers.get("request-id", ""),
        client_request_id=outer.client_request_id,
    )
