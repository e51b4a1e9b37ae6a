"""Owners of groups and teams who come in place of a leaver: before the leaver goes."""

from __future__ import annotations

from collections.abc import Iterable

from graphkit.engine.change import Change, Desired, Reading
from graphkit.resources.owners import Owners


class Handovers(Owners):
    """As a ``group.owner``; ``rails`` may hold ``note``."""

    kind = "group.handover"
    rank = 0

    def diff(self, wanted: Desired, reading: Reading) -> Iterable[Change]:
        for line in super().diff(wanted, reading):
            line.note = str(wanted.rails.get("note", ""))
            yield line
