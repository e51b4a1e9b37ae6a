"""What Graph makes of a bearer token: whose it is, what it may do, and whether it was revoked.

Continuous access evaluation: entra-docs docs/identity-platform/app-resilience-continuous-access-evaluation.md and
claims-challenge.md, docs/identity/conditional-access/concept-continuous-access-evaluation.md (people) and
concept-continuous-access-evaluation-workload.md (apps). A token whose client said that it understands claims challenges
(``xms_cc`` holds ``cp1``) is judged anew at each call; any other lives on until its end, whatever has happened.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from graphkit.sandbox.call import Json, Refusal
from graphkit.sandbox.ids import guid, instant
from graphkit.sandbox.login.tokens import ISSUER, REMEMBERED
from graphkit.sandbox.seeding.seed import GRAPH_APP

if TYPE_CHECKING:
    from graphkit.sandbox.login.service import Login

GRAPH_ROOTS = frozenset(
    {
        "https://graph.microsoft.com",
        "https://graph.microsoft.us",
        "https://dod-graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
    }
)
ENTRA = (
    ISSUER,
    "https://login.microsoftonline.com/",
    "https://login.microsoftonline.us/",
    "https://sts.chinacloudapi.cn/",
    "https://login.partner.microsoftonline.cn/",
)
"""How the issuers of real tokens begin."""
_AUTHORIZE = 'realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
Stamp = tuple[float, int]
"""When a token was issued, on the tenant's clock, and as which: two of one moment still have an order."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling: the application, and what it may do; ``None`` for everything (an opaque token)."""

    app: str
    permissions: frozenset[str] | None


class Gate:
    """Graph's look at each bearer token, and the revocations that it knows of."""

    def __init__(self, login: Login) -> None:
        self._login = login
        self._tenant = login.tenant
        self._issued = 0
        self._revoked: dict[str, Stamp] = {}

    def stamp(self) -> str:
        """The ``aio`` of the next token: Entra too keeps notes of its own in that claim
        (entra-docs docs/identity-platform/access-token-claims-reference.md).
        """
        self._issued += 1
        return f"{self._tenant.clock.now()!r}/{self._issued}"

    def revoke(self, app_id: str, until: float | None = None) -> None:
        """End all tokens of an app issued so far, or issued before the time ``until`` (a challenge that no new token
        meets before then). Lasts as long as the process, as the registration does.
        """
        now = self._tenant.clock.now()
        self._revoked[app_id.lower()] = (now, self._issued) if until is None else (until, -1)

    def caller(self, authorization: str, base: str) -> Caller:
        """Who holds this bearer token. Raises :class:`Refusal` (401) for one that is not good.

        A token of our issuer is held to its word, one of another Entra tenant is refused. Any other, a JWT or not, is
        permitted everything: tests and demos need no login then.
        """
        token = authorization.partition(" ")[2]
        issuer, app, audience = _peek(token)
        signer = self._login.signer
        if issuer != signer.issuer:
            self._refuse_foreign(issuer, audience, base)
            return Caller(app, None)
        try:
            claims = signer.read(token)
        except ValueError as error:
            raise unauthorised("Access token validation failure. Signature is invalid.") from error
        if "idtyp" not in claims or not _is_for(claims.get("aud"), base):  # the first: a refresh token
            raise unauthorised("Access token validation failure. Invalid audience.")
        if claims["exp"] <= self._login.now():
            raise unauthorised("Lifetime validation failed, the token is expired.")
        if understands_challenges(claims):
            self._evaluate(claims)
        return Caller(claims["appid"], frozenset(claims.get("roles", ())) | frozenset(claims.get("scp", "").split()))

    def _refuse_foreign(self, issuer: str, audience: str, base: str) -> None:
        if issuer.endswith(f"/{self._tenant.tenant_id}/v2.0"):  # an identity token of ours
            raise unauthorised("Access token validation failure. Invalid audience.")
        if issuer.startswith(ENTRA):
            if not _is_for(audience, base):
                raise unauthorised("Access token validation failure. Invalid audience.")
            # The real Graph serves every tenant. We have no other and not its keys (our words, then, for its case).
            raise unauthorised("Access token validation failure. Signature is invalid.")

    # -- continuous access evaluation ----------------------------------------------------------------------------

    def _evaluate(self, claims: Json) -> None:
        since = self._revocation_of_user(claims) if claims["idtyp"] == "user" else self._revocation_of_app(claims)
        if since is not None:
            raise challenge(int(since))

    def _revocation_of_user(self, claims: Json) -> float | None:
        """When the person's tokens ended: deleted, disabled, or their sessions revoked."""
        user = self._tenant.state.get("users", claims["oid"])
        if user is None or user.get("accountEnabled") is False:
            return self._tenant.clock.now()
        if instant(issued(claims)[0]) < user.get("signInSessionsValidFromDateTime", ""):
            return self._tenant.clock.now()
        return None

    def _revocation_of_app(self, claims: Json) -> float | None:
        """When the app's tokens ended: its service principal deleted or disabled, or found to be at risk. A secret that
        was removed ends no token: it is not among the documented events.
        """
        found = self._tenant.state.table("servicePrincipals").find("appId", claims["appid"])
        if not found or found[0].get("accountEnabled") is False:
            return self._tenant.clock.now()
        revoked = self._revoked.get(claims["appid"].lower())
        return revoked[0] if revoked and issued(claims) <= revoked else None


