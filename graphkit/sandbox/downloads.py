"""Files behind pre-authenticated links: what a report's ``url`` or a redirect points at.

A link is good for its file until it expires, whoever follows it; it wants no Authorization, and refuses one, as the
storage that such links lead to in earnest does (learn.microsoft.com/rest/api/storageservices/service-sas-error-codes).
Unless a redirect leads there: clients that follow one drop the header when the host changes, as it does in earnest
and does not here, so there it is not looked at. Nothing is kept: the file is made when it is fetched.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, quote, unquote

from graphkit.sandbox.call import Reply

if TYPE_CHECKING:
    from graphkit.sandbox.tenant import SimulatedTenant

ROOT = "/downloads/"
Maker = Callable[["SimulatedTenant", str], "tuple[bytes, str] | None"]

MAKERS: dict[str, Maker] = {}
"""By the first part of the path: what makes a file's bytes and content type of its name, ``None`` for no such file."""
_REDIRECTED: set[str] = set()


def download(kind: str, *, redirected: bool = False) -> Callable[[Maker], Maker]:
    """``redirected`` if clients come here by a redirect, perhaps with their token."""

    def register(function: Maker) -> Maker:
        MAKERS[kind] = function
        if redirected:
            _REDIRECTED.add(kind)
        return function

    return register


def link(tenant: SimulatedTenant, base: str, kind: str, name: str, expires: float) -> str:
    """A link on the tenant's own host ``base``, good until the time ``expires``."""
    end = str(int(expires))
    return f"{base}{ROOT}{kind}/{quote(name)}?se={end}&sig={_signature(tenant, kind, name, end)}"


def _signature(tenant: SimulatedTenant, kind: str, name: str, end: str) -> str:
    secret = f"{tenant.tenant_id}/{tenant.seed.dice}/downloads".encode()
    return hmac.new(secret, f"{kind}/{name}/{end}".encode(), hashlib.sha256).hexdigest()


def answers(path: str) -> bool:
    return path.startswith(ROOT)


def answer(tenant: SimulatedTenant, method: str, path: str, query: str, headers: dict[str, str]) -> Reply:
    kind, _, name = unquote(path.removeprefix(ROOT)).partition("/")
    sent = {key: values[0] for key, values in parse_qs(query).items()}
    end, signature = sent.get("se", ""), sent.get("sig", "")
    genuine = hmac.compare_digest(signature, _signature(tenant, kind, name, end))
    forbidden = "authorization" in headers and kind not in _REDIRECTED
    if not genuine or forbidden or float(end) < tenant.clock.now():
        return _error(403, "AuthenticationFailed", "Server failed to authenticate the request.")
    made = MAKERS[kind](tenant, name) if kind in MAKERS and method == "GET" else None
    if made is None:
        return _error(404, "BlobNotFound", "The specified blob does not exist.")
    content, content_type = made
    return Reply(200, content, {"Content-Type": content_type})


def _error(status: int, code: str, message: str) -> Reply:
    text = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Reply(status, text.encode(), {"Content-Type": "application/xml", "x-ms-error-code": code})
