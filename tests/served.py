"""A tenant behind HTTP for tests that are not asynchronous themselves."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager

from graphkit.clock import run
from graphkit.sandbox import serve


@contextmanager
def served(tenant, tls=None):
    """The address of a tenant that is served by another thread."""
    stop, ready, found = threading.Event(), threading.Event(), []

    def announce(address):
        found.append(address)
        ready.set()

    async def main():
        task = asyncio.create_task(serve(tenant, tls=tls, on_ready=announce))
        await asyncio.to_thread(stop.wait)
        task.cancel()
        await asyncio.wait([task])

    thread = threading.Thread(target=run, args=(main(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield found[0]
    finally:
        stop.set()
        thread.join()
