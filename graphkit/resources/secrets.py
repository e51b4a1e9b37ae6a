"""Values that the service shows masked: an export holds a reference to them, which no other policy can use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MASK = "****"
TOKEN = "encryptedValueToken"  # noqa: S105 - a state, not a token
PLAIN = "notEncrypted"
SECRET_NAMES = frozenset({"preSharedKey", "sharedSecret"})
"""Properties that the service takes and never shows (v1.0 metadata, beta SDK)."""


def sealed(value: Any, path: str = "") -> Iterator[str]:
    """Where ``value`` holds a mask or a token in the place of a secret."""
    if isinstance(value, Mapping):
        is_oma = str(value.get("@odata.type", "")).rpartition(".")[2].startswith("omaSetting")
        if (is_oma and value.get("value") == MASK) or value.get("valueState") == TOKEN:
            yield f"{path}.value"
    for where, inner in _inner(value, path):
        yield from sealed(inner, where)


def secret_values(value: Any) -> Iterator[Mapping[str, Any]]:
    """The secret settings of the settings catalog, at any depth."""
    if isinstance(value, Mapping) and "valueState" in value and "value" in value:
        yield value
    for _, inner in _inner(value, ""):
        yield from secret_values(inner)


def masked(value: Any) -> None:
    """Put a mask in the place of each secret or reference to one, at any depth."""
    if isinstance(value, dict):
        if value.get("valueState") in (TOKEN, PLAIN):
            value["value"], value["valueState"] = MASK, TOKEN
        for name in SECRET_NAMES.intersection(value):
            value[name] = None
    for _, inner in _inner(value, ""):
        masked(inner)


def plain_secrets(value: Any, path: str = "") -> Iterator[str]:
    """Where ``value`` holds a secret as it is, which no plan and no log may keep."""
    if isinstance(value, Mapping):
        if value.get("valueState") == PLAIN:
            yield f"{path}.value"
        yield from (f"{path}.{name}".lstrip(".") for name in SECRET_NAMES if isinstance(value.get(name), str))
    for where, inner in _inner(value, path):
        yield from plain_secrets(inner, where)


def _inner(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((f"{path}.{name}".lstrip("."), inner) for name, inner in value.items())
    elif isinstance(value, list):
        yield from ((f"{path}[{index}]", inner) for index, inner in enumerate(value))
