"""Several requests at once, where each is to end for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from graphkit.protocol.message import Answer, Request, Stage

T = TypeVar("T")


async def singly(stage: Stage, requests: Iterable[Request]) -> list[Answer]:
    """Every request by itself, all at once; otherwise as :meth:`BatchStage.send_batch`."""
    answers = await asyncio.gather(*(stage.send(request) for request in requests), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, Exception):
            raise answer  # cancelled: nobody waits for the others any more
    return answers  # type: ignore[return-value] # what is no Exception was raised above


async def ended(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What each came to, once all have ended. Only then raises what one of them raised, or that it was cancelled: the
    others would run on unheard, and what they hold be given back under them."""
    outcomes = await asyncio.gather(*works, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes  # type: ignore[return-value] # whatever was raised has been raised again above
