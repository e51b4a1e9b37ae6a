"""Builds of Windows: four numbers, compared as numbers."""

from __future__ import annotations

import re

Build = tuple[int, int, int, int]

LARGEST = 65535
"""Of each number: Windows keeps them in 16 bits (VS_FIXEDFILEINFO, learn.microsoft.com/windows/win32/api/verrsrc)."""

_FOUR = re.compile(r"\d{1,5}(\.\d{1,5}){3}", re.ASCII)


def parse_build(text: str) -> Build:
    """``10.0.22631.4000`` as numbers. Raises ``ValueError``."""
    if not _FOUR.fullmatch(text):
        raise ValueError(f"{text!r} is not a build of four numbers such as 10.0.22631.4000")
    first, second, third, fourth = (int(part) for part in text.split("."))
    if max(first, second, third, fourth) > LARGEST:
        raise ValueError(f"{text!r} holds a number above {LARGEST}")
    return first, second, third, fourth


def show_build(build: Build) -> str:
    """The form that Graph takes, without leading zeros."""
    return ".".join(str(part) for part in build)


def meets_floor(build: str, floor: str) -> bool:
    """Is ``build`` at or above ``floor``? As numbers: .10000 is above .4000, which is above .900."""
    return parse_build(build) >= parse_build(floor)
