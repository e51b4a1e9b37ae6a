"""What the ways in have in common: asking the tenant, and dressing its answer for the wire."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.call import Answer

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

MAX_BODY = 16 * 1024 * 1024
COMPRESSED_ABOVE = 1000
_CHUNK = b" " * (1024 * 1024)


@dataclass(frozen=True)
class Door:
    """A served tenant as its connections see it."""

    tenant: SimulatedTenant
    scheme: str

    async def ask(self, method: str, url: str, headers: dict[str, str], body: bytes, fate: Any) -> Answer:
        """The tenant's answer, when its time has come. ``fate`` is what the tenant foresaw."""
        tenant = self.tenant
        answer = tenant.handle(method, url, headers, body, fate=fate)
        if tenant.latency_s or answer.delay_s:
            await tenant.clock.sleep(tenant.latency_s + answer.delay_s)
        return dress(answer, headers.get("accept-encoding", ""), compress=True)


def dress(answer: Answer, accepted: str, *, compress: bool) -> Answer:
    """The answer as it is sent: compressed, if the client accepts that and it is wanted here or by a fault."""
    mishap = answer.failure
    if mishap and mishap.kind == "bomb" and answer.body:
        return _encoded(answer, bomb(mishap.size))
    wanted = (mishap and mishap.gzip) or (compress and len(answer.body) > COMPRESSED_ABOVE)
    if not wanted or not answer.body or not accepts_gzip(accepted):
        return answer
    return _encoded(answer, gzip.compress(answer.body, 1, mtime=0))


def _encoded(answer: Answer, body: bytes) -> Answer:
    headers = {**answer.headers, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    return answer._replace(headers=headers, body=body)


def accepts_gzip(header: str) -> bool:
    """RFC 9110, 12.5.3: named, and not with a weight of nothing."""
    for item in header.lower().split(","):
        name, _, weight = item.partition(";")
        if name.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


def pieces(answer: Answer) -> list[bytes]:
    """The body as it is sent: in one piece, in several, or only its beginning."""
    body, mishap = answer.body, answer.failure
    if mishap is None or not body:
        return [body] if body else []
    if mishap.kind == "truncate":
        return [body[: int(len(body) * mishap.share)]]
    size = -(-len(body) // mishap.pieces)
    return [body[at : at + size] for at in range(0, len(body), size)]


def is_cut(answer: Answer) -> bool:
    return bool(answer.failure and answer.failure.kind == "truncate" and answer.body)


@lru_cache(maxsize=4)
def bomb(size: int) -> bytes:
    """An empty collection in JSON with so many blanks that it unpacks to ``size`` bytes.

    Between full flushes equal blocks compress to equal bytes, so that one is compressed and repeated.
    """
    head, tail = b'{"value":[', b"]}"
    blocks, rest = divmod(size - len(head) - len(tail), len(_CHUNK))
    press = zlib.compressobj(9, zlib.DEFLATED, -15)
    begin = press.compress(head) + press.flush(zlib.Z_FULL_FLUSH)
    block = press.compress(_CHUNK) + press.flush(zlib.Z_FULL_FLUSH)
    end = press.compress(_CHUNK[:rest] + tail) + press.flush()
    check = zlib.crc32(head)
    for _ in range(blocks):
        check = zlib.crc32(_CHUNK, check)
    check = zlib.crc32(_CHUNK[:rest] + tail, check)
    trailer = struct.pack("<II", check, size & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + begin + block * blocks + end + trailer


# -- ends of connections --


def without_lingering(connection: Any) -> None:
    """Lingering for no time makes the close a reset, not an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if os.name == "nt" else "ii", 1, 0))


def slam(writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    without_lingering(writer.get_extra_info("socket"))
    writer.transport.abort()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """End the connection in good order, and wait until it has ended."""
    writer.close()
    try:
        await writer.wait_closed()
    except OSError:  # the other side was quicker
        writer.transport.abort()
