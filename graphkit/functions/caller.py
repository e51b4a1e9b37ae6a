"""Who calls: a key alone, or somebody whom App Service authentication has signed in, who then needs an app role.

The platform checks the function's key before anything of ours runs. Where App Service authentication is on it puts what
it knows of the caller into ``X-MS-CLIENT-PRINCIPAL`` and removes that header from what comes from outside
(https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities). Where it is off the header can
be forged, but it can only take rights away: whoever leaves it out needs no role.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from graphkit.functions.answer import Refused
from graphkit.settings import Settings


class Role(StrEnum):
    """An app role per action, as the value in the app registration's manifest."""

    START = "Runs.Start"
    READ = "Runs.Read"
    APPROVE = "Runs.Approve"
    CANCEL = "Runs.Cancel"


class _Claim(msgspec.Struct):
    typ: str = ""
    val: str = ""


class _Principal(msgspec.Struct):
    claims: list[_Claim] = []
    role_typ: str | None = None


_ROLE_CLAIMS = ("roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role")
_OBJECT_ID = ("oid", "http://schemas.microsoft.com/identity/claims/objectidentifier")
KEY = "key"


def authorise(headers: Mapping[str, str], role: Role, settings: Settings) -> str:
    """The caller's object id, or ``key``. Raises ``Refused`` (401, 403) for a caller without the role."""
    header = next((value for name, value in headers.items() if name.lower() == "x-ms-client-principal"), "")
    if not header:
        if settings.functions_sign_in:
            raise Refused(401, "sign-in is required, and App Service says nothing of the caller")
        return KEY
    principal = _read(header)
    accepted = {*_ROLE_CLAIMS, principal.role_typ or _ROLE_CLAIMS[0]}
    if role not in {claim.val for claim in principal.claims if claim.typ in accepted}:
        raise Refused(403, f"the app role {role} is needed", hint="docs/azure-functions.md says how roles are assigned")
    return next((claim.val for claim in principal.claims if claim.typ in _OBJECT_ID), "signed-in")


def _read(header: str) -> _Principal:
    try:
        return msgspec.json.decode(base64.b64decode(header, validate=True), type=_Principal)
    except (binascii.Error, msgspec.MsgspecError, ValueError):
        raise Refused(401, "X-MS-CLIENT-PRINCIPAL cannot be read") from None
