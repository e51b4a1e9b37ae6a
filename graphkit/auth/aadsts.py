"""The login service's refusals in one clear line each.

Its own texts run to several lines and can name people, so that known codes get words of ours and unknown ones are
redacted. Codes: learn.microsoft.com/entra/identity-platform/reference-error-codes.
"""

from __future__ import annotations

import re

from graphkit.errors import AuthError
from graphkit.redact import redact, without_people

_CODE = re.compile(r"AADSTS(\d{4,7})")
_TLS = re.compile(r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError|Basic Constraints", re.I)
_NETWORK = re.compile(
    r"ConnectionError|timed? ?out|ProxyError|NameResolution|Max retries|Failed to (?:establish|resolve)"
    r"|connection (?:refused|aborted|reset)",
    re.I,
)
# MSAL's own words for the 400 with AADSTS90002 that answers its look-up of the tenant; it drops the code.
_NO_SUCH_TENANT = "Unable to get authority configuration"

REFUSALS: dict[str, tuple[str, str]] = {
    "7000222": (
        "the client secret has expired",
        "create a new one for the app registration and set AZURE_CLIENT_SECRET; a certificate lasts longer",
    ),
    "7000215": (
        "the client secret is wrong",
        "set AZURE_CLIENT_SECRET to the secret's value, not to its id",
    ),
    "700016": (
        "the app is not known in this tenant",
        "check AZURE_CLIENT_ID, AZURE_TENANT_ID and GRAPHKIT_CLOUD: an app exists in one cloud only",
    ),
    "90002": ("the tenant does not exist in this cloud", "check AZURE_TENANT_ID and GRAPHKIT_CLOUD"),
    "900023": ("the tenant id is malformed", "set AZURE_TENANT_ID to the tenant's id or one of its domains"),
    "700027": (
        "the certificate is not one of the app's",
        "upload its public part to the app registration, or set AZURE_CLIENT_CERTIFICATE_PATH to the right file",
    ),
    "700024": (
        "the signed request is outside its time of validity: this machine's clock is wrong",
        "set the clock (NTP), then try again",
    ),
    "70021": (
        "no federated credential of the app matches this platform's token",
        "compare issuer, subject and audience; a new federated credential needs some minutes to take effect",
    ),
    "700213": (
        "no federated credential of the app matches this platform's token",
        "compare issuer, subject and audience; a new federated credential needs some minutes to take effect",
    ),
    "7000112": ("the app is disabled in this tenant", "enable its enterprise application, or use another app"),
    "7000218": (
        "the app registration does not allow sign-in without a secret",
        "switch on 'Allow public client flows' in its Authentication page",
    ),
    "65001": (
        "nobody has consented to the permissions that this app asks for",
        "have an administrator grant consent; 'graphkit auth permissions RECIPE' lists what a recipe needs",
    ),
    "90094": (
        "the permissions need an administrator's consent",
        "have an administrator grant consent for the app",
    ),
    "50034": ("the account does not exist in this tenant", "sign in with an account of the tenant"),
    "50020": ("the account belongs to another tenant", "set AZURE_TENANT_ID to the account's tenant, or use a guest"),
    "50057": ("the account is disabled", "sign in with another account"),
    "50126": ("user name or password is wrong", "sign in again"),
    "50076": ("the tenant asks for multi-factor authentication", "run 'graphkit auth login' and complete it"),
    "50079": ("the tenant asks to register for multi-factor authentication", "run 'graphkit auth login'"),
    "50105": ("the account is not assigned to the app", "assign it in the app's enterprise application"),
    "50173": ("the sign-in has been revoked", "run 'graphkit auth login' again"),
    "50196": ("the login service saw a request loop and stopped it", "wait some minutes, then try again"),
    "53003": (
        "a conditional access policy blocks this sign-in",
        "sign in from a place and a device that the policy allows, or use an app with a certificate",
    ),
    "700082": ("the sign-in has expired through inactivity", "run 'graphkit auth login' again"),
    "70008": ("the sign-in has expired", "run 'graphkit auth login' again"),
    "70043": ("the sign-in has expired by policy", "run 'graphkit auth login' again"),
    "70016": ("the code was not entered in time", "run 'graphkit auth login' again and enter the code at once"),
    "70020": ("the code was not entered in time", "run 'graphkit auth login' again and enter the code at once"),
    "500011": ("Microsoft Graph is not known in this tenant", "check GRAPHKIT_CLOUD: tokens fit one cloud only"),
}


def explain(text: str, *, method: str) -> AuthError:
    """The error for what the login libraries said while authenticating by ``method``."""
    match = _CODE.search(text)
    if _NO_SUCH_TENANT in text:
        return AuthError(REFUSALS["90002"][0] + " (AADSTS90002)", hint=REFUSALS["90002"][1])
    if match and match[1] in REFUSALS:
        line, hint = REFUSALS[match[1]]
        return AuthError(f"{line} (AADSTS{match[1]})", hint=hint)
    if _TLS.search(text):
        return AuthError(
            "the login service's TLS certificate is not trusted by this machine",
            hint="if a proxy inspects TLS, set GRAPHKIT_CA_BUNDLE to a PEM file with its authority",
        )
    if not match and _NETWORK.search(text):
        return AuthError(
            f"the login service cannot be reached ({method})",
            hint="check the network, HTTPS_PROXY and NO_PROXY; 'graphkit doctor' shows what is in use",
        )
    said = without_people(redact(_first_sentence(text)))
    return AuthError(f"authentication by {method} was refused: {said}", hint="docs/authentication.md")


def _first_sentence(text: str) -> str:
    # Trace id, correlation id and time stamp follow the first line.
    line = next((line for line in text.splitlines() if line.strip()), "no reason given")
    return re.split(r"\s*Trace ID:", line, maxsplit=1)[0][:300]
