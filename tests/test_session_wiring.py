"""Every setting about the way to the service arrives where it counts."""

from __future__ import annotations

import ssl

import httpx
import pytest

import graphkit
from graphkit.clock import run
from graphkit.protocol.message import Idempotency, Request
from graphkit.session import open_session
from graphkit.settings import load
from graphkit.transport import network, telemetry

SERVICE = "http://127.0.0.1:9"


class Wires:
    """Stands in for the network: which wires were made, and how, and the calls that came over them."""

    def __init__(self):
        self.made, self.calls = [], []

    def __call__(self, kind="httpcore", **how):
        self.made.append((kind, how))
        return httpx.MockTransport(self.answer)

    def answer(self, request):
        self.calls.append(request)
        return httpx.Response(200, json={"value": [{"id": "t-1"}]})


@pytest.fixture
def wires(monkeypatch, tmp_path):
    found = Wires()
    monkeypatch.setattr(network, "make_wire", found)
    monkeypatch.setenv("GRAPHKIT_ACCESS_TOKEN", "opaque")
    monkeypatch.setenv("GRAPHKIT_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    return found


def connected(use=lambda session: None, **flags):
    """What ``use`` sees of a session."""

    async def main():
        async with open_session(load(flags)) as session:
            return use(session)

    return run(main())


@pytest.mark.parametrize("kind", ["httpcore", "aiohttp"])
def test_the_wire_is_the_one_that_was_chosen_and_trusts_whom_the_settings_trust(wires, kind):
    connected(target=SERVICE, wire=kind)
    ((made, how),) = wires.made
    assert made == kind
    assert isinstance(how["verify"], ssl.SSLContext)
    assert how["proxy"] is None


def test_a_cloud_is_reached_by_way_of_the_proxy(wires, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.contoso.example:3128")
    connected()
    ((_, how),) = wires.made
    assert how["proxy"] == "http://proxy.contoso.example:3128"
    assert {call.url.host for call in wires.calls} == {"graph.microsoft.com"}


def test_each_timeout_is_its_own(wires):
    connected(target=SERVICE, connect_timeout=1.0, pool_timeout=2.0, write_timeout=3.0, read_timeout=4.0)
    assert wires.calls[0].extensions["timeout"] == {"connect": 1.0, "pool": 2.0, "write": 3.0, "read": 4.0}


def test_counters_are_told_while_a_session_lasts(wires, monkeypatch):
    watched = []
    monkeypatch.setattr(telemetry, "watch", watched.append)
    monkeypatch.setattr(telemetry, "unwatch", watched.remove)
    assert connected(lambda session: watched == [session.chain.governor], target=SERVICE)
    assert watched == []


@pytest.mark.parametrize(("share", "seconds"), [(1.0, 10), (0.5, 20), (0.25, 40)])
def test_a_share_of_the_quota_is_a_share_of_the_pace(share, seconds):
    """3,000 writes in 150 s are the whole."""

    async def main():
        async with graphkit.connect(target="simulated", virtual_time=True, quota_share=share) as graph:
            users = [user["id"] async for user in graph.list("/users")][:250]
            begun = graph.clock.monotonic()
            answers = await graph.batch(
                [
                    Request(method="PATCH", path=f"/users/{user}", body=b"{}", idempotency=Idempotency.CONVERGENT)
                    for user in users
                ]
            )
            return {answer.status for answer in answers}, len(users), graph.clock.monotonic() - begun

    statuses, count, taken = run(main(), virtual=True)
    assert (statuses, count) == ({204}, 250)
    assert taken == pytest.approx(seconds, rel=0.2)
