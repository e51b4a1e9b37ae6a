"""Files behind pre-authenticated links: reports and exports that Graph points to instead of answering.

The one exception to the rule that nothing leaves for another host than Graph's, and a stage of its own: one link, GET,
https, a host that the cloud's record names, no token and no cookie. A link is a key to its file, so that it is neither
logged nor kept, nor part of any message.
"""

from __future__ import annotations

from typing import BinaryIO
from urllib.parse import SplitResult, urlsplit

import httpx

from graphkit.clock import Clock
from graphkit.errors import ConnectionFailed, ServiceError, UntrustedDestination
from graphkit.protocol.clouds import Cloud
from graphkit.transport.wire import Timeouts

MAX_BYTES = 1 << 30
"""Of one file: a report on a million people has some hundred megabytes."""
WAITS_S = (2.0, 10.0)
"""Before each further try: a link is good for some minutes."""


class Downloads:
    """Fetches files over the transport that the wire uses."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        cloud: Cloud,
        clock: Clock,
        timeouts: Timeouts | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._transport = transport
        self._cloud = cloud
        self._clock = clock
        self._max_bytes = max_bytes
        wait = timeouts or Timeouts()
        self._timeout = {"connect": wait.connect, "pool": wait.pool, "write": wait.write, "read": wait.read}

    async def fetch(self, link: str, into: BinaryIO, *, user_agent: str) -> None:
        """Write the file to ``into``, from where that stands.

        Raises ``UntrustedDestination`` if the link leads elsewhere (nothing was sent), ``ServiceError`` if the file is
        refused or too large, ``ConnectionFailed`` if it could not be had whole.
        """
        host = self._check(link)
        start = into.tell()
        for wait in (*WAITS_S, None):
            try:
                await self._try(link, host, into, user_agent)
                return
            except (httpx.HTTPError, httpx.StreamError, _Busy) as error:
                if wait is None:
                    # The cause might quote the link.
                    reason = f"no whole file came from {host}: {type(error).__name__}"
                    raise ConnectionFailed(reason, hint="try again: a new link is asked for") from None
                into.seek(start)
                into.truncate()
                await self._clock.sleep(wait)

    def _check(self, link: str) -> str:
        """The host of a link that may be followed."""
        parts = urlsplit(link)
        plain = link.isascii() and link.isprintable() and not set(link) & set(' \\"<>') and "@" not in parts.netloc
        if plain and (_origin(parts) == _origin(urlsplit(self._cloud.graph_root)) or self._is_listed(parts)):
            return parts.hostname or ""
        raise UntrustedDestination(
            f"a download leads to {(parts.hostname or 'nowhere')[:100]!r}, which is no host of this cloud's reports; "
            "nothing was sent",
            hint="check the cloud setting, and report the host if the service itself gave it",
        )

    def _is_listed(self, parts: SplitResult) -> bool:
        host = parts.hostname or ""
        listed = any(host == known or host.endswith(f".{known}") for known in self._cloud.download_hosts)
        return parts.scheme == "https" and parts.port in (None, 443) and listed

    async def _try(self, link: str, host: str, into: BinaryIO, user_agent: str) -> None:
        target = link[link.index("/", 8) :].partition("#")[0].encode("ascii")
        headers = {"accept-encoding": "gzip", "user-agent": user_agent}
        extensions: dict[str, object] = {"timeout": self._timeout, "target": target}
        response = await self._transport.handle_async_request(
            httpx.Request("GET", link, headers=headers, extensions=extensions)
        )
        try:
            if response.status_code in (408, 429) or response.status_code >= 500:
                raise _Busy
            if response.status_code != 200:
                # Redirects are not followed either: there is one link, and this was it.
                raise ServiceError(f"{host} answered {response.status_code} to a download", status=response.status_code)
            size = 0
            async for chunk in response.aiter_bytes():
                size += len(chunk)
                if size > self._max_bytes:
                    raise ServiceError(f"a file from {host} has more than {self._max_bytes:,} bytes", status=200)
                into.write(chunk)
        finally:
            await response.aclose()


class _Busy(Exception):
    pass


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    return parts.scheme, parts.hostname, parts.port
