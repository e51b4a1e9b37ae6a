"""Jobs that end in time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from graphkit.session import Session

LAST_S = 10.0
"""Seconds before a deadline, but a twentieth of the time given at most, in which nothing new is sent: what is under way
may end, and the books are closed."""


@contextmanager
def nothing_sent_after(session: Session, deadline: float | None) -> Iterator[float]:
    """Tells the transport, and the time after which nothing new is sent. ``deadline`` is a time of the clock."""
    if deadline is None:
        yield math.inf
        return
    left = deadline - session.clock.now()
    left -= min(LAST_S, max(0.0, left) / 20)
    session.chain.deadline = session.clock.monotonic() + left
    try:
        yield session.clock.now() + left
    finally:
        session.chain.deadline = math.inf
