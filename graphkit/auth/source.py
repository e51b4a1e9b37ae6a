"""One identity, one token, one request for it at a time."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable

from graphkit.auth.claims import expiry, read_claims
from graphkit.auth.grant import Fetch
from graphkit.auth.methods import choose, identities
from graphkit.clock import Clock, RealClock
from graphkit.errors import AuthError
from graphkit.log import event
from graphkit.protocol.clouds import Cloud
from graphkit.protocol.identity import Token, TokenSource
from graphkit.settings import Settings

_LOG = logging.getLogger("graphkit.auth")

EARLY = 300.0
"""Seconds before its end at which a token is renewed."""


def make_token_source(
    settings: Settings, cloud: Cloud, clock: Clock, *, show: Callable[[str], None] | None = None
) -> TokenSource:
    """The identity that ``settings`` describe.

    ``cloud`` gives scope and authority; a loopback target takes its authority from the settings. ``show`` prints a
    line for a person and says that one is there: without it nobody is ever asked to sign in. Raises ``AuthError`` if
    settings are missing, naming all of them.
    """
    if settings.target.kind == "simulated":
        return FixedSource("simulated", Token("simulated", math.inf))
    method = choose(settings)
    if method == "access-token":
        return _given(settings.access_token)
    managed = settings.managed_identity_client_id if method == "managed-identity" else ""
    return CachedSource(managed or settings.client_id or method, _fetcher(method, settings, cloud, show), clock)


def make_token_sources(settings: Settings, cloud: Cloud, clock: Clock) -> tuple[TokenSource, ...]:
    """All identities that ``settings`` describe: one, or each of ``[[identities]]``. Raises ``AuthError`` as above."""
    apps = identities(settings)
    if settings.target.kind == "simulated" and len(apps) > 1:
        return tuple(FixedSource(app.client_id, Token(f"simulated-{app.client_id}", math.inf)) for app in apps)
    return tuple(make_token_source(app, cloud, clock) for app in apps)


def _fetcher(method: str, settings: Settings, cloud: Cloud, show: Callable[[str], None] | None) -> Fetch:
    if method in ("interactive", "device-code"):
        from graphkit.auth.signin import fetcher

        return fetcher(method, settings, cloud, show=show)
    from graphkit.auth.credentials import fetcher as credential_fetcher

    return credential_fetcher(method, settings, cloud)


def _given(value: str) -> TokenSource:
    name = str(read_claims(value).get("appid") or "access-token")
    return FixedSource(name, Token(value, expiry(value) or math.inf))


class FixedSource:
    """A token that was handed to us and cannot be renewed."""

    def __init__(self, name: str, token: Token) -> None:
        self.name = name
        self._token = token
        self._wall = RealClock()  # its end is stated by the wall's clock, whatever ours does

    async def token(self, *, claims: str = "", renew: bool = False) -> Token:
        if claims or renew:
            raise AuthError(
                "the service does not accept the access token given (expired, revoked, or not meant for it)",
                hint="set GRAPHKIT_ACCESS_TOKEN to a new one",
            )
        if self._token.expires_on <= self._wall.now():
            raise AuthError("the access token given has expired", hint="set GRAPHKIT_ACCESS_TOKEN to a new one")
        return self._token


class CachedSource:
    """Keeps the token until five minutes before its end; simultaneous callers share one request.

    Time is measured from the moment of the answer and on the monotonic clock, so that a wrong or stepping wall
    clock makes no difference.
    """

    def __init__(self, name: str, fetch: Fetch, clock: Clock) -> None:
        self.name = name
        self._fetch = fetch
        self._clock = clock
        self._token: Token | None = None
        self._stale_at = -math.inf
        self._request: asyncio.Task[Token] | None = None
        self._requested_claims = ""

    async def token(self, *, claims: str = "", renew: bool = False) -> Token:
        request = self._request
        if request is None or (claims and claims != self._requested_claims):
            if self._token and not claims and not renew and self._clock.monotonic() < self._stale_at:
                return self._token
            request = self._start(claims, renew)
        # Shielded: a caller who gives up does not take the token away from the others.
        return await asyncio.shield(request)

    def _start(self, claims: str, renew: bool) -> asyncio.Task[Token]:
        task = asyncio.create_task(self._obtain(claims, renew))
        self._request, self._requested_claims = task, claims
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Token]) -> None:
        if self._request is task:
            self._request, self._requested_claims = None, ""
        if not task.cancelled():
            task.exception()  # every caller may have left; asyncio complains of what nobody looked at

    async def _obtain(self, claims: str, renew: bool) -> Token:
        asked = self._clock.monotonic()
        grant = await asyncio.to_thread(self._fetch, claims, renew)
        ms = round((self._clock.monotonic() - asked) * 1000)
        event(_LOG, "token-obtained", ms=ms, identity=self.name, lifetime=round(grant.lifetime), renewal=renew)
        # A token that lives shorter than ten minutes is renewed at half its life.
        self._stale_at = self._clock.monotonic() + max(grant.lifetime - EARLY, grant.lifetime / 2)
        self._token = Token(grant.value, self._clock.now() + grant.lifetime)
        return self._token
