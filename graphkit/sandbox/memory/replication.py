"""No read after write: what was just made or changed is seen by one replica now and by another in a moment.

Each read asks one replica, chosen by the tenant's own dice, so a reader may see an object, then miss it, then see it
again; a changed property or membership likewise (concepts/best-practices-concept.md and the threads cited there: there
is no read-after-write guarantee). Writes go where the truth is, and a write's own answer shows it.
"""

from __future__ import annotations

import heapq
import itertools
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from graphkit.sandbox.call import Json

if TYPE_CHECKING:
    from graphkit.sandbox.memory.state import State

REPLICAS = 3


class Lag(NamedTuple):
    """A fault: what is written from ``since`` on reaches some replicas at ``until``, the others at once. With
    ``alternate`` it is seen, unseen, seen by one read after another instead.
    """

    since: float
    until: float
    replicas: int
    alternate: bool


class Replication:
    """``window_s`` is how long the slowest replica may lag; 0 turns it off."""

    def __init__(self, state: State, window_s: float) -> None:
        self._state = state
        self.window_s = window_s
        self.turn = 0
        self._until = 0.0
        self._held = 0.0
        self._order = itertools.count()
        self._changed: list[tuple[float, int, float, Json]] = []
        self._linked: list[tuple[float, float, str, str, str]] = []
        self._recent: dict[tuple[str, str], dict[str, float]] = {}
        self._lags: dict[str, Lag] = {}
        self._looks: dict[str, tuple[int, int]] = {}

    def load(self) -> None:
        """What was held back stays so over a restart; the usual window does not."""
        self._until = float(self._state.meta("lagging") or 0)

    # -- what is written -----------------------------------------------------------------------------------------

    def created(self, now: float) -> None:
        self._until = max(self._until, now + self.window_s)

    def hold(self, lag: Lag) -> None:
        """Whatever is being written lags as told: objects remember it, links for as long as the process lives."""
        for kind, key in self._state.touched:
            item = self._state.get(kind, key)
            if item is not None:
                item["_lag"] = list(lag)
        for _, source, target in self._state.touched_links:
            self._lags[f"{source}/{target}"] = lag
        self._until = max(self._until, lag.until)
        self._held = lag.until
        self._state.set_meta("lagging", self._until)

    def arrival(self, now: float) -> float:
        """When every replica has what was written just now."""
        held, self._held = self._held, 0.0
        return max(held, now + self.window_s)

    def committed(self, now: float) -> None:
        """Note what a write has changed, before it is committed: the old versions are what some replicas still hold."""
        self._forget(now)
        for item, old in self._state.replaced():
            until = self._end(now, item.get("_lag"))
            if until > now:
                item["_previous"], item["_changed"] = old, now
                heapq.heappush(self._changed, (until, next(self._order), now, item))
                self._until = max(self._until, until)
        for name, source, target in self._state.touched_links:
            until = self._end(now, self._lags.get(f"{source}/{target}"))
            if until > now:
                heapq.heappush(self._linked, (until, now, name, source, target))
                self._recent.setdefault((name, source), {})[target] = now
                self._until = max(self._until, until)

    def _end(self, at: float, lag: Sequence[Any] | None) -> float:
        """When a write has arrived everywhere."""
        held = lag[1] if lag is not None and at >= lag[0] else 0.0
        return float(max(held, at + self.window_s))

    def _forget(self, now: float) -> None:
        while self._changed and self._changed[0][0] <= now:
            _, _, at, item = heapq.heappop(self._changed)
            if item.get("_changed") == at:
                item.pop("_previous", None)
        while self._linked and self._linked[0][0] <= now:
            _, at, name, source, target = heapq.heappop(self._linked)
            self._lags.pop(f"{source}/{target}", None)
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
        return created is None or self._arrived(str(item["id"]), created, now, replica, item.get("_lag"))

    def as_seen(self, item: Json, now: float, replica: int) -> Json:
        """The version of an object that a replica holds."""
        while "_previous" in item and not self._arrived(
            str(item["id"]), item["_changed"], now, replica, item.get("_lag")
        ):
            item = item["_previous"]
        return item

    def linked(self, name: str, source: str, now: float, replica: int) -> dict[str, None]:
        """What a replica holds of ``state.linked(name, source)``."""
        links = self._state.linked(name, source)
        recent = self._recent.get((name, source))
        if not recent or not self.lagging(now):
            return links
        keys = {target: f"{source}/{target}" for target in recent}
        late = {
            target
            for target, at in recent.items()
            if not self._arrived(keys[target], at, now, replica, self._lags.get(keys[target]))
        }
        missed = dict.fromkeys(target for target in late if target not in links)
        return {**{target: None for target in links if target not in late}, **missed}

    def _arrived(self, key: str, at: float, now: float, replica: int, lag: Sequence[Any] | None = None) -> bool:
        if lag is not None and lag[0] <= at and now < lag[1]:
            _, _, replicas, alternate = lag
            return self._in_turn(key) if alternate else bool(replica >= replicas)
        if now >= at + self.window_s:
            return True
        # Each replica has its own delay for each thing, the same at every look.
        share = zlib.crc32(f"{key}/{replica}".encode()) / 0xFFFFFFFF
        return bool(now - at >= share * self.window_s)

    def _in_turn(self, key: str) -> bool:
        """Seen by the first call that looks, unseen by the second, and so on; a call has one view."""
        turn, looks = self._looks.get(key, (-1, 0))
        if turn != self.turn:
            looks += 1
            self._looks[key] = self.turn, looks
        return looks % 2 == 1
