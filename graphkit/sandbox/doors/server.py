"""The same tenant behind HTTP on a loopback address, for clients in other processes and other languages."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from graphkit.sandbox.doors.wire import Door, without_lingering
from graphkit.sandbox.tenant import SimulatedTenant

if TYPE_CHECKING:
    import ssl

GRACE_S = 5.0
"""How long requests in hand may take once the server is told to stop."""
TLS_END_S = 1.0
"""How long a client may take to say goodbye in turn."""


async def serve(
    tenant: SimulatedTenant,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    tls: ssl.SSLContext | None = None,
    on_ready: Callable[[str], None] = lambda root: None,
) -> None:
    """Answer HTTP/1.1 on ``host`` until cancelled, then finish what is in hand; with ``tls``, over HTTPS, and HTTP/2
    too if h2 is there. Port 0 takes a free one; ``on_ready`` is told the address (``http://127.0.0.1:8080``). Raises
    ``ValueError`` for an address that others could reach, ``OSError`` for a port that is taken, ``ImportError`` with
    advice if h11 is missing.
    """
    if not is_loopback(host):
        raise ValueError(f"the simulated tenant is served on loopback addresses only, not on {host}")
    if find_spec("h11") is None:
        raise ImportError("serving needs h11: pip install 'graphkit-m365[sandbox]'")
    if tls:
        tls.set_alpn_protocols(["h2", "http/1.1"] if find_spec("h2") else ["http/1.1"])
    house = _House(Door(tenant, "https" if tls else "http"), tls)
    with await _listen(host, port) as listener:
        bound = listener.getsockname()
        name = f"[{bound[0]}]" if ":" in bound[0] else bound[0]
        on_ready(f"{house.door.scheme}://{name}:{bound[1]}")
        try:
            await house.admit(listener)
        finally:
            listener.close()
            await house.close()


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _listen(host: str, port: int) -> socket.socket:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    family, _, _, _, address = found[0]
    listener = socket.create_server(address[:2], family=family, backlog=100)
    listener.setblocking(False)
    return listener


class Connection(Protocol):
    """One client's connection, of any version of HTTP."""

    async def run(self) -> None: ...

    def wind_down(self) -> None: ...


class _House:
    """All connections of a server. It accepts them itself: a fault may turn one away before its TLS begins."""

    def __init__(self, door: Door, tls: ssl.SSLContext | None) -> None:
        self.door = door
        self._tls = tls
        self._guests: dict[asyncio.Task[None], Connection | None] = {}

    async def admit(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            except ConnectionError:  # gone before it was let in
                continue
            if self.door.tenant.faults.refuses_connection():
                without_lingering(connection)
                connection.close()
                continue
            task = asyncio.create_task(self._receive(connection))
            self._guests[task] = None
            task.add_done_callback(lambda ended: self._guests.pop(ended, None))

    async def _receive(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        ending = {"ssl_shutdown_timeout": TLS_END_S} if self._tls else {}
        try:
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls, **ending)
        except OSError:  # no TLS, or not with our certificate
            connection.close()
            return
        except asyncio.CancelledError:
            connection.close()
            raise
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        guest = _speak(self.door, reader, writer)
        task = asyncio.current_task()
        assert task  # noqa: S101 - we are one
        self._guests[task] = guest
        await guest.run()

    async def close(self) -> None:
        """Let everybody finish, but not for ever."""
        for task, guest in list(self._guests.items()):
            if guest is None:
                task.cancel()
            else:
                guest.wind_down()
        if self._guests:
            _, late = await asyncio.wait(self._guests, timeout=GRACE_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=GRACE_S)


def _speak(door: Door, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Connection:
    """The version of HTTP that the client has chosen while TLS began, if it had a choice."""
    from graphkit.sandbox.doors.http1 import Http1Connection

    session = writer.get_extra_info("ssl_object")
    if session is not None and session.selected_alpn_protocol() == "h2":
        from graphkit.sandbox.doors.http2 import Http2Connection

        return Http2Connection(door, reader, writer)
    return Http1Connection(door, reader, writer)
