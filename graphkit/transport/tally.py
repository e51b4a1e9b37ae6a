"""One budget for all who use the same app and tenant: places are reserved in a tally that they share.

The tally knows one thing of each counter, the time from which its next place is free, and moves it on by what is
reserved. A reservation is a small lot (twenty writes, say), so that the tally is asked about once a second however many
requests go. Whoever dies takes no more with it than the lot it held: the time of those places passes by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from graphkit.protocol.quota import Bucket
from graphkit.transport.meter import Meter
from graphkit.transport.use import Use

LOT_S = 2.0
"""A lot is what went in so many seconds of late, within its bounds."""
KEPT_S = 5.0
"""So long after its time a place may still be used. Then it is lost, and a lot must not be larger than is used."""
SCOPES = frozenset({"app", "tenant", "app+tenant"})
"""What is shared. The counters of single teams and channels are thousands, each asked for a few times, and a tally is
written anew at each reservation; two runs seldom meet at one, and where they do, the service's 429 stops just that one.
"""


@dataclass(frozen=True, slots=True)
class Grant:
    """``amount`` places from the time ``start`` on; if there are none, ask again at ``start``.

    Nothing may go before ``stopped_until``. Times are those of the clock's ``monotonic``.
    """

    amount: float
    start: float
    stopped_until: float = -math.inf


class Tally(Protocol):
    """Where places are reserved. It answers at once: one that asks a network reserves ahead, and gives no places
    (``Grant`` of 0) until it has some.
    """

    def reserve(self, name: str, amount: float, interval: float, now: float) -> Grant:
        """``amount`` places of the counter ``name``, one each ``interval`` seconds, after those of all others."""
        ...

    def stop(self, name: str, until: float, free: float, now: float) -> None:
        """The service closed the counter for everybody until ``until``; places are free from ``free`` on."""
        ...

    def tell(self, uses: Sequence[Use]) -> None:
        """What this process takes now from which quotas, for whoever asks; nothing once it ends. Never raises."""
        ...


class TalliedMeter(Meter):
    """A counter whose places come from a tally. ``owner`` is the app, empty for what all apps of a tenant share.

    Two thirds of the burst are given up: as much may be held, reserved and not yet used, by two processes.
    """

    __slots__ = ("_again", "_left", "_life", "_lot", "_most", "_name", "_noted", "_now", "_spent", "_tally", "_until")

    def __init__(
        self, key: str, bucket: Bucket, share: float, *, tally: Tally, now: Callable[[], float], owner: str = ""
    ) -> None:
        super().__init__(key, bucket, share)
        self._tally = tally
        self._now = now
        self._name = f"{owner}/{key}"
        self._most = max(1.0, self.burst // 3)
        self.burst = max(0.0, self.burst - 2 * self._most)
        self._life = KEPT_S if self.burst else self.interval / 4
        self._lot, self._left, self._spent = 1.0, 0.0, 0.0
        self._until = self._again = self._noted = -math.inf

    def ready_at(self, amount: float) -> float:
        now = self._now()
        if self._left < amount or now > self._until:
            self._reserve(amount, now)
            if self._left < amount:
                return max(self._again, self.stopped_until)
        return super().ready_at(amount)

    def take(self, amount: float, now: float) -> None:
        place = self.next_free
        super().take(amount, now)
        self.next_free = place + amount * self.interval
        self._left -= amount
        self._spent += amount

    def correct(self, amount: float) -> None:
        super().correct(amount)
        self._left -= amount

    def stop(self, until: float, now: float) -> None:
        super().stop(until, now)
        self._left, self._until = 0.0, -math.inf
        self._tally.stop(self._name, self.stopped_until, self.next_free, now)

    def idle(self, now: float) -> bool:
        return not self.waiting and now > self._until and self.pace >= 1.0

    def _reserve(self, amount: float, now: float) -> None:
        if now > self._until:
            self._left = 0.0
        if now - self._noted < LOT_S / 4:
            self._lot *= 2
        else:
            self._lot = self._spent * LOT_S / (now - self._noted)
        self._lot = min(max(1.0, self._lot), self._most)
        grant = self._tally.reserve(self._name, max(amount - self._left, self._lot), self.interval, now)
        self.stopped_until = max(self.stopped_until, grant.stopped_until)
        if not grant.amount:
            self._again = grant.start
            return
        # What is left counts as if it stood right before the new places: later than it might, never earlier.
        self._left += grant.amount
        self._spent, self._noted = 0.0, now
        end = grant.start + grant.amount * self.interval
        self.next_free = end - self._left * self.interval
        self._until = max(end, now) + self._life
