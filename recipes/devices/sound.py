"""Further settings that a file gives by Graph's own names, checked against the schema before any request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphkit.engine.change import Origin
from graphkit.inputs.problems import Problems
from graphkit.protocol.schema import Version, validate, without_nulls


def is_sound(problems: Problems, origin: Origin, body: Mapping[str, Any], kind: str, version: Version) -> bool:
    """Would Graph take ``body`` as a ``kind``? Whatever is wrong with it is named below ``settings``."""
    found = validate(without_nulls(body), kind, version)
    for each in found:
        code = "needs-beta" if each.code == "beta-only" else each.code
        advice = ": --allow-beta permits it" if each.code == "beta-only" else ""
        problems.add(origin.file, f"{origin.place}.settings.{each.path}", code, f"{each.message}{advice}")
    return not found
