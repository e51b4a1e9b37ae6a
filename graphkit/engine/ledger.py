"""Which objects graphkit has made or taken over, for kinds that have no place for a marker.

One file a tenant, beside the runs of this machine: an id a line, only ever added to.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from pathlib import Path

from graphkit.private import make_folder, open_private


class Ledger:
    """The ids kept for one tenant. A folder that keeps nothing yet is an empty ledger."""

    def __init__(self, folder: Path, tenant: str) -> None:
        # Where the service does not say who it is, the tenant's name is an address.
        name = hashlib.sha256(tenant.encode()).hexdigest()[:16]
        self._path = folder / f"objects-{name}.txt"

    def ids(self) -> frozenset[str]:
        try:
            return frozenset(self._path.read_text(encoding="ascii", errors="replace").split())
        except FileNotFoundError:
            return frozenset()

    def add(self, ids: Collection[str]) -> None:
        """Keep these too; what is kept already is not written again."""
        new = sorted(set(ids) - self.ids())
        if not new:
            return
        make_folder(self._path.parent)
        with os.fdopen(open_private(self._path, append=True), "w", encoding="ascii") as stream:
            # A line that a crash cut short is ended first.
            stream.write("".join(f"\n{object_id}" for object_id in new) + "\n")
