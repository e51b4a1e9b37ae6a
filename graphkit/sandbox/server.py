"""The same tenant behind HTTP on a loopback address, for clients in other processes and other languages."""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.call import Answer
from graphkit.sandbox.faults import die
from graphkit.sandbox.tenant import SimulatedTenant

if TYPE_CHECKING:
    import ssl

MAX_BODY = 16 * 1024 * 1024


async def serve(
    tenant: SimulatedTenant,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    tls: ssl.SSLContext | None = None,
    on_ready: Callable[[str], None] = lambda root: None,
) -> None:
    """Answer HTTP/1.1 on ``host`` until cancelled; with ``tls``, over HTTPS. Port 0 takes a free one; ``on_ready`` is
    told the address (``http://127.0.0.1:8080``). Raises ``ValueError`` for an address that others could reach,
    ``OSError`` for a port that is taken, ``ImportError`` with advice if h11 is missing.
    """
    if not is_loopback(host):
        raise ValueError(f"the simulated tenant is served on loopback addresses only, not on {host}")
    h11 = _h11()
    scheme = "https" if tls else "http"
    server = await asyncio.start_server(lambda r, w: _Connection(tenant, h11, scheme, r, w).run(), host, port, ssl=tls)
    async with server:
        bound = server.sockets[0].getsockname()
        name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        on_ready(f"{scheme}://{name}:{bound[1]}")
        await server.serve_forever()


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _h11() -> Any:
    try:
        import h11
    except ImportError as error:
        raise ImportError("serving needs h11: pip install 'graphkit-m365[sandbox]'") from error
    return h11


class _Connection:
    """One client's connection: request after request, until either side has had enough."""

    def __init__(
        self,
        tenant: SimulatedTenant,
        h11: Any,
        scheme: str,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._tenant = tenant
        self._h11 = h11
        self._scheme = scheme
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.SERVER)

    async def run(self) -> None:
        try:
            while await self._one():
                self._http.start_next_cycle()
        except (self._h11.ProtocolError, ConnectionError):
            pass  # the client broke the protocol or went away: there is nobody left to tell
        finally:
            self._writer.close()

    async def _next(self) -> Any:
        while (event := self._http.next_event()) is self._h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._writer.write(self._http.send(self._h11.InformationalResponse(status_code=100, headers=[])))
            self._http.receive_data(await self._reader.read(65536))
        return event

    async def _one(self) -> bool:
        """Answer one request. False when the connection is at its end."""
        request = await self._next()
        if not isinstance(request, self._h11.Request):
            return False
        body = bytearray()
        while isinstance(event := await self._next(), self._h11.Data):
            body += event.data
            if len(body) > MAX_BODY:
                return False
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in request.headers}
        answer = await self._ask(request, headers, bytes(body))
        if answer.failure:
            await self._fail(answer.failure)
            return False
        goes_on = await self._send(answer)
        if answer.last:
            die()
        return goes_on

    async def _ask(self, request: Any, headers: dict[str, str], body: bytes) -> Answer:
        tenant = self._tenant
        url = f"{self._scheme}://{headers.get('host', 'localhost')}{request.target.decode()}"
        answer = tenant.handle(request.method.decode(), url, headers, body)
        if tenant.latency_s or answer.delay_s:
            await tenant.clock.sleep(tenant.latency_s + answer.delay_s)
        return answer

    async def _fail(self, failure: str) -> None:
        if failure == "timeout":
            await self._reader.read()  # until the client gives up
        # Lingering for no time makes the close a reset, not an orderly end.
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if os.name == "nt" else "ii", 1, 0))
        self._writer.transport.abort()

    async def _send(self, answer: Answer) -> bool:
        headers = list(answer.headers.items())
        if answer.status != HTTPStatus.NO_CONTENT:
            headers.append(("Content-Length", str(len(answer.body))))
        self._writer.write(self._http.send(self._h11.Response(status_code=answer.status, headers=headers)))
        if answer.body:
            self._writer.write(self._http.send(self._h11.Data(data=answer.body)))
        self._writer.write(self._http.send(self._h11.EndOfMessage()))
        await self._writer.drain()
        return bool(self._http.our_state is self._h11.DONE and self._http.their_state is self._h11.DONE)
