"""Waiting for what a change needs: a promise for each object that something pending needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from graphkit.engine.change import Change, Result, Status
from graphkit.engine.packing import Ended, Pack
from graphkit.engine.runfile import RunFile

Name = tuple[str, str]


class Needs:
    """Kept for one run while it is being applied."""

    def __init__(self, run: RunFile) -> None:
        self._run = run
        self._promises: dict[Name, asyncio.Future[bool]] = {}

    def watch(self) -> int:
        """Look through everything pending; returns how much that is."""
        total = 0
        loop = asyncio.get_running_loop()
        for change in self._run.pending():
            total += 1
            for need in change.needs:
                if need not in self._promises:
                    self._promises[need] = loop.create_future()
        for need, promise in self._promises.items():
            needed = self._run.find_change(*need)
            result = self._run.outcome(needed.seq) if needed else None
            if needed is None or result:
                promise.set_result(result is None or result.status in (Status.DONE, Status.ALREADY))
        return total

    async def met(self, pack: Pack) -> tuple[Pack, list[Ended]]:
        """(those whose needs are there, those that are skipped); the rest is left to a resume like what it needs."""
        ready, skipped = [], []
        for change in pack:
            made = {need: await self._made(need) for need in change.needs}
            missing = next((key for (_, key), there in made.items() if there is False), "")
            if missing:
                error = f"{missing} was not {'deleted' if change.after is None else 'made'}"
                skipped.append((change, Result(status=Status.SKIPPED, code="needs-failed", error=error)))
            elif None not in made.values():
                ready.append(change)
        return ready, skipped

    async def _made(self, name: Name) -> bool | None:
        """Waits for a needed object: is it there? None if this process will not know."""
        promise = self._promises[name]
        if not promise.done():
            await asyncio.wait([promise])
        return None if promise.cancelled() else promise.result()

    def tell(self, name: Name, *, there: bool) -> None:
        """The outcome of one object, for whoever waits."""
        promise = self._promises.get(name)
        if promise and not promise.done():
            promise.set_result(there)

    def abandon(self, pack: Iterable[Change]) -> None:
        """Nobody is to wait for those that end here without an outcome; they are for a resume."""
        for change in pack:
            if promise := self._promises.get((change.kind, change.key)):
                promise.cancel()

    def give_up(self) -> None:
        for promise in self._promises.values():
            promise.cancel()
