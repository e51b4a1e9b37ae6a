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
        self.pace = 1.0
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

    def slow(self, factor: float, now: float) -> None:
        self._set_pace(max(_SLOWEST, self.pace * factor), now)

    def recover(self, now: float) -> None:
        """Additive: a fiftieth of the full pace for each second that it ran well, a tenth at most at a time."""
        ran = now - max(self.changed_at, self.stopped_until)
        step = min(_LARGEST_RECOVERY, max(0.0, _RECOVERY_PER_SECOND * ran))
        self._set_pace(min(1.0, self.pace + step), now)

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
