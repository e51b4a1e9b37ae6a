"""One client's connection over HTTP/2 (RFC 9113), with h2: many requests at once, each a stream."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from hyperframe.frame import GoAwayFrame

from graphkit.sandbox.call import Answer, Mishap
from graphkit.sandbox.doors.wire import MAX_BODY, Door, hang_up, is_cut, pieces, slam
from graphkit.sandbox.faults import die


@dataclass(slots=True)
class _Stream:
    """A request on its way in."""

    id: int
    method: str
    url: str
    headers: dict[str, str]
    fate: Any
    body: bytearray = field(default_factory=bytearray)


class Http2Connection:
    def __init__(self, door: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._door = door
        self._reader = reader
        self._writer = writer
        self._http = H2Connection(H2Configuration(client_side=False, header_encoding="latin-1"))
        self._streams: dict[int, _Stream] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._unheard: set[int] = set()
        self._room = asyncio.Event()
        self._highest = 0
        self._leaving = False
        self._gone = False

    async def run(self) -> None:
        try:
            self._http.initiate_connection()
            await self._flush()
            while data := await self._reader.read(65536):
                for event in self._http.receive_data(data):
                    self._on(event)
                await self._flush()
        except (ProtocolError, OSError):
            pass  # the client broke the protocol or went away: there is nobody left to tell
        finally:
            for task in self._tasks.values():
                task.cancel()
            await hang_up(self._writer)

    def wind_down(self) -> None:
        """Answer what has been asked, and no more. GOAWAY comes last: some clients take it for every stream's end."""
        self._leaving = True
        self._leave_if_done()

    # -- what comes in -------------------------------------------------------------------------------------------

    def _on(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._open(event)
        elif isinstance(event, DataReceived):
            self._take(event)
        elif isinstance(event, StreamEnded | StreamReset):
            self._end(event.stream_id, given_up=isinstance(event, StreamReset))
        elif isinstance(event, WindowUpdated | RemoteSettingsChanged):
            self._room.set()
        elif isinstance(event, ConnectionTerminated):
            self._leaving = True
            self._leave_if_done()

    def _open(self, event: RequestReceived) -> None:
        if self._leaving:
            if not self._gone:  # else above the last stream that we named: the client knows that it was not processed
                self._http.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        told = {str(name): str(value) for name, value in event.headers}
        url = f"{self._door.scheme}://{told.get(':authority', 'localhost')}{told[':path']}"
        headers = {name: value for name, value in told.items() if not name.startswith(":")}
        stream = _Stream(event.stream_id, told[":method"], url, headers, None)
        stream.fate = self._door.tenant.foresee(stream.method, url, headers)
        early = stream.fate.early
        if early is None:
            self._highest = event.stream_id
            self._streams[event.stream_id] = stream
        else:
            self._unheard.add(event.stream_id)  # whoever leaves before it was sent leaves with a reset
            self._strike(early, stream)

    def _take(self, event: DataReceived) -> None:
        stream = self._streams.get(event.stream_id)
        self._http.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id)
        if stream is None:
            return
        stream.body += event.data or b""
        if len(stream.body) > MAX_BODY:
            del self._streams[stream.id]
            self._http.reset_stream(stream.id, ErrorCodes.CANCEL)

    def _end(self, stream_id: int, *, given_up: bool) -> None:
        """The client has said all, or wants no answer any more."""
        stream = self._streams.pop(stream_id, None)
        if given_up and stream_id in self._tasks:
            self._tasks[stream_id].cancel()
        elif stream and not given_up:
            self._start(stream)
        self._unheard.discard(stream_id)
        self._leave_if_done()

    def _start(self, stream: _Stream) -> None:
        task = asyncio.create_task(self._answer(stream))
        self._tasks[stream.id] = task
        task.add_done_callback(lambda _: self._ended(stream.id))

    def _ended(self, stream_id: int) -> None:
        self._tasks.pop(stream_id, None)
        self._leave_if_done()

    # -- what goes out -------------------------------------------------------------------------------------------

    async def _answer(self, stream: _Stream) -> None:
        answer = await self._door.ask(stream.method, stream.url, stream.headers, bytes(stream.body), stream.fate)
        if answer.failure and answer.failure.silent:
            self._strike(answer.failure, stream)
            return
        with suppress(ProtocolError, OSError):  # the client has given up on this stream
            await self._send(stream.id, answer)
            if answer.last:
                die()

    async def _send(self, stream_id: int, answer: Answer) -> None:
        headers = [(":status", str(answer.status)), *((name.lower(), value) for name, value in answer.headers.items())]
        if answer.status != HTTPStatus.NO_CONTENT:
            headers.append(("content-length", str(len(answer.body))))
        self._http.send_headers(stream_id, headers, end_stream=not answer.body)
        for number, piece in enumerate(pieces(answer)):
            if number and answer.failure:
                await self._flush()
                await self._door.tenant.clock.sleep(answer.failure.seconds)
            await self._send_data(stream_id, piece)
        if is_cut(answer):
            self._http.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
        elif answer.body:
            self._http.end_stream(stream_id)
        await self._flush()

    async def _send_data(self, stream_id: int, data: bytes) -> None:
        """As much at a time as the client has room for (RFC 9113, 5.2)."""
        at = 0
        while at < len(data):
            room = min(self._http.local_flow_control_window(stream_id), self._http.max_outbound_frame_size)
            if room <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            self._http.send_data(stream_id, data[at : at + room])
            at += room
            await self._flush()

    async def _flush(self) -> None:
        self._writer.write(self._http.data_to_send())
        await self._writer.drain()

    # -- ends ----------------------------------------------------------------------------------------------------

    def _strike(self, mishap: Mishap, stream: _Stream) -> None:
        """Say nothing, or what HTTP/2 has a word for."""
        if mishap.kind == "reset":
            slam(self._writer)
        elif mishap.kind == "refuse":
            self._http.reset_stream(stream.id, ErrorCodes.REFUSED_STREAM)
        elif mishap.kind == "goaway":
            self._go_away()
            self._leave_if_done()

    def _go_away(self) -> None:
        """Name the last stream that was or will be processed. Past h2, which takes GOAWAY for the end of all."""
        last = GoAwayFrame(stream_id=0, last_stream_id=self._highest, error_code=ErrorCodes.NO_ERROR)
        self._writer.write(self._http.data_to_send())
        self._writer.write(last.serialize())
        self._leaving = self._gone = True

    def _leave_if_done(self) -> None:
        if not self._leaving or self._tasks or self._streams or self._unheard:
            return
        if not self._gone:
            self._go_away()
        self._writer.close()
