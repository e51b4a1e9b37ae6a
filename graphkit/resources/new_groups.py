"""Groups that an input names and the tenant lacks, made empty when ``--create-groups`` asks for it."""

from __future__ import annotations

import hashlib
import re

from graphkit.engine.change import Desired, Origin, Reading
from graphkit.resources.users import GUID


def group_key(name: str, prefix: str) -> str:
    """The uniqueName under which a group of this name is created: readable, and no other name's."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:40].strip("-")
    return f"{prefix}.{slug}.{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def is_missing(name: str, reading: Reading) -> bool:
    """Is there provably no group of that name? An id alone is no name to create one under."""
    return reading.known and not (reading.value or {}).get("value") and not GUID.fullmatch(name)


def new_group(name: str, prefix: str, file: str) -> Desired:
    """The wish for it, in the name of the file and not of the policy: others may need the group as well."""
    key = group_key(name, prefix)
    return Desired(
        kind="group",
        key=key,
        origin=Origin(file, f"group {name}"),
        properties={
            "displayName": name,
            "uniqueName": key,
            "mailNickname": key,
            "mailEnabled": False,
            "securityEnabled": True,
        },
    )
