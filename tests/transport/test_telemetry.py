"""Counters for OpenTelemetry, against as much of its API as we use."""

from __future__ import annotations

import asyncio
import gc
import sys
from types import ModuleType, SimpleNamespace

import pytest

from graphkit.clock import VirtualClock
from graphkit.protocol.message import Request, Response
from graphkit.transport import telemetry
from graphkit.transport.governor import Governor

WRITES = "identity.app_tenant.writes"


class Instruments:
    """``opentelemetry.metrics``: instruments by name, read when they are collected."""

    def __init__(self) -> None:
        self.made = {}

    def create_observable_counter(self, name, callbacks, unit, description):
        self.made[name] = callbacks
        assert unit
        assert description

    create_observable_gauge = create_observable_counter

    def collect(self, name):
        (callback,) = self.made[name]
        return {each.attributes.get(telemetry.BUCKET, ""): each.value for each in callback(None)}


@pytest.fixture
def instruments(monkeypatch):
    found = Instruments()
    metrics = ModuleType("opentelemetry.metrics")
    metrics.get_meter = lambda name: found
    metrics.Observation = lambda value, attributes=None: SimpleNamespace(value=value, attributes=attributes or {})
    package = ModuleType("opentelemetry")
    package.metrics = metrics
    monkeypatch.setitem(sys.modules, "opentelemetry", package)
    monkeypatch.setitem(sys.modules, "opentelemetry.metrics", metrics)
    for name, value in (("_registered", False), ("_ended", {}), ("_watched", type(telemetry._watched)())):
        monkeypatch.setattr(telemetry, name, value)
    return found


def patches(count):
    return [Request(method="PATCH", path=f"/users/u{number}") for number in range(count)]


def test_requests_refusals_waits_and_utilisation_are_told_by_bucket(instruments, script, virtual):
    refusal = Response(429, {"retry-after": "2", "x-ms-throttle-scope": "Tenant_Application/Write/a/t"})
    governor = Governor(script(refusal, Response(204, {})), VirtualClock(), share=1.0)

    async def main():
        telemetry.watch(governor)
        await asyncio.gather(*(governor.send(request) for request in patches(100)))
        return {name: instruments.collect(name) for name in instruments.made}

    told = virtual(main())
    assert told["graphkit.requests"] == {"": 100}
    assert told["graphkit.quota.taken"][WRITES] == 100
    assert told["graphkit.refusals"][WRITES] == 1
    assert told["graphkit.waits"][WRITES] == 99
    assert told["graphkit.wait.time"][WRITES] > 2 * 99
    assert told["graphkit.quota.utilization"][WRITES] == pytest.approx(100 / 3000, abs=1e-3)
    assert told["graphkit.quota.waiting"][WRITES] == 0
    assert told["graphkit.quota.stopped"][WRITES] == 0


def test_a_counter_never_falls_when_a_session_ends_or_counters_are_forgotten(instruments, script, virtual, monkeypatch):
    monkeypatch.setattr("graphkit.transport.counters._MANY", 20)
    stage = script(Response(204, {}))

    async def main():
        totals = []
        for _ in range(2):
            governor = Governor(stage, VirtualClock(), share=1.0)
            telemetry.watch(governor)
            for number in range(100):
                await governor.send(Request(method="GET", path=f"/teams/t{number}"))
                await governor._clock.sleep(10)
                totals.append(instruments.collect("graphkit.quota.taken")["teams.get_team.resource"])
            assert len(governor.counters.meters) < 60
            telemetry.unwatch(governor)
            totals.append(instruments.collect("graphkit.quota.taken")["teams.get_team.resource"])
            del governor
            gc.collect()
            totals.append(instruments.collect("graphkit.quota.taken")["teams.get_team.resource"])
        return totals

    totals = virtual(main())
    assert totals == sorted(totals)
    assert instruments.collect("graphkit.quota.utilization") == {}
    assert totals[-1] == 200
    assert instruments.collect("graphkit.requests") == {"": 200}


def test_instruments_are_made_once_in_a_process(instruments, script, virtual):
    async def main():
        for _ in range(2):
            governor = Governor(script(Response(204, {})), VirtualClock())
            telemetry.watch(governor)
            made = dict(instruments.made)
        return made == instruments.made

    assert virtual(main())


def test_without_the_extra_nothing_happens(monkeypatch, script, virtual):
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.setattr(telemetry, "_registered", False)
    governor = Governor(script(Response(204, {})), VirtualClock())
    telemetry.watch(governor)
    telemetry.unwatch(governor)
    assert governor not in telemetry._watched


def test_the_manual_lists_every_instrument():
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs" / "settings.md").read_text(encoding="utf-8")
    for name in [*(row[0] for row in (*telemetry.COUNTERS, *telemetry.GAUGES)), telemetry.REQUESTS]:
        assert f"| `{name}` |" in text
