"""Small pieces of text that several commands read or write."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path

import click

from graphkit.private import make_folder

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h|d)?")


class Duration(click.ParamType[float]):
    """``90``, ``90s``, ``30m``, ``6h``, ``1d`` as seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        if not match:
            self.fail(f"{value!r} is not a duration such as 90s, 30m, 6h or 1d", param, ctx)
        return float(match[1]) * _UNITS[match[2] or "s"]


class WaitFor(click.ParamType[float]):
    """``effective``, or ``effective=30m`` with how long to wait for it, as seconds."""

    name = "wait"
    usual = "30m"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        what, _, time = str(value).partition("=")
        if what != "effective":
            self.fail(f"{value!r} is not effective, nor effective=TIME", param, ctx)
        return Duration().convert(time or self.usual, param, ctx)


class Destination(click.ParamType[str]):
    """A file that is to be written in the end; a folder that is missing is made, as for a run file.

    Refused before anything is done where it could not be written.
    """

    name = "file"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        path = Path(str(value))
        if path.is_dir():
            self.fail(f"{path} is a folder", param, ctx)
        try:
            make_folder(path.parent)
        except OSError as error:
            self.fail(f"the folder {path.parent} cannot be made: {error.strerror}", param, ctx)
        if not os.access(path.parent, os.W_OK):
            self.fail(f"nothing may be written into {path.parent} by you", param, ctx)
        return str(value)


def quoted(argument: object) -> str:
    """An argument as the platform's shell wants it."""
    text = str(argument)
    return subprocess.list2cmdline([text]) if os.name == "nt" else shlex.quote(text)
