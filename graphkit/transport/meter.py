"""One counter of one quota bucket: when may the next request go, and who of those that wait?

The pace is that of a virtual scheduler (GCRA): each unit moves the next arrival time on by one interval, and up to
``burst`` units may run ahead. Burst and pace together never exceed the quota in any window, however it is laid.

Those that wait stand in two lanes. Ahead is who reads: a person, or an engine that cannot go on without; behind is who
writes in bulk. In each lane the oldest goes first, and of five that go one at least is from behind.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from graphkit.protocol.quota import Bucket

if TYPE_CHECKING:
    from graphkit.transport.admission import Waiter

GROUP = 20
"""So many are let go together where the quota allows it, because so many fill a batch."""

PASSING = 4
"""So many from ahead may go for one from behind, while both wait."""

_SLOWEST = 0.05
_RECOVERY_PER_SECOND = 0.02
_LARGEST_RECOVERY = 0.1
_BELOW_REFUSED = 0.95
"""A pace that was refused is gone back to this part of, quickly, and then felt for beyond, slowly at first."""
_PROBING = 5e-6
"""What is added beyond, times the square of the seconds since: a twentieth after 100 s, a third after four minutes."""
_FOUND_S = 0.025
"""Between two units of a bucket whose limit nobody published, once it has refused one: it begins with half that pace,
twenty a second, one by one. Each time that all of it goes well, it is doubled ..."""
_UNBOUND_S = 0.001
"""... until it is this fast, and as if nothing had been."""
_SETTLED_S = 5.0
"""A refusal within so many seconds after a stop says that the bucket is still empty, not that the pace is too high."""


class Meter:
    """Times are readings of the clock's ``monotonic``; ``share`` is the part of the quota that we may take.

    ``waiting`` counts both lanes. ``refusals``, ``waits`` and ``waited_s`` only ever grow, as does ``taken``.
    """

    __slots__ = (
        "_ahead",
        "_before",
        "_behind",
        "_count",
        "_passed",
        "_queued",
        "_queued_ahead",
        "_rolled",
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
        "refusals",
        "stopped_at",
        "stopped_until",
        "waited_s",
        "waiting",
        "waits",
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
        # Most meters are those of one team or chat, where hardly anybody ever waits.
        self._ahead: list[Waiter] | None = None
        self._behind: list[Waiter] | None = None
        self._passed = 0
        self._queued = self._queued_ahead = 0.0
        self.waiting = 0
        self._since, self._count, self._before, self._rolled = -math.inf, 0.0, 0.0, 0.0
        self.refusals, self.waits, self.waited_s = 0, 0, 0.0

    # The pace

    def ready_at(self, amount: float) -> float:
        """When ``amount`` may be taken. An amount above the burst may go once everything before it is paid."""
        ahead = self.burst - amount if self.burst > amount else 0.0
        free = self.next_free - ahead * self.interval
        return free if free > self.stopped_until else self.stopped_until

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
        if not self._step:
            self._step, self.burst = _FOUND_S, 1.0
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
            if not self.bucket.quota:
                self._widen(now)

    def _widen(self, now: float) -> None:
        """There may be room for twice as much where no limit is known."""
        if self._step > _UNBOUND_S:
            self._step /= 2
            self._set_pace(0.5, now)
        else:
            self._step = self.interval = self.burst = 0.0

    def _set_pace(self, pace: float, now: float) -> None:
        self.pace = pace
        self.interval = self._step / pace
        self.changed_at = now

    # The count

    @property
    def taken(self) -> float:
        """Everything ever taken, in the bucket's unit."""
        return self._rolled + self._count

    def used(self, now: float) -> float:
        """The part of the published quota taken during the last window, estimated from this one and the one before."""
        if not self.bucket.quota:
            return 0.0
        passed = (now - self._since) / self.bucket.window_s
        carried = self._before * (1 - passed) if passed < 1 else 0.0
        counted = self._count * min(1.0, max(0.0, 2 - passed)) + carried
        return counted / self.bucket.quota

    def idle(self, now: float) -> bool:
        return not self.waiting and self.ready_at(self.burst) <= now and self.pace >= 1.0

    def _roll(self, now: float) -> None:
        adjacent = now - self._since < 2 * self.bucket.window_s
        self._before = self._count if adjacent else 0.0
        self._since = self._since + self.bucket.window_s if adjacent else now
        self._rolled += self._count
        self._count = 0.0

    # The queue

    def lets_pass(self) -> bool:
        """May one who would stand ahead go at once, although others wait?"""
        return not self._ahead and self._passed < PASSING

    def passed(self) -> None:
        """One who would stand ahead went, although others wait."""
        self._passed += 1

    def queue(self, waiter: Waiter) -> None:
        if self._ahead is None or self._behind is None:
            self._ahead, self._behind = [], []
        heapq.heappush(self._ahead if waiter.ahead else self._behind, waiter)
        self.waiting += 1
        self._count_queued(waiter, waiter.amount(self))

    def head(self) -> Waiter:
        """Whose turn it is. Only where somebody waits."""
        return self._next_lane()[0]

    def unqueue(self) -> Waiter:
        """Take the head off."""
        waiter = heapq.heappop(self._next_lane())
        self.waiting -= 1
        self._count_queued(waiter, -waiter.amount(self))
        if not self.waiting:
            # The lists go, and with them the rounding errors of the sums.
            self._ahead, self._behind, self._passed = None, None, 0
            self._queued = self._queued_ahead = 0.0
        return waiter

    def _count_queued(self, waiter: Waiter, amount: float) -> None:
        self._queued += amount
        if waiter.ahead:
            self._queued_ahead += amount

    def let_go(self, waiter: Waiter) -> None:
        """Note from which lane one went that stood here."""
        self._passed = self._passed + 1 if waiter.ahead and self._behind else 0

    def is_preceded(self, waiter: Waiter) -> bool:
        """Does an older one of the same lane wait here?"""
        lane = self._ahead if waiter.ahead else self._behind
        return lane is not None and bool(lane) and lane[0] < waiter

    def release(self) -> Iterator[Waiter]:
        """Empty the queue."""
        while self.waiting:
            yield self.unqueue()

    def wake_at(self) -> float:
        """When it is worth waking the queue: as soon as a batch full of the lane whose turn it is may go, or all of it.

        Nobody ahead is kept waiting until those behind are a group. After a refusal one goes at a time, until the first
        succeeds.
        """
        lane = self._next_lane()
        alone = self.failures or (self._ahead and lane is self._behind)
        group = 0.0 if alone else min(GROUP, len(lane), self.burst)
        return self.ready_at(max(group, lane[0].amount(self)))

    def next_at(self) -> float:
        """When the head may go by itself."""
        return self.ready_at(self.head().amount(self))

    def due_at(self, amount: float, *, ahead: bool) -> float:
        """When one who comes now may be expected to go, after those before it."""
        before = self._queued_ahead if ahead else self._queued
        return max(self.stopped_until, self.ready_at(amount) + before * self.interval)

    def _next_lane(self) -> list[Waiter]:
        ahead, behind = self._ahead, self._behind
        assert ahead is not None and behind is not None  # noqa: S101, PT018 - they live while somebody waits
        return ahead if ahead and (self._passed < PASSING or not behind) else behind
