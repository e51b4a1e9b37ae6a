"""From one pack of changes to its outcomes: steps 2 to 6 of the life that ``apply.py`` tells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat

from graphkit.engine.change import Action, Change, Reading, Result, Status
from graphkit.engine.course import BAD, Course
from graphkit.engine.packing import Ended, Pack, not_alone
from graphkit.engine.resource import Context, Resource, as_desired
from graphkit.errors import GraphkitError, OutcomeUnknown, ServiceError
from graphkit.protocol.budget import WriteBudget
from graphkit.protocol.message import Idempotency, Response

LOOKS_AFTER_S = (2.0, 5.0, 15.0, 30.0)
"""Seconds before each look after an answer that got lost: replicas lag, and their reads can go backwards."""
LOOKS_AFTER_THROTTLE_S = (2.0, 5.0)
"""Seconds before each look after a 429 of a service that has been seen to execute what it so refused, if seldom."""
LOOKS_AFTER_REFUSAL_S = (0.0, 2.0, 5.0)
"""Seconds before each look after a refusal that may mean "it is there already"."""
TOO_MANY = 429
REFUSED_WHOLE = frozenset({401, 423, TOO_MANY})
"""Refusals that say nothing about what was sent: smaller packs would fare no better."""
NOT_FOUND = "it was not found afterwards, and nothing tells whether it is still to come: a person must look"
NOT_SHOWN = "the service accepted it, but does not show it yet; graphkit resume looks again"
NOT_YET_WAITS_S = (1.0, 2.0, 5.0, 10.0)
"""Between two tries on an object that replicas do not show yet; the last again and again. Most are there within
seconds, some take minutes (documented: 10 s apart, api-reference/v1.0/api/team-put-teams.md)."""


@dataclass(frozen=True, slots=True)
class Tries:
    """How often one write may still be sent: where its answer was lost, and where it was refused as one too many."""

    lost: int = 5
    throttled: int = 50

    def after(self, error: OutcomeUnknown) -> Tries:
        if error.status == TOO_MANY:
            return replace(self, throttled=self.throttled - 1)
        return replace(self, lost=self.lost - 1)

    @property
    def over(self) -> bool:
        return self.lost <= 0 or self.throttled <= 0


class Sender:
    """Writes packs of one run. ``course`` is what they all share."""

    def __init__(self, course: Course, context: Context, budget: WriteBudget) -> None:
        self._course = course
        self._context = context
        self._clock = context.clock
        self._budget = budget

    async def settle(self, resource: Resource, pack: Pack) -> None:
        """From whatever is known of these changes to their outcomes, unless the run is stopped on the way."""
        if any(change.seq in self._course.sent for change in pack):
            pack = await self._adopt(resource, pack, LOOKS_AFTER_S[:2])
        elif resource.rechecked or pack[0].action is Action.DELETE:
            pack = await self._fresh(resource, pack, Status.ALREADY)
        if pack:
            await self._send(resource, pack, Tries())

    async def _fresh(self, resource: Resource, pack: Pack, status: Status) -> Pack:
        """Read again; only what is still as the plan saw it goes on.

        What is as wished by now ends as ``status``: DONE if it may have been sent before.
        """
        readings = await resource.read([as_desired(change) for change in pack])
        go, ended = [], []
        for change, reading in zip(pack, readings, strict=True):
            if not reading.known and status is Status.DONE:
                ended.append(_lost(change, f"looked, but {reading.why}"))
            elif not reading.known:
                ended.append(_result(change, Status.FAILED, "unreadable", f"not sent: {reading.why}"))
            elif resource.settled(change, reading):
                ended.append(_found(change, status, reading))
            elif not resource.unchanged(change, reading):
                ended.append(
                    _result(
                        change, Status.FAILED, "changed-since-plan", "it changed after the plan was made; plan again"
                    )
                )
            else:
                go.append(change)
        if go and any(result.status in BAD for _, result in ended) and not resource.divisible(pack):
            ended += [not_alone(change) for change in go]
            go = []
        await self._course.record(ended)
        return go

    async def _send(self, resource: Resource, pack: Pack, tries: Tries) -> None:
        request = resource.request(pack)
        request.effect = resource.effect(pack)
        for wait in chain(NOT_YET_WAITS_S, repeat(NOT_YET_WAITS_S[-1])):
            if self._course.must_stop():
                return
            step = await self._course.journal.intend(pack)
            try:
                await resource.clear_the_way(pack)
                response = await self._context.client.send(request)
            except OutcomeUnknown as lost:
                await self._after_silence(resource, pack, lost, tries.after(lost))
                return
            except GraphkitError:
                # What may be repeated may have been sent before, and that answer lost; a resume looks first.
                if request.idempotency is not Idempotency.CONVERGENT:
                    await self._course.journal.release(step)
                raise
            if response.ok:
                await self._after_answer(resource, pack, await resource.answers(pack, response))
                return
            if response.attempts > 1:
                # An earlier try, whose answer was lost, may have been executed.
                self._course.sent.update(dict.fromkeys((change.seq for change in pack), self._clock.now()))
            if response.status >= 500:
                await self._after_outage(resource, pack, response)
                return
            readings: Sequence[Reading] = ()
            waits = self._not_yet(resource, pack, response)
            if waits and response.status == 400:
                # It may also say that the object is there already; to wait for an end of that would be in vain.
                readings = await resource.look(pack)
                waits = not all(resource.settled(*each) for each in zip(pack, readings, strict=True))
            if not waits:
                await self._after_refusal(resource, pack, response, readings)
                return
            if response.attempts == 1:
                await self._course.journal.release(step)
            await self._course.stand_aside(resource, wait)

    async def _after_answer(self, resource: Resource, pack: Pack, answers: Sequence[Response]) -> None:
        """What was refused within an accepted request is read back: it may be as wished all the same."""
        refused = {change.seq: answer for change, answer in zip(pack, answers, strict=True) if not answer.ok}
        accepted = [each for each in zip(pack, answers, strict=True) if each[0].seq not in refused]
        await self._course.record([(change, await _accepted(resource, change, answer)) for change, answer in accepted])
        rest = [change for change in pack if change.seq in refused]
        if rest:
            ended, rest = _split(resource, rest, await resource.look(rest), Status.ALREADY)
            await self._course.record([*ended, *((change, _refused(refused[change.seq])) for change in rest)])

    def _not_yet(self, resource: Resource, pack: Pack, response: Response) -> bool:
        """404 (or, for a single change, 400) while something it needs is new: replicas do not show that yet.

        The age of what is needed counts: later it is something else that is not there.
        """
        created = self._context.created
        names = ((*change.needs, (change.kind, change.key)) for change in pack)
        newest = max(created.get(name, -math.inf) for each in names for name in each)
        new = self._clock.now() < newest + resource.visibility_s
        return new and (response.status == 404 or (response.status == 400 and len(pack) == 1))

    async def _after_refusal(
        self, resource: Resource, pack: Pack, response: Response, readings: Sequence[Reading] = ()
    ) -> None:
        """Codes for "it is there already" are unstable: what counts is what is read back.

        One reading that does not show it proves little: replicas lag, and reads can go backwards.
        """
        # What this run may have sent before, alone or among others, is its own work.
        status = Status.DONE if any(change.seq in self._course.sent for change in pack) else Status.ALREADY
        conflict = response.status in (400, 409) and len(pack) == 1
        rest = pack
        for wait in LOOKS_AFTER_REFUSAL_S if conflict else (0.0,):
            if wait:
                await self._course.stand_aside(resource, wait)
                if self._course.must_stop():
                    return
            ended, rest = _split(resource, rest, readings or await resource.look(rest), status)
            readings = ()
            await self._course.record(ended)
            if not rest:
                return
        if len(pack) == 1 or not resource.divisible(pack) or response.status in REFUSED_WHOLE:
            await self._course.record([(change, _refused(response)) for change in rest])
        elif len(rest) < len(pack):
            await self._send(resource, rest, Tries())
        else:
            middle = len(rest) // 2
            await self._send(resource, rest[:middle], Tries())
            await self._send(resource, rest[middle:], Tries())

    async def _after_outage(self, resource: Resource, pack: Pack, response: Response) -> None:
        """It failed until it was given up; one of those tries may have been executed all the same."""
        rest = await self._adopt(resource, pack, LOOKS_AFTER_S)
        await self._course.record([(change, _refused(response)) for change in rest])

    async def _after_silence(self, resource: Resource, pack: Pack, lost: OutcomeUnknown, tries: Tries) -> None:
        """Never send again before looking; never guess."""
        self._course.sent.update(dict.fromkeys((change.seq for change in pack), self._clock.now()))
        waits = LOOKS_AFTER_THROTTLE_S if lost.status == TOO_MANY else LOOKS_AFTER_S
        rest = await self._adopt(resource, pack, waits)
        if not rest:
            return
        if tries.over:
            error = f"{lost.message}; {NOT_FOUND}"
            await self._course.record([_lost(change, error, lost.code, lost.request_id) for change in rest])
            return
        self._budget.refund(resource.effect(rest))
        await self._send(resource, rest, tries)

    async def _adopt(self, resource: Resource, pack: Pack, waits: Sequence[float]) -> Pack:
        """Look for what may have been written already; returns what is absent and may be sent again."""
        rest, unread = pack, {}
        for wait in (*waits, self._until_shown(resource, pack) - sum(waits)):
            if wait <= 0:
                continue
            await self._course.stand_aside(resource, wait)
            if self._course.must_stop():
                return []
            readings = await resource.look(rest)
            unread = {
                change.seq: reading.why for change, reading in zip(rest, readings, strict=True) if not reading.known
            }
            ended, rest = _split(resource, rest, readings, Status.DONE)
            await self._course.record(ended)
            if not rest:
                return []
        await self._course.record(
            [_lost(change, f"looked, but {unread[change.seq]}") for change in rest if change.seq in unread]
        )
        rest = [change for change in rest if change.seq not in unread]
        if rest and self._must_not_be_repeated(resource, rest):
            await self._course.record([_lost(change, NOT_FOUND) for change in rest])
            return []
        # Somebody else may have changed it meanwhile: then it is no longer the plan's.
        return await self._fresh(resource, rest, Status.DONE) if rest and resource.rechecked else rest

    def _must_not_be_repeated(self, resource: Resource, pack: Pack) -> bool:
        """Would the service do it twice, and it may still be to come? Absent though it is, a person must decide."""
        idempotency = resource.request(pack).idempotency
        if idempotency is Idempotency.KEYED and not self._course.theirs.isdisjoint(change.seq for change in pack):
            return any(resource.settles_late(change) for change in pack)
        return idempotency is Idempotency.ONCE

    def _until_shown(self, resource: Resource, pack: Pack) -> float:
        """Seconds until a look proves that a create was not executed, where the service would take it twice."""
        if pack[0].action is not Action.CREATE or not resource.settles_late(pack[0]):
            return 0.0
        sent = max(self._course.sent.get(change.seq, 0.0) for change in pack)
        return min(sent - self._clock.now(), 0.0) + resource.visibility_s


def _split(resource: Resource, pack: Pack, readings: Sequence[Reading], status: Status) -> tuple[list[Ended], Pack]:
    """What is as wished, and the rest."""
    ended, rest = [], []
    for change, reading in zip(pack, readings, strict=True):
        if resource.settled(change, reading):
            ended.append(_found(change, status, reading))
        else:
            rest.append(change)
    return ended, rest


async def _accepted(resource: Resource, change: Change, response: Response) -> Result:
    request_id = response.headers.get("request-id", "")
    try:
        object_id = await resource.identify(change, response)
    except ServiceError as error:
        # Accepted at first, and refused in the service's own time.
        code = error.service_code or error.code
        return Result(status=Status.FAILED, code=code, error=error.message, request_id=request_id)
    if change.action is Action.CREATE and not object_id:
        # What needs it could not even name it; a resume looks for it again.
        return Result(status=Status.UNKNOWN, code="not-shown", error=NOT_SHOWN, request_id=request_id)
    return Result(status=Status.DONE, object_id=object_id, request_id=request_id)


def _refused(response: Response) -> Result:
    problem = response.error
    error = problem.message or f"the service answered {response.status}"
    return Result(
        status=Status.FAILED, code=problem.code or str(response.status), error=error, request_id=problem.request_id
    )


def _lost(change: Change, error: str, code: str = "outcome-unknown", request_id: str = "") -> Ended:
    return _result(change, Status.UNKNOWN, code, error, request_id=request_id)


def _found(change: Change, status: Status, reading: Reading) -> Ended:
    object_id = str((reading.value or {}).get("id") or "")
    return change, Result(status=status, object_id=object_id)


def _result(change: Change, status: Status, code: str, error: str, *, request_id: str = "") -> Ended:
    return change, Result(status=status, code=code, error=error, request_id=request_id)
