"""One client's connection over HTTP/1.1, with h11: request after request, until either side has had enough."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import h11

from graphkit.sandbox.call import Answer, Mishap
from graphkit.sandbox.doors.wire import MAX_BODY, Door, hang_up, is_cut, pieces, slam
from graphkit.sandbox.faults import die


class Http1Connection:
    def __init__(self, door: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._door = door
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)
        self._idle = True
        self._ending = False

    async def run(self) -> None:
        try:
            while await self._one() and not self._ending:
                self._http.start_next_cycle()
        except (h11.ProtocolError, OSError):
            pass  # the client broke the protocol or went away: there is nobody left to tell
        finally:
            await hang_up(self._writer)

    def wind_down(self) -> None:
        """Answer what has been asked, and no more."""
        self._ending = True
        if self._idle:
            self._writer.close()

    async def _next(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                self._writer.write(self._http.send(go_on) or b"")
            self._http.receive_data(await self._reader.read(65536))
        return event

    async def _one(self) -> bool:
        """Answer one request. False when the connection is at its end."""
        self._idle = True
        request = await self._next()
        self._idle = False
        if not isinstance(request, h11.Request):
            return False
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in request.headers}
        method = request.method.decode()
        url = f"{self._door.scheme}://{headers.get('host', 'localhost')}{request.target.decode()}"
        fate = self._door.tenant.foresee(method, url, headers)
        early = fate.early
        if early and early.kind == "reset":
            slam(self._writer)
            return False
        body = await self._body()
        if body is None:
            return False
        return await self._tell(await self._door.ask(method, url, headers, body, fate))

    async def _body(self) -> bytes | None:
        body = bytearray()
        while isinstance(event := await self._next(), h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                return None
        return bytes(body)

    async def _tell(self, answer: Answer) -> bool:
        if answer.failure and answer.failure.silent:
            await self._strike(answer.failure)
            return False
        goes_on = await self._send(answer)
        if answer.last:
            die()
        return goes_on

    async def _strike(self, mishap: Mishap) -> None:
        """Say nothing. HTTP/1.1 has no word for what GOAWAY tells, nor for a refusal once a request is read: then the
        connection ends in good order.
        """
        if mishap.kind == "timeout":
            self._idle = True
            await self._reader.read()  # until the client gives up
        if mishap.kind in ("timeout", "reset"):
            slam(self._writer)

    async def _send(self, answer: Answer) -> bool:
        headers = list(answer.headers.items())
        if answer.status != HTTPStatus.NO_CONTENT:
            headers.append(("Content-Length", str(len(answer.body))))
        if self._ending:
            headers.append(("Connection", "close"))
        self._write(h11.Response(status_code=answer.status, headers=headers))
        for number, piece in enumerate(pieces(answer)):
            if number and answer.failure:
                await self._writer.drain()
                await self._door.tenant.clock.sleep(answer.failure.seconds)
            self._write(h11.Data(data=piece))
        if is_cut(answer):
            return False
        self._write(h11.EndOfMessage())
        await self._writer.drain()
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    def _write(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")
