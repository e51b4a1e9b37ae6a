"""Access, refresh and identity tokens: JWTs signed by the tenant (RS256), and how the tenant reads them back."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.call import Json
from graphkit.sandbox.ids import guid
from graphkit.sandbox.memory.state import State

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

ISSUER = "https://sts.windows.net/"
REMEMBERED = 256


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
