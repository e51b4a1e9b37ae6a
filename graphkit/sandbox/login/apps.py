"""App registrations: who may ask for tokens, how it proves who it is, and what it may do."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphkit.sandbox.call import Json
from graphkit.sandbox.login.federation import FederatedCredential, check_federated
from graphkit.sandbox.login.refusal import LoginRefusal, check_times

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("RS256", "PS256")


@dataclass
class App:
    """A registration. ``secrets`` are values with their end (epoch seconds), ``certificates`` PEM texts, ``roles``
    the application permissions that an administrator has granted (delegated ones by the same names, for a person who
    signs in). ``public`` allows sign-in without a secret. A ``managed_identity`` has no proof of its own: it is asked
    for where the program runs (``managed.py``). ``federated`` are the issuers elsewhere whose tokens prove who it is.
    """

    id: str
    name: str
    roles: frozenset[str]
    secrets: dict[str, float] = field(default_factory=dict)
    certificates: list[bytes] = field(default_factory=list)
    public: bool = True
    managed_identity: bool = False
    federated: list[FederatedCredential] = field(default_factory=list)

    def prove(self, form: Json, audiences: Iterable[str], now: float) -> str:
        """``appidacr`` of a token: 1 for a secret, 2 for a certificate. Raises :class:`LoginRefusal`."""
        if form.get("client_secret"):
            self._check_secret(form["client_secret"], now)
            return "1"
        if form.get("client_assertion") and form.get("client_assertion_type") == ASSERTION_TYPE:
            self._check_assertion(form["client_assertion"], audiences, now)
            return "2"
        raise LoginRefusal(
            "invalid_client",
            7000218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            401,
        )

    def _check_secret(self, given: str, now: float) -> None:
        for value, end in self.secrets.items():
            if hmac.compare_digest(value.encode(), given.encode()):
                if end > now:
                    return
                raise LoginRefusal(
                    "invalid_client", 7000222, f"The provided client secret keys for app '{self.id}' are expired.", 401
                )
        raise LoginRefusal(
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
            f"not the client secret ID, for a secret added to app '{self.id}'.",
            401,
        )

    def _check_assertion(self, assertion: str, audiences: Iterable[str], now: float) -> None:
        import jwt

        if self._is_foreign(assertion):
            check_federated(self.federated, assertion, self.id, now)
            return
        try:
            claims = self._verified(assertion)
        except jwt.InvalidTokenError as error:
            raise LoginRefusal("invalid_client", 50027, f"JWT token is invalid or malformed: {error}.", 401) from error
        if claims.get("iss") != self.id or claims.get("sub") != self.id:
            raise LoginRefusal("invalid_client", 700021, "Client assertion application identifier doesn't match.", 401)
        if claims.get("aud") not in set(audiences):
            raise LoginRefusal(
                "invalid_client", 700023, f"Client assertion audience claim does not match: {claims.get('aud')}.", 401
            )
        check_times(claims, now)

    def _is_foreign(self, assertion: str) -> bool:
        """Whether somebody else than the app says to have issued this assertion."""
        import jwt

        try:
            return bool(jwt.decode(assertion, options={"verify_signature": False}).get("iss") != self.id)
        except jwt.InvalidTokenError:
            return False

    def _verified(self, assertion: str) -> dict[str, Any]:
        """The claims, if one of the app's certificates has signed them. Time is judged elsewhere, by our clock."""
        import jwt

        header = jwt.get_unverified_header(assertion)
        for certificate in self._loaded():
            if not _names(header, certificate):
                continue
            key: Any = certificate.public_key()
            unchecked = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
            try:
                found: dict[str, Any] = jwt.decode(assertion, key, algorithms=list(ALGORITHMS), options=unchecked)  # type: ignore[arg-type]  # a TypedDict there
            except jwt.InvalidSignatureError:
                continue
            return found
        raise LoginRefusal(
            "invalid_client",
            700027,
            "The certificate with identifier used to sign the client assertion is not registered on application.",
            401,
        )

    def _loaded(self) -> list[Certificate]:
        from cryptography import x509

        return [x509.load_pem_x509_certificate(text) for text in self.certificates]


def _names(header: dict[str, Any], certificate: Certificate) -> bool:
    """Whether the assertion's ``x5t`` (SHA-1) or ``x5t#S256`` names this certificate (RFC 7515, 4.1.7 and 4.1.8)."""
    from cryptography.hazmat.primitives import hashes
    from jwt.utils import base64url_encode

    known = {"x5t": hashes.SHA1(), "x5t#S256": hashes.SHA256()}  # noqa: S303 - the protocol's own fingerprint
    return any(
        str(header.get(name, "")).rstrip("=") == base64url_encode(certificate.fingerprint(digest)).decode()
        for name, digest in known.items()  # MSAL pads x5t, against the RFC
    )
