"""The one place where anything is sent twice. The table in :mod:`graphkit.protocol.outcomes` decides; this obeys.

tenacity keeps the loop. It is entered only after a first answer that is not final, since nearly all are.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from graphkit.clock import Clock
from graphkit.errors import ConnectionFailed, DeadlineReached, OutcomeUnknown
from graphkit.log import event
from graphkit.protocol import batch, outcomes, throttle
from graphkit.protocol.budget import is_read
from graphkit.protocol.message import Answer, BatchStage, Idempotency, Request, Response
from graphkit.protocol.outcomes import Action, Decision
from graphkit.protocol.routes import workload
from graphkit.transport.admission import parked
from graphkit.transport.governor import PARK_AFTER
from graphkit.transport.retry_budget import RetryBudget
from graphkit.transport.together import ended
from graphkit.transport.turns import Turn, Turns

logger = logging.getLogger("graphkit.transport")

MOST_ATTEMPTS = 8
"""For one request, whatever the failures but throttling."""

MOST_REFUSALS = 50
"""For one request that is throttled. Giving up early is what loses rows; the governor sees to the pace."""

_SHORTEST, _LONGEST = 0.5, 30.0

Heard = Response | ConnectionFailed | OutcomeUnknown
"""After which something may be sent again; whatever else is raised is final."""
_NOBODY = RuntimeError("nobody has answered yet")


@dataclass(frozen=True, slots=True)
class Repeat:
    """What a hook is told before a request is sent again, after ``wait`` seconds. ``path`` is without its query."""

    method: str
    path: str
    attempt: int
    action: Action
    status: int
    wait: float
    reason: str = ""
    client_request_id: str = ""


Hook = Callable[[Repeat], None]


@dataclass(slots=True)
class _Effort:
    """Everything about one request that has to be sent again."""

    request: Request
    target: str
    workload: str
    answer: Heard
    decision: Decision = outcomes.FINAL
    attempts: int = 1
    renewed: bool = False
    fresh: bool = True


@dataclass(slots=True)
class _Crowd:
    """What one caller gave at once: an answer for each, and by place the targets whose turn is still held, and where
    others stand in a queue."""

    requests: Sequence[Request]
    answers: list[Answer]
    held: dict[int, str] = field(default_factory=dict)
    standing: dict[int, tuple[str, Turn]] = field(default_factory=dict)


class Retry:
    """``renew`` gets a fresh token after a 401; ``hooks`` hear of each repeat.

    Returns the final answer. Raises ``ConnectionFailed`` (nothing executed), ``OutcomeUnknown`` (perhaps executed),
    ``Parked`` (the service wants a wait longer than ``park_after`` seconds) or ``DeadlineReached`` (it could not be
    sent again before ``deadline``, a reading of the clock's ``monotonic``).
    """

    def __init__(
        self,
        following: BatchStage,
        clock: Clock,
        *,
        renew: Callable[[Response], Awaitable[None]] | None = None,
        hooks: Sequence[Hook] = (),
        chance: random.Random | None = None,
        park_after: float = PARK_AFTER,
    ) -> None:
        self._following = following
        self._clock = clock
        self._renew = renew
        self._hooks = hooks
        self._chance = chance or random.Random()  # noqa: S311 - spreads retries, protects nothing
        self._park_after = park_after
        self._turns = Turns()
        self._budget = RetryBudget()
        self.deadline = math.inf

    async def send(self, request: Request, turn: Turn | None = None) -> Response:
        """``turn`` if it stands in the queue already."""
        target = self._turns.target(request)
        if turn is not None:
            await self._turns.wait(target, turn)
        elif target and not self._turns.taken(target, request.commutative):
            await self._turns.take(target, request.commutative)
        try:
            # Not through _ask: thousands of requests stand here at a time, and each coroutine more is one to keep.
            try:
                answer: Heard = await self._following.send(request)
            except (ConnectionFailed, OutcomeUnknown) as error:
                answer = error
            if isinstance(answer, Response) and answer.status < 400:
                self._budget.earn(request)
                return answer
            return await self._persist(request, target, answer)
        finally:
            if target:
                self._turns.give_back(target)

    async def batch(self, requests: Sequence[Request]) -> list[Answer]:
        """Those whose turn it is travel together; who has to wait for an earlier write to its target goes by itself.

        The answers in the order of ``requests``, and what :meth:`send` would raise in the place of one.
        """
        crowd = _Crowd(requests, [_NOBODY] * len(requests))
        for place, request in enumerate(requests):
            target = self._turns.target(request)
            if target and not self._turns.taken(target, request.commutative):
                # At once, lest one that the target admits beside the first overtakes it.
                crowd.standing[place] = target, self._turns.stand(target, request.commutative)
            else:
                crowd.held[place] = target
        works = [self._alone(crowd, place) for place in crowd.standing]
        works += [self._together(crowd, places) for places in batch.fold(requests, crowd.held)]
        try:
            await ended(works)
        finally:
            # Of works that were cancelled before they began.
            self._release(crowd, *crowd.held)
            for target, turn in crowd.standing.values():
                self._turns.leave(target, turn)
        return crowd.answers

    async def _alone(self, crowd: _Crowd, place: int) -> None:
        _, turn = crowd.standing.pop(place)
        try:
            crowd.answers[place] = await self.send(crowd.requests[place], turn)
        except Exception as error:  # its caller must hear of it, and the others of theirs
            crowd.answers[place] = error

    async def _together(self, crowd: _Crowd, places: Sequence[int]) -> None:
        try:
            given = await self._asked([crowd.requests[place] for place in places])
            again: dict[int, Heard] = {}
            for place, answer in zip(places, given, strict=True):
                crowd.answers[place] = answer
                if isinstance(answer, Response) and answer.status < 400:
                    self._budget.earn(crowd.requests[place])
                elif isinstance(answer, Response | ConnectionFailed | OutcomeUnknown):
                    again[place] = answer
            if again:
                self._release(crowd, *(place for place in places if place not in again))
                await ended(self._again(crowd, place, answer) for place, answer in again.items())
        finally:
            # Whoever stands behind one that was cancelled must not wait for ever.
            self._release(crowd, *places)

    async def _asked(self, requests: Sequence[Request]) -> Sequence[Answer]:
        try:
            return await self._following.send_batch(requests)
        except Exception as error:  # as above
            return [error] * len(requests)

    async def _again(self, crowd: _Crowd, place: int, answer: Heard) -> None:
        try:
            crowd.answers[place] = await self._persist(crowd.requests[place], crowd.held[place], answer)
        except Exception as error:  # as above
            crowd.answers[place] = error
        finally:
            self._release(crowd, place)

    def _release(self, crowd: _Crowd, *places: int) -> None:
        """As soon as nothing more is to be sent for them; whoever is next to their targets goes."""
        for place in places:
            if target := crowd.held.pop(place, ""):
                self._turns.give_back(target)

    async def _persist(self, request: Request, target: str, answer: Heard) -> Response:
        effort = _Effort(request, target, workload(request.path), answer)
        loop = AsyncRetrying(
            sleep=self._clock.sleep,
            wait=lambda _: self._pause(effort),
            stop=lambda _: self._enough(effort),
            retry=retry_if_result(lambda _: effort.decision.action not in {Action.FINAL, Action.UNKNOWN}),
            before_sleep=lambda state: self._tell(effort, state),
            retry_error_callback=lambda _: None,
        )
        await loop(self._attempt, effort)
        return self._settle(effort)

    async def _ask(self, request: Request) -> Heard:
        try:
            return await self._following.send(request)
        except (ConnectionFailed, OutcomeUnknown) as error:
            return error

    async def _attempt(self, effort: _Effort) -> None:
        if effort.fresh:
            effort.fresh = False
        else:
            if effort.decision.action is Action.RENEW and self._renew is not None:
                effort.renewed = True
                await self._renew(effort.answer)  # type: ignore[arg-type] # only a Response is ever renewed for
            effort.attempts += 1
            effort.answer = await self._ask(effort.request)
        effort.decision = self._judge(effort)
        if effort.decision.narrow and effort.target:
            self._turns.narrow(effort.target)

    def _judge(self, effort: _Effort) -> Decision:
        answer, idempotency = effort.answer, believed(effort.request)
        if isinstance(answer, ConnectionFailed):
            return outcomes.not_sent()
        if isinstance(answer, OutcomeUnknown):
            return outcomes.no_answer(idempotency)
        renewed = effort.renewed or self._renew is None
        decision = outcomes.decide(idempotency, answer, workload=effort.workload, renewed=renewed)
        if decision.action in {Action.WAIT, Action.REPEAT} and answer.status != 429 and (stated := self._parks(answer)):
            raise parked(f"{_name(effort.request)}: the service asks to wait", stated, self._clock.now())
        return decision

    def _stated(self, answer: Heard) -> float | None:
        return throttle.retry_after(answer.headers, self._clock.now()) if isinstance(answer, Response) else None

    def _parks(self, answer: Heard) -> float:
        """The wait asked for, if it is not sat out; else nothing."""
        stated = self._stated(answer) or 0.0
        return stated if stated > self._park_after else 0.0

    def _pause(self, effort: _Effort) -> float:
        if effort.decision.action is Action.RENEW:
            return 0.0
        if self._parks(effort.answer):
            # A quota used up for that long is closed in the governor by now: another app goes instead, or it is parked.
            return 0.0
        longest = min(_LONGEST, _SHORTEST * 2.0**effort.attempts)
        pause = self._stated(effort.answer) or self._chance.uniform(_SHORTEST / 2, longest)
        if self._clock.monotonic() + pause > self.deadline:
            raise DeadlineReached(f"{_name(effort.request)}: the deadline comes before it could be sent again")
        return pause

    def _enough(self, effort: _Effort) -> bool:
        if effort.decision.action is Action.RENEW:
            return False
        if isinstance(effort.answer, Response) and effort.answer.status == 429:
            return effort.attempts >= MOST_REFUSALS
        if effort.attempts >= MOST_ATTEMPTS:
            return True
        if isinstance(effort.answer, ConnectionFailed):
            # A dead network is no burden to the service; the slots of the batcher bound how often it is tried.
            return False
        tokens = 5.0 if isinstance(effort.answer, Response) else 10.0
        return not self._budget.spend(effort.workload, tokens)

    def _tell(self, effort: _Effort, state: RetryCallState) -> None:
        answer = effort.answer
        repeat = Repeat(
            effort.request.method,
            effort.request.path.partition("?")[0],
            effort.attempts,
            effort.decision.action,
            answer.status if isinstance(answer, Response) else 0,
            state.next_action.sleep if state.next_action else 0.0,
            "" if isinstance(answer, Response) else type(answer).__name__,
            "" if isinstance(answer, ConnectionFailed) else answer.client_request_id,
        )
        event(
            logger,
            "request-repeated",
            bucket=effort.workload,
            status=repeat.status,
            ms=round(1000 * repeat.wait),
            reason=repeat.reason or repeat.action.value,
            client_request_id=repeat.client_request_id or None,
        )
        for hook in self._hooks:
            hook(repeat)

    def _settle(self, effort: _Effort) -> Response:
        answer, request = effort.answer, effort.request
        if isinstance(answer, ConnectionFailed):
            raise answer
        if isinstance(answer, Response):
            answer.attempts = effort.attempts
            if effort.decision.action is Action.UNKNOWN:
                raise _unknown(request, answer)
            return answer
        if believed(request) is Idempotency.READ:
            raise ConnectionFailed(
                f"{_name(request)}: no answer after {effort.attempts} attempts; nothing was changed",
                hint="check the network, then try again",
            ) from answer
        raise answer


def believed(request: Request) -> Idempotency:
    """The declared class, but a write is never believed to be a read, which is the default of a request."""
    if request.idempotency is not Idempotency.READ or is_read(request):
        return request.idempotency
    return Idempotency.CONVERGENT if request.method in {"PUT", "DELETE"} else Idempotency.ONCE


def _unknown(request: Request, response: Response) -> OutcomeUnknown:
    problem = response.error
    return OutcomeUnknown(
        f"{_name(request)}: answered {response.status} {problem.code}".rstrip()
        + "; it may have been executed all the same",
        status=response.status,
        service_code=problem.code,
        request_id=problem.request_id,
        client_request_id=response.client_request_id,
    )


def _name(request: Request) -> str:
    return f"{request.method} {request.path.partition('?')[0]}"
