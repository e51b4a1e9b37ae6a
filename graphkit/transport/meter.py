"""One counter of one quota bucket: when may the next request go?

The pace is that of a virtual scheduler (GCRA): each unit moves the next arrival time on by one interval, and up to
``burst`` units may run ahead. Burst and pace together never exceed the quota in any window, however it is laid.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from graphkit.protocol.quota import Bucket

if TYPE_CHECKING:
    from graphkit.transport.governor import Waiter

GROUP = 20
"""So many are let go together where the quota allows it, because so many fill a batch."""

_SLOWEST = 0.05
_RECOVERY_PER_SECOND = 0.02
_LARGEST_RECOVERY = 0.1
_BELOW_REFUSED = 0.95
"""A pace that was refused is gone back to this part of, quickly, and then felt for beyond, slowly at first."""
_PROBING = 5e-6
"""What is added beyond, times the square of the seconds since: a twentieth after 100 s, a third after four minutes."""
_SETTLED_S = 5.0
"""A refusal within so many seconds after a stop says that the bucket is still empty, not that the pace is too high."""


class Meter:
    """Times are readings of the clock's ``monotonic``; ``share`` is the part of the quota that we may take."""

    __slots__ = (
        "_before",
        "_count",
        "_since",
        "_step",
        "armed_at",
        "bucket",
        "burst",
        "changed_at",
        "failures",
        "interval",
        "key",
        "knee",
        "knee_at",
        "next_free",
        "pace",
        "stopped_at",
        "stopped_until",
        "waiting",
    )

    def __init__(self, key: str, bucket: Bucket, share: float) -> None:
        self.key = key
        self.bucket = bucket
        limit = bucket.quota * share * bucket.sustained
        burst = min(max(GROUP, 0.02 * limit), 0.05 * limit)
        self.burst = burst if burst >= 1 else 0.0
        self._step = bucket.window_s * bucket.headroom / (limit - self.burst) if limit else 0.0
        self.interval = self._step
        self.pace = self.knee = 1.0
        self.knee_at = math.inf
        self.next_free = -math.inf
        self.stopped_at = self.stopped_until = -math.inf
        self.changed_at = -math.inf
        self.failures = 0
        self.armed_at = math.inf
        self.waiting: list[Waiter] = []
        self._since, self._count, self._before = -math.inf, 0.0, 0.0

    def ready_at(self, amount: float) -> float:
        """When ``amount`` may be taken. An amount above the burst may go once everything before it is paid."""
        ahead = self.burst - amount if self.burst > amount else 0.0
        free = self.next_free - ahead * self.interval
        return free if free > self.stopped_until else self.stopped_until

    def wake_at(self) -> float:
        """When it is worth waking the queue: as soon as a batch full may go, or all who wait.

        After a refusal one goes at a time, until the first succeeds.
        """
        group = 0.0 if self.failures else min(GROUP, len(self.waiting), self.burst)
        return self.ready_at(max(group, self.waiting[0].amount(self)))

    def take(self, amount: float, now: float) -> None:
        self.next_free = (now if now > self.next_free else self.next_free) + amount * self.interval
        if now - self._since >= self.bucket.window_s:
            self._roll(now)
        self._count += amount

    def correct(self, amount: float) -> None:
        """The service says that a call cost ``amount`` more, or less, than was taken."""
        self.next_free += amount * self.interval
        self._count += amount

    def stop(self, until: float, now: float) -> None:
        """Nothing before ``until``, and after it one at a time rather than all who waited at once."""
        self.stopped_at = now
        self.stopped_until = max(self.stopped_until, until)
        self.next_free = max(self.next_free, self.stopped_until + max(0.0, self.burst - 1) * self.interval)

    def refused(self, now: float) -> None:
        """Half the pace, and remember which one it was that somebody else's share left no room for."""
        if now - self.stopped_until > _SETTLED_S:
            self.knee = max(_SLOWEST, _BELOW_REFUSED * self.pace)
        self.slow(0.5, now)

    def slow(self, factor: float, now: float) -> None:
        self.knee_at = math.inf
        self._set_pace(max(_SLOWEST, self.pace * factor), now)

    def recover(self, now: float) -> None:
        """Additive: a fiftieth of the full pace for each second that it ran well, a tenth at most at a time.

        Beyond a pace that was refused of late it is felt for more carefully: each refusal costs a batch or two.
        """
        if self.pace < self.knee:
            ran = now - max(self.changed_at, self.stopped_until)
            step = min(_LARGEST_RECOVERY, max(0.0, _RECOVERY_PER_SECOND * ran))
            self._set_pace(min(self.knee, self.pace + step), now)
            return
        self.knee_at = min(self.knee_at, now)
        self._set_pace(min(1.0, max(self.pace, self.knee + _PROBING * (now - self.knee_at) ** 2)), now)
        if self.pace >= 1.0:
            self.knee, self.knee_at = 1.0, math.inf

    def used(self, now: float) -> float:
        """The part of the published quota taken during the last window, estimated from this one and the one before."""
        if not self.bucket.quota:
            return 0.0
        window = self.bucket.window_s
        if now - self._since >= window:
            self._roll(now)
        carried = self._before * (1 - (now - self._since) / window)
        return (self._count + carried) / self.bucket.quota

    def idle(self, now: float) -> bool:
        return not self.waiting and self.ready_at(self.burst) <= now and self.pace >= 1.0

    def _set_pace(self, pace: float, now: float) -> None:
        self.pace = pace
        self.interval = self._step / pace
        self.changed_at = now

    def _roll(self, now: float) -> None:
        adjacent = now - self._since < 2 * self.bucket.window_s
        self._before = self._count if adjacent else 0.0
        self._since = self._since + self.bucket.window_s if adjacent else now
        self._count = 0.0
