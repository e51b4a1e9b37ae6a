from __future__ import annotations

import asyncio
import base64

import pytest

from graphkit.clock import VirtualClock
from graphkit.protocol.message import Request, Response
from graphkit.transport.auth import Auth, challenge

CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}'
ENCODED = base64.b64encode(CLAIMS.encode()).decode()
GET = Request(method="GET", path="/users", headers={"prefer": "x"})


def bearer(stage):
    return [request.headers["authorization"] for request in stage.requests]


def test_one_token_serves_until_shortly_before_it_expires(script, virtual, tokens):
    stage, clock = script(Response(200, {})), VirtualClock()
    auth = Auth(stage, tokens, clock)

    async def main():
        for wait in (0, 3000, 400):
            await clock.sleep(wait)
            await auth.send(GET)

    virtual(main())
    assert bearer(stage) == ["Bearer token-1", "Bearer token-1", "Bearer token-2"]
    assert tokens.asked == [("", False), ("", False)]


def test_the_callers_request_is_left_as_it_was(script, virtual, tokens):
    virtual(Auth(script(Response(200, {})), tokens, VirtualClock()).send(GET))
    assert GET.headers == {"prefer": "x"}


def test_a_renewal_serves_all_who_were_refused_the_same_token(script, virtual, tokens):
    stage = script(Response(401, {"www-authenticate": f'Bearer error="insufficient_claims", claims="{ENCODED}"'}))
    auth = Auth(stage, tokens, VirtualClock())

    async def main():
        refused = [await auth.send(GET) for _ in range(50)]
        tokens.delay = 1.0
        await asyncio.gather(*(auth.renew(response) for response in refused))
        again = await auth.send(GET)
        await auth.renew(again)

    virtual(main())
    assert tokens.asked == [("", False), (CLAIMS, True), (CLAIMS, True)]


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        (f'Bearer realm="", error="insufficient_claims", claims="{ENCODED}"', CLAIMS),
        (f'Bearer claims="{ENCODED.rstrip("=")}", error="insufficient_claims"', CLAIMS),
        ('Bearer claims="' + base64.urlsafe_b64encode(b'{"a":"\xc3\xbf?"}').decode() + '"', '{"a":"\u00ff?"}'),
        ('Bearer error="invalid_token"', ""),
        ('Bearer claims="***"', ""),
        ('Bearer claims="/w=="', ""),
        ("", ""),
    ],
)
def test_a_claims_challenge_is_read(header, claims):
    assert challenge(header) == claims
