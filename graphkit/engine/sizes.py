"""How long the lists of a tenant were when an earlier plan read them, so that one that has shrunk is noticed.

A service has been seen to answer 200 with half of the directory missing, and whoever took that for the truth removed
the rest. One file a tenant, beside the runs of this machine: the lists by name, each with its number of objects.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from graphkit.errors import RunFileError
from graphkit.private import make_folder, replacing

SHARE = 0.2
"""A list that lost more than this part of its objects is not believed."""
AT_LEAST = 20
"""Nor is one looked at that had fewer than so many: there a fifth is nothing unusual."""


class Sizes:
    """What earlier plans saw, and what this one sees. Without a folder nothing is remembered."""

    def __init__(self, folder: Path | None = None, tenant: str = "") -> None:
        name = hashlib.sha256(tenant.encode()).hexdigest()[:16]
        self._path = folder / f"sizes-{name}.json" if folder else None
        self._before: dict[str, int] = self._read()
        self._now: dict[str, int] = {}

    def _read(self) -> dict[str, int]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, int]) if self._path else {}
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            raise RunFileError(
                f"{self._path} cannot be read: {error}", hint="remove it: what it remembers is learnt anew"
            ) from error

    def note(self, name: str, count: int) -> None:
        """A list was read to its end. ``name`` goes into the file only as a digest: a filter may hold a person's."""
        self._now[name] = count

    def shrunk(self) -> Iterator[str]:
        """One line for each list that is suspiciously shorter than it was."""
        for name, count in sorted(self._now.items()):
            before = self._before.get(_digest(name), 0)
            if before >= AT_LEAST and before - count > before * SHARE:
                yield (
                    f"{name}: {count:,} listed, and {before:,} when last looked at; "
                    "if so many are really gone, --accept-impact goes on"
                )

    def keep(self) -> None:
        """Remember what this plan saw, readable by its owner only."""
        if self._path is None or not self._now:
            return
        known = {**self._read(), **{_digest(name): count for name, count in self._now.items()}}
        make_folder(self._path.parent)
        with replacing(self._path) as stream:
            stream.write(msgspec.json.encode(dict(sorted(known.items()))))


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]
