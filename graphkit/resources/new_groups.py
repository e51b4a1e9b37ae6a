"""Groups that an input names and the tenant lacks, made when ``--create-groups`` asks for it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from graphkit.engine.change import Desired, Origin, Reading
from graphkit.resources.groups import security_group
from graphkit.resources.users import GUID

TOLD = (
    *("description", "groupTypes", "mailEnabled", "securityEnabled"),
    *("membershipRule", "membershipRuleProcessingState"),
)
"""What of a group that an input describes is made anew; members are not told."""


def group_key(name: str, prefix: str) -> str:
    """The uniqueName under which a group of this name is created: readable, and no other name's."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:40].strip("-")
    return f"{prefix}.{slug}.{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def is_missing(name: str, reading: Reading) -> bool:
    """Is there provably no group of that name? An id alone is no name to create one under."""
    return reading.known and not (reading.value or {}).get("value") and not GUID.fullmatch(name)


def new_group(name: str, prefix: str, asked: Desired) -> Desired:
    """The wish for it, in the name of the file and not of the policy: others may need the group as well.

    A security group without members, or as ``asked.rails["groups"]`` (name to properties) describes it.
    """
    key = group_key(name, prefix)
    return Desired(
        kind="group",
        key=key,
        origin=Origin(asked.origin.file, f"group {name}"),
        properties={**security_group(key, name), **asked.rails.get("groups", {}).get(name, {})},
    )


def described(groups: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What an input tells of these groups, as ``rails["groups"]`` takes it."""
    told = {name: groups[name] for name in sorted(set(names)) if name in groups}
    return {name: {key: value for key in TOLD if (value := body.get(key))} for name, body in told.items()}
