"""Ways to a player: a transport for httpx, and a side effect for respx, through which unmodified code replays."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from graphkit.protocol.clouds import CLOUDS
from graphkit.recording.addresses import is_graph
from graphkit.recording.player import Lost, Player, Unmatched
from graphkit.recording.recorder import as_asked, as_httpx

HOSTS = tuple(cloud.graph_root.partition("://")[2] for cloud in CLOUDS.values())
LOOPBACK = ("127.0.0.1", "localhost")


def play(player: Player, request: httpx.Request, body: bytes) -> httpx.Response:
    """Answers with what was recorded, and never with the network.

    Raises ``Unmatched``, or ``httpx.ReadError`` where the answer got lost when it was recorded.
    """
    if not is_graph(request.url.path):
        # Whatever it is (a login, a download), a replay has no business there.
        player.unmatched.append(f"{request.method} {request.url.host}")
        raise Unmatched(f"a replay does not go to {request.url.host}, and nothing was sent")
    root, asked = as_asked(request, body)
    try:
        return as_httpx(player.answer(asked, root), request)
    except Lost as lost:
        raise httpx.ReadError(f"the answer got lost when this was recorded ({lost})", request=request) from lost


class ReplayTransport(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """For ``httpx.AsyncClient(transport=...)`` and ``httpx.Client`` alike. With a ``sleep`` it takes its time: as long
    as the service did.
    """

    def __init__(self, player: Player, sleep: Callable[[float], Awaitable[None]] | None = None) -> None:
        self._player = player
        self._sleep = sleep

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = play(self._player, request, await request.aread())
        if self._sleep and self._player.pause_s:
            await self._sleep(self._player.pause_s)
        return response

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return play(self._player, request, request.read())


def side_effect(player: Player) -> Callable[[httpx.Request], httpx.Response]:
    """For ``respx.route(...).mock(side_effect=...)``."""

    def answer(request: httpx.Request) -> httpx.Response:
        return play(player, request, request.content)

    return answer


def graph_pattern() -> str:
    """A regular expression for the addresses of Graph, in every cloud and on loopback servers."""
    names = "|".join(host.replace(".", r"\.") for host in (*HOSTS, *LOOPBACK))
    return rf"^https?://(?:{names})(?::\d+)?/(?:v1\.0|beta)(?:/|$)"


def mount(player: Player, router: Any) -> None:
    """Let ``router`` (``respx.mock``, the fixture ``respx_mock``) answer for Graph."""
    router.route(url__regex=graph_pattern()).mock(side_effect=side_effect(player))
