"""Outermost: what may leave at all. Counts each write of a caller once, however often it is then sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import unquote

from graphkit.errors import Blocked, ConnectionFailed, Stopped, UntrustedDestination, UsageError
from graphkit.protocol.budget import WriteBudget, effect_of, is_read
from graphkit.protocol.message import READ_METHODS, Request, Response, Stage


class Sentry(Protocol):
    """Looks at each write just before it leaves. Sends it on, or raises ``Blocked`` and sends nothing."""

    async def send(self, request: Request, send: Callable[[Request], Awaitable[Response]]) -> Response: ...


class Guard:
    """Keeps a run within its write budget (P3, P11) and its credentials within the chosen cloud (P10).

    Raises ``Blocked``, ``UntrustedDestination`` or ``UsageError``; in each case nothing was sent.
    """

    def __init__(self, following: Stage, *, graph_root: str, budget: WriteBudget) -> None:
        self._following = following
        self._origin = graph_root + "/"
        self.budget = budget
        self.sentry: Sentry | None = None

    async def send(self, request: Request) -> Response:
        self._check_address(request.path)
        if request.method in READ_METHODS or is_read(request):
            return await self._following.send(request)
        effect = effect_of(request)
        self.budget.spend(effect)
        try:
            send = self._following.send
            response = await (self.sentry.send(request, send) if self.sentry else send(request))
        except (Blocked, ConnectionFailed, Stopped):
            self.budget.refund(effect)
            raise
        if 400 <= response.status < 500:
            self.budget.refund(effect)
        return response

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


def _climbs(head: str) -> bool:
    return any(unquote(part) in {".", ".."} for part in head.split("/"))
