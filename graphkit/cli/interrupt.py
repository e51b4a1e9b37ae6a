"""Ctrl-C while a run is being applied: the first time it stops in an orderly way, the second time at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from graphkit.cli.invocation import Invocation
from graphkit.engine.brake import Brake

STOPPING = "stopping: what is under way may end; Ctrl-C again stops at once, and resume goes on either way"


@contextmanager
def braking(invocation: Invocation) -> Iterator[Brake]:
    """A brake that Ctrl-C pulls while the context lasts."""
    brake = Brake()
    asked = False

    def interrupted(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked or not brake.heard:
            raise KeyboardInterrupt
        asked = True
        invocation.say(STOPPING)
        brake.pull_from_outside()

    if threading.current_thread() is not threading.main_thread():
        yield brake
        return
    usual = signal.signal(signal.SIGINT, interrupted)
    try:
        yield brake
    finally:
        signal.signal(signal.SIGINT, usual)
