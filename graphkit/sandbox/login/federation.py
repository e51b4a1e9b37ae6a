"""Workload identity federation: a token of another issuer, instead of a secret.

entra-docs docs/workload-id/workload-identity-federation-considerations.md. Which code tells what is from what clients
report: 70025 no credential at all, 700211 the issuer, 700212 the audience, 700213 the subject, 70021 one too new.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from graphkit.sandbox.login.refusal import LoginRefusal, check_times

AUDIENCE = "api://AzureADTokenExchange"


@dataclass(frozen=True)
class FederatedCredential:
    """Whose tokens are accepted: ``issuer`` and ``subject`` to the letter, one ``audience``. ``key`` is the issuer's
    public key (PEM), which the service would fetch. The service has not heard of it before ``known_from`` (epoch
    seconds).
    """

    issuer: str
    subject: str
    key: bytes
    audience: str = AUDIENCE
    known_from: float = 0.0


def check_federated(credentials: Iterable[FederatedCredential], assertion: str, app_id: str, now: float) -> None:
    """Raises :class:`LoginRefusal` unless one of the credentials fits the assertion."""
    import jwt

    claims: dict[str, Any] = jwt.decode(assertion, options={"verify_signature": False})
    found = list(credentials)
    if not found:
        told = f"The client '{app_id}' has no configured federated identity credentials."
        raise LoginRefusal("invalid_client", 70025, told, 401)
    for code, name, claim in ((700211, "issuer", "iss"), (700212, "audience", "aud"), (700213, "subject", "sub")):
        found = [credential for credential in found if getattr(credential, name) == claims.get(claim)]
        if not found:
            raise LoginRefusal("invalid_client", code, f"{_UNMATCHED} {name} '{claims.get(claim)}'.", 401)
    if found[0].known_from > now:
        raise LoginRefusal("invalid_request", 70021, f"{_UNMATCHED}.")
    _check_signature(assertion, found[0])
    check_times(claims, now)


_UNMATCHED = "No matching federated identity record found for presented assertion"


def _check_signature(assertion: str, credential: FederatedCredential) -> None:
    import jwt
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    unchecked = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}
    key: Any = load_pem_public_key(credential.key)
    try:
        jwt.decode(assertion, key, algorithms=["RS256"], options=unchecked)  # type: ignore[arg-type]  # a TypedDict there
    except jwt.InvalidTokenError as error:
        # The code for a signature that does not fit is an assumption.
        raise LoginRefusal("invalid_client", 50027, f"JWT token is invalid or malformed: {error}.", 401) from error
