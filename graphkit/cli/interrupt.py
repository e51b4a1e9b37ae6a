"""Ctrl-C, or a polite kill, while a run is applied: the first time it stops in an orderly way, the second time at once.

A signal that is ignored from the start stays so: a shell makes what a script starts with ``&`` ignore Ctrl-C, which is
meant for what stands in the foreground (GNU libc manual, "Initial Signal Actions").
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from graphkit.cli.invocation import Invocation
from graphkit.engine.brake import Brake

SIGNALS = (signal.SIGINT, signal.SIGTERM)
STOPPING = "stopping: what is under way may end; Ctrl-C again stops at once, and resume goes on either way"


@contextmanager
def braking(invocation: Invocation) -> Iterator[Brake]:
    """A brake that the signals pull while the context lasts."""
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
    usual = {number: signal.getsignal(number) for number in SIGNALS}
    heard = {number: handler for number, handler in usual.items() if handler is not signal.SIG_IGN}
    for number in heard:
        signal.signal(number, interrupted)
    try:
        yield brake
    finally:
        for number, handler in heard.items():
            signal.signal(number, handler)
