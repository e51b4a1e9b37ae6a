"""What must not be read by the next person is taken out: first by structure, then by pattern.

Lengths are kept instead of prefixes: eight characters of a token are eight too many.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

SECRET_NAMES = frozenset(
    {
        "accesstoken",
        "assertion",
        "authorization",
        "clientassertion",
        "clientsecret",
        "code",
        "codeverifier",
        "cookie",
        "devicecode",
        "idtoken",
        "password",
        "passwd",
        "pwd",
        "privatekey",
        "proxyauthorization",
        "refreshtoken",
        "secret",
        "secrettext",
        "setcookie",
        "sig",
        "temporaryaccesspass",
        "xidentityheader",
    }
)
"""Names whose values are secret, without case, ``_`` and ``-``. ``code`` is one only where it holds text that long."""

_SHORT_CODE = 40  # an authorization code is long; an error code is not

_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.S)
_JWT = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*){0,3}")
_SCHEME = re.compile(r"\b(Bearer|Basic|PoP)(\s+)([\w.~+/=-]{8,})", re.I)
_USER_INFO = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]*@")
# name=value, name: value and "name": "value", also within escaped JSON.
_NAMED = re.compile(
    r"""(?P<name>\b(?:access_?token|refresh_?token|id_?token|client_?secret|client_?assertion|secret_?text|assertion
        |(?:\w+_)?password|passwd|pwd|private_?key|device_?code|code_?verifier|temporary_?access_?pass|(?:proxy-)?authorization|set-cookie
        |x-identity-header|sig|AZURE_CLIENT_SECRET|GRAPHKIT_ACCESS_TOKEN))
        (?P<between>\\?["']?\s*[:=]\s*)
        (?: (?P<quote>\\?["'])(?P<quoted>.*?)(?P=quote) | (?P<bare>[^\s"'&,;}\])<]+) )""",
    re.I | re.X | re.S,
)
_UPN = re.compile(r"[\w.+'\-#]+(?:@|%40)(?!odata\.|microsoft\.|Microsoft\.)[\w-]+(?:\.[\w-]+)+")


def _mask(value: str) -> str:
    return f"<{len(value)} characters removed>"


def _mask_named(match: re.Match[str]) -> str:
    value = match["quoted"] if match["quoted"] is not None else match["bare"]
    # Already masked by a pattern that ran before, or the word of "Authorization: Bearer <...>".
    if not value or value.startswith("<") or value.lower() in ("bearer", "basic", "pop"):
        return match[0]
    quote = match["quote"] or ""
    return f"{match['name']}{match['between']}{quote}{_mask(value)}{quote}"


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` without tokens, keys, passwords and signatures, and without the very values in ``secrets``."""
    for secret in secrets:
        text = text.replace(secret, _mask(secret))
    text = _PRIVATE_KEY.sub("<private key removed>", text)
    text = _JWT.sub(lambda match: _mask(match[0]), text)
    text = _SCHEME.sub(lambda match: f"{match[1]}{match[2]}{_mask(match[3])}", text)
    text = _USER_INFO.sub("<...>@", text)
    return _NAMED.sub(_mask_named, text)


def without_people(text: str) -> str:
    """``text`` with everything that looks like a user principal name or mail address masked."""
    return _UPN.sub("<person>", text)


def redact_value(value: Any) -> Any:
    """A copy of a JSON-like value, redacted by the names of its fields, then each text by pattern."""
    if isinstance(value, Mapping):
        return {name: _redact_field(str(name), item) for name, item in value.items()}
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [redact_value(item) for item in value]
    return value


def _redact_field(name: str, value: Any) -> Any:
    plain = name.lower().replace("_", "").replace("-", "")
    if plain not in SECRET_NAMES or not isinstance(value, str):
        return redact_value(value)
    if plain == "code" and len(value) < _SHORT_CODE:
        return redact_value(value)
    return _mask(value)
