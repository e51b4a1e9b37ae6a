"""Outermost: what may leave at all. Counts each write of a caller once, however often it is then sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from urllib.parse import unquote

from graphkit.errors import Blocked, ConnectionFailed, GraphkitError, Stopped, UntrustedDestination, UsageError
from graphkit.protocol.budget import WriteBudget, effect_of, is_read
from graphkit.protocol.message import Answer, Batching, Effect, Request, Response
from graphkit.transport.together import singly


class Sentry(Protocol):
    """Looks at each write just before it leaves. Sends it on, or raises ``Blocked`` and sends nothing."""

    async def send(self, request: Request, send: Callable[[Request], Awaitable[Response]]) -> Response: ...


class Guard:
    """Keeps a run within its write budget (P3, P11) and its credentials within the chosen cloud (P10).

    Raises ``Blocked``, ``UntrustedDestination`` or ``UsageError``; in each case nothing was sent.
    """

    def __init__(self, following: Batching, *, graph_root: str, budget: WriteBudget) -> None:
        self._following = following
        self._origin = graph_root + "/"
        self.budget = budget
        self.sentry: Sentry | None = None

    async def send(self, request: Request) -> Response:
        effect = self._admit(request)
        if effect is None:
            return await self._following.send(request)
        try:
            send = self._following.send
            response = await (self.sentry.send(request, send) if self.sentry else send(request))
        except Exception as error:
            if _not_executed(error):
                self.budget.refund(effect)
            raise
        if _not_executed(response):
            self.budget.refund(effect)
        return response

    async def batch(self, requests: Sequence[Request]) -> list[Answer]:
        """All of them at once; the answers in their order, and what :meth:`send` would raise in the place of one."""
        if self.sentry is not None:
            return await singly(self, requests)
        refused: list[tuple[int, Answer]] = []
        going: list[tuple[Request, Effect | None]] = []
        admit = self._count if _all_plain(requests) else self._admit
        for place, request in enumerate(requests):
            try:
                going.append((request, admit(request)))
            except GraphkitError as error:
                refused.append((place, error))
        answers = await self._following.batch([request for request, _ in going])
        for (_, effect), answer in zip(going, answers, strict=True):
            if effect is not None and _not_executed(answer):
                self.budget.refund(effect)
        for place, refusal in refused:
            answers.insert(place, refusal)
        return answers

    def _admit(self, request: Request) -> Effect | None:
        """Counted, if it is a write. Raises what keeps it from leaving."""
        self._check_address(request.path)
        return self._count(request)

    def _count(self, request: Request) -> Effect | None:
        if is_read(request):
            return None
        effect = effect_of(request)
        self.budget.spend(effect)
        return effect

    def _check_address(self, path: str) -> None:
        if path.startswith("/"):
            if path.startswith("/$batch"):
                raise UsageError(
                    "an envelope cannot be counted", hint="send single requests; they are batched on the way"
                )
            if path.startswith("//"):
                raise UntrustedDestination(f"{path[:200]!r} names another host; nothing was sent")
        elif not path.startswith(self._origin):
            # Exact comparison of scheme, host and port: whatever is spelt otherwise is somewhere else.
            raise UntrustedDestination(
                f"a link leads to {path.partition('?')[0][:200]!r}, outside {self._origin[:-1]}; nothing was sent",
                hint="check the cloud setting, and report the address if the service itself gave it",
            )
        if not path.isascii() or not path.isprintable() or " " in path:
            raise UsageError(f"{path[:200]!r} is not a percent-encoded address", hint="encode each part of it")
        # The cheap test first: hardly any address holds two dots or an escaped one.
        if (".." in path or "%2" in path) and _climbs(path.partition("?")[0]):
            raise UsageError(
                f"{path[:200]!r} climbs out of its folder; nothing was sent", hint="encode each part of it"
            )


def _all_plain(requests: Sequence[Request]) -> bool:
    """One look at all addresses together, which tells nearly always that none of them needs one of its own."""
    together = " ".join(request.path for request in requests)
    return (
        together[:1] == "/"
        and together.count(" ") == together.count(" /") == len(requests) - 1
        and together.isascii()
        and together.isprintable()
        and not any(odd in together for odd in ("//", "/$batch", "..", "%2"))
    )


def _not_executed(answer: Answer) -> bool:
    if isinstance(answer, Response):
        return 400 <= answer.status < 500
    return isinstance(answer, Blocked | ConnectionFailed | Stopped)


def _climbs(head: str) -> bool:
    return any(unquote(part) in {".", ".."} for part in head.split("/"))
