"""The first few changes of a run go alone, and are read back before the others follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphkit.engine.change import Change, Status
from graphkit.engine.course import Course
from graphkit.engine.packing import Pack, packs
from graphkit.engine.resource import Resource
from graphkit.engine.runfile import RunFile
from graphkit.errors import CanaryFailed

LOOKS_AFTER_S = (0.0, 2.0, 5.0, 15.0, 30.0, 60.0)
"""Seconds before each look, over and over the last until the kind's objects must be visible: replicas lag."""


async def verify(run: RunFile, first: Sequence[Change], resources: Mapping[str, Resource], course: Course) -> None:
    """Raises ``CanaryFailed`` unless all of ``first`` ended well and are read back as they were written.

    A run that has to stop waits for nothing: then this has proved nothing.
    """
    results = {change.seq: run.outcome(change.seq) for change in first}
    bad = [
        f"{change.key}: {result.status}, {result.error or result.code}"
        for change in first
        if (result := results[change.seq]) and result.status not in (Status.DONE, Status.ALREADY)
    ]
    if not bad:
        written = [change for change in first if (found := results[change.seq]) and found.status is Status.DONE]
        for pack in packs(written, resources):
            bad += [f"{change.key}: {why}" for change, why in await _not_as_written(pack, resources, course)]
    if bad:
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        raise CanaryFailed(
            f"of the first {len(first)} changes {len(bad)} did not end well: {bad[0]}{more}; nothing else was sent",
            hint=f"see to it, then graphkit resume {run.path}",
        )


async def _not_as_written(
    pack: Pack, resources: Mapping[str, Resource], course: Course
) -> Sequence[tuple[Change, str]]:
    resource = resources[pack[0].kind]
    waited, turn = 0.0, 0
    while True:
        wait = LOOKS_AFTER_S[min(turn, len(LOOKS_AFTER_S) - 1)]
        await course.pause(wait)
        if course.must_stop():
            return ()
        waited, turn = waited + wait, turn + 1
        readings = await resource.look(pack)
        found = list(zip(pack, readings, strict=True))
        pack = [change for change, reading in found if not resource.settled(change, reading)]
        if not pack or waited >= resource.visibility_s:
            return [
                (change, reading.why or "it is not read back as it was written")
                for change, reading in found
                if change in pack
            ]
