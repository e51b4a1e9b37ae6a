"""Who we are, said once per outer request: a whole batch carries one token."""

from __future__ import annotations

import asyncio
import base64
import binascii

from msgspec.structs import replace

from graphkit.clock import Clock
from graphkit.protocol.identity import Token, TokenSource
from graphkit.protocol.message import Request, Response, Stage

EARLY = 300.0
"""A token is replaced this many seconds before it expires."""


class Auth:
    """Adds the bearer token. A refused token is renewed by :meth:`renew`, which the retry stage calls.

    Raises ``AuthError`` from the token source.
    """

    def __init__(self, following: Stage, source: TokenSource, clock: Clock) -> None:
        self._following = following
        self._source = source
        self._clock = clock
        self._token: Token | None = None
        self._serial = 0
        self._renewing = asyncio.Lock()

    async def send(self, request: Request) -> Response:
        token = self._token
        if token is None or token.expires_on - self._clock.now() < EARLY:
            token = self._token = await self._source.token()
        serial = self._serial
        headers = {**request.headers, "authorization": f"Bearer {token.value}"}
        response = await self._following.send(replace(request, headers=headers))
        response.token_serial = serial
        return response

    async def renew(self, refused: Response) -> None:
        """Replace the token that ``refused`` was asked with, once for all who were refused it."""
        async with self._renewing:
            if refused.token_serial != self._serial:
                return
            claims = challenge(refused.headers.get("www-authenticate", ""))
            self._token = await self._source.token(claims=claims, renew=True)
            self._serial += 1


def challenge(header: str) -> str:
    """The claims of a ``WWW-Authenticate`` challenge, decoded to JSON; empty if it makes none or cannot be read.

    Source: MicrosoftDocs/entra-docs docs/identity-platform/claims-challenge.md.
    """
    _, found, rest = header.partition('claims="')
    if not found:
        return ""
    encoded = rest.partition('"')[0].strip()
    try:
        # Both base64 alphabets are seen, with and without padding.
        padded = encoded.replace("-", "+").replace("_", "/") + "=" * (-len(encoded) % 4)
        return base64.b64decode(padded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
