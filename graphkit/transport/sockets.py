"""asyncio's own sockets under httpcore, in the place of anyio's: four tenths of the CPU of a call.

httpcore keeps the protocol, the connections and the proxies; this carries bytes (its ``network_backend``:
https://www.encode.io/httpcore/network-backends/).
"""

from __future__ import annotations

import asyncio
import select
import ssl
import sys
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpcore

_CORK = 64 * 1024
"""Head and body of a request leave together, in one call of the system, up to so many bytes."""
_AHEAD = 256 * 1024
"""Bytes that may have come unread before the other side is made to wait."""
_NEXT_FAMILY_S = 0.25
"""Before the next address of a host is tried beside the first (RFC 8305)."""


class AsyncioBackend(httpcore.AsyncNetworkBackend):
    """Raises ``httpcore.ConnectTimeout`` or ``httpcore.ConnectError`` if there is no connection."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        local = (local_address, 0) if local_address else None
        loop = asyncio.get_running_loop()
        # uvloop, on which many a web server runs us, tries one address after the other and knows no such option.
        both: dict[str, Any] = (
            {"happy_eyeballs_delay": _NEXT_FAMILY_S} if isinstance(loop, asyncio.BaseEventLoop) else {}
        )
        try:
            async with asyncio.timeout(timeout):
                transport, stream = await loop.create_connection(Stream, host, port, local_addr=local, **both)
        except TimeoutError as error:
            # Without a limit it is the system that has lost patience.
            limit = f" within {timeout:g} s" if timeout is not None else ""
            raise httpcore.ConnectTimeout(f"no connection{limit}") from error
        except (OSError, UnicodeError) as error:  # UnicodeError: what can be no name of a host
            raise httpcore.ConnectError(str(error)) from error
        for option in socket_options or ():
            transport.get_extra_info("socket").setsockopt(*option)
        return stream


class Stream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection. HTTP/1.1 asks and listens in turn, so that never more than one waits here.

    ``timeout`` in seconds. ``max_bytes`` is not looked at: h11 takes whatever has come, and to cut it up is to copy it.
    Raises the ``httpcore`` error of what was being done.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._corked: list[bytes] = []
        self._corked_size = 0
        self._unread: deque[bytes] = deque()
        self._unread_size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._full = False
        self._asking = False
        self._ended = False
        self._error: Exception | None = None

    # What httpcore asks for

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._corked:
            # Who closes before all has been said may have answered before that.
            with suppress(httpcore.WriteError):
                await self._flush(timeout)
        while not self._unread and not self._ended:
            await self._wait(timeout, httpcore.ReadTimeout)
        if self._unread:
            return self._take()
        if self._error is not None:
            raise httpcore.ReadError(str(self._error)) from self._error
        return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._corked.append(buffer)
        self._corked_size += len(buffer)
        if self._corked_size > _CORK:
            await self._flush(timeout)

    async def aclose(self) -> None:
        # Without a farewell: whatever is closed here is idle or broken.
        self._ended = True
        self._transport.abort()
        self._wake()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        if self._unread or self._ended:
            # What was said in the clear would be read as if it had been said under encryption.
            self._transport.abort()
            raise httpcore.ConnectError("the other side spoke, or closed, before the connection was encrypted")
        try:
            transport = await self._loop.start_tls(
                self._transport, self, ssl_context, server_hostname=server_hostname, ssl_handshake_timeout=timeout
            )
        except OSError as error:  # ssl.SSLError is one
            self._transport.abort()
            raise httpcore.ConnectError(str(error)) from error
        if transport is None:
            raise httpcore.ConnectError("the connection was closed while it was being encrypted")
        self._transport = transport
        return self

    def get_extra_info(self, info: str) -> Any:
        match info:
            case "is_readable":
                # The loop may not have looked at the socket yet when its connection is chosen for the next request.
                return self._ended or bool(self._unread) or _readable(self._transport.get_extra_info("socket"))
            case "client_addr":
                return self._transport.get_extra_info("sockname")
            case "server_addr":
                return self._transport.get_extra_info("peername")
            case _:
                return self._transport.get_extra_info(info)

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # that of a protocol like this one is a Transport

    def data_received(self, data: bytes) -> None:
        self._unread.append(data)
        self._unread_size += len(data)
        if self._unread_size > _AHEAD:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        self._ended = True
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = True
        self._error = error
        self._wake()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    def _take(self) -> bytes:
        self._asking = False
        data = self._unread.popleft()
        was, self._unread_size = self._unread_size, self._unread_size - len(data)
        if was > _AHEAD >= self._unread_size:
            self._transport.resume_reading()
        return data

    async def _flush(self, timeout: float | None) -> None:
        data = b"".join(self._corked)
        self._corked.clear()
        self._corked_size = 0
        if not self._asking and (self._unread or self._ended):
            # It was kept open after the last answer and closed since, or says what nobody asked for, which would be
            # taken for the answer. Whoever asks again elsewhere worsens nothing.
            raise httpcore.ConnectError("the other side has closed the connection, or spoke before it was asked")
        if self._ended:
            raise httpcore.WriteError("the other side has closed the connection")
        self._asking = True
        self._transport.write(data)
        while self._full and not self._ended:
            await self._wait(timeout, httpcore.WriteTimeout)

    async def _wait(self, timeout: float | None, late: type[httpcore.TimeoutException]) -> None:
        waiter = self._waiter = self._loop.create_future()
        alarm = self._loop.call_later(timeout, self._expire, waiter, late) if timeout is not None else None
        try:
            await waiter
        finally:
            self._waiter = None
            if alarm is not None:
                alarm.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _expire(self, waiter: asyncio.Future[None], late: type[httpcore.TimeoutException]) -> None:
        if not waiter.done():
            waiter.set_exception(late("no sign of the other side in time"))


if sys.platform == "win32":

    def _readable(sock: Any) -> bool:
        return bool(select.select([sock], [], [], 0)[0])

else:

    def _readable(sock: Any) -> bool:
        # Not select: it knows no file descriptor above 1,023.
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