def issued(claims: Json) -> Stamp:
    """When one of our tokens was issued, as its ``aio`` tells."""
    at, slash, number = str(claims.get("aio", "")).partition("/")
    return (float(at), int(number)) if slash else (float(claims.get("iat", 0)), 0)


def understands_challenges(claims: Json) -> bool:
    return any(str(value).lower() == "cp1" for value in claims.get("xms_cc", ()))


def unauthorised(message: str) -> Refusal:
    return Refusal(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": f"Bearer {_AUTHORIZE}"})


def challenge(since: int) -> Refusal:
    """401 with a claims challenge, worded as those recorded in the tests of azure-sdk-for-net (sdk/core/Azure.Core)."""
    told = (
        "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: "
        "TokenIssuedBeforeRevocationTimestamp"
    )
    wanted = base64.b64encode(b'{"access_token":{"nbf":{"essential":true, "value":"%d"}}}' % since).decode()
    header = (
        f'Bearer {_AUTHORIZE}, client_id="{GRAPH_APP}", error_description="{told}", error="insufficient_claims", '
        f'claims="{wanted}"'
    )
    return Refusal(401, "InvalidAuthenticationToken", told, {"WWW-Authenticate": header})


def _is_for(audience: object, base: str) -> bool:
    """Whether a token for ``audience`` fits the Graph at ``base``. One cloud's token is none in another; behind a
    loopback address we are every cloud's. A token without an audience is a test's own.
    """
    wanted = str(audience or base).rstrip("/")
    if wanted in (base, GRAPH_APP):
        return True
    return base not in GRAPH_ROOTS and wanted in GRAPH_ROOTS


@lru_cache(maxsize=REMEMBERED)
def _peek(token: str) -> tuple[str, str, str]:
    """Issuer, application and audience, as an unverified JWT has them; for anything else none, and a name for the
    token.
    """
    parts = token.split(".")
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=="))
        app = str(found.get("appid") or found.get("azp") or guid("token", token))
        return str(found.get("iss", "")), app, str(found.get("aud", ""))
    except (IndexError, ValueError, AttributeError):
        return "", guid("token", token), ""


def app_of(authorization: str) -> str:
    """The application of a bearer token, verified or not."""
    return _peek(authorization.partition(" ")[2])[1]


def issued_at(authorization: str) -> float | None:
    """When a JWT says that it was issued; ``None`` for an opaque token."""
    parts = authorization.partition(" ")[2].split(".")
    try:
        return float(msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=="))["iat"])
    except (IndexError, ValueError, KeyError, TypeError):
        return None
