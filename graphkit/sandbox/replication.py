"""No read after write: what was just made or changed is seen by one replica now and by another in a moment.

Each read asks one replica, chosen by the tenant's own dice, so a reader may see an object, then miss it, then see it
again; a changed property or membership likewise (concepts/best-practices-concept.md and the threads cited there: there
is no read-after-write guarantee). Writes go where the truth is, and a write's own answer shows it.
"""

from __future__ import annotations

import zlib
from collections import deque
from typing import TYPE_CHECKING

from graphkit.sandbox.call import Json

if TYPE_CHECKING:
    from graphkit.sandbox.state import State

REPLICAS = 3


class Replication:
    """``window_s`` is how long the slowest replica may lag; 0 turns it off."""

    def __init__(self, state: State, window_s: float) -> None:
        self._state = state
        self.window_s = window_s
        self._until = 0.0
        self._changed: deque[tuple[float, Json]] = deque()
        self._linked: deque[tuple[float, str, str, str]] = deque()
        self._recent: dict[tuple[str, str], dict[str, float]] = {}

    # -- what is written -----------------------------------------------------------------------------------------

    def created(self, now: float) -> None:
        self._until = max(self._until, now + self.window_s)

    def committed(self, now: float) -> None:
        """Note what a write has changed, before it is committed: the old versions are what some replicas still hold."""
        self._forget(now)
        if not self.window_s:
            return
        for item, old in self._state.replaced():
            item["_previous"], item["_changed"] = old, now
            self._changed.append((now, item))
            self.created(now)
        for name, source, target in self._state.touched_links:
            self._linked.append((now, name, source, target))
            self._recent.setdefault((name, source), {})[target] = now
            self.created(now)

    def _forget(self, now: float) -> None:
        while self._changed and self._changed[0][0] + self.window_s <= now:
            at, item = self._changed.popleft()
            if item.get("_changed") == at:
                item.pop("_previous", None)
        while self._linked and self._linked[0][0] + self.window_s <= now:
            at, name, source, target = self._linked.popleft()
            recent = self._recent.get((name, source), {})
            if recent.get(target) == at:
                del recent[target]
                if not recent:
                    del self._recent[name, source]

    # -- what is read --------------------------------------------------------------------------------------------

    def lagging(self, now: float) -> bool:
        """Whether any replica may lag at all."""
        return now < self._until

    def visible(self, item: Json, now: float, replica: int) -> bool:
        """Whether a replica knows that the object exists."""
        created = item.get("_created")
        return created is None or self._arrived(str(item["id"]), created, now, replica)

    def as_seen(self, item: Json, now: float, replica: int) -> Json:
        """The version of an object that a replica holds."""
        while "_previous" in item and not self._arrived(str(item["id"]), item["_changed"], now, replica):
            item = item["_previous"]
        return item

    def linked(self, name: str, source: str, now: float, replica: int) -> dict[str, None]:
        """What a replica holds of ``state.linked(name, source)``."""
        links = self._state.linked(name, source)
        recent = self._recent.get((name, source))
        if not recent or not self.lagging(now):
            return links
        late = {target for target, at in recent.items() if not self._arrived(f"{source}/{target}", at, now, replica)}
        missed = dict.fromkeys(target for target in late if target not in links)
        return {**{target: None for target in links if target not in late}, **missed}

    def _arrived(self, key: str, at: float, now: float, replica: int) -> bool:
        if now >= at + self.window_s:
            return True
        # Each replica has its own delay for each thing, the same at every look.
        share = zlib.crc32(f"{key}/{replica}".encode()) / 0xFFFFFFFF
        return bool(now - at >= share * self.window_s)
