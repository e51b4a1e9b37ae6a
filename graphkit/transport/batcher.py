"""Folds single requests into ``$batch`` calls, and hands each caller the answer to its own.

One lane per API version and workload, each with slots of its own, so that a slow service holds up nobody else. A lane
flushes at the next turn of the loop while it has a free slot; while all are busy its queue grows, so that under load
the batches fill by themselves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from graphkit.errors import OutcomeUnknown
from graphkit.protocol import batch
from graphkit.protocol.message import Idempotency, Request, Response, Stage
from graphkit.protocol.routes import workload

SLOTS = 8
"""Calls in flight per lane: 8 full batches saturate every published quota up to 200 ms a call."""

# The envelope itself was refused, so nothing in it was executed, and one bad item must not spoil the others.
_ENVELOPE_REFUSED = frozenset({400, 404, 405, 411, 413, 415, 501})
_NO_BATCHES_HERE = frozenset({404, 405, 501})

_Call = tuple[Request, "asyncio.Future[Response]"]


class Recalled(Exception):
    """It was let through and is taken back before it left: the stage above sends it again in its time."""


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
        self._calls: set[asyncio.Task[None]] = set()
        self._envelopes = True

    async def send(self, request: Request) -> Response:
        loop = asyncio.get_running_loop()
        lane = self._lane(request)
        answer: asyncio.Future[Response] = loop.create_future()
        lane.queue.append((request, answer))
        self._schedule(lane, loop)
        return await answer

    def recall(self, meant: Callable[[Request], bool]) -> None:
        """Give back what still waits for a place on the wire; its caller gets ``Recalled``."""
        for lane in self._lanes.values():
            lane.queue = _recalled(lane.queue, meant)
            lane.apart = _recalled(lane.apart, meant)

    async def aclose(self) -> None:
        """Cancel what is under way and what waits; nothing leaves any more."""
        self._slots = 0
        for lane in self._lanes.values():
            for _, answer in (*lane.queue, *lane.apart):
                answer.cancel()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

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
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    def _fill(self, lane: _Lane) -> list[_Call]:
        while lane.apart:
            call = lane.apart.popleft()
            if not call[1].done():
                return [call]
        calls: list[_Call] = []
        size = 0
        queue = lane.queue
        while queue and len(calls) < batch.MAX_ITEMS:
            request, answer = queue[0]
            if answer.done():
                queue.popleft()
                continue
            alone = not self._envelopes or not batch.batchable(request)
            size += len(request.body or b"")
            if calls and (alone or size > batch.MAX_BYTES):
                break
            calls.append(queue.popleft())
            if alone:
                break
        return calls

    async def _deliver(self, lane: _Lane, calls: list[_Call]) -> None:
        try:
            if len(calls) == 1:
                await self._bare(calls[0])
            else:
                await self._together(lane, calls)
        except asyncio.CancelledError:
            for _, answer in calls:
                answer.cancel()
            raise
        except Exception as error:  # every caller of this batch must hear of it, whatever it is
            for _, answer in calls:
                if not answer.done():
                    answer.set_exception(error)
        finally:
            lane.busy -= 1
            if lane.queue or lane.apart:
                self._schedule(lane, asyncio.get_running_loop())

    async def _bare(self, call: _Call) -> None:
        request, answer = call
        try:
            response = await self._following.send(request)
        except Exception as error:
            if not answer.done():
                answer.set_exception(error)
            return
        if not answer.done():
            answer.set_result(response)

    async def _together(self, lane: _Lane, calls: Sequence[_Call]) -> None:
        body = batch.encode([request for request, _ in calls])
        envelope = Request(method="POST", path="/$batch", body=body, version=lane.version, idempotency=Idempotency.ONCE)
        outer = await self._following.send(envelope)
        try:
            answers = batch.decode(outer.body, len(calls))
        except ValueError:
            if outer.ok:
                answers = [None] * len(calls)
            elif outer.status in _ENVELOPE_REFUSED:
                self._envelopes = self._envelopes and outer.status not in _NO_BATCHES_HERE
                lane.apart.extend(calls)
                return
            else:
                answers = [replace(outer) for _ in calls]
        for call, inner in zip(calls, answers, strict=True):
            _hand_over(call, inner, outer)


def _recalled(queue: deque[_Call], meant: Callable[[Request], bool]) -> deque[_Call]:
    kept: deque[_Call] = deque()
    for request, answer in queue:
        if answer.done() or not meant(request):
            kept.append((request, answer))
        else:
            answer.set_exception(Recalled())
    return kept


def _hand_over(call: _Call, inner: Response | None, outer: Response) -> None:
    request, answer = call
    if answer.done():
        return
    if inner is None:
        answer.set_exception(_missing(request, outer))
        return
    inner.client_request_id = outer.client_request_id
    inner.token_serial = outer.token_serial
    if inner.status >= 400 and "date" in outer.headers:
        inner.headers = {"date": outer.headers["date"], **inner.headers}
    answer.set_result(inner)


def _missing(request: Request, outer: Response) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"{request.method} {request.path.partition('?')[0]}: its batch came back without an answer to it",
        request_id=outer.headers.get("request-id", ""),
        client_request_id=outer.client_request_id,
    )
