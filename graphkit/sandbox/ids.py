"""Deterministic identifiers: the same tenant has the same ids on every machine."""

from __future__ import annotations

import hashlib
import random
import struct
import uuid
from datetime import UTC, datetime

SEEDED_AT = "2024-01-08T09:00:00Z"
"""When everything that the tenant was born with says it was created."""


def guid(*parts: str) -> str:
    """A GUID derived from ``parts`` (name-based, as version 5 is)."""
    digest = bytearray(hashlib.sha1("/".join(parts).encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return dashed(digest.hex())


def random_guid(source: random.Random) -> str:
    return dashed(f"{source.getrandbits(128):032x}")


def dashed(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def security_identifier(key: str) -> str:
    """An object's id as Windows writes it: the example on group-post-groups.md has both."""
    return "S-1-12-1-" + "-".join(str(part) for part in struct.unpack("<4I", uuid.UUID(key).bytes_le))


def instant(seconds: float) -> str:
    """Epoch seconds as Graph writes them, whole seconds in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
