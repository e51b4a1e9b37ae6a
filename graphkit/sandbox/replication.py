"""No read after write: what was just made is seen by one replica now and by another in a moment.

Each request reads one replica, chosen by the tenant's own dice, so a reader may see an object, then miss it, then
see it again (MicrosoftDocs/entra-docs and the threads cited in concepts/best-practices-concept.md: there is no
read-after-write guarantee).
"""

from __future__ import annotations

import zlib

from graphkit.sandbox.call import Json

REPLICAS = 3


class Replication:
    """``window_s`` is how long the slowest replica may lag; 0 turns it off."""

    def __init__(self, window_s: float) -> None:
        self.window_s = window_s
        self._until = 0.0

    def created(self, now: float) -> None:
        self._until = max(self._until, now + self.window_s)

    def lagging(self, now: float) -> bool:
        """Whether anything may be invisible at all."""
        return now < self._until

    def visible(self, item: Json, now: float, replica: int) -> bool:
        created = item.get("_created")
        if created is None or now >= created + self.window_s:
            return True
        # Each replica has its own delay for each object, the same at every look.
        share = zlib.crc32(f"{item['id']}/{replica}".encode()) / 0xFFFFFFFF
        return bool(now - created >= share * self.window_s)
