"""From accepted to effective, for kinds that the service carries out in its own time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphkit.clock import Clock
from graphkit.engine.brake import Brake
from graphkit.engine.change import Change, Effect, Pace, Result, Status, Verdict
from graphkit.engine.plan import chunked
from graphkit.engine.resource import Resource
from graphkit.engine.runfile import RunFile

LOOKS_AFTER_S = (5.0, 10.0, 20.0, 30.0)
"""Seconds before each look; the last again and again."""
NOT_EFFECTIVE = "not-effective"


async def settle_effects(
    run: RunFile, resources: Mapping[str, Resource], clock: Clock, until: float, brake: Brake
) -> int:
    """Look until all that was accepted is effective or refused, or until ``until``; returns how much is pending.

    What will not become effective turns into a failure, in the service's own words. Looks once if ``until`` is past.
    """
    kinds = [kind for kind in run.counts_by_kind() if resources[kind].pace is not Pace.AT_ONCE]
    turn = 0
    while True:
        pending = 0
        for kind in kinds:
            for chunk in chunked(run.awaiting_effect(kind)):
                verdicts = await resources[kind].effective(chunk)
                pending += _record(run, chunk, verdicts, clock.now())
        left = until - clock.now()
        if not pending or left <= 0 or brake.pulled:
            return pending
        await brake.pause(clock, min(left, LOOKS_AFTER_S[min(turn, len(LOOKS_AFTER_S) - 1)]))
        turn += 1


def _record(run: RunFile, changes: Sequence[Change], verdicts: Sequence[Verdict], now: float) -> int:
    """Keep what is known by now; returns how much is still pending."""
    known = []
    for change, verdict in zip(changes, verdicts, strict=True):
        result = run.outcome(change.seq)
        if result is not None and verdict.effect is not Effect.PENDING:
            known.append((change.seq, _judged(result, verdict), now))
    with run.transaction():
        run.record(known)
    return len(changes) - len(known)


def _judged(result: Result, verdict: Verdict) -> Result:
    if verdict.effect is Effect.YES:
        return replace(result, status=Status.DONE, effective=Effect.YES, code="", error="")
    return replace(
        result, status=Status.FAILED, effective=Effect.NO, code=verdict.code or NOT_EFFECTIVE, error=verdict.why
    )
