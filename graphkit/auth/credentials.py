"""Tokens through azure-identity: secret, certificate, federation, managed identity, Azure CLI.

The synchronous credentials, called in a thread: the asynchronous ones would need aiohttp.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphkit.auth.aadsts import explain
from graphkit.auth.grant import Fetch, Grant
from graphkit.clock import RealClock
from graphkit.protocol.clouds import Cloud
from graphkit.settings import Settings

_WALL = RealClock()  # azure-identity states the end of a token by the wall's clock


def fetcher(
    method: str, settings: Settings, cloud: Cloud, *, build: Callable[[str, Settings, Cloud], Any] | None = None
) -> Fetch:
    """A fetch by ``method``; ``build`` makes the azure-identity credential.

    Each call builds a new credential. Ours is the only token cache then, a renewal is really one, and a rotated
    certificate or federated token is read afresh.
    """

    def fetch(claims: str, renew: bool) -> Grant:
        from azure.core.exceptions import AzureError

        options = {"enable_cae": True, **({"claims": claims} if claims else {})}
        try:
            with (build or build_credential)(method, settings, cloud) as credential:
                answer = credential.get_token_info(cloud.scope, options=options)
        except (AzureError, ValueError, OSError) as error:
            raise explain(f"{error}", method=method) from error
        return Grant(answer.token, answer.expires_on - _WALL.now())

    return fetch


def build_credential(method: str, settings: Settings, cloud: Cloud) -> Any:
    """The azure-identity credential for ``method``, talking to the settings' authority only."""
    from azure import identity

    if method == "azure-cli":
        return identity.AzureCliCredential(tenant_id=settings.tenant_id)
    if method == "managed-identity":
        client_id = settings.managed_identity_client_id or settings.client_id
        # Its addresses are local: no proxy, and no login session of ours.
        return identity.ManagedIdentityCredential(client_id=client_id or None, use_env_settings=False)
    options = _options(settings, cloud)
    who = {"tenant_id": settings.tenant_id, "client_id": settings.client_id}
    if method == "client-secret":
        return identity.ClientSecretCredential(**who, client_secret=settings.client_secret, **options)
    if method == "certificate":
        password = settings.certificate_password or None
        return identity.CertificateCredential(
            **who, certificate_path=settings.certificate_path, password=password, **options
        )
    return identity.WorkloadIdentityCredential(**who, token_file_path=settings.federated_token_file, **options)


def _options(settings: Settings, cloud: Cloud) -> dict[str, Any]:
    from azure.core.pipeline.transport import RequestsTransport

    from graphkit.auth.http import LoginSession

    loopback = settings.target.kind == "loopback"
    authority = settings.authority_url if loopback else cloud.authority
    return {
        "authority": authority,
        "disable_instance_discovery": loopback,
        "transport": RequestsTransport(session=LoginSession(settings, authority), use_env_settings=False),
    }
