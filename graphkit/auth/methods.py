"""Which way of authenticating the settings ask for, and what they lack for it. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from graphkit.errors import AuthError
from graphkit.settings import SETTINGS, Settings

NEEDS: dict[str, tuple[str, ...]] = {
    "access-token": ("access_token",),
    "client-secret": ("tenant_id", "client_id", "client_secret"),
    "certificate": ("tenant_id", "client_id", "certificate_path"),
    "workload-identity": ("tenant_id", "client_id", "federated_token_file"),
    "managed-identity": (),
    "interactive": ("client_id",),
    "device-code": ("client_id",),
    "azure-cli": (),
}
"""The settings that each method cannot do without."""

# The first of these that is set tells what was meant. A certificate goes before a secret: nothing to leak.
_SIGNS = {
    "access_token": "access-token",
    "certificate_path": "certificate",
    "client_secret": "client-secret",
    "federated_token_file": "workload-identity",
    "managed_identity_client_id": "managed-identity",
    "identity_endpoint": "managed-identity",
    "client_id": "interactive",
}
# These ask an address of their own, not the authority that a test server offers.
_NO_AUTHORITY = ("managed-identity", "azure-cli")


def identities(settings: Settings) -> tuple[Settings, ...]:
    """The settings as each of ``[[identities]]`` has them; as they are where none are listed.

    A token given by hand, or a method that is named, goes before the list.
    """
    if not settings.identities or settings.auth != "auto" or settings.access_token:
        return (settings,)
    return tuple(
        replace(
            settings,
            client_id=identity.client_id,
            client_secret=identity.client_secret,
            certificate_path=identity.certificate_path,
            federated_token_file=identity.federated_token_file,
            managed_identity_client_id="",
            identity_endpoint="",
            identities=(),
        )
        for identity in settings.identities
    )


def choose(settings: Settings) -> str:
    """The method for the settings' target, its needs met. Raises ``AuthError`` naming every setting that is missing."""
    method = _for_loopback(settings) if settings.target.kind == "loopback" else settings.auth
    if method == "auto":
        method = _detect(settings)
    lacking = [name for name in NEEDS[method] if not getattr(settings, name)]
    if lacking:
        raise AuthError(
            f"authentication by {method} lacks {_variables(lacking)}",
            hint="set what is named in the environment or .env; docs/authentication.md lists what each method needs",
        )
    if method == "access-token" and not all("!" <= mark <= "~" for mark in settings.access_token):
        # Said here, for whoever refuses it as a header later would quote it.
        raise AuthError(
            "GRAPHKIT_ACCESS_TOKEN holds a blank, a line break or another character that no token has",
            hint="set it to the token alone, in one line",
        )
    return method


def _detect(settings: Settings) -> str:
    for name, method in _SIGNS.items():
        if getattr(settings, name):
            return method
    raise AuthError(
        "no way to authenticate is configured",
        hint=f"set {_variables(NEEDS['certificate'])} for an app, or AZURE_CLIENT_ID and run 'graphkit auth login', "
        "or GRAPHKIT_AUTH=azure-cli, or try everything without an account: --target simulated",
    )


def _for_loopback(settings: Settings) -> str:
    """A test server gets the token made for it, or one from its own authority; never a cloud's."""
    if settings.access_token and (settings.auth in ("auto", "access-token") or not settings.authority_url):
        return "access-token"
    if not settings.authority_url:
        raise AuthError(
            f"{settings.target} is a test server: credentials for a cloud are never used with it",
            hint="set GRAPHKIT_ACCESS_TOKEN (any text, if the server does not check), "
            "or GRAPHKIT_AUTHORITY_URL if it issues tokens itself",
        )
    method = _detect(settings) if settings.auth == "auto" else settings.auth
    if method in _NO_AUTHORITY:
        raise AuthError(
            f"authentication by {method} always asks the cloud, which is never done for the test server "
            f"{settings.target}",
            hint="use a client secret, a certificate, workload identity or device-code with GRAPHKIT_AUTHORITY_URL",
        )
    return method


def _variables(names: Iterable[str]) -> str:
    spelling = {setting.name: setting.env[0] for setting in SETTINGS if setting.env}
    *front, last = [spelling[name] for name in names]
    return f"{', '.join(front)} and {last}" if front else last
