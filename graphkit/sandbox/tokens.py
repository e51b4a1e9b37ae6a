"""Access, refresh and identity tokens: JWTs signed by the tenant (RS256), and how the tenant reads them back."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from graphkit.sandbox.call import Json, Refusal
from graphkit.sandbox.ids import guid
from graphkit.sandbox.state import State

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

ISSUER = "https://sts.windows.net/"
REMEMBERED = 256


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling: the application, and what it may do; ``None`` for everything (an opaque token)."""

    app: str
    permissions: frozenset[str] | None


class Signer:
    """The tenant's signing key, made on first use and kept in the state file: tokens outlive a restart."""

    def __init__(self, state: State, tenant_id: str) -> None:
        self._state = state
        self.tenant_id = tenant_id
        self.issuer = f"{ISSUER}{tenant_id}/"
        self._read: dict[str, Json] = {}

    @cached_property
    def key(self) -> RSAPrivateKey:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        stored = self._state.meta("signing-key")
        if stored is not None:
            loaded: Any = serialization.load_pem_private_key(stored, None)
            return loaded  # type: ignore[no-any-return]  # of the type that we stored
        made = rsa.generate_private_key(65537, 2048)
        pem = made.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        self._state.set_meta("signing-key", pem)
        return made

    @property
    def key_id(self) -> str:
        return guid(self.tenant_id, "signing-key")

    def public_keys(self) -> Json:
        """The JSON Web Key Set (RFC 7517) with which others may verify our tokens."""
        from jwt.algorithms import RSAAlgorithm

        public = RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**public, "use": "sig", "alg": "RS256", "kid": self.key_id}]}

    def sign(self, claims: Json) -> str:
        import jwt

        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.key_id})

    def read(self, token: str) -> Json:
        """The claims of a token that this tenant has signed, whatever its time. Raises ``ValueError``."""
        known = self._read.get(token)
        if known is None:
            import jwt

            try:
                known = jwt.decode(
                    token,
                    self.key.public_key(),
                    algorithms=["RS256"],
                    options={"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False},
                )
            except jwt.InvalidTokenError as error:
                raise ValueError(str(error)) from error
            if len(self._read) >= REMEMBERED:
                self._read.clear()
            self._read[token] = known
        return known

    def caller(self, authorization: str, now: float) -> Caller:
        """Who holds this bearer token. Raises :class:`Refusal` (401) for one of ours that is not good.

        A token of our issuer is held to its word. Any other, a JWT or not, is permitted everything: tests and demos
        need no login then.
        """
        token = authorization.partition(" ")[2]
        issuer, app = _peek(token)
        if issuer != self.issuer:
            return Caller(app, None)
        try:
            claims = self.read(token)
        except ValueError as error:
            raise unauthorised("Access token validation failure. Signature is invalid.") from error
        if "idtyp" not in claims:  # a refresh or identity token
            raise unauthorised("Access token validation failure. Invalid audience.")
        if claims["exp"] <= now:
            raise unauthorised("Lifetime validation failed, the token is expired.")
        return Caller(claims["appid"], frozenset(claims.get("roles", ())) | frozenset(claims.get("scp", "").split()))


def unauthorised(message: str) -> Refusal:
    challenge = 'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
    return Refusal(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": challenge})


@lru_cache(maxsize=REMEMBERED)
def _peek(token: str) -> tuple[str, str]:
    """Issuer and application, as an unverified JWT has them; for anything else no issuer, and a name for the token."""
    parts = token.split(".")
    try:
        found = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=="))
        return str(found.get("iss", "")), str(found.get("appid") or found.get("azp") or guid("token", token))
    except (IndexError, ValueError, AttributeError):
        return "", guid("token", token)


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
